"""What goes on the wire, and what must not."""

import json
import uuid

import pytest

from realtime.codec import ack_frame, event_frame, relayed_frame
from realtime.wire import BoardChanges, Bye, Delivery, Done, Row, StreamTaken
from services.kernel.ids import ClassId, StreamId
from services.kernel.problems import BadShape
from tests.realtime import build


def test_an_event_is_a_socketio_packet_of_our_namespace() -> None:
    frame = event_frame("bye", Bye(3000, "stopping", 500))
    assert frame.text == '2/live,["bye",{"code":3000,"reason":"stopping","come_back_ms":500}]'
    assert frame.wire == b"4" + frame.text.encode()
    assert (frame.event, frame.delivery, frame.size) == ("bye", Delivery.MUST, len(frame.wire))


def test_size_counts_bytes_not_characters() -> None:
    frame = build.ended("Föhn ❤")
    assert frame.size == len(frame.text.encode()) + 1 > len(frame.text) + 1


def test_an_acknowledgement_carries_one_object() -> None:
    assert ack_frame(7, Done()).text == '3/live,7[{"ok":{}}]'
    refused = json.loads(ack_frame(8, BadShape("no", path="$.seq")).text.removeprefix("3/live,8"))
    assert refused == [{"problem": {"code": "bad_shape", "message": "no", "path": "$.seq"}}]
    assert ack_frame(7, Done()).delivery is Delivery.MUST


def test_ids_travel_as_strings() -> None:
    stream = StreamId(uuid.UUID(int=9))
    assert f'"{stream}"' in event_frame("stream.taken", StreamTaken(stream, 1)).text


def test_a_wrong_shape_fails_where_it_is_made() -> None:
    with pytest.raises(TypeError, match="carries a Bye"):
        event_frame("bye", Done())


@pytest.mark.parametrize("name", ["room.join", "nonsense"])
def test_only_server_events_of_the_catalogue_can_be_sent(name: str) -> None:
    with pytest.raises(TypeError, match="not a server event"):
        event_frame(name, Done())


@pytest.mark.parametrize("effort", [float("nan"), float("inf"), float("-inf")])
def test_numbers_that_are_not_finite_never_go_out(effort: float) -> None:
    rows = (Row(0, 1, 120, 60, 2, 1.0, "live"), Row(1, 2, None, None, None, effort, "lost"))
    with pytest.raises(ValueError, match=r"\$\.rows\[…\]\.effort"):
        event_frame(
            "board.changes", BoardChanges(class_id=ClassId(uuid.UUID(int=1)), epoch="e", v=1, at_ms=0, rows=rows)
        )


def test_missing_values_are_null_and_fine() -> None:
    assert (
        '[0,1,null,null,null,1.0,"lost"]'
        in event_frame(
            "board.changes",
            BoardChanges(
                class_id=ClassId(uuid.UUID(int=1)),
                epoch="e",
                v=1,
                at_ms=0,
                rows=(Row(0, 1, None, None, None, 1.0, "lost"),),
            ),
        ).text
    )


def test_a_relayed_frame_is_the_same_bytes() -> None:
    frame = build.ended()
    again = relayed_frame(frame.event, frame.text)
    assert (again.wire, again.delivery) == (frame.wire, frame.delivery)
    with pytest.raises(TypeError, match="newer"):
        relayed_frame("from.the.future", "2/live,[]")
