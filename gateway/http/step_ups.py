"""Proving oneself anew, before a sensitive act."""

import msgspec

from gateway.http.accounts import Password
from gateway.http.ports import GatewayDeps
from gateway.http.router import Call, Nothing, Route
from services.access import permission as may
from services.accounts.step_up import FRESH_MS
from services.accounts.step_ups import SteppedUp
from services.kernel.problems import Busy, Forbidden, TooManyAttempts, WeakPassword, WrongPassword


class StepUp(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What proves that it is still you."""

    password: Password


async def step_up(deps: GatewayDeps, call: Call[StepUp, Nothing, Nothing]) -> SteppedUp:
    return await deps.step_ups.with_password(call.caller, call.body.password, address=call.address)


STEP_UP = Route(
    "POST",
    "/v1/me/step-up",
    name="step_up",
    permission=may.STEP_UP,
    tag="logins",
    does="Prove that it is still you, before a sensitive act.",
    more=(
        f"A login that was opened in the last {FRESH_MS // 60_000} minutes, or has stepped up since, may do what answers"
        " `step_up_needed` otherwise. Use the new access token from now on; refreshing keeps the proof until it is too old."
    ),
    handler=step_up,
    body=StepUp,
    query=Nothing,
    path=Nothing,
    reply=SteppedUp,
    problems=(Forbidden, WrongPassword, WeakPassword, TooManyAttempts, Busy),
)
