"""Putting together what one loop turn says."""

import asyncio
from array import array
from collections.abc import Sequence

import pytest

from realtime.connection import Connection
from realtime.disconnect import DRAINING
from realtime.turn import BULK, EAGER_BYTES, NO_SLOT, SLICE_BYTES, WRITE_COSTS, Turn
from tests.realtime import build


class Note:
    """An outlet that counts."""

    def __init__(self) -> None:
        self.wrote = 0

    def write_out(self) -> None:
        self.wrote += 1


async def test_nothing_is_written_before_the_turn_is_over() -> None:
    turn, note = Turn(), Note()
    turn.ask(note)
    assert note.wrote == 0
    await asyncio.sleep(0)
    assert note.wrote == 1


async def test_latest_only_frames_wait_for_company_which_takes_them_along() -> None:
    turn = Turn(patience_s=3600)
    one = build.connection()
    written = build.clear(one, turn)
    one.push(build.changes(1))
    await asyncio.sleep(0)
    assert written == []
    one.push(build.must())
    await asyncio.sleep(0)
    assert written == [build.changes(1).ws + build.must().ws]
    turn.flush()
    assert len(written) == 1, "the patience finds nothing left to write"


async def test_without_patience_latest_only_frames_leave_with_the_turn() -> None:
    turn = Turn(patience_s=0)
    one = build.connection()
    written = build.clear(one, turn)
    one.push(build.changes(1))
    await asyncio.sleep(0)
    assert written == [build.changes(1).ws]


async def test_patience_ends_by_itself() -> None:
    turn = Turn(patience_s=0.001)
    one = build.connection()
    written = build.clear(one, turn)
    one.push(build.changes(1))
    async with asyncio.timeout(5):
        while not written:
            await asyncio.sleep(0.001)
    assert written == [build.changes(1).ws]


async def test_boards_for_many_leave_in_slices_between_which_others_have_their_turn() -> None:
    turn = Turn(patience_s=0)
    board = build.changes(1, rows=1_000)
    crowd = [build.connection(f"{number}") for number in range(3 * SLICE_BYTES // board.size)]
    written = [build.clear(one, turn) for one in crowd]
    for one in crowd:
        one.push(board)
    await asyncio.sleep(0)
    assert 0 < sum(map(len, written)) < len(crowd) / 2
    crowd[-1].push(build.must())
    await asyncio.sleep(0)
    assert written[-1] == [board.ws + build.must().ws], "what must arrive takes its board along, and waits for no other"
    assert written[-2] == []
    for one in crowd:
        one.push(build.changes(2))
    for _ in range(9):
        await asyncio.sleep(0)
    assert {b"".join(data) for data in written[:-1]} == {board.ws + build.changes(2).ws}
    assert written[-1] == [board.ws + build.must().ws, build.changes(2).ws]
    assert turn.frames == 2 * len(crowd) + 1


async def test_many_small_boards_are_a_slice_as_well() -> None:
    turn = Turn(patience_s=0)
    crowd = [build.connection(f"{number}") for number in range(2 * SLICE_BYTES // WRITE_COSTS)]
    written = [build.clear(one, turn) for one in crowd]
    for one in crowd:
        one.push(build.changes(1))
    await asyncio.sleep(0)
    assert 0 < sum(map(len, written)) <= SLICE_BYTES // WRITE_COSTS
    for _ in range(5):
        await asyncio.sleep(0)
    assert sum(map(len, written)) == len(crowd)


def test_before_a_stop_everything_is_written_where_no_loop_turns_any_more() -> None:
    turn = Turn(patience_s=3600)
    crowd = [build.connection(f"{number}") for number in range(3)]
    written = [build.clear(one, turn) for one in crowd]

    async def say() -> None:
        for one in crowd:
            one.push(build.changes(1, rows=SLICE_BYTES // 20))

    asyncio.run(say())
    turn.flush()
    assert [len(data) for data in written] == [1, 1, 1]


async def test_a_connection_that_says_a_lot_in_one_turn_is_written_early() -> None:
    turn = Turn()
    one = build.connection()
    written = build.clear(one, turn)
    frame = build.ended("x" * 8_000)
    while not written:
        one.push(frame)
    assert EAGER_BYTES < len(written[0]) < EAGER_BYTES + 2 * frame.size
    assert one.out == b""


async def test_a_line_that_stops_being_clear_keeps_what_was_put_together_ahead_of_the_mailbox() -> None:
    turn = Turn()
    one = build.connection()
    build.clear(one, turn)
    one.push(build.must(1))
    one.shut()
    second = build.must(2)
    one.push(second)
    turn.flush()
    assert build.line_of(one).written == [build.must(1).ws]
    assert build.taken(one.mailbox) == [second]


async def test_what_was_put_together_goes_out_before_the_goodbye() -> None:
    turn = Turn()
    one = build.connection()
    written = build.clear(one, turn)
    one.push(build.must())
    one.end(DRAINING)
    assert written == [build.must().ws]
    (bye,) = build.texts(one.mailbox)
    assert bye.startswith('["bye"')
    one.push(build.must())
    turn.flush()
    assert len(written) == 1


async def test_nothing_is_written_to_a_line_that_is_gone() -> None:
    turn = Turn()
    one = build.connection()
    written = build.clear(one, turn)
    one.push(build.must())
    one.lost("transport")
    turn.flush()
    assert written == []


async def test_one_outlet_in_trouble_does_not_keep_the_others_back() -> None:
    class Broken:
        def write_out(self) -> None:
            raise OSError("no")

    turn, note = Turn(), Note()
    turn.ask(Broken())
    turn.ask(note)
    await asyncio.sleep(0)
    assert note.wrote == 1


class Many:
    """A bulk that notes what it was asked to send, and sends of some only a part."""

    def __init__(self, **sends: int) -> None:
        self.sent: list[list[tuple[int, bytes]]] = []
        self._sends = {int(slot[1:]): size for slot, size in sends.items()}

    def hold(self, descriptor: int) -> int:
        raise NotImplementedError

    def let_go(self, slot: int) -> None:
        raise NotImplementedError

    def send(self, slots: Sequence[int], pieces: Sequence[bytes]) -> list[tuple[int, int]]:
        self.sent.append(list(zip(slots, pieces, strict=True)))
        return [(index, self._sends[slot]) for index, slot in enumerate(slots) if slot in self._sends]

    def send_to_all(self, slots: "array[int]", piece: bytes) -> list[tuple[int, int]]:
        return self.send(slots, [piece] * len(slots))


def crowd_of(turn: Turn, count: int) -> tuple[list[Connection], list[list[bytes]]]:
    """So many clear connections, and what is written to each by itself. Their slots are not known before they are asked."""
    crowd = [build.connection(f"{number}") for number in range(count)]
    for number, one in enumerate(crowd):
        build.line_of(one).number = number
    return crowd, [build.clear(one, turn) for one in crowd]


async def test_what_is_said_to_many_is_written_in_bulk_and_to_few_one_by_one() -> None:
    turn, many = Turn(), Many()
    turn.bulk = many
    crowd, written = crowd_of(turn, BULK)
    for one in crowd:
        one.push(build.must())
    turn.flush()
    assert many.sent == [[(number, build.must().ws) for number in range(BULK)]]
    assert written == [[]] * BULK
    for one in crowd[1:]:
        one.push(build.must())
    turn.flush()
    assert len(many.sent) == 1
    assert written == [[], *[[build.must().ws]] * (BULK - 1)]
    assert (turn.writes, turn.in_bulk, turn.frames) == (2 * BULK - 1, BULK, 2 * BULK - 1)
    assert turn.bytes_out == (2 * BULK - 1) * build.must().size


async def test_what_the_bulk_has_not_sent_goes_to_the_line_itself() -> None:
    turn = Turn()
    turn.bulk = Many(s3=5, s7=0)
    crowd, written = crowd_of(turn, BULK)
    for one in crowd:
        one.push(build.must())
    turn.flush()
    frame = build.must().ws
    assert [at for at, data in enumerate(written) if data] == [3, 7]
    assert (written[3], written[7]) == ([frame[5:]], [frame])
    assert (turn.writes, turn.in_bulk) == (BULK, BULK - 2)


async def test_a_rest_that_cannot_be_written_keeps_nobody_elses_back() -> None:
    turn = Turn()
    turn.bulk = Many(s3=5, s7=0)
    crowd, written = crowd_of(turn, BULK)

    def broken(_: bytes) -> None:
        raise OSError("no such line")

    crowd[3].clear(broken)
    for one in crowd:
        one.push(build.must())
    turn.flush()
    assert written[7] == [build.must().ws]


async def test_lines_that_are_not_clear_or_not_known_are_written_to_by_themselves() -> None:
    turn, many = Turn(), Many()
    turn.bulk = many
    crowd, written = crowd_of(turn, BULK + 2)
    for one in crowd:
        one.push(build.must())
    crowd[0].shut()
    build.line_of(crowd[1]).number = NO_SLOT
    turn.flush()
    assert [[slot for slot, _ in sent] for sent in many.sent] == [list(range(2, BULK + 2))]
    assert written == [[build.must().ws]] * 2 + [[]] * BULK
    assert (turn.writes, turn.in_bulk) == (BULK + 2, BULK)


async def test_a_line_is_asked_for_its_slot_once_and_again_when_it_is_clear_again() -> None:
    turn = Turn()
    turn.bulk = Many()
    crowd, _ = crowd_of(turn, BULK)
    for _ in range(3):
        for one in crowd:
            one.push(build.must())
        turn.flush()
    assert {build.line_of(one).asked for one in crowd} == {1}
    crowd[0].shut()
    build.clear(crowd[0], turn)
    for one in crowd:
        one.push(build.must())
    turn.flush()
    assert [build.line_of(one).asked for one in crowd[:2]] == [2, 1]


async def test_who_was_put_down_twice_is_written_to_once() -> None:
    turn, many = Turn(), Many()
    turn.bulk = many
    crowd, written = crowd_of(turn, BULK)
    for one in crowd:
        one.push(build.must())
    crowd[0].write_out()
    crowd[0].push(build.must(2))
    turn.flush()
    assert written[0] == [build.must().ws]
    assert sorted(many.sent[0])[0] == (0, build.must(2).ws)
    assert len(many.sent[0]) == BULK


@pytest.mark.parametrize("bulk", [True, False])
async def test_boards_leave_in_slices_in_bulk_too(bulk: bool) -> None:
    turn, many = Turn(patience_s=0), Many()
    if bulk:
        turn.bulk = many
    crowd, written = crowd_of(turn, 2 * SLICE_BYTES // WRITE_COSTS)
    for one in crowd:
        one.push(build.changes(1))
    await asyncio.sleep(0)
    some = sum(map(len, many.sent)) + sum(map(len, written))
    assert 0 < some <= SLICE_BYTES // WRITE_COSTS
    for _ in range(5):
        await asyncio.sleep(0)
    in_bulk = sum(map(len, many.sent))
    assert in_bulk + sum(map(len, written)) == len(crowd)
    assert in_bulk == turn.in_bulk
    assert in_bulk >= len(crowd) - BULK if bulk else in_bulk == 0, "a last slice of a few goes one by one"
