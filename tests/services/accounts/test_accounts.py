"""Registering, logging in, staying logged in, logging out: the use cases on a real database."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from persistence.database import Database
from persistence.stores import Transactions
from services.accounts.account import ProfileChange
from services.accounts.accounts import Accounts, identifier
from services.accounts.attempts import AttemptRates, Attempts
from services.accounts.keyring import load_key, make_key
from services.accounts.opening import LoggedIn, Opening
from services.accounts.passwords import Cost, Passwords
from services.accounts.tokens import Tokens
from services.kernel.caller import Caller
from services.kernel.clock import ManualClock
from services.kernel.facts import AccountRegistered, AnyFact, LoginEnded
from services.kernel.ids import Uuid7Ids
from services.kernel.problems import (
    BadShape,
    EmailTaken,
    Forbidden,
    NotAuthenticated,
    NotFound,
    RefreshRefused,
    TooManyAttempts,
    WeakPassword,
    WrongCredentials,
)
from services.limits.limit import Limit
from services.limits.limits import Limits

PASSWORD = "violet anchor moss kettle"
LOW = Cost(rounds=1, memory_kib=8, lanes=1)


@dataclass
class House:
    """The use cases and what a test looks at behind them."""

    accounts: Accounts
    transactions: Transactions
    clock: ManualClock
    passwords: Passwords
    tokens: Tokens
    opening: Opening

    def caller(self, logged_in: LoggedIn) -> Caller:
        return identifier(self.tokens, self.clock)(logged_in.access_token)

    async def register(self, email: str = "anna@example.org", **changes: str) -> LoggedIn:
        given = {"password": PASSWORD, "name": "Anna", "role": "member", "device": "watch", **changes}
        return await self.accounts.register(email=email, address=None, **given)  # type: ignore[arg-type]

    async def log_in(self, email: str = "anna@example.org", password: str = PASSWORD) -> LoggedIn:
        return await self.accounts.log_in(email=email, password=password, device="", address=None)

    async def facts(self) -> list[AnyFact]:
        async with self.transactions() as stores:
            return [envelope.fact for envelope in await stores.outbox.peek(100)]


@pytest.fixture
async def house(database: Database) -> AsyncIterator[House]:
    clock = ManualClock()
    ids = Uuid7Ids(clock)
    transactions = Transactions(database, clock, ids)
    passwords, tokens = Passwords(cost=LOW), Tokens(load_key(make_key()))
    opening = Opening(tokens, clock, ids)
    yield House(Accounts(transactions, passwords, opening, clock, ids), transactions, clock, passwords, tokens, opening)
    passwords.close()


class TestRegistering:
    async def test_makes_an_account_that_is_logged_in_and_tells_so(self, house: House) -> None:
        anna = await house.register(" Anna@Example.ORG ", name=" Anna  B ")
        assert anna.account.email == "anna@example.org"
        assert anna.account.name == "Anna B"
        assert anna.account.roles == ("member",)
        assert (await house.accounts.me(house.caller(anna))) == anna.account
        assert AccountRegistered(anna.account.id) in await house.facts()

    async def test_a_coach_is_a_member_too(self, house: House) -> None:
        coach = await house.register(role="coach")
        assert house.caller(coach).roles == {"coach", "member"}

    async def test_an_address_has_one_account_however_it_is_written(self, house: House) -> None:
        await house.register()
        with pytest.raises(EmailTaken):
            await house.register("ANNA@example.org")

    async def test_the_same_address_at_the_same_time_makes_one_account(self, house: House) -> None:
        answers = await asyncio.gather(*(house.register() for _ in range(5)), return_exceptions=True)
        assert sorted(type(answer).__name__ for answer in answers) == ["EmailTaken"] * 4 + ["LoggedIn"]

    async def test_bad_input_is_refused_before_any_hash(self, house: House) -> None:
        for changes, problem in (
            ({"email": "anna"}, BadShape),
            ({"name": ""}, BadShape),
            ({"password": "anna.example"}, WeakPassword),
            ({"password": "x" * 1_000_000}, WeakPassword),
        ):
            with pytest.raises(problem):
                await house.register(**changes)
        assert house.passwords.statistics().hashed == 0

    async def test_coaches_cannot_sign_up_where_that_is_closed(self, house: House) -> None:
        closed = Accounts(
            house.transactions,
            house.passwords,
            house.opening,
            house.clock,
            Uuid7Ids(house.clock),
            coach_signup="closed",
        )
        house.accounts = closed
        with pytest.raises(Forbidden, match="ask the operator"):
            await house.register(role="coach")
        member = await house.register()
        granted = await closed.grant_role("anna@example.org", "coach")
        assert granted.roles == ("coach", "member")
        again = await closed.refresh(member.refresh_token, address=None)
        assert house.caller(again).roles == {"coach", "member"}


class TestLoggingIn:
    async def test_opens_another_login_of_the_same_account(self, house: House) -> None:
        first = await house.register()
        second = await house.log_in("ANNA@example.org")
        assert second.account == first.account
        assert house.caller(second).login_id != house.caller(first).login_id

    async def test_unknown_address_and_wrong_password_are_one_answer_and_one_amount_of_work(self, house: House) -> None:
        await house.register()
        answers = []
        for email, password in (("anna@example.org", "wrong password"), ("nobody@example.org", PASSWORD)):
            before = house.passwords.statistics().hashed
            with pytest.raises(WrongCredentials) as refused:
                await house.log_in(email, password)
            answers.append((refused.value.view(), house.passwords.statistics().hashed - before))
        assert answers[0] == answers[1]
        assert answers[0][1] == 1

    async def test_the_accent_of_another_keyboard_is_the_same_accent(self, house: House) -> None:
        await house.register(password="cr\u00e9me br\u00fbl\u00e9e")
        await house.log_in(password="cre\u0301me bru\u0302le\u0301e")

    async def test_a_hash_of_an_older_cost_is_made_anew(self, house: House) -> None:
        await house.register()
        dearer = Passwords(cost=Cost(rounds=2, memory_kib=16, lanes=1))
        try:
            newer = Accounts(house.transactions, dearer, house.opening, house.clock, Uuid7Ids(house.clock))
            await newer.log_in(email="anna@example.org", password=PASSWORD, device="", address=None)
            async with house.transactions() as stores:
                credentials = await stores.accounts.credentials("anna@example.org")
            assert credentials is not None
            assert "m=16,t=2" in credentials.password_hash
            await newer.log_in(email="anna@example.org", password=PASSWORD, device="", address=None)
        finally:
            dearer.close()
        assert dearer.statistics().hashed == 3

    async def test_too_many_wrong_passwords_have_to_wait_and_then_may_go_on(self, house: House) -> None:
        attempts = Attempts(Limits(house.clock), AttemptRates(email=Limit("few", 2, 30_000, "test")))
        accounts = Accounts(
            house.transactions, house.passwords, house.opening, house.clock, Uuid7Ids(house.clock), attempts=attempts
        )
        house.accounts = accounts
        await house.register()
        for _ in range(2):
            with pytest.raises(WrongCredentials):
                await house.log_in(password="wrong password")
        hashed = house.passwords.statistics().hashed
        with pytest.raises(TooManyAttempts) as refused:
            await house.log_in()
        assert refused.value.retry_after_ms == 30_000
        assert house.passwords.statistics().hashed == hashed
        await house.clock.advance(30.0)
        await house.log_in()


class TestStayingLoggedIn:
    async def test_a_refresh_token_is_swapped_for_a_new_pair_of_the_same_login(self, house: House) -> None:
        first = await house.register()
        second = await house.accounts.refresh(first.refresh_token, address=None)
        assert second.refresh_token != first.refresh_token
        assert house.caller(second).login_id == house.caller(first).login_id
        await house.accounts.refresh(second.refresh_token, address=None)

    async def test_using_a_token_twice_ends_the_whole_login_and_tells_so(self, house: House) -> None:
        first = await house.register()
        second = await house.accounts.refresh(first.refresh_token, address=None)
        await house.clock.advance(10.1)
        with pytest.raises(RefreshRefused):
            await house.accounts.refresh(first.refresh_token, address=None)
        with pytest.raises(RefreshRefused):
            await house.accounts.refresh(second.refresh_token, address=None)
        caller = house.caller(first)
        ended = [fact for fact in await house.facts() if isinstance(fact, LoginEnded)]
        assert ended == [LoginEnded(caller.account_id, caller.login_id, "a refresh token was used twice", stolen=True)]

    async def test_other_logins_of_the_account_go_on(self, house: House) -> None:
        stolen = await house.register()
        phone = await house.log_in()
        await house.accounts.refresh(stolen.refresh_token, address=None)
        await house.clock.advance(11)
        with pytest.raises(RefreshRefused):
            await house.accounts.refresh(stolen.refresh_token, address=None)
        await house.accounts.refresh(phone.refresh_token, address=None)

    async def test_a_lost_answer_may_be_asked_for_again_within_ten_seconds(self, house: House) -> None:
        first = await house.register()
        await house.accounts.refresh(first.refresh_token, address=None)
        await house.clock.advance(9.9)
        again = await house.accounts.refresh(first.refresh_token, address=None)
        await house.accounts.refresh(again.refresh_token, address=None)

    async def test_two_tabs_that_refresh_together_both_stay(self, house: House) -> None:
        first = await house.register()
        tabs = await asyncio.gather(*(house.accounts.refresh(first.refresh_token, address=None) for _ in range(4)))
        assert len({tab.refresh_token for tab in tabs}) == 4
        for tab in tabs:
            await house.accounts.refresh(tab.refresh_token, address=None)

    async def test_an_unused_login_dies_after_thirty_days_and_a_used_one_after_half_a_year(self, house: House) -> None:
        day = 86_400.0
        idle, busy = await house.register(), await house.log_in()
        for _ in range(8):
            await house.clock.advance(20 * day)
            busy = await house.accounts.refresh(busy.refresh_token, address=None)
        with pytest.raises(RefreshRefused):
            await house.accounts.refresh(idle.refresh_token, address=None)
        await house.clock.advance(20 * day)
        with pytest.raises(RefreshRefused):
            await house.accounts.refresh(busy.refresh_token, address=None)

    async def test_only_refreshes_in_vain_use_up_what_an_address_may_try(self, house: House) -> None:
        """A studio's pages, each loaded with a refresh, come from one address."""
        rates = AttemptRates(address=Limit("attempts", 2, 1_000_000, "address"))
        attempts = Attempts(Limits(house.clock), rates)
        ids = Uuid7Ids(house.clock)
        house.accounts = Accounts(
            house.transactions, house.passwords, house.opening, house.clock, ids, attempts=attempts
        )
        page = await house.register()
        for _ in range(5):
            page = await house.accounts.refresh(page.refresh_token, address="203.0.113.9")
        for _ in range(2):
            with pytest.raises(RefreshRefused):
                await house.accounts.refresh("plr_guessed", address="203.0.113.9")
        with pytest.raises(TooManyAttempts):
            await house.accounts.refresh(page.refresh_token, address="203.0.113.9")

    async def test_an_access_token_is_no_refresh_token(self, house: House) -> None:
        anna = await house.register()
        for text in (anna.access_token, "", "plr_" + "A" * 43):
            with pytest.raises(RefreshRefused):
                await house.accounts.refresh(text, address=None)


class TestLoggingOut:
    async def test_ends_this_login_once_and_tells_so(self, house: House) -> None:
        anna, phone = await house.register(), await house.log_in()
        caller = house.caller(anna)
        await house.accounts.log_out(caller)
        await house.accounts.log_out(caller)
        with pytest.raises(RefreshRefused):
            await house.accounts.refresh(anna.refresh_token, address=None)
        await house.accounts.refresh(phone.refresh_token, address=None)
        ended = [fact for fact in await house.facts() if isinstance(fact, LoginEnded)]
        assert ended == [LoginEnded(caller.account_id, caller.login_id, "logged out")]


class TestProfile:
    async def test_is_changed_and_kept_to_the_gram(self, house: House) -> None:
        caller = house.caller(await house.register())
        await house.accounts.change_profile(caller, ProfileChange(mass_kg=70.1, max_hr=185))
        changed = await house.accounts.change_profile(caller, ProfileChange(rest_hr=52))
        assert (changed.mass_kg, changed.max_hr, changed.rest_hr) == (70.1, 185, 52)
        assert await house.accounts.me(caller) == changed

    async def test_two_changes_at_once_both_count(self, house: House) -> None:
        caller = house.caller(await house.register())
        await asyncio.gather(
            *(
                house.accounts.change_profile(caller, change)
                for change in (ProfileChange(max_hr=185), ProfileChange(rest_hr=52), ProfileChange(sex="female"))
            )
        )
        me = await house.accounts.me(caller)
        assert (me.max_hr, me.rest_hr, me.sex) == (185, 52, "female")

    async def test_a_refused_change_changes_nothing(self, house: House) -> None:
        caller = house.caller(await house.register())
        with pytest.raises(BadShape):
            await house.accounts.change_profile(caller, ProfileChange(name="Eve", max_hr=105, rest_hr=105))
        assert (await house.accounts.me(caller)).name == "Anna"

    async def test_of_an_account_that_is_gone_cannot_be_asked_for(self, house: House, database: Database) -> None:
        caller = house.caller(await house.register())
        async with database.tx() as tx:
            await tx.execute("DELETE FROM accounts")
        with pytest.raises(NotAuthenticated):
            await house.accounts.me(caller)


async def test_a_display_has_no_account_to_look_after(house: House) -> None:
    ids = Uuid7Ids(house.clock)
    issued = house.tokens.for_display(ids.next(), ids.next(), "display", house.clock.wall_ms())  # type: ignore[arg-type]
    display = identifier(house.tokens, house.clock)(issued.token)
    with pytest.raises(Forbidden):
        await house.accounts.me(display)
    with pytest.raises(Forbidden):
        await house.accounts.change_profile(display, ProfileChange(name="Screen"))
    with pytest.raises(Forbidden):
        await house.accounts.log_out(display)


async def test_a_role_for_nobody_is_refused(house: House) -> None:
    with pytest.raises(NotFound):
        await house.accounts.grant_role("nobody@example.org", "coach")


async def test_what_is_kept_opens_no_account(house: House, database: Database) -> None:
    """A stolen dump has neither the password nor anything that could be sent as a token."""
    anna = await house.register()
    async with database.connection() as connection:
        rows = [
            str(row)
            for table in ("accounts", "logins", "refresh_tokens", "outbox")
            for row in await connection.fetch(f"SELECT t::text FROM {table} t")
        ]
    dump = "\n".join(rows)
    assert PASSWORD not in dump
    assert anna.refresh_token not in dump
    assert anna.refresh_token.removeprefix("plr_") not in dump
    assert anna.access_token not in dump
    assert anna.refresh_token not in repr(anna)
