"""Offers, bookings and series over HTTP: who may do what, and what they get to see."""

import uuid
from typing import Any

import pytest

from services.classes.offer import MOST_SEATS
from tests.gateway.http.conftest import Api

HOUR_MS = 3_600_000
TERMS = {"title": "Thursday hills", "duration_min": 45, "capacity": 1}
RULE = {"days": ["thu"], "at": "18:30", "zone": "Europe/Vienna", "from_day": "2026-09-01"}


async def offered(api: Api, coach: str, key: str = "key", **terms: Any) -> dict[str, Any]:
    """A class that can be booked, in two hours."""
    body = {"key": key, "starts_at_ms": api.clock.wall_ms() + 2 * HOUR_MS, "terms": {**TERMS, **terms}}
    response = await api.call("POST", "/v1/offers", body, token=coach)
    assert response.status == 201, await response.text()
    made: dict[str, Any] = await response.json()
    return made


async def asked(api: Api, method: str, url: str, body: object = None, *, token: str) -> tuple[int, dict[str, Any]]:
    """Status and answer of one request."""
    response = await api.call(method, url, body, token=token)
    return response.status, await response.json()


async def test_from_the_offer_to_the_place_of_who_waited(api: Api) -> None:
    coach, jonas, ana = await api.token("coach"), await api.token(), await api.token()
    offer = await offered(api, coach)
    places = f"/v1/offers/{offer['id']}/bookings"
    status, first = await asked(api, "POST", places, {"key": "a"}, token=jonas)
    assert (status, first["state"], first["title"]) == (201, "confirmed", "Thursday hills")
    status, second = await asked(api, "POST", places, {"key": "a"}, token=ana)
    assert (status, second["state"], second["ahead"]) == (201, "waitlisted", 0)
    _, seen = await asked(api, "GET", f"/v1/offers/{offer['id']}", token=ana)
    assert (seen["confirmed"], seen["waiting"], seen["booking"]) == (1, 1, second["id"])
    _, roster = await asked(api, "GET", places, token=coach)
    assert [(line["n"], line["name"], line["state"]) for line in roster["lines"]] == [
        (1, "Person 2", "confirmed"),
        (2, "Person 3", "waitlisted"),
    ]
    status, given_back = await asked(api, "DELETE", f"/v1/bookings/{first['id']}", token=jonas)
    assert (status, given_back["state"]) == (200, "cancelled")
    _, mine = await asked(api, "GET", "/v1/bookings?upcoming=true", token=ana)
    assert [(each["id"], each["state"]) for each in mine["bookings"]] == [(second["id"], "confirmed")]
    assert await asked(api, "GET", f"/v1/bookings/{second['id']}", token=ana) == (200, mine["bookings"][0])


async def test_refusals_of_a_booking_have_their_codes(api: Api) -> None:
    coach, jonas = await api.token("coach"), await api.token()
    offer = await offered(api, coach, waitlist=0)
    places = f"/v1/offers/{offer['id']}/bookings"
    _, booked = await asked(api, "POST", places, {"key": "a"}, token=jonas)
    status, twice = await asked(api, "POST", places, {"key": "b"}, token=jonas)
    assert (status, twice["code"], twice["data"]) == (409, "already_booked", {"booking": booked["id"]})
    status, late = await asked(api, "POST", places, {"key": "a"}, token=await api.token())
    assert (status, late["code"], late["data"]) == (409, "class_booked_up", {"capacity": 1, "waitlist": 0})
    for key in ("", "with space", "a:b"):
        assert (await asked(api, "POST", places, {"key": key}, token=jonas))[0] == 422
    missing = f"/v1/offers/{uuid.uuid4()}/bookings"
    assert (await asked(api, "POST", missing, {"key": "c"}, token=jonas))[1]["code"] == "class_not_found"
    shut = await offered(api, coach, "other", booking_opens_min=60)
    status, early = await asked(api, "POST", f"/v1/offers/{shut['id']}/bookings", {"key": "d"}, token=jonas)
    opens, closes = shut["booking_opens_at_ms"], shut["booking_closes_at_ms"]
    assert (status, early["code"], early["data"]) == (
        409,
        "booking_shut",
        {"opens_at_ms": opens, "closes_at_ms": closes},
    )
    await asked(api, "DELETE", f"/v1/offers/{offer['id']}", token=coach)
    status, off = await asked(api, "POST", places, {"key": "e"}, token=jonas)
    assert (status, off["code"]) == (409, "class_called_off")


async def test_only_the_coach_of_a_class_deals_with_it(api: Api) -> None:
    coach, another, jonas, ana = [await api.token(role) for role in ("coach", "coach", "member", "member")]
    offer = await offered(api, coach)
    url, change = (
        f"/v1/offers/{offer['id']}",
        {"starts_at_ms": offer["starts_at_ms"], "terms": {**TERMS, "capacity": 2}},
    )
    _, booked = await asked(api, "POST", f"{url}/bookings", {"key": "a"}, token=jonas)
    _, weekly = await asked(api, "POST", "/v1/series", {"key": "s", "rule": RULE, "terms": TERMS}, token=coach)
    for stranger in (another, ana):
        for method, where, body in (
            ("PUT", url, change),
            ("DELETE", url, None),
            ("GET", f"{url}/bookings", None),
            ("DELETE", f"/v1/series/{weekly['id']}", None),
        ):
            status, refused = await asked(api, method, where, body, token=stranger)
            assert (status, refused["code"]) == (403, "forbidden"), where
        for method in ("GET", "DELETE"):
            assert (await asked(api, method, f"/v1/bookings/{booked['id']}", token=stranger))[0] == 404
    for method, where, body in (
        ("POST", "/v1/offers", {"key": "b", **change}),
        ("POST", "/v1/series", {"key": "b", "rule": RULE, "terms": TERMS}),
        ("GET", "/v1/series", None),
    ):
        assert (await asked(api, method, where, body, token=jonas))[1]["code"] == "forbidden", where
    status, changed = await asked(api, "PUT", url, change, token=coach)
    assert (status, changed["terms"]["capacity"], changed["confirmed"]) == (200, 2, 1)
    status, taken = await asked(api, "DELETE", f"/v1/bookings/{booked['id']}", token=coach)
    assert (status, taken["cancelled_by"]) == (200, "coach")


async def test_a_display_books_nothing_and_sees_nothing(api: Api) -> None:
    coach = await api.token("coach")
    offer = await offered(api, coach)
    live = await (await api.call("POST", "/v1/classes", {"title": "x"}, token=coach)).json()
    screen = (await (await api.call("POST", "/v1/displays", {"code": live["code"]})).json())["access_token"]
    url = f"/v1/offers/{offer['id']}"
    for method, where, body in (
        ("POST", f"{url}/bookings", {"key": "a"}),
        ("GET", f"{url}/bookings", None),
        ("GET", url, None),
        ("GET", "/v1/offers", None),
        ("GET", "/v1/bookings", None),
        ("GET", f"/v1/bookings/{uuid.uuid4()}", None),
        ("DELETE", f"/v1/bookings/{uuid.uuid4()}", None),
        ("DELETE", url, None),
    ):
        status, refused = await asked(api, method, where, body, token=screen)
        assert (status, refused["code"]) == (403, "forbidden"), where


async def test_what_is_offered_comes_in_pages_and_by_filter(api: Api) -> None:
    coach = await api.token("coach")
    first, second, third = [
        await offered(api, coach, f"k{n}", level=level) for n, level in enumerate(("beginner", "all", "all"))
    ]
    _, page = await asked(api, "GET", "/v1/offers?limit=2", token=coach)
    assert ([each["id"] for each in page["offers"]], page["next_after"]) == ([first["id"], second["id"]], second["id"])
    _, rest = await asked(api, "GET", f"/v1/offers?after={second['id']}", token=coach)
    assert ([each["id"] for each in rest["offers"]], rest["next_after"]) == ([third["id"]], None)
    _, easy = await asked(api, "GET", "/v1/offers?level=beginner&free=true", token=coach)
    assert [each["id"] for each in easy["offers"]] == [first["id"]]
    _, none = await asked(api, "GET", f"/v1/offers?from_ms={first['starts_at_ms'] + 1}", token=coach)
    assert none == {"offers": [], "next_after": None}
    assert (await asked(api, "GET", "/v1/offers?level=expert", token=coach))[0] == 422


async def test_a_series_offers_its_classes_and_ends(api: Api) -> None:
    coach = await api.token("coach")
    body = {"key": "s", "rule": RULE, "terms": TERMS}
    status, weekly = await asked(api, "POST", "/v1/series", body, token=coach)
    assert (status, weekly["rule"]) == (201, {**RULE, "until_day": None})
    assert await asked(api, "POST", "/v1/series", body, token=coach) == (201, weekly)
    _, found = await asked(api, "GET", f"/v1/offers?series={weekly['id']}", token=coach)
    assert len(found["offers"]) == 4
    assert all(each["terms"]["title"] == "Thursday hills" for each in found["offers"])
    status, ended = await asked(api, "DELETE", f"/v1/series/{weekly['id']}", token=coach)
    assert (status, ended["ended_at_ms"]) == (200, api.clock.wall_ms())
    assert await asked(api, "GET", "/v1/series", token=coach) == (200, {"series": [ended], "next_before": None})


@pytest.mark.parametrize(
    ("terms", "path"),
    [
        ({"capacity": 0}, "$.terms.capacity"),
        ({"capacity": MOST_SEATS + 1}, "$.terms.capacity"),
        ({"title": " "}, "$.terms.title"),
        ({"level": "expert"}, "$.terms.level"),
        ({"equipment": ["bike", "BIKE"]}, "$.terms.equipment"),
        ({"equipment": ["two  blanks"]}, "$.terms.equipment[0]"),
        ({"booking_opens_min": 0}, "$.terms.booking_closes_min"),
        ({"doors_close_min": 46}, "$.terms.doors_close_min"),
        ({"price": 5}, "$.terms"),
    ],
)
async def test_terms_are_checked_field_by_field(api: Api, terms: dict[str, Any], path: str) -> None:
    body = {"key": "k", "starts_at_ms": api.clock.wall_ms() + 2 * HOUR_MS, "terms": {**TERMS, **terms}}
    status, refused = await asked(api, "POST", "/v1/offers", body, token=await api.token("coach"))
    assert (status, refused["code"], refused["path"]) == (422, "bad_shape", path)


@pytest.mark.parametrize("starts_at_ms", [0, 2**42, 2**42 + 1, -1])
async def test_a_start_in_the_past_or_in_another_age_is_refused(api: Api, starts_at_ms: int) -> None:
    coach = await api.token("coach")
    offer = await offered(api, coach)
    for method, url, key in (("POST", "/v1/offers", {"key": "k"}), ("PUT", f"/v1/offers/{offer['id']}", {})):
        body = {**key, "starts_at_ms": starts_at_ms, "terms": TERMS}
        status, refused = await asked(api, method, url, body, token=coach)
        assert (status, refused["path"]) == (422, "$.starts_at_ms")
