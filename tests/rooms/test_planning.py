"""What an installation asks of coaches, beside a class that goes on."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from persistence.stores import Transactions
from rooms.planning import LOOK_EVERY_S, Planning
from services.accounts.entitlements import Entitlements
from services.classes.classes import Classes
from services.kernel.caller import Caller
from services.kernel.ids import Uuid7Ids
from tests.rooms.conftest import TestNode, World, events
from tests.rooms.test_cockpit import Desk, ready
from tests.rooms.test_stepping import beat

LESS_THAN_A_SECOND = 0.95


def stores_of(world: World) -> Transactions:
    return Transactions(world.database, world.clock, Uuid7Ids(world.clock))


class Awaited(Planning):
    """One whose looks are waited for when time passes: the database answers in its own time, the world's stands still."""

    looking = False

    async def look(self) -> None:
        self.looking = True
        try:
            await super().look()
        finally:
            self.looking = False


@asynccontextmanager
async def asking_for(world: World, node: TestNode, needs: str | None) -> AsyncIterator[Planning]:
    """While entered, coaches on this node need this."""
    planning = Awaited(node.rooms, stores_of(world), world.clock, needs)
    world.busy.append(lambda: planning.looking)
    loop = asyncio.create_task(planning.run())
    try:
        yield planning
    finally:
        loop.cancel()
        await asyncio.gather(loop, return_exceptions=True)


async def grant(world: World, who: Caller, *, until_ms: int | None = None) -> None:
    entitlements = Entitlements(stores_of(world), world.clock, Uuid7Ids(world.clock))
    await entitlements.grant(who.account_id, "coaching", "voucher:SPRING", None, until_ms)


async def withdraw(world: World, who: Caller) -> None:
    entitlements = Entitlements(stores_of(world), world.clock, Uuid7Ids(world.clock))
    await entitlements.withdraw(who.account_id, "coaching", "voucher:SPRING")


def lacking(desk: Desk) -> list[object]:
    """What the desk was said to lack, since it was read last."""
    return [
        payload["needs"]
        for name, payload in events(desk.connection)
        if name.startswith("cockpit.") and "needs" in payload
    ]


async def test_a_coach_without_the_plan_is_shown_no_hearts_and_told_once_what_it_takes(world: World) -> None:
    """OWASP API3:2023: deny by default, also before it was looked up."""
    here, there = world.node(), world.node()
    async with asking_for(world, there, "coaching"):
        _, _, desk, ada = await ready(world, here, there)
        await ada.ride(150, 151, 152)
        assert lacking(desk) == ["coaching"]
        await ada.ride(153, 154, 155)
        assert desk.bpm() == {}
        assert desk.told == []


async def test_what_is_granted_and_taken_back_in_the_middle_of_a_class_holds_in_less_than_a_second(
    world: World,
) -> None:
    here, there = world.node(), world.node()
    async with asking_for(world, there, "coaching"):
        mia, _, desk, ada = await ready(world, here, there)
        await ada.ride(150)
        await grant(world, mia)
        await beat(world, LESS_THAN_A_SECOND)
        await ada.ride(151)
        assert desk.bpm() == {"Ada": 151}
        await withdraw(world, mia)
        await beat(world, LESS_THAN_A_SECOND)
        assert lacking(desk) == ["coaching"]
        await ada.ride(160, 161)
        assert [name for name, _ in events(desk.connection) if name.startswith("cockpit.")] == []
        await grant(world, mia)
        await beat(world, LESS_THAN_A_SECOND)
        await ada.ride(165)
        desk.read()
        assert "cockpit.snapshot" in desk.told, "everything anew"
        assert desk.bpm() == {"Ada": 165}


async def test_a_plan_runs_out_by_the_clock(world: World) -> None:
    here, there = world.node(), world.node()
    async with asking_for(world, there, "coaching"):
        mia, _, desk, ada = await ready(world, here, there)
        await grant(world, mia, until_ms=world.clock.wall_ms() + 5_000)
        await ada.ride(150, 151)
        assert desk.bpm() == {"Ada": 151}
        await beat(world, 5 + LESS_THAN_A_SECOND)
        assert lacking(desk)[-1:] == ["coaching"]


async def test_with_the_database_away_what_was_seen_last_holds(world: World) -> None:
    here, there = world.node(), world.node()
    planning = Planning(there.rooms, stores_of(world), world.clock, "coaching")
    mia, _, desk, ada = await ready(world, here, there)
    await grant(world, mia)
    await planning.look()
    await ada.ride(150)
    async with world.database.connection() as connection, connection.transaction():
        await connection.execute("LOCK TABLE entitlements")
        looking = asyncio.create_task(planning.look())
        await ada.ride(151)
        assert desk.bpm() == {"Ada": 151}
    await looking
    assert planning.plan_of(mia.account_id).holds


async def test_where_nothing_is_asked_for_nothing_is_looked_up(world: World) -> None:
    here, there = world.node(), world.node()
    async with asking_for(world, there, None) as planning:
        mia, _, desk, ada = await ready(world, here, there)
        await ada.ride(150, 151)
        await world.advance(2 * LOOK_EVERY_S)
        assert desk.bpm() == {"Ada": 151}
        assert planning.plan_of(mia.account_id).needs is None


async def test_the_list_of_people_says_so_too(world: World) -> None:
    here = world.node()
    mia, live, _, _ = await ready(world, here, here)
    classes = Classes(stores_of(world), world.clock, Uuid7Ids(world.clock), here.rooms, "coaching")

    async def of_ada() -> str:
        (ada,) = [person for person in await classes.people(mia, live.id) if person.name == "Ada"]
        return ada.heart_rate

    assert await of_ada() == "plan_missing"
    await grant(world, mia)
    assert await of_ada() == "allowed"
