"""The SQL of accounts. The address is unique in lower case; the rules for what goes in are services/accounts/account.py."""

from datetime import datetime
from typing import Final

import asyncpg
import msgspec

from persistence.database import Tx
from persistence.sealing import Sealing, data_key_of
from services.accounts.account import Account, Credentials, Profile
from services.kernel.caller import AccountRole
from services.kernel.clock import to_wall_ms, utc
from services.kernel.ids import AccountId
from services.kernel.problems import EmailTaken
from services.privacy.vault import Field

PROFILE: Final = Field("accounts", "profile_sealed")
_COLUMNS: Final = f"accounts.*, {data_key_of('accounts.id')} AS data_key"
_NOTHING: Final = Profile()


class Accounts:
    """Accounts inside one transaction."""

    def __init__(self, tx: Tx, sealing: Sealing | None = None) -> None:
        self._tx: Final = tx
        self._sealing: Final = sealing or Sealing(tx)

    async def add(self, account: Account, password_hash: str) -> None:
        """Store a new account. Raises EmailTaken when its address has one."""
        added = await self._tx.fetchval(
            """
            INSERT INTO accounts (id, email, name, password_hash, roles, created_at, verified_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7)
            ON CONFLICT (email) DO NOTHING
            RETURNING id
            """,
            account.id,
            account.email,
            account.name,
            password_hash,
            sorted(account.roles),
            utc(account.created_at_ms),
            None if account.verified_at_ms is None else utc(account.verified_at_ms),
        )
        if added is None:
            raise EmailTaken
        if account.profile != _NOTHING:
            await self._save_profile(account)

    async def by_id(self, account_id: AccountId) -> Account | None:
        """The account, or None."""
        row = await self._tx.fetchrow(f"SELECT {_COLUMNS} FROM accounts WHERE id = $1", account_id)  # noqa: S608
        return None if row is None else self._account(row)

    async def locked(self, account_id: AccountId) -> Account | None:
        """The account, locked until the transaction ends.

        NO KEY UPDATE: other changes of the account wait, rows that only refer to it do not.
        """
        row = await self._tx.fetchrow(f"SELECT {_COLUMNS} FROM accounts WHERE id = $1 FOR NO KEY UPDATE", account_id)  # noqa: S608
        return None if row is None else self._account(row)

    async def credentials(self, email: str) -> Credentials | None:
        """The account with this address (in lower case) and its password's hash, or None."""
        row = await self._tx.fetchrow(f"SELECT {_COLUMNS} FROM accounts WHERE email = $1", email)  # noqa: S608
        return None if row is None else Credentials(self._account(row), row["password_hash"])

    async def password_of(self, email: str) -> tuple[AccountId, str] | None:
        """Whose address (in lower case) this is, and the hash of their password, or None: nothing else is read, so that it takes as
        long as for an address that nobody has."""
        row = await self._tx.fetchrow("SELECT id, password_hash FROM accounts WHERE email = $1", email)
        return None if row is None else (AccountId(row["id"]), row["password_hash"])

    async def save(self, account: Account) -> None:
        """Store the name, the units and the profile; address, roles and password have their own ways in."""
        await self._tx.execute(
            "UPDATE accounts SET name = $2, units = $3 WHERE id = $1", account.id, account.name, account.units
        )
        await self._save_profile(account)

    async def _save_profile(self, account: Account) -> None:
        profile, sealed = account.profile, None
        if profile != _NOTHING:
            sealed = await self._sealing.seal(account.id, PROFILE, msgspec.json.encode(profile))
        plain = profile if sealed is None else _NOTHING
        await self._tx.execute(
            """
            UPDATE accounts
            SET birth_date = $2, sex = $3, mass_kg = $4, max_hr = $5, rest_hr = $6, profile_sealed = $7
            WHERE id = $1
            """,
            account.id,
            plain.birth_date,
            plain.sex,
            plain.mass_kg,
            plain.max_hr,
            plain.rest_hr,
            sealed,
        )

    async def password_hash_locked(self, account_id: AccountId) -> str | None:
        """The hash of the password, or None; the account is locked until the transaction ends."""
        found: str | None = await self._tx.fetchval(
            "SELECT password_hash FROM accounts WHERE id = $1 FOR NO KEY UPDATE", account_id
        )
        return found

    async def save_password_hash(self, account_id: AccountId, password_hash: str) -> None:
        """Replace the hash of the password."""
        await self._tx.execute("UPDATE accounts SET password_hash = $2 WHERE id = $1", account_id, password_hash)

    async def by_email_locked(self, email: str) -> Account | None:
        """The account with this address (in lower case), locked until the transaction ends."""
        row = await self._tx.fetchrow(f"SELECT {_COLUMNS} FROM accounts WHERE email = $1 FOR NO KEY UPDATE", email)  # noqa: S608
        return None if row is None else self._account(row)

    async def verify(self, account_id: AccountId, at: datetime) -> None:
        """The account's address is proved; the first time stands."""
        await self._tx.execute(
            "UPDATE accounts SET verified_at = $2 WHERE id = $1 AND verified_at IS NULL", account_id, at
        )

    async def save_email(self, account_id: AccountId, email: str, verified_at: datetime) -> None:
        """Give the account another address, which is proved. Raises EmailTaken."""
        # The savepoint keeps the transaction usable for whoever catches the refusal.
        try:
            async with self._tx.transaction():
                await self._tx.execute(
                    "UPDATE accounts SET email = $2, verified_at = $3 WHERE id = $1", account_id, email, verified_at
                )
        except asyncpg.UniqueViolationError as taken:
            raise EmailTaken from taken

    async def save_roles(self, account_id: AccountId, roles: frozenset[AccountRole]) -> None:
        """Replace the roles."""
        await self._tx.execute("UPDATE accounts SET roles = $2 WHERE id = $1", account_id, sorted(roles))

    async def grant_role(self, email: str, role: AccountRole) -> Account | None:
        """Add `role` unless it is there; the account as it is then, None when no account has this address."""
        row = await self._tx.fetchrow(
            f"""
            UPDATE accounts
            SET roles = CASE WHEN $2 = ANY (roles) THEN roles ELSE array_append(roles, $2) END
            WHERE email = $1
            RETURNING {_COLUMNS}
            """,  # noqa: S608
            email,
            role,
        )
        return None if row is None else self._account(row)

    def _account(self, row: asyncpg.Record) -> Account:
        return Account(
            id=AccountId(row["id"]),
            email=row["email"],
            name=row["name"],
            roles=frozenset(row["roles"]),
            created_at_ms=to_wall_ms(row["created_at"]),
            profile=self._profile(row),
            verified_at_ms=None if row["verified_at"] is None else to_wall_ms(row["verified_at"]),
            units=row["units"],
        )

    def _profile(self, row: asyncpg.Record) -> Profile:
        sealed = row["profile_sealed"]
        if sealed is None:
            return plain_profile(row)
        opened = self._sealing.open(AccountId(row["id"]), row["data_key"], PROFILE, sealed)
        return msgspec.json.decode(opened, type=Profile)


def plain_profile(row: asyncpg.Record) -> Profile:
    """The profile of a row that is not sealed."""
    # A real has 24 bits: 70.1 comes back as 70.0999984. People type at most a few decimals.
    mass_kg = row["mass_kg"]
    return Profile(
        birth_date=row["birth_date"],
        sex=row["sex"],
        mass_kg=None if mass_kg is None else round(mass_kg, 3),
        max_hr=row["max_hr"],
        rest_hr=row["rest_hr"],
    )
