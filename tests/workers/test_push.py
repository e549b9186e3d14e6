"""Pushes reach the sockets of every node, also from a worker that has none itself."""

import asyncio
import uuid
from collections.abc import AsyncIterator

import msgspec
import pytest

from realtime.broker import MemoryBus
from realtime.connection import Connection
from realtime.disconnect import LOGIN_ENDED
from realtime.feeds import Feeds
from realtime.node import Node
from realtime.room_log import MemoryRoomLog
from realtime.wire import ClassSummary, WorkoutSummaryView
from services.kernel.clock import ManualClock
from services.kernel.ids import AccountId, LoginId, NotificationId, WorkoutId
from services.notifications.notification import Notification
from services.notifications.ports import Reader
from services.training.summary import summarise
from tests.realtime import build
from tests.support.notified import PlainWords, announced
from tests.support.world import BODY, steady
from workers.push import NodePush

SUMMARY = WorkoutSummaryView(workout=WorkoutId(uuid.UUID(int=9)), revision=1, summary=summarise(steady(60), BODY))


class Nodes:
    """A worker without sockets, and two gateways with one socket each: account 1 and account 2."""

    def __init__(self) -> None:
        bus, clock = MemoryBus(), ManualClock()
        self.worker = build.node("worker", bus, clock)
        self.gateways = (build.node("one", bus, clock), build.node("two", bus, clock))
        room_log = MemoryRoomLog(bus.send, clock)
        self.worker_feeds = Feeds(self.worker, room_log, clock)
        self.feeds = [Feeds(gateway, room_log, clock) for gateway in self.gateways]
        self.sockets = (build.connection("a", 1), build.connection("b", 2))
        for gateway, socket in zip(self.gateways, self.sockets, strict=True):
            gateway.add(socket)

    def all(self) -> tuple[Node, ...]:
        return (self.worker, *self.gateways)


async def settled() -> None:
    """Let what was said arrive."""
    for _ in range(20):
        await asyncio.sleep(0)


@pytest.fixture
async def nodes() -> AsyncIterator[Nodes]:
    """Running nodes that hear each other."""
    made = Nodes()
    tasks = [asyncio.create_task(node.run()) for node in made.all()]
    await settled()
    yield made
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def heard(socket: Connection) -> list[str]:
    """What a socket was sent."""
    return build.texts(socket.mailbox)


async def test_a_workout_summary_reaches_its_owners_sockets_only(nodes: Nodes) -> None:
    NodePush(nodes.worker, nodes.worker_feeds, PlainWords()).workout_summary(AccountId(uuid.UUID(int=1)), SUMMARY)
    await settled()
    owner, other = map(heard, nodes.sockets)
    assert len(owner) == 1
    assert owner[0].startswith('["workout.summary",{"workout":')
    assert other == []


async def test_a_class_summary_reaches_everybody_in_the_room(nodes: Nodes) -> None:
    for gateway, feeds, socket in zip(nodes.gateways, nodes.feeds, nodes.sockets, strict=True):
        gateway.join(socket, f"room:{build.ROOM}")
        feeds.follow(f"room:{build.ROOM}")
        assert await feeds.known(f"room:{build.ROOM}") is not None
    await settled()
    summary = ClassSummary(class_id=build.ROOM, title="Spin", duration_ms=1, athletes=0, standings=())
    await NodePush(nodes.worker, nodes.worker_feeds, PlainWords()).class_summary(build.ROOM, summary)
    await settled()
    for socket in nodes.sockets:
        (text,) = heard(socket)
        assert text.startswith('["class.summary",{"class_id":')


async def test_an_ended_login_ends_its_sockets_on_another_node_and_on_this_one(nodes: Nodes) -> None:
    here = build.connection("c", 1)
    nodes.worker.add(here)
    NodePush(nodes.worker, nodes.worker_feeds, PlainWords()).login_ended(
        AccountId(uuid.UUID(int=1)), LoginId(uuid.UUID(int=1)), "logged out"
    )
    await settled()
    for socket in (nodes.sockets[0], here):
        assert build.line_of(socket).ending == LOGIN_ENDED
    assert build.line_of(nodes.sockets[1]).ending is None


async def test_something_new_in_the_inbox_reaches_its_owners_sockets_in_their_words(nodes: Nodes) -> None:
    account_id, notification_id = AccountId(uuid.UUID(int=1)), NotificationId(uuid.UUID(int=7))
    one = Notification(
        id=notification_id,
        account_id=account_id,
        topic="announcement",
        template="announcement",
        version=1,
        content=announced("at eight"),
        collapse_key="key",
        told_at_ms=1_000,
        expires_at_ms=2_000,
    )
    push = NodePush(nodes.worker, nodes.worker_feeds, PlainWords())
    push.notification_new(one, Reader("Ada", "en", "UTC"), 3)
    push.notifications_read(account_id, (notification_id,), None, 2)
    await settled()
    owner, other = map(heard, nodes.sockets)
    new, read = (msgspec.json.decode(text) for text in owner)
    assert new[0] == "notification.new"
    assert (new[1]["notification"]["body"], new[1]["unread"]) == ("Ada: at eight", 3)
    assert read == ["notifications.read", {"unread": 2, "ids": [str(notification_id)]}]
    assert other == []
