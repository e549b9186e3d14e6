"""A class that comes again every week: its rule, and the times that follow from it. Pure.

The rule is about the clock on the wall of the place where the class is given: "Tuesdays and Thursdays at 18:30 in Vienna" stays at
18:30 when summer time begins. What becomes of a time that the clock skips or shows twice is ruled as for the schedule
(services/schedule/timetable.py, which computes it): skipped, the class is at the first instant after the gap; shown twice, it is
the first time. So every day of the rule has its class exactly once.

An occurrence is named by its day on that wall, not by its instant. Governments change their clocks at short notice; the day stays
what it is, so an occurrence that was made before such a change is never made a second time at the new instant.
"""

from datetime import date, timedelta
from typing import Annotated, Final, Literal, NamedTuple

import msgspec

from services.access import permission as may
from services.access.policy import owned, require
from services.classes.offer import MS_PER_MINUTE, Terms
from services.kernel.caller import Caller
from services.kernel.ids import AccountId, SeriesId
from services.kernel.problems import BadShape
from services.schedule.timetable import Cron

AHEAD_DAYS: Final = 28
"""So many days ahead the classes of a series are offered. Chosen: four weeks, a holiday and the week after."""
_DAY: Final = timedelta(days=1)

Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
_CRON_DAYS: Final[dict[str, int]] = {"sun": 0, "mon": 1, "tue": 2, "wed": 3, "thu": 4, "fri": 5, "sat": 6}


class Weekly(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Every week on these `days` at `at` (24 hours, "18:30") by the clock of `zone` (IANA), from `from_day` to `until_day`, both
    included; null: until it is ended. A time that the clock skips is at the end of the gap, one that comes twice is the first."""

    days: Annotated[tuple[Weekday, ...], msgspec.Meta(min_length=1, max_length=7)]
    at: Annotated[str, msgspec.Meta(pattern="^([01][0-9]|2[0-3]):[0-5][0-9]$", description="18:30")]
    zone: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    from_day: date
    until_day: date | None = None


class Series(msgspec.Struct, frozen=True):
    """A series as stored. All occurrences up to `made_through`, a day of its own calendar, have been made; `ended_ms`: its coach
    wants no more of them. Instants in ms since 1970."""

    id: SeriesId
    coach_id: AccountId
    coach_name: str
    rule: Weekly
    terms: Terms
    created_ms: int
    made_through: date
    ended_ms: int | None = None


class SeriesView(msgspec.Struct, frozen=True, omit_defaults=True):
    """A series as people see it. Its classes are offered up to `offered_through`. Times are ms since 1970."""

    id: SeriesId
    coach_id: AccountId
    coach_name: str
    rule: Weekly
    terms: Terms
    created_at_ms: int
    offered_through: date
    ended_at_ms: int | None = None


class Occurrence(NamedTuple):
    """One class of a series: the day it is named by, and when it starts (ms since 1970)."""

    day: date
    starts_ms: int


def check(rule: Weekly, terms: Terms) -> None:
    """Raise `BadShape` for a rule that cannot be followed, and for terms that do not fit a series."""
    if len(set(rule.days)) != len(rule.days):
        raise BadShape("name each day of the week once", path="$.rule.days")
    if rule.until_day is not None and rule.until_day < rule.from_day:
        raise BadShape("the last day is before the first", path="$.rule.until_day")
    try:
        _cron(rule)
    except ValueError as problem:
        raise BadShape(str(problem), path="$.rule.zone") from problem
    if terms.booking_opens_min > AHEAD_DAYS * 24 * 60:
        raise BadShape(
            f"the classes of a series are offered {AHEAD_DAYS} days ahead, so they cannot be booked before",
            path="$.terms.booking_opens_min",
        )


def may_end(series: Series, caller: Caller) -> None:
    """Raise `Forbidden` unless the caller gives this series."""
    require(caller, may.END_SERIES, owned(series.coach_id))


def occurrences(rule: Weekly, first: date, last: date) -> list[Occurrence]:
    """The occurrences from one day to another, both included, in order."""
    cron = _cron(rule)
    day, end = max(first, rule.from_day), last if rule.until_day is None else min(last, rule.until_day)
    found: list[Occurrence] = []
    while day <= end:
        found += [Occurrence(day, starts_ms) for starts_ms in cron.on(day)]
        day += _DAY
    return found


def due(series: Series, now_ms: int, through: date) -> list[Occurrence]:
    """What is still to be made of a series up to a day: nothing that has begun, nothing that was made."""
    fresh = occurrences(series.rule, series.made_through + _DAY, through)
    return [each for each in fresh if each.starts_ms - series.terms.doors_open_min * MS_PER_MINUTE > now_ms]


def view_of(series: Series) -> SeriesView:
    """A series as people see it."""
    return SeriesView(
        id=series.id,
        coach_id=series.coach_id,
        coach_name=series.coach_name,
        rule=series.rule,
        terms=series.terms,
        created_at_ms=series.created_ms,
        offered_through=series.made_through,
        ended_at_ms=series.ended_ms,
    )


def _cron(rule: Weekly) -> Cron:
    hour, minute = rule.at.split(":")
    days = ",".join(str(_CRON_DAYS[day]) for day in rule.days)
    return Cron(f"{int(minute)} {int(hour)} * * {days}", rule.zone)
