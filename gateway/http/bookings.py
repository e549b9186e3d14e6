"""Booking a class: take a place or a number on its waitlist, give it back, see what one has."""

from typing import Annotated

import msgspec

from gateway.http.offers import OfferPath
from gateway.http.ports import GatewayDeps
from gateway.http.router import Call, Nothing, Route
from services.access import permission as may
from services.classes.booking import BookingView
from services.classes.bookings import MAX_PAGE
from services.kernel.ids import BookingId
from services.kernel.problems import (
    AlreadyBooked,
    BookingShut,
    Busy,
    ClassBookedUp,
    ClassCalledOff,
    ClassNotFound,
    EntitlementNeeded,
    Forbidden,
    KeyReused,
    NotFound,
)
from services.tasks.task import Key


class BookingRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A place, please. `key`, made by you, new for each: the same request again with it finds the booking that it made, as it is by
    then."""

    key: Key


class BookingPath(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which booking."""

    id: BookingId


class BookingsQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which page. `upcoming`: only those that stand, of classes that have not ended. `before`: only bookings older than this
    one."""

    upcoming: bool = False
    before: BookingId | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=MAX_PAGE)] = 20


class BookingList(msgspec.Struct, frozen=True):
    """Bookings, newest first. `next_before` is what to give as `before` for the next page, null on the last."""

    bookings: tuple[BookingView, ...]
    next_before: BookingId | None


async def book(deps: GatewayDeps, call: Call[BookingRequest, Nothing, OfferPath]) -> BookingView:
    return await deps.bookings.book(call.caller, call.path.id, call.body.key)


async def own_bookings(deps: GatewayDeps, call: Call[Nothing, BookingsQuery, Nothing]) -> BookingList:
    asked = call.query
    found = await deps.bookings.own(call.caller, upcoming=asked.upcoming, before=asked.before, limit=asked.limit)
    return BookingList(found, found[-1].id if len(found) == asked.limit else None)


async def booking_by_id(deps: GatewayDeps, call: Call[Nothing, Nothing, BookingPath]) -> BookingView:
    return await deps.bookings.by_id(call.caller, call.path.id)


async def cancel_booking(deps: GatewayDeps, call: Call[Nothing, Nothing, BookingPath]) -> BookingView:
    return await deps.bookings.cancel(call.caller, call.path.id)


BOOK = Route(
    "POST",
    "/v1/offers/{id}/bookings",
    name="book",
    permission=may.BOOK,
    tag="bookings",
    does="Book a class: a place while one is free, else the next number of its waitlist; the answer says which.",
    more="Who waits has a place as soon as one is given back, in the order of the waitlist, and is told. Whoever lacks the "
    "entitlement that the class needs when it is their turn loses their number, and is told, too.",
    handler=book,
    body=BookingRequest,
    query=Nothing,
    path=OfferPath,
    reply=BookingView,
    scope="classes:book",
    status=201,
    problems=(
        AlreadyBooked,
        BookingShut,
        Busy,
        ClassBookedUp,
        ClassCalledOff,
        ClassNotFound,
        EntitlementNeeded,
        Forbidden,
        KeyReused,
        NotFound,
    ),
)
OWN_BOOKINGS = Route(
    "GET",
    "/v1/bookings",
    name="own_bookings",
    permission=may.BOOK,
    tag="bookings",
    does="Your bookings, newest first.",
    handler=own_bookings,
    body=Nothing,
    query=BookingsQuery,
    path=Nothing,
    reply=BookingList,
    scope="classes:read",
    problems=(Forbidden,),
)
BOOKING_BY_ID = Route(
    "GET",
    "/v1/bookings/{id}",
    name="booking_by_id",
    permission=may.BOOK,
    tag="bookings",
    does="One booking: whether you have the place, how many wait in front of you, and the join code once the doors are open.",
    handler=booking_by_id,
    body=Nothing,
    query=Nothing,
    path=BookingPath,
    reply=BookingView,
    scope="classes:read",
    problems=(Forbidden, NotFound),
)
CANCEL_BOOKING = Route(
    "DELETE",
    "/v1/bookings/{id}",
    name="cancel_booking",
    permission=may.BOOK,
    tag="bookings",
    does="Give a place back, until the class begins; or, as its coach, take it from somebody, until it ends.",
    more="The first who waits has it. One that was cancelled stays as it is, and so does the answer when you ask again.",
    handler=cancel_booking,
    body=Nothing,
    query=Nothing,
    path=BookingPath,
    reply=BookingView,
    scope="classes:book",
    problems=(BookingShut, Forbidden, NotFound),
)
