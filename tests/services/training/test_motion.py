"""Distance, power and cadence out of samples: what counts, what counters do, and laws that hold for any of it."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from services.training.motion import (
    AT_REST,
    CORRECTION_M,
    MAX_SPEED_M_S,
    NOT_MOVED,
    STALL_MS,
    Moved,
    advance,
    furthest,
    moved_in,
    total,
)
from services.training.sample import MAX_CADENCE, MAX_DISTANCE_M, MAX_POWER_W, Motion, Sample

motions = st.builds(
    Motion,
    st.none() | st.integers(0, 2_000) | st.integers(0, MAX_DISTANCE_M),
    st.none() | st.integers(0, MAX_POWER_W),
    st.none() | st.integers(0, MAX_CADENCE),
)
anything = st.lists(
    st.builds(
        lambda t, motion: Sample(t, None, (), motion), st.integers(0, 600) | st.integers(0, 10**7), st.none() | motions
    ),
    max_size=30,
)


def counter(*shown: int | None, step_ms: int = 1_000) -> list[Sample]:
    """A sample for each of what a counter shows, None for one without."""
    return [Sample(step_ms * n, 120, (), None if m is None else Motion(m)) for n, m in enumerate(shown)]


def metres(*shown: int | None, step_ms: int = 1_000) -> int | None:
    return moved_in(counter(*shown, step_ms=step_ms)).distance_m


def test_who_tells_no_motion_has_none() -> None:
    assert moved_in(counter(None, None, None)) == NOT_MOVED == Moved(None)
    assert (NOT_MOVED.mean_power_w, NOT_MOVED.mean_cadence) == (None, None)


def test_only_what_comes_after_the_first_reading_counts() -> None:
    assert metres(0, 10, 20, 30) == 30
    assert metres(3_000, 3_010, 3_020) == 20
    assert metres(3_000) == 0


def test_a_gap_costs_no_metre() -> None:
    assert metres(0, 10, None, None, 40) == 40
    assert moved_in([Sample(0, 120, (), Motion(0)), Sample(3_600_000, 120, (), Motion(36_000))]).distance_m == 36_000


def test_a_machine_that_is_set_back_begins_again_where_it_is() -> None:
    assert metres(0, 30, 60, 90, 0, 10, 20) == 110


def test_a_corrected_position_counts_once() -> None:
    assert metres(0, 30, 60, 55, 58, 61, 70) == 70
    assert metres(100, 100 - CORRECTION_M, 100, 110) == 10


def test_a_phone_without_a_satellite_makes_up_for_it() -> None:
    assert metres(0, *[10] * 20, 200) == 200
    still = STALL_MS // 1_000
    most = MAX_SPEED_M_S * (still + 1)
    assert metres(0, *[0] * 600, most) == most
    assert metres(0, *[0] * 600, most + 1) == 0


def test_a_leap_counts_nothing_and_the_counter_goes_on_from_there() -> None:
    assert metres(0, MAX_SPEED_M_S, 2 * MAX_SPEED_M_S) == 2 * MAX_SPEED_M_S
    assert metres(0, 10, 65_535, 65_545) == 20
    assert metres(5_000, 0, 5_001, 5_002) == 1


def test_a_clock_that_does_not_go_on_counts_nothing_until_it_does() -> None:
    back = [Sample(t, 120, (), Motion(m)) for t, m in ((10_000, 0), (10_000, 20), (9_000, 30), (10_000, 40))]
    assert moved_in(back).distance_m == 40
    assert moved_in(back[:3]).distance_m == 0


def test_power_holds_until_the_next_sample_and_no_longer_than_a_heart_rate() -> None:
    ride = [Sample(0, 120, (), Motion(None, 200)), Sample(2_000, 120, (), Motion(None, 0)), Sample(60_000, 120)]
    assert moved_in(ride) == Moved(None, work_mj=400_000, power_ms=7_000)
    assert moved_in(ride).mean_power_w == 400 / 7


def test_a_mean_cadence_leaves_out_the_time_in_which_nobody_turned() -> None:
    ride = [Sample(1_000 * n, 120, (), Motion(None, None, turns)) for n, turns in enumerate((90, 80, 0, 0, 70))]
    assert moved_in(ride).mean_cadence == 85


@given(anything)
def test_nobody_goes_faster_than_the_bound_and_sums_only_grow(samples: list[Sample]) -> None:
    moving, forward_ms, last_t = AT_REST, 0, None
    for sample in samples:
        before, moving = moving.moved, advance(moving, sample)
        forward_ms += max(sample.t - last_t, 0) if last_t is not None else 0
        last_t = sample.t
        assert furthest(before, moving.moved) == moving.moved
    moved = moving.moved
    assert moved.power_ms <= forward_ms
    assert moved.cadence_ms <= forward_ms
    assert moved.mean_power_w is None or 0 <= moved.mean_power_w <= MAX_POWER_W
    assert moved.mean_cadence is None or 0 < moved.mean_cadence <= MAX_CADENCE
    backward_steps = sum(after.t < before.t for before, after in pairwise(samples))
    most_ms = forward_ms + STALL_MS * backward_steps
    assert (moved.distance_m or 0) * 1_000 <= MAX_SPEED_M_S * most_ms


@given(anything, anything)
def test_what_does_not_count_passes_all_the_same(aside: list[Sample], rest: list[Sample]) -> None:
    moving = AT_REST
    for sample in aside:
        moving = advance(moving, sample, counts=False)
    assert moving.moved == NOT_MOVED
    counted = AT_REST
    for sample in aside:
        counted = advance(counted, sample)
    gained = counted
    for sample in rest:
        moving, gained = advance(moving, sample), advance(gained, sample)
    assert total((counted.moved, moving.moved)) == gained.moved


@given(st.lists(st.integers(0, MAX_SPEED_M_S), max_size=100))
def test_an_honest_counter_is_believed_to_the_metre(steps: list[int]) -> None:
    shown = [sum(steps[:n]) for n in range(len(steps) + 1)]
    assert metres(*shown) == sum(steps)
