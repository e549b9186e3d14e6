"""Those who are told the same, told as one: what they get, in which order, is what each would have got alone."""

import asyncio
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.connection import Connection
from realtime.disconnect import LOGIN_ENDED
from realtime.frame import Frame
from realtime.hub import Hub
from realtime.turn import BULK, EAGER_BYTES, NO_SLOT, SLICE_BYTES, Group, Turn
from tests.realtime import build

CROWD = BULK + 6


class Wires:
    """A bulk that knows whose line is at which slot, and writes there. `short`: to whom it sends so many bytes less than all."""

    def __init__(self) -> None:
        self.lines: dict[int, list[bytes]] = {}
        self.short: dict[int, int] = {}
        self.one_by_one = 0
        self.as_one = 0

    def hold(self, descriptor: int) -> int:
        raise NotImplementedError

    def let_go(self, slot: int) -> None:
        raise NotImplementedError

    def send(self, slots: Sequence[int], pieces: Sequence[bytes]) -> list[tuple[int, int]]:
        self.one_by_one += 1
        return self._send(slots, pieces)

    def send_to_all(self, slots: "array[int]", piece: bytes) -> list[tuple[int, int]]:
        self.as_one += 1
        return self._send(slots, [piece] * len(slots))

    def _send(self, slots: Sequence[int], pieces: Sequence[bytes]) -> list[tuple[int, int]]:
        left = []
        for index, (slot, piece) in enumerate(zip(slots, pieces, strict=True)):
            sent = max(len(piece) - self.short.get(slot, 0), 0)
            self.lines[slot].append(piece[:sent])
            if sent < len(piece):
                left.append((index, sent))
        return left


@dataclass
class World:
    """A hub with everybody in a room, each on a line of its own; with `wires`, or one by one without."""

    wires: Wires | None = field(default_factory=Wires)

    patience_s: float = 3600

    def __post_init__(self) -> None:
        self.turn = Turn(self.patience_s)
        self.turn.bulk = self.wires
        self.hub = Hub(self.turn)
        self.crowd = [build.connection(f"{number}", number) for number in range(CROWD)]
        for number, one in enumerate(self.crowd):
            line = build.line_of(one)
            line.number = number
            if self.wires is not None:
                self.wires.lines[number] = line.written
            build.clear(one, self.turn)
            self.hub.add(one)
            self.hub.join(one, "room")

    def broadcast(self, frame: Frame, channel: str = "room") -> int:
        return self.hub.broadcast(channel, frame)

    def shut(self, number: int) -> None:
        self.crowd[number].shut()

    def clear(self, number: int) -> None:
        """As a link does: what stands in the mailbox first."""
        one = self.crowd[number]
        if one.write_now is None and not one.gone:
            self.turn.flush()
            build.line_of(one).written.extend(frame.ws for frame in build.taken(one.mailbox))
            build.clear(one, self.turn)

    def lost(self, number: int) -> None:
        self.crowd[number].lost("transport")
        self.hub.remove(self.crowd[number])

    def heard(self) -> list[bytes]:
        """What came out at each end."""
        return [b"".join(build.line_of(one).written) for one in self.crowd]

    def groups(self) -> set[Group]:
        """Those that have not ended."""
        return {one.group for one in self.crowd if one.group is not None and not one.group.ended}


@pytest.fixture
def world() -> World:
    return World()


def wires_of(world: World) -> Wires:
    assert world.wires is not None
    return world.wires


async def test_a_room_is_told_as_one_and_nobody_is_looked_at(world: World) -> None:
    for number in range(3):
        assert world.broadcast(build.must(number)) == CROWD
        assert {one.out for one in world.crowd} == {b""}
        await asyncio.sleep(0)
    assert world.heard() == [b"".join(build.must(number).ws for number in range(3))] * CROWD
    assert (wires_of(world).as_one, wires_of(world).one_by_one) == (3, 0)
    assert {build.line_of(one).asked for one in world.crowd} == {1}
    assert (world.turn.writes, world.turn.in_bulk, world.turn.frames) == (3 * CROWD, 3 * CROWD, 3 * CROWD)
    assert world.turn.bytes_out == 3 * CROWD * build.must().size
    statistics = world.hub.statistics()
    assert (statistics.broadcast, statistics.deliveries) == (3, 3 * CROWD)


async def test_what_a_room_says_twice_in_one_turn_is_one_write(world: World) -> None:
    world.broadcast(build.must(1))
    world.broadcast(build.must(2))
    await asyncio.sleep(0)
    assert [build.line_of(one).written for one in world.crowd] == [[build.must(1).ws + build.must(2).ws]] * CROWD
    assert (world.turn.writes, world.turn.frames) == (CROWD, 2 * CROWD)


async def test_a_room_that_says_a_lot_in_one_turn_is_written_early(world: World) -> None:
    frame = build.ended("x" * 8_000)
    said = 0
    while not build.line_of(world.crowd[0]).written:
        world.broadcast(frame)
        said += 1
    assert EAGER_BYTES < said * frame.size < EAGER_BYTES + 2 * frame.size
    world.broadcast(build.must())
    await asyncio.sleep(0)
    assert world.heard() == [said * frame.ws + build.must().ws] * CROWD


def _own_word(world: World) -> None:
    world.crowd[3].push(build.must(7))


def _own_board(world: World) -> None:
    world.crowd[3].push(build.changes(7))


def _to_two_rooms(world: World) -> None:
    world.hub.join(world.crowd[3], "small")
    world.broadcast(build.must(7), "small")


def _board_for_all(world: World) -> None:
    world.broadcast(build.changes(7))


@pytest.mark.parametrize("between", [_own_word, _own_board, _to_two_rooms, _board_for_all])
@pytest.mark.parametrize("first", [True, False])
async def test_nothing_that_is_said_to_one_of_them_is_overtaken(
    world: World, between: Callable[[World], None], first: bool
) -> None:
    world.broadcast(build.must(0))  # there is a group
    await asyncio.sleep(0)
    if first:
        between(world)
    world.broadcast(build.must(1))
    if not first:
        between(world)
    world.broadcast(build.must(2))
    world.turn.flush()
    board = between in (_own_board, _board_for_all)
    extra = build.changes(7).ws if board else build.must(7).ws
    one, two = build.must(1).ws, build.must(2).ws
    with_it = build.must(0).ws + (extra + one + two if first else one + extra + two)
    without = build.must(0).ws + one + two
    everybody = between is _board_for_all
    assert world.heard() == [with_it if number == 3 or everybody else without for number in range(CROWD)]
    wires = wires_of(world)
    assert (wires.as_one, wires.one_by_one) == (1, 1), "each had an `out` of its own in that turn"
    world.broadcast(build.must(3))
    await asyncio.sleep(0)
    assert wires.as_one == 2, "and in the next one none"


async def test_a_board_that_still_waits_is_not_overtaken_in_a_later_turn(world: World) -> None:
    world.broadcast(build.must(0))
    await asyncio.sleep(0)
    world.crowd[3].push(build.changes(1))
    world.crowd[5].push(build.must(2))
    await asyncio.sleep(0)
    stranger = build.connection("stranger")
    build.clear(stranger, world.turn)
    stranger.push(build.changes(2))
    world.broadcast(build.must(3))
    world.turn.flush()
    first, last = build.must(0).ws, build.must(3).ws
    between = {3: build.changes(1).ws, 5: build.must(2).ws}
    assert world.heard() == [first + between.get(number, b"") + last for number in range(CROWD)]


async def test_boards_of_other_rooms_keep_nobody_from_being_told_as_one(world: World) -> None:
    stranger = build.connection("stranger")
    build.clear(stranger, world.turn)
    world.broadcast(build.must(0))
    world.crowd[0].push(build.must(0))
    await asyncio.sleep(0)
    for _ in range(3):
        stranger.push(build.changes(1))
        world.broadcast(build.must(0))
        await asyncio.sleep(0)
    assert world.turn.patient
    assert wires_of(world).as_one == 3


async def test_boards_that_leave_in_slices_are_not_overtaken_between_them() -> None:
    world = World(patience_s=0)
    board = build.changes(1, rows=SLICE_BYTES // 200)
    stranger = build.connection("stranger")
    build.clear(stranger, world.turn)
    assert board.size * CROWD > 2 * SLICE_BYTES
    world.broadcast(build.must(0))
    await asyncio.sleep(0)
    world.broadcast(board)
    for _ in range(2):  # a turn in which something urgent is said to somebody else
        stranger.push(build.must(1))
        await asyncio.sleep(0)
    heard = [board.ws in data for data in world.heard()]
    assert (any(heard), all(heard)) == (True, False)
    world.broadcast(build.must(2))
    world.turn.flush()
    assert world.heard() == [build.must(0).ws + board.ws + build.must(2).ws] * CROWD


async def test_some_may_be_left_out(world: World) -> None:
    world.broadcast(build.must(0))
    assert world.hub.broadcast("room", build.must(1), without=world.crowd[:2]) == CROWD - 2
    await asyncio.sleep(0)
    first, second = build.must(0).ws, build.must(1).ws
    assert world.heard() == [first] * 2 + [first + second] * (CROWD - 2)


async def test_a_line_that_is_clear_at_another_place_is_written_to_there(world: World) -> None:
    wires = wires_of(world)
    world.broadcast(build.must(0))
    await asyncio.sleep(0)
    wires.lines[0], wires.lines[CROWD] = [], build.line_of(world.crowd[0]).written
    world.crowd[0].clear(build.line_of(world.crowd[0]).written.append, CROWD)
    world.broadcast(build.must(1))
    await asyncio.sleep(0)
    assert wires.lines[0] == []
    assert world.heard() == [build.must(0).ws + build.must(1).ws] * CROWD


async def test_who_answers_in_a_turn_is_told_as_one_again_in_the_next(world: World) -> None:
    for number in range(5):
        world.crowd[number].say(b"an answer")
        world.broadcast(build.must(number))
        await asyncio.sleep(0)
        world.broadcast(build.must(number))
        await asyncio.sleep(0)
    assert wires_of(world).as_one >= 5
    assert [data.count(b"an answer") for data in world.heard()] == [1] * 5 + [0] * (CROWD - 5)


async def test_the_rest_goes_to_the_line_itself(world: World) -> None:
    wires_of(world).short = {2: 3, 5: 1_000}
    world.broadcast(build.must(1))
    await asyncio.sleep(0)
    frame = build.must(1).ws
    assert world.heard() == [frame] * CROWD
    assert build.line_of(world.crowd[2]).written == [frame[:-3], frame[-3:]]
    assert build.line_of(world.crowd[5]).written == [b"", frame]
    assert world.turn.in_bulk == CROWD - 2


async def test_one_that_stops_being_clear_has_what_it_was_told_ahead_of_its_mailbox(world: World) -> None:
    world.broadcast(build.must(1))
    world.shut(4)
    assert world.broadcast(build.must(2)) == CROWD
    await asyncio.sleep(0)
    assert build.line_of(world.crowd[4]).written == [build.must(1).ws]
    assert world.crowd[4].mailbox.next_size() == build.must(2).size
    world.broadcast(build.must(3))
    await asyncio.sleep(0)
    both = build.must(1).ws + build.must(2).ws + build.must(3).ws
    assert [data for number, data in enumerate(world.heard()) if number != 4] == [both] * (CROWD - 1)
    assert wires_of(world).as_one == 1, "the others are told as one without it"
    world.clear(4)
    world.broadcast(build.must(4))
    await asyncio.sleep(0)
    assert world.heard() == [both + build.must(4).ws] * CROWD
    assert len(world.groups()) == 1
    assert world.crowd[4].group in world.groups(), "and with it again as soon as it is clear"


async def test_nothing_is_sent_for_one_that_is_gone_to_whoever_has_its_slot_now(world: World) -> None:
    world.broadcast(build.must(1))
    world.lost(0)
    newcomer: list[bytes] = []
    wires_of(world).lines[0] = newcomer
    await asyncio.sleep(0)
    world.broadcast(build.must(2))
    await asyncio.sleep(0)
    assert newcomer == []
    assert world.heard() == [b""] + [build.must(1).ws + build.must(2).ws] * (CROWD - 1)


async def test_what_was_told_as_one_goes_out_before_a_goodbye(world: World) -> None:
    world.broadcast(build.must(1))
    world.crowd[0].end(LOGIN_ENDED)
    assert build.line_of(world.crowd[0]).written == [build.must(1).ws]
    await asyncio.sleep(0)
    assert world.heard() == [build.must(1).ws] * CROWD


async def test_who_leaves_has_heard_what_was_said_before_and_nothing_after(world: World) -> None:
    world.broadcast(build.must(1))
    world.hub.leave(world.crowd[0], "room")
    world.broadcast(build.must(2))
    await asyncio.sleep(0)
    world.broadcast(build.must(3))
    await asyncio.sleep(0)
    one, rest = build.must(1).ws, build.must(2).ws + build.must(3).ws
    assert world.heard() == [one] + [one + rest] * (CROWD - 1)
    assert wires_of(world).as_one == 1


async def test_who_comes_hears_what_is_said_from_then_on_and_soon_with_the_others(world: World) -> None:
    world.hub.leave(world.crowd[0], "room")
    world.broadcast(build.must(1))
    world.hub.join(world.crowd[0], "room")
    world.broadcast(build.must(2))
    await asyncio.sleep(0)
    world.broadcast(build.must(3))
    await asyncio.sleep(0)
    one, rest = build.must(1).ws, build.must(2).ws + build.must(3).ws
    assert world.heard() == [rest] + [one + rest] * (CROWD - 1)
    (group,) = world.groups()
    assert len(group.writers) == CROWD


async def test_who_cannot_be_told_as_one_is_told_beside_the_others(world: World) -> None:
    build.line_of(world.crowd[0]).number = NO_SLOT  # behind TLS
    world.shut(1)
    groups: list[Group] = []
    for number in range(3):
        world.broadcast(build.must(number))
        groups += world.groups()
        await asyncio.sleep(0)
    assert wires_of(world).as_one == 3
    (group,) = world.groups()
    assert len(group.writers) == CROWD - 2
    assert groups == [group] * 3, "and nobody is looked at again"
    assert [data for number, data in enumerate(world.heard()) if number != 1] == [
        b"".join(build.must(number).ws for number in range(3))
    ] * (CROWD - 1)
    assert len(build.taken(world.crowd[1].mailbox)) == 3
    assert build.line_of(world.crowd[0]).asked == 1, "it said so once"
    world.hub.leave(world.crowd[0], "room")
    assert world.broadcast(build.must(3)) == CROWD - 1
    assert (world.groups(), world.crowd[0].out) == ({group}, b"")


async def test_an_app_hears_beside_the_others_what_it_may_hear(world: World) -> None:
    may, may_not = build.must(1), build.ended()
    app = build.app_connection("app", frozenset({"live:stream"}))
    written = build.clear(app, world.turn)
    build.line_of(app).number = CROWD
    wires_of(world).lines[CROWD] = written
    world.hub.add(app)
    world.hub.join(app, "room")
    assert world.broadcast(may) == CROWD + 1
    assert world.broadcast(may_not) == CROWD
    await asyncio.sleep(0)
    assert written == [may.ws]
    assert world.heard() == [may.ws + may_not.ws] * CROWD
    assert wires_of(world).as_one == 1


async def test_few_are_told_one_by_one() -> None:
    world = World()
    for one in world.crowd[BULK - 1 :]:
        world.hub.leave(one, "room")
    world.broadcast(build.must(1))
    await asyncio.sleep(0)
    assert world.groups() == set()
    assert world.heard()[: BULK - 1] == [build.must(1).ws] * (BULK - 1)


async def test_nobody_is_in_two_groups_and_everybody_hears_both_rooms_in_order(world: World) -> None:
    for one in world.crowd:
        world.hub.join(one, "second")
    for number in range(3):
        world.broadcast(build.must(3 * number))
        world.broadcast(build.must(3 * number + 1), "second")
        world.broadcast(build.must(3 * number + 2))
        await asyncio.sleep(0)
    assert world.heard() == [b"".join(build.must(number).ws for number in range(9))] * CROWD
    assert len(world.groups()) == 1


async def test_a_group_that_has_ended_keeps_nobody(world: World) -> None:
    world.broadcast(build.must(1))
    (group,) = world.groups()
    world.lost(0)
    assert group.ended
    assert (len(group.writers), len(group.slots)) == (0, 0)
    await asyncio.sleep(0)
    assert not group.tell(b"more")
    group.end()
    assert group.out == b""


async def test_a_room_that_everybody_has_left_is_forgotten(world: World) -> None:
    world.broadcast(build.must(1))
    for number in range(CROWD):
        world.lost(number)
    assert (world.hub._channels, world.hub._together) == ({}, {})


_people = st.integers(0, CROWD - 1)
_frames = st.sampled_from(["must", "board", "large"])
_steps = st.lists(
    st.one_of(
        st.tuples(st.just("room"), _frames),
        st.tuples(st.just("room"), _frames),
        st.tuples(st.just("second"), _frames),
        st.tuples(st.just("push"), _people, _frames),
        st.tuples(st.just("shut"), _people),
        st.tuples(st.just("clear"), _people),
        st.tuples(st.just("leave"), _people),
        st.tuples(st.just("join"), _people),
        st.tuples(st.just("end"), _people),
        st.tuples(st.just("lost"), _people),
        st.tuples(st.just("turn")),
        st.tuples(st.just("turn")),
        st.tuples(st.just("late")),
    ),
    max_size=40,
)


async def _carry_out(world: World, steps: Sequence[tuple[str | int, ...]]) -> None:
    for one in world.crowd[:-3]:
        world.hub.join(one, "second")
    for number, step in enumerate(steps):
        match step:
            case ("room" | "second") as channel, kind:
                world.broadcast(_frame(kind, number), channel)
            case "push", int(who), kind:
                world.crowd[who].push(_frame(kind, number))
            case "shut", int(who):
                world.shut(who)
            case "clear", int(who):
                world.clear(who)
            case "leave", int(who):
                world.hub.leave(world.crowd[who], "room")
            case "join", int(who):
                world.hub.join(world.crowd[who], "room")
            case "end", int(who):
                world.crowd[who].end(LOGIN_ENDED)
            case "lost", int(who):
                world.lost(who)
            case ("turn",):
                await asyncio.sleep(0)
            case _:
                world.turn.flush()
    world.turn.flush()


def _frame(kind: str | int, number: int) -> Frame:
    if kind == "board":
        return build.changes(number)
    return build.must(number) if kind == "must" else build.ended(f"{number}" + "x" * 30_000)


@given(_steps, st.dictionaries(_people, st.integers(1, 200), max_size=3))
def test_whatever_happens_everybody_hears_what_they_would_have_heard_one_by_one(
    steps: list[tuple[str | int, ...]], short: dict[int, int]
) -> None:
    async def both() -> tuple[World, World]:
        as_one, alone = World(), World(wires=None)
        wires_of(as_one).short = short
        await _carry_out(as_one, steps)
        await _carry_out(alone, steps)
        return as_one, alone

    as_one, alone = asyncio.run(both())
    assert as_one.heard() == alone.heard()
    assert [_left(one) for one in as_one.crowd] == [_left(one) for one in alone.crowd]
    assert (as_one.turn.frames, as_one.turn.bytes_out) == (alone.turn.frames, alone.turn.bytes_out)
    assert as_one.hub.statistics() == alone.hub.statistics()
    assert {one.out for one in as_one.crowd} <= {b""}


def _left(one: Connection) -> tuple[list[bytes], bool]:
    return [frame.ws for frame in build.taken(one.mailbox)], one.gone
