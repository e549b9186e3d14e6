"""What clients send, from bytes to typed shape in one step.

Every client event of the catalogue is one case of a tagged union of arrays, `["stream.samples", {…}]`, so a single decode finds out
which event it is, checks the payload strictly (unknown fields are refused, `true` is not 1, "1" is not 1) and makes the shape. It
takes half a microsecond for a sample; finding the name first and decoding the payload then takes a quarter longer.

Only when that step fails are the bytes read again, slowly, to tell whoever wrote the client what is wrong and where (`$` is the
payload, not the array around it). The slow way costs a few milliseconds for the largest message there is, whatever is in it; it
decides by itself and has the last word.
"""

import functools
import json
import math
import operator
import re
from typing import Any, Final

import msgspec

from realtime.wire import CLIENT_EVENTS, MAX_PAYLOAD_BYTES, Event
from services.kernel.problems import BadJson, BadShape, Problem, TooLarge, UnknownEvent

Bytes = bytes | bytearray | memoryview
"""A memoryview of single bytes."""

MAX_TOLD: Final = 200
"""Characters of a refusal's text. Some of it may be the client's own words, which need not go back in full."""
MAX_LOOSE: Final = 64 * 1024
"""Characters of an event that is read with Python's own reader to find out more; a full batch of samples has 25,000. Nested lists
of this size cost it 2 ms, of the largest message's 50."""
_AN_EVENT: Final = 'an event is its name and one object: ["room.join", {…}]'
_PLACE: Final = re.compile(r" - at `(\$[\w.\[\]]*)`\Z", re.ASCII)
_HALF_A_PAIR: Final = "the event contains half of a UTF-16 surrogate pair; cut text between characters"


def _kind(event: Event) -> type:
    """The array `[name, payload]` of one client event."""
    return msgspec.defstruct(
        "".join(part.title() for part in event.name.split(".")),
        [("payload", event.shape)],
        tag=event.name,
        array_like=True,
        forbid_unknown_fields=True,
        frozen=True,
        gc=False,
    )


KINDS: Final = {event.name: _kind(event) for event in CLIENT_EVENTS}
"""By the event's name, the type that `decode` makes of it."""

decode: Final = msgspec.json.Decoder[Any](functools.reduce(operator.or_, KINDS.values())).decode
"""Bytes to an instance of one of `KINDS`; its `payload` is the shape. Raises one of `UNREADABLE` for everything else."""

UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What msgspec raises for bytes that do not fit. It has no class of its own for text that is not UTF-8."""

_split: Final = msgspec.json.Decoder(tuple[str, msgspec.Raw]).decode
_payload_decoders: Final = {event.name: msgspec.json.Decoder[Any](event.shape) for event in CLIENT_EVENTS}
_shapes: Final = {event.name: event.shape for event in CLIENT_EVENTS}


def explain(arguments: Bytes) -> tuple[str, msgspec.Struct | Problem]:
    """The event's name as far as it can be read, and the problem with it: for bytes that `decode` refused. The shape instead
    of a problem, should there be nothing wrong after all."""
    if len(arguments) > MAX_PAYLOAD_BYTES:
        return "", TooLarge(limit=MAX_PAYLOAD_BYTES)
    try:
        text = str(arguments, "utf-8")
    except UnicodeDecodeError:
        return "", BadJson("the event is not UTF-8")
    try:
        name, payload = _split(text)
        if name not in _payload_decoders:
            return name, _unknown(name)
    except msgspec.ValidationError:
        return "", BadShape(_AN_EVENT)
    except (msgspec.DecodeError, RecursionError) as fault:
        return _explain_loosely(text, str(fault))
    try:
        shape: msgspec.Struct = _payload_decoders[name].decode(payload)
    except msgspec.ValidationError as fault:
        return name, bad_shape(fault)
    except (msgspec.DecodeError, RecursionError) as fault:
        return _explain_loosely(text, f"the payload: {fault}")
    return name, shape


def bad_shape(fault: msgspec.ValidationError) -> BadShape:
    """What msgspec found, with the place as `path`."""
    text, path = str(fault), "$"
    # Only at the very end and only if it can be ours: before it, the client's own words may be quoted.
    place = _PLACE.search(text, max(0, len(text) - MAX_TOLD))
    if place is not None:
        text, path = text[: place.start()], place.group(1)
    # Read loosely, those words may hold half a surrogate pair, which could not be sent back.
    return BadShape(text[:MAX_TOLD].encode(errors="replace").decode(), path=path)


def _explain_loosely(text: str, reason: str) -> tuple[str, Problem]:
    """The same for what is not JSON to the letter, for the `reason` given.

    Some encoders write NaN and Infinity, some cut text in the middle of a surrogate pair: Python's reader takes both, so the
    refusal can still name the event and the place.
    """
    not_json = BadJson(f"the event is not JSON: {reason}")
    if len(text) > MAX_LOOSE:
        return "", not_json
    numbers: list[str] = []

    def no_number(word: str) -> float:
        numbers.append(word)
        return math.nan

    try:
        match json.loads(text, parse_constant=no_number):
            case [str(name), payload]:
                pass
            case _:
                return "", BadShape(_AN_EVENT)
        name.encode()
    except UnicodeEncodeError:
        return "", BadJson(_HALF_A_PAIR)
    except (ValueError, RecursionError):
        return "", not_json
    if name not in _shapes:
        return name, _unknown(name)
    try:
        msgspec.convert(payload, _shapes[name])
    except msgspec.ValidationError as fault:
        return name, bad_shape(fault)
    except UnicodeEncodeError:
        return name, BadJson(_HALF_A_PAIR)
    return name, BadShape("NaN and Infinity are not numbers here", path="$") if numbers else BadJson(_HALF_A_PAIR)


def _unknown(name: str) -> UnknownEvent:
    return UnknownEvent(f"there is no client event {name[:80]!r}; /asyncapi.json lists them all")
