"""How long the heart stood at each rate: the one table that load, zones, mean and energy are all read from.

Zone points, TRIMP and calories are sums over time of a function that only looks at the heart rate. Heart
rates are whole numbers from 20 to 250, so instead of adding up one float per formula and sample, we count
whole milliseconds in 231 drawers and apply the formulas to the drawers at the end. Three things follow:

- memory stays the same for a minute and for a day;
- the sums are of integers, so their result is the same in every order and every split into batches, to the
  last bit;
- late samples and merged streams are an addition, never a new pass.

This is not the mean heart rate in disguise: TRIMP bends upward with the rate, so computing it from the mean
would under-read intervals. The drawers keep every rate apart.
"""

from collections.abc import Iterator, Sequence
from typing import Final, Self

import msgspec

from services.training.sample import MAX_BPM, MIN_BPM
from services.training.zones import ZONES, ZoneTimes, zone_of

DRAWERS: Final = MAX_BPM - MIN_BPM + 1


class Exposure(msgspec.Struct, frozen=True):
    """Whole ms spent at each heart rate; `ms_at[0]` belongs to MIN_BPM, `ms_at[-1]` to MAX_BPM.

    Raises ValueError when a drawer is missing or holds less than nothing.
    """

    ms_at: tuple[int, ...] = (0,) * DRAWERS

    def __post_init__(self) -> None:
        if len(self.ms_at) != DRAWERS or min(self.ms_at) < 0:
            raise ValueError(
                f"an exposure needs {DRAWERS} times of 0 ms or more, one per bpm from {MIN_BPM} to {MAX_BPM}"
            )

    def stretches(self) -> Iterator[tuple[int, int]]:
        """Each heart rate that was held for any time, with that time: (bpm, ms), lowest first."""
        return ((bpm, ms) for bpm, ms in enumerate(self.ms_at, MIN_BPM) if ms)

    def __add__(self, other: Self) -> "Exposure":
        """Both taken together, for example two parts of one workout."""
        return Exposure(tuple(a + b for a, b in zip(self.ms_at, other.ms_at, strict=True)))

    @property
    def measured_ms(self) -> int:
        """All time with a known heart rate, ms."""
        return sum(self.ms_at)

    @property
    def mean_bpm(self) -> float | None:
        """The mean over time, not over samples, so a strap that reports more often does not weigh more;
        None without time."""
        measured = self.measured_ms
        return sum(bpm * ms for bpm, ms in self.stretches()) / measured if measured else None

    def ms_in_zone(self, max_hr: int) -> ZoneTimes:
        """Whole ms in zones 0 to 5; together they are `measured_ms`."""
        in_zone = [0] * ZONES
        for bpm, ms in self.stretches():
            in_zone[zone_of(bpm, max_hr)] += ms
        zero, one, two, three, four, five = in_zone
        return zero, one, two, three, four, five


def exposure_of(stretches: Sequence[tuple[int, int]]) -> Exposure:
    """The exposure made of (bpm, ms) stretches in any order. Raises ValueError for a rate that no sample
    may carry."""
    ms_at = [0] * DRAWERS
    for bpm, ms in stretches:
        ms_at[drawer_of(bpm)] += ms
    return Exposure(tuple(ms_at))


def drawer_of(bpm: int) -> int:
    """The place of a heart rate in `ms_at`. Raises ValueError outside MIN_BPM to MAX_BPM."""
    if not MIN_BPM <= bpm <= MAX_BPM:
        raise ValueError(
            f"{bpm} bpm is no heart rate; a sensor fault must arrive as None (valid: {MIN_BPM} to {MAX_BPM})"
        )
    return bpm - MIN_BPM
