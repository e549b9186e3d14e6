"""Filling the streams: what a sick one holds up, which is itself, and that it lacks nothing afterwards."""

import asyncio
import uuid
from collections.abc import AsyncIterator

import msgspec
import pytest

from persistence.database import Database
from services.kernel.facts import AnyFact, ClassEnded, WorkoutFinished
from services.kernel.ids import AccountId, ClassId, FactId, WorkoutId
from tests.support.fact_logs import IDS, AmqpLogBench, amqp_log_bench, running
from tests.support.rabbitmq import RabbitMQ
from tests.support.task_buses import WAIT_S, AmqpBench, Seen, an_envelope, consuming, eventually
from workers.amqp_feed import waves
from workers.amqp_link import Link, close, connect
from workers.amqp_log import stream_of
from workers.bus import BusUnavailable
from workers.fact_log import CLASSES, TRAINING, Family

pytest_plugins = ["tests.support.rabbitmq"]


@pytest.fixture
async def bench(rabbitmq: RabbitMQ, database: Database) -> AsyncIterator[AmqpLogBench]:
    """Streams with nothing in them; nobody feeds them yet."""
    async with amqp_log_bench(database, rabbitmq.url, fed=False) as bench:
        yield bench


@pytest.fixture
async def link(rabbitmq: RabbitMQ) -> AsyncIterator[Link]:
    """For what others do on the broker."""
    link = await connect(rabbitmq.url, "test")
    yield link
    await close(link)


@pytest.fixture
async def queues(rabbitmq: RabbitMQ) -> AsyncIterator[AmqpBench]:
    """Queues, taken away afterwards."""
    made = AmqpBench(rabbitmq.url)
    yield made
    await made.remove()


def finished(thing: uuid.UUID | None = None) -> tuple[AnyFact, uuid.UUID]:
    about = thing or IDS.next()
    return WorkoutFinished(WorkoutId(about), AccountId(IDS.next())), about


def ended() -> tuple[AnyFact, uuid.UUID]:
    about = IDS.next()
    return ClassEnded(ClassId(about)), about


async def read(bench: AmqpLogBench, family: Family, count: int) -> list[FactId]:
    """The first facts of a family's stream, so many."""
    found: list[FactId] = []
    async with asyncio.timeout(WAIT_S), bench.log.reading(family) as reader:
        while len(found) < count:
            found += [envelope.id for envelope in (await reader.page(WAIT_S)).envelopes]
    return found


async def lies_elsewhere(link: Link, family: Family) -> None:
    """Something that is no stream lies on the broker under the name of one."""
    await link.channel.queue_delete(stream_of(family))
    await link.channel.declare_queue(stream_of(family), durable=True, arguments={"x-queue-type": "classic"})


async def test_a_sick_stream_holds_up_no_queue_no_retry_and_no_other_stream_and_has_everything_when_it_is_well(
    bench: AmqpLogBench, queues: AmqpBench, link: Link
) -> None:
    await lies_elsewhere(link, TRAINING)
    queue, training = queues.queue(max_attempts=2), bench.feeds[0]
    seen = Seen(lambda _: ValueError("every time"))
    async with running(*bench.feeds), queues.open() as bus, consuming(bus, queue, seen):
        told = await bench.leave(finished(), finished())
        (of_a_class,) = await bench.leave(ended())
        await bus.publish(an_envelope())
        await eventually(lambda: bus.statistics().of(queue).parked)
        assert await read(bench, CLASSES, 1) == [of_a_class]
        await eventually(lambda: training.statistics.failures)
        with pytest.raises(BusUnavailable, match="rabbitmqctl delete_queue"):
            await read(bench, TRAINING, 1)
        await link.channel.queue_delete(stream_of(TRAINING))
        assert sorted(await read(bench, TRAINING, 2)) == sorted(told)


async def test_a_stream_that_takes_and_never_confirms_is_told_again_when_it_does(
    bench: AmqpLogBench, rabbitmq: RabbitMQ
) -> None:
    training = bench.feeds[0]
    async with running(training):
        await bench.leave(finished())
        await eventually(lambda: training.statistics.taken == 1)
        writer = (
            f'{{ok, Q}} = rabbit_amqqueue:lookup(rabbit_misc:r(<<"/">>, queue, <<"{stream_of(TRAINING)}">>)), '
            "Writer = amqqueue:get_pid(Q)"
        )
        await asyncio.to_thread(rabbitmq.evaluate, f"{writer}, sys:suspend(Writer)")
        told = await bench.leave(finished())
        assert told
        await eventually(lambda: training.statistics.failures)
        await asyncio.to_thread(rabbitmq.evaluate, f"{writer}, sys:resume(Writer)")
        await eventually(lambda: training.statistics.taken == 2)
    assert told[0] in await read(bench, TRAINING, 2)


async def test_whoever_feeds_next_goes_on_where_the_last_one_stopped(bench: AmqpLogBench) -> None:
    training = bench.feeds[0]
    async with running(training):
        first = await bench.leave(finished(), finished())
        await eventually(lambda: training.statistics.taken == 2)
    second = await bench.leave(finished())
    (another, _) = bench.make_feeds()
    async with running(another):
        await eventually(lambda: another.statistics.taken == 1)
    found = await read(bench, TRAINING, 3)
    assert (sorted(found[:2]), found[2:]) == (sorted(first), second)


def test_what_is_published_at_once_is_about_different_things() -> None:
    workout, other = IDS.next(), IDS.next()
    told = [
        msgspec.structs.replace(an_envelope(), about=about) for about in (workout, None, workout, other, None, workout)
    ]
    assert waves(told) == [[told[0], told[1], told[3]], [told[2], told[4]], [told[5]]]
    assert waves([]) == []
