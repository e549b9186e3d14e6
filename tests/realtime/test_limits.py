"""Arithmetic on time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.limits import Strikes, TokenBucket


def test_a_burst_is_allowed_then_the_rate() -> None:
    bucket = TokenBucket(rate=10, burst=3, now=0.0)
    assert [bucket.take(0.0) for _ in range(4)] == [True, True, True, False]
    assert bucket.wait_s(0.0) == pytest.approx(0.1)
    assert bucket.take(0.1)
    assert not bucket.take(0.1)


def test_a_refusal_costs_nothing() -> None:
    bucket = TokenBucket(rate=1, burst=2, now=0.0)
    assert not bucket.take(0.0, 3)
    assert bucket.take(0.0, 2)


def test_tokens_do_not_pile_up_beyond_the_burst() -> None:
    bucket = TokenBucket(rate=100, burst=5, now=0.0)
    assert [bucket.take(1_000.0) for _ in range(6)] == [True] * 5 + [False]


@given(st.lists(st.floats(0, 0.5), max_size=200))
def test_over_any_stretch_no_more_than_burst_and_rate_get_through(gaps: list[float]) -> None:
    bucket, now, through = TokenBucket(rate=10, burst=4, now=0.0), 0.0, 0
    for gap in gaps:
        now += gap
        through += bucket.take(now)
    assert through <= 4 + 10 * now + 1e-6


def test_nonsense_is_refused() -> None:
    with pytest.raises(ValueError, match="rate"):
        TokenBucket(rate=0, burst=1, now=0.0)


def test_strikes_count_only_inside_the_window() -> None:
    strikes = Strikes(limit=3, window_s=10)
    assert [strikes.add(now) for now in (0.0, 6.0, 11.0, 12.0, 13.0)] == [False, False, False, True, True]
