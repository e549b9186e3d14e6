"""The SQL of accounts."""

import uuid
from datetime import date

import msgspec
import pytest

from persistence.accounts import Accounts
from persistence.database import Database
from services.accounts.account import Account, Profile
from services.kernel.ids import AccountId
from services.kernel.problems import EmailTaken

FULL = Profile(birth_date=date(1990, 5, 17), sex="female", mass_kg=61.35, max_hr=188, rest_hr=47)


def an_account(n: int = 1, **changes: object) -> Account:
    account = Account(
        id=AccountId(uuid.UUID(int=n)),
        email=f"p{n}@example.org",
        name="Zoë 🚴",
        roles=frozenset({"member", "coach"}),
        created_at_ms=1_790_000_000_123,
        profile=FULL,
    )
    return msgspec.structs.replace(account, **changes)


async def test_an_account_comes_back_as_it_went_in(database: Database) -> None:
    async with database.tx() as tx:
        await Accounts(tx).add(an_account(), "hash")
        await Accounts(tx).add(an_account(2, profile=Profile()), "hash")
    async with database.tx() as tx:
        assert await Accounts(tx).by_id(an_account().id) == an_account()
        assert await Accounts(tx).locked(AccountId(uuid.UUID(int=2))) == an_account(2, profile=Profile())
        assert await Accounts(tx).by_id(AccountId(uuid.UUID(int=3))) is None


async def test_credentials_are_found_by_address_and_do_not_show_the_hash(database: Database) -> None:
    async with database.tx() as tx:
        await Accounts(tx).add(an_account(), "the-hash")
        found = await Accounts(tx).credentials("p1@example.org")
        assert found is not None
        assert (found.account, found.password_hash) == (an_account(), "the-hash")
        assert "the-hash" not in repr(found)
        assert await Accounts(tx).credentials("P1@example.org") is None


async def test_a_second_account_of_an_address_is_refused_and_the_transaction_can_go_on(database: Database) -> None:
    async with database.tx() as tx:
        await Accounts(tx).add(an_account(), "hash")
        with pytest.raises(EmailTaken):
            await Accounts(tx).add(an_account(2, email="p1@example.org"), "hash")
        assert await Accounts(tx).by_id(AccountId(uuid.UUID(int=2))) is None


async def test_saving_changes_name_and_profile_and_nothing_else(database: Database) -> None:
    async with database.tx() as tx:
        await Accounts(tx).add(an_account(), "hash")
        after = an_account(name="Z", profile=Profile(max_hr=180), email="other@example.org", roles=frozenset())
        await Accounts(tx).save(after)
        assert await Accounts(tx).by_id(after.id) == an_account(name="Z", profile=Profile(max_hr=180))


async def test_a_role_is_granted_once(database: Database) -> None:
    async with database.tx() as tx:
        await Accounts(tx).add(an_account(roles=frozenset({"member"})), "hash")
        for _ in range(2):
            granted = await Accounts(tx).grant_role("p1@example.org", "coach")
            assert granted is not None
            assert granted.roles == {"member", "coach"}
        roles = await tx.fetchval("SELECT roles FROM accounts")
        assert roles == ["member", "coach"]
        assert await Accounts(tx).grant_role("nobody@example.org", "coach") is None


async def test_a_new_hash_takes_the_old_one_s_place(database: Database) -> None:
    async with database.tx() as tx:
        await Accounts(tx).add(an_account(), "old")
        await Accounts(tx).save_password_hash(an_account().id, "new")
        found = await Accounts(tx).credentials("p1@example.org")
    assert found is not None
    assert found.password_hash == "new"


async def test_logging_in_reads_the_index_of_addresses(database: Database) -> None:
    async with database.tx() as tx:
        await tx.execute("SET LOCAL enable_seqscan = off")
        plan = "\n".join(
            row[0] for row in await tx.fetch("EXPLAIN SELECT * FROM accounts WHERE email = 'p1@example.org'")
        )
    assert "accounts_email_key" in plan
