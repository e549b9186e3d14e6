"""Classes that can be booked: what there is, and what a coach does with theirs. Booking itself is in bookings.py."""

from typing import Annotated

import msgspec

from gateway.http.ports import GatewayDeps
from gateway.http.router import Call, Nothing, Route
from services.access import permission as may
from services.classes.booking import RosterLine
from services.classes.bookings import MAX_ROSTER
from services.classes.offer import Level, OfferQuery, OfferView, Terms, Thing
from services.classes.offers import MAX_PAGE
from services.kernel.ids import AccountId, ClassId, OrganisationId, SeriesId
from services.kernel.problems import ClassCalledOff, ClassNotFound, Forbidden, KeyReused, NotFound, OfferFixed
from services.tasks.task import Key

Instant = Annotated[int, msgspec.Meta(ge=0, le=2**42, description="ms since 1970")]


class OfferRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A class to offer. `key`, made by you, new for each: the same request again with it finds the offer that it made."""

    key: Key
    starts_at_ms: Instant
    terms: Terms


class OfferChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is offered from now on, whole."""

    starts_at_ms: Instant
    terms: Terms


class OfferPath(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which offer; its class has the same id."""

    id: ClassId


class OffersQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which offers: that start from `from_ms` (now, unless given) and before `until_ms`, of one `coach`, `series`, `level`, in the
    name of one `organisation`, for which one thing of `equipment` is to be brought; `free`: only those with a place for a newcomer
    at once. `after`: the last one of the page before."""

    from_ms: Instant | None = None
    until_ms: Instant | None = None
    coach: AccountId | None = None
    series: SeriesId | None = None
    organisation: OrganisationId | None = None
    level: Level | None = None
    equipment: Thing | None = None
    free: bool = False
    after: ClassId | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=MAX_PAGE)] = 20


class RosterQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which page. `after`: only bookings with a higher number."""

    after: Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)] = 0
    limit: Annotated[int, msgspec.Meta(ge=1, le=MAX_ROSTER)] = 100


class OfferList(msgspec.Struct, frozen=True):
    """Offers in the order of their starts. `next_after` is what to give as `after` for the next page, null on the last."""

    offers: tuple[OfferView, ...]
    next_after: ClassId | None


class Roster(msgspec.Struct, frozen=True):
    """Who has a place and who waits, in the order in which they booked. `next_after` as for every list, null on the last page."""

    lines: tuple[RosterLine, ...]
    next_after: int | None


async def offer_class(deps: GatewayDeps, call: Call[OfferRequest, Nothing, Nothing]) -> OfferView:
    return await deps.offers.create(call.caller, call.body.starts_at_ms, call.body.terms, call.body.key)


async def offers(deps: GatewayDeps, call: Call[Nothing, OffersQuery, Nothing]) -> OfferList:
    asked = call.query
    query = OfferQuery(
        from_ms=deps.clock.wall_ms() if asked.from_ms is None else asked.from_ms,
        until_ms=asked.until_ms,
        coach=asked.coach,
        series=asked.series,
        organisation=asked.organisation,
        level=asked.level,
        equipment=asked.equipment,
        free=asked.free,
        after=asked.after,
        limit=asked.limit,
    )
    found = await deps.offers.page(call.caller, query)
    return OfferList(found, found[-1].id if len(found) == asked.limit else None)


async def offer_by_id(deps: GatewayDeps, call: Call[Nothing, Nothing, OfferPath]) -> OfferView:
    return await deps.offers.by_id(call.caller, call.path.id)


async def change_offer(deps: GatewayDeps, call: Call[OfferChange, Nothing, OfferPath]) -> OfferView:
    return await deps.offers.change(call.caller, call.path.id, call.body.starts_at_ms, call.body.terms)


async def call_off(deps: GatewayDeps, call: Call[Nothing, Nothing, OfferPath]) -> OfferView:
    return await deps.offers.call_off(call.caller, call.path.id)


async def roster(deps: GatewayDeps, call: Call[Nothing, RosterQuery, OfferPath]) -> Roster:
    asked = call.query
    lines = await deps.bookings.roster(call.caller, call.path.id, asked.after, asked.limit)
    return Roster(lines, lines[-1].n if len(lines) == asked.limit else None)


OFFER_CLASS = Route(
    "POST",
    "/v1/offers",
    name="offer_class",
    permission=may.CREATE_OFFER,
    tag="bookings",
    does="Offer a class that people can book (role coach).",
    more="When its doors open it becomes a live class under the same id, with a join code.",
    handler=offer_class,
    body=OfferRequest,
    query=Nothing,
    path=Nothing,
    reply=OfferView,
    scope="classes:manage",
    status=201,
    problems=(Forbidden, KeyReused, NotFound),
)
OFFERS = Route(
    "GET",
    "/v1/offers",
    name="offers",
    permission=may.READ_OFFERS,
    tag="bookings",
    does="What can be booked, in the order of the starts; what was called off is left out.",
    handler=offers,
    body=Nothing,
    query=OffersQuery,
    path=Nothing,
    reply=OfferList,
    scope="classes:read",
    problems=(Forbidden,),
)
OFFER_BY_ID = Route(
    "GET",
    "/v1/offers/{id}",
    name="offer_by_id",
    permission=may.READ_OFFERS,
    tag="bookings",
    does="One class that can be booked, or was called off.",
    handler=offer_by_id,
    body=Nothing,
    query=Nothing,
    path=OfferPath,
    reply=OfferView,
    scope="classes:read",
    problems=(ClassNotFound, Forbidden),
)
CHANGE_OFFER = Route(
    "PUT",
    "/v1/offers/{id}",
    name="change_offer",
    permission=may.CHANGE_OFFER,
    tag="bookings",
    does="Offer it otherwise, until its doors open (its coach).",
    more=(
        "Bookings stand, and what is planned moves along. With more room, those who waited longest have a place; with less, "
        "nobody loses theirs."
    ),
    handler=change_offer,
    body=OfferChange,
    query=Nothing,
    path=OfferPath,
    reply=OfferView,
    scope="classes:manage",
    problems=(ClassNotFound, ClassCalledOff, Forbidden, NotFound, OfferFixed),
)
CALL_OFF = Route(
    "DELETE",
    "/v1/offers/{id}",
    name="call_off",
    permission=may.CALL_OFF,
    tag="bookings",
    does="Call a class off: all its bookings are cancelled, and those who had them are told (its coach).",
    more="Again is fine. If its doors are open, it ends.",
    handler=call_off,
    body=Nothing,
    query=Nothing,
    path=OfferPath,
    reply=OfferView,
    scope="classes:manage",
    problems=(ClassNotFound, Forbidden, OfferFixed),
)
ROSTER = Route(
    "GET",
    "/v1/offers/{id}/bookings",
    name="roster",
    permission=may.READ_ROSTER,
    tag="bookings",
    does="Who has a place and who waits (its coach, and who administers its organisation).",
    handler=roster,
    body=Nothing,
    query=RosterQuery,
    path=OfferPath,
    reply=Roster,
    problems=(ClassNotFound, Forbidden),
)
