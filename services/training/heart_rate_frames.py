"""The two characteristics of Bluetooth's Heart Rate Service (0x180D), exactly as a strap sends them.

Heart Rate Measurement, 0x2A37, is a byte of flags and what the flags announce:

    bit 0     the heart rate has two bytes instead of one, bpm
    bits 1, 2 contact with the skin: 0 and 1 the sensor cannot tell, 2 lost, 3 there
    bit 3     energy since the last reset follows, two bytes, kJ; it stays at 65535 once it is there
    bit 4     beat-to-beat intervals follow until the end, two bytes each, in 1/1024 s, oldest first
    bits 5-7  reserved

Body Sensor Location, 0x2A38, is one byte. (Bluetooth SIG, Heart Rate Service 1.0, 3.1 and 3.2.)

Two traps. An interval is in 1/1024 s and not in ms: taken for ms, every heart is 2.4 % too slow. And a strap without contact
goes on sending, 0 or the last rate it had: `reading` makes of such a frame what it is, no heart rate.
"""

from typing import Final, Literal, NamedTuple

import msgspec

from services.training.frame import FrameReader
from services.training.sample import MAX_BPM, MIN_BPM

HEART_RATE_MEASUREMENT: Final = 0x2A37
BODY_SENSOR_LOCATION: Final = 0x2A38

MAX_INTERVALS: Final = 64
"""Intervals in one frame, as in one sample. A strap that notifies each second sends four at most."""

BodyLocation = Literal["other", "chest", "wrist", "finger", "hand", "ear_lobe", "foot"]
LOCATIONS: Final[tuple[BodyLocation, ...]] = ("other", "chest", "wrist", "finger", "hand", "ear_lobe", "foot")
"""By the number that stands for it. Numbers from 7 on are reserved: a place we know no name for, which is `other`."""

_WIDE, _CONTACT, _CAN_TELL, _ENERGY, _INTERVALS, _RESERVED = 0x01, 0x02, 0x04, 0x08, 0x10, 0xE0
_TICKS_PER_S: Final = 1024


class Reading(NamedTuple):
    """What of a frame becomes a sample: bpm, None where no heart was felt, and intervals in ms, oldest first."""

    bpm: int | None
    rr: tuple[int, ...]


class HeartRateMeasurement(msgspec.Struct, frozen=True):
    """One notification, in the units in which it came.

    `bpm` as sent, 0 included; `contact` None where the sensor cannot tell; `energy_kj` since the last reset; `rr_ticks` intervals
    in 1/1024 s, oldest first.
    """

    bpm: int
    contact: bool | None = None
    energy_kj: int | None = None
    rr_ticks: tuple[int, ...] = ()

    def reading(self) -> Reading:
        """The reading in the units of a sample.

        No contact is no heart rate, whatever number stands beside it, and so is one that no human shows. Intervals without
        contact are noise of the electrodes and go; an interval of nothing is none.
        """
        if self.contact is False:
            return Reading(None, ())
        bpm = self.bpm if MIN_BPM <= self.bpm <= MAX_BPM else None
        return Reading(bpm, tuple(milliseconds(ticks) for ticks in self.rr_ticks if ticks))


def milliseconds(ticks: int) -> int:
    """An interval of 1/1024 s in whole ms, halves up; at least 1, the shortest a sample can carry."""
    return max((ticks * 1_000 + _TICKS_PER_S // 2) // _TICKS_PER_S, 1)


def decode_heart_rate(data: bytes) -> HeartRateMeasurement:
    """A Heart Rate Measurement from its bytes. Raises `BadFrame`."""
    reader = FrameReader(data, "Heart Rate Measurement (0x2A37)")
    flags = reader.number(1, "the flags")
    bpm = reader.number(2 if flags & _WIDE else 1, "the heart rate")
    energy_kj = reader.number(2, "the energy") if flags & _ENERGY else None
    rr_ticks: list[int] = []
    while flags & _INTERVALS and reader.left:
        if len(rr_ticks) == MAX_INTERVALS:
            raise reader.bad(f"more than {MAX_INTERVALS} intervals in one notification")
        rr_ticks.append(reader.number(2, f"interval {len(rr_ticks)}"))
    if not flags & _RESERVED:
        reader.end()
    return HeartRateMeasurement(
        bpm=bpm,
        contact=bool(flags & _CONTACT) if flags & _CAN_TELL else None,
        energy_kj=energy_kj,
        rr_ticks=tuple(rr_ticks),
    )


def encode_heart_rate(measurement: HeartRateMeasurement) -> bytes:
    """The bytes that a strap would send, the rate in one byte where it fits. Raises OverflowError for what no frame can say."""
    wide = measurement.bpm > 0xFF
    flags = _WIDE if wide else 0
    if measurement.contact is not None:
        flags |= _CAN_TELL | (_CONTACT if measurement.contact else 0)
    body = measurement.bpm.to_bytes(2 if wide else 1, "little")
    if measurement.energy_kj is not None:
        flags |= _ENERGY
        body += measurement.energy_kj.to_bytes(2, "little")
    if measurement.rr_ticks:
        flags |= _INTERVALS
        body += b"".join(ticks.to_bytes(2, "little") for ticks in measurement.rr_ticks)
    return bytes((flags,)) + body


def decode_location(data: bytes) -> BodyLocation:
    """A Body Sensor Location from its byte. Raises `BadFrame`."""
    reader = FrameReader(data, "Body Sensor Location (0x2A38)")
    number = reader.number(1, "the place")
    reader.end()
    return LOCATIONS[number] if number < len(LOCATIONS) else "other"


def encode_location(location: BodyLocation) -> bytes:
    """The byte that stands for a place on the body."""
    return bytes((LOCATIONS.index(location),))
