"""Facts that are told later: each once, at its time, as long as somebody still wants it told."""

import asyncio
from datetime import timedelta
from uuid import UUID

import pytest

from persistence.database import Database
from persistence.schedule import Schedule
from services.kernel import trace
from services.kernel.clock import utc
from services.kernel.facts import AnyFact, ClassEnded, ClassSummarised
from services.kernel.ids import ClassId
from tests.support.world import World

HOUR = 3_600
HOUR_MS = HOUR * 1_000


@pytest.fixture
def world(database: Database) -> World:
    """An empty world."""
    return World(database)


def ended(n: int) -> ClassEnded:
    return ClassEnded(class_id=ClassId(UUID(int=n)))


async def later(world: World, fact: AnyFact, *, in_ms: int = HOUR_MS, key: str = "key") -> bool:
    """Have a fact told later."""
    async with world.transactions() as stores:
        return await stores.schedule.once(fact, UUID(int=1), at_ms=world.clock.wall_ms() + in_ms, key=key)


async def tell(world: World, limit: int = 100) -> int:
    """One bite of what is due."""
    async with world.transactions() as stores:
        return len(await stores.schedule.tell(stores.outbox, utc(world.clock.wall_ms()), limit))


async def test_a_fact_is_told_at_its_time_and_once(world: World) -> None:
    assert await later(world, ended(1))
    await world.clock.advance(HOUR - 1)
    assert await tell(world) == 0
    await world.clock.advance(1)
    assert await tell(world) == 1
    assert await tell(world) == 0
    assert await world.told() == [ended(1)]


async def test_it_is_told_in_the_trace_of_whoever_wanted_it_told(world: World) -> None:
    with trace.span("an evening") as evening:
        await later(world, ended(1), in_ms=0)
    await tell(world)
    async with world.transactions() as stores:
        (envelope,) = await stores.outbox.peek(10)
    told_in = trace.parse(envelope.traceparent)
    assert told_in is not None
    assert told_in.trace_id == evening.context.trace_id


async def test_what_was_rolled_back_is_never_told(world: World) -> None:
    async def fails() -> None:
        async with world.transactions() as stores:
            await stores.schedule.once(ended(1), UUID(int=1), at_ms=0, key="key")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fails()
    assert await tell(world) == 0


async def test_a_key_waits_once_per_kind_of_fact_and_is_free_again_afterwards(world: World) -> None:
    assert await later(world, ended(1))
    assert not await later(world, ended(2), in_ms=0)
    assert await later(world, ClassSummarised(class_id=ClassId(UUID(int=3))))
    await world.clock.advance(HOUR)
    assert await tell(world) == 2
    assert await later(world, ended(4), in_ms=0)
    assert await tell(world) == 1
    assert ended(2) not in await world.told()


async def test_it_can_be_moved_and_cancelled_until_it_is_told(world: World) -> None:
    await later(world, ended(1), key="moved")
    await later(world, ended(2), key="cancelled")
    async with world.transactions() as stores:
        at_ms = world.clock.wall_ms() + 2 * HOUR_MS
        assert await stores.schedule.move(ClassEnded, "moved", at_ms)
        assert await stores.schedule.cancel(ClassEnded, "cancelled")
        assert not await stores.schedule.cancel(ClassSummarised, "moved"), "another kind of fact"
    await world.clock.advance(HOUR)
    assert await tell(world) == 0
    await world.clock.advance(HOUR)
    assert await tell(world) == 1
    async with world.transactions() as stores:
        assert not await stores.schedule.move(ClassEnded, "moved", 0)
        assert not await stores.schedule.cancel(ClassEnded, "moved")
    assert await world.told() == [ended(1)]


async def test_a_late_scheduler_tells_the_longest_due_first_in_bites(world: World) -> None:
    for n in (3, 1, 2, 5, 4):
        await later(world, ended(n), in_ms=n * 1_000, key=str(n))
    await world.clock.advance(HOUR)
    assert [await tell(world, 2) for _ in range(4)] == [2, 2, 1, 0]
    assert await world.told() == [ended(n) for n in (1, 2, 3, 4, 5)]


async def test_two_schedulers_at_once_share_the_work(world: World) -> None:
    for n in range(1, 41):
        await later(world, ended(n), in_ms=0, key=str(n))
    told = 0
    while sum(bites := await asyncio.gather(tell(world, 7), tell(world, 7))):
        told += sum(bites)
    assert told == 40
    assert len(await world.told()) == 40


async def test_what_a_newer_program_wrote_waits_for_it_and_what_nobody_can_read_steps_aside(world: World) -> None:
    await later(world, ended(1), in_ms=0, key="good")
    async with world.database.tx() as tx:
        for kind, key, fact in (
            ("moon.eclipsed", "newer", '{"type": "moon.eclipsed"}'),
            ("class.ended", "broken", '{"type": "class.ended"}'),
        ):
            await tx.execute(
                "INSERT INTO schedule_once (kind, key, due_at, aggregate_id, fact, traceparent) VALUES ($1, $2, $3, $4, $5, '')",
                kind,
                key,
                utc(world.clock.wall_ms()) - timedelta(minutes=1),
                UUID(int=1),
                fact,
            )
    assert await tell(world, 2) == 1
    assert await tell(world) == 0
    assert await world.told() == [ended(1)]
    async with world.database.tx() as tx:
        assert await Schedule(tx).waiting() == 2


async def test_what_waits_is_not_looked_at_before_its_time(world: World) -> None:
    async with world.database.tx() as tx:
        await tx.execute(
            """
            INSERT INTO schedule_once (kind, key, due_at, aggregate_id, fact, traceparent)
            SELECT 'class.ended', n::text, $1::timestamptz + n * interval '1 second', gen_random_uuid(), '{}', ''
            FROM generate_series(1, 20000) AS n
            """,
            utc(world.clock.wall_ms()),
        )
        await tx.execute("ANALYZE schedule_once")
        plan = await tx.fetch(
            """
            EXPLAIN (ANALYZE, COSTS OFF)
            SELECT kind, key FROM schedule_once
            WHERE due_at <= $1 AND kind = ANY($2::text[])
            ORDER BY due_at, kind, key LIMIT 200 FOR UPDATE SKIP LOCKED
            """,
            utc(world.clock.wall_ms() + 5_500),
            ["class.ended"],
        )
    text = "\n".join(row[0] for row in plan)
    assert "schedule_once_due" in text, text
    assert "Seq Scan" not in text, text
    assert "rows=5" in text, text
