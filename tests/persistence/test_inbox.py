"""The inbox on a real Postgres."""

import asyncio
import contextlib
from datetime import timedelta

import pytest

from persistence.database import Database
from persistence.inbox import Inbox
from services.kernel.clock import utc
from services.kernel.ids import FactId
from tests.support.world import World


@pytest.fixture
def world(database: Database) -> World:
    """An empty world."""
    return World(database)


async def test_a_fact_is_new_once_for_each_consumer(world: World) -> None:
    fact_id, now = FactId(world.ids.next()), utc(world.clock.wall_ms())
    async with world.transactions() as stores:
        assert await stores.inbox.first_time("summaries", fact_id, now)
        assert not await stores.inbox.first_time("summaries", fact_id, now)
        assert await stores.inbox.first_time("pushes", fact_id, now)


async def test_a_roll_back_makes_the_fact_new_again(world: World) -> None:
    fact_id, now = FactId(world.ids.next()), utc(world.clock.wall_ms())
    with contextlib.suppress(ZeroDivisionError):
        async with world.transactions() as stores:
            await stores.inbox.first_time("summaries", fact_id, now)
            raise ZeroDivisionError
    async with world.transactions() as stores:
        assert await stores.inbox.first_time("summaries", fact_id, now)


async def test_of_two_at_the_same_moment_one_waits_and_is_told_it_was_second(world: World) -> None:
    fact_id, now = FactId(world.ids.next()), utc(world.clock.wall_ms())
    noted, commit = asyncio.Event(), asyncio.Event()

    async def first() -> bool:
        async with world.transactions() as stores:
            new = await stores.inbox.first_time("summaries", fact_id, now)
            noted.set()
            await commit.wait()
        return new

    async def second() -> bool:
        await noted.wait()
        async with world.transactions() as stores:
            commit.set()
            return await stores.inbox.first_time("summaries", fact_id, now)

    first_new, second_new = await asyncio.gather(first(), second())
    assert first_new
    assert not second_new


async def test_pruning_forgets_the_old_in_bites_and_keeps_the_rest(world: World) -> None:
    now = utc(world.clock.wall_ms())
    async with world.database.tx() as tx:
        for days in range(10):
            await Inbox(tx).first_time("summaries", FactId(world.ids.next()), now - timedelta(days=days))
        assert await Inbox(tx).prune(now - timedelta(days=7), 1) == 1
        assert await Inbox(tx).prune(now - timedelta(days=7), 100) == 1
        assert await Inbox(tx).prune(now - timedelta(days=7), 100) == 0
        assert await tx.fetchval("SELECT count(*) FROM inbox") == 8
