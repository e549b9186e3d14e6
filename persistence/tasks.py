"""The task bus's table: one row per queue and fact, until it is handled or parked.

A worker takes a task in two steps. `claim` counts the attempt and pushes `due_at` a lease ahead, in a transaction of its
own, so that a task which kills its worker is counted all the same. Then `settle` deletes the row inside the handler's
transaction: the effect and the end of the task commit together, and while that transaction is open its row lock keeps
others away however long the handler takes. The lease bridges only the moment between the two.

A worker that dies leaves the row as it was after `claim`; it is due again when the lease has run out. A worker that was
frozen for longer than its lease finds another attempt number in the row, and has lost the task.
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


class Task(msgspec.Struct, frozen=True):
    """A claimed task: the envelope as stored (JSON), and which attempt this is, from 1."""

    fact_id: FactId
    envelope: str
    attempt: int


class ParkedTask(msgspec.Struct, frozen=True):
    """A task that was given up: after `attempt` attempts, why, and when."""

    fact_id: FactId
    envelope: str
    attempt: int
    reason: str
    parked_at: datetime


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
            FROM unnest($1::text[], $2::uuid[], $3::text[]) AS new (queue, fact_id, envelope)
            ON CONFLICT (queue, fact_id) DO NOTHING
            """,
            [queue for queue, _, _ in rows],
            [fact_id for _, fact_id, _ in rows],
            [envelope for _, _, envelope in rows],
            due_at,
        )
        for queue in sorted({queue for queue, _, _ in rows}):
            await self._tx.execute("SELECT pg_notify($1, $2)", CHANNEL, queue)

    async def claim(self, queue: str, now: datetime, leased_until: datetime, limit: int) -> list[Task]:
        """Take up to `limit` due tasks, longest due first, skipping those others are at; counts the attempt."""
        rows = await self._tx.fetch(
            """
            UPDATE tasks SET attempt = attempt + 1, due_at = $3
            WHERE queue = $1 AND fact_id IN (
                SELECT fact_id FROM tasks
                WHERE queue = $1 AND parked_at IS NULL AND due_at <= $2
                ORDER BY due_at
                LIMIT $4
                FOR UPDATE SKIP LOCKED
            )
            RETURNING fact_id, envelope, attempt
            """,
            queue,
            now,
            leased_until,
            limit,
        )
        return [Task(**row) for row in rows]

    async def settle(self, queue: str, fact_id: FactId, attempt: int) -> bool:
        """The task is done if this transaction commits; False when another worker has taken it since."""
        return _changed(
            await self._tx.execute(
                "DELETE FROM tasks WHERE queue = $1 AND fact_id = $2 AND attempt = $3 AND parked_at IS NULL",
                queue,
                fact_id,
                attempt,
            )
        )

    async def again(self, queue: str, fact_id: FactId, attempt: int, *, due_at: datetime, attempts: int) -> bool:
        """Try the claimed attempt again at `due_at`, with `attempts` on the count. False when it was taken since."""
        return _changed(
            await self._tx.execute(
                """
                UPDATE tasks SET due_at = $4, attempt = $5
                WHERE queue = $1 AND fact_id = $2 AND attempt = $3 AND parked_at IS NULL
                """,
                queue,
                fact_id,
                attempt,
                due_at,
                attempts,
            )
        )

    async def park(self, queue: str, fact_id: FactId, attempt: int, *, reason: str, at: datetime) -> bool:
        """Give the claimed attempt up until somebody replays it. False when it was taken since."""
        return _changed(
            await self._tx.execute(
                """
                UPDATE tasks SET parked_at = $4, reason = $5
                WHERE queue = $1 AND fact_id = $2 AND attempt = $3 AND parked_at IS NULL
                """,
                queue,
                fact_id,
                attempt,
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
        """Give a parked task all its attempts again, from now. False when it is not parked."""
        replayed = _changed(
            await self._tx.execute(
                """
                UPDATE tasks SET parked_at = NULL, reason = NULL, attempt = 0, due_at = $3
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

    async def waiting(self, queue: str) -> int:
        """How many tasks of a queue are neither done nor parked."""
        n: int = await self._tx.fetchval("SELECT count(*) FROM tasks WHERE queue = $1 AND parked_at IS NULL", queue)
        return n


def _changed(status: str) -> bool:
    return status.endswith(" 1")
