"""Flags that somebody has set."""

from typing import Final

from persistence.database import Tx
from services.flags.flags import SetFlag
from services.kernel.ids import AccountId


class Flags:
    """The flags inside one transaction."""

    def __init__(self, tx: Tx) -> None:
        self._tx: Final = tx

    async def all(self) -> list[SetFlag]:
        """Every flag that is set, by name."""
        rows = await self._tx.fetch(
            """
            SELECT flags.name, is_on, reason, set_by, set_by_command, set_at, accounts.email
            FROM flags LEFT JOIN accounts ON accounts.id = set_by
            ORDER BY flags.name
            """
        )
        return [
            SetFlag(
                name=row["name"],
                on=row["is_on"],
                reason=row["reason"],
                account=None if row["set_by"] is None else AccountId(row["set_by"]),
                email=row["email"],
                command=row["set_by_command"],
                at=row["set_at"],
            )
            for row in rows
        ]

    async def save(self, flag: SetFlag) -> None:
        """Set it, or set it anew."""
        await self._tx.execute(
            """
            INSERT INTO flags (name, is_on, reason, set_by, set_by_command, set_at) VALUES ($1, $2, $3, $4, $5, $6)
            ON CONFLICT (name) DO UPDATE
                SET is_on = excluded.is_on, reason = excluded.reason, set_by = excluded.set_by,
                    set_by_command = excluded.set_by_command, set_at = excluded.set_at
            """,
            flag.name,
            flag.on,
            flag.reason,
            flag.account,
            flag.command,
            flag.at,
        )

    async def forget(self, name: str) -> bool:
        """Nobody has set it; False when that was so already."""
        status: str = await self._tx.execute("DELETE FROM flags WHERE name = $1", name)
        return status.endswith(" 1")
