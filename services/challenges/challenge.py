"""What a challenge is, when it counts, and who may do what in it. Pure: no clock, no store.

A challenge lasts from one calendar day to another, both included, and a day is a day *where its member lives*: the time zone is
fixed when somebody comes in, and stays theirs even if they leave and come again, so nobody flies to a longer Sunday. Seen from
outside it therefore begins with midnight on the first island and is over with midnight in the last zone, and then waits
`SETTLE_H` hours more for phones that were out of reach. Then it is closed for ever.

What somebody does counts from the moment in which they come in. Joining is the consent to be seen on the table; what was done
before it is nobody's business.
"""

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Annotated, Final, Literal
from zoneinfo import ZoneInfo, available_timezones

import msgspec

from services.kernel.clock import to_wall_ms, utc
from services.kernel.ids import AccountId, ChallengeId
from services.kernel.problems import BadShape, ContradictoryChallenge

Kind = Literal["count", "zone_time", "effort", "streak", "distance"]
"""What is counted: workouts; time in a heart-rate zone and above it; effort points; days in a row with a workout; metres."""
Ties = Literal["first", "shared"]
"""Who stands higher of two with the same score. `first`: who got there first, by the end of the workout that brought them there;
they share a rank only if that was the same millisecond. `shared`: nobody; they share the rank, and the next one is skipped."""

CODE_LENGTH: Final = 10
"""Characters of an invitation: 31 to the 10th are so many that nobody finds one by trying."""
MOST_DAYS: Final = 366
MOST_AHEAD_DAYS: Final = 366
SETTLE_H: Final = 24
"""Hours after the last day for late data. Chosen: a night's charging and a morning's commute."""
MOST_MEMBERS: Final = 1_000_000
MOST_IN_TEAMS: Final = 50_000
"""Members of a challenge with teams: so many that the sum of all they can do in a year is still a number that tables hold exactly
(ranking.py)."""
MOST_RIDERS: Final = 500
"""Members of a heat. Chosen: the largest class whose screens were looked at; its room has places for twice as many."""
MOST_OPEN: Final = 20
"""Challenges that one account may be in, or have made, at a time: each is a row to be locked when a workout of theirs ends."""
PRIZES: Final = 3
"""The ranks that win something."""
COUNTS_FROM_MS: Final = 600_000
"""A workout counts, and makes a day of a streak, from ten minutes with a known heart rate on. Chosen: below it people start, stop
and start again to be counted twice."""

_WEST: Final = timedelta(hours=12)
"""How far behind UTC the last place is in which a day ends."""

Title = Annotated[str, msgspec.Meta(min_length=1, max_length=80)]
TeamName = Annotated[str, msgspec.Meta(min_length=1, max_length=40)]


class HeatTerms(msgspec.Struct, frozen=True):
    """What makes a challenge a heat (heat.py): it lasts `length_ms` from its start; who comes `late` may still come in; whoever has
    `target`, in the unit of the kind, is done."""

    length_ms: int
    late: bool
    target: int | None = None


class Rules(msgspec.Struct, frozen=True):
    """What is counted and when. `first_day` and `last_day` are calendar days, both counting. `from_zone` (1 to 5) only for
    `zone_time`. `teams`: their names, none for everybody against everybody. `heat`: ridden together, from a common start; not
    written for any other, so the hashes of old logs are what they were."""

    kind: Kind
    first_day: date
    last_day: date
    ties: Ties = "first"
    from_zone: int | None = None
    teams: tuple[str, ...] = ()
    heat: HeatTerms | msgspec.UnsetType = msgspec.UNSET


class Challenge(msgspec.Struct, frozen=True):
    """A challenge as stored. Times are wall clock, ms since 1970; `finished_ms` None until it is closed.

    `seq` counts the entries of its score log and `head` is the hash of the last one. `numbers` were given out to members,
    `members` of them are in. `owner_id` None once that account is gone.
    """

    id: ChallengeId
    code: str
    title: str
    owner_id: AccountId | None
    rules: Rules
    created_ms: int
    finished_ms: int | None
    numbers: int
    members: int
    seq: int
    head: bytes

    @property
    def over(self) -> bool:
        return self.finished_ms is not None


class Entrant(msgspec.Struct, frozen=True):
    """Somebody in a challenge. `n` is their number in its log, `zone` the time zone that their days are in, `team` an index into
    the rules' teams. `left_ms` None while they are in. `value` and `tie` are their line of the table (ranking.py), `seq` is the
    last entry of the log about them."""

    n: int
    account_id: AccountId | None
    zone: str
    team: int | None
    joined_ms: int
    left_ms: int | None
    value: int
    tie: int
    seq: int

    @property
    def here(self) -> bool:
        return self.left_ms is None


class Called(msgspec.Struct, frozen=True):
    """Who stands on a line: their name, None when the account is gone, and their team, an index into the rules' teams."""

    name: str | None
    team: int | None


GONE: Final = Called(None, None)
"""Somebody of whom nothing is known: a copy of a table may be further than a database that was restored."""


def rules_from(
    kind: Kind,
    first_day: date,
    last_day: date | None,
    ties: Ties,
    from_zone: int | None,
    teams: tuple[str, ...],
    now_ms: int,
) -> Rules:
    """The rules that somebody asks for. Raises `ContradictoryChallenge`, with the path of what is wrong."""
    if last_day is None:
        raise ContradictoryChallenge(
            "a challenge needs a last day: one without an end has no winner", path="$.last_day"
        )
    if last_day < first_day:
        raise ContradictoryChallenge("the last day lies before the first", path="$.last_day")
    if (last_day - first_day).days >= MOST_DAYS:
        raise ContradictoryChallenge(f"a challenge lasts {MOST_DAYS} days at most", path="$.last_day")
    if over_everywhere_ms(first_day) <= now_ms:
        raise ContradictoryChallenge("the first day is over already, everywhere on earth", path="$.first_day")
    if first_day > utc(now_ms).date() + timedelta(days=MOST_AHEAD_DAYS):
        raise ContradictoryChallenge(f"a challenge begins within {MOST_AHEAD_DAYS} days", path="$.first_day")
    if (kind == "zone_time") != (from_zone is not None):
        raise ContradictoryChallenge("from_zone belongs to zone_time, and zone_time needs it", path="$.from_zone")
    return Rules(kind, first_day, last_day, ties, from_zone, names_of_teams(teams))


def names_of_teams(teams: tuple[str, ...]) -> tuple[str, ...]:
    """The names as they are kept. Raises `ContradictoryChallenge` unless there are none, or two and more that differ."""
    names = tuple(name.strip() for name in teams)
    if len(names) == 1 or "" in names or len({name.casefold() for name in names}) < len(names):
        raise ContradictoryChallenge("teams are two or more, each with a name of its own", path="$.teams")
    return names


def team_from(rules: Rules, name: str | None) -> int | None:
    """The team that somebody wants to be in. Raises `BadShape` where there is none of that name, or none was named."""
    if not rules.teams:
        if name is not None:
            raise BadShape("there are no teams in this challenge", path="$.team")
        return None
    if name not in rules.teams:
        raise BadShape(f"name the team: {', '.join(rules.teams)}", path="$.team")
    return rules.teams.index(name)


def room_for(rules: Rules) -> int:
    """How many may be in a challenge."""
    if rules.heat is not msgspec.UNSET:
        return MOST_RIDERS
    return MOST_IN_TEAMS if rules.teams else MOST_MEMBERS


def require_zone(name: str) -> str:
    """The name of a time zone. Raises `BadShape` for what is none."""
    if name not in _zones():
        raise BadShape('a time zone is a name of the IANA list, like "Europe/Berlin"', path="$.time_zone")
    return name


def local_day(at_ms: int, zone: str) -> date:
    """The calendar day of an instant in a time zone. Raises `KeyError` for a zone that this machine does not have."""
    return datetime.fromtimestamp(at_ms / 1_000, _zone(zone)).date()


def over_everywhere_ms(day: date) -> int:
    """When a day has ended in the last place on earth, ms since 1970."""
    return to_wall_ms(datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=1) + _WEST)


def closes_ms(rules: Rules) -> int:
    """When a challenge is closed, ms since 1970."""
    return over_everywhere_ms(rules.last_day) + SETTLE_H * 3_600_000


@lru_cache(maxsize=1_024)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


@lru_cache(maxsize=1)
def _zones() -> frozenset[str]:
    # Read from disk once: some ten milliseconds. "localtime" is this machine's, not a place.
    return frozenset(available_timezones() - {"localtime"})
