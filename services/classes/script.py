"""The script of a class: blocks of intervals with targets, and cues at class time. Pure.

Class time is ms from the beginning of the script. A block may be repeated; `laid_out` writes it all out, so that a place in class
time is one interval of one round of one block. Which server time a class time is says the class clock (class_clock.py).

Targets are what everybody should be at; each client shows its athlete what that is in their own body. Steps (steps.py) are what
each athlete does at their own pace inside an interval. A script that contradicts itself is refused with the place of the
contradiction: whoever wrote it finds out at the desk and not in front of a class.
"""

from bisect import bisect_right
from collections.abc import Sequence
from typing import Annotated, Final

import msgspec

from services.classes import steps as stepping
from services.classes.plain_text import one_line
from services.classes.steps import MAX_STEPS, Percent, Rounds, Step, ZoneNumber
from services.kernel.problems import BadShape

MAX_BLOCKS: Final = 50
MAX_INTERVALS: Final = 50
"""Intervals of one block."""
MAX_REPEAT: Final = 50
MAX_LAID_OUT: Final = 500
"""Intervals of a class, repeats written out. A class of 45 minutes in intervals of 20 s has 135."""
MAX_CUES: Final = 200
MIN_INTERVAL_MS: Final = 5_000
MAX_CLASS_MS: Final = 6 * 3_600_000

ClassMs = Annotated[int, msgspec.Meta(ge=0, le=MAX_CLASS_MS, description="class time in ms")]
IntervalMs = Annotated[int, msgspec.Meta(ge=MIN_INTERVAL_MS, le=MAX_CLASS_MS, description="ms")]
ScriptTitle = Annotated[str, msgspec.Meta(max_length=80, description="one line; it may be empty")]
ScriptText = Annotated[str, msgspec.Meta(min_length=1, max_length=200, description="one line")]
Rpm = Annotated[int, msgspec.Meta(ge=0, le=250, description="revolutions or steps per minute")]
Ftp = Annotated[int, msgspec.Meta(ge=0, le=400, description="percent of functional threshold power")]
Exertion = Annotated[int, msgspec.Meta(ge=0, le=10, description="perceived exertion, Borg CR10")]


class ZoneTarget(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="zone"):
    """Heart-rate zones, both included."""

    low: ZoneNumber
    high: ZoneNumber


class ReserveTarget(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="hrr"):
    """Percent of heart-rate reserve (Karvonen), both included."""

    low: Percent
    high: Percent


class PowerTarget(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="power"):
    """Power, as percent of the athlete's own threshold."""

    low: Ftp
    high: Ftp


class CadenceTarget(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="cadence"):
    """Cadence."""

    low: Rpm
    high: Rpm


class ExertionTarget(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="rpe"):
    """Perceived exertion."""

    low: Exertion
    high: Exertion


Target = ZoneTarget | ReserveTarget | PowerTarget | CadenceTarget | ExertionTarget
_OF_THE_HEART: Final = (ZoneTarget, ReserveTarget)


class Interval(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A stretch of class time with its targets, at most one of each kind, and what each athlete does in it at their own pace."""

    duration_ms: IntervalMs
    title: ScriptTitle = ""
    targets: Annotated[tuple[Target, ...], msgspec.Meta(max_length=4)] = ()
    steps: Annotated[tuple[Step | Rounds, ...], msgspec.Meta(max_length=MAX_STEPS)] = ()


class Block(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Intervals in order, `repeat` times."""

    intervals: Annotated[tuple[Interval, ...], msgspec.Meta(min_length=1, max_length=MAX_INTERVALS)]
    title: ScriptTitle = ""
    repeat: Annotated[int, msgspec.Meta(ge=1, le=MAX_REPEAT)] = 1


class ScriptCue(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is shown to everybody at a class time."""

    at_ms: ClassMs
    text: ScriptText


class Script(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What happens in a class. Cues are in the order of their times, one at a time."""

    blocks: Annotated[tuple[Block, ...], msgspec.Meta(min_length=1, max_length=MAX_BLOCKS)]
    cues: Annotated[tuple[ScriptCue, ...], msgspec.Meta(max_length=MAX_CUES)] = ()


class Laid(msgspec.Struct, frozen=True):
    """One interval where it lies in class time, `ends_ms` excluded. `block`, `round` and `interval` count from 0."""

    block: int
    round: int
    interval: int
    begins_ms: int
    ends_ms: int


def checked(script: Script, path: str = "$") -> Script:
    """The script with its texts fit to be shown. Raises `BadShape` with the place of the first contradiction."""
    blocks = tuple(_block(block, f"{path}.blocks[{number}]") for number, block in enumerate(script.blocks))
    count = sum(block.repeat * len(block.intervals) for block in blocks)
    if count > MAX_LAID_OUT:
        raise BadShape(
            f"with all repeats the script has {count} intervals; {MAX_LAID_OUT} at most", path=f"{path}.blocks"
        )
    lasts_ms = _lasts_ms(blocks)
    if lasts_ms > MAX_CLASS_MS:
        raise BadShape(f"the script lasts {lasts_ms} ms; {MAX_CLASS_MS} at most", path=f"{path}.blocks")
    return Script(blocks=blocks, cues=_cues(script.cues, lasts_ms, f"{path}.cues"))


def duration_ms(script: Script) -> int:
    """How long the script is in class time."""
    return _lasts_ms(script.blocks)


def laid_out(script: Script) -> tuple[Laid, ...]:
    """Every interval in the order of class time, repeats written out, without a hole."""
    laid: list[Laid] = []
    at_ms = 0
    for number, block in enumerate(script.blocks):
        for round_ in range(block.repeat):
            for place, interval in enumerate(block.intervals):
                laid.append(Laid(number, round_, place, at_ms, at_ms + interval.duration_ms))
                at_ms += interval.duration_ms
    return tuple(laid)


def interval_at(laid: Sequence[Laid], class_ms: int) -> Laid | None:
    """The interval in which a class time lies; None at the end of the script and after it. A border belongs to what begins
    there."""
    place = place_at(laid, class_ms)
    return laid[place] if place < len(laid) else None


def place_at(laid: Sequence[Laid], class_ms: int) -> int:
    """Which interval of the laid-out script it is, counted from 0; `len(laid)` from its end on."""
    return bisect_right(laid, class_ms, key=lambda each: each.ends_ms)


def cues_between(script: Script, after_ms: int, to_ms: int) -> tuple[ScriptCue, ...]:
    """The cues that become due when class time goes from `after_ms` on to `to_ms`, which is included."""
    return tuple(cue for cue in script.cues if after_ms < cue.at_ms <= to_ms)


def _lasts_ms(blocks: Sequence[Block]) -> int:
    return sum(block.repeat * sum(interval.duration_ms for interval in block.intervals) for block in blocks)


def _block(block: Block, path: str) -> Block:
    return Block(
        intervals=tuple(
            _interval(interval, f"{path}.intervals[{number}]") for number, interval in enumerate(block.intervals)
        ),
        title=_title(block.title, f"{path}.title"),
        repeat=block.repeat,
    )


def _interval(interval: Interval, path: str) -> Interval:
    kinds: set[type[Target]] = set()
    for number, target in enumerate(interval.targets):
        here = f"{path}.targets[{number}]"
        if target.low > target.high:
            raise BadShape(f"the target begins at {target.low} and ends at {target.high}", path=here)
        if type(target) in kinds:
            raise BadShape("the interval has two targets of this kind: give one", path=here)
        kinds.add(type(target))
        if all(kind in kinds for kind in _OF_THE_HEART):
            raise BadShape("zone and reserve both say what the heart is to do: give one of them", path=here)
    return Interval(
        duration_ms=interval.duration_ms,
        title=_title(interval.title, f"{path}.title"),
        targets=interval.targets,
        steps=stepping.checked(interval.steps, interval.duration_ms, f"{path}.steps"),
    )


def _cues(cues: Sequence[ScriptCue], lasts_ms: int, path: str) -> tuple[ScriptCue, ...]:
    shown: list[ScriptCue] = []
    for number, cue in enumerate(cues):
        here = f"{path}[{number}]"
        if cue.at_ms >= lasts_ms:
            raise BadShape(f"this cue is at {cue.at_ms} ms, but the script ends at {lasts_ms}", path=f"{here}.at_ms")
        if shown and cue.at_ms <= shown[-1].at_ms:
            raise BadShape("cues are in the order of their times, and one at a time", path=f"{here}.at_ms")
        shown.append(ScriptCue(cue.at_ms, _line(cue.text, f"{here}.text")))
    return tuple(shown)


def _title(text: str, path: str) -> str:
    return _line(text, path) if text else text


def _line(text: str, path: str) -> str:
    try:
        return one_line(text)
    except BadShape as refused:
        raise BadShape(refused.message, path=path) from refused
