"""What the bus on Postgres does beyond the common contract: leases, deaths, and a database that goes away."""

import asyncio

import pytest

from persistence.database import Database
from persistence.tasks import CHANNEL
from services.kernel.clock import ManualClock, SystemClock
from services.kernel.facts import WorkoutFinished
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
