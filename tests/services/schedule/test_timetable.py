"""When a job is due. The rules for clocks that turn are held against a clock that is watched minute by minute."""

import zoneinfo
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim
from hypothesis import given
from hypothesis import strategies as st

from services.schedule.timetable import MOST_EACH, SKIP_S, Cron, Due, Every, due

MINUTE, HOUR, DAY = 60, 3_600, 86_400
STEP = 20 * DAY
VIENNA = ZoneInfo("Europe/Vienna")

FIXED = ("30 2 * * *", "0 2 * * *", "0,30 2,3 * * *", "15 0 * * *", "59 23 * * *", "1 0 * * 0", "45 1 28-31 3,10 *")
CADENCES = ("*/10 * * * *", "20 * * * *", "*/15 2 * * *", "*/30 0,1,23 * * *", "5 */3 * * *")


def ms(*wall: int, zone: ZoneInfo = VIENNA, fold: int = 0) -> int:
    """An instant by its wall time."""
    return round(datetime(*wall, tzinfo=zone, fold=fold).timestamp() * 1_000)  # type: ignore[arg-type,misc]


def walls(cron: Cron, after_ms: int, count: int) -> list[str]:
    """The next due times as the place's clock shows them."""
    found = []
    for _ in range(count):
        after_ms = cron.next_after(after_ms)
        found.append(f"{datetime.fromtimestamp(after_ms / 1_000, ZoneInfo(cron.zone)):%d %H:%M%z}")
    return found


def test_a_time_that_the_clock_skips_is_due_at_the_end_of_the_gap() -> None:
    nightly = Cron("30 2 * * *", "Europe/Vienna")
    assert walls(nightly, ms(2026, 3, 28, 1), 3) == ["28 02:30+0100", "29 03:00+0200", "30 02:30+0200"]


def test_a_time_that_the_clock_shows_twice_is_due_the_first_time() -> None:
    nightly = Cron("30 2 * * *", "Europe/Vienna")
    assert walls(nightly, ms(2026, 10, 24, 12), 2) == ["25 02:30+0200", "26 02:30+0100"]
    assert walls(nightly, ms(2026, 10, 25, 2, 10, fold=1), 1) == ["26 02:30+0100"]


def test_two_times_in_one_gap_are_due_once() -> None:
    assert walls(Cron("0,30 2 * * *", "Europe/Vienna"), ms(2026, 3, 28, 12), 2) == ["29 03:00+0200", "30 02:00+0200"]


def test_a_cadence_goes_by_the_time_that_passes() -> None:
    half_hourly = Cron("*/30 * * * *", "Europe/Vienna")
    spring = walls(half_hourly, ms(2026, 3, 29, 1, 15), 3)
    assert spring == ["29 01:30+0100", "29 03:00+0200", "29 03:30+0200"]
    autumn = walls(half_hourly, ms(2026, 10, 25, 1, 45), 5)
    assert autumn == ["25 02:00+0200", "25 02:30+0200", "25 02:00+0100", "25 02:30+0100", "25 03:00+0100"]


def test_a_day_that_a_place_leaves_out_is_made_up_for_at_its_end() -> None:
    samoa = Cron("0 12 * * *", "Pacific/Apia")
    start = ms(2011, 12, 29, 1, zone=ZoneInfo("Pacific/Apia"))
    assert walls(samoa, start, 3) == ["29 12:00-1000", "31 00:00+1400", "31 12:00+1400"]


# -- against a clock that is watched ------------------------------------------------------------------------------------


@cache
def turns() -> list[tuple[str, int]]:
    """A zone and an instant for each way in which a clock somewhere on earth turned or will turn in these years."""
    found: dict[tuple[int, int, int], tuple[str, int]] = {}
    first, last = int(datetime(2018, 1, 1, tzinfo=UTC).timestamp()), int(datetime(2029, 1, 1, tzinfo=UTC).timestamp())
    for name in sorted(zoneinfo.available_timezones()):
        zone = ZoneInfo(name)
        before = ahead(zone, first)
        for day in range(first, last, STEP):
            after = ahead(zone, day + STEP)
            if after != before:
                low, high = day, day + STEP
                while high - low > 1:
                    middle = (low + high) // 2
                    low, high = (middle, high) if ahead(zone, middle) == before else (low, middle)
                wall = (high + before) % DAY  # what the clock showed when it turned
                found.setdefault((wall, before, after), (name, high))
            before = after
    return sorted(found.values())


def ahead(zone: ZoneInfo, instant: int) -> int:
    offset = datetime.fromtimestamp(instant, zone).utcoffset()
    assert offset is not None
    return round(offset.total_seconds())


@cache
def faces(zone: str, start: int, end: int) -> list[tuple[int, datetime, list[datetime], bool]]:
    """A clock looked at every minute: the instant, what it shows, what it has skipped since, and whether it showed that before."""
    place, shown, seen = ZoneInfo(zone), set(), []
    last = datetime.fromtimestamp(start - MINUTE, place).replace(tzinfo=None)
    for instant in range(start, end, MINUTE):
        wall = datetime.fromtimestamp(instant, place).replace(tzinfo=None)
        skipped = []
        while last + timedelta(minutes=1) < wall:
            last += timedelta(minutes=1)
            skipped.append(last)
        seen.append((instant, wall, skipped, wall in shown))
        last = wall
        shown.add(wall)
    return seen


def watched(cron: Cron, start: int, end: int) -> Iterator[int]:
    """Due times by watching the clock."""
    fixed = not any(field.startswith("*") for field in cron.expression.split()[:2])
    matching = CronSim(cron.expression, datetime(2026, 1, 1))

    def matches(wall: datetime) -> bool:
        day_fits = wall.month in matching.months and matching.match_day(wall.date())
        return day_fits and wall.hour in matching.hours and wall.minute in matching.minutes

    for instant, wall, skipped, again in faces(cron.zone, start, end):
        is_due = (matches(wall) and not again) or any(map(matches, skipped)) if fixed else matches(wall)
        if is_due:
            yield instant


@pytest.mark.parametrize("expression", FIXED + CADENCES)
def test_each_due_time_comes_once_and_in_order_wherever_a_clock_turns(expression: str) -> None:
    assert len(turns()) > 30
    for zone, turn in turns():
        if turn % MINUTE:
            continue
        cron = Cron(expression, zone)
        start, end = turn - 14 * HOUR, turn + 26 * HOUR
        expected = list(watched(cron, start, end))
        found, at = [], (start - 1) * 1_000
        while (at := cron.next_after(at)) < end * 1_000:
            found.append(at // 1_000)
        assert found == expected, f"{cron} around {datetime.fromtimestamp(turn, UTC)}"
        newest = [instant // 1_000 for instant in cron.latest((start - 1) * 1_000, (end - 1) * 1_000, 10_000)]
        assert newest == expected, f"{cron} around {datetime.fromtimestamp(turn, UTC)}, backwards"


@given(
    st.sampled_from(FIXED + CADENCES),
    st.integers(0, 10**6),
    st.lists(st.integers(0, 3 * DAY), min_size=1, max_size=6),
)
def test_it_does_not_matter_when_one_looks(expression: str, pick: int, looks: list[int]) -> None:
    zone, turn = turns()[pick % len(turns())]
    cron = Cron(expression, zone)
    start = turn - DAY
    end = start + 3 * DAY
    at, piecewise = start * 1_000, []
    for look in [*sorted(start + look for look in looks), end]:
        found = cron.latest(at, look * 1_000, 10_000)
        piecewise += found
        at = look * 1_000
    assert piecewise == cron.latest(start * 1_000, end * 1_000, 10_000)
    for look in looks:
        following = [instant for instant in piecewise if instant > (start + look) * 1_000]
        assert not following or cron.next_after((start + look) * 1_000) == following[0]


@given(st.sampled_from(FIXED), st.sampled_from(["Europe/Vienna", "America/New_York", "UTC"]), st.integers(0, 3 * 365))
def test_fixed_times_are_those_of_debians_cron(expression: str, zone: str, days: int) -> None:
    start = datetime(2025, 1, 1, 12, tzinfo=ZoneInfo(zone)) + timedelta(days=days)
    theirs = CronSim(expression, start)
    at = round(start.timestamp() * 1_000)
    for _ in range(6):
        at = Cron(expression, zone).next_after(at)
        assert at == round(next(theirs).timestamp() * 1_000)


# -- what becomes of missed times ---------------------------------------------------------------------------------------

NIGHTLY = Cron("0 4 * * *", "UTC")
START = round(datetime(2026, 11, 1, tzinfo=UTC).timestamp()) * 1_000
FOUR = START + 4 * HOUR * 1_000
WEEK_LATER = START + 7 * DAY * 1_000


def nights(*numbers: int) -> tuple[int, ...]:
    return tuple(FOUR + number * DAY * 1_000 for number in numbers)


def test_once_makes_up_for_the_newest_missed_time() -> None:
    assert due(NIGHTLY, "once", START, WEEK_LATER) == Due(nights(6), nights(6)[0], dropped=1)


def test_each_makes_up_for_all_of_them_oldest_first_up_to_a_bound() -> None:
    assert due(NIGHTLY, "each", START, WEEK_LATER) == Due(nights(0, 1, 2, 3, 4, 5, 6), *nights(6))
    after_a_year = due(NIGHTLY, "each", START, START + 365 * DAY * 1_000)
    assert (len(after_a_year.take), after_a_year.dropped) == (MOST_EACH, 1)
    assert after_a_year.take == tuple(sorted(after_a_year.take))


def test_skip_does_only_what_is_not_late() -> None:
    assert due(NIGHTLY, "skip", START, FOUR + SKIP_S * 1_000) == Due(nights(0), *nights(0))
    assert due(NIGHTLY, "skip", START, FOUR + SKIP_S * 1_000 + 1).take == ()
    assert due(NIGHTLY, "skip", START, FOUR + SKIP_S * 1_000 + 1).cursor_ms == FOUR


def test_nothing_is_due_twice_when_the_clock_goes_back() -> None:
    first = due(NIGHTLY, "once", START, FOUR)
    assert first.take == nights(0)
    an_hour_back = due(NIGHTLY, "once", first.cursor_ms, FOUR - HOUR * 1_000)
    assert an_hour_back == Due((), FOUR)
    assert due(NIGHTLY, "once", an_hour_back.cursor_ms, FOUR + 1).take == ()


@given(
    st.sampled_from(["once", "each"]),
    st.integers(1, 7_200),
    st.lists(st.integers(-2 * HOUR, 2 * HOUR), min_size=1, max_size=30),
)
def test_an_interval_has_a_new_name_each_time_however_the_wall_clock_steps(
    missed: str, seconds: int, steps: list[int]
) -> None:
    now, cursor = START, START // (seconds * 1_000) * seconds * 1_000 - seconds * 1_000
    names: list[int] = []
    for step in steps:
        decided = due(Every(seconds), missed, cursor, now)  # type: ignore[arg-type]
        assert 1 <= len(decided.take) <= MOST_EACH
        names += decided.take
        cursor = decided.cursor_ms
        now += (seconds + step) * 1_000
    assert names == sorted(set(names))
    assert all(name % (seconds * 1_000) == 0 for name in names)


def test_what_cannot_be_is_refused_with_the_cure() -> None:
    for expression, zone, cure in (
        ("* * * *", "UTC", "five fields"),
        ("0 0 * * * *", "UTC", "five fields"),
        ("61 * * * *", "UTC", "Bad minute"),
        ("0 0 30 2 *", "UTC", "Bad day"),
        ("0 4 * * *", "Europe/Atlantis", "such as Europe/Vienna"),
    ):
        with pytest.raises(ValueError, match=cure):
            Cron(expression, zone)
    with pytest.raises(ValueError, match="every second at most"):
        Every(0)


def test_the_29th_of_february_is_found_and_both_kinds_say_what_they_are() -> None:
    leap = Cron("0 0 29 2 *", "UTC")
    assert datetime.fromtimestamp(leap.next_after(START) / 1_000, UTC).year == 2028
    assert (str(leap), str(Every(15))) == ("0 0 29 2 * UTC", "every 15 s")
