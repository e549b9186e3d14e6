"""Telling people on their sockets that something durable has happened.

A push is a hint to whoever is connected now: the truth is in the database and HTTP answers it any time. So pushes may
be repeated after a crash, and nothing waits for them to arrive.
"""

from typing import Final, Protocol

from realtime.codec import event_frame
from realtime.node import Node
from realtime.peer import LoginEnded
from realtime.wire import ClassSummary, WorkoutSummaryView
from services.kernel.ids import AccountId, ClassId, LoginId


class Push(Protocol):
    """What handlers ask for. Synchronous: a push never waits for anybody's socket."""

    def workout_summary(self, account_id: AccountId, view: WorkoutSummaryView) -> None:
        """To all sockets of an account."""
        ...

    def class_summary(self, class_id: ClassId, summary: ClassSummary) -> None:
        """To everybody in the class's room."""
        ...

    def login_ended(self, account_id: AccountId, login_id: LoginId, reason: str) -> None:
        """End the login's sockets."""
        ...


class NodePush:
    """Pushes through this process's node to the sockets of all nodes. A worker without sockets has a node too."""

    def __init__(self, node: Node) -> None:
        self._node: Final = node

    def workout_summary(self, account_id: AccountId, view: WorkoutSummaryView) -> None:
        """See `Push.workout_summary`."""
        self._node.tell(f"account:{account_id}", event_frame("workout.summary", view))

    def class_summary(self, class_id: ClassId, summary: ClassSummary) -> None:
        """See `Push.class_summary`."""
        self._node.tell(f"room:{class_id}", event_frame("class.summary", summary))

    def login_ended(self, account_id: AccountId, login_id: LoginId, reason: str) -> None:
        """See `Push.login_ended`."""
        message = LoginEnded(login_id=login_id, reason=reason)
        self._node.publish(f"account:{account_id}", message)
        self._node.end_login(message)
