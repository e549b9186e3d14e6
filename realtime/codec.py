"""From a shape to the bytes on the wire, once.

A board of five hundred goes to five hundred phones as the same bytes: whoever makes a message calls `event_frame` once and
hands the same `Frame` to everybody. A frame is a finished Engine.IO message (`4` + Socket.IO packet); what is left to do per
recipient is a WebSocket header.

Frames are made through the wire catalogue only, so nothing can go out that the documents do not know, and a wrong shape
fails where it is made instead of on somebody's phone.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, Final

import msgspec
import msgspec.inspect

from realtime.wire import BY_NAME, NAMESPACE, Delivery
from services.kernel.problems import Problem

_ENGINE_MESSAGE: Final = b"4"
_EVENT: Final = b"2" + NAMESPACE.encode() + b","
_ACK: Final = b"3" + NAMESPACE.encode() + b","
ACK_EVENT: Final = "ack"
"""What `Frame.event` says for an acknowledgement; no event has this name."""

# msgspec turns non-finite floats into null; `_encode` refuses them instead.
_encoder: Final = msgspec.json.Encoder()


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """A message ready to leave.

    `event` its name in the catalogue, `delivery` what a slow reader loses, `wire` the Engine.IO message as UTF-8, `size`
    its length in bytes, `text` the Socket.IO packet without the Engine.IO digit, as long-polling and other nodes want it.
    """

    event: str
    delivery: Delivery
    wire: bytes

    @property
    def size(self) -> int:
        return len(self.wire)

    @property
    def text(self) -> str:
        return self.wire[1:].decode()


def event_frame(name: str, shape: msgspec.Struct) -> Frame:
    """A server event as a frame. Raises `TypeError` when the catalogue has no such server event or another shape for it,
    `ValueError` when it contains a number that is not finite."""
    row = BY_NAME.get(name)
    if row is None or row.delivery is None:
        raise TypeError(f"{name!r} is not a server event; realtime/wire.py lists them")
    if type(shape) is not row.shape:
        raise TypeError(f"{name!r} carries a {row.shape.__name__}, not a {type(shape).__name__}")
    head = b'["' + name.encode() + b'",'
    return Frame(name, row.delivery, _ENGINE_MESSAGE + _EVENT + head + _encode(shape) + b"]")


def ack_frame(ack_id: int, reply: msgspec.Struct | Problem) -> Frame:
    """The acknowledgement number `ack_id`: `[{"ok": reply}]`, or `[{"problem": …}]` for a `Problem`."""
    if isinstance(reply, Problem):
        body = b'[{"problem":' + _encode(reply.view()) + b"}]"
    else:
        body = b'[{"ok":' + _encode(reply) + b"}]"
    return Frame(ACK_EVENT, Delivery.MUST, _ENGINE_MESSAGE + _ACK + str(ack_id).encode() + body)


def relayed_frame(event: str, text: str) -> Frame:
    """A frame that another node has made, from the text it sent. Raises `TypeError` for an event this node does not know."""
    row = BY_NAME.get(event)
    if row is None or row.delivery is None:
        raise TypeError(f"{event!r} is not a server event here; is the other node newer?")
    return Frame(event, row.delivery, _ENGINE_MESSAGE + text.encode())


def _encode(shape: msgspec.Struct) -> bytes:
    data = _encoder.encode(shape)
    # A null is the only thing a number that is not finite can have become; without one there is nothing to look for.
    if b"null" in data:
        for find in _finder(type(shape)):
            find(shape, "$")
    return data


_Find = Callable[[Any, str], None]
"""Raises when a value of a known type contains a float that is not finite."""


@cache
def _finder(kind: type) -> tuple[_Find, ...]:
    """How to look for floats in a struct of this type: only where its fields can hold one. Boards are large and go out
    every beat; walking all of their fields would cost milliseconds."""
    return tuple(_finders_of(msgspec.inspect.type_info(kind)))


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
