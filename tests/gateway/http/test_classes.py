"""Classes and displays over HTTP."""

import uuid

import msgspec

from gateway.http.classes import LedClass
from persistence.tapes import Piece
from realtime.wire import ClassStanding, ClassSummary, ClassView
from rooms.room import Room
from rooms.tape import Tape
from services.classes.live_class import Membership
from services.kernel.clock import utc
from services.kernel.ids import AccountId, ClassId
from tests.gateway.http.conftest import Api


async def test_a_coach_creates_a_class_finds_it_and_ends_it(api: Api) -> None:
    token = await api.token("coach")
    created = await api.call("POST", "/v1/classes", {"title": "Thursday hills"}, token=token)
    assert created.status == 201
    live = await created.json()
    assert (live["title"], live["state"], live["coach_name"]) == ("Thursday hills", "live", "Person 1")
    found = await (await api.call("GET", f"/v1/classes/{live['id']}", token=token)).json()
    assert msgspec.convert(found, ClassView) == msgspec.convert(live, ClassView)
    (led,) = (await (await api.call("GET", "/v1/classes", token=token)).json())["classes"]
    assert msgspec.convert(led, LedClass) == msgspec.convert({**live, "leads": "coach"}, LedClass)
    ended = await api.call("POST", f"/v1/classes/{live['id']}/end", token=token)
    assert (ended.status, (await ended.json())["state"]) == (200, "over")
    again = await api.call("POST", f"/v1/classes/{live['id']}/end", token=token)
    assert (again.status, (await again.json())["code"]) == (409, "class_over")


async def test_a_member_cannot_create_list_or_end(api: Api) -> None:
    coach, member = await api.token("coach"), await api.token()
    live = await (await api.call("POST", "/v1/classes", {"title": "x"}, token=coach)).json()
    for method, url, body in (
        ("POST", "/v1/classes", {"title": "y"}),
        ("GET", "/v1/classes", None),
    ):
        response = await api.call(method, url, body, token=member)
        assert (response.status, (await response.json())["code"]) == (403, "forbidden")
    another = await api.token("coach")
    for stranger in (member, another):
        response = await api.call("POST", f"/v1/classes/{live['id']}/end", token=stranger)
        assert (response.status, (await response.json())["code"]) == (404, "class_not_found")
    assert (await (await api.call("GET", "/v1/classes", token=another)).json())["classes"] == []


async def test_a_class_that_is_not_there_and_an_id_that_is_none(api: Api) -> None:
    token = await api.token()
    missing = await api.call("GET", f"/v1/classes/{uuid.uuid4()}", token=token)
    assert (missing.status, (await missing.json())["code"]) == (404, "class_not_found")
    wrong = await api.call("GET", "/v1/classes/seven", token=token)
    problem = await wrong.json()
    assert (wrong.status, problem["code"], problem["path"]) == (422, "bad_shape", "path.id")


async def test_a_summary_is_not_found_until_it_is_ready(api: Api) -> None:
    token = await api.token("coach")
    live = await (await api.call("POST", "/v1/classes", {"title": "x"}, token=token)).json()
    url = f"/v1/classes/{live['id']}/summary"
    early = await api.call("GET", url, token=token)
    assert (early.status, (await early.json())["code"]) == (404, "not_found")
    class_id = ClassId(uuid.UUID(live["id"]))
    summary = ClassSummary(
        class_id=class_id,
        title="x",
        duration_ms=1_000,
        athletes=1,
        standings=(ClassStanding(n=1, rank=1, name="Jonas", effort=1.5, zone_ms=(0, 0, 0, 0, 0, 1_000)),),
    )
    async with api.transactions() as stores:
        await stores.classes.store_summary(class_id, summary, utc(api.clock.wall_ms()))
    ready = await api.call("GET", url, token=token)
    assert ready.status == 200
    assert (await ready.json())["standings"][0]["name"] == "Jonas"


async def test_a_class_that_was_recorded_plays_again_once_it_is_over(api: Api) -> None:
    token = await api.token("coach")
    live = await (await api.call("POST", "/v1/classes", {"title": "x"}, token=token)).json()
    url = f"/v1/classes/{live['id']}/replay?every_ms=500"
    early = await api.call("GET", url, token=token)
    assert (early.status, (await early.json())["code"]) == (404, "not_found")
    class_id, pieces = ClassId(uuid.UUID(live["id"])), list[Piece]()
    async with api.transactions() as stores:
        stored = await stores.classes.by_id(class_id)
    assert stored is not None
    room = Room(stored, "node-1", api.clock.wall_ms())
    room.tape = Tape(class_id, room.epoch, "node-1", pieces.append)
    room.seat(Membership(AccountId(uuid.uuid4()), "Jonas", 1, "athlete"))
    room.beat(api.clock.wall_ms())
    room.tape.cut()
    async with api.transactions() as stores:
        await stores.tapes.add(pieces)
    assert (await api.call("POST", f"/v1/classes/{live['id']}/end", token=token)).status == 200
    reply = await (await api.call("GET", url, token=token)).json()
    assert [(at_ms, event) for at_ms, event, _ in reply["events"]] == [(api.clock.wall_ms(), "board.snapshot")]
    assert reply["events"][0][2]["rows"] == []
    assert reply["next_ms"] is None
    refused = await api.call("GET", f"/v1/classes/{live['id']}/replay?every_ms=1", token=token)
    assert (refused.status, (await refused.json())["path"]) == (422, "query.every_ms")


async def test_a_display_sees_its_own_class_and_has_no_account(api: Api) -> None:
    token = await api.token("coach")
    classes = [
        await (await api.call("POST", "/v1/classes", {"title": title}, token=token)).json() for title in ("one", "two")
    ]
    opened = await api.call("POST", "/v1/displays", {"code": classes[0]["code"].lower()})
    assert opened.status == 201
    reply = await opened.json()
    assert sorted(reply) == ["access_token", "class", "expires_in_s"]
    assert msgspec.convert(reply["class"], ClassView) == msgspec.convert(classes[0], ClassView)
    assert reply["expires_in_s"] == 12 * 3_600
    screen = reply["access_token"]
    assert (await api.call("GET", f"/v1/classes/{classes[0]['id']}", token=screen)).status == 200
    assert (await api.call("GET", f"/v1/classes/{classes[1]['id']}", token=screen)).status == 404
    for method, url, body in (
        ("GET", "/v1/me", None),
        ("PATCH", "/v1/me", {"name": "Screen"}),
        ("DELETE", "/v1/logins/current", None),
        ("POST", "/v1/classes", {"title": "mine"}),
        ("GET", "/v1/classes", None),
        ("POST", f"/v1/classes/{classes[0]['id']}/end", None),
        ("GET", "/v1/workouts", None),
        ("GET", f"/v1/workouts/{uuid.uuid4()}", None),
        ("GET", f"/v1/workouts/{uuid.uuid4()}/samples", None),
    ):
        response = await api.call(method, url, body, token=screen)
        assert (response.status, (await response.json())["code"]) == (403, "forbidden"), url


async def test_a_screen_for_a_class_that_is_over_or_not_there_is_refused(api: Api) -> None:
    token = await api.token("coach")
    live = await (await api.call("POST", "/v1/classes", {"title": "x"}, token=token)).json()
    await api.call("POST", f"/v1/classes/{live['id']}/end", token=token)
    over = await api.call("POST", "/v1/displays", {"code": live["code"]})
    problem = await over.json()
    assert (over.status, problem["code"], problem["data"]) == (409, "class_over", {"class_id": live["id"]})
    missing = await api.call("POST", "/v1/displays", {"code": "ZZZZZZ"})
    assert (missing.status, (await missing.json())["code"]) == (404, "class_not_found")
    wrong = await api.call("POST", "/v1/displays", {"code": "../etc"})
    assert (wrong.status, (await wrong.json())["path"]) == (422, "$.code")
