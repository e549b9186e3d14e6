"""What the interval that a class is in asks of a heart. Pure.

A heart follows its rider by half a minute, so an interval asks nothing before it has lasted `SETTLING_MS`; and a class that stands
still asks nothing at all.
"""

from collections.abc import Sequence
from typing import Final

from services.classes.class_clock import ClassClock, class_ms_at
from services.classes.script import Laid, ReserveTarget, Script, Target, ZoneTarget, interval_at
from services.classes.steps import Band, Body, InReserve, InZone, band_of

SETTLING_MS: Final = 30_000
"""Of class time. By feeling: about as long as a heart needs for most of the way to a new load."""


def targets_at(script: Script, laid: Sequence[Laid], clock: ClassClock, now_ms: int) -> tuple[Target, ...]:
    """The targets that are in force at a server time; `laid` is the script laid out."""
    if clock.state != "running":
        return ()
    class_ms = class_ms_at(clock, max(now_ms, clock.at_ms))
    here = interval_at(laid, class_ms)
    if here is None or class_ms - here.begins_ms < SETTLING_MS:
        return ()
    return script.blocks[here.block].intervals[here.interval].targets


def heart_band(targets: Sequence[Target], body: Body) -> Band | None:
    """Which heart rates these targets ask of a body; None when they ask nothing of the heart."""
    for target in targets:
        match target:
            case ZoneTarget(low=low, high=high):
                return band_of(InZone(low, high), body)
            case ReserveTarget(low=low, high=high):
                return band_of(InReserve(low, high), body)
            case _:
                continue
    return None
