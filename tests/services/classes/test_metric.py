"""What a board is ranked by: the figures, who has one, and what makes two of them equal."""

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.classes.live_class import LiveClass, Membership
from services.classes.metric import (
    BASELINE_MS,
    IMPROVEMENT_AFTER_MS,
    MEASURES,
    UNKNOWN,
    Basis,
    Figure,
    Measure,
    baseline_of,
    figure_of,
    is_personal,
    minutes_from,
    score_of,
    shown,
    travels,
)
from services.classes.showing import Showing
from services.classes.summary import final_table
from services.kernel.ids import AccountId, ClassId
from services.training.energy import burn_rates, keytel_kj_per_min
from services.training.motion import Moved
from services.training.oxygen_cost import KJ_PER_KCAL

HALF_HOUR = (0, 0, 0, 1_800_000, 0, 0)
KCAL = 1_000_000_000


def test_minutes_in_zones_leave_zone_0_out_and_are_compared_to_the_millisecond() -> None:
    scores = [
        score_of("zone_minutes", zone_ms, None) for zone_ms in ((90_000, 60_000, 0, 0, 0, 1), (0, 0, 60_000, 0, 0, 0))
    ]
    assert scores == [60_001, 60_000]
    assert [shown("zone_minutes", score) for score in scores] == [1.0, 1.0]


@pytest.mark.parametrize("zone", [1, 2, 3, 4, 5])
def test_minutes_from_a_zone_leave_lower_ones_out_and_are_exact_ties(zone: int) -> None:
    metric = minutes_from(zone)
    zone_ms = (1, 20, 300, 4_000, 50_000, 600_000)
    assert score_of(metric, zone_ms, None) == sum(zone_ms[zone:])
    assert MEASURES[metric] == Measure("min", 1, "exact")
    assert not travels(metric)


def test_calories_are_whole_and_who_burns_as_many_is_equal() -> None:
    figures = [figure_of("calories", HALF_HOUR, Basis(burned)) for burned in (299_600_000_000, 300_400_000_000)]
    assert figures == [Figure("calories", 300)] * 2
    assert shown("calories", score_of("calories", HALF_HOUR, figures[0])) == 300.0


def test_a_body_that_is_not_known_has_no_calories_and_no_rank() -> None:
    assert figure_of("calories", HALF_HOUR, UNKNOWN) is None
    assert score_of("calories", HALF_HOUR, None) is None
    assert shown("calories", None) is None


def test_rates_of_energy_are_those_of_the_published_formula() -> None:
    """Keytel 2005: a man of 80 kg and 30 years at 150 bpm, and a woman of 60 kg and 25 years at 120."""
    for bpm, mass_kg, age, sex in ((150, 80.0, 30, "male"), (120, 60.0, 25, "female")):
        per_min = keytel_kj_per_min(bpm, mass_kg, age, sex) / KJ_PER_KCAL  # type: ignore[arg-type]
        assert burn_rates(mass_kg, age, sex)[bpm] * 60_000 / KCAL == pytest.approx(per_min, rel=1e-4)


def test_improvement_compares_the_mean_zone_with_the_own_baseline() -> None:
    better, same, worse = (figure_of("improvement", HALF_HOUR, Basis(None, of)) for of in (2_400, 3_000, 4_000))
    assert (better, same, worse) == (Figure("improvement", 25), Figure("improvement", 0), Figure("improvement", -25))


def test_improvement_waits_until_enough_is_measured_and_needs_a_baseline() -> None:
    early = (0, 0, 0, IMPROVEMENT_AFTER_MS - 1, 0, 0)
    assert figure_of("improvement", early, Basis(None, 3_000)) is None
    assert figure_of("improvement", (1, *early[1:]), Basis(None, 3_000)) is not None
    assert figure_of("improvement", HALF_HOUR, UNKNOWN) is None


def test_a_baseline_is_the_median_of_enough_workouts_that_are_long_enough() -> None:
    def of_zone(zone: int, ms: int = BASELINE_MS) -> tuple[int, ...]:
        return tuple(ms if each == zone else 0 for each in range(6))

    assert baseline_of([of_zone(1), of_zone(2), of_zone(5)]) == 2_000
    assert baseline_of([of_zone(1), of_zone(2), of_zone(5, BASELINE_MS - 1)]) is None
    assert baseline_of([of_zone(2), of_zone(4), of_zone(1), of_zone(3)]) == 2_500
    assert baseline_of([of_zone(0)] * 3) is None
    assert baseline_of([]) is None


def test_a_figure_of_another_metric_is_no_figure() -> None:
    assert score_of("improvement", HALF_HOUR, Figure("calories", 300)) is None


def test_figures_of_the_body_are_personal_and_so_is_what_is_not_known_here() -> None:
    assert [metric for metric, measure in MEASURES.items() if measure.personal] == [
        "calories",
        "power_per_kg",
        "improvement",
    ]
    assert is_personal(Figure("something of tomorrow", 1))
    assert not is_personal(None)


def test_distance_is_in_whole_metres_and_not_known_without_a_counter() -> None:
    assert figure_of("distance", HALF_HOUR, Basis(moved=Moved(distance_m=5_012))) == Figure("distance", 5_012)
    assert shown("distance", 5_012) == 5_012.0
    assert figure_of("distance", HALF_HOUR, UNKNOWN) is None


def test_power_per_kg_is_the_mean_of_the_known_power_and_needs_a_mass_and_a_minute() -> None:
    moved = Moved(work_mj=250 * 90_000, power_ms=90_000)
    assert figure_of("power_per_kg", HALF_HOUR, Basis(moved=moved, mass_kg=75.0)) == Figure("power_per_kg", 333, 90_000)
    assert shown("power_per_kg", 333) == 3.33
    assert figure_of("power_per_kg", HALF_HOUR, Basis(moved=moved)) is None
    short = Moved(work_mj=250 * 59_999, power_ms=59_999)
    assert figure_of("power_per_kg", HALF_HOUR, Basis(moved=short, mass_kg=75.0)) is None


@given(st.integers(0, 10**13), st.integers(0, 10**10))
def test_calories_never_fall_while_energy_grows(burned: int, more: int) -> None:
    before, after = (figure_of("calories", HALF_HOUR, Basis(each)) for each in (burned, burned + more))
    assert before is not None
    assert after is not None
    assert before.value <= after.value


def test_the_final_table_ranks_by_the_metric_of_the_class_those_who_show_their_figure() -> None:
    live = LiveClass(
        ClassId(uuid.UUID(int=1)), "ABCDEF", "Hills", AccountId(uuid.UUID(int=9)), "Kim", 0, 60_000, metric="calories"
    )
    shows, keeps = Showing("full", "", 1, body=True), Showing("full", "", 1)
    members = [
        Membership(AccountId(uuid.UUID(int=n)), f"Athlete {n}", n, "athlete", showing=showing)
        for n, showing in ((1, keeps), (2, shows), (3, shows), (4, shows), (5, None))
    ]
    bases = {AccountId(uuid.UUID(int=n)): Basis(kcal * KCAL) for n, kcal in ((1, 900), (2, 200), (3, 300), (5, 800))}
    table = final_table(live, members, {}, bases=bases)
    assert [(line.n, line.rank, line.figure) for line in table.standings] == [
        (3, 1, 300.0),
        (2, 2, 200.0),
        (1, None, None),
        (4, None, None),
        (5, None, None),
    ]
    assert (table.metric, table.unit) == ("calories", "kcal")
