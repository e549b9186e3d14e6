"""What the page /oauth/authorize asks for: what an app wants of the person in front of it, and what they say to it."""

from typing import Annotated

import msgspec

from gateway.http.ports import GatewayDeps
from gateway.http.router import Call, Nothing, Route
from services.access import permission as may
from services.apps.authorization import MAX_STATE, Asked
from services.apps.consents import Question, SentBack
from services.kernel.problems import AppUnknown, ConsentingPaused, RedirectMismatch

Parameter = Annotated[str, msgspec.Meta(max_length=MAX_STATE)]


class AuthorizationRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The parameters with which an app has sent somebody to /oauth/authorize; what it left out is empty."""

    client_id: Parameter = ""
    redirect_uri: Parameter = ""
    response_type: Parameter = ""
    scope: Parameter = ""
    state: Parameter = ""
    code_challenge: Parameter = ""
    code_challenge_method: Parameter = ""


class AuthorizationDecision(AuthorizationRequest, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The same parameters, and what the person says: `allow` or not."""

    allow: bool


def _asked(body: AuthorizationRequest) -> Asked:
    return Asked(
        client_id=body.client_id,
        redirect_uri=body.redirect_uri,
        response_type=body.response_type,
        scope=body.scope,
        state=body.state,
        code_challenge=body.code_challenge,
        code_challenge_method=body.code_challenge_method,
    )


async def ask_authorization(deps: GatewayDeps, call: Call[AuthorizationRequest, Nothing, Nothing]) -> Question:
    return await deps.consents.ask(call.caller, _asked(call.body))


async def decide_authorization(deps: GatewayDeps, call: Call[AuthorizationDecision, Nothing, Nothing]) -> SentBack:
    return await deps.consents.decide(call.caller, _asked(call.body), allow=call.body.allow)


ASK_AUTHORIZATION = Route(
    "POST",
    "/v1/oauth/requests",
    name="ask_authorization",
    permission=may.LEND_TO_APPS,
    tag="apps",
    does="What an app wants of you.",
    more="For our own page /oauth/authorize. Nothing is granted by it.",
    handler=ask_authorization,
    body=AuthorizationRequest,
    query=Nothing,
    path=Nothing,
    reply=Question,
    problems=(AppUnknown, RedirectMismatch),
)
DECIDE_AUTHORIZATION = Route(
    "POST",
    "/v1/oauth/decisions",
    name="decide_authorization",
    permission=may.LEND_TO_APPS,
    tag="apps",
    does="Say yes or no to what an app wants of you.",
    more="For our own page /oauth/authorize. A yes makes a code that is good for a minute and goes to the app with the redirect.",
    handler=decide_authorization,
    body=AuthorizationDecision,
    query=Nothing,
    path=Nothing,
    reply=SentBack,
    status=201,
    problems=(AppUnknown, RedirectMismatch, ConsentingPaused),
)
