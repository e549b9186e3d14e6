"""How fast somebody was for long enough to mean it, by the counter of their samples.

A single leap of a counter earns nothing (`motion.py`), so what is left to judge is what lasts: the highest mean speed over ten
minutes. Ten minutes, because shorter ones are descents. Nothing here knows the sport, which is free text: the bound that the rule
has (`plausibility.py`) is one for all.
"""

from collections import deque
from typing import Final

from services.training.motion import Counter, stepped
from services.training.sample import Sample

WINDOW_MS: Final = 600_000
STEP_MS: Final = 1_000
"""Points nearer to each other are left out, so the window holds 600 of them at most, however often a device reports."""


class Speed:
    """The highest mean speed so far. Samples are given in the order of their sequence numbers."""

    __slots__ = ("_counter", "_metres", "_most_m_per_ms", "_points")

    def __init__(self) -> None:
        self._counter: Counter | None = None
        self._metres = 0
        self._points: deque[tuple[int, int]] = deque()
        self._most_m_per_ms = 0.0

    def add(self, sample: Sample) -> None:
        """The next sample; one without a distance says nothing here."""
        if sample.motion is None or sample.motion.distance_m is None:
            return
        self._counter, step_m = stepped(self._counter, sample.t, sample.motion.distance_m)
        self._metres += step_m
        points, t = self._points, sample.t
        if points and t < points[-1][0]:
            points.clear()  # the clock was set back: what lies before has no time of this clock
        if points and t - points[-1][0] < STEP_MS:
            return
        points.append((t, self._metres))
        while len(points) > 1 and points[1][0] <= t - WINDOW_MS:
            points.popleft()
        began, metres = points[0]
        if t - began >= WINDOW_MS:
            self._most_m_per_ms = max(self._most_m_per_ms, (self._metres - metres) / (t - began))

    @property
    def most_kmh(self) -> float:
        """km/h; 0 where no ten minutes have a distance."""
        return round(self._most_m_per_ms * 3_600, 1)
