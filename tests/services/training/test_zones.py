"""Borders, the shown zone, and the bands of heart-rate reserve."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.training.sample import MAX_BPM, MIN_BPM
from services.training.zones import (
    ZONE_FLOORS,
    DisplayZone,
    Intensity,
    advance_display,
    floors_bpm,
    intensity_of,
    karvonen_bpm,
    lowest_bpm,
    percent_of_max,
    zone_of,
)


@pytest.mark.parametrize(
    ("bpm", "zone"),
    [
        (20, 0),
        (94, 0),
        (95, 1),
        (113, 1),
        (114, 2),
        (132, 2),
        (133, 3),
        (151, 3),
        (152, 4),
        (170, 4),
        (171, 5),
        (190, 5),
        (191, 5),
        (250, 5),
    ],
)
def test_a_border_belongs_to_the_zone_above_it_and_the_last_zone_has_no_end(bpm: int, zone: int) -> None:
    assert zone_of(bpm, 190) == zone


@pytest.mark.parametrize("max_hr", range(100, 251))
def test_zones_are_exact_for_every_heart_rate_and_maximum(max_hr: int) -> None:
    for bpm in range(MIN_BPM, MAX_BPM + 1):
        assert zone_of(bpm, max_hr) == sum(Fraction(bpm, max_hr) >= Fraction(p, 100) for p in ZONE_FLOORS)
        assert percent_of_max(bpm, max_hr) == int(Fraction(100 * bpm, max_hr))


@pytest.mark.parametrize("max_hr", range(100, 251))
def test_the_lowest_rate_of_a_zone_is_in_it_and_one_less_is_not(max_hr: int) -> None:
    for zone in range(1, 6):
        assert zone_of(lowest_bpm(zone, max_hr), max_hr) == zone
        assert zone_of(lowest_bpm(zone, max_hr) - 1, max_hr) == zone - 1


def test_zone_zero_starts_at_nothing() -> None:
    assert lowest_bpm(0, 190) == 0


@pytest.mark.parametrize("zone", [-1, 6])
def test_a_zone_that_does_not_exist_has_no_lowest_rate(zone: int) -> None:
    with pytest.raises(ValueError, match="zones go from 0 to 5"):
        lowest_bpm(zone, 190)


def test_five_zones_of_a_maximum_of_190() -> None:
    assert floors_bpm(190, (*ZONE_FLOORS, 100)) == (95, 114, 133, 152, 171, 190)


def test_zones_of_a_threshold_of_165() -> None:
    assert floors_bpm(165, (0, 68, 83, 94, 105)) == pytest.approx((0, 112.2, 136.95, 155.1, 173.25))


@pytest.mark.parametrize(
    ("percent", "bpm"),
    [(30, 99), (40, 112), (50, 125), (60, 138), (70, 151), (80, 164), (90, 177), (100, 190), (0, 60)],
)
def test_karvonen_adds_a_share_of_the_reserve_to_the_resting_rate(percent: int, bpm: int) -> None:
    assert karvonen_bpm(percent, 60, 190) == bpm


def test_karvonen_at_forty_years_and_half_the_reserve() -> None:
    assert karvonen_bpm(50, 60, 220 - 40) == 120


@pytest.mark.parametrize(
    ("bpm", "band"),
    [
        (40, "very_light"),
        (98, "very_light"),
        (99, "light"),
        (111, "light"),
        (112, "moderate"),
        (137, "moderate"),
        (138, "vigorous"),
        (176, "vigorous"),
        (177, "near_maximal"),
        (210, "near_maximal"),
    ],
)
def test_reserve_bands_begin_on_their_floor(bpm: int, band: Intensity) -> None:
    assert intensity_of(bpm, 60, 190) == band


def shown(*readings: tuple[float, int | None]) -> list[int | None]:
    """The zones a screen shows for readings (seconds, bpm) with a maximum of 190."""
    display, zones = DisplayZone(), []
    for seconds, bpm in readings:
        display = advance_display(display, int(seconds * 1000), bpm, 190)
        zones.append(display.zone)
    return zones


def test_the_first_reading_is_shown_at_once() -> None:
    assert shown((0, 133)) == [3]


def test_a_heart_on_the_border_does_not_flicker() -> None:
    assert shown(*((i, 133 - i % 2) for i in range(60))) == [3] * 60


def test_two_beats_past_the_border_change_the_display_at_once() -> None:
    assert shown((0, 132), (1, 134), (2, 135)) == [2, 2, 3]
    assert shown((0, 133), (1, 132), (2, 131)) == [3, 3, 2]


def test_three_seconds_outside_change_the_display() -> None:
    assert shown((0, 132), (1, 133), (2, 133), (3, 133), (4, 133)) == [2, 2, 2, 2, 3]


def test_returning_to_the_shown_zone_starts_the_wait_again() -> None:
    assert shown((0, 132), (1, 133), (3, 132), (4, 133), (6, 133), (7, 133)) == [2, 2, 2, 2, 2, 3]


def test_a_sprint_jumps_over_zones() -> None:
    assert shown((0, 100), (1, 175)) == [1, 5]


def test_an_unknown_heart_rate_shows_no_zone() -> None:
    assert shown((0, 132), (1, None), (2, 133)) == [2, None, 3]


def test_a_clock_that_steps_back_starts_the_wait_again() -> None:
    assert shown((10, 132), (11, 133), (5, 133), (7, 133), (8, 133)) == [2, 2, 2, 2, 3]


@given(
    st.lists(st.tuples(st.integers(0, 3_000), st.integers(MIN_BPM, MAX_BPM)), min_size=1),
    st.integers(100, 250),
)
def test_the_shown_zone_is_never_more_than_a_margin_from_the_true_one(
    steps: list[tuple[int, int]], max_hr: int
) -> None:
    display, t = DisplayZone(), 0
    for step, bpm in steps:
        t += step
        display = advance_display(display, t, bpm, max_hr)
        assert display.zone in {zone_of(max(bpm + d, 0), max_hr) for d in range(-2, 3)}
