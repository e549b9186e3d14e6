"""The SQL of erasures: who has asked for one, and how far it is."""

from datetime import datetime
from typing import Final

import asyncpg

from persistence.database import Tx
from services.kernel.clock import to_wall_ms, utc
from services.kernel.ids import AccountId
from services.privacy.erasure import Erasure


class Erasures:
    """The erasures inside one transaction."""

    def __init__(self, tx: Tx) -> None:
        self._tx: Final = tx

    async def ask(self, account_id: AccountId, asked_ms: int, due_ms: int) -> Erasure:
        """Note the wish; the one that is noted already stands."""
        row = await self._tx.fetchrow(
            """
            INSERT INTO erasures (account_id, asked_at, due_at) VALUES ($1, $2, $3)
            ON CONFLICT (account_id) DO UPDATE SET due_at = least(erasures.due_at, excluded.due_at)
            RETURNING *
            """,
            account_id,
            utc(asked_ms),
            utc(due_ms),
        )
        return _erasure(row)

    async def of(self, account_id: AccountId) -> Erasure | None:
        """The wish of an account, or None."""
        row = await self._tx.fetchrow("SELECT * FROM erasures WHERE account_id = $1", account_id)
        return None if row is None else _erasure(row)

    async def take_back(self, account_id: AccountId, *, asked_since: datetime | None = None) -> bool:
        """Forget the wish unless the account is closed already, or it was asked for before; whether there was one."""
        status: str = await self._tx.execute(
            """
            DELETE FROM erasures
            WHERE account_id = $1 AND closed_at IS NULL AND ($2::timestamptz IS NULL OR asked_at >= $2)
            """,
            account_id,
            asked_since,
        )
        return status.endswith(" 1")

    async def lock_due(self, now: datetime, closed_before: datetime) -> Erasure | None:
        """One at which something is to be done now, locked until the transaction ends; those that somebody is at, and those
        that were passed over, are left out."""
        row = await self._tx.fetchrow(
            """
            SELECT * FROM erasures
            WHERE ended_at IS NULL AND due_at <= $1 AND (closed_at IS NULL OR closed_at <= $2)
                AND (retry_at IS NULL OR retry_at <= $1)
            ORDER BY due_at
            LIMIT 1
            FOR NO KEY UPDATE SKIP LOCKED
            """,
            now,
            closed_before,
        )
        return None if row is None else _erasure(row)

    async def pass_over(self, account_id: AccountId, until: datetime) -> None:
        """Nothing is done at it before then."""
        await self._tx.execute("UPDATE erasures SET retry_at = $2 WHERE account_id = $1", account_id, until)

    async def close(self, account_id: AccountId, at: datetime) -> None:
        """The account is closed."""
        await self._tx.execute("UPDATE erasures SET closed_at = $2, stage = 1 WHERE account_id = $1", account_id, at)

    async def advance(self, account_id: AccountId, stage: int, *, ended_at: datetime | None = None) -> None:
        """Its next stage; with `ended_at` there is none any more."""
        await self._tx.execute(
            "UPDATE erasures SET stage = $2, ended_at = $3 WHERE account_id = $1",
            account_id,
            stage,
            ended_at,
        )


def _erasure(row: asyncpg.Record) -> Erasure:
    return Erasure(
        account_id=AccountId(row["account_id"]),
        asked_ms=to_wall_ms(row["asked_at"]),
        due_ms=to_wall_ms(row["due_at"]),
        closed_ms=None if row["closed_at"] is None else to_wall_ms(row["closed_at"]),
        stage=row["stage"],
        ended_ms=None if row["ended_at"] is None else to_wall_ms(row["ended_at"]),
    )
