"""That everything about somebody goes: to ask for it, and to take it back."""

from gateway.http.ports import GatewayDeps
from gateway.http.router import Call, Nothing, Route
from services.access import permission as may
from services.kernel.problems import Forbidden, NotFound, StepUpNeeded
from services.privacy.erasure import GRACE_MS, REST_MS, SOMEBODY, ErasureView


async def ask(deps: GatewayDeps, call: Call[Nothing, Nothing, Nothing]) -> ErasureView:
    return await deps.erasures.ask(call.caller)


async def own_erasure(deps: GatewayDeps, call: Call[Nothing, Nothing, Nothing]) -> ErasureView:
    return await deps.erasures.own(call.caller)


async def take_back(deps: GatewayDeps, call: Call[Nothing, Nothing, Nothing]) -> None:
    await deps.erasures.take_back(call.caller)


ASK_FOR_ERASURE = Route(
    "POST",
    "/v1/me/erasure",
    name="ask_for_erasure",
    permission=may.ERASE_ONESELF,
    tag="accounts",
    does="Have your account and everything about you erased.",
    more=(
        f"Nothing happens for {GRACE_MS // 86_400_000} days, in which you may take it back. Then all your logins end, your"
        f" address is free, and {REST_MS // 60_000} min later everything about you goes. What others keep says: {SOMEBODY}. Again"
        " changes nothing. It needs a login that has just proved itself (`step_up_needed`)."
    ),
    handler=ask,
    body=Nothing,
    query=Nothing,
    path=Nothing,
    reply=ErasureView,
    status=202,
    problems=(Forbidden, StepUpNeeded, NotFound),
)
OWN_ERASURE = Route(
    "GET",
    "/v1/me/erasure",
    name="own_erasure",
    permission=may.ERASE_ONESELF,
    tag="accounts",
    does="When your account will be erased, if you have asked for it.",
    handler=own_erasure,
    body=Nothing,
    query=Nothing,
    path=Nothing,
    reply=ErasureView,
    problems=(Forbidden, NotFound),
)
TAKE_BACK_ERASURE = Route(
    "DELETE",
    "/v1/me/erasure",
    name="take_back_erasure",
    permission=may.ERASE_ONESELF,
    tag="accounts",
    does="Keep your account: take back that you wanted it erased.",
    more="From any login, without proving yourself anew. Again is fine.",
    handler=take_back,
    body=Nothing,
    query=Nothing,
    path=Nothing,
    reply=None,
    status=204,
    problems=(Forbidden,),
)
