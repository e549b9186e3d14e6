"""Pages of apps in browsers: what they may read, and that nobody else may (CORS; ASVS 3.4.2, 3.5.2, OWASP API8)."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from ipaddress import ip_network

import httpx
import pytest

from gateway.http.cross_origin import FOR_APPS, PUBLIC
from gateway.http.routes import ROUTES
from gateway.proxies import TrustedProxies
from services.apps.lent import BELIEVED_S
from services.apps.origins import MAX_KNOWN
from services.limits.table import OPEN, ORIGIN
from tests.gateway.http.apps_client import ThirdParty, third_party
from tests.gateway.http.conftest import Api

MakeApi = Callable[..., Awaitable[Api]]

DIARY = "https://diary.example"
STRANGERS = (
    "https://evil.example",
    "http://diary.example",
    "https://diary.example:8443",
    "https://diary.example.evil.example",
    "https://sub.diary.example",
    "https://DIARY.example",
    "https://diary.example/",
    "https://diary.example/callback",
    "https://evil.example@diary.example",
    "null",
    "*",
    "",
    "https://" + "a" * 5_000,
)


@dataclass
class Page:
    """A page in a browser, as far as its requests go."""

    http: httpx.AsyncClient
    origin: str

    async def preflight(self, method: str, path: str, headers: str = "authorization") -> httpx.Response:
        """What a browser asks before it sends what no form could."""
        asked = {"Access-Control-Request-Method": method, "Access-Control-Request-Headers": headers}
        return await self.http.request("OPTIONS", path, headers={"Origin": self.origin, **asked})

    async def send(self, method: str, path: str, bearer: str | None = None, /, **form: str) -> httpx.Response:
        shown = {} if bearer is None else {"Authorization": f"Bearer {bearer}"}
        return await self.http.request(method, path, headers={"Origin": self.origin, **shown}, data=form or None)


def said(response: httpx.Response) -> dict[str, str]:
    """What an answer says about pages of other origins."""
    return {name: value for name, value in response.headers.items() if name.startswith("access-control-")}


@pytest.fixture
async def http(api: Api) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=str(api.client.make_url("/")), timeout=60.0) as client:
        yield client


@pytest.fixture
async def diary(api: Api, http: httpx.AsyncClient) -> ThirdParty:
    """An app without a secret, whose only program is a page."""
    return await third_party(api, http, kind="public", redirect_uri=f"{DIARY}/callback")


# -- the way as it should be ------------------------------------------------------------------------------------------


async def test_a_page_of_an_app_gets_its_tokens_and_uses_them(api: Api, diary: ThirdParty) -> None:
    """PKCE without a secret, from the page's own origin; each answer names that origin and no cookie."""
    page = Page(diary.http, DIARY)
    form = {
        "grant_type": "authorization_code",
        "client_id": diary.client_id,
        "code": await diary.code(await api.token()),
        "redirect_uri": diary.redirect_uri,
        "code_verifier": diary.verifier,
    }
    told = await page.send("POST", "/oauth/token", **form)
    assert told.status_code == 200, told.text
    assert said(told)["access-control-allow-origin"] == DIARY
    tokens = told.json()
    asked = await page.preflight("GET", "/v1/me")
    assert (asked.status_code, said(asked)["access-control-allow-origin"]) == (204, DIARY)
    me = await page.send("GET", "/v1/me", tokens["access_token"])
    assert me.status_code == 200
    assert said(me) == {
        "access-control-allow-origin": DIARY,
        "access-control-expose-headers": "RateLimit, RateLimit-Policy, Retry-After, WWW-Authenticate, X-Request-Id",
    }
    gone = await page.send("POST", "/oauth/revoke", client_id=diary.client_id, token=tokens["refresh_token"])
    assert (gone.status_code, said(gone)["access-control-allow-origin"]) == (200, DIARY)


async def test_the_answer_to_a_browsers_question_word_by_word(diary: ThirdParty) -> None:
    asked = await Page(diary.http, DIARY).preflight(
        "PUT", "/v1/scripts/0", "authorization,content-type,x-paceline-page"
    )
    assert asked.status_code == 204
    assert said(asked) == {
        "access-control-allow-origin": DIARY,
        "access-control-allow-methods": "PUT",
        "access-control-allow-headers": "Authorization, Content-Type, Traceparent, X-Request-Id",
        "access-control-expose-headers": "RateLimit, RateLimit-Policy, Retry-After, WWW-Authenticate, X-Request-Id",
        "access-control-max-age": "600",
    }
    varies = {name.strip() for name in asked.headers["Vary"].split(",")}
    assert varies == {"Origin", "Access-Control-Request-Method", "Access-Control-Request-Headers"}
    assert asked.headers["Cache-Control"] == "no-store"


async def test_a_refusal_can_be_read_too(diary: ThirdParty) -> None:
    page = Page(diary.http, DIARY)
    for refused, status in (
        (await page.send("GET", "/v1/me"), 401),
        (await page.send("GET", "/v1/workouts/none", "nonsense"), 401),
        (await page.send("POST", "/oauth/revoke", token="x", client_id="nobody"), 401),
        (await page.send("POST", "/oauth/token", grant_type="refresh_token", client_id=diary.client_id), 400),
    ):
        assert (refused.status_code, said(refused)["access-control-allow-origin"]) == (status, DIARY)


async def test_on_loopback_the_port_counts(api: Api, http: httpx.AsyncClient) -> None:
    """A native app gets a port from its system (RFC 8252); a page has that of the server it was written for."""
    await third_party(api, http, kind="public", redirect_uri="http://127.0.0.1:5173/callback")
    for origin, is_its_own in (
        ("http://127.0.0.1:5173", True),
        ("http://127.0.0.1:5174", False),
        ("http://127.0.0.1", False),
        ("http://localhost:5173", False),
    ):
        asked = await Page(http, origin).preflight("GET", "/v1/me")
        assert (asked.status_code == 204, "access-control-allow-origin" in said(asked)) == (is_its_own, is_its_own), (
            origin
        )


async def test_a_port_that_goes_without_saying_is_not_in_an_origin(api: Api, http: httpx.AsyncClient) -> None:
    await third_party(api, http, kind="public", redirect_uri="https://diary.example:443/callback")
    assert (await Page(http, DIARY).preflight("GET", "/v1/me")).status_code == 204


# -- everybody else ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("origin", STRANGERS, ids=lambda origin: origin[:40] or "nothing")
async def test_a_page_of_nobody_s_app_reads_nothing_that_takes_a_token(diary: ThirdParty, origin: str) -> None:
    """ASVS 3.4.2: the origin is compared with a list, letter by letter; `null` is on none."""
    page = Page(diary.http, origin)
    asked = await page.preflight("GET", "/v1/me")
    assert (asked.status_code, said(asked)) == (405, {})
    me = await page.send("GET", "/v1/me", "whatever")
    assert (me.status_code, said(me), me.headers["Vary"]) == (401, {}, "Origin")
    token = await page.send("POST", "/oauth/token", grant_type="refresh_token", client_id=diary.client_id)
    assert (token.status_code, said(token)) == (400, {})


async def test_two_origins_at_once_are_nobodys(diary: ThirdParty) -> None:
    """ASVS 3.4.2: no browser sends two, and whoever reads one of them must not read the wrong one."""
    headers = [("Origin", DIARY), ("Origin", "https://evil.example")]
    assert said(await diary.http.get("/v1/me", headers=headers)) == {}
    preflight = [*headers, ("Access-Control-Request-Method", "GET")]
    assert (await diary.http.request("OPTIONS", "/v1/me", headers=preflight)).status_code == 405


async def test_what_is_for_people_is_for_no_page_of_an_app(api: Api, diary: ThirdParty) -> None:
    """ASVS 3.5.2: logins, their cookies, passwords, apps and keys. Its page is not even told that it may not."""
    page = Page(diary.http, DIARY)
    shut = [route for route in ROUTES if route.scope is None]
    assert len(shut) > 100
    for route in shut:
        path = route.url.replace("{", "").replace("}", "")
        if (route.method, route.url) in PUBLIC:
            continue
        asked = await page.preflight(route.method, path, "content-type,x-paceline-page")
        assert (asked.status_code, said(asked)) == (405, {}), route.name
    for path in ("/oauth/introspect", "/oauth/authorize", "/metrics", "/", "/nowhere"):
        assert said(await page.preflight("POST", path)) == {}, path
        assert said(await page.send("GET", path)) == {}, path


def test_no_route_with_a_cookie_is_for_apps_and_no_word_lets_a_cookie_come() -> None:
    """ASVS 3.5.2, 3.3.2: by the table itself, whoever adds to it."""
    with_cookies = {(route.method, route.url) for route in ROUTES if route.cookie}
    assert with_cookies
    assert not with_cookies & FOR_APPS
    assert not with_cookies & PUBLIC


async def test_a_cookie_that_comes_along_is_neither_asked_for_nor_used(diary: ThirdParty) -> None:
    """ASVS 3.5.1: a page on another port of the same host is one whose requests take our cookies along."""
    cookie = {"Cookie": "__Host-paceline-athlete=plr_stolen", "Origin": DIARY, "X-Paceline-Page": "athlete"}
    me = await diary.http.get("/v1/me", headers=cookie)
    assert me.status_code == 401
    assert "access-control-allow-credentials" not in said(me)
    refresh = await diary.http.post("/v1/logins/refresh", headers=cookie, json={})
    assert (refresh.status_code, refresh.json()["code"], said(refresh)) == (403, "page_refused", {})


async def test_public_documents_are_for_every_page_and_change_for_none(http: httpx.AsyncClient) -> None:
    for _, path in PUBLIC:
        for headers in ({}, {"Origin": "https://anybody.example"}, {"Origin": DIARY, "Cookie": "a=b"}):
            answer = await http.get(path, headers=headers)
            assert (answer.status_code, said(answer)) == (200, {"access-control-allow-origin": "*"}), path
            assert "Vary" not in answer.headers


async def test_our_own_page_is_told_nothing_of_it(api: Api, diary: ThirdParty) -> None:
    own = str(api.client.make_url("/")).rstrip("/")
    me = await Page(diary.http, own).send("GET", "/v1/me", await api.token())
    assert (me.status_code, said(me)) == (200, {})
    assert api.deps.app_origins.asked == 0


# -- how long, and how often ------------------------------------------------------------------------------------------


async def test_a_page_has_lost_its_right_within_five_seconds_after_its_app(api: Api, http: httpx.AsyncClient) -> None:
    """ASVS 8.3.2: on a node that heard nothing of the change; the other page of the same app is lost first."""
    owner = await api.token()
    uris = [f"{DIARY}/callback", "https://old.example/callback"]
    body = {"name": "Diary", "kind": "public", "redirect_uris": uris}
    app_id = (await (await api.call("POST", "/v1/apps", body, token=owner)).json())["app"]["id"]
    page, old = Page(http, DIARY), Page(http, "https://old.example")
    assert [(await each.preflight("GET", "/v1/me")).status_code for each in (page, old)] == [204, 204]
    await api.call("PATCH", f"/v1/apps/{app_id}", {"redirect_uris": uris[:1]}, token=owner)
    assert BELIEVED_S < 5
    await api.clock.advance(BELIEVED_S)
    assert [(await each.preflight("GET", "/v1/me")).status_code for each in (page, old)] == [204, 405]
    assert (await api.call("DELETE", f"/v1/apps/{app_id}", token=owner)).status == 204
    await api.clock.advance(BELIEVED_S)
    assert (await page.preflight("GET", "/v1/me")).status_code == 405


async def test_an_app_that_was_registered_a_moment_ago_is_known_within_five_seconds(
    api: Api, http: httpx.AsyncClient
) -> None:
    page = Page(http, DIARY)
    assert (await page.preflight("GET", "/v1/me")).status_code == 405
    await third_party(api, http, kind="public", redirect_uri=f"{DIARY}/callback")
    await api.clock.advance(BELIEVED_S)
    assert (await page.preflight("GET", "/v1/me")).status_code == 204


async def test_many_requests_of_a_page_ask_the_database_once(api: Api, diary: ThirdParty) -> None:
    for _ in range(20):
        await Page(diary.http, DIARY).preflight("GET", "/v1/me")
    assert api.deps.app_origins.asked == 1


async def test_whoever_claims_one_origin_after_another_asks_the_database_so_often_and_stops_nobody(
    api: Api, diary: ThirdParty
) -> None:
    """OWASP API4: what anybody can make up costs a bounded number of lookups, and a page that is known stays known."""
    origins = api.deps.app_origins
    assert await origins.of_an_app(DIARY, "192.0.2.1")
    for n in range(3 * ORIGIN.burst):
        assert not await origins.of_an_app(f"https://n{n}.example", "203.0.113.9")
    assert origins.asked == 1 + ORIGIN.burst
    assert await origins.of_an_app(DIARY, "203.0.113.9")
    await api.clock.advance(BELIEVED_S)
    assert await origins.of_an_app(DIARY, "192.0.2.1")


async def test_what_is_kept_of_origins_is_bounded(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """OWASP API4."""
    assert MAX_KNOWN <= 10_000
    monkeypatch.setattr("services.apps.origins.MAX_KNOWN", 50)
    for n in range(200):
        await api.deps.app_origins.of_an_app(f"https://n{n}.example", None)
    assert len(api.deps.app_origins) == 50


async def test_questions_of_browsers_are_counted_by_address(api: Api, diary: ThirdParty, with_deps: MakeApi) -> None:
    """OWASP API4."""
    behind = await with_deps(proxies=TrustedProxies([ip_network("127.0.0.0/8")]))
    headers = {"Origin": DIARY, "Access-Control-Request-Method": "GET", "X-Forwarded-For": "203.0.113.9"}
    asked = await behind.call("OPTIONS", "/v1/me", headers=headers)
    assert (asked.status, asked.headers["RateLimit"].partition(";")[0]) == (204, '"open"')
    await api.deps.limits.take(OPEN, "203.0.113.9", cost=OPEN.burst - 1)
    refused = await behind.call("OPTIONS", "/v1/me", headers=headers)
    assert (refused.status, (await refused.json())["data"]) == (429, {"policy": "open"})
    elsewhere = await behind.call("OPTIONS", "/v1/me", headers={**headers, "X-Forwarded-For": "203.0.113.10"})
    assert elsewhere.status == 204
