"""What a request counts for, and what the client is told of it."""

import re
import uuid

from services.kernel.caller import Caller, Scope
from services.kernel.ids import AccountId, AppId, LoginId
from services.limits.table import API, EMAIL, KEY, OPEN
from tests.gateway.http.conftest import PASSWORD, Api
from tests.gateway.http.test_addresses import LOOPBACK, Start


class Known:
    """Who shows which token, without asking anybody."""

    def __init__(self, callers: dict[str, Caller]) -> None:
        self._callers = callers

    async def identify(self, token: str, *, guesses: object = None) -> Caller:
        return self._callers[token]


async def test_every_answer_says_what_is_left(api: Api) -> None:
    token = await api.token()
    for left in (API.burst - 1, API.burst - 2):
        response = await api.call("GET", "/v1/me", token=token)
        assert response.headers["RateLimit-Policy"] == f'"api";q={API.burst};w={API.window_s}'
        assert response.headers["RateLimit"] == f'"api";r={left};t=1'


async def test_so_does_one_that_was_refused_for_another_reason(api: Api) -> None:
    response = await api.call("GET", "/v1/workouts/no-id", token=await api.token())
    assert response.status == 422
    assert response.headers["RateLimit"] == f'"api";r={API.burst - 1};t=1'


async def test_an_account_that_asks_too_often_waits_and_may_go_on(api: Api) -> None:
    token = await api.token()
    account = api.tokens.identify(token, api.clock.wall_ms()).account_id
    await api.deps.limits.take(API, str(account), cost=API.burst)
    refused = await api.call("GET", "/v1/me", token=token)
    assert refused.status == 429
    assert refused.headers["Retry-After"] == "1"
    assert refused.headers["RateLimit"] == f'"api";r=0;t={API.window_s}'
    problem = await refused.json()
    assert (problem["code"], problem["retry_after_ms"], problem["data"]) == ("rate_limited", 50, {"policy": "api"})
    assert (await api.call("GET", "/v1/me", token=await api.token())).status == 200, "of others nothing is taken"
    await api.clock.advance(0.05)
    assert (await api.call("GET", "/v1/me", token=token)).status == 200


async def test_a_limit_of_its_own_is_told_beside_that_of_the_account(api: Api) -> None:
    person = await api.register()
    email = person["account"]["email"]
    await api.deps.limits.take(EMAIL, email, cost=EMAIL.burst)
    body = {"email": email, "password": PASSWORD, "device": "watch"}
    refused = await api.call("POST", "/v1/logins", body)
    assert refused.status == 429
    assert refused.headers["RateLimit-Policy"] == f'"password";q={EMAIL.burst};w={EMAIL.window_s}'
    assert refused.headers["RateLimit"] == '"password";r=0;t=30'


async def test_who_has_no_token_or_a_bad_one_is_counted_by_address(with_deps: Start) -> None:
    api = await with_deps(proxies=LOOPBACK)
    one, other = ({"X-Forwarded-For": address} for address in ("203.0.113.9", "203.0.113.10"))
    assert (await api.call("GET", "/v1/me", headers=one)).headers["RateLimit"] == f'"open";r={OPEN.burst - 1};t=1'
    bad = await api.call("GET", "/v1/me", token="nonsense", headers=one)
    assert (bad.status, bad.headers["RateLimit"]) == (401, f'"open";r={OPEN.burst - 2};t=1')
    await api.deps.limits.take(OPEN, "203.0.113.9", cost=OPEN.burst - 2)
    flooding = await api.call("GET", "/v1/me", token="nonsense", headers=one)
    assert flooding.status == 429
    assert (await api.call("GET", "/v1/me", token="nonsense", headers=other)).status == 401
    assert (await api.call("GET", "/v1/me", token=await api.token(), headers=one)).status == 200


async def test_an_app_is_counted_by_itself_for_each_account(with_deps: Start) -> None:
    account, apps = AccountId(uuid.UUID(int=1)), [AppId(uuid.UUID(int=n)) for n in (7, 8)]
    callers = {
        name: Caller(account, LoginId(uuid.UUID(int=2)), "", frozenset({"member"}), 2**53, scopes=scopes, app_id=app)
        for name, scopes, app in (
            ("one", frozenset[Scope](), apps[0]),
            ("other", frozenset[Scope](), apps[1]),
            ("key", frozenset[Scope](), None),
            ("person", None, None),
        )
    }
    api = await with_deps(callers=Known(callers))
    left = {
        name: (await api.call("GET", "/v1/demo-not-there", token=name)).headers.get("RateLimit") for name in callers
    }
    assert set(left.values()) == {None}, "an address that is none counts for nobody"
    for name in ("one", "one", "other", "key", "person"):
        left[name] = (await api.call("GET", "/v1/workouts", token=name)).headers["RateLimit"]
    assert left == {
        "one": f'"key";r={KEY.burst - 2};t=1',
        "other": f'"key";r={KEY.burst - 1};t=1',
        "key": f'"key";r={KEY.burst - 1};t=1',
        "person": f'"api";r={API.burst - 1};t=1',
    }


async def test_an_operator_and_whoever_asks_from_this_machine_are_not_counted(api: Api) -> None:
    for url in ("/v1/demo", "/livez", "/v1/operations/sockets"):
        assert "RateLimit" not in (await api.call("GET", url)).headers


async def test_every_limit_is_written_as_the_draft_says(api: Api) -> None:
    """draft-ietf-httpapi-ratelimit-headers: lists of strings with integer parameters (RFC 9651)."""
    response = await api.call("GET", "/v1/me", token=await api.token())
    assert re.fullmatch(r'"[a-z_]+";q=\d+;w=\d+(, "[a-z_]+";q=\d+;w=\d+)*', response.headers["RateLimit-Policy"])
    assert re.fullmatch(r'"[a-z_]+";r=\d+;t=\d+(, "[a-z_]+";r=\d+;t=\d+)*', response.headers["RateLimit"])


async def test_apps_that_ask_for_tokens_are_counted_by_address(with_deps: Start) -> None:
    api = await with_deps(proxies=LOOPBACK)
    there = {"X-Forwarded-For": "203.0.113.9", "Content-Type": "application/x-www-form-urlencoded"}
    wrong = await api.call("POST", "/oauth/token", b"grant_type=none", headers=there)
    assert (wrong.status, wrong.headers["RateLimit"]) == (401, f'"open";r={OPEN.burst - 1};t=1')
    await api.deps.limits.take(OPEN, "203.0.113.9", cost=OPEN.burst - 1)
    assert (await api.call("POST", "/oauth/token", b"grant_type=none", headers=there)).status == 429
