"""Entitlements: what one has, and, for who looks after the server, granting them and taking them back.

Granting is behind the admin token, as everything of the kind (operations.py): a coach may say what a class needs, not who has it.
"""

from typing import Annotated

import msgspec

from gateway.http.ports import GatewayDeps
from gateway.http.router import Call, Nothing, Route
from services.access import permission as may
from services.accounts.entitlement import EntitlementName, EntitlementView, Source
from services.audit.entry import operator
from services.kernel.ids import AccountId
from services.kernel.problems import Forbidden, NotFound

Instant = Annotated[int, msgspec.Meta(ge=0, le=2**42, description="ms since 1970")]


class GrantRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """From when and until when a `source` gives it: from now on and without an end, unless you say otherwise. What the same source
    gave before is replaced."""

    source: Source = "operator"
    from_ms: Instant | None = None
    until_ms: Instant | None = None


class AccountPath(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whose."""

    id: AccountId


class EntitlementPath(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whose, and which."""

    id: AccountId
    name: EntitlementName


class SourceQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What which `source` gave."""

    source: Source = "operator"


class EntitlementList(msgspec.Struct, frozen=True):
    """All grants, the newest first, two hundred at most: those that hold, and those that no longer do."""

    entitlements: tuple[EntitlementView, ...]


async def own_entitlements(deps: GatewayDeps, call: Call[Nothing, Nothing, Nothing]) -> EntitlementList:
    return EntitlementList(tuple(await deps.entitlements.own(call.caller)))


async def account_entitlements(deps: GatewayDeps, call: Call[Nothing, Nothing, AccountPath]) -> EntitlementList:
    return EntitlementList(tuple(await deps.entitlements.of_account(call.path.id)))


async def entitle(deps: GatewayDeps, call: Call[GrantRequest, Nothing, EntitlementPath]) -> EntitlementList:
    whose, asked = call.path, call.body
    granted = await deps.entitlements.grant(
        whose.id, whose.name, asked.source, asked.from_ms, asked.until_ms, operator(call.address)
    )
    return EntitlementList(tuple(granted))


async def unentitle(deps: GatewayDeps, call: Call[Nothing, SourceQuery, EntitlementPath]) -> EntitlementList:
    left = await deps.entitlements.withdraw(call.path.id, call.path.name, call.query.source, operator(call.address))
    return EntitlementList(tuple(left))


OWN_ENTITLEMENTS = Route(
    "GET",
    "/v1/me/entitlements",
    name="own_entitlements",
    permission=may.READ_PROFILE,
    tag="accounts",
    does="What you are entitled to, and were.",
    more="Classes name what they need (`needs`); who lacks it is told `entitlement_needed`.",
    handler=own_entitlements,
    body=Nothing,
    query=Nothing,
    path=Nothing,
    reply=EntitlementList,
    scope="profile:read",
    problems=(Forbidden,),
)
ACCOUNT_ENTITLEMENTS = Route(
    "GET",
    "/v1/operations/accounts/{id}/entitlements",
    name="account_entitlements",
    permission=may.OPERATE,
    tag="operation",
    does="What an account is entitled to, and was.",
    more="Needs the admin token (`PACELINE_ADMIN_TOKEN`) as the bearer token.",
    handler=account_entitlements,
    body=Nothing,
    query=Nothing,
    path=AccountPath,
    reply=EntitlementList,
    auth="admin",
    problems=(NotFound,),
)
ENTITLE = Route(
    "PUT",
    "/v1/operations/accounts/{id}/entitlements/{name}",
    name="entitle",
    permission=may.OPERATE,
    tag="operation",
    does="Entitle an account to something.",
    more="Needs the admin token. The same request again changes nothing. It holds for the next booking and the next join.",
    handler=entitle,
    body=GrantRequest,
    query=Nothing,
    path=EntitlementPath,
    reply=EntitlementList,
    auth="admin",
    problems=(NotFound,),
)
UNENTITLE = Route(
    "DELETE",
    "/v1/operations/accounts/{id}/entitlements/{name}",
    name="unentitle",
    permission=may.OPERATE,
    tag="operation",
    does="Take back what a source gave.",
    more="Needs the admin token. Again is fine. Whoever is in a class finishes it; the next one asks again.",
    handler=unentitle,
    body=Nothing,
    query=SourceQuery,
    path=EntitlementPath,
    reply=EntitlementList,
    auth="admin",
    problems=(NotFound,),
)
