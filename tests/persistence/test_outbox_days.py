"""The days of the outbox: made ahead, filled, dropped whole; and what must never happen to a fact on the way."""

import asyncio
import uuid
from datetime import date, timedelta
from typing import cast

import pytest

from persistence.database import Database, Tx
from persistence.outbox import SHARDS
from persistence.outbox_days import LOOKED_AT, InUse, OutboxDays, name_of
from services.kernel.clock import utc
from services.kernel.facts import ClassEnded
from services.kernel.ids import ClassId, FactId
from tests.support.explaining import Explaining
from tests.support.task_buses import WAIT_S
from tests.support.world import World


@pytest.fixture
def world(database: Database) -> World:
    """An empty world. Its clock stands on a day that nobody has made."""
    return World(database)


def today(world: World) -> date:
    return utc(world.clock.wall_ms()).date()


async def tell(world: World) -> FactId:
    """A fact of now."""
    about = world.ids.next()
    async with world.transactions() as stores:
        return await stores.outbox.add(ClassEnded(ClassId(about)), about)


async def make(world: World, *days: date) -> list[date]:
    async with world.database.tx() as tx:
        return await OutboxDays(tx).make(days)


async def drop(world: World, before: date) -> list[date]:
    async with world.database.tx() as tx:
        return await OutboxDays(tx).drop(before)


async def tables(world: World) -> dict[uuid.UUID, str]:
    """In which table each fact lies."""
    async with world.database.connection() as connection:
        rows = await connection.fetch("SELECT id, tableoid::regclass::text AS name FROM outbox")
    return {row["id"]: row["name"] for row in rows}


async def relay(world: World) -> None:
    """Everything that waits leaves."""
    async with world.transactions() as stores:
        held = await stores.outbox.hold(-1, SHARDS)
        if held:
            await stores.outbox.left(held, await stores.outbox.waiting_in(held, 100))


async def test_a_new_database_has_today_and_the_days_to_come(database: Database) -> None:
    async with database.tx() as tx:
        # The day on which it was made: a copy may be looked at after midnight.
        made: date = await tx.fetchval("SELECT (max(ran_at) AT TIME ZONE 'UTC')::date FROM migrations")
        days = await OutboxDays(tx).days()
    assert [made + timedelta(days=n) for n in range(4)] == days[-4:]
    assert len(days) <= 6


async def test_a_fact_lies_in_its_day(world: World) -> None:
    assert await make(world, today(world), today(world) + timedelta(days=1)) == [
        today(world),
        today(world) + timedelta(days=1),
    ]
    first = await tell(world)
    await world.clock.advance(24 * 3_600)
    second = await tell(world)
    assert await tables(world) == {
        first: name_of(today(world) - timedelta(days=1)),
        second: name_of(today(world)),
    }
    assert await make(world, today(world)) == []


async def test_a_fact_without_a_day_is_told_all_the_same_and_moves_to_its_day_as_it_is(world: World) -> None:
    gone = await tell(world)
    await relay(world)
    waiting = await tell(world)
    async with world.database.tx() as tx:
        assert await OutboxDays(tx).strays() == [today(world)]
        before = await tx.fetch("SELECT * FROM outbox ORDER BY seq")
    assert await make(world, today(world)) == [today(world)]
    async with world.database.tx() as tx:
        assert await OutboxDays(tx).strays() == []
        assert await tx.fetch("SELECT * FROM outbox ORDER BY seq") == before
    assert await tables(world) == dict.fromkeys((gone, waiting), name_of(today(world)))


async def test_facts_without_a_day_are_moved_as_often_as_there_are_some(world: World) -> None:
    told = []
    for _ in range(3):
        told.append((await tell(world), name_of(today(world))))
        await relay(world)
        assert await make(world, today(world)) == [today(world)]
        await world.clock.advance(24 * 3_600)
    assert await tables(world) == dict(told)


async def test_an_old_day_is_dropped_when_nothing_in_it_waits(world: World) -> None:
    day = today(world)
    await make(world, day)
    await tell(world)
    assert await drop(world, day) == []
    tomorrow = day + timedelta(days=1)
    assert await drop(world, tomorrow) == []
    await relay(world)
    assert await drop(world, tomorrow) == [day]
    assert await tables(world) == {}


async def test_what_is_in_use_is_left_alone_and_nothing_has_happened(world: World) -> None:
    day, tomorrow = today(world), today(world) + timedelta(days=1)
    await make(world, day)
    async with world.database.tx() as reading:
        await reading.fetch("SELECT FROM outbox")
        with pytest.raises(InUse):
            await make(world, tomorrow)
        with pytest.raises(InUse):
            await drop(world, tomorrow)
    assert await make(world, tomorrow) == [tomorrow]
    assert await drop(world, tomorrow) == [day]


async def test_facts_are_told_while_a_day_is_made(world: World) -> None:
    """Making a day waits for somebody who reads; those who tell facts of other days do not wait for it."""
    day = today(world)
    await make(world, day)
    async with world.database.tx() as reading, asyncio.TaskGroup() as group:
        await reading.fetch("SELECT FROM outbox")
        making = group.create_task(make_or_not(world, day + timedelta(days=1)))
        async with asyncio.timeout(WAIT_S), world.database.connection() as connection:
            while not await connection.fetchval("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)"):
                await asyncio.sleep(0)
        await tell(world)
        assert not making.done()


async def make_or_not(world: World, day: date) -> None:
    with pytest.raises(InUse):
        await make(world, day)


async def test_two_nodes_make_the_same_days_at_once(world: World) -> None:
    days = [today(world) + timedelta(days=n) for n in range(5)]
    made = await asyncio.gather(*(make(world, *days) for _ in range(3)))
    assert sorted(made) == [[], [], days]


async def test_of_many_strays_few_are_looked_at_to_say_their_days(world: World) -> None:
    async with world.database.tx() as tx:
        await tx.execute(
            """
            INSERT INTO outbox (id, type, aggregate_id, envelope, created_at)
            SELECT gen_random_uuid(), 'class.ended', gen_random_uuid(), '{}', $1::timestamptz + n * interval '10 s'
            FROM generate_series(1, 20000) AS n
            """,
            utc(world.clock.wall_ms()),
        )
        explaining = Explaining(tx)
        assert await OutboxDays(cast(Tx, explaining)).strays() == [today(world)]
        assert explaining.most <= LOOKED_AT, explaining.worst
