"""A login proves itself anew for a sensitive act; with a real database."""

from collections.abc import AsyncIterator

import pytest

from persistence.database import Database
from services.accounts.opening import LoggedIn
from services.accounts.step_up import FRESH_MS, require_fresh
from services.kernel.problems import NotAuthenticated, StepUpNeeded, TooManyAttempts, WrongPassword
from tests.services.accounts.factored import EMAIL, PASSWORD, House, open_house


@pytest.fixture
async def house(database: Database) -> AsyncIterator[House]:
    async with open_house(database) as house:
        yield house


async def register(house: House) -> LoggedIn:
    return await house.accounts.register(
        email=EMAIL, password=PASSWORD, name="Anna", role="member", device="phone", address=None
    )


def is_fresh(house: House, token: str) -> bool:
    try:
        require_fresh(house.caller(token), house.clock.wall_ms())
    except StepUpNeeded:
        return False
    return True


async def test_whoever_has_just_logged_in_is_fresh_until_that_is_too_long_ago(house: House) -> None:
    """ASVS 7.5.1."""
    token = (await register(house)).access_token
    assert is_fresh(house, token)
    await house.clock.advance(FRESH_MS / 1_000 - 1)
    assert is_fresh(house, token)
    await house.clock.advance(2)
    assert not is_fresh(house, token)


async def test_the_password_makes_a_login_fresh_and_refreshing_keeps_that_until_it_is_too_long_ago(
    house: House,
) -> None:
    logged_in = await register(house)
    await house.clock.advance(FRESH_MS / 1_000)
    stepped = await house.step_ups.with_password(house.caller(logged_in.access_token), PASSWORD, address=None)
    assert is_fresh(house, stepped.access_token)
    assert stepped.fresh_until_ms == house.clock.wall_ms() + FRESH_MS
    await house.clock.advance(60)
    refreshed = await house.accounts.refresh(logged_in.refresh_token, address=None)
    assert is_fresh(house, refreshed.access_token)
    await house.clock.advance(FRESH_MS / 1_000 - 59)
    refreshed = await house.accounts.refresh(refreshed.refresh_token, address=None)
    assert not is_fresh(house, refreshed.access_token)
    assert house.caller(refreshed.access_token).fresh_at_ms is None


async def test_a_password_is_no_second_factor(house: House) -> None:
    caller = house.caller((await register(house)).access_token)
    with pytest.raises(StepUpNeeded, match="second factor"):
        require_fresh(caller, house.clock.wall_ms(), second_factor=True)


async def test_wrong_passwords_are_counted_before_they_are_looked_at(house: House) -> None:
    """ASVS 6.3.1."""
    caller = house.caller((await register(house)).access_token)
    for _ in range(10):
        with pytest.raises(WrongPassword):
            await house.step_ups.with_password(caller, "no idea at all", address=None)
    with pytest.raises(TooManyAttempts):
        await house.step_ups.with_password(caller, PASSWORD, address=None)


async def test_a_login_that_has_ended_gets_nothing(house: House) -> None:
    """ASVS 7.4.1: the access token that is out stays good for a while, but not for more of them."""
    caller = house.caller((await register(house)).access_token)
    await house.accounts.log_out(caller)
    with pytest.raises(NotAuthenticated):
        await house.step_ups.with_password(caller, PASSWORD, address=None)
