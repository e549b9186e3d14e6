"""Long tasks: who wants what, who is at it, and how far it is.

A worker takes a task with `claim`, under a new epoch and a lease by the database's clock, and keeps it with `beat`. What it does,
it does in transactions that end with `step` or `end`: they change the row only under its epoch, so a worker that was frozen for
longer than its lease finds that its late commit does nothing (they say False, and the transaction must be rolled back). No
lock is held in between: the owner can cancel at any time, and the lease can be renewed while a long step runs.
"""

from datetime import datetime, timedelta
from typing import Final

import asyncpg
import msgspec

from persistence.database import Tx
from services.kernel import trace
from services.kernel.clock import to_wall_ms, utc
from services.kernel.ids import AccountId, TaskId
from services.tasks.task import AnyWork, Step, Task, TaskResult

REASON_LENGTH: Final = 500
_COLUMNS: Final = """
    id, account_id, work, state, created_at, started_at, ended_at, done, total, note, checkpoint, attempt, epoch,
    cancel_asked_at, result, problem, traceparent
"""
_work: Final = msgspec.json.Decoder(AnyWork)


class LongTasks:
    """The long tasks inside one transaction."""

    def __init__(self, tx: Tx) -> None:
        self._tx: Final = tx

    # -- for owners ---------------------------------------------------------------------------------------------------

    async def add(self, task: Task, key: str) -> bool:
        """A new task that waits; False when its owner has one under this key."""
        status: str = await self._tx.execute(
            """
            INSERT INTO long_tasks (id, account_id, kind, key, work, due_at, created_at, traceparent)
            VALUES ($1, $2, $3, $4, $5, $6, $6, $7)
            ON CONFLICT (account_id, key) DO NOTHING
            """,
            task.id,
            task.account_id,
            task.kind,
            key,
            msgspec.json.encode(task.work).decode(),
            utc(task.created_ms),
            trace.traceparent(),
        )
        return status.endswith(" 1")

    async def by_id(self, task_id: TaskId) -> Task | None:
        """The task, or None."""
        return _task(await self._tx.fetchrow(f"SELECT {_COLUMNS} FROM long_tasks WHERE id = $1", task_id))  # noqa: S608

    async def lock(self, task_id: TaskId) -> Task | None:
        """The task, its row locked until the transaction ends (FOR NO KEY UPDATE), or None."""
        return _task(
            await self._tx.fetchrow(
                f"SELECT {_COLUMNS} FROM long_tasks WHERE id = $1 FOR NO KEY UPDATE",  # noqa: S608
                task_id,
            )
        )

    async def by_key(self, account_id: AccountId, key: str) -> Task | None:
        """Somebody's task under a key, or None."""
        return _task(
            await self._tx.fetchrow(
                f"SELECT {_COLUMNS} FROM long_tasks WHERE account_id = $1 AND key = $2",  # noqa: S608
                account_id,
                key,
            )
        )

    async def of_account(self, account_id: AccountId, *, before: TaskId | None, limit: int) -> list[Task]:
        """Somebody's tasks, newest first, from the one after `before` on."""
        rows = await self._tx.fetch(
            f"""
            SELECT {_COLUMNS} FROM long_tasks
            WHERE account_id = $1
              AND ($2::uuid IS NULL
                   OR (created_at, id) < (SELECT created_at, id FROM long_tasks WHERE id = $2 AND account_id = $1))
            ORDER BY created_at DESC, id DESC
            LIMIT $3
            """,  # noqa: S608
            account_id,
            before,
            limit,
        )
        return [task for row in rows if (task := _task(row)) is not None]

    async def open(self, account_id: AccountId) -> int:
        """How many of somebody's tasks wait or run."""
        n: int = await self._tx.fetchval(
            "SELECT count(*) FROM long_tasks WHERE account_id = $1 AND state IN ('waiting', 'running')", account_id
        )
        return n

    async def cancel(self, task_id: TaskId, at: datetime) -> Task:
        """Cancel a task that waits; ask a running one's worker to stop; leave one that has ended. The task as it is then.

        Raises `LookupError` when there is none.
        """
        task = _task(
            await self._tx.fetchrow(
                f"""
                UPDATE long_tasks SET
                    cancel_asked_at = CASE WHEN ended_at IS NULL THEN coalesce(cancel_asked_at, $2)
                                           ELSE cancel_asked_at END,
                    ended_at = CASE WHEN state = 'waiting' THEN $2 ELSE ended_at END,
                    state = CASE WHEN state = 'waiting' THEN 'cancelled' ELSE state END
                WHERE id = $1
                RETURNING {_COLUMNS}
                """,  # noqa: S608
                task_id,
                at,
            )
        )
        if task is None:
            raise LookupError(f"there is no task {task_id}")
        return task

    # -- for workers --------------------------------------------------------------------------------------------------

    async def claim(self, kind: str, now: datetime, lease: timedelta) -> Task | None:
        """Take the oldest task of a kind that waits and is due, or whose worker has not been heard of for its lease; None when
        there is none. Of one account, one of a kind at a time."""
        try:
            async with self._tx.transaction():
                row = await self._tx.fetchrow(
                    f"""
                    UPDATE long_tasks SET
                        state = 'running', attempt = attempt + 1, epoch = epoch + 1,
                        lease_until = clock_timestamp() + $3, started_at = coalesce(started_at, $2)
                    WHERE id = (
                        SELECT id FROM long_tasks AS task
                        WHERE kind = $1
                          AND (state = 'waiting' AND due_at <= $2 OR state = 'running' AND lease_until < clock_timestamp())
                          AND NOT EXISTS (
                              SELECT FROM long_tasks AS other
                              WHERE other.account_id = task.account_id AND other.kind = $1
                                AND other.state = 'running' AND other.id <> task.id)
                        ORDER BY created_at
                        LIMIT 1
                        FOR NO KEY UPDATE SKIP LOCKED
                    )
                    RETURNING {_COLUMNS}
                    """,  # noqa: S608
                    kind,
                    now,
                    lease,
                )
        except asyncpg.UniqueViolationError:
            return None  # at this very moment another worker took another task of the same person
        return _task(row)

    async def beat(self, task_id: TaskId, epoch: int, lease: timedelta) -> bool | None:
        """Keep a task for `lease` from now; whether its owner has cancelled it. None when another worker has it."""
        row = await self._tx.fetchrow(
            """
            UPDATE long_tasks SET lease_until = clock_timestamp() + $3
            WHERE id = $1 AND epoch = $2 AND state = 'running'
            RETURNING cancel_asked_at IS NOT NULL AS cancelled
            """,
            task_id,
            epoch,
            lease,
        )
        return None if row is None else bool(row["cancelled"])

    async def step(self, task_id: TaskId, epoch: int, step: Step, lease: timedelta) -> bool:
        """Note a step, if this transaction commits; False when another worker has the task: then it must not."""
        return _changed(
            await self._tx.execute(
                """
                UPDATE long_tasks SET
                    checkpoint = $3, done = $4, total = $5, note = $6, attempt = 0,
                    lease_until = clock_timestamp() + $7
                WHERE id = $1 AND epoch = $2 AND state = 'running'
                """,
                task_id,
                epoch,
                step.checkpoint,
                step.done,
                step.total,
                step.note,
                lease,
            )
        )

    async def end(
        self,
        task_id: TaskId,
        epoch: int,
        state: str,
        at: datetime,
        *,
        result: TaskResult | None = None,
        problem: str | None = None,
    ) -> bool:
        """End a task, if this transaction commits; False when another worker has it: then it must not."""
        file = None if result is None else result.file
        return _changed(
            await self._tx.execute(
                """
                UPDATE long_tasks SET
                    state = $3, ended_at = $4, result = $5, problem = $6, file_until = $7, lease_until = NULL, checkpoint = NULL
                WHERE id = $1 AND epoch = $2 AND state = 'running'
                """,
                task_id,
                epoch,
                state,
                at,
                None if result is None else msgspec.json.encode(result).decode(),
                None if problem is None else problem[:REASON_LENGTH],
                None if file is None else utc(file.until_ms),
            )
        )

    async def release(self, task_id: TaskId, epoch: int, due: datetime, *, blameless: bool) -> bool:
        """Let another worker go on from `due`; `blameless`: this attempt does not count. False when another has it already."""
        return _changed(
            await self._tx.execute(
                """
                UPDATE long_tasks SET
                    state = 'waiting', due_at = $3, lease_until = NULL,
                    attempt = CASE WHEN $4 THEN greatest(attempt - 1, 0) ELSE attempt END
                WHERE id = $1 AND epoch = $2 AND state = 'running'
                """,
                task_id,
                epoch,
                due,
                blameless,
            )
        )

    # -- for the schedule ---------------------------------------------------------------------------------------------

    async def outdated_files(self, now: datetime, limit: int) -> list[tuple[TaskId, str]]:
        """Tasks whose files are to be removed and the names of those, locked, skipping those somebody is at."""
        rows = await self._tx.fetch(
            """
            SELECT id, result FROM long_tasks
            WHERE file_until <= $1
            ORDER BY file_until
            LIMIT $2
            FOR NO KEY UPDATE SKIP LOCKED
            """,
            now,
            limit,
        )
        found = [(TaskId(row["id"]), msgspec.json.decode(row["result"], type=TaskResult).file) for row in rows]
        return [(task_id, file.name) for task_id, file in found if file is not None]

    async def forget_files(self, task_ids: list[TaskId]) -> None:
        """The files of these tasks are removed if this transaction commits."""
        await self._tx.execute("UPDATE long_tasks SET file_until = NULL WHERE id = ANY($1::uuid[])", task_ids)

    async def prune(self, before: datetime, limit: int) -> int:
        """Forget up to `limit` tasks that ended before an instant and have no file; how many they were."""
        status: str = await self._tx.execute(
            """
            DELETE FROM long_tasks
            WHERE id IN (
                SELECT id FROM long_tasks
                WHERE ended_at < $1 AND file_until IS NULL
                ORDER BY ended_at
                LIMIT $2
                FOR UPDATE SKIP LOCKED
            )
            """,
            before,
            limit,
        )
        return int(status.split()[-1])


def _changed(status: str) -> bool:
    return status.endswith(" 1")


def _task(row: asyncpg.Record | None) -> Task | None:
    if row is None:
        return None
    return Task(
        id=TaskId(row["id"]),
        account_id=AccountId(row["account_id"]),
        work=_work.decode(row["work"]),
        state=row["state"],
        created_ms=to_wall_ms(row["created_at"]),
        started_ms=None if row["started_at"] is None else to_wall_ms(row["started_at"]),
        ended_ms=None if row["ended_at"] is None else to_wall_ms(row["ended_at"]),
        done=row["done"],
        total=row["total"],
        note=row["note"],
        checkpoint=row["checkpoint"],
        attempt=row["attempt"],
        epoch=row["epoch"],
        cancel_asked=row["cancel_asked_at"] is not None,
        result=None if row["result"] is None else msgspec.json.decode(row["result"], type=TaskResult),
        problem=row["problem"],
        traceparent=row["traceparent"],
    )
