"""One booking, from the wish to the place. Pure: states in, states out; who may ask when is in `offer.py`.

    confirmed ------------------> cancelled
        ^                             ^
        | promoted                    |
    waitlisted -------------------------

A wish becomes a place while one is free, and otherwise a number on the waitlist. Numbers of one class are handed out one by one,
under the lock of its offer, and never again: they are the order of the waitlist, and the only one. Whenever a place is free the
first of the waitlist has it, in the same transaction that freed it; so while somebody waits no place is free, and a newcomer
overtakes nobody. Whoever lacks what the class needs when it is their turn loses their number, and the next one has the place.
Whoever leaves the organisation for whose members alone the class is loses either. A booking that was cancelled stays so: whoever
comes again gets a new one, at the end.

When a coach takes places away, nobody loses theirs; none is given until there is room again.
"""

from typing import Literal, NamedTuple

import msgspec

from services.classes.offer import MS_PER_MINUTE, Terms
from services.kernel.ids import AccountId, BookingId, ClassId
from services.kernel.problems import ClassBookedUp

BookingState = Literal["confirmed", "waitlisted", "cancelled"]
Canceller = Literal["member", "coach", "called_off", "entitlement", "organisation"]
"""Who or what gave a place back: its owner, the coach, the class that does not take place, the entitlement that its owner lacked
when it was their turn, or the organisation for whose members alone the class is, and which they have left."""


class Booking(msgspec.Struct, frozen=True):
    """A booking as stored. `n` its number in its class; `promoted_ms` when it came off the waitlist. Instants in ms since 1970."""

    id: BookingId
    class_id: ClassId
    account_id: AccountId
    n: int
    state: BookingState
    booked_ms: int
    promoted_ms: int | None = None
    cancelled_ms: int | None = None
    cancelled_by: Canceller | None = None

    @property
    def stands(self) -> bool:
        return self.state != "cancelled"


class Booked(msgspec.Struct, frozen=True):
    """A booking with what its owner wants to know of the class. `ahead` how many wait in front of one that waits; `code` the join
    code, once the doors are open, for who has a place. Instants in ms since 1970."""

    booking: Booking
    title: str
    coach_name: str
    starts_ms: int
    duration_min: int
    ahead: int | None = None
    code: str | None = None


class BookingView(msgspec.Struct, frozen=True, omit_defaults=True):
    """A booking as its owner sees it. Times are ms since 1970.

    `promoted_at_ms`: it came off the waitlist then. `ahead` (waitlisted): how many wait in front of you. `code`: the join code,
    once the doors are open. `cancelled_by`: `member` you, `coach` the coach, `called_off` the class does not take place,
    `entitlement` it was your turn and you lacked what the class needs, `organisation` the class is for its members only, and you
    are none any more.
    """

    id: BookingId
    class_id: ClassId
    state: BookingState
    title: str
    coach_name: str
    starts_at_ms: int
    ends_at_ms: int
    booked_at_ms: int
    promoted_at_ms: int | None = None
    cancelled_at_ms: int | None = None
    cancelled_by: Canceller | None = None
    ahead: int | None = None
    code: str | None = None


class RosterLine(msgspec.Struct, frozen=True):
    """Somebody who has a place in a class, or waits for one. `n` is the number of their booking."""

    booking: BookingId
    n: int
    state: BookingState
    account_id: AccountId
    name: str


class Taken(NamedTuple):
    """How many have a place in a class, and how many wait for one."""

    confirmed: int
    waiting: int


def placed(terms: Terms, taken: Taken) -> BookingState:
    """What the next wish becomes. Raises `ClassBookedUp`."""
    if taken.confirmed < terms.capacity and not taken.waiting:
        return "confirmed"
    if taken.waiting < terms.waitlist:
        return "waitlisted"
    raise ClassBookedUp(capacity=terms.capacity, waitlist=terms.waitlist)


def to_promote(terms: Terms, taken: Taken) -> int:
    """How many of the waitlist have a place now."""
    return min(max(terms.capacity - taken.confirmed, 0), taken.waiting)


def promoted(booking: Booking, now_ms: int) -> Booking:
    """The booking with a place. Raises ValueError for one that does not wait."""
    if booking.state != "waitlisted":
        raise ValueError(f"booking {booking.id} is {booking.state}: only one that waits can be promoted")
    return msgspec.structs.replace(booking, state="confirmed", promoted_ms=now_ms)


def cancelled(booking: Booking, by: Canceller, now_ms: int) -> Booking:
    """The booking given back; one that was cancelled before stays as it is."""
    if not booking.stands:
        return booking
    return msgspec.structs.replace(booking, state="cancelled", cancelled_ms=now_ms, cancelled_by=by)


def view_of(booked: Booked) -> BookingView:
    """A booking as its owner sees it."""
    booking = booked.booking
    return BookingView(
        id=booking.id,
        class_id=booking.class_id,
        state=booking.state,
        title=booked.title,
        coach_name=booked.coach_name,
        starts_at_ms=booked.starts_ms,
        ends_at_ms=booked.starts_ms + booked.duration_min * MS_PER_MINUTE,
        booked_at_ms=booking.booked_ms,
        promoted_at_ms=booking.promoted_ms,
        cancelled_at_ms=booking.cancelled_ms,
        cancelled_by=booking.cancelled_by,
        ahead=booked.ahead,
        code=booked.code,
    )
