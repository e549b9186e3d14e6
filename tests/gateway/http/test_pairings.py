"""Screens that ask to be let in, over HTTP: the whole way, the words of RFC 8628, and what is told to whom."""

from typing import Any

import pytest

from services.accounts.pairing import INTERVAL_S, LIFETIME_S
from services.limits.table import SCREENS, USER_CODE
from tests.gateway.http.conftest import PUBLIC_URL, Api
from tests.gateway.http.test_addresses import LOOPBACK, Start


async def begun(api: Api, **headers: str) -> dict[str, Any]:
    response = await api.call("POST", "/v1/pairings", headers=headers)
    assert response.status == 201, await response.text()
    screen: dict[str, Any] = await response.json()
    return screen


async def with_class(api: Api) -> tuple[str, dict[str, Any]]:
    """A coach's token, and their class."""
    token = await api.token("coach")
    response = await api.call("POST", "/v1/classes", {"title": "Thursday hills"}, token=token)
    return token, await response.json()


async def test_a_screen_is_let_in_by_somebody_with_a_phone(api: Api) -> None:
    token, live = await with_class(api)
    response = await api.call("POST", "/v1/pairings")
    assert response.headers["Cache-Control"] == "no-store"
    screen = await response.json()
    assert (screen["expires_in_s"], screen["interval_s"]) == (LIFETIME_S, INTERVAL_S)
    assert screen["verification_uri"] == f"{PUBLIC_URL}/display"
    assert screen["verification_uri_complete"] == f"{PUBLIC_URL}/display#{screen['user_code']}"
    assert "<script" not in screen["picture"]

    asked = {"device_code": screen["device_code"]}
    pending = await api.call("POST", "/v1/pairings/token", asked)
    assert (pending.status, (await pending.json())["code"]) == (400, "authorization_pending")
    assert pending.headers["Retry-After"] == str(INTERVAL_S)

    typed = {"user_code": screen["user_code"].lower().replace("-", " ")}
    seen = await (await api.call("POST", "/v1/pairings/requests", typed, token=token)).json()
    assert seen["user_code"] == screen["user_code"]
    assert seen["asked_at_ms"] == api.clock.wall_ms()
    assert [each["id"] for each in seen["classes"]] == [live["id"]]
    decided = await api.call("POST", "/v1/pairings/decisions", {**typed, "class_id": live["id"]}, token=token)
    assert (decided.status, await decided.read()) == (204, b"")

    let_in = await api.call("POST", "/v1/pairings/token", asked)
    assert (let_in.status, let_in.headers["Cache-Control"]) == (200, "no-store")
    told = await let_in.json()
    assert told["class"]["code"] == live["code"]
    shown = await api.call("GET", f"/v1/classes/{live['id']}", token=told["access_token"])
    assert shown.status == 200
    assert (await api.call("GET", "/v1/me", token=told["access_token"])).status == 403, "a screen has no account"
    again = await api.call("POST", "/v1/pairings/token", asked)
    assert (again.status, (await again.json())["code"]) == (400, "pairing_expired")


async def test_who_asks_is_told_as_a_network_and_never_as_an_address(with_deps: Start) -> None:
    api = await with_deps(proxies=LOOPBACK)
    screen = await begun(api, **{"X-Forwarded-For": "203.0.113.9"})
    seen = await api.call("POST", "/v1/pairings/requests", {"user_code": screen["user_code"]}, token=await api.token())
    assert (await seen.json())["network"] == "203.0.113.0/24"
    assert "203.0.113.9" not in await seen.text()


async def test_a_screen_that_hurries_is_told_to_slow_down(api: Api) -> None:
    asked = {"device_code": (await begun(api))["device_code"]}
    heard = [await (await api.call("POST", "/v1/pairings/token", asked)).json() for _ in range(3)]
    assert [(each["code"], each["retry_after_ms"]) for each in heard] == [
        ("authorization_pending", 5_000),
        ("slow_down", 10_000),
        ("slow_down", 15_000),
    ]


async def test_one_that_was_refused_and_one_that_ran_out_hear_which(api: Api) -> None:
    refused, forgotten = await begun(api), await begun(api)
    no = {"user_code": refused["user_code"], "class_id": None}
    assert (await api.call("POST", "/v1/pairings/decisions", no, token=await api.token())).status == 204
    await api.clock.advance(LIFETIME_S - 1)
    said = []
    for seconds, screen in ((0, refused), (1, forgotten)):
        await api.clock.advance(seconds)
        response = await api.call("POST", "/v1/pairings/token", {"device_code": screen["device_code"]})
        said.append((response.status, (await response.json())["code"]))
    assert said == [(400, "pairing_refused"), (400, "pairing_expired")]


async def test_nobody_answers_without_a_login_and_no_app_answers_for_anybody(api: Api) -> None:
    """ASVS 8.2.1."""
    screen = await begun(api)
    owner = await api.token("coach")
    key = {"name": "script", "scopes": ["classes:manage", "classes:read", "classes:join"]}
    made = await (await api.call("POST", "/v1/api-keys", key, token=owner)).json()
    for url, body in (
        ("/v1/pairings/requests", {"user_code": screen["user_code"]}),
        ("/v1/pairings/decisions", {"user_code": screen["user_code"], "class_id": None}),
    ):
        assert (await api.call("POST", url, body)).status == 401
        assert (await api.call("POST", url, body, token=screen["device_code"])).status == 401
        assert (await api.call("POST", url, body, token=made["secret"])).status == 403


@pytest.mark.parametrize(
    ("url", "body"),
    [
        ("token", {}),
        ("token", {"device_code": ""}),
        ("token", {"device_code": "x" * 101}),
        ("token", {"device_code": "x", "class_id": "00000000-0000-0000-0000-000000000001"}),
        ("requests", {"user_code": ""}),
        ("requests", {"user_code": "B" * 41}),
        ("decisions", {"user_code": "BCDF-GHJK"}),
        ("decisions", {"user_code": "BCDF-GHJK", "class_id": True}),
        ("decisions", {"user_code": "BCDF-GHJK", "class_id": None, "state": "agreed"}),
    ],
)
async def test_what_is_not_of_the_shape_is_refused_before_anybody_looks(
    api: Api, url: str, body: dict[str, Any]
) -> None:
    """ASVS 2.2.1, 15.3.3."""
    response = await api.call("POST", f"/v1/pairings/{url}", body, token=await api.token())
    assert (response.status, (await response.json())["code"]) == (422, "bad_shape")


async def test_guessing_and_asking_are_bounded_and_say_by_which_limit(with_deps: Start) -> None:
    """ASVS 6.6.3."""
    api = await with_deps(proxies=LOOPBACK)
    token, address = await api.token(), {"X-Forwarded-For": "203.0.113.9"}
    guess = {"user_code": "BCDF-GHJK"}
    for _ in range(USER_CODE.burst):
        response = await api.call("POST", "/v1/pairings/requests", guess, token=token, headers=address)
        assert (response.status, (await response.json())["code"]) == (404, "pairing_unknown")
    refused = await api.call("POST", "/v1/pairings/requests", guess, token=token, headers=address)
    problem = await refused.json()
    assert (refused.status, problem["code"], problem["data"]) == (429, "too_many_attempts", {"policy": "user_code"})

    for _ in range(SCREENS.burst):
        await begun(api, **address)
    full = await api.call("POST", "/v1/pairings", headers=address)
    assert (full.status, (await full.json())["data"]) == (429, {"policy": "screens"})
    assert int(full.headers["Retry-After"]) == SCREENS.every_ms // 1_000
