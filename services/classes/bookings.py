"""Booking a class: take a place or a number on the waitlist, give it back, see what one has.

Everything that changes who has a place happens under the lock of the offer, in one transaction with its facts: a hundred people
who want the last place at once are decided one after the other, and a place that is given back has its next owner before anybody
can see it free.

A booking takes a key of the caller's: the same request again finds the booking that it made, as it is now. So a request whose
answer was lost never brings back what was cancelled meanwhile on another phone.
"""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Final, Protocol

from services.access import permission as may
from services.access import policy
from services.access.decision import Thing
from services.access.policy import require_held
from services.access.role import OrgRole
from services.accounts.entitlement import require
from services.classes.booking import Booked, Booking, BookingView, Canceller, RosterLine, placed, view_of
from services.classes.offer import Offer, may_book
from services.classes.offers import OfferStore as FilledOfferStore
from services.classes.offers import OfferStores, PlaceStore, SeatStore, fill, give_back, seat_in
from services.kernel.caller import Caller
from services.kernel.clock import Clock, utc
from services.kernel.facts import ClassBooked
from services.kernel.ids import AccountId, BookingId, ClassId, Ids, OrganisationId
from services.kernel.problems import AlreadyBooked, BookingShut, Busy, ClassNotFound, KeyReused, NotFound

MAX_PAGE: Final = 100
MAX_ROSTER: Final = 200


class OfferStore(FilledOfferStore, Protocol):
    """What this needs of the offers' store (persistence/offers.py)."""

    async def by_id(self, class_id: ClassId) -> Offer | None: ...


class BookingStore(PlaceStore, Protocol):
    """And of the bookings' (persistence/bookings.py)."""

    async def add(self, booking: Booking, key: str) -> bool: ...
    async def by_id(self, booking_id: BookingId) -> Booking | None: ...
    async def by_key(self, account_id: AccountId, key: str) -> Booking | None: ...
    async def standing(self, class_id: ClassId, account_id: AccountId) -> Booking | None: ...
    async def next_number(self, class_id: ClassId) -> int: ...
    async def booked(self, booking_id: BookingId) -> Booked | None: ...
    async def of_account(
        self, account_id: AccountId, *, upcoming_at: datetime | None, before: BookingId | None, limit: int
    ) -> list[Booked]: ...
    async def roster(self, class_id: ClassId, after: int, limit: int) -> list[RosterLine]: ...


class HeldSeatStore(SeatStore, Protocol):
    """And of the organisations'."""

    async def hold_seat(self, organisation_id: OrganisationId, account_id: AccountId) -> bool: ...


class BookingStores(OfferStores, Protocol):
    """The stores of one transaction."""

    @property
    def offers(self) -> OfferStore: ...
    @property
    def bookings(self) -> BookingStore: ...
    @property
    def organisations(self) -> HeldSeatStore: ...


class Bookings:
    """The use cases."""

    def __init__(
        self, transactions: Callable[[], AbstractAsyncContextManager[BookingStores]], clock: Clock, ids: Ids
    ) -> None:
        self._transactions: Final = transactions
        self._clock: Final = clock
        self._ids: Final = ids

    async def book(self, caller: Caller, class_id: ClassId, key: str) -> BookingView:
        """Take a place, or the next number of the waitlist.

        Raises `ClassNotFound`, `Forbidden`, `ClassCalledOff`, `BookingShut`, `EntitlementNeeded`, `AlreadyBooked`, `ClassBookedUp`,
        `KeyReused`.
        """
        require_held(caller, may.BOOK)
        async with self._transactions() as stores:
            offer, seat = await _locked(stores, class_id, caller)
            known = await stores.bookings.by_key(caller.account_id, key)
            if known is None:
                known = await self._book(stores, offer, caller, key, seated=seat is not None)
            elif known.class_id != class_id:
                raise KeyReused
            return await _seen(stores, known.id)

    async def cancel(self, caller: Caller, booking_id: BookingId) -> BookingView:
        """Give a place back, until the class begins; or take it from somebody, as the coach, until it ends. The first who waits has
        it. One that was cancelled stays as it is. Raises `NotFound`, `BookingShut`."""
        require_held(caller, may.BOOK)
        async with self._transactions() as stores:
            booking, offer, by = await _theirs(stores, caller, booking_id, lock=True)
            now_ms = self._clock.wall_ms()
            if booking.stands:
                if now_ms >= (offer.starts_ms if by == "member" else offer.ends_ms):
                    raise BookingShut(
                        "this class has begun", opens_at_ms=offer.booking_opens_ms, closes_at_ms=offer.starts_ms
                    )
                await give_back(stores, booking, by, now_ms)
                await fill(stores, offer, now_ms)
            return await _seen(stores, booking_id)

    async def own(
        self, caller: Caller, *, upcoming: bool = False, before: BookingId | None = None, limit: int = MAX_PAGE
    ) -> tuple[BookingView, ...]:
        """The caller's bookings, newest first, at most `MAX_PAGE`; `upcoming`: only those that stand, of classes that have not
        ended; `before` is the last one already seen."""
        require_held(caller, may.BOOK)
        at = utc(self._clock.wall_ms()) if upcoming else None
        limit = min(max(limit, 1), MAX_PAGE)
        async with self._transactions() as stores:
            found = await stores.bookings.of_account(caller.account_id, upcoming_at=at, before=before, limit=limit)
        return tuple(map(view_of, found))

    async def by_id(self, caller: Caller, booking_id: BookingId) -> BookingView:
        """One booking, for its owner and the coach of its class. Raises `NotFound`."""
        require_held(caller, may.BOOK)
        async with self._transactions() as stores:
            await _theirs(stores, caller, booking_id)
            return await _seen(stores, booking_id)

    async def roster(self, caller: Caller, class_id: ClassId, after: int, limit: int) -> tuple[RosterLine, ...]:
        """Who has a place or waits, by number, at most `MAX_ROSTER`: for the coach of the class, and for who administers the
        organisation in whose name it is offered. Raises `ClassNotFound`, `Forbidden`."""
        async with self._transactions() as stores:
            offer = await stores.offers.by_id(class_id)
            if offer is None:
                raise ClassNotFound
            seat = await seat_in(stores, offer, caller)
            policy.require(caller, may.READ_ROSTER, Thing(owner_id=offer.coach_id, seat=seat))
            return tuple(await stores.bookings.roster(class_id, after, min(max(limit, 1), MAX_ROSTER)))

    async def _book(self, stores: BookingStores, offer: Offer, caller: Caller, key: str, *, seated: bool) -> Booking:
        now_ms = self._clock.wall_ms()
        may_book(offer, caller, now_ms, seated=seated)
        await _entitled(stores, offer.terms.needs, caller.account_id, now_ms)
        standing = await stores.bookings.standing(offer.id, caller.account_id)
        if standing is not None:
            raise AlreadyBooked(booking=str(standing.id))
        booking = Booking(
            id=BookingId(self._ids.next()),
            class_id=offer.id,
            account_id=caller.account_id,
            n=await stores.bookings.next_number(offer.id),
            state=placed(offer.terms, await stores.bookings.taken(offer.id)),
            booked_ms=now_ms,
        )
        if not await stores.bookings.add(booking, key):
            raise Busy("this key is being used for another class at this very moment", retry_after_ms=200)
        fact = ClassBooked(class_id=offer.id, booking_id=booking.id, account_id=caller.account_id, state=booking.state)
        await stores.outbox.add(fact, offer.id)
        return booking


async def _locked(stores: BookingStores, class_id: ClassId, caller: Caller) -> tuple[Offer, OrgRole | None]:
    """The offer, locked, and what the caller is in its organisation.

    The seat is held before the offer, in the order of who takes it away (organised.py): either that waits and then finds the
    booking, or there is no seat any more here.
    """
    offer = await stores.offers.by_id(class_id)
    if offer is None:
        raise ClassNotFound
    organisation_id = offer.terms.organisation
    if organisation_id is not None:
        await stores.organisations.hold_seat(organisation_id, caller.account_id)
    offer = await stores.offers.lock(class_id)
    if offer is None:
        raise ClassNotFound
    if offer.terms.organisation != organisation_id:
        raise Busy("this class is being changed at this very moment", retry_after_ms=200)
    return offer, await seat_in(stores, offer, caller)


async def _theirs(
    stores: BookingStores, caller: Caller, booking_id: BookingId, *, lock: bool = False
) -> tuple[Booking, Offer, Canceller]:
    """A booking, its offer, and as whom the caller may deal with it. Whoever is neither finds nothing."""
    booking = await stores.bookings.by_id(booking_id)
    offer = None
    if booking is not None:
        offer = await (stores.offers.lock(booking.class_id) if lock else stores.offers.by_id(booking.class_id))
        booking = await stores.bookings.by_id(booking_id) if lock else booking
    if booking is None or offer is None:
        raise NotFound("you have no booking with this id")
    if booking.account_id == caller.account_id:
        return booking, offer, "member"
    if offer.coach_id == caller.account_id:
        return booking, offer, "coach"
    raise NotFound("you have no booking with this id")


async def _entitled(stores: BookingStores, needs: str | None, account_id: AccountId, now_ms: int) -> None:
    """Raise `EntitlementNeeded` for who lacks what a class needs."""
    if needs is not None:
        granted = await stores.entitlements.named((account_id,), needs)
        require(needs, granted[account_id], now_ms)


async def _seen(stores: BookingStores, booking_id: BookingId) -> BookingView:
    found = await stores.bookings.booked(booking_id)
    if found is None:
        raise NotFound("you have no booking with this id")
    return view_of(found)
