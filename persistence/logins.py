"""The SQL of logins and their refresh tokens.

The row of the login is the lock of the whole family: whoever refreshes, ends or prunes takes it first, so two uses of one
token are told apart by the database, on whichever nodes they arrive.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

from persistence.database import Tx
from services.accounts.ports import Login, LoginInUse, Refresh
from services.kernel.ids import AccountId, LoginId

_NO_LOGIN: Final = LoginId(UUID(int=0))
_LOGIN: Final = ("id", "account_id", "device", "created_at", "ended_at", "fresh_at", "second_factor_at")


class EndedLogin(NamedTuple):
    """A login that has ended, and when."""

    id: LoginId
    at: datetime


class Logins:
    """Logins inside one transaction."""

    def __init__(self, tx: Tx) -> None:
        self._tx: Final = tx

    async def add(self, login: Login) -> None:
        """Store a new login."""
        await self._tx.execute(
            """
            INSERT INTO logins (id, account_id, device, created_at, fresh_at, second_factor_at)
            VALUES ($1, $2, $3, $4, $5, $6)
            """,
            login.id,
            login.account_id,
            login.device,
            login.created_at,
            login.fresh_at,
            login.second_factor_at,
        )

    async def add_refresh(
        self, login_id: LoginId, token_hash: bytes, issued_at: datetime, expires_at: datetime
    ) -> None:
        """Store the hash of a refresh token that has just been given out."""
        await self._tx.execute(
            """
            INSERT INTO refresh_tokens (token_hash, login_id, issued_at, expires_at)
            VALUES ($1, $2, $3, $4)
            """,
            token_hash,
            login_id,
            issued_at,
            expires_at,
        )

    async def by_id(self, login_id: LoginId) -> Login | None:
        """The login, ended or not, or None."""
        row = await self._tx.fetchrow(
            """
            SELECT id, account_id, device, created_at, ended_at, fresh_at, second_factor_at
            FROM logins WHERE id = $1
            """,
            login_id,
        )
        return None if row is None else Login(**row)

    async def live(self, account_id: AccountId, now: datetime) -> list[LoginInUse]:
        """The logins of an account that have not ended and hold a refresh token that is still good, the one used last first."""
        rows = await self._tx.fetch(
            """
            SELECT id, account_id, device, created_at, ended_at, fresh_at, second_factor_at, used.at AS used_at
            FROM logins, LATERAL (
                SELECT max(issued_at) AS at FROM refresh_tokens WHERE login_id = logins.id AND expires_at > $2
            ) AS used
            WHERE account_id = $1 AND ended_at IS NULL AND used.at IS NOT NULL
            ORDER BY used.at DESC, id
            """,
            account_id,
            now,
        )
        return [LoginInUse(Login(**{name: row[name] for name in _LOGIN}), row["used_at"]) for row in rows]

    async def end_others(self, account_id: AccountId, keep: LoginId, ended_at: datetime, reason: str) -> list[LoginId]:
        """End all logins of an account but one and forget their refresh tokens. Locked in the order of their ids, so that two who
        end each other at once do not wait for each other for ever."""
        rows = await self._tx.fetch(
            """
            WITH others AS (
                SELECT id FROM logins WHERE account_id = $1 AND id <> $2 AND ended_at IS NULL
                ORDER BY id FOR NO KEY UPDATE
            )
            UPDATE logins SET ended_at = $3, end_reason = $4
            FROM others WHERE logins.id = others.id
            RETURNING logins.id
            """,
            account_id,
            keep,
            ended_at,
            reason,
        )
        ended = [LoginId(row["id"]) for row in rows]
        await self._tx.execute("DELETE FROM refresh_tokens WHERE login_id = ANY ($1)", ended)
        return ended

    async def end_all(self, account_id: AccountId, ended_at: datetime, reason: str) -> list[LoginId]:
        """End all logins of an account and forget their refresh tokens; which they were."""
        return await self.end_others(account_id, _NO_LOGIN, ended_at, reason)

    async def refresh_locked(self, token_hash: bytes) -> Refresh | None:
        """The refresh token with this hash and its login, or None; the login is locked until the transaction ends.

        Locked in two steps. In one joined statement the token's `used_at` could be the one from before the wait for
        the lock, and two simultaneous uses would both look like the first.
        """
        login = await self._tx.fetchrow(
            """
            SELECT id, account_id, device, created_at, ended_at, fresh_at, second_factor_at
            FROM logins
            WHERE id = (SELECT login_id FROM refresh_tokens WHERE token_hash = $1)
            FOR NO KEY UPDATE
            """,
            token_hash,
        )
        if login is None:
            return None
        token = await self._tx.fetchrow(
            "SELECT expires_at, used_at FROM refresh_tokens WHERE token_hash = $1", token_hash
        )
        if token is None:
            return None
        return Refresh(
            login=Login(**login),
            expires_at=token["expires_at"],
            used_at=token["used_at"],
        )

    async def save_fresh(
        self, login_id: LoginId, fresh_at: datetime, second_factor_at: datetime | None
    ) -> Login | None:
        """Note that the login has proven itself; None leaves the second factor as it was. None when it has ended."""
        row = await self._tx.fetchrow(
            """
            UPDATE logins SET fresh_at = $2, second_factor_at = coalesce($3, second_factor_at)
            WHERE id = $1 AND ended_at IS NULL
            RETURNING id, account_id, device, created_at, ended_at, fresh_at, second_factor_at
            """,
            login_id,
            fresh_at,
            second_factor_at,
        )
        return None if row is None else Login(**row)

    async def mark_used(self, token_hash: bytes, used_at: datetime) -> None:
        """Note the first use of a refresh token."""
        await self._tx.execute(
            "UPDATE refresh_tokens SET used_at = $2 WHERE token_hash = $1 AND used_at IS NULL", token_hash, used_at
        )

    async def end(self, login_id: LoginId, ended_at: datetime, reason: str) -> bool:
        """End the login and forget its refresh tokens. False when it had ended before, or never was."""
        ended = await self._tx.fetchval(
            """
            UPDATE logins SET ended_at = $2, end_reason = $3
            WHERE id = $1 AND ended_at IS NULL
            RETURNING id
            """,
            login_id,
            ended_at,
            reason,
        )
        await self._tx.execute("DELETE FROM refresh_tokens WHERE login_id = $1", login_id)
        return ended is not None

    async def is_live(self, login_id: LoginId) -> bool:
        """Whether the login exists and has not ended."""
        live = await self._tx.fetchval("SELECT 1 FROM logins WHERE id = $1 AND ended_at IS NULL", login_id)
        return live is not None

    async def ended_since(self, since: datetime, after: LoginId | None, limit: int) -> list[EndedLogin]:
        """The logins that ended after `since`, in order; with `after` those that come behind that one, which ended at `since`."""
        rows = await self._tx.fetch(
            """
            SELECT id, ended_at FROM logins
            WHERE ended_at IS NOT NULL AND (ended_at, id) > ($1, $2)
            ORDER BY ended_at, id
            LIMIT $3
            """,
            since,
            _NO_LOGIN if after is None else after,
            limit,
        )
        return [EndedLogin(LoginId(row["id"]), row["ended_at"]) for row in rows]

    async def ended(self, login_ids: Sequence[LoginId]) -> list[LoginId]:
        """Those of these logins that have ended, or are not there at all.

        One look into the index for each: as a join it may become a walk over all logins there ever were.
        """
        rows = await self._tx.fetch(
            """
            SELECT asked.id FROM unnest($1::uuid[]) AS asked (id)
            WHERE (SELECT ended_at IS NULL FROM logins WHERE logins.id = asked.id) IS NOT TRUE
            """,
            login_ids,
        )
        return [LoginId(row["id"]) for row in rows]
