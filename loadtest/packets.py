"""The text frames of Socket.IO over WebSocket, as far as Paceline's protocol needs them. Pure.

A frame is one Engine.IO digit (0 open, 1 close, 2 ping, 3 pong, 4 message) and, in a message, one Socket.IO
digit (0 connect, 1 disconnect, 2 event, 3 acknowledgement, 4 connect error), the namespace, a comma, an
acknowledgement id if there is one, and JSON. We speak in one namespace, so `42/live,17["room.join",{…}]` is as
complicated as it gets.

Payloads stay undecoded here (`msgspec.Raw`): whoever knows the shape decodes it once, straight into that shape,
and board frames that nobody wants to read are never parsed at all (`event_name` looks at the first few bytes).
"""

from typing import Final, NamedTuple

import msgspec

from realtime.wire import NAMESPACE

PING: Final = b"2"
PONG: Final = "3"

_PREFIX: Final = f"{NAMESPACE},"
_EVENT: Final = f"42{_PREFIX}".encode()
_ACK: Final = f"43{_PREFIX}".encode()
_CONNECTED: Final = f"40{_PREFIX}".encode()
_REFUSED: Final = f"44{_PREFIX}".encode()
_DISCONNECTED: Final = f"41{_PREFIX}".encode()

_array: Final = msgspec.json.Decoder(list[msgspec.Raw])
_text: Final = msgspec.json.Decoder(str)
_encoder: Final = msgspec.json.Encoder()


class FrameError(Exception):
    """The server sent something that is no frame of this protocol."""


class Opened(msgspec.Struct, frozen=True, rename="camel"):
    """Engine.IO's first frame: how often the server pings (ms), and how long it waits for the answer (ms)."""

    sid: str
    ping_interval: int
    ping_timeout: int


class Event(NamedTuple):
    """An event from the server, payload undecoded."""

    name: str
    payload: msgspec.Raw


class Ack(NamedTuple):
    """The answer to our event number `id`, payload undecoded."""

    id: int
    payload: msgspec.Raw


class Connected(NamedTuple):
    """We are in the namespace."""


class Refused(NamedTuple):
    """The namespace would not have us; `payload` says why."""

    payload: msgspec.Raw


class Disconnected(NamedTuple):
    """The server has put us out of the namespace, or closed the Engine.IO connection."""


class Ping(NamedTuple):
    """Answer with PONG, at once."""


Packet = Event | Ack | Connected | Refused | Disconnected | Ping


def connect(token: str) -> str:
    """The frame that asks into the namespace with an access token."""
    return f"40{_PREFIX}" + _encoder.encode({"token": token}).decode()


def event(name: str, ack_id: int, payload: msgspec.Struct) -> str:
    """The frame of one event that wants an answer."""
    return f'42{_PREFIX}{ack_id}["{name}",{_encoder.encode(payload).decode()}]'


def opened(data: bytes) -> Opened:
    """The first frame of a connection. Raises FrameError when it is anything else."""
    if not data.startswith(b"0"):
        raise FrameError(f"expected an Engine.IO open frame, got {_shown(data)}")
    try:
        return msgspec.json.decode(data[1:], type=Opened)
    except msgspec.DecodeError as error:
        raise FrameError(f"bad Engine.IO open frame {_shown(data)}: {error}") from error


def event_name(data: bytes) -> bytes:
    """The name of an event frame without decoding it; empty for every other frame."""
    if not data.startswith(_EVENT):
        return b""
    start = data.find(b'"', len(_EVENT)) + 1
    return data[start : data.find(b'"', start)]


def parse(data: bytes) -> Packet:
    """One frame after the first. Raises FrameError for what this protocol does not know."""
    if data.startswith(_EVENT):
        parts = _parts(data, data[data.find(b"[", len(_EVENT)) :])
        if not 1 <= len(parts) <= 3:
            raise FrameError(f"an event has a name, one payload and perhaps its position, got {_shown(data)}")
        return Event(_text.decode(parts[0]), parts[1] if len(parts) > 1 else msgspec.Raw(b"null"))
    if data.startswith(_ACK):
        bracket = data.find(b"[", len(_ACK))
        number = data[len(_ACK) : bracket]
        parts = _parts(data, data[bracket:])
        if len(parts) != 1 or not number.isdigit():
            raise FrameError(f"an acknowledgement has an id and one object, got {_shown(data)}")
        return Ack(int(number), parts[0])
    if data == PING:
        return Ping()
    if data.startswith(_CONNECTED):
        return Connected()
    if data.startswith(_REFUSED):
        return Refused(msgspec.Raw(data[len(_REFUSED) :]))
    if data.startswith((_DISCONNECTED, b"41", b"1")):
        return Disconnected()
    raise FrameError(f"unknown frame {_shown(data)}")


def _parts(frame: bytes, array: bytes) -> list[msgspec.Raw]:
    try:
        return _array.decode(array)
    except msgspec.DecodeError as error:
        raise FrameError(f"frame is not JSON: {_shown(frame)}: {error}") from error


def _shown(data: bytes) -> str:
    return repr(data[:80])
