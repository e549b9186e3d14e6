"""Pushing and ending, without a network."""

import pytest

from realtime.connection import Connection
from realtime.disconnect import DRAINING, ENDINGS, LOGIN_ENDED, SLOW_READER
from realtime.mailbox import Mailbox
from tests.realtime import build


def test_ending_says_bye_after_what_was_queued_and_closes() -> None:
    one = build.connection()
    one.push(build.ended())
    one.end(DRAINING)
    queued, bye = build.texts(one.mailbox)
    assert queued.startswith('["class.ended"')
    assert bye.startswith('["bye",{"code":3000')
    assert build.line_of(one).ending is DRAINING
    assert one.closed
    assert one.reason == "draining"


def test_a_mailbox_that_overflows_ends_the_connection_and_frees_its_memory() -> None:
    frame = build.must()
    one = build.connection(mailbox=Mailbox(soft_bytes=frame.size, hard_bytes=2 * frame.size))
    for _ in range(3):
        one.push(frame)
    assert one.ending is SLOW_READER
    (bye,) = build.texts(one.mailbox)
    assert '"code":3001' in bye


def test_nothing_is_pushed_to_a_connection_that_has_ended() -> None:
    one = build.connection()
    one.end(LOGIN_ENDED)
    one.push(build.must())
    assert len(build.texts(one.mailbox)) == 1


def test_only_the_first_ending_counts() -> None:
    one = build.connection()
    one.end(LOGIN_ENDED)
    one.end(DRAINING)
    assert build.line_of(one).ending is LOGIN_ENDED


def test_losing_the_line_calls_everybody_once_and_gives_the_memory_back() -> None:
    one, told = build.connection(), []

    def broken(_connection: Connection, _reason: str) -> None:
        raise RuntimeError("a listener at fault")

    one.on_close(broken)
    one.on_close(lambda _, reason: told.append(reason))
    one.push(build.must())
    one.lost("transport")
    one.lost("transport")
    one.on_close(lambda _, reason: told.append(f"late {reason}"))
    assert told == ["transport", "late transport"]
    assert one.mailbox.bytes == 0


def test_the_reason_told_is_why_the_server_ended_it() -> None:
    one, told = build.connection(), []
    one.on_close(lambda _, reason: told.append(reason))
    one.end(SLOW_READER)
    one.lost("transport")
    assert told == ["slow_reader"]


def test_frames_left_out_and_replaced_are_counted() -> None:
    one = build.connection(mailbox=Mailbox(soft_bytes=1, hard_bytes=10_000))
    one.push(build.droppable())
    one.push(build.changes(1), key="b")
    one.push(build.changes(2), key="b")
    assert (one.dropped, one.replaced) == (1, 1)


@pytest.mark.parametrize("ending", ENDINGS, ids=lambda ending: ending.name)
def test_the_range_of_a_code_says_whether_to_come_back(ending: object) -> None:
    assert ending in ENDINGS
    for _ in range(20):
        bye = next(e for e in ENDINGS if e is ending).bye()
        if 3000 <= bye.code < 3500:
            low, high = next(e for e in ENDINGS if e is ending).come_back_ms or (-1, -1)
            assert bye.come_back_ms is not None
            assert low <= bye.come_back_ms <= high
        else:
            assert 3500 <= bye.code < 4000
            assert bye.come_back_ms is None


def test_codes_and_names_of_endings_are_unique() -> None:
    assert len({e.code for e in ENDINGS}) == len({e.name for e in ENDINGS}) == len(ENDINGS)
