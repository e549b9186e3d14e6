"""Logging in, staying logged in, logging out: here and elsewhere; and the password."""

from typing import Annotated

import msgspec

from gateway.http.accounts import Device, Email, Password
from gateway.http.ports import GatewayDeps
from gateway.http.router import Call, Nothing, Route
from services.access import permission as may
from services.accounts.logins import LoginView
from services.accounts.opening import LoggedIn
from services.kernel.ids import LoginId
from services.kernel.problems import (
    AccountSuspended,
    BadShape,
    Busy,
    Forbidden,
    NotFound,
    RefreshRefused,
    SecondFactorNeeded,
    StepUpNeeded,
    TooManyAttempts,
    WeakPassword,
    WrongCredentials,
    WrongPassword,
)


class LogIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Address and password. `device` is how the login will be listed."""

    email: Email
    password: Password
    device: Device = ""


class ChangePassword(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The password you have, and the one you want."""

    old: Password
    new: Password


class LoginList(msgspec.Struct, frozen=True):
    """Where you are logged in, the one used last first."""

    logins: tuple[LoginView, ...]


class LoginsEnded(msgspec.Struct, frozen=True):
    """How many other logins were ended."""

    ended: int


class LoginPath(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which login."""

    id: LoginId


class RefreshRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The refresh token you were given last. Our own pages leave it out: they have it in a cookie."""

    refresh_token: Annotated[str, msgspec.Meta(max_length=200)] | None = None


async def log_in(deps: GatewayDeps, call: Call[LogIn, Nothing, Nothing]) -> LoggedIn:
    body = call.body
    return await deps.accounts.log_in(
        email=body.email, password=body.password, device=body.device, address=call.address
    )


async def refresh(deps: GatewayDeps, call: Call[RefreshRequest, Nothing, Nothing]) -> LoggedIn:
    given, page = call.body.refresh_token, call.page
    if given is not None:
        return await deps.accounts.refresh(given, address=call.address)
    if page is None:
        raise BadShape("give the refresh token: refresh_token is missing", path="$")
    try:
        return await deps.accounts.refresh(page.brought or "", address=call.address)
    except RefreshRefused:
        page.forget()
        raise


async def log_out(deps: GatewayDeps, call: Call[Nothing, Nothing, Nothing]) -> None:
    await deps.accounts.log_out(call.caller)
    if call.page is not None:
        call.page.forget()


async def own_logins(deps: GatewayDeps, call: Call[Nothing, Nothing, Nothing]) -> LoginList:
    return LoginList(await deps.logins.all(call.caller))


async def end_login(deps: GatewayDeps, call: Call[Nothing, Nothing, LoginPath]) -> None:
    await deps.logins.end(call.caller, call.path.id)
    if call.page is not None and call.path.id == call.caller.login_id:
        call.page.forget()


async def end_other_logins(deps: GatewayDeps, call: Call[Nothing, Nothing, Nothing]) -> LoginsEnded:
    return LoginsEnded(await deps.logins.end_others(call.caller))


async def change_password(deps: GatewayDeps, call: Call[ChangePassword, Nothing, Nothing]) -> LoginsEnded:
    body = call.body
    return LoginsEnded(await deps.logins.change_password(call.caller, old=body.old, new=body.new, address=call.address))


LOG_IN = Route(
    "POST",
    "/v1/logins",
    name="log_in",
    permission=may.PUBLIC,
    tag="logins",
    does="Log in with a password.",
    more=(
        "An unknown address and a wrong password are answered alike. The right password of an account with a second factor is"
        " answered with `second_factor_needed`: its `data` has a `token` for `POST /v1/logins/second-factor`, and the `factors`"
        " there are, with blanks between (totp passkey recovery_code)."
    ),
    handler=log_in,
    body=LogIn,
    query=Nothing,
    path=Nothing,
    reply=LoggedIn,
    status=201,
    auth="none",
    problems=(WrongCredentials, AccountSuspended, SecondFactorNeeded, WeakPassword, TooManyAttempts, Busy),
    cookie=True,
)
REFRESH = Route(
    "POST",
    "/v1/logins/refresh",
    name="refresh",
    permission=may.PUBLIC,
    tag="logins",
    does="Swap the refresh token for a new access token and a new refresh token.",
    more=(
        "A refresh token works once. For 10 s it may be used again, for an answer that was lost on the way or two tabs"
        " that ask at once; after that, using it again ends the login and closes its sockets, because somebody stole it."
    ),
    handler=refresh,
    body=RefreshRequest,
    query=Nothing,
    path=Nothing,
    reply=LoggedIn,
    auth="none",
    problems=(RefreshRefused, TooManyAttempts),
    cookie=True,
)
LOG_OUT = Route(
    "DELETE",
    "/v1/logins/current",
    name="log_out",
    permission=may.END_LOGINS,
    tag="logins",
    does="Log out this device: its refresh token dies and its sockets close.",
    more="Its access token is refused within 5 s, on every node.",
    handler=log_out,
    body=Nothing,
    query=Nothing,
    path=Nothing,
    reply=None,
    status=204,
    problems=(Forbidden,),
    cookie=True,
)
OWN_LOGINS = Route(
    "GET",
    "/v1/logins",
    name="own_logins",
    permission=may.READ_LOGINS,
    tag="logins",
    does="Where you are logged in.",
    handler=own_logins,
    body=Nothing,
    query=Nothing,
    path=Nothing,
    reply=LoginList,
    problems=(Forbidden,),
)
END_LOGIN = Route(
    "DELETE",
    "/v1/logins/{id}",
    name="end_login",
    permission=may.END_LOGINS,
    tag="logins",
    does="Log out another device of yours: its refresh token dies and its sockets close.",
    more="Again is fine. Its access token is refused within 5 s, on every node.",
    handler=end_login,
    body=Nothing,
    query=Nothing,
    path=LoginPath,
    reply=None,
    status=204,
    problems=(Forbidden, NotFound),
    cookie=True,
)
END_OTHER_LOGINS = Route(
    "POST",
    "/v1/logins/end-others",
    name="end_other_logins",
    permission=may.END_LOGINS,
    tag="logins",
    does="Log out all your devices but this one.",
    handler=end_other_logins,
    body=Nothing,
    query=Nothing,
    path=Nothing,
    reply=LoginsEnded,
    problems=(Forbidden,),
)
CHANGE_PASSWORD = Route(
    "PUT",
    "/v1/me/password",
    name="change_password",
    permission=may.CHANGE_PASSWORD,
    tag="logins",
    does="Change your password, and log out all your devices but this one.",
    more="Wrong passwords count as they do for logging in.",
    handler=change_password,
    body=ChangePassword,
    query=Nothing,
    path=Nothing,
    reply=LoginsEnded,
    problems=(Forbidden, WrongPassword, StepUpNeeded, WeakPassword, TooManyAttempts, Busy),
)
