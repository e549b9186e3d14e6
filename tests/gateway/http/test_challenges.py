"""Challenges over HTTP: what a client may ask and what it is answered. Keeping score is tests/workers/test_challenging.py."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from services.challenges.score_log import BEGINNING, Ledger, Link, hash_of
from services.kernel.clock import utc
from tests.gateway.http.conftest import Api


def week(api: Api, **asked: object) -> dict[str, object]:
    """A challenge of a week that begins today."""
    today = utc(api.clock.wall_ms()).date()
    return {
        "title": "A week",
        "kind": "effort",
        "first_day": str(today),
        "last_day": str(today + timedelta(days=6)),
        **asked,
    }


async def asked(api: Api, method: str, url: str, token: str, body: object = None, status: int = 200) -> dict[str, Any]:
    answer = await api.call(method, url, body, token=token)
    assert answer.status == status, await answer.text()
    view: dict[str, Any] = {} if status == 204 else await answer.json()
    return view


async def made(api: Api, token: str, **wanted: object) -> dict[str, Any]:
    return await asked(api, "POST", "/v1/challenges", token, week(api, **wanted), 201)


async def joined(api: Api, token: str, code: str, status: int = 200, **wanted: object) -> dict[str, Any]:
    body = {"code": code, "time_zone": "Europe/Vienna", **wanted}
    return await asked(api, "POST", "/v1/challenges/join", token, body, status)


async def test_a_challenge_is_made_joined_by_its_code_listed_and_left(api: Api) -> None:
    maker, friend = await api.token(), await api.token()
    view = await made(api, maker)
    assert (view["yours"], view["you"], view["members"], view["finished_ms"]) == (True, None, 0, None)
    mine = await joined(api, friend, f" {view['code'].lower()} ")
    assert (mine["yours"], mine["you"], mine["members"], mine["time_zone"]) == (False, 1, 1, "Europe/Vienna")
    assert await joined(api, friend, view["code"], time_zone="Asia/Tokyo") == mine, "again is fine and changes nothing"
    url = f"/v1/challenges/{view['id']}"
    assert await asked(api, "GET", url, friend) == mine
    assert (await asked(api, "GET", "/v1/challenges", friend))["challenges"] == [mine]
    assert [one["id"] for one in (await asked(api, "GET", "/v1/challenges", maker))["challenges"]] == [view["id"]]
    await asked(api, "POST", f"{url}/leave", friend, status=204)
    assert (await asked(api, "GET", "/v1/challenges", friend))["challenges"] == []
    assert (await asked(api, "POST", f"{url}/leave", friend, status=404))["code"] == "challenge_not_found"
    assert (await joined(api, friend, view["code"], time_zone="Asia/Tokyo"))["time_zone"] == "Europe/Vienna"


@pytest.mark.parametrize(
    ("wrong", "code", "path"),
    [
        ({"last_day": None}, "contradictory_challenge", "$.last_day"),
        ({"last_day": "2020-01-01"}, "contradictory_challenge", "$.last_day"),
        ({"kind": "zone_time"}, "contradictory_challenge", "$.from_zone"),
        ({"teams": ["Alone"]}, "contradictory_challenge", "$.teams"),
        ({"from_zone": 6, "kind": "zone_time"}, "bad_shape", "$.from_zone"),
        ({"kind": "steps"}, "bad_shape", "$.kind"),
        ({"title": "  "}, "bad_shape", "$.title"),
        ({"members": 5}, "bad_shape", "$"),
    ],
)
async def test_one_that_cannot_be_is_refused_with_the_place(
    api: Api, wrong: dict[str, object], code: str, path: str
) -> None:
    refusal = await asked(api, "POST", "/v1/challenges", await api.token(), week(api, **wrong), 422)
    assert (refusal["code"], refusal["path"]) == (code, path)
    without_end = week(api)
    del without_end["last_day"]
    refusal = await asked(api, "POST", "/v1/challenges", await api.token(), without_end, 422)
    assert (refusal["code"], refusal["path"]) == ("contradictory_challenge", "$.last_day")


async def test_a_stranger_learns_nothing_by_id_or_by_guessing_codes(api: Api) -> None:
    maker, stranger = await api.token(), await api.token()
    view = await made(api, maker)
    nothing = UUID(int=7)
    for method, what in (("GET", ""), ("GET", "/table"), ("GET", "/log"), ("POST", "/leave"), ("POST", "/code")):
        known = await asked(api, method, f"/v1/challenges/{view['id']}{what}", stranger, status=404)
        unknown = await asked(api, method, f"/v1/challenges/{nothing}{what}", stranger, status=404)
        assert (known["code"], known["detail"]) == (unknown["code"], unknown["detail"])
    assert (await joined(api, stranger, "AAAAAAAAAA", 404))["code"] == "challenge_not_found"
    for method, what in (("GET", ""), ("GET", "/table"), ("GET", "/log")):
        assert (await api.call(method, f"/v1/challenges/{view['id']}{what}")).status == 401


async def test_whoever_has_the_code_sees_what_they_are_invited_to(api: Api) -> None:
    maker, friend = await api.token(), await api.token()
    view = await made(api, maker, teams=["Red", "Blue"], title="Hills")
    invited = await asked(api, "GET", f"/v1/challenges/invitations/{view['code'].lower()}", friend)
    assert (invited["title"], invited["teams"], invited["members"]) == ("Hills", ["Red", "Blue"], 0)
    assert invited["open"]
    await api.clock.advance(9 * 86_400)
    later = await api.token()
    assert not (await asked(api, "GET", f"/v1/challenges/invitations/{view['code']}", later))["open"]
    unknown = await asked(api, "GET", "/v1/challenges/invitations/AAAAAAAAAA", later, status=404)
    assert unknown["code"] == "challenge_not_found"


async def test_a_code_that_came_into_the_wrong_hands_is_replaced_by_its_maker(api: Api) -> None:
    maker, member, late = await api.token(), await api.token(), await api.token()
    view = await made(api, maker)
    await joined(api, member, view["code"])
    url = f"/v1/challenges/{view['id']}"
    assert (await asked(api, "POST", f"{url}/code", member, status=403))["code"] == "forbidden"
    renewed = await asked(api, "POST", f"{url}/code", maker)
    assert renewed["code"] != view["code"]
    await joined(api, late, view["code"], 404)
    assert (await joined(api, late, renewed["code"]))["members"] == 2


async def test_zones_and_teams_are_asked_for_where_they_are_needed(api: Api) -> None:
    token = await api.token()
    view = await made(api, token, teams=["Red", "Blue"])
    assert (await joined(api, token, view["code"], 422, time_zone="Mars/Olympus"))["path"] == "$.time_zone"
    assert (await joined(api, token, view["code"], 422))["path"] == "$.team"
    await joined(api, token, view["code"], team="Blue")
    table = await asked(api, "GET", f"/v1/challenges/{view['id']}/table?around_me=true", token)
    assert [(line["rank"], line["name"], line["team"]) for line in table["lines"]] == [(1, "Person 1", "Blue")]
    assert [(team["rank"], team["team"]) for team in table["teams"]] == [(1, "Red"), (1, "Blue")]


async def test_the_maker_who_is_not_in_has_no_page_around_them(api: Api) -> None:
    token = await api.token()
    view = await made(api, token)
    refusal = await asked(api, "GET", f"/v1/challenges/{view['id']}/table?around_me=true", token, status=422)
    assert refusal["path"] == "query.around_me"
    table = await asked(api, "GET", f"/v1/challenges/{view['id']}/table?start=3", token)
    assert (table["lines"], table["final"], table["entries"]) == ([], False, 1)


async def test_anybody_in_it_can_read_the_log_in_pages_and_derive_the_table(api: Api) -> None:
    people = [await api.token() for _ in range(4)]
    view = await made(api, people[0])
    for token in people:
        await joined(api, token, view["code"])
    ledger, after, head = Ledger(), 0, BEGINNING
    while True:
        page = await asked(api, "GET", f"/v1/challenges/{view['id']}/log?after={after}&limit=2", people[1])
        for entry in page["entries"]:
            head = hash_of(head, entry["body"].encode())
            assert head.hex() == entry["hash"]
            ledger.take(Link(entry["seq"], entry["body"].encode(), head))
        if page["next_after"] is None:
            break
        after = page["next_after"]
    table = await asked(api, "GET", f"/v1/challenges/{view['id']}/table", people[2])
    assert [(each.rank, each.line.n) for each in ledger.table()] == [
        (each["rank"], each["n"]) for each in table["lines"]
    ]
    assert (table["head"], table["entries"], ledger.seq) == (head.hex(), 5, 5)
