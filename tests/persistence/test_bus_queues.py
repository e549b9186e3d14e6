"""What a queue lacks that a broker has lost: which facts, and what it costs to find them."""

import asyncio
import json
import uuid
from typing import cast

import pytest

from persistence.bus_queues import LOOKED_AT, BusQueues, Loss, Reach
from persistence.database import Database, Tx
from persistence.outbox import SHARDS
from services.kernel import facts
from services.kernel.clock import utc
from services.kernel.facts import WorkoutFinished, WorkoutSummarised
from services.kernel.ids import AccountId, FactId, WorkoutId
from tests.support.explaining import Explaining
from tests.support.world import World

TYPES = ("workout.finished",)


@pytest.fixture
def world(database: Database) -> World:
    """An empty world."""
    return World(database)


async def left(world: World, *, wanted: bool = True) -> FactId:
    """A fact that is told and leaves at once."""
    about = world.ids.next()
    account_id = AccountId(world.ids.next())
    fact = WorkoutFinished(WorkoutId(about), account_id) if wanted else WorkoutSummarised(WorkoutId(about), account_id)
    async with world.transactions() as stores:
        told = await stores.outbox.add(fact, about)
    await leave(world)
    return told


async def leave(world: World) -> None:
    """What waits leaves."""
    async with world.transactions() as stores:
        held = await stores.outbox.hold(-1, SHARDS)
        await stores.outbox.left(held, await stores.outbox.waiting_in(held, 100))


async def missing(world: World, name: str = "q") -> None:
    """The queue is found missing, and made."""
    async with world.transactions() as stores:
        await stores.bus_queues.missing({name: TYPES}, utc(world.clock.wall_ms()))


async def reach(world: World) -> Reach:
    """How far the log goes."""
    async with world.transactions() as stores:
        positions = [await stores.bus_queues.passed(shard) for shard in range(SHARDS)]
        return Reach(positions, await stores.bus_queues.last_told())


async def lacking(world: World, upto: Reach, *, limit: int = 100) -> list[FactId]:
    """All that the queue lacks, page by page."""
    found: list[FactId] = []
    while True:
        async with world.transactions() as stores:
            loss = await stores.bus_queues.lost("q")
            assert loss is not None
            page = await stores.bus_queues.lacking(loss, upto, "consumer", TYPES, limit)
            if page.reached is None:
                return found
            found += [facts.decode(envelope).id for envelope in page.envelopes]
            assert await stores.bus_queues.told("q", loss, page.reached, len(page.envelopes))


async def test_a_queue_that_is_new_lacks_nothing_and_one_that_is_missing_again_is_lost(world: World) -> None:
    await missing(world)
    async with world.transactions() as stores:
        assert await stores.bus_queues.lost("q") is None
    await missing(world)
    async with world.transactions() as stores:
        loss = await stores.bus_queues.lost("q")
    assert loss is not None
    assert (loss.number, loss.reached, loss.refilled) == (1, 0, 0)


@pytest.mark.parametrize("limit", [1, 2, 100])
async def test_it_lacks_what_has_left_since_it_was_made_is_wanted_and_was_not_handled_in_order(
    world: World, limit: int
) -> None:
    await left(world)  # before the queue was made
    await missing(world)
    wanted = [await left(world) for _ in range(5)]
    await left(world, wanted=False)
    async with world.transactions() as stores:
        await stores.inbox.first_time("consumer", wanted[1], utc(0))
        await stores.inbox.first_time("another", wanted[2], utc(0))
        about = world.ids.next()
        await stores.outbox.add(WorkoutFinished(WorkoutId(about), AccountId(world.ids.next())), about)  # waits
    await missing(world)
    upto = await reach(world)
    await leave(world)  # and goes to the queue that is there again
    assert await lacking(world, upto, limit=limit) == [wanted[0], *wanted[2:]]


@pytest.mark.parametrize("lies_there", [True, False])
async def test_of_a_type_that_it_wants_anew_it_lacks_only_what_has_left_since(world: World, lies_there: bool) -> None:
    async with world.transactions() as stores:
        await stores.bus_queues.missing({"q": ("workout.summarised",)}, utc(world.clock.wall_ms()))
    await left(world)
    if lies_there:
        async with world.transactions() as stores:
            await stores.bus_queues.present({"q": TYPES}, utc(world.clock.wall_ms()))
    else:
        await missing(world)
    told = await left(world)
    await missing(world)
    assert await lacking(world, await reach(world)) == [told]


async def test_of_a_queue_that_is_older_than_the_table_everything_counts(world: World) -> None:
    told = await left(world)
    async with world.transactions() as stores:
        await stores.bus_queues.present({"q": TYPES}, utc(world.clock.wall_ms()))
    await missing(world)
    assert await lacking(world, await reach(world)) == [told]


async def test_a_fact_whose_relay_has_published_and_not_committed_is_waited_for(world: World) -> None:
    await missing(world)
    about = uuid.UUID(int=7)
    async with world.transactions() as stores:
        told = await stores.outbox.add(WorkoutFinished(WorkoutId(about), AccountId(world.ids.next())), about)
    await missing(world)
    async with world.transactions() as stores:
        held = await stores.outbox.hold(-1, SHARDS)  # published before the queue was made again, says so after it
        reaching = asyncio.create_task(reach(world))
        async with world.database.connection() as connection:
            while not await connection.fetchval("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)"):
                await asyncio.sleep(0)
        assert not reaching.done()
        await stores.outbox.left(held, await stores.outbox.waiting_in(held, 100))
    assert await lacking(world, await reaching) == [told]


async def test_one_that_is_lost_once_more_begins_anew_and_what_belongs_to_the_first_loss_moves_nothing(
    world: World,
) -> None:
    await missing(world)
    await missing(world)
    async with world.transactions() as stores:
        first = await stores.bus_queues.lost("q")
        assert first is not None
        assert await stores.bus_queues.told("q", first, 10, 3)
    await missing(world)
    async with world.transactions() as stores:
        assert not await stores.bus_queues.told("q", first, 20, 3)
        assert not await stores.bus_queues.mended("q", first)
        second = await stores.bus_queues.lost("q")
        assert second is not None
        assert (second.number, second.reached, second.refilled) == (2, 0, 0)
        assert await stores.bus_queues.mended("q", second)
        assert await stores.bus_queues.lost("q") is None


async def test_one_transaction_refills_a_queue_and_does_not_keep_others_from_saying_that_it_is_lost(
    world: World,
) -> None:
    await missing(world)
    async with world.transactions() as first, world.transactions() as second:
        assert await first.bus_queues.alone("q")
        assert not await second.bus_queues.alone("q")
        assert await second.bus_queues.alone("another")
        await second.bus_queues.missing({"q": TYPES}, utc(world.clock.wall_ms()))
        assert await second.bus_queues.lost("q") is not None


@pytest.mark.parametrize("known", [True, False])
async def test_a_page_reads_no_more_of_a_long_log_and_of_the_inbox_than_it_says(world: World, known: bool) -> None:
    async with world.database.tx() as tx:
        await tx.execute(
            """
            WITH told AS (
                INSERT INTO outbox (id, type, aggregate_id, envelope, created_at, relayed_at, position)
                SELECT gen_random_uuid(), 'workout.finished', gen_random_uuid(), '{}', now() - n % 5 * interval '1 day', now(), n
                FROM generate_series(1, 30000) AS n
                RETURNING id, seq
            )
            INSERT INTO inbox SELECT 'consumer', id, now() FROM told WHERE seq % 100 <> 0
            """
        )
        if known:
            await tx.execute("ANALYZE outbox; ANALYZE inbox")
        explaining = Explaining(tx)
        queues = BusQueues(cast(Tx, explaining))
        loss = Loss(1, json.dumps({"workout.finished": [0] * SHARDS}), 10_000, 0)
        page = await queues.lacking(loss, Reach([30_000] * SHARDS, 30_000), "consumer", TYPES, 200)
        assert len(page.envelopes) == LOOKED_AT / 100
        assert page.reached == 10_000 + LOOKED_AT
        assert explaining.most <= LOOKED_AT + 10, explaining.worst
