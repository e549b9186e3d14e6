"""Who hears what on one node."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.connection import Connection
from realtime.frame import Frame
from realtime.hub import Hub
from realtime.mailbox import Mailbox
from realtime.turn import Turn
from tests.realtime import build


def test_a_broadcast_hands_the_same_frame_to_every_member() -> None:
    hub, frame = Hub(), build.ended()
    members = [build.connection(name, account) for account, name in enumerate("abc")]
    for one in members:
        hub.add(one)
        hub.join(one, "room")
    stranger = build.connection("d", 9)
    hub.add(stranger)
    assert hub.broadcast("room", frame) == 3
    assert all(one.mailbox.take() is frame for one in members)
    assert stranger.mailbox.take() is None


def test_a_broadcast_may_leave_a_few_out_and_costs_the_others_nothing() -> None:
    hub, frame = Hub(), build.ended()
    members = [build.connection(name, account) for account, name in enumerate("abc")]
    for one in members:
        hub.add(one)
        hub.join(one, "room")
    assert hub.broadcast("room", frame, without={members[1]}) == 2
    assert [one.mailbox.take() for one in members] == [frame, None, frame]
    assert hub.broadcast("room", frame, without=set(members)) == 0


def test_a_snapshot_for_slow_readers_is_made_once_per_broadcast() -> None:
    hub, made = Hub(), []

    def whole() -> Frame:
        made.append(build.snapshot(2))
        return made[-1]

    slow = [build.connection(name, account) for account, name in enumerate("abc")]
    quick = build.connection("q", 9)
    for one in (*slow, quick):
        hub.add(one)
        hub.join(one, "room")
    hub.broadcast("room", build.changes(1), key="board", whole=whole)
    quick.mailbox.take()
    second = build.changes(2)
    hub.broadcast("room", second, key="board", whole=whole)
    assert len(made) == 1
    assert all(one.mailbox.take() is made[0] for one in slow)
    assert quick.mailbox.take() is second


def test_leaving_and_removing_forget_the_channel() -> None:
    hub, one, two = Hub(), build.connection("a"), build.connection("b", 2)
    for each in (one, two):
        hub.add(each)
        assert hub.join(each, "room")
    assert not hub.join(one, "room")
    assert hub.count("room") == 2
    assert hub.leave(one, "room")
    assert not hub.leave(one, "room")
    assert hub.members("room") == (two,)
    assert hub.remove(two, "client") == ("room",)
    assert hub.remove(two, "client") == ()
    assert (hub.count("room"), len(hub), hub.statistics().channels) == (0, 1, 0)
    assert hub.statistics().closed == {"client": 1}


def test_a_connection_that_is_gone_cannot_join() -> None:
    hub, one = Hub(), build.connection()
    assert not hub.join(one, "room")
    assert hub.count("room") == 0


def test_connections_are_found_by_their_login() -> None:
    hub = Hub()
    phone, watch, other = (
        build.connection("phone", 1, 11),
        build.connection("watch", 1, 11),
        build.connection("other", 2, 21),
    )
    for one in (phone, watch, other):
        hub.add(one)
    assert hub.of_login(watch.caller.login_id) == (phone, watch)
    assert hub.of_login(other.caller.login_id) == (other,)
    hub.remove(watch)
    assert hub.of_login(phone.caller.login_id) == (phone,)
    hub.remove(phone)
    assert hub.of_login(phone.caller.login_id) == ()
    assert hub.get("watch") is None
    assert hub.get("other") is other


def test_an_id_is_taken_only_once() -> None:
    hub = Hub()
    hub.add(build.connection("a"))
    with pytest.raises(ValueError, match="already"):
        hub.add(build.connection("a"))


def test_one_full_mailbox_does_not_keep_the_others_from_hearing() -> None:
    hub, frame = Hub(), build.ended()
    full = build.connection("full", 1, mailbox=Mailbox(soft_bytes=10, hard_bytes=20))
    fine = build.connection("fine", 2)
    for one in (full, fine):
        hub.add(one)
        hub.join(one, "room")
    hub.broadcast("room", frame)
    assert full.closed
    assert fine.mailbox.take() is frame


def test_counters_outlive_the_connections_they_counted() -> None:
    hub, one = Hub(), build.connection(mailbox=Mailbox(soft_bytes=1, hard_bytes=10_000))
    hub.add(one)
    hub.join(one, "room")
    hub.broadcast("room", build.droppable())
    assert hub.statistics().dropped == 1
    hub.remove(one)
    after = hub.statistics()
    assert (after.dropped, after.opened, after.connections, after.deliveries) == (1, 1, 0, 1)


# -- lines that are clear ---------------------------------------------------------------------------------------------


def test_members_whose_line_is_clear_get_the_same_bytes_when_the_turn_is_over() -> None:
    turn = Turn()
    hub = Hub(turn)
    one, two, slow = (build.connection(name) for name in ("one", "two", "slow"))
    for member in (one, two, slow):
        hub.add(member)
        hub.join(member, "room")
    written = build.clear(one, turn), build.clear(two, turn)
    frame = build.must()

    async def say() -> None:
        assert hub.broadcast("room", frame) == 3
        assert written == ([], [])
        turn.flush()

    asyncio.run(say())
    assert [data is frame.ws for (data,) in written] == [True, True]
    assert build.taken(slow.mailbox) == [frame]
    assert (turn.writes, turn.frames) == (2, 2)


def three_in_a_room() -> tuple[Turn, Hub, list[Connection]]:
    turn = Turn()
    hub, members = Hub(turn), [build.connection(name) for name in "abc"]
    for member in members:
        hub.add(member)
        hub.join(member, "room")
    return turn, hub, members


def test_what_a_room_says_twice_in_one_turn_is_joined_once_for_all() -> None:
    turn, hub, members = three_in_a_room()
    written = [build.clear(member, turn) for member in members]

    async def say() -> None:
        members[0].push(build.must(0))
        hub.broadcast("room", build.must(1))
        hub.broadcast("room", build.must(2))
        turn.flush()

    asyncio.run(say())
    both = build.must(1).ws + build.must(2).ws
    assert [data for (data,) in written] == [build.must(0).ws + both, both, both]
    assert written[1][0] is written[2][0]
    assert (turn.writes, turn.frames, turn.bytes_out) == (3, 7, sum(len(data) for (data,) in written))


def test_what_must_arrive_is_joined_once_for_all_to_the_board_that_waits() -> None:
    turn, hub, members = three_in_a_room()
    written = [build.clear(member, turn) for member in members]

    async def say() -> None:
        hub.broadcast("room", build.changes(1))
        hub.broadcast("room", build.must(2))
        await asyncio.sleep(0)

    asyncio.run(say())
    assert [data for (data,) in written] == [build.changes(1).ws + build.must(2).ws] * 3
    assert written[0][0] is written[1][0] is written[2][0]
    assert (turn.writes, turn.frames) == (3, 6)


_said = st.lists(
    st.tuples(st.sampled_from(["a", "b", "both", "all"]), st.sampled_from(["must", "changes", "large"])), max_size=12
)


@given(_said)
def test_everybody_is_told_exactly_what_concerns_them_in_order_whoever_else_is_told_what(
    said: list[tuple[str, str]],
) -> None:
    turn = Turn()
    hub, names = Hub(turn), ("a", "b", "c")
    members = {name: build.connection(name) for name in names}
    for name, member in members.items():
        hub.add(member)
        for channel in (name, "all", *(("both",) if name != "c" else ())):
            hub.join(member, channel)
    written = {name: build.clear(member, turn) for name, member in members.items()}
    told: dict[str, bytes] = dict.fromkeys(names, b"")
    heard_by = {"a": "a", "b": "b", "both": "ab", "all": "abc"}

    async def say() -> None:
        for number, (channel, kind) in enumerate(said):
            frame = build.changes(number) if kind == "changes" else build.must(number)
            if kind == "large":
                frame = build.ended("x" * 40_000)
            hub.broadcast(channel, frame)
            for name in heard_by[channel]:
                told[name] += frame.ws
        turn.flush()

    asyncio.run(say())
    assert {name: b"".join(data) for name, data in written.items()} == told
    assert turn.frames == sum(len(heard_by[channel]) for channel, _ in said)


def test_what_is_said_in_one_turn_keeps_its_order_across_channels() -> None:
    turn = Turn()
    hub, one = Hub(turn), build.connection()
    hub.add(one)
    for channel in ("a", "b"):
        hub.join(one, channel)
    written = build.clear(one, turn)
    frames = [build.must(number) for number in range(5)]

    async def say() -> None:
        one.push(frames[0])
        hub.broadcast("a", frames[1])
        hub.broadcast("b", frames[2])
        one.push(frames[3])
        hub.broadcast("a", frames[4])
        turn.flush()

    asyncio.run(say())
    assert written == [b"".join(frame.ws for frame in frames)]
    assert (turn.writes, turn.frames) == (1, 5)
