"""The task table on a real Postgres: how a task is taken, ended, and lost to another worker."""

import contextlib
import json
from datetime import datetime, timedelta
from typing import Final

import pytest

from persistence.database import Database
from persistence.tasks import Tasks
from services.kernel.clock import utc
from services.kernel.ids import FactId
from tests.support.world import World

QUEUE: Final = "summaries"
LEASE: Final = timedelta(seconds=15)


@pytest.fixture
def world(database: Database) -> World:
    """An empty world."""
    return World(database)


@pytest.fixture
def now(world: World) -> datetime:
    """The world's instant."""
    return utc(world.clock.wall_ms())


async def put(world: World, now: datetime, count: int = 1) -> list[FactId]:
    """Tasks, each due a second after the one before."""
    added = [FactId(world.ids.next()) for _ in range(count)]
    async with world.database.tx() as tx:
        for number, fact_id in enumerate(added):
            await Tasks(tx).add([(QUEUE, fact_id, '{"n": 1}')], now + timedelta(seconds=number))
    return added


async def claim(world: World, now: datetime, limit: int = 1) -> list[tuple[FactId, int]]:
    """Claim tasks in a transaction of its own: fact and attempt."""
    async with world.database.tx() as tx:
        return [(task.fact_id, task.attempt) for task in await Tasks(tx).claim(QUEUE, now, now + LEASE, limit)]


async def test_due_tasks_are_claimed_longest_due_first_and_only_once(world: World, now: datetime) -> None:
    added = await put(world, now, 3)
    later = now + timedelta(seconds=1)
    assert await claim(world, later, 10) == [(added[0], 1), (added[1], 1)]
    assert await claim(world, later, 10) == []
    assert await claim(world, now + timedelta(seconds=2), 10) == [(added[2], 1)]


async def test_a_task_whose_worker_died_is_due_again_after_the_lease_with_its_attempt_counted(
    world: World, now: datetime
) -> None:
    (task,) = await put(world, now)
    assert await claim(world, now) == [(task, 1)]
    assert await claim(world, now + LEASE - timedelta(seconds=1)) == []
    assert await claim(world, now + LEASE) == [(task, 2)]


async def test_a_worker_that_was_frozen_past_its_lease_has_lost_the_task(world: World, now: datetime) -> None:
    (task,) = await put(world, now)
    await claim(world, now)
    await claim(world, now + LEASE)
    async with world.database.tx() as tx:
        assert not await Tasks(tx).settle(QUEUE, task, 1)
        assert not await Tasks(tx).park(QUEUE, task, 1, reason="late", at=now)
        assert not await Tasks(tx).again(QUEUE, task, 1, due_at=now, attempts=1)
        assert await Tasks(tx).settle(QUEUE, task, 2)
        assert await Tasks(tx).waiting(QUEUE) == 0


async def test_while_a_handler_holds_its_task_nobody_else_gets_it_even_past_the_lease(
    world: World, now: datetime
) -> None:
    (task,) = await put(world, now)
    await claim(world, now)
    async with world.database.tx() as handler:
        assert await Tasks(handler).settle(QUEUE, task, 1)
        assert await claim(world, now + 10 * LEASE) == []
    assert await claim(world, now + 10 * LEASE) == []


async def test_a_handler_that_rolls_back_leaves_the_task(world: World, now: datetime) -> None:
    (task,) = await put(world, now)
    await claim(world, now)
    with contextlib.suppress(ZeroDivisionError):
        async with world.database.tx() as tx:
            await Tasks(tx).settle(QUEUE, task, 1)
            raise ZeroDivisionError
    assert await claim(world, now + LEASE) == [(task, 2)]


async def test_adding_a_task_again_changes_nothing_while_it_waits_or_is_parked(world: World, now: datetime) -> None:
    (task,) = await put(world, now)
    await claim(world, now)
    async with world.database.tx() as tx:
        await Tasks(tx).add([(QUEUE, task, '{"n": 2}')], now)
        await Tasks(tx).park(QUEUE, task, 1, reason="broken", at=now)
        await Tasks(tx).add([(QUEUE, task, '{"n": 2}')], now)
        (parked,) = await Tasks(tx).parked(QUEUE, 10)
    assert json.loads(parked.envelope) == {"n": 1}
    assert (parked.attempt, parked.reason, parked.parked_at) == (1, "broken", now)
    assert await claim(world, now + LEASE) == []


async def test_a_replayed_task_starts_over(world: World, now: datetime) -> None:
    (task,) = await put(world, now)
    await claim(world, now)
    async with world.database.tx() as tx:
        assert not await Tasks(tx).replay(QUEUE, task, now)
        await Tasks(tx).park(QUEUE, task, 1, reason="broken", at=now)
        assert await Tasks(tx).replay(QUEUE, task, now)
    assert await claim(world, now) == [(task, 1)]


async def test_claiming_walks_the_index_of_due_tasks(world: World, now: datetime) -> None:
    async with world.database.tx() as tx:
        await tx.execute(
            """
            INSERT INTO tasks (queue, fact_id, envelope, due_at)
            SELECT 'summaries', gen_random_uuid(), '{}', now() + n * interval '1 s' FROM generate_series(1, 5000) AS n
            """
        )
        await tx.execute("ANALYZE tasks")
        plan = await tx.fetch(
            """
            EXPLAIN SELECT fact_id FROM tasks
            WHERE queue = 'summaries' AND parked_at IS NULL AND due_at <= now()
            ORDER BY due_at LIMIT 10 FOR UPDATE SKIP LOCKED
            """
        )
    assert "tasks_due" in "\n".join(row[0] for row in plan)
