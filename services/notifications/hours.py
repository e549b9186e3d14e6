"""A person's night and a person's digest hour, as instants. Pure; all of it in wall ms since 1970.

People think in the time on their wall, which in most places is wrong twice a year. Each local day has exactly one
instant for a time of day:

- A time that the clock jumps over is as much later as it jumped: 02:30 in a spring night is 03:30.
- A time that comes twice is the first of the two, except that a night ends at the second: in doubt it is night.

So there is one digest per local day and never two, and whoever sleeps until 02:30 sleeps until it is 02:30 for good.
"""

from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from services.kernel.clock import to_wall_ms

MINUTES: Final = 24 * 60
_DAY: Final = timedelta(days=1)


def instant(day: date, minute: int, zone: ZoneInfo, *, last: bool = False) -> int:
    """When the clocks of `zone` show `minute` minutes past midnight of `day`; `last`: of two such instants the later one."""
    wall = datetime.combine(day, time(minute // 60, minute % 60), zone)
    if last:
        twice = wall.replace(fold=1)
        # In a gap the second reading lies before the first: then it is no second one.
        if twice.astimezone(UTC) > wall.astimezone(UTC):
            wall = twice
    return to_wall_ms(wall.astimezone(UTC))


def quiet_until(now_ms: int, begins: int, ends: int, zone: ZoneInfo) -> int | None:
    """When the night that `now_ms` lies in is over; None by day. A night from `begins` to `ends` (minutes past midnight)
    may go over midnight; one that begins when it ends does not exist."""
    if begins == ends:
        return None
    today = _local_day(now_ms, zone)
    over: int | None = None
    for day in (today - _DAY, today):
        end_day = day + _DAY if ends < begins else day
        end = instant(end_day, ends, zone, last=True)
        if instant(day, begins, zone) <= now_ms < end and (over is None or end > over):
            over = end
    return over


def next_digest(now_ms: int, hour: int, weekday: int | None, zone: ZoneInfo) -> int:
    """The next instant, later than `now_ms`, at which it is `hour` o'clock on a day, or on that `weekday` (0 is Monday)."""
    day = _local_day(now_ms, zone)
    # Eight days hold every weekday; a ninth is for a week whose instant of today has just passed.
    for offset in range(9):
        candidate = day + timedelta(days=offset)
        if weekday is not None and candidate.weekday() != weekday:
            continue
        at = instant(candidate, hour * 60, zone)
        if at > now_ms:
            return at
    raise AssertionError("nine days hold every weekday")


def _local_day(now_ms: int, zone: ZoneInfo) -> date:
    return datetime.fromtimestamp(now_ms / 1_000, zone).date()
