"""What the board of a class is ranked by. Pure.

| metric | an athlete's figure | unit | equals |
|---|---|---|---|
| effort | Edwards points: a minute in zone z counts z | points | by exact zone-milliseconds |
| zone_minutes | time in zone 1 and above, as a challenge in minutes counts it | min | by exact milliseconds |
| minutes_from_zone_2 to minutes_from_zone_5 | time in that zone and above | min | by exact milliseconds |
| distance | how far they have come (services/training/motion.py) | m | exact |
| calories | energy from the heart rate (services/training/energy.py) | kcal | as shown: whole kcal |
| power_per_kg | mean power while it is known, per kg of body mass | W/kg | as shown: two decimals |
| improvement | mean zone of this class against the own baseline | % | as shown: whole % |

**Equals share a rank** and the next one is skipped (ranking.py). What makes two equal is named with each metric: `exact` compares
what the figure is made of, free of rounding; `as_shown` compares the figure itself, where what lies below it is an estimate, and
where a finer order would tell more of a body than the figure does. Whoever has no figure has no rank and stands below those who do.

A figure is **personal** where it tells of the body or the past of somebody: calories and power per kg give away mass, age and sex
to whoever sees the heart rate beside them, improvement how hard somebody trains otherwise. Such a figure is shown to the room
only of those who have said so (`Showing.body`, showing.py); the coach of the class sees what the display mode says, and everybody
their own. Figures travel no finer than they are shown.

**Improvement** compares the mean zone of the time with a known heart rate (points per minute, so 0 to 5) with the median of that
of the own workouts of `BASELINE_DAYS`, of which there must be `BASELINE_WORKOUTS` of `BASELINE_MS` at least; it is shown once
`IMPROVEMENT_AFTER_MS` of this class are measured. The baseline is taken once, when somebody joins, and stays.
"""

from collections.abc import Sequence
from statistics import median
from typing import Final, Literal, NamedTuple

import msgspec

from services.classes.ranking import weight
from services.training.load import MS_PER_MINUTE
from services.training.motion import NOT_MOVED, Moved

Metric = Literal[
    "effort",
    "zone_minutes",
    "minutes_from_zone_2",
    "minutes_from_zone_3",
    "minutes_from_zone_4",
    "minutes_from_zone_5",
    "distance",
    "calories",
    "power_per_kg",
    "improvement",
]
TieRule = Literal["exact", "as_shown"]

BASELINE_DAYS: Final = 42
BASELINE_WORKOUTS: Final = 3
BASELINE_MS: Final = 600_000
"""Six weeks, three workouts, ten minutes each of known heart rate. By feeling: enough that one odd day is not the measure."""
MOST_BASELINE_WORKOUTS: Final = 60
"""The newest count: more than one a day."""
IMPROVEMENT_AFTER_MS: Final = 300_000
"""By feeling: everybody's first minutes are below everybody's mean."""
POWER_AFTER_MS: Final = 60_000
"""By feeling: a sprint of a minute may lead, one of a second may not."""
MILLI: Final = 1_000
NKCAL_PER_KCAL: Final = 1_000_000_000


class Measure(msgspec.Struct, frozen=True):
    """How a metric is shown and compared: figures have so many `decimals`; `personal` see the module."""

    unit: str
    decimals: int
    tie: TieRule
    personal: bool = False


MEASURES: Final[dict[Metric, Measure]] = {
    "effort": Measure("points", 1, "exact"),
    "zone_minutes": Measure("min", 1, "exact"),
    "minutes_from_zone_2": Measure("min", 1, "exact"),
    "minutes_from_zone_3": Measure("min", 1, "exact"),
    "minutes_from_zone_4": Measure("min", 1, "exact"),
    "minutes_from_zone_5": Measure("min", 1, "exact"),
    "distance": Measure("m", 0, "exact"),
    "calories": Measure("kcal", 0, "as_shown", personal=True),
    "power_per_kg": Measure("W/kg", 2, "as_shown", personal=True),
    "improvement": Measure("%", 0, "as_shown", personal=True),
}


_FROM_ZONE: Final[dict[Metric, int]] = {
    "zone_minutes": 1,
    "minutes_from_zone_2": 2,
    "minutes_from_zone_3": 3,
    "minutes_from_zone_4": 4,
    "minutes_from_zone_5": 5,
}
"""From which zone on a metric of minutes counts."""


class Figure(msgspec.Struct, frozen=True, array_like=True):
    """A figure as it travels: of which metric it is, and its value in the last decimal that is shown. `metric` is any text, so that
    a node that does not know one can still read the rest. `of_ms` is the time that a mean is made of, which only grows: of two
    accounts the one with more is newer."""

    metric: str
    value: int
    of_ms: int = 0


class Basis(NamedTuple):
    """What of a member figures are made of beyond their zones: nkcal burned, None while the body is not known well enough; the
    mean zone of their baseline in thousandths, None where there is none; how they have moved, and their mass in kg, None where it
    is not known."""

    burned: int | None = None
    baseline: int | None = None
    moved: Moved = NOT_MOVED
    mass_kg: float | None = None


UNKNOWN: Final = Basis()


def minutes_from(zone: int) -> Metric:
    """The metric that counts the time in `zone` and above, 1 to 5."""
    return next(metric for metric, from_zone in _FROM_ZONE.items() if from_zone == zone)


def travels(metric: Metric) -> bool:
    """Whether the figures of a metric are told between nodes; those of others every node makes of the zones."""
    return metric != "effort" and metric not in _FROM_ZONE


def figure_of(metric: Metric, zone_ms: Sequence[int], basis: Basis) -> Figure | None:
    """The figure of a metric that travels; None for one that does not, and where what it needs is not known."""
    match metric:
        case "distance" if basis.moved.distance_m is not None:
            return Figure(metric, basis.moved.distance_m)
        case "power_per_kg" if basis.mass_kg is not None and basis.moved.power_ms >= POWER_AFTER_MS:
            mean_w = basis.moved.work_mj / basis.moved.power_ms
            return Figure(metric, round(100 * mean_w / basis.mass_kg), basis.moved.power_ms)
        case "calories" if basis.burned is not None:
            return Figure(metric, _rounded(basis.burned, NKCAL_PER_KCAL))
        case "improvement" if basis.baseline is not None:
            measured_ms = sum(zone_ms)
            if measured_ms < IMPROVEMENT_AFTER_MS:
                return None
            return Figure(metric, _rounded(100 * MILLI * weight(zone_ms), measured_ms * basis.baseline) - 100)
        case _:
            return None


def score_of(metric: Metric, zone_ms: Sequence[int], figure: Figure | None) -> int | None:
    """What ranks are decided by: whole numbers, more is better. None: no rank."""
    if metric == "effort":
        return weight(zone_ms)
    if metric in _FROM_ZONE:
        return sum(zone_ms[_FROM_ZONE[metric] :])
    return figure.value if figure is not None and figure.metric == metric else None


def shown(metric: Metric, score: int | None) -> float | None:
    """A score in the unit of its metric, with its decimals."""
    if score is None:
        return None
    measure = MEASURES[metric]
    if not travels(metric):
        return round(score / MS_PER_MINUTE, measure.decimals)
    return score / float(10**measure.decimals)


def is_personal(figure: Figure | None) -> bool:
    """Whether a figure tells of somebody's body or past. One of a metric that is not known here is held to be."""
    if figure is None:
        return False
    measure = next((measure for metric, measure in MEASURES.items() if metric == figure.metric), None)
    return measure is None or measure.personal


def baseline_of(workouts: Sequence[Sequence[int]]) -> int | None:
    """The baseline from the ms in zone of past workouts, the newest first: their median mean zone in thousandths. None where there
    are too few that are long enough, and where it is nothing."""
    rates = [
        MILLI * weight(zone_ms) / sum(zone_ms)
        for zone_ms in workouts[:MOST_BASELINE_WORKOUTS]
        if sum(zone_ms) >= BASELINE_MS
    ]
    if len(rates) < BASELINE_WORKOUTS:
        return None
    return round(median(rates)) or None


def _rounded(dividend: int, divisor: int) -> int:
    """The nearest whole number, halves up: exact at any size."""
    return (2 * dividend + divisor) // (2 * divisor)
