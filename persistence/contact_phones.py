"""The SQL of emergency contacts' telephone numbers.

Locked as their mail addresses are (contacts.py): the row in `accounts`, and an advisory lock of the number where it is counted.
"""

from datetime import datetime
from typing import Final

import asyncpg

from persistence.database import Tx
from services.kernel.clock import to_wall_ms, utc
from services.kernel.ids import AccountId, ContactId, ContactPhoneId
from services.safety.contact_phone import ContactPhone

_LOCK: Final = 0x2EF4
_PHONES: Final = """
    SELECT phone.*, contact.name AS contact, accounts.name AS athlete
    FROM contact_phones AS phone
    JOIN emergency_contacts AS contact ON contact.id = phone.contact_id
    JOIN accounts ON accounts.id = phone.account_id
"""


class ContactPhones:
    """The numbers inside one transaction."""

    def __init__(self, tx: Tx) -> None:
        self._tx: Final = tx

    async def lock(self, account_id: AccountId, number: str | None = None) -> None:
        """Nobody else changes this account's contact or its number, or counts the questions that went to this number, before this
        transaction ends."""
        await self._tx.execute("SELECT FROM accounts WHERE id = $1 FOR NO KEY UPDATE", account_id)
        if number is not None:
            await self._tx.execute("SELECT pg_advisory_xact_lock($1, hashtext($2))", _LOCK, number)

    async def current(self, account_id: AccountId) -> ContactPhone | None:
        """The number that the account has given, whatever was answered there."""
        row = await self._tx.fetchrow(
            f"{_PHONES} WHERE phone.account_id = $1 AND phone.replaced_at IS NULL",
            account_id,
        )
        return None if row is None else _phone(row)

    async def by_id(self, phone_id: ContactPhoneId) -> ContactPhone | None:
        """A question that was asked, or None."""
        row = await self._tx.fetchrow(f"{_PHONES} WHERE phone.id = $1", phone_id)
        return None if row is None else _phone(row)

    async def refused(self, account_id: AccountId, number: str) -> bool:
        """Whether whoever reads this number has ever said no to this account."""
        found: bool = await self._tx.fetchval(
            """
            SELECT EXISTS (SELECT FROM contact_phones WHERE account_id = $1 AND number = $2 AND refused_at IS NOT NULL)
            """,
            account_id,
            number,
        )
        return found

    async def asked_since(self, account_id: AccountId, number: str, since: datetime) -> tuple[list[int], list[int]]:
        """When was asked since an instant, in order: by the account, and at the number, whoever asked."""
        rows = await self._tx.fetch(
            """
            SELECT asked_at, account_id = $1 AS by_account, number = $2 AS to_number FROM contact_phones
            WHERE (account_id = $1 OR number = $2) AND asked_at > $3
            ORDER BY asked_at
            """,
            account_id,
            number,
            since,
        )
        return (
            [to_wall_ms(row["asked_at"]) for row in rows if row["by_account"]],
            [to_wall_ms(row["asked_at"]) for row in rows if row["to_number"]],
        )

    async def replace(self, account_id: AccountId, at: datetime) -> None:
        """The account gives no number any more."""
        await self._tx.execute(
            "UPDATE contact_phones SET replaced_at = $2 WHERE account_id = $1 AND replaced_at IS NULL",
            account_id,
            at,
        )

    async def add(self, phone: ContactPhone) -> None:
        """A number is asked. Whoever adds has replaced the one before."""
        await self._tx.execute(
            "INSERT INTO contact_phones (id, account_id, contact_id, number, asked_at) VALUES ($1, $2, $3, $4, $5)",
            phone.id,
            phone.account_id,
            phone.contact_id,
            phone.number,
            utc(phone.asked_at_ms),
        )

    async def agree(self, phone_id: ContactPhoneId, at: datetime) -> None:
        """They have said yes."""
        await self._tx.execute("UPDATE contact_phones SET agreed_at = $2 WHERE id = $1", phone_id, at)

    async def refuse(self, account_id: AccountId, number: str, at: datetime) -> None:
        """They have said no to this account, to whatever question; the first time stands."""
        await self._tx.execute(
            """
            UPDATE contact_phones SET refused_at = $3
            WHERE account_id = $1 AND number = $2 AND refused_at IS NULL
            """,
            account_id,
            number,
            at,
        )

    async def died(self, phone_id: ContactPhoneId, at: datetime) -> None:
        """The provider has said that nobody lives at the number."""
        await self._tx.execute("UPDATE contact_phones SET dead_at = $2 WHERE id = $1 AND dead_at IS NULL", phone_id, at)

    async def prune(self, before: datetime, limit: int) -> int:
        """Forget up to `limit` numbers in whose place there was something else before an instant, but none that has said no;
        how many they were."""
        status: str = await self._tx.execute(
            """
            DELETE FROM contact_phones
            WHERE id IN (
                SELECT id FROM contact_phones
                WHERE replaced_at < $1 AND refused_at IS NULL
                ORDER BY replaced_at
                LIMIT $2
                FOR UPDATE SKIP LOCKED
            )
            """,
            before,
            limit,
        )
        return int(status.split()[-1])


def _phone(row: asyncpg.Record) -> ContactPhone:
    return ContactPhone(
        id=ContactPhoneId(row["id"]),
        account_id=AccountId(row["account_id"]),
        contact_id=ContactId(row["contact_id"]),
        athlete=row["athlete"],
        contact=row["contact"],
        number=row["number"],
        asked_at_ms=to_wall_ms(row["asked_at"]),
        agreed_at_ms=_ms(row["agreed_at"]),
        refused_at_ms=_ms(row["refused_at"]),
        dead_at_ms=_ms(row["dead_at"]),
        replaced_at_ms=_ms(row["replaced_at"]),
    )


def _ms(instant: datetime | None) -> int | None:
    return None if instant is None else to_wall_ms(instant)
