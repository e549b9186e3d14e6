"""The SQL of letters to emergency contacts: deliveries that are about no notification and go to somebody without an account.

A letter goes by mail, or as a text message to a number whose owner has agreed to it (`contact_phones`). By both ways it is two
letters, each with an id of its own, so one that cannot leave holds the other not back."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import asyncpg
import structlog

from persistence.contact_phones import CONTACT_NUMBER
from persistence.contacts import who_of
from persistence.database import Tx
from persistence.lanes import wake
from persistence.safety import found_of
from persistence.sealing import Sealing, data_key_of
from services.kernel import trace
from services.kernel.clock import to_wall_ms
from services.kernel.ids import AccountId, ContactId, ContactPhoneId, DeliveryId, IncidentId
from services.kernel.sealing import CannotOpen
from services.notifications.contact_letter import ANSWER_MS, ContactLetter, Says, Standing
from services.safety.contact import Contact
from services.safety.contact_phone import ContactPhone

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Letter:
    """A letter to an emergency contact: where it goes (`phone_id` for a text message), what it says, and how it stands about it."""

    contact_id: ContactId
    phone_id: ContactPhoneId | None
    address: str
    content: ContactLetter
    standing: Standing


class ContactLetters:
    """The letters inside one transaction. One that is there already stays as it is."""

    def __init__(self, tx: Tx) -> None:
        self._tx: Final = tx

    async def ask(self, letter: DeliveryId, contact: Contact, at: datetime, until: datetime) -> None:
        """The question whether somebody agrees to be an emergency contact."""
        await self._add(letter, contact.account_id, contact.id, None, "ask", None, at, until)

    async def ask_to_text(self, letter: DeliveryId, phone: ContactPhone, at: datetime, until: datetime) -> None:
        """The question whether they may be sent text messages, as one."""
        await self._add(letter, phone.account_id, phone.contact_id, phone.id, "ask", None, at, until)

    async def alarm(
        self,
        letter: DeliveryId,
        contact_id: ContactId,
        phone_id: ContactPhoneId | None,
        incident_id: IncidentId,
        at: datetime,
        until: datetime,
    ) -> None:
        """That somebody does not answer: by mail, or to a number."""
        account_id = await self._tx.fetchval("SELECT account_id FROM emergency_contacts WHERE id = $1", contact_id)
        if account_id is not None:
            await self._add(letter, account_id, contact_id, phone_id, "alarm", incident_id, at, until)

    async def reassure(self, letter: DeliveryId, alarm: DeliveryId, at: datetime, until: datetime) -> None:
        """That all is well, to whom an alarm went, and the same way."""
        row = await self._tx.fetchrow(
            "SELECT account_id, contact_id, contact_phone_id, incident_id FROM deliveries WHERE id = $1", alarm
        )
        if row is not None:
            await self._add(
                letter,
                row["account_id"],
                row["contact_id"],
                row["contact_phone_id"],
                "well",
                row["incident_id"],
                at,
                until,
            )

    async def _add(
        self,
        letter: DeliveryId,
        account_id: AccountId,
        contact_id: ContactId,
        phone_id: ContactPhoneId | None,
        says: Says,
        incident_id: IncidentId | None,
        at: datetime,
        until: datetime,
    ) -> None:
        await self._tx.execute(
            """
            INSERT INTO deliveries
                (id, account_id, contact_id, contact_phone_id, contact_says, incident_id, channel, lane, urgent, state, due_at,
                 made_at, changed_at, expires_at, traceparent)
            SELECT $1, $2, $3, $4, $5, $6, way, way, true, 'waiting', $7, $7, $7, $8, $9
            FROM (SELECT CASE WHEN $4::uuid IS NULL THEN 'email' ELSE 'sms' END AS way) AS ways
            ON CONFLICT (id) DO NOTHING
            """,
            letter,
            account_id,
            contact_id,
            phone_id,
            says,
            incident_id,
            at,
            until,
            trace.traceparent(),
        )
        await wake(self._tx, "email" if phone_id is None else "sms")


async def letters_of(tx: Tx, sealing: Sealing, delivery_ids: Sequence[DeliveryId]) -> dict[DeliveryId, Letter]:
    """What these letters say, and to whom, as of now; without those of which something sealed does not open."""
    rows = await tx.fetch(
        f"""
        SELECT deliveries.id, deliveries.contact_says, deliveries.contact_id, deliveries.contact_phone_id,
               accounts.name AS athlete, contact.account_id, contact.name, contact.email, contact.sealed, contact.refused_at,
               contact.agreed_at AS mail_agreed_at, contact.asked_at AS mail_asked_at, contact.replaced_at AS mail_replaced_at,
               {data_key_of("contact.account_id")} AS data_key,
               phone.number, phone.sealed AS number_sealed,
               phone.agreed_at, phone.asked_at, phone.refused_at AS phone_refused_at, phone.replaced_at,
               incident.kind, incident.bpm, incident.found_sealed, incident.opened_at, incident.coach_told_at, incident.ended_at,
               incident.ended_by = 'athlete' AS answered,
               (
                   SELECT alarm.state FROM deliveries AS alarm
                   WHERE alarm.incident_id = deliveries.incident_id AND alarm.contact_says = 'alarm'
                     AND alarm.channel = deliveries.channel
               ) AS alarm_state
        FROM deliveries
        JOIN accounts ON accounts.id = deliveries.account_id
        JOIN emergency_contacts AS contact ON contact.id = deliveries.contact_id
        LEFT JOIN contact_phones AS phone ON phone.id = deliveries.contact_phone_id
        LEFT JOIN safety_incidents AS incident ON incident.id = deliveries.incident_id
        WHERE deliveries.id = ANY($1::uuid[])
        """,  # noqa: S608 - names of columns
        delivery_ids,
    )
    letters = {}
    for row in rows:
        try:
            letters[DeliveryId(row["id"])] = _letter(row, sealing)
        except CannotOpen as problem:
            # Whoever else is to be told waits for none of these.
            log.error("letters.unreadable", delivery=str(row["id"]), problem=str(problem))  # noqa: TRY400
    return letters


def _letter(row: asyncpg.Record, sealing: Sealing) -> Letter:
    account_id, key = AccountId(row["account_id"]), row["data_key"]
    who = who_of(sealing, account_id, key, row["name"], row["email"], row["sealed"])
    says: Says = row["contact_says"]
    texted = row["contact_phone_id"] is not None
    agreed_at, asked_at = ("agreed_at", "asked_at") if texted else ("mail_agreed_at", "mail_asked_at")
    seen = ""
    if row["opened_at"] is not None:
        seen = found_of(sealing, account_id, key, row["kind"], row["bpm"], row["found_sealed"]).kind
    content = ContactLetter(
        says,
        contact=who.name,
        athlete=row["athlete"],
        seen=seen,
        asked_at_ms=_ms(row["opened_at"]),
        coach_told=row["coach_told_at"] is not None,
        answered_at_ms=_ms(row["ended_at"]),
        until_ms=to_wall_ms(row[asked_at]) + ANSWER_MS,
    )
    standing = Standing(
        says,
        agreed=row[agreed_at] is not None,
        refused=row["refused_at"] is not None or row["phone_refused_at"] is not None,
        replaced=row["mail_replaced_at"] is not None or row["replaced_at"] is not None,
        answered=bool(row["answered"]),
        alarm=row["alarm_state"],
    )
    phone_id = ContactPhoneId(row["contact_phone_id"]) if texted else None
    address = who.email
    if texted:
        address = sealing.text(account_id, key, CONTACT_NUMBER, row["number"], row["number_sealed"])
    return Letter(ContactId(row["contact_id"]), phone_id, address, content, standing)


def _ms(instant: datetime | None) -> int:
    return 0 if instant is None else to_wall_ms(instant)
