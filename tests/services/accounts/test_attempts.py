"""How often somebody may try."""

import pytest

from services.accounts.attempts import AttemptRates, Attempts, Rate
from services.kernel.problems import TooManyAttempts

RATES = AttemptRates(address=Rate(5, 1.0), email=Rate(3, 10.0), known=Rate(3, 10.0), most_buckets=100)


def test_a_burst_is_allowed_and_then_one_at_a_time() -> None:
    attempts = Attempts(RATES)
    for _ in range(3):
        attempts.password("anna@x.org", None, now=0.0)
    with pytest.raises(TooManyAttempts) as refused:
        attempts.password("anna@x.org", None, now=0.0)
    assert refused.value.retry_after_ms == 10_000
    with pytest.raises(TooManyAttempts):
        attempts.password("anna@x.org", None, now=9.9)
    attempts.password("anna@x.org", None, now=10.1)


def test_one_address_is_counted_over_all_accounts() -> None:
    attempts = Attempts(RATES)
    for n in range(5):
        attempts.password(f"victim{n}@x.org", "203.0.113.9", now=0.0)
    with pytest.raises(TooManyAttempts):
        attempts.password("victim9@x.org", "203.0.113.9", now=0.0)
    attempts.password("victim9@x.org", "203.0.113.10", now=0.0)


def test_a_household_s_many_ipv6_addresses_count_as_one() -> None:
    attempts = Attempts(RATES)
    for n in range(5):
        attempts.from_address(f"2001:db8:1:2::{n}", now=0.0)
    with pytest.raises(TooManyAttempts):
        attempts.from_address("2001:db8:1:2:ffff::1", now=0.0)
    attempts.from_address("2001:db8:1:3::1", now=0.0)


def test_an_attacker_with_five_hundred_addresses_does_not_lock_the_owner_out() -> None:
    attempts = Attempts(RATES)
    attempts.password("anna@x.org", "198.51.100.1", now=0.0)
    attempts.succeeded("anna@x.org", "198.51.100.1", now=0.0)
    tried = 0
    for n in range(500):
        try:
            attempts.password("anna@x.org", f"203.0.{n // 256}.{n % 256}", now=1.0)
        except TooManyAttempts:
            continue
        tried += 1
    assert tried == 3
    attempts.password("anna@x.org", "198.51.100.1", now=1.0)


def test_the_right_password_is_no_attempt() -> None:
    attempts = Attempts(RATES)
    for _ in range(50):
        attempts.password("anna@x.org", None, now=0.0)
        attempts.succeeded("anna@x.org", None, now=0.0)


def test_an_address_of_this_machine_is_not_counted() -> None:
    attempts = Attempts(RATES)
    for _ in range(50):
        attempts.from_address(None, now=0.0)


def test_a_clock_that_does_not_move_on_earns_nothing_and_one_that_jumps_no_more_than_a_burst() -> None:
    attempts = Attempts(RATES)
    for _ in range(3):
        attempts.password("anna@x.org", None, now=50.0)
    with pytest.raises(TooManyAttempts):
        attempts.password("anna@x.org", None, now=50.0)
    for _ in range(3):
        attempts.password("anna@x.org", None, now=1e9)
    with pytest.raises(TooManyAttempts):
        attempts.password("anna@x.org", None, now=1e9)


def test_memory_is_bounded_whoever_comes() -> None:
    attempts = Attempts(RATES)
    for n in range(1_000):
        attempts.password(f"p{n}@x.org", f"10.0.{n // 256}.{n % 256}", now=0.0)
        attempts.succeeded(f"p{n}@x.org", f"10.0.{n // 256}.{n % 256}", now=0.0)
    assert attempts.buckets() == 100
