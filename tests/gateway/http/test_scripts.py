"""The script of a class over HTTP, and the library of scripts."""

import uuid
from typing import Any

import msgspec

from services.classes.timelines import ScriptDraft
from services.kernel.clock import utc
from services.kernel.ids import ClassId
from tests.gateway.http.conftest import Api
from tests.gateway.http.notified import account_of
from tests.services.classes.scripts import script


def body(draft: ScriptDraft) -> Any:
    """A draft as a client writes it."""
    return msgspec.json.decode(msgspec.json.encode(draft))


async def test_a_coach_stores_a_script_and_every_member_reads_it(api: Api) -> None:
    coach, jonas = await api.token("coach"), await api.register()
    member = jonas["access_token"]
    live = await (await api.call("POST", "/v1/classes", {"title": "Hills"}, token=coach)).json()
    async with api.transactions() as stores:
        class_id = ClassId(uuid.UUID(live["id"]))
        await stores.classes.enter(class_id, account_of(jonas), "athlete", utc(api.clock.wall_ms()))
    url = f"/v1/classes/{live['id']}/script"
    missing = await api.call("GET", url, token=member)
    assert (missing.status, (await missing.json())["code"]) == (404, "not_found")
    draft = body(ScriptDraft(script(60, 30, cues=(0, 50))))
    stored = await api.call("PUT", url, draft, token=coach)
    assert stored.status == 200
    assert await stored.json() == {"script": draft["script"], "revision": 1, "duration_ms": 90_000}
    assert await (await api.call("GET", url, token=member)).json() == await stored.json()
    again = await api.call("PUT", url, draft, token=coach)
    assert (again.status, (await again.json())["code"]) == (409, "changed_meanwhile")
    strange = await api.call("PUT", url, draft, token=member)
    assert (strange.status, (await strange.json())["code"]) == (403, "forbidden")


async def test_a_script_that_contradicts_itself_is_refused_with_the_place(api: Api) -> None:
    coach = await api.token("coach")
    live = await (await api.call("POST", "/v1/classes", {"title": "Hills"}, token=coach)).json()
    draft = ScriptDraft(script(60, cues=(10, 5)))
    refused = await api.call("PUT", f"/v1/classes/{live['id']}/script", body(draft), token=coach)
    problem = await refused.json()
    assert (refused.status, problem["code"], problem["path"]) == (422, "bad_shape", "$.script.cues[1].at_ms")


async def test_a_script_is_kept_found_changed_shared_copied_taken_and_deleted(api: Api) -> None:
    mira, noe = await api.token("coach"), await api.token("coach")
    words = body(ScriptDraft(script(60, 30, cues=(0, 50))))["script"]
    label = {"name": "Two hills", "description": "", "tags": ["hills"], "shared": "private"}
    checked = await api.call("POST", "/v1/scripts/check", {"script": words}, token=mira)
    assert await checked.json() == {"duration_ms": 90_000}
    made = await api.call("POST", "/v1/scripts", {"key": "k", "label": label, "script": words}, token=mira)
    assert made.status == 201, await made.text()
    kept = await made.json()
    url = f"/v1/scripts/{kept['id']}"
    assert (await api.call("GET", url, token=noe)).status == 404
    shared = {"label": {**label, "shared": "coaches"}, "script": words, "revision": 1}
    assert (await (await api.call("PUT", url, shared, token=mira)).json())["revision"] == 2
    again = await (await api.call("PUT", url, shared, token=mira)).json()
    assert (again["code"], again["data"]["revision"]) == ("changed_meanwhile", 2)
    listed = await (await api.call("GET", "/v1/scripts?whose=shared&name=HILL&tag=hills&limit=1", token=noe)).json()
    assert [each["id"] for each in listed["scripts"]] == [kept["id"]]
    assert "script" not in listed["scripts"][0]
    assert (await api.call("GET", "/v1/scripts?name=%00", token=noe)).status == 422
    behind = await api.call("GET", f"/v1/scripts?whose=shared&after={listed['next_after']}", token=noe)
    assert await behind.json() == {"scripts": [], "next_after": None}
    copy = await (await api.call("POST", f"{url}/copies", {"key": "c"}, token=noe)).json()
    assert (copy["origin"]["id"], copy["origin"]["revision"], copy["script"]) == (kept["id"], 2, words)
    live = await (await api.call("POST", "/v1/classes", {"title": "Hills"}, token=noe)).json()
    taken = await api.call("PUT", f"/v1/classes/{live['id']}/script", {"library": kept["id"]}, token=noe)
    assert (await taken.json())["script"] == words
    assert (await api.call("DELETE", url, token=noe)).status == 403
    assert (await api.call("DELETE", url, token=mira)).status == 204
    assert (await api.call("GET", url, token=mira)).status == 404
