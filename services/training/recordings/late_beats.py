"""Heart rate that comes after the swim: radio does not carry through water, so the strap remembers.

The strap counts in its own ticks of 1/1024 s. The first `hr` message ties one tick to a wall clock; the
later ones pack eight beats, each with the low 12 bits of its tick, so the count is carried on by the step
from beat to beat (a step is always below the 4 s after which 12 bits repeat; a longer hole comes with a
full tick again). Layout and units: FIT profile, message `hr` (132), and its accumulated component
`event_timestamp_12`.

The beats keep their own instants, also those from before the watch was started. The watch meanwhile wrote
records without heart rate, once a second; a record says nothing about contact when another device held the
strap, so it gives way wherever a beat is fresh, and stays where none is.
"""

from bisect import bisect_right
from collections.abc import Sequence
from typing import Final

from services.training.recordings.recording import RawPoint
from services.training.sample import HOLD_MS

_TICKS_PER_S: Final = 1024
_LOW_BITS: Final = 0xFFF


class LateBeats:
    """The beats of the `hr` messages so far, and where the strap's count of ticks stands."""

    def __init__(self) -> None:
        self.points: list[RawPoint] = []
        self._tick: int | None = None
        self._zero_ms: int | None = None  # the instant of tick 0

    def add(self, *, at_ms: int | None, ticks: Sequence[int], packed: bytes, bpm: Sequence[int | None]) -> None:
        """Take one message.

        Wall clock in ms (or None), full ticks, packed ticks, and a heart rate for each of them.
        """
        if at_ms is not None and ticks:
            self._zero_ms = at_ms - ticks[0] * 1000 // _TICKS_PER_S
        moments = list(ticks)
        if ticks:
            self._tick = ticks[-1]
        for low in unpacked(packed):
            if self._tick is None:
                return  # beats before the first full tick have no time that anybody could know
            self._tick += (low - self._tick) & _LOW_BITS
            moments.append(self._tick)
        if self._zero_ms is None:
            return
        for tick, rate in zip(moments, bpm, strict=False):
            if rate is not None:
                point = RawPoint(self._zero_ms + tick * 1000 // _TICKS_PER_S, rate)
                if not self.points or point != self.points[-1]:  # the last message repeats its last beat to fill up
                    self.points.append(point)


def unpacked(packed: bytes) -> list[int]:
    """Two 12-bit values from every three bytes, the low one first.

    Bytes left over at the end are no value.
    """
    values: list[int] = []
    for first, middle, last in zip(packed[0::3], packed[1::3], packed[2::3], strict=False):
        values += (first | (middle & 0x0F) << 8, middle >> 4 | last << 4)
    return values


def woven(records: Sequence[RawPoint], beats: Sequence[RawPoint]) -> list[RawPoint]:
    """Records and beats on one time line, without the records that a fresh beat makes meaningless.

    A record stays when it has a heart rate or intervals of its own, has no time, or no beat came in the
    HOLD_MS before it.
    """
    beats = sorted(beats, key=_instant)
    instants = [_instant(beat) for beat in beats]

    def stays(record: RawPoint) -> bool:
        if record.bpm or record.rr or record.at_ms is None:
            return True
        before = bisect_right(instants, record.at_ms)
        return before == 0 or record.at_ms - instants[before - 1] > HOLD_MS

    return sorted([*(r for r in records if stays(r)), *beats], key=_instant)


def _instant(point: RawPoint) -> int:
    return point.at_ms if point.at_ms is not None else 0
