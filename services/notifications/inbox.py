"""An inbox as its owner reads it: notifications in words, in their language and time zone of today."""

from typing import Final

import msgspec
import structlog

from services.kernel.caller import Caller
from services.kernel.ids import NotificationId
from services.notifications.notification import Notification
from services.notifications.notifications import Notifications
from services.notifications.ports import Reader, Words
from services.notifications.preferences import Preferences
from services.notifications.topics import TOPICS
from services.notifications.wording import about, leads_to

log = structlog.get_logger(__name__)


class NotificationView(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A notification in words. `path` is the page that has more: a path from the root of this server, or a whole address;
    `told_at_ms` orders the inbox; `read_at_ms` is missing while it is unread. One that comes again with an id that is known
    takes the place of the older one."""

    id: NotificationId
    topic: str
    title: str
    body: str
    path: str
    told_at_ms: int
    read_at_ms: int | None = None


class InboxView(msgspec.Struct, frozen=True):
    """Notifications, newest first. `next` is what to give as `before` for the next page, null at the end; `unread` counts all
    of the inbox, up to 1,000."""

    notifications: tuple[NotificationView, ...]
    next: str | None
    unread: int


class UnreadView(msgspec.Struct, frozen=True):
    """How many notifications are unread; the count ends at 1,000."""

    unread: int


class Inbox:
    """Reads inboxes aloud."""

    def __init__(self, notifications: Notifications, words: Words) -> None:
        self._notifications: Final = notifications
        self._words: Final = words

    async def page(self, caller: Caller, *, before: str | None, limit: int, unread: bool) -> InboxView:
        """See `Notifications.page`."""
        page = await self._notifications.page(caller, before=before, limit=limit, unread=unread)
        reader = reader_of(await self._notifications.preferences(caller), caller.name)
        views = tuple(view_of(notification, self._words, reader) for notification in page.notifications)
        return InboxView(views, page.next, page.unread)

    async def one(self, caller: Caller, notification_id: NotificationId) -> NotificationView:
        """See `Notifications.one`."""
        notification = await self._notifications.one(caller, notification_id)
        reader = reader_of(await self._notifications.preferences(caller), caller.name)
        return view_of(notification, self._words, reader)


def reader_of(preferences: Preferences, name: str) -> Reader:
    """Somebody with these preferences, as words are made for."""
    return Reader(name, preferences.locale, preferences.time_zone)


def view_of(notification: Notification, words: Words, reader: Reader) -> NotificationView:
    """A notification in its reader's words. One whose template was removed says what it is about, because it must not take
    the rest of the inbox with it."""
    try:
        short = words.inbox(notification, reader)
        title, body = short.title, short.body
    except LookupError as gone:
        log.warning("inbox.words_missing", notification=str(notification.id), why=str(gone))
        topic = TOPICS.get(notification.topic)
        title, body = notification.topic if topic is None else about(topic, reader.locale), ""
    return NotificationView(
        id=notification.id,
        topic=notification.topic,
        title=title,
        body=body,
        path=leads_to(notification.content),
        told_at_ms=notification.told_at_ms,
        read_at_ms=notification.read_at_ms,
    )
