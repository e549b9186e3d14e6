"""Putting together what one loop turn says."""

import asyncio

from realtime.disconnect import DRAINING
from realtime.turn import EAGER_BYTES, SLICE_BYTES, WRITE_COSTS, Turn
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
    one.write_now = None
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
