"""The SQL of keys for one's own scripts, and their secrets."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from persistence.database import Tx
from services.accounts.scope import in_order, known
from services.apps.ports import ApiKey, KeyOwner
from services.kernel.ids import AccountId, ApiKeyId, LoginId


class ApiKeys:
    """Keys inside one transaction."""

    def __init__(self, tx: Tx) -> None:
        self._tx: Final = tx

    async def add(self, key: ApiKey) -> None:
        """Store a key whose login is stored."""
        await self._tx.execute(
            """
            INSERT INTO api_keys (id, account_id, login_id, name, scopes, created_at, expires_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7)
            """,
            key.id,
            key.account_id,
            key.login_id,
            key.name,
            list(in_order(key.scopes)),
            key.created_at,
            key.expires_at,
        )

    async def of_account(self, account_id: AccountId) -> list[ApiKey]:
        """The keys of an account whose logins go on, the oldest first; those that have expired among them."""
        rows = await self._tx.fetch(
            """
            SELECT api_keys.* FROM api_keys JOIN logins ON logins.id = login_id
            WHERE api_keys.account_id = $1 AND logins.ended_at IS NULL
            ORDER BY api_keys.id
            """,
            account_id,
        )
        return [_key(row) for row in rows]

    async def locked(self, key_id: ApiKeyId) -> ApiKey | None:
        """The key, locked until the transaction ends, or None; None also when its login has ended."""
        row = await self._tx.fetchrow(
            """
            SELECT api_keys.* FROM api_keys JOIN logins ON logins.id = login_id
            WHERE api_keys.id = $1 AND logins.ended_at IS NULL
            FOR NO KEY UPDATE OF api_keys
            """,
            key_id,
        )
        return None if row is None else _key(row)

    async def remove(self, key_id: ApiKeyId) -> None:
        """Delete the key with its secrets."""
        await self._tx.execute("DELETE FROM api_keys WHERE id = $1", key_id)

    async def add_secret(self, key_id: ApiKeyId, secret_hash: bytes, at: datetime) -> None:
        """Store the hash of a secret that has just been given out."""
        await self._tx.execute(
            "INSERT INTO api_key_secrets (secret_hash, key_id, made_at) VALUES ($1, $2, $3)", secret_hash, key_id, at
        )

    async def retire_secrets(self, key_id: ApiKeyId, at: datetime, until: datetime) -> None:
        """Let the newest secret be good until then, and delete those before it."""
        await self._tx.execute(
            "DELETE FROM api_key_secrets WHERE key_id = $1 AND (until IS NOT NULL OR $2::timestamptz >= $3::timestamptz)",
            key_id,
            at,
            until,
        )
        await self._tx.execute("UPDATE api_key_secrets SET until = $2 WHERE key_id = $1", key_id, until)

    async def by_secret(self, secret_hash: bytes, now: datetime) -> KeyOwner | None:
        """The key that this secret is good for, with its account; None also when the key has expired or its login has ended."""
        row = await self._tx.fetchrow(
            """
            SELECT api_keys.*, accounts.name AS account_name, accounts.roles
            FROM api_key_secrets
            JOIN api_keys ON api_keys.id = key_id
            JOIN accounts ON accounts.id = api_keys.account_id
            JOIN logins ON logins.id = login_id
            WHERE secret_hash = $1 AND logins.ended_at IS NULL
              AND (until IS NULL OR until > $2) AND (api_keys.expires_at IS NULL OR api_keys.expires_at > $2)
            """,
            secret_hash,
            now,
        )
        return None if row is None else KeyOwner(_key(row), row["account_name"], frozenset(row["roles"]))

    async def touch(self, key_id: ApiKeyId, at: datetime) -> None:
        """Note that the key was used."""
        await self._tx.execute("UPDATE api_keys SET used_at = $2 WHERE id = $1", key_id, at)


def _key(row: Mapping[str, Any]) -> ApiKey:
    return ApiKey(
        id=ApiKeyId(row["id"]),
        account_id=AccountId(row["account_id"]),
        login_id=LoginId(row["login_id"]),
        name=row["name"],
        scopes=known(row["scopes"]),
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        used_at=row["used_at"],
    )
