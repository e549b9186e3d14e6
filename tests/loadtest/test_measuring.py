"""How load is measured: readings that can be recognised on a board, and numbers put in order."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.scenarios.crew import Spread, refuse_remote, spread_of
from loadtest.scenarios.marked import VALUES, Sightings, marked_bpm, marked_sample, shown_sample
from services.training.sample import MAX_BPM, MIN_BPM

SECOND = 1_000_000_000


@given(st.integers(0, 1000), st.integers(0, 10_000))
def test_every_reading_is_a_heart_rate_and_unlike_the_79_before(athlete: int, k: int) -> None:
    recent = [marked_bpm(athlete, k + n) for n in range(VALUES)]
    assert len(set(recent)) == VALUES
    assert MIN_BPM <= min(recent) <= max(recent) <= MAX_BPM


@given(st.integers(0, 500), st.integers(1, 500), st.data())
def test_a_reading_on_a_board_tells_which_sample_it_is(athlete: int, count: int, data: st.DataObject) -> None:
    sent = [n * SECOND for n in range(count)]
    k = data.draw(st.integers(0, count - 1))
    late = data.draw(st.integers(0, (VALUES - 1) * SECOND))
    assert shown_sample(athlete, marked_bpm(athlete, k), sent, sent[k] + late) == k


def test_a_reading_that_was_never_sent_is_no_sample() -> None:
    assert shown_sample(0, marked_bpm(0, 5), [0, SECOND], 10 * SECOND) is None


def test_the_first_sighting_counts_and_what_a_newer_reading_replaced_is_counted_apart() -> None:
    sightings = Sightings(3, [n * SECOND for n in range(5)])
    for k, at in ((0, 0.2), (0, 0.7), (1, 1.3), (4, 4.1)):
        sightings.seen(marked_sample(3, k).bpm, int(at * SECOND))
    sightings.seen(None, 5 * SECOND)
    assert [round(ms) for ms in sightings.latencies_ms] == [200, 300, 100]
    assert sightings.passed_over == 2


@given(st.lists(st.floats(0, 1e6), min_size=1))
def test_a_spread_is_made_of_values_that_were_there(values: list[float]) -> None:
    spread = spread_of(values)
    rounded = {round(value, 1) for value in values}
    assert {spread.p50, spread.p90, spread.p99, spread.max} <= rounded
    assert spread.max == round(max(values), 1)


def test_a_spread_of_a_hundred_is_by_nearest_rank_and_of_nothing_is_nothing() -> None:
    assert spread_of(range(1, 101)) == Spread(n=100, p50=50, p90=90, p99=99, max=100)
    assert spread_of([]) == Spread(n=0)


def test_only_this_machine_is_loaded_unless_one_insists() -> None:
    for url in ("http://127.0.0.1:8080", "http://localhost", "http://[::1]:1"):
        refuse_remote(url, allowed=False)
    with pytest.raises(SystemExit, match="--allow-remote"):
        refuse_remote("https://paceline.example", allowed=False)
    refuse_remote("https://paceline.example", allowed=True)
