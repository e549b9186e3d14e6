"""Another address for one's account, and the way back."""

import msgspec

from gateway.http.accounts import Email
from gateway.http.ports import GatewayDeps
from gateway.http.registrations import FollowLink
from gateway.http.router import Call, Nothing, Route
from services.access import permission as may
from services.accounts.account_mail import LIFE_MS
from services.kernel.problems import Busy, EmailTaken, Forbidden, LinkOver, NotFound, StepUpNeeded, TooManyAttempts


class ChangeEmail(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The address you want."""

    email: Email


async def change_email(deps: GatewayDeps, call: Call[ChangeEmail, Nothing, Nothing]) -> None:
    await deps.email_changes.ask(call.caller, call.body.email, address=call.address)


async def finish_email_change(deps: GatewayDeps, call: Call[FollowLink, Nothing, Nothing]) -> None:
    await deps.email_changes.finish(call.body.token, address=call.address)


async def undo_email_change(deps: GatewayDeps, call: Call[FollowLink, Nothing, Nothing]) -> None:
    await deps.email_changes.undo(call.body.token, address=call.address)


CHANGE_EMAIL = Route(
    "PUT",
    "/v1/me/email",
    name="change_email",
    permission=may.CHANGE_EMAIL,
    tag="accounts",
    does="Ask for another address: a link is sent to it, and the old one is told.",
    more=(
        "Nothing changes before the link is followed. The answer is the same, whether the new address has an account or not. It"
        " needs a login that has just proved itself (`step_up_needed`)."
    ),
    handler=change_email,
    body=ChangeEmail,
    query=Nothing,
    path=Nothing,
    reply=None,
    status=202,
    problems=(Forbidden, StepUpNeeded, NotFound, TooManyAttempts),
)
FINISH_EMAIL_CHANGE = Route(
    "POST",
    "/v1/email-changes/finish",
    name="finish_email_change",
    permission=may.PUBLIC,
    tag="accounts",
    does="Give the account its new address, with what stood in the mail to it.",
    more=(f"The old address is sent a link that takes it back for {LIFE_MS['undo'] // 86_400_000} days."),
    handler=finish_email_change,
    body=FollowLink,
    query=Nothing,
    path=Nothing,
    reply=None,
    status=204,
    auth="none",
    problems=(LinkOver, EmailTaken, TooManyAttempts),
)
UNDO_EMAIL_CHANGE = Route(
    "POST",
    "/v1/email-changes/undo",
    name="undo_email_change",
    permission=may.PUBLIC,
    tag="accounts",
    does="Give the account its old address back, with what stood in the mail to that.",
    more=(
        "All devices are logged out, the password is nobody's any more, and a link to choose a new one is sent to the address that"
        " the account has again."
    ),
    handler=undo_email_change,
    body=FollowLink,
    query=Nothing,
    path=Nothing,
    reply=None,
    status=204,
    auth="none",
    problems=(LinkOver, EmailTaken, TooManyAttempts, Busy),
)
