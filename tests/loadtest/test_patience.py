"""Waiting and giving up."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.patience import LARGEST_BOUND_S, OutOfPatience, Patience
from tests.loadtest.quick_clock import QuickClock


@given(st.integers(0, 2**32), st.integers(1, 12))
def test_waits_are_spread_from_zero_to_a_bound_that_doubles(seed: int, tries: int) -> None:
    patience = Patience(QuickClock(), random.Random(seed))
    for number in range(tries):
        assert 0 <= patience.next_wait("refused") <= min(0.5 * 2**number, LARGEST_BOUND_S)


def test_five_hundred_devices_do_not_come_back_in_the_same_instant() -> None:
    waits = [Patience(QuickClock(), random.Random(seed)).next_wait("lost", hint_ms=2_000) for seed in range(500)]
    assert min(waits) < 1.1
    assert max(waits) > 2.9
    assert len(set(waits)) == 500


async def test_it_gives_up_when_the_time_is_used_up_and_says_why() -> None:
    clock = QuickClock()
    patience = Patience(clock, random.Random(3), total_s=30)

    async def for_ever() -> None:
        while True:
            await patience.wait("connection refused")

    with pytest.raises(OutOfPatience, match=r"30 s \(connection refused\)"):
        await for_ever()
    assert sum(clock.slept) == pytest.approx(30)


def test_a_success_starts_the_count_again() -> None:
    clock = QuickClock()
    patience = Patience(clock, random.Random(3), total_s=30)
    patience.next_wait("lost")
    clock.now += 29
    assert patience.waited_s == 29
    patience.succeeded()
    clock.now += 29
    assert patience.next_wait("lost") <= 0.5


def test_without_patience_the_first_failure_is_final() -> None:
    with pytest.raises(OutOfPatience):
        Patience(QuickClock(), random.Random(3), total_s=0).next_wait("lost")
