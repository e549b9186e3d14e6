"""Devices that take pushes, over HTTP."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from services.notifications.addresses import MAX_DEVICES
from tests.gateway.http.conftest import Api

BROWSER = {
    "kind": "webpush",
    "address": "https://push.example.org/v2/abc",
    "p256dh": "p" * 87,
    "auth": "a" * 22,
    "name": "Chrome on Android",
}


async def devices(api: Api, token: str) -> list[dict[str, Any]]:
    response = await api.call("GET", "/v1/devices", token=token)
    return list((await response.json())["devices"])


async def test_a_device_is_told_once_however_often_it_says_that_it_lives(api: Api) -> None:
    token = await api.token()
    first = await (await api.call("POST", "/v1/devices", BROWSER, token=token)).json()
    await api.clock.advance(60)
    again = await (await api.call("POST", "/v1/devices", BROWSER, token=token)).json()
    assert first["id"] == again["id"]
    assert again["seen_at_ms"] - first["seen_at_ms"] == 60_000
    assert await devices(api, token) == [again]


async def test_nobody_is_told_a_token_or_a_key(api: Api) -> None:
    token = await api.token()
    await api.call("POST", "/v1/devices", BROWSER, token=token)
    text = await (await api.call("GET", "/v1/devices", token=token)).text()
    assert not any(secret in text for secret in (BROWSER["address"], BROWSER["p256dh"], BROWSER["auth"]))


async def test_a_phone_that_changes_hands_takes_its_pushes_along(api: Api) -> None:
    jonas, mira = await api.token(), await api.token()
    await api.call("POST", "/v1/devices", BROWSER, token=jonas)
    await api.call("POST", "/v1/devices", BROWSER, token=mira)
    assert await devices(api, jonas) == []
    assert len(await devices(api, mira)) == 1


async def test_the_device_that_was_seen_longest_ago_gives_way(api: Api) -> None:
    token = await api.token()
    for n in range(MAX_DEVICES + 1):
        await api.clock.advance(1)
        await api.call("POST", "/v1/devices", {"kind": "apns", "address": f"{n:064x}", "name": str(n)}, token=token)
    names = [device["name"] for device in await devices(api, token)]
    assert names == [str(n) for n in range(MAX_DEVICES, 0, -1)]


async def test_a_device_is_forgotten_by_its_owner_only(api: Api) -> None:
    jonas, mira = await api.token(), await api.token()
    made = await (await api.call("POST", "/v1/devices", BROWSER, token=jonas)).json()
    assert (await api.call("DELETE", f"/v1/devices/{made['id']}", token=mira)).status == 404
    assert (await api.call("DELETE", f"/v1/devices/{made['id']}", token=jonas)).status == 204
    assert (await api.call("DELETE", f"/v1/devices/{made['id']}", token=jonas)).status == 404
    assert await devices(api, jonas) == []


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"address": "http://push.example.org/"}, "$.address"),
        ({"auth": ""}, "$.auth"),
        ({"kind": "apns", "address": "no token"}, "$.address"),
        ({"kind": "pager"}, "$.kind"),
    ],
)
async def test_what_is_no_device_is_refused(api: Api, change: dict[str, str], path: str) -> None:
    response = await api.call("POST", "/v1/devices", {**BROWSER, **change}, token=await api.token())
    problem = await response.json(content_type="application/problem+json")
    assert (response.status, problem["path"]) == (422, path)


async def test_the_key_for_browsers_is_for_everybody(api: Api, with_deps: Callable[..., Awaitable[Api]]) -> None:
    assert (await api.call("GET", "/v1/web-push-key")).status == 404
    server = await with_deps(web_push_key="BP4z")
    assert await (await server.call("GET", "/v1/web-push-key")).json() == {"key": "BP4z"}
