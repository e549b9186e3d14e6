"""Making an account, and looking after one's own."""

from typing import Annotated

import msgspec

from gateway.http.ports import GatewayDeps
from gateway.http.router import Call, Nothing, Route
from services.access import permission as may
from services.accounts.account import (
    MAX_DEVICE,
    MAX_EMAIL,
    MAX_NAME,
    MAX_PASSWORD,
    MAX_TYPED_PASSWORD,
    MIN_PASSWORD,
    AccountView,
    ProfileChange,
    SignupRole,
)
from services.accounts.opening import LoggedIn
from services.kernel.problems import (
    Busy,
    EmailTaken,
    Forbidden,
    RegisteringPaused,
    TooManyAttempts,
    TooManyVitals,
    VerifyFirst,
    WeakPassword,
)

Email = Annotated[str, msgspec.Meta(max_length=MAX_EMAIL + 2, description="e-mail address, in ASCII")]
Password = Annotated[
    str,
    msgspec.Meta(
        max_length=MAX_TYPED_PASSWORD, description=f"{MIN_PASSWORD} to {MAX_PASSWORD} characters, every one counts"
    ),
]
Name = Annotated[str, msgspec.Meta(max_length=4 * MAX_NAME, description=f"1 to {MAX_NAME} characters")]
Device = Annotated[str, msgspec.Meta(max_length=MAX_DEVICE, description="what the device calls itself")]


class Registration(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A new account. A coach is a member too."""

    email: Email
    password: Password
    name: Name
    role: SignupRole = "member"
    device: Device = ""


async def register(deps: GatewayDeps, call: Call[Registration, Nothing, Nothing]) -> LoggedIn:
    body = call.body
    return await deps.accounts.register(
        email=body.email,
        password=body.password,
        name=body.name,
        role=body.role,
        device=body.device,
        address=call.address,
    )


async def me(deps: GatewayDeps, call: Call[Nothing, Nothing, Nothing]) -> AccountView:
    return await deps.accounts.me(call.caller)


async def change_profile(deps: GatewayDeps, call: Call[ProfileChange, Nothing, Nothing]) -> AccountView:
    return await deps.accounts.change_profile(call.caller, call.body)


REGISTER = Route(
    "POST",
    "/v1/accounts",
    name="register",
    permission=may.PUBLIC,
    tag="accounts",
    does="Make an account and log it in.",
    more=(
        "The password is judged by what is left when everything guessable is taken out of it. Its address is not proved yet"
        " (`verified`). Where addresses are proved first (PACELINE_SIGNUP), this answers `verify_first`: POST /v1/registrations."
    ),
    handler=register,
    body=Registration,
    query=Nothing,
    path=Nothing,
    reply=LoggedIn,
    status=201,
    auth="none",
    problems=(VerifyFirst, RegisteringPaused, EmailTaken, WeakPassword, Forbidden, TooManyAttempts, Busy),
    cookie=True,
)
ME = Route(
    "GET",
    "/v1/me",
    name="me",
    permission=may.READ_PROFILE,
    tag="accounts",
    does="Your own account and profile.",
    handler=me,
    body=Nothing,
    query=Nothing,
    path=Nothing,
    reply=AccountView,
    scope="profile:read",
    problems=(Forbidden,),
)
CHANGE_PROFILE = Route(
    "PATCH",
    "/v1/me",
    name="change_profile",
    permission=may.WRITE_PROFILE,
    tag="accounts",
    does="Change your name or profile: a field left out stays, null forgets it.",
    more="The resting heart rate has to be below the maximum, also below the one that is estimated from your age.",
    handler=change_profile,
    body=ProfileChange,
    query=Nothing,
    path=Nothing,
    reply=AccountView,
    scope="profile:write",
    problems=(Forbidden, TooManyVitals),
)
