"""Following the log, by the example of the numbers of each day."""

import uuid
from collections.abc import Sequence
from datetime import date, timedelta

import pytest

from persistence.database import Database
from persistence.following import Run
from persistence.outbox_days import OutboxDays
from persistence.stores import Stores
from services.kernel.clock import ManualClock, utc
from services.kernel.facts import ClassEnded, Envelope, WorkoutFinished, WorkoutSummarised
from services.kernel.ids import AccountId, ClassId, WorkoutId
from tests.support.fact_logs import CLOCK, IDS, LogBench, TakesAll, running
from tests.support.task_buses import eventually
from tests.support.world import World
from workers.activity import NAME, CountActivity
from workers.fact_log import CLASSES, TRAINING, Family
from workers.following import LEASE, Follower, Take
from workers.postgres_log import PostgresLog
from workers.relay import Relay

DAY_S = 24 * 3_600


@pytest.fixture
def bench(fact_log_bench: LogBench) -> LogBench:
    """Each log in turn, empty."""
    return fact_log_bench


def following(bench: LogBench, family: Family = TRAINING, take: Take | None = None) -> Follower:
    """A follower as one process has it."""
    take = take or CountActivity(CLOCK)
    return Follower(NAME, family, take, bench.log, bench.transactions, CLOCK, IDS.next(), idle_s=0.05)


async def tell(bench: LogBench, count: int = 1) -> None:
    """Facts about training."""
    for _ in range(count):
        about = IDS.next()
        await bench.tell((WorkoutFinished(WorkoutId(about), AccountId(IDS.next())), about))


async def counted(bench: LogBench) -> dict[str, int]:
    """What the numbers of all days say, by type."""
    async with bench.transactions() as stores:
        found = await stores.activity.since(date.min)
    return {kind: sum(each.n for each in found if each.type == kind) for kind in {each.type for each in found}}


async def test_facts_are_counted_by_type_and_go_on_being_counted(bench: LogBench) -> None:
    about = IDS.next()
    finished = WorkoutFinished(WorkoutId(about), AccountId(about))
    await bench.tell(
        (finished, about), (finished, about), (WorkoutSummarised(WorkoutId(about), AccountId(about)), about)
    )
    await bench.tell((ClassEnded(ClassId(about)), about))
    training, classes = following(bench), following(bench, CLASSES)
    async with running(training, classes):
        await eventually(lambda: (training.statistics.taken, classes.statistics.taken) == (3, 1))
        assert await counted(bench) == {"workout.finished": 2, "workout.summarised": 1, "class.ended": 1}
        await tell(bench, 5)
        await eventually(lambda: training.statistics.taken == 8)
    assert await counted(bench) == {"workout.finished": 7, "workout.summarised": 1, "class.ended": 1}


async def test_the_next_one_goes_on_where_the_last_one_stopped(bench: LogBench) -> None:
    await tell(bench, 3)
    first, second = following(bench), following(bench)
    async with running(first):
        await eventually(lambda: first.statistics.taken == 3)
    await tell(bench, 2)
    async with running(second):
        await eventually(lambda: second.statistics.taken == 2)
    assert second.statistics.repeated == 0
    assert await counted(bench) == {"workout.finished": 5}


async def test_one_node_follows_at_a_time(bench: LogBench) -> None:
    first, second = following(bench), following(bench)
    async with running(first, second):
        await tell(bench, 20)
        await eventually(lambda: first.statistics.taken + second.statistics.taken == 20)
        assert first.statistics.follows != second.statistics.follows
    assert await counted(bench) == {"workout.finished": 20}


async def test_a_page_that_fails_is_not_counted_and_then_counted_once(bench: LogBench) -> None:
    count, failures = CountActivity(CLOCK), iter([True])

    async def take(stores: Stores, run: Run, envelopes: Sequence[Envelope]) -> int:
        new = await count(stores, run, envelopes)
        if next(failures, False):
            raise ValueError("in the last moment")
        return new

    follower = following(bench, take=take)
    await tell(bench, 3)
    async with running(follower):
        await eventually(lambda: follower.statistics.taken == 3)
    assert await counted(bench) == {"workout.finished": 3}


async def test_whoever_was_overtaken_counts_nothing(bench: LogBench) -> None:
    """It believes to follow still: another one has claimed the row and gone on meanwhile."""
    follower, other = following(bench), IDS.next()
    async with running(follower):
        await tell(bench, 1)
        await eventually(lambda: follower.statistics.taken == 1)
        async with bench.database.tx() as tx:
            await tx.execute(
                "UPDATE followers SET holder = $2, held_until = now() + interval '1 h' WHERE name = $1", NAME, other
            )
        await eventually(lambda: not follower.statistics.follows)
        await tell(bench, 3)
        assert await counted(bench) == {"workout.finished": 1}
        async with bench.database.tx() as tx:
            await tx.execute("UPDATE followers SET held_until = now() - interval '1 s' WHERE name = $1", NAME)
        await eventually(lambda: follower.statistics.taken == 4)
    assert await counted(bench) == {"workout.finished": 4}


async def test_a_lost_log_is_told_and_followed_anew(bench: LogBench) -> None:
    first, second = following(bench), following(bench)
    await tell(bench, 3)
    async with running(first):
        await eventually(lambda: first.statistics.taken == 3)
    await bench.begin_anew()
    await tell(bench, 2)
    async with running(second):
        await eventually(lambda: second.statistics.taken == 2)
    assert second.statistics.lost == 1
    # The day the new log begins on stays as it was: nobody knows how much of it is missing there.
    assert await counted(bench) == {"workout.finished": 3}


async def test_a_fact_that_comes_twice_counts_once(bench: LogBench) -> None:
    count = CountActivity(CLOCK)

    async def twice(stores: Stores, run: Run, envelopes: Sequence[Envelope]) -> int:
        new = await count(stores, run, [*envelopes, *envelopes])
        return new + await count(stores, run, envelopes)

    follower = following(bench, take=twice)
    await tell(bench, 4)
    async with running(follower):
        await eventually(lambda: follower.statistics.taken == 4)
    assert await counted(bench) == {"workout.finished": 4}


# -- over days, on the outbox ------------------------------------------------------------------------------------


class Days:
    """A world that tells facts day by day and counts them when asked to."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.clock: ManualClock = world.clock
        self.begin = utc(world.clock.wall_ms()).date()

    async def tell(self, *counts: int) -> None:
        """So many facts on each day, from today on."""
        relay = Relay(self.world.transactions, TakesAll(), self.clock)
        for count in counts:
            async with self.world.transactions() as stores:
                await OutboxDays(stores.tx).make([utc(self.clock.wall_ms()).date()])
                for _ in range(count):
                    about = self.world.ids.next()
                    await stores.outbox.add(ClassEnded(ClassId(about)), about)
            while await relay.relay():
                pass
            await self.clock.advance(DAY_S)

    async def follow(self, taken: int) -> Follower:
        """Follow until so many facts are taken in."""
        log = PostgresLog(self.world.database, self.clock)
        count = CountActivity(self.clock)
        follower = Follower(NAME, CLASSES, count, log, self.world.transactions, self.clock, uuid.uuid4())
        async with running(follower):
            await eventually(lambda: follower.statistics.taken == taken)
        return follower

    async def counted(self) -> list[int]:
        """The number of each day, from the first on."""
        async with self.world.transactions() as stores:
            found = {each.day: each.n for each in await stores.activity.since(date.min)}
        return [found.get(self.begin + timedelta(days=n), 0) for n in range((max(found) - self.begin).days + 1)]


@pytest.fixture
def days(database: Database) -> Days:
    """Days in which nothing has happened yet."""
    return Days(World(database))


async def begin_anew(days: Days) -> None:
    async with days.world.transactions() as stores:
        assert await stores.followers.begin_anew(NAME) == 1


async def test_each_day_has_its_number(days: Days) -> None:
    await days.tell(3, 1, 2)
    await days.follow(6)
    assert await days.counted() == [3, 1, 2]


async def test_numbers_that_are_wrong_can_be_made_again(days: Days) -> None:
    await days.tell(3, 1, 2)
    await days.follow(6)
    async with days.world.database.tx() as tx:
        await tx.execute("UPDATE activity_days SET n = 77")
    await begin_anew(days)
    await days.tell(5)
    await days.follow(11)
    # The first day is not known to be whole in the log, so it is left as it is.
    assert await days.counted() == [77, 1, 2, 5]


async def test_days_that_the_log_has_forgotten_keep_their_numbers(days: Days) -> None:
    await days.tell(3, 1, 2)
    await days.follow(6)
    async with days.world.transactions() as stores:
        assert len(await OutboxDays(stores.tx).drop(days.begin + timedelta(days=1))) == 1
    await begin_anew(days)
    await days.follow(3)
    assert await days.counted() == [3, 1, 2]


async def test_a_follower_that_was_away_for_too_long_says_so_and_counts_what_is_left(days: Days) -> None:
    await days.tell(3)
    await days.follow(3)
    await days.tell(1, 2, 4)
    async with days.world.transactions() as stores:
        await OutboxDays(stores.tx).drop(days.begin + timedelta(days=2))
    follower = await days.follow(6)
    assert follower.statistics.lost == 1
    # Of the second day nothing was counted in time, of the third nobody knows whether it is whole.
    assert await days.counted() == [3, 0, 0, 4]


async def test_a_follower_that_is_silent_is_replaced_after_its_lease(days: Days) -> None:
    now = utc(days.clock.wall_ms())
    async with days.world.transactions() as stores:
        assert await stores.followers.claim(NAME, CLASSES.name, uuid.uuid4(), now, now + LEASE)
    await days.clock.advance(LEASE.total_seconds() - 1)
    now = utc(days.clock.wall_ms())
    async with days.world.transactions() as stores:
        assert await stores.followers.claim(NAME, CLASSES.name, uuid.uuid4(), now, now + LEASE) is None
    await days.clock.advance(2)
    await days.tell(2)
    await days.follow(2)
