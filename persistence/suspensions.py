"""Which accounts may not be used: one row per suspension, closed by lifting it."""

from datetime import datetime
from typing import Final

from persistence.database import Tx
from services.accounts.suspension import Suspension
from services.kernel.clock import to_wall_ms, utc
from services.kernel.ids import AccountId, SuspensionId


class Suspensions:
    """The suspensions inside one transaction."""

    def __init__(self, tx: Tx) -> None:
        self._tx: Final = tx

    async def standing(self, account_id: AccountId) -> Suspension | None:
        """The one that was not lifted, or None; it may have run out. Whoever opens a login or suspends holds the account's row."""
        row = await self._tx.fetchrow(
            """
            SELECT id, account_id, reason, from_at, until_at FROM suspensions
            WHERE account_id = $1 AND lifted_at IS NULL
            """,
            account_id,
        )
        if row is None:
            return None
        return Suspension(
            id=SuspensionId(row["id"]),
            account_id=AccountId(row["account_id"]),
            reason=row["reason"],
            from_ms=to_wall_ms(row["from_at"]),
            until_ms=None if row["until_at"] is None else to_wall_ms(row["until_at"]),
        )

    async def add(self, suspension: Suspension) -> None:
        """Store a new one. None may stand."""
        await self._tx.execute(
            "INSERT INTO suspensions (id, account_id, reason, from_at, until_at) VALUES ($1, $2, $3, $4, $5)",
            suspension.id,
            suspension.account_id,
            suspension.reason,
            utc(suspension.from_ms),
            None if suspension.until_ms is None else utc(suspension.until_ms),
        )

    async def lift(self, suspension_id: SuspensionId, at: datetime) -> None:
        """It holds no longer."""
        await self._tx.execute(
            "UPDATE suspensions SET lifted_at = $2 WHERE id = $1 AND lifted_at IS NULL", suspension_id, at
        )
