"""A week's monotony and strain with either deviation, and the weeks without one."""

import pytest

from services.training.monotony import Deviation, week_load

WEEK = (300, 0, 400, 200, 500, 0, 600)


@pytest.mark.parametrize(("deviation", "monotony"), [("sample", 1.2209), ("population", 1.3188)])
def test_monotony_is_the_mean_over_the_named_deviation(deviation: Deviation, monotony: float) -> None:
    week = week_load(WEEK, deviation)
    assert week.total == 2_000
    assert week.monotony == pytest.approx(monotony, abs=5e-5)
    assert week.deviation == deviation


def test_strain_is_the_week_times_its_monotony() -> None:
    assert week_load(WEEK).strain == pytest.approx(2_441.87, abs=5e-3)


@pytest.mark.parametrize("loads", [(100,) * 7, (100, 100, 100, 100, 100, 100, 100.0001)])
def test_equal_days_meet_the_cap_and_never_divide_by_zero(loads: tuple[float, ...]) -> None:
    assert week_load(loads).monotony == 10


def test_a_week_of_rest_has_neither_monotony_nor_strain() -> None:
    week = week_load((0,) * 7)
    assert (week.total, week.monotony, week.strain) == (0, 0, 0)


@pytest.mark.parametrize("days", [0, 6, 8])
def test_a_week_has_seven_days(days: int) -> None:
    with pytest.raises(ValueError, match="over 7 days"):
        week_load((100,) * days)


@pytest.mark.parametrize("load", [-1.0, float("nan"), float("inf")])
def test_a_load_that_cannot_be_is_refused(load: float) -> None:
    with pytest.raises(ValueError, match="not a rest day"):
        week_load((load, *WEEK[1:]))
