"""Everything an athlete sees after class, from the stored samples in one pass.

Time is integrated by one rule: a sample's heart rate holds until the next sample, but for `HOLD_MS` at most
(see `sample.py`). The last sample holds for nothing, a clock that stands still or steps back adds nothing,
and a sample without contact makes the time after it unknown. From the rule:

    duration = measured + unknown

exactly, in whole ms. Duration is the sum of the clock's forward steps: first to last sample, unless the
device's clock stepped back, which `assumptions` then admits. A gap is an unbroken stretch of more than
`HOLD_MS` of unknown heart rate; shorter ones are unknown time too but not worth a line on the page.

Distance, power and cadence follow the rules of `motion.py`.

`WorkoutTally` is the pass itself, for whoever reads samples in batches; it needs the same small memory for
a minute and a week. `summarise` is the same for samples at hand. Neither fails on any sequence of valid
samples.
"""

from collections.abc import Iterable
from typing import Literal

import msgspec

from services.training.energy import Energy, energy_of
from services.training.exposure import DRAWERS, Exposure, drawer_of
from services.training.load import BanisterLoad, banister_trimp, edwards_trimp
from services.training.motion import AT_REST, advance
from services.training.physiology import Physiology
from services.training.recovery import Recovery, RecoveryTracker
from services.training.sample import HOLD_MS, Sample, held_ms
from services.training.zones import ZoneTimes

Assumption = Literal[
    "max_hr_tanaka",
    "max_hr_assumed",
    "max_hr_exceeded",
    "rest_hr_assumed",
    "energy_extrapolated",
    "clock_stepped_back",
]
"""What a reader must know to judge the numbers, as codes for the client to put into words."""


class Gaps(msgspec.Struct, frozen=True):
    """Stretches of more than `HOLD_MS` without a known heart rate; times in ms, without the hold of the
    last reading."""

    count: int = 0
    total_ms: int = 0
    longest_ms: int = 0


class WorkoutSummary(msgspec.Struct, frozen=True):
    """One finished workout. Times in ms, heart rates in bpm, energy in kcal.

    `min_bpm` and `max_bpm` are over all samples with contact; `mean_bpm` is weighed by the time each rate
    was held, and None when none was held at all. `ms_in_zone` is zones 0 to 5, together `measured_ms`.
    `edwards` points are exactly those of the live board. The parts that may be impossible to compute carry
    the reason in themselves.

    `distance_m` metres, `mean_power_w` W over the time in which the power was known, `mean_cadence` turns or steps per minute
    over the time in which there were any; each None where no sample said so.
    """

    duration_ms: int
    measured_ms: int
    gaps: Gaps
    samples: int
    samples_without_contact: int
    rr_intervals: int
    min_bpm: int | None
    mean_bpm: float | None
    max_bpm: int | None
    ms_in_zone: ZoneTimes
    edwards: float
    banister: BanisterLoad
    energy: Energy
    recovery: Recovery
    assumptions: tuple[Assumption, ...]
    distance_m: int | None = None
    mean_power_w: float | None = None
    mean_cadence: float | None = None


class WorkoutTally:
    """The running sums over one workout's samples, fed in the order of their sequence numbers."""

    def __init__(self) -> None:
        self._ms_at = [0] * DRAWERS
        self._recovery = RecoveryTracker()
        self._last: Sample | None = None
        self._elapsed_ms = 0
        self._samples = 0
        self._without_contact = 0
        self._rr_intervals = 0
        self._min_bpm: int | None = None
        self._max_bpm: int | None = None
        self._stepped_back = False
        self._unknown_ms = 0  # of the stretch that is open now
        self._gaps = Gaps()
        self._moving = AT_REST

    def add(self, sample: Sample) -> None:
        """The next sample. Raises ValueError for a bpm that no decoded sample can carry, and is then
        unchanged."""
        if sample.bpm is not None:
            drawer_of(sample.bpm)
        if self._last is not None:
            self._pass_time(self._last, sample.t)
        self._last = sample
        self._samples += 1
        self._rr_intervals += len(sample.rr)
        self._recovery.add(self._elapsed_ms, sample.bpm)
        if sample.motion is not None or self._moving is not AT_REST:
            self._moving = advance(self._moving, sample)
        if sample.bpm is None:
            self._without_contact += 1
            return
        self._gaps = _with_gap(self._gaps, self._unknown_ms)
        self._unknown_ms = 0
        self._min_bpm = sample.bpm if self._min_bpm is None else min(self._min_bpm, sample.bpm)
        self._max_bpm = sample.bpm if self._max_bpm is None else max(self._max_bpm, sample.bpm)

    def _pass_time(self, last: Sample, t: int) -> None:
        """Account for the time from the last sample to `t`: held at its rate, then unknown."""
        if t < last.t:
            self._stepped_back = True
            return
        held = 0
        if last.bpm is not None:
            held = held_ms(last.t, t)
            self._ms_at[drawer_of(last.bpm)] += held
        self._elapsed_ms += t - last.t
        self._unknown_ms += t - last.t - held

    def summary(self, physiology: Physiology) -> WorkoutSummary:
        """The summary as far as the samples go; more may be added afterwards."""
        exposure = Exposure(tuple(self._ms_at))
        ms_in_zone = exposure.ms_in_zone(physiology.max_hr)
        energy = energy_of(exposure, physiology)
        moved = self._moving.moved
        return WorkoutSummary(
            duration_ms=self._elapsed_ms,
            measured_ms=exposure.measured_ms,
            gaps=_with_gap(self._gaps, self._unknown_ms),
            samples=self._samples,
            samples_without_contact=self._without_contact,
            rr_intervals=self._rr_intervals,
            min_bpm=self._min_bpm,
            mean_bpm=exposure.mean_bpm,
            max_bpm=self._max_bpm,
            ms_in_zone=ms_in_zone,
            edwards=edwards_trimp(ms_in_zone),
            banister=banister_trimp(exposure, physiology),
            energy=energy,
            recovery=self._recovery.result(physiology.max_hr),
            assumptions=self._assumptions(physiology, energy),
            distance_m=moved.distance_m,
            mean_power_w=moved.mean_power_w,
            mean_cadence=moved.mean_cadence,
        )

    def _assumptions(self, physiology: Physiology, energy: Energy) -> tuple[Assumption, ...]:
        holds: dict[Assumption, bool] = {
            "max_hr_tanaka": physiology.max_hr_source == "tanaka",
            "max_hr_assumed": physiology.max_hr_source == "assumed",
            "max_hr_exceeded": self._max_bpm is not None and self._max_bpm > physiology.max_hr,
            "rest_hr_assumed": physiology.rest_hr_source == "assumed",
            "energy_extrapolated": energy.extrapolated,
            "clock_stepped_back": self._stepped_back,
        }
        return tuple(code for code, is_so in holds.items() if is_so)


def summarise(samples: Iterable[Sample], physiology: Physiology) -> WorkoutSummary:
    """The summary of one workout, from its samples in the order of their sequence numbers."""
    tally = WorkoutTally()
    for sample in samples:
        tally.add(sample)
    return tally.summary(physiology)


def _with_gap(gaps: Gaps, unknown_ms: int) -> Gaps:
    """The gaps after a stretch of unknown heart rate has ended."""
    if unknown_ms <= HOLD_MS:
        return gaps
    return Gaps(gaps.count + 1, gaps.total_ms + unknown_ms, max(gaps.longest_ms, unknown_ms))
