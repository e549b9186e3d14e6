"""Organisations: making one, who sits in it, inviting people and their answer; and how many seats it has, for the operator."""

from typing import Annotated

import msgspec

from gateway.http.accounts import Email
from gateway.http.entitlements import Instant
from gateway.http.ports import GatewayDeps
from gateway.http.registrations import FollowLink
from gateway.http.router import Call, Nothing, Route
from services.access import permission as may
from services.access.role import OrgRole
from services.accounts.entitlement import EntitlementName
from services.audit.entry import operator
from services.kernel.ids import AccountId, AccountMailId, OrganisationId
from services.kernel.problems import (
    LastOwner,
    LinkOver,
    NotAuthenticated,
    NotFound,
    OrganisationFull,
    StepUpNeeded,
    TooManyAttempts,
    TooManyInvitations,
    TooManyOrganisations,
)
from services.organisations.invitations import InvitationSeen, InvitationView, Seated
from services.organisations.organisation import MAX_OWNED, InvitedAs, Seats
from services.organisations.organisations import OrganisationDetails, OrganisationView, SeatsView

OrganisationName = Annotated[str, msgspec.Meta(min_length=1, max_length=320, description="as that of an account")]


class NameOrganisation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What it is called."""

    name: OrganisationName


class Invite(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whom to ask, and as what."""

    email: Email
    role: InvitedAs = "member"


class ChangeSeat(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the member is from now on."""

    role: OrgRole


class HandOver(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The member who owns it from now on."""

    account_id: AccountId


class SetSeats(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many seats it has."""

    seats: Seats


class EntitleOrganisation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """From when and until when: from now on and without an end, unless you say otherwise."""

    from_ms: Instant | None = None
    until_ms: Instant | None = None


class HeldPath(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which organisation, and which entitlement."""

    id: OrganisationId
    name: EntitlementName


class OrganisationList(msgspec.Struct, frozen=True):
    """The organisations that you are in, the oldest first."""

    organisations: tuple[OrganisationView, ...]


class InvitationList(msgspec.Struct, frozen=True):
    """Invitations that nobody has answered yet, the oldest first; each keeps a seat."""

    invitations: tuple[InvitationView, ...]


class OrganisationPath(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which organisation."""

    id: OrganisationId


class SeatPath(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who in which organisation."""

    id: OrganisationId
    account: AccountId


class InvitationPath(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which invitation of which organisation."""

    id: OrganisationId
    invitation: AccountMailId


async def make_organisation(deps: GatewayDeps, call: Call[NameOrganisation, Nothing, Nothing]) -> OrganisationDetails:
    return await deps.organisations.make(call.caller, call.body.name)


async def own_organisations(deps: GatewayDeps, call: Call[Nothing, Nothing, Nothing]) -> OrganisationList:
    return OrganisationList(await deps.organisations.own(call.caller))


async def organisation_by_id(deps: GatewayDeps, call: Call[Nothing, Nothing, OrganisationPath]) -> OrganisationDetails:
    return await deps.organisations.by_id(call.caller, call.path.id)


async def rename_organisation(
    deps: GatewayDeps, call: Call[NameOrganisation, Nothing, OrganisationPath]
) -> OrganisationDetails:
    return await deps.organisations.rename(call.caller, call.path.id, call.body.name)


async def dissolve_organisation(deps: GatewayDeps, call: Call[Nothing, Nothing, OrganisationPath]) -> None:
    await deps.organisations.dissolve(call.caller, call.path.id)


async def change_seat(deps: GatewayDeps, call: Call[ChangeSeat, Nothing, SeatPath]) -> OrganisationDetails:
    return await deps.organisations.seat(call.caller, call.path.id, call.path.account, call.body.role)


async def remove_from_organisation(deps: GatewayDeps, call: Call[Nothing, Nothing, SeatPath]) -> None:
    await deps.organisations.remove(call.caller, call.path.id, call.path.account)


async def leave_organisation(deps: GatewayDeps, call: Call[Nothing, Nothing, OrganisationPath]) -> None:
    await deps.organisations.leave(call.caller, call.path.id)


async def hand_over_organisation(
    deps: GatewayDeps, call: Call[HandOver, Nothing, OrganisationPath]
) -> OrganisationDetails:
    return await deps.organisations.hand_over(call.caller, call.path.id, call.body.account_id)


async def invite(deps: GatewayDeps, call: Call[Invite, Nothing, OrganisationPath]) -> InvitationView:
    return await deps.invitations.invite(call.caller, call.path.id, call.body.email, call.body.role)


async def invitations(deps: GatewayDeps, call: Call[Nothing, Nothing, OrganisationPath]) -> InvitationList:
    return InvitationList(await deps.invitations.waiting(call.caller, call.path.id))


async def withdraw_invitation(deps: GatewayDeps, call: Call[Nothing, Nothing, InvitationPath]) -> None:
    await deps.invitations.withdraw(call.caller, call.path.id, call.path.invitation)


async def look_at_invitation(deps: GatewayDeps, call: Call[FollowLink, Nothing, Nothing]) -> InvitationSeen:
    return await deps.invitations.look(call.body.token, address=call.address)


async def accept_invitation(deps: GatewayDeps, call: Call[FollowLink, Nothing, Nothing]) -> Seated:
    return await deps.invitations.accept(call.caller, call.body.token)


async def decline_invitation(deps: GatewayDeps, call: Call[FollowLink, Nothing, Nothing]) -> None:
    await deps.invitations.decline(call.body.token, address=call.address)


async def seats_of(deps: GatewayDeps, call: Call[Nothing, Nothing, OrganisationPath]) -> SeatsView:
    return await deps.organisation_acts.look(call.path.id)


async def set_seats(deps: GatewayDeps, call: Call[SetSeats, Nothing, OrganisationPath]) -> SeatsView:
    return await deps.organisation_acts.set_seats(operator(call.address), call.path.id, call.body.seats)


async def entitle_organisation(deps: GatewayDeps, call: Call[EntitleOrganisation, Nothing, HeldPath]) -> SeatsView:
    by, whose, asked = operator(call.address), call.path, call.body
    return await deps.organisation_acts.entitle(by, whose.id, whose.name, asked.from_ms, asked.until_ms)


async def unentitle_organisation(deps: GatewayDeps, call: Call[Nothing, Nothing, HeldPath]) -> SeatsView:
    return await deps.organisation_acts.unentitle(operator(call.address), call.path.id, call.path.name)


MAKE_ORGANISATION = Route(
    "POST",
    "/v1/organisations",
    name="make_organisation",
    permission=may.USE_ORGANISATIONS,
    tag="organisations",
    does="Make an organisation, which is yours.",
    more=f"An account owns {MAX_OWNED} at most.",
    handler=make_organisation,
    body=NameOrganisation,
    query=Nothing,
    path=Nothing,
    reply=OrganisationDetails,
    status=201,
    problems=(TooManyOrganisations,),
)
OWN_ORGANISATIONS = Route(
    "GET",
    "/v1/organisations",
    name="own_organisations",
    permission=may.USE_ORGANISATIONS,
    tag="organisations",
    does="The organisations that you are in.",
    handler=own_organisations,
    body=Nothing,
    query=Nothing,
    path=Nothing,
    reply=OrganisationList,
)
ORGANISATION_BY_ID = Route(
    "GET",
    "/v1/organisations/{id}",
    name="organisation_by_id",
    permission=may.READ_ORGANISATION,
    tag="organisations",
    does="An organisation that you are in, and who else is.",
    handler=organisation_by_id,
    body=Nothing,
    query=Nothing,
    path=OrganisationPath,
    reply=OrganisationDetails,
    problems=(NotFound,),
)
RENAME_ORGANISATION = Route(
    "PATCH",
    "/v1/organisations/{id}",
    name="rename_organisation",
    permission=may.RENAME_ORGANISATION,
    tag="organisations",
    does="Give an organisation another name.",
    handler=rename_organisation,
    body=NameOrganisation,
    query=Nothing,
    path=OrganisationPath,
    reply=OrganisationDetails,
    problems=(NotFound,),
)
DISSOLVE_ORGANISATION = Route(
    "DELETE",
    "/v1/organisations/{id}",
    name="dissolve_organisation",
    permission=may.DISSOLVE,
    tag="organisations",
    does="Dissolve an organisation.",
    more="Nobody is in it any more; its classes stay with who gives them. It needs a login that has just proved itself.",
    handler=dissolve_organisation,
    body=Nothing,
    query=Nothing,
    path=OrganisationPath,
    reply=None,
    status=204,
    problems=(NotFound, StepUpNeeded),
)
CHANGE_SEAT = Route(
    "PUT",
    "/v1/organisations/{id}/members/{account}",
    name="change_seat",
    permission=may.SEAT_MEMBERS,
    tag="organisations",
    does="Make a member something else.",
    more="Only owners make and unmake admins and owners. The last owner stays one.",
    handler=change_seat,
    body=ChangeSeat,
    query=Nothing,
    path=SeatPath,
    reply=OrganisationDetails,
    problems=(NotFound, LastOwner, TooManyOrganisations, NotAuthenticated),
)
REMOVE_FROM_ORGANISATION = Route(
    "DELETE",
    "/v1/organisations/{id}/members/{account}",
    name="remove_from_organisation",
    permission=may.SEAT_MEMBERS,
    tag="organisations",
    does="Put somebody out of an organisation.",
    more="Whatever they had by it they have no more, from this moment on and wherever they are connected.",
    handler=remove_from_organisation,
    body=Nothing,
    query=Nothing,
    path=SeatPath,
    reply=None,
    status=204,
    problems=(NotFound, LastOwner),
)
LEAVE_ORGANISATION = Route(
    "POST",
    "/v1/organisations/{id}/leave",
    name="leave_organisation",
    permission=may.LEAVE_ORGANISATION,
    tag="organisations",
    does="Leave an organisation. Its last owner cannot.",
    handler=leave_organisation,
    body=Nothing,
    query=Nothing,
    path=OrganisationPath,
    reply=None,
    status=204,
    problems=(NotFound, LastOwner),
)
HAND_OVER_ORGANISATION = Route(
    "POST",
    "/v1/organisations/{id}/hand-over",
    name="hand_over_organisation",
    permission=may.HAND_OVER,
    tag="organisations",
    does="Make another member the owner in your place; you are an admin then.",
    more="It needs a login that has just proved itself (`step_up_needed`).",
    handler=hand_over_organisation,
    body=HandOver,
    query=Nothing,
    path=OrganisationPath,
    reply=OrganisationDetails,
    problems=(NotFound, StepUpNeeded, TooManyOrganisations),
)
INVITE = Route(
    "POST",
    "/v1/organisations/{id}/invitations",
    name="invite_into_organisation",
    permission=may.SEAT_MEMBERS,
    tag="organisations",
    does="Ask somebody into an organisation, by mail.",
    more=(
        "The invitation keeps a seat until it is answered or its week is over. The same address again gets a new link, and the"
        " old one is over. The answer tells nothing of the address."
    ),
    handler=invite,
    body=Invite,
    query=Nothing,
    path=OrganisationPath,
    reply=InvitationView,
    status=201,
    problems=(NotFound, OrganisationFull, TooManyInvitations),
)
INVITATIONS = Route(
    "GET",
    "/v1/organisations/{id}/invitations",
    name="organisation_invitations",
    permission=may.SEAT_MEMBERS,
    tag="organisations",
    does="The invitations that nobody has answered yet.",
    handler=invitations,
    body=Nothing,
    query=Nothing,
    path=OrganisationPath,
    reply=InvitationList,
    problems=(NotFound,),
)
WITHDRAW_INVITATION = Route(
    "DELETE",
    "/v1/organisations/{id}/invitations/{invitation}",
    name="withdraw_invitation",
    permission=may.SEAT_MEMBERS,
    tag="organisations",
    does="Withdraw an invitation: its link is over, its seat is free.",
    handler=withdraw_invitation,
    body=Nothing,
    query=Nothing,
    path=InvitationPath,
    reply=None,
    status=204,
    problems=(NotFound,),
)
LOOK_AT_INVITATION = Route(
    "POST",
    "/v1/organisation-invitations/look",
    name="look_at_invitation",
    permission=may.PUBLIC,
    tag="organisations",
    does="What the link of an invitation asks.",
    handler=look_at_invitation,
    body=FollowLink,
    query=Nothing,
    path=Nothing,
    reply=InvitationSeen,
    auth="none",
    problems=(LinkOver, TooManyAttempts),
)
ACCEPT_INVITATION = Route(
    "POST",
    "/v1/organisation-invitations/accept",
    name="accept_invitation",
    permission=may.USE_ORGANISATIONS,
    tag="organisations",
    does="Take the seat, with what stood in the mail.",
    more="The account must have the address that the mail went to. Who has none yet registers it first; the link stays good.",
    handler=accept_invitation,
    body=FollowLink,
    query=Nothing,
    path=Nothing,
    reply=Seated,
    problems=(LinkOver, OrganisationFull, TooManyOrganisations),
)
DECLINE_INVITATION = Route(
    "POST",
    "/v1/organisation-invitations/decline",
    name="decline_invitation",
    permission=may.PUBLIC,
    tag="organisations",
    does="Say no, with what stood in the mail. Nobody needs an account for it.",
    handler=decline_invitation,
    body=FollowLink,
    query=Nothing,
    path=Nothing,
    reply=None,
    status=204,
    auth="none",
    problems=(LinkOver, TooManyAttempts),
)
SEATS_OF = Route(
    "GET",
    "/v1/operations/organisations/{id}",
    name="organisation_seats",
    permission=may.OPERATE,
    tag="operation",
    does="How many seats an organisation has, and how many are taken.",
    more="Needs the admin token (`PACELINE_ADMIN_TOKEN`) as the bearer token.",
    handler=seats_of,
    body=Nothing,
    query=Nothing,
    path=OrganisationPath,
    reply=SeatsView,
    auth="admin",
    problems=(NotFound,),
)
SET_SEATS = Route(
    "PUT",
    "/v1/operations/organisations/{id}/seats",
    name="set_organisation_seats",
    permission=may.OPERATE,
    tag="operation",
    does="Give an organisation so many seats.",
    more="Needs the admin token. With fewer than are taken, whoever sits stays, and nobody comes in until there is room.",
    handler=set_seats,
    body=SetSeats,
    query=Nothing,
    path=OrganisationPath,
    reply=SeatsView,
    auth="admin",
    problems=(NotFound,),
)
ENTITLE_ORGANISATION = Route(
    "PUT",
    "/v1/operations/organisations/{id}/entitlements/{name}",
    name="entitle_organisation",
    permission=may.OPERATE,
    tag="operation",
    does="Entitle everybody in an organisation to something, while they sit.",
    more=(
        "Needs the admin token. Each member is granted it with the source `organisation:` and the id, and loses it with the seat."
        " The same request again changes nothing."
    ),
    handler=entitle_organisation,
    body=EntitleOrganisation,
    query=Nothing,
    path=HeldPath,
    reply=SeatsView,
    auth="admin",
    problems=(NotFound,),
)
UNENTITLE_ORGANISATION = Route(
    "DELETE",
    "/v1/operations/organisations/{id}/entitlements/{name}",
    name="unentitle_organisation",
    permission=may.OPERATE,
    tag="operation",
    does="Take an entitlement back from an organisation and everybody in it.",
    more="Needs the admin token. Again is fine. Whoever is in a class finishes it; the next one asks again.",
    handler=unentitle_organisation,
    body=Nothing,
    query=Nothing,
    path=HeldPath,
    reply=SeatsView,
    auth="admin",
    problems=(NotFound,),
)
