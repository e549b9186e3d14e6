"""Several nodes in one process: the same promises as over a network."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from realtime import peer
from realtime.broker import InMemoryBroker, MemoryBus
from realtime.disconnect import LOGIN_ENDED
from realtime.hub import Hub
from realtime.node import Node
from realtime.parcel import LEVEL, encode_frame, header_of
from realtime.peer import (
    EVERY_NODE,
    Heartbeat,
    LoginEnded,
    RoomClosed,
    Share,
    ShareEntry,
    StreamOpenedHere,
    TableMoved,
    WholeWanted,
)
from realtime.position import TAIL_BYTES, Position, head, tail
from services.classes.showing import Showing
from services.kernel.clock import ManualClock
from services.kernel.ids import AccountId, ChallengeId, StreamId
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


async def test_messages_of_a_newer_node_and_foreign_ones_are_counted_and_ignored() -> None:
    bus = MemoryBus()
    node = Node("one", Hub(), InMemoryBroker(bus), ManualClock())
    heard: list[Heartbeat] = []
    node.listen(Heartbeat, lambda _, beat: heard.append(beat))
    newer = msgspec.structs.replace(build.ended(), event="from.the.future")
    async with running(node):
        bus.send(EVERY_NODE, peer.encode("two", Heartbeat("two", 1)).replace(b"Heartbeat", b"Heartbeet"))
        bus.send(EVERY_NODE, b"not even a parcel")
        bus.send(EVERY_NODE, encode_frame("two", newer))
        bus.send(EVERY_NODE, peer.encode("two", Heartbeat("two", 1)))
        await settled()
        assert heard == [Heartbeat("two", 1)]
        assert node.statistics().not_understood == 3


async def test_a_node_of_another_level_is_refused_by_name() -> None:
    bus = MemoryBus()
    node = Node("one", Hub(), InMemoryBroker(bus), ManualClock())
    heard: list[Heartbeat] = []
    node.listen(Heartbeat, lambda _, beat: heard.append(beat))
    later = bytes((LEVEL + 1,)) + peer.encode("two", Heartbeat("two", 1))[1:]
    async with running(node):
        with structlog.testing.capture_logs() as lines:
            for _ in range(3):
                bus.send(EVERY_NODE, later)
            await settled()
        assert heard == []
        assert (node.statistics().refused, node.statistics().not_understood, node.statistics().peers) == (3, 0, {})
        refusals = [line for line in lines if line["event"] == "node.peer_refused"]
        assert [(line["peer"], line["level"]) for line in refusals] == [("two", LEVEL + 1)]


async def test_a_node_without_members_takes_nothing_of_a_busy_room_apart() -> None:
    one, two, _ = pair()
    three = build.node("three", one_bus(one), ManualClock())
    there = build.connection("there", 2)
    async with running(one, two, three):
        two.add(there)
        two.join(there, "room")
        for _ in range(50):
            one.tell("room", build.ended())
            one.publish("room", WholeWanted(node="one"))
        await settled()
        assert (two.statistics().relayed, two.statistics().decoded["WholeWanted"]) == (50, 50)
        assert (three.statistics().relayed, three.statistics().decoded.keys() - {"Heartbeat"}) == (0, set())


def one_bus(node: Node) -> MemoryBus:
    broker = node._broker
    assert isinstance(broker, InMemoryBroker)
    return broker._bus


async def test_a_frame_whose_end_a_server_writes_is_heard_by_everybody_and_not_pushed_unseen() -> None:
    bus = MemoryBus()
    one, two = build.node("one", bus), build.node("two", bus)
    member = build.connection("member")
    heard: list[tuple[str, bytes]] = []
    for node in (one, two):
        node.on_finished(lambda _, frame, name=node.id: heard.append((name, frame.ws)))  # type: ignore[misc]
        node.follow("room")
    async with running(one, two):
        two.add(member)
        two.join(member, "room")
        frame = build.ended()
        parcel = head(encode_frame("one", frame, open_end=TAIL_BYTES)) + tail(Position("0f3a9c41", 1))
        bus.send("room", parcel)
        bus.send("room", parcel.replace(b"class.ended", b"class.endet", 1))
        bus.send("room", head(encode_frame("one", frame)) + tail(Position("0f3a9c41", 1)))
        await settled()
        finished = head(frame.ws) + tail(Position("0f3a9c41", 1))
        assert sorted(heard) == [("one", finished), ("two", finished)]
        assert build.texts(member.mailbox) == []
        # The sender itself does not look into what it said.
        assert (one.statistics().not_understood, two.statistics().not_understood) == (1, 2)


FINISHED = encode_frame("two", build.ended("é"), open_end=20)
WHATEVER = st.one_of(
    st.binary(max_size=200),
    st.builds(
        lambda parcel, at, byte: parcel[:at] + bytes((byte,)) + parcel[at + 1 :],
        st.sampled_from([encode_frame("two", build.ended("é")), FINISHED, peer.encode("two", Heartbeat("two", 1))]),
        st.integers(0, 150),
        st.integers(0, 255),
    ),
    st.builds(lambda level, rest: bytes((level,)) + rest, st.integers(0, 40), st.binary(min_size=7, max_size=60)),
)


@given(st.lists(st.tuples(st.sampled_from(["room", EVERY_NODE]), WHATEVER), max_size=20))
def test_whatever_is_on_the_bus_no_member_is_sent_what_no_node_said(said: list[tuple[str, bytes]]) -> None:
    node = Node("one", Hub(), InMemoryBroker(), ManualClock())
    member = build.connection("member")
    node.add(member)
    node.join(member, "room")
    with structlog.testing.capture_logs():
        for channel, data in said:
            node._receive(channel, data)
    whole = build.ended("é").text.removeprefix("2/live,")
    assert set(build.texts(member.mailbox)) <= {whole}


@pytest.mark.parametrize("name", ["", "with space", "é", "x" * 65])
def test_a_name_that_does_not_fit_on_a_parcel_is_refused_when_it_is_used(name: str) -> None:
    with pytest.raises(ValueError, match="names no node"):
        peer.encode(name, Heartbeat(name, 1))


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
        StreamOpenedHere(stream=StreamId(uuid.UUID(int=1)), epoch=2),
        WholeWanted(node="a"),
        LoginEnded(login_id=build.caller().login_id, reason="r"),
        RoomClosed(class_id=build.ROOM, ended_ms=1),
        TableMoved(challenge_id=ChallengeId(uuid.UUID(int=2))),
        peer.MemberShown(account_id=build.caller().account_id, showing=Showing("alias", "Fox", 3)),
        peer.MutesChanged(),
        peer.BlocksChanged(account_id=build.caller().account_id),
        peer.FriendsChanged(account_id=build.caller().account_id, parted=AccountId(uuid.UUID(int=3))),
        peer.Reacted(class_id=build.ROOM, entries=((build.caller().account_id, "high_five", 2),)),
        peer.ReactedTo(
            class_id=build.ROOM,
            author=build.caller().account_id,
            account_id=AccountId(uuid.UUID(int=3)),
            n=4,
            name="Ada",
            kind="high_five",
        ),
        peer.ConnectionsWanted(account_id=build.caller().account_id, by="a", ask=1),
        peer.ConnectionsHere(
            node="b",
            to="a",
            ask=1,
            connections=(peer.ConnectionHere(build.caller().login_id, 5, (build.ROOM,), None),),
        ),
        Heartbeat(node="a", seq=1),
    ]
    assert {type(message) for message in messages} == set(peer.PEER_MESSAGES)
    for message in messages:
        parcel = peer.encode("a", message)
        header = header_of(parcel)
        assert (header.sender, peer.decode(header, parcel)) == ("a", message)
