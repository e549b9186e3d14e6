"""Who stands where: one rule for the live board and for the final table.

Effort is compared in whole zone-milliseconds, free of rounding. Equal effort shares a rank and the next one is skipped (1, 2, 2,
4: standard competition ranking); among equals the lower member number, who joined first, stands first.
"""

from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


def weight(zone_ms: Iterable[int]) -> int:
    """Points times 60 000 as a whole number: what ranks are decided by."""
    return sum(zone * ms for zone, ms in enumerate(zone_ms))


def ranked(efforts: Iterable[tuple[int, int, T]]) -> Iterator[tuple[int, int, T]]:
    """From (weight, member number, anything) to (rank, weight, that thing), best first. Member numbers must differ."""
    rank, before = 0, None
    for place, (effort, _, thing) in enumerate(sorted(efforts, key=lambda line: (-line[0], line[1])), start=1):
        if effort != before:
            rank, before = place, effort
        yield rank, effort, thing
