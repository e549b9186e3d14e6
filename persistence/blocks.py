"""Whom people have blocked."""

from collections.abc import Collection
from datetime import datetime
from typing import Final

import asyncpg

from persistence.database import Tx
from services.kernel.clock import to_wall_ms
from services.kernel.ids import AccountId
from services.social.blocks import BlockView


class Blocks:
    """The blocks inside one transaction."""

    def __init__(self, tx: Tx) -> None:
        self._tx: Final = tx

    async def has(self, account_id: AccountId, blocked_id: AccountId) -> bool:
        """Whether an account has blocked somebody."""
        found: bool = await self._tx.fetchval(
            "SELECT EXISTS (SELECT FROM blocks WHERE account_id = $1 AND blocked_id = $2)", account_id, blocked_id
        )
        return found

    async def count(self, account_id: AccountId) -> int:
        """How many people an account has blocked."""
        found: int = await self._tx.fetchval("SELECT count(*) FROM blocks WHERE account_id = $1", account_id)
        return found

    async def add(self, account_id: AccountId, blocked_id: AccountId, at: datetime) -> bool:
        """Keep a block; one that is there stays as it is. False when there is no such account."""
        if not await self._tx.fetchval("SELECT EXISTS (SELECT FROM accounts WHERE id = $1 FOR KEY SHARE)", blocked_id):
            return False
        await self._tx.execute(
            """
            INSERT INTO blocks (account_id, blocked_id, blocked_at) VALUES ($1, $2, $3)
            ON CONFLICT DO NOTHING
            """,
            account_id,
            blocked_id,
            at,
        )
        return True

    async def remove(self, account_id: AccountId, blocked_id: AccountId) -> None:
        """Forget a block."""
        await self._tx.execute("DELETE FROM blocks WHERE account_id = $1 AND blocked_id = $2", account_id, blocked_id)

    async def views(self, account_id: AccountId) -> list[BlockView]:
        """Everybody whom an account has blocked, the newest first."""
        rows = await self._tx.fetch(
            """
            SELECT accounts.id, accounts.name, blocks.blocked_at
            FROM blocks JOIN accounts ON accounts.id = blocks.blocked_id
            WHERE blocks.account_id = $1
            ORDER BY blocks.blocked_at DESC, accounts.id
            """,
            account_id,
        )
        return [BlockView(AccountId(row["id"]), row["name"], to_wall_ms(row["blocked_at"])) for row in rows]

    async def of(self, account_ids: Collection[AccountId]) -> dict[AccountId, frozenset[AccountId]]:
        """Whom each of these accounts has blocked, in one go; also for those who have blocked nobody."""
        rows: list[asyncpg.Record] = await self._tx.fetch(
            "SELECT account_id, array_agg(blocked_id) AS blocked FROM blocks WHERE account_id = ANY($1) GROUP BY account_id",
            list(account_ids),
        )
        found = {AccountId(row["account_id"]): frozenset(map(AccountId, row["blocked"])) for row in rows}
        return {account_id: found.get(account_id, frozenset()) for account_id in account_ids}
