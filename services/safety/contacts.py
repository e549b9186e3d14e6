"""The emergency contact of an account: named by the athlete, asked by mail, answered by whoever reads that mail. The use cases.

Naming stores the question and its letter in one transaction, as everything that leaves.
"""

from typing import Final

import structlog

from services.kernel.caller import Caller
from services.kernel.clock import Clock, utc
from services.kernel.ids import ContactId, Ids
from services.kernel.problems import ContactRefused, NotFound, TooManyAsked
from services.notifications.contact_letter import ANSWER_MS, letter_id
from services.notifications.contact_link import ContactLinks
from services.safety.answering import answer, asked
from services.safety.contact import WEEK_MS, Contact, checked, wait_ms
from services.safety.ports import ContactTransactions
from services.safety.question import state_of
from services.safety.safety import own

log = structlog.get_logger(__name__)


class Contacts:
    """The use cases. `offered`: whether this installation sends mail at all."""

    def __init__(
        self, transactions: ContactTransactions, clock: Clock, ids: Ids, links: ContactLinks, *, offered: bool
    ) -> None:
        self._transactions: Final = transactions
        self._clock: Final = clock
        self._ids: Final = ids
        self._links: Final = links
        self._offered: Final = offered

    async def now(self, caller: Caller) -> Contact | None:
        """Whom the caller has named. Raises `Forbidden` for a display."""
        async with self._transactions() as stores:
            return await stores.contacts.current(own(caller))

    async def name(self, caller: Caller, name: str, email: str) -> Contact:
        """Ask somebody whether they agree, in place of whom the caller had named before. Who has agreed already is not asked
        again, only called by another name.

        Raises `BadShape`, `ContactRefused` for who has said no to the caller, `TooManyAsked` with the time to wait, `NotFound`
        where no mail is sent.
        """
        account_id = own(caller)
        if not self._offered:
            raise NotFound("this server sends no mail, so nobody can be asked")
        now_ms = self._clock.wall_ms()
        async with self._transactions() as stores:
            account = await stores.accounts.by_id(account_id)
            if account is None:
                raise NotFound("this account is gone")
            name, email = checked(name, email, account.email)
            await stores.contacts.lock(account_id, email)
            found = await stores.contacts.current(account_id)
            if found is not None and found.email == email and state_of(found, now_ms) == "agreed":
                return await stores.contacts.rename(found, name)
            if await stores.contacts.refused(account_id, email):
                raise ContactRefused
            by_account, to_address = await stores.contacts.asked_since(account_id, email, utc(now_ms - WEEK_MS))
            if pause_ms := wait_ms(by_account, to_address, now_ms):
                raise TooManyAsked(retry_after_ms=pause_ms)
            question = Contact(
                id=ContactId(self._ids.next()),
                account_id=account_id,
                athlete=account.name,
                name=name,
                email=email,
                asked_at_ms=now_ms,
            )
            await stores.contacts.replace(account_id, utc(now_ms))
            await stores.contact_phones.replace(account_id, utc(now_ms))
            await stores.contacts.add(question)
            letter = letter_id(question.id, "ask")
            await stores.letters.ask(letter, question, utc(now_ms), utc(now_ms + ANSWER_MS))
        log.info("contacts.asked", account=str(account_id), contact=str(question.id))
        return question

    async def take_back(self, caller: Caller) -> None:
        """Nobody is told any more. Raises `NotFound` when nobody is named."""
        account_id = own(caller)
        async with self._transactions() as stores:
            await stores.contacts.lock(account_id)
            if await stores.contacts.current(account_id) is None:
                raise NotFound("you have named no emergency contact")
            now = utc(self._clock.wall_ms())
            await stores.contacts.replace(account_id, now)
            await stores.contact_phones.replace(account_id, now)
        log.info("contacts.taken_back", account=str(account_id))

    async def asked(self, token: str) -> Contact:
        """What a link asks, and how it stands. Raises `NotFound` for a link that is not ours, or of long ago."""
        async with self._transactions() as stores:
            return await asked(stores.contacts, self._links.contact(token))

    async def answer(self, token: str, *, agrees: bool) -> Contact:
        """The contact says yes, or says no, or takes it back. Said again, it is as it was. Raises `NotFound` for a yes to what is
        asked no more."""
        contact_id = self._links.contact(token)
        async with self._transactions() as stores:
            answered = await answer(stores.contacts, contact_id, self._clock.wall_ms(), agrees=agrees)
        log.info("contacts.answered", contact=str(contact_id), agrees=agrees)
        return answered
