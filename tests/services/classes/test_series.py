"""Classes that come again, by a clock that turns."""

from datetime import UTC, date, datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.classes.offer import Terms
from services.classes.series import AHEAD_DAYS, Series, Weekday, Weekly, check, due, occurrences
from services.kernel.ids import AccountId, SeriesId
from services.kernel.problems import BadShape

DAYS: tuple[Weekday, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
TERMS = Terms(title="Hills", duration_min=45, capacity=20)


def weekly(*days: Weekday, at: str = "18:30", zone: str = "Europe/Vienna", until: date | None = None) -> Weekly:
    return Weekly(days=days, at=at, zone=zone, from_day=date(2026, 1, 1), until_day=until)


def walls(rule: Weekly, first: date, last: date) -> list[str]:
    """The starts as the clock on the wall shows them."""
    zone = ZoneInfo(rule.zone)
    return [
        f"{datetime.fromtimestamp(each.starts_ms / 1_000, zone):%a %d %H:%M%z}"
        for each in occurrences(rule, first, last)
    ]


def test_half_past_six_stays_half_past_six_when_summer_begins() -> None:
    found = walls(weekly("tue", "fri"), date(2026, 3, 24), date(2026, 3, 31))
    assert found == ["Tue 24 18:30+0100", "Fri 27 18:30+0100", "Tue 31 18:30+0200"]


def test_a_time_that_the_clock_skips_is_at_the_end_of_the_gap() -> None:
    assert walls(weekly("sun", at="02:30"), date(2026, 3, 29), date(2026, 4, 5)) == [
        "Sun 29 03:00+0200",
        "Sun 05 02:30+0200",
    ]


def test_a_time_that_the_clock_shows_twice_is_the_first_time() -> None:
    assert walls(weekly("sun", at="02:30"), date(2026, 10, 25), date(2026, 10, 25)) == ["Sun 25 02:30+0200"]


def test_a_day_that_a_place_left_out_has_its_class_when_the_next_one_begins() -> None:
    rule = Weekly(days=("fri",), at="18:30", zone="Pacific/Apia", from_day=date(2011, 12, 1))
    (left_out,) = occurrences(rule, date(2011, 12, 30), date(2011, 12, 30))
    assert left_out.day == date(2011, 12, 30)
    assert datetime.fromtimestamp(left_out.starts_ms / 1_000, ZoneInfo("Pacific/Apia")).date() == date(2011, 12, 31)


def test_nothing_comes_before_the_first_day_or_after_the_last() -> None:
    rule = weekly("thu", until=date(2026, 1, 15))
    found = occurrences(rule, date(2025, 12, 1), date(2026, 2, 28))
    assert [each.day.day for each in found] == [1, 8, 15]


@given(
    days=st.sets(st.sampled_from(DAYS), min_size=1),
    hour=st.integers(0, 23),
    minute=st.integers(0, 59),
    zone=st.sampled_from(
        [
            "UTC",
            "Europe/Vienna",
            "America/New_York",
            "Australia/Lord_Howe",
            "America/Santiago",
            "Africa/Cairo",
            "Asia/Kathmandu",
        ]
    ),
    first=st.dates(date(2024, 1, 1), date(2028, 12, 31)),
)
def test_every_day_of_the_rule_has_its_class_once_at_its_time_or_after_the_gap(
    days: set[Weekday], hour: int, minute: int, zone: str, first: date
) -> None:
    last = first + timedelta(days=200)
    rule = Weekly(days=tuple(days), at=f"{hour:02}:{minute:02}", zone=zone, from_day=first)
    found = occurrences(rule, first, last)
    wanted = [first + timedelta(days=n) for n in range(201)]
    assert [each.day for each in found] == [day for day in wanted if DAYS[day.weekday()] in days]
    assert [each.starts_ms for each in found] == sorted({each.starts_ms for each in found})
    for each in found:
        wall = datetime(each.day.year, each.day.month, each.day.day, hour, minute)
        shown = datetime.fromtimestamp(each.starts_ms / 1_000, ZoneInfo(zone))
        if shown.replace(tzinfo=None) == wall:
            earlier = wall.replace(tzinfo=ZoneInfo(zone), fold=0).astimezone(UTC)
            assert shown.astimezone(UTC) == earlier
        else:  # the clock never showed it: a minute before, it was before the gap
            before = datetime.fromtimestamp(each.starts_ms / 1_000 - 60, ZoneInfo(zone)).replace(tzinfo=None)
            assert before < wall < shown.replace(tzinfo=None)


@given(cut=st.integers(0, 60))
def test_made_in_two_parts_it_is_what_it_would_be_in_one(cut: int) -> None:
    rule, first = weekly("mon", "wed", "sat"), date(2026, 3, 1)
    middle, last = first + timedelta(days=cut), first + timedelta(days=60)
    parts = occurrences(rule, first, middle) + occurrences(rule, middle + timedelta(days=1), last)
    assert parts == occurrences(rule, first, last)


def test_what_is_due_leaves_out_what_was_made_and_what_has_begun() -> None:
    series = Series(
        id=SeriesId(UUID(int=1)),
        coach_id=AccountId(UUID(int=2)),
        coach_name="Mira",
        rule=weekly("mon", "wed"),
        terms=TERMS,
        created_ms=0,
        made_through=date(2026, 6, 1),
    )
    doors = round(datetime(2026, 6, 3, 18, 15, tzinfo=ZoneInfo("Europe/Vienna")).timestamp() * 1_000)
    assert [each.day.day for each in due(series, doors - 1, date(2026, 6, 10))] == [3, 8, 10]
    assert [each.day.day for each in due(series, doors, date(2026, 6, 10))] == [8, 10]


@pytest.mark.parametrize(
    ("rule", "path"),
    [
        (weekly("mon", "mon"), "$.rule.days"),
        (weekly("mon", until=date(2025, 12, 31)), "$.rule.until_day"),
        (weekly("mon", zone="Europe/Atlantis"), "$.rule.zone"),
        (weekly("mon", zone="../etc/passwd"), "$.rule.zone"),
    ],
)
def test_a_rule_that_cannot_be_followed_is_refused_where_it_is_wrong(rule: Weekly, path: str) -> None:
    with pytest.raises(BadShape) as refused:
        check(rule, TERMS)
    assert refused.value.path == path


def test_booking_cannot_open_before_the_classes_are_offered() -> None:
    early = Terms(title="Hills", duration_min=45, capacity=20, booking_opens_min=(AHEAD_DAYS + 1) * 24 * 60)
    with pytest.raises(BadShape, match="28 days ahead"):
        check(weekly("mon"), early)
