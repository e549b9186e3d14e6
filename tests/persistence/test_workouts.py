"""Workouts and their samples on a real Postgres."""

import itertools
import random

import pytest

from persistence.database import Database
from services.kernel.clock import utc
from services.kernel.ids import StreamId, WorkoutId
from services.training.sample import Sample
from services.training.summary import summarise
from tests.support.world import BODY, World, steady


@pytest.fixture
def world(database: Database) -> World:
    """An empty world."""
    return World(database)


async def test_a_workout_keeps_the_body_it_is_judged_by(world: World) -> None:
    ada = await world.account()
    workout_id, _ = await world.workout(ada)
    async with world.transactions() as stores:
        found = await stores.workouts.by_id(workout_id)
        assert await stores.workouts.physiology(workout_id) == BODY
        with pytest.raises(LookupError):
            await stores.workouts.physiology(WorkoutId(world.ids.next()))
    assert found is not None
    assert (found.account_id, found.class_id, found.sport) == (ada.account_id, None, "run")
    assert (found.physiology, found.created_at_ms) == (BODY, world.clock.wall_ms())
    assert (found.finished_at_ms, found.revision, found.summary) == (None, 0, None)


async def test_a_workout_is_finished_at_its_first_finish(world: World) -> None:
    workout_id, _ = await world.workout(await world.account())
    first_ms = world.clock.wall_ms()
    async with world.transactions() as stores:
        await stores.workouts.finish(workout_id, utc(first_ms))
        await stores.workouts.finish(workout_id, utc(first_ms + 1_000))
        found = await stores.workouts.lock(workout_id)
    assert found is not None
    assert found.finished_at_ms == first_ms


async def test_each_summary_stored_raises_the_revision(world: World) -> None:
    workout_id, _ = await world.workout(await world.account())
    first, second = summarise(steady(60), BODY), summarise(steady(120), BODY)
    async with world.transactions() as stores:
        assert await stores.workouts.store_summary(workout_id, first) == 1
        assert await stores.workouts.store_summary(workout_id, second) == 2
        found = await stores.workouts.by_id(workout_id)
        with pytest.raises(LookupError):
            await stores.workouts.store_summary(WorkoutId(world.ids.next()), first)
    assert found is not None
    assert (found.revision, found.summary) == (2, second)


async def test_somebodys_workouts_come_newest_first_in_pages(world: World) -> None:
    ada, bob = await world.account("Ada"), await world.account("Bob")
    made = []
    for number in range(5):
        made.append((await world.workout(ada))[0])
        await world.workout(bob)
        if number != 2:  # two of them within the same ms
            await world.clock.advance(1)
    async with world.transactions() as stores:
        first = await stores.workouts.of_account(ada.account_id, before=None, limit=2)
        second = await stores.workouts.of_account(ada.account_id, before=first[-1].id, limit=2)
        third = await stores.workouts.of_account(ada.account_id, before=second[-1].id, limit=2)
        strange = await stores.workouts.of_account(bob.account_id, before=first[-1].id, limit=2)
    assert [workout.id for workout in (*first, *second, *third)] == made[::-1]
    assert strange == []


async def test_samples_read_in_any_pages_are_those_that_were_written(world: World) -> None:
    random.seed(7)
    samples = [Sample(t * 1000, random.choice([None, 90, 150]), (400,) * (t % 3)) for t in range(60)]
    cuts = [0, 1, 2, 12, 13, 40, 60]
    batches = [samples[start:end] for start, end in itertools.pairwise(cuts)]
    workout_id, _ = await world.workout(await world.account(), *batches)
    async with world.transactions() as stores:
        for limit in (1, 7, 10, 60, 1_000):
            read: list[Sample] = []
            while page := await stores.workouts.samples(workout_id, len(read), limit):
                assert len(page) <= limit
                read += page
            assert read == samples
        for start in range(61):
            assert await stores.workouts.samples(workout_id, start, 5) == samples[start : start + 5]
        assert await stores.workouts.samples(workout_id, 1_000, 5) == []
        assert await stores.workouts.samples(WorkoutId(world.ids.next()), 0, 5) == []


async def test_the_samples_of_two_streams_follow_each_other_in_the_order_they_were_opened(world: World) -> None:
    ada = await world.account()
    workout_id, _ = await world.workout(ada, steady(4, 100), steady(3, 110, start=4))
    second = StreamId(world.ids.next())
    async with world.transactions() as stores:
        await world.stream(stores, workout_id, second, ada, later_s=60)
    await world.write(second, 0, steady(5, 120))
    expected = [*steady(4, 100), *steady(3, 110, start=4), *steady(5, 120)]
    async with world.transactions() as stores:
        assert await stores.workouts.samples(workout_id, 0, 100) == expected
        for start in range(13):
            assert await stores.workouts.samples(workout_id, start, 4) == expected[start : start + 4]


async def test_a_page_deep_in_a_long_workout_reads_only_its_own_batches(world: World) -> None:
    workout_id, stream_id = await world.workout(await world.account())
    async with world.database.tx() as tx:
        await tx.execute(
            """
            INSERT INTO sample_batches (stream_id, first_seq, received_at, t, bpm, rr, rr_n)
            SELECT $1, n, now(), array[n * 1000], array[120::smallint], '{}', array[0::smallint]
            FROM generate_series(0, 19999) AS n
            """,
            stream_id,
        )
        await tx.execute("UPDATE streams SET next_seq = 20000 WHERE id = $1", stream_id)
        await tx.execute("ANALYZE sample_batches")
    async with world.transactions() as stores:
        found = await stores.workouts.samples(workout_id, 15_000, 10)
        assert [sample.t for sample in found] == [n * 1000 for n in range(15_000, 15_010)]
        before = await stores.tx.fetchval(
            "SELECT idx_tup_fetch + seq_tup_read FROM pg_stat_xact_user_tables WHERE relname = 'sample_batches'"
        )
        await stores.workouts.samples(workout_id, 15_000, 10)
        after = await stores.tx.fetchval(
            "SELECT idx_tup_fetch + seq_tup_read FROM pg_stat_xact_user_tables WHERE relname = 'sample_batches'"
        )
    assert after - before <= 20
