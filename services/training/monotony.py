"""How alike the days of a training week were.

A week of equal loads wears people out more than the same total with hard and easy days: monotony is the
mean daily load over its standard deviation, strain is the week's load times monotony (Foster 1998).
Programs disagree about which deviation is meant, and the results differ by 8 % over seven days, so the
caller's choice travels with the result.
"""

import math
import statistics
from collections.abc import Sequence
from typing import Final, Literal

import msgspec

Deviation = Literal["sample", "population"]

DAYS: Final = 7
MONOTONY_CAP: Final = 10.0
"""Seven equal days have no deviation to divide by; the cap follows fellrnr.com."""


class WeekLoad(msgspec.Struct, frozen=True):
    """One week: summed load, monotony and strain, and the deviation they were computed with."""

    total: float
    monotony: float
    strain: float
    deviation: Deviation


def week_load(daily_loads: Sequence[float], deviation: Deviation = "sample") -> WeekLoad:
    """The week made of seven daily loads (any one kind of load, rest days as 0). A week of rest has
    monotony 0.

    Raises ValueError for another number of days, or for a load that is negative or not finite.
    """
    if len(daily_loads) != DAYS:
        raise ValueError(f"monotony is over {DAYS} days, rest days as 0; got {len(daily_loads)}")
    if not all(math.isfinite(load) and load >= 0 for load in daily_loads):
        raise ValueError("a daily load must be a finite number of 0 or more; a day without data is not a rest day")
    total = math.fsum(daily_loads)
    spread = statistics.stdev(daily_loads) if deviation == "sample" else statistics.pstdev(daily_loads)
    mean = total / DAYS
    # Also when the spread is so small that the quotient would pass the cap, or zero.
    monotony = min(mean / spread, MONOTONY_CAP) if spread else (MONOTONY_CAP if total else 0.0)
    return WeekLoad(total=total, monotony=monotony, strain=total * monotony, deviation=deviation)
