"""Training load against published and computed values, and the laws of its bookkeeping."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.training.exposure import exposure_of
from services.training.load import (
    BanisterVariant,
    banister_per_minute,
    banister_trimp,
    edwards_points,
    edwards_trimp,
    reserve_share,
)
from services.training.physiology import Sex
from tests.services.training.build import body

MINUTE = 60_000


@pytest.mark.parametrize(
    ("minutes", "bpm", "rest_hr", "max_hr", "sex", "points"),
    [
        (30, 130, 40, 200, "male", 31.8025391507),
        (45, 145, 60, 190, "male", 66.0807057),
        (60, 150, 60, 190, "male", 100.4403),
        (60, 150, 60, 190, "female", 113.5168),
        (60, 170, 60, 190, "male", 164.9461),
        (60, 170, 60, 190, "female", 179.3868),
    ],
)
def test_banister_gives_the_published_points(
    minutes: int, bpm: int, rest_hr: int, max_hr: int, sex: Sex, points: float
) -> None:
    load = banister_trimp(exposure_of([(bpm, minutes * MINUTE)]), body(rest_hr=rest_hr, max_hr=max_hr, sex=sex))
    assert load.points == pytest.approx(points, abs=5e-5)


@pytest.mark.parametrize(("variant", "ceiling"), [("men", 4.365413), ("women_086", 4.568464), ("women_064", 3.399787)])
def test_a_minute_at_maximum_earns_the_ceiling_of_its_variant(variant: BanisterVariant, ceiling: float) -> None:
    assert banister_per_minute(1.0, variant) == pytest.approx(ceiling, abs=5e-7)


@pytest.mark.parametrize(("sex", "variant"), [("male", "men"), ("female", "women_086")])
def test_banister_names_its_variant(sex: Sex, variant: str) -> None:
    assert banister_trimp(exposure_of([(150, MINUTE)]), body(sex=sex)).variant == variant


def test_banister_is_not_guessed_for_an_unknown_sex() -> None:
    load = banister_trimp(exposure_of([(150, MINUTE)]), body(sex=None))
    assert (load.points, load.variant, load.reason) == (None, None, "sex_unknown")


@pytest.mark.parametrize(("bpm", "share"), [(40, 0.0), (60, 0.0), (125, 0.5), (190, 1.0), (250, 1.0)])
def test_the_share_of_reserve_stays_within_rest_and_maximum(bpm: int, share: float) -> None:
    assert reserve_share(bpm, 60, 190) == share


def test_intervals_earn_more_than_their_mean_heart_rate_would() -> None:
    intervals = exposure_of([(110, 30 * MINUTE), (170, 30 * MINUTE)])
    steady = exposure_of([(140, 60 * MINUTE)])
    earned, flat = banister_trimp(intervals, body()).points, banister_trimp(steady, body()).points
    assert earned is not None
    assert flat is not None
    assert earned > flat * 1.1


def test_edwards_for_ten_minutes_in_each_zone_is_150() -> None:
    assert edwards_trimp((10 * MINUTE,) * 6) == 150


@pytest.mark.parametrize("zone", range(6))
def test_a_minute_in_a_zone_is_worth_its_number(zone: int) -> None:
    assert edwards_points(zone, MINUTE) == zone


@pytest.mark.parametrize("zones", [5, 7])
def test_edwards_wants_all_six_zones(zones: int) -> None:
    with pytest.raises(ValueError, match="all 6 zones, zone 0 first"):
        edwards_trimp([MINUTE] * zones)


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5_000)), max_size=500), st.randoms())
def test_edwards_is_the_same_to_the_last_bit_in_any_order(parts: list[tuple[int, int]], chance: random.Random) -> None:
    shuffled = parts.copy()
    chance.shuffle(shuffled)
    totals = []
    for order in (parts, shuffled):
        ms_in_zone = [0] * 6
        for zone, ms in order:
            ms_in_zone[zone] += ms
        totals.append(edwards_trimp(ms_in_zone))
    assert totals[0] == totals[1]
    assert totals[0] == pytest.approx(math.fsum(edwards_points(zone, ms) for zone, ms in parts))


@given(st.lists(st.tuples(st.integers(20, 250), st.integers(0, 10**7)), max_size=50), st.integers(0, 50))
def test_banister_of_two_parts_is_the_sum_of_both(parts: list[tuple[int, int]], cut: int) -> None:
    first, second, whole = (
        banister_trimp(exposure_of(some), body()).points for some in (parts[:cut], parts[cut:], parts)
    )
    assert first is not None
    assert second is not None
    assert whole == pytest.approx(first + second)
