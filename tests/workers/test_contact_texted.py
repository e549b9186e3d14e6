"""The last link of the chain by text message: a number that has agreed, told once, beside the mail and without it."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TypeVar

import msgspec
import pytest

from persistence.database import Database
from services.kernel.caller import Caller
from services.kernel.clock import utc
from services.kernel.facts import SafetyStepDue
from services.kernel.ids import FactId
from services.kernel.problems import ContactRefused, NotFound, TooManyAsked
from services.notifications.contact_letter import ALARM_MS, ANSWER_MS
from services.notifications.contact_link import ContactLinks
from services.notifications.notifications import Notifications
from services.notifications.preferences import Preferences, QuietHours
from services.notifications.segments import segments
from services.notifications.unsubscribe import Unsubscribe
from services.safety.contact import ASKS_A_WEEK, DAY_MS, PAUSE_MS, WEEK_MS
from services.safety.contact_phone import ContactPhone
from services.safety.contact_phones import ContactPhones
from services.safety.incident import OPEN_MS
from services.safety.question import state_of
from tests.support.mailed import BASE_URL
from tests.support.notified import SECRET
from tests.support.providers import Fault
from tests.support.texted import Texts, open_texts
from tests.workers.test_contact_told import ALARM, BEN, WELL, Alarmed
from tests.workers.test_contact_told import alarmed as alarmed

NUMBER = "+4915112345678"
LINKS = ContactLinks(SECRET)


Found = TypeVar("Found")


def sure(found: Found | None) -> Found:
    """What must be there."""
    assert found is not None
    return found


@dataclass
class Texted:
    """The chain, and the servers that its mails and text messages arrive at."""

    alarmed: Alarmed
    texts: Texts

    @property
    def phones(self) -> ContactPhones:
        chain = self.alarmed.chain
        return ContactPhones(chain.transactions, chain.clock, chain.ids, LINKS, offered=True)

    async def a_silent_athlete(self, *, mail: bool = True, agrees: bool = True) -> tuple[Caller, ContactPhone]:
        """Ada, outside a class, who has named Ben and his number, does not answer."""
        ada = await self.alarmed.chain.person("Ada", watched=True)
        await self.alarmed.names_ben(ada, agrees=mail)
        phone = await self.phones.give(ada, NUMBER)
        await self.texts.arrived()
        if agrees:
            await self.phones.answer(LINKS.phone_token(phone.id), agrees=True)
        await self.alarmed.chain.found(ada)
        await self.alarmed.chain.pass_time(15)
        return ada, phone

    async def told(self) -> list[str]:
        """What has arrived at the number, but for the question."""
        return [text for to, text in await self.texts.arrived() if to == NUMBER and "May we text" not in text]

    async def answers(self, caller: Caller) -> None:
        """The athlete is all right."""
        async with self.alarmed.chain.transactions() as stores:
            incident = sure(await stores.safety.latest(caller.account_id))
        await self.alarmed.chain.safety.cancel(caller, incident.id)


@pytest.fixture
async def texted(alarmed: Alarmed, database: Database) -> AsyncIterator[Texted]:
    """An empty world with a mail server and an SMS provider."""
    async with open_texts(alarmed.chain.transactions, alarmed.chain.clock, SECRET) as texts:
        yield Texted(alarmed, texts)


async def test_a_number_is_asked_by_a_text_message_whose_link_answers(texted: Texted) -> None:
    ada = await texted.alarmed.chain.person("Ada")
    with pytest.raises(NotFound, match="name your emergency contact"):
        await texted.phones.give(ada, NUMBER)
    await texted.alarmed.names_ben(ada, agrees=False)
    phone = await texted.phones.give(ada, "+49 (151) 1234-5678")
    ((to, text),) = await texted.texts.arrived()
    token = LINKS.phone_token(phone.id)
    assert to == NUMBER
    assert text.startswith("Paceline: Ada has named you as emergency contact.")
    assert text.endswith(f" {BASE_URL}/emergency-contact/phone?token={token}")
    assert segments(text) <= 3
    assert state_of(await texted.phones.asked(token), texted.alarmed.chain.clock.wall_ms()) == "asked"
    assert (await texted.phones.answer(token, agrees=True)).agreed_at_ms is not None
    assert (await texted.phones.answer(token, agrees=True)).agreed_at_ms is not None
    assert await texted.phones.give(ada, NUMBER) == await texted.phones.now(ada), "it is not asked again"
    assert len(await texted.texts.arrived()) == 1


async def test_who_has_agreed_to_both_is_told_by_both_once_though_every_fact_comes_twice(texted: Texted) -> None:
    await texted.a_silent_athlete()
    chain = texted.alarmed.chain
    for envelope in await chain.envelopes():
        if isinstance(envelope.fact, SafetyStepDue):
            await chain.deliver(msgspec.structs.replace(envelope, id=FactId(chain.ids.next())))
    (text,) = await texted.told()
    assert text.startswith("Paceline: Ada has not answered since ")
    assert "Please try to reach Ada now." in text
    assert "197" not in text, "no figures of anybody's heart"
    assert await texted.alarmed.told() == [ALARM]


async def test_a_number_alone_is_enough_and_hears_once_that_all_is_well(texted: Texted) -> None:
    ada, _ = await texted.a_silent_athlete(mail=False)
    assert len(await texted.told()) == 1
    await texted.answers(ada)
    await texted.alarmed.chain.turn()
    assert [text[:28] for text in await texted.told()] == [
        "Paceline: Ada has not answer",
        "Paceline: Ada has answered: ",
    ]
    assert await texted.alarmed.told() == [], "the mail was never agreed to"


async def test_a_number_that_has_not_agreed_is_sent_nothing(texted: Texted) -> None:
    await texted.a_silent_athlete(agrees=False)
    assert await texted.told() == []
    assert await texted.alarmed.told() == [ALARM]


@pytest.mark.parametrize("way", ["number", "mail"])
async def test_a_yes_that_is_taken_back_silences_its_own_way_and_a_no_by_mail_both(texted: Texted, way: str) -> None:
    ada, phone = await texted.a_silent_athlete()
    assert (len(await texted.told()), await texted.alarmed.told()) == (1, [ALARM])
    if way == "number":
        await texted.phones.answer(LINKS.phone_token(phone.id), agrees=False)
    else:
        await texted.alarmed.contacts.answer(LINKS.token(phone.contact_id), agrees=False)
    await texted.answers(ada)
    await texted.alarmed.chain.turn()
    assert len(await texted.told()) == 1
    assert await texted.alarmed.told() == ([ALARM, WELL] if way == "number" else [ALARM])


async def test_quiet_hours_hold_no_text_message_back(texted: Texted) -> None:
    chain = texted.alarmed.chain
    ada = await chain.person("Ada", watched=True)
    always = Preferences(quiet_hours=QuietHours(0, 1_439), time_zone="UTC")
    async with chain.transactions() as stores:
        await stores.notification_settings.save_preferences(ada.account_id, always, utc(chain.clock.wall_ms()))
    await texted.alarmed.names_ben(ada)
    phone = await texted.phones.give(ada, NUMBER)
    await texted.phones.answer(LINKS.phone_token(phone.id), agrees=True)
    await chain.found(ada)
    await chain.pass_time(15)
    assert len(await texted.told()) == 1


async def test_a_provider_that_is_broken_makes_it_late_and_not_twice(texted: Texted) -> None:
    texted.texts.server.faults.next(Fault("broken"))
    await texted.a_silent_athlete(mail=False, agrees=False)
    assert await texted.texts.arrived() == []
    await texted.alarmed.chain.clock.advance(OPEN_MS / 1_000)
    assert len(await texted.texts.arrived()) == 1


async def test_one_that_may_have_left_is_not_sent_again(texted: Texted) -> None:
    await texted.a_silent_athlete(mail=False)
    texted.texts.server.faults.next(Fault("hang_up"))
    assert await texted.told() == []
    await texted.alarmed.chain.clock.advance(ALARM_MS / 1_000)
    assert await texted.told() == []
    async with texted.alarmed.chain.transactions() as stores:
        (seen,) = await stores.deliveries.in_doubt(10)
    assert (seen.topic, seen.channel) == ("contact_alarm", "sms")


@pytest.mark.parametrize("says_so", ["when asked", "later"])
async def test_a_dead_number_of_a_contact_is_used_no_more_and_is_not_that_of_the_athlete(
    texted: Texted, says_so: str
) -> None:
    chain = texted.alarmed.chain
    ada = await chain.person("Ada", watched=True)
    async with chain.transactions() as stores:
        await stores.notification_settings.set_phone(ada.account_id, "+436601234567", utc(chain.clock.wall_ms()))
    await texted.alarmed.names_ben(ada)
    if says_so == "when asked":
        texted.texts.server.faults.next(Fault("dead"))
    await texted.phones.give(ada, NUMBER)
    await texted.texts.arrived()
    if says_so == "later":
        (sid,) = texted.texts.server.messages
        notifications = Notifications(chain.transactions, chain.clock, chain.ids, Unsubscribe(SECRET))
        assert await notifications.record_outcome("sms", sid, "failed", "error 30005", dead=True)
    found = sure(await texted.phones.now(ada))
    assert state_of(found, chain.clock.wall_ms()) == "unreachable"
    async with chain.transactions() as stores:
        assert sure(await stores.phones.of(ada.account_id)).dead_at_ms is None


async def test_asking_a_number_is_bounded_and_a_no_is_kept(texted: Texted) -> None:
    chain = texted.alarmed.chain
    ada = await chain.person("Ada")
    await texted.alarmed.names_ben(ada)
    phone = await texted.phones.give(ada, NUMBER)
    with pytest.raises(TooManyAsked) as too_soon:
        await texted.phones.give(ada, NUMBER)
    assert too_soon.value.retry_after_ms == PAUSE_MS
    for _ in range(ASKS_A_WEEK - 1):
        await chain.clock.advance(PAUSE_MS / 1_000)
        phone = await texted.phones.give(ada, NUMBER)
    await chain.clock.advance(DAY_MS / 1_000)
    with pytest.raises(TooManyAsked):
        await texted.phones.give(ada, NUMBER)
    await chain.clock.advance(WEEK_MS / 1_000)
    await texted.phones.answer(LINKS.phone_token(phone.id), agrees=False)
    with pytest.raises(ContactRefused):
        await texted.phones.give(ada, NUMBER)
    later = utc(chain.clock.wall_ms() + WEEK_MS)
    await texted.alarmed.contacts.take_back(ada)
    async with chain.transactions() as stores:
        await stores.contact_phones.prune(later, 10)
        await stores.contacts.prune(later, 10)
        assert await stores.contact_phones.refused(ada.account_id, NUMBER)


async def test_another_contact_takes_the_number_with_it_and_its_question_ends(texted: Texted) -> None:
    chain = texted.alarmed.chain
    ada = await chain.person("Ada")
    await texted.alarmed.names_ben(ada)
    phone = await texted.phones.give(ada, NUMBER)
    await chain.clock.advance(PAUSE_MS / 1_000)
    await texted.alarmed.contacts.name(ada, "Eve", f"eve.{BEN}")
    assert await texted.phones.now(ada) is None
    assert await texted.texts.arrived() == [], "the question has not left, and does not"
    with pytest.raises(NotFound):
        await texted.phones.answer(LINKS.phone_token(phone.id), agrees=True)


async def test_a_question_that_nobody_answers_ends_and_links_of_mail_answer_no_texts(texted: Texted) -> None:
    chain = texted.alarmed.chain
    ada = await chain.person("Ada")
    token = await texted.alarmed.names_ben(ada)
    phone = await texted.phones.give(ada, NUMBER)
    with pytest.raises(NotFound):
        await texted.phones.answer(token, agrees=True)
    with pytest.raises(NotFound):
        await texted.alarmed.contacts.answer(LINKS.phone_token(phone.id), agrees=True)
    await chain.clock.advance(ANSWER_MS / 1_000)
    assert state_of(sure(await texted.phones.now(ada)), chain.clock.wall_ms()) == "unanswered"
    with pytest.raises(NotFound):
        await texted.phones.answer(LINKS.phone_token(phone.id), agrees=True)
