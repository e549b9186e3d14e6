"""The inbox over HTTP: pages in words, the badge, and reading."""

from typing import Any

import pytest

from services.notifications.content import WorkoutContent
from services.notifications.wording import TEMPLATES
from tests.gateway.http.conftest import PASSWORD, Api
from tests.gateway.http.notified import told

WORKOUT = TEMPLATES[1].examples[0]


async def page(api: Api, token: str, query: str = "") -> dict[str, Any]:
    """A page of somebody's inbox."""
    response = await api.call("GET", f"/v1/notifications{query}", token=token)
    assert response.status == 200, await response.text()
    found: dict[str, Any] = await response.json()
    return found


async def unread(api: Api, token: str) -> int:
    response = await api.call("GET", "/v1/notifications/unread", token=token)
    return int((await response.json())["unread"])


async def test_an_inbox_is_empty_at_first(api: Api) -> None:
    token = await api.token()
    assert await page(api, token) == {"notifications": [], "next": None, "unread": 0}
    assert await unread(api, token) == 0


async def test_the_newest_comes_first_and_pages_join_without_a_seam(api: Api) -> None:
    jonas = await api.register()
    token = jonas["access_token"]
    await told(api, jonas, "One", "Two", "Three", "Four", "Five")
    first = await page(api, token, "?limit=2")
    await told(api, jonas, "Six")
    second = await page(api, token, f"?limit=2&before={first['next']}")
    third = await page(api, token, f"?limit=2&before={second['next']}")
    titles = [each["title"] for shown in (first, second, third) for each in shown["notifications"]]
    assert titles == ["Five", "Four", "Three", "Two", "One"]
    assert (third["next"], third["unread"]) == (None, 6)


async def test_a_notification_is_in_words_and_leads_somewhere(api: Api) -> None:
    jonas = await api.register()
    await told(api, jonas, "workout", content=WORKOUT)
    [shown] = (await page(api, jonas["access_token"]))["notifications"]
    assert isinstance(WORKOUT, WorkoutContent)
    assert shown["title"] == "Thursday hills: 137.4 points in 45 min"
    assert shown["body"] == "148 bpm on average, 176 at most. About 513 kcal."
    assert shown["path"] == f"/athlete#workout={WORKOUT.workout_id}"
    assert "read_at_ms" not in shown


async def test_a_mail_leads_to_one_notification_until_it_leaves_the_inbox(api: Api) -> None:
    jonas = await api.register()
    token = jonas["access_token"]
    await told(api, jonas, "One", "Two")
    two = (await page(api, token))["notifications"][0]
    url = f"/v1/notifications/{two['id']}"
    assert await (await api.call("GET", url, token=token)).json() == two
    await api.clock.advance(91 * 86_400)
    again = {"email": jonas["account"]["email"], "password": PASSWORD}
    token = (await (await api.call("POST", "/v1/logins", again)).json())["access_token"]
    assert (await page(api, token))["notifications"] == []
    assert (await api.call("GET", url, token=token)).status == 404


async def test_what_is_stored_is_read_in_the_language_of_today(api: Api) -> None:
    jonas = await api.register()
    token = jonas["access_token"]
    await told(api, jonas, "workout", content=WORKOUT)
    await api.call(
        "PUT", "/v1/notification-preferences", {"locale": "de-AT", "time_zone": "Europe/Vienna"}, token=token
    )
    [shown] = (await page(api, token))["notifications"]
    assert shown["title"] == "Thursday hills: 137,4 Punkte in 45 min"


async def test_reading_some_takes_them_off_the_badge(api: Api) -> None:
    jonas = await api.register()
    token = jonas["access_token"]
    await told(api, jonas, "One", "Two", "Three")
    three, two, one = (await page(api, token))["notifications"]
    response = await api.call("POST", "/v1/notifications/read", {"ids": [two["id"], two["id"]]}, token=token)
    assert await response.json() == {"marked": 1, "unread": 2}
    again = await api.call("POST", "/v1/notifications/read", {"ids": [two["id"]]}, token=token)
    assert await again.json() == {"marked": 0, "unread": 2}
    shown = await page(api, token, "?unread=true")
    assert [each["id"] for each in shown["notifications"]] == [three["id"], one["id"]]
    assert (await page(api, token))["notifications"][1]["read_at_ms"] == api.clock.wall_ms()


async def test_reading_up_to_one_leaves_what_is_newer(api: Api) -> None:
    jonas = await api.register()
    token = jonas["access_token"]
    await told(api, jonas, "One", "Two", "Three")
    two = (await page(api, token))["notifications"][1]
    response = await api.call("POST", "/v1/notifications/read", {"up_to": two["id"]}, token=token)
    assert await response.json() == {"marked": 2, "unread": 1}


@pytest.mark.parametrize("body", [{}, {"ids": []}, {"ids": ["x"]}, {"ids": None, "up_to": None}])
async def test_reading_nothing_is_refused(api: Api, body: dict[str, Any]) -> None:
    response = await api.call("POST", "/v1/notifications/read", body, token=await api.token())
    problem = await response.json(content_type="application/problem+json")
    assert (response.status, problem["code"]) == (422, "bad_shape")


async def test_both_ways_of_reading_at_once_are_refused(api: Api) -> None:
    jonas = await api.register()
    await told(api, jonas, "One")
    [one] = (await page(api, jonas["access_token"]))["notifications"]
    body = {"ids": [one["id"]], "up_to": one["id"]}
    response = await api.call("POST", "/v1/notifications/read", body, token=jonas["access_token"])
    assert response.status == 422
    assert await unread(api, jonas["access_token"]) == 1


async def test_nobody_reads_or_marks_what_is_somebody_elses(api: Api) -> None:
    jonas, mira = await api.register(), await api.register()
    await told(api, jonas, "One")
    [one] = (await page(api, jonas["access_token"]))["notifications"]
    assert (await page(api, mira["access_token"]))["notifications"] == []
    marked = await api.call("POST", "/v1/notifications/read", {"ids": [one["id"]]}, token=mira["access_token"])
    assert (await marked.json())["marked"] == 0
    up_to = await api.call("POST", "/v1/notifications/read", {"up_to": one["id"]}, token=mira["access_token"])
    assert up_to.status == 404
    assert (await api.call("GET", f"/v1/notifications/{one['id']}", token=mira["access_token"])).status == 404
    assert await unread(api, jonas["access_token"]) == 1


@pytest.mark.parametrize(
    "query", ["?before=nonsense", "?before=", "?limit=0", "?limit=101", "?unread=perhaps", "?page=2"]
)
async def test_a_page_that_cannot_be_is_refused(api: Api, query: str) -> None:
    response = await api.call("GET", f"/v1/notifications{query}", token=await api.token())
    assert response.status == 422, await response.text()


async def test_a_display_has_no_inbox(api: Api) -> None:
    coach = await api.token("coach")
    made = await (await api.call("POST", "/v1/classes", {"title": "Hills"}, token=coach)).json()
    display = await (await api.call("POST", "/v1/displays", {"code": made["code"]})).json()
    for url in ("/v1/notifications", "/v1/notifications/unread", "/v1/notification-preferences", "/v1/devices"):
        response = await api.call("GET", url, token=display["access_token"])
        assert response.status == 403, url
