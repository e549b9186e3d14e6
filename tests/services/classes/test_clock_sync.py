"""The offset of a client's clock, out of four timestamps."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.classes.clock_sync import Estimate, Exchange, Report, best_of, drift_ppm, off_ms

WAYS_MS = st.integers(0, 5_000)


def exchange(offset: float, out: float, thinking: float, home: float, sent: float = 1_000.0) -> Exchange:
    """A question that took `out` ms to a server whose clock is `offset` ms ahead, and `home` ms back."""
    received = sent + out + offset
    return Exchange(sent, received, received + thinking, sent + out + thinking + home)


@pytest.mark.parametrize(
    ("stamps", "offset", "delay"),
    [
        ((0, 10, 10, 20), 0, 20),
        ((1_000, 6_010, 6_012, 1_022), 5_000, 20),
        ((1_000, 510, 511, 1_021), -500, 20),
        ((1_000, 1_030, 1_030, 1_040), 10, 40),  # 30 out and 10 home: off by half of the difference
        ((1_000, 1_000.25, 1_000.25, 1_000.5), 0, 0.5),
    ],
)
def test_it_is_what_the_vectors_say(stamps: tuple[float, float, float, float], offset: float, delay: float) -> None:
    found = Exchange(*stamps)
    assert (found.offset_ms, found.delay_ms) == (offset, delay)


@given(st.integers(-(10**9), 10**9), WAYS_MS, WAYS_MS, WAYS_MS)
def test_it_is_never_wrong_by_more_than_half_of_the_round_trip(offset: int, out: int, thinking: int, home: int) -> None:
    found = best_of([exchange(offset, out, thinking, home)])
    assert found.delay_ms == out + home
    assert abs(found.offset_ms - offset) <= found.within_ms
    if out == home:
        assert found.offset_ms == offset


@given(st.lists(st.tuples(WAYS_MS, WAYS_MS), min_size=1, max_size=8))
def test_of_several_the_shortest_round_trip_is_believed(ways: list[tuple[int, int]]) -> None:
    found = best_of(exchange(700, out, 1, home) for out, home in ways)
    assert found.delay_ms == min(out + home for out, home in ways)


def test_of_two_equally_short_ones_the_later_is_believed() -> None:
    assert best_of([exchange(5, 10, 0, 10, sent=1), exchange(7, 10, 0, 10, sent=2)]).offset_ms == 7


def test_an_exchange_in_which_a_clock_was_set_is_left_out() -> None:
    set_back = Exchange(sent=1_000, received=1_010, answered=1_010, back=400)
    assert best_of([set_back, exchange(3, 9, 0, 9)]).offset_ms == 3
    with pytest.raises(ValueError, match="ask again"):
        best_of([set_back])


def test_two_estimates_tell_how_fast_the_clocks_run_apart() -> None:
    assert drift_ppm(Estimate(100.0, 4.0, 0.0), Estimate(106.0, 4.0, 60_000.0)) == pytest.approx(100)
    with pytest.raises(ValueError, match="different times"):
        drift_ppm(Estimate(100.0, 4.0, 5.0), Estimate(106.0, 4.0, 5.0))


def test_a_screen_was_off_by_what_its_clock_moved_and_by_half_of_its_round_trip_at_most() -> None:
    assert off_ms(Report(delay_ms=9)) == 5
    assert off_ms(Report(delay_ms=31, moved_ms=-140.2)) == off_ms(Report(delay_ms=31, moved_ms=140.2)) == 156
