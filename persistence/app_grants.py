"""The SQL of what apps were lent: codes, grants, and the refresh tokens of apps.

The row of the login is the lock of a grant, as it is of a person's login (persistence/logins.py): whoever refreshes or ends takes
it first.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from persistence.database import Tx
from services.accounts.scope import in_order, known
from services.apps.ports import AppRefresh, Code, Grant, GrantInUse
from services.kernel.ids import AccountId, AppId, LoginId


class AppGrants:
    """Grants inside one transaction."""

    def __init__(self, tx: Tx) -> None:
        self._tx: Final = tx

    async def add_code(self, code_hash: bytes, code: Code) -> None:
        """Store the hash of a code that has just been given out."""
        await self._tx.execute(
            """
            INSERT INTO app_codes (code_hash, app_id, account_id, redirect_uri, scopes, challenge, expires_at, given_in)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
            """,
            code_hash,
            code.app_id,
            code.account_id,
            code.redirect_uri,
            list(in_order(code.scopes)),
            code.challenge,
            code.expires_at,
            code.given_in,
        )

    async def code_locked(self, code_hash: bytes) -> Code | None:
        """The code, locked until the transaction ends, or None."""
        row = await self._tx.fetchrow(
            """
            SELECT app_id, account_id, redirect_uri, scopes, challenge, expires_at, given_in, used_at, login_id
            FROM app_codes WHERE code_hash = $1
            FOR NO KEY UPDATE
            """,
            code_hash,
        )
        return None if row is None else Code(**{**row, "scopes": known(row["scopes"])})

    async def use_code(self, code_hash: bytes, at: datetime, login_id: LoginId) -> None:
        """Note that a code was used, and what came of it."""
        await self._tx.execute(
            "UPDATE app_codes SET used_at = $2, login_id = $3 WHERE code_hash = $1", code_hash, at, login_id
        )

    async def add(self, grant: Grant) -> None:
        """Store a grant whose login is stored."""
        await self._tx.execute(
            "INSERT INTO app_grants (login_id, app_id, account_id, scopes, granted_at) VALUES ($1, $2, $3, $4, $5)",
            grant.login_id,
            grant.app_id,
            grant.account_id,
            list(in_order(grant.scopes)),
            grant.granted_at,
        )

    async def add_refresh(
        self, login_id: LoginId, token_hash: bytes, issued_at: datetime, expires_at: datetime
    ) -> None:
        """Store the hash of a refresh token that has just been given out."""
        await self._tx.execute(
            "INSERT INTO app_refresh_tokens (token_hash, login_id, issued_at, expires_at) VALUES ($1, $2, $3, $4)",
            token_hash,
            login_id,
            issued_at,
            expires_at,
        )

    async def refresh_locked(self, token_hash: bytes) -> AppRefresh | None:
        """The refresh token with this hash and its grant, or None; its login is locked until the transaction ends.

        Locked first and read after that, so that of two uses at once the second sees the first (persistence/logins.py).
        """
        locked = await self._tx.fetchval(
            """
            SELECT id FROM logins
            WHERE id = (SELECT login_id FROM app_refresh_tokens WHERE token_hash = $1)
            FOR NO KEY UPDATE
            """,
            token_hash,
        )
        token = await self._tx.fetchrow(
            "SELECT expires_at, used_at FROM app_refresh_tokens WHERE token_hash = $1", token_hash
        )
        grant = None if locked is None else await self.by_login(LoginId(locked))
        if grant is None or token is None:
            return None
        return AppRefresh(grant, token["expires_at"], token["used_at"])

    async def mark_used(self, token_hash: bytes, used_at: datetime) -> None:
        """Note the first use of a refresh token."""
        await self._tx.execute(
            "UPDATE app_refresh_tokens SET used_at = $2 WHERE token_hash = $1 AND used_at IS NULL", token_hash, used_at
        )

    async def by_login(self, login_id: LoginId) -> Grant | None:
        """The grant that is this login, ended or not, or None."""
        row = await self._tx.fetchrow(
            """
            SELECT login_id, app_id, app_grants.account_id, scopes, granted_at, logins.ended_at
            FROM app_grants JOIN logins ON logins.id = login_id
            WHERE login_id = $1
            """,
            login_id,
        )
        return None if row is None else _grant(row)

    async def live(self, account_id: AccountId, now: datetime) -> list[GrantInUse]:
        """The grants of an account that have not ended and hold a refresh token that is still good, the one used last first."""
        rows = await self._tx.fetch(
            """
            SELECT login_id, app_id, app_grants.account_id, scopes, granted_at, logins.ended_at, apps.name, used.at AS used_at
            FROM app_grants
            JOIN logins ON logins.id = login_id
            JOIN apps ON apps.id = app_id, LATERAL (
                SELECT max(issued_at) AS at FROM app_refresh_tokens
                WHERE app_refresh_tokens.login_id = app_grants.login_id AND expires_at > $2
            ) AS used
            WHERE app_grants.account_id = $1 AND logins.ended_at IS NULL AND used.at IS NOT NULL
            ORDER BY used.at DESC, login_id DESC
            """,
            account_id,
            now,
        )
        return [GrantInUse(_grant(row), row["name"], row["used_at"]) for row in rows]

    async def open_of_app(self, app_id: AppId) -> list[Grant]:
        """The grants of an app whose logins have not ended, in the order of their ids."""
        rows = await self._tx.fetch(
            """
            SELECT login_id, app_id, app_grants.account_id, scopes, granted_at, logins.ended_at
            FROM app_grants JOIN logins ON logins.id = login_id
            WHERE app_id = $1 AND logins.ended_at IS NULL
            ORDER BY login_id
            """,
            app_id,
        )
        return [_grant(row) for row in rows]

    async def accounts(self, app_id: AppId, now: datetime) -> int:
        """How many accounts have lent the app something that it can still use."""
        found: int = await self._tx.fetchval(
            """
            SELECT count(DISTINCT app_grants.account_id)
            FROM app_grants JOIN logins ON logins.id = login_id
            WHERE app_id = $1 AND logins.ended_at IS NULL AND EXISTS (
                SELECT 1 FROM app_refresh_tokens
                WHERE app_refresh_tokens.login_id = app_grants.login_id AND expires_at > $2
            )
            """,
            app_id,
            now,
        )
        return found

    async def prune(self, expired_before: datetime, limit: int) -> int:
        """Forget up to `limit` codes, and as many refresh tokens, that expired before an instant; how many they were together.

        Used ones stay until then: one that is shown a second time betrays a theft.
        """
        codes: str = await self._tx.execute(
            """
            DELETE FROM app_codes
            WHERE code_hash IN (
                SELECT code_hash FROM app_codes WHERE expires_at < $1
                ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED
            )
            """,
            expired_before,
            limit,
        )
        tokens: str = await self._tx.execute(
            """
            DELETE FROM app_refresh_tokens
            WHERE token_hash IN (
                SELECT token_hash FROM app_refresh_tokens WHERE expires_at < $1
                ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED
            )
            """,
            expired_before,
            limit,
        )
        return int(codes.split()[-1]) + int(tokens.split()[-1])


def _grant(row: Mapping[str, Any]) -> Grant:
    return Grant(
        login_id=LoginId(row["login_id"]),
        app_id=AppId(row["app_id"]),
        account_id=AccountId(row["account_id"]),
        scopes=known(row["scopes"]),
        granted_at=row["granted_at"],
        ended_at=row["ended_at"],
    )
