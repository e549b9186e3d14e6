"""Switches of the whole installation, as people of the staff see and set them (services/flags/)."""

import msgspec

from gateway.http.ports import GatewayDeps
from gateway.http.router import Call, Nothing, Route
from gateway.http.staff import ReasonQuery, Why
from services.access import permission as may
from services.flags.flag import FlagName
from services.flags.flags import FlagView
from services.kernel.problems import StepUpNeeded

_STEPS: str = "Needs a second factor that was shown just now (`/v1/me/step-up`)"


class FlagPath(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which."""

    name: FlagName


class FlagSet(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How it is to stand, and why."""

    on: bool
    reason: Why


class FlagsNow(msgspec.Struct, frozen=True):
    """Every flag, in the order of the table."""

    flags: tuple[FlagView, ...]


async def flags(deps: GatewayDeps, call: Call[Nothing, Nothing, Nothing]) -> FlagsNow:
    return FlagsNow(await deps.flags.all(call.caller))


async def flag(deps: GatewayDeps, call: Call[Nothing, Nothing, FlagPath]) -> FlagView:
    return await deps.flags.one(call.caller, call.path.name)


async def set_flag(deps: GatewayDeps, call: Call[FlagSet, Nothing, FlagPath]) -> FlagView:
    return await deps.flags.set(call.caller, call.path.name, call.body.reason, call.address, on=call.body.on)


async def unset_flag(deps: GatewayDeps, call: Call[Nothing, ReasonQuery, FlagPath]) -> FlagView:
    return await deps.flags.unset(call.caller, call.path.name, call.query.reason, call.address)


FLAGS = Route(
    "GET",
    "/v1/staff/flags",
    name="flags",
    permission=may.READ_FLAGS,
    tag="staff",
    does="What can be switched off for everybody, and how it stands (support, admin).",
    more=f"{_STEPS}.",
    handler=flags,
    body=Nothing,
    query=Nothing,
    path=Nothing,
    reply=FlagsNow,
    problems=(StepUpNeeded,),
)
FLAG = Route(
    "GET",
    "/v1/staff/flags/{name}",
    name="flag",
    permission=may.READ_FLAGS,
    tag="staff",
    does="How one flag stands (support, admin).",
    more=f"{_STEPS}.",
    handler=flag,
    body=Nothing,
    query=Nothing,
    path=FlagPath,
    reply=FlagView,
    problems=(StepUpNeeded,),
)
SET_FLAG = Route(
    "PUT",
    "/v1/staff/flags/{name}",
    name="set_flag",
    permission=may.SET_FLAGS,
    tag="staff",
    does="Switch something off for everybody, or on again (admin).",
    more=f"Holds on every node within 5 s, until it is set otherwise. {_STEPS}, and is in the audit.",
    handler=set_flag,
    body=FlagSet,
    query=Nothing,
    path=FlagPath,
    reply=FlagView,
    problems=(StepUpNeeded,),
)
UNSET_FLAG = Route(
    "DELETE",
    "/v1/staff/flags/{name}",
    name="unset_flag",
    permission=may.SET_FLAGS,
    tag="staff",
    does="Let a flag stand as it does by itself (admin).",
    more=f"Again is fine. {_STEPS}, and is in the audit.",
    handler=unset_flag,
    body=Nothing,
    query=ReasonQuery,
    path=FlagPath,
    reply=FlagView,
    problems=(StepUpNeeded,),
)
