"""Which intensity a heart rate is: the five zones, the shown zone, and the bands of heart-rate reserve.

The house zones are the widest known: 50, 60, 70, 80 and 90 % of maximum heart rate open zones 1 to 5. A
border belongs to the zone above it, the last zone has no upper end (a heart above its stated maximum is
still in zone 5), and everything under 50 % is zone 0. The borders are tested with whole numbers only,
because 0.7 * 170 is not 119 in floating point and a board must not waver on a border.

Two things are kept apart. `zone_of` is the truth that time in zone and points are computed from.
`DisplayZone` is what a screen shows: it hesitates at a border, so that a heart beating between 132 and 133
does not make a tile flicker. Never compute time or points from the shown zone.
"""

from collections.abc import Sequence
from typing import Final, Literal

import msgspec

ZONE_FLOORS: Final = (50, 60, 70, 80, 90)
"""Percent of maximum heart rate at which zones 1 to 5 begin."""
ZONES: Final = len(ZONE_FLOORS) + 1
"""How many zones there are to count time in, zone 0 included."""

DISPLAY_MARGIN_BPM: Final = 2
"""A rate this many bpm past the border of the shown zone changes the display at once. By feeling: beat
noise is 1-2.
"""
DISPLAY_DWELL_MS: Final = 3_000
"""Nearer to the border it changes after this long outside the shown zone, in ms. By feeling: three readings
at 1 Hz.
"""

ZoneTimes = tuple[int, int, int, int, int, int]
"""Whole ms spent in zones 0 to 5."""

Intensity = Literal["very_light", "light", "moderate", "vigorous", "near_maximal"]
INTENSITY_FLOORS: Final[tuple[tuple[int, Intensity], ...]] = (
    (90, "near_maximal"),
    (60, "vigorous"),
    (40, "moderate"),
    (30, "light"),
)
"""Percent of heart-rate reserve at which each band begins, highest first. ACSM Guidelines, 10th edition."""


def percent_of_max(bpm: int, max_hr: int) -> int:
    """Whole percent of maximum heart rate, rounded down so that it never names a zone the heart has not
    reached."""
    return bpm * 100 // max_hr


def zone_of(bpm: int, max_hr: int) -> int:
    """The zone 0 to 5 of a heart rate (both bpm), exact on the borders."""
    percent = bpm * 100 // max_hr
    # The floors stand 10 % apart from 50 % on; tests hold this against ZONE_FLOORS.
    return 0 if percent < 50 else min(percent // 10 - 4, 5)


def lowest_bpm(zone: int, max_hr: int) -> int:
    """The lowest whole bpm that lies in `zone`; 0 for zone 0. Raises ValueError for a zone that does not
    exist."""
    if not 0 <= zone < ZONES:
        raise ValueError(f"there is no zone {zone}; zones go from 0 to {ZONES - 1}")
    return 0 if zone == 0 else -(-ZONE_FLOORS[zone - 1] * max_hr // 100)


def floors_bpm(reference_bpm: float, percents: Sequence[float]) -> tuple[float, ...]:
    """Where zones begin, in bpm, when they are percentages of a reference rate: the maximum or the lactate
    threshold."""
    return tuple(reference_bpm * percent / 100 for percent in percents)


class DisplayZone(msgspec.Struct, frozen=True):
    """What a screen shows: the zone (None without a reading) and since when, in ms of stream time, the
    heart is outside it."""

    zone: int | None = None
    outside_since: int | None = None


def advance_display(shown: DisplayZone, t: int, bpm: int | None, max_hr: int) -> DisplayZone:
    """The display after a reading of `bpm` at `t` (ms of stream time).

    Unknown heart rate shows no zone, the first known one shows its zone at once. After that the display
    follows when the heart is `DISPLAY_MARGIN_BPM` past the border or has been outside the shown zone, on
    whichever side, for `DISPLAY_DWELL_MS`. A clock that steps back starts the wait again.
    """
    if bpm is None:
        return DisplayZone()
    zone = zone_of(bpm, max_hr)
    if shown.zone is None or zone == shown.zone or _is_clear_of(shown.zone, bpm, max_hr):
        return DisplayZone(zone)
    since = t if shown.outside_since is None else min(shown.outside_since, t)
    return DisplayZone(zone) if t - since >= DISPLAY_DWELL_MS else DisplayZone(shown.zone, since)


def _is_clear_of(zone: int, bpm: int, max_hr: int) -> bool:
    """Whether a rate outside `zone` is past its nearer border by the margin."""
    if bpm < lowest_bpm(zone, max_hr):
        return bpm <= lowest_bpm(zone, max_hr) - DISPLAY_MARGIN_BPM
    return bpm >= lowest_bpm(zone + 1, max_hr) + DISPLAY_MARGIN_BPM


def karvonen_bpm(percent: float, rest_hr: int, max_hr: int) -> float:
    """The heart rate at a percentage of heart-rate reserve, bpm. Karvonen, Kentala, Mustala 1957."""
    return rest_hr + percent * (max_hr - rest_hr) / 100


def intensity_of(bpm: int, rest_hr: int, max_hr: int) -> Intensity:
    """The band of heart-rate reserve a rate lies in, exact on the borders. ACSM Guidelines, 10th edition.

    `max_hr` must be above `rest_hr`, which every `Physiology` is checked for.
    """
    above_rest = (bpm - rest_hr) * 100
    for floor, intensity in INTENSITY_FLOORS:
        if above_rest >= floor * (max_hr - rest_hr):
            return intensity
    return "very_light"
