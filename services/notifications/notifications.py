"""Reading the inbox, choosing what to hear, and where: the use cases of a person with an account.

Everything that is read and changed is the caller's own. What changes the inbox is also a fact, so that the person's other
devices show it, on whatever node they are.
"""

from typing import Final, Literal
from uuid import UUID

import msgspec
import structlog

from services.access import permission as may
from services.access.policy import require_held
from services.kernel.caller import Caller
from services.kernel.clock import Clock, utc
from services.kernel.facts import NotificationsRead
from services.kernel.ids import AccountId, DeviceId, Ids, NotificationId
from services.kernel.problems import BadShape, ChangedMeanwhile, NotFound
from services.notifications import preferences as prefs
from services.notifications.addresses import MAX_DEVICES, NewDevice, PushDevice
from services.notifications.addresses import checked as checked_device
from services.notifications.delivery import Outcome
from services.notifications.notification import MAX_PAGE, InboxPage, Notification, cursor_of, position_of
from services.notifications.ports import NotificationStores, NotificationTransactions
from services.notifications.preferences import Preferences
from services.notifications.topics import TOPICS, Topic
from services.notifications.unsubscribe import Stopping, Unsubscribe

MAX_READ_AT_ONCE: Final = 1_000
"""Ids in one request, and the notifications that one `up_to` marks in a bite."""
ATTEMPTS: Final = 5
"""How often an unsubscription is tried against preferences that change under it."""

log = structlog.get_logger(__name__)


class ReadMarked(msgspec.Struct, frozen=True):
    """What was marked, and how many are unread now."""

    marked: int
    unread: int


class Unsubscribed(msgspec.Struct, frozen=True):
    """What a link has stopped: the topics that no mail comes of any more. `scope` is what the link was for."""

    scope: Literal["topic", "digest", "all"]
    topics: tuple[str, ...]


class Notifications:
    """The use cases."""

    def __init__(
        self, transactions: NotificationTransactions, clock: Clock, ids: Ids, unsubscribe: Unsubscribe
    ) -> None:
        self._transactions: Final = transactions
        self._clock: Final = clock
        self._ids: Final = ids
        self._unsubscribe: Final = unsubscribe

    # -- inbox

    async def page(
        self, caller: Caller, *, before: str | None = None, limit: int = 50, unread: bool = False
    ) -> InboxPage:
        """The caller's notifications, newest first, at most `MAX_PAGE`; `before` is the cursor of the page before.

        Raises BadShape for a cursor that is none, Forbidden for a display.
        """
        account_id = _own(caller)
        limit = min(max(limit, 1), MAX_PAGE)
        now = utc(self._clock.wall_ms())
        after = None if before is None else position_of(before)
        async with self._transactions() as stores:
            found = await stores.notifications.page(account_id, now, after=after, unread=unread, limit=limit + 1)
            count = await stores.notifications.unread(account_id, now)
        shown = tuple(found[:limit])
        return InboxPage(shown, cursor_of(shown[-1]) if len(found) > limit else None, count)

    async def one(self, caller: Caller, notification_id: NotificationId) -> Notification:
        """One of the caller's notifications. Raises NotFound when the caller has none of this id, or has it no more."""
        account_id = _own(caller)
        async with self._transactions() as stores:
            found = await stores.notifications.by_ids([notification_id])
        for notification in found:
            if notification.account_id == account_id and notification.expires_at_ms > self._clock.wall_ms():
                return notification
        raise NotFound("you have no notification with this id")

    async def unread(self, caller: Caller) -> int:
        """How many are unread; the count ends at `MAX_UNREAD`."""
        account_id = _own(caller)
        async with self._transactions() as stores:
            return await stores.notifications.unread(account_id, utc(self._clock.wall_ms()))

    async def mark_read(self, caller: Caller, notification_ids: tuple[NotificationId, ...]) -> ReadMarked:
        """Mark some as read. Again is fine, and so is one that is gone."""
        account_id = _own(caller)
        if len(notification_ids) > MAX_READ_AT_ONCE:
            raise BadShape(f"at most {MAX_READ_AT_ONCE} at once; use up_to for more", path="$.ids")
        now = utc(self._clock.wall_ms())
        async with self._transactions() as stores:
            marked = await stores.notifications.mark_read(account_id, notification_ids, now)
            if marked:
                await stores.outbox.add(NotificationsRead(account_id=account_id, ids=tuple(marked)), account_id)
            return ReadMarked(len(marked), await stores.notifications.unread(account_id, now))

    async def mark_read_up_to(self, caller: Caller, notification_id: NotificationId) -> ReadMarked:
        """Mark one and everything older as read. Raises NotFound when the caller has none of this id."""
        account_id = _own(caller)
        now = utc(self._clock.wall_ms())
        total = 0
        while True:
            async with self._transactions() as stores:
                position = await stores.notifications.position(account_id, notification_id)
                if position is None:
                    raise NotFound("you have no notification with this id")
                marked = await stores.notifications.mark_read_up_to(account_id, position, now, MAX_READ_AT_ONCE)
                total += len(marked)
                if len(marked) < MAX_READ_AT_ONCE:
                    if total:
                        await stores.outbox.add(
                            NotificationsRead(account_id=account_id, up_to=notification_id), account_id
                        )
                    return ReadMarked(total, await stores.notifications.unread(account_id, now))

    # -- preferences

    async def preferences(self, caller: Caller) -> Preferences:
        """What the caller has chosen."""
        account_id = _own(caller)
        async with self._transactions() as stores:
            return await stores.notification_settings.preferences(account_id)

    async def save_preferences(self, caller: Caller, preferences: Preferences) -> Preferences:
        """Replace the caller's preferences as a whole; `revision` is the one they were read at.

        Raises BadShape with the path, ChangedMeanwhile when somebody else has changed them since.
        """
        account_id = _own(caller)
        async with self._transactions() as stores:
            return await self._save(stores, account_id, prefs.checked(preferences))

    async def unsubscribe(self, token: str) -> Unsubscribed:
        """Stop the mail that a link is for; again is fine. Raises NotFound for a token that is none."""
        stopping = self._unsubscribe.stopping(token)
        for _ in range(ATTEMPTS):
            async with self._transactions() as stores:
                before = await stores.notification_settings.preferences(stopping.account_id)
                stopped = stopping.topics(_gathered(before))
                after = prefs.without(before, "email", stopped)
                try:
                    if after.chosen != before.chosen:
                        await self._save(stores, stopping.account_id, after)
                except ChangedMeanwhile:
                    continue
            log.info("notifications.unsubscribed", account=str(stopping.account_id), topics=[t.name for t in stopped])
            return Unsubscribed(_scope(stopping), tuple(topic.name for topic in stopped))
        raise ChangedMeanwhile("your preferences are being changed right now; try again")

    async def stopping(self, token: str) -> Stopping:
        """What a link would stop, for the page that asks first. Raises NotFound."""
        return self._unsubscribe.stopping(token)

    # -- addresses

    async def add_device(self, caller: Caller, device: NewDevice) -> PushDevice:
        """Send the caller's pushes to this device, too; again says that it still lives. Raises BadShape with the path."""
        account_id = _own(caller)
        device = checked_device(device)
        async with self._transactions() as stores:
            stored = await stores.notification_settings.add_device(
                DeviceId(self._ids.next()), account_id, caller.login_id, device, utc(self._clock.wall_ms())
            )
            await stores.notification_settings.forget_oldest_devices(account_id, MAX_DEVICES)
        return stored

    async def devices(self, caller: Caller) -> tuple[PushDevice, ...]:
        """The caller's devices that take pushes, last seen first."""
        account_id = _own(caller)
        async with self._transactions() as stores:
            return tuple(await stores.notification_settings.devices(account_id))

    async def forget_device(self, caller: Caller, device_id: DeviceId) -> None:
        """Send nothing to this device any more. Raises NotFound when it is not the caller's."""
        account_id = _own(caller)
        async with self._transactions() as stores:
            if not await stores.notification_settings.forget_device(account_id, device_id):
                raise NotFound("you have no device with this id")

    # -- what providers say

    async def record_outcome(
        self,
        provider: str,
        provider_id: str,
        outcome: Outcome,
        reason: str = "",
        *,
        message_id: UUID | None = None,
        dead: bool = False,
    ) -> bool:
        """Note what a provider's callback says of a message, which it names as it does and, where it can, as we do: so even one
        in doubt is found. `dead`: nobody lives at that number. False when the message is not known or this is known of it."""
        now = utc(self._clock.wall_ms())
        async with self._transactions() as stores:
            found = await stores.deliveries.record_outcome(provider, provider_id, outcome, reason, now, message_id)
            if found is not None and dead and found.contact_phone is not None:
                await stores.contact_phones.died(found.contact_phone, now)
            elif found is not None and dead and found.channel == "sms" and not found.of_check:
                await stores.notification_settings.phone_died(found.account_id, found.made_at, reason, now)
        return found is not None

    async def _save(self, stores: NotificationStores, account_id: AccountId, preferences: Preferences) -> Preferences:
        now_ms = self._clock.wall_ms()
        if not await stores.notification_settings.save_preferences(account_id, preferences, utc(now_ms)):
            raise ChangedMeanwhile("your preferences were changed on another device; read them again")
        # Whoever wants the digest at another hour wants what is gathered already at that hour, too.
        await stores.deliveries.gather_anew(account_id, utc(prefs.next_digest(preferences, now_ms)))
        return msgspec.structs.replace(preferences, revision=preferences.revision + 1)


def _own(caller: Caller) -> AccountId:
    require_held(caller, may.USE_INBOX)
    return caller.account_id


def _gathered(preferences: Preferences) -> tuple[Topic, ...]:
    return tuple(
        topic
        for topic in TOPICS.values()
        if prefs.way_of(prefs.chosen_for(preferences, topic), topic, "email") == "digest"
    )


def _scope(stopping: Stopping) -> Literal["topic", "digest", "all"]:
    return "digest" if stopping.digest else "topic" if stopping.topic else "all"
