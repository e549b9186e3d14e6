"""What goes on the wire, and what must not."""

import json
import random
import uuid
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.codec import (
    ACK_EVENT,
    ack_frame,
    encoder_of,
    event_frame,
    ok_ack,
    problem_ack,
    relayed_frame,
    websocket_text,
)
from realtime.frame import COMPRESS_FROM_BYTES, Frame
from realtime.wire import BoardChanges, Bye, Delivery, Done, Row, StreamTaken
from services.kernel.ids import ClassId, StreamId
from services.kernel.problems import BadShape
from tests.realtime import build


def test_an_event_is_a_socketio_packet_of_our_namespace() -> None:
    frame = event_frame("bye", Bye(3000, "stopping", 500))
    assert frame.text == '2/live,["bye",{"code":3000,"reason":"stopping","come_back_ms":500}]'
    assert frame.wire == b"4" + frame.text.encode()
    assert (frame.event, frame.delivery) == ("bye", Delivery.MUST)


def test_size_counts_bytes_not_characters_and_the_header() -> None:
    frame = build.ended("Föhn ❤")
    assert frame.size == len(frame.ws) == frame.head + 1 + len(frame.text.encode()) > frame.head + 1 + len(frame.text)


def read(frame: bytes) -> tuple[int, bytes]:
    """First byte and payload of one unmasked WebSocket frame (RFC 6455, 5.2), which must be in its shortest form."""
    size, at = frame[1], 2
    if size == 126:
        size, at = int.from_bytes(frame[2:4]), 4
        assert size > 125
    elif size == 127:
        size, at = int.from_bytes(frame[2:10]), 10
        assert size > 0xFFFF
    assert len(frame) == at + size
    return frame[0], frame[at:]


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65_535, 65_536, 300_000])
def test_a_websocket_frame_has_the_shortest_header_that_fits(size: int) -> None:
    assert read(websocket_text(b"x" * size)) == (0x81, b"x" * size)


@pytest.mark.parametrize("frame", [build.must(), build.changes(1, 5), build.changes(1, 40), build.changes(1, 4_000)])
def test_a_frame_is_a_websocket_frame_around_its_message(frame: Frame) -> None:
    assert read(frame.ws) == (0x81, frame.wire)
    assert frame.ws == websocket_text(frame.wire)


def inflated(body: bytes) -> bytes:
    """What a client makes of a compressed body (RFC 7692, 7.2.2) with nothing remembered."""
    return zlib.decompressobj(wbits=-15).decompress(body + b"\x00\x00\xff\xff")


@given(st.text(max_size=3_000))
def test_a_compressed_frame_says_the_same(title: str) -> None:
    frame = build.ended(title.encode(errors="ignore").decode())
    first, body = read(frame.compressed())
    assert (first == 0xC1) == (frame.compressed() != frame.ws)
    assert (inflated(body) if first == 0xC1 else body) == frame.wire
    assert len(frame.compressed()) <= len(frame.ws)


def test_a_board_shrinks_and_is_compressed_once_for_everybody() -> None:
    frame = build.changes(1, 100)
    assert len(frame.compressed()) * 2 < frame.size
    assert frame.compressed() is frame.compressed()


def test_what_would_not_shrink_stays_as_it_is() -> None:
    short = build.must()
    assert short.size < COMPRESS_FROM_BYTES
    assert short.compressed() is short.ws
    noise = ack_frame(websocket_text(bytes(random.Random(1).choices(range(128), k=COMPRESS_FROM_BYTES))))
    assert noise.compressed() is noise.ws


def test_a_frame_cannot_be_changed() -> None:
    frame = build.must()
    with pytest.raises(AttributeError):
        frame.ws = b""  # type: ignore[misc]


DONE = encoder_of(Done)(Done())


def test_an_acknowledgement_carries_one_object() -> None:
    accepted = ack_frame(ok_ack(b"7", DONE))
    assert accepted.text == '3/live,7[{"ok":{}}]'
    assert (accepted.event, accepted.delivery) == (ACK_EVENT, Delivery.MUST)
    refused = json.loads(ack_frame(problem_ack(b"8", BadShape("no", path="$.seq"))).text.removeprefix("3/live,8"))
    assert refused == [{"problem": {"code": "bad_shape", "message": "no", "path": "$.seq"}}]


def test_an_acknowledgement_may_begin_with_a_null_for_clients_that_expect_an_error_there() -> None:
    assert ack_frame(ok_ack(b"7", DONE, error_first=True)).text == '3/live,7[null,{"ok":{}}]'
    refused = ack_frame(problem_ack(b"12345678901", BadShape("no"), error_first=True))
    assert json.loads(refused.text.removeprefix("3/live,12345678901"))[0] is None


@pytest.mark.parametrize("size", [1, 100, 106, 107, 108, 120, 65_516, 65_517, 65_518, 300_000])
def test_an_acknowledgement_is_one_websocket_frame_whatever_its_size(size: int) -> None:
    body = b"1" * size
    ack = ok_ack(b"7", body)
    assert read(ack) == (0x81, b'43/live,7[{"ok":' + body + b"}]")
    assert ack_frame(ack).wire == read(ack)[1]


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


@pytest.mark.parametrize("frame", [build.must(), build.ended("é"), build.ended("x" * 200), build.changes(1, 2_000)])
def test_a_relayed_frame_is_the_same_bytes(frame: Frame) -> None:
    again = relayed_frame(frame.event, frame.ws)
    assert (again.ws, again.head, again.delivery, again.event) == (frame.ws, frame.head, frame.delivery, frame.event)


@pytest.mark.parametrize(
    ("event", "ws"),
    [
        ("from.the.future", websocket_text(b'42/live,["from.the.future",{}]')),
        ("stream.open", websocket_text(b'42/live,["stream.open",{}]')),
        ("bye", websocket_text(b'42/live,["problem",{}]')),
        ("bye", websocket_text(b'42/live,["bye",{}')),
        ("bye", websocket_text(b'42/live,["bye","\xff"]')),
        ("bye", websocket_text(b"43/live,1[]")),
        ("bye", websocket_text(b'42/live,["bye",{}]')[:-1]),
        ("bye", websocket_text(b'42/live,["bye",{}]') * 2),
        ("bye", b"\x82" + websocket_text(b'42/live,["bye",{}]')[1:]),
        ("bye", b"\x81\x7e\x00\x12" + b'42/live,["bye",{}]'),
        ("bye", b"\x81"),
        ("bye", b""),
    ],
)
def test_bytes_that_no_member_could_read_are_no_relayed_frame(event: str, ws: bytes) -> None:
    with pytest.raises(ValueError, match=r"server event|frame|packet|utf-8"):
        relayed_frame(event, ws)
