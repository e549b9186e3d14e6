"""What a slow reader gets, what it loses, and what it costs."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.frame import Frame
from realtime.mailbox import Mailbox, Verdict
from tests.realtime import build


def test_frames_leave_in_the_order_they_came() -> None:
    mailbox = Mailbox()
    frames = [build.must(1), build.changes(1), build.must(2)]
    assert [mailbox.put(frame) for frame in frames] == [Verdict.QUEUED] * 3
    assert build.taken(mailbox) == frames
    assert (mailbox.take(), mailbox.bytes, len(mailbox)) == (None, 0, 0)


def test_an_unsent_board_is_replaced_by_a_snapshot_made_once_needed() -> None:
    mailbox, made = Mailbox(), []

    def whole() -> Frame:
        made.append(build.snapshot(2))
        return made[-1]

    assert mailbox.put(build.changes(1), key="board", whole=whole) is Verdict.QUEUED
    assert not made
    assert mailbox.put(build.changes(2), key="board", whole=whole) is Verdict.REPLACED
    assert build.taken(mailbox) == made


def test_a_board_that_was_taken_is_followed_by_the_next_change() -> None:
    mailbox = Mailbox()
    mailbox.put(build.changes(1), key="board", whole=lambda: build.snapshot(1))
    mailbox.take()
    second = build.changes(2)
    assert mailbox.put(second, key="board", whole=lambda: build.snapshot(2)) is Verdict.QUEUED
    assert build.taken(mailbox) == [second]


def test_a_replacement_does_not_overtake_what_was_queued_before_it() -> None:
    mailbox = Mailbox()
    answer, newest = build.must(), build.snapshot(2)
    mailbox.put(build.changes(1), key="board")
    mailbox.put(answer)
    mailbox.put(build.changes(2), key="board", whole=lambda: newest)
    assert build.taken(mailbox) == [answer, newest]


def test_boards_of_two_rooms_do_not_replace_each_other() -> None:
    mailbox = Mailbox()
    assert mailbox.put(build.changes(1), key="one") is Verdict.QUEUED
    assert mailbox.put(build.changes(1), key="two") is Verdict.QUEUED
    assert len(mailbox) == 2


def test_droppable_frames_are_left_out_over_the_soft_limit_only() -> None:
    small = build.droppable()
    mailbox = Mailbox(soft_bytes=2 * small.size, hard_bytes=10 * small.size)
    assert [mailbox.put(small) for _ in range(3)] == [Verdict.QUEUED, Verdict.QUEUED, Verdict.DROPPED]
    mailbox.take()
    assert mailbox.put(small) is Verdict.QUEUED


def test_what_must_arrive_overflows_at_the_hard_limit_and_nothing_is_lost_silently() -> None:
    frame = build.must()
    mailbox = Mailbox(soft_bytes=frame.size, hard_bytes=3 * frame.size)
    verdicts = [mailbox.put(frame) for _ in range(4)]
    assert verdicts == [Verdict.QUEUED] * 3 + [Verdict.OVERFLOW]
    assert len(mailbox) == 3


def test_a_sealed_mailbox_gives_out_its_last_word_and_takes_nothing_in() -> None:
    frame = build.must()
    mailbox = Mailbox(soft_bytes=frame.size, hard_bytes=frame.size)
    mailbox.put(frame)
    last = build.ended()
    mailbox.seal(last)
    assert mailbox.put(frame) is Verdict.CLOSED
    assert build.taken(mailbox) == [frame, last]


def test_forgetting_gives_the_memory_back_and_keeps_the_last_word() -> None:
    mailbox, last = Mailbox(), build.ended()
    for epoch in range(100):
        mailbox.put(build.must(epoch))
    mailbox.seal(last, forget=True)
    assert mailbox.bytes == last.size
    assert build.taken(mailbox) == [last]


def test_closing_gives_everything_back() -> None:
    mailbox = Mailbox()
    mailbox.put(build.must())
    mailbox.close()
    assert (mailbox.bytes, len(mailbox), mailbox.take()) == (0, 0, None)
    assert mailbox.put(build.must()) is Verdict.CLOSED


def test_whoever_waits_is_told_when_something_can_be_taken() -> None:
    mailbox, woken = Mailbox(soft_bytes=1, hard_bytes=1_000), []
    mailbox.on_ready = lambda: woken.append(len(mailbox))
    mailbox.put(build.must())
    mailbox.put(build.droppable())
    mailbox.seal()
    assert woken == [1, 1]


def test_limits_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="soft"):
        Mailbox(soft_bytes=10, hard_bytes=5)


_steps = st.lists(
    st.sampled_from(["must", "board", "drop", "take"]) | st.integers(0, 40),
    max_size=120,
)


@given(_steps)
def test_bytes_are_always_what_is_inside_and_never_over_the_limit(steps: list[str | int]) -> None:
    mailbox = Mailbox(soft_bytes=600, hard_bytes=2_000)
    for step in steps:
        match step:
            case "must":
                mailbox.put(build.must())
            case "drop":
                mailbox.put(build.droppable())
            case "take":
                mailbox.take()
            case "board":
                mailbox.put(build.changes(1), key="b", whole=lambda: build.snapshot(1))
            case int(rows):
                mailbox.put(build.changes(1, rows), key=f"b{rows % 3}")
        assert mailbox.bytes <= mailbox.hard_bytes
    assert mailbox.bytes == sum(frame.size for frame in build.taken(mailbox))


def test_emptying_a_full_mailbox_costs_the_same_for_each_frame_however_many_there_are() -> None:
    def seconds_each(frames: int) -> float:
        mailbox = Mailbox(hard_bytes=1 << 40)
        for _ in range(frames):
            mailbox.put(build.must(1))
        began = time.process_time()
        while mailbox.take() is not None:
            pass
        return (time.process_time() - began) / frames

    # It is the growth that counts: by the square it would be forty times as much.
    assert seconds_each(80_000) < 10 * max(min(seconds_each(2_000) for _ in range(3)), 2e-7)
