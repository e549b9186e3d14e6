"""Who follows the log of facts, and how far each has come.

A follower's position is moved in the transaction of what it made of the facts, so the two never disagree. Its row is also its
lease: one node at a time follows, and takes over from one that has been silent. A lease alone would not be enough, since whoever
was frozen believes that it still holds it: the row is claimed again in every transaction, and a follower that finds another
run or another position than its own has been overtaken and commits nothing.
"""

import uuid
from datetime import date, datetime
from typing import Final

import msgspec

from persistence.database import Tx


class Run(msgspec.Struct, frozen=True):
    """A follower's way through the log, from a beginning on: its number, the first day it counts (None until its first facts
    are there), and the position behind what it has taken in (None at the beginning)."""

    name: str
    family: str
    number: int
    first_day: date | None
    position: str | None


class Followers:
    """The followers inside one transaction."""

    def __init__(self, tx: Tx) -> None:
        self._tx: Final = tx

    async def claim(self, name: str, family: str, holder: uuid.UUID, now: datetime, until: datetime) -> Run | None:
        """Follow, until `until` if nothing is heard before: where to go on. None while another one does.

        The row stays locked until the transaction ends. The first run of all counts every day.
        """
        row = await self._tx.fetchrow(
            """
            INSERT INTO followers (name, family, first_day, holder, held_until)
            VALUES ($1, $2, 'epoch', $3, $5)
            ON CONFLICT (name, family) DO UPDATE SET holder = excluded.holder, held_until = excluded.held_until
                WHERE followers.holder IS NULL OR followers.holder = excluded.holder OR followers.held_until < $4
            RETURNING name, family, run AS number, first_day, position
            """,
            name,
            family,
            holder,
            now,
            until,
        )
        return None if row is None else Run(**row)

    async def advance(self, run: Run, position: str) -> Run:
        """The run, claimed in this transaction, has taken in everything up to this position: the run as it is then."""
        row = await self._tx.fetchrow(
            """
            UPDATE followers SET position = $3
            WHERE name = $1 AND family = $2
            RETURNING name, family, run AS number, first_day, position
            """,
            run.name,
            run.family,
            position,
        )
        return Run(**row)

    async def count_from(self, run: Run, first_day: date) -> None:
        """The run, claimed in this transaction, counts from this day on."""
        await self._tx.execute(
            "UPDATE followers SET first_day = $3 WHERE name = $1 AND family = $2", run.name, run.family, first_day
        )

    async def let_go(self, name: str, family: str, holder: uuid.UUID) -> None:
        """Whoever wants to may follow now."""
        await self._tx.execute(
            "UPDATE followers SET holder = NULL WHERE name = $1 AND family = $2 AND holder = $3", name, family, holder
        )

    async def begin_anew(self, name: str, family: str | None = None) -> int:
        """Another run, from the beginning of what the log has; of one family or of all. How many that are.

        Whoever follows notices within seconds. Days of which the log lacks the beginning stay as they are.
        """
        status: str = await self._tx.execute(
            """
            UPDATE followers SET run = run + 1, position = NULL, first_day = NULL
            WHERE name = $1 AND ($2::text IS NULL OR family = $2)
            """,
            name,
            family,
        )
        return int(status.split()[-1])
