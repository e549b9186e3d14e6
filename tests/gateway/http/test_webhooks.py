"""Webhook endpoints over HTTP: what an owner can do, and what nobody else can."""

import uuid
from typing import Any

import pytest

from services.integrations.webhooks import MAX_ENDPOINTS, PINGS_PER_MINUTE
from services.kernel.clock import utc
from services.kernel.ids import AccountId, WebhookDeliveryId
from tests.gateway.http.conftest import Api

HOOK = {"url": "https://hooks.example.org/in", "events": ["workout.summarised"], "scopes": ["samples"]}
URL = "/v1/webhook-endpoints"


async def made(api: Api, token: str, **changes: object) -> dict[str, Any]:
    """A new endpoint, as the reply says it."""
    response = await api.call("POST", URL, HOOK | changes, token=token)
    assert response.status == 201, await response.text()
    reply: dict[str, Any] = await response.json()
    return reply


async def problem(api: Api, method: str, url: str, body: object = None, *, token: str) -> tuple[int, str]:
    """Status and code of a refusal."""
    response = await api.call(method, url, body, token=token)
    return response.status, (await response.json())["code"]


async def fail(api: Api, delivery: str) -> None:
    """Let a delivery have failed for good."""
    async with api.transactions() as stores:
        await stores.tx.execute(
            "UPDATE webhook_deliveries SET state = 'failed', due_at = NULL, attempts = 10 WHERE id = $1",
            uuid.UUID(delivery),
        )


async def pause(api: Api, endpoint: str) -> None:
    """Let an endpoint be dead."""
    async with api.transactions() as stores:
        await stores.tx.execute(
            "UPDATE webhook_endpoints SET state = 'paused', paused_reason = 'dead', failures = 12, due_at = NULL WHERE id = $1",
            uuid.UUID(endpoint),
        )


async def test_an_endpoint_is_made_shown_changed_and_deleted(api: Api) -> None:
    token = await api.token()
    reply = await made(api, token, description="  My diary ")
    endpoint = reply["endpoint"]
    assert reply["secret"].startswith("whsec_")
    assert endpoint == {
        "id": endpoint["id"],
        "url": HOOK["url"],
        "events": ["workout.summarised"],
        "scopes": ["samples"],
        "description": "My diary",
        "created_at_ms": api.clock.wall_ms(),
        "state": "active",
        "failures": 0,
        "failing_since_ms": None,
        "paused_reason": None,
    }
    mine = f"{URL}/{endpoint['id']}"
    assert await (await api.call("GET", mine, token=token)).json() == endpoint
    changed = await api.call("PATCH", mine, {"scopes": [], "description": ""}, token=token)
    assert await changed.json() == endpoint | {"scopes": [], "description": ""}
    moved = await api.call("PATCH", mine, {"url": "https://new.example.org/"}, token=token)
    assert (await moved.json())["url"] == "https://new.example.org/"
    listed = await (await api.call("GET", URL, token=token)).json()
    assert [each["url"] for each in listed["endpoints"]] == ["https://new.example.org/"]
    assert (await api.call("DELETE", mine, token=token)).status == 204
    assert await problem(api, "GET", mine, token=token) == (404, "not_found")
    assert await (await api.call("GET", URL, token=token)).json() == {"endpoints": []}


async def test_a_secret_is_shown_once_and_lies_sealed_in_the_database(api: Api) -> None:
    token = await api.token()
    reply = await made(api, token)
    for url in (URL, f"{URL}/{reply['endpoint']['id']}"):
        assert "whsec" not in await (await api.call("GET", url, token=token)).text()
    async with api.transactions() as stores:
        sealed = await stores.tx.fetchval("SELECT sealed FROM webhook_secrets")
    assert reply["secret"].encode() not in sealed
    assert reply["secret"].removeprefix("whsec_").encode() not in sealed


@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.example.org/",
        "https://10.0.0.1/",
        "https://[::1]/",
        "https://user@hooks.example.org/",
        "https://hooks.example.org:22/",
        "ftp://hooks.example.org/",
    ],
)
async def test_an_address_that_can_never_be_called_is_refused_when_it_is_written_down(api: Api, url: str) -> None:
    token = await api.token()
    response = await api.call("POST", URL, HOOK | {"url": url}, token=token)
    found = await response.json()
    assert (response.status, found["code"], found["path"]) == (422, "url_refused", "$.url")
    mine = f"{URL}/{(await made(api, token))['endpoint']['id']}"
    assert await problem(api, "PATCH", mine, {"url": url}, token=token) == (422, "url_refused")


@pytest.mark.parametrize("change", [{"events": []}, {"events": ["test.ping"]}, {"scopes": ["all"]}, {"secret": "x"}])
async def test_what_is_not_in_the_table_cannot_be_asked_for(api: Api, change: dict[str, object]) -> None:
    assert await problem(api, "POST", URL, HOOK | change, token=await api.token()) == (422, "bad_shape")


async def test_events_of_classes_are_for_coaches(api: Api) -> None:
    member, coach = await api.token(), await api.token("coach")
    wants = {"events": ["class.summarised", "workout.summarised", "class.summarised"]}
    assert await problem(api, "POST", URL, HOOK | wants, token=member) == (403, "forbidden")
    mine = f"{URL}/{(await made(api, member))['endpoint']['id']}"
    assert await problem(api, "PATCH", mine, wants, token=member) == (403, "forbidden")
    reply = await made(api, coach, **wants)
    assert reply["endpoint"]["events"] == ["workout.summarised", "class.summarised"]


async def test_an_account_has_so_many_endpoints_and_no_more(api: Api) -> None:
    token = await api.token()
    for _ in range(MAX_ENDPOINTS):
        last = await made(api, token)
    assert await problem(api, "POST", URL, HOOK, token=token) == (409, "too_many_endpoints")
    await api.call("DELETE", f"{URL}/{last['endpoint']['id']}", token=token)
    await made(api, token)
    await made(api, await api.token())


async def test_for_everybody_else_an_endpoint_does_not_exist(api: Api) -> None:
    owner, stranger = await api.token(), await api.token()
    endpoint = (await made(api, owner))["endpoint"]["id"]
    ping = await (await api.call("POST", f"{URL}/{endpoint}/test", token=owner)).json()
    mine = f"{URL}/{endpoint}"
    for method, url, body in (
        ("GET", mine, None),
        ("PATCH", mine, {"description": "x"}),
        ("DELETE", mine, None),
        ("POST", f"{mine}/rotate", {}),
        ("POST", f"{mine}/test", None),
        ("POST", f"{mine}/resume", None),
        ("GET", f"{mine}/deliveries", None),
        ("GET", f"{mine}/deliveries/{ping['id']}", None),
        ("POST", f"{mine}/deliveries/{ping['id']}/replay", None),
        ("POST", f"{mine}/replay", {"since_ms": 0}),
    ):
        assert await problem(api, method, url, body, token=stranger) == (404, "not_found"), url
    # Nor does a delivery through an endpoint that it does not belong to.
    other = (await made(api, stranger))["endpoint"]["id"]
    for method, url in (("GET", ""), ("POST", "/replay")):
        elsewhere = f"{URL}/{other}/deliveries/{ping['id']}{url}"
        assert await problem(api, method, elsewhere, token=stranger) == (404, "not_found")
    assert (await api.call("GET", mine, token=owner)).status == 200


async def test_a_display_has_no_endpoints(api: Api) -> None:
    coach = await api.token("coach")
    live = await (await api.call("POST", "/v1/classes", {"title": "x"}, token=coach)).json()
    display = (await (await api.call("POST", "/v1/displays", {"code": live["code"]})).json())["access_token"]
    assert await problem(api, "GET", URL, token=display) == (403, "forbidden")
    assert await problem(api, "POST", URL, HOOK, token=display) == (403, "forbidden")


async def test_a_rotation_shows_a_new_secret_and_how_long_the_old_one_is_used(api: Api) -> None:
    token = await api.token()
    reply = await made(api, token)
    mine = f"{URL}/{reply['endpoint']['id']}"
    rotated = await (await api.call("POST", f"{mine}/rotate", {}, token=token)).json()
    assert rotated["secret"] not in {reply["secret"], ""}
    assert rotated["old_until_ms"] == api.clock.wall_ms() + 24 * 3_600_000
    at_once = await (await api.call("POST", f"{mine}/rotate", {"overlap_s": 0}, token=token)).json()
    assert at_once["old_until_ms"] == api.clock.wall_ms()
    assert await problem(api, "POST", f"{mine}/rotate", {"overlap_s": 8 * 24 * 3_600}, token=token) == (
        422,
        "bad_shape",
    )


async def test_a_test_is_a_delivery_like_any_other_and_not_without_end(api: Api) -> None:
    token = await api.token()
    mine = f"{URL}/{(await made(api, token))['endpoint']['id']}"
    response = await api.call("POST", f"{mine}/test", token=token)
    ping = await response.json()
    assert (response.status, ping["event"], ping["state"], ping["attempts"]) == (202, "test.ping", "pending", 0)
    details = await (await api.call("GET", f"{mine}/deliveries/{ping['id']}", token=token)).json()
    assert (details["delivery"], details["attempts"]) == (ping, [])
    assert details["body"]["type"] == "test.ping"
    for _ in range(PINGS_PER_MINUTE - 1):
        assert (await api.call("POST", f"{mine}/test", token=token)).status == 202
    limited = await api.call("POST", f"{mine}/test", token=token)
    assert (limited.status, (await limited.json())["code"], limited.headers["Retry-After"]) == (
        429,
        "rate_limited",
        "60",
    )
    await api.clock.advance(60)
    assert (await api.call("POST", f"{mine}/test", token=token)).status == 202


async def test_deliveries_come_in_pages_and_by_state(api: Api) -> None:
    token = await api.token()
    mine = f"{URL}/{(await made(api, token))['endpoint']['id']}"
    pings = [await (await api.call("POST", f"{mine}/test", token=token)).json() for _ in range(3)]
    await fail(api, pings[1]["id"])
    first = await (await api.call("GET", f"{mine}/deliveries?limit=2", token=token)).json()
    assert [each["id"] for each in first["deliveries"]] == [pings[2]["id"], pings[1]["id"]]
    rest = await (await api.call("GET", f"{mine}/deliveries?before={first['next_before']}", token=token)).json()
    assert ([each["id"] for each in rest["deliveries"]], rest["next_before"]) == ([pings[0]["id"]], None)
    failed = await (await api.call("GET", f"{mine}/deliveries?state=failed", token=token)).json()
    assert [each["id"] for each in failed["deliveries"]] == [pings[1]["id"]]


async def test_what_failed_is_sent_again_one_by_one_or_since_an_instant(api: Api) -> None:
    token = await api.token()
    mine = f"{URL}/{(await made(api, token))['endpoint']['id']}"
    pings = []
    for _ in range(3):
        pings.append(await (await api.call("POST", f"{mine}/test", token=token)).json())
        await fail(api, pings[-1]["id"])
        await api.clock.advance(10)
    one = await api.call("POST", f"{mine}/deliveries/{pings[0]['id']}/replay", token=token)
    again = await one.json()
    assert (one.status, again["id"], again["state"], again["attempts"]) == (202, pings[0]["id"], "pending", 0)
    since = {"since_ms": pings[2]["created_at_ms"]}
    assert await (await api.call("POST", f"{mine}/replay", since, token=token)).json() == {"replayed": 1}
    assert await (await api.call("POST", f"{mine}/replay", {"since_ms": 0}, token=token)).json() == {"replayed": 1}
    assert await (await api.call("POST", f"{mine}/replay", {"since_ms": 0}, token=token)).json() == {"replayed": 0}
    missing = f"{mine}/deliveries/{uuid.uuid4()}/replay"
    assert await problem(api, "POST", missing, token=token) == (404, "not_found")


async def test_a_paused_endpoint_says_why_and_takes_nothing_until_it_is_resumed(api: Api) -> None:
    token = await api.token()
    endpoint = (await made(api, token))["endpoint"]["id"]
    mine = f"{URL}/{endpoint}"
    ping = await (await api.call("POST", f"{mine}/test", token=token)).json()
    await pause(api, endpoint)
    shown = await (await api.call("GET", mine, token=token)).json()
    assert (shown["state"], shown["paused_reason"], shown["failures"]) == ("paused", "dead", 12)
    for url, body in (("test", None), (f"deliveries/{ping['id']}/replay", None), ("replay", {"since_ms": 0})):
        assert await problem(api, "POST", f"{mine}/{url}", body, token=token) == (409, "endpoint_paused")
    resumed = await (await api.call("POST", f"{mine}/resume", token=token)).json()
    assert (resumed["state"], resumed["paused_reason"], resumed["failures"]) == ("active", None, 0)
    assert (await api.call("POST", f"{mine}/test", token=token)).status == 202
    async with api.transactions() as stores:
        now = utc(api.clock.wall_ms())
        turns = await stores.webhook_deliveries.take_turns(now, now, limit=1, failing_limit=1, room={}, per_host=1)
    assert [turn.delivery_id for turn in turns] == [WebhookDeliveryId(uuid.UUID(ping["id"]))]


async def test_a_link_to_samples_that_is_none_leads_nowhere(api: Api) -> None:
    for link in ("x", "0" * 32 + "." + "0" * 32 + ".1790000000." + "A" * 43):
        response = await api.call("GET", f"/v1/webhook-samples/{link}")
        assert (response.status, (await response.json())["code"]) == (404, "not_found")


async def test_an_account_that_is_gone_makes_no_endpoint(api: Api) -> None:
    reply = await api.register()
    async with api.transactions() as stores:
        await stores.tx.execute("DELETE FROM accounts WHERE id = $1", AccountId(uuid.UUID(reply["account"]["id"])))
    assert await problem(api, "POST", URL, HOOK, token=reply["access_token"]) == (404, "not_found")
