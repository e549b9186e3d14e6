"""A ghost: how the score of a finished workout grew, second by second, so that its owner can race it.

The curve is what a board would have shown: zone-milliseconds (points times 60,000) by the same rule as live effort and summary,
that a reading stands for five seconds and what is not known earns nothing. Its last value is the summary's own sum, to the last
bit. Time is the workout's, from its first sample on; breaks are in it, because who rests is overtaken.
"""

from typing import Final

import msgspec

from services.kernel.ids import WorkoutId
from services.training.sample import Sample, held_ms
from services.training.zones import zone_of

STEP_MS: Final = 1_000
MOST_STEPS: Final = 4 * 3_600
"""Steps of a curve. Chosen: four hours, longer than any class; some 100 KB of JSON. Longer workouts are cut there, and say so."""


class Ghost(msgspec.Struct, frozen=True):
    """The curve of a workout: `scores[i]` is what it had earned after `i * step_ms`, in zone-milliseconds (points times 60,000).
    After the last one it earned nothing more, or was `cut`. `revision` is that of the summary: with another one the curve is
    another."""

    workout: WorkoutId
    revision: int
    step_ms: int
    scores: tuple[int, ...]
    cut: bool


class GhostTrace:
    """A curve that grows with the samples, fed in the order of their sequence numbers."""

    def __init__(self, max_hr: int) -> None:
        self._max_hr: Final = max_hr
        self._scores = [0]
        self._score = 0
        self._elapsed_ms = 0
        self._last: Sample | None = None
        self.cut = False

    def add(self, sample: Sample) -> None:
        """The next sample."""
        last, self._last = self._last, sample
        if last is None or sample.t <= last.t:
            return
        per_ms = 0 if last.bpm is None else zone_of(last.bpm, self._max_hr)
        held, until = held_ms(last.t, sample.t), self._elapsed_ms + sample.t - last.t
        self._fill(until, per_ms, held)
        self._score += per_ms * held
        self._elapsed_ms = until

    def scores(self) -> tuple[int, ...]:
        """The curve so far; its last step may be a part of one."""
        if self._elapsed_ms % STEP_MS and not self.cut and len(self._scores) < MOST_STEPS:
            return (*self._scores, self._score)
        return tuple(self._scores)

    def _fill(self, until_ms: int, per_ms: int, held: int) -> None:
        """The steps that end up to `until_ms`, `per_ms` being earned for `held` ms from where the curve stands."""
        step = len(self._scores)
        while step * STEP_MS <= until_ms:
            if step == MOST_STEPS:
                self.cut = True
                return
            self._scores.append(self._score + per_ms * min(step * STEP_MS - self._elapsed_ms, held))
            step += 1
