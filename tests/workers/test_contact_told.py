"""The last link of the chain: the emergency contact, told by real mail, once, and only when nobody has answered."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta

import msgspec
import pytest

from persistence.database import Database
from services.classes.live_class import LiveClass
from services.kernel.caller import Caller
from services.kernel.clock import utc
from services.kernel.facts import SafetyStepDue
from services.kernel.ids import FactId
from services.kernel.problems import Unavailable
from services.notifications.contact_letter import ALARM_MS
from services.notifications.contact_link import ContactLinks
from services.notifications.preferences import Preferences, QuietHours
from services.safety.contact import WEEK_MS
from services.safety.contacts import Contacts
from services.safety.incident import COACH_MS, OPEN_MS, Incident
from tests.support.mailed import Mailing, open_mailing, text_of
from tests.support.notified import SECRET
from tests.support.providers import Fault
from tests.workers.test_safety_chain import Chain, a_class, killed_in_the_middle, step_due, sure
from workers.sending import NEWER_S

BEN = "ben@example.org"
ALARM, WELL = (BEN, "Ada does not answer"), (BEN, "Ada has answered: all is well")
COACH_S = COACH_MS / 1_000


@dataclass
class Alarmed:
    """The chain, and the server that its mails arrive at."""

    chain: Chain
    mailing: Mailing

    @property
    def contacts(self) -> Contacts:
        return Contacts(self.chain.transactions, self.chain.clock, self.chain.ids, ContactLinks(SECRET), offered=True)

    async def names_ben(self, caller: Caller, *, agrees: bool = True) -> str:
        """Somebody names Ben, who agrees, or has not answered yet; the token of his link."""
        asked = await self.contacts.name(caller, "Ben", BEN)
        token = ContactLinks(SECRET).token(asked.id)
        await self.mailing.mails()
        if agrees:
            await self.contacts.answer(token, agrees=True)
        return token

    async def told(self) -> list[tuple[str, str]]:
        """What has arrived, but for the question whether somebody agrees."""
        return [(to, subject) for to, subject in await self.mailing.subjects() if "may we write" not in subject]


@pytest.fixture
async def alarmed(database: Database) -> AsyncIterator[Alarmed]:
    """An empty world with a mail server."""
    chain = Chain(database)
    async with open_mailing(chain.transactions, chain.clock, SECRET) as mailing:
        yield Alarmed(chain, mailing)


async def a_silent_athlete(alarmed: Alarmed) -> tuple[Caller, Caller, LiveClass, Incident]:
    """Ada, who has named Ben, does not answer in Kim's class, and Kim has been told."""
    ada, kim, live = await a_class(alarmed.chain)
    await alarmed.names_ben(ada)
    incident = sure(await alarmed.chain.found(ada, live))
    await alarmed.chain.pass_time(15)
    return ada, kim, live, incident


async def test_a_minute_after_the_coach_the_contact_is_told_once_though_every_fact_comes_twice(
    alarmed: Alarmed,
) -> None:
    _, _, _, incident = await a_silent_athlete(alarmed)
    await alarmed.chain.pass_time(COACH_S - 0.1)
    assert await alarmed.told() == []
    await alarmed.chain.pass_time(0.1)
    assert await alarmed.chain.state(incident) == "contact_told"
    assert await alarmed.told() == [ALARM]
    text = text_of((await alarmed.mailing.mails())[-1])
    assert "their heart rate was above their limit" in text
    assert "coach was told as well" in text
    assert "197" not in text, "no figures of anybody's heart"
    assert alarmed.chain.heard[-2:] == [
        ("Ada", "safety.prompt", "contact_told"),
        ("Kim", "safety.alert", "contact_told"),
    ]
    await alarmed.chain.pass_time(OPEN_MS / 1_000)
    assert await alarmed.chain.state(incident) == "closed"
    assert await alarmed.told() == [ALARM], "that time has passed is no news"


async def test_outside_a_class_the_contact_is_told_at_once(alarmed: Alarmed) -> None:
    ada = await alarmed.chain.person("Ada", watched=True)
    await alarmed.names_ben(ada)
    incident = sure(await alarmed.chain.found(ada))
    await alarmed.chain.pass_time(15)
    assert await alarmed.chain.state(incident) == "contact_told"
    assert await alarmed.told() == [ALARM]
    assert "coach" not in text_of((await alarmed.mailing.mails())[-1])


async def test_one_contact_whose_address_does_not_open_holds_nobody_elses_mail_back(alarmed: Alarmed) -> None:
    """ASVS 16.5.3: what cannot be read is waited with, and logged; whoever else is to be told is told."""
    chain = alarmed.chain
    ada, bob = await chain.person("Ada"), await chain.person("Bob")
    asked = await alarmed.contacts.name(ada, "Ben", BEN)
    await alarmed.contacts.name(bob, "Eve", f"eve.{BEN}")
    async with chain.transactions() as stores:
        kept = await stores.tx.fetchval("SELECT sealed FROM emergency_contacts WHERE id = $1", asked.id)
        await stores.tx.execute("UPDATE emergency_contacts SET sealed = '\\x01' WHERE id = $1", asked.id)
    assert [to for to, _ in await alarmed.mailing.subjects()] == [f"eve.{BEN}"]
    async with chain.transactions() as stores:
        await stores.tx.execute("UPDATE emergency_contacts SET sealed = $2 WHERE id = $1", asked.id, kept)
    await chain.clock.advance(NEWER_S)
    assert [to for to, _ in await alarmed.mailing.subjects()] == [f"eve.{BEN}", BEN]


async def test_quiet_hours_hold_nothing_back(alarmed: Alarmed) -> None:
    ada = await alarmed.chain.person("Ada", watched=True)
    always = Preferences(quiet_hours=QuietHours(0, 1_439), time_zone="UTC")
    async with alarmed.chain.transactions() as stores:
        await stores.notification_settings.save_preferences(ada.account_id, always, utc(alarmed.chain.clock.wall_ms()))
    await alarmed.names_ben(ada)
    await alarmed.chain.found(ada)
    await alarmed.chain.pass_time(15)
    assert await alarmed.told() == [ALARM]


async def test_mail_that_an_operator_has_stopped_goes_on_for_an_alarm(alarmed: Alarmed) -> None:
    ada = await alarmed.chain.person("Ada", watched=True)
    await alarmed.names_ben(ada)
    await alarmed.contacts.name(await alarmed.chain.person("Bob"), "Eve", f"eve.{BEN}")
    alarmed.mailing.switches.learn({"mail.sending": False})
    incident = sure(await alarmed.chain.found(ada))
    await alarmed.chain.pass_time(15)
    assert await alarmed.told() == [ALARM]
    await alarmed.chain.safety.cancel(ada, incident.id)
    assert await alarmed.told() == [ALARM, WELL]
    assert f"eve.{BEN}" not in [to for to, _ in await alarmed.mailing.subjects()], "a question can wait"
    alarmed.mailing.switches.learn({})
    assert f"eve.{BEN}" in [to for to, _ in await alarmed.mailing.subjects()]


async def test_an_answer_in_time_and_the_contact_hears_nothing(alarmed: Alarmed) -> None:
    ada = await alarmed.chain.person("Ada", watched=True)
    await alarmed.names_ben(ada)
    incident = sure(await alarmed.chain.found(ada))
    await alarmed.chain.safety.cancel(ada, incident.id)
    await alarmed.chain.pass_time(3_600)
    assert await alarmed.told() == []


async def test_an_answer_after_the_coach_was_told_comes_before_the_contact(alarmed: Alarmed) -> None:
    ada, _, _, incident = await a_silent_athlete(alarmed)
    await alarmed.chain.safety.cancel(ada, incident.id)
    await alarmed.chain.pass_time(3_600)
    assert await alarmed.told() == []


async def test_a_coach_who_takes_it_on_spares_the_contact(alarmed: Alarmed) -> None:
    _, kim, _, incident = await a_silent_athlete(alarmed)
    await alarmed.chain.safety.acknowledge(kim, incident.id)
    await alarmed.chain.pass_time(3_600)
    assert await alarmed.told() == []


async def test_who_has_not_agreed_is_told_nothing_and_nobody_waits_for_them(alarmed: Alarmed) -> None:
    ada = await alarmed.chain.person("Ada", watched=True)
    await alarmed.names_ben(ada, agrees=False)
    incident = sure(await alarmed.chain.found(ada))
    await alarmed.chain.pass_time(15)
    assert await alarmed.chain.state(incident) == "closed"
    assert await alarmed.told() == []


@pytest.mark.parametrize("how", ["the contact", "the athlete"])
async def test_who_has_agreed_and_is_contact_no_more_is_told_nothing(alarmed: Alarmed, how: str) -> None:
    ada = await alarmed.chain.person("Ada", watched=True)
    token = await alarmed.names_ben(ada)
    if how == "the contact":
        await alarmed.contacts.answer(token, agrees=False)
    else:
        await alarmed.contacts.take_back(ada)
    await alarmed.chain.found(ada)
    await alarmed.chain.pass_time(15)
    assert await alarmed.told() == []


async def test_who_was_told_hears_once_that_all_is_well(alarmed: Alarmed) -> None:
    ada = await alarmed.chain.person("Ada", watched=True)
    await alarmed.names_ben(ada)
    incident = sure(await alarmed.chain.found(ada))
    await alarmed.chain.pass_time(15)
    assert await alarmed.told() == [ALARM]
    assert (await alarmed.chain.safety.cancel(ada, incident.id)).contact_told
    await alarmed.chain.safety.cancel(ada, incident.id)
    await alarmed.chain.turn()
    assert await alarmed.told() == [ALARM, WELL]


async def test_an_answer_before_the_mail_has_left_spares_both(alarmed: Alarmed) -> None:
    ada = await alarmed.chain.person("Ada", watched=True)
    await alarmed.names_ben(ada)
    incident = sure(await alarmed.chain.found(ada))
    await alarmed.chain.pass_time(15)
    await alarmed.chain.safety.cancel(ada, incident.id)
    assert await alarmed.told() == []


async def test_a_mail_server_that_is_away_makes_it_late_and_not_twice(alarmed: Alarmed) -> None:
    ada = await alarmed.chain.person("Ada", watched=True)
    await alarmed.names_ben(ada)
    await alarmed.chain.found(ada)
    alarmed.mailing.server.faults.next(Fault("slow_down"))
    await alarmed.chain.pass_time(15)
    assert await alarmed.told() == []
    await alarmed.chain.pass_time(OPEN_MS / 1_000)
    assert await alarmed.told() == [ALARM], "the incident is over by the time, and still nobody has answered"


async def test_news_of_long_ago_is_none(alarmed: Alarmed) -> None:
    ada = await alarmed.chain.person("Ada", watched=True)
    await alarmed.names_ben(ada)
    await alarmed.chain.found(ada)
    await alarmed.chain.pass_time(15)
    await alarmed.chain.clock.advance(ALARM_MS / 1_000)
    assert await alarmed.told() == []


async def test_a_contact_who_has_had_enough_of_it_in_the_middle_hears_no_more(alarmed: Alarmed) -> None:
    ada = await alarmed.chain.person("Ada", watched=True)
    token = await alarmed.names_ben(ada)
    incident = sure(await alarmed.chain.found(ada))
    await alarmed.chain.pass_time(15)
    assert await alarmed.told() == [ALARM]
    await alarmed.contacts.answer(token, agrees=False)
    await alarmed.chain.safety.cancel(ada, incident.id)
    assert await alarmed.told() == [ALARM]


async def test_a_worker_that_is_killed_in_the_middle_of_the_step_has_written_nothing(alarmed: Alarmed) -> None:
    ada = await alarmed.chain.person("Ada", watched=True)
    await alarmed.names_ben(ada)
    await alarmed.chain.found(ada)
    due = await step_due(alarmed.chain)
    with pytest.raises(Unavailable):
        await killed_in_the_middle(alarmed.chain, due)
    assert await alarmed.told() == []
    await alarmed.chain.turn()
    assert await alarmed.told() == [ALARM]


async def test_every_step_once_more_as_a_fact_of_its_own_tells_nobody_again(alarmed: Alarmed) -> None:
    await a_silent_athlete(alarmed)
    await alarmed.chain.pass_time(COACH_S)
    for envelope in await alarmed.chain.envelopes():
        if isinstance(envelope.fact, SafetyStepDue):
            await alarmed.chain.deliver(msgspec.structs.replace(envelope, id=FactId(alarmed.chain.ids.next())))
    assert await alarmed.told() == [ALARM]


async def test_who_was_asked_and_is_named_no_more_is_forgotten_after_a_week_and_a_no_is_not(alarmed: Alarmed) -> None:
    ada, eve = await alarmed.chain.person("Ada"), await alarmed.chain.person("Eve")
    await alarmed.names_ben(ada)
    await alarmed.contacts.take_back(ada)
    token = await alarmed.names_ben(eve, agrees=False)
    await alarmed.contacts.answer(token, agrees=False)
    await alarmed.contacts.take_back(eve)
    later = utc(alarmed.chain.clock.wall_ms()) + timedelta(milliseconds=WEEK_MS)
    async with alarmed.chain.transactions() as stores:
        assert await stores.contacts.prune(later, 10) == 1
        assert await stores.contacts.refused(eve.account_id, BEN)
        assert not await stores.contacts.refused(ada.account_id, BEN)
