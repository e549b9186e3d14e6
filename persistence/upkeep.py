"""What the schedule does to rows of several aggregates, in bites small enough to disturb nobody.

Every statement takes a bounded number of rows and skips those that somebody else holds, so two schedulers at once, or a
scheduler beside the live system, share the work instead of waiting for each other.
"""

from datetime import datetime
from typing import Final

import msgspec

from persistence.database import Tx
from services.kernel.ids import AccountId, StreamId, WorkoutId


class Abandoned(msgspec.Struct, frozen=True):
    """A stream that nobody feeds any more, now finished."""

    stream_id: StreamId
    workout_id: WorkoutId
    account_id: AccountId


class Upkeep:
    """The statements inside one transaction."""

    def __init__(self, tx: Tx) -> None:
        self._tx: Final = tx

    async def finish_abandoned(
        self, at: datetime, *, silent_since: datetime, over_since: datetime, limit: int
    ) -> list[Abandoned]:
        """Finish up to `limit` open streams, and their workouts, that have been silent since `silent_since`, or whose class
        was over by `over_since` and who have been silent since then.

        The epoch stays: a device that was only away may still send, and its samples count as late ones.
        """
        rows = await self._tx.fetch(
            """
            WITH abandoned AS (
                SELECT streams.id FROM streams
                LEFT JOIN classes ON classes.id = streams.class_id
                WHERE streams.finished_at IS NULL
                  AND (streams.last_sample_at < $2
                       OR (streams.last_sample_at < $3 AND classes.ended_at < $3))
                ORDER BY streams.last_sample_at
                LIMIT $4
                FOR NO KEY UPDATE OF streams SKIP LOCKED
            ), finished AS (
                UPDATE streams SET finished_at = $1
                FROM abandoned
                WHERE streams.id = abandoned.id
                RETURNING streams.id, streams.workout_id, streams.account_id
            ), closed AS (
                UPDATE workouts SET finished_at = coalesce(workouts.finished_at, $1)
                FROM finished
                WHERE workouts.id = finished.workout_id
            )
            SELECT id AS stream_id, workout_id, account_id FROM finished
            """,
            at,
            silent_since,
            over_since,
            limit,
        )
        return [Abandoned(**row) for row in rows]

    async def prune_refresh_tokens(self, expired_before: datetime, limit: int) -> int:
        """Forget up to `limit` refresh tokens that expired before an instant; how many they were.

        Used tokens stay until they expire: one that is shown a second time betrays a theft.
        """
        status: str = await self._tx.execute(
            """
            DELETE FROM refresh_tokens
            WHERE token_hash IN (
                SELECT token_hash FROM refresh_tokens
                WHERE expires_at < $1
                ORDER BY expires_at
                LIMIT $2
                FOR UPDATE SKIP LOCKED
            )
            """,
            expired_before,
            limit,
        )
        return int(status.split()[-1])
