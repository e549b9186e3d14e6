"""Workouts as their owner sees them, and the making of a summary, on the real stores."""

import asyncio
from datetime import UTC, datetime

import pytest

from persistence.database import Database
from persistence.stores import Stores
from services.classes.ranking import weight
from services.kernel.caller import Caller
from services.kernel.facts import WorkoutSummarised
from services.kernel.ids import ClassId, LoginId, WorkoutId
from services.kernel.problems import Forbidden, GhostNotReady, NotFound
from services.training import workouts
from services.training.sample import Sample
from services.training.summary import summarise
from services.training.workouts import Workouts
from tests.support.world import BODY, World, steady


@pytest.fixture
def world(database: Database) -> World:
    """An empty world."""
    return World(database)


@pytest.fixture
def cases(world: World) -> Workouts:
    """The use cases."""
    return Workouts(world.transactions)


async def test_an_owner_sees_the_workout_with_its_summary_once_it_is_made(world: World, cases: Workouts) -> None:
    ada = await world.account()
    workout_id, _ = await world.workout(ada, steady(60, 150))
    before = await cases.by_id(ada, workout_id)
    async with world.transactions() as stores:
        await stores.workouts.finish(workout_id, datetime(2026, 9, 21, tzinfo=UTC))
        await workouts.summarise(stores, workout_id)
    after = await cases.by_id(ada, workout_id)
    assert (before.finished_at_ms, before.revision, before.summary) == (None, 0, None)
    assert after.finished_at_ms is not None
    assert (after.id, after.revision) == (workout_id, 1)
    assert after.summary == summarise(steady(60, 150), BODY)


async def test_for_anybody_else_a_workout_does_not_exist(world: World, cases: Workouts) -> None:
    ada, coach = await world.account("Ada"), await world.account("Cleo", "member", "coach")
    workout_id, _ = await world.workout(ada, steady(3))
    for workout in (workout_id, WorkoutId(world.ids.next())):
        with pytest.raises(NotFound):
            await cases.by_id(coach, workout)
        with pytest.raises(NotFound):
            await cases.samples(coach, workout)
    assert await cases.of_account(coach) == ()


async def test_a_display_has_no_workouts(world: World, cases: Workouts) -> None:
    ada = await world.account()
    workout_id, _ = await world.workout(ada)
    display = Caller(
        ada.account_id, LoginId(world.ids.next()), "", frozenset({"display"}), 0, ClassId(world.ids.next())
    )
    with pytest.raises(Forbidden):
        await cases.of_account(display)
    with pytest.raises(Forbidden):
        await cases.by_id(display, workout_id)


async def test_own_workouts_come_in_pages_newest_first(world: World, cases: Workouts) -> None:
    ada = await world.account()
    made = [(await world.workout(ada))[0] for _ in range(3)]
    first = await cases.of_account(ada, None, 2)
    rest = await cases.of_account(ada, first[-1].id, 2)
    assert [view.id for view in (*first, *rest)] == made[::-1]


async def test_samples_come_in_pages(world: World, cases: Workouts) -> None:
    ada = await world.account()
    workout_id, _ = await world.workout(ada, steady(10), steady(5, start=10))
    assert await cases.samples(ada, workout_id, 8, 4) == tuple(steady(4, start=8))
    assert await cases.samples(ada, workout_id, 15, 4) == ()


async def test_a_summary_over_many_pages_is_that_of_all_samples(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workouts, "READ_AT_ONCE", 7)
    samples = [Sample(t * 1000, 100 + t % 80 if t % 11 else None) for t in range(100)]
    ada = await world.account()
    workout_id, _ = await world.workout(ada, samples[:50], samples[50:])
    async with world.transactions() as stores:
        assert await workouts.summarise(stores, workout_id) == 1
        found = await stores.workouts.by_id(workout_id)
    assert found is not None
    assert found.summary == summarise(samples, BODY)
    assert await world.told() == [WorkoutSummarised(workout_id=workout_id, account_id=ada.account_id)]


async def test_only_its_owner_races_a_workout_and_only_once_it_is_summarised(
    world: World, cases: Workouts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workouts, "READ_AT_ONCE", 7)
    ada, coach = await world.account("Ada"), await world.account("Cleo", "member", "coach")
    workout_id, _ = await world.workout(ada, steady(60, 150))
    with pytest.raises(GhostNotReady):
        await cases.ghost(ada, workout_id)
    async with world.transactions() as stores:
        await stores.workouts.finish(workout_id, datetime(2026, 9, 21, tzinfo=UTC))
        await workouts.summarise(stores, workout_id)
    ghost = await cases.ghost(ada, workout_id)
    assert (ghost.revision, ghost.cut, len(ghost.scores)) == (1, False, 60)
    assert ghost.scores[-1] == weight(summarise(steady(60, 150), BODY).ms_in_zone)
    with pytest.raises(NotFound):
        await cases.ghost(coach, workout_id)


async def test_late_samples_make_a_higher_revision(world: World) -> None:
    workout_id, stream_id = await world.workout(await world.account(), steady(60, 120))
    async with world.transactions() as stores:
        await workouts.summarise(stores, workout_id)
    await world.write(stream_id, 60, steady(60, 160, start=60))
    async with world.transactions() as stores:
        assert await workouts.summarise(stores, workout_id) == 2
        found = await stores.workouts.by_id(workout_id)
    assert found is not None
    assert found.summary == summarise([*steady(60, 120), *steady(60, 160, start=60)], BODY)


async def test_of_two_summaries_at_once_the_one_with_more_samples_is_kept(world: World) -> None:
    workout_id, stream_id = await world.workout(await world.account(), steady(60, 120))
    read, others_turn_is_over = asyncio.Event(), asyncio.Event()

    async def early() -> None:
        async with world.transactions() as stores:
            await workouts.summarise(PausesAfterReading(stores, read, others_turn_is_over), workout_id)

    async def late() -> None:
        await read.wait()
        await world.write(stream_id, 60, steady(60, 160, start=60))
        async with world.transactions() as stores:
            await workouts.summarise(stores, workout_id)

    async with asyncio.timeout(20):
        first, second = asyncio.create_task(early()), asyncio.create_task(late())
        while not second.done() and not await somebody_waits_for_a_lock(world):
            await asyncio.sleep(0)
        others_turn_is_over.set()
        await asyncio.gather(first, second)
    async with world.transactions() as stores:
        found = await stores.workouts.by_id(workout_id)
    assert found is not None
    assert found.summary is not None
    assert (found.revision, found.summary.samples) == (2, 120)


class PausesAfterReading:
    """Stores that stop a summary between its last page of samples and its end."""

    def __init__(self, stores: Stores, read: asyncio.Event, go_on: asyncio.Event) -> None:
        self.outbox = stores.outbox
        self.workouts = self
        self.by_id = stores.workouts.by_id
        self.lock = stores.workouts.lock
        self.of_account = stores.workouts.of_account
        self.store_summary = stores.workouts.store_summary
        self._samples = stores.workouts.samples
        self._read = read
        self._go_on = go_on

    async def samples(self, workout_id: WorkoutId, from_seq: int, limit: int) -> list[Sample]:
        page = await self._samples(workout_id, from_seq, limit)
        if not page:
            self._read.set()
            await self._go_on.wait()
        return page


async def somebody_waits_for_a_lock(world: World) -> bool:
    """Whether a statement in this database is held up by another transaction."""
    async with world.database.connection() as connection:
        waits: bool = await connection.fetchval(
            """
            SELECT EXISTS (SELECT FROM pg_stat_activity
                           WHERE datname = current_database() AND wait_event_type = 'Lock')
            """
        )
    return waits


async def test_a_workout_that_is_gone_has_no_summary(world: World) -> None:
    async with world.transactions() as stores:
        assert await workouts.summarise(stores, WorkoutId(world.ids.next())) is None
    assert await world.told() == []


async def test_a_workout_without_a_sample_has_a_summary_that_says_so(world: World) -> None:
    workout_id, _ = await world.workout(await world.account())
    async with world.transactions() as stores:
        await workouts.summarise(stores, workout_id)
        found = await stores.workouts.by_id(workout_id)
    assert found is not None
    assert found.summary == summarise([], BODY)


async def test_others_get_their_turn_while_a_long_summary_is_made(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workouts, "READ_AT_ONCE", 10)
    workout_id, _ = await world.workout(await world.account(), steady(1_000))
    turns = 0

    async def neighbour() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async with world.transactions() as stores:
        other = asyncio.create_task(neighbour())
        await asyncio.sleep(0)
        before = turns
        await workouts.summarise(stores, workout_id)
        other.cancel()
    assert turns - before >= 100
