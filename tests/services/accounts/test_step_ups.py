"""A login proves itself anew for a sensitive act; with a real database."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from persistence.database import Database
from persistence.stores import Transactions
from services.accounts.accounts import Accounts, identifier
from services.accounts.attempts import AttemptRates, Attempts
from services.accounts.keyring import load_key, make_key
from services.accounts.opening import LoggedIn, Opening
from services.accounts.passwords import Cost, Passwords
from services.accounts.step_up import FRESH_MS, require_fresh
from services.accounts.step_ups import StepUps
from services.accounts.tokens import Tokens
from services.kernel.caller import Caller
from services.kernel.clock import ManualClock
from services.kernel.ids import Uuid7Ids
from services.kernel.problems import NotAuthenticated, StepUpNeeded, TooManyAttempts, WrongPassword
from services.limits.limit import Limit
from services.limits.limits import Limits

PASSWORD = "violet anchor moss kettle"


@dataclass
class House:
    accounts: Accounts
    step_ups: StepUps
    clock: ManualClock
    tokens: Tokens

    def caller(self, token: str) -> Caller:
        return identifier(self.tokens, self.clock)(token)

    def is_fresh(self, token: str) -> bool:
        try:
            require_fresh(self.caller(token), self.clock.wall_ms())
        except StepUpNeeded:
            return False
        return True

    async def register(self) -> LoggedIn:
        return await self.accounts.register(
            email="anna@example.org", password=PASSWORD, name="Anna", role="member", device="phone", address=None
        )


@pytest.fixture
async def house(database: Database) -> AsyncIterator[House]:
    clock = ManualClock()
    ids = Uuid7Ids(clock)
    transactions = Transactions(database, clock, ids)
    passwords, tokens = Passwords(cost=Cost(rounds=1, memory_kib=8, lanes=1)), Tokens(load_key(make_key()))
    attempts, opening = (
        Attempts(Limits(clock), AttemptRates(email=Limit("few", 4, 30_000, "test"))),
        Opening(tokens, clock, ids),
    )
    yield House(
        Accounts(transactions, passwords, opening, clock, ids, attempts=attempts),
        StepUps(transactions, passwords, opening, clock, attempts),
        clock,
        tokens,
    )
    passwords.close()


async def test_whoever_has_just_logged_in_is_fresh_until_that_is_too_long_ago(house: House) -> None:
    """ASVS 7.5.1."""
    token = (await house.register()).access_token
    assert house.is_fresh(token)
    await house.clock.advance(FRESH_MS / 1_000 - 1)
    assert house.is_fresh(token)
    await house.clock.advance(2)
    assert not house.is_fresh(token)


async def test_the_password_makes_a_login_fresh_and_refreshing_keeps_that_until_it_is_too_long_ago(
    house: House,
) -> None:
    logged_in = await house.register()
    await house.clock.advance(FRESH_MS / 1_000)
    stepped = await house.step_ups.with_password(house.caller(logged_in.access_token), PASSWORD, address=None)
    assert house.is_fresh(stepped.access_token)
    assert stepped.fresh_until_ms == house.clock.wall_ms() + FRESH_MS
    await house.clock.advance(60)
    refreshed = await house.accounts.refresh(logged_in.refresh_token, address=None)
    assert house.is_fresh(refreshed.access_token)
    await house.clock.advance(FRESH_MS / 1_000 - 59)
    refreshed = await house.accounts.refresh(refreshed.refresh_token, address=None)
    assert not house.is_fresh(refreshed.access_token)
    assert house.caller(refreshed.access_token).fresh_at_ms is None


async def test_a_password_is_no_second_factor(house: House) -> None:
    caller = house.caller((await house.register()).access_token)
    with pytest.raises(StepUpNeeded, match="second factor"):
        require_fresh(caller, house.clock.wall_ms(), second_factor=True)


async def test_wrong_passwords_are_counted_before_they_are_looked_at(house: House) -> None:
    """ASVS 6.3.1."""
    caller = house.caller((await house.register()).access_token)
    for _ in range(4):
        with pytest.raises(WrongPassword):
            await house.step_ups.with_password(caller, "no idea at all", address=None)
    with pytest.raises(TooManyAttempts):
        await house.step_ups.with_password(caller, PASSWORD, address=None)


async def test_a_login_that_has_ended_gets_nothing(house: House) -> None:
    """ASVS 7.4.1: the access token that is out stays good for a while, but not for more of them."""
    caller = house.caller((await house.register()).access_token)
    await house.accounts.log_out(caller)
    with pytest.raises(NotAuthenticated):
        await house.step_ups.with_password(caller, PASSWORD, address=None)
