"""One's inbox: the pages, the count on the badge, and marking as read."""

from typing import Annotated

import msgspec

from gateway.http.ports import GatewayDeps
from gateway.http.router import Call, Nothing, Route
from services.access import permission as may
from services.kernel.ids import NotificationId
from services.kernel.problems import BadShape, Forbidden, NotFound
from services.notifications.inbox import InboxView, NotificationView, UnreadView
from services.notifications.notification import MAX_PAGE
from services.notifications.notifications import MAX_READ_AT_ONCE, ReadMarked

Ids = Annotated[tuple[NotificationId, ...], msgspec.Meta(min_length=1, max_length=MAX_READ_AT_ONCE)]


class InboxQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which page. `before`: the `next` of the page before; `unread`: only those."""

    before: Annotated[str, msgspec.Meta(max_length=64)] | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=MAX_PAGE)] = 20
    unread: bool = False


class NotificationPath(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which notification."""

    id: NotificationId


class MarkRead(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What was read: `ids`, or everything `up_to` one of them, itself included. One of the two."""

    ids: Ids | None = None
    up_to: NotificationId | None = None


async def own_inbox(deps: GatewayDeps, call: Call[Nothing, InboxQuery, Nothing]) -> InboxView:
    query = call.query
    return await deps.inbox.page(call.caller, before=query.before, limit=query.limit, unread=query.unread)


async def notification_by_id(deps: GatewayDeps, call: Call[Nothing, Nothing, NotificationPath]) -> NotificationView:
    return await deps.inbox.one(call.caller, call.path.id)


async def unread(deps: GatewayDeps, call: Call[Nothing, Nothing, Nothing]) -> UnreadView:
    return UnreadView(await deps.notifications.unread(call.caller))


async def mark_read(deps: GatewayDeps, call: Call[MarkRead, Nothing, Nothing]) -> ReadMarked:
    match call.body:
        case MarkRead(ids=tuple(ids), up_to=None):
            return await deps.notifications.mark_read(call.caller, ids)
        case MarkRead(ids=None, up_to=last) if last is not None:
            return await deps.notifications.mark_read_up_to(call.caller, last)
    raise BadShape("give either ids or up_to", path="$")


OWN_INBOX = Route(
    "GET",
    "/v1/notifications",
    name="own_inbox",
    permission=may.USE_INBOX,
    tag="notifications",
    does="Your inbox, newest first.",
    more=(
        "In the language and time zone of your preferences. What comes in between two pages is neither skipped nor seen twice."
        " On the socket the same comes live as `notification.new` and `notifications.read`."
    ),
    handler=own_inbox,
    body=Nothing,
    query=InboxQuery,
    path=Nothing,
    reply=InboxView,
    scope="notifications:read",
    problems=(Forbidden,),
)
UNREAD = Route(
    "GET",
    "/v1/notifications/unread",
    name="unread",
    permission=may.USE_INBOX,
    tag="notifications",
    does="How many of your notifications are unread.",
    handler=unread,
    body=Nothing,
    query=Nothing,
    path=Nothing,
    reply=UnreadView,
    scope="notifications:read",
    problems=(Forbidden,),
)
NOTIFICATION_BY_ID = Route(
    "GET",
    "/v1/notifications/{id}",
    name="notification_by_id",
    permission=may.USE_INBOX,
    tag="notifications",
    does="One notification, as mails and pushes lead to it.",
    handler=notification_by_id,
    body=Nothing,
    query=Nothing,
    path=NotificationPath,
    reply=NotificationView,
    scope="notifications:read",
    problems=(Forbidden, NotFound),
)
MARK_READ = Route(
    "POST",
    "/v1/notifications/read",
    name="mark_read",
    permission=may.USE_INBOX,
    tag="notifications",
    does="Mark notifications as read, on all your devices.",
    more="Again is fine, and so is one that is gone. What was read need not ring any more: pushes of it that wait are dropped.",
    handler=mark_read,
    body=MarkRead,
    query=Nothing,
    path=Nothing,
    reply=ReadMarked,
    problems=(Forbidden, NotFound),
)
