"""Where somebody was as a workout began, in tenths of a degree, for a month (services/training/location.py)."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from persistence.database import Tx
from services.fairplay.comparing import Elsewhere
from services.kernel.clock import to_wall_ms, utc
from services.kernel.ids import AccountId, WorkoutId
from services.training.location import Location

_TENTHS: Final = 10


class Places:
    """The places inside one transaction."""

    def __init__(self, tx: Tx) -> None:
        self._tx: Final = tx

    async def add(self, workout_id: WorkoutId, account_id: AccountId, location: Location, at: datetime) -> None:
        """Where a new workout begins. What is finer than a tenth of a degree is not kept."""
        await self._tx.execute(
            "INSERT INTO workout_places (workout_id, account_id, latitude, longitude, told_at) VALUES ($1, $2, $3, $4, $5)",
            workout_id,
            account_id,
            round(location.latitude * _TENTHS),
            round(location.longitude * _TENTHS),
            at,
        )

    async def of(self, workout_id: WorkoutId) -> Location | None:
        """Where a workout began; None where nobody has said, or it is forgotten."""
        row = await self._tx.fetchrow(
            "SELECT latitude, longitude FROM workout_places WHERE workout_id = $1", workout_id
        )
        return None if row is None else Location(row["latitude"] / _TENTHS, row["longitude"] / _TENTHS)

    async def own_near(
        self,
        account_id: AccountId,
        workout_id: WorkoutId,
        began_ms: int,
        reach_ms: int,
        known: Sequence[WorkoutId],
        limit: int,
    ) -> list[Elsewhere]:
        """Other workouts of the same person that say where they were and began within `reach_ms` of that time, the nearest in time
        first; and those that are `known`, whenever they began."""
        rows = await self._tx.fetch(
            """
            SELECT place.workout_id, place.latitude, place.longitude, verdicts.began_at
            FROM workout_places AS place JOIN verdicts ON verdicts.workout_id = place.workout_id
            WHERE place.account_id = $1 AND place.workout_id <> $2
                AND (verdicts.began_at BETWEEN $3 AND $4 OR place.workout_id = ANY($5::uuid[]))
            ORDER BY place.workout_id = ANY($5::uuid[]) DESC, abs(extract(epoch FROM verdicts.began_at - $6)), place.workout_id
            LIMIT $7
            """,
            account_id,
            workout_id,
            utc(began_ms - reach_ms),
            utc(began_ms + reach_ms),
            known,
            utc(began_ms),
            limit + len(known),
        )
        return [
            Elsewhere(
                WorkoutId(row["workout_id"]),
                Location(row["latitude"] / _TENTHS, row["longitude"] / _TENTHS),
                to_wall_ms(row["began_at"]),
            )
            for row in rows
        ]

    async def prune(self, before: datetime, limit: int) -> int:
        """Forget what was told before."""
        done = await self._tx.execute(
            """
            DELETE FROM workout_places WHERE workout_id IN (
                SELECT workout_id FROM workout_places WHERE told_at < $1 ORDER BY told_at LIMIT $2)
            """,
            before,
            limit,
        )
        return int(done.split()[-1])
