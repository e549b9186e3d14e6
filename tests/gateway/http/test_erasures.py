"""Asking for the end of one's account over HTTP."""

from services.privacy.erasure import GRACE_MS
from tests.gateway.http.conftest import Api


async def test_an_account_is_to_go_for_a_week_and_may_be_kept(api: Api) -> None:
    token = await api.token()
    assert (await api.call("GET", "/v1/me/erasure", token=token)).status == 404
    response = await api.call("POST", "/v1/me/erasure", token=token)
    asked = await response.json()
    assert response.status == 202
    assert asked["due_ms"] - asked["asked_ms"] == GRACE_MS
    assert await (await api.call("GET", "/v1/me/erasure", token=token)).json() == asked
    for _ in range(2):
        assert (await api.call("DELETE", "/v1/me/erasure", token=token)).status == 204
    assert (await api.call("GET", "/v1/me/erasure", token=token)).status == 404


async def test_a_login_that_lies_open_can_keep_an_account_and_can_neither_end_it_nor_fetch_it(api: Api) -> None:
    """ASVS 7.5.3: a sensitive act asks anew."""
    token = await api.token()
    assert (await api.call("POST", "/v1/me/erasure", token=token)).status == 202
    await api.clock.advance(11 * 60)
    export = {"key": "mine", "work": {"kind": "export_account"}}
    for method, url, body in (("POST", "/v1/me/erasure", None), ("POST", "/v1/tasks", export)):
        response = await api.call(method, url, body, token=token)
        assert (await response.json())["code"] == "step_up_needed"
    assert (await api.call("DELETE", "/v1/me/erasure", token=token)).status == 204
