"""Median and range of a few repeats: what a figure is when the machine is not ours alone.

Three repeats make no distribution, so nothing finer is claimed: the median, and the smallest and the largest in brackets.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, slots=True)
class Range:
    """The middle, smallest and largest of `n` values."""

    n: int
    median: float
    low: float
    high: float

    def shown(self, digits: int = 1) -> str:
        """`12.3 (11.9 to 14.0)`; the bare number where there is one, or where all look alike."""
        middle, low, high = (f"{value:,.{digits}f}" for value in (self.median, self.low, self.high))
        return middle if low == high else f"{middle} ({low} to {high})"


def range_of(values: Iterable[float]) -> Range:
    """The range of some values. Raises ValueError when there are none."""
    known = sorted(values)
    if not known:
        raise ValueError("no values: a range needs at least one run")
    return Range(n=len(known), median=median(known), low=known[0], high=known[-1])


def ratios(ours: Iterable[float], theirs: Iterable[float]) -> Range:
    """Theirs divided by ours, pair by pair: each repeat ran both in turn, so a slow minute hits both. Raises ValueError when the
    two do not pair."""
    return range_of(their / our for our, their in zip(ours, theirs, strict=True))
