"""A gym, a club, a company: a name, a number of seats, and the people who sit on them, each with a role. Pure.

What a role may do is no rule of this module: services/access/permission.py has the rows, and policy decides by the seat of whoever
asks. Here is what policy cannot know: how many may sit, that somebody always owns it, and that whoever only administers it neither
makes nor unmakes those above them.

The number of seats is the operator's, as it is what an organisation pays for. An invitation keeps its seat until it is answered or
over, so whoever follows one finds room, and no more people are asked at a time than there are seats. Since an invitation can be
withdrawn and another sent, whoever invites is counted, too, in all organisations together.
"""

from collections.abc import Sequence
from typing import Annotated, Final, Literal

import msgspec

from services.access import permission as may
from services.access.decision import Thing
from services.access.permission import Permission
from services.access.role import OrgRole
from services.accounts.account_mail import LIFE_MS
from services.kernel.ids import AccountId, AccountMailId, OrganisationId
from services.kernel.problems import LastOwner, OrganisationFull

SEATS: Final = 10
"""What an organisation has until the operator says otherwise."""
MOST_SEATS: Final = 500
"""Of one organisation. What all its members get is given in one transaction: half a thousand take about a second, by feeling."""
MAX_OWNED: Final = 3
"""Organisations that one account owns: a chain of studios is one."""
MAX_SEATED: Final = 20
"""Organisations that one account is in."""
MAX_INVITED_A_DAY: Final = 100
"""Invitations of one account within a day, withdrawn ones counted: nobody has this installation write to the whole world."""

Seats = Annotated[int, msgspec.Meta(ge=1, le=MOST_SEATS)]
InvitedAs = Literal["admin", "coach", "member"]
"""Nobody is asked to own something by a stranger's mail: owners are made of members."""


class Organisation(msgspec.Struct, frozen=True):
    """One organisation."""

    id: OrganisationId
    name: str
    seats: int
    created_at_ms: int


class Member(msgspec.Struct, frozen=True):
    """Somebody on a seat."""

    account_id: AccountId
    name: str
    role: OrgRole
    joined_at_ms: int


class Held(msgspec.Struct, frozen=True):
    """What an organisation has: from `from_ms` on and before `until_ms` (None: without an end), ms since 1970."""

    name: str
    from_ms: int
    until_ms: int | None


class Invitation(msgspec.Struct, frozen=True):
    """Somebody who was asked, at an address; the id is that of the mail."""

    id: AccountMailId
    organisation_id: OrganisationId
    email: str
    role: InvitedAs
    invited_by: AccountId
    asked_at_ms: int

    @property
    def until_ms(self) -> int:
        """When its link is over, ms since 1970."""
        return self.asked_at_ms + LIFE_MS["invite"]


def seated(role: OrgRole | None) -> Thing:
    """An organisation of which only the seat of whoever asks is known."""
    return Thing(seat=role)


def require_room(organisation: Organisation, taken: int) -> None:
    """Raise OrganisationFull unless one more finds a seat."""
    if taken >= organisation.seats:
        raise OrganisationFull(seats=organisation.seats)


def to_seat(*roles: OrgRole) -> Permission:
    """What whoever changes a seat must hold, given the roles that it has before and after."""
    above = {"owner", "admin"}
    return may.SEAT_ADMINS if above.intersection(roles) else may.SEAT_MEMBERS


def require_owner_left(members: Sequence[Member], without: AccountId) -> None:
    """Raise LastOwner if nobody but this one owns the organisation."""
    owners = {member.account_id for member in members if member.role == "owner"}
    if owners == {without}:
        raise LastOwner


def heir_of(members: Sequence[Member], leaving: AccountId) -> Member | None:
    """Who owns an organisation when its last owner has gone for good: of its admins, given in the order in which they came, the one
    who has been there longest. None while another owner is left, or where nobody is an admin: a seat is no wish to own it."""
    left = [member for member in members if member.account_id != leaving]
    if any(member.role == "owner" for member in left):
        return None
    return next((member for member in left if member.role == "admin"), None)
