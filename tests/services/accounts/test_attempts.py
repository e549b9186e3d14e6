"""How often somebody may try."""

import pytest

from services.accounts.attempts import KNOWN_FOR_MS, AttemptRates, Attempts
from services.kernel.clock import ManualClock
from services.kernel.problems import TooManyAttempts
from services.limits.buckets import MemoryBuckets
from services.limits.limit import Limit
from services.limits.limits import Limits

RATES = AttemptRates(
    address=Limit("attempts", 5, 1_000, "address"),
    email=Limit("password", 3, 10_000, "e-mail"),
    known=Limit("password_known", 3, 10_000, "e-mail and address"),
)


def attempts_at(clock: ManualClock) -> Attempts:
    return Attempts(Limits(clock), RATES)


async def test_a_burst_is_allowed_and_then_one_at_a_time() -> None:
    attempts = attempts_at(clock := ManualClock())
    for _ in range(3):
        await attempts.password("anna@x.org", None)
    with pytest.raises(TooManyAttempts) as refused:
        await attempts.password("anna@x.org", None)
    assert refused.value.retry_after_ms == 10_000
    assert refused.value.data == {"policy": "password"}
    await clock.advance(9.9)
    with pytest.raises(TooManyAttempts):
        await attempts.password("anna@x.org", None)
    await clock.advance(0.2)
    await attempts.password("anna@x.org", None)


async def test_one_address_is_counted_over_all_accounts() -> None:
    attempts = attempts_at(ManualClock())
    for n in range(5):
        await attempts.password(f"victim{n}@x.org", "203.0.113.9")
    with pytest.raises(TooManyAttempts):
        await attempts.password("victim9@x.org", "203.0.113.9")
    await attempts.password("victim9@x.org", "203.0.113.10")


async def test_a_household_s_many_ipv6_addresses_count_as_one() -> None:
    attempts = attempts_at(ManualClock())
    for n in range(5):
        await attempts.from_address(f"2001:db8:1:2::{n}")
    with pytest.raises(TooManyAttempts):
        await attempts.from_address("2001:db8:1:2:ffff::1")
    await attempts.from_address("2001:db8:1:3::1")


async def test_an_attacker_with_five_hundred_addresses_does_not_lock_the_owner_out_on_any_node() -> None:
    """ASVS 6.3.1, 6.6.3."""
    clock = ManualClock()
    shared = MemoryBuckets(clock)
    here, there = (Attempts(Limits(clock, shared), RATES) for _ in range(2))
    await here.password("anna@x.org", "198.51.100.1")
    await here.succeeded("anna@x.org", "198.51.100.1")
    tried = 0
    for n in range(500):
        try:
            await (here if n % 2 else there).password("anna@x.org", f"203.0.{n // 256}.{n % 256}")
        except TooManyAttempts:
            continue
        tried += 1
    assert tried == 3
    await here.password("anna@x.org", "198.51.100.1")
    await there.password("anna@x.org", "198.51.100.1")


async def test_where_somebody_has_logged_in_is_forgotten_after_three_months() -> None:
    attempts = attempts_at(clock := ManualClock())
    await attempts.succeeded("anna@x.org", "198.51.100.1")
    for _ in range(3):
        await attempts.password("anna@x.org", None)
    await attempts.password("anna@x.org", "198.51.100.1")
    await clock.advance(KNOWN_FOR_MS / 1_000)
    for _ in range(3):
        await attempts.password("anna@x.org", None)
    with pytest.raises(TooManyAttempts):
        await attempts.password("anna@x.org", "198.51.100.1")


async def test_the_right_password_is_no_attempt() -> None:
    attempts = attempts_at(ManualClock())
    for _ in range(50):
        await attempts.password("anna@x.org", None)
        await attempts.succeeded("anna@x.org", None)


async def test_an_address_of_this_machine_is_not_counted() -> None:
    attempts = attempts_at(ManualClock())
    for _ in range(50):
        await attempts.from_address(None)
