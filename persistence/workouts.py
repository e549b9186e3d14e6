"""Workouts: what one person did, the body it is judged by, and its summary.

A workout's samples are those of its streams, one after the other in the order they were opened; position n of a workout
is counted over all of them. Today a workout has one stream, so positions are its sequence numbers.
"""

from datetime import datetime
from typing import Final

import asyncpg
import msgspec

from persistence.database import Tx
from persistence.samples import SAMPLES, decode_batch, unpack_batch
from persistence.sealing import Sealing, data_key_of
from services.kernel.clock import to_wall_ms
from services.kernel.ids import AccountId, ClassId, WorkoutId
from services.privacy.vault import Field
from services.training.physiology import Physiology
from services.training.plausibility import Verdict
from services.training.sample import Sample
from services.training.summary import WorkoutSummary
from services.training.workouts import Workout

PHYSIOLOGY: Final = Field("workouts", "physiology_sealed")
BODY_COLUMNS: Final = f"""
    workouts.account_id, workouts.physiology, workouts.physiology_sealed, {data_key_of("workouts.account_id")} AS data_key
"""
WORKOUT_COLUMNS: Final = f"""
    workouts.id, workouts.class_id, workouts.sport, workouts.created_at, workouts.finished_at, workouts.summary,
    workouts.revision, workouts.verdict AS standing, {BODY_COLUMNS}
"""


class Workouts:
    """The workouts inside one transaction."""

    def __init__(self, tx: Tx, sealing: Sealing | None = None) -> None:
        self._tx: Final = tx
        self._sealing: Final = sealing or Sealing(tx)

    async def create(
        self,
        workout_id: WorkoutId,
        *,
        account_id: AccountId,
        class_id: ClassId | None,
        sport: str,
        physiology: Physiology,
        created_at: datetime,
    ) -> None:
        """A new workout, judged by this body for ever."""
        plain, sealed = await self._kept(account_id, physiology)
        await self._tx.execute(
            """
            INSERT INTO workouts (id, account_id, class_id, sport, physiology, physiology_sealed, created_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7)
            """,
            workout_id,
            account_id,
            class_id,
            sport,
            plain,
            sealed,
            created_at,
        )

    async def by_id(self, workout_id: WorkoutId) -> Workout | None:
        """The workout, or None."""
        row = await self._tx.fetchrow(f"SELECT {WORKOUT_COLUMNS} FROM workouts WHERE id = $1", workout_id)  # noqa: S608
        return None if row is None else workout_of(row, self._sealing)

    async def lock(self, workout_id: WorkoutId) -> Workout | None:
        """The workout, its row locked until the transaction ends (FOR NO KEY UPDATE), or None."""
        row = await self._tx.fetchrow(
            f"SELECT {WORKOUT_COLUMNS} FROM workouts WHERE id = $1 FOR NO KEY UPDATE",  # noqa: S608
            workout_id,
        )
        return None if row is None else workout_of(row, self._sealing)

    async def physiology(self, workout_id: WorkoutId) -> Physiology:
        """The body the workout is judged by. Raises `LookupError` when there is no such workout."""
        row = await self._tx.fetchrow(f"SELECT {BODY_COLUMNS} FROM workouts WHERE id = $1", workout_id)  # noqa: S608
        if row is None:
            raise LookupError(f"there is no workout {workout_id}")
        return body_of(row, self._sealing)

    async def of_account(self, account_id: AccountId, *, before: WorkoutId | None, limit: int) -> list[Workout]:
        """Somebody's workouts, newest first, from the one after `before` on."""
        rows = await self._tx.fetch(
            f"""
            SELECT {WORKOUT_COLUMNS} FROM workouts
            WHERE account_id = $1
              AND ($2::uuid IS NULL
                   OR (created_at, id) < (SELECT created_at, id FROM workouts WHERE id = $2 AND account_id = $1))
            ORDER BY created_at DESC, id DESC
            LIMIT $3
            """,  # noqa: S608
            account_id,
            before,
            limit,
        )
        return [workout_of(row, self._sealing) for row in rows]

    async def following(
        self, account_id: AccountId, *, after: WorkoutId | None, since: datetime | None, limit: int
    ) -> list[Workout]:
        """Somebody's finished workouts, oldest first, from the one after `after` on, begun at `since` or later."""
        rows = await self._tx.fetch(
            f"""
            SELECT {WORKOUT_COLUMNS} FROM workouts
            WHERE account_id = $1 AND finished_at IS NOT NULL
              AND ($2::uuid IS NULL OR (created_at, id) > (SELECT created_at, id FROM workouts WHERE id = $2))
              AND ($3::timestamptz IS NULL OR created_at >= $3)
            ORDER BY created_at, id
            LIMIT $4
            """,  # noqa: S608
            account_id,
            after,
            since,
            limit,
        )
        return [workout_of(row, self._sealing) for row in rows]

    async def count_finished(self, account_id: AccountId, since: datetime | None) -> int:
        """How many finished workouts somebody has, of those begun at `since` or later."""
        n: int = await self._tx.fetchval(
            """
            SELECT count(*) FROM workouts
            WHERE account_id = $1 AND finished_at IS NOT NULL AND ($2::timestamptz IS NULL OR created_at >= $2)
            """,
            account_id,
            since,
        )
        return n

    async def judge_by(self, workout_id: WorkoutId, physiology: Physiology) -> None:
        """Judge the workout by another body from now on; its summary is for the caller to make."""
        account_id = await self._tx.fetchval("SELECT account_id FROM workouts WHERE id = $1", workout_id)
        if account_id is None:
            return
        await self._tx.execute(
            "UPDATE workouts SET physiology = $2, physiology_sealed = $3 WHERE id = $1",
            workout_id,
            *await self._kept(AccountId(account_id), physiology),
        )

    async def _kept(self, account_id: AccountId, physiology: Physiology) -> tuple[str | None, bytes | None]:
        """A body plain or sealed, as the two columns have it."""
        plain = msgspec.json.encode(physiology)
        sealed = await self._sealing.seal(account_id, PHYSIOLOGY, plain)
        return (plain.decode(), None) if sealed is None else (None, sealed)

    async def finish(self, workout_id: WorkoutId, at: datetime) -> None:
        """The workout is finished, at `at` unless it was before. Locks it either way: a fact about it may follow."""
        await self._tx.execute(
            "UPDATE workouts SET finished_at = coalesce(finished_at, $2) WHERE id = $1", workout_id, at
        )

    async def store_summary(self, workout_id: WorkoutId, summary: WorkoutSummary) -> int:
        """Keep the summary in place of an earlier one; its revision, from 1.

        Raises `LookupError` when there is no such workout.
        """
        revision: int | None = await self._tx.fetchval(
            """
            UPDATE workouts SET summary = $2, revision = revision + 1
            WHERE id = $1
            RETURNING revision
            """,
            workout_id,
            msgspec.json.encode(summary).decode(),
        )
        if revision is None:
            raise LookupError(f"there is no workout {workout_id}")
        return revision

    async def stand(self, workout_id: WorkoutId, verdict: Verdict) -> None:
        """What stands of a workout from now on; another revision of it, because it is worth something else."""
        await self._tx.execute(
            "UPDATE workouts SET verdict = $2, revision = revision + 1 WHERE id = $1", workout_id, verdict
        )

    async def samples(self, workout_id: WorkoutId, from_seq: int, limit: int) -> list[Sample]:
        """Up to `limit` samples from position `from_seq` on; fewer, or none, where the stored ones end.

        Positions of a stream are without holes, so the batches of a page are found by their numbers alone.
        """
        rows = await self._tx.fetch(
            f"""
            SELECT part.shift + batch.first_seq AS position, batch.t, batch.bpm, batch.rr, batch.rr_n,
                   batch.distance_m, batch.power_w, batch.cadence, batch.sealed, part.account_id, part.data_key
            FROM (
                SELECT id, next_seq, account_id, {data_key_of("streams.account_id")} AS data_key,
                       (sum(next_seq) OVER (ORDER BY opened_at, id))::bigint - next_seq AS shift
                FROM streams
                WHERE workout_id = $1
            ) AS part
            CROSS JOIN LATERAL (
                SELECT first_seq, t, bpm, rr, rr_n, distance_m, power_w, cadence, sealed FROM sample_batches
                WHERE stream_id = part.id
                  AND first_seq < $3::bigint - part.shift
                  AND first_seq >= coalesce(
                      (SELECT max(first_seq) FROM sample_batches
                       WHERE stream_id = part.id AND first_seq <= $2::bigint - part.shift), 0)
            ) AS batch
            WHERE part.shift < $3 AND part.shift + part.next_seq > $2
            ORDER BY position
            """,  # noqa: S608
            workout_id,
            from_seq,
            from_seq + limit,
        )
        found: list[Sample] = []
        for row in rows:
            samples = self._samples(row)
            skip = max(from_seq - int(row["position"]), 0)
            found.extend(samples[skip:])
        del found[limit:]
        return found

    def _samples(self, row: asyncpg.Record) -> tuple[Sample, ...]:
        if row["sealed"] is None:
            return decode_batch(row)
        return unpack_batch(self._sealing.open(AccountId(row["account_id"]), row["data_key"], SAMPLES, row["sealed"]))


def body_of(row: asyncpg.Record, sealing: Sealing) -> Physiology:
    """The body of a row that has `BODY_COLUMNS`. Raises CannotOpen."""
    plain: str | bytes | None = row["physiology"]
    if plain is None:
        plain = sealing.open(AccountId(row["account_id"]), row["data_key"], PHYSIOLOGY, row["physiology_sealed"])
    return msgspec.json.decode(plain, type=Physiology)


def workout_of(row: asyncpg.Record, sealing: Sealing) -> Workout:
    """The workout of a row that has `WORKOUT_COLUMNS`."""
    summary: str | None = row["summary"]
    return Workout(
        id=WorkoutId(row["id"]),
        account_id=AccountId(row["account_id"]),
        class_id=None if row["class_id"] is None else ClassId(row["class_id"]),
        sport=row["sport"],
        physiology=body_of(row, sealing),
        created_at_ms=to_wall_ms(row["created_at"]),
        finished_at_ms=None if row["finished_at"] is None else to_wall_ms(row["finished_at"]),
        revision=row["revision"],
        summary=None if summary is None else msgspec.json.decode(summary, type=WorkoutSummary),
        verdict=row["standing"],
    )
