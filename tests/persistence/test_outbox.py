"""The outbox: the order in which facts leave, and what a look at it costs."""

import asyncio
import uuid
from typing import cast

import pytest

from persistence.database import Database, Tx
from persistence.outbox import COUNTED, SHARDS, Held, Outbox, Span
from persistence.outbox_log import OutboxLog
from persistence.stores import Stores
from services.kernel.clock import utc
from services.kernel.facts import WorkoutFinished, WorkoutSummarised
from services.kernel.ids import AccountId, FactId, WorkoutId
from tests.support.explaining import Explaining
from tests.support.task_buses import WAIT_S
from tests.support.world import World, steady


@pytest.fixture
def world(database: Database) -> World:
    """An empty world."""
    return World(database)


async def tell(stores: Stores, world: World, about: uuid.UUID) -> FactId:
    """A fact about something."""
    return await stores.outbox.add(WorkoutFinished(WorkoutId(about), AccountId(world.ids.next())), about)


async def somebody_waits_for_a_lock(world: World) -> None:
    """Return when some transaction does."""
    async with world.database.connection() as connection:
        while not await connection.fetchval("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)"):
            await asyncio.sleep(0)


async def waiting(world: World) -> list[FactId]:
    """The facts that wait, in the order in which they will leave."""
    async with world.transactions() as stores:
        return [envelope.id for envelope in await stores.outbox.peek(100)]


async def backlog_of(world: World, count: int) -> None:
    """So many facts that wait, about a thousand things."""
    async with world.database.tx() as tx:
        await tx.execute(
            """
            INSERT INTO outbox (id, type, aggregate_id, envelope, created_at)
            SELECT gen_random_uuid(), 'workout.finished', thing, '{}', now() - n * interval '1 ms'
            FROM (SELECT row_number() OVER () AS k, gen_random_uuid() AS thing FROM generate_series(1, 1000)) AS things
            JOIN generate_series(1, $1) AS n ON n % 1000 = k - 1
            """,
            count,
        )


async def test_a_fact_waits_from_the_commit_on_and_says_what_it_is_about(world: World) -> None:
    about = world.ids.next()
    async with world.transactions() as stores:
        told = await tell(stores, world, about)
        assert await waiting(world) == []
    async with world.transactions() as stores:
        (envelope,) = await stores.outbox.peek(100)
    assert (envelope.id, envelope.about, envelope.at_ms) == (told, about, world.clock.wall_ms())


async def test_two_who_lock_first_tell_in_the_order_of_their_commits(world: World) -> None:
    live = await world.live_class(await world.account("Cora", "coach"))
    told: list[FactId] = []
    second_locked = asyncio.Event()

    async def second() -> None:
        async with world.transactions() as stores:
            # It writes first, and draws every number that a transaction draws, but it locks second.
            await tell(stores, world, world.ids.next())
            second_locked.set()
            await stores.classes.lock(live.id)
            told.append(await tell(stores, world, live.id))

    async with asyncio.timeout(WAIT_S), asyncio.TaskGroup() as group, world.transactions() as stores:
        await stores.classes.lock(live.id)
        group.create_task(second())
        await second_locked.wait()
        told.append(await tell(stores, world, live.id))
    about_the_class = [fact for fact in await waiting(world) if fact in told]
    assert about_the_class == told


async def test_whoever_finishes_a_finished_workout_tells_after_the_summary_being_made(world: World) -> None:
    workout_id, _ = await world.workout(await world.account(), steady(3))
    now = utc(world.clock.wall_ms())
    async with world.transactions() as stores:
        await stores.workouts.finish(workout_id, now)

    async def late() -> None:
        async with world.transactions() as stores:
            await stores.workouts.finish(workout_id, now)
            await tell(stores, world, workout_id)

    async with asyncio.timeout(WAIT_S), asyncio.TaskGroup() as group, world.transactions() as stores:
        await stores.workouts.lock(workout_id)
        group.create_task(late())
        await somebody_waits_for_a_lock(world)
        await stores.outbox.add(WorkoutSummarised(workout_id, AccountId(world.ids.next())), workout_id)
    async with world.transactions() as stores:
        kinds = [type(envelope.fact) for envelope in await stores.outbox.peek(10)]
    assert kinds == [WorkoutSummarised, WorkoutFinished]


async def test_what_has_left_gets_the_next_positions_of_its_shard(world: World) -> None:
    about = uuid.UUID(int=7)
    for _ in range(2):
        async with world.transactions() as stores:
            for _ in range(3):
                await tell(stores, world, about)
        async with world.transactions() as stores:
            held = await stores.outbox.hold(-1, SHARDS)
            await stores.outbox.left(held, await stores.outbox.waiting_in(held, 10))
    async with world.database.connection() as connection:
        rows = await connection.fetch("SELECT position, relayed_at FROM outbox ORDER BY seq")
    assert [row["position"] for row in rows] == [1, 2, 3, 4, 5, 6]
    async with world.transactions() as stores:
        await tell(stores, world, about)
        assert await stores.outbox.hold(-1, SHARDS) == [Held(shard=7, position=6)]


async def test_the_shard_the_database_computes_is_the_end_of_the_id(world: World) -> None:
    abouts = [world.ids.next() for _ in range(50)]
    async with world.transactions() as stores:
        for about in abouts:
            await tell(stores, world, about)
        rows = await stores.tx.fetch("SELECT shard FROM outbox ORDER BY seq")
    assert [row["shard"] for row in rows] == [about.int % SHARDS for about in abouts]


async def test_a_look_counts_so_far_and_no_further_and_knows_the_oldest(world: World) -> None:
    async with world.transactions() as stores:
        await tell(stores, world, world.ids.next())
    await world.clock.advance(90)
    async with world.transactions() as stores:
        assert (await stores.outbox.backlog()).waiting == 1
        assert (await stores.outbox.backlog()).oldest_s == 90
    await backlog_of(world, COUNTED + 500)
    async with world.transactions() as stores:
        assert (await stores.outbox.backlog()).waiting == COUNTED


@pytest.mark.parametrize("known", [True, False])
async def test_a_big_backlog_is_never_read_whole(world: World, known: bool) -> None:
    """Whether or not the planner has heard of it."""
    await backlog_of(world, 50_000)
    async with world.transactions() as stores:
        if known:
            await stores.tx.execute("ANALYZE outbox")
        explaining = Explaining(stores.tx)
        outbox = Outbox(cast(Tx, explaining), world.clock, world.ids)
        held = await outbox.hold(-1, 4, [uuid.uuid4()])
        found = await outbox.waiting_in(held, 125, [uuid.uuid4()])
        assert (len(held), len(found)) == (4, 500)
        await outbox.left(held, found)
        assert explaining.most < 1_000, explaining.worst
        await outbox.backlog()
        assert explaining.most <= COUNTED, explaining.worst


async def test_behind_a_place_nothing_is_read_about_things_of_which_something_waits_before_it(world: World) -> None:
    first, second = uuid.UUID(int=1 << 64), uuid.UUID(int=2 << 64)
    async with world.transactions() as stores:
        told = [await tell(stores, world, about) for about in (first, second, first, second, second)]
    async with world.transactions() as stores:
        held = await stores.outbox.hold(-1, 1)
        waiting = await stores.outbox.waiting_in(held, 10)

        async def read(after: int, upto: int = 4) -> list[FactId]:
            span = Span(0, waiting[after].seq, waiting[upto].seq)
            return [told[waiting.index(each)] for each in await stores.outbox.waiting_in(held, 10, spans=[span])]

        assert await read(0) == [told[1], told[3], told[4]]
        assert await read(0, 3) == [told[1], told[3]]
        assert await read(1) == []
        # Of a shard that is read behind the last of its facts nothing is to be held, unless there is an end to come to.
        assert await stores.outbox.hold(-1, 1, spans=[Span(0, waiting[1].seq)]) == []
        assert len(await stores.outbox.hold(-1, 1, spans=[Span(0, waiting[1].seq, waiting[4].seq)])) == 1


@pytest.mark.parametrize("known", [True, False])
async def test_a_place_in_a_big_backlog_costs_what_was_passed_over_and_no_more(world: World, known: bool) -> None:
    await backlog_of(world, 50_000)
    async with world.transactions() as stores:
        if known:
            await stores.tx.execute("ANALYZE outbox")
        passed = {each.shard: 0 for each in await stores.outbox.hold(-1, SHARDS)}
        for fact in await stores.outbox.waiting_in(await stores.outbox.hold(-1, SHARDS), 50):
            passed[fact.shard] = fact.seq
        spans = [Span(shard, seq) for shard, seq in passed.items()]
        explaining = Explaining(stores.tx)
        outbox = Outbox(cast(Tx, explaining), world.clock, world.ids)
        held = await outbox.hold(-1, 4, [uuid.uuid4()], spans)
        assert len(await outbox.waiting_in(held, 5, [uuid.uuid4()], spans)) == 20
        assert explaining.most < 1_000 * SHARDS, explaining.worst


@pytest.mark.parametrize("known", [True, False])
async def test_a_long_log_is_never_read_whole(world: World, known: bool) -> None:
    await backlog_of(world, 50_000)
    async with world.database.tx() as tx:
        await tx.execute("UPDATE outbox SET relayed_at = now(), position = seq")
        await tx.execute("UPDATE outbox_shards SET position = (SELECT max(seq) FROM outbox)")
        if known:
            await tx.execute("ANALYZE outbox")
        explaining = Explaining(tx)
        log = OutboxLog(cast(Tx, explaining))
        await log.bounds()
        assert len(await log.read([20_000] * SHARDS, ["workout"], 10)) == 10 * SHARDS
        assert explaining.most < 1_000, explaining.worst
