"""Proving oneself anew, before a sensitive act."""

import msgspec

from gateway.http.accounts import Password
from gateway.http.ports import GatewayDeps
from gateway.http.router import Call, Nothing, Route
from gateway.http.second_factors import Code, evidence
from services.access import permission as may
from services.accounts.passkey import RequestOptions, ShownPasskey
from services.accounts.step_up import FRESH_MS
from services.accounts.step_ups import SteppedUp
from services.kernel.problems import (
    BadShape,
    Busy,
    FactorRefused,
    Forbidden,
    NotFound,
    PasskeyRefused,
    TooManyAttempts,
    WeakPassword,
    WrongPassword,
)


class StepUp(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One thing that proves that it is still you: the password only where there is no second factor."""

    password: Password | None = None
    code: Code | None = None
    recovery_code: Code | None = None
    passkey: ShownPasskey | None = None


async def step_up(deps: GatewayDeps, call: Call[StepUp, Nothing, Nothing]) -> SteppedUp:
    body = call.body
    shown = evidence(body.code, body.recovery_code, body.passkey)
    if (shown is None) == (body.password is None):
        raise BadShape("give one of password, code, recovery_code and passkey", path="$")
    if shown is not None:
        return await deps.step_ups.with_factor(call.caller, shown, address=call.address)
    return await deps.step_ups.with_password(call.caller, body.password or "", address=call.address)


async def step_up_options(deps: GatewayDeps, call: Call[Nothing, Nothing, Nothing]) -> RequestOptions:
    return await deps.step_ups.options(call.caller)


STEP_UP = Route(
    "POST",
    "/v1/me/step-up",
    name="step_up",
    permission=may.STEP_UP,
    tag="logins",
    does="Prove that it is still you, before a sensitive act.",
    more=(
        f"A login that was opened in the last {FRESH_MS // 60_000} minutes, or has stepped up since, may do what answers"
        " `step_up_needed` otherwise. Whoever has a second factor shows it; the password alone is not enough then. Use the new"
        " access token from now on; refreshing keeps the proof until it is too old."
    ),
    handler=step_up,
    body=StepUp,
    query=Nothing,
    path=Nothing,
    reply=SteppedUp,
    problems=(Forbidden, WrongPassword, FactorRefused, PasskeyRefused, WeakPassword, TooManyAttempts, Busy),
)
STEP_UP_OPTIONS = Route(
    "POST",
    "/v1/me/step-up/options",
    name="step_up_options",
    permission=may.STEP_UP,
    tag="logins",
    does="What to ask of an authenticator, in order to step up with a passkey of yours.",
    more="For `PublicKeyCredential.parseRequestOptionsFromJSON` and `navigator.credentials.get`.",
    handler=step_up_options,
    body=Nothing,
    query=Nothing,
    path=Nothing,
    reply=RequestOptions,
    problems=(Forbidden, NotFound),
)
