"""Being watched over, over HTTP: off at first, turned on, with which limit; and the alerts that wait for coaches."""

from typing import Any
from uuid import UUID

import msgspec

from services.kernel.clock import utc
from services.kernel.facts import SafetyStepDue
from services.kernel.ids import ClassId, StreamId
from services.safety.incident import PROMPT_MS, AlertView, Incident, alert_of
from services.safety.safety import Safety, take_step
from services.safety.watching import Finding
from tests.gateway.http.conftest import Api
from tests.gateway.http.notified import account_of

URL = "/v1/safety"
ALERTS = "/v1/safety/alerts"


async def test_nobody_is_watched_over_who_has_not_asked_for_it(api: Api) -> None:
    token = (await api.register())["access_token"]
    response = await api.call("GET", URL, token=token)
    assert await response.json() == {
        "on": False,
        "limit_bpm": 210,
        "limit_source": "guessed_maximum",
        "incident": None,
    }


async def test_a_limit_of_ones_own_goes_before_and_can_be_taken_back(api: Api) -> None:
    token = (await api.register())["access_token"]
    response = await api.call("PUT", URL, {"on": True, "limit_bpm": 165}, token=token)
    assert (response.status, (await response.json())["limit_source"]) == (200, "own")
    await api.call("PUT", URL, {"on": True}, token=token)
    now = await (await api.call("GET", URL, token=token)).json()
    assert (now["on"], now["limit_bpm"], now["limit_source"]) == (True, 210, "guessed_maximum")


async def test_a_limit_that_no_heart_has_is_refused_with_its_place(api: Api) -> None:
    token = (await api.register())["access_token"]
    for bpm in (89, 231, "high"):
        response = await api.call("PUT", URL, {"on": True, "limit_bpm": bpm}, token=token)
        problem = await response.json()
        assert (response.status, problem["code"], problem["path"]) == (422, "bad_shape", "$.limit_bpm")


async def test_whoever_comes_back_finds_the_question_that_is_open(api: Api) -> None:
    reply = await api.register()
    token, account_id = reply["access_token"], account_of(reply)
    await api.call("PUT", URL, {"on": True}, token=token)
    assert isinstance(api.deps.safety, Safety)
    finding = Finding("over_limit", api.clock.wall_ms(), 215)
    stream_id = StreamId(account_id)
    await api.deps.safety.found(account_id, None, stream_id, finding)
    incident = (await (await api.call("GET", URL, token=token)).json())["incident"]
    assert (incident["kind"], incident["state"], incident["bpm"]) == ("over_limit", "prompted", 215)
    assert incident["next_ms"] == api.clock.wall_ms() + 15_000


async def test_without_a_login_there_is_nothing_to_see(api: Api) -> None:
    assert (await api.call("GET", URL)).status == 401


async def told_of(api: Api, coach: str, athlete: dict[str, Any]) -> Incident:
    """Somebody in a class of this coach has not answered, and the coach was told while they had no socket."""
    live = await (await api.call("POST", "/v1/classes", {"title": "Hills"}, token=coach)).json()
    account_id, class_id = account_of(athlete), ClassId(UUID(live["id"]))
    await api.call("PUT", URL, {"on": True}, token=athlete["access_token"])
    async with api.transactions() as stores:
        await stores.classes.lock(class_id)
        await stores.classes.enter(class_id, account_id, "athlete", utc(api.clock.wall_ms()))
    assert isinstance(api.deps.safety, Safety)
    finding = Finding("over_limit", api.clock.wall_ms(), 215)
    asked = await api.deps.safety.found(account_id, class_id, StreamId(account_id), finding)
    assert asked is not None
    await api.clock.advance(PROMPT_MS / 1_000)
    async with api.transactions() as stores:
        due = SafetyStepDue(asked.id, account_id, asked.revision)
        told = await take_step(stores, due, api.clock.wall_ms())
    assert told is not None
    return told


async def waiting(api: Api, token: str) -> list[AlertView]:
    """What somebody is answered who asks for the alerts that wait."""
    response = await api.call("GET", ALERTS, token=token)
    assert response.status == 200, await response.text()
    answer = await response.json()
    assert answer["more"] is False
    return msgspec.convert(answer["alerts"], list[AlertView])


async def test_a_coach_who_comes_back_finds_the_alert_that_went_out_meanwhile_and_nobody_else_does(api: Api) -> None:
    coach, another = await api.token("coach"), await api.token("coach")
    athlete, stranger = await api.register(), await api.token()
    told = await told_of(api, coach, athlete)
    assert told.class_id is not None
    assert await waiting(api, coach) == [alert_of(told, told.class_id, 1, athlete["account"]["name"])]
    for other in (another, athlete["access_token"], stranger):
        assert await waiting(api, other) == []


async def test_an_alert_that_was_taken_on_is_not_found_any_more(api: Api) -> None:
    registered, athlete = await api.register("coach"), await api.register()
    coach = registered["access_token"]
    told = await told_of(api, coach, athlete)
    assert isinstance(api.deps.safety, Safety)
    caller = await api.deps.callers.identify(coach)
    assert (await api.deps.safety.acknowledge(caller, told.id)).acknowledged_by == account_of(registered)
    assert await waiting(api, coach) == []


async def test_alerts_are_for_people_with_a_login(api: Api) -> None:
    assert (await api.call("GET", ALERTS)).status == 401
    live = await (await api.call("POST", "/v1/classes", {"title": "x"}, token=await api.token("coach"))).json()
    display = await (await api.call("POST", "/v1/displays", {"code": live["code"]})).json()
    response = await api.call("GET", ALERTS, token=display["access_token"])
    assert (response.status, (await response.json())["code"]) == (403, "forbidden")
