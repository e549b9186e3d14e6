"""What happens by the clock, and who does it. Time is jumped, the database is real."""

import asyncio
from datetime import timedelta

import pytest

from persistence.database import Database, open_database
from persistence.inbox import Inbox
from persistence.upkeep import Upkeep
from services.kernel.clock import SystemClock, utc
from services.kernel.facts import ClassEnded, WorkoutFinished
from services.kernel.ids import FactId, StreamId, WorkoutId
from tests.support.task_buses import WAIT_S, eventually
from tests.support.world import World, steady
from workers.outbox_upkeep import KEEP_DAYS, OutboxUpkeep
from workers.schedule import BITE, JOB_TIMEOUT_S, LOCK, Job, Jobs, Scheduler, jobs

MINUTES, HOURS, DAYS = 60, 3_600, 86_400


@pytest.fixture
def world(database: Database) -> World:
    """An empty world."""
    return World(database)


@pytest.fixture
def upkeep(world: World) -> Jobs:
    """The jobs."""
    return Jobs(world.transactions, world.clock, OutboxUpkeep(world.clock))


async def finished(world: World, workout_id: WorkoutId, stream_id: StreamId) -> tuple[bool, bool]:
    """Whether the workout and the stream are."""
    async with world.transactions() as stores:
        workout, stream = await stores.workouts.by_id(workout_id), await stores.streams.lock(stream_id)
    assert workout is not None
    assert stream is not None
    return workout.finished_at_ms is not None, stream.finished


async def test_a_stream_that_was_silent_for_half_an_hour_is_finished_and_told(world: World, upkeep: Jobs) -> None:
    ada = await world.account()
    workout_id, stream_id = await world.workout(ada, steady(5))
    await world.clock.advance(29 * MINUTES)
    assert await upkeep.finish_abandoned_streams() == 0
    assert await finished(world, workout_id, stream_id) == (False, False)
    await world.clock.advance(2 * MINUTES)
    assert await upkeep.finish_abandoned_streams() == 1
    assert await finished(world, workout_id, stream_id) == (True, True)
    assert await upkeep.finish_abandoned_streams() == 0
    assert await world.told() == [WorkoutFinished(workout_id=workout_id, account_id=ada.account_id)]


async def test_a_stream_that_goes_on_is_left_alone(world: World, upkeep: Jobs) -> None:
    workout_id, stream_id = await world.workout(await world.account(), steady(5))
    await world.clock.advance(29 * MINUTES)
    await world.write(stream_id, 5, steady(5, start=1_740))
    await world.clock.advance(2 * MINUTES)
    assert await upkeep.finish_abandoned_streams() == 0
    assert await finished(world, workout_id, stream_id) == (False, False)


async def test_once_its_class_is_over_a_minute_of_silence_is_enough(world: World, upkeep: Jobs) -> None:
    coach = await world.account("Cleo", "coach")
    over, going_on = await world.live_class(coach), await world.live_class(coach)
    abandoned = await world.workout(await world.account(), steady(5), live=over)
    training = await world.workout(await world.account(), steady(5), live=going_on)
    alone = await world.workout(await world.account(), steady(5))
    await world.clock.advance(10 * MINUTES)
    await world.end(over)
    await world.clock.advance(50)
    assert await upkeep.finish_abandoned_streams() == 0
    await world.clock.advance(20)
    assert await upkeep.finish_abandoned_streams() == 1
    assert await finished(world, *abandoned) == (True, True)
    assert await finished(world, *training) == await finished(world, *alone) == (False, False)


async def test_a_class_that_nobody_ended_is_over_after_half_a_day(world: World, upkeep: Jobs) -> None:
    coach = await world.account("Cleo", "coach")
    forgotten = await world.live_class(coach)
    await world.clock.advance(6 * HOURS)
    young = await world.live_class(coach)
    await world.clock.advance(7 * HOURS)
    assert await upkeep.end_forgotten_classes() == 1
    assert await upkeep.end_forgotten_classes() == 0
    async with world.transactions() as stores:
        ended, live = await stores.classes.by_id(forgotten.id), await stores.classes.by_id(young.id)
    assert ended is not None
    assert live is not None
    assert (ended.ended_ms, live.ended_ms) == (world.clock.wall_ms(), None)
    assert await world.told() == [ClassEnded(class_id=forgotten.id)]


async def test_the_inbox_remembers_longer_than_the_outbox_reaches_back(world: World, upkeep: Jobs) -> None:
    now = utc(world.clock.wall_ms())
    async with world.database.tx() as tx:
        for days in (KEEP_DAYS + 3, KEEP_DAYS + 1):
            await Inbox(tx).first_time("test", FactId(world.ids.next()), now - timedelta(days=days))
    assert await upkeep.prune_inbox() == 1
    assert await upkeep.prune_inbox() == 0


async def test_expired_refresh_tokens_are_forgotten_and_used_ones_kept_until_then(world: World, upkeep: Jobs) -> None:
    ada, now = await world.account(), utc(world.clock.wall_ms())
    async with world.database.tx() as tx:
        await tx.execute(
            "INSERT INTO logins (id, account_id, device, created_at) VALUES ($1, $2, '', $3)",
            ada.login_id,
            ada.account_id,
            now,
        )
        for token, expires_in, used in ((b"expired", -1, None), (b"used", 1, now), (b"fresh", 1, None)):
            await tx.execute(
                """
                INSERT INTO refresh_tokens (token_hash, login_id, issued_at, expires_at, used_at)
                VALUES ($1, $2, $3, $4, $5)
                """,
                token,
                ada.login_id,
                now,
                now + timedelta(days=expires_in),
                used,
            )
    assert await upkeep.prune_refresh_tokens() == 1
    async with world.database.connection() as connection:
        kept = await connection.fetch("SELECT token_hash FROM refresh_tokens ORDER BY token_hash")
    assert [row["token_hash"] for row in kept] == [b"fresh", b"used"]


async def test_of_two_schedulers_at_once_the_second_skips_what_the_first_holds(world: World, upkeep: Jobs) -> None:
    workout_id, stream_id = await world.workout(await world.account(), steady(2))
    await world.clock.advance(HOURS)
    now = utc(world.clock.wall_ms())
    async with world.transactions() as first:
        taken = await Upkeep(first.tx).finish_abandoned(now, silent_since=now, over_since=now, limit=BITE)
        async with asyncio.timeout(WAIT_S):
            assert await upkeep.finish_abandoned_streams() == 0
    assert [each.stream_id for each in taken] == [stream_id]
    assert await finished(world, workout_id, stream_id) == (True, True)
    assert await upkeep.finish_abandoned_streams() == 0
    assert await world.told() == []


# -- the table ----------------------------------------------------------------------------------------------------


class Counted:
    """A job that counts how often it was done; `amounts` is how much it finds each time."""

    def __init__(self, *amounts: int) -> None:
        self.times = 0
        self._amounts = list(amounts)

    async def __call__(self) -> int:
        self.times += 1
        return self._amounts.pop(0) if self._amounts else 0


async def test_each_job_is_done_at_its_own_pace(world: World) -> None:
    often, seldom = Counted(), Counted()
    table = (Job("often", 10, often), Job("seldom", 60, seldom))
    scheduler = Scheduler(world.database, world.clock, table)
    for _ in range(13):
        await scheduler.tick()
        await world.clock.advance(5)
    assert (often.times, seldom.times) == (7, 2)


async def test_a_job_that_found_a_full_bite_is_done_again_at_once(world: World) -> None:
    job = Counted(BITE, BITE, 3)
    scheduler = Scheduler(world.database, world.clock, (Job("prune", 60, job),))
    await scheduler.tick()
    assert job.times == 4
    assert scheduler.statistics.done == {"prune": 2 * BITE + 3}


async def test_missed_times_are_made_up_for_once(world: World) -> None:
    job = Counted()
    scheduler = Scheduler(world.database, world.clock, (Job("prune", 60, job),))
    await scheduler.tick()
    await world.clock.advance(3 * DAYS)
    await scheduler.tick()
    await scheduler.tick()
    assert job.times == 2


async def test_a_job_that_fails_neither_stops_the_others_nor_comes_at_once(world: World) -> None:
    async def fails() -> int:
        raise ZeroDivisionError

    other = Counted()
    scheduler = Scheduler(world.database, world.clock, (Job("fails", 60, fails), Job("other", 60, other)))
    await scheduler.tick()
    await scheduler.tick()
    assert other.times == 1
    assert scheduler.statistics.failures == {"fails": 1}


def test_every_job_has_a_name_of_its_own_and_a_pace(world: World) -> None:
    table = jobs(world.transactions, world.clock)
    assert len({job.name for job in table}) == len(table) == 6
    assert all(job.every_s >= 1 for job in table)
    assert JOB_TIMEOUT_S > 0


# -- leading ------------------------------------------------------------------------------------------------------


async def test_one_leads_and_another_takes_over_when_it_stops(fresh_dsn: str) -> None:
    first_job, second_job = Counted(), Counted()
    async with open_database(fresh_dsn, size=2) as one, open_database(fresh_dsn, size=2) as other:
        first = Scheduler(one, SystemClock(), (Job("job", 0.01, first_job),), tick_s=0.02)
        second = Scheduler(other, SystemClock(), (Job("job", 0.01, second_job),), tick_s=0.02)
        leading = asyncio.create_task(first.run())
        await eventually(lambda: first_job.times >= 2)
        waiting = asyncio.create_task(second.run())
        times = first_job.times
        await eventually(lambda: first_job.times >= times + 3)
        assert second_job.times == 0
        assert (first.statistics.leads, second.statistics.leads) == (True, False)
        first.stop()
        async with asyncio.timeout(WAIT_S):
            await leading
        await eventually(lambda: second_job.times >= 2)
        assert (first.statistics.leads, second.statistics.leads) == (False, True)
        second.stop()
        async with asyncio.timeout(WAIT_S):
            await waiting


async def test_a_leader_whose_connection_was_cut_does_nothing_until_it_leads_again(fresh_dsn: str) -> None:
    job = Counted()
    async with open_database(fresh_dsn, size=2) as database, open_database(fresh_dsn, size=2) as rival:
        scheduler = Scheduler(database, SystemClock(), (Job("job", 0.001, job),), tick_s=0.01)
        running = asyncio.create_task(scheduler.run())
        await eventually(lambda: job.times)
        async with rival.connection() as connection:
            await connection.fetchval(
                "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted"
            )
            # Waits like any other: the rival leads as soon as the server lets go of the dead leader's lock.
            await connection.fetchval("SELECT pg_advisory_lock($1)", LOCK)
            await eventually(lambda: not scheduler.statistics.leads)
            times = job.times
            for _ in range(20):
                await connection.fetchval("SELECT pg_sleep(0.005)")
            assert job.times == times
        await eventually(lambda: job.times > times)
        scheduler.stop()
        async with asyncio.timeout(WAIT_S):
            await running
