"""A notification as the inbox holds it, and the shape of its pages. Pure.

`told_at_ms` orders an inbox, not `created_at_ms`: a notification that takes the place of an older one and is told again
goes to the top. A page ends with a cursor, which names the last line seen; what comes in between two pages is neither
skipped nor seen twice.
"""

import hashlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NotBase64
from typing import Final
from uuid import UUID

import msgspec

from services.kernel.ids import AccountId, NotificationId
from services.kernel.problems import BadShape
from services.notifications.content import Content
from services.notifications.topics import Topic

MAX_PAGE: Final = 100
MAX_UNREAD: Final = 1_000
"""The count of unread ones ends here: a badge of a thousand says as much as one of a million, and costs as little."""
CURSOR_BYTES: Final = 24


class Notification(msgspec.Struct, frozen=True):
    """One line of an inbox. `template` and `version` make its words; `read_at_ms` None while it is unread. It leaves the inbox
    at `expires_at_ms`."""

    id: NotificationId
    account_id: AccountId
    topic: str
    template: str
    version: int
    content: Content
    collapse_key: str
    told_at_ms: int
    expires_at_ms: int
    read_at_ms: int | None = None


class InboxPage(msgspec.Struct, frozen=True):
    """Notifications, newest first, and the cursor of the next page, None at the end."""

    notifications: tuple[Notification, ...]
    next: str | None
    unread: int


class Position(msgspec.Struct, frozen=True):
    """A place in an inbox: after this notification."""

    told_at_ms: int
    id: UUID


def cursor_of(notification: Notification) -> str:
    """The cursor that goes on after this notification."""
    place = notification.told_at_ms.to_bytes(8, "big") + notification.id.bytes
    return urlsafe_b64encode(place).decode()


def position_of(cursor: str) -> Position:
    """The place a cursor names. Raises BadShape for anything but a cursor of ours."""
    try:
        place = urlsafe_b64decode(cursor.encode("ascii"))
    except (NotBase64, ValueError) as wrong:
        raise BadShape("this is no cursor: give the `next` of the page before", path="$.before") from wrong
    if len(place) != CURSOR_BYTES:
        raise BadShape("this is no cursor: give the `next` of the page before", path="$.before")
    told_at_ms = int.from_bytes(place[:8], "big")
    if told_at_ms >= 1 << 48:
        raise BadShape("this is no cursor: give the `next` of the page before", path="$.before")
    return Position(told_at_ms, UUID(bytes=place[8:]))


def collapse_key(topic: Topic, subject: str, own: UUID) -> str:
    """What a device and the inbox know a notification's successors by: 32 characters of base64url.

    The same for all notifications of a topic about one `subject`; one of its kind, made from `own`, for a topic that
    never collapses.
    """
    named = str(own) if topic.collapse == "never" else subject
    digest = hashlib.sha256(f"{topic.name}\n{named}".encode()).digest()
    return urlsafe_b64encode(digest[:24]).decode()
