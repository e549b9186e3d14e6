"""The arithmetic of a limit."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.limits.limit import Limit, tried

LIMITS = st.builds(Limit, st.just("any"), st.integers(1, 50), st.integers(1, 5_000), st.just("anybody"))
STEPS = st.lists(st.tuples(st.integers(0, 20_000), st.integers(-2, 5)), max_size=80)


def test_a_limit_that_lets_nothing_pass_is_refused() -> None:
    for burst, every_ms in ((0, 1), (1, 0)):
        with pytest.raises(ValueError, match="lets nothing pass"):
            Limit("none", burst, every_ms, "anybody")


def test_an_attempt_says_what_is_left_and_when_all_of_it_is_back() -> None:
    limit = Limit("three", 3, 1_000, "anybody")
    full_at, standing = tried(limit, 0, 10_000)
    assert (full_at, standing.left, standing.wait_ms, standing.full_in_ms) == (11_000, 2, 0, 1_000)
    full_at, standing = tried(limit, full_at, 10_500, cost=2)
    assert (full_at, standing.left, standing.wait_ms, standing.full_in_ms) == (13_000, 0, 0, 2_500)
    full_at, standing = tried(limit, full_at, 10_500)
    assert (full_at, standing.left, standing.wait_ms, standing.full_in_ms) == (13_000, 0, 500, 2_500)


def test_a_look_takes_nothing_and_tells_the_wait_for_one() -> None:
    limit = Limit("two", 2, 1_000, "anybody")
    assert tried(limit, 0, 500, cost=0)[1].passed
    full_at, standing = tried(limit, 2_500, 500, cost=0)
    assert (full_at, standing.wait_ms) == (2_500, 1_000)


def test_what_is_given_back_fills_no_bucket_over_its_brim() -> None:
    limit = Limit("two", 2, 1_000, "anybody")
    full_at, standing = tried(limit, 0, 500, cost=-5)
    assert (full_at, standing.left) == (500, 2)


def test_an_instant_beyond_a_whole_bucket_is_an_empty_one() -> None:
    limit = Limit("two", 2, 1_000, "anybody")
    full_at, standing = tried(limit, 10**9, 0)
    assert (full_at, standing.wait_ms) == (2_000, 1_000)


@given(LIMITS, STEPS)
def test_no_more_passes_than_the_burst_and_what_has_flowed_in(limit: Limit, steps: list[tuple[int, int]]) -> None:
    now_ms, full_at, net = 0, 0, 0
    for wait_ms, cost in steps:
        now_ms += wait_ms
        full_at, standing = tried(limit, full_at, now_ms, max(cost, 0))
        net += max(cost, 0) if standing.passed else 0
        assert net <= limit.burst + now_ms / limit.every_ms
        assert 0 <= standing.left <= limit.burst


@given(LIMITS, STEPS, st.integers(1, 5))
def test_who_waits_as_long_as_told_passes_and_not_a_millisecond_earlier(
    limit: Limit, steps: list[tuple[int, int]], cost: int
) -> None:
    now_ms, full_at = 0, 0
    for wait_ms, step in steps:
        now_ms += wait_ms
        full_at, _ = tried(limit, full_at, now_ms, step)
    cost = min(cost, limit.burst)
    _, standing = tried(limit, full_at, now_ms, cost)
    assert tried(limit, full_at, now_ms + standing.wait_ms, cost)[1].passed
    if not standing.passed:
        assert not tried(limit, full_at, now_ms + standing.wait_ms - 1, cost)[1].passed
