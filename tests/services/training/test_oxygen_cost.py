"""METs, the ACSM equations and work on a bicycle, against values computed from the formulas."""

import pytest

from services.training.oxygen_cost import cycling_kcal, met_kcal_per_min, running_vo2, walking_vo2


def test_half_an_hour_at_five_mets() -> None:
    assert 30 * met_kcal_per_min(5, 77.1) == pytest.approx(202.39, abs=5e-3)


def test_running_ten_kilometres_an_hour_on_the_flat() -> None:
    assert running_vo2(10_000 / 60) == pytest.approx(36.833, abs=5e-4)


def test_walking_five_kilometres_an_hour_up_two_percent() -> None:
    assert walking_vo2(5_000 / 60, 0.02) == pytest.approx(14.833, abs=5e-4)


def test_an_hour_at_200_watts_is_about_as_many_kcal_as_kj() -> None:
    work_kj = 200 * 3_600 / 1_000
    assert work_kj == 720
    assert cycling_kcal(work_kj) == pytest.approx(717, abs=0.05)


@pytest.mark.parametrize("efficiency", [0, -0.2, 1.1, float("nan")])
def test_an_impossible_efficiency_is_refused(efficiency: float) -> None:
    with pytest.raises(ValueError, match=r"such as 0\.24"):
        cycling_kcal(720, efficiency)
