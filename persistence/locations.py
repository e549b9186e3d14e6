"""Where somebody was as a workout began, in tenths of a degree, for a month (services/training/location.py)."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from persistence.database import Tx
from services.fairplay.comparing import Elsewhere
from services.fairplay.judging import Examined
from services.kernel.clock import to_wall_ms, utc
from services.kernel.ids import AccountId, WorkoutId
from services.training.location import PER_DEGREE, Location


class Locations:
    """The locations inside one transaction."""

    def __init__(self, tx: Tx) -> None:
        self._tx: Final = tx

    async def add(self, workout_id: WorkoutId, account_id: AccountId, location: Location, at: datetime) -> None:
        """Where a new workout begins; kept no finer than `PER_DEGREE`."""
        await self._tx.execute(
            "INSERT INTO workout_locations (workout_id, account_id, latitude, longitude, told_at) VALUES ($1, $2, $3, $4, $5)",
            workout_id,
            account_id,
            round(location.latitude * PER_DEGREE),
            round(location.longitude * PER_DEGREE),
            at,
        )

    async def of(self, workout_id: WorkoutId) -> Location | None:
        """Where a workout began; None where nobody has said, or it is forgotten."""
        row = await self._tx.fetchrow(
            "SELECT latitude, longitude FROM workout_locations WHERE workout_id = $1", workout_id
        )
        return None if row is None else Location(row["latitude"] / PER_DEGREE, row["longitude"] / PER_DEGREE)

    async def own_near(
        self, examined: Examined, reach_ms: int, known: Sequence[WorkoutId], limit: int
    ) -> list[Elsewhere]:
        """Other workouts of the same person that say where they were: the `known` ones, whenever they began, and up to `limit`
        that began within `reach_ms` of this one, the nearest in time first."""
        rows = await self._tx.fetch(
            """
            SELECT told.workout_id, told.latitude, told.longitude, verdicts.began_at
            FROM workout_locations AS told JOIN verdicts ON verdicts.workout_id = told.workout_id
            WHERE told.account_id = $1 AND told.workout_id <> $2
                AND (verdicts.began_at BETWEEN $3 AND $4 OR told.workout_id = ANY($5::uuid[]))
            ORDER BY told.workout_id = ANY($5::uuid[]) DESC, abs(extract(epoch FROM verdicts.began_at - $6)), told.workout_id
            LIMIT $7
            """,
            examined.account_id,
            examined.workout_id,
            utc(examined.began_ms - reach_ms),
            utc(examined.began_ms + reach_ms),
            known,
            utc(examined.began_ms),
            limit + len(known),
        )
        return [
            Elsewhere(
                WorkoutId(row["workout_id"]),
                Location(row["latitude"] / PER_DEGREE, row["longitude"] / PER_DEGREE),
                to_wall_ms(row["began_at"]),
            )
            for row in rows
        ]

    async def prune(self, before: datetime, limit: int) -> int:
        """Forget what was told before."""
        done = await self._tx.execute(
            """
            DELETE FROM workout_locations WHERE workout_id IN (
                SELECT workout_id FROM workout_locations WHERE told_at < $1 ORDER BY told_at LIMIT $2)
            """,
            before,
            limit,
        )
        return int(done.split()[-1])
