"""The audit over HTTP: who may read it, what stands in it, and what it says of itself."""

import uuid
from typing import Any
from urllib.parse import urlencode

import pytest

from services.accounts.account import Account
from services.audit.entry import ACTS, Entry, operator
from services.kernel.caller import AccountRole
from services.kernel.ids import AccountId, LoginId
from tests.gateway.http.conftest import Api

MIN_MS = 60_000


async def staff(api: Api, *roles: AccountRole, factor_ago_ms: int | None = 0) -> str:
    """The token of somebody new with these roles, who has shown a second factor so long ago."""
    now_ms = api.clock.wall_ms()
    account = Account(
        AccountId(uuid.uuid4()), f"{uuid.uuid4()}@example.org", "Otto", frozenset(("member", *roles)), now_ms
    )
    async with api.transactions() as stores:
        await stores.accounts.add(account, "hash")
    shown = None if factor_ago_ms is None else now_ms - factor_ago_ms
    return api.tokens.for_account(
        account, LoginId(uuid.uuid4()), now_ms, fresh_at_ms=now_ms, second_factor_at_ms=shown
    ).token


async def read(api: Api, token: str, **query: Any) -> Any:
    answer = await api.call("GET", f"/v1/staff/audit?{urlencode(query)}", token=token)
    assert answer.status == 200, await answer.text()
    return await answer.json()


async def told(api: Api, *entries: Entry) -> None:
    async with api.transactions() as stores:
        await stores.audit.add(*entries)
    async with api.transactions() as stores:
        await stores.audit.link()


async def test_an_admin_reads_it_page_by_page_and_that_is_in_it(api: Api) -> None:
    admin, ana = await staff(api, "admin"), await api.register()
    whose = ana["account"]["id"]
    for number in range(5):
        await told(api, Entry(operator("203.0.113.9"), "logins.ended", AccountId(uuid.UUID(whose)), reason=str(number)))
    page = await read(api, admin, account=whose, limit=3)
    assert [each["reason"] for each in page["entries"]] == ["4", "3", "2"]
    assert {each["account_email"] for each in page["entries"]} == {ana["account"]["email"]}
    assert page["entries"][0]["network"] == "203.0.113.0/24"
    rest = await read(api, admin, account=whose, limit=3, before=page["next_before"], act="logins.ended")
    assert [each["reason"] for each in rest["entries"]] == ["1", "0"]
    assert rest["next_before"] is None
    looks = (await read(api, admin, act="audit.read"))["entries"]
    assert [each["account"] for each in looks] == [whose, whose], "both, and not yet this one"


async def test_following_the_pages_reaches_everything_also_what_waits_for_its_place(api: Api) -> None:
    admin = await staff(api, "admin")
    await told(api, *(Entry(operator(None), "job.run", reason=str(number)) for number in range(2)))
    async with api.transactions() as stores:
        await stores.audit.add(*(Entry(operator(None), "job.run", reason=str(number)) for number in range(2, 7)))
    page = await read(api, admin, act="job.run", limit=2)
    reasons = [each["reason"] for each in page["entries"]]
    while page["next_before"] is not None:
        page = await read(api, admin, act="job.run", limit=2, before=page["next_before"])
        reasons += [each["reason"] for each in page["entries"]]
    assert reasons == ["6", "5", "4", "3", "2", "1", "0"]


@pytest.mark.parametrize("where", ["/v1/staff/audit", "/v1/staff/audit/state"])
async def test_it_is_for_admins_who_have_just_shown_a_second_factor(api: Api, where: str) -> None:
    """ASVS 8.2.1, OWASP API5: function level; reliability 3.1: administration behind a fresh factor."""
    for roles, ago_ms, status, code in (
        ((), 0, 403, "forbidden"),
        (("coach",), 0, 403, "forbidden"),
        (("support",), 0, 403, "forbidden"),
        (("admin",), None, 403, "step_up_needed"),
        (("admin",), 11 * MIN_MS, 403, "step_up_needed"),
        (("admin",), 9 * MIN_MS, 200, None),
    ):
        answer = await api.call("GET", where, token=await staff(api, *roles, factor_ago_ms=ago_ms))
        assert (answer.status, (await answer.json()).get("code")) == (status, code), (roles, ago_ms)


async def test_what_is_no_act_is_said(api: Api) -> None:
    answer = await api.call("GET", "/v1/staff/audit?act=account.adored", token=await staff(api, "admin"))
    assert (answer.status, (await answer.json())["path"]) == (422, "query.act")


async def test_the_state_says_whether_the_end_of_the_chain_is_whole(api: Api) -> None:
    admin = await staff(api, "admin")
    await told(api, *(Entry(operator(None), "job.run", reason=str(number)) for number in range(4)))

    async def state() -> Any:
        answer = await api.call("GET", "/v1/staff/audit/state", token=admin)
        assert answer.status == 200, await answer.text()
        return await answer.json()

    assert await state() == {
        "rows": 4,
        "waiting": 0,
        "checked_from": 1,
        "breaches": [],
        "signed_row": None,
        "signed_at_ms": None,
        "acts": list(ACTS),
    }
    async with api.transactions() as stores:
        # What has a good hash of its own, and none before it that is there.
        await stores.tx.execute(
            """
            INSERT INTO audit_log SELECT 6, gen_random_uuid(), at, actor_kind, actor, login_id, app_id, name, network, act, about,
                                         thing_kind, thing, reason, data, sha256('a'), sha256('b')
            FROM audit_log WHERE position = 1
            """
        )
    assert [breach.split(":")[0] for breach in (await state())["breaches"]] == ["deleted at 5", "altered at 6"]
