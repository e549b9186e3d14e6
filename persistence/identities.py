"""The SQL of identities: who is linked to which account, unique by (issuer, subject)."""

from typing import Final

import asyncpg

from persistence.database import Tx
from services.accounts.identity import Identity, Standing
from services.kernel.clock import to_wall_ms, utc
from services.kernel.ids import AccountId, IdentityId, LoginId


class Identities:
    """Identities inside one transaction."""

    def __init__(self, tx: Tx) -> None:
        self._tx: Final = tx

    async def add(self, identity: Identity) -> bool:
        """Store it; False when this (issuer, subject) is linked already."""
        added = await self._tx.fetchval(
            """
            INSERT INTO identities (id, issuer, subject, account_id, provider, email, linked_at, used_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
            ON CONFLICT (issuer, subject) DO NOTHING
            RETURNING id
            """,
            identity.id,
            identity.issuer,
            identity.subject,
            identity.account_id,
            identity.provider,
            identity.email,
            utc(identity.linked_ms),
            utc(identity.used_ms),
        )
        return added is not None

    async def find(self, issuer: str, subject: str) -> Identity | None:
        """The identity, or None."""
        row = await self._tx.fetchrow("SELECT * FROM identities WHERE issuer = $1 AND subject = $2", issuer, subject)
        return None if row is None else _identity(row)

    async def standing(self, issuer: str, subject: str) -> Standing | None:
        """The identity with its account, and the login behind its access tokens, or None."""
        row = await self._tx.fetchrow(
            """
            SELECT identities.*, accounts.name, accounts.roles, logins.ended_at
            FROM identities
            JOIN accounts ON accounts.id = identities.account_id
            LEFT JOIN logins ON logins.id = identities.login_id
            WHERE issuer = $1 AND subject = $2
            """,
            issuer,
            subject,
        )
        if row is None:
            return None
        ended_ms = None if row["ended_at"] is None else to_wall_ms(row["ended_at"])
        return Standing(_identity(row), row["name"], frozenset(row["roles"]), ended_ms)

    async def log_in(self, identity_id: IdentityId, login_id: LoginId) -> None:
        """This login is behind its access tokens from now on."""
        await self._tx.execute("UPDATE identities SET login_id = $2 WHERE id = $1", identity_id, login_id)

    async def used(self, identity_id: IdentityId, used_ms: int) -> None:
        """Somebody has signed in with it, or come with an access token of its issuer."""
        await self._tx.execute("UPDATE identities SET used_at = $2 WHERE id = $1", identity_id, utc(used_ms))

    async def of_account(self, account_id: AccountId) -> list[Identity]:
        """All of an account, in the order in which they were linked."""
        rows = await self._tx.fetch("SELECT * FROM identities WHERE account_id = $1 ORDER BY linked_at, id", account_id)
        return [_identity(row) for row in rows]

    async def remove(self, identity_id: IdentityId) -> None:
        """Nobody signs in with it any more."""
        await self._tx.execute("DELETE FROM identities WHERE id = $1", identity_id)


def _identity(row: asyncpg.Record) -> Identity:
    return Identity(
        id=IdentityId(row["id"]),
        issuer=row["issuer"],
        subject=row["subject"],
        account_id=AccountId(row["account_id"]),
        provider=row["provider"],
        email=row["email"],
        linked_ms=to_wall_ms(row["linked_at"]),
        used_ms=to_wall_ms(row["used_at"]),
        login_id=None if row["login_id"] is None else LoginId(row["login_id"]),
    )
