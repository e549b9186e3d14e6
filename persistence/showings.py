"""How members of classes are shown, what people have chosen for the classes to come, and the ledger of what they agreed to."""

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Final
from uuid import UUID

import asyncpg

from persistence.database import Tx
from services.classes.showing import Audience, Consent, Purpose, Showing
from services.classes.showings import Seat
from services.kernel.ids import AccountId, ClassId

MOST_LINES: Final = 20_000
"""Lines of the ledger that are read of one account, the newest first: five decisions a day for eleven years."""

SHOWING: Final = "showing_mode, showing_alias, showing_revision, showing_body, showing_age, showing_age_group"
"""The columns of `showing_of`."""


class Showings:
    """See the module; inside one transaction."""

    def __init__(self, tx: Tx) -> None:
        self._tx: Final = tx

    async def default(self, account_id: AccountId) -> Showing | None:
        """What somebody has chosen for the classes that they join, None when they never did. The row, if there is one, stays locked
        (FOR NO KEY UPDATE)."""
        row = await self._tx.fetchrow(
            "SELECT mode, alias, body, age FROM showing_defaults WHERE account_id = $1 FOR NO KEY UPDATE", account_id
        )
        return None if row is None else Showing(row["mode"], row["alias"], body=row["body"], age=row["age"])

    async def save_default(self, account_id: AccountId, showing: Showing, at: datetime) -> None:
        """Keep it, in place of an earlier one."""
        await self._tx.execute(
            """
            INSERT INTO showing_defaults (account_id, mode, alias, body, chosen_at, age) VALUES ($1, $2, $3, $4, $5, $6)
            ON CONFLICT (account_id) DO UPDATE
                SET mode = excluded.mode, alias = excluded.alias, body = excluded.body, chosen_at = excluded.chosen_at,
                    age = excluded.age
            """,
            account_id,
            showing.mode,
            showing.alias,
            showing.body,
            at,
            showing.age,
        )

    async def shows_age(self, account_id: AccountId) -> bool:
        """Whether somebody wants to be found by their age group in the classes that they join."""
        found: bool | None = await self._tx.fetchval(
            "SELECT age FROM showing_defaults WHERE account_id = $1", account_id
        )
        return bool(found)

    async def seat(self, class_id: ClassId, account_id: AccountId) -> Seat | None:
        """Somebody's place in a class, None without one. Its row stays locked (FOR NO KEY UPDATE)."""
        row = await self._tx.fetchrow(
            f"""
            SELECT role, joined_at, {SHOWING} FROM class_members
            WHERE class_id = $1 AND account_id = $2
            FOR NO KEY UPDATE
            """,  # noqa: S608
            class_id,
            account_id,
        )
        if row is None:
            return None
        return Seat(role=row["role"], showing=showing_of(row), joined_at=row["joined_at"])

    async def decided(self, class_ids: Collection[ClassId]) -> dict[ClassId, dict[AccountId, Showing]]:
        """How those members of some classes are shown who have decided it while they were there."""
        rows = await self._tx.fetch(
            f"""
            SELECT class_id, account_id, {SHOWING} FROM class_members
            WHERE class_id = any($1) AND showing_revision > 0
            """,  # noqa: S608
            list(class_ids),
        )
        found: dict[ClassId, dict[AccountId, Showing]] = {}
        for row in rows:
            found.setdefault(ClassId(row["class_id"]), {})[AccountId(row["account_id"])] = showing_of(row)
        return found

    async def save(self, class_id: ClassId, account_id: AccountId, showing: Showing) -> None:
        """Keep how somebody is shown in a class. The seat must be locked."""
        await self._tx.execute(
            """
            UPDATE class_members SET showing_mode = $3, showing_alias = $4, showing_revision = $5, showing_body = $6,
                showing_age = $7, showing_age_group = $8
            WHERE class_id = $1 AND account_id = $2
            """,
            class_id,
            account_id,
            showing.mode,
            showing.alias,
            showing.revision,
            showing.body,
            showing.age,
            showing.age_group,
        )

    async def standing(self, account_id: AccountId, class_id: ClassId | None) -> list[tuple[Purpose, Audience]]:
        """What somebody agrees to now, in a class or, with None, in those that they will join."""
        rows = await self._tx.fetch(
            """
            SELECT purpose, audience FROM consents
            WHERE account_id = $1 AND class_id IS NOT DISTINCT FROM $2 AND withdrawn_at IS NULL
            """,
            account_id,
            class_id,
        )
        return [(row["purpose"], row["audience"]) for row in rows]

    async def give(self, account_id: AccountId, lines: Iterable[tuple[UUID, Consent]]) -> None:
        """Add lines to the ledger."""
        await self._tx.executemany(
            """
            INSERT INTO consents (id, account_id, class_id, purpose, audience, version, given_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7)
            """,
            [
                (id, account_id, line.class_id, line.purpose, line.audience, line.version, line.given_at)
                for id, line in lines
            ],
        )

    async def withdraw(
        self, account_id: AccountId, class_id: ClassId | None, purposes: Collection[Purpose], at: datetime
    ) -> None:
        """End the lines of these purposes that stand."""
        await self._tx.execute(
            """
            UPDATE consents SET withdrawn_at = greatest($4, given_at)
            WHERE account_id = $1 AND class_id IS NOT DISTINCT FROM $2 AND purpose = ANY ($3) AND withdrawn_at IS NULL
            """,
            account_id,
            class_id,
            purposes,
            at,
        )

    async def ledger(self, account_id: AccountId) -> list[Consent]:
        """Everything that somebody ever agreed to, the newest first."""
        rows = await self._tx.fetch(
            """
            SELECT class_id, purpose, audience, version, given_at, withdrawn_at FROM consents
            WHERE account_id = $1
            ORDER BY given_at DESC, id DESC
            LIMIT $2
            """,
            account_id,
            MOST_LINES,
        )
        return [Consent(**row) for row in rows]


def showing_of(row: asyncpg.Record) -> Showing:
    """How a member is shown, of a row with the columns `SHOWING`."""
    return Showing(
        row["showing_mode"],
        row["showing_alias"],
        row["showing_revision"],
        row["showing_body"],
        row["showing_age"],
        row["showing_age_group"],
    )
