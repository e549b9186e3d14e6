"""Who did what to whom: each act of privilege tells the audit, in the transaction that does it (ASVS 16.3.2, 16.3.3)."""

import asyncio

import pytest

from paceline.__main__ import main
from persistence.database import Database, open_database
from rooms.replay import Replay
from services.accounts.entitlements import Entitlements
from services.accounts.keyring import load_key, make_key
from services.accounts.keys import Keys
from services.audit.entry import command, operator
from services.audit.ports import AuditLine
from services.kernel.problems import NotFound
from services.kernel.sealing import Seals
from services.schedule.jobs import Jobs
from tests.support.audited import entries
from tests.support.postgres import PostgresServer
from tests.support.world import SEALING_KEYS, World

OPERATOR = operator("203.0.113.9")


@pytest.fixture
def world(database: Database) -> World:
    return World(database)


async def told(world: World) -> list[AuditLine]:
    return await entries(world.transactions)


async def test_entitlements_are_told_with_who_gave_them_and_once(world: World) -> None:
    ada = await world.account("Ada")
    entitlements = Entitlements(world.transactions, world.clock, world.ids)
    for _ in range(2):
        await entitlements.grant(ada.account_id, "premium", "operator", None, None, OPERATOR)
    await entitlements.withdraw(ada.account_id, "premium", "operator", OPERATOR)
    granted, withdrawn = await told(world)
    assert (granted.act, granted.actor_kind, granted.network) == ("entitlement.granted", "operator", "203.0.113.0/24")
    assert (granted.account, granted.data) == (ada.account_id, '{"name":"premium","source":"operator"}')
    assert withdrawn.act == "entitlement.withdrawn"


async def test_a_rotation_of_keys_names_the_key_and_not_more(world: World) -> None:
    keys = Keys(world.transactions, Seals((b"s" * 32,)), load_key(make_key()), world.clock, token_ms=1_000)
    await keys.begin()
    place = await keys.rotate(stolen=True, by=command("root"))
    (only,) = await told(world)
    assert (only.act, only.actor_kind, only.name) == ("keys.rotated", "command", "root")
    assert (only.thing_kind, only.thing, only.data) == ("key", place.kid, '{"stolen":"yes"}')


async def test_a_job_that_there_is_not_was_not_run(world: World) -> None:
    with pytest.raises(NotFound):
        await Jobs(world.transactions, world.clock).ask("weekly", OPERATOR)
    assert await told(world) == []


async def test_a_replay_on_the_server_of_a_class_without_tapes_shows_nothing_and_tells_nothing(world: World) -> None:
    live = await world.live_class(await world.account("Cora", "coach"))
    with pytest.raises(NotFound):
        async for _ in Replay(world.transactions).show(live.id, OPERATOR):
            pass
    assert await told(world) == []


def test_a_role_given_by_command_names_who_ran_it(postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> None:
    dsn = asyncio.run(postgres.fresh())
    monkeypatch.setenv("DATABASE_URL", dsn)
    monkeypatch.setenv("PACELINE_SEALING_KEYS", SEALING_KEYS)
    monkeypatch.setenv("LOGNAME", "otto")

    async def told_of() -> list[AuditLine]:
        async with open_database(dsn, size=1) as database:
            return await told(World(database))

    async def somebody() -> None:
        async with open_database(dsn, size=1) as database:
            await World(database).account("Ada")

    asyncio.run(somebody())
    assert main(["account", "grant", "somebody1@example.org", "coach"]) == 0
    (only,) = asyncio.run(told_of())
    assert (only.act, only.actor_kind, only.name, only.data) == (
        "role.granted",
        "command",
        "otto",
        '{"role":"coach"}',
    )
