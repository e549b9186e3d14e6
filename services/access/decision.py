"""What is decided about, and what is decided (policy.py)."""

from typing import Final, Literal

import msgspec

from services.access.permission import Place
from services.access.role import OrgRole
from services.kernel.ids import AccountId, ClassId

Reason = Literal[
    "allowed",
    "no_account",
    "role_missing",
    "not_yours",
    "no_leader",
    "sent_out",
    "class_over",
    "no_consent",
    "plan_missing",
]
REASONS: Final[dict[Reason, str]] = {
    "allowed": "everything that is needed is there",
    "no_account": "a display has no account; log in for this",
    "role_missing": "no role of the account holds this",
    "not_yours": "the caller stands otherwise to the thing",
    "no_leader": "nobody leads this class: its clock does",
    "sent_out": "the caller was sent out of the class",
    "class_over": "the class has ended",
    "no_consent": "the person it is about has not agreed to this",
    "plan_missing": "the entitlement that is needed does not hold",
}
"""Why something was decided: the stable words, and what they mean."""


class Thing(msgspec.Struct, frozen=True, kw_only=True):
    """What is known about the thing in question. Everything that is left out is unknown, and helps nobody.

    `owner_id` whose it is; `class_id`, `place` the caller's in that class, `led` whether anybody leads it, `out`: the caller was
    sent out of it; `over`: the class has ended. `seat`: what the caller is in the organisation in question. `consent`: the person
    it is about has agreed. `plan`: what is needed of the caller's plan holds, or nothing is needed; otherwise `needs` is the
    entitlement, and `lacks` why they do not have it.
    """

    owner_id: AccountId | None = None
    class_id: ClassId | None = None
    place: Place = "none"
    led: bool = True
    out: bool = False
    over: bool = False
    seat: OrgRole | None = None
    consent: bool = False
    plan: bool = False
    needs: str | None = None
    lacks: str | None = None


class Decision(msgspec.Struct, frozen=True):
    """What was decided, and why: `reason` is a word for programs, `says` a sentence for people."""

    allowed: bool
    reason: Reason
    says: str
