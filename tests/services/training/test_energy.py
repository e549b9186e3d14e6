"""Keytel against values computed from the paper, the borders of its range, and what is never guessed."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.training.energy import (
    KEYTEL_BPM,
    Model,
    energy_of,
    kcal_per_min,
    keytel_kj_per_min,
    keytel_vo2max_kj_per_min,
)
from services.training.exposure import Exposure, exposure_of
from services.training.oxygen_cost import KJ_PER_KCAL, met_kcal_per_min
from services.training.physiology import Physiology, Sex
from tests.services.training.build import bodies, body

MINUTE = 60_000


@pytest.mark.parametrize(
    ("bpm", "kg", "age", "sex", "kj", "kcal", "kcal_per_hour"),
    [
        (150, 80, 30, "male", 61.4931, 14.6972, 881.83),
        (150, 60, 30, "female", 41.3198, 9.8757, 592.54),
        (120, 70, 40, "male", 42.5951, 10.1805, 610.83),
        (120, 65, 40, "female", 28.0123, 6.6951, 401.71),
        (170, 75, 25, "male", 72.1086, 17.2344, 1034.06),
        (90, 80, 30, "male", 23.6391, 5.6499, 338.99),
        (60, 80, 30, "male", 4.7121, 1.1262, 67.57),
    ],
)
def test_the_bare_formula_gives_the_published_rate(
    bpm: int, kg: float, age: int, sex: Sex, kj: float, kcal: float, kcal_per_hour: float
) -> None:
    rate = keytel_kj_per_min(bpm, kg, age, sex)
    assert rate == pytest.approx(kj, abs=5e-5)
    assert rate / KJ_PER_KCAL == pytest.approx(kcal, abs=5e-5)
    assert rate / KJ_PER_KCAL * 60 == pytest.approx(kcal_per_hour, abs=5e-3)


@pytest.mark.parametrize(
    ("bpm", "vo2max", "kg", "sex", "kj", "kcal"),
    [(150, 50, 80, "male", 59.1765, 14.1435), (150, 40, 60, "female", 37.7046, 9.0116)],
)
def test_the_formula_with_measured_fitness_gives_the_published_rate(
    bpm: int, vo2max: float, kg: float, sex: Sex, kj: float, kcal: float
) -> None:
    rate = keytel_vo2max_kj_per_min(bpm, vo2max, kg, 30, sex)
    assert rate == pytest.approx(kj, abs=5e-5)
    assert rate / KJ_PER_KCAL == pytest.approx(kcal, abs=5e-5)


@pytest.mark.parametrize(
    ("bpm", "age", "model"),
    [
        (60, 30, "resting"),
        (89, 30, "resting"),
        (90, 30, "keytel"),
        (150, 30, "keytel"),
        (151, 30, "extrapolated"),
        (120, 17, "extrapolated"),
        (120, 18, "keytel"),
        (120, 45, "keytel"),
        (120, 46, "extrapolated"),
        (60, 70, "resting"),
    ],
)
def test_each_rate_is_counted_by_the_model_of_its_range(bpm: int, age: int, model: Model) -> None:
    assert kcal_per_min(bpm, 80, age, "male")[1] == model


def test_keytel_below_resting_is_not_believed() -> None:
    assert keytel_kj_per_min(90, 200, 30, "female") < 0
    assert kcal_per_min(90, 200, 30, "female") == (met_kcal_per_min(1, 200), "resting")


def test_an_hour_inside_the_range_is_keytel_alone() -> None:
    energy = energy_of(exposure_of([(150, 60 * MINUTE)]), body())
    assert energy.kcal == pytest.approx(881.83, abs=5e-3)
    assert (energy.method, energy.inside_range_share, energy.resting_share) == ("keytel_2005", 1.0, 0.0)
    assert not energy.extrapolated
    assert energy.reason is None


def test_a_mixed_workout_says_how_much_of_it_was_inside_the_range() -> None:
    energy = energy_of(exposure_of([(60, 30 * MINUTE), (120, 15 * MINUTE), (170, 15 * MINUTE)]), body())
    expected = (
        30 * met_kcal_per_min(1, 80)
        + 15 * keytel_kj_per_min(120, 80, 30, "male") / KJ_PER_KCAL
        + 15 * keytel_kj_per_min(170, 80, 30, "male") / KJ_PER_KCAL
    )
    assert energy.kcal == pytest.approx(expected)
    assert (energy.inside_range_share, energy.resting_share, energy.extrapolated) == (0.25, 0.5, True)


@pytest.mark.parametrize(
    ("person", "reason"),
    [
        (body(sex=None), "sex_unknown"),
        (body(mass_kg=None), "mass_unknown"),
        (body(age_years=None), "age_unknown"),
    ],
)
def test_nothing_is_guessed_for_a_person_we_do_not_know(person: Physiology, reason: str) -> None:
    energy = energy_of(exposure_of([(120, MINUTE)]), person)
    assert (energy.kcal, energy.method, energy.reason) == (None, None, reason)


def test_without_a_heart_rate_there_is_no_energy_to_tell() -> None:
    assert energy_of(Exposure(), body()).reason == "no_heart_rate"


@given(st.lists(st.tuples(st.integers(20, 250), st.integers(0, 10**7)), max_size=30), bodies())
def test_energy_is_never_below_resting_and_its_shares_are_shares(
    parts: list[tuple[int, int]], person: Physiology
) -> None:
    exposure = exposure_of(parts)
    energy = energy_of(exposure, person)
    if energy.kcal is None:
        assert energy.reason is not None
        return
    assert person.mass_kg is not None
    assert energy.inside_range_share is not None
    assert energy.resting_share is not None
    resting = met_kcal_per_min(1, person.mass_kg) * exposure.measured_ms / MINUTE
    assert math.isfinite(energy.kcal)
    assert energy.kcal >= resting * (1 - 1e-9) > 0
    assert 0 <= energy.inside_range_share + energy.resting_share <= 1 + 1e-9
    if not energy.extrapolated:
        assert energy.inside_range_share + energy.resting_share == pytest.approx(1)


@given(st.floats(40, 150), st.integers(18, 45))
def test_inside_the_range_a_faster_heart_burns_more(kg: float, age: int) -> None:
    rates = [kcal_per_min(bpm, kg, age, "male")[0] for bpm in range(*KEYTEL_BPM)]
    assert rates == sorted(rates)
