"""What happens by the clock. Time is jumped, the database is real. Who does it: test_leading.py."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final
from uuid import UUID

import pytest
from structlog.testing import capture_logs

from persistence.database import Database
from persistence.inbox import Inbox
from persistence.leadership import Deposed, Leadership
from persistence.stores import Stores
from persistence.ticks import LEADERSHIP
from persistence.upkeep import Upkeep
from services.audit.entry import operator
from services.kernel.clock import utc
from services.kernel.facts import ClassEnded, WorkoutFinished
from services.kernel.ids import ClassId, FactId, StreamId, WorkoutId
from services.kernel.problems import NotFound
from services.schedule.jobs import Jobs as Window
from services.schedule.jobs import JobView, Tick
from services.schedule.timetable import Cron, Every
from tests.support.audited import no_audit
from tests.support.task_buses import WAIT_S
from tests.support.world import World, steady
from workers.exporting import Exports
from workers.jobs import BITE, Jobs, jobs
from workers.outbox_upkeep import KEEP_DAYS, OutboxUpkeep
from workers.schedule import (
    LONGEST_REST_S,
    MOST_FAILURES,
    RETRY_S,
    SUSPECT_AFTER,
    Job,
    Scheduler,
    _Plan,
    rest_of,
)

MINUTES, HOURS, DAYS = 60, 3_600, 86_400
NOW: Final = Tick("test", 0)
LEASE: Final = timedelta(days=1_000)


@pytest.fixture
def world(database: Database) -> World:
    """An empty world."""
    return World(database)


@pytest.fixture
def upkeep(world: World) -> Jobs:
    """The jobs."""
    return Jobs(world.clock, OutboxUpkeep(world.clock))


async def bite(world: World, work: Callable[[Stores, Tick], Awaitable[int]]) -> int:
    """One bite of a job, in a transaction of its own."""
    async with world.transactions() as stores:
        return await work(stores, NOW)


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
    assert await bite(world, upkeep.finish_abandoned_streams) == 0
    assert await finished(world, workout_id, stream_id) == (False, False)
    await world.clock.advance(2 * MINUTES)
    assert await bite(world, upkeep.finish_abandoned_streams) == 1
    assert await finished(world, workout_id, stream_id) == (True, True)
    assert await bite(world, upkeep.finish_abandoned_streams) == 0
    assert await world.told() == [WorkoutFinished(workout_id=workout_id, account_id=ada.account_id)]


async def test_a_stream_that_goes_on_is_left_alone(world: World, upkeep: Jobs) -> None:
    workout_id, stream_id = await world.workout(await world.account(), steady(5))
    await world.clock.advance(29 * MINUTES)
    await world.write(stream_id, 5, steady(5, start=1_740))
    await world.clock.advance(2 * MINUTES)
    assert await bite(world, upkeep.finish_abandoned_streams) == 0
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
    assert await bite(world, upkeep.finish_abandoned_streams) == 0
    await world.clock.advance(20)
    assert await bite(world, upkeep.finish_abandoned_streams) == 1
    assert await finished(world, *abandoned) == (True, True)
    assert await finished(world, *training) == await finished(world, *alone) == (False, False)


async def test_a_class_that_nobody_ended_is_over_after_half_a_day(world: World, upkeep: Jobs) -> None:
    coach = await world.account("Cleo", "coach")
    forgotten = await world.live_class(coach)
    await world.clock.advance(6 * HOURS)
    young = await world.live_class(coach)
    await world.clock.advance(7 * HOURS)
    assert await bite(world, upkeep.end_forgotten_classes) == 1
    assert await bite(world, upkeep.end_forgotten_classes) == 0
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
    assert await bite(world, upkeep.prune_inbox) == 1
    assert await bite(world, upkeep.prune_inbox) == 0


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
    assert await bite(world, upkeep.prune_refresh_tokens) == 1
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
            assert await bite(world, upkeep.finish_abandoned_streams) == 0
    assert [each.stream_id for each in taken] == [stream_id]
    assert await finished(world, workout_id, stream_id) == (True, True)
    assert await bite(world, upkeep.finish_abandoned_streams) == 0
    assert await world.told() == []


# -- the table ----------------------------------------------------------------------------------------------------


class Counted:
    """A job that counts how often it was begun and for which due times; `amounts` is how much it finds each time."""

    def __init__(self, *amounts: int) -> None:
        self.times = 0
        self.dues: list[datetime] = []
        self._amounts = list(amounts)

    async def __call__(self, _: Stores, tick: Tick) -> int:
        self.times += 1
        self.dues.append(tick.due)
        return self._amounts.pop(0) if self._amounts else 0


async def led(world: World) -> int:
    """The epoch of a new leader."""
    async with world.transactions() as stores:
        leadership = Leadership(stores.tx, LEADERSHIP)
        if (leader := await leadership.leader()) is not None:
            await leadership.give_up(leader.epoch)
        epoch = await leadership.take("test", LEASE)
    assert epoch is not None
    return epoch


async def seen(world: World, job: str) -> JobView:
    """A job as operators see it."""
    (found,) = [each for each in (await Window(world.transactions, world.clock).now()).jobs if each.job == job]
    return found


def at(*wall: int) -> datetime:
    return datetime(*wall, tzinfo=UTC)  # type: ignore[arg-type,misc]


async def until(world: World, instant: datetime) -> None:
    """Let time pass until an instant."""
    await world.clock.advance(instant.timestamp() - world.clock.wall_ms() / 1_000)


async def test_each_job_is_done_at_its_own_pace(world: World) -> None:
    often, seldom = Counted(), Counted()
    scheduler = Scheduler(
        world.transactions, world.clock, (Job("often", Every(10), often), Job("seldom", Every(60), seldom))
    )
    epoch = await led(world)
    for _ in range(13):
        await scheduler.tick(epoch)
        await world.clock.advance(5)
    assert (often.times, seldom.times) == (7, 2)
    assert scheduler.statistics.ticks == {"often": 7, "seldom": 2}


async def test_a_job_that_found_a_full_bite_is_done_again_at_once(world: World) -> None:
    job = Counted(BITE, BITE, 3)
    scheduler = Scheduler(world.transactions, world.clock, (Job("prune", Every(60), job),))
    await scheduler.tick(await led(world))
    assert job.times == 4
    assert len(set(job.dues)) == 1
    assert scheduler.statistics.done == {"prune": 2 * BITE + 3}
    last = (await seen(world, "prune")).last
    assert last is not None
    assert (last.did, last.failures, last.problem) == (2 * BITE + 3, 0, None)
    assert last.ended_ms is not None


async def test_missed_times_are_made_up_for_once(world: World) -> None:
    job = Counted()
    scheduler = Scheduler(world.transactions, world.clock, (Job("prune", Every(60), job),))
    epoch = await led(world)
    await scheduler.tick(epoch)
    await world.clock.advance(3 * DAYS)
    await scheduler.tick(epoch)
    await scheduler.tick(epoch)
    assert job.times == 2


async def test_by_the_wall_clock_of_a_place_also_where_it_turns(world: World) -> None:
    job = Counted()
    nightly = Job("nightly", Cron("30 2 * * *", "Europe/Vienna"), job)
    scheduler = Scheduler(world.transactions, world.clock, (nightly,))
    epoch = await led(world)
    await until(world, at(2026, 10, 23, 12))
    await scheduler.tick(epoch)
    assert job.dues == []
    for hour in range(3 * 24):
        await until(world, at(2026, 10, 23, 12) + timedelta(hours=hour, minutes=31))
        await scheduler.tick(epoch)
    assert job.dues == [at(2026, 10, 24, 0, 30), at(2026, 10, 25, 0, 30), at(2026, 10, 26, 1, 30)]


@pytest.mark.parametrize(("missed", "made_up"), [("once", [4]), ("each", [2, 3, 4]), ("skip", [])])
async def test_what_was_missed_while_nobody_led_is_treated_as_the_job_says(
    world: World, missed: str, made_up: list[int]
) -> None:
    job = Counted()
    daily = Job("daily", Cron("0 4 * * *", "UTC"), job, missed=missed)  # type: ignore[arg-type]
    await until(world, at(2026, 12, 1, 3))
    scheduler = Scheduler(world.transactions, world.clock, (daily,))
    await scheduler.tick(await led(world))
    await until(world, at(2026, 12, 1, 4, 0, 1))
    await scheduler.tick(await led(world))
    assert job.dues == [at(2026, 12, 1, 4)]
    await until(world, at(2026, 12, 4, 12))
    follower = Scheduler(world.transactions, world.clock, (daily,))
    await follower.tick(await led(world))
    assert job.dues[1:] == [at(2026, 12, day, 4) for day in made_up]
    await until(world, at(2026, 12, 5, 4, 0, 1))
    await follower.tick(await led(world))
    assert job.dues[-1] == at(2026, 12, 5, 4)


async def test_a_job_with_new_times_begins_anew(world: World) -> None:
    job = Counted()
    await until(world, at(2026, 12, 1, 12))
    await Scheduler(world.transactions, world.clock, (Job("daily", Cron("0 4 * * *", "UTC"), job),)).tick(
        await led(world)
    )
    await until(world, at(2026, 12, 3, 12))
    changed = Scheduler(world.transactions, world.clock, (Job("daily", Cron("0 5 * * *", "UTC"), job),))
    await changed.tick(await led(world))
    assert job.dues == []
    await until(world, at(2026, 12, 4, 6))
    await changed.tick(await led(world))
    assert job.dues == [at(2026, 12, 4, 5)]


class Stumbling:
    """A job that writes something and fails, the first `times`."""

    def __init__(self, times: int) -> None:
        self.left = times
        self.begun = 0
        self.stayed: list[bool] = []

    async def __call__(self, stores: Stores, tick: Tick) -> int:
        self.begun += 1
        self.stayed.append(not await stores.inbox.first_time("stumbling", FactId(UUID(int=0)), tick.due))
        if self.left:
            self.left -= 1
            raise ZeroDivisionError("the divisor was 0")
        return 0


async def test_a_job_that_fails_stops_no_other_and_leaves_nothing_and_is_tried_again(world: World) -> None:
    fails, other = Stumbling(1), Counted()
    table = (Job("fails", Every(3_600), fails), Job("other", Every(3_600), other))
    scheduler = Scheduler(world.transactions, world.clock, table)
    await scheduler.tick(await led(world))
    assert (fails.begun, other.times) == (1, 1)
    assert scheduler.statistics.failures == {"fails": 1}
    failed = await seen(world, "fails")
    assert failed.last is not None
    assert (failed.failures, failed.last.ended_ms) == (1, None)
    assert failed.last.problem == "ZeroDivisionError: the divisor was 0"
    await scheduler.tick(await led(world))
    again = (await seen(world, "fails")).last
    assert again is not None
    assert (again.due_ms, again.problem) == (failed.last.due_ms, None)
    assert again.ended_ms is not None
    assert (fails.begun, other.times) == (2, 1)
    assert fails.stayed == [False, False]


async def test_a_tick_that_always_fails_is_given_up_until_the_job_is_due_again(world: World) -> None:
    fails = Stumbling(10**6)
    scheduler = Scheduler(world.transactions, world.clock, (Job("fails", Every(3_600), fails),))
    for _ in range(MOST_FAILURES + 3):
        await scheduler.tick(await led(world))
    assert fails.begun == MOST_FAILURES
    await world.clock.advance(3_600)
    await scheduler.tick(await led(world))
    assert fails.begun == MOST_FAILURES + 1


class Deadly:
    """A job that takes its process along while `kills`: nothing is written down any more."""

    def __init__(self) -> None:
        self.begun = 0
        self.kills = True

    async def __call__(self, _: Stores, tick: Tick) -> int:
        self.begun += 1
        if self.kills:
            raise asyncio.CancelledError
        return 0


async def test_a_job_that_kills_its_process_rests_and_the_others_are_done(world: World) -> None:
    deadly, other = Deadly(), Counted()
    table = (Job("deadly", Every(15), deadly), Job("other", Every(15), other))
    for _ in range(SUSPECT_AFTER):
        await Scheduler(world.transactions, world.clock, table).tick(await led(world))
    assert deadly.begun == SUSPECT_AFTER
    with capture_logs() as logs:
        for times in (2, 3):
            await world.clock.advance(15)
            await Scheduler(world.transactions, world.clock, table).tick(await led(world))
            assert (deadly.begun, other.times) == (SUSPECT_AFTER, times)
    said = [line for line in logs if line["event"] == "schedule.job_never_came_back"]
    assert [(line["job"], line["begun"], line["log_level"]) for line in said] == [
        ("deadly", SUSPECT_AFTER, "error")
    ] * 2


async def test_a_job_that_comes_back_after_all_is_one_like_any_other(world: World) -> None:
    deadly = Deadly()
    table = (Job("deadly", Every(15), deadly),)
    for _ in range(SUSPECT_AFTER):
        await Scheduler(world.transactions, world.clock, table).tick(await led(world))
    deadly.kills = False
    await Window(world.transactions, world.clock).ask("deadly", operator(None))
    await Scheduler(world.transactions, world.clock, table).tick(await led(world))
    assert deadly.begun == SUSPECT_AFTER + 1, "somebody asked for it: it does not rest for them"
    await world.clock.advance(15)
    await Scheduler(world.transactions, world.clock, table).tick(await led(world))
    assert deadly.begun == SUSPECT_AFTER + 2


def test_what_never_comes_back_is_begun_again_later_and_later_and_never_given_up() -> None:
    rests = [rest_of(begun) for begun in range(SUSPECT_AFTER, 40)]
    assert rests[:3] == [RETRY_S, 2 * RETRY_S, 4 * RETRY_S]
    assert rests == sorted(rests)
    assert rests[-1] == LONGEST_REST_S
    plan = _Plan(Job("deadly", Every(15), Counted()), 0, 0, 0.0, again_at=0.0, rests_until=rests[0])
    assert not plan.is_due(0, rests[0] - 0.1)
    assert plan.is_due(0, rests[0])


class Held:
    """A job of four bites of ten, held up in the one that begins at `held`."""

    def __init__(self, held: int) -> None:
        self.did: list[int] = []
        self.reached, self.go_on = asyncio.Event(), asyncio.Event()
        self._held = held

    async def __call__(self, stores: Stores, tick: Tick) -> int:
        self.did.append(tick.did)
        await stores.inbox.first_time("held", FactId(UUID(int=tick.did)), tick.due)
        if tick.did == self._held:
            self.reached.set()
            await self.go_on.wait()
        return 10 if tick.did < 40 else 0


async def test_what_a_leader_left_open_the_next_one_goes_on_with(world: World) -> None:
    job = Held(20)
    scheduler = Scheduler(world.transactions, world.clock, (Job("long", Every(3_600), job),))
    working = asyncio.create_task(scheduler.tick(await led(world)))
    await job.reached.wait()
    working.cancel()  # as if its process were killed
    await asyncio.gather(working, return_exceptions=True)
    job.go_on.set()
    await Scheduler(world.transactions, world.clock, (Job("long", Every(3_600), job),)).tick(await led(world))
    assert job.did == [0, 10, 20, 20, 30, 40]
    last = (await seen(world, "long")).last
    assert last is not None
    assert (last.did, last.ended_ms) == (40, world.clock.wall_ms())


async def test_the_next_leader_waits_for_the_bite_at_hand_and_lets_no_other_through(world: World) -> None:
    job = Held(10)
    scheduler = Scheduler(world.transactions, world.clock, (Job("long", Every(3_600), job),))
    working = asyncio.create_task(scheduler.tick(await led(world)))
    await job.reached.wait()
    replacing = asyncio.create_task(led(world))
    async with world.transactions() as stores:
        while not await stores.tx.fetchval("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)"):
            await asyncio.sleep(0)
    assert not replacing.done()
    job.go_on.set()
    async with asyncio.timeout(WAIT_S):
        await replacing
        with pytest.raises(Deposed):
            await working
    assert job.did[:2] == [0, 10]
    async with world.transactions() as stores:
        kept = await stores.tx.fetchval("SELECT count(*) FROM inbox WHERE consumer = 'held'")
    assert kept == len(job.did), "every bite that was begun before stays, and none was begun after"


async def test_a_leader_that_was_replaced_takes_nothing_and_tells_nothing(world: World) -> None:
    job = Counted()
    scheduler = Scheduler(world.transactions, world.clock, (Job("often", Every(10), job),))
    old = await led(world)
    async with world.transactions() as stores:
        await stores.schedule.once(ClassEnded(class_id=ClassId(UUID(int=1))), UUID(int=1), at_ms=0, key="a")
    await led(world)
    with pytest.raises(Deposed):
        await scheduler.tick(old)
    assert job.times == 0
    assert await world.told() == []


async def test_a_job_that_somebody_asks_for_is_done_at_once_and_comes_again_at_its_time(world: World) -> None:
    job = Counted()
    await until(world, at(2026, 12, 1, 12))
    scheduler = Scheduler(world.transactions, world.clock, (Job("daily", Cron("0 4 * * *", "UTC"), job),))
    epoch = await led(world)
    await scheduler.tick(epoch)
    window = Window(world.transactions, world.clock)
    await window.ask("daily", operator(None))
    assert (await seen(world, "daily")).asked
    await scheduler.tick(epoch)
    assert job.dues == [at(2026, 12, 1, 12)]
    view = await seen(world, "daily")
    assert (view.asked, view.next_due_ms) == (False, round(at(2026, 12, 2, 4).timestamp() * 1_000))
    await until(world, at(2026, 12, 2, 4, 1))
    await scheduler.tick(epoch)
    assert job.dues[1:] == [at(2026, 12, 2, 4)]
    with pytest.raises(NotFound, match="paceline schedule"):
        await window.ask("weekly", operator(None))


async def test_the_newest_tick_of_each_job_is_remembered(world: World, upkeep: Jobs) -> None:
    scheduler = Scheduler(
        world.transactions, world.clock, (Job("often", Every(10), Counted()), Job("seldom", Every(9 * DAYS), Counted()))
    )
    epoch = await led(world)
    for _ in range(3):
        await scheduler.tick(epoch)
        await world.clock.advance(10)
    await world.clock.advance(4 * DAYS)
    assert await bite(world, upkeep.prune_ticks) == 2
    assert await bite(world, upkeep.prune_ticks) == 0
    assert (await seen(world, "often")).last is not None
    assert (await seen(world, "seldom")).last is not None


def test_every_job_has_a_name_of_its_own(world: World) -> None:
    table = jobs(world.clock, world.ids, OutboxUpkeep(world.clock), Exports(Path()), no_audit(world))
    assert len({job.name for job in table}) == len(table) >= 5
    with pytest.raises(ValueError, match="give it `once`"):
        Job("skipping", Every(5), Counted(), missed="skip")
