"""Several nodes in one process: the same promises as over a network."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from realtime import peer
from realtime.broker import InMemoryBroker, MemoryBus
from realtime.disconnect import LOGIN_ENDED
from realtime.hub import Hub
from realtime.node import Node
from realtime.peer import EVERY_NODE, Heartbeat, LoginEnded, RoomClosed, Share, ShareEntry, WholeWanted
from services.kernel.clock import ManualClock
from services.kernel.ids import AccountId
from tests.realtime import build

ENTRY = ShareEntry(
    n=1,
    account_id=AccountId(build.ROOM),
    name="Kim",
    role="athlete",
    present=True,
    feed_epoch=1,
    rev=3,
    bpm=None,
    zone=None,
    at_ms=None,
    max_hr=190,
    zone_ms=(0, 1, 2, 3, 4, 5),
    finished=False,
)


@asynccontextmanager
async def running(*nodes: Node) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(node.run()) for node in nodes]
    await settled()
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def settled() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


def pair() -> tuple[Node, Node, ManualClock]:
    bus, clock = MemoryBus(), ManualClock()
    return build.node("one", bus, clock), build.node("two", bus, clock), clock


async def test_a_frame_reaches_members_on_every_node_once() -> None:
    one, two, _ = pair()
    async with running(one, two):
        here, there = build.connection("here", 1), build.connection("there", 2)
        one.add(here)
        two.add(there)
        one.join(here, "room")
        two.join(there, "room")
        assert one.tell("room", build.ended()) == 1
        await settled()
        assert len(build.texts(here.mailbox)) == 1
        assert build.texts(there.mailbox)[0].startswith('["class.ended"')
        assert len(there.mailbox) == 0


async def test_what_a_node_says_is_heard_by_the_others_and_not_by_itself() -> None:
    one, two, _ = pair()
    heard: list[tuple[str, Share]] = []
    one.listen(Share, lambda _, share: heard.append(("one", share)))
    two.listen(Share, lambda _, share: heard.append(("two", share)))
    for node in (one, two):
        node.follow("room")
    async with running(one, two):
        share = Share(node="one", epoch="e", seq=1, whole=True, entries=(ENTRY,))
        one.publish("room", share)
        await settled()
        assert heard == [("two", share)]


async def test_a_channel_is_followed_while_anybody_needs_it() -> None:
    one, two, _ = pair()
    heard: list[str] = []
    two.listen(WholeWanted, lambda channel, _: heard.append(channel))
    guest = build.connection("guest", 5)
    async with running(one, two):
        two.add(guest)
        two.join(guest, "room")
        two.follow("room")
        two.remove(guest, "client")
        one.publish("room", WholeWanted(node="one"))
        await settled()
        assert heard == ["room"]
        two.unfollow("room")
        two.unfollow("room")
        one.publish("room", WholeWanted(node="one"))
        await settled()
        assert heard == ["room"]


async def test_ending_a_login_ends_its_connections_on_every_node() -> None:
    one, two, _ = pair()
    async with running(one, two):
        phone, other = build.connection("phone", 1, 11), build.connection("other", 1, 12)
        two.add(phone)
        two.add(other)
        one.publish(EVERY_NODE, LoginEnded(login_id=phone.caller.login_id, reason="logged out"))
        await settled()
        assert phone.ending is LOGIN_ENDED
        assert not other.closed


async def test_following_is_told_as_a_gap_so_that_whole_shares_can_be_asked_for() -> None:
    one, two, _ = pair()
    gaps: list[str] = []
    one.on_gap(gaps.extend)
    async with running(one, two):
        one.follow("room")
        await settled()
        assert gaps == [EVERY_NODE, "room"]


async def test_peers_are_known_while_they_are_heard() -> None:
    one, two, clock = pair()
    async with running(one, two):
        await clock.advance(2)
        assert set(one.peers()) == {"two"}
    async with running(one):
        await clock.advance(11)
        assert one.peers() == {}


async def test_a_node_is_ready_while_it_runs() -> None:
    one, _, _ = pair()
    assert not one.ready()
    async with running(one):
        assert one.ready()
    assert not one.ready()


async def test_messages_of_a_newer_node_are_counted_and_ignored() -> None:
    bus = MemoryBus()
    node = Node("one", Hub(), InMemoryBroker(bus), ManualClock())
    heard: list[Heartbeat] = []
    node.listen(Heartbeat, lambda _, beat: heard.append(beat))
    async with running(node):
        bus.send(EVERY_NODE, b"\x92\xa3two\x81\xa4type\xa6Future")
        bus.send(EVERY_NODE, b"not even msgpack")
        bus.send(EVERY_NODE, peer.encode("two", peer.RelayedFrame("from.the.future", "2/live,[]")))
        bus.send(EVERY_NODE, peer.encode("two", Heartbeat("two", 1)))
        await settled()
        assert heard == [Heartbeat("two", 1)]
        assert node.statistics().not_understood == 3


async def test_a_handler_at_fault_does_not_stop_the_others() -> None:
    one, two, _ = pair()
    heard: list[str] = []

    def broken(_channel: str, _message: RoomClosed) -> None:
        raise RuntimeError("a handler at fault")

    two.listen(RoomClosed, broken)
    two.listen(RoomClosed, lambda channel, _: heard.append(channel))
    two.follow("room")
    async with running(one, two):
        for _ in range(2):
            one.publish("room", RoomClosed(build.ROOM, 5))
        await settled()
        assert heard == ["room", "room"]


def test_every_message_of_the_catalogue_survives_the_journey() -> None:
    messages: list[peer.AnyPeerMessage] = [
        Share(node="a", epoch="e", seq=1, whole=False, entries=(ENTRY,)),
        WholeWanted(node="a"),
        peer.RelayedFrame(event="bye", text="2/live,[]"),
        LoginEnded(login_id=build.caller().login_id, reason="r"),
        RoomClosed(class_id=build.ROOM, ended_ms=1),
        Heartbeat(node="a", seq=1),
    ]
    assert {type(message) for message in messages} == set(peer.PEER_MESSAGES)
    for message in messages:
        assert peer.decode(peer.encode("a", message)) == peer.Parcel("a", message)
