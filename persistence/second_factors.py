"""The SQL of second factors and of log-ins that wait for one.

Who adds, removes or uses a factor locks the row in `accounts` first, so two who use the same code at once, on whichever
nodes, come one after the other, and the second one finds it used. So does whoever uses a log-in that waits: nobody
locks its row and then waits for the account.
"""

from datetime import datetime
from typing import Final

import asyncpg

from persistence.database import Tx
from services.accounts.passkey import Passkey
from services.accounts.second_factor import MOST_WAITING, MOST_WRONG, Factors, WaitingLogin
from services.accounts.totp import Totp
from services.kernel.clock import to_wall_ms, utc
from services.kernel.ids import AccountId, PasskeyId


class SecondFactors:
    """Factors inside one transaction."""

    def __init__(self, tx: Tx) -> None:
        self._tx: Final = tx

    async def lock(self, account_id: AccountId) -> None:
        """Nobody else adds, removes or uses a factor of this account before this transaction ends."""
        await self._tx.execute("SELECT FROM accounts WHERE id = $1 FOR NO KEY UPDATE", account_id)

    async def of(self, account_id: AccountId) -> Factors:
        """What an account has."""
        confirmed_at = await self._tx.fetchval("SELECT confirmed_at FROM totps WHERE account_id = $1", account_id)
        return Factors(
            None if confirmed_at is None else to_wall_ms(confirmed_at),
            tuple(await self.passkeys(account_id)),
            await self.codes_left(account_id),
        )

    async def any(self, account_id: AccountId) -> bool:
        """Whether an account has a second factor."""
        found: bool = await self._tx.fetchval(
            """
            SELECT EXISTS (SELECT FROM totps WHERE account_id = $1 AND confirmed_at IS NOT NULL)
                OR EXISTS (SELECT FROM passkeys WHERE account_id = $1)
            """,
            account_id,
        )
        return found

    # -- authenticator apps ---------------------------------------------------------------------------------------

    async def totp(self, account_id: AccountId) -> Totp | None:
        """The app of an account, confirmed or not."""
        row = await self._tx.fetchrow("SELECT * FROM totps WHERE account_id = $1", account_id)
        return None if row is None else _totp(row)

    async def save_totp(self, account_id: AccountId, totp: Totp) -> None:
        """Store an app in place of what was there."""
        await self._tx.execute(
            """
            INSERT INTO totps (account_id, sealed, made_at, confirmed_at, used_step, guesses, guessed_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7)
            ON CONFLICT (account_id) DO UPDATE SET
                sealed = excluded.sealed, made_at = excluded.made_at, confirmed_at = excluded.confirmed_at,
                used_step = excluded.used_step, guesses = excluded.guesses, guessed_at = excluded.guessed_at
            """,
            account_id,
            totp.sealed,
            utc(totp.made_at_ms),
            None if totp.confirmed_at_ms is None else utc(totp.confirmed_at_ms),
            totp.used_step,
            totp.guesses,
            utc(totp.guessed_at_ms),
        )

    async def forget_totp(self, account_id: AccountId) -> bool:
        """Whether there was one that counted."""
        confirmed_at = await self._tx.fetchval(
            "DELETE FROM totps WHERE account_id = $1 RETURNING confirmed_at", account_id
        )
        return confirmed_at is not None

    # -- recovery codes -------------------------------------------------------------------------------------------

    async def save_codes(self, account_id: AccountId, hashes: dict[str, str], made_at: datetime) -> None:
        """Store new codes, by name, in place of the old ones."""
        await self.forget_codes(account_id)
        await self._tx.executemany(
            "INSERT INTO recovery_codes (account_id, name, code_hash, made_at) VALUES ($1, $2, $3, $4)",
            [(account_id, name, code_hash, made_at) for name, code_hash in hashes.items()],
        )

    async def forget_codes(self, account_id: AccountId, *, made_since: datetime | None = None) -> int:
        """No code is good any more, with `made_since` of those that were made then or later; how many were left."""
        rows = await self._tx.fetch(
            """
            DELETE FROM recovery_codes WHERE account_id = $1 AND ($2::timestamptz IS NULL OR made_at >= $2)
            RETURNING used_at
            """,
            account_id,
            made_since,
        )
        return sum(row["used_at"] is None for row in rows)

    async def code_hash(self, account_id: AccountId, name: str) -> str | None:
        """The hash of a code that was not used."""
        found: str | None = await self._tx.fetchval(
            "SELECT code_hash FROM recovery_codes WHERE account_id = $1 AND name = $2 AND used_at IS NULL",
            account_id,
            name,
        )
        return found

    async def use_code(self, account_id: AccountId, name: str, code_hash: str, used_at: datetime) -> bool:
        """Use a code up. False when it was used, or is another one by now."""
        used = await self._tx.fetchval(
            """
            UPDATE recovery_codes SET used_at = $4
            WHERE account_id = $1 AND name = $2 AND code_hash = $3 AND used_at IS NULL
            RETURNING name
            """,
            account_id,
            name,
            code_hash,
            used_at,
        )
        return used is not None

    async def codes_left(self, account_id: AccountId) -> int:
        """How many codes were not used."""
        left: int = await self._tx.fetchval(
            "SELECT count(*) FROM recovery_codes WHERE account_id = $1 AND used_at IS NULL", account_id
        )
        return left

    # -- passkeys -------------------------------------------------------------------------------------------------

    async def passkeys(self, account_id: AccountId) -> list[Passkey]:
        """The passkeys of an account, the oldest first."""
        rows = await self._tx.fetch("SELECT * FROM passkeys WHERE account_id = $1 ORDER BY made_at, id", account_id)
        return [_passkey(row) for row in rows]

    async def passkey_locked(self, credential_id: bytes) -> Passkey | None:
        """The passkey that an authenticator knows by this id; nobody else uses it before this transaction ends."""
        row = await self._tx.fetchrow(
            "SELECT * FROM passkeys WHERE credential_id = $1 FOR NO KEY UPDATE", credential_id
        )
        return None if row is None else _passkey(row)

    async def add_passkey(self, passkey: Passkey) -> bool:
        """Store a new one. False when its authenticator has said an id that is there."""
        added = await self._tx.fetchval(
            """
            INSERT INTO passkeys (id, account_id, name, credential_id, credential, signatures, made_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7)
            ON CONFLICT (credential_id) DO NOTHING
            RETURNING id
            """,
            passkey.id,
            passkey.account_id,
            passkey.name,
            passkey.credential_id,
            passkey.credential,
            passkey.signatures,
            utc(passkey.made_at_ms),
        )
        return added is not None

    async def passkey_used(self, passkey_id: PasskeyId, signatures: int, used_at: datetime) -> None:
        """Note a use, and the counter that it showed."""
        await self._tx.execute(
            "UPDATE passkeys SET signatures = $2, used_at = $3 WHERE id = $1", passkey_id, signatures, used_at
        )

    async def rename_passkey(self, account_id: AccountId, passkey_id: PasskeyId, name: str) -> Passkey | None:
        """As it is then, or None when the account has none of this id."""
        row = await self._tx.fetchrow(
            "UPDATE passkeys SET name = $3 WHERE id = $2 AND account_id = $1 RETURNING *", account_id, passkey_id, name
        )
        return None if row is None else _passkey(row)

    async def forget_passkey(self, account_id: AccountId, passkey_id: PasskeyId) -> Passkey | None:
        """The one that was there, or None."""
        row = await self._tx.fetchrow(
            "DELETE FROM passkeys WHERE id = $2 AND account_id = $1 RETURNING *", account_id, passkey_id
        )
        return None if row is None else _passkey(row)

    async def forget_passkeys(self, account_id: AccountId) -> int:
        """Forget all of an account's; how many."""
        rows = await self._tx.fetch("DELETE FROM passkeys WHERE account_id = $1 RETURNING id", account_id)
        return len(rows)

    async def use_challenge(self, challenge_hash: bytes, until: datetime, now: datetime) -> bool:
        """Mark a challenge as used until it is too old anyway, and forget those that are. False when it was used before."""
        await self._tx.execute(
            """
            DELETE FROM used_challenges WHERE challenge_hash IN (
                SELECT challenge_hash FROM used_challenges WHERE until <= $1
                ORDER BY until LIMIT 100 FOR UPDATE SKIP LOCKED
            )
            """,
            now,
        )
        added = await self._tx.fetchval(
            """
            INSERT INTO used_challenges (challenge_hash, until) VALUES ($1, $2)
            ON CONFLICT (challenge_hash) DO NOTHING
            RETURNING challenge_hash
            """,
            challenge_hash,
            until,
        )
        return added is not None

    # -- log-ins that wait ----------------------------------------------------------------------------------------

    async def wait(self, token_hash: bytes, waiting: WaitingLogin, made_at: datetime, until: datetime) -> None:
        """Store a log-in that waits; those of the account that are too old go, and the oldest ones where there are too many."""
        await self._tx.execute(
            """
            DELETE FROM waiting_logins WHERE token_hash IN (
                SELECT token_hash FROM (
                    SELECT token_hash, until, row_number() OVER (ORDER BY made_at DESC) AS place
                    FROM waiting_logins WHERE account_id = $1
                ) AS placed
                WHERE until <= $2 OR place >= $3
            )
            """,
            waiting.account_id,
            made_at,
            MOST_WAITING,
        )
        await self._tx.execute(
            """
            INSERT INTO waiting_logins (token_hash, account_id, device, password_mark, made_at, until)
            VALUES ($1, $2, $3, $4, $5, $6)
            """,
            token_hash,
            waiting.account_id,
            waiting.device,
            waiting.password_mark,
            made_at,
            until,
        )

    async def waiting(self, token_hash: bytes) -> WaitingLogin | None:
        """A log-in that waits, whether it can go on or not; nothing is locked."""
        row = await self._tx.fetchrow(
            "SELECT account_id, device, password_mark FROM waiting_logins WHERE token_hash = $1", token_hash
        )
        return None if row is None else _waiting(row)

    async def guess(self, token_hash: bytes, now: datetime) -> tuple[WaitingLogin, int] | None:
        """Take one of the guesses of a log-in that waits: what it is, and how many are left. None when it cannot go on."""
        row = await self._tx.fetchrow(
            """
            UPDATE waiting_logins SET guesses = guesses + 1
            WHERE token_hash = $1 AND until > $2 AND guesses < $3
            RETURNING account_id, device, password_mark, guesses
            """,
            token_hash,
            now,
            MOST_WRONG,
        )
        return None if row is None else (_waiting(row), MOST_WRONG - row["guesses"])

    async def take(self, token_hash: bytes, now: datetime) -> WaitingLogin | None:
        """Take a log-in that waits, in order to open it. None when somebody else has, or it is too old."""
        row = await self._tx.fetchrow(
            """
            DELETE FROM waiting_logins WHERE token_hash = $1 AND until > $2
            RETURNING account_id, device, password_mark
            """,
            token_hash,
            now,
        )
        return None if row is None else _waiting(row)


def _totp(row: asyncpg.Record) -> Totp:
    return Totp(
        sealed=row["sealed"],
        made_at_ms=to_wall_ms(row["made_at"]),
        confirmed_at_ms=None if row["confirmed_at"] is None else to_wall_ms(row["confirmed_at"]),
        used_step=row["used_step"],
        guesses=row["guesses"],
        guessed_at_ms=to_wall_ms(row["guessed_at"]),
    )


def _passkey(row: asyncpg.Record) -> Passkey:
    return Passkey(
        id=PasskeyId(row["id"]),
        account_id=AccountId(row["account_id"]),
        name=row["name"],
        credential=row["credential"],
        signatures=row["signatures"],
        made_at_ms=to_wall_ms(row["made_at"]),
        used_at_ms=None if row["used_at"] is None else to_wall_ms(row["used_at"]),
    )


def _waiting(row: asyncpg.Record) -> WaitingLogin:
    return WaitingLogin(AccountId(row["account_id"]), row["device"], row["password_mark"])
