"""The outbox over weeks: days come before their facts, and go when they are old."""

import datetime

import pytest

from persistence import outbox_days
from persistence.database import Database
from persistence.outbox import SHARDS
from persistence.outbox_days import OutboxDays
from services.kernel.clock import utc
from services.kernel.facts import ClassEnded
from services.kernel.ids import ClassId, FactId
from services.schedule.jobs import Tick
from tests.support.world import World
from workers.jobs import Jobs
from workers.outbox_upkeep import AHEAD_DAYS, OutboxUpkeep

DAY_S = 24 * 3_600


@pytest.fixture
def world(database: Database) -> World:
    """An empty world."""
    return World(database)


def day(world: World, later: int = 0) -> datetime.date:
    """Today, or so many days later."""
    return utc(world.clock.wall_ms()).date() + datetime.timedelta(days=later)


async def keep(world: World, upkeep: OutboxUpkeep) -> tuple[int, int]:
    """Both jobs, until they have nothing to do: days made and dropped."""
    made = dropped = 0
    async with world.transactions() as stores:
        while count := await upkeep.make_days(stores):
            made += count
    async with world.transactions() as stores:
        while count := await upkeep.drop_days(stores):
            dropped += count
    return made, dropped


async def tell(world: World) -> FactId:
    about = world.ids.next()
    async with world.transactions() as stores:
        return await stores.outbox.add(ClassEnded(ClassId(about)), about)


async def relay(world: World) -> None:
    async with world.transactions() as stores:
        held = await stores.outbox.hold(-1, SHARDS)
        if held:
            await stores.outbox.left(held, await stores.outbox.waiting_in(held, 100))


async def days(world: World) -> list[datetime.date]:
    """The days there are, up to the last that the clock knows of."""
    async with world.transactions() as stores:
        return [each for each in await OutboxDays(stores.tx).days() if each <= day(world, AHEAD_DAYS)]


async def test_three_weeks_of_facts_leave_the_last_seven_days_and_no_stray(world: World) -> None:
    upkeep = OutboxUpkeep(world.clock)
    await keep(world, upkeep)
    for _ in range(21):
        await tell(world)
        await relay(world)
        await world.clock.advance(DAY_S)
        await keep(world, upkeep)
    assert await days(world) == [day(world, n) for n in range(-7, AHEAD_DAYS + 1)]
    assert upkeep.statistics.strays == 0
    async with world.database.connection() as connection:
        assert await connection.fetchval("SELECT count(*) FROM outbox") == 7


async def test_a_fact_that_waits_for_weeks_keeps_its_day(world: World) -> None:
    upkeep = OutboxUpkeep(world.clock)
    await keep(world, upkeep)
    await tell(world)
    await world.clock.advance(30 * DAY_S)
    await keep(world, upkeep)
    assert day(world, -30) in await days(world)
    await relay(world)
    await keep(world, upkeep)
    assert day(world, -30) not in await days(world)


async def test_after_weeks_without_a_schedule_facts_move_to_their_days_and_it_is_said(world: World) -> None:
    upkeep = OutboxUpkeep(world.clock)
    for _ in range(3):
        await tell(world)
        await world.clock.advance(DAY_S)
    await keep(world, upkeep)
    async with world.transactions() as stores:
        assert await OutboxDays(stores.tx).strays() == []
    assert upkeep.statistics.strays == 3


async def test_jobs_that_find_the_outbox_in_use_try_again_later(world: World) -> None:
    upkeep = OutboxUpkeep(world.clock, keep_days=1)
    async with world.database.tx() as reading:
        await reading.fetch("SELECT FROM outbox")
        assert await keep(world, upkeep) == (0, 0)
    assert (await keep(world, upkeep))[0] == AHEAD_DAYS + 2


async def handled_before(world: World, fact: FactId) -> bool:
    """Whether the inbox knows it."""
    async with world.database.connection() as connection:
        known: bool = await connection.fetchval("SELECT EXISTS (SELECT FROM inbox WHERE fact_id = $1)", fact)
    return known


async def test_what_the_outbox_still_has_the_inbox_still_knows(world: World) -> None:
    upkeep = OutboxUpkeep(world.clock)
    jobs = Jobs(world.clock, upkeep)
    await keep(world, upkeep)
    done = await tell(world)
    await relay(world)
    async with world.transactions() as stores:
        assert await stores.inbox.first_time("summaries", done, utc(world.clock.wall_ms()))
    await tell(world)  # nobody takes it, and its day stays

    async def a_day_passes() -> None:
        await world.clock.advance(DAY_S)
        await keep(world, upkeep)
        async with world.transactions() as stores:
            await jobs.prune_inbox(stores, Tick("prune-inbox", world.clock.wall_ms()))

    for _ in range(15):
        await a_day_passes()
    assert await handled_before(world, done)
    await relay(world)
    await a_day_passes()
    assert not await handled_before(world, done)


async def test_many_facts_without_a_day_are_moved_in_bites(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox_days, "BITE", 2 * SHARDS)
    monkeypatch.setattr(outbox_days, "MOVED", 30)
    upkeep, told, bites = OutboxUpkeep(world.clock), list[FactId](), 0
    for _ in range(3):
        told += [await tell(world) for _ in range(60)]
        await world.clock.advance(DAY_S / 2)
    await relay(world)
    waiting = await tell(world)
    while True:
        async with world.transactions() as stores:
            count = await upkeep.make_days(stores)
            # Whoever tells, relays or reads meanwhile waits for nothing, unless all that were many are where they
            # belong.
            if stray := await OutboxDays(stores.tx).strays():
                await tell(world)
        if not count:
            break
        bites += bool(stray)
        async with world.database.connection() as connection:
            assert await connection.fetchval("SELECT count(DISTINCT id) = count(*) FROM outbox")
            assert await connection.fetchval("SELECT count(*) FROM outbox WHERE id = ANY($1)", told) == len(told)
    assert bites > 3
    assert await days(world) == [day(world, n) for n in range(-2, AHEAD_DAYS + 1)]
    async with world.database.connection() as connection:
        assert await connection.fetchval("SELECT count(*) FROM outbox WHERE tableoid = 'outbox_stray'::regclass") == 0
        assert await connection.fetchval("SELECT relayed_at IS NULL FROM outbox WHERE id = $1", waiting)
        rows = await connection.fetch("SELECT shard, position FROM outbox WHERE position > 0 ORDER BY shard, position")
    for shard in range(SHARDS):
        positions = [row["position"] for row in rows if row["shard"] == shard]
        assert positions == list(range(1, len(positions) + 1))
    await relay(world)


async def test_facts_without_a_day_that_wait_in_crowds_move_when_they_have_left(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox_days, "MOVED", 10)
    upkeep = OutboxUpkeep(world.clock)
    for _ in range(11):
        await tell(world)
    assert await keep(world, upkeep) == (0, 0)
    await relay(world)
    await keep(world, upkeep)
    assert day(world) in await days(world)
