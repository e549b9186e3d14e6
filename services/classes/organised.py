"""What whoever is no longer in an organisation loses of its classes, in the transaction in which their seat goes.

A class that is for the members of an organisation only lets in nobody else, so whoever goes has no place in it: what they have
booked is given back, and the first who waits has it. If they are in such a class at this moment they are sent out of it, as by its
coach (coaches.py), which they hear on every connection; who leads the class stays, and who comes back into the organisation is let
in by them. Nothing else is lost: a class that members only book first was open to everybody in the end.

Their seat is gone before anything is looked for. Whoever books or comes in holds their own seat meanwhile, so either this waits and
finds them, or they find no seat. Offers are locked before classes, each in the order of its ids.
"""

from collections.abc import Collection
from datetime import datetime
from typing import NamedTuple, Protocol

from services.audit.entry import Actor, AuditStore, Entry, Thing
from services.classes.bookings import BookingStore as SingleBookingStore
from services.classes.coaches import ClassStore as LockedClassStore
from services.classes.offers import ClassStore as OfferedClassStore
from services.classes.offers import OfferStores, fill, give_back
from services.kernel.clock import utc
from services.kernel.facts import ClassMemberRemoved
from services.kernel.ids import AccountId, ClassId, OrganisationId


class Sitting(NamedTuple):
    """Somebody who is in a class at this moment, under this number."""

    class_id: ClassId
    account_id: AccountId
    n: int


class BookingStore(SingleBookingStore, Protocol):
    """What this needs of the bookings' store (persistence/bookings.py)."""

    async def for_members(
        self, organisation_id: OrganisationId, accounts: Collection[AccountId], at: datetime
    ) -> list[tuple[ClassId, AccountId]]: ...


class LeadingStore(Protocol):
    """And of that of who is in a class (persistence/leading.py)."""

    async def among_members(
        self, organisation_id: OrganisationId, accounts: Collection[AccountId]
    ) -> list[Sitting]: ...
    async def remove(self, class_id: ClassId, account_id: AccountId, by: AccountId, at: datetime) -> int | None: ...


class ClassStore(OfferedClassStore, LockedClassStore, Protocol):
    """And of the live classes' (persistence/classes.py)."""


class OrganisedStores(OfferStores, Protocol):
    """The stores of one transaction."""

    @property
    def bookings(self) -> BookingStore: ...
    @property
    def classes(self) -> ClassStore: ...
    @property
    def leading(self) -> LeadingStore: ...
    @property
    def audit(self) -> AuditStore: ...


async def gone(
    stores: OrganisedStores,
    by: Actor,
    by_id: AccountId,
    organisation_id: OrganisationId,
    accounts: Collection[AccountId],
    now_ms: int,
) -> None:
    """These have no seat in the organisation any more; whose account decided that is `by_id`."""
    await _give_back(stores, organisation_id, accounts, now_ms)
    for sitting in await stores.leading.among_members(organisation_id, accounts):
        live = await stores.classes.lock(sitting.class_id)
        if live is None or live.over or live.is_led_by(sitting.account_id):
            continue
        removals = await stores.leading.remove(sitting.class_id, sitting.account_id, by_id, utc(now_ms))
        if removals is None:
            continue
        fact = ClassMemberRemoved(class_id=live.id, account_id=sitting.account_id, n=sitting.n, removals=removals)
        await stores.outbox.add(fact, live.id)
        await stores.audit.add(Entry(by, "member.removed", sitting.account_id, Thing("class", str(live.id))))


async def _give_back(
    stores: OrganisedStores, organisation_id: OrganisationId, accounts: Collection[AccountId], now_ms: int
) -> None:
    booked: dict[ClassId, list[AccountId]] = {}
    for class_id, account_id in await stores.bookings.for_members(organisation_id, accounts, utc(now_ms)):
        booked.setdefault(class_id, []).append(account_id)
    for class_id in sorted(booked):
        offer = await stores.offers.lock(class_id)
        if offer is None or offer.members_of != organisation_id or now_ms >= offer.ends_ms:
            continue
        for account_id in booked[class_id]:
            booking = await stores.bookings.standing(class_id, account_id)
            if booking is not None:
                await give_back(stores, booking, "organisation", now_ms)
        await fill(stores, offer, now_ms)
