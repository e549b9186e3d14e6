"""The history of a body over HTTP."""

from services.kernel.clock import utc
from tests.gateway.http.conftest import Api


async def test_a_value_is_added_seen_and_taken_out(api: Api) -> None:
    token = await api.token()
    today = utc(api.clock.wall_ms()).date().isoformat()
    added = await api.call("POST", "/v1/me/vitals", {"kind": "max_hr", "value": 188, "source": "test"}, token=token)
    assert added.status == 201
    view = await added.json()
    assert (view["from_day"], view["until_day"], view["unit"], view["stale"]) == (today, None, "bpm", False)
    listed = await (await api.call("GET", "/v1/me/vitals", token=token)).json()
    assert listed == {"vitals": [view]}
    assert (await (await api.call("GET", "/v1/me", token=token)).json())["max_hr"] == 188
    assert (await api.call("DELETE", f"/v1/me/vitals/{view['id']}", token=token)).status == 204
    assert (await api.call("DELETE", f"/v1/me/vitals/{view['id']}", token=token)).status == 404
    assert (await (await api.call("GET", "/v1/me", token=token)).json())["max_hr"] is None


async def test_a_value_that_cannot_be_is_refused_with_the_place(api: Api) -> None:
    token = await api.token()
    for body, path in (
        ({"kind": "max_hr", "value": 500}, "$.value"),
        ({"kind": "max_hr", "value": "many"}, "$.value"),
        ({"kind": "shoe_size", "value": 43}, "$.kind"),
        ({"kind": "ftp_w", "value": 250, "from_day": "2126-01-01"}, "$.from_day"),
        ({"kind": "ftp_w", "value": 250, "account_id": "0"}, "$"),
    ):
        refused = await api.call("POST", "/v1/me/vitals", body, token=token)
        assert (refused.status, (await refused.json())["path"]) == (422, path)
