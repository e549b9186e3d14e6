"""When a job is due, and what becomes of the times that nobody was there for. Pure: instants in, instants out.

A job is due every so many seconds (`Every`), or by the wall clock of a place (`Cron`). Its due times are names: two schedulers
that never spoke to each other find the same ones, and a tick is taken once by its name.

What a wall clock does twice a year is ruled as Debian's cron rules it:

- *Fixed times* (neither the minute nor the hour begins with `*`: "at 02:30"). One that the clock skips is due at the first
  instant after the gap; one that it shows twice is due the first time. So each day has each of them once. Two that fall
  into one gap are due together, once.
- *Cadences* (the minute or the hour begins with `*`: "every ten minutes"). They are about how much time passes: due whenever the
  wall clock shows them, so never in a gap, and twice in an hour that comes twice.

cronsim reads the expressions and knows which days match. The way from a wall time to an instant is here, because cronsim walks
along the clock and depends on where it begins: in a zone whose clock turns by half an hour, or from within the repeated hour, it
misses times or finds them twice (tests/services/schedule/ compares the two where cronsim is right).
"""

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property, lru_cache
from typing import Final, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

Missed = Literal["once", "each", "skip"]
"""What becomes of due times that passed while nobody led. `once`: the newest is made up for, which is right for work that says
"bring this up to now". `each`: all of them, oldest first, at most `MOST_EACH`. `skip`: none that is later than `SKIP_S`."""

MOST_EACH: Final = 100
"""Missed times that `each` makes up for; older ones are dropped, and said so in the log."""
SKIP_S: Final = 120
"""How late a job that skips may still be done: longer than the change of a leader takes."""
_FARTHEST_DAYS: Final = 3_700
"""How far a next due time is looked for: ten years, because 29 February may be eight years away."""
_DAY: Final = timedelta(days=1)


@dataclass(frozen=True)
class Every:
    """Due every `seconds`, on the multiples of it since 1970. Raises ValueError for less than one."""

    seconds: int

    def __post_init__(self) -> None:
        if self.seconds < 1:
            raise ValueError(f"a job can be done every second at most, not every {self.seconds} s")

    def __str__(self) -> str:
        return f"every {self.seconds} s"


@dataclass(frozen=True)
class Cron:
    """Due at the wall times of `expression` (five fields, as crontab has them) in `zone` (an IANA name).

    Raises ValueError, with the cure, for an expression that cannot be read or is never due, and for a zone that nobody knows.
    """

    expression: str
    zone: str
    _parsed: CronSim = field(init=False, repr=False, compare=False)
    _zone: ZoneInfo = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if len(self.expression.split()) != 5:
            raise ValueError(f"{self.expression!r} does not have the five fields minute, hour, day, month, weekday")
        try:
            object.__setattr__(self, "_parsed", CronSim(self.expression, datetime(2026, 1, 1)))
        except CronSimError as problem:
            raise ValueError(f"{self.expression!r} cannot be read: {problem}") from problem
        try:
            object.__setattr__(self, "_zone", ZoneInfo(self.zone))
        except (ZoneInfoNotFoundError, ValueError, OSError) as problem:
            raise ValueError(f"{self.zone!r} is no time zone: give a name such as Europe/Vienna") from problem
        self.next_after(0)

    def __str__(self) -> str:
        return f"{self.expression} {self.zone}"

    def next_after(self, after_ms: int) -> int:
        """The first due time after an instant, both in ms since 1970. Raises ValueError when there is none in ten years."""
        after = after_ms // 1_000
        day = self._local(after) - _DAY
        for _ in range(_FARTHEST_DAYS):
            if later := [instant for instant in self._on(day) if instant > after]:
                # Around midnight, the day after may begin before this one has ended for the second time.
                later += [instant for instant in self._on(day + _DAY) if instant > after]
                return min(later) * 1_000
            day += _DAY
        raise ValueError(f"{self.expression!r} is never due")

    def latest(self, after_ms: int, until_ms: int, most: int) -> list[int]:
        """The newest `most` due times after one instant and up to another, oldest first, in ms since 1970."""
        after, until = after_ms // 1_000, until_ms // 1_000
        found: set[int] = set()
        enough = False
        for day in _backwards(self._local(until) + _DAY, self._local(after) - _DAY):
            found.update(instant for instant in self._on(day) if after < instant <= until)
            if enough:
                break
            enough = len(found) >= most  # and one day more: see `next_after`
        return [instant * 1_000 for instant in sorted(found)[-most:]]

    def on(self, day: date) -> list[int]:
        """The due times that belong to a day of the wall clock, in order, in ms since 1970. One that the clock skips belongs to its
        day also when the gap ends on the next."""
        return [instant * 1_000 for instant in self._on(day)]

    # -- one day ------------------------------------------------------------------------------------------------------

    @cached_property
    def _wall_seconds(self) -> tuple[int, ...]:
        """The times of a day that match, in seconds since its midnight."""
        return tuple(
            hour * 3_600 + minute * 60 for hour in sorted(self._parsed.hours) for minute in sorted(self._parsed.minutes)
        )

    @cached_property
    def _fixed(self) -> bool:
        minute, hour = self.expression.split()[:2]
        return not minute.startswith("*") and not hour.startswith("*")

    def _local(self, instant: int) -> date:
        return datetime.fromtimestamp(instant, self._zone).date()

    def _on(self, day: date) -> list[int]:
        """The due times that belong to a day of the wall clock, in order, in seconds since 1970."""
        if day.month not in self._parsed.months or not self._parsed.match_day(day):
            return []
        midnight = datetime.combine(day, time())
        offsets = {self._offset(at, fold) for at in (midnight, midnight + _DAY) for fold in (0, 1)}
        if len(offsets) == 1:
            start = int(midnight.replace(tzinfo=UTC).timestamp()) - offsets.pop()
            return [start + second for second in self._wall_seconds]
        return _around_a_turn(self, day)

    def _at(self, wall: datetime) -> Iterator[int]:
        """The instants at which a wall time is due: see the rules above."""
        plain = int(wall.replace(tzinfo=UTC).timestamp())
        before, after = self._offset(wall, 0), self._offset(wall, 1)
        first, second = plain - before, plain - after
        if before == after:
            yield first
        elif first < second:  # it comes twice
            yield first
            if not self._fixed:
                yield second
        elif self._fixed:
            yield self._change(second, first)

    def _offset(self, wall: datetime, fold: int) -> int:
        """Seconds that the zone is ahead of UTC at a wall time; `fold` 0 by the rule before a change, 1 by the one after."""
        ahead = wall.replace(tzinfo=self._zone, fold=fold).utcoffset()
        return round(ahead.total_seconds()) if ahead is not None else 0

    def _change(self, before: int, after: int) -> int:
        """The first second of the new rule, between an instant of the old one and one of the new one."""
        old = self._ahead(before)
        return bisect_right(range(before, after), False, key=lambda instant: self._ahead(instant) != old) + before

    def _ahead(self, instant: int) -> int:
        ahead = datetime.fromtimestamp(instant, self._zone).utcoffset()
        return round(ahead.total_seconds()) if ahead is not None else 0


@lru_cache(maxsize=64)
def _around_a_turn(cron: Cron, day: date) -> list[int]:
    """The due times of a day on which the clock turns; remembered, because they cost a look at the rules each."""
    walls = (datetime.combine(day, time()) + timedelta(seconds=second) for second in cron._wall_seconds)
    return sorted({instant for wall in walls for instant in cron._at(wall)})


When = Every | Cron


@dataclass(frozen=True)
class Due:
    """What to do of a job's due times: those to `take`, oldest first; `cursor_ms`, up to which all of them are decided; and how
    many were `dropped`, as far as they were counted."""

    take: tuple[int, ...]
    cursor_ms: int
    dropped: int = 0


def due(when: When, missed: Missed, cursor_ms: int, now_ms: int) -> Due:
    """Decide on the due times after `cursor_ms` and up to `now_ms`. The cursor never goes back, whatever the clock does: no due
    time is decided twice.

    An interval is asked for only when it has passed, by a clock that never steps; this finds its name. When the wall clock went
    back, the names go on from the cursor, so that the pace is kept.
    """
    if isinstance(when, Every):
        return _interval(when.seconds * 1_000, missed, cursor_ms, now_ms)
    most = MOST_EACH if missed == "each" else 1
    found = when.latest(cursor_ms, now_ms, most + 1)
    if not found:
        return Due((), cursor_ms)
    take = tuple(found[-most:])
    if missed == "skip" and now_ms - take[-1] > SKIP_S * 1_000:
        return Due((), take[-1], len(found))
    return Due(take, take[-1], len(found) - len(take))


def _interval(pace_ms: int, missed: Missed, cursor_ms: int, now_ms: int) -> Due:
    newest = max(now_ms // pace_ms * pace_ms, cursor_ms + pace_ms)
    if missed != "each":
        return Due((newest,), newest)
    first = max(cursor_ms + pace_ms, newest - (MOST_EACH - 1) * pace_ms)
    return Due(tuple(range(first, newest + 1, pace_ms)), newest, (first - cursor_ms) // pace_ms - 1)


def _backwards(day: date, last: date) -> Iterator[date]:
    while day >= last:
        yield day
        day -= _DAY
