"""Whom a booking concerns, and what they are told: from facts about bookings to pieces of news (workers/notifying.py tells them).

Each reads the state as it is now. A reminder of a class that was put off since, or a place that was given back again, is no news
any more. What a class is called off with is told page by page, like everything that concerns many.
"""

from persistence.stores import Stores
from services.classes.offer import Offer, reminder_due
from services.kernel.facts import BookingCancelled, BookingPromoted
from services.kernel.ids import AccountId, ClassId
from services.notifications.content import BookingCancelledContent, BookingPromotedContent, ClassReminderContent
from services.notifications.telling import News


async def reminders(
    stores: Stores, class_id: ClassId, now_ms: int, *, after: AccountId | None, limit: int
) -> list[News]:
    """A page of those who have a place in a class that begins soon."""
    offer = await stores.offers.by_id(class_id)
    if offer is None or not reminder_due(offer, now_ms):
        return []
    content = ClassReminderContent(
        class_id=class_id,
        title=offer.terms.title,
        coach_name=offer.coach_name,
        starts_at_ms=offer.starts_ms,
        equipment=offer.terms.equipment,
    )
    concerned = await stores.bookings.confirmed_after(class_id, after, limit)
    return [News(account_id, content, str(class_id)) for account_id in concerned]


async def promotion(stores: Stores, fact: BookingPromoted) -> list[News]:
    """For who has come off the waitlist and still has the place."""
    offer, booking = await stores.offers.by_id(fact.class_id), await stores.bookings.by_id(fact.booking_id)
    if offer is None or booking is None or booking.state != "confirmed":
        return []
    content = BookingPromotedContent(
        class_id=fact.class_id,
        booking_id=fact.booking_id,
        title=offer.terms.title,
        coach_name=offer.coach_name,
        starts_at_ms=offer.starts_ms,
    )
    return [News(fact.account_id, content, str(fact.booking_id))]


async def cancellation(stores: Stores, fact: BookingCancelled) -> list[News]:
    """For who was taken out by the coach, lacked what the class needs when it was their turn, or has left the organisation for
    whose members alone it is; who gave a place back knows."""
    offer = await stores.offers.by_id(fact.class_id)
    if offer is None or fact.by == "member":
        return []
    needs = (offer.terms.needs or "") if fact.by == "entitlement" else ""
    content = _cancelled(offer, called_off=False, needs=needs, members_only=fact.by == "organisation")
    return [News(fact.account_id, content, str(fact.booking_id))]


async def calling_off(stores: Stores, class_id: ClassId, *, after: AccountId | None, limit: int) -> list[News]:
    """A page of those who had a place in a class that does not take place, or waited for one."""
    offer = await stores.offers.by_id(class_id)
    if offer is None:
        return []
    concerned = await stores.bookings.called_off_after(class_id, after, limit)
    content = _cancelled(offer, called_off=True)
    return [News(account_id, content, str(class_id)) for account_id in concerned]


def _cancelled(
    offer: Offer, *, called_off: bool, needs: str = "", members_only: bool = False
) -> BookingCancelledContent:
    return BookingCancelledContent(
        class_id=offer.id,
        title=offer.terms.title,
        coach_name=offer.coach_name,
        starts_at_ms=offer.starts_ms,
        called_off=called_off,
        needs=needs,
        members_only=members_only,
    )
