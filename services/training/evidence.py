"""What is kept of a workout's samples to judge it by and to compare it with others, from one pass over them. Pure.

The judgement and the grade are of one stream; where it has a cadence and its heart rate is an optical sensor's, whether that counts
steps is part of it. The rest is for two: a *sketch* is the heart rate as a mean of each ten seconds, a
hundred times cheaper to compare than the curve itself. It does not decide anything. It says of which two the curves are
worth reading, because whoever reads all pairs of a class of five hundred reads for an hour.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from services.training.physiology import Physiology
from services.training.plausibility import Judgement, Scrutiny, together
from services.training.plausibility_pairs import (
    MAX_SHIFT_S,
    Curve,
    CurveTaker,
    cadence_lock,
    cadence_of,
    fingerprint,
    turns,
)
from services.training.provenance import Beats, Grade, SensorKind, grade_of
from services.training.sample import Sample

BIN_S: Final = 10
"""Seconds of one number of a sketch."""
BIN_KNOWN_S: Final = 5
"""Seconds of them that must be known."""
BIN_NEAR_BPM: Final = 6
"""How near two sketches are where the curves behind them are within 2 bpm: means of ten seconds that begin five seconds apart
differ by 5 bpm more where a heart rises by one a second."""
MIN_BINS: Final = 24
"""Numbers that both must know: the four minutes of `plausibility_pairs`."""
SUSPICIOUS_PERCENT: Final = 70
"""Near numbers from which on the curves are compared. Below the 80 of `copied`, because a sketch is coarse."""
SKETCHED_S: Final = 12 * 3_600
"""So much of a workout is compared with others. Chosen: the longest that anybody races, and a bound for one comparison."""
MIN_TURNS: Final = 60
"""Changes of the rate that a curve must have for its fingerprint to mean anything. By feeling."""


class Evidence(msgspec.Struct, frozen=True):
    """What one pass found. `ends_ms` is the time of the last sample on the device's clock, `mean_bpm` over the known seconds, None
    where there are none; `sketch` has 0 where nothing is known; `fingerprint` None where too little happens."""

    judgement: Judgement
    grade: Grade
    samples: int
    ends_ms: int
    mean_bpm: int | None
    fingerprint: str | None
    sketch: tuple[int, ...]


class Examination:
    """The pass. Samples are given in the order of their sequence numbers."""

    def __init__(self, physiology: Physiology, sensor: SensorKind | None) -> None:
        self._scrutiny = Scrutiny(physiology)
        self._beats = Beats()
        self._curve = CurveTaker()
        self._cadence: CurveTaker | None = None
        self._sensor = sensor
        self._samples = 0
        self._ends_ms = 0

    def add(self, sample: Sample) -> None:
        """The next sample."""
        self._scrutiny.add(sample)
        self._beats.add(sample)
        self._curve.add(sample)
        if self._cadence is None and sample.motion is not None and sample.motion.cadence is not None:
            self._cadence = CurveTaker(cadence_of)
        if self._cadence is not None:
            self._cadence.add(sample)
        self._samples += 1
        self._ends_ms = max(self._ends_ms, sample.t)

    def evidence(self) -> Evidence:
        """What was found. Nothing may be added afterwards."""
        curve = self._curve.done()
        known = [bpm for bpm in curve if bpm is not None]
        grade = grade_of(self._sensor, beats=self._beats.there())
        return Evidence(
            judgement=self._judgement(curve, grade),
            grade=grade,
            samples=self._samples,
            ends_ms=self._ends_ms,
            mean_bpm=round(sum(known) / len(known)) if known else None,
            fingerprint=fingerprint(curve) if len(turns(curve)) >= MIN_TURNS else None,
            sketch=sketch_of(curve),
        )

    def _judgement(self, curve: Curve, grade: Grade) -> Judgement:
        """Electrodes cannot count steps: only what is, or may be, optical is asked whether it does."""
        alone = self._scrutiny.judgement()
        if self._cadence is None or grade != "optical":
            return alone
        return together((alone, cadence_lock(curve, self._cadence.done())))


def sketch_of(curve: Curve) -> tuple[int, ...]:
    """The mean of each ten seconds of the first hours, 0 where too few of them are known."""
    sketch = []
    for begin in range(0, min(len(curve), SKETCHED_S), BIN_S):
        known = [bpm for bpm in curve[begin : begin + BIN_S] if bpm is not None]
        sketch.append(round(sum(known) / len(known)) if len(known) >= BIN_KNOWN_S else 0)
    return tuple(sketch)


def alike_percent(one: Sequence[int], other: Sequence[int], later_s: int = 0) -> int:
    """How much of two sketches is near, in %, at the best shift; the other one began `later_s` seconds after the first. 0 when they
    have too little in common."""
    centre = round(later_s / BIN_S)
    most = MAX_SHIFT_S // BIN_S
    return max(_near_percent(one, other, centre + shift) for shift in range(-most, most + 1))


def _near_percent(one: Sequence[int], other: Sequence[int], shift: int) -> int:
    together = zip(one[max(shift, 0) :], other[max(-shift, 0) :], strict=False)
    apart = [abs(a - b) for a, b in together if a and b]
    if len(apart) < MIN_BINS:
        return 0
    return 100 * sum(bpm <= BIN_NEAR_BPM for bpm in apart) // len(apart)
