"""What people of the staff do to accounts of others. Who may is said by the roles support and admin (services/access/)."""

from typing import Annotated

import msgspec

from gateway.http.accounts import Email
from gateway.http.entitlements import AccountPath, Instant
from gateway.http.logins import LoginsEnded
from gateway.http.ports import GatewayDeps
from gateway.http.router import Call, Nothing, Route
from services.access import permission as may
from services.accounts.connection import ConnectionsLook
from services.accounts.staff import AccountLook, GivenRole
from services.accounts.suspension import Reason
from services.kernel.ids import AccountId
from services.kernel.problems import NotFound, StepUpNeeded

Why = Annotated[Reason, msgspec.Meta(description="why it is done; kept in the audit")]

_STEPS: str = "Needs a second factor that was shown just now (`/v1/me/step-up`), and is in the audit."


class Because(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why it is done."""

    reason: Reason


class Suspend(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why, and until when: until it is lifted, unless you say otherwise."""

    reason: Reason
    until_ms: Instant | None = None


class AddressQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whose address it is."""

    email: Email


class ReasonQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why it is done."""

    reason: Why


class RolePath(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whose, and which."""

    id: AccountId
    role: GivenRole


async def find_account(deps: GatewayDeps, call: Call[Nothing, AddressQuery, Nothing]) -> AccountLook:
    return await deps.staff.find(call.caller, call.query.email, call.address)


async def look_at_account(deps: GatewayDeps, call: Call[Nothing, Nothing, AccountPath]) -> AccountLook:
    return await deps.staff.look(call.caller, call.path.id, call.address)


async def their_connections(deps: GatewayDeps, call: Call[Nothing, Nothing, AccountPath]) -> ConnectionsLook:
    return await deps.staff.connections(call.caller, call.path.id, call.address)


async def end_their_logins(deps: GatewayDeps, call: Call[Because, Nothing, AccountPath]) -> LoginsEnded:
    return LoginsEnded(await deps.staff.end_logins(call.caller, call.path.id, call.body.reason, call.address))


async def suspend(deps: GatewayDeps, call: Call[Suspend, Nothing, AccountPath]) -> AccountLook:
    asked = call.body
    return await deps.staff.suspend(call.caller, call.path.id, asked.reason, asked.until_ms, call.address)


async def lift(deps: GatewayDeps, call: Call[Nothing, ReasonQuery, AccountPath]) -> AccountLook:
    return await deps.staff.lift(call.caller, call.path.id, call.query.reason, call.address)


async def grant_role(deps: GatewayDeps, call: Call[Nothing, Nothing, RolePath]) -> AccountLook:
    return await deps.staff.grant(call.caller, call.path.id, call.path.role, call.address)


async def withdraw_role(deps: GatewayDeps, call: Call[Nothing, Nothing, RolePath]) -> AccountLook:
    return await deps.staff.withdraw(call.caller, call.path.id, call.path.role, call.address)


FIND_ACCOUNT = Route(
    "GET",
    "/v1/staff/accounts",
    name="find_account",
    permission=may.LOOK_AT_ACCOUNTS,
    tag="staff",
    does="The account with an e-mail address (support, admin).",
    more=f"Nothing of the body of its owner is shown. {_STEPS}",
    handler=find_account,
    body=Nothing,
    query=AddressQuery,
    path=Nothing,
    reply=AccountLook,
    problems=(NotFound, StepUpNeeded),
)
LOOK_AT_ACCOUNT = Route(
    "GET",
    "/v1/staff/accounts/{id}",
    name="look_at_account",
    permission=may.LOOK_AT_ACCOUNTS,
    tag="staff",
    does="How an account stands (support, admin).",
    more=f"Nothing of the body of its owner is shown. {_STEPS}",
    handler=look_at_account,
    body=Nothing,
    query=Nothing,
    path=AccountPath,
    reply=AccountLook,
    problems=(NotFound, StepUpNeeded),
)
THEIR_CONNECTIONS = Route(
    "GET",
    "/v1/staff/accounts/{id}/connections",
    name="their_connections",
    permission=may.LOOK_AT_ACCOUNTS,
    tag="staff",
    does="Where an account is connected right now, on all nodes (support, admin).",
    more=f"All nodes are asked, and those that do not answer within a second are named. {_STEPS}",
    handler=their_connections,
    body=Nothing,
    query=Nothing,
    path=AccountPath,
    reply=ConnectionsLook,
    problems=(NotFound, StepUpNeeded),
)
END_THEIR_LOGINS = Route(
    "POST",
    "/v1/staff/accounts/{id}/logins/end",
    name="end_their_logins",
    permission=may.END_THEIR_LOGINS,
    tag="staff",
    does="End all logins of an account (support, admin).",
    more=f"Its sockets close and its access tokens are refused within 5 s, on every node. {_STEPS}",
    handler=end_their_logins,
    body=Because,
    query=Nothing,
    path=AccountPath,
    reply=LoginsEnded,
    problems=(NotFound, StepUpNeeded),
)
SUSPEND = Route(
    "PUT",
    "/v1/staff/accounts/{id}/suspension",
    name="suspend",
    permission=may.SUSPEND,
    tag="staff",
    does="Suspend an account: nobody gets in, and all its logins end (admin).",
    more=f"The same request again changes nothing. {_STEPS}",
    handler=suspend,
    body=Suspend,
    query=Nothing,
    path=AccountPath,
    reply=AccountLook,
    problems=(NotFound, StepUpNeeded),
)
LIFT = Route(
    "DELETE",
    "/v1/staff/accounts/{id}/suspension",
    name="lift",
    permission=may.SUSPEND,
    tag="staff",
    does="Let a suspended account be used again (admin).",
    more=f"Again is fine. {_STEPS}",
    handler=lift,
    body=Nothing,
    query=ReasonQuery,
    path=AccountPath,
    reply=AccountLook,
    problems=(NotFound, StepUpNeeded),
)
GRANT_ROLE = Route(
    "PUT",
    "/v1/staff/accounts/{id}/roles/{role}",
    name="grant_role",
    permission=may.GRANT_ROLES,
    tag="staff",
    does="Give an account a role (admin).",
    more=f"It is in the next access token. {_STEPS}",
    handler=grant_role,
    body=Nothing,
    query=Nothing,
    path=RolePath,
    reply=AccountLook,
    problems=(NotFound, StepUpNeeded),
)
WITHDRAW_ROLE = Route(
    "DELETE",
    "/v1/staff/accounts/{id}/roles/{role}",
    name="withdraw_role",
    permission=may.GRANT_ROLES,
    tag="staff",
    does="Take a role from an account, and end all its logins (admin).",
    more=f"Again is fine. {_STEPS}",
    handler=withdraw_role,
    body=Nothing,
    query=Nothing,
    path=RolePath,
    reply=AccountLook,
    problems=(NotFound, StepUpNeeded),
)
