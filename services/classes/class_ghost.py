"""The ghost of a past class: how a score grew by class time, to be raced in another one. Pure.

A curve is zone-milliseconds (points times 60,000) by the rule of live boards, at steps of class time: what somebody had when the
class first was there. So it fits another class of the same script, whatever was paused or skipped in either. Of a class whose clock
never ran it goes by the time since the rider's own first sample.

Of several curves the median is a pacer without a person: at every step as many were ahead of it as behind.
"""

from collections.abc import Callable, Sequence
from typing import Final, Literal

import msgspec

from services.classes.class_clock import ClassClock, class_ms_at
from services.kernel.ids import ClassId
from services.training.sample import Sample, held_ms
from services.training.zones import zone_of

STEP_MS: Final = 5_000
"""Chosen: nobody sees a twelfth of a minute's points between two steps, and a class of an hour is some 5 KB."""
MOST_STEPS: Final = 4 * 720
"""Steps of a curve: four hours, as of one's own ghosts; longer ones are cut there, and say so."""

Axis = Literal["class", "own"]


class ClassGhost(msgspec.Struct, frozen=True):
    """A curve of a past class: `scores[i]` is what was earned at `i * step_ms`, in zone-milliseconds (points times 60,000). After
    the last one nothing more was earned, or it was `cut`. `axis`: by class time, or by the time since the first sample where the
    class had no clock. `name` is whose it is, as the class may call them now; null for a pacer without a person."""

    class_id: ClassId
    axis: Axis
    step_ms: int
    scores: tuple[int, ...]
    cut: bool
    name: str | None = None


class ClassTrace:
    """A curve that grows with samples, in order. `axis_ms` is where in class time, or in one's own, an instant lies (wall
    clock)."""

    def __init__(self, axis_ms: Callable[[int], int]) -> None:
        self.cut = False
        self._axis_ms: Final = axis_ms
        self._scores: list[int] = []
        self._score = 0
        self._until_ms: int | None = None

    def add(self, samples: Sequence[Sample], max_hr: int, offset_ms: int) -> None:
        """The samples of a workout, all of them; `offset_ms` makes wall clock of device time. Of workouts that overlap the one that
        is added first counts."""
        from_ms, last = self._until_ms, None
        for sample in samples:
            at_ms = sample.t + offset_ms
            if from_ms is not None and at_ms <= from_ms:
                continue
            before = self._score
            if last is not None and last.bpm is not None:
                self._score += zone_of(last.bpm, max_hr) * held_ms(last.t, sample.t)
            self._fill(self._axis_ms(at_ms), before)
            self._until_ms, last = at_ms, sample

    def scores(self) -> tuple[int, ...]:
        """The curve so far."""
        if self.cut or (self._scores and self._scores[-1] == self._score):
            return tuple(self._scores)
        return (*self._scores, self._score)

    def _fill(self, here_ms: int, before: int) -> None:
        while (step_ms := len(self._scores) * STEP_MS) <= here_ms:
            if len(self._scores) == MOST_STEPS:
                self.cut = True
                return
            self._scores.append(self._score if step_ms == here_ms else before)


def class_axis(clocks: Sequence[ClassClock]) -> Callable[[int], int] | None:
    """Class time at an instant, from all clocks that a class has had; None where none ever ran."""
    if not any(clock.state == "running" for clock in clocks):
        return None

    def axis(at_ms: int) -> int:
        held = clocks[0]
        for clock in clocks:
            if clock.noted_ms <= at_ms:
                held = clock
        return class_ms_at(held, at_ms)

    return axis


def median_of(curves: Sequence[Sequence[int]]) -> tuple[int, ...]:
    """The pacer of several curves: their median at every step, the lower one of two; empty for none."""
    steps = max((len(curve) for curve in curves), default=0)
    found = []
    for step in range(steps):
        there = sorted(curve[min(step, len(curve) - 1)] if curve else 0 for curve in curves)
        found.append(there[(len(there) - 1) // 2])
    return tuple(found)


def spread(ranked: Sequence[int], most: int) -> tuple[int, ...]:
    """At most so many of those who are ranked, evenly from the first to the last."""
    if len(ranked) <= most:
        return tuple(ranked)
    return tuple(ranked[round(place * (len(ranked) - 1) / (most - 1))] for place in range(most))
