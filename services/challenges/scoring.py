"""What a workout is worth in a challenge, and what somebody's workouts are worth together. Pure.

A score is a function of a *set*: of each workout the latest revision, nothing else. In which order workouts and corrections of them
arrived does not matter, and an amount that was wrong yesterday leaves no trace but its line in the log. For that, "when somebody
reached their score" must not be when we heard of it either: it is the end of the workout that brought them there, by the server's
clock, which no correction moves.

All amounts are whole numbers: workouts, days, milliseconds, metres, and for effort the zone-milliseconds that live boards are
ranked by.

Somebody who is in two workouts at once, with two straps or a strap that was lent, is counted once: of workouts that overlap the
one that began first counts (`apart`).
"""

from collections.abc import Iterable
from datetime import date, timedelta
from typing import Final, Literal

import msgspec

from services.challenges.challenge import COUNTS_FROM_MS, Entrant, HeatTerms, Kind, Rules, local_day
from services.classes.ranking import weight
from services.kernel.ids import WorkoutId
from services.training.summary import WorkoutSummary
from services.training.workouts import Workout

Mark = Literal["flagged", "rejected"]

_DAY: Final = timedelta(days=1)


class Contribution(msgspec.Struct, frozen=True, omit_defaults=True):
    """One revision of a workout in a challenge. `day` is where its member lives; `began_ms` and `ended_ms` are wall clock, ms since
    1970; `value` in the unit of the challenge's kind. `mark` is what fair play has to say to it, None where that is nothing: what
    is flagged counts and is marked, what is rejected has the value 0. None is not written, as there was nothing before there were
    marks, so the hashes of old logs are what they were.
    """

    workout: WorkoutId
    revision: int
    day: date
    began_ms: int
    ended_ms: int
    value: int
    mark: Mark | None = None


class Score(msgspec.Struct, frozen=True):
    """How much, and the end of the workout with which it was reached (ms since 1970, 0 for nothing)."""

    value: int = 0
    reached_ms: int = 0


def contribution_of(rules: Rules, entrant: Entrant, workout: Workout) -> Contribution | None:
    """What a workout brings to a challenge; None when it has nothing to do with it."""
    if workout.summary is None or workout.finished_at_ms is None or workout.created_at_ms < entrant.joined_ms:
        return None
    day = local_day(workout.created_at_ms, entrant.zone)
    if not rules.first_day <= day <= rules.last_day:
        return None
    return Contribution(
        workout=workout.id,
        revision=workout.revision,
        day=day,
        began_ms=workout.created_at_ms,
        ended_ms=workout.finished_at_ms,
        value=0 if workout.verdict == "rejected" else value_of(rules, workout.summary),
        mark=None if workout.verdict == "accepted" else workout.verdict,
    )


def value_of(rules: Rules, summary: WorkoutSummary) -> int:
    """What one workout is worth: 1 or 0 for `count` and `streak`, ms for `zone_time`, zone-milliseconds for `effort`, and
    metres for `distance`, 0 where nobody measured any."""
    match rules.kind:
        case "count" | "streak":
            return int(summary.measured_ms >= COUNTS_FROM_MS)
        case "zone_time":
            return sum(summary.ms_in_zone[rules.from_zone or 1 :])
        case "effort":
            return weight(summary.ms_in_zone)
        case "distance":
            return summary.distance_m or 0


def score_in(rules: Rules, contributions: Iterable[Contribution]) -> Score:
    """What the latest revisions of somebody's workouts are worth together under these rules, whatever their order. In a heat with a
    target nobody has more than that."""
    score = score_of(rules.kind, contributions)
    target = rules.heat.target if isinstance(rules.heat, HeatTerms) else None
    return score if target is None else Score(min(score.value, target), score.reached_ms)


def score_of(kind: Kind, contributions: Iterable[Contribution]) -> Score:
    """What the latest revisions of somebody's workouts are worth together, whatever their order."""
    counted = apart(contributions)
    if kind == "streak":
        return _longest_streak(counted)
    if not counted:
        return Score()
    return Score(sum(each.value for each in counted), max(each.ended_ms for each in counted))


def apart(contributions: Iterable[Contribution]) -> list[Contribution]:
    """Those that are worth something and do not overlap, the one that began first before any other."""
    counted: list[Contribution] = []
    until = 0
    for each in sorted(contributions, key=lambda each: (each.began_ms, each.ended_ms, each.workout)):
        if each.value > 0 and each.began_ms >= until:
            counted.append(each)
            until = each.ended_ms
    return counted


def _longest_streak(counted: Iterable[Contribution]) -> Score:
    """The longest run of days, and when it was first that long."""
    ended: dict[date, int] = {}
    for each in counted:
        ended[each.day] = min(each.ended_ms, ended.get(each.day, each.ended_ms))
    best, run = Score(), 0
    for day in sorted(ended):
        run = run + 1 if day - _DAY in ended else 1
        if run > best.value:
            best = Score(run, ended[day])
    return best
