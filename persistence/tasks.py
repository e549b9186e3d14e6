"""The task bus's table: one row per queue and fact, until it is handled or parked.

A worker takes a task in two steps. `claim` counts the attempt and pushes `due_at` a lease ahead, in a transaction of its
own, so that a task which kills its worker is counted all the same. Then `settle` deletes the row inside the handler's
transaction: the effect and the end of the task commit together, and while that transaction is open its row lock keeps
others away however long the handler takes. The lease bridges only the moment between the two.

A worker that dies leaves the row as it was after `claim`, `leased`; it is due again when the lease has run out. A worker that
was frozen for longer than its lease finds another number in `claims`, which only ever grows, and has lost the task.

A task that is still `leased` when it is due has seen a worker die, and is claimed only where the caller allows one (`died`): who
takes one at a time does not lose the neighbours of a task that kills its worker again and again.

An ordered queue (`claim_first`) goes by `seq`, the order in which tasks were added, and takes nothing but its first row. That
row is named in a statement of its own before it is locked: were it skipped because somebody holds it, the second would be taken
before its time.
"""

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Final

import msgspec

from persistence.database import Tx
from services.kernel.ids import FactId

CHANNEL: Final = "paceline_tasks"
"""The notification that wakes consumers; its payload is the queue. A hint: consumers also look by themselves."""


COUNTED: Final = 100_000
"""Rows of one kind that `overview` counts in one queue; where it says so many, there are more."""


class Task(msgspec.Struct, frozen=True):
    """A claimed task: the envelope as stored (JSON), which attempt this is, from 1, the number of the claim, and whether the
    worker of an earlier attempt has died."""

    fact_id: FactId
    envelope: str
    attempt: int
    claims: int
    died: bool


class ParkedTask(msgspec.Struct, frozen=True):
    """A task that was given up: after `attempt` attempts, why, and when."""

    fact_id: FactId
    envelope: str
    attempt: int
    reason: str
    parked_at: datetime


class Lying(msgspec.Struct, frozen=True):
    """What lies in one queue: due, due later, with a worker, given up; each at most `COUNTED`. `oldest` is the envelope that was
    added first of those that are not parked."""

    waiting: int
    retrying: int
    running: int
    parked: int
    oldest: str | None


class Tasks:
    """The tasks inside one transaction."""

    def __init__(self, tx: Tx) -> None:
        self._tx: Final = tx

    async def add(self, rows: Sequence[tuple[str, FactId, str]], due_at: datetime) -> None:
        """Put (queue, fact, envelope) rows in; those already waiting or parked stay as they are."""
        await self._tx.execute(
            """
            INSERT INTO tasks (queue, fact_id, envelope, due_at)
            SELECT queue, fact_id, envelope::jsonb, $4
            FROM unnest($1::text[], $2::uuid[], $3::text[]) WITH ORDINALITY AS new (queue, fact_id, envelope, nth)
            ORDER BY nth
            ON CONFLICT (queue, fact_id) DO NOTHING
            """,
            [queue for queue, _, _ in rows],
            [fact_id for _, fact_id, _ in rows],
            [envelope for _, _, envelope in rows],
            due_at,
        )
        for queue in sorted({queue for queue, _, _ in rows}):
            await self._tx.execute("SELECT pg_notify($1, $2)", CHANNEL, queue)

    async def claim(self, queue: str, now: datetime, leased_until: datetime, limit: int, *, died: bool) -> list[Task]:
        """Take up to `limit` due tasks, longest due first, skipping those others are at; counts the attempt. At most one of
        them has seen a worker die, and none if `died` is false."""
        rows = await self._tx.fetch(
            """
            WITH suspect AS MATERIALIZED (
                SELECT fact_id FROM tasks
                WHERE queue = $1 AND parked_at IS NULL AND leased AND due_at <= $2 AND $5
                ORDER BY due_at
                LIMIT 1
                FOR UPDATE SKIP LOCKED
            ), fresh AS MATERIALIZED (
                SELECT fact_id FROM tasks
                WHERE queue = $1 AND parked_at IS NULL AND NOT leased AND due_at <= $2
                ORDER BY due_at, seq
                LIMIT (SELECT $4::bigint - count(*) FROM suspect)
                FOR UPDATE SKIP LOCKED
            )
            UPDATE tasks SET attempt = attempt + 1, claims = claims + 1, leased = true, due_at = $3
            FROM (
                SELECT fact_id, true AS died FROM suspect UNION ALL SELECT fact_id, false FROM fresh
            ) AS taken
            WHERE tasks.queue = $1 AND tasks.fact_id = taken.fact_id
            RETURNING tasks.fact_id, envelope, attempt, claims, taken.died
            """,
            queue,
            now,
            leased_until,
            limit,
            died,
        )
        return [Task(**row) for row in rows]

    async def claim_first(self, queue: str, now: datetime, leased_until: datetime, *, died: bool) -> list[Task]:
        """Take the first task of an ordered queue, if it is due and nobody has it; else nothing. `died` as above."""
        first = await self._tx.fetchval(
            "SELECT fact_id FROM tasks WHERE queue = $1 AND parked_at IS NULL ORDER BY seq LIMIT 1", queue
        )
        if first is None:
            return []
        rows = await self._tx.fetch(
            """
            WITH mine AS MATERIALIZED (
                SELECT fact_id, leased AS died FROM tasks
                WHERE queue = $1 AND fact_id = $2 AND parked_at IS NULL AND due_at <= $3 AND ($5 OR NOT leased)
                FOR UPDATE SKIP LOCKED
            )
            UPDATE tasks SET attempt = attempt + 1, claims = claims + 1, leased = true, due_at = $4
            FROM mine
            WHERE tasks.queue = $1 AND tasks.fact_id = mine.fact_id
            RETURNING tasks.fact_id, envelope, attempt, claims, mine.died
            """,
            queue,
            first,
            now,
            leased_until,
            died,
        )
        return [Task(**row) for row in rows]

    async def settle(self, queue: str, fact_id: FactId, claims: int) -> bool:
        """The task is done if this transaction commits; False when another worker has taken it since."""
        return _changed(
            await self._tx.execute(
                "DELETE FROM tasks WHERE queue = $1 AND fact_id = $2 AND claims = $3 AND parked_at IS NULL",
                queue,
                fact_id,
                claims,
            )
        )

    async def again(self, queue: str, fact_id: FactId, claims: int, *, due_at: datetime, attempts: int) -> bool:
        """Let the claimed task be tried again at `due_at`, with `attempts` on the count. False when it was taken since."""
        return _changed(
            await self._tx.execute(
                """
                UPDATE tasks SET due_at = $4, attempt = $5, leased = false
                WHERE queue = $1 AND fact_id = $2 AND claims = $3 AND parked_at IS NULL
                """,
                queue,
                fact_id,
                claims,
                due_at,
                attempts,
            )
        )

    async def park(self, queue: str, fact_id: FactId, claims: int, *, reason: str, at: datetime) -> bool:
        """Give the claimed task up until somebody replays it. False when it was taken since."""
        return _changed(
            await self._tx.execute(
                """
                UPDATE tasks SET parked_at = $4, reason = $5, leased = false
                WHERE queue = $1 AND fact_id = $2 AND claims = $3 AND parked_at IS NULL
                """,
                queue,
                fact_id,
                claims,
                at,
                reason,
            )
        )

    async def parked(self, queue: str, limit: int) -> list[ParkedTask]:
        """Tasks of a queue that were given up, the oldest first."""
        rows = await self._tx.fetch(
            """
            SELECT fact_id, envelope, attempt, coalesce(reason, '') AS reason, parked_at FROM tasks
            WHERE queue = $1 AND parked_at IS NOT NULL
            ORDER BY parked_at, fact_id
            LIMIT $2
            """,
            queue,
            limit,
        )
        return [ParkedTask(**row) for row in rows]

    async def replay(self, queue: str, fact_id: uuid.UUID, now: datetime) -> bool:
        """Give a parked task all its attempts again, from now; where order is kept it comes last. False when it is not parked."""
        replayed = _changed(
            await self._tx.execute(
                """
                UPDATE tasks SET parked_at = NULL, reason = NULL, attempt = 0, due_at = $3, seq = DEFAULT
                WHERE queue = $1 AND fact_id = $2 AND parked_at IS NOT NULL
                """,
                queue,
                fact_id,
                now,
            )
        )
        if replayed:
            await self._tx.execute("SELECT pg_notify($1, $2)", CHANNEL, queue)
        return replayed

    async def drop(self, queue: str, fact_id: uuid.UUID) -> bool:
        """Forget a parked task for ever. False when it is not parked."""
        return _changed(
            await self._tx.execute(
                "DELETE FROM tasks WHERE queue = $1 AND fact_id = $2 AND parked_at IS NOT NULL", queue, fact_id
            )
        )

    async def lying(self, queue: str, now: datetime) -> Lying:
        """What lies in a queue now. Costs no more in a queue of a million than in one of a hundred thousand."""
        row = await self._tx.fetchrow(
            """
            SELECT
                (SELECT count(*) FROM (SELECT FROM tasks WHERE queue = $1 AND parked_at IS NULL AND due_at <= $2
                                       LIMIT $3) AS due) AS waiting,
                (SELECT count(*) FROM (SELECT FROM tasks WHERE queue = $1 AND parked_at IS NULL AND NOT leased
                                       AND due_at > $2 LIMIT $3) AS later) AS retrying,
                (SELECT count(*) FROM (SELECT FROM tasks WHERE queue = $1 AND parked_at IS NULL AND leased
                                       AND due_at > $2 LIMIT $3) AS taken) AS running,
                (SELECT count(*) FROM (SELECT FROM tasks WHERE queue = $1 AND parked_at IS NOT NULL
                                       LIMIT $3) AS given_up) AS parked,
                (SELECT envelope FROM tasks WHERE queue = $1 AND parked_at IS NULL ORDER BY seq LIMIT 1) AS oldest
            """,
            queue,
            now,
            COUNTED,
        )
        assert row is not None  # noqa: S101 - a SELECT without FROM has one row
        return Lying(**row)


def _changed(status: str) -> bool:
    return status.endswith(" 1")
