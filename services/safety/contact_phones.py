"""The telephone number of an emergency contact: given by the athlete, asked by text message, answered by whoever reads it. The
use cases.

As with the mail address (contacts.py): the question and its letter are one transaction, and the signed link is the right to answer.
"""

from typing import Final

import structlog

from services.kernel.caller import Caller
from services.kernel.clock import Clock, utc
from services.kernel.ids import ContactPhoneId, Ids
from services.kernel.problems import ContactRefused, NotFound, TooManyAsked
from services.notifications.addresses import normal_phone
from services.notifications.contact_letter import ANSWER_MS, letter_id
from services.notifications.contact_link import ContactLinks
from services.safety.answering import answer, asked
from services.safety.contact import WEEK_MS, wait_ms
from services.safety.contact_phone import ContactPhone
from services.safety.ports import ContactTransactions
from services.safety.question import state_of
from services.safety.safety import own

log = structlog.get_logger(__name__)


class ContactPhones:
    """The use cases. `offered`: whether this installation sends text messages at all."""

    def __init__(
        self, transactions: ContactTransactions, clock: Clock, ids: Ids, links: ContactLinks, *, offered: bool
    ) -> None:
        self._transactions: Final = transactions
        self._clock: Final = clock
        self._ids: Final = ids
        self._links: Final = links
        self._offered: Final = offered

    async def now(self, caller: Caller) -> ContactPhone | None:
        """The number that the caller has given. Raises `Forbidden` for a display."""
        async with self._transactions() as stores:
            return await stores.contact_phones.current(own(caller))

    async def give(self, caller: Caller, text: str) -> ContactPhone:
        """Ask a number whether it may be sent text messages, in place of the one before. One that has agreed is not asked again.

        Raises `BadShape` at `$.phone`, `ContactRefused` for a number, or a contact, that has said no to the caller,
        `TooManyAsked` with the time to wait, `NotFound` while nobody is named, and where no text messages are sent."""
        account_id, number = own(caller), normal_phone(text)
        if not self._offered:
            raise NotFound("this server sends no text messages")
        now_ms = self._clock.wall_ms()
        async with self._transactions() as stores:
            await stores.contact_phones.lock(account_id, number)
            contact = await stores.contacts.current(account_id)
            if contact is None:
                raise NotFound("name your emergency contact first")
            found = await stores.contact_phones.current(account_id)
            if found is not None and found.number == number and state_of(found, now_ms) == "agreed":
                return found
            if contact.refused_at_ms is not None or await stores.contact_phones.refused(account_id, number):
                raise ContactRefused
            by_account, to_number = await stores.contact_phones.asked_since(account_id, number, utc(now_ms - WEEK_MS))
            if pause_ms := wait_ms(by_account, to_number, now_ms):
                raise TooManyAsked(retry_after_ms=pause_ms)
            question = ContactPhone(
                id=ContactPhoneId(self._ids.next()),
                account_id=account_id,
                athlete=contact.athlete,
                contact_id=contact.id,
                contact=contact.name,
                number=number,
                asked_at_ms=now_ms,
            )
            await stores.contact_phones.replace(account_id, utc(now_ms))
            await stores.contact_phones.add(question)
            letter = letter_id(question.id, "ask", "sms")
            await stores.letters.ask_to_text(letter, question, utc(now_ms), utc(now_ms + ANSWER_MS))
        log.info("contact_phones.asked", account=str(account_id), phone=str(question.id))
        return question

    async def take_back(self, caller: Caller) -> None:
        """Nothing is sent to the number any more. Raises `NotFound` when none is given."""
        account_id = own(caller)
        async with self._transactions() as stores:
            await stores.contact_phones.lock(account_id)
            if await stores.contact_phones.current(account_id) is None:
                raise NotFound("you have given no number of your emergency contact")
            await stores.contact_phones.replace(account_id, utc(self._clock.wall_ms()))
        log.info("contact_phones.taken_back", account=str(account_id))

    async def asked(self, token: str) -> ContactPhone:
        """What a link asks, and how it stands. Raises `NotFound` for a link that is not ours, or of long ago."""
        async with self._transactions() as stores:
            return await asked(stores.contact_phones, self._links.phone(token))

    async def answer(self, token: str, *, agrees: bool) -> ContactPhone:
        """Whoever reads the messages says yes, or says no, or takes it back. Said again, it is as it was. Raises `NotFound` for
        a yes to what is asked no more."""
        phone_id = self._links.phone(token)
        async with self._transactions() as stores:
            answered = await answer(stores.contact_phones, phone_id, self._clock.wall_ms(), agrees=agrees)
        log.info("contact_phones.answered", phone=str(phone_id), agrees=agrees)
        return answered
