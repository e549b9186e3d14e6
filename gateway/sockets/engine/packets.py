"""Engine.IO v4 packets, and the payloads that carry them over long-polling.

A packet is one type digit and its data. Over a WebSocket each is a message of its own. A poll or a POST carries
several, with the record separator between them; a binary message there has no digit but a `b` and base64, because the
body is text. Pure.

What a body says is checked here as far as it can be without knowing the connection: its size in packets, that it is
text, that each packet has a known type. Whether this connection may send that packet now is for the engine.
"""

import binascii
from collections.abc import Iterable, Sequence
from typing import Final

import orjson

from gateway.sockets.engine.frames import BINARY, TEXT

OPEN: Final = b"0"
CLOSE: Final = b"1"
PING: Final = b"2"
PONG: Final = b"3"
MESSAGE: Final = b"4"
UPGRADE: Final = b"5"
NOOP: Final = b"6"

SEPARATOR: Final = b"\x1e"

_BASE64: Final = b"b"
_TYPES: Final = frozenset(b"0123456")


class PayloadError(Exception):
    """The body of a POST is not a payload. The message says what is wrong with it, and quotes nothing of it."""


def open_packet(
    sid: str, upgrades: Sequence[str], ping_interval_ms: int, ping_timeout_ms: int, max_payload: int
) -> bytes:
    """The first packet of a connection. `max_payload`: bytes in one POST or message."""
    return OPEN + orjson.dumps(
        {
            "sid": sid,
            "upgrades": list(upgrades),
            "pingInterval": ping_interval_ms,
            "pingTimeout": ping_timeout_ms,
            "maxPayload": max_payload,
        }
    )


def split_payload(body: bytes, *, max_packets: int, binary: bool) -> list[tuple[int, bytes]]:
    """The packets of a POST, in order: `(TEXT, packet with its digit)` or `(BINARY, data)`.

    `binary`: whether binary messages are taken at all.

    Raises:
        PayloadError: one packet is wrong, or there are more than `max_packets`; then none of them counts.
    """
    if not body:
        raise PayloadError("the body is empty; send at least one packet")
    if body.count(SEPARATOR) >= max_packets:
        raise PayloadError(f"more than {max_packets} packets in one body; send them in several requests")
    try:
        _ = body.isascii() or body.decode()
    except UnicodeDecodeError as error:
        raise PayloadError(f"the body is not UTF-8: {error.reason}; send binary data as b and base64") from error
    return [_packet(part, binary) for part in body.split(SEPARATOR)]


def _packet(part: bytes, binary: bool) -> tuple[int, bytes]:
    if not part:
        raise PayloadError("a packet is empty; each begins with its type")
    if part[0] in _TYPES:
        return TEXT, part
    if not part.startswith(_BASE64):
        raise PayloadError("a packet is of an unknown type; the types are 0 to 6, and b for binary data")
    if not binary:
        raise PayloadError("binary messages are not taken here; send text")
    try:
        return BINARY, binascii.a2b_base64(part[1:], strict_mode=True)
    except ValueError as error:
        raise PayloadError(f"a binary message is not base64: {error}") from error


def join_payload(packets: Iterable[tuple[int, bytes]]) -> bytes:
    """The answer to a poll: what `split_payload` reads."""
    return SEPARATOR.join(
        [data if opcode == TEXT else _BASE64 + binascii.b2a_base64(data, newline=False) for opcode, data in packets]
    )
