"""Entitlements over HTTP: granted by an operator, seen by their owner, needed by a class."""

from collections.abc import Awaitable, Callable

import pytest

from gateway.admin_token import AdminToken
from services.kernel.clock import ManualClock
from tests.gateway.http.conftest import Api

SECRET = "kettle-moss-anchor-violet-2031"


@pytest.fixture
async def admin(with_deps: Callable[..., Awaitable[Api]]) -> Api:
    """A server that has an admin token."""
    return await with_deps(admin_token=AdminToken(SECRET, ManualClock()))


async def test_an_operator_grants_and_takes_back_and_the_owner_sees_it(admin: Api) -> None:
    ana = await admin.register()
    where = f"/v1/operations/accounts/{ana['account']['id']}/entitlements"
    until_ms = admin.clock.wall_ms() + 3_600_000
    body = {"source": "voucher:1", "until_ms": until_ms}
    granted = await admin.call("PUT", f"{where}/premium", body, token=SECRET)
    assert granted.status == 200, await granted.text()
    (own,) = (await (await admin.call("GET", "/v1/me/entitlements", token=ana["access_token"])).json())["entitlements"]
    assert (own["name"], own["source"], own["holds"], own["until_ms"]) == ("premium", "voucher:1", True, until_ms)
    left = await (await admin.call("DELETE", f"{where}/premium?source=voucher:1", token=SECRET)).json()
    assert [each["holds"] for each in left["entitlements"]] == [False]
    assert (await (await admin.call("GET", where, token=SECRET)).json()) == left


async def test_who_lacks_what_an_offer_needs_is_told_what_and_why(api: Api) -> None:
    coach, ana = await api.token("coach"), await api.token()
    terms = {"title": "Hills", "duration_min": 45, "capacity": 1, "needs": "premium"}
    body = {"key": "key", "starts_at_ms": api.clock.wall_ms() + 7_200_000, "terms": terms}
    offer = await (await api.call("POST", "/v1/offers", body, token=coach)).json()
    assert offer["terms"]["needs"] == "premium"
    refused = await api.call("POST", f"/v1/offers/{offer['id']}/bookings", {"key": "a"}, token=ana)
    said = await refused.json()
    assert (refused.status, said["code"]) == (403, "entitlement_needed")
    assert said["data"] == {"needs": "premium", "reason": "never"}


async def test_names_of_another_shape_are_refused(admin: Api) -> None:
    coach, ana = await admin.token("coach"), await admin.register()
    made = await admin.call("POST", "/v1/classes", {"title": "Hills", "needs": "Not This"}, token=coach)
    assert (made.status, (await made.json())["path"]) == (422, "$.needs")
    where = f"/v1/operations/accounts/{ana['account']['id']}/entitlements/NOT"
    assert (await admin.call("PUT", where, {}, token=SECRET)).status == 422
