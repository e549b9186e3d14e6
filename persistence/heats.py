"""Heats: the room in which a challenge is ridden, when, and who is ready.

Whoever writes holds the row of the challenge (`stores.challenges.lock`).
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import asyncpg

from persistence.database import Tx
from services.challenges.heat import Heat
from services.kernel.clock import to_wall_ms
from services.kernel.ids import AccountId, ChallengeId, ClassId, WorkoutId

_COLUMNS: Final = """
    heats.challenge_id, heats.class_id, classes.code, classes.created_at, heats.starts_at, heats.ends_at, heats.closes_at
"""
_FROM: Final = "heats JOIN classes ON classes.id = heats.class_id"


class Heats:
    """The heats inside one transaction."""

    def __init__(self, tx: Tx) -> None:
        self._tx: Final = tx

    async def add(self, challenge_id: ChallengeId, class_id: ClassId) -> None:
        """The challenge is ridden in the room of this class."""
        await self._tx.execute("INSERT INTO heats (challenge_id, class_id) VALUES ($1, $2)", challenge_id, class_id)

    async def of(self, challenge_id: ChallengeId) -> Heat | None:
        """The heat that a challenge is, or None."""
        row = await self._tx.fetchrow(f"SELECT {_COLUMNS} FROM {_FROM} WHERE heats.challenge_id = $1", challenge_id)  # noqa: S608
        return None if row is None else _heat(row)

    async def lets_in(self, class_id: ClassId, account_id: AccountId) -> bool:
        """Whether somebody is a member of the heat that is ridden in the room of this class."""
        found: bool = await self._tx.fetchval(
            """
            SELECT EXISTS (
                SELECT FROM heats JOIN challenge_members AS member ON member.challenge_id = heats.challenge_id
                WHERE heats.class_id = $1 AND member.account_id = $2 AND member.left_at IS NULL
            )
            """,
            class_id,
            account_id,
        )
        return found

    async def team_of(self, class_id: ClassId, account_id: AccountId) -> int | None:
        """The team of a member of the heat that is ridden in the room of this class."""
        team: int | None = await self._tx.fetchval(
            """
            SELECT member.team
            FROM heats JOIN challenge_members AS member ON member.challenge_id = heats.challenge_id
            WHERE heats.class_id = $1 AND member.account_id = $2
            """,
            class_id,
            account_id,
        )
        return team

    async def count_made(self, account_id: AccountId) -> int:
        """How many heats that are not closed somebody has made."""
        n: int = await self._tx.fetchval(
            """
            SELECT count(*) FROM heats JOIN challenges ON challenges.id = heats.challenge_id
            WHERE challenges.owner_id = $1 AND challenges.finished_at IS NULL
            """,
            account_id,
        )
        return n

    async def start(self, challenge_id: ChallengeId, starts: datetime, ends: datetime) -> None:
        """It is ridden from then to then."""
        await self._tx.execute(
            "UPDATE heats SET starts_at = $2, ends_at = $3 WHERE challenge_id = $1", challenge_id, starts, ends
        )

    async def end(self, challenge_id: ChallengeId, closes: datetime) -> None:
        """Its end was noted; it is closed at that instant."""
        await self._tx.execute("UPDATE heats SET closes_at = $2 WHERE challenge_id = $1", challenge_id, closes)

    # -- who is ready -------------------------------------------------------------------------------------------------

    async def set_ready(self, challenge_id: ChallengeId, n: int, at: datetime | None) -> bool:
        """Member `n` is ready, or not any more (None); False when that is known."""
        status: str = await self._tx.execute(
            """
            UPDATE challenge_members SET ready_at = $3
            WHERE challenge_id = $1 AND n = $2 AND (ready_at IS NULL) <> ($3::timestamptz IS NULL)
            """,
            challenge_id,
            n,
            at,
        )
        return status.endswith(" 1")

    async def ready(self, challenge_id: ChallengeId) -> Sequence[AccountId]:
        """Who is in and ready, in the order in which they said so."""
        rows = await self._tx.fetch(
            """
            SELECT account_id FROM challenge_members
            WHERE challenge_id = $1 AND left_at IS NULL AND ready_at IS NOT NULL AND account_id IS NOT NULL
            ORDER BY ready_at, n
            """,
            challenge_id,
        )
        return [AccountId(row["account_id"]) for row in rows]

    async def here(self, challenge_id: ChallengeId) -> Sequence[AccountId]:
        """Who is in, by number."""
        rows = await self._tx.fetch(
            """
            SELECT account_id FROM challenge_members
            WHERE challenge_id = $1 AND left_at IS NULL AND account_id IS NOT NULL
            ORDER BY n
            """,
            challenge_id,
        )
        return [AccountId(row["account_id"]) for row in rows]

    async def waiting(self, challenge_id: ChallengeId, limit: int) -> Sequence[str]:
        """The names of the first members who are not ready."""
        rows = await self._tx.fetch(
            """
            SELECT accounts.name
            FROM challenge_members AS member JOIN accounts ON accounts.id = member.account_id
            WHERE member.challenge_id = $1 AND member.left_at IS NULL AND member.ready_at IS NULL
            ORDER BY member.n
            LIMIT $2
            """,
            challenge_id,
            limit,
        )
        return [row["name"] for row in rows]

    # -- what was ridden ----------------------------------------------------------------------------------------------

    async def unfinished(self, class_id: ClassId) -> list[tuple[AccountId, WorkoutId]]:
        """Workouts of a room that nobody has finished, and whose they are."""
        rows = await self._tx.fetch(
            "SELECT account_id, id FROM workouts WHERE class_id = $1 AND finished_at IS NULL ORDER BY id", class_id
        )
        return [(AccountId(row["account_id"]), WorkoutId(row["id"])) for row in rows]


def _heat(row: asyncpg.Record) -> Heat:
    def wall_ms(name: str) -> int | None:
        return None if row[name] is None else to_wall_ms(row[name])

    return Heat(
        challenge_id=ChallengeId(row["challenge_id"]),
        class_id=ClassId(row["class_id"]),
        code=row["code"],
        made_ms=to_wall_ms(row["created_at"]),
        starts_ms=wall_ms("starts_at"),
        ends_ms=wall_ms("ends_at"),
        closes_ms=wall_ms("closes_at"),
    )
