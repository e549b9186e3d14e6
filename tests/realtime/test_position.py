"""Positions, and messages that end with one."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.codec import event_frame, payload_of, position_of_frame, relayed_frame
from realtime.frame import Frame
from realtime.position import NOWHERE, TAIL_BYTES, TEXT_BYTES, Position, head, position_of, tail
from realtime.wire import ChatSaid
from tests.realtime import build

positions = st.builds(
    Position,
    st.text("0123456789abcdef", min_size=8, max_size=8),
    st.integers(min_value=0, max_value=10**12 - 1),
)


@given(positions)
def test_a_position_is_its_text_which_always_has_the_same_length(position: Position) -> None:
    assert len(str(position)) == TEXT_BYTES
    assert position_of(str(position)) == position


@pytest.mark.parametrize(
    "text",
    ["", "12", "0f3a9c41-12", "0F3A9C41-000000000012", "0f3a9c41-00000000001٢", "0f3a9c41-000000000012\n", "🎈" * 21],
)
def test_anything_else_is_no_position(text: str) -> None:
    with pytest.raises(ValueError):
        position_of(text)


def test_only_positions_of_one_epoch_say_something_about_each_other() -> None:
    one, other = Position("0000000a", 5), Position("0000000b", 6)
    assert one.moved(1).follows(one)
    assert one.moved(2).after(one)
    assert not one.moved(2).follows(one)
    assert not other.after(one)
    assert not other.follows(one)


@given(st.text(), positions)
def test_whatever_is_said_only_the_end_of_the_frame_is_the_position(text: str, position: Position) -> None:
    said = ChatSaid(class_id=build.ROOM, n=1, name="Kim", text=text, at_ms=1, position=NOWHERE)
    frame = event_frame("chat.said", said)
    placed = relayed_frame("chat.said", head(frame.ws) + tail(position))
    assert len(placed.ws) == len(frame.ws)
    name, payload, second = json.loads(placed.text.removeprefix("2/live,"))
    assert (name, payload["text"], payload["position"], second) == ("chat.said", text, str(position), str(position))
    assert json.loads(bytes(payload_of(placed))) == payload
    assert position_of_frame(placed) == position


@pytest.mark.parametrize("frame", [build.changes(1), build.must()])
def test_an_event_without_a_position_is_not_taken_from_a_log(frame: Frame) -> None:
    with pytest.raises(ValueError):
        position_of_frame(frame)


@given(st.binary(max_size=TAIL_BYTES))
def test_an_end_that_is_no_position_is_not_taken_from_a_log(garbage: bytes) -> None:
    good = build.ended()
    with pytest.raises(ValueError):
        position_of_frame(Frame(good.event, good.delivery, good.ws[:-TAIL_BYTES] + garbage, good.head))
