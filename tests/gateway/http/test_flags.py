"""Flags over HTTP: set by an admin, and what whoever meets one is told."""

from collections.abc import AsyncIterator

import httpx
import pytest

from services.flags.flag import FLAGS
from tests.gateway.http.apps_client import third_party
from tests.gateway.http.conftest import PASSWORD, Api
from tests.gateway.http.test_audit import staff
from tests.gateway.http.test_challenges import week

WHY = "somebody registers by the thousand"
NEW = {"email": "new@example.org", "password": PASSWORD, "name": "New", "role": "member"}


@pytest.fixture
async def http(api: Api) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=str(api.client.make_url("/")), timeout=60.0) as client:
        yield client


async def switch(api: Api, name: str, *, on: bool) -> None:
    answer = await api.call(
        "PUT", f"/v1/staff/flags/{name}", {"on": on, "reason": WHY}, token=await staff(api, "admin")
    )
    assert (answer.status, (await answer.json())["on"]) == (200, on), await answer.text()


async def refused(api: Api, method: str, url: str, body: object, token: str | None = None) -> str | None:
    """The code of a refusal, None where it was done."""
    answer = await api.call(method, url, body, token=token)
    assert answer.status in {200, 201, 202, 403}, await answer.text()
    said = await answer.json()
    assert answer.status != 403 or said["detail"] == (FLAGS_BY_CODE[said["code"]].__doc__ or "").strip()
    return said.get("code") if answer.status == 403 else None


FLAGS_BY_CODE = {flag.refused.code: flag.refused for flag in FLAGS.values() if flag.refused is not None}


async def test_flags_are_listed_set_and_unset(api: Api) -> None:
    admin = await staff(api, "admin")
    answer = await api.call("GET", "/v1/staff/flags", token=admin)
    assert [(flag["name"], flag["on"]) for flag in (await answer.json())["flags"]] == [(name, True) for name in FLAGS]
    await switch(api, "chat", on=False)
    view = await (await api.call("GET", "/v1/staff/flags/chat", token=admin)).json()
    assert (view["on"], view["reason"]) == (False, WHY)
    answer = await api.call("DELETE", "/v1/staff/flags/chat?reason=it+is+over", token=admin)
    assert (answer.status, (await answer.json())["on"]) == (200, True)
    assert (await api.call("GET", "/v1/staff/flags/gravity", token=admin)).status in {404, 422}


async def test_nobody_new_registers_and_who_has_an_account_gets_in(api: Api) -> None:
    known = await api.register()
    await switch(api, "registering", on=False)
    proved = {name: value for name, value in NEW.items() if name != "role"}
    assert await refused(api, "POST", "/v1/accounts", NEW) == "registering_paused"
    assert await refused(api, "POST", "/v1/registrations", proved) == "registering_paused"
    finish = {"token": "t" * 40, "password": PASSWORD}
    assert await refused(api, "POST", "/v1/registrations/finish", finish) == "registering_paused"
    log_in = {"email": known["account"]["email"], "password": PASSWORD}
    assert await refused(api, "POST", "/v1/logins", log_in) is None
    await switch(api, "registering", on=True)
    assert await refused(api, "POST", "/v1/accounts", NEW) is None


async def test_nobody_makes_challenges_or_heats_and_those_there_are_go_on(api: Api) -> None:
    maker, friend = await api.token(), await api.token()
    there = await (await api.call("POST", "/v1/challenges", week(api), token=maker)).json()
    await switch(api, "challenges.making", on=False)
    heat = {"title": "A heat", "kind": "effort", "length_min": 20, "time_zone": "Europe/Vienna"}
    assert await refused(api, "POST", "/v1/challenges", week(api), maker) == "challenges_paused"
    assert await refused(api, "POST", "/v1/heats", heat, maker) == "challenges_paused"
    join = {"code": there["code"], "time_zone": "Europe/Vienna"}
    assert await refused(api, "POST", "/v1/challenges/join", join, friend) is None
    await switch(api, "challenges.making", on=True)
    assert await refused(api, "POST", "/v1/heats", heat, maker) is None


async def test_nobody_lets_another_app_in_and_one_that_is_in_goes_on(api: Api, http: httpx.AsyncClient) -> None:
    app, person = await third_party(api, http), await api.token()
    before = await app.tokens(person)
    await switch(api, "apps.consenting", on=False)
    yes = {**app.request(), "allow": True}
    assert await refused(api, "POST", "/v1/oauth/decisions", yes, person) == "consenting_paused"
    assert await refused(api, "POST", "/v1/oauth/decisions", {**yes, "allow": False}, person) is None
    assert (await app.refresh(before["refresh_token"])).status_code == 200
