"""The SQL of emergency contacts.

What is asked and changed about an account's contact happens under the lock of its row in `accounts`, so that two requests at once
count each other's questions. What is counted by address is done under an advisory lock of the address.
"""

from datetime import datetime
from typing import Final

import asyncpg

from persistence.database import Tx
from services.kernel.clock import to_wall_ms, utc
from services.kernel.ids import AccountId, ContactId, ContactPhoneId
from services.safety.contact import Contact, Reachable

_LOCK: Final = 0x2EF3


class Contacts:
    """The contacts inside one transaction."""

    def __init__(self, tx: Tx) -> None:
        self._tx: Final = tx

    async def lock(self, account_id: AccountId, email: str | None = None) -> None:
        """Nobody else changes this account's contact, or counts the questions that went to this address, before this transaction
        ends."""
        await self._tx.execute("SELECT FROM accounts WHERE id = $1 FOR NO KEY UPDATE", account_id)
        if email is not None:
            await self._tx.execute("SELECT pg_advisory_xact_lock($1, hashtext($2))", _LOCK, email)

    async def current(self, account_id: AccountId) -> Contact | None:
        """Whom the account has named, whatever they have answered."""
        row = await self._tx.fetchrow(
            """
            SELECT contact.*, accounts.name AS athlete
            FROM emergency_contacts AS contact JOIN accounts ON accounts.id = contact.account_id
            WHERE contact.account_id = $1 AND replaced_at IS NULL
            """,
            account_id,
        )
        return None if row is None else _contact(row)

    async def agreed(self, account_id: AccountId) -> Reachable | None:
        """The one who is to be told, if somebody is: named, agreed, and reachable as far as we know, by whatever way."""
        row = await self._tx.fetchrow(
            """
            SELECT contact.id, contact.agreed_at IS NOT NULL AND contact.dead_at IS NULL AS by_mail, phone.id AS phone_id
            FROM emergency_contacts AS contact
            LEFT JOIN contact_phones AS phone
                ON phone.contact_id = contact.id AND phone.replaced_at IS NULL AND phone.agreed_at IS NOT NULL
               AND phone.refused_at IS NULL AND phone.dead_at IS NULL
            WHERE contact.account_id = $1 AND contact.replaced_at IS NULL AND contact.refused_at IS NULL
            """,
            account_id,
        )
        if row is None or not (row["by_mail"] or row["phone_id"]):
            return None
        phone_id = None if row["phone_id"] is None else ContactPhoneId(row["phone_id"])
        return Reachable(ContactId(row["id"]), row["by_mail"], phone_id)

    async def by_id(self, contact_id: ContactId) -> Contact | None:
        """A question that was asked, or None."""
        row = await self._tx.fetchrow(
            """
            SELECT contact.*, accounts.name AS athlete
            FROM emergency_contacts AS contact JOIN accounts ON accounts.id = contact.account_id
            WHERE contact.id = $1
            """,
            contact_id,
        )
        return None if row is None else _contact(row)

    async def refused(self, account_id: AccountId, email: str) -> bool:
        """Whether whoever reads this address has ever said no to this account."""
        found: bool = await self._tx.fetchval(
            """
            SELECT EXISTS (
                SELECT FROM emergency_contacts WHERE account_id = $1 AND email = $2 AND refused_at IS NOT NULL
            )
            """,
            account_id,
            email,
        )
        return found

    async def asked_since(self, account_id: AccountId, email: str, since: datetime) -> tuple[list[int], list[int]]:
        """When was asked since an instant, in order: by the account, and at the address, whoever asked."""
        rows = await self._tx.fetch(
            """
            SELECT asked_at, account_id = $1 AS by_account, email = $2 AS to_address FROM emergency_contacts
            WHERE (account_id = $1 OR email = $2) AND asked_at > $3
            ORDER BY asked_at
            """,
            account_id,
            email,
            since,
        )
        return (
            [to_wall_ms(row["asked_at"]) for row in rows if row["by_account"]],
            [to_wall_ms(row["asked_at"]) for row in rows if row["to_address"]],
        )

    async def replace(self, account_id: AccountId, at: datetime) -> None:
        """The account has named nobody any more."""
        await self._tx.execute(
            "UPDATE emergency_contacts SET replaced_at = $2 WHERE account_id = $1 AND replaced_at IS NULL",
            account_id,
            at,
        )

    async def add(self, contact: Contact) -> None:
        """Somebody is asked. Whoever adds has replaced who was named before."""
        await self._tx.execute(
            "INSERT INTO emergency_contacts (id, account_id, name, email, asked_at) VALUES ($1, $2, $3, $4, $5)",
            contact.id,
            contact.account_id,
            contact.name,
            contact.email,
            utc(contact.asked_at_ms),
        )

    async def rename(self, contact_id: ContactId, name: str) -> Contact:
        """Call a contact by another name."""
        row = await self._tx.fetchrow(
            """
            UPDATE emergency_contacts AS contact SET name = $2
            FROM accounts
            WHERE contact.id = $1 AND accounts.id = contact.account_id
            RETURNING contact.*, accounts.name AS athlete
            """,
            contact_id,
            name,
        )
        return _contact(row)

    async def agree(self, contact_id: ContactId, at: datetime) -> None:
        """They have said yes."""
        await self._tx.execute("UPDATE emergency_contacts SET agreed_at = $2 WHERE id = $1", contact_id, at)

    async def refuse(self, account_id: AccountId, email: str, at: datetime) -> None:
        """They have said no to this account, to whatever question; the first time stands."""
        await self._tx.execute(
            """
            UPDATE emergency_contacts SET refused_at = $3
            WHERE account_id = $1 AND email = $2 AND refused_at IS NULL
            """,
            account_id,
            email,
            at,
        )

    async def died(self, contact_id: ContactId, at: datetime) -> None:
        """A mail server has said that nobody lives at their address."""
        await self._tx.execute(
            "UPDATE emergency_contacts SET dead_at = $2 WHERE id = $1 AND dead_at IS NULL", contact_id, at
        )

    async def prune(self, before: datetime, limit: int) -> int:
        """Forget up to `limit` questions in whose place there was something else before an instant, and what was sent for them, but
        none that was answered with no, by mail or by text message; how many they were."""
        status: str = await self._tx.execute(
            """
            DELETE FROM emergency_contacts
            WHERE id IN (
                SELECT id FROM emergency_contacts
                WHERE replaced_at < $1 AND refused_at IS NULL
                  AND NOT EXISTS (
                      SELECT FROM contact_phones AS phone
                      WHERE phone.contact_id = emergency_contacts.id AND phone.refused_at IS NOT NULL
                  )
                ORDER BY replaced_at
                LIMIT $2
                FOR UPDATE SKIP LOCKED
            )
            """,
            before,
            limit,
        )
        return int(status.split()[-1])


def _contact(row: asyncpg.Record) -> Contact:
    return Contact(
        id=ContactId(row["id"]),
        account_id=AccountId(row["account_id"]),
        athlete=row["athlete"],
        name=row["name"],
        email=row["email"],
        asked_at_ms=to_wall_ms(row["asked_at"]),
        agreed_at_ms=_ms(row["agreed_at"]),
        refused_at_ms=_ms(row["refused_at"]),
        dead_at_ms=_ms(row["dead_at"]),
        replaced_at_ms=_ms(row["replaced_at"]),
    )


def _ms(instant: datetime | None) -> int | None:
    return None if instant is None else to_wall_ms(instant)
