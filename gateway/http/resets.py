"""A new password for somebody who has lost theirs."""

import msgspec

from gateway.http.accounts import Email, Password
from gateway.http.ports import GatewayDeps
from gateway.http.registrations import LinkToken
from gateway.http.router import Call, Nothing, Route
from services.access import permission as may
from services.accounts.account_mail import A_DAY, AN_HOUR, LIFE_MS
from services.kernel.problems import Busy, LinkOver, NotFound, TooManyAttempts, WeakPassword


class AskForReset(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The address of the account."""

    email: Email


class FinishReset(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What stood in the mail, and the password you want."""

    token: LinkToken
    password: Password


async def ask_for_reset(deps: GatewayDeps, call: Call[AskForReset, Nothing, Nothing]) -> None:
    await deps.resets.ask(call.body.email, address=call.address)


async def finish_reset(deps: GatewayDeps, call: Call[FinishReset, Nothing, Nothing]) -> None:
    await deps.resets.finish(call.body.token, password=call.body.password, address=call.address)


ASK_FOR_RESET = Route(
    "POST",
    "/v1/password-resets",
    name="ask_for_reset",
    permission=may.PUBLIC,
    tag="logins",
    does="Have a mail sent whose link chooses a new password, should the address have an account.",
    more=(
        "The answer is the same, whether it has one or not. The link is good once, for"
        f" {LIFE_MS['reset'] // 60_000} minutes. To one address go at most {AN_HOUR} such mails an hour and {A_DAY} a day,"
        " whoever asks."
    ),
    handler=ask_for_reset,
    body=AskForReset,
    query=Nothing,
    path=Nothing,
    reply=None,
    status=202,
    auth="none",
    problems=(NotFound, TooManyAttempts),
)
FINISH_RESET = Route(
    "POST",
    "/v1/password-resets/finish",
    name="finish_reset",
    permission=may.PUBLIC,
    tag="logins",
    does="Choose a new password with what stood in the mail; all your devices are logged out.",
    more=(
        "It logs nobody in: log in with the new password, and with your second factor where you have one. Links that were asked for"
        " before are good no more, and a mail tells you that the password was changed."
    ),
    handler=finish_reset,
    body=FinishReset,
    query=Nothing,
    path=Nothing,
    reply=None,
    status=204,
    auth="none",
    problems=(LinkOver, WeakPassword, TooManyAttempts, Busy),
)
