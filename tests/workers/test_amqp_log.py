"""What only a stream can do to a reader."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from persistence.database import Database
from services.kernel.facts import WorkoutFinished
from services.kernel.ids import AccountId, FactId, WorkoutId
from tests.support.fact_logs import CLOCK, IDS, AmqpLogBench, amqp_log_bench
from tests.support.rabbitmq import RabbitMQ
from tests.support.task_buses import WAIT_S, an_envelope
from workers.amqp_log import PAGE, AmqpLog
from workers.bus import BusUnavailable
from workers.fact_log import TRAINING, Position, PositionLost


@pytest.fixture
async def bench(rabbitmq: RabbitMQ, database: Database) -> AsyncIterator[AmqpLogBench]:
    """Streams with nothing in them."""
    async with amqp_log_bench(database, rabbitmq.url) as bench:
        yield bench


async def tell(bench: AmqpLogBench, count: int) -> list[FactId]:
    """Facts about one thing."""
    thing = IDS.next()
    return await bench.tell(*[(WorkoutFinished(WorkoutId(thing), AccountId(IDS.next())), thing) for _ in range(count)])


async def read(bench: AmqpLogBench, count: int, after: Position | None = None) -> tuple[list[FactId], Position]:
    """So many facts, and the position after them."""
    found: list[FactId] = []
    async with asyncio.timeout(WAIT_S), bench.log.reading(TRAINING, after) as reader:
        while True:
            page = await reader.page(WAIT_S)
            found += [envelope.id for envelope in page.envelopes]
            if len(found) >= count:
                assert page.position is not None
                return found, page.position


@pytest.mark.parametrize("since", [0, 2, 3, 50])
async def test_a_stream_that_was_made_anew_is_known_by_what_lies_at_the_position(
    bench: AmqpLogBench, since: int
) -> None:
    """Also when it has grown past the position: the broker itself would go on from there as if nothing had happened."""
    await tell(bench, 3)
    _, position = await read(bench, 3)
    await bench.begin_anew()
    await tell(bench, since)
    with pytest.raises(PositionLost):
        async with bench.log.reading(TRAINING, position):
            pass


async def test_more_facts_than_the_broker_sends_ahead_come_page_by_page(bench: AmqpLogBench) -> None:
    told = [an_envelope() for _ in range(3 * PAGE)]
    await bench.put(*told)
    found, position = await read(bench, len(told))
    assert sorted(found) == sorted(envelope.id for envelope in told)
    assert await read(bench, 1, await _told_after(bench, position))


async def _told_after(bench: AmqpLogBench, position: Position) -> Position:
    told = await tell(bench, 1)
    found, _ = await read(bench, 1, position)
    assert found == told
    return position


async def test_a_fact_that_was_published_twice_is_there_twice(bench: AmqpLogBench) -> None:
    envelope = an_envelope()
    await bench.put(envelope, envelope)
    assert (await read(bench, 2))[0] == [envelope.id, envelope.id]


async def test_a_log_on_a_broker_that_is_away_says_so() -> None:
    with pytest.raises(BusUnavailable):
        async with AmqpLog("amqp://guest:guest@127.0.0.1:9/", CLOCK).reading(TRAINING):
            pass


async def test_a_reader_whose_stream_is_deleted_is_told(bench: AmqpLogBench) -> None:
    await tell(bench, 1)
    async with bench.log.reading(TRAINING) as reader:
        await reader.page(WAIT_S)
        waiting = asyncio.create_task(reader.page(WAIT_S))
        await asyncio.sleep(0)
        await bench.begin_anew()
        with pytest.raises(BusUnavailable):
            await waiting
