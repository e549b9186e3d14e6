"""The task table on a real Postgres: how a task is taken, ended, and lost to another worker."""

import contextlib
import json
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Final, cast

import pytest

from persistence.database import Database, Tx
from persistence.tasks import Lying, Tasks
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


async def claim(world: World, now: datetime, limit: int = 1, *, died: bool = True) -> list[tuple[FactId, int]]:
    """Claim tasks in a transaction of its own: fact and attempt."""
    async with world.database.tx() as tx:
        found = await Tasks(tx).claim(QUEUE, now, now + LEASE, limit, died=died)
    return [(task.fact_id, task.attempt) for task in found]


async def claim_first(world: World, now: datetime) -> list[tuple[FactId, int]]:
    """Claim the first task in order."""
    async with world.database.tx() as tx:
        return [(task.fact_id, task.claims) for task in await Tasks(tx).claim_first(QUEUE, now, now + LEASE, died=True)]


async def lying(world: World, now: datetime) -> Lying:
    """What lies in the queue."""
    async with world.database.tx() as tx:
        return await Tasks(tx).lying(QUEUE, now)


class Explaining:
    """A transaction that explains what it is asked instead of doing it, and finds nothing."""

    def __init__(self, tx: Tx) -> None:
        self._tx = tx
        self.plan = ""

    async def fetch(self, sql: str, *args: object) -> list[object]:
        self.plan += "\n".join(row[0] for row in await self._tx.fetch(f"EXPLAIN {sql}", *args))
        return []

    async def fetchval(self, sql: str, *args: object) -> object:
        await self.fetch(sql, *args)
        return await self._tx.fetchval(sql, *args)

    async def fetchrow(self, sql: str, *args: object) -> object:
        await self.fetch(sql, *args)
        return await self._tx.fetchrow(sql, *args)


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
    assert await claim(world, now + 10 * LEASE) == []


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


async def test_a_worker_that_lost_its_task_is_known_although_the_attempt_is_the_same(
    world: World, now: datetime
) -> None:
    (task,) = await put(world, now)
    await claim(world, now)
    async with world.database.tx() as tx:
        assert await Tasks(tx).again(QUEUE, task, 1, due_at=now, attempts=0)  # the house was away: no attempt was used
    assert await claim(world, now) == [(task, 1)]
    async with world.database.tx() as tx:
        assert not await Tasks(tx).settle(QUEUE, task, 1)
        assert await Tasks(tx).settle(QUEUE, task, 2)


async def test_of_tasks_whose_worker_died_one_is_claimed_at_a_time_and_only_by_who_wants_it(
    world: World, now: datetime
) -> None:
    added = await put(world, now, 3)
    later = now + timedelta(seconds=2)
    assert len(await claim(world, later, 3)) == 3  # and then their worker dies
    (fresh,) = await put(world, later)
    back = later + LEASE
    assert await claim(world, back, 10, died=False) == [(fresh, 1)]
    assert await claim(world, back, 10) == [(added[0], 2)]
    assert await claim(world, back, 1) == [(added[1], 2)]


async def test_a_task_that_waits_for_its_next_attempt_has_seen_nobody_die(world: World, now: datetime) -> None:
    (task,) = await put(world, now)
    await claim(world, now)
    async with world.database.tx() as tx:
        await Tasks(tx).again(QUEUE, task, 1, due_at=now + LEASE, attempts=1)
    assert await claim(world, now + 2 * LEASE, died=False) == [(task, 2)]


async def test_an_ordered_queue_gives_its_first_task_or_nothing(world: World, now: datetime) -> None:
    first, second = await put(world, now, 2)
    later = now + timedelta(seconds=1)
    assert await claim_first(world, later) == [(first, 1)]
    assert await claim_first(world, later) == []  # somebody is at it
    async with world.database.tx() as tx:
        await Tasks(tx).again(QUEUE, first, 1, due_at=later + LEASE, attempts=1)
    assert await claim_first(world, later) == []  # it waits for its next attempt, and the second for it
    assert await claim_first(world, later + LEASE) == [(first, 2)]
    async with world.database.tx() as handler:
        assert await Tasks(handler).settle(QUEUE, first, 2)
        assert await claim_first(world, later + 9 * LEASE) == []  # being done is not done
    assert await claim_first(world, later) == [(second, 1)]


async def test_a_replayed_task_comes_last(world: World, now: datetime) -> None:
    first, second = await put(world, now, 2)
    later = now + timedelta(seconds=1)
    await claim_first(world, later)
    async with world.database.tx() as tx:
        await Tasks(tx).park(QUEUE, first, 1, reason="broken", at=later)
        await Tasks(tx).replay(QUEUE, first, later)
    assert await claim_first(world, later) == [(second, 1)]


async def test_tasks_added_together_keep_the_order_in_which_they_were_named(world: World, now: datetime) -> None:
    named = [FactId(world.ids.next()) for _ in range(20)]
    named.reverse()  # not the order of their ids
    async with world.database.tx() as tx:
        await Tasks(tx).add([(QUEUE, fact_id, "{}") for fact_id in named], now)
        stored = await tx.fetch("SELECT fact_id FROM tasks ORDER BY seq")
    assert [row["fact_id"] for row in stored] == named


async def test_what_lies_in_a_queue_is_told_by_kind(world: World, now: datetime) -> None:
    assert await lying(world, now) == Lying(0, 0, 0, 0, None)
    waiting, running, retrying, parked = await put(world, now, 4)
    later = now + timedelta(seconds=3)
    async with world.database.tx() as tx:
        await tx.execute("UPDATE tasks SET due_at = $2 WHERE fact_id = $1", waiting, later)
        for task in await Tasks(tx).claim(QUEUE, later - timedelta(seconds=1), later + LEASE, 3, died=False):
            if task.fact_id == retrying:
                await Tasks(tx).again(QUEUE, retrying, 1, due_at=later + LEASE, attempts=1)
        await Tasks(tx).claim(QUEUE, later, later, 0, died=False)
        await tx.execute("UPDATE tasks SET parked_at = $2 WHERE fact_id = $1", parked, later)
    seen = await lying(world, later)
    assert (seen.waiting, seen.retrying, seen.running, seen.parked) == (1, 1, 1, 1)
    assert running
    assert seen.oldest is not None


async def test_a_parked_task_can_be_dropped_and_no_other(world: World, now: datetime) -> None:
    (task,) = await put(world, now)
    await claim(world, now)
    async with world.database.tx() as tx:
        assert not await Tasks(tx).drop(QUEUE, task)
        await Tasks(tx).park(QUEUE, task, 1, reason="broken", at=now)
        assert await Tasks(tx).drop(QUEUE, task)
        assert await Tasks(tx).parked(QUEUE, 10) == []


QUESTIONS: Final[tuple[tuple[Callable[[Tasks, datetime], Awaitable[object]], set[str]], ...]] = (
    (lambda tasks, now: tasks.claim(QUEUE, now, now, 10, died=True), {"tasks_due", "tasks_leased", "tasks_pkey"}),
    (lambda tasks, now: tasks.claim_first(QUEUE, now, now, died=True), {"tasks_in_order", "tasks_pkey"}),
    (lambda tasks, now: tasks.parked(QUEUE, 10), {"tasks_parked"}),
)


async def test_every_question_about_a_long_queue_walks_its_own_index(world: World, now: datetime) -> None:
    async with world.database.tx() as tx:
        await tx.execute(
            """
            INSERT INTO tasks (queue, fact_id, envelope, due_at, leased, parked_at)
            SELECT 'summaries', gen_random_uuid(), '{}', now() + n * interval '1 s', n % 50 = 0,
                   CASE WHEN n % 100 = 1 THEN now() END
            FROM generate_series(1, 20000) AS n
            """
        )
        await tx.execute("ANALYZE tasks")
        for ask, indexes in QUESTIONS:
            explaining = Explaining(tx)
            await ask(Tasks(cast(Tx, explaining)), now)
            assert "Seq Scan on tasks" not in explaining.plan
            assert {index for index in indexes if index in explaining.plan} == indexes, explaining.plan
