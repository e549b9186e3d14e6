"""An emergency contact over HTTP: named by the athlete, asked by a mail, answered on a page by somebody without an account."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

from services.notifications.contact_letter import ANSWER_MS
from services.notifications.contact_link import ContactLinks
from services.safety.contact import ASKS_A_WEEK, PAUSE_MS
from tests.gateway.http.conftest import PASSWORD, SECRET, Api
from tests.gateway.http.notified import account_of
from tests.support.mailed import BASE_URL, Mailing, link_in, open_mailing, text_of
from tests.support.providers import Fault

URL = "/v1/emergency-contact"
BEN = "ben@example.org"
ONE_CLICK = {"Content-Type": "application/x-www-form-urlencoded"}


@dataclass
class Asking:
    """People at the API, and the server that their contacts' mail goes to."""

    api: Api
    mailing: Mailing

    async def name(self, token: str, email: str = BEN, status: int = 200, name: str = "Ben") -> dict[str, Any]:
        """Somebody names a contact; the answer."""
        response = await self.api.call("PUT", URL, {"name": name, "email": email}, token=token)
        assert response.status == status, await response.text()
        reply: dict[str, Any] = await response.json()
        return reply

    async def state(self, token: str) -> str | None:
        """How the contact stands for the one who has named them."""
        contact = (await (await self.api.call("GET", URL, token=token)).json())["contact"]
        return None if contact is None else str(contact["state"])

    async def link(self) -> str:
        """The link in the newest mail."""
        return link_in((await self.mailing.mails())[-1])

    async def answer(self, link: str, said: str) -> tuple[int, str]:
        """The contact presses a button: status and page."""
        response = await self.api.call("POST", f"{link}&answer={said}")
        return response.status, await response.text()

    async def agreed(self, token: str, email: str = BEN) -> str:
        """Somebody names a contact who agrees; the link."""
        await self.name(token, email)
        link = await self.link()
        assert (await self.answer(link, "yes"))[0] == 200
        return link


@pytest.fixture
async def asking(api: Api) -> AsyncIterator[Asking]:
    """The API, a worker's lane, and the mail server."""
    async with open_mailing(api.transactions, api.clock, SECRET) as mailing:
        yield Asking(api, mailing)


async def test_who_is_named_is_asked_by_mail_and_is_a_contact_once_they_have_agreed(asking: Asking) -> None:
    token = (await asking.api.register())["access_token"]
    assert await asking.state(token) is None
    named = (await asking.name(token, " Ben@Example.org"))["contact"]
    assert (named["email"], named["state"]) == (BEN, "asked")
    assert named["until_ms"] == asking.api.clock.wall_ms() + ANSWER_MS
    (mail,) = await asking.mailing.mails()
    assert mail["To"] == BEN
    assert "Person 1 has named you as emergency contact" in text_of(mail)
    link = link_in(mail)
    page = await (await asking.api.call("GET", link)).text()
    assert "Person 1" in page
    assert await asking.state(token) == "asked", "looking is no answer"
    status, page = await asking.answer(link, "yes")
    assert (status, "You are an emergency contact" in page) == (200, True)
    assert await asking.state(token) == "agreed"
    assert len(await asking.mailing.mails()) == 1


async def test_agreeing_twice_is_agreeing_once(asking: Asking) -> None:
    token = (await asking.api.register())["access_token"]
    link = await asking.agreed(token)
    assert (await asking.answer(link, "yes"))[0] == 200
    assert await asking.state(token) == "agreed"


async def test_a_no_is_kept_whoever_was_named_in_between(asking: Asking) -> None:
    token = (await asking.api.register())["access_token"]
    await asking.name(token)
    status, page = await asking.answer(await asking.link(), "no")
    assert (status, "cannot ask you again" in page) == (200, True)
    assert await asking.state(token) == "refused"
    assert (await asking.name(token, status=409))["code"] == "contact_refused"
    await asking.api.clock.advance(PAUSE_MS / 1_000)
    await asking.name(token, "eve@example.org")
    await asking.api.call("DELETE", URL, token=token)
    assert (await asking.name(token, status=409))["code"] == "contact_refused"
    other = (await asking.api.register())["access_token"]
    assert (await asking.name(other))["contact"]["state"] == "asked", "it was said to one, not to all"


async def test_who_has_agreed_can_take_it_back_with_the_same_link_and_not_agree_again(asking: Asking) -> None:
    token = (await asking.api.register())["access_token"]
    link = await asking.agreed(token)
    assert (await asking.answer(link, "no"))[0] == 200
    assert await asking.state(token) == "refused"
    assert (await asking.answer(link, "yes"))[0] == 404
    assert await asking.state(token) == "refused"


async def test_a_mail_program_says_no_in_one_click(asking: Asking) -> None:
    token = (await asking.api.register())["access_token"]
    await asking.name(token)
    (mail,) = await asking.mailing.mails()
    url = str(mail["List-Unsubscribe"]).strip("<>").removeprefix(BASE_URL)
    response = await asking.api.call("POST", url, b"List-Unsubscribe=One-Click", headers=ONE_CLICK)
    assert (response.status, "Set-Cookie" in response.headers) == (200, False)
    assert await asking.state(token) == "refused"


async def test_the_link_of_a_question_that_is_asked_no_more_is_good_for_a_no_alone(asking: Asking) -> None:
    token = (await asking.api.register())["access_token"]
    await asking.name(token)
    link = await asking.link()
    assert (await asking.api.call("DELETE", URL, token=token)).status == 204
    assert "asked no more" in await (await asking.api.call("GET", link)).text()
    assert (await asking.answer(link, "yes"))[0] == 404
    assert (await asking.answer(link, "no"))[0] == 200
    assert (await asking.name(token, status=409))["code"] == "contact_refused"


async def test_after_two_weeks_without_an_answer_the_question_has_ended(asking: Asking) -> None:
    token = (await asking.api.register())["access_token"]
    await asking.name(token)
    link = await asking.link()
    await asking.api.clock.advance(ANSWER_MS / 1_000)
    assert (await asking.answer(link, "yes"))[0] == 404
    again = await asking.api.call("POST", "/v1/logins", {"email": "person1@example.org", "password": PASSWORD})
    assert await asking.state((await again.json())["access_token"]) == "unanswered"


async def test_a_question_that_is_taken_back_before_its_mail_has_left_does_not_leave(asking: Asking) -> None:
    token = (await asking.api.register())["access_token"]
    await asking.name(token)
    await asking.api.call("DELETE", URL, token=token)
    assert await asking.mailing.mails() == []


async def test_who_asks_too_often_is_told_when_they_may_again(asking: Asking) -> None:
    token = (await asking.api.register())["access_token"]
    await asking.name(token)
    refused = await asking.name(token, "eve@example.org", status=429)
    assert (refused["code"], refused["retry_after_ms"]) == ("too_many_asked", PAUSE_MS)
    await asking.api.clock.advance(PAUSE_MS / 1_000)
    assert (await asking.name(token, "eve@example.org"))["contact"]["email"] == "eve@example.org"


async def test_an_address_is_asked_three_times_a_week_whoever_asks(asking: Asking) -> None:
    for _ in range(ASKS_A_WEEK):
        await asking.name((await asking.api.register())["access_token"])
    last = (await asking.api.register())["access_token"]
    assert (await asking.name(last, status=429))["code"] == "too_many_asked"
    await asking.name(last, "eve@example.org")


async def test_who_has_agreed_is_renamed_without_being_asked_again(asking: Asking) -> None:
    token = (await asking.api.register())["access_token"]
    await asking.agreed(token)
    assert (await asking.name(token, name="Benny"))["contact"]["state"] == "agreed"
    assert len(await asking.mailing.mails()) == 1


async def test_an_address_at_which_nobody_lives_is_said_to_be_one_and_the_own_one_stays_alive(asking: Asking) -> None:
    jonas = await asking.api.register()
    await asking.name(jonas["access_token"])
    asking.mailing.server.faults.next(Fault("dead"))
    await asking.mailing.mails()
    assert await asking.state(jonas["access_token"]) == "unreachable"
    async with asking.api.transactions() as stores:
        (person,) = await stores.notification_settings.people([account_of(jonas)], "announcement")
    assert person.email


async def test_the_mail_and_the_page_are_in_the_language_of_who_reads_them(asking: Asking) -> None:
    jonas = await asking.api.register()
    token = jonas["access_token"]
    preferences = (await (await asking.api.call("GET", "/v1/notification-preferences", token=token)).json())[
        "preferences"
    ]
    saved = await asking.api.call("PUT", "/v1/notification-preferences", {**preferences, "locale": "de"}, token=token)
    assert saved.status == 200
    await asking.name(token)
    (mail,) = await asking.mailing.mails()
    assert "Notfallkontakt" in text_of(mail)
    page = await asking.api.call("GET", link_in(mail), headers={"Accept-Language": "de-AT,en;q=0.5"})
    assert '<html lang="de">' in await page.text()


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"name": "", "email": BEN}, "$.name"),
        ({"name": "Ben", "email": "ben"}, "$.email"),
        ({"name": "Me", "email": "person1@example.org"}, "$.email"),
        ({"name": "Ben"}, "$"),
    ],
)
async def test_what_is_no_contact_is_refused_with_its_place(asking: Asking, body: dict[str, str], path: str) -> None:
    token = (await asking.api.register())["access_token"]
    response = await asking.api.call("PUT", URL, body, token=token)
    problem = await response.json()
    assert (response.status, problem["code"], problem["path"]) == (422, "bad_shape", path)


async def test_a_link_that_is_not_ours_and_an_answer_that_is_none_are_refused(asking: Asking) -> None:
    token = (await asking.api.register())["access_token"]
    await asking.name(token)
    link = await asking.link()
    assert (await asking.api.call("GET", "/emergency-contact?token=x")).status == 404
    assert (await asking.api.call("POST", "/emergency-contact?token=x&answer=no")).status == 404
    assert (await asking.answer(link, "perhaps"))[0] == 422
    assert await asking.state(token) == "asked"


async def test_without_a_login_or_without_a_contact_there_is_nothing(asking: Asking) -> None:
    assert (await asking.api.call("GET", URL)).status == 401
    token = (await asking.api.register())["access_token"]
    assert (await asking.api.call("DELETE", URL, token=token)).status == 404


async def test_a_number_of_the_contact_is_asked_and_answered_on_a_page_of_its_own(asking: Asking) -> None:
    api = asking.api
    token = (await api.register())["access_token"]
    phone = {"phone": "+49 151 12345678"}
    assert (await api.call("PUT", f"{URL}/phone", phone, token=token)).status == 404, "whose number?"
    await asking.agreed(token)
    bad = await api.call("PUT", f"{URL}/phone", {"phone": "0151 12345678"}, token=token)
    assert (bad.status, (await bad.json())["path"]) == (422, "$.phone")
    asked = await (await api.call("PUT", f"{URL}/phone", phone, token=token)).json()
    assert (asked["number"], asked["state"]) == ("+4915112345678", "asked")
    async with api.transactions() as stores:
        phone_id = await stores.tx.fetchval("SELECT id FROM contact_phones")
    link = f"{URL.removeprefix('/v1')}/phone?token={ContactLinks(SECRET).phone_token(phone_id)}"
    assert "May we text you" in await (await api.call("GET", link)).text()
    for said, then, page in (("yes", "agreed", "we text you"), ("no", "refused", "We do not text you")):
        status, shown = await asking.answer(link, said)
        assert (status, page in shown) == (200, True)
        assert (await (await api.call("GET", URL, token=token)).json())["phone"]["state"] == then
    assert await asking.state(token) == "agreed", "a no to text messages is none to mail"
    assert (await asking.answer(link, "perhaps"))[0] == 422
    assert (await api.call("DELETE", f"{URL}/phone", token=token)).status == 204
    assert (await api.call("DELETE", f"{URL}/phone", token=token)).status == 404
