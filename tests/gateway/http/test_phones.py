"""A telephone number over HTTP, with the text messages going to a server that speaks as the provider does."""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Any

import pytest

from services.accounts.account_mail import MailTokens
from services.kernel.clock import SystemClock
from services.kernel.ids import LoginId, Uuid7Ids
from services.notifications.contact_link import ContactLinks
from services.notifications.content import LoginEndedContent
from services.notifications.links import Linking
from services.notifications.phone import PhoneCodes
from services.notifications.phones import Phones
from services.notifications.rendering import Words
from services.notifications.unsubscribe import Unsubscribe
from tests.gateway.http.conftest import PASSWORD, SECRET, Api
from tests.gateway.http.notified import account_of, told
from tests.gateway.http.test_callbacks import report
from tests.support.postbox import send_due
from tests.support.providers import Fault, SmsServer, open_sms
from tests.support.providers.build import sms_account
from workers.outbound.client import open_outbound
from workers.outbound.egress import Egress
from workers.outbound.providers import Means, SmsMeans, open_providers
from workers.sending import Post, Sender

URL = "/v1/phone"
NUMBER = "+4915112345678"
OTHER = "+436601234567"
NOTHING = {"number": None, "verified_at_ms": None, "dead": False, "check": None, "offered": True}


@dataclass
class Texting:
    """People at the API, and the provider that their text messages go to."""

    api: Api
    server: SmsServer
    sender: Sender

    async def give(self, token: str, number: str = NUMBER, status: int = 200) -> dict[str, Any]:
        """Somebody gives a number; the answer."""
        return await self._said("PUT", URL, {"phone": number}, token, status)

    async def prove(self, token: str, code: str, status: int = 200) -> dict[str, Any]:
        """Somebody types a code; the answer."""
        return await self._said("POST", f"{URL}/prove", {"code": code}, token, status)

    async def now(self, token: str) -> dict[str, Any]:
        """How it stands."""
        return await self._said("GET", URL, None, token, 200)

    async def texts(self) -> list[tuple[str, str]]:
        """All that has arrived so far, with the number that it came to, the oldest first."""
        await send_due(self.sender)
        return [(sent["To"], sent["Body"]) for sent in self.server.messages.values()]

    async def code(self) -> str:
        """The code in the newest message."""
        _, text = (await self.texts())[-1]
        found = re.search(r"\b\d{6}\b", text)
        assert found is not None, text
        return found[0]

    async def proved(self, token: str, number: str = NUMBER) -> None:
        """Somebody gives a number and proves it."""
        await self.give(token, number)
        assert (await self.prove(token, await self.code()))["number"] == number

    async def stepped_up(self, token: str) -> str:
        """The token of the same login, which has proven itself just now."""
        answer = await self._said("POST", "/v1/me/step-up", {"password": PASSWORD}, token, 200)
        return str(answer["access_token"])

    async def _said(self, method: str, url: str, body: object, token: str, status: int) -> dict[str, Any]:
        response = await self.api.call(method, url, body, token=token)
        assert response.status == status, await response.text()
        reply: dict[str, Any] = await response.json()
        return reply


@pytest.fixture
async def texting(api: Api) -> AsyncIterator[Texting]:
    """The API, a worker's lane, and the provider."""
    loopback = Egress((ip_network("127.0.0.0/8"),))
    linking = Linking(lambda: "https://run.example", Unsubscribe(SECRET), ContactLinks(SECRET), MailTokens(SECRET))
    post = Post(Words(), linking, PhoneCodes(SECRET))
    async with (
        open_sms() as server,
        open_outbound(SystemClock(), loopback) as calls,
        open_providers(
            Means(sms=SmsMeans(sms_account(), server.url)), SystemClock(), named=calls, guarded=calls
        ) as providers,
    ):
        yield Texting(api, server, Sender("sms", 1, api.transactions, providers, post, api.clock))


async def test_a_number_is_used_from_the_moment_on_in_which_the_code_that_was_sent_to_it_comes_back(
    texting: Texting,
) -> None:
    jonas = await texting.api.register()
    token = str(jonas["access_token"])
    assert await texting.now(token) == NOTHING
    asked = await texting.give(token, "+49 (151) 1234-5678")
    expires = texting.api.clock.wall_ms() + 600_000
    waiting = {"number": NUMBER, "expires_at_ms": expires, "guesses_left": 5, "message": "waiting"}
    assert asked == {**NOTHING, "check": waiting}
    ((to, text),) = await texting.texts()
    assert to == NUMBER
    assert text.startswith(f"Paceline: {await texting.code()} is your code.")
    assert (await texting.now(token))["check"]["message"] == "sent"
    code = await texting.code()
    proved = await texting.prove(token, f"{code[:3]} {code[3:]}")
    assert proved == {**NOTHING, "number": NUMBER, "verified_at_ms": texting.api.clock.wall_ms()}
    await texting.prove(token, code, 410)  # once
    await texting.give(token)  # it is proved: nothing is sent
    assert len(await texting.texts()) == 1

    preferences = {"chosen": {"security.login_ended": {"sms": "now"}}}
    response = await texting.api.call("PUT", "/v1/notification-preferences", preferences, token=token)
    assert response.status == 200, await response.text()
    login = LoginId(account_of(jonas))
    await told(texting.api, jonas, "One", content=LoginEndedContent(login, "phone", 0))
    assert [to for to, _ in await texting.texts()] == [NUMBER, NUMBER]


async def test_a_number_that_was_only_given_gets_nothing_but_its_code(texting: Texting) -> None:
    token = await texting.api.token()
    await texting.proved(token)
    await texting.api.clock.advance(60)
    view = await texting.give(token, OTHER)
    assert (view["number"], view["check"]["number"]) == (NUMBER, OTHER)
    assert (await texting.prove(token, await texting.code()))["number"] == OTHER


async def test_after_five_wrong_codes_the_right_one_is_good_for_nothing(texting: Texting) -> None:
    token = await texting.api.token()
    await texting.give(token)
    code = await texting.code()
    wrong = f"{(int(code) + 1) % 1_000_000:06}"
    for left in (4, 3, 2, 1, 0):
        problem = await texting.prove(token, wrong, 422)
        assert (problem["code"], problem["data"]) == ("wrong_code", {"guesses_left": left})
    assert (await texting.prove(token, code, 410))["code"] == "code_expired"
    assert await texting.now(token) == NOTHING


async def test_a_code_is_good_for_ten_minutes_and_does_not_leave_after_them(texting: Texting) -> None:
    token = await texting.api.token()
    await texting.give(token)
    code = await texting.code()
    await texting.api.clock.advance(600)
    await texting.prove(token, code, 410)
    assert await texting.now(token) == NOTHING
    await texting.give(await texting.stepped_up(token))
    await texting.api.clock.advance(600)
    assert len(await texting.texts()) == 1


async def test_a_login_that_has_not_proven_itself_for_long_gives_no_number(texting: Texting) -> None:
    """ASVS 7.5.1."""
    token = await texting.api.token()
    await texting.api.clock.advance(600)
    assert (await texting.give(token, status=403))["code"] == "step_up_needed"
    await texting.give(await texting.stepped_up(token))


async def test_another_code_takes_the_place_of_the_first_after_a_minute_and_five_are_a_day(texting: Texting) -> None:
    token = await texting.api.token()
    await texting.give(token)
    first = await texting.code()
    problem = await texting.give(token, OTHER, 429)
    assert (problem["code"], problem["retry_after_ms"]) == ("too_many_codes", 60_000)
    for _ in range(4):
        await texting.api.clock.advance(60)
        await texting.give(token)
    second = await texting.code()
    if first != second:  # one in a million
        await texting.prove(token, first, 422)
    await texting.api.clock.advance(60)
    assert (await texting.give(token, status=429))["retry_after_ms"] == 24 * 3_600_000 - 5 * 60_000
    assert (await texting.prove(token, second))["number"] == NUMBER


async def test_a_number_is_sent_five_codes_a_day_whoever_asks(texting: Texting) -> None:
    for _ in range(5):
        await texting.give(await texting.api.token())
        await texting.api.clock.advance(60)
    stranger = await texting.api.token()
    assert (await texting.give(stranger, status=429))["code"] == "too_many_codes"
    await texting.give(stranger, OTHER)
    assert len(await texting.texts()) == 6


async def test_a_code_that_was_replaced_before_it_left_does_not_leave(texting: Texting) -> None:
    token = await texting.api.token()
    await texting.give(token)
    await texting.api.clock.advance(60)
    await texting.give(token, OTHER)
    assert [to for to, _ in await texting.texts()] == [OTHER]


async def test_a_number_belongs_to_whoever_proved_it_last(texting: Texting) -> None:
    former, later = await texting.api.token(), await texting.api.token()
    await texting.proved(former)
    await texting.api.clock.advance(60)
    await texting.proved(later)
    assert await texting.now(former) == NOTHING


async def test_what_is_taken_back_is_forgotten_with_the_code_on_its_way(texting: Texting) -> None:
    token = await texting.api.token()
    await texting.proved(token)
    await texting.api.clock.advance(60)
    await texting.give(token, OTHER)
    code = await texting.code()
    assert (await texting.api.call("DELETE", URL, token=token)).status == 204
    assert await texting.now(token) == NOTHING
    await texting.prove(token, code, 410)
    assert (await texting.api.call("DELETE", URL, token=token)).status == 404


async def test_a_number_that_nobody_lives_at_fails_visibly_and_leaves_the_one_in_use_alone(texting: Texting) -> None:
    token = await texting.api.token()
    await texting.proved(token)
    await texting.api.clock.advance(60)
    texting.server.faults.next(Fault("dead"))
    await texting.give(token, OTHER)
    await texting.texts()
    view = await texting.now(token)
    assert (view["number"], view["dead"], view["check"]["message"]) == (NUMBER, False, "failed")
    # And the same when it is only the provider's callback that says so.
    await texting.api.clock.advance(60)
    await texting.give(token, OTHER)
    await texting.texts()
    sid = list(texting.server.messages)[-1]
    form = {"MessageSid": sid, "MessageStatus": "undelivered", "To": OTHER, "ErrorCode": "30006"}
    assert await report(texting.api, form, path="/v1/callbacks/sms") == 200
    view = await texting.now(token)
    assert (view["number"], view["dead"], view["check"]["message"]) == (NUMBER, False, "failed")


async def test_what_is_no_number_with_its_country_is_refused(texting: Texting) -> None:
    problem = await texting.give(await texting.api.token(), "0151 12345678", 422)
    assert (problem["code"], problem["path"]) == ("bad_shape", "$.phone")


async def test_where_no_text_messages_are_sent_no_number_is_taken(api: Api, with_deps: Any) -> None:
    clock, codes = api.clock, PhoneCodes(SECRET)
    server = await with_deps(phones=Phones(api.transactions, clock, Uuid7Ids(clock), codes, offered=False))
    token = await api.token()
    assert (await server.call("PUT", URL, {"phone": NUMBER}, token=token)).status == 404
    assert await (await server.call("GET", URL, token=token)).json() == {**NOTHING, "offered": False}
