"""What accounts are entitled to: one row per grant, closed by withdrawing it, never changed into another."""

from collections.abc import Collection
from datetime import datetime
from typing import Final

import asyncpg

from persistence.database import Tx
from services.accounts.entitlement import Entitlement
from services.kernel.clock import to_wall_ms, utc
from services.kernel.ids import AccountId, EntitlementId

_COLUMNS: Final = "id, account_id, name, source, from_at, until_at, granted_at, withdrawn_at"


class Entitlements:
    """The entitlements inside one transaction."""

    def __init__(self, tx: Tx) -> None:
        self._tx: Final = tx

    async def lock_account(self, account_id: AccountId) -> bool:
        """Lock the row of an account until the transaction ends (FOR NO KEY UPDATE); False when there is none."""
        found = await self._tx.fetchval("SELECT 1 FROM accounts WHERE id = $1 FOR NO KEY UPDATE", account_id)
        return found is not None

    async def of(self, account_id: AccountId, limit: int) -> list[Entitlement]:
        """All that an account was ever granted, the newest first."""
        rows = await self._tx.fetch(
            f"SELECT {_COLUMNS} FROM entitlements WHERE account_id = $1 ORDER BY id DESC LIMIT $2",  # noqa: S608
            account_id,
            limit,
        )
        return [_entitlement(row) for row in rows]

    async def named(self, accounts: Collection[AccountId], name: str) -> dict[AccountId, list[Entitlement]]:
        """The grants of one name that some accounts were ever given; everybody who was asked about is in the answer."""
        rows = await self._tx.fetch(
            f"SELECT {_COLUMNS} FROM entitlements WHERE account_id = ANY($1) AND name = $2",  # noqa: S608
            list(accounts),
            name,
        )
        found: dict[AccountId, list[Entitlement]] = {account_id: [] for account_id in accounts}
        for row in rows:
            found[AccountId(row["account_id"])].append(_entitlement(row))
        return found

    async def standing(self, account_id: AccountId, name: str, source: str) -> Entitlement | None:
        """What a source has given an account and not taken back, or None."""
        row = await self._tx.fetchrow(
            f"""
            SELECT {_COLUMNS} FROM entitlements
            WHERE account_id = $1 AND name = $2 AND source = $3 AND withdrawn_at IS NULL
            """,  # noqa: S608
            account_id,
            name,
            source,
        )
        return None if row is None else _entitlement(row)

    async def add(self, entitlement: Entitlement) -> None:
        """Store a new grant. None of the same name and source may stand."""
        await self._tx.execute(
            """
            INSERT INTO entitlements (id, account_id, name, source, from_at, until_at, granted_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7)
            """,
            entitlement.id,
            entitlement.account_id,
            entitlement.name,
            entitlement.source,
            utc(entitlement.from_ms),
            None if entitlement.until_ms is None else utc(entitlement.until_ms),
            utc(entitlement.granted_ms),
        )

    async def withdraw(self, entitlement_id: EntitlementId, at: datetime) -> None:
        """It holds no longer."""
        await self._tx.execute(
            "UPDATE entitlements SET withdrawn_at = $2 WHERE id = $1 AND withdrawn_at IS NULL", entitlement_id, at
        )


def _entitlement(row: asyncpg.Record) -> Entitlement:
    return Entitlement(
        id=EntitlementId(row["id"]),
        account_id=AccountId(row["account_id"]),
        name=row["name"],
        source=row["source"],
        from_ms=to_wall_ms(row["from_at"]),
        until_ms=None if row["until_at"] is None else to_wall_ms(row["until_at"]),
        granted_ms=to_wall_ms(row["granted_at"]),
        withdrawn_ms=None if row["withdrawn_at"] is None else to_wall_ms(row["withdrawn_at"]),
    )
