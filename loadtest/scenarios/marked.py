"""Heart rates that tell which sample they are.

To measure how long a sample takes from the wrist to the board, a reading must be recognised when it shows up.
So the heart rate of sample k of athlete i goes through a range of 80 values, another one each second: a row
that shows a certain number shows one certain sample, as long as boards are less than 80 samples late.
"""

from bisect import bisect_right
from collections.abc import Sequence
from typing import Final

from services.training.sample import Sample

LOWEST_BPM: Final = 90
VALUES: Final = 80


def marked_bpm(athlete: int, k: int) -> int:
    """The heart rate of sample number `k` of an athlete, bpm."""
    return LOWEST_BPM + (k + 7 * athlete) % VALUES


def marked_sample(athlete: int, k: int, step_ms: int = 1_000) -> Sample:
    """Sample number `k` of an athlete."""
    return Sample(t=k * step_ms, bpm=marked_bpm(athlete, k))


def shown_sample(athlete: int, bpm: int, sent_ns: Sequence[int], seen_ns: int) -> int | None:
    """Which sample a board shows that was seen at `seen_ns`: the newest sent before with that heart rate, or None."""
    newest = bisect_right(sent_ns, seen_ns) - 1
    for k in range(newest, max(-1, newest - VALUES), -1):
        if marked_bpm(athlete, k) == bpm:
            return k
    return None


class Sightings:
    """What of one athlete was seen on a board: latency of each sample's first sighting, and how many never showed."""

    def __init__(self, athlete: int, sent_ns: Sequence[int]) -> None:
        self._athlete = athlete
        self._sent_ns = sent_ns
        self._last = -1
        self.latencies_ms: list[float] = []
        self.passed_over = 0
        """Samples that a newer one replaced before a board was sent."""

    def seen(self, bpm: int | None, at_ns: int) -> None:
        """The row showed `bpm` at `at_ns` (monotonic)."""
        if bpm is None:
            return
        k = shown_sample(self._athlete, bpm, self._sent_ns, at_ns)
        if k is not None and k > self._last:
            self.latencies_ms.append((at_ns - self._sent_ns[k]) / 1e6)
            self.passed_over += k - self._last - 1
            self._last = k
