"""The SQL of emergency contacts: the questions that were asked by mail (questions.py). Name and address are sealed as one."""

from datetime import datetime
from typing import Final

import asyncpg
import msgspec

from persistence.database import Tx
from persistence.questions import Asked, Questions, answers_of
from persistence.sealing import Sealing, data_key_of
from services.kernel.clock import utc
from services.kernel.ids import AccountId, ContactId, ContactPhoneId
from services.privacy.vault import Field
from services.safety.contact import Contact, Reachable

CONTACT: Final = Field("emergency_contacts", "sealed")
EMAIL_INDEX: Final = Field("emergency_contacts", "email_index")
_CONTACTS: Final = f"""
    SELECT contact.*, accounts.name AS athlete, {data_key_of("contact.account_id")} AS data_key
    FROM emergency_contacts AS contact JOIN accounts ON accounts.id = contact.account_id
"""  # noqa: S608 - names of columns


class Who(msgspec.Struct, frozen=True):
    """What is sealed of a contact."""

    name: str
    email: str


class Contacts(Questions):
    """The contacts inside one transaction."""

    def __init__(self, tx: Tx, sealing: Sealing | None = None) -> None:
        super().__init__(tx, sealing or Sealing(tx), Asked("email", EMAIL_INDEX, 0x2EF3))

    async def current(self, account_id: AccountId) -> Contact | None:
        """Whom the account has named, whatever they have answered."""
        row = await self._tx.fetchrow(f"{_CONTACTS} WHERE contact.account_id = $1 AND replaced_at IS NULL", account_id)
        return None if row is None else self._contact(row)

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

    async def by_id(self, question_id: ContactId) -> Contact | None:
        """A question that was asked, or None."""
        row = await self._tx.fetchrow(f"{_CONTACTS} WHERE contact.id = $1", question_id)
        return None if row is None else self._contact(row)

    async def latest(self, account_id: AccountId, limit: int) -> list[Contact]:
        """What an account has asked, the newest first."""
        rows = await self._tx.fetch(
            f"{_CONTACTS} WHERE contact.account_id = $1 ORDER BY asked_at DESC, contact.id DESC LIMIT $2",
            account_id,
            limit,
        )
        return [self._contact(row) for row in rows]

    async def add(self, question: Contact) -> None:
        """Somebody is asked. Whoever adds has replaced who was named before."""
        sealed = await self._seal(question)
        await self._tx.execute(
            """
            INSERT INTO emergency_contacts (id, account_id, name, email, sealed, email_index, asked_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7)
            """,
            question.id,
            question.account_id,
            question.name if sealed is None else None,
            question.email if sealed is None else None,
            sealed,
            self._sealing.index(EMAIL_INDEX, question.email),
            utc(question.asked_at_ms),
        )

    async def rename(self, contact: Contact, name: str) -> Contact:
        """Call a contact by another name."""
        renamed = msgspec.structs.replace(contact, name=name)
        sealed = await self._seal(renamed)
        await self._tx.execute(
            "UPDATE emergency_contacts SET name = $2, email = $3, sealed = $4, email_index = $5 WHERE id = $1",
            contact.id,
            name if sealed is None else None,
            contact.email if sealed is None else None,
            sealed,
            self._sealing.index(EMAIL_INDEX, contact.email),
        )
        return renamed

    async def refuse(self, question: Contact, at: datetime) -> None:
        """They have said no to this account, to whatever question; the first time stands."""
        await self._refuse(question.account_id, question.email, at)

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

    async def _seal(self, contact: Contact) -> bytes | None:
        return await self._sealing.seal(contact.account_id, CONTACT, packed(contact.name, contact.email))

    def _contact(self, row: asyncpg.Record) -> Contact:
        account_id = AccountId(row["account_id"])
        who = who_of(self._sealing, account_id, row["data_key"], row["name"], row["email"], row["sealed"])
        return Contact(
            id=ContactId(row["id"]),
            account_id=account_id,
            athlete=row["athlete"],
            name=who.name,
            email=who.email,
            **answers_of(row)._asdict(),
        )


def packed(name: str, email: str) -> bytes:
    """A contact as it is sealed."""
    return msgspec.json.encode(Who(name, email))


def who_of(
    sealing: Sealing,
    account_id: AccountId,
    key: bytes | None,
    name: str | None,
    email: str | None,
    sealed: bytes | None,
) -> Who:
    """Who it is, from the columns of their row and the key of its account."""
    if sealed is not None:
        return msgspec.json.decode(sealing.open(account_id, key, CONTACT, sealed), type=Who)
    return Who(name or "", email or "")
