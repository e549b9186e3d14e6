"""FIT: Garmin's binary format, which every other maker writes too.

The bytes are taken apart by fitdecode, message by message, with its unit conversion and text processing
switched off. Three kinds of messages matter:

- `record`: an instant and, mostly, a heart rate, with distance, power and cadence. Compressed timestamps are resolved by fitdecode.
- `hrv`: up to five RR intervals without any time. They stand in the file right after the record they belong
  to, so they go to the newest record.
- `hr`: heart rate that a swim strap kept until after the swim, see `late_beats.py`.

A FIT file can be cut off anywhere and can lie anywhere, and the decoder then fails with whatever exception
the lie leads to. All messages before that were complete, so they count; the place is the first byte of the
message that failed. A checksum that does not match is damage as well, but one that says nothing about
where.
"""

import io
import struct
from collections.abc import Iterator
from typing import Any, Final

import fitdecode  # type: ignore[import-untyped]

from services.training.recordings.draft import Draft, ReadingStopped, label
from services.training.recordings.late_beats import LateBeats, woven

FIT_EPOCH_MS: Final = 631_065_600_000
"""FIT counts seconds from 1989-12-31T00:00:00Z (FIT protocol, type date_time).

This is that instant in Unix ms.
"""

_FIRST_CALENDAR_S: Final = 0x1000_0000
"""Below it a FIT timestamp counts the seconds since the device was switched on (same source)."""

_NO_TIME: Final = 0xFFFF_FFFF
"""A FIT time has 32 bits, and all of them set are none (same source). A file may declare its field wider."""

_MAX_MESSAGES: Final = 4_000_000
"""No honest file of 64 MiB comes near this; one made of empty messages would cost minutes and say nothing."""

# Global message numbers and field numbers of the FIT profile.
_FILE_ID, _SPORT, _PART, _RECORD, _HRV, _HR = 0, 12, 18, 20, 78, 132
_TIMESTAMP, _HEART_RATE, _RR_TIMES = 253, 3, 0
_CADENCE, _DISTANCE, _POWER = 4, 5, 7
_DISTANCE_PER_M: Final = 100
_FRACTION, _FILTERED_BPM, _EVENT_TIMES, _EVENT_TIMES_12 = 0, 6, 9, 10
_FRACTIONS_PER_S: Final = 32_768

_DECODER_FAULTS: Final = (
    fitdecode.FitError,
    struct.error,
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    TypeError,
    ValueError,
)
"""What fitdecode raises on bytes that are not what they claim.

Its own errors, and those of values it trusted.
"""

_NO_SPORT: Final = frozenset({"", "None", "generic", "transition", "all"})


def read_fit(data: bytes, draft: Draft) -> None:
    """Fill the draft from all FIT files in `data` (they may be chained).

    Raises ReadingStopped at the first damage.
    """
    late = LateBeats()
    sports: dict[str, None] = {}  # a set that keeps the order of appearance
    try:
        for message in _messages(_closed(data, draft), draft):
            number = message.global_mesg_num
            if number == _RECORD:
                _add_record(message, draft)
            elif number == _HRV:
                draft.add_rr(rr for rr in _numbers(_values(message).get(_RR_TIMES)) if rr is not None)
            elif number == _HR:
                _add_late_beats(message, late)
                draft.require_room(len(late.points))
            elif number == _FILE_ID:
                draft.device = draft.device or _device(message)
            elif number in (_SPORT, _PART):
                sports.setdefault(str(message.get_value("sport", fallback="")))
    finally:
        draft.sport = label(", ".join([name for name in sports if name not in _NO_SPORT][:6]))
        draft.settle_rr()
        if late.points:
            draft.mentions_heart_rate = True
            draft.replace_points(woven(draft.points, late.points))
        first = next((p.at_ms for p in draft.points if p.at_ms is not None), None)
        draft.calendar = first is not None and first >= FIT_EPOCH_MS + _FIRST_CALENDAR_S * 1000


def _messages(data: bytes, draft: Draft) -> Iterator[Any]:
    """The data messages of the file. Every exception of the decoder becomes ReadingStopped with the byte."""
    source = io.BytesIO(data)
    whole_until = 0
    reader = fitdecode.FitReader(
        source,
        processor=None,
        check_crc=fitdecode.CrcCheck.READONLY,
        error_handling=fitdecode.ErrorHandling.IGNORE,
    )
    with reader:
        frames = iter(reader)
        for _ in range(_MAX_MESSAGES):
            try:
                frame = next(frames, None)
            except _DECODER_FAULTS as cause:
                raise ReadingStopped(_place(whole_until, data), _reason(cause, source, data)) from cause
            if frame is None:
                return
            if frame.frame_type == fitdecode.FIT_FRAME_DATA:
                yield frame
            elif frame.frame_type == fitdecode.FIT_FRAME_CRC and not frame.matched:
                draft.damaged(
                    _place(whole_until, data),
                    "the checksum of the file does not match: some byte before it is not as it was written",
                )
            whole_until = source.tell()
    raise draft.refusal(
        f"holds more than {_MAX_MESSAGES} messages, the limit for one file",
        cure="Cut it into shorter files.",
        place=_place(whole_until, data),
    )


def _closed(data: bytes, draft: Draft) -> bytes:
    """The file with the length of its body filled in, where the device died before it could write that."""
    header = data[0]
    if len(data) < 14 or data[4:8] != bytes(4) or len(data) <= header + 2:
        return data
    draft.damaged(_place(4, data), "the header says that nothing follows: the device never closed the file")
    return data[:4] + (len(data) - header).to_bytes(4, "little") + data[8:]


def _place(offset: int, data: bytes) -> str:
    return f"byte {offset} of {len(data)}"


def _reason(cause: Exception, source: io.BytesIO, data: bytes) -> str:
    if isinstance(cause, fitdecode.FitEOFError) or source.tell() >= len(data):
        return "the file is cut off inside a message"
    if isinstance(cause, fitdecode.FitHeaderError):
        return "what follows is not a FIT file"
    return "the message there is not what its definition says"


def _values(message: Any) -> dict[int, Any]:
    """Raw values by field number; developer fields have numbers of their own and are left out. What is unpacked from a compressed
    field does not stand in for what is written: an empty one would hide it."""
    values: dict[int, Any] = {}
    for field in message.fields:
        if field.field_def is None:
            values.setdefault(field.def_num, field.raw_value)
        elif not field.field_def.is_dev:
            values[field.def_num] = field.raw_value
    return values


def _numbers(raw: Any) -> list[int | None]:
    """A field as the list that it is, whether it came with one value, with several, or not at all."""
    several = raw if isinstance(raw, tuple) else (raw,)
    return [value if isinstance(value, int) else None for value in several]


def _at_ms(timestamp_s: Any) -> int | None:
    if not isinstance(timestamp_s, int) or not 0 <= timestamp_s < _NO_TIME:
        return None
    return FIT_EPOCH_MS + timestamp_s * 1000


def _add_record(message: Any, draft: Draft) -> None:
    values = _values(message)
    if _HEART_RATE in values:
        draft.mentions_heart_rate = True
    distance = _numbers(values.get(_DISTANCE))[0]
    draft.add(
        _at_ms(values.get(_TIMESTAMP)),
        _numbers(values.get(_HEART_RATE))[0],
        distance_m=None if distance is None else distance / _DISTANCE_PER_M,
        power_w=_numbers(values.get(_POWER))[0],
        cadence=_numbers(values.get(_CADENCE))[0],
    )


def _add_late_beats(message: Any, late: LateBeats) -> None:
    written: dict[int, Any] = {
        # fitdecode also unpacks the twelve bits, into its own clock; only what stands in the file is wanted.
        field.def_num: field.raw_value
        for field in message.fields
        if field.field_def is not None and not field.field_def.is_dev
    }
    at_ms = _at_ms(written.get(_TIMESTAMP))
    fraction = _numbers(written.get(_FRACTION))[0]
    if at_ms is not None and fraction is not None and 0 <= fraction < _FRACTIONS_PER_S:
        at_ms += fraction * 1000 // _FRACTIONS_PER_S
    late.add(
        at_ms=at_ms,
        ticks=[tick for tick in _numbers(written.get(_EVENT_TIMES)) if tick is not None and 0 <= tick < _NO_TIME],
        packed=bytes(b for b in _numbers(written.get(_EVENT_TIMES_12)) if b is not None and 0 <= b <= 255),
        bpm=_numbers(written.get(_FILTERED_BPM)),
    )


def _device(message: Any) -> str | None:
    maker = message.get_value("manufacturer", fallback=None)
    product = next(
        (
            value
            for name in ("product_name", "garmin_product")
            if isinstance(value := message.get_value(name, fallback=None), str)
        ),
        None,
    )
    return label(" ".join(str(part).replace("_", " ") for part in (maker, product) if part is not None))
