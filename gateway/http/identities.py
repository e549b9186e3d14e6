"""The providers that one's own account signs in with."""

import msgspec

from gateway.http.ports import GatewayDeps
from gateway.http.router import Call, Nothing, Route
from gateway.http.sign_ins import ProviderId
from services.access import permission as may
from services.accounts.identities import IdentityView
from services.accounts.sign_ins import SignInBegun
from services.kernel.ids import IdentityId
from services.kernel.problems import (
    Forbidden,
    LastWayIn,
    NotFound,
    StepUpNeeded,
    TooManyAttempts,
    TooManyIdentities,
)


class LinkProvider(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which provider."""

    provider: ProviderId


class IdentityList(msgspec.Struct, frozen=True):
    """What is linked, in the order in which it was."""

    identities: tuple[IdentityView, ...]


class IdentityPath(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which of them."""

    id: IdentityId


async def own_identities(deps: GatewayDeps, call: Call[Nothing, Nothing, Nothing]) -> IdentityList:
    return IdentityList(await deps.identities.own(call.caller))


async def link(deps: GatewayDeps, call: Call[LinkProvider, Nothing, Nothing]) -> SignInBegun:
    return await deps.sign_ins.begin_link(call.caller, call.body.provider, address=call.address)


async def unlink(deps: GatewayDeps, call: Call[Nothing, Nothing, IdentityPath]) -> None:
    await deps.identities.unlink(call.caller, call.path.id)


OWN_IDENTITIES = Route(
    "GET",
    "/v1/me/identities",
    name="own_identities",
    permission=may.USE_IDENTITIES,
    tag="sign-ins",
    does="The providers that your account signs in with.",
    handler=own_identities,
    body=Nothing,
    query=Nothing,
    path=Nothing,
    reply=IdentityList,
    problems=(Forbidden,),
)
LINK = Route(
    "POST",
    "/v1/me/identities",
    name="link_identity",
    permission=may.USE_IDENTITIES,
    tag="sign-ins",
    does="Begin to link a provider to your account: it goes on as a sign-in does, and ends in `linked`.",
    handler=link,
    body=LinkProvider,
    query=Nothing,
    path=Nothing,
    reply=SignInBegun,
    status=201,
    problems=(Forbidden, NotFound, StepUpNeeded, TooManyAttempts, TooManyIdentities),
)
UNLINK = Route(
    "DELETE",
    "/v1/me/identities/{id}",
    name="unlink_identity",
    permission=may.USE_IDENTITIES,
    tag="sign-ins",
    does="Sign in with a provider no more.",
    more="The last way into an account stays.",
    handler=unlink,
    body=Nothing,
    query=Nothing,
    path=IdentityPath,
    reply=None,
    status=204,
    problems=(Forbidden, NotFound, StepUpNeeded, LastWayIn),
)
