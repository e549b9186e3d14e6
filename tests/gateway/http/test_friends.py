"""Friends over HTTP."""

import uuid
from typing import Any

from tests.gateway.http.conftest import Api


async def circle(api: Api, who: dict[str, Any]) -> dict[str, list[str]]:
    """Names in the lists of somebody."""
    told = await (await api.call("GET", "/v1/friends", token=who["access_token"])).json()
    return {name: [one.get("name", one.get("called")) for one in told[name]] for name in ("friends", "asked", "asking")}


async def test_one_asks_the_other_says_yes_and_either_parts(api: Api) -> None:
    ada, bob = await api.register(), await api.register()
    hers, his = (f"/v1/friends/{who['account']['id']}" for who in (ada, bob))
    asked = await api.call("PUT", f"{his}/request", {"called": "Bobby"}, token=ada["access_token"])
    assert (asked.status, await asked.json()) == (200, {"state": "asked"})
    assert await circle(api, ada) == {"friends": [], "asked": ["Bobby"], "asking": []}
    assert await circle(api, bob) == {"friends": [], "asked": [], "asking": [ada["account"]["name"]]}
    assert (await api.call("PUT", hers, token=bob["access_token"])).status == 204
    assert await circle(api, ada) == {"friends": [bob["account"]["name"]], "asked": [], "asking": []}
    assert (await api.call("DELETE", his, token=ada["access_token"])).status == 204
    assert await circle(api, bob) == {"friends": [], "asked": [], "asking": []}


async def test_a_request_is_declined_or_taken_back_as_often_as_one_likes(api: Api) -> None:
    ada, bob = await api.register(), await api.register()
    hers, his = (f"/v1/friends/{who['account']['id']}" for who in (ada, bob))
    await api.call("PUT", f"{his}/request", {"called": "Bobby"}, token=ada["access_token"])
    for _ in range(2):
        assert (await api.call("POST", f"{hers}/decline", token=bob["access_token"])).status == 204
    assert (await circle(api, bob))["asking"] == []
    assert (await circle(api, ada))["asked"] == ["Bobby"]
    for _ in range(2):
        assert (await api.call("DELETE", f"{his}/request", token=ada["access_token"])).status == 204
    assert (await circle(api, ada))["asked"] == []


async def test_what_cannot_be_is_refused_with_its_code(api: Api) -> None:
    ada, bob = await api.register(), await api.register()
    token, his = ada["access_token"], f"/v1/friends/{bob['account']['id']}"
    await api.call("PUT", f"/v1/blocks/{bob['account']['id']}", token=token)
    for method, path, body, status, code in (
        ("PUT", f"/v1/friends/{ada['account']['id']}/request", {"called": "me"}, 422, "bad_shape"),
        ("PUT", f"{his}/request", {"called": ""}, 422, "bad_shape"),
        ("PUT", f"{his}/request", {"called": "Bobby"}, 409, "you_blocked"),
        ("PUT", f"/v1/friends/{uuid.uuid4()}", None, 404, "not_found"),
    ):
        refused = await api.call(method, path, body, token=token)
        assert (refused.status, (await refused.json())["code"]) == (status, code), path
