"""From a recording to what a device on the wrist would have sent: the one cleaning rule for all formats.

1. **No value is no heart rate.** Absent, 0, -1 and 255 mean that the sensor had no contact: `bpm` is None.
   So is any other value outside MIN_BPM..MAX_BPM, which is counted apart, because that is a sensor fault
   and not a lost strap.
2. **One instant, one sample.** Entries with the same time become one sample: a value wins over none, a
   later value over an earlier one, RR intervals are strung together.
3. **Small disorder is sorted.** An entry up to SHUFFLE_MS late goes where its time says. One entry alone
   whose time is off while its neighbours agree is put between them.
4. **A clock that is set** (back by more than SHUFFLE_MS, or ahead by more than a stream may last) does not
   tell how much time passed: the recording goes on from its last instant by its usual step, and the offset
   stays until the end.
5. **Gaps stay.** A pause has no samples; none is invented, none is moved.
6. **Beats without a clock** (RR lists, HRM in RR mode) are put on the running sum of the intervals and
   reported as a strap does, once a second: the beats that ended in that second, with their mean rate, at
   the instant of the last of them. An interval outside 300..2000 ms is no beat but a hole: it gives no
   rate, and one second into a long one the contact is reported as lost. The interval itself is kept in
   `rr`, so that whoever analyses beats applies his own rule. Where neither a clock nor beats place anything in
   time, the recording is refused.

7. **Motion** is carried over: whole metres, rounded down, so that no sum is ever more than was recorded; W;
   cadence. Watches count one foot, samples both: on foot the cadence is doubled. Where a recording has several
   sports, of which some are on foot, nobody knows which entry is which, and there is no cadence. A value that
   no sample can carry is none, and counted.

Whatever was done is counted in `Cleaning`, so that nobody has to wonder where samples went. Nothing here
reads a clock; the same recording always gives the same samples.
"""

from collections.abc import Iterator, Sequence
from itertools import groupby, pairwise
from operator import itemgetter
from statistics import median_low
from typing import Final

import msgspec

from services.training.recordings.recording import RawPoint, Recording, RecordingError
from services.training.sample import (
    MAX_BPM,
    MAX_CADENCE,
    MAX_DISTANCE_M,
    MAX_POWER_W,
    MAX_T_MS,
    MIN_BPM,
    Motion,
    Sample,
)

SHUFFLE_MS: Final = 5_000
"""How late an entry may stand in the file and still be sorted in; as long as a reading holds."""

REPORT_MS: Final = 1_000
"""A Bluetooth strap notifies about once a second, with the intervals since then (Heart Rate Service)."""

RR_MIN_MS: Final = 300
RR_MAX_MS: Final = 2_000
"""Intervals outside are artefacts (the usual range filter of HRV analysis)."""

MAX_RR_PER_SAMPLE: Final = 64
MAX_RR_MS: Final = 65_535
"""What fits on the wire in one sample, see `Sample`."""

_ON_FOOT: Final = ("run", "walk", "hik")

_NO_VALUE: Final = frozenset({None, 0, -1, 255})
_USUAL_STEP_MS: Final = 1_000


class Cleaning(msgspec.Struct, frozen=True):
    """What the rule did to one recording, in numbers."""

    without_heart_rate: int = 0
    """samples in the timeline whose heart rate is None"""
    out_of_range: int = 0
    """entries with a heart rate that no human shows"""
    merged: int = 0
    """entries that went into another sample of the same instant"""
    sorted_in: int = 0
    """entries that stood late in the file, by up to SHUFFLE_MS"""
    strays: int = 0
    """single entries with a time of their own invention, put between their neighbours"""
    clock_sets: int = 0
    """times the clock was set, back or far ahead"""
    clock_offset_ms: int = 0
    """by how much the clock was set, all times together, without sign"""
    untimed: int = 0
    """entries without a time in a recording that has times: left out"""
    contact_losses: int = 0
    """RR intervals outside 300..2000 ms in a recording of beats alone"""
    rr_dropped: int = 0
    """intervals of 0 ms, over 65535 ms, or past the 64th of one sample"""
    motion_out_of_range: int = 0
    """distances, powers and cadences that no sample can carry"""


class Timeline(msgspec.Struct, frozen=True):
    """Samples in order, `t` in ms from the first instant of the recording, never decreasing."""

    samples: tuple[Sample, ...]
    cleaning: Cleaning

    @property
    def duration_ms(self) -> int:
        """From the beginning to the last sample."""
        return self.samples[-1].t if self.samples else 0


def to_samples(recording: Recording) -> Timeline:
    """The samples of a recording, by the rule above.

    Raises RecordingError when nothing places its points in time, and when they span more than MAX_T_MS (a week), the
    longest a stream may last.
    """
    counts: dict[str, int] = {}
    timed = [p for p in recording.points if p.at_ms is not None]
    if timed:
        counts["untimed"] = len(recording.points) - len(timed)
        samples = list(_by_clock(timed, _feet(recording.sport), counts))
    else:
        samples = list(_by_beats(recording.points, counts))
    if recording.points and not samples:
        raise RecordingError(
            recording.name,
            f"holds no times: it has {len(recording.points)} points, and nothing says when any of them was",
            cure="Export the workout with the time of every point, best as FIT.",
        )
    if samples and samples[-1].t > MAX_T_MS:
        raise RecordingError(
            recording.name,
            f"lasts {samples[-1].t // 3_600_000} hours, and a stream lasts {MAX_T_MS // 3_600_000} at most",
            cure="Cut it into shorter files.",
        )
    counts["without_heart_rate"] = sum(sample.bpm is None for sample in samples)
    return Timeline(samples=tuple(samples), cleaning=Cleaning(**counts))


def _by_clock(points: Sequence[RawPoint], feet: int | None, counts: dict[str, int]) -> Iterator[Sample]:
    placed = _placed(points, counts)
    late = sum(following < before for before, following in pairwise(at for at, _ in placed))
    if late:
        counts["sorted_in"] = late
        placed.sort(key=itemgetter(0))  # stable: equal times keep the order of the file
    beginning = placed[0][0]
    for at, same in groupby(placed, key=itemgetter(0)):
        yield _merged(at - beginning, [point for _, point in same], feet, counts)


def _placed(points: Sequence[RawPoint], counts: dict[str, int]) -> list[tuple[int, RawPoint]]:
    """Every point with the instant it is believed to have, ms.

    Disorder that is left is at most SHUFFLE_MS.
    """
    instants = [p.at_ms or 0 for p in points]
    usual = _usual_step(instants)
    offset, latest = 0, instants[0]
    placed = [(latest, points[0])]
    for index in range(1, len(points)):
        at = instants[index] + offset
        if not -SHUFFLE_MS <= at - latest <= SHUFFLE_MS:
            following = instants[index + 1] + offset if index + 1 < len(points) else None
            if (
                following is not None
                and abs(following - latest) <= SHUFFLE_MS
                and abs(following - at) > SHUFFLE_MS  # else sorting alone puts both right
            ):
                at = (latest + max(following, latest)) // 2
                _count(counts, "strays")
            elif at < latest or at - latest > MAX_T_MS:
                _count(counts, "clock_sets")
                _count(counts, "clock_offset_ms", abs(latest + usual - at))
                offset += latest + usual - at
                at = latest + usual
        latest = max(latest, at)
        placed.append((at, points[index]))
    return placed


def _usual_step(instants: Sequence[int]) -> int:
    """The median of the forward steps between neighbours, ms; one second where there are none."""
    forward = [after - before for before, after in pairwise(instants) if 0 < after - before <= MAX_T_MS]
    return median_low(forward) if forward else _USUAL_STEP_MS


def _merged(t: int, points: Sequence[RawPoint], feet: int | None, counts: dict[str, int]) -> Sample:
    _count(counts, "merged", len(points) - 1)
    bpm = None
    for point in points:
        if point.bpm in _NO_VALUE:
            continue
        if point.bpm is not None and MIN_BPM <= point.bpm <= MAX_BPM:
            bpm = point.bpm
        else:
            _count(counts, "out_of_range")
    rr = _fitting((rr for point in points for rr in point.rr), counts)
    return Sample(t=t, bpm=bpm, rr=rr, motion=_motion(points, feet, counts))


def _motion(points: Sequence[RawPoint], feet: int | None, counts: dict[str, int]) -> Motion | None:
    distance_m = power_w = cadence = None
    for point in points:
        distance_m = point.distance_m if point.distance_m is not None else distance_m
        power_w = point.power_w if point.power_w is not None else power_w
        cadence = point.cadence if point.cadence is not None else cadence
    motion = Motion(
        _within(distance_m, MAX_DISTANCE_M, counts),
        _within(power_w, MAX_POWER_W, counts),
        None if cadence is None or feet is None else _within(cadence * feet, MAX_CADENCE, counts),
    )
    return None if motion == Motion() else motion


def _within(value: float | None, most: int, counts: dict[str, int]) -> int | None:
    if value is None or 0 <= value <= most:
        return None if value is None else int(value)
    _count(counts, "motion_out_of_range")
    return None


def _feet(sport: str | None) -> int | None:
    """How many times the cadence of a recording counts: 2 on foot, None where it cannot be known."""
    sports = (sport or "").lower().split(", ")
    on_foot = [any(word in one for word in _ON_FOOT) for one in sports]
    if any(on_foot) and not all(on_foot):
        return None
    return 2 if any(on_foot) else 1


def _by_beats(points: Sequence[RawPoint], counts: dict[str, int]) -> Iterator[Sample]:
    t = 0
    report: list[int] = []  # the intervals that ended in the second of t
    for rr in (rr for point in points for rr in point.rr):
        ends = t + max(rr, 0)
        if report and (ends // REPORT_MS != t // REPORT_MS or rr > RR_MAX_MS):
            yield _report(t, report, counts)
            report = []
        if rr > RR_MAX_MS:
            yield Sample(t=t + REPORT_MS)
        if not RR_MIN_MS <= rr <= RR_MAX_MS:
            _count(counts, "contact_losses")
        report.append(rr)
        t = ends
    if report:
        yield _report(t, report, counts)


def _report(t: int, intervals: Sequence[int], counts: dict[str, int]) -> Sample:
    beats = [rr for rr in intervals if RR_MIN_MS <= rr <= RR_MAX_MS]
    bpm = round(60_000 * len(beats) / sum(beats)) if beats else None
    return Sample(t=t, bpm=bpm, rr=_fitting(intervals, counts))


def _fitting(intervals: Iterator[int] | Sequence[int], counts: dict[str, int]) -> tuple[int, ...]:
    """The intervals that fit on the wire; the others are counted."""
    everything = list(intervals)
    fitting = [rr for rr in everything if 1 <= rr <= MAX_RR_MS][:MAX_RR_PER_SAMPLE]
    _count(counts, "rr_dropped", len(everything) - len(fitting))
    return tuple(fitting)


def _count(counts: dict[str, int], what: str, by: int = 1) -> None:
    counts[what] = counts.get(what, 0) + by
