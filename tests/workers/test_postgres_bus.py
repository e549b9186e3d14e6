"""What the bus on Postgres does beyond the common contract: leases, deaths, and a database that goes away."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from persistence.database import Database, Tx
from persistence.tasks import CHANNEL
from services.kernel.clock import ManualClock, SystemClock
from services.kernel.facts import WorkoutFinished
from services.kernel.problems import Unavailable
from tests.support.task_buses import WAIT_S, PostgresBench, Seen, an_envelope, consuming, eventually
from workers.bus import BusUnavailable, Delivery, Queue
from workers.postgres_bus import PostgresBus
from workers.wakeups import Wakeups


async def test_a_handler_that_outlives_its_lease_keeps_its_task(database: Database) -> None:
    bench = PostgresBench(database)
    queue, envelope = bench.queue(), an_envelope()
    inside, go_on = asyncio.Event(), asyncio.Event()

    async def slow(delivery: Delivery) -> None:
        async with database.tx() as tx:
            await delivery.settle(tx)
            inside.set()
            await go_on.wait()

    rival = Seen()
    clock = ManualClock()
    queues = (queue,)
    first = PostgresBus(database, clock, queues, poll_s=0.02)
    second = PostgresBus(database, clock, queues, poll_s=0.02)
    await first.publish(envelope)
    async with consuming(first, queue, slow):
        async with asyncio.timeout(WAIT_S):
            await inside.wait()
        async with consuming(second, queue, rival):
            await clock.advance(60)  # far beyond the lease
            async with database.connection() as connection:
                await connection.fetchval("SELECT 1")
            go_on.set()
            await eventually(lambda: first.statistics().of(queue).handled)
            await clock.advance(60)
    assert rival.deliveries == []


async def test_a_retry_comes_when_its_time_has_come_and_not_before(database: Database) -> None:
    clock = ManualClock()
    queue = Queue("summaries", wants=(WorkoutFinished,))
    bus = PostgresBus(database, clock, (queue,))
    seen = Seen(lambda delivery: ValueError("first") if delivery.attempt == 1 else None)
    async with consuming(bus, queue, seen):
        await bus.publish(an_envelope())

        async def look() -> bool:
            if not seen.deliveries:  # later the retry has its time, which must not pass here
                await clock.advance(1)
            return bus.statistics().of(queue).retried == 1

        await eventually(look)
        for _ in range(3):
            await clock.advance(1)
            async with database.connection() as connection:
                await connection.fetchval("SELECT 1")
        assert len(seen.deliveries) == 1

        async def jump() -> bool:
            await clock.advance(1)
            return len(seen.deliveries) == 2

        await eventually(jump)
    assert [delivery.attempt for delivery in seen.deliveries] == [1, 2]


class Flaky(Database):
    """A database that may be away."""

    def __init__(self, database: Database) -> None:
        super().__init__(database._pool, database.dsn)
        self.away = False

    @asynccontextmanager
    async def tx(self) -> AsyncIterator[Tx]:
        if self.away:
            raise Unavailable("no connection is free")
        async with super().tx() as tx:
            yield tx


@pytest.mark.parametrize("away_s", [3, 20])
async def test_a_database_that_goes_away_under_a_handler_uses_no_attempt(database: Database, away_s: float) -> None:
    """However often: the task is not taken for one that kills its workers."""
    clock, queue, flaky = ManualClock(), Queue("summaries", wants=(WorkoutFinished,)), Flaky(database)
    bus = PostgresBus(flaky, clock, (queue,))

    def goes_away(_: Delivery) -> Exception:
        flaky.away = True
        return Unavailable("no connection is free")

    seen = Seen(goes_away)
    await bus.publish(an_envelope())
    async with consuming(bus, queue, seen):
        for times in range(1, queue.max_attempts + 2):

            async def begun(times: int = times) -> bool:
                await clock.advance(1)
                return len(seen.deliveries) == times

            await eventually(begun)
            await clock.advance(away_s)
            flaky.away = False

            async def written_down(times: int = times) -> bool:
                await clock.advance(1)
                return bus.statistics().of(queue).retried == times

            await eventually(written_down)
    assert {delivery.attempt for delivery in seen.deliveries} == {1}
    assert bus.statistics().of(queue).parked == 0


async def test_a_database_that_goes_away_when_a_handler_is_done_has_it_done_once(database: Database) -> None:
    clock, queue, flaky = ManualClock(), Queue("summaries", wants=(WorkoutFinished,)), Flaky(database)
    bus = PostgresBus(flaky, clock, (queue,))

    def goes_away(_: Delivery) -> None:
        flaky.away = True

    seen = Seen(goes_away)
    await bus.publish(an_envelope())
    async with consuming(bus, queue, seen):
        await seen.times(1)
        await clock.advance(10)
        flaky.away = False

        async def handled() -> bool:
            await clock.advance(1)
            return bus.statistics().of(queue).handled == 1

        await eventually(handled)
        await clock.advance(60)
    assert len(seen.deliveries) == 1
    assert bus.statistics().of(queue).lost == 0


async def test_a_published_task_wakes_the_consumer_without_waiting_for_the_next_look(database: Database) -> None:
    wakeups = Wakeups(database, SystemClock(), (CHANNEL,))
    listening = asyncio.create_task(wakeups.run())
    async with asyncio.timeout(WAIT_S):
        await wakeups.listening.wait()
    queue, seen = Queue("summaries", wants=(WorkoutFinished,)), Seen()
    # Its clock stands still, so it never looks by itself.
    clock = ManualClock()
    bus = PostgresBus(database, clock, (queue,), wakeups)
    async with consuming(bus, queue, seen):
        await bus.publish(an_envelope())
        await seen.times(1)
        await bus.publish(an_envelope())
        await seen.times(2)
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)


async def test_publishing_to_a_database_that_is_away_says_so(database: Database) -> None:
    queue = Queue("summaries", wants=(WorkoutFinished,))
    bus = PostgresBus(database, SystemClock(), (queue,))
    async with database.connection() as held:
        await held.execute("BEGIN; LOCK TABLE tasks IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(BusUnavailable, match="did not take"):
            await bus.publish(an_envelope())
        await held.execute("ROLLBACK")
    assert bus.statistics().refused == 1
