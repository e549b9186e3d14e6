"""Frames of the socket protocol: what we write, what we read, what we refuse."""

from contextlib import suppress

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest import packets
from realtime.wire import EVENTS, RoomJoin


def test_an_event_is_written_with_its_namespace_and_acknowledgement_id() -> None:
    assert packets.event("room.join", 17, RoomJoin(code="K7TQ")) == '42/live,17["room.join",{"code":"K7TQ"}]'


def test_a_connection_is_asked_for_with_the_token_in_the_payload() -> None:
    assert packets.connect("abc") == '40/live,{"token":"abc"}'


def test_frames_are_recognised() -> None:
    event = packets.parse(b'42/live,["bye",{"code":3000}]')
    assert isinstance(event, packets.Event)
    assert (event.name, bytes(event.payload)) == ("bye", b'{"code":3000}')
    ack = packets.parse(b'43/live,12[{"ok":{}}]')
    assert isinstance(ack, packets.Ack)
    assert (ack.id, bytes(ack.payload)) == (12, b'{"ok":{}}')
    assert isinstance(packets.parse(b'40/live,{"sid":"x"}'), packets.Connected)
    assert isinstance(packets.parse(b'44/live,{"message":"no"}'), packets.Refused)
    assert isinstance(packets.parse(b"41/live,"), packets.Disconnected)
    assert isinstance(packets.parse(b"1"), packets.Disconnected)
    assert isinstance(packets.parse(b"2"), packets.Ping)


def test_the_opening_frame_tells_how_long_silence_may_last() -> None:
    opened = packets.opened(b'0{"sid":"a","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":9}')
    assert (opened.ping_interval, opened.ping_timeout) == (25_000, 20_000)
    with pytest.raises(packets.FrameError, match=r"expected an Engine\.IO open frame"):
        packets.opened(b"2")


@given(st.sampled_from(EVENTS))
def test_the_name_of_an_event_is_found_without_decoding_it(event: msgspec.Struct) -> None:
    name = event.name  # type: ignore[attr-defined]
    assert packets.event_name(f'42/live,["{name}",{{not json'.encode()) == name.encode()
    assert packets.event_name(f'42/live,5["{name}",{{}}]'.encode()) == name.encode()


@given(st.binary(max_size=60))
def test_any_bytes_are_a_frame_or_a_frame_error(data: bytes) -> None:
    for start in (b"", b"42/live,", b"43/live,", b"44/live,"):
        packets.event_name(start + data)
        with suppress(packets.FrameError):
            assert packets.parse(start + data) is not None
