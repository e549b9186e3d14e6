"""The one function that decides who may do what: HTTP routes, socket events and room joins ask it alike. Pure.

`decide` knows the caller (what the token says), the permission (a row of permission.py) and the thing: facts that whoever asks has
loaded already. It denies unless everything the row asks for is there, in this order: the role, how the caller stands to the thing,
that they were not sent out, that the class is live, that the person agrees, that the plan allows it. A fact that was not loaded
is never in the caller's favour.

It is asked on every event and for every row of a cockpit, so it allocates nothing when it says yes.
"""

from typing import Final

from services.access.decision import REASONS, Decision, Reason, Thing
from services.access.permission import Permission, Standing
from services.access.role import OrgRole
from services.kernel.caller import Caller
from services.kernel.ids import AccountId
from services.kernel.problems import ClassOver, EntitlementNeeded, Forbidden, Problem, RemovedFromClass

_OF_OWNER: Final[Standing] = "whose_it_is"
_OF_SCREEN: Final[Standing] = "screen"
_SEATED: Final[dict[OrgRole, Standing]] = {
    "owner": "org_owner",
    "admin": "org_admin",
    "coach": "org_coach",
    "member": "org_member",
}


ALLOWED: Final = Decision(True, "allowed", REASONS["allowed"])
NOTHING: Final = Thing()
"""When only the token is known."""


def owned(by: AccountId | None) -> Thing:
    """Something of which only is known whose it is."""
    return Thing(owner_id=by)


def held(caller: Caller, permission: Permission) -> Decision:
    """Whether a role of the caller holds this at all; what else is asked for is not looked at."""
    return ALLOWED if _holds(caller, permission) else _no_role(caller, permission)


def decide(caller: Caller, permission: Permission, thing: Thing = NOTHING) -> Decision:
    """Whether `caller` may do this to `thing`, and why. See the module."""
    if not _holds(caller, permission):
        return _no_role(caller, permission)
    if permission.to and not _stands(caller, permission.to, thing):
        return _stands_otherwise(permission, thing)
    if thing.out:
        return _denied("sent_out")
    if permission.live and thing.over:
        return _denied("class_over")
    if permission.consent and not thing.consent:
        return _denied("no_consent")
    if permission.plan and not thing.plan:
        return Decision(False, "plan_missing", f"this needs the entitlement {thing.needs}")
    return ALLOWED


def sits_for(permission: Permission, seat: OrgRole | None) -> bool:
    """Whether this seat in an organisation is one that the permission asks for: for what goes on while nobody asks."""
    return seat is not None and _SEATED[seat] in permission.to


def require(caller: Caller, permission: Permission, thing: Thing = NOTHING, *, path: str | None = None) -> None:
    """Raise the problem that says why, unless `caller` may do this to `thing`; `path` to what in the payload it is about."""
    decision = decide(caller, permission, thing)
    if not decision.allowed:
        raise refusal(decision, permission, thing, path)


def require_held(caller: Caller, permission: Permission) -> None:
    """Raise `Forbidden` unless a role of the caller holds this at all."""
    decision = held(caller, permission)
    if not decision.allowed:
        raise refusal(decision, permission, NOTHING)


def refusal(decision: Decision, permission: Permission, thing: Thing, path: str | None = None) -> Problem:
    """A denial as the problem that clients see. Where a stranger must not learn that there is such a thing, it is not found."""
    match decision.reason:
        case "not_yours" | "no_leader" if permission.hides is not None:
            return permission.hides()
        case "sent_out":
            return RemovedFromClass()
        case "class_over":
            return ClassOver(class_id=str(thing.class_id))
        case "plan_missing":
            return EntitlementNeeded(decision.says, needs=thing.needs, reason=thing.lacks)
        case _:
            return Forbidden(decision.says, path=path, reason=decision.reason)


def _holds(caller: Caller, permission: Permission) -> bool:
    if not caller.roles.isdisjoint(permission.held_by):
        return True
    return permission.services and caller.app_id is not None and not caller.roles


def _stands(caller: Caller, to: frozenset[Standing], thing: Thing) -> bool:
    if caller.class_id is not None:
        return _OF_SCREEN in to and caller.class_id == thing.class_id
    if thing.place in to:
        return True
    if thing.seat is not None and _SEATED[thing.seat] in to:
        return True
    return _OF_OWNER in to and caller.account_id == thing.owner_id


def _stands_otherwise(permission: Permission, thing: Thing) -> Decision:
    if not thing.led:
        return _denied("no_leader")
    return Decision(False, "not_yours", permission.otherwise or REASONS["not_yours"])


def _no_role(caller: Caller, permission: Permission) -> Decision:
    if caller.class_id is not None:
        return _denied("no_account")
    roles = " or ".join(sorted(permission.held_by))
    return Decision(False, "role_missing", f"this needs the role {roles}" if roles else REASONS["role_missing"])


def _denied(reason: Reason) -> Decision:
    return Decision(False, reason, REASONS[reason])
