"""The SQL of emergency contacts' telephone numbers: the questions that were asked by text message (questions.py)."""

from datetime import datetime
from typing import Final

import asyncpg

from persistence.contacts import who_of
from persistence.database import Tx
from persistence.questions import Asked, Questions, answers_of
from persistence.sealing import Sealing, data_key_of
from services.kernel.clock import utc
from services.kernel.ids import AccountId, ContactId, ContactPhoneId
from services.privacy.vault import Field
from services.safety.contact_phone import ContactPhone

CONTACT_NUMBER: Final = Field("contact_phones", "sealed")
CONTACT_NUMBER_INDEX: Final = Field("contact_phones", "number_index")
_PHONES: Final = f"""
    SELECT phone.*, contact.name AS contact, contact.email, contact.sealed AS contact_sealed, accounts.name AS athlete,
        {data_key_of("phone.account_id")} AS data_key
    FROM contact_phones AS phone
    JOIN emergency_contacts AS contact ON contact.id = phone.contact_id
    JOIN accounts ON accounts.id = phone.account_id
"""  # noqa: S608 - names of columns


class ContactPhones(Questions):
    """The numbers inside one transaction."""

    def __init__(self, tx: Tx, sealing: Sealing | None = None) -> None:
        super().__init__(tx, sealing or Sealing(tx), Asked("number", CONTACT_NUMBER_INDEX, 0x2EF4))

    async def current(self, account_id: AccountId) -> ContactPhone | None:
        """The number that the account has given, whatever was answered there."""
        row = await self._tx.fetchrow(
            f"{_PHONES} WHERE phone.account_id = $1 AND phone.replaced_at IS NULL", account_id
        )
        return None if row is None else self._phone(row)

    async def by_id(self, question_id: ContactPhoneId) -> ContactPhone | None:
        """A question that was asked, or None."""
        row = await self._tx.fetchrow(f"{_PHONES} WHERE phone.id = $1", question_id)
        return None if row is None else self._phone(row)

    async def latest(self, account_id: AccountId, limit: int) -> list[ContactPhone]:
        """What an account has asked, the newest first."""
        rows = await self._tx.fetch(
            f"{_PHONES} WHERE phone.account_id = $1 ORDER BY phone.asked_at DESC, phone.id DESC LIMIT $2",
            account_id,
            limit,
        )
        return [self._phone(row) for row in rows]

    async def add(self, question: ContactPhone) -> None:
        """A number is asked. Whoever adds has replaced the one before."""
        sealed = await self._sealing.seal(question.account_id, CONTACT_NUMBER, question.number.encode())
        await self._tx.execute(
            """
            INSERT INTO contact_phones (id, account_id, contact_id, number, sealed, number_index, asked_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7)
            """,
            question.id,
            question.account_id,
            question.contact_id,
            question.number if sealed is None else None,
            sealed,
            self._sealing.index(CONTACT_NUMBER_INDEX, question.number),
            utc(question.asked_at_ms),
        )

    async def refuse(self, question: ContactPhone, at: datetime) -> None:
        """They have said no to this account, to whatever question; the first time stands."""
        await self._refuse(question.account_id, question.number, at)

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

    def _phone(self, row: asyncpg.Record) -> ContactPhone:
        account_id, key = AccountId(row["account_id"]), row["data_key"]
        who = who_of(self._sealing, account_id, key, row["contact"], row["email"], row["contact_sealed"])
        return ContactPhone(
            id=ContactPhoneId(row["id"]),
            account_id=account_id,
            contact_id=ContactId(row["contact_id"]),
            athlete=row["athlete"],
            contact=who.name,
            number=self._sealing.text(account_id, key, CONTACT_NUMBER, row["number"], row["sealed"]),
            **answers_of(row)._asdict(),
        )
