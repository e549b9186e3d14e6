"""The schedule's memory: which due times of each job are decided, and what became of those that were taken.

A tick is taken by inserting its row: two schedulers can both want it and one of them gets it. It is open until its work is
done. What a leader that died has left open is taken up by the next, from what `did` says is committed.

A job is begun in the transaction that takes its ticks, and comes back with the next bite that ends, well or not.
`begun` counts how often it did not: what kills its process is known by that.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple

import asyncpg

from persistence.database import Tx
from persistence.leadership import Leadership
from services.kernel.clock import to_wall_ms
from services.schedule.jobs import JobView, LeaderView, Tick, TickView

LEADERSHIP: Final = "schedule"
"""The name under which schedulers lead."""
REASON_LENGTH: Final = 500
_CAME_BACK: Final = "WITH back AS (UPDATE schedule_jobs SET begun = 0 WHERE job = $1 AND begun <> 0)"


class Announced(NamedTuple):
    """Where a job stands: all its due times up to `cursor_ms` (ms since 1970) are decided, and it was `begun` so often
    since it last came back."""

    cursor_ms: int
    begun: int


class Ticks:
    """Jobs and their ticks inside one transaction."""

    def __init__(self, tx: Tx) -> None:
        self._tx: Final = tx

    async def announce(self, epoch: int, jobs: Sequence[tuple[str, str, str, datetime]]) -> dict[str, Announced]:
        """Say which jobs (name, spec, missed policy, cursor to begin with) the leader of `epoch` has; where each
        stands. A job that is new, or whose spec has changed, begins anew."""
        rows = await self._tx.fetch(
            """
            INSERT INTO schedule_jobs AS known (job, spec, missed, epoch, cursor_at)
            SELECT job, spec, missed, $5, cursor_at
            FROM unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[]) AS new (job, spec, missed, cursor_at)
            ON CONFLICT (job) DO UPDATE
                SET cursor_at = CASE WHEN known.spec = excluded.spec THEN known.cursor_at ELSE excluded.cursor_at END,
                    spec = excluded.spec, missed = excluded.missed, epoch = excluded.epoch
            RETURNING job, cursor_at, begun
            """,
            [job for job, _, _, _ in jobs],
            [spec for _, spec, _, _ in jobs],
            [missed for _, _, missed, _ in jobs],
            [cursor for _, _, _, cursor in jobs],
            epoch,
        )
        return {row["job"]: Announced(to_wall_ms(row["cursor_at"]), row["begun"]) for row in rows}

    async def advance(self, job: str, cursor: datetime, next_due: datetime | None, *, begins: bool) -> None:
        """All due times up to `cursor` are decided; the next one is `next_due`, as far as can be told. `begins`: and
        the job is begun if this transaction commits."""
        await self._tx.execute(
            "UPDATE schedule_jobs SET cursor_at = $2, next_due_at = $3, begun = begun + $4 WHERE job = $1",
            job,
            cursor,
            next_due,
            int(begins),
        )

    async def take(self, job: str, due: datetime, epoch: int, at: datetime) -> bool:
        """Take a tick; False when it was taken before."""
        status: str = await self._tx.execute(
            """
            INSERT INTO schedule_ticks (job, due_at, epoch, taken_at) VALUES ($1, $2, $3, $4)
            ON CONFLICT (job, due_at) DO NOTHING
            """,
            job,
            due,
            epoch,
            at,
        )
        return status.endswith(" 1")

    async def open(self, job: str) -> list[Tick]:
        """The ticks of a job that are taken and not done, oldest first."""
        rows = await self._tx.fetch(
            """
            SELECT job, due_at, did, failures FROM schedule_ticks
            WHERE job = $1 AND ended_at IS NULL
            ORDER BY due_at
            """,
            job,
        )
        return [Tick(row["job"], to_wall_ms(row["due_at"]), row["did"], row["failures"]) for row in rows]

    async def supersede(self, job: str, before: datetime, at: datetime) -> None:
        """Close the open ticks of a job that were due before `before`: the one that is does their work too."""
        await self._tx.execute(
            """
            UPDATE schedule_ticks SET ended_at = $3, problem = coalesce(problem, 'a newer one took its place')
            WHERE job = $1 AND due_at < $2 AND ended_at IS NULL
            """,
            job,
            before,
            at,
        )

    async def did(self, tick: Tick, epoch: int, amount: int) -> None:
        """So much more of a tick is done if this transaction commits."""
        await self._tx.execute(
            f"""
            {_CAME_BACK}
            UPDATE schedule_ticks SET did = did + $4, epoch = $3 WHERE job = $1 AND due_at = $2
            """,  # noqa: S608 - a statement of ours
            tick.job,
            tick.due,
            epoch,
            amount,
        )

    async def end(self, tick: Tick, epoch: int, at: datetime) -> None:
        """The tick is done if this transaction commits."""
        await self._tx.execute(
            f"""
            {_CAME_BACK}
            UPDATE schedule_ticks SET ended_at = $4, epoch = $3, problem = NULL
            WHERE job = $1 AND due_at = $2 AND ended_at IS NULL
            """,  # noqa: S608 - a statement of ours
            tick.job,
            tick.due,
            epoch,
            at,
        )

    async def failed(self, tick: Tick, epoch: int, problem: str, at: datetime, *, give_up: bool) -> None:
        """The tick's work has failed once more; `give_up`: it is not tried again."""
        await self._tx.execute(
            """
            UPDATE schedule_ticks
            SET failures = failures + 1, epoch = $3, problem = $4,
                ended_at = CASE WHEN $6 THEN $5::timestamptz END
            WHERE job = $1 AND due_at = $2 AND ended_at IS NULL
            """,
            tick.job,
            tick.due,
            epoch,
            problem[:REASON_LENGTH],
            at,
            give_up,
        )
        await self._tx.execute("UPDATE schedule_jobs SET failures = failures + 1, begun = 0 WHERE job = $1", tick.job)

    async def want(self, job: str, at: datetime) -> bool:
        """Ask for a job now; False when there is none of this name."""
        status: str = await self._tx.execute("UPDATE schedule_jobs SET wanted_at = $2 WHERE job = $1", job, at)
        return status.endswith(" 1")

    async def wanted(self) -> list[str]:
        """The jobs that somebody has asked for."""
        return [row["job"] for row in await self._tx.fetch("SELECT job FROM schedule_jobs WHERE wanted_at IS NOT NULL")]

    async def granted(self, job: str) -> None:
        """Somebody's wish is a tick now."""
        await self._tx.execute("UPDATE schedule_jobs SET wanted_at = NULL WHERE job = $1", job)

    async def leader(self) -> LeaderView | None:
        """Who does the jobs or did last; None when nobody ever has."""
        found = await Leadership(self._tx, LEADERSHIP).leader()
        return None if found is None else LeaderView(found.holder, found.epoch, to_wall_ms(found.since), found.leads)

    async def jobs(self) -> list[JobView]:
        """Every job with its latest tick, by name."""
        rows = await self._tx.fetch(
            """
            SELECT known.job, known.spec, known.missed, known.next_due_at, known.wanted_at, known.failures,
                   known.epoch = (SELECT epoch FROM leadership WHERE name = $1) AS known,
                   tick.due_at, tick.taken_at, tick.ended_at, tick.did, tick.failures AS tick_failures, tick.problem
            FROM schedule_jobs AS known
            LEFT JOIN LATERAL (
                SELECT * FROM schedule_ticks WHERE job = known.job ORDER BY due_at DESC LIMIT 1
            ) AS tick ON true
            ORDER BY known.job
            """,
            LEADERSHIP,
        )
        return [_job(row) for row in rows]

    async def prune(self, before: datetime, limit: int) -> int:
        """Forget up to `limit` ticks that ended before an instant, but no job's newest; how many they were."""
        status: str = await self._tx.execute(
            """
            DELETE FROM schedule_ticks
            WHERE (job, due_at) IN (
                SELECT job, due_at FROM schedule_ticks AS old
                WHERE ended_at < $1
                  AND EXISTS (SELECT FROM schedule_ticks WHERE job = old.job AND due_at > old.due_at)
                ORDER BY ended_at
                LIMIT $2
                FOR UPDATE SKIP LOCKED
            )
            """,
            before,
            limit,
        )
        return int(status.split()[-1])


def _job(row: asyncpg.Record) -> JobView:
    return JobView(
        job=row["job"],
        due=row["spec"],
        missed=row["missed"],
        known=bool(row["known"]),
        asked=row["wanted_at"] is not None,
        failures=row["failures"],
        next_due_ms=_ms(row["next_due_at"]),
        last=None
        if row["due_at"] is None
        else TickView(
            due_ms=to_wall_ms(row["due_at"]),
            taken_ms=to_wall_ms(row["taken_at"]),
            ended_ms=_ms(row["ended_at"]),
            did=row["did"],
            failures=row["tick_failures"],
            problem=row["problem"],
        ),
    )


def _ms(instant: datetime | None) -> int | None:
    return None if instant is None else to_wall_ms(instant)
