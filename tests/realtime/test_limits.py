"""Arithmetic on time."""

import sys
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paceline import compiled
from realtime.limits import (
    EVENTS_BURST,
    KEPT_S,
    STRIKES,
    STRIKES_WINDOW_S,
    AccountAllowances,
    Allowance,
    RoomPace,
    TokenBucket,
)
from services.kernel.ids import AccountId


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


def test_a_bucket_is_full_until_it_is_used_and_again_after_a_while() -> None:
    bucket = TokenBucket(rate=1, burst=2, now=0.0)
    assert bucket.full(0.0)
    bucket.take(0.0)
    assert not bucket.full(0.5)
    assert bucket.full(1.0)


def test_time_that_stands_still_or_steps_back_gives_nothing() -> None:
    bucket = TokenBucket(rate=1, burst=1, now=10.0)
    assert bucket.take(10.0)
    assert not bucket.take(5.0)
    assert bucket.wait_s(5.0) == 1.0


def test_as_many_strikes_inside_the_window_end_it() -> None:
    allowance = Allowance(0.0)
    assert [allowance.strike(0.1 * n) for n in range(STRIKES)] == [False] * (STRIKES - 1) + [True]
    assert allowance.strike(1.0)


def test_strikes_count_only_inside_the_window() -> None:
    allowance = Allowance(0.0)
    apart = STRIKES_WINDOW_S / (STRIKES - 1) + 0.01
    assert not any(allowance.strike(apart * n) for n in range(50))


def test_an_idle_connection_pays_less_than_two_hundred_bytes() -> None:
    allowance = Allowance(1_000.0)
    own = [getattr(allowance, name) for name in ("_at", "_struck_at")]
    assert sys.getsizeof(allowance) + sum(map(sys.getsizeof, own)) < 200
    assert not hasattr(allowance, "__dict__")
    # One float for all that are full; compiled, it is part of the object and costs what a reference would.
    assert compiled.in_use() or Allowance(2_000.0)._tokens is allowance._tokens is EVENTS_BURST


def account(number: int) -> AccountId:
    return AccountId(uuid.UUID(int=number))


def test_an_account_has_one_bucket_however_often_it_is_asked_for() -> None:
    accounts = AccountAllowances(rate=1, burst=2)
    assert accounts.of(account(1), 0.0) is accounts.of(account(1), 1.0)
    assert accounts.of(account(1), 1.0) is not accounts.of(account(2), 1.0)


def test_buckets_that_have_filled_up_again_are_forgotten() -> None:
    accounts = AccountAllowances(rate=1, burst=2)
    first = accounts.of(account(0), 0.0)
    for number in range(1, 1_000):
        accounts.of(account(number), 0.001 * number).take(0.001 * number)
    assert first.kept
    for number in range(1_000, 4_000):
        accounts.of(account(number), 0.01 * number).take(0.01 * number)
    assert not first.kept
    assert len(accounts) < 1_600
    assert accounts.of(account(0), 40.0) is not first


def test_the_bucket_of_a_device_that_sends_once_a_second_is_kept_while_others_come_and_go() -> None:
    accounts = AccountAllowances(rate=400)
    device = accounts.of(account(0), 0.0)
    for second in range(60):
        device.take(float(second))
        for number in range(1, 50):
            accounts.of(account(1_000 * (second + 1) + number), second + number / 50)
    assert device.kept
    assert len(accounts) < 2 * 50 * KEPT_S


def test_spending_takes_from_the_connection_and_then_from_the_account() -> None:
    allowance, bucket = Allowance(0.0, 10, 5), TokenBucket(10, 3, 0.0)
    assert allowance.spend(bucket, 0.0, 2) is None
    assert allowance.spend(bucket, 0.0, 2) is bucket, "the connection has paid, the account had not enough"
    assert allowance.spend(bucket, 0.0, 2) is allowance
    assert allowance.spend(bucket, 0.1, 2) is None


@given(st.lists(st.tuples(st.floats(0, 0.5), st.integers(1, 4)), max_size=100))
def test_spending_is_taking_from_the_one_and_then_from_the_other(asked: list[tuple[float, int]]) -> None:
    allowance, account_bucket = Allowance(0.0, 10, 5), TokenBucket(20, 8, 0.0)
    own, shared = TokenBucket(10, 5, 0.0), TokenBucket(20, 8, 0.0)
    now = 0.0
    for gap, tokens in asked:
        now += gap
        lacking = allowance.spend(account_bucket, now, tokens)
        assert (lacking is allowance) == (not own.take(now, tokens))
        if lacking is not allowance:
            assert (lacking is account_bucket) == (not shared.take(now, tokens))


def test_buckets_that_are_in_use_are_kept_up_to_the_limit() -> None:
    accounts = AccountAllowances(rate=0.001, burst=2, limit=10)
    buckets = []
    for number in range(10):
        buckets.append(accounts.of(account(number), 0.0))
        buckets[-1].take(0.0)
    assert all(bucket.kept for bucket in buckets)
    for number in range(10, 100):
        accounts.of(account(number), 0.0).take(0.0)
        assert len(accounts) <= 10
    with pytest.raises(ValueError, match="at least one"):
        AccountAllowances(limit=0)


def test_a_room_counts_what_all_nodes_say_and_what_is_under_way_here() -> None:
    pace = RoomPace(rate=2, burst=3)
    assert pace.wait_s(10.0) == 0
    pace.said(10.0)
    pace.waiting = 1
    assert pace.wait_s(10.0) == 0
    pace.waiting = 2
    assert pace.wait_s(10.0) == pytest.approx(0.5)
    pace.waiting = 0
    # Another node had let more through than a burst: that is forgiven, and nothing is owed.
    for _ in range(9):
        pace.said(10.0)
    assert pace.wait_s(10.0) == pytest.approx(0.5)
    assert pace.wait_s(10.5) == 0
