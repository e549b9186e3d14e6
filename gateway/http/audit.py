"""The audit, for administrators: what was done with privilege, who looked, and whether the record is whole."""

from typing import Annotated

import msgspec

from gateway.http.entitlements import Instant
from gateway.http.ports import GatewayDeps
from gateway.http.router import Call, Nothing, Route
from services.access import permission as may
from services.accounts.audit_desk import MAX_PAGE, AuditPage, AuditState
from services.audit.entry import ACTS
from services.audit.ports import Wanted
from services.kernel.ids import AccountId
from services.kernel.problems import BadShape, StepUpNeeded

Act = Annotated[str, msgspec.Meta(max_length=60, description="one of the acts of the audit, for example role.granted")]


class AuditQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which entries: done by or to this `account`, of this `act`, between two instants, in front of a position."""

    account: AccountId | None = None
    act: Act | None = None
    since_ms: Instant | None = None
    until_ms: Instant | None = None
    before: Annotated[int, msgspec.Meta(ge=1, le=2**53)] | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=MAX_PAGE)] = 50


async def audit_entries(deps: GatewayDeps, call: Call[Nothing, AuditQuery, Nothing]) -> AuditPage:
    asked = call.query
    if asked.act is not None and asked.act not in ACTS:
        raise BadShape(f"there is no act {asked.act}", path="query.act")
    acts = () if asked.act is None else (asked.act,)
    wanted = Wanted(asked.account, acts, asked.since_ms, asked.until_ms, asked.before)
    return await deps.audit.entries(call.caller, wanted, asked.limit, call.address)


async def audit_state(deps: GatewayDeps, call: Call[Nothing, Nothing, Nothing]) -> AuditState:
    return await deps.audit.state(call.caller)


AUDIT_ENTRIES = Route(
    "GET",
    "/v1/staff/audit",
    name="audit_entries",
    permission=may.READ_AUDIT,
    tag="staff",
    does="What was done with privilege, and who looked at whose data, the newest first (admin).",
    more="Needs a second factor that was shown just now (`/v1/me/step-up`). That it was read is in it afterwards.",
    handler=audit_entries,
    body=Nothing,
    query=AuditQuery,
    path=Nothing,
    reply=AuditPage,
    problems=(StepUpNeeded, BadShape),
)
AUDIT_STATE = Route(
    "GET",
    "/v1/staff/audit/state",
    name="audit_state",
    permission=may.READ_AUDIT,
    tag="staff",
    does="Whether the end of the audit's chain is whole, and when it was signed last (admin).",
    more="Checks the last thousand rows; `paceline audit verify` checks all. Needs a second factor that was shown just now.",
    handler=audit_state,
    body=Nothing,
    query=Nothing,
    path=Nothing,
    reply=AuditState,
    problems=(StepUpNeeded,),
)
