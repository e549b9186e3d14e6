"""The history of a body and its present, the profile, on a database."""

import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import date, timedelta

import pytest

from persistence.database import Database
from persistence.stores import Transactions
from services.accounts.account import Account, Profile, ProfileChange
from services.accounts.accounts import Accounts
from services.accounts.keyring import load_key, make_key
from services.accounts.opening import Opening
from services.accounts.passwords import Cost, Passwords
from services.accounts.tokens import Tokens
from services.accounts.vital import MOST_VITALS, NewVital, Vital
from services.accounts.vitals import Vitals
from services.kernel.caller import Caller
from services.kernel.clock import ManualClock, utc
from services.kernel.ids import AccountId, ClassId, LoginId, Uuid7Ids, VitalId
from services.kernel.problems import BadShape, Forbidden, NotFound, TooManyVitals
from services.kernel.sealing import Seals
from services.privacy.vault import Vault


@dataclass
class House:
    vitals: Vitals
    accounts: Accounts
    transactions: Transactions
    clock: ManualClock
    ada: Caller

    @property
    def today(self) -> date:
        return utc(self.clock.wall_ms()).date()

    def days_ago(self, days: int) -> date:
        return self.today - timedelta(days=days)

    async def profile(self) -> Profile:
        async with self.transactions() as stores:
            account = await stores.accounts.by_id(self.ada.account_id)
        assert account is not None
        return account.profile

    async def told(self) -> list[tuple[str, float, date]]:
        return [(view.kind, view.value, view.from_day) for view in await self.vitals.own(self.ada)]


async def person(transactions: Transactions, clock: ManualClock, name: str) -> Caller:
    account_id = AccountId(uuid.uuid4())
    account = Account(account_id, f"{name.lower()}@example.org", name, frozenset({"member"}), clock.wall_ms())
    async with transactions() as stores:
        await stores.accounts.add(account, "no hash")
    return Caller(account_id, LoginId(uuid.uuid4()), name, frozenset({"member"}), 2**53)


@pytest.fixture(params=["sealed", "plain"])
async def house(database: Database, request: pytest.FixtureRequest) -> AsyncIterator[House]:
    clock = ManualClock()
    ids = Uuid7Ids(clock)
    vault = Vault(Seals((bytes(32),)), seals=request.param == "sealed")
    transactions = Transactions(database, clock, ids, vault=vault)
    passwords = Passwords(cost=Cost(rounds=1, memory_kib=8, lanes=1))
    accounts = Accounts(transactions, passwords, Opening(Tokens(load_key(make_key())), clock, ids), clock, ids)
    yield House(
        Vitals(transactions, clock, ids), accounts, transactions, clock, await person(transactions, clock, "Ada")
    )
    passwords.close()


async def test_what_is_added_is_seen_and_what_holds_today_is_in_the_profile(house: House) -> None:
    await house.vitals.add(house.ada, NewVital("max_hr", 188))
    await house.vitals.add(house.ada, NewVital("max_hr", 192, house.days_ago(200), "test"))
    await house.vitals.add(house.ada, NewVital("ftp_w", 250, house.days_ago(3), "test"))
    assert await house.told() == [
        ("max_hr", 188, house.today),
        ("max_hr", 192, house.days_ago(200)),
        ("ftp_w", 250, house.days_ago(3)),
    ]
    assert (await house.profile()).max_hr == 188, "an earlier day moves no later value"


async def test_a_change_of_the_profile_is_a_value_as_of_today_and_keeps_what_was_known_before(house: House) -> None:
    began = house.today
    async with house.transactions() as stores:
        account = await stores.accounts.locked(house.ada.account_id)
        assert account is not None
        old = Account(
            account.id, account.email, account.name, account.roles, account.created_at_ms, Profile(max_hr=185)
        )
        await stores.accounts.save(old)
    await house.clock.advance(40 * 86_400)
    await house.accounts.change_profile(house.ada, ProfileChange(max_hr=181, mass_kg=64.5))
    await house.accounts.change_profile(house.ada, ProfileChange(max_hr=181, name="Ada L"))
    assert await house.told() == [
        ("max_hr", 181, house.today),
        ("max_hr", 185, began),
        ("mass_kg", 64.5, house.today),
    ]


async def test_null_in_the_profile_takes_a_kind_out_of_the_history_and_nothing_else(house: House) -> None:
    await house.vitals.add(house.ada, NewVital("rest_hr", 52, house.days_ago(9)))
    await house.vitals.add(house.ada, NewVital("mass_kg", 64.5))
    await house.accounts.change_profile(house.ada, ProfileChange(rest_hr=None))
    assert await house.told() == [("mass_kg", 64.5, house.today)]
    assert await house.profile() == Profile(mass_kg=64.5)


async def test_taking_a_value_out_lets_the_one_before_hold_and_the_last_one_forgets_the_kind(house: House) -> None:
    first = await house.vitals.add(house.ada, NewVital("max_hr", 192, house.days_ago(200)))
    second = await house.vitals.add(house.ada, NewVital("max_hr", 188))
    await house.vitals.delete(house.ada, second.id)
    assert (await house.profile()).max_hr == 192
    await house.vitals.delete(house.ada, first.id)
    assert (await house.profile()).max_hr is None
    with pytest.raises(NotFound):
        await house.vitals.delete(house.ada, first.id)


async def test_another_s_history_is_neither_seen_nor_taken_from(house: House) -> None:
    """OWASP API1."""
    eve = await person(house.transactions, house.clock, "Eve")
    mine = await house.vitals.add(house.ada, NewVital("max_hr", 188))
    assert await house.vitals.own(eve) == ()
    with pytest.raises(NotFound):
        await house.vitals.delete(eve, mine.id)
    assert await house.told() == [("max_hr", 188, house.today)]
    with pytest.raises(Forbidden):
        await house.vitals.own(
            Caller(eve.account_id, eve.login_id, "", frozenset({"display"}), 0, ClassId(uuid.uuid4()))
        )


async def test_what_contradicts_the_rest_is_refused_and_changes_nothing(house: House) -> None:
    await house.vitals.add(house.ada, NewVital("max_hr", 110))
    with pytest.raises(BadShape, match="maximum"):
        await house.vitals.add(house.ada, NewVital("rest_hr", 115))
    with pytest.raises(BadShape, match="threshold"):
        await house.vitals.add(house.ada, NewVital("threshold_hr", 150))
    assert await house.told() == [("max_hr", 110, house.today)]


@pytest.mark.parametrize(
    ("change", "path"),
    [
        (ProfileChange(max_hr=150, mass_kg=71), "$.max_hr"),
        (ProfileChange(max_hr=None, birth_date=date(1940, 1, 1)), "$.max_hr"),
        (ProfileChange(rest_hr=120), None),
        (ProfileChange(max_hr=171), None),
    ],
)
async def test_a_change_of_the_profile_that_contradicts_the_history_is_refused_and_changes_nothing(
    house: House, change: ProfileChange, path: str | None
) -> None:
    await house.accounts.change_profile(house.ada, ProfileChange(max_hr=190))
    await house.vitals.add(house.ada, NewVital("threshold_hr", 170))
    if path is None:
        await house.accounts.change_profile(house.ada, change)
    else:
        with pytest.raises(BadShape, match="threshold") as refused:
            await house.accounts.change_profile(house.ada, change)
        assert refused.value.path == path
        assert await house.profile() == Profile(max_hr=190)
    await house.vitals.add(house.ada, NewVital("mass_kg", 70))


async def test_a_change_of_the_profile_is_judged_by_what_holds_from_tomorrow_too(house: House) -> None:
    await house.vitals.add(house.ada, NewVital("max_hr", 190))
    await house.vitals.add(house.ada, NewVital("threshold_hr", 150))
    await house.vitals.add(house.ada, NewVital("threshold_hr", 170, house.days_ago(-1)))
    with pytest.raises(BadShape, match="threshold"):
        await house.accounts.change_profile(house.ada, ProfileChange(max_hr=160))


async def test_who_has_a_contradiction_from_before_changes_what_has_nothing_to_do_with_it(house: House) -> None:
    await house.vitals.add(house.ada, NewVital("max_hr", 150))
    async with house.transactions() as stores:
        old = Vital(VitalId(uuid.uuid4()), "threshold_hr", 170, house.today, "typed", 0)
        await stores.vitals.add(house.ada.account_id, old)
    await house.accounts.change_profile(house.ada, ProfileChange(mass_kg=71))
    await house.accounts.change_profile(house.ada, ProfileChange(max_hr=185))


async def test_a_history_that_is_full_takes_no_more(house: House) -> None:
    async with house.transactions() as stores:
        for n in range(MOST_VITALS):
            one = Vital(VitalId(uuid.UUID(int=n)), "mass_kg", 70, house.days_ago(1), "device", n)
            await stores.vitals.add(house.ada.account_id, one)
    for more in (
        house.vitals.add(house.ada, NewVital("mass_kg", 71)),
        house.accounts.change_profile(house.ada, ProfileChange(mass_kg=71)),
    ):
        with pytest.raises(TooManyVitals):
            await more


async def test_what_a_value_says_is_in_the_database_only_where_nothing_is_sealed(
    house: House, request: pytest.FixtureRequest
) -> None:
    """ASVS 14.2: a dump tells nothing."""
    await house.vitals.add(house.ada, NewVital("mass_kg", 64.515625))
    async with house.transactions() as stores:
        row = await stores.tx.fetchrow("SELECT body, body_sealed FROM vitals")
    assert row is not None
    if "plain" in request.node.name:
        assert "64.515625" in row["body"]
    else:
        assert row["body"] is None
        assert b"64.515625" not in row["body_sealed"]
