"""Heats over HTTP: what a client may ask and what it is answered. Riding one is tests/rooms/test_heats.py."""

import pytest

from services.challenges.heat import GATHER_MS, SETTLE_MS
from services.classes.lobby import COUNTDOWN_MS
from tests.gateway.http.conftest import Api
from tests.gateway.http.test_challenges import asked, joined

SPRINT = {"title": "Sprint", "kind": "effort", "length_min": 20, "time_zone": "Europe/Vienna"}


async def test_a_heat_is_made_joined_and_begins_when_all_are_ready(api: Api) -> None:
    maker, friend = await api.token(), await api.token()
    view = await asked(api, "POST", "/v1/heats", maker, {**SPRINT, "late": "refused", "target": 40}, 201)
    heat = view["heat"]
    assert (view["yours"], view["you"], view["members"]) == (True, 1, 1)
    assert (heat["length_ms"], heat["target"], heat["late"]) == (1_200_000, 2_400_000, "refused")
    assert (heat["starts_ms"], view["closes_ms"]) == (None, api.clock.wall_ms() + GATHER_MS)
    invitation = await asked(api, "GET", f"/v1/challenges/invitations/{view['code']}", friend)
    assert (invitation["open"], invitation["heat"]["length_ms"]) == (True, 1_200_000)
    assert "class_code" not in str(invitation), "only members know the code of the room"
    await joined(api, friend, view["code"])
    url = f"/v1/heats/{view['id']}"
    assert (await asked(api, "POST", f"{url}/start", friend, status=403))["code"] == "forbidden"
    ready = await asked(api, "POST", f"{url}/ready", friend, {})
    assert (ready["heat"]["ready"], ready["heat"]["you_ready"]) == (1, True)
    again = await asked(api, "POST", f"{url}/ready", friend, {"ready": False})
    assert (again["heat"]["ready"], again["heat"]["you_ready"]) == (0, False)
    for token in (friend, maker):
        begun = await asked(api, "POST", f"{url}/ready", token, {})
    starts_ms = api.clock.wall_ms() + COUNTDOWN_MS
    assert (begun["heat"]["starts_ms"], begun["heat"]["ends_ms"]) == (starts_ms, starts_ms + 1_200_000)
    assert begun["closes_ms"] == starts_ms + 1_200_000 + SETTLE_MS
    assert (await asked(api, "GET", "/v1/challenges", friend))["challenges"][0]["heat"] == begun["heat"]
    for late in ("ready", "start"):
        body: object = {} if late == "ready" else None
        assert (await asked(api, "POST", f"{url}/{late}", maker, body, 409))["code"] == "heat_begun"
    assert (await joined(api, await api.token(), view["code"], 409))["code"] == "heat_begun"
    entries = (await asked(api, "GET", f"/v1/challenges/{view['id']}/log", friend))["entries"]
    assert [entry["body"].split('"')[3] for entry in entries] == ["opened", "joined", "joined", "started"]


@pytest.mark.parametrize(
    ("wrong", "code", "path"),
    [
        ({"length_min": 0}, "bad_shape", "$.length_min"),
        ({"length_min": 121}, "bad_shape", "$.length_min"),
        ({"kind": "count"}, "bad_shape", "$.kind"),
        ({"kind": "zone_time"}, "contradictory_challenge", "$.from_zone"),
        ({"target": 101}, "contradictory_challenge", "$.target"),
        ({"late": "perhaps"}, "bad_shape", "$.late"),
        ({"time_zone": "Mars/Olympus"}, "bad_shape", "$.time_zone"),
        ({"title": "  "}, "bad_shape", "$.title"),
    ],
)
async def test_one_that_cannot_be_is_refused_with_the_place(
    api: Api, wrong: dict[str, object], code: str, path: str
) -> None:
    refusal = await asked(api, "POST", "/v1/heats", await api.token(), {**SPRINT, **wrong}, 422)
    assert (refusal["code"], refusal["path"]) == (code, path)


async def test_a_challenge_over_days_and_an_id_that_nobody_has_cannot_begin(api: Api) -> None:
    maker = await api.token()
    nobody = "/v1/heats/00000000-0000-7000-8000-000000000000/start"
    assert (await asked(api, "POST", nobody, maker, status=404))["code"] == "challenge_not_found"
    view = await asked(api, "POST", "/v1/heats", maker, SPRINT, 201)
    stranger = await asked(api, "POST", f"/v1/heats/{view['id']}/start", await api.token(), status=404)
    assert stranger["code"] == "challenge_not_found"
