"""Who stands where: one rule for the live board and for the final table.

Effort is compared in whole zone-milliseconds, free of rounding. Equal effort shares a rank and the next one is skipped (1, 2, 2,
4: standard competition ranking); among equals the lower member number, who joined first, stands first.
"""

from collections.abc import Iterable, Iterator
from itertools import count
from operator import mul
from typing import TypeVar

T = TypeVar("T")


def weight(zone_ms: Iterable[int]) -> int:
    """Points times 60 000 as a whole number: what ranks are decided by."""
    return sum(map(mul, count(), zone_ms))


def ranked(efforts: Iterable[tuple[int, int, T]]) -> Iterator[tuple[int, int, T]]:
    """From (weight, member number, anything) to (rank, weight, that thing), best first. Member numbers must differ."""
    in_order = sorted(efforts, key=lambda line: (-line[0], line[1]))
    for rank, (effort, _, thing) in zip(ranks([line[0] for line in in_order]), in_order, strict=True):
        yield rank, effort, thing


def ranks(weights: Iterable[int]) -> Iterator[int]:
    """From weights, best first, to their ranks."""
    rank, before = 0, None
    for place, each in enumerate(weights, start=1):
        if each != before:
            rank, before = place, each
        yield rank
