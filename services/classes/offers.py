"""Offering classes: create one, change it, call it off, find what there is; and opening its doors.

An offer wants two facts told later, in its own transaction: that its doors are due, and that people are to be reminded. When it is
changed they move with it. The doors are opened by a worker, which makes the live class under the id of the offer
(`open_doors`); from then on it is a class like any other.
"""

import secrets
from collections.abc import Callable, Collection
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Final, Protocol
from uuid import UUID

from msgspec.structs import replace

from services.access import permission as may
from services.access.decision import Thing
from services.access.policy import require, require_held
from services.access.role import OrgRole
from services.accounts.entitlement import Entitlement, lack_of
from services.classes.booking import Booking, Canceller, Taken, cancelled, promoted, to_promote
from services.classes.live_class import CODE_LENGTH, LiveClass, code_from
from services.classes.offer import (
    Offer,
    Offered,
    OfferQuery,
    OfferView,
    Terms,
    check_start,
    checked,
    doors_due,
    may_call_off,
    may_change,
    view_of,
)
from services.classes.script import Script
from services.classes.script_library import TakingStore, require_own
from services.kernel.caller import Caller
from services.kernel.clock import Clock, utc
from services.kernel.facts import (
    AnyFact,
    BookingCancelled,
    BookingPromoted,
    ClassCalledOff,
    ClassDoorsDue,
    ClassEnded,
    ClassReminderDue,
)
from services.kernel.ids import AccountId, ClassId, FactId, Ids, OrganisationId
from services.kernel.problems import Busy, ClassNotFound, KeyReused
from services.schedule.later import LaterStore

MAX_PAGE: Final = 50
_CODE_TRIES: Final = 5


class OfferStore(Protocol):
    """What this needs of the offers' store (persistence/offers.py)."""

    async def add(self, offer: Offer, key: str) -> bool: ...
    async def by_key(self, coach_id: AccountId, key: str) -> Offer | None: ...
    async def lock(self, class_id: ClassId) -> Offer | None: ...
    async def change(self, class_id: ClassId, starts: datetime, terms: Terms) -> None: ...
    async def call_off(self, class_id: ClassId, at: datetime) -> None: ...
    async def page(self, query: OfferQuery, viewer: AccountId) -> list[Offered]: ...
    async def offered(self, class_id: ClassId, viewer: AccountId) -> Offered | None: ...


class PlaceStore(Protocol):
    """And of the bookings' (persistence/bookings.py)."""

    async def taken(self, class_id: ClassId) -> Taken: ...
    async def first_waiting(self, class_id: ClassId, limit: int) -> list[Booking]: ...
    async def save(self, booking: Booking) -> None: ...
    async def call_off(self, class_id: ClassId, at: datetime) -> int: ...


class EntitlementStore(Protocol):
    """And of the entitlements' (persistence/entitlements.py)."""

    async def named(self, accounts: Collection[AccountId], name: str) -> dict[AccountId, list[Entitlement]]: ...


class SeatStore(Protocol):
    """And of the organisations' (persistence/organisations.py)."""

    async def seat_of(self, organisation_id: OrganisationId, account_id: AccountId) -> OrgRole | None: ...
    async def seated(
        self, organisation_id: OrganisationId, accounts: Collection[AccountId]
    ) -> Collection[AccountId]: ...


class ClassStore(Protocol):
    """And of the live classes' (persistence/classes.py)."""

    async def create(self, live: LiveClass) -> bool: ...
    async def by_id(self, class_id: ClassId) -> LiveClass | None: ...
    async def end(self, class_id: ClassId, at: datetime) -> bool: ...


class ScriptStore(Protocol):
    """And of the timelines' (persistence/timelines.py)."""

    async def save_script(self, class_id: ClassId, script: Script, revision: int, at: datetime) -> None: ...


class OutboxStore(Protocol):
    """Where facts are told."""

    async def add(self, fact: AnyFact, aggregate_id: UUID) -> FactId: ...


class OfferStores(Protocol):
    """The stores of one transaction."""

    @property
    def offers(self) -> OfferStore: ...
    @property
    def bookings(self) -> PlaceStore: ...
    @property
    def entitlements(self) -> EntitlementStore: ...
    @property
    def organisations(self) -> SeatStore: ...
    @property
    def classes(self) -> ClassStore: ...
    @property
    def timelines(self) -> ScriptStore: ...
    @property
    def script_library(self) -> TakingStore: ...
    @property
    def schedule(self) -> LaterStore: ...
    @property
    def outbox(self) -> OutboxStore: ...


class Offers:
    """The use cases."""

    def __init__(
        self, transactions: Callable[[], AbstractAsyncContextManager[OfferStores]], clock: Clock, ids: Ids
    ) -> None:
        self._transactions: Final = transactions
        self._clock: Final = clock
        self._ids: Final = ids

    async def create(self, caller: Caller, starts_ms: int, terms: Terms, key: str) -> OfferView:
        """Offer a class; the same request again with its `key` finds the one it made. Raises `Forbidden` for anybody but coaches,
        `BadShape`, `KeyReused`, `NotFound` for a script that is not in the caller's library or an organisation that they are not
        in."""
        require_held(caller, may.CREATE_OFFER)
        terms = checked(terms)
        now_ms = self._clock.wall_ms()
        offer = Offer(
            id=ClassId(self._ids.next()),
            coach_id=caller.account_id,
            coach_name=caller.name,
            starts_ms=starts_ms,
            terms=terms,
            created_ms=now_ms,
        )
        async with self._transactions() as stores:
            known = await stores.offers.by_key(caller.account_id, key)
            if known is None:
                check_start(starts_ms, terms, now_ms)
                await require_own(stores, caller.account_id, terms.script)
                await in_whose_name(stores, caller, terms.organisation)
                if await offer_class(stores, offer, key):
                    return await _seen(stores, offer.id, caller)
                known = await stores.offers.by_key(caller.account_id, key)
            if known is None or (known.starts_ms, known.terms) != (offer.starts_ms, offer.terms):
                raise KeyReused
            return await _seen(stores, known.id, caller)

    async def page(self, caller: Caller, query: OfferQuery) -> tuple[OfferView, ...]:
        """What is offered, in the order of the starts, at most `MAX_PAGE`."""
        require_held(caller, may.READ_OFFERS)
        bounded = replace(query, limit=min(max(query.limit, 1), MAX_PAGE))
        async with self._transactions() as stores:
            found = await stores.offers.page(bounded, caller.account_id)
        return tuple(map(view_of, found))

    async def by_id(self, caller: Caller, class_id: ClassId) -> OfferView:
        """One offer, for any member. Raises `ClassNotFound`."""
        require_held(caller, may.READ_OFFERS)
        async with self._transactions() as stores:
            return await _seen(stores, class_id, caller)

    async def change(self, caller: Caller, class_id: ClassId, starts_ms: int, terms: Terms) -> OfferView:
        """Offer it otherwise. Bookings stand; where there is more room now, those who waited longest have a place.

        Raises `ClassNotFound`, `Forbidden`, `ClassCalledOff`, `OfferFixed`, `BadShape`, `NotFound` for a script that is not in the
        caller's library or an organisation that they are not in.
        """
        terms = checked(terms)
        async with self._transactions() as stores:
            offer = await _locked(stores, class_id, caller)
            now_ms = self._clock.wall_ms()
            may_change(offer, caller, now_ms)
            changed = replace(offer, starts_ms=starts_ms, terms=terms)
            if changed != offer:
                check_start(starts_ms, terms, now_ms)
                await require_own(stores, caller.account_id, terms.script)
                if terms.organisation != offer.terms.organisation:
                    await in_whose_name(stores, caller, terms.organisation)
                await stores.offers.change(class_id, utc(starts_ms), changed.terms)
                await _plan(stores, changed, now_ms)
                await fill(stores, changed, now_ms)
            return await _seen(stores, class_id, caller)

    async def call_off(self, caller: Caller, class_id: ClassId) -> OfferView:
        """It does not take place: all bookings are cancelled, and if its doors are open it ends. Again is fine.

        Raises `ClassNotFound`, `Forbidden`, `OfferFixed` when it is over.
        """
        async with self._transactions() as stores:
            offer = await _locked(stores, class_id, caller)
            now_ms = self._clock.wall_ms()
            may_call_off(offer, caller, now_ms)
            if offer.called_off_ms is None:
                await self._call_off(stores, class_id, now_ms)
            return await _seen(stores, class_id, caller)

    async def _call_off(self, stores: OfferStores, class_id: ClassId, now_ms: int) -> None:
        at = utc(now_ms)
        await stores.offers.call_off(class_id, at)
        await stores.bookings.call_off(class_id, at)
        await stores.schedule.cancel(ClassDoorsDue, str(class_id))
        await stores.schedule.cancel(ClassReminderDue, str(class_id))
        await stores.outbox.add(ClassCalledOff(class_id=class_id), class_id)
        if await stores.classes.end(class_id, at):
            await stores.outbox.add(ClassEnded(class_id=class_id), class_id)


async def offer_class(stores: OfferStores, offer: Offer, key: str) -> bool:
    """Store a new offer and plan its doors and its reminder, in the caller's transaction; False when its coach has one under this
    key."""
    if not await stores.offers.add(offer, key):
        return False
    await _plan(stores, offer, offer.created_ms)
    return True


async def fill(stores: OfferStores, offer: Offer, now_ms: int) -> None:
    """Give the places that are free to those who wait for them, in their order. The offer must be locked.

    Nobody is given a place in a class that has begun: they would hear of it too late. Who lacks what the class needs now, or is not
    in the organisation whose members alone it is for, loses their number, so that the place is not kept from those behind them.
    """
    if now_ms >= offer.starts_ms:
        return
    while free := to_promote(offer.terms, await stores.bookings.taken(offer.id)):
        first = await stores.bookings.first_waiting(offer.id, free)
        accounts = [waiting.account_id for waiting in first]
        outside = await _outside(stores, offer, accounts)
        lacking = await _lacking(stores, offer, accounts, now_ms)
        for waiting in first:
            if waiting.account_id in outside:
                await give_back(stores, waiting, "organisation", now_ms)
            elif waiting.account_id in lacking:
                await give_back(stores, waiting, "entitlement", now_ms)
            else:
                await stores.bookings.save(promoted(waiting, now_ms))
                await stores.outbox.add(BookingPromoted(offer.id, waiting.id, waiting.account_id), offer.id)


async def give_back(stores: OfferStores, booking: Booking, by: Canceller, now_ms: int) -> None:
    """Cancel a booking that stands, and tell it. The offer must be locked; whoever calls this fills the place."""
    await stores.bookings.save(cancelled(booking, by, now_ms))
    fact = BookingCancelled(class_id=booking.class_id, booking_id=booking.id, account_id=booking.account_id, by=by)
    await stores.outbox.add(fact, booking.class_id)


async def seat_in(stores: OfferStores, offer: Offer, caller: Caller) -> OrgRole | None:
    """What the caller is in the organisation of an offer. Raises `ClassNotFound` for one that is for its members only, which the
    caller neither is nor gives: to them there is no such class."""
    organisation_id = offer.terms.organisation
    role = None
    if organisation_id is not None:
        role = await stores.organisations.seat_of(organisation_id, caller.account_id)
    if offer.members_of is not None and role is None and offer.coach_id != caller.account_id:
        raise ClassNotFound
    return role


async def in_whose_name(stores: OfferStores, caller: Caller, organisation_id: OrganisationId | None) -> None:
    """Raise unless the caller may offer a class in the name of this organisation: `NotFound` for one that they are not in,
    `Forbidden` for members who do not coach there."""
    if organisation_id is None:
        return
    thing = Thing(seat=await stores.organisations.seat_of(organisation_id, caller.account_id))
    require(caller, may.READ_ORGANISATION, thing)
    require(caller, may.OFFER_FOR_ORGANISATION, thing, path="$.terms.organisation")


async def open_doors(stores: OfferStores, class_id: ClassId, now_ms: int) -> LiveClass | None:
    """Make the live class of an offer, with its teams and a copy of the script that it names; None when that is not due: it was
    called off or put off, or is open already. Raises `Busy` when no free join code was found."""
    offer = await stores.offers.lock(class_id)
    if offer is None or not doors_due(offer, now_ms):
        return None
    if await stores.classes.by_id(class_id) is not None:
        return None
    for _ in range(_CODE_TRIES):
        live = LiveClass(
            id=class_id,
            code=code_from(secrets.token_bytes(CODE_LENGTH)),
            title=offer.terms.title,
            coach_id=offer.coach_id,
            coach_name=offer.coach_name,
            created_ms=now_ms,
            needs=offer.terms.needs,
            teams=offer.terms.teams,
        )
        if await stores.classes.create(live):
            await _give_script(stores, offer, now_ms)
            return live
    raise Busy("no free join code was found; try again")


async def _give_script(stores: OfferStores, offer: Offer, now_ms: int) -> None:
    """Copy the script that an offer names into its class. It is there, unless its coach is being erased (`delete` in
    script_library.py)."""
    if offer.terms.script is None:
        return
    script = await stores.script_library.script(offer.terms.script)
    if script is not None:
        await stores.timelines.save_script(offer.id, script, 1, utc(now_ms))


async def _plan(stores: OfferStores, offer: Offer, now_ms: int) -> None:
    """Have its doors and its reminder told at their times. A reminder whose time has passed is not made up for."""
    key = str(offer.id)
    if not await stores.schedule.move(ClassDoorsDue, key, offer.doors_open_ms):
        await stores.schedule.once(ClassDoorsDue(class_id=offer.id), offer.id, at_ms=offer.doors_open_ms, key=key)
    if offer.reminds_ms is None or offer.reminds_ms <= now_ms:
        await stores.schedule.cancel(ClassReminderDue, key)
    elif not await stores.schedule.move(ClassReminderDue, key, offer.reminds_ms):
        await stores.schedule.once(ClassReminderDue(class_id=offer.id), offer.id, at_ms=offer.reminds_ms, key=key)


async def _lacking(
    stores: OfferStores, offer: Offer, accounts: Collection[AccountId], now_ms: int
) -> Collection[AccountId]:
    """Who of these lacks what the class needs."""
    needs = offer.terms.needs
    if needs is None:
        return ()
    granted = await stores.entitlements.named(accounts, needs)
    return [account_id for account_id in accounts if lack_of(needs, granted[account_id], now_ms) is not None]


async def _outside(stores: OfferStores, offer: Offer, accounts: Collection[AccountId]) -> Collection[AccountId]:
    """Who of these is not in the organisation whose members alone the class is for."""
    if offer.members_of is None:
        return ()
    return set(accounts).difference(await stores.organisations.seated(offer.members_of, accounts))


async def _locked(stores: OfferStores, class_id: ClassId, caller: Caller) -> Offer:
    """The offer, locked; for whom it is none, it is not found."""
    offer = await stores.offers.lock(class_id)
    if offer is None:
        raise ClassNotFound
    await seat_in(stores, offer, caller)
    return offer


async def _seen(stores: OfferStores, class_id: ClassId, caller: Caller) -> OfferView:
    found = await stores.offers.offered(class_id, caller.account_id)
    if found is None:
        raise ClassNotFound
    return view_of(found)
