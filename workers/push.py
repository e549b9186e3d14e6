"""Telling people on their sockets that something durable has happened.

A push to an account is a hint to whoever is connected now: the truth is in the database and HTTP answers it any time. So pushes
may be repeated after a crash, and nothing waits for them to arrive. What a room is told goes into its log, which may be away:
then the task fails and is tried again, and says it under the same key.
"""

import hashlib
from typing import Final, Protocol

import msgspec

from realtime.codec import event_frame
from realtime.feeds import Feeds
from realtime.frame import Frame
from realtime.node import Node
from realtime.peer import LoginEnded, MemberShown, TableMoved
from realtime.position import NOWHERE
from realtime.wire import (
    ClassSummary,
    ClassSummaryView,
    NotificationNew,
    NotificationsRead,
    TaskView,
    WorkoutSummaryView,
)
from rooms.audience import LET_IN_EVENT, REMOVED_EVENT, said_removed
from rooms.clocks import CLOCK_EVENT, clock_key, said_clock
from rooms.hall import COACHES_EVENT, coaches_key, removal_key, said_coaches, said_let_in
from rooms.rankings import RANKING_EVENT, ranking_key, said_ranking
from rooms.removing import taken_down_key, taken_down_view
from rooms.room import channel_of, clock_view
from rooms.rooms import ENDED_KEY, ended_view
from rooms.screen import TAKEN_DOWN_EVENT
from rooms.watching import channel_of as watched_channel
from services.classes.live_class import LiveClass
from services.classes.showing import Showing
from services.classes.timeline import Timeline
from services.kernel.ids import AccountId, ChallengeId, ClassId, LoginId, NotificationId
from services.notifications.inbox import view_of
from services.notifications.notification import Notification
from services.notifications.ports import Reader, Words


class Push(Protocol):
    """What handlers ask for. A push never waits for anybody's socket."""

    def workout_summary(self, account_id: AccountId, view: WorkoutSummaryView) -> None:
        """To all sockets of an account."""
        ...

    async def class_ended(self, live: LiveClass) -> None:
        """To everybody in the class's room, if they have not been told. Raises `LogAway`."""
        ...

    async def class_summary(self, class_id: ClassId, summary: ClassSummary) -> None:
        """To everybody in the class's room. Raises `LogAway`."""
        ...

    async def class_clock(self, class_id: ClassId, timeline: Timeline) -> None:
        """To everybody in the class's room, if they have not been told. Raises `LogAway`."""
        ...

    def member_shown(self, class_id: ClassId, account_id: AccountId, showing: Showing) -> None:
        """To the nodes with somebody in the class's room."""
        ...

    async def class_coaches(self, live: LiveClass) -> None:
        """To everybody in the class's room, if they have not been told. Raises `LogAway`."""
        ...

    async def class_ranking(self, live: LiveClass) -> None:
        """To everybody in the class's room, if they have not been told. Raises `LogAway`."""
        ...

    async def member_removed(self, class_id: ClassId, account_id: AccountId, n: int, removals: int) -> None:
        """To that member and who leads the class, if they have not been told. Raises `LogAway`."""
        ...

    async def member_let_in(self, class_id: ClassId, account_id: AccountId, n: int, removals: int) -> None:
        """To every node with that class, and who leads it, if they have not been told. Raises `LogAway`."""
        ...

    async def message_removed(self, class_id: ClassId, position: str) -> None:
        """To everybody in the class's room, if they have not been told. Raises `LogAway`."""
        ...

    def login_ended(self, account_id: AccountId, login_id: LoginId, reason: str) -> None:
        """End the login's sockets."""
        ...

    def table_moved(self, challenge_id: ChallengeId) -> None:
        """To whoever looks at the challenge's table, on whichever node: it is another one."""
        ...

    def task_progress(self, account_id: AccountId, view: TaskView) -> None:
        """To all sockets of an account: how far a long task is, or how it ended."""
        ...

    def notification_new(self, notification: Notification, reader: Reader, unread: int) -> None:
        """To all sockets of its owner, in the words of this reader; `unread` is the count from now on."""
        ...

    def notifications_read(
        self, account_id: AccountId, ids: tuple[NotificationId, ...], up_to: NotificationId | None, unread: int
    ) -> None:
        """To all sockets of an account."""
        ...


class NodePush:
    """Pushes through this process's node to the sockets of all nodes. A worker without sockets has a node too."""

    def __init__(self, node: Node, feeds: Feeds, words: Words) -> None:
        self._node: Final = node
        self._feeds: Final = feeds
        self._words: Final = words

    def to_account(self, account_id: AccountId, frame: Frame) -> None:
        """A frame to all sockets of an account."""
        self._node.tell(f"account:{account_id}", frame)

    def workout_summary(self, account_id: AccountId, view: WorkoutSummaryView) -> None:
        """See `Push.workout_summary`."""
        self._node.tell(f"account:{account_id}", event_frame("workout.summary", view))

    async def class_ended(self, live: LiveClass) -> None:
        """See `Push.class_ended`."""
        await self._feeds.append(channel_of(live.id), "class.ended", ended_view(live), ENDED_KEY)

    async def class_summary(self, class_id: ClassId, summary: ClassSummary) -> None:
        """See `Push.class_summary`."""
        view = ClassSummaryView(**msgspec.structs.asdict(summary), position=NOWHERE)
        digest = hashlib.sha256(msgspec.json.encode(summary)).hexdigest()[:16]
        await self._feeds.append(channel_of(class_id), "class.summary", view, f"class.summary:{digest}")

    async def class_clock(self, class_id: ClassId, timeline: Timeline) -> None:
        """See `Push.class_clock`."""
        view = clock_view(class_id, timeline)
        if view is not None:
            await self._feeds.append(channel_of(class_id), CLOCK_EVENT, said_clock(view), clock_key(view))

    def member_shown(self, class_id: ClassId, account_id: AccountId, showing: Showing) -> None:
        """See `Push.member_shown`."""
        self._node.publish(channel_of(class_id), MemberShown(account_id=account_id, showing=showing))

    async def class_coaches(self, live: LiveClass) -> None:
        """See `Push.class_coaches`."""
        await self._feeds.append(channel_of(live.id), COACHES_EVENT, said_coaches(live), coaches_key(live))

    async def class_ranking(self, live: LiveClass) -> None:
        """See `Push.class_ranking`."""
        await self._feeds.append(channel_of(live.id), RANKING_EVENT, said_ranking(live), ranking_key(live))

    async def member_removed(self, class_id: ClassId, account_id: AccountId, n: int, removals: int) -> None:
        """See `Push.member_removed`."""
        said = said_removed(class_id, account_id, n, removals)
        await self._feeds.append(channel_of(class_id), REMOVED_EVENT, said, removal_key(account_id, removals))

    async def member_let_in(self, class_id: ClassId, account_id: AccountId, n: int, removals: int) -> None:
        """See `Push.member_let_in`."""
        said = said_let_in(class_id, account_id, n, removals)
        await self._feeds.append(channel_of(class_id), LET_IN_EVENT, said, removal_key(account_id, removals))

    async def message_removed(self, class_id: ClassId, position: str) -> None:
        """See `Push.message_removed`."""
        view = taken_down_view(class_id, position)
        await self._feeds.append(channel_of(class_id), TAKEN_DOWN_EVENT, view, taken_down_key(position))

    def login_ended(self, account_id: AccountId, login_id: LoginId, reason: str) -> None:
        """See `Push.login_ended`."""
        message = LoginEnded(login_id=login_id, reason=reason)
        self._node.publish(f"account:{account_id}", message)
        self._node.end_login(message)

    def table_moved(self, challenge_id: ChallengeId) -> None:
        """See `Push.table_moved`."""
        self._node.announce(watched_channel(challenge_id), TableMoved(challenge_id))

    def task_progress(self, account_id: AccountId, view: TaskView) -> None:
        """See `Push.task_progress`."""
        self._node.tell(f"account:{account_id}", event_frame("task.progress", view))

    def notification_new(self, notification: Notification, reader: Reader, unread: int) -> None:
        """See `Push.notification_new`."""
        view = NotificationNew(view_of(notification, self._words, reader), unread)
        self._node.tell(f"account:{notification.account_id}", event_frame("notification.new", view))

    def notifications_read(
        self, account_id: AccountId, ids: tuple[NotificationId, ...], up_to: NotificationId | None, unread: int
    ) -> None:
        """See `Push.notifications_read`."""
        view = NotificationsRead(unread=unread, ids=ids, up_to=up_to)
        self._node.tell(f"account:{account_id}", event_frame("notifications.read", view))
