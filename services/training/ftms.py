"""What bikes and treadmills say of themselves: Indoor Bike Data (0x2AD2) and Treadmill Data (0x2ACD) of Bluetooth's
Fitness Machine Service (0x1826).

Both are a word of flags and then, in the order of its bits, the fields that the flags announce. Which field hangs on which bit
stands in `BIKE` and `TREADMILL` below, once, for reading and writing alike. (Bluetooth SIG, Fitness Machine Service 1.0, 4.9 and
4.4, and the GATT Specification Supplement, where they differ.)

Three traps. Bit 0 is upside down: it is `More Data`, and the speed is there when it is *not* set. What does not fit into one
notification comes in several, all but the last with that bit set; `joined` puts them together. And two fields have changed their
width since 1.0 (resistance, pace). A frame does not say which version it is, but its fields must end where it ends, and only one
of the two widths makes them do so.

A value that the machine does not know (0x7FFF, 0xFFFF, 0xFF where the specification says so) is None, as if it had not been sent.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple, TypeVar

import msgspec

from services.training.frame import FrameReader
from services.training.sample import MAX_BPM, MIN_BPM

TREADMILL_DATA: Final = 0x2ACD
INDOOR_BIKE_DATA: Final = 0x2AD2

MORE_DATA: Final = 0x0001


class _Field(NamedTuple):
    """One number of a frame: raw * `times` / `per` is its value; raw `unknown` stands for none."""

    name: str
    size: int
    signed: bool = False
    times: int = 1
    per: int = 1
    unknown: int | None = None

    def value(self, raw: int) -> int | float | None:
        if raw == self.unknown:
            return None
        return raw * self.times if self.per == 1 else raw * self.times / self.per

    def raw(self, value: float | None) -> int:
        """Raises OverflowError for none where the field cannot say so."""
        if value is None and self.unknown is None:
            raise OverflowError(f"{self.name} comes with another field and has no way to say that it is unknown")
        return round(value * self.per / self.times) if value is not None else self.unknown or 0


_Layout = tuple[tuple[_Field, ...], ...]
"""By bit of the flags, the fields that hang on it."""

_SPEED: Final = (_Field("speed_kmh", 2, per=100),)
_AVERAGE_SPEED: Final = (_Field("average_speed_kmh", 2, per=100),)
_DISTANCE: Final = (_Field("distance_m", 3),)
_ENERGY: Final = (
    _Field("energy_kcal", 2, unknown=0xFFFF),
    _Field("energy_kcal_h", 2, unknown=0xFFFF),
    _Field("energy_kcal_min", 1, unknown=0xFF),
)
_HEART_RATE: Final = (_Field("heart_rate", 1),)
_MET: Final = (_Field("met", 1, per=10),)
_ELAPSED: Final = (_Field("elapsed_s", 2),)
_REMAINING: Final = (_Field("remaining_s", 2),)


def _bike(resistance: _Field) -> _Layout:
    return (
        _SPEED,
        _AVERAGE_SPEED,
        (_Field("cadence_rpm", 2, per=2),),
        (_Field("average_cadence_rpm", 2, per=2),),
        _DISTANCE,
        (resistance,),
        (_Field("power_w", 2, signed=True),),
        (_Field("average_power_w", 2, signed=True),),
        _ENERGY,
        _HEART_RATE,
        _MET,
        _ELAPSED,
        _REMAINING,
    )


def _treadmill(pace: _Field, average_pace: _Field) -> _Layout:
    return (
        _SPEED,
        _AVERAGE_SPEED,
        _DISTANCE,
        (
            _Field("incline_percent", 2, signed=True, per=10, unknown=0x7FFF),
            _Field("ramp_degrees", 2, signed=True, per=10, unknown=0x7FFF),
        ),
        (_Field("climbed_m", 2, per=10), _Field("descended_m", 2, per=10)),
        (pace,),
        (average_pace,),
        _ENERGY,
        _HEART_RATE,
        _MET,
        _ELAPSED,
        _REMAINING,
        (
            _Field("belt_force_n", 2, signed=True, unknown=0x7FFF),
            _Field("power_w", 2, signed=True, unknown=0x7FFF),
        ),
    )


BIKE: Final[tuple[_Layout, ...]] = (
    _bike(_Field("resistance_level", 2, signed=True)),
    _bike(_Field("resistance_level", 1, times=10)),
)
"""As in 1.0, and as in the Supplement; the first that fits is meant."""

TREADMILL: Final[tuple[_Layout, ...]] = (
    _treadmill(_Field("pace_km_min", 1, per=10), _Field("average_pace_km_min", 1, per=10)),
    _treadmill(_Field("pace_s_per_500m", 2), _Field("average_pace_s_per_500m", 2)),
)


class MachineData(msgspec.Struct, frozen=True):
    """What both machines say. Speeds in km/h, heart rate in bpm as sent (0: nobody there), energy in kcal, MET as a ratio."""

    speed_kmh: float | None = None
    average_speed_kmh: float | None = None
    distance_m: int | None = None
    power_w: int | None = None
    energy_kcal: int | None = None
    energy_kcal_h: int | None = None
    energy_kcal_min: int | None = None
    heart_rate: int | None = None
    met: float | None = None
    elapsed_s: int | None = None
    remaining_s: int | None = None

    @property
    def more_data(self) -> bool:
        """Whether another notification belongs to this one: the last alone has the speed."""
        return self.speed_kmh is None

    @property
    def bpm(self) -> int | None:
        """The heart rate as a sample has it: None where the machine feels none, or one that no human shows."""
        rate = self.heart_rate
        return rate if rate is not None and MIN_BPM <= rate <= MAX_BPM else None


class IndoorBikeData(MachineData, frozen=True):
    """One notification of a bike. `resistance_level` is a number of its maker's."""

    cadence_rpm: float | None = None
    average_cadence_rpm: float | None = None
    resistance_level: int | None = None
    average_power_w: int | None = None


class TreadmillData(MachineData, frozen=True):
    """One notification of a treadmill. The pace is km per minute in version 1.0, seconds per 500 m since."""

    incline_percent: float | None = None
    ramp_degrees: float | None = None
    climbed_m: float | None = None
    descended_m: float | None = None
    pace_km_min: float | None = None
    average_pace_km_min: float | None = None
    pace_s_per_500m: int | None = None
    average_pace_s_per_500m: int | None = None
    belt_force_n: int | None = None


def decode_bike(data: bytes) -> IndoorBikeData:
    """Indoor Bike Data from its bytes. Raises `BadFrame`."""
    return IndoorBikeData(**_decode(FrameReader(data, "Indoor Bike Data (0x2AD2)"), BIKE))


def encode_bike(data: IndoorBikeData) -> bytes:
    """The bytes that a bike would send. Raises OverflowError for what no frame can say."""
    return _encode(data, BIKE)


def decode_treadmill(data: bytes) -> TreadmillData:
    """Treadmill Data from its bytes. Raises `BadFrame`."""
    return TreadmillData(**_decode(FrameReader(data, "Treadmill Data (0x2ACD)"), TREADMILL))


def encode_treadmill(data: TreadmillData) -> bytes:
    """The bytes that a treadmill would send. Raises OverflowError for what no frame can say, paces of both kinds among them."""
    return _encode(data, TREADMILL)


Machine = TypeVar("Machine", IndoorBikeData, TreadmillData)


def joined(held: Machine | None, part: Machine) -> Machine:
    """What is known of one moment after `part`, when `held` came before it and had `more_data`. Complete once it has none."""
    if held is None or not held.more_data:
        return part
    said = {name: value for name, value in msgspec.structs.asdict(part).items() if value is not None}
    return msgspec.structs.replace(held, **said)


def _announced(flags: int, layout: _Layout) -> Iterator[_Field]:
    flags ^= MORE_DATA  # from here on every bit means that something is there
    for bit, fields in enumerate(layout):
        if flags >> bit & 1:
            yield from fields


def _decode(reader: FrameReader, versions: Sequence[_Layout]) -> dict[str, Any]:
    flags = reader.number(2, "the flags")
    layout = next((one for one in versions if _size(flags, one) == reader.left), versions[0])
    values = {
        field.name: field.value(reader.number(field.size, field.name, signed=field.signed))
        for field in _announced(flags, layout)
    }
    if not flags >> len(layout):
        reader.end()
    return values


def _size(flags: int, layout: _Layout) -> int:
    return sum(field.size for field in _announced(flags, layout))


def _encode(data: MachineData, versions: Sequence[_Layout]) -> bytes:
    values = {name: value for name, value in msgspec.structs.asdict(data).items() if value is not None}
    for layout in versions:
        names = {field.name for fields in layout for field in fields}
        if values.keys() <= names:
            return _written(values, layout)
    raise OverflowError(f"no version of this characteristic has all of {sorted(values)}")


def _written(values: dict[str, float], layout: _Layout) -> bytes:
    flags, body = MORE_DATA, b""
    for bit, fields in enumerate(layout):
        if any(field.name in values for field in fields):
            flags ^= 1 << bit
            for field in fields:
                body += field.raw(values.get(field.name)).to_bytes(field.size, "little", signed=field.signed)
    return flags.to_bytes(2, "little") + body
