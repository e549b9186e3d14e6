"""What only an outbox can do to a reader: transactions that commit late, and days that are dropped."""

import uuid
from datetime import timedelta

import pytest

from persistence.database import Database
from persistence.outbox import SHARDS
from persistence.outbox_days import OutboxDays
from persistence.stores import Stores
from services.kernel.clock import utc
from services.kernel.facts import LoginEnded, WorkoutFinished
from services.kernel.ids import AccountId, FactId, LoginId, WorkoutId
from tests.support.fact_logs import TakesAll
from tests.support.world import World
from workers.fact_log import TRAINING, FactReader, PositionLost
from workers.postgres_log import PostgresLog
from workers.relay import Relay

DAY_S = 24 * 3_600


@pytest.fixture
def world(database: Database) -> World:
    """An empty world."""
    return World(database)


def log(world: World, page: int = 64) -> PostgresLog:
    return PostgresLog(world.database, world.clock, page=page)


async def tell(world: World, stores: Stores, shard: int = 1) -> FactId:
    about = uuid.UUID(int=world.ids.next().int >> 4 << 4 | shard)
    return await stores.outbox.add(WorkoutFinished(WorkoutId(about), AccountId(world.ids.next())), about)


async def relay(world: World) -> None:
    relay = Relay(world.transactions, TakesAll(), world.clock)
    while await relay.relay():
        pass


async def read(reader: FactReader) -> list[FactId]:
    return [envelope.id for envelope in (await reader.page(0)).envelopes]


async def test_a_fact_whose_transaction_commits_late_is_not_passed_over(world: World) -> None:
    """It drew the lower number, and became visible after a reader had gone past it."""
    async with log(world).reading(TRAINING) as reader:
        async with world.transactions() as slow:
            late = await tell(world, slow)
            async with world.transactions() as quick:
                early = await tell(world, quick)
            await relay(world)
            assert await read(reader) == [early]
        assert await read(reader) == []
        await relay(world)
        assert await read(reader) == [late]


async def test_what_a_relay_has_not_committed_is_not_read_and_not_passed_over(world: World) -> None:
    async with world.transactions() as stores:
        first = await tell(world, stores, shard=1)
    async with log(world).reading(TRAINING) as reader:
        async with world.transactions() as one:
            held = await one.outbox.hold(-1, SHARDS)
            await one.outbox.left(held, await one.outbox.waiting_in(held, 10))
            async with world.transactions() as stores:
                second = await tell(world, stores, shard=2)
            await relay(world)
            assert await read(reader) == [second]
        assert await read(reader) == [first]


async def test_a_reader_that_was_away_for_too_long_is_told_that_days_are_missing(world: World) -> None:
    today = utc(world.clock.wall_ms()).date()
    async with world.database.tx() as tx:
        await OutboxDays(tx).make([today, today + timedelta(days=1)])
    async with log(world).reading(TRAINING) as reader:
        first = (await reader.page(0)).position
        async with world.transactions() as stores:
            await tell(world, stores)
        await world.clock.advance(DAY_S)
        await relay(world)
        async with world.database.tx() as tx:
            assert today in await OutboxDays(tx).drop(today + timedelta(days=1))
        with pytest.raises(PositionLost):
            async with log(world).reading(TRAINING, first):
                pass
        async with world.transactions() as stores:
            there = await tell(world, stores)
        await relay(world)
        with pytest.raises(PositionLost):
            await read(reader)
    async with log(world).reading(TRAINING) as reader:
        assert await read(reader) == [there]


async def test_facts_of_other_families_are_passed_once(world: World) -> None:
    async with world.transactions() as stores:
        for _ in range(5):
            about = uuid.UUID(int=world.ids.next().int >> 4 << 4 | 1)
            await stores.outbox.add(LoginEnded(AccountId(about), LoginId(about), "logged_out"), about)
        told = await tell(world, stores)
    await relay(world)
    async with log(world, page=5).reading(TRAINING) as reader:
        passed = await reader.page(0)
        assert passed.envelopes == ()
        assert await read(reader) == [told]
    async with log(world, page=5).reading(TRAINING, passed.position) as reader:
        assert await read(reader) == [told]
