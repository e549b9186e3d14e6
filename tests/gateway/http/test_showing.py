"""How people are shown, over HTTP."""

import uuid

from services.kernel.clock import utc
from services.kernel.ids import AccountId, ClassId
from tests.gateway.http.conftest import Api


async def test_a_choice_for_the_classes_to_come_is_kept_with_what_was_agreed(api: Api) -> None:
    token = await api.token()
    assert await (await api.call("GET", "/v1/me/display", token=token)).json() == {"mode": "full"}
    fox = {"mode": "alias", "alias": "Fox"}
    assert await (await api.call("PUT", "/v1/me/display", fox, token=token)).json() == fox
    assert await (await api.call("GET", "/v1/me/display", token=token)).json() == fox
    ledger = (await (await api.call("GET", "/v1/me/consents", token=token)).json())["consents"]
    assert {(line["purpose"], line["audience"]) for line in ledger} == {
        ("name", "coach"),
        ("heart_rate", "room"),
        ("zone", "room"),
        ("score", "room"),
    }


async def test_a_mode_that_there_is_not_and_a_class_that_one_is_not_in_are_refused(api: Api) -> None:
    coach, token = await api.token("coach"), await api.token()
    strange = await api.call("PUT", "/v1/me/display", {"mode": "invisible"}, token=token)
    assert (strange.status, (await strange.json())["path"]) == (422, "$.mode")
    live = await (await api.call("POST", "/v1/classes", {"title": "Hills"}, token=coach)).json()
    for method, body in (("GET", None), ("PUT", {"mode": "hidden"})):
        refused = await api.call(method, f"/v1/classes/{live['id']}/display", body, token=token)
        assert (refused.status, (await refused.json())["code"]) == (404, "class_not_found")
    nowhere = await api.call("GET", f"/v1/classes/{uuid.uuid4()}/display", token=token)
    assert (nowhere.status, (await nowhere.json())["code"]) == (404, "class_not_found")


async def test_a_member_chooses_for_a_class_also_when_it_is_over(api: Api) -> None:
    coach, token = await api.token("coach"), await api.token()
    live = await (await api.call("POST", "/v1/classes", {"title": "Hills"}, token=coach)).json()
    me = AccountId(uuid.UUID((await (await api.call("GET", "/v1/me", token=token)).json())["id"]))
    async with api.transactions() as stores:
        await stores.classes.enter(ClassId(uuid.UUID(live["id"])), me, "athlete", utc(api.clock.wall_ms()))
    await api.call("POST", f"/v1/classes/{live['id']}/end", token=coach)
    url = f"/v1/classes/{live['id']}/display"
    assert await (await api.call("PUT", url, {"mode": "hidden"}, token=token)).json() == {"mode": "hidden"}
    assert await (await api.call("GET", url, token=token)).json() == {"mode": "hidden"}
