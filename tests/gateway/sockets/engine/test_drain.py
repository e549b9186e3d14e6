"""Emptying a node: how those who leave are spread."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.sockets.engine.drain import AT_ONCE, DRAIN_S, instants, window_s
from realtime.disconnect import DRAINING, LOGIN_ENDED, LONGEST_AWAY_MS, RETURNS_PER_SECOND


@pytest.mark.parametrize(
    ("count", "seconds"),
    [(0, 0.0), (1, 0.0), (AT_ONCE, 0.0), (AT_ONCE + 400, 1.0), (2_000, 4.75), (100_000, 10.0)],
)
def test_the_window_grows_with_the_number_and_leaves_time_for_slow_goodbyes(count: int, seconds: float) -> None:
    assert window_s(count, DRAIN_S) == pytest.approx(seconds)


def test_under_a_short_limit_half_of_it_is_for_closing() -> None:
    assert window_s(100_000, 2.0) == 1.0


@given(st.integers(0, 3_000), st.floats(0, 30))
def test_everybody_closes_within_a_slot_of_his_own(count: int, over_s: float) -> None:
    found = instants(count, over_s)
    assert found == sorted(found)
    for number, instant in enumerate(found):
        assert number * over_s / count <= instant <= (number + 1) * over_s / count


def test_instants_have_jitter() -> None:
    assert instants(500, 5.0) != instants(500, 5.0)


@pytest.mark.parametrize(("count", "last_ms"), [(1, 5_000), (1_800, 5_000), (2_000, 5_500), (10_000, 25_500)])
def test_the_time_to_come_back_is_spread_wider_for_more(count: int, last_ms: int) -> None:
    told = DRAINING.spread_over(count)
    assert told.come_back_ms == (500, last_ms)
    assert (told.code, told.name, told.reason) == (DRAINING.code, DRAINING.name, DRAINING.reason)
    assert count / (last_ms / 1_000) <= RETURNS_PER_SECOND


def test_nobody_is_asked_to_stay_away_for_long_and_who_shall_not_come_back_is_not_asked_to() -> None:
    assert DRAINING.spread_over(1_000_000).come_back_ms == (500, LONGEST_AWAY_MS)
    assert LOGIN_ENDED.spread_over(1_000) is LOGIN_ENDED
