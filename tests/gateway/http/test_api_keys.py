"""Keys for one's own scripts over HTTP: what they open, what they cost, and how they end."""

import asyncio
from typing import Any

import pytest

from services.apps import lent
from services.apps.api_keys import MAX_KEYS
from services.apps.lent import BELIEVED_S, MAX_KNOWN
from services.kernel.facts import LoginEnded
from services.limits.table import UNKNOWN_KEY
from tests.gateway.http.conftest import Api
from tests.gateway.http.test_addresses import LOOPBACK, Start

URL = "/v1/api-keys"


async def made(api: Api, person: str, *scopes: str, **more: object) -> dict[str, Any]:
    """A new key, as the reply says it."""
    body = {"name": "cron", "scopes": list(scopes or ("profile:read",)), **more}
    response = await api.call("POST", URL, body, token=person)
    assert response.status == 201, await response.text()
    reply: dict[str, Any] = await response.json()
    return reply


async def status(api: Api, secret: str, path: str = "/v1/me") -> int:
    """What comes of a request with a key."""
    return (await api.call("GET", path, token=secret)).status


async def test_a_key_opens_what_its_scopes_name_and_is_shown_once(api: Api) -> None:
    """ASVS 10.3.2."""
    person = await api.register()
    key = await made(api, person["access_token"], "profile:read")
    assert key["secret"].startswith("plk_")
    me = await api.call("GET", "/v1/me", token=key["secret"])
    assert (await me.json())["id"] == person["account"]["id"]
    refused = await api.call("GET", "/v1/workouts", token=key["secret"])
    assert (await refused.json())["data"] == {"scope": "workouts:read"}
    for path in ("/v1/logins", "/v1/api-keys", "/v1/apps"):
        assert await status(api, key["secret"], path) == 403
    listed = await (await api.call("GET", URL, token=person["access_token"])).json()
    assert listed == {"keys": [{**key["key"], "used_at_ms": api.clock.wall_ms()}]}
    assert key["secret"] not in str(listed)


async def test_a_key_has_the_roles_that_its_account_has_now(api: Api) -> None:
    coach, member = await api.token("coach"), await api.token()
    body = {"title": "Friday flats"}
    for person, expected in ((coach, 201), (member, 403)):
        key = await made(api, person, "classes:manage")
        assert (await api.call("POST", "/v1/classes", body, token=key["secret"])).status == expected


async def test_a_revoked_key_is_dead_within_five_seconds(api: Api) -> None:
    """ASVS 7.4.1: and its sockets close by the fact."""
    person = await api.token()
    key = await made(api, person)
    assert await status(api, key["secret"]) == 200
    assert (await api.call("DELETE", f"{URL}/{key['key']['id']}", token=person)).status == 204
    await api.clock.advance(BELIEVED_S)
    assert BELIEVED_S < 5
    assert await status(api, key["secret"]) == 401
    async with api.transactions() as stores:
        facts = [envelope.fact for envelope in await stores.outbox.peek(100)]
    assert len([fact for fact in facts if isinstance(fact, LoginEnded)]) == 1
    assert await (await api.call("GET", URL, token=person)).json() == {"keys": []}


async def test_a_changed_password_ends_the_keys(api: Api) -> None:
    """ASVS 7.4.3."""
    person = await api.token()
    key = await made(api, person)
    body = {"old": "violet anchor moss kettle", "new": "copper lantern orbit thistle"}
    assert (await api.call("PUT", "/v1/me/password", body, token=person)).status < 300
    assert await status(api, key["secret"]) == 401


async def test_a_login_that_has_ended_makes_no_key_and_has_no_new_secret(api: Api) -> None:
    """ASVS 7.4.1: its access token is believed for some seconds more, and a key would outlive them."""
    person = await api.token()
    key = await made(api, person)
    assert (await api.call("DELETE", "/v1/logins/current", token=person)).status == 204
    for url, body in ((URL, {"name": "cron", "scopes": ["profile:read"]}), (f"{URL}/{key['key']['id']}/rotate", {})):
        refused = await api.call("POST", url, body, token=person)
        assert (refused.status, (await refused.json())["code"]) == (401, "not_authenticated")


async def test_a_key_ends_at_its_end_to_the_moment(api: Api) -> None:
    person = await api.token()
    key = await made(api, person, days=1)
    await api.clock.advance(86_400 - 1)
    assert await status(api, key["secret"]) == 200
    await api.clock.advance(1)
    assert await status(api, key["secret"]) == 401, "though it was believed a second ago"
    await api.clock.advance(BELIEVED_S)
    assert await status(api, key["secret"]) == 401


async def test_a_rotated_key_is_taken_beside_the_new_one_for_a_while(api: Api) -> None:
    person = await api.token()
    key = await made(api, person)
    url = f"{URL}/{key['key']['id']}/rotate"
    rotated = await (await api.call("POST", url, {"overlap_s": 600}, token=person)).json()
    old, new = key["secret"], rotated["secret"]
    assert rotated["old_until_ms"] == api.clock.wall_ms() + 600_000
    assert [await status(api, each) for each in (old, new)] == [200, 200]
    await api.clock.advance(600)
    assert [await status(api, each) for each in (old, new)] == [401, 200]
    newest = await (await api.call("POST", url, {"overlap_s": 0}, token=person)).json()
    await api.clock.advance(BELIEVED_S)
    assert [await status(api, each) for each in (new, newest["secret"])] == [401, 200]


async def test_a_key_costs_one_question_however_many_requests_come(api: Api) -> None:
    key = await made(api, await api.token())
    callers = api.deps.callers
    before = callers.asked
    await asyncio.gather(*(status(api, key["secret"]) for _ in range(20)))
    assert callers.asked == before + 1
    await api.clock.advance(BELIEVED_S)
    await status(api, key["secret"])
    assert callers.asked == before + 2


async def test_what_is_known_of_keys_is_bounded(api: Api) -> None:
    """OWASP API4: guessing fills nothing."""
    callers = api.deps.callers
    for number in range(30):
        assert await status(api, f"plk_{number:043d}") == 401
    assert len(callers) == 30 < MAX_KNOWN
    for bad in ("plk_", "plk_" + "A" * 42, "plk_" + "A" * 44, "plk_" + "A" * 5_000):
        assert await status(api, bad) == 401
    assert len(callers) == 30


async def test_who_makes_up_keys_is_sent_away_before_anything_is_asked(with_deps: Start) -> None:
    """OWASP API4: one address costs the database a question a second, whatever it shows."""
    api = await with_deps(proxies=LOOPBACK)
    callers = api.deps.callers
    key = (await made(api, await api.token()))["secret"]
    here, elsewhere = ({"X-Forwarded-For": address} for address in ("203.0.113.9", "203.0.113.10"))

    async def shown(secret: str, headers: dict[str, str]) -> int:
        return (await api.call("GET", "/v1/me", token=secret, headers=headers)).status

    assert await shown(key, here) == 200
    before = callers.asked
    assert {await shown(f"plk_{number:043d}", here) for number in range(UNKNOWN_KEY.burst)} == {401}
    assert callers.asked == before + UNKNOWN_KEY.burst
    refused = await api.call("GET", "/v1/me", token="plk_" + "A" * 43, headers=here)
    assert (refused.status, (await refused.json())["data"]) == (429, {"policy": "unknown_key"})
    assert {await shown(f"plk_{number:043d}", here) for number in range(UNKNOWN_KEY.burst)} == {401}, "known by now"
    assert callers.asked == before + UNKNOWN_KEY.burst
    assert await shown("plk_" + "A" * 43, elsewhere) == 401
    await api.clock.advance(BELIEVED_S)
    await api.deps.limits.take(UNKNOWN_KEY, "203.0.113.9", cost=int(BELIEVED_S))
    assert await shown("plk_" + "A" * 43, here) == 429
    assert await shown(key, here) == 200, "whoever was met here before is asked about all the same"


async def test_keys_that_somebody_has_are_not_paid_for(with_deps: Start) -> None:
    api = await with_deps(proxies=LOOPBACK)
    here = {"X-Forwarded-For": "203.0.113.9"}
    await api.deps.limits.take(UNKNOWN_KEY, "203.0.113.9", cost=UNKNOWN_KEY.burst - 1)
    person = await api.token()
    for _ in range(3):
        key = await made(api, person)
        assert (await api.call("GET", "/v1/me", token=key["secret"], headers=here)).status == 200


async def test_made_up_keys_push_out_nobody(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lent, "MAX_KNOWN", 3)
    monkeypatch.setattr(lent, "MAX_UNKNOWN", 3)
    key = await made(api, await api.token())
    callers = api.deps.callers
    assert await status(api, key["secret"]) == 200
    for number in range(10):
        await status(api, f"plk_{number:043d}")
    before = callers.asked
    assert await status(api, key["secret"]) == 200
    assert (callers.asked, len(callers)) == (before, 4)


async def test_a_key_is_its_owners_alone(api: Api) -> None:
    """OWASP API1."""
    key = await made(api, await api.token())
    stranger = await api.token()
    for method, url, body in (
        ("POST", f"{URL}/{key['key']['id']}/rotate", {}),
        ("DELETE", f"{URL}/{key['key']['id']}", None),
    ):
        response = await api.call(method, url, body, token=stranger)
        assert (response.status, (await response.json())["code"]) == (404, "not_found")


@pytest.mark.parametrize("scopes", [[], ["app:read"], ["everything"], ["profile:read", "app:read"]])
async def test_a_key_needs_scopes_of_people(api: Api, scopes: list[str]) -> None:
    """ASVS 10.3.2."""
    response = await api.call("POST", URL, {"name": "cron", "scopes": scopes}, token=await api.token())
    assert (response.status, (await response.json())["code"]) == (422, "bad_shape")


async def test_an_account_has_so_many_keys(api: Api) -> None:
    person = await api.token()
    for _ in range(MAX_KEYS):
        await made(api, person)
    response = await api.call("POST", URL, {"name": "one more", "scopes": ["profile:read"]}, token=person)
    assert (response.status, (await response.json())["code"]) == (409, "too_many_api_keys")


async def test_a_key_that_is_in_use_is_noted_by_the_hour(api: Api) -> None:
    person = await api.register()
    key = await made(api, person["access_token"])
    began = api.clock.wall_ms()

    async def used() -> object:
        renewed = await api.call("POST", "/v1/logins/refresh", {"refresh_token": person["refresh_token"]})
        person.update(await renewed.json())
        listed = await (await api.call("GET", URL, token=person["access_token"])).json()
        return listed["keys"][0]["used_at_ms"]

    assert await used() is None
    await status(api, key["secret"])
    await api.clock.advance(1_800)
    await status(api, key["secret"])
    assert await used() == began
    await api.clock.advance(1_800)
    await status(api, key["secret"])
    assert await used() == began + 3_600_000
