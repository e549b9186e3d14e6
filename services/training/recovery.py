"""Heart-rate recovery: how far the heart falls in the minute after its highest point.

Protocol `peak_60s`, named in every result because recoveries by different protocols must not be compared.
The peak is the highest heart rate of the workout, at the last moment it stood there; recovery is the peak
minus the heart rate 60 s later, whatever the athlete did in that minute. No one tells us when an effort
ends, and the heart lags the work by seconds, so its own last peak is the best witness of that end. After a
hard stop this is the clinical measure (Cole et al., NEJM 1999;341:1351: 12 bpm or less after an upright
cool-down was abnormal); if the athlete keeps moving it reads lower. We show it as training information and
attach no judgement.

One stray beat must make neither a peak nor a recovery. So a reading counts at the middle value of itself
and its two neighbours, at the end of a run of readings at the lower of the two, and alone, not at all.
Everything compared comes from that one curve, so the recovery can never be negative.

There is no result when the peak was no effort (below 70 % of maximum, chosen by feeling: zone 3) or when no
reading stands for the moment 60 s after it, because the strap was off or the recording ended. A gap inside
the minute does no harm.
"""

from typing import Final, Literal, NamedTuple

import msgspec

from services.training.sample import HOLD_MS
from services.training.zones import percent_of_max

RECOVERY_MS: Final = 60_000
EFFORT_PERCENT: Final = 70
"""Percent of maximum heart rate a peak must reach to have anything to recover from."""


class Recovery(msgspec.Struct, frozen=True):
    """Recovery in bpm (`hrr60`), with the peak and the later rate it is the difference of.

    Where `hrr60` is None, `reason` says why.
    """

    hrr60: int | None
    peak_bpm: int | None = None
    later_bpm: int | None = None
    protocol: Literal["peak_60s"] = "peak_60s"
    reason: Literal["no_heart_rate", "no_effort", "not_covered"] | None = None


class _Peak(NamedTuple):
    bpm: int
    at: int
    later_bpm: int | None = None


class _Reading(NamedTuple):
    at: int
    bpm: int


class RecoveryTracker:
    """Watches one workout go by in order and remembers a handful of numbers, however long it lasts."""

    def __init__(self) -> None:
        self._peak: _Peak | None = None
        self._before: int | None = None
        self._latest: _Reading | None = None

    def add(self, at: int, bpm: int | None) -> None:
        """The next reading, `at` ms of elapsed time (never smaller than the one before), bpm None while
        unknown."""
        latest = self._latest
        if latest is not None:
            joined = bpm if at - latest.at <= HOLD_MS else None
            self._peak = _advance(self._peak, latest, min(at, latest.at + HOLD_MS), self._before, joined)
            self._before = None if joined is None else latest.bpm
        self._latest = None if bpm is None else _Reading(at, bpm)

    def result(self, max_hr: int) -> Recovery:
        """The recovery as far as it is known by now; watching may go on afterwards."""
        peak = self._peak
        if self._latest is not None:
            peak = _advance(peak, self._latest, self._latest.at, self._before, None)
        if peak is None:
            return Recovery(hrr60=None, reason="no_heart_rate")
        if percent_of_max(peak.bpm, max_hr) < EFFORT_PERCENT:
            return Recovery(hrr60=None, peak_bpm=peak.bpm, reason="no_effort")
        if peak.later_bpm is None:
            return Recovery(hrr60=None, peak_bpm=peak.bpm, reason="not_covered")
        return Recovery(hrr60=peak.bpm - peak.later_bpm, peak_bpm=peak.bpm, later_bpm=peak.later_bpm)


def _advance(peak: _Peak | None, here: _Reading, until: int, before: int | None, after: int | None) -> _Peak | None:
    """The peak after a reading that stands from `here.at` to `until`, between the neighbours `before` and
    `after`."""
    bpm = _steady_bpm(here.bpm, before, after)
    if bpm is None:
        return peak
    if peak is None or bpm >= peak.bpm:
        return _Peak(bpm, here.at)
    moment = peak.at + RECOVERY_MS
    if peak.later_bpm is None and (moment == here.at or here.at < moment < until):
        return peak._replace(later_bpm=bpm)
    return peak


def _steady_bpm(here: int, before: int | None, after: int | None) -> int | None:
    """The rate a reading is believed at, given its neighbours; None when it stands alone."""
    if before is not None and after is not None:
        return sorted((before, here, after))[1]
    neighbour = before if after is None else after
    return None if neighbour is None else min(here, neighbour)
