"""Driving a trainer: requests to the Fitness Machine Control Point (0x2AD9), its answers, and Fitness Machine Status (0x2ADA).

A client writes a request and gets one answer (an indication) with the code of the request and what became of it. It must ask for
control first, and may lose it at any moment to a button on the machine: the status says so. A coach's target therefore takes this
way: the server makes the bytes (`encode_request`), the phone that holds the trainer writes them, and hands the answer back.

Requests and their parameters stand in one table, `_REQUESTS`; so do the statuses. (Bluetooth SIG, Fitness Machine Service 1.0,
4.16 and 4.17; an erratum made the resistance of a request two bytes instead of one, which is
what we write; both are read.)
"""

from typing import Any, Final, Literal, NamedTuple

import msgspec

from services.training.frame import FrameReader

CONTROL_POINT: Final = 0x2AD9
MACHINE_STATUS: Final = 0x2ADA

_RESPONSE: Final = 0x80

Result = Literal["success", "not_supported", "invalid_parameter", "failed", "not_permitted"]
RESULTS: Final[tuple[Result, ...]] = ("success", "not_supported", "invalid_parameter", "failed", "not_permitted")
"""By result code, from 1 on."""


class RequestControl(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="control"):
    """May I drive? To be answered with success before anything else is asked."""


class Reset(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="reset"):
    """Back to the settings of the machine itself; control is given up."""


class TargetPower(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="power"):
    """Hold this power whatever the cadence, W."""

    watts: int


class TargetResistance(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="resistance"):
    """Brake at this level; its range is the machine's own."""

    level: float


class Simulation(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="simulation"):
    """Ride as on a road: head wind in m/s, grade in %, rolling resistance coefficient, wind resistance in kg/m.

    The defaults are what riding programs send for a road bike in still air.
    """

    wind_m_s: float = 0.0
    grade_percent: float = 0.0
    rolling: float = 0.004
    drag_kg_m: float = 0.51


class Start(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="start"):
    """Start, or go on."""


class Stop(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="stop"):
    """End."""


class Pause(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="pause"):
    """Stop for now."""


Request = RequestControl | Reset | TargetPower | TargetResistance | Simulation | Start | Stop | Pause


class Answer(msgspec.Struct, frozen=True):
    """What became of the request of code `request` (0 to 0x7F)."""

    request: int
    result: Result


Happened = Literal[
    "reset",
    "stopped",
    "paused",
    "safety_key",
    "started",
    "speed",
    "incline",
    "resistance",
    "power",
    "heart_rate",
    "simulation",
    "control_lost",
    "other",
]


class MachineStatus(msgspec.Struct, frozen=True):
    """Something happened at the machine, by its user or by a client.

    `value` is the new target where there is one: km/h, %, level, W, bpm; for a simulation the grade in %.
    """

    happened: Happened
    value: float | None = None


class _Number(NamedTuple):
    name: str
    size: int
    signed: bool
    per: int = 1


class _Kind(NamedTuple):
    code: int
    shape: type[Request]
    numbers: tuple[_Number, ...] = ()
    says: int | None = None
    """The one value that the parameter has in this request."""


_REQUESTS: Final = (
    _Kind(0x00, RequestControl),
    _Kind(0x01, Reset),
    _Kind(0x04, TargetResistance, (_Number("level", 2, signed=True, per=10),)),
    _Kind(0x05, TargetPower, (_Number("watts", 2, signed=True),)),
    _Kind(0x07, Start),
    _Kind(0x08, Stop, says=1),
    _Kind(0x08, Pause, says=2),
    _Kind(
        0x11,
        Simulation,
        (
            _Number("wind_m_s", 2, signed=True, per=1_000),
            _Number("grade_percent", 2, signed=True, per=100),
            _Number("rolling", 1, signed=False, per=10_000),
            _Number("drag_kg_m", 1, signed=False, per=100),
        ),
    ),
)

_STATUSES: Final[dict[int, tuple[Happened, _Number | None]]] = {
    0x01: ("reset", None),
    0x03: ("safety_key", None),
    0x04: ("started", None),
    0x05: ("speed", _Number("the speed", 2, signed=False, per=100)),
    0x06: ("incline", _Number("the incline", 2, signed=True, per=10)),
    0x08: ("power", _Number("the power", 2, signed=True)),
    0x09: ("heart_rate", _Number("the heart rate", 1, signed=False)),
    0xFF: ("control_lost", None),
}


def encode_request(request: Request) -> bytes:
    """The bytes to write to the control point. Raises OverflowError for a target that they cannot say."""
    kind = next(kind for kind in _REQUESTS if kind.shape is type(request))
    body = b"".join(
        round(getattr(request, number.name) * number.per).to_bytes(number.size, "little", signed=number.signed)
        for number in kind.numbers
    )
    return bytes((kind.code,)) + (bytes((kind.says,)) if kind.says is not None else body)


def decode_request(data: bytes) -> Request:
    """A request as a trainer reads it, of the kinds that we write. Raises `BadFrame`."""
    reader = FrameReader(data, "Fitness Machine Control Point (0x2AD9)")
    code = reader.number(1, "the code")
    kinds = [kind for kind in _REQUESTS if kind.code == code]
    if not kinds:
        raise reader.bad(f"no request that we know has the code 0x{code:02x}", at=0)
    kind = kinds[0]
    if kind.says is not None:
        kind = _saying(reader, kinds)
    values = {number.name: _read(reader, _as_wide_as_comes(number, reader)) for number in kind.numbers}
    reader.end()
    made: Any = kind.shape
    request: Request = made(**values)
    return request


def encode_answer(answer: Answer) -> bytes:
    """The bytes of an answer."""
    return bytes((_RESPONSE, answer.request, RESULTS.index(answer.result) + 1))


def decode_answer(data: bytes) -> Answer:
    """An answer of the control point. Raises `BadFrame`.

    What follows a success (two speeds, for a spin down) is left alone.
    """
    reader = FrameReader(data, "Fitness Machine Control Point (0x2AD9)")
    if reader.number(1, "the code") != _RESPONSE:
        raise reader.bad("an answer begins with 0x80", at=0)
    request = reader.number(1, "the code of the request")
    result = reader.number(1, "the result")
    if not 1 <= result <= len(RESULTS):
        raise reader.bad(f"results go from 1 to {len(RESULTS)}", at=2)
    return Answer(request, RESULTS[result - 1])


def decode_status(data: bytes) -> MachineStatus:
    """A Fitness Machine Status. What it says of targets that we never set is `other`. Raises `BadFrame`."""
    reader = FrameReader(data, "Fitness Machine Status (0x2ADA)")
    code = reader.number(1, "the code")
    match code:
        case 0x02:
            how = reader.number(1, "stopped or paused")
            status = MachineStatus("paused" if how == 2 else "stopped")
        case 0x07:
            level = _Number("level", min(max(reader.left, 1), 2), signed=reader.left > 1, per=10)
            status = MachineStatus("resistance", _read(reader, level))
        case 0x12:
            reader.number(2, "the wind")
            status = MachineStatus("simulation", _read(reader, _Number("the grade", 2, signed=True, per=100)))
            reader.number(2, "rolling and wind resistance")
        case _ if code in _STATUSES:
            happened, number = _STATUSES[code]
            status = MachineStatus(happened, None if number is None else _read(reader, number))
        case _:
            return MachineStatus("other")
    reader.end()
    return status


def _saying(reader: FrameReader, kinds: list[_Kind]) -> _Kind:
    said = reader.number(1, "stop or pause")
    for kind in kinds:
        if kind.says == said:
            return kind
    raise reader.bad("1 is stop and 2 is pause", at=1)


def _as_wide_as_comes(number: _Number, reader: FrameReader) -> _Number:
    """The resistance had one byte without sign before the erratum."""
    return number._replace(size=1, signed=False) if number.name == "level" and reader.left == 1 else number


def _read(reader: FrameReader, number: _Number) -> float:
    raw = reader.number(number.size, number.name, signed=number.signed)
    return raw if number.per == 1 else raw / number.per
