"""Logins seen and ended from elsewhere, and changed passwords; with a real database."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from persistence.database import Database
from persistence.stores import Transactions
from services.accounts.accounts import Accounts, identifier
from services.accounts.attempts import AttemptRates, Attempts
from services.accounts.keyring import load_key, make_key
from services.accounts.logins import Logins
from services.accounts.opening import LoggedIn, Opening
from services.accounts.passwords import Cost, Passwords
from services.accounts.tokens import Tokens
from services.kernel.caller import Caller
from services.kernel.clock import ManualClock
from services.kernel.facts import AnyFact, LoginEnded
from services.kernel.ids import AccountId, ClassId, LoginId, Uuid7Ids
from services.kernel.problems import (
    Forbidden,
    NotFound,
    RefreshRefused,
    TooManyAttempts,
    WeakPassword,
    WrongCredentials,
    WrongPassword,
)
from services.limits.limit import Limit
from services.limits.limits import Limits

OLD, NEW = "violet anchor moss kettle", "copper lantern orbit thistle"
EMAIL = "anna@example.org"


@dataclass
class House:
    accounts: Accounts
    logins: Logins
    transactions: Transactions
    clock: ManualClock
    tokens: Tokens

    def caller(self, logged_in: LoggedIn) -> Caller:
        return identifier(self.tokens, self.clock)(logged_in.access_token)

    async def register(self, email: str = EMAIL) -> LoggedIn:
        return await self.accounts.register(
            email=email, password=OLD, name="Anna", role="member", device="watch", address=None
        )

    async def log_in(self, password: str = OLD, device: str = "phone") -> LoggedIn:
        return await self.accounts.log_in(email=EMAIL, password=password, device=device, address=None)

    async def ended(self) -> list[AnyFact]:
        async with self.transactions() as stores:
            facts = [envelope.fact for envelope in await stores.outbox.peek(100)]
        return [fact for fact in facts if isinstance(fact, LoginEnded)]


@pytest.fixture
async def house(database: Database) -> AsyncIterator[House]:
    clock = ManualClock()
    ids = Uuid7Ids(clock)
    transactions = Transactions(database, clock, ids)
    passwords, tokens = Passwords(cost=Cost(rounds=1, memory_kib=8, lanes=1)), Tokens(load_key(make_key()))
    attempts = Attempts(Limits(clock), AttemptRates(email=Limit("few", 4, 30_000, "test")))
    yield House(
        Accounts(transactions, passwords, Opening(tokens, clock, ids), clock, ids, attempts=attempts),
        Logins(transactions, passwords, clock, attempts),
        transactions,
        clock,
        tokens,
    )
    passwords.close()


class TestTheList:
    async def test_names_each_device_with_the_one_used_last_first(self, house: House) -> None:
        watch = await house.register()
        await house.clock.advance(60)
        phone = await house.log_in()
        await house.clock.advance(60)
        await house.accounts.refresh(watch.refresh_token, address=None)
        seen = await house.logins.all(house.caller(phone))
        assert [(one.device, one.current) for one in seen] == [("watch", False), ("phone", True)]
        assert seen[0].used_at_ms - seen[0].created_at_ms == 120_000
        assert seen[1].used_at_ms == seen[1].created_at_ms

    async def test_leaves_out_what_has_ended_and_what_nobody_came_back_to(self, house: House) -> None:
        watch = await house.register()
        await house.accounts.log_out(house.caller(watch))
        await house.log_in(device="forgotten")
        await house.clock.advance(31 * 24 * 3_600)
        phone = await house.log_in()
        assert [one.device for one in await house.logins.all(house.caller(phone))] == ["phone"]

    async def test_is_of_oneself_alone(self, house: House) -> None:
        anna, _ = await house.register(), await house.register("jonas@example.org")
        assert len(await house.logins.all(house.caller(anna))) == 1

    async def test_a_display_has_none(self, house: House) -> None:
        display = Caller(
            AccountId(house.caller(await house.register()).account_id),
            LoginId(Uuid7Ids(house.clock).next()),
            "Screen",
            frozenset({"display"}),
            1,
            class_id=ClassId(Uuid7Ids(house.clock).next()),
        )
        with pytest.raises(Forbidden):
            await house.logins.all(display)
        with pytest.raises(Forbidden):
            await house.logins.change_password(display, old=OLD, new=NEW, address=None)


class TestEnding:
    async def test_takes_the_refresh_token_away_and_is_told_once(self, house: House) -> None:
        watch, phone = await house.register(), await house.log_in()
        for _ in range(2):
            await house.logins.end(house.caller(phone), house.caller(watch).login_id)
        with pytest.raises(RefreshRefused):
            await house.accounts.refresh(watch.refresh_token, address=None)
        assert await house.ended() == [
            LoginEnded(watch.account.id, house.caller(watch).login_id, "ended from another device")
        ]
        await house.accounts.refresh(phone.refresh_token, address=None)

    async def test_somebody_elses_is_as_if_it_were_not_there(self, house: House) -> None:
        anna, jonas = await house.register(), await house.register("jonas@example.org")
        answers = []
        for login_id in (house.caller(anna).login_id, LoginId(Uuid7Ids(house.clock).next())):
            with pytest.raises(NotFound) as refused:
                await house.logins.end(house.caller(jonas), login_id)
            answers.append(str(refused.value))
        assert answers[0] == answers[1]
        assert await house.ended() == []
        await house.accounts.refresh(anna.refresh_token, address=None)

    async def test_all_others_go_and_this_one_stays(self, house: House) -> None:
        watch, phone, tablet = await house.register(), await house.log_in(), await house.log_in(device="tablet")
        await house.register("jonas@example.org")
        assert await house.logins.end_others(house.caller(phone)) == 2
        gone = {fact.login_id for fact in await house.ended() if isinstance(fact, LoginEnded)}
        assert gone == {house.caller(watch).login_id, house.caller(tablet).login_id}
        assert [one.device for one in await house.logins.all(house.caller(phone))] == ["phone"]

    async def test_two_who_end_each_other_at_once_do_not_wait_for_ever(self, house: House) -> None:
        devices = [await house.register(), *[await house.log_in(device=str(n)) for n in range(5)]]
        async with asyncio.timeout(60):
            counts = await asyncio.gather(*(house.logins.end_others(house.caller(device)) for device in devices))
        assert sum(counts) == len(await house.ended()) == len({str(fact) for fact in await house.ended()})
        assert sum(counts) in {len(devices) - 1, len(devices)}, "the last may have been ended by one that it ended"


class TestChangingThePassword:
    async def test_needs_the_old_one_and_ends_the_other_logins(self, house: House) -> None:
        watch, phone = await house.register(), await house.log_in()
        assert await house.logins.change_password(house.caller(phone), old=OLD, new=NEW, address=None) == 1
        with pytest.raises(WrongCredentials):
            await house.log_in(OLD)
        await house.log_in(NEW)
        with pytest.raises(RefreshRefused):
            await house.accounts.refresh(watch.refresh_token, address=None)
        await house.accounts.refresh(phone.refresh_token, address=None)
        (told,) = await house.ended()
        assert isinstance(told, LoginEnded)
        assert told.reason == "the password was changed"

    async def test_a_wrong_one_changes_nothing_and_counts_like_a_log_in(self, house: House) -> None:
        anna = await house.register()
        for _ in range(4):
            with pytest.raises(WrongPassword):
                await house.logins.change_password(house.caller(anna), old="no idea at all", new=NEW, address=None)
        with pytest.raises(TooManyAttempts):
            await house.logins.change_password(house.caller(anna), old=OLD, new=NEW, address=None)
        with pytest.raises(TooManyAttempts):
            await house.log_in()
        await house.clock.advance(60)
        await house.log_in()

    async def test_a_weak_new_one_is_refused_with_its_place(self, house: House) -> None:
        anna = await house.register()
        for weak in ("short", "password1234", "x" * 1_000_000, "Anna anna Anna"):
            with pytest.raises(WeakPassword) as refused:
                await house.logins.change_password(house.caller(anna), old=OLD, new=weak, address=None)
            assert refused.value.path == "$.new"
        await house.log_in(OLD)

    async def test_of_two_changes_at_once_one_wins(self, house: House) -> None:
        anna = await house.register()
        caller = house.caller(anna)
        answers = await asyncio.gather(
            *(house.logins.change_password(caller, old=OLD, new=f"{NEW} {n}", address=None) for n in ("one", "two")),
            return_exceptions=True,
        )
        assert sorted(type(answer).__name__ for answer in answers) == ["WrongPassword", "int"]

    async def test_a_log_in_with_the_old_one_that_was_being_checked_meanwhile_opens_nothing(
        self, house: House, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        anna = await house.register()
        passwords: Passwords = house.accounts._passwords
        checked = passwords.check

        async def check_slowly(password: str, password_hash: str | None) -> object:
            found = await checked(password, password_hash)
            monkeypatch.setattr(passwords, "check", checked)
            await house.logins.change_password(house.caller(anna), old=OLD, new=NEW, address=None)
            return found

        monkeypatch.setattr(passwords, "check", check_slowly)
        with pytest.raises(WrongCredentials):
            await house.log_in(OLD)
        assert [one.device for one in await house.logins.all(house.caller(anna))] == ["watch"]
