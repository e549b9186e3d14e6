"""What an account has besides its password: apps, passkeys, recovery codes; and log-ins with them."""

from typing import Annotated

import msgspec

from gateway.http.accounts import Device
from gateway.http.ports import GatewayDeps
from gateway.http.router import Call, Nothing, Route
from services.access import permission as may
from services.accounts import passkey
from services.accounts.opening import LoggedIn
from services.accounts.passkey import CreationOptions, MadePasskey, Passkey, RequestOptions, ShownPasskey
from services.accounts.proving import Evidence, TypedCode, TypedRecoveryCode
from services.accounts.recovery_code import CODES
from services.accounts.second_factor import CONTINUATION_MS, MOST_WRONG
from services.accounts.second_factors import TotpToScan
from services.accounts.step_ups import SteppedUp
from services.accounts.totp import ENROL_MS
from services.kernel.ids import PasskeyId
from services.kernel.problems import (
    AccountSuspended,
    AlreadySetUp,
    BadShape,
    Busy,
    CodeExpired,
    FactorRefused,
    Forbidden,
    LastWayIn,
    LoginNotWaiting,
    NotFound,
    PasskeyRefused,
    StepUpNeeded,
    TooManyAttempts,
    TooManyPasskeys,
)

Code = Annotated[str, msgspec.Meta(max_length=40)]
Name = Annotated[str, msgspec.Meta(max_length=4 * passkey.MAX_NAME)]
Continuation = Annotated[str, msgspec.Meta(max_length=200)]


class PasskeyView(msgspec.Struct, frozen=True):
    """One of your passkeys. Times in ms since 1970."""

    id: PasskeyId
    name: str
    made_at_ms: int
    used_at_ms: int | None


class SecondFactorView(msgspec.Struct, frozen=True):
    """What you have besides your password. `totp_since_ms`: since when an authenticator app, null for none. `recovery_codes`:
    how many are left. `required`: whether logging in asks for one. `passkey_domain`: the domain whose pages can use
    passkeys."""

    required: bool
    totp_since_ms: int | None
    passkeys: tuple[PasskeyView, ...]
    recovery_codes: int
    passkey_domain: str


class ConfirmTotp(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The code that the app shows."""

    code: Code


class RecoveryCodes(msgspec.Struct, frozen=True):
    """Codes to keep on paper; they are not shown again."""

    recovery_codes: tuple[str, ...]


class AddPasskey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the authenticator has made, and what you call it."""

    passkey: MadePasskey
    name: Name = ""


class RenamePasskey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What you call it."""

    name: Name


class PasskeyAddedView(msgspec.Struct, frozen=True):
    """The passkey; and use this access token from now on, which says that it was shown."""

    passkey: PasskeyView
    access_token: str
    expires_in_s: int
    fresh_until_ms: int


class PasskeyPath(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which passkey."""

    id: PasskeyId


class LogInWithPasskey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The passkey that was shown. `device` is how the login will be listed."""

    passkey: ShownPasskey
    device: Device = ""


class FinishLogIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The token of `second_factor_needed`, and one of the others."""

    token: Continuation
    code: Code | None = None
    recovery_code: Code | None = None
    passkey: ShownPasskey | None = None


def evidence(code: str | None, recovery_code: str | None, shown: ShownPasskey | None) -> Evidence | None:
    """The one that was given, None for none. Raises BadShape for several."""
    given: list[Evidence] = []
    if code is not None:
        given.append(TypedCode(code))
    if recovery_code is not None:
        given.append(TypedRecoveryCode(recovery_code))
    if shown is not None:
        given.append(shown)
    if len(given) > 1:
        raise BadShape("give one proof", path="$")
    return given[0] if given else None


# -- your own ---------------------------------------------------------------------------------------------------


async def own_factors(deps: GatewayDeps, call: Call[Nothing, Nothing, Nothing]) -> SecondFactorView:
    factors = await deps.second_factors.now(call.caller)
    return SecondFactorView(
        required=factors.any,
        totp_since_ms=factors.totp_since_ms,
        passkeys=tuple(map(_view, factors.passkeys)),
        recovery_codes=factors.recovery_codes,
        passkey_domain=deps.second_factors.domain(),
    )


async def begin_totp(deps: GatewayDeps, call: Call[Nothing, Nothing, Nothing]) -> TotpToScan:
    return await deps.second_factors.begin_totp(call.caller)


async def confirm_totp(deps: GatewayDeps, call: Call[ConfirmTotp, Nothing, Nothing]) -> SteppedUp:
    return await deps.second_factors.confirm_totp(call.caller, call.body.code)


async def remove_totp(deps: GatewayDeps, call: Call[Nothing, Nothing, Nothing]) -> None:
    await deps.second_factors.remove_totp(call.caller)


async def new_codes(deps: GatewayDeps, call: Call[Nothing, Nothing, Nothing]) -> RecoveryCodes:
    return RecoveryCodes(await deps.second_factors.new_codes(call.caller))


async def passkey_options(deps: GatewayDeps, call: Call[Nothing, Nothing, Nothing]) -> CreationOptions:
    return await deps.second_factors.passkey_options(call.caller)


async def add_passkey(deps: GatewayDeps, call: Call[AddPasskey, Nothing, Nothing]) -> PasskeyAddedView:
    added = await deps.second_factors.add_passkey(call.caller, call.body.name, call.body.passkey)
    fresh = added.stepped_up
    return PasskeyAddedView(_view(added.passkey), fresh.access_token, fresh.expires_in_s, fresh.fresh_until_ms)


async def rename_passkey(deps: GatewayDeps, call: Call[RenamePasskey, Nothing, PasskeyPath]) -> PasskeyView:
    return _view(await deps.second_factors.rename_passkey(call.caller, call.path.id, call.body.name))


async def remove_passkey(deps: GatewayDeps, call: Call[Nothing, Nothing, PasskeyPath]) -> None:
    await deps.second_factors.remove_passkey(call.caller, call.path.id)


# -- logging in -------------------------------------------------------------------------------------------------


async def log_in_options(deps: GatewayDeps, call: Call[Nothing, Nothing, Nothing]) -> RequestOptions:
    return await deps.factor_logins.options(address=call.address)


async def log_in_with_passkey(deps: GatewayDeps, call: Call[LogInWithPasskey, Nothing, Nothing]) -> LoggedIn:
    return await deps.factor_logins.with_passkey(call.body.passkey, device=call.body.device, address=call.address)


async def finish_log_in(deps: GatewayDeps, call: Call[FinishLogIn, Nothing, Nothing]) -> LoggedIn:
    body = call.body
    shown = evidence(body.code, body.recovery_code, body.passkey)
    if shown is None:
        raise BadShape("give one of code, recovery_code and passkey", path="$")
    return await deps.factor_logins.finish(body.token, shown, address=call.address)


def _view(one: Passkey) -> PasskeyView:
    return PasskeyView(one.id, one.name, one.made_at_ms, one.used_at_ms)


OWN_FACTORS = Route(
    "GET",
    "/v1/me/second-factor",
    name="own_factors",
    permission=may.USE_FACTORS,
    tag="second factor",
    does="What you have besides your password.",
    handler=own_factors,
    body=Nothing,
    query=Nothing,
    path=Nothing,
    reply=SecondFactorView,
    problems=(Forbidden,),
)
BEGIN_TOTP = Route(
    "POST",
    "/v1/me/totp",
    name="begin_totp",
    permission=may.USE_FACTORS,
    tag="second factor",
    does="Get a secret for an authenticator app.",
    more=(
        "TOTP (RFC 6238): SHA-1, six digits, 30 s. It counts once a code has confirmed it, within"
        f" {ENROL_MS // 60_000} minutes. Asking again gives another one."
    ),
    handler=begin_totp,
    body=Nothing,
    query=Nothing,
    path=Nothing,
    reply=TotpToScan,
    status=201,
    problems=(Forbidden, StepUpNeeded, AlreadySetUp),
)
CONFIRM_TOTP = Route(
    "POST",
    "/v1/me/totp/confirm",
    name="confirm_totp",
    permission=may.USE_FACTORS,
    tag="second factor",
    does="Confirm the app with the code that it shows; from now on logging in asks for one.",
    more="Make recovery codes next, with the access token that you get.",
    handler=confirm_totp,
    body=ConfirmTotp,
    query=Nothing,
    path=Nothing,
    reply=SteppedUp,
    problems=(Forbidden, StepUpNeeded, FactorRefused, CodeExpired, TooManyAttempts),
)
REMOVE_TOTP = Route(
    "DELETE",
    "/v1/me/totp",
    name="remove_totp",
    permission=may.USE_FACTORS,
    tag="second factor",
    does="Remove the authenticator app.",
    more="Recovery codes go with the last factor.",
    handler=remove_totp,
    body=Nothing,
    query=Nothing,
    path=Nothing,
    reply=None,
    status=204,
    problems=(Forbidden, StepUpNeeded, NotFound),
)
NEW_CODES = Route(
    "POST",
    "/v1/me/recovery-codes",
    name="new_codes",
    permission=may.USE_FACTORS,
    tag="second factor",
    does=f"Make {CODES} recovery codes; those before are worth nothing any more.",
    more="Each opens one login in place of a second factor that is gone. They are not shown again.",
    handler=new_codes,
    body=Nothing,
    query=Nothing,
    path=Nothing,
    reply=RecoveryCodes,
    status=201,
    problems=(Forbidden, StepUpNeeded, NotFound, Busy),
)
PASSKEY_OPTIONS = Route(
    "POST",
    "/v1/me/passkeys/options",
    name="passkey_options",
    permission=may.USE_FACTORS,
    tag="second factor",
    does="What to ask of an authenticator that is to make a passkey.",
    more="For `PublicKeyCredential.parseCreationOptionsFromJSON` and `navigator.credentials.create`.",
    handler=passkey_options,
    body=Nothing,
    query=Nothing,
    path=Nothing,
    reply=CreationOptions,
    problems=(Forbidden, StepUpNeeded, TooManyPasskeys),
)
ADD_PASSKEY = Route(
    "POST",
    "/v1/me/passkeys",
    name="add_passkey",
    permission=may.USE_FACTORS,
    tag="second factor",
    does="Add the passkey that the authenticator has made; from now on logging in with the password asks for a second factor.",
    more="Make recovery codes next, with the access token that you get, unless you have some.",
    handler=add_passkey,
    body=AddPasskey,
    query=Nothing,
    path=Nothing,
    reply=PasskeyAddedView,
    status=201,
    problems=(Forbidden, StepUpNeeded, PasskeyRefused, TooManyPasskeys),
)
RENAME_PASSKEY = Route(
    "PATCH",
    "/v1/me/passkeys/{id}",
    name="rename_passkey",
    permission=may.USE_FACTORS,
    tag="second factor",
    does="Call a passkey of yours something else.",
    handler=rename_passkey,
    body=RenamePasskey,
    query=Nothing,
    path=PasskeyPath,
    reply=PasskeyView,
    problems=(Forbidden, NotFound),
)
REMOVE_PASSKEY = Route(
    "DELETE",
    "/v1/me/passkeys/{id}",
    name="remove_passkey",
    permission=may.USE_FACTORS,
    tag="second factor",
    does="Remove a passkey of yours.",
    more=(
        "Recovery codes go with the last factor. The authenticator still has it: remove it there, too. The last way into an"
        " account stays (`last_way_in`)."
    ),
    handler=remove_passkey,
    body=Nothing,
    query=Nothing,
    path=PasskeyPath,
    reply=None,
    status=204,
    problems=(Forbidden, StepUpNeeded, NotFound, LastWayIn),
)
LOG_IN_OPTIONS = Route(
    "POST",
    "/v1/logins/passkey/options",
    name="log_in_options",
    permission=may.PUBLIC,
    tag="logins",
    does="What to ask of an authenticator, in order to log in with a passkey.",
    more=(
        "For `PublicKeyCredential.parseRequestOptionsFromJSON` and `navigator.credentials.get`. Nobody is named, nothing told."
    ),
    handler=log_in_options,
    body=Nothing,
    query=Nothing,
    path=Nothing,
    reply=RequestOptions,
    auth="none",
    problems=(TooManyAttempts,),
)
LOG_IN_WITH_PASSKEY = Route(
    "POST",
    "/v1/logins/passkey",
    name="log_in_with_passkey",
    permission=may.PUBLIC,
    tag="logins",
    does="Log in with a passkey alone.",
    more="It is the device and whoever unlocked it, so neither a password nor a code is asked for.",
    handler=log_in_with_passkey,
    body=LogInWithPasskey,
    query=Nothing,
    path=Nothing,
    reply=LoggedIn,
    status=201,
    auth="none",
    problems=(PasskeyRefused, AccountSuspended, TooManyAttempts),
    cookie=True,
)
FINISH_LOG_IN = Route(
    "POST",
    "/v1/logins/second-factor",
    name="finish_log_in",
    permission=may.PUBLIC,
    tag="logins",
    does="Finish a log-in that was answered with `second_factor_needed`.",
    more=(
        f"The token is good for {CONTINUATION_MS // 60_000} minutes, {MOST_WRONG} guesses and one login, and dies when the password"
        " changes. Give one of code, recovery_code and passkey (with the challenge of `POST /v1/logins/passkey/options`). Each code"
        " works once."
    ),
    handler=finish_log_in,
    body=FinishLogIn,
    query=Nothing,
    path=Nothing,
    reply=LoggedIn,
    status=201,
    auth="none",
    problems=(LoginNotWaiting, FactorRefused, AccountSuspended, TooManyAttempts, Busy),
    cookie=True,
)
