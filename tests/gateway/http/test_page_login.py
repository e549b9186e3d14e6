"""Logins of our own pages: the refresh token is in a cookie, which opens one thing and for nobody else (ASVS 3.3, 3.5, 14.3.3)."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from http.cookies import Morsel, SimpleCookie
from typing import Any, Final

import msgspec
import pytest
from aiohttp import ClientResponse
from msgspec.structs import replace

from gateway.http.examples import example_of
from gateway.http.page_login import Page, take_off
from gateway.http.routes import ROUTES
from services.accounts.opening import LoggedIn
from services.accounts.sign_ins import SignInNow
from tests.gateway.http.conftest import PASSWORD, Api

APP: Final = "https://app.example.org"
LISTED: Final = "https://admin.example.org"
"""Another site, whose pages may have sockets."""
ANNA: Final = {"email": "anna@example.org", "password": PASSWORD, "name": "Anna"}
MakeApi = Callable[..., Awaitable[Api]]


@dataclass
class Browser:
    """A page at `origin`, which keeps cookies as a browser does: by name, and none that has no age left."""

    api: Api
    origin: str
    side: str = "athlete"
    jar: dict[str, str] = field(default_factory=dict)
    last: "Morsel[str] | None" = None

    async def call(
        self, method: str, url: str, body: object = None, *, token: str | None = None, **changes: str | None
    ) -> ClientResponse:
        """One request as `fetch` sends it; `changes` are other headers, None for none (Sec_Fetch_Site is Sec-Fetch-Site)."""
        headers: dict[str, str | None] = {
            "Origin": self.origin,
            "Sec-Fetch-Site": "same-origin",
            "X-Paceline-Page": self.side,
            "Cookie": "; ".join(f"{name}={value}" for name, value in self.jar.items()) or None,
            **{name.replace("_", "-"): value for name, value in changes.items()},
        }
        self.api.client.session.cookie_jar.clear()  # this one is the only one
        sent = {name: value for name, value in headers.items() if value is not None}
        response = await self.api.call(method, url, body, token=token, headers=sent)
        self.last = None
        for line in response.headers.getall("Set-Cookie", []):
            [(name, self.last)] = SimpleCookie(line).items()
            if self.last["max-age"] == "0":
                self.jar.pop(name, None)
            else:
                self.jar[name] = self.last.value
        return response

    async def register(self, email: str = ANNA["email"]) -> dict[str, Any]:
        """Somebody new, Anna unless another address is given; what the page is told."""
        response = await self.call("POST", "/v1/accounts", {**ANNA, "email": email})
        assert response.status == 201, await response.text()
        return dict(await response.json())

    async def refresh(self, **changes: str | None) -> ClientResponse:
        return await self.call("POST", "/v1/logins/refresh", {}, **changes)


@pytest.fixture
async def browser(with_deps: MakeApi) -> Browser:
    """A page that came by https."""
    return Browser(await with_deps(allowed_origins=(APP, LISTED)), APP)


def here(api: Api) -> str:
    """The address of the server, as its own pages know it."""
    return str(api.client.make_url("/")).rstrip("/")


async def code(response: ClientResponse) -> tuple[int, str]:
    return response.status, str((await response.json())["code"])


async def test_a_page_has_its_refresh_token_in_a_cookie_and_never_sees_it(browser: Browser) -> None:
    """ASVS 14.3.3, 10.4.5: each refresh puts another one there."""
    told = await browser.register()
    assert sorted(told) == ["access_token", "account", "expires_in_s"]
    first = browser.jar["__Host-paceline-athlete"]
    response = await browser.refresh()
    assert response.status == 200
    assert sorted(await response.json()) == ["access_token", "account", "expires_in_s"]
    second = browser.jar["__Host-paceline-athlete"]
    assert first.startswith("plr_")
    assert second.startswith("plr_")
    assert first != second
    assert "plr_" not in await response.text()


async def test_the_cookie_word_by_word(browser: Browser, api: Api) -> None:
    """ASVS 3.3.1 to 3.3.4."""
    cleared = {"max-age": "0", "expires": "", "path": "/", "domain": "", "httponly": True, "samesite": "Strict"}
    for page, name, secure in (
        (browser, "__Host-paceline-athlete", True),
        (Browser(api, here(api), "coach"), f"paceline-coach-{api.client.port}", ""),
    ):
        token = (await page.register(f"{page.side}@example.org"))["access_token"]
        assert page.last is not None
        said = {key: value for key, value in page.last.items() if key in {*cleared, "secure"}}
        assert (page.last.key, said) == (name, {**cleared, "max-age": str(180 * 86_400), "secure": secure})
        assert (await page.call("DELETE", "/v1/logins/current", token=token)).status == 204
        assert page.last is not None
        said = {key: value for key, value in page.last.items() if key in {*cleared, "secure"}}
        assert (page.last.key, page.last.value, said) == (name, "", {**cleared, "secure": secure})
        assert not page.jar


async def test_without_the_header_nothing_is_new(api: Api) -> None:
    """Apps and scripts have their tokens in the body, also behind a page's headers, and get no cookie."""
    page = Browser(api, here(api))
    response = await page.call("POST", "/v1/accounts", ANNA, X_Paceline_Page=None)
    assert "Set-Cookie" not in response.headers
    token = (await response.json())["refresh_token"]
    response = await page.call("POST", "/v1/logins/refresh", {"refresh_token": token}, X_Paceline_Page=None)
    assert ("Set-Cookie" in response.headers, "refresh_token" in await response.json()) == (False, True)
    response = await page.refresh(X_Paceline_Page=None)
    assert await code(response) == (422, "bad_shape")


async def test_the_two_sides_of_the_pages_are_two_logins(browser: Browser) -> None:
    await browser.register()
    coach = Browser(browser.api, APP, "coach", browser.jar)
    assert await code(await coach.refresh()) == (401, "refresh_refused")
    await coach.call("POST", "/v1/logins", {"email": ANNA["email"], "password": PASSWORD})
    assert sorted(browser.jar) == ["__Host-paceline-athlete", "__Host-paceline-coach"]
    token = (await (await coach.refresh()).json())["access_token"]
    await coach.call("DELETE", "/v1/logins/current", token=token)
    assert list(browser.jar) == ["__Host-paceline-athlete"]
    assert (await browser.refresh()).status == 200


STRANGERS: Final[dict[str, dict[str, str | None]]] = {
    "another site": {"Origin": "https://evil.example", "Sec_Fetch_Site": "cross-site"},
    "another site that may have sockets": {"Origin": LISTED, "Sec_Fetch_Site": "cross-site"},
    "another site with an old browser": {"Origin": "https://evil.example", "Sec_Fetch_Site": None},
    "a page that looks like ours": {"Origin": f"{APP}.evil.example", "Sec_Fetch_Site": None},
    "our host over plain http": {"Origin": "http://app.example.org", "Sec_Fetch_Site": None},
    "another port of our host": {"Origin": f"{APP}:8443", "Sec_Fetch_Site": None},
    "a frame without an origin": {"Origin": "null", "Sec_Fetch_Site": "cross-site"},
    "null from an old browser": {"Origin": "null", "Sec_Fetch_Site": None},
    "no origin": {"Origin": None},
    "no origin from an old browser": {"Origin": None, "Sec_Fetch_Site": None},
    "an origin that is none": {"Origin": "https://[", "Sec_Fetch_Site": None},
    "a subdomain of ours": {"Sec_Fetch_Site": "same-site"},
    "an address that was typed": {"Sec_Fetch_Site": "none"},
    "no side": {"X_Paceline_Page": ""},
    "another side": {"X_Paceline_Page": "admin"},
}


@pytest.mark.parametrize("stranger", STRANGERS)
async def test_a_stranger_s_page_cannot_use_the_cookie_though_it_comes_along(browser: Browser, stranger: str) -> None:
    """ASVS 3.5.1, 3.5.2: and can neither log somebody out nor in."""
    told = await browser.register()
    before = dict(browser.jar)
    credentials = {"email": ANNA["email"], "password": PASSWORD}
    for method, url, body, token in (
        ("POST", "/v1/logins/refresh", {}, None),
        ("POST", "/v1/logins", credentials, None),
        ("DELETE", "/v1/logins/current", None, told["access_token"]),
    ):
        response = await browser.call(method, url, body, token=token, **STRANGERS[stranger])
        assert await code(response) == (403, "page_refused"), url
        assert "Set-Cookie" not in response.headers
    assert browser.jar == before
    assert (await browser.refresh()).status == 200, "the login goes on"


async def test_a_form_cannot_refresh(browser: Browser) -> None:
    """ASVS 3.5.2: what a browser sends without asking first is a form's types, and no header of ours."""
    await browser.register()
    before = dict(browser.jar)
    for kind, status in (
        ("application/x-www-form-urlencoded", 415),
        ("multipart/form-data; boundary=x", 415),
        ("text/plain", 415),
        ("application/json", 422),
    ):
        response = await browser.call(
            "POST", "/v1/logins/refresh", b"{}", X_Paceline_Page=None, Content_Type=kind, Sec_Fetch_Site=None
        )
        assert response.status == status, kind
        assert "Set-Cookie" not in response.headers
    assert browser.jar == before


async def test_a_script_elsewhere_asks_before_it_sends_the_header_and_is_not_answered(browser: Browser) -> None:
    """ASVS 3.5.2: no answer lets another origin near a login; which ones it may reach says test_cross_origin.py."""
    await browser.register()
    response = await browser.call(
        "OPTIONS",
        "/v1/logins/refresh",
        Origin="https://evil.example",
        X_Paceline_Page=None,
        Access_Control_Request_Method="POST",
        Access_Control_Request_Headers="x-paceline-page",
    )
    assert response.status == 405
    assert not [name for name in response.headers if name.lower().startswith("access-control-")]


async def test_a_cookie_is_no_token_for_anything(browser: Browser) -> None:
    """ASVS 3.5.3, 4.4.3: every route that wants a token refuses it, with all headers of a page of ours."""
    await browser.register()
    asked = [route for route in ROUTES if route.auth == "bearer"]
    assert len(asked) > 100
    for route in asked:
        response = await browser.call(route.method, route.url.replace("{", "").replace("}", ""))
        assert await code(response) == (401, "not_authenticated"), route.name
    assert list(browser.jar) == ["__Host-paceline-athlete"]


def test_the_login_of_a_sign_in_is_put_there_too() -> None:
    """ASVS 14.3.3: it lies deeper in its answer than the others."""
    login = replace(msgspec.convert(example_of(LoggedIn), LoggedIn), refresh_token="plr_new")
    page = Page("paceline-athlete-80", secure=False, brought=None)
    left = take_off(SignInNow("done", login=login), page)
    assert page.becomes == "plr_new"
    assert b"plr_" not in msgspec.json.encode(left)
    assert left.login == replace(login, refresh_token="")
    waiting = SignInNow("waiting", again_in_ms=400)
    page = Page("paceline-athlete-80", secure=False, brought=None)
    assert (take_off(waiting, page), page.becomes) == (waiting, None)
    assert take_off(SignInNow("done", login=login), None).login == login


def test_every_answer_with_a_login_in_it_can_go_into_a_cookie() -> None:
    """ASVS 14.3.3: a new way in must not hand the refresh token to a page. What is only read never touches one (3.5.3)."""
    assert {route.name for route in ROUTES if route.reply in {LoggedIn, SignInNow} and not route.cookie} == set()
    assert {route.name for route in ROUTES if route.cookie and route.method == "GET"} == set()
    assert {route.name for route in ROUTES if route.cookie} == {
        "register",
        "finish_registration",
        "log_in",
        "log_in_with_passkey",
        "finish_log_in",
        "return_to_sign_in",
        "finish_sign_in",
        "refresh",
        "log_out",
        "end_login",
    }


async def test_plain_http_from_another_machine_is_told_to_do_without(with_deps: MakeApi) -> None:
    """ASVS 3.3.1: a cookie without Secure could be read on the way, and one with it would not be kept."""
    page = Browser(await with_deps(allowed_origins=("http://192.168.1.5:8080",)), "http://192.168.1.5:8080")
    response = await page.call("POST", "/v1/accounts", ANNA)
    assert await code(response) == (403, "page_refused")
    assert "leave out X-Paceline-Page" in (await response.json())["detail"]
    assert (await page.call("POST", "/v1/accounts", ANNA, X_Paceline_Page=None)).status == 201


@pytest.mark.parametrize("origin", ["http://localhost:8080", "http://gym.localhost", "http://[::1]:8080"])
async def test_each_name_of_loopback_will_do(with_deps: MakeApi, origin: str) -> None:
    page = Browser(await with_deps(allowed_origins=(origin,)), origin)
    await page.register()
    assert list(page.jar) == [f"paceline-athlete-{8080 if origin.endswith('8080') else 80}"]
    assert (await page.refresh()).status == 200


async def test_any_origin_for_sockets_is_no_origin_for_cookies(with_deps: MakeApi) -> None:
    """ASVS 3.5.1."""
    api = await with_deps(allowed_origins=("*",))
    assert await code(await Browser(api, APP).refresh()) == (403, "page_refused")
    await Browser(api, here(api)).register()


async def test_a_token_that_was_kept_is_swapped_for_a_cookie_once(browser: Browser) -> None:
    """How pages from before take their logins over, and how a login that an app has opened goes on in a page."""
    response = await browser.call("POST", "/v1/accounts", ANNA, X_Paceline_Page=None)
    kept = (await response.json())["refresh_token"]
    response = await browser.call("POST", "/v1/logins/refresh", {"refresh_token": kept})
    assert (response.status, "refresh_token" in await response.json()) == (200, False)
    assert (await browser.refresh()).status == 200


async def test_a_refused_cookie_is_taken_away(browser: Browser) -> None:
    """ASVS 7.4.1: a login that was ended from elsewhere leaves nothing behind when its browser comes back."""
    await browser.register()
    elsewhere = await browser.api.call("POST", "/v1/logins", {"email": ANNA["email"], "password": PASSWORD})
    await browser.api.call("POST", "/v1/logins/end-others", token=(await elsewhere.json())["access_token"])
    assert await code(await browser.refresh()) == (401, "refresh_refused")
    assert not browser.jar


async def test_a_bad_token_in_the_body_leaves_the_cookie_alone(browser: Browser) -> None:
    await browser.register()
    response = await browser.call("POST", "/v1/logins/refresh", {"refresh_token": "plr_nobody"})
    assert await code(response) == (401, "refresh_refused")
    assert (await browser.refresh()).status == 200


async def test_ending_this_login_in_the_list_takes_its_cookie_and_ending_another_does_not(browser: Browser) -> None:
    token = (await browser.register())["access_token"]
    await browser.api.call("POST", "/v1/logins", {"email": ANNA["email"], "password": PASSWORD})
    logins = (await (await browser.call("GET", "/v1/logins", token=token)).json())["logins"]
    for one in sorted(logins, key=lambda login: bool(login["current"])):
        assert browser.jar
        assert (await browser.call("DELETE", f"/v1/logins/{one['id']}", token=token)).status == 204
    assert not browser.jar


async def test_a_new_password_keeps_this_cookie_and_the_others_are_taken_when_they_come(browser: Browser) -> None:
    """ASVS 7.4.3."""
    token = (await browser.register())["access_token"]
    phone = Browser(browser.api, APP)
    await phone.call("POST", "/v1/logins", {"email": ANNA["email"], "password": PASSWORD})
    body = {"old": PASSWORD, "new": "copper lantern orbit thistle"}
    assert (await browser.call("PUT", "/v1/me/password", body, token=token)).status == 200
    assert (await browser.refresh()).status == 200
    assert await code(await phone.refresh()) == (401, "refresh_refused")
    assert not phone.jar


async def test_tabs_that_refresh_together_all_stay_and_so_does_the_login(browser: Browser) -> None:
    """Four tabs send the same cookie; whichever answer comes last, what is left in the browser is good, also after the grace."""
    await browser.register()
    tabs = [Browser(browser.api, APP, jar=dict(browser.jar)) for _ in range(4)]
    answers = await asyncio.gather(*(tab.refresh() for tab in tabs))
    assert [answer.status for answer in answers] == [200] * 4
    await browser.api.clock.advance(60)
    for tab in tabs:
        assert (await tab.refresh()).status == 200


async def test_an_answer_that_was_lost_is_asked_for_again_and_a_stolen_cookie_ends_the_login(browser: Browser) -> None:
    """ASVS 10.4.5: reuse is noticed in cookies as it is in bodies."""
    await browser.register()
    stolen = Browser(browser.api, APP, jar=dict(browser.jar))
    await browser.refresh()
    assert (await Browser(browser.api, APP, jar=dict(stolen.jar)).refresh()).status == 200, "within ten seconds"
    await browser.api.clock.advance(11)
    assert await code(await stolen.refresh()) == (401, "refresh_refused")
    assert await code(await browser.refresh()) == (401, "refresh_refused")
