"""Many sockets written to with one system call: what arrives, what is told, and what is never done."""

import ctypes
import errno
import os
import random
import select
import socket
from array import array
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from structlog.testing import capture_logs

from gateway.sockets.engine import ring as module
from gateway.sockets.engine.ring import BYTES, ENTRIES, RUN, Ring, open_ring, system_call
from realtime.turn import NO_SLOT

SETUP, ENTER, REGISTER = 425, 426, 427


class Pair:
    """A connection over loopback: what is sent `here` comes out `there`. Little room in between."""

    def __init__(self, room: int = 4_096) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            self.there = socket.socket()
            self.there.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
            self.there.connect(server.getsockname())
            self.here, _ = server.accept()
        self.here.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, room)
        self.here.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.here.setblocking(False)
        self.there.settimeout(60)

    def read(self, size: int) -> bytes:
        """So many bytes; fewer when the other end is closed."""
        came = b""
        while len(came) < size and (piece := self.there.recv(size - len(came))):
            came += piece
        return came

    def waiting(self) -> bytes:
        """What has come, without waiting."""
        came = b""
        look = select.poll()  # not select, which knows a thousand descriptors
        look.register(self.there, select.POLLIN)
        while look.poll(0) and (piece := self.there.recv(65_536)):
            came += piece
        return came

    def close(self) -> None:
        self.here.close()
        self.there.close()


@pytest.fixture
def ring() -> Iterator[Ring]:
    found = open_ring()
    if found is None:
        pytest.skip("this machine does not let us have io_uring; the log of open_ring says why")
    yield found
    found.close()


@pytest.fixture
def closing() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def pairs(closing: ExitStack, count: int, room: int = 4_096) -> list[Pair]:
    made = [Pair(room) for _ in range(count)]
    for one in made:
        closing.callback(one.close)
    return made


def slots_of(ring: Ring, several: list[Pair]) -> list[int]:
    slots = [ring.hold(one.here.fileno()) for one in several]
    assert NO_SLOT not in slots
    assert len(set(slots)) == len(several)
    return slots


def test_the_same_bytes_reach_everybody_also_when_they_are_more_than_one_call_takes(
    ring: Ring, closing: ExitStack
) -> None:
    several = pairs(closing, ENTRIES + 44)
    slots = slots_of(ring, several)
    for number in range(7):  # the ring's ends are passed in every way
        said = b"event %d" % number
        count = len(several) - number * 31
        assert ring.send(slots[:count], [said] * count) == []
        assert {one.read(len(said)) for one in several[:count]} == {said}
        assert {one.waiting() for one in several[count:]} <= {b""}


def test_what_is_for_all_reaches_all_of_them_also_when_they_are_more_than_one_call_takes(
    ring: Ring, closing: ExitStack
) -> None:
    several = pairs(closing, 2 * ENTRIES + 44)
    slots = slots_of(ring, several)
    for number in range(7):
        said = b"event %d" % number * (1 + number % 2)
        count = len(several) - number * 83
        assert ring.send_to_all(array("i", slots[:count]), said) == []
        assert {one.read(len(said)) for one in several[:count]} == {said}
        assert {one.waiting() for one in several[count:]} <= {b""}


def test_both_ways_of_sending_keep_out_of_each_others_way(ring: Ring, closing: ExitStack) -> None:
    several = pairs(closing, 30)
    slots = slots_of(ring, several)
    rooms = array("i", slots[:20]), array("i", slots[5:])
    for number in range(20):
        said, own = b"room %d;" % number, [b"%d says %d;" % (at, number) for at in range(30)]
        pieces = own if number % 3 else [said] * 30
        room = rooms[number % 2]
        assert ring.send_to_all(room, said) == []
        assert ring.send(slots, pieces) == []
        for one, slot, piece in zip(several, slots, pieces, strict=True):
            whole = said + piece if slot in room else piece
            assert one.read(len(whole)) == whole
            assert one.waiting() == b""


def test_of_what_is_for_all_is_told_who_has_not_taken_it_to_the_byte(ring: Ring, closing: ExitStack) -> None:
    several = pairs(closing, ENTRIES + 20)
    slots = array("i", slots_of(ring, several))
    slow = {3, ENTRIES + 7}
    said = bytes(random.Random(1).randbytes(3_000))
    taken, told = dict.fromkeys(slow, b""), dict[int, int]()
    while not told:
        told = dict(ring.send_to_all(slots, said))
        assert told.keys() <= slow
        for at, one in enumerate(several):
            if at not in slow:
                assert one.read(len(said)) == said
                continue
            taken[at] += said[: told.get(at, len(said))]
            if at in told:
                assert one.read(len(taken[at])) == taken[at]
                assert one.waiting() == b""
                taken[at] = b""


def test_what_fits_into_no_call_is_left_to_all(ring: Ring, closing: ExitStack) -> None:
    several = pairs(closing, 3)
    slots = array("i", slots_of(ring, several))
    assert ring.send_to_all(slots, bytes(BYTES + 1)) == [(0, 0), (1, 0), (2, 0)]
    assert {one.waiting() for one in several} == {b""}


def test_each_gets_its_own(ring: Ring, closing: ExitStack) -> None:
    several = pairs(closing, 40)
    slots = slots_of(ring, several)
    said = [b"%d:" % number * (number + 1) for number in range(40)]
    assert ring.send(slots, said) == []
    assert [one.read(len(piece)) for one, piece in zip(several, said, strict=True)] == said
    backwards = slots[::-1]
    assert ring.send(backwards, said) == []
    assert [one.read(len(piece)) for one, piece in zip(several[::-1], said, strict=True)] == said


@pytest.mark.parametrize("members", [1, RUN - 1, RUN, 20, 59])
def test_what_rooms_hear_reaches_their_members(ring: Ring, closing: ExitStack, members: int) -> None:
    several = pairs(closing, 60, room=128 * 1024)
    slots = slots_of(ring, several)
    boards = [bytes([number]) * (6_000 + number) for number in range(60)]
    said = [boards[number // members] for number in range(60)]
    assert ring.send(slots, said) == []
    assert [one.read(len(piece)) for one, piece in zip(several, said, strict=True)] == said
    assert {one.waiting() for one in several} == {b""}


def test_more_bytes_than_fit_go_in_several_calls_and_a_piece_that_never_fits_is_left(
    ring: Ring, closing: ExitStack
) -> None:
    several = pairs(closing, 5, room=4 * 1024 * 1024)
    slots = slots_of(ring, several)
    said = [os.urandom(BYTES // 2 + 1) for _ in range(4)]
    said.insert(2, bytes(BYTES + 1))
    left = dict(ring.send(slots, said))
    assert left.pop(2) == 0
    for index, (one, piece) in enumerate(zip(several, said, strict=True)):
        sent = 0 if index == 2 else left.get(index, len(piece))
        assert one.read(sent) == piece[:sent]
        assert one.waiting() == b""


def test_what_a_slow_reader_does_not_take_is_told_to_the_byte(ring: Ring, closing: ExitStack) -> None:
    slow, *others = pairs(closing, 20)
    slots = slots_of(ring, [slow, *others])
    said = bytes(random.Random(1).randbytes(3_000))
    stream, told = b"", list[tuple[int, int]]()
    while not told:
        told = ring.send(slots, [said] * 20)
        assert {one.read(len(said)) for one in others} == {said}
        stream += said
    ((index, sent),) = told
    assert (index, 0 <= sent < len(said)) == (0, True)
    kept = len(stream) - len(said) + sent
    assert slow.read(kept) == stream[:kept]
    assert slow.waiting() == b""


def test_a_peer_that_is_gone_is_told_and_costs_nobody_else_anything(ring: Ring, closing: ExitStack) -> None:
    several = pairs(closing, 20)
    slots = slots_of(ring, several)
    several[7].there.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    several[7].there.close()
    assert ring.send(slots, [b"hello"] * 20) == [(7, 0)]
    del several[7]
    assert {one.read(5) for one in several} == {b"hello"}


def test_what_is_said_to_a_closed_line_never_reaches_whoever_has_its_number_now(ring: Ring, closing: ExitStack) -> None:
    (before,) = pairs(closing, 1)
    slot = ring.hold(before.here.fileno())
    number = before.here.fileno()
    (after,) = pairs(closing, 1)
    os.close(before.here.detach())
    os.dup2(after.here.fileno(), number)
    closing.callback(os.close, number)
    assert ring.send([slot], [b"not for you"]) == []
    assert after.waiting() == b""
    assert before.read(11) == b"not for you"


def test_a_socket_is_closed_when_it_is_let_go_and_its_slot_is_given_again(ring: Ring, closing: ExitStack) -> None:
    first, second = pairs(closing, 2)
    slot = ring.hold(first.here.fileno())
    first.here.close()
    assert not select.select([first.there], [], [], 0.05)[0]
    ring.let_go(slot)
    assert first.there.recv(1) == b"", "closed"
    assert ring.held == 0
    assert ring.hold(second.here.fileno()) == slot
    assert ring.send([slot], [b"second"]) == []
    assert second.read(6) == b"second"


def test_slots_run_out_without_harm(monkeypatch: pytest.MonkeyPatch, ring: Ring, closing: ExitStack) -> None:
    monkeypatch.setattr(module, "SLOTS", 2)
    small = open_ring()
    assert small is not None
    closing.callback(small.close)
    several = pairs(closing, 3)
    slots = [small.hold(one.here.fileno()) for one in several]
    assert (slots, small.held) == ([0, 1, NO_SLOT], 2)
    small.let_go(slots[2])
    small.let_go(slots[0])
    assert small.hold(several[2].here.fileno()) == 0
    assert small.hold(-1) == NO_SLOT, "a line that is closed already"


def test_whoever_sends_what_is_left_later_loses_and_doubles_nothing(ring: Ring, closing: ExitStack) -> None:
    """Twelve lines, some of which read slowly; what is left waits with whoever sent it, as with a transport."""
    dice = random.Random(20261129)
    several = pairs(closing, 12)
    slots = slots_of(ring, several)
    said, came, waiting = ([b""] * 12 for _ in range(3))
    blocked = 0
    for turn in range(400):
        for at, one in enumerate(several):
            if dice.random() < (0.9 if at % 3 else 0.1):
                came[at] += one.waiting()
            if waiting[at]:
                try:
                    waiting[at] = waiting[at][one.here.send(waiting[at]) :]
                except BlockingIOError:
                    blocked += 1
        clear = [at for at in range(12) if not waiting[at] and dice.random() < 0.8]
        event = dice.randbytes(dice.randrange(1, 2_000))
        pieces = [event if turn % 2 else dice.randbytes(dice.randrange(1, 2_000)) for _ in clear]
        for at, piece in zip(clear, pieces, strict=True):
            said[at] += piece
        if clear:
            for index, sent in ring.send([slots[at] for at in clear], pieces):
                waiting[clear[index]] = pieces[index][sent:]
    for at, one in enumerate(several):
        one.here.settimeout(60)
        while waiting[at]:
            waiting[at] = (
                waiting[at][one.here.send(waiting[at]) :] if select.select([], [one.here], [], 0)[1] else waiting[at]
            )
            came[at] += one.waiting()
        came[at] += one.read(len(said[at]) - len(came[at]))
    assert came == said
    assert blocked > 20, "slow readers were among them"


@pytest.mark.parametrize("short", [0, 1, 13])
def test_what_the_kernel_leaves_because_it_is_short_is_told_and_sent_once(
    ring: Ring, closing: ExitStack, short: int
) -> None:
    real = system_call()

    def call(number: int, *words: int) -> int:
        if number == ENTER and words[1] > short:
            if not short:
                ctypes.set_errno(errno.EAGAIN)
                return -1
            return real(number, words[0], short, *words[2:])
        return real(number, *words)

    several = pairs(closing, 30)
    slots = slots_of(ring, several)
    whole = ring._call
    ring.__dict__["_call"] = call
    assert sorted(ring.send(slots, [b"one"] * 30)) == [(index, 0) for index in range(short, 30)]
    ring.__dict__["_call"] = whole
    assert ring.send(slots, [b"two"] * 30) == []
    assert [one.read(3 + 3 * (at < short)) for at, one in enumerate(several)] == [b"onetwo"] * short + [b"two"] * (
        30 - short
    )
    assert {one.waiting() for one in several} == {b""}


def test_after_its_end_it_sends_and_holds_nothing_and_has_given_everything_back(closing: ExitStack) -> None:
    before = set(os.listdir("/proc/self/fd"))
    ring = open_ring()
    if ring is None:
        pytest.skip("this machine does not let us have io_uring; the log of open_ring says why")
    ring.close()
    ring.close()
    assert set(os.listdir("/proc/self/fd")) == before
    (one,) = pairs(closing, 1)
    assert ring.hold(one.here.fileno()) == NO_SLOT
    ring.let_go(0)
    assert ring.send([0, 0], [b"a", b"b"]) == [(0, 0), (1, 0)]
    assert ring.send_to_all(array("i", [0, 0]), b"a") == [(0, 0), (1, 0)]
    assert one.waiting() == b""


@pytest.mark.parametrize("error", [errno.EPERM, errno.ENOSYS, errno.EINVAL])
def test_where_it_is_forbidden_or_unknown_there_is_none_and_the_log_says_why(error: int) -> None:
    def refused(_number: int, *_words: int) -> int:
        ctypes.set_errno(error)
        return -1

    with capture_logs() as logs:
        assert open_ring(refused) is None
    assert [(one["event"], os.strerror(error) in one["reason"]) for one in logs] == [("ring.none", True)]


@pytest.mark.parametrize("forbidden", [ENTER, REGISTER])
def test_where_only_a_part_of_it_is_allowed_there_is_none_and_nothing_is_kept(ring: Ring, forbidden: int) -> None:
    real = system_call()
    asked: list[int] = []

    def call(number: int, *words: int) -> int:
        asked.append(number)
        if number == forbidden:
            ctypes.set_errno(errno.EPERM)
            return -1
        return real(number, *words)

    before = set(os.listdir("/proc/self/fd"))
    with capture_logs() as logs:
        assert open_ring(call) is None
    assert (asked[0], asked[-1] in (forbidden, REGISTER)) == (SETUP, True)
    assert [one["event"] for one in logs] == ["ring.none"]
    assert set(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize(
    "lie", ["nothing is sent", "what does not fit is not told", "what is let go is closed a second later"]
)
def test_a_kernel_that_does_it_in_another_way_is_not_used(ring: Ring, lie: str) -> None:
    """The check at every start, against kernels that there are not."""
    real = system_call()
    made: list[Ring] = []
    before = set(os.listdir("/proc/self/fd"))

    class Told(Ring):
        def _submit(self, begin: int, slots: object, left: list[tuple[int, int]]) -> None:
            made.append(self)
            if lie == "nothing is sent":
                return
            super()._submit(begin, slots, left)  # type: ignore[arg-type]
            if lie == "what does not fit is not told":
                left.clear()

        def let_go(self, slot: int) -> None:
            if lie != "what is let go is closed a second later":
                super().let_go(slot)

    with pytest.MonkeyPatch.context() as patch, capture_logs() as logs:
        patch.setattr(module, "Ring", Told)
        assert open_ring(real) is None
    assert made
    assert [one["event"] for one in logs][-1] == "ring.none"
    assert set(os.listdir("/proc/self/fd")) == before


def test_elsewhere_than_on_linux_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "darwin")
    with capture_logs() as logs:
        assert open_ring() is None
    assert logs[0]["reason"] == "there is io_uring on Linux only"
