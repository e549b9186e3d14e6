"""Choosing what to be told, over HTTP."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from services.notifications.topics import TOPICS
from tests.gateway.http.conftest import Api

URL = "/v1/notification-preferences"


async def test_what_may_be_chosen_comes_with_what_was(api: Api) -> None:
    view = await (await api.call("GET", URL, token=await api.token())).json()
    assert view["preferences"] == {
        "locale": "en",
        "time_zone": "UTC",
        "quiet_hours": None,
        "digest": {"hour": 8, "weekday": None},
        "chosen": {},
        "revision": 0,
    }
    assert [topic["topic"] for topic in view["topics"]] == list(TOPICS)
    by_name = {topic["topic"]: topic for topic in view["topics"]}
    assert by_name["security.login_ended"]["essential"]
    assert by_name["security.login_ended"]["channels"]["email"] == {"way": "now", "allowed": ["now"]}
    assert by_name["class.summarised"]["channels"]["email"] == {"way": "digest", "allowed": ["off", "now", "digest"]}
    assert view["channels"] == []


async def test_the_choice_names_the_channels_that_this_server_has(
    api: Api, with_deps: Callable[..., Awaitable[Api]]
) -> None:
    server = await with_deps(leaving=frozenset({"push", "email"}))
    view = await (await server.call("GET", URL, token=await api.token())).json()
    assert view["channels"] == ["email", "push"]


async def test_the_whole_document_is_replaced_and_counted(api: Api) -> None:
    token = await api.token()
    wanted = {
        "locale": "de-AT",
        "time_zone": "Europe/Vienna",
        "quiet_hours": {"begins": 1320, "until": 420},
        "digest": {"hour": 18, "weekday": 4},
        "chosen": {"workout.summarised": {"email": "digest", "push": "now"}},
        "revision": 0,
    }
    response = await api.call("PUT", URL, wanted, token=token)
    assert response.status == 200, await response.text()
    view = await response.json()
    # What equals the topic's own way is not kept.
    assert view["preferences"] == {**wanted, "revision": 1, "chosen": {"workout.summarised": {"email": "digest"}}}
    summary = list(TOPICS).index("workout.summarised")
    assert view["topics"][summary]["about"] == "Die Auswertung deines Trainings ist fertig"
    assert await (await api.call("GET", URL, token=token)).json() == view
    english = await (await api.call("GET", f"{URL}?language=en-GB", token=token)).json()
    assert english["topics"][summary]["about"] == "The summary of your workout is ready"
    assert english["preferences"] == view["preferences"]


async def test_who_changes_what_another_device_has_changed_is_told_so(api: Api) -> None:
    token = await api.token()
    await api.call("PUT", URL, {"locale": "de", "revision": 0}, token=token)
    late = await api.call("PUT", URL, {"locale": "en-GB", "revision": 0}, token=token)
    problem = await late.json(content_type="application/problem+json")
    assert (late.status, problem["code"]) == (409, "changed_meanwhile")
    view = await (await api.call("GET", URL, token=token)).json()
    assert (view["preferences"]["locale"], view["preferences"]["revision"]) == ("de", 1)


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"time_zone": "Mars/Olympus_Mons"}, "$.time_zone"),
        ({"locale": "<b>"}, "$.locale"),
        ({"quiet_hours": {"begins": 60, "until": 60}}, "$.quiet_hours"),
        ({"quiet_hours": {"begins": 1440, "until": 0}}, "$.quiet_hours.begins"),
        ({"digest": {"hour": 24}}, "$.digest.hour"),
        ({"chosen": {"birthday": {"email": "off"}}}, "$.chosen"),
        ({"chosen": {"security.login_ended": {"email": "off"}}}, "$.chosen.security.login_ended.email"),
        ({"chosen": {"announcement": {"sms": "now"}}}, "$.chosen.announcement.sms"),
        ({"sound": "loud"}, "$"),
    ],
)
async def test_what_cannot_be_is_refused_with_the_place(api: Api, change: dict[str, Any], path: str) -> None:
    response = await api.call("PUT", URL, change, token=await api.token())
    problem = await response.json(content_type="application/problem+json")
    assert (response.status, problem["path"]) == (422, path)
