"""Who in a class needs the coach, and why. Pure.

One coach has one look for hundreds of people, so the list must say who comes first and must not jump under the hand. A reason is
therefore raised only when its condition has held for a while, and taken back only when it has not held for a while (`DWELLS`); a
heart rate beside its target counts as back only when it is inside, and as beside only past a margin. What comes between two looks
is taken to have stayed as it was last seen, so it does not matter how often somebody looks.

The order has no figure in it that moves by itself: the worst reason, then who has had it longest, then the number on the board.

Extending: a reason is a word in `Reason`, in its place of urgency, a row in `DWELLS` and a case in `_holds`.
"""

from collections.abc import Mapping
from typing import Final, Literal, get_args

import msgspec

from services.classes.steps import Band
from services.training.sample import MAX_BPM

Reason = Literal["over_limit", "lost_sensor", "above_target", "below_target", "no_data", "first_class"]
"""Most urgent first. over_limit: the heart beats above the athlete's limit; lost_sensor: nothing was heard for 10 s; above_target,
below_target: beside what the interval asks of the heart; no_data: there, and no sensor yet; first_class: has never been in another
class as an athlete."""
REASONS: Final[tuple[Reason, ...]] = get_args(Reason)
Sensor = Literal["live", "stale", "lost", "none"]
LIMIT_MARGIN_BPM: Final = 3
TARGET_MARGIN_BPM: Final = 3
"""How far past a border the heart must be before it counts; at the border it is back. By feeling: a strap's reading moves by one or
two from beat to beat."""


class Dwell(msgspec.Struct, frozen=True):
    """For how long a condition must have held before its reason is raised, and not held before it is taken back. ms."""

    raise_ms: int
    clear_ms: int


DWELLS: Final[Mapping[Reason, Dwell]] = {
    "over_limit": Dwell(5_000, 10_000),
    "lost_sensor": Dwell(0, 3_000),
    "above_target": Dwell(15_000, 10_000),
    "below_target": Dwell(15_000, 10_000),
    "no_data": Dwell(20_000, 0),
    "first_class": Dwell(0, 0),
}
"""By feeling. `lost` is ten seconds of silence already; twenty are enough to put on a strap; a heart takes its time to a target."""


class Sighting(msgspec.Struct, frozen=True):
    """An athlete as they are seen. `bpm` None unless the sensor is live; `limit_bpm` what their heart should stay below, unless
    they have a limit of their own: then `above_own` says whether it is above that, and nobody here knows the figure. `aim` what
    the interval asks of the heart, None where it asks nothing; `finished` their stream has ended; `first` see `Reason`."""

    present: bool
    sensor: Sensor
    bpm: int | None = None
    limit_bpm: int = MAX_BPM
    above_own: bool | None = None
    aim: Band | None = None
    finished: bool = False
    first: bool = False


class Mark(msgspec.Struct, frozen=True):
    """What is known of one reason: whether its condition holds, since when that is so, and since when it is raised (None: it is
    not). ms."""

    holds: bool
    turned_ms: int
    raised_ms: int | None = None


Watch = Mapping[Reason, Mark]
"""What is known of one athlete."""
NOTHING_KNOWN: Final[Watch] = {}


def advance(watch: Watch, sighting: Sighting, now_ms: int) -> Watch:
    """What is known of an athlete who is seen like this."""
    return {reason: _turned(reason, watch.get(reason), sighting, now_ms) for reason in REASONS}


def reasons_of(watch: Watch) -> tuple[Reason, ...]:
    """Why an athlete needs the coach, most urgent first."""
    return tuple(reason for reason in REASONS if (mark := watch.get(reason)) is not None and mark.raised_ms is not None)


def since_ms(watch: Watch) -> int | None:
    """Since when the most urgent reason is raised; None when nothing is."""
    reasons = reasons_of(watch)
    return watch[reasons[0]].raised_ms if reasons else None


def urgency(reasons: tuple[Reason, ...], since: int | None, n: int) -> tuple[int, int, int]:
    """What a list of athletes is sorted by: the smaller, the sooner they need the coach. `n` is the number on the board."""
    return (REASONS.index(reasons[0]) if reasons else len(REASONS), since or 0, n)


def is_above(bpm: int | None, limit_bpm: int, *, was: bool) -> bool:
    """Whether a heart is above a limit; one that `was` is so until it is `LIMIT_MARGIN_BPM` below it."""
    return bpm is not None and bpm > limit_bpm - (LIMIT_MARGIN_BPM if was else 0)


def _turned(reason: Reason, mark: Mark | None, sighting: Sighting, now_ms: int) -> Mark:
    was = False if mark is None else mark.holds
    holds = _holds(reason, sighting, was=was)
    if mark is None:
        return _settled(reason, Mark(holds, now_ms), now_ms)
    mark = _settled(reason, mark, now_ms)
    return mark if holds == was else _settled(reason, Mark(holds, now_ms, mark.raised_ms), now_ms)


def _settled(reason: Reason, mark: Mark, now_ms: int) -> Mark:
    """The mark when its condition has stayed as it is until now."""
    dwell, stood_ms = DWELLS[reason], now_ms - mark.turned_ms
    if mark.holds and mark.raised_ms is None and stood_ms >= dwell.raise_ms:
        return Mark(True, mark.turned_ms, mark.turned_ms + dwell.raise_ms)
    if not mark.holds and mark.raised_ms is not None and stood_ms >= dwell.clear_ms:
        return Mark(False, mark.turned_ms)
    return mark


def _holds(reason: Reason, seen: Sighting, *, was: bool) -> bool:
    """Whether a condition holds. Of who is away nothing is asked."""
    if not seen.present:
        return False
    aim, bpm = seen.aim, seen.bpm
    match reason:
        case "over_limit":
            if seen.above_own is not None:
                return bpm is not None and seen.above_own
            return is_above(bpm, seen.limit_bpm, was=was)
        case "lost_sensor":
            return seen.sensor == "lost"
        case "above_target":
            return aim is not None and bpm is not None and bpm > aim.high + (0 if was else TARGET_MARGIN_BPM)
        case "below_target":
            return aim is not None and bpm is not None and bpm < aim.low - (0 if was else TARGET_MARGIN_BPM)
        case "no_data":
            return seen.sensor == "none" and not seen.finished
        case "first_class":
            return seen.first
