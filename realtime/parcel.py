"""How nodes wrap what they say to each other.

    0  protocol level                 the first four places, and the name behind them, are the same at every level, so that
    1  length of the header, h        a node of another level can be refused by name
    2  kind: 1 message, 2 frame
    3  length of the sender's name
    4  sender, then (kind 2) one byte that says how long the open end is, and the name of the event
    h  CRC-32 of header and body without its open end, 4 bytes
       body: a message (realtime/peer.py); or a frame, the very bytes that go to clients' WebSockets

A frame is not decoded by anybody: the header says all that a node must know to drop it or to hand it to its members. Headers
are few, a sender's name with an event's, so each is taken apart once and remembered. The checksum is there because the bytes
of a frame would otherwise reach clients unread, whatever else speaks on that Redis; it is taken of the header once and of the
body at about a microsecond per kilobyte.

The open end of a frame are its last bytes, into which the server that carries it may write: a room's log puts the position there
that the event has in it. Such a frame is heard by its sender too. All others have none.

A node that does not know an event ignores the frame and counts it. What nodes must agree on beyond that raises `LEVEL`.
"""

import re
import zlib
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from realtime.codec import relayed_frame
from realtime.frame import Frame

LEVEL: Final = 2
"""Raised when nodes of before and after could not understand each other. Nodes of different levels do not talk. 2: a cue may be for
some members only; a node of before would hand it to all."""
_SENDER: Final = re.compile(rb"[!-~]{1,64}")
_LEVELS: Final = range(1, 32)
"""What may be a level. A first byte outside is not ours at all."""
_FIXED, _CRC = 4, 4
_MESSAGE, _FRAME = 1, 2
MOST_OPEN: Final = 128
"""Bytes of an open end at most: what is not in the checksum has to be looked at by whoever takes it."""
_HEADERS_REMEMBERED: Final = 4_096


class MalformedError(ValueError):
    """Bytes that no node of this level has sent."""


class OtherLevelError(Exception):
    """A parcel of a node that speaks another level."""

    def __init__(self, sender: str, level: int) -> None:
        super().__init__(f"{sender} speaks level {level} and this node level {LEVEL}: give both the same release")
        self.sender = sender
        self.level = level


@dataclass(frozen=True, slots=True)
class Header:
    """What is written on a parcel: who sent it, and for a frame its `event` (else empty) and the bytes of its `open_end`;
    `packed` as it travels and `crc` its checksum."""

    sender: str
    event: str
    open_end: int
    packed: bytes
    crc: int


def pack(sender: str, message: bytes) -> bytes:
    """An encoded message as it travels."""
    return _parcel(_header(sender, "", 0), message)


def encode_frame(sender: str, frame: Frame, *, open_end: int = 0) -> bytes:
    """A finished frame for the members of a channel, as it travels; the carrier's server may write into its last `open_end`
    bytes."""
    return _parcel(_header(sender, frame.event, open_end), frame.ws)


def header_of(data: bytes) -> Header:
    """What is written on a parcel. Raises `MalformedError`, and `OtherLevelError` for one of another level. Believed only as
    far as it is needed to throw the parcel away: the checksum is looked at with the body."""
    if len(data) < _FIXED + _CRC:
        raise MalformedError(f"{len(data)} bytes are no parcel")
    return _read(data[: data[1]])


def decode_frame(header: Header, data: bytes) -> Frame:
    """The frame in a parcel, as it left the other node. Raises `MalformedError` for one that no member could read."""
    try:
        return relayed_frame(header.event, body_of(header, data))
    except ValueError as fault:
        raise MalformedError(f"not a frame: {fault}") from fault


def body_of(header: Header, data: bytes) -> bytes:
    """What is in a parcel. Raises `MalformedError` when that is not what was put in."""
    begin = len(header.packed) + _CRC
    body = data[begin:]
    if _checksum(header, body) != int.from_bytes(data[begin - _CRC : begin]):
        raise MalformedError("its checksum is wrong")
    return body


def _parcel(header: Header, body: bytes) -> bytes:
    return b"%b%b%b" % (header.packed, _checksum(header, body).to_bytes(_CRC), body)


def _checksum(header: Header, body: bytes) -> int:
    return zlib.crc32(body[: -header.open_end] if header.open_end else body, header.crc)


@lru_cache(_HEADERS_REMEMBERED)
def _header(sender: str, event: str, open_end: int) -> Header:
    """For what this node sends. Raises `ValueError` when the sender's name is none."""
    name, what = sender.encode(), event.encode()
    if not _SENDER.fullmatch(name):
        raise ValueError(f"{sender!r} names no node: 1 to 64 visible ASCII characters do")
    rest = bytes((open_end,)) + what if event else b""
    packed = bytes((LEVEL, _FIXED + len(name) + len(rest), _FRAME if event else _MESSAGE, len(name))) + name + rest
    return Header(sender, event, open_end, packed, zlib.crc32(packed))


@lru_cache(_HEADERS_REMEMBERED)
def _read(packed: bytes) -> Header:
    if len(packed) <= _FIXED or len(packed) != packed[1] or packed[0] not in _LEVELS:
        raise MalformedError("not a parcel")
    level, _, kind, size = packed[:_FIXED]
    name, rest = packed[_FIXED : _FIXED + size], packed[_FIXED + size :]
    if len(name) != size or not _SENDER.fullmatch(name):
        raise MalformedError("it names no sender")
    if level != LEVEL:
        raise OtherLevelError(name.decode(), level)
    sender, crc = name.decode(), zlib.crc32(packed)
    if kind == _MESSAGE and not rest:
        return Header(sender, "", 0, packed, crc)
    if kind == _FRAME and len(rest) > 1 and rest[0] <= MOST_OPEN and rest[1:].isascii():
        return Header(sender, rest[1:].decode(), rest[0], packed, crc)
    raise MalformedError(f"a parcel of kind {kind} has no such header")
