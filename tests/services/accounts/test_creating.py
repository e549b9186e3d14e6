"""Making an account for somebody else: it is in the audit, and nobody has its password."""

import asyncio
import contextlib
from collections.abc import Iterator

import pytest

from paceline.__main__ import main
from persistence.database import Database, open_database
from services.accounts.creating import Creating
from services.accounts.passwords import Cost, Passwords
from services.audit.entry import command
from services.kernel.problems import BadShape, EmailTaken
from tests.support.audited import entries
from tests.support.postgres import PostgresServer
from tests.support.world import SEALING_KEYS, World

LOW = Cost(rounds=1, memory_kib=8, lanes=1)


@pytest.fixture
def world(database: Database) -> World:
    return World(database)


@pytest.fixture
def creating(world: World) -> Iterator[Creating]:
    with contextlib.closing(Passwords(cost=LOW)) as passwords:
        yield Creating(world.transactions, passwords, world.clock, world.ids)


async def test_an_account_that_was_made_is_that_of_its_address_and_told(world: World, creating: Creating) -> None:
    made = await creating.create(command("otto"), email="Mira@Example.org", name="Mira", role="coach")
    assert (made.email, set(made.roles)) == ("mira@example.org", {"member", "coach"})
    (only,) = await entries(world.transactions)
    assert (only.act, only.name, only.account, only.data) == ("account.created", "otto", made.id, '{"role":"coach"}')
    with pytest.raises(EmailTaken):
        await creating.create(command("otto"), email="mira@example.org", name="Mira", role="member")
    with pytest.raises(BadShape):
        await creating.create(command("otto"), email="ana@example.org", name="Ana", role="display")
    assert len(await entries(world.transactions)) == 1, "what was refused is not told"


async def test_each_has_a_password_of_its_own_that_nobody_was_told(world: World, creating: Creating) -> None:
    for name in ("Ana", "Ben"):
        await creating.create(command("otto"), email=f"{name}@example.org", name=name, role="member")
    async with world.transactions() as stores:
        ana, ben = [await stores.accounts.credentials(f"{name}@example.org") for name in ("ana", "ben")]
    assert ana is not None
    assert ben is not None
    assert ana.password_hash != ben.password_hash


def test_the_command_makes_one_and_says_how_they_get_in(
    postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    dsn = asyncio.run(postgres.fresh())
    monkeypatch.setenv("DATABASE_URL", dsn)
    monkeypatch.setenv("PACELINE_SEALING_KEYS", SEALING_KEYS)
    assert main(["account", "create", "mira@example.org", "Mira", "--role", "coach"]) == 0
    said = capsys.readouterr().out
    assert "mira@example.org has the roles coach, member" in said
    assert "new password" in said
    assert main(["account", "create", "mira@example.org", "Mira"]) == 1

    async def acts() -> list[str]:
        async with open_database(dsn, size=1) as database:
            return [line.act for line in await entries(World(database).transactions)]

    assert asyncio.run(acts()) == ["account.created"]
