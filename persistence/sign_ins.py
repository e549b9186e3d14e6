"""The SQL of sign-ins with others that go on. A row is locked by whoever changes it; workers pass over locked ones."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import asyncpg

from persistence.database import Tx
from services.accounts.id_token import Statement
from services.accounts.sign_in import SignIn
from services.kernel.clock import to_wall_ms, utc
from services.kernel.ids import AccountId, LoginId, SignInId

CHANNEL: Final = "paceline_sign_ins"


class SignIns:
    """Sign-ins inside one transaction."""

    def __init__(self, tx: Tx) -> None:
        self._tx: Final = tx

    async def add(self, sign_in: SignIn) -> None:
        """Store a new one."""
        await self._tx.execute(
            """
            INSERT INTO sign_ins
                (id, provider, secret_hash, state_hash, sealed, return_url, device, role, began_at, state, account_id, login_id)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
            """,
            sign_in.id,
            sign_in.provider,
            sign_in.secret_hash,
            sign_in.state_hash,
            sign_in.sealed,
            sign_in.return_url,
            sign_in.device,
            sign_in.role,
            utc(sign_in.began_ms),
            sign_in.state,
            sign_in.account_id,
            sign_in.login_id,
        )

    async def by_id(self, sign_in_id: SignInId) -> SignIn | None:
        """The sign-in, or None."""
        row = await self._tx.fetchrow("SELECT * FROM sign_ins WHERE id = $1", sign_in_id)
        return None if row is None else _sign_in(row)

    async def locked(self, sign_in_id: SignInId) -> SignIn | None:
        """The sign-in, or None; locked until the transaction ends."""
        row = await self._tx.fetchrow("SELECT * FROM sign_ins WHERE id = $1 FOR UPDATE", sign_in_id)
        return None if row is None else _sign_in(row)

    async def save(self, sign_in: SignIn) -> None:
        """Store what changes. Whoever waits for codes is woken at the commit."""
        said = sign_in.statement
        await self._tx.execute(
            """
            UPDATE sign_ins
            SET state = $2, code = $3, asked_at = $4, failure = $5,
                issuer = $6, subject = $7, email = $8, email_verified = $9, called = $10
            WHERE id = $1
            """,
            sign_in.id,
            sign_in.state,
            sign_in.code,
            None if sign_in.asked_ms is None else utc(sign_in.asked_ms),
            sign_in.failure,
            said.issuer if said else None,
            said.subject if said else None,
            said.email if said else None,
            said.email_verified if said else None,
            said.name if said else None,
        )
        if sign_in.state == "returned":
            await self._tx.execute("SELECT pg_notify($1, '')", CHANNEL)

    async def forget(self, sign_in_id: SignInId) -> None:
        """It is over."""
        await self._tx.execute("DELETE FROM sign_ins WHERE id = $1", sign_in_id)

    async def returned(self, since: datetime, limit: int) -> Sequence[SignIn]:
        """Those that have a code nobody has looked at, begun since then, the oldest first; locked until the transaction ends."""
        rows = await self._tx.fetch(
            """
            SELECT * FROM sign_ins WHERE state = 'returned' AND began_at > $1
            ORDER BY began_at LIMIT $2 FOR UPDATE SKIP LOCKED
            """,
            since,
            limit,
        )
        return [_sign_in(row) for row in rows]

    async def prune(self, before: datetime, limit: int) -> int:
        """Forget those that were begun before then; how many."""
        rows = await self._tx.fetch(
            """
            DELETE FROM sign_ins
            WHERE id IN (SELECT id FROM sign_ins WHERE began_at < $1 ORDER BY began_at LIMIT $2 FOR UPDATE SKIP LOCKED)
            RETURNING id
            """,
            before,
            limit,
        )
        return len(rows)


def _sign_in(row: asyncpg.Record) -> SignIn:
    said = None
    if row["issuer"] is not None:
        said = Statement(row["issuer"], row["subject"], row["email"], row["email_verified"], row["called"])
    return SignIn(
        id=SignInId(row["id"]),
        provider=row["provider"],
        secret_hash=row["secret_hash"],
        state_hash=row["state_hash"],
        sealed=row["sealed"],
        return_url=row["return_url"],
        device=row["device"],
        role=row["role"],
        began_ms=to_wall_ms(row["began_at"]),
        state=row["state"],
        account_id=None if row["account_id"] is None else AccountId(row["account_id"]),
        login_id=None if row["login_id"] is None else LoginId(row["login_id"]),
        code=row["code"],
        asked_ms=None if row["asked_at"] is None else to_wall_ms(row["asked_at"]),
        failure=row["failure"],
        statement=said,
    )
