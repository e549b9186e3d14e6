"""The highest speed that lasts: ten minutes of it, whatever the counter does."""

from hypothesis import given
from hypothesis import strategies as st

from services.training.motion import MAX_SPEED_M_S
from services.training.sample import Motion, Sample
from services.training.speed import Speed


def kmh(*readings: tuple[int, int | None]) -> float:
    """The speed of readings: at which second, how many m."""
    speed = Speed()
    for second, metres in readings:
        speed.add(Sample(1_000 * second, 140, (), None if metres is None else Motion(metres)))
    return speed.most_kmh


def test_the_best_ten_minutes_count() -> None:
    slow = [(n, 5 * n) for n in range(1_000)]
    quick = [(1_000 + n, 5_000 + 10 * n) for n in range(601)]
    assert kmh(*slow) == 18
    assert kmh(*slow, *quick) == 36


def test_a_descent_is_thinned_by_what_comes_before_and_after() -> None:
    assert kmh(*((n, 5 * n) for n in range(600)), *((600 + n, 3_000 + 30 * n) for n in range(61))) == 27


def test_less_than_ten_minutes_says_nothing() -> None:
    assert kmh(*((n, 30 * n) for n in range(600))) == 0
    assert kmh(*((n, None) for n in range(2_000))) == 0


def test_a_gap_is_as_slow_as_it_was_long() -> None:
    assert kmh((0, 0), (10, 50), (3_610, 18_050), (3_611, 18_055)) == 18


def test_a_device_that_reports_often_is_no_quicker() -> None:
    speed = Speed()
    for n in range(15_001):
        speed.add(Sample(50 * n, 140, (), Motion(n // 4)))
    assert speed.most_kmh == 18


@given(st.lists(st.tuples(st.integers(-5_000, 90_000), st.integers(0, 2_000)), max_size=80))
def test_no_counter_is_faster_than_what_a_summary_counts(steps: list[tuple[int, int]]) -> None:
    t, metres, speed = 0, 0, Speed()
    for step_ms, step_m in steps:
        t, metres = max(t + step_ms, 0), metres + step_m
        speed.add(Sample(t, 140, (), Motion(metres)))
    # A counter may make up, in the first step of the ten minutes, for half a minute in which it stood still.
    assert 0 <= speed.most_kmh <= MAX_SPEED_M_S * 3.6 * 1.06
