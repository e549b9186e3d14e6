"""Registering where an address is proved first, and proving the address of an account."""

from typing import Annotated

import msgspec

from gateway.http.accounts import Device, Email, Name, Password
from gateway.http.ports import GatewayDeps
from gateway.http.router import Call, Nothing, Route
from services.access import permission as may
from services.accounts.account import SignupRole
from services.accounts.account_mail import A_DAY, AN_HOUR, LIFE_MS, TOKEN_LENGTH
from services.accounts.opening import LoggedIn
from services.accounts.registrations import RegistrationBegun
from services.kernel.ids import AccountMailId
from services.kernel.problems import (
    Busy,
    EmailTaken,
    Forbidden,
    LinkOver,
    NotFound,
    RegisteringPaused,
    TooManyAttempts,
    WeakPassword,
    WrongPassword,
)

LinkToken = Annotated[
    str, msgspec.Meta(max_length=2 * TOKEN_LENGTH, description="what stands in the link, behind the =")
]


class BeginRegistration(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A new account, once its address is proved. A coach is a member too."""

    email: Email
    password: Password
    name: Name
    role: SignupRole = "member"


class RegistrationPath(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which registration."""

    id: AccountMailId


class FinishRegistration(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What stood in the mail, and the password that was chosen. `device` is how the login will be listed."""

    token: LinkToken
    password: Password
    device: Device = ""


class FollowLink(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What stood in the mail."""

    token: LinkToken


async def begin_registration(deps: GatewayDeps, call: Call[BeginRegistration, Nothing, Nothing]) -> RegistrationBegun:
    body = call.body
    return await deps.registrations.begin(
        email=body.email, password=body.password, name=body.name, role=body.role, address=call.address
    )


async def send_registration_again(deps: GatewayDeps, call: Call[Nothing, Nothing, RegistrationPath]) -> None:
    await deps.registrations.send_again(call.path.id, address=call.address)


async def finish_registration(deps: GatewayDeps, call: Call[FinishRegistration, Nothing, Nothing]) -> LoggedIn:
    body = call.body
    return await deps.registrations.finish(body.token, password=body.password, device=body.device, address=call.address)


async def ask_to_confirm_email(deps: GatewayDeps, call: Call[Nothing, Nothing, Nothing]) -> None:
    await deps.registrations.ask_to_confirm(call.caller, address=call.address)


async def confirm_email(deps: GatewayDeps, call: Call[FollowLink, Nothing, Nothing]) -> None:
    await deps.registrations.confirm(call.body.token, address=call.address)


BEGIN_REGISTRATION = Route(
    "POST",
    "/v1/registrations",
    name="begin_registration",
    permission=may.PUBLIC,
    tag="accounts",
    does="Register: a mail with a link is sent to the address, and finishing by it makes the account.",
    more=(
        "The answer is the same, whether the address has an account or not; one that has is told by mail. The link is good once,"
        f" for {LIFE_MS['register'] // 3_600_000} hours. To one address go at most {AN_HOUR} such mails an hour and {A_DAY} a day,"
        " whoever asks; what is beyond that is not sent, and not told. Where no mail is sent, this answers `not_found`: POST"
        " /v1/accounts there."
    ),
    handler=begin_registration,
    body=BeginRegistration,
    query=Nothing,
    path=Nothing,
    reply=RegistrationBegun,
    status=202,
    auth="none",
    problems=(RegisteringPaused, NotFound, WeakPassword, Forbidden, TooManyAttempts, Busy),
)
SEND_REGISTRATION_AGAIN = Route(
    "POST",
    "/v1/registrations/{id}/resend",
    name="send_registration_again",
    permission=may.PUBLIC,
    tag="accounts",
    does="Have the mail of a registration sent once more.",
    more="The answer is the same, whether anything was sent or not. A minute after the last one at the earliest.",
    handler=send_registration_again,
    body=Nothing,
    query=Nothing,
    path=RegistrationPath,
    reply=None,
    status=202,
    auth="none",
    problems=(NotFound, TooManyAttempts),
)
FINISH_REGISTRATION = Route(
    "POST",
    "/v1/registrations/finish",
    name="finish_registration",
    permission=may.PUBLIC,
    tag="accounts",
    does="Finish a registration with what stood in the mail, and log in.",
    more=(
        "It asks for the password that was chosen: whoever registers with somebody else's address must not have its owner make the"
        " account for them."
    ),
    handler=finish_registration,
    body=FinishRegistration,
    query=Nothing,
    path=Nothing,
    reply=LoggedIn,
    status=201,
    auth="none",
    problems=(RegisteringPaused, LinkOver, WrongPassword, EmailTaken, WeakPassword, TooManyAttempts, Busy),
    cookie=True,
)
ASK_TO_CONFIRM_EMAIL = Route(
    "POST",
    "/v1/me/email/confirmation",
    name="ask_to_confirm_email",
    permission=may.CHANGE_EMAIL,
    tag="accounts",
    does="Have a mail sent whose link proves your address.",
    more="Nothing is sent for an address that is proved (`verified`), or less than a minute after the last one.",
    handler=ask_to_confirm_email,
    body=Nothing,
    query=Nothing,
    path=Nothing,
    reply=None,
    status=202,
    problems=(Forbidden, NotFound, TooManyAttempts),
)
CONFIRM_EMAIL = Route(
    "POST",
    "/v1/email-confirmations",
    name="confirm_email",
    permission=may.PUBLIC,
    tag="accounts",
    does="Prove the address of an account with what stood in the mail.",
    handler=confirm_email,
    body=FollowLink,
    query=Nothing,
    path=Nothing,
    reply=None,
    status=204,
    auth="none",
    problems=(LinkOver, TooManyAttempts),
)
