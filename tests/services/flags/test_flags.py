"""Switches of the whole installation: every process knows them, whoever set one stands in the audit, and each does something."""

import asyncio
import re
from contextlib import AbstractAsyncContextManager
from typing import Final, NoReturn

import msgspec
import pytest

from persistence.database import Database
from services.access.role import GRANTED
from services.accounts.flag_desk import FlagDesk
from services.audit.entry import command
from services.flags.flag import FLAGS, FlagName
from services.flags.flags import READ_EVERY_S, Flags, FlagStores
from services.flags.switches import ALL_ON, Switches
from services.kernel.caller import AccountRole, Caller
from services.kernel.problems import Forbidden, NotFound, StepUpNeeded, Unavailable
from tests.support.audited import entries
from tests.support.server import ROOT
from tests.support.world import World

WHY: Final = "somebody registers by the thousand"


class Process:
    """One process: its own picture of the flags, and the same database as the others."""

    def __init__(self, world: World) -> None:
        self.switches: Final = Switches()
        self.flags: Final = Flags(world.transactions, self.switches, world.clock)
        self.desk: Final = FlagDesk(self.flags, world.clock)


@pytest.fixture
def world(database: Database) -> World:
    return World(database)


async def staff(world: World, *roles: AccountRole, proven: bool = True) -> Caller:
    caller = await world.account("Otto", "member", *roles)
    return msgspec.structs.replace(caller, second_factor_at_ms=world.clock.wall_ms() if proven else None)


async def test_what_one_process_sets_the_others_know_with_the_next_reading(world: World) -> None:
    here, there = Process(world), Process(world)
    admin = await staff(world, "admin")
    await here.desk.set(admin, "registering", WHY, None, on=False)
    assert not here.switches.on("registering")
    assert there.switches.on("registering")
    await there.flags.read()
    assert not there.switches.on("registering")
    assert READ_EVERY_S < 5, "the promise"
    await there.desk.unset(admin, "registering", "it is over", None)
    await here.flags.read()
    assert here.switches.on("registering")


async def test_a_process_reads_them_again_and_again_also_after_the_database_was_away(world: World) -> None:
    here = Process(world)
    switches, readings, away = Switches(), 0, True

    def transactions() -> AbstractAsyncContextManager[FlagStores]:
        nonlocal readings
        readings += 1
        if away:
            raise Unavailable
        return world.transactions()

    await here.flags.set(command("root"), "chat", on=False, reason=WHY)
    loop = asyncio.create_task(Flags(transactions, switches, world.clock).run())
    try:
        await world.clock.advance(READ_EVERY_S)
        assert (readings, switches.on("chat")) == (1, True)
        away = False
        async with asyncio.timeout(60):
            while switches.on("chat"):
                await world.clock.advance(READ_EVERY_S)
                await asyncio.sleep(0.001)
    finally:
        loop.cancel()
        await asyncio.wait({loop})


async def test_a_flag_says_how_it_stands_since_when_by_whom_and_why(world: World) -> None:
    process = Process(world)
    admin = await staff(world, "admin")
    before = await process.desk.one(admin, "chat")
    assert (before.on, before.set_by, before.reason) == (True, None, None)
    set_now = await process.desk.set(admin, "chat", WHY, None, on=False)
    assert await process.desk.one(admin, "chat") == set_now
    assert (set_now.on, set_now.reason, set_now.set_at_ms) == (False, WHY, world.clock.wall_ms())
    assert (set_now.set_by or "").endswith("@example.org")
    by_command = await process.flags.set(command("root"), "chat", on=True, reason="it is over")
    assert (by_command.on, by_command.set_by) == (True, "root")
    assert [view.name for view in await process.flags.all()] == list(FLAGS)


async def test_each_act_is_in_the_audit_once_with_its_reason(world: World) -> None:
    process = Process(world)
    admin = await staff(world, "admin")
    await process.desk.set(admin, "mail.sending", WHY, "203.0.113.9", on=False)
    for _ in range(2):
        await process.desk.unset(admin, "mail.sending", "it is over", None)
    told = await entries(world.transactions)
    assert [(each.act, each.thing, each.reason, each.data) for each in told] == [
        ("flag.set", "mail.sending", WHY, '{"to":"off"}'),
        ("flag.unset", "mail.sending", "it is over", "{}"),
    ]
    assert {each.actor for each in told} == {admin.account_id}
    assert told[0].network == "203.0.113.0/24"


async def test_support_sees_them_and_an_admin_with_a_fresh_factor_sets_them(world: World) -> None:
    """ASVS 8.2.1, OWASP API5: function level."""
    process = Process(world)
    support = await staff(world, "support")
    assert len(await process.desk.all(support)) == len(FLAGS)
    for role in sorted(GRANTED - {"admin"}):
        with pytest.raises(Forbidden):
            await process.desk.set(await staff(world, role), "chat", WHY, None, on=False)
    with pytest.raises(StepUpNeeded):
        await process.desk.set(await staff(world, "admin", proven=False), "chat", WHY, None, on=False)
    with pytest.raises(StepUpNeeded):
        await process.desk.all(await staff(world, "admin", proven=False))
    assert process.switches.on("chat")
    assert await entries(world.transactions) == []


async def test_a_flag_that_does_not_exist_is_said_with_those_that_do(world: World) -> None:
    with pytest.raises(NotFound, match=r"registering, chat"):
        await Process(world).desk.set(await staff(world, "admin"), "gravity", WHY, None, on=False)


async def test_who_set_it_may_go_and_it_stays(world: World) -> None:
    process = Process(world)
    await process.desk.set(await staff(world, "admin"), "chat", WHY, None, on=False)
    async with world.transactions() as stores:
        await stores.tx.execute("DELETE FROM accounts")
    view = await process.flags.one("chat")
    assert (view.on, view.reason, view.set_by) == (False, WHY, None)


def test_what_a_newer_program_has_set_is_not_heeded_and_a_row_that_went_is_on_again() -> None:
    switches = Switches()
    assert switches.learn({"chat": False, "gravity": False, "registering": True}) == ["chat"]
    assert not switches.on("chat")
    assert switches.learn({"chat": False}) == []
    assert switches.learn({}) == ["chat"]
    assert switches.on("chat")


@pytest.mark.parametrize("name", list(FLAGS))
def test_each_flag_is_read_where_it_begins_and_refuses_in_words_of_its_own(name: FlagName) -> None:
    asks = re.compile(rf"""switches\.(?:require|on)\("{re.escape(name)}"\)""")
    packages = ("services", "rooms", "workers", "gateway")
    assert any(asks.search(path.read_text()) for each in packages for path in (ROOT / each).rglob("*.py"))
    switches = Switches()
    switches.learn({name: False})
    refused = FLAGS[name].refused
    if refused is None:
        switches.require(name)
        return
    with pytest.raises(refused):
        switches.require(name)
    assert sum(flag.refused is refused for flag in FLAGS.values()) == 1
    ALL_ON.require(name)


async def test_while_the_database_is_away_what_was_read_last_holds(world: World) -> None:
    process = Process(world)
    await process.flags.set(command("root"), "chat", on=False, reason=WHY)

    def away() -> NoReturn:
        raise Unavailable

    with pytest.raises(Unavailable):
        await Flags(away, process.switches, world.clock).read()
    assert not process.switches.on("chat")
