"""Time at each heart rate: counting, adding, and what is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.training.exposure import DRAWERS, Exposure, exposure_of
from services.training.sample import MAX_BPM, MIN_BPM

stretches = st.lists(st.tuples(st.integers(MIN_BPM, MAX_BPM), st.integers(0, 10**9)))


def test_time_at_one_rate_adds_up() -> None:
    exposure = exposure_of([(150, 1_000), (120, 500), (150, 2_000)])
    assert list(exposure.stretches()) == [(120, 500), (150, 3_000)]
    assert exposure.measured_ms == 3_500


def test_the_mean_is_over_time() -> None:
    assert exposure_of([(100, 3_000), (201, 1_000)]).mean_bpm == 125.25


def test_no_time_has_no_mean() -> None:
    assert Exposure().mean_bpm is None
    assert Exposure().measured_ms == 0


def test_the_extremes_have_a_place() -> None:
    assert list(exposure_of([(MIN_BPM, 1), (MAX_BPM, 2)]).stretches()) == [(MIN_BPM, 1), (MAX_BPM, 2)]


@pytest.mark.parametrize("bpm", [0, MIN_BPM - 1, MAX_BPM + 1, 255])
def test_a_rate_no_sample_may_carry_is_refused(bpm: int) -> None:
    with pytest.raises(ValueError, match="must arrive as None"):
        exposure_of([(bpm, 1_000)])


@pytest.mark.parametrize("ms_at", [(), (0,) * (DRAWERS - 1), (-1,) + (0,) * (DRAWERS - 1)])
def test_a_damaged_table_is_refused(ms_at: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="231 times of 0 ms or more"):
        Exposure(ms_at)


@given(stretches, stretches)
def test_adding_exposures_is_counting_all_stretches_in_any_order(
    a: list[tuple[int, int]], b: list[tuple[int, int]]
) -> None:
    assert exposure_of(a) + exposure_of(b) == exposure_of(b[::-1] + a[::-1])


@given(stretches, st.integers(100, 250))
def test_zones_share_out_exactly_the_measured_time(parts: list[tuple[int, int]], max_hr: int) -> None:
    exposure = exposure_of(parts)
    assert sum(exposure.ms_in_zone(max_hr)) == exposure.measured_ms == sum(ms for _, ms in parts)
