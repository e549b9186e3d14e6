"""Nights and digest hours as instants, in every zone and over every change of the clocks."""

import itertools
from datetime import UTC, date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.kernel.clock import to_wall_ms
from services.notifications.hours import MINUTES, instant, next_digest, quiet_until

BERLIN: Final = ZoneInfo("Europe/Berlin")
ZONES: Final = sorted(available_timezones() - {"localtime"})
HOUR_MS: Final = 3_600_000
zones = st.sampled_from(ZONES).map(ZoneInfo)
instants = st.integers(to_wall_ms(datetime(2024, 1, 1, tzinfo=UTC)), to_wall_ms(datetime(2028, 1, 1, tzinfo=UTC)))
minutes = st.integers(0, MINUTES - 1)


def at(text: str, zone: ZoneInfo = BERLIN, fold: int = 0) -> int:
    """The instant of a wall time."""
    return to_wall_ms(datetime.fromisoformat(text).replace(tzinfo=zone, fold=fold).astimezone(UTC))


def shown(ms: int, zone: ZoneInfo = BERLIN) -> str:
    """What the clocks show then."""
    return datetime.fromtimestamp(ms / 1_000, zone).strftime("%Y-%m-%d %H:%M %Z")


def test_a_night_over_midnight_ends_in_the_morning() -> None:
    assert shown(quiet_until(at("2026-11-10T23:30"), 22 * 60, 7 * 60, BERLIN) or 0) == "2026-11-11 07:00 CET"
    assert shown(quiet_until(at("2026-11-11T06:59"), 22 * 60, 7 * 60, BERLIN) or 0) == "2026-11-11 07:00 CET"


@pytest.mark.parametrize("time", ["2026-11-11T07:00", "2026-11-11T12:00", "2026-11-11T21:59"])
def test_by_day_it_is_not_night(time: str) -> None:
    assert quiet_until(at(time), 22 * 60, 7 * 60, BERLIN) is None


def test_a_rest_at_noon_does_not_reach_over_midnight() -> None:
    assert quiet_until(at("2026-11-11T12:59"), 12 * 60, 13 * 60, BERLIN) == at("2026-11-11T13:00")
    assert quiet_until(at("2026-11-11T00:30"), 12 * 60, 13 * 60, BERLIN) is None


def test_a_night_that_begins_when_it_ends_is_none() -> None:
    assert quiet_until(at("2026-11-11T12:00"), 60, 60, BERLIN) is None


def test_an_end_that_the_clock_jumps_over_is_as_much_later_as_it_jumped() -> None:
    end = quiet_until(at("2026-03-29T01:30"), 22 * 60, 2 * 60 + 30, BERLIN)
    assert shown(end or 0) == "2026-03-29 03:30 CEST"


def test_an_end_that_comes_twice_is_the_second_one() -> None:
    for fold in (0, 1):
        end = quiet_until(at("2026-10-25T02:15", fold=fold), 22 * 60, 2 * 60 + 30, BERLIN)
        assert shown(end or 0) == "2026-10-25 02:30 CET"


def test_a_digest_at_an_hour_that_comes_twice_comes_once() -> None:
    first = next_digest(at("2026-10-24T12:00"), 2, None, BERLIN)
    assert shown(first) == "2026-10-25 02:00 CEST"
    assert shown(next_digest(first, 2, None, BERLIN)) == "2026-10-26 02:00 CET"


def test_a_digest_at_an_hour_that_is_jumped_over_comes_an_hour_later() -> None:
    assert shown(next_digest(at("2026-03-28T12:00"), 2, None, BERLIN)) == "2026-03-29 03:00 CEST"


def test_a_weekly_digest_whose_hour_has_just_passed_comes_in_a_week() -> None:
    assert shown(next_digest(at("2026-11-08T18:00"), 18, 6, BERLIN)) == "2026-11-15 18:00 CET"
    assert shown(next_digest(at("2026-11-08T17:59"), 18, 6, BERLIN)) == "2026-11-08 18:00 CET"


def test_a_day_that_a_country_left_out_has_its_digest_at_the_same_hour_of_the_day_after() -> None:
    # Samoa went over the date line: there was no 30 December 2011.
    samoa = ZoneInfo("Pacific/Apia")
    first = next_digest(at("2011-12-29T12:00", samoa), 8, None, samoa)
    second = next_digest(first, 8, None, samoa)
    assert [shown(ms, samoa)[:16] for ms in (first, second)] == ["2011-12-31 08:00", "2012-01-01 08:00"]


@given(zones, instants, minutes, minutes)
def test_a_night_ends_later_than_now_and_by_then_it_is_day(zone: ZoneInfo, now: int, begins: int, ends: int) -> None:
    end = quiet_until(now, begins, ends, zone)
    if end is not None:
        assert now < end <= now + 27 * HOUR_MS
        assert quiet_until(end, begins, ends, zone) is None or (begins - ends) % MINUTES <= 180


@given(zones, instants, minutes, minutes)
def test_every_minute_is_night_by_the_wall_clock_except_where_the_clocks_change(
    zone: ZoneInfo, now: int, begins: int, ends: int
) -> None:
    local = datetime.fromtimestamp(now / 1_000, zone)
    changes = zone.utcoffset(local - timedelta(hours=30)) != zone.utcoffset(local + timedelta(hours=30))
    minute = local.hour * 60 + local.minute
    night = begins <= minute < ends if begins < ends else (minute >= begins or minute < ends)
    if not changes and begins != ends:
        assert (quiet_until(now, begins, ends, zone) is not None) == night


@given(zones, instants, st.integers(0, 23), st.none() | st.integers(0, 6))
def test_digests_come_in_order_once_a_day_or_week(zone: ZoneInfo, now: int, hour: int, weekday: int | None) -> None:
    seen = [now]
    for _ in range(4):
        seen.append(next_digest(seen[-1], hour, weekday, zone))
    assert seen == sorted(set(seen))
    days = [datetime.fromtimestamp(ms / 1_000, zone).date() for ms in seen[1:]]
    step = timedelta(days=1 if weekday is None else 7)
    assert all(after - before == step for before, after in itertools.pairwise(days))


@pytest.mark.parametrize("zone", [ZoneInfo(name) for name in ZONES], ids=ZONES)
def test_each_local_day_of_four_years_has_one_instant_for_the_digest(zone: ZoneInfo) -> None:
    day = date(2024, 1, 1)
    instants = [instant(day + timedelta(days=n), 2 * 60, zone) for n in range(4 * 365)]
    assert all(20 * HOUR_MS <= after - before <= 28 * HOUR_MS for before, after in itertools.pairwise(instants))
