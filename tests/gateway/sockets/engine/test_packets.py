"""Engine.IO packets as the protocol writes them, and bodies that are none."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.sockets.engine.frames import BINARY, TEXT
from gateway.sockets.engine.packets import (
    CLOSE,
    MESSAGE,
    NOOP,
    OPEN,
    PING,
    PONG,
    SEPARATOR,
    UPGRADE,
    PayloadError,
    join_payload,
    open_packet,
    split_payload,
)


def split(body: bytes) -> list[tuple[int, bytes]]:
    return split_payload(body, max_packets=16, binary=True)


def fault(body: bytes, *, max_packets: int = 16, binary: bool = True) -> str:
    with pytest.raises(PayloadError) as error:
        split_payload(body, max_packets=max_packets, binary=binary)
    return str(error.value)


def test_the_packet_types_are_the_digits_of_the_protocol() -> None:
    types = b"".join([OPEN, CLOSE, PING, PONG, MESSAGE, UPGRADE, NOOP])
    assert types == b"0123456"


def test_the_open_packet_has_exactly_the_five_keys() -> None:
    packet = open_packet("lv_VI97HAXpY6yYWAAAC", ["websocket"], 300, 200, 1_000_000)
    assert packet == (
        b'0{"sid":"lv_VI97HAXpY6yYWAAAC","upgrades":["websocket"],'
        b'"pingInterval":300,"pingTimeout":200,"maxPayload":1000000}'
    )


def test_the_open_packet_of_a_websocket_offers_no_upgrade() -> None:
    assert json.loads(open_packet("a", (), 25_000, 20_000, 65_536)[1:])["upgrades"] == []


def test_one_packet_is_a_payload() -> None:
    assert split(b"4hello") == [(TEXT, b"4hello")]
    assert join_payload([(TEXT, b"4hello")]) == b"4hello"


def test_the_payload_of_the_specification_is_understood() -> None:
    body = b"4hello\x1e2\x1e4world"
    assert split(body) == [(TEXT, b"4hello"), (TEXT, b"2"), (TEXT, b"4world")]
    assert join_payload(split(body)) == body


def test_a_binary_message_travels_as_base64() -> None:
    body = b"4hello\x1ebAQIDBA=="
    assert split(body) == [(TEXT, b"4hello"), (BINARY, b"\x01\x02\x03\x04")]
    assert join_payload(split(body)) == body


def test_a_binary_message_may_be_empty() -> None:
    assert split(b"b") == [(BINARY, b"")]
    assert join_payload([(BINARY, b"")]) == b"b"


def test_every_type_of_packet_is_passed_on() -> None:
    assert split(b"\x1e".join(b"%d" % number for number in range(7))) == [(TEXT, b"%d" % number) for number in range(7)]


def test_no_packets_make_an_empty_answer() -> None:
    assert join_payload([]) == b""


def test_text_stays_the_bytes_it_was() -> None:
    packet = '4["πραγμα","🏃"]'.encode()
    assert split(packet + SEPARATOR + b"2") == [(TEXT, packet), (TEXT, b"2")]


def test_an_empty_body_is_no_payload() -> None:
    assert "the body is empty" in fault(b"")


@pytest.mark.parametrize("body", [b"\x1e", b"4a\x1e", b"\x1e4a", b"4a\x1e\x1e4b"])
def test_an_empty_packet_is_refused(body: bytes) -> None:
    assert "a packet is empty" in fault(body)


@pytest.mark.parametrize("body", [b"7", b"abc", b"9x", b"-1", b" 4", b"B", "４".encode(), b"\x00", b"4a\x1ex"])
def test_an_unknown_type_is_refused(body: bytes) -> None:
    assert "unknown type" in fault(body)


def test_as_many_packets_as_agreed_and_not_one_more() -> None:
    assert len(split_payload(b"\x1e".join([b"3"] * 16), max_packets=16, binary=False)) == 16
    assert "16 packets" in fault(b"\x1e".join([b"3"] * 17))
    assert "16 packets" in fault(SEPARATOR * 1_000_000)


@pytest.mark.parametrize(
    "body", [b"4\xff", b"4\xed\xa0\x80", b"4\xc0\xaf", b"4caf\xc3", b"4ok\x1e4\x80", b"4caf\xc3\x1e4\xa9"]
)
def test_text_must_be_utf8(body: bytes) -> None:
    assert "UTF-8" in fault(body)


@pytest.mark.parametrize(
    "body", [b"bAQIDBA", b"bAQIDBA=", b"bAQ==AQ==", b"b=", b"bAQID BA==", b"bAQ\n==", b"b-_-_", b"bA", "bÄÖÜ=".encode()]
)
def test_a_binary_message_must_be_base64_to_the_letter(body: bytes) -> None:
    assert "not base64" in fault(body)


def test_binary_is_refused_where_it_is_not_taken() -> None:
    assert "send text" in fault(b"4a\x1ebAQIDBA==", binary=False)


def test_a_fault_quotes_nothing_of_the_body() -> None:
    for body in (b"xsecret", b"4\xffsecret", b"bsecret!", b"secret"):
        assert "secret" not in fault(body)


PACKETS = st.one_of(
    st.tuples(
        st.just(TEXT),
        st.builds(
            lambda kind, data: b"%d" % kind + data.replace("\x1e", "").encode(), st.integers(0, 6), st.text(max_size=50)
        ),
    ),
    st.tuples(st.just(BINARY), st.binary(max_size=50)),
)


@given(st.lists(PACKETS, min_size=1, max_size=16))
def test_what_is_joined_is_split_again(packets: list[tuple[int, bytes]]) -> None:
    assert split(join_payload(packets)) == packets


@given(st.one_of(st.binary(max_size=100), st.text("0123456b=\x1eAQ", max_size=40).map(str.encode)))
def test_any_body_is_packets_or_a_clear_refusal(body: bytes) -> None:
    try:
        packets = split(body)
    except PayloadError:
        return
    assert 1 <= len(packets) <= 16
    assert all(opcode == BINARY or data[:1] in {b"%d" % number for number in range(7)} for opcode, data in packets)
    assert split(join_payload(packets)) == packets
