"""From a shape to the bytes on the wire, once.

A board of five hundred goes to five hundred phones as the same bytes: whoever makes a message calls `event_frame` once and
hands the same `Frame` to everybody. A frame is a finished WebSocket text frame, header included, because a server's frames
carry no mask: nothing at all is left to do per recipient, nor on another node, which hands on the same bytes. Long-polling
takes the Engine.IO message out of it (`4` + Socket.IO packet), and clients that asked for compression get a second form that
is made once as well.

Frames are made through the wire catalogue only, so nothing can go out that the documents do not know, and a wrong shape
fails where it is made instead of on somebody's phone.
"""

import math
from collections.abc import Callable, Iterator
from functools import cache, partial
from typing import Any, Final

import msgspec
import msgspec.inspect

from realtime.frame import TEXT, Frame, header_of
from realtime.position import TEXT_BYTES, Position, position_in
from realtime.wire import BY_NAME, NAMESPACE, Delivery
from services.kernel.problems import Problem

_SPACE: Final = NAMESPACE.encode()
_SECOND_ARGUMENT: Final = len(b',""]') + TEXT_BYTES
"""Bytes at the end of a positioned event that are not its payload."""
_ACK: Final = b"43" + _SPACE + b","
_OK, _NO_ERROR_OK = b'[{"ok":', b'[null,{"ok":'
_PROBLEM, _NO_ERROR_PROBLEM = b'[{"problem":', b'[null,{"problem":'
_ACK_END: Final = b"}]"
_ACK_SIZE: Final = len(_ACK) + len(_ACK_END)
ACK_EVENT: Final = "ack"
"""What `Frame.event` says for an acknowledgement; no event has this name."""

_HEADS: Final = tuple(header_of(TEXT, size) for size in range(1_024))
"""How a text frame begins, by the size of what is in it: of all but boards and the like."""
_SHORT_ACK: Final = tuple(header + _ACK for header in _HEADS[:126])
"""How a short acknowledgement begins, by its size: one piece less to put together."""
_HEAD_BY_LENGTH: Final = {126: 4, 127: 10}
"""Bytes before the payload, by the second byte of an unmasked frame; else 2."""
_MUST: Final = Delivery.MUST

# msgspec turns non-finite floats into null; `_encode` refuses them instead.
_to_json: Final = msgspec.json.Encoder().encode


def event_frame(name: str, shape: msgspec.Struct) -> Frame:
    """A server event as a frame. Raises `TypeError` when the catalogue has no such server event or another shape for it,
    `ValueError` when it contains a number that is not finite."""
    row = BY_NAME.get(name)
    if row is None or row.delivery is None:
        raise TypeError(f"{name!r} is not a server event; realtime/wire.py lists them")
    if type(shape) is not row.shape:
        raise TypeError(f"{name!r} carries a {row.shape.__name__}, not a {type(shape).__name__}")
    begin, payload = _begin(name), encoder_of(row.shape)(shape)
    if not row.positioned:
        return _frame(name, row.delivery, b"%b%b]" % (begin, payload))
    # Once more, as a second argument: the JavaScript client keeps the last argument of the last event and brings it along.
    position: str = shape.position  # type: ignore[attr-defined]
    return _frame(name, row.delivery, b'%b%b,"%b"]' % (begin, payload, position.encode()))


AckId = bytes
"""The number of an acknowledgement in the digits that its client wrote: it goes back as it came."""


def ok_ack(ack_id: AckId, reply: bytes, error_first: bool = False) -> bytes:
    """The acknowledgement `[{"ok": reply}]` as a WebSocket frame; `reply` is JSON already (see `encoder_of`). With `error_first` a
    null stands before it, for clients that take the first argument for an error."""
    opening = _NO_ERROR_OK if error_first else _OK
    size = _ACK_SIZE + len(ack_id) + len(opening) + len(reply)
    head = _SHORT_ACK[size] if size < 126 else header_of(TEXT, size) + _ACK
    return b"".join((head, ack_id, opening, reply, _ACK_END))


def problem_ack(ack_id: AckId, problem: Problem, error_first: bool = False) -> bytes:
    """The acknowledgement `[{"problem": …}]` as a WebSocket frame. The null is there as well: what we refuse is an answer,
    not a loss."""
    view = problem.view()
    return _ack(ack_id, _NO_ERROR_PROBLEM if error_first else _PROBLEM, encoder_of(type(view))(view))


def ack_frame(ack: bytes) -> Frame:
    """An acknowledgement for a line that is not clear: `ok_ack` or `problem_ack` as a frame."""
    return Frame(ACK_EVENT, _MUST, ack, _HEAD_BY_LENGTH.get(ack[1], 2))


def relayed_frame(event: str, ws: bytes) -> Frame:
    """A frame that another node has made, from its bytes. They come from outside this process and go to clients unread, so what
    can be seen from outside is looked at. Raises `ValueError` for an event this node does not know, and for bytes that are not
    one whole frame which begins as that event does."""
    row = BY_NAME.get(event)
    if row is None or row.delivery is None:
        raise ValueError(f"{event!r} is not a server event here; is the other node newer?")
    head = _HEAD_BY_LENGTH.get(ws[1], 2) if len(ws) > 1 else 0
    message = ws[head:]
    if ws[:head] != _head(len(message)):
        raise ValueError("it is not one WebSocket text frame")
    if not (message.startswith(_begin(event)) and message.endswith(b"]")):
        raise ValueError(f"it is not a packet of {event!r}")
    if not message.isascii():
        message.decode()  # UnicodeDecodeError is a ValueError
    return Frame(event, row.delivery, ws, head)


def position_of_frame(frame: Frame) -> Position:
    """Where a frame out of a room's log says that it stands. Raises `ValueError` for an event that has no position, and for one
    that does not end with it."""
    if not BY_NAME[frame.event].positioned:
        raise ValueError(f"{frame.event!r} is not an event of a room's log here; is the other node newer?")
    return position_in(frame.ws)


def payload_of(frame: Frame) -> msgspec.Raw:
    """The payload of a positioned event, as it stands in its frame."""
    begin = frame.head + len(_begin(frame.event))
    return msgspec.Raw(frame.ws[begin:-_SECOND_ARGUMENT])


def websocket_text(payload: bytes) -> bytes:
    """`payload`, UTF-8, as one unmasked WebSocket text frame (RFC 6455, 5.2)."""
    return _head(len(payload)) + payload


@cache
def _begin(event: str) -> bytes:
    return b'42%b,["%b",' % (_SPACE, event.encode())


def _head(size: int) -> bytes:
    return _HEADS[size] if size < len(_HEADS) else header_of(TEXT, size)


def _frame(event: str, delivery: Delivery, message: bytes) -> Frame:
    header = _head(len(message))
    return Frame(event, delivery, header + message, len(header))


def _ack(ack_id: AckId, opening: bytes, body: bytes) -> bytes:
    size = _ACK_SIZE + len(ack_id) + len(opening) + len(body)
    head = _SHORT_ACK[size] if size < 126 else header_of(TEXT, size) + _ACK
    return b"".join((head, ack_id, opening, body, _ACK_END))


_Find = Callable[[Any, str], None]
"""Raises when a value of a known type contains a float that is not finite."""


@cache
def encoder_of(kind: type) -> Callable[[msgspec.Struct], bytes]:
    """What turns shapes of this type into JSON, and raises `ValueError` for a number that is not finite.

    Most shapes have no place for a float: for them it is the bare encoder. In the others a search goes only where a field can
    hold one: boards are large and go out every beat; walking all of their fields would cost milliseconds.
    """
    finders = tuple(_finders_of(msgspec.inspect.type_info(kind)))
    return partial(_finite_to_json, finders) if finders else _to_json


def _finite_to_json(finders: tuple[_Find, ...], shape: msgspec.Struct) -> bytes:
    data = _to_json(shape)
    # A null is the only thing that a number that is not finite can have become; without one there is nothing to look for.
    if b"null" in data:
        for find in finders:
            find(shape, "$")
    return data


def _finders_of(info: msgspec.inspect.Type) -> Iterator[_Find]:
    match info:
        case msgspec.inspect.FloatType():
            yield _finite
        case msgspec.inspect.StructType(fields=fields):
            for field in fields:
                for find in _finders_of(field.type):
                    yield partial(_in_field, find, field.name)
        case msgspec.inspect.UnionType(types=types):
            for part in types:
                for find in _finders_of(part):
                    yield partial(_in_union, find, getattr(part, "cls", None))
        case msgspec.inspect.VarTupleType(item_type=item) | msgspec.inspect.ListType(item_type=item):
            for find in _finders_of(item):
                yield partial(_in_items, find)
        case msgspec.inspect.TupleType(item_types=items):
            for index, item in enumerate(items):
                for find in _finders_of(item):
                    yield partial(_in_place, find, index)
        case msgspec.inspect.DictType(value_type=item):
            for find in _finders_of(item):
                yield partial(_in_values, find)


def _finite(value: object, path: str) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{path} is {value}: only finite numbers go on the wire")


def _in_field(find: _Find, name: str, value: Any, path: str) -> None:
    find(getattr(value, name), f"{path}.{name}")


def _in_union(find: _Find, kind: type | None, value: Any, path: str) -> None:
    if value is not None and (kind is None or isinstance(value, kind)):
        find(value, path)


def _in_items(find: _Find, value: Any, path: str) -> None:
    for item in value:
        find(item, f"{path}[…]")


def _in_place(find: _Find, index: int, value: Any, path: str) -> None:
    find(value[index], f"{path}[{index}]")


def _in_values(find: _Find, value: Any, path: str) -> None:
    for item in value.values():
        find(item, f"{path}.…")
