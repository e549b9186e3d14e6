"""From a notification of a sensor to a sample, without a client that understands it.

A thin client (a watch face, a bridge of fifty lines) hands over what the radio gave it: the characteristic's UUID and the bytes.
A machine tells distance, power and cadence with it, of which a sample carries what a human can do: the rest is unknown, as a heart
rate that no human shows is.

One moment is one sample, so a moment that a machine tells in several notifications comes as several pieces of bytes. A moment of
no bytes at all is a sample without a heart rate: what a client sends in the place of one that was refused, so that the numbering
goes on.
"""

from collections.abc import Sequence
from typing import Final

from services.training.frame import BadFrame
from services.training.ftms import (
    INDOOR_BIKE_DATA,
    TREADMILL_DATA,
    IndoorBikeData,
    MachineData,
    TreadmillData,
    decode_bike,
    decode_treadmill,
    joined,
)
from services.training.heart_rate_frames import HEART_RATE_MEASUREMENT, decode_heart_rate
from services.training.sample import MAX_CADENCE, MAX_DISTANCE_M, MAX_POWER_W, Motion, Sample

READABLE: Final = {
    HEART_RATE_MEASUREMENT: "Heart Rate Measurement",
    TREADMILL_DATA: "Treadmill Data",
    INDOOR_BIKE_DATA: "Indoor Bike Data",
}
"""Characteristics that hold a heart rate, by the number that Bluetooth has given them."""

UUID_PATTERN: Final = r"^(?:0000)?[0-9A-Fa-f]{4}(?:-0000-1000-8000-00805[Ff]9[Bb]34[Ff][Bb])?$"
"""The number alone, or the whole UUID that it is short for."""


NO_MOTION: Final = Motion()


class UnknownCharacteristic(Exception):  # noqa: N818 - it says what it is
    """A characteristic that holds no heart rate, or that is not read here; the message names those that are."""

    def __init__(self, uuid: str) -> None:
        known = ", ".join(f"{number:04x} ({name})" for number, name in READABLE.items())
        super().__init__(f"there is no heart rate in characteristic {uuid}: send one of {known}")


def characteristic_of(uuid: str) -> int:
    """The number of a characteristic from a UUID that fits `UUID_PATTERN`. Raises `UnknownCharacteristic`."""
    number = int(uuid.partition("-")[0], 16)
    if number not in READABLE:
        raise UnknownCharacteristic(uuid)
    return number


def sample_of(characteristic: int, t: int, pieces: Sequence[bytes]) -> Sample:
    """The sample of one moment, at `t` ms of the stream, from the notifications in which it came. Raises `BadFrame`."""
    if not any(pieces):
        return Sample(t)
    match characteristic:
        case 0x2A37:
            if len(pieces) > 1:
                raise BadFrame("Heart Rate Measurement (0x2A37)", 0, "a strap tells a moment in one notification")
            bpm, rr = decode_heart_rate(pieces[0]).reading()
            return Sample(t, bpm, rr)
        case 0x2AD2:
            bike: IndoorBikeData | None = None
            for piece in pieces:
                bike = joined(bike, decode_bike(piece))
            return Sample(t) if bike is None else Sample(t, bike.bpm, (), _motion(bike, bike.cadence_rpm))
        case 0x2ACD:
            treadmill: TreadmillData | None = None
            for piece in pieces:
                treadmill = joined(treadmill, decode_treadmill(piece))
            return Sample(t) if treadmill is None else Sample(t, treadmill.bpm, (), _motion(treadmill, None))
        case _:
            raise UnknownCharacteristic(f"{characteristic:04x}")


def _motion(machine: MachineData, cadence: float | None) -> Motion | None:
    distance_m, power_w, turns = machine.distance_m, machine.power_w, None if cadence is None else round(cadence)
    motion = Motion(
        distance_m if distance_m is not None and distance_m <= MAX_DISTANCE_M else None,
        power_w if power_w is not None and 0 <= power_w <= MAX_POWER_W else None,
        turns if turns is not None and turns <= MAX_CADENCE else None,
    )
    return None if motion == NO_MOTION else motion
