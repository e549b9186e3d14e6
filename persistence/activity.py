"""How much happened on each day: facts by type and day (UTC), kept by a follower of the log."""

from collections.abc import Sequence
from datetime import date
from typing import Final

import msgspec

from persistence.database import Tx


class Activity(msgspec.Struct, frozen=True):
    """So many facts of a type became true on a day."""

    day: date
    family: str
    type: str
    n: int


class ActivityDays:
    """The numbers inside one transaction."""

    def __init__(self, tx: Tx) -> None:
        self._tx: Final = tx

    async def add(self, activities: Sequence[Activity]) -> None:
        """Count these to what is there, each (day, type) once."""
        await self._tx.executemany(
            """
            INSERT INTO activity_days (day, family, type, n)
            VALUES ($1, $2, $3, $4)
            ON CONFLICT (day, type) DO UPDATE SET n = activity_days.n + excluded.n
            """,
            [(each.day, each.family, each.type, each.n) for each in activities],
        )

    async def forget(self, family: str, since: date) -> None:
        """Begin to count a family's days anew, from this one on."""
        await self._tx.execute("DELETE FROM activity_days WHERE family = $1 AND day >= $2", family, since)

    async def since(self, day: date) -> list[Activity]:
        """The numbers from this day on, by day and type."""
        rows = await self._tx.fetch(
            "SELECT day, family, type, n FROM activity_days WHERE day >= $1 ORDER BY day, family, type", day
        )
        return [Activity(**row) for row in rows]
