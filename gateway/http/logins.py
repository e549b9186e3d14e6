"""Logging in, staying logged in, logging out."""

from typing import Annotated

import msgspec

from gateway.http.accounts import Device, Email, Password
from gateway.http.ports import GatewayDeps
from gateway.http.router import Call, Nothing, Route
from services.accounts.accounts import LoggedIn
from services.kernel.problems import (
    Busy,
    Forbidden,
    RefreshRefused,
    TooManyAttempts,
    WeakPassword,
    WrongCredentials,
)


class LogIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Address and password. `device` is how the login will be listed."""

    email: Email
    password: Password
    device: Device = ""


class RefreshRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The refresh token you were given last."""

    refresh_token: Annotated[str, msgspec.Meta(max_length=200)]


async def log_in(deps: GatewayDeps, call: Call[LogIn, Nothing, Nothing]) -> LoggedIn:
    body = call.body
    return await deps.accounts.log_in(
        email=body.email, password=body.password, device=body.device, address=call.address
    )


async def refresh(deps: GatewayDeps, call: Call[RefreshRequest, Nothing, Nothing]) -> LoggedIn:
    return await deps.accounts.refresh(call.body.refresh_token, address=call.address)


async def log_out(deps: GatewayDeps, call: Call[Nothing, Nothing, Nothing]) -> None:
    await deps.accounts.log_out(call.caller)


LOG_IN = Route(
    "POST",
    "/v1/logins",
    name="log_in",
    tag="logins",
    does="Log in with a password.",
    more="An unknown address and a wrong password are answered alike.",
    handler=log_in,
    body=LogIn,
    query=Nothing,
    path=Nothing,
    reply=LoggedIn,
    status=201,
    auth="none",
    problems=(WrongCredentials, WeakPassword, TooManyAttempts, Busy),
)
REFRESH = Route(
    "POST",
    "/v1/logins/refresh",
    name="refresh",
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
)
LOG_OUT = Route(
    "DELETE",
    "/v1/logins/current",
    name="log_out",
    tag="logins",
    does="Log out this device: its refresh token dies and its sockets close.",
    more="The access token stays good for HTTP until it expires.",
    handler=log_out,
    body=Nothing,
    query=Nothing,
    path=Nothing,
    reply=None,
    status=204,
    problems=(Forbidden,),
)
