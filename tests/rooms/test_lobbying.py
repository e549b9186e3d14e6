"""Classes without a coach over several nodes: waiting together, beginning at the same instant, ending by the clock alone."""

import asyncio
from typing import Any

import pytest

from persistence.stores import Transactions
from realtime.connection import Connection
from realtime.wire import ClassReady, LobbyView, RoomJoin
from services.classes.class_clock import Pause, Resume, Start
from services.classes.live_class import LiveClass
from services.classes.lobby import COUNTDOWN_MS
from services.classes.on_demand import AFTER_MS, IDLE_MS, MOST_AT_ONCE, RESUME_MS, OnDemandTerms
from services.classes.on_demands import end_by_clock
from services.classes.script import Block, Interval, Script
from services.kernel.caller import Caller
from services.kernel.clock import to_wall_ms, utc
from services.kernel.facts import ClassEndDue, ClassEnded
from services.kernel.ids import OnDemandId, Uuid7Ids
from services.kernel.problems import (
    BadShape,
    ClassFull,
    ClassStarted,
    DoorsShut,
    EntitlementNeeded,
    Forbidden,
    KeyReused,
    NotFound,
    NotInRoom,
    TooManyGroups,
)
from tests.rooms.conftest import TestNode, World, events

LASTS_MS = 120_000
SCRIPT = Script(blocks=(Block(intervals=(Interval(LASTS_MS),)),))


class Group:
    """A script on demand, and one class that Ana has started of it."""

    def __init__(self, world: World, here: TestNode, there: TestNode, ana: Caller) -> None:
        self.world, self.here, self.there, self.ana = world, here, there, ana
        self.transactions = Transactions(world.database, world.clock, Uuid7Ids(world.clock))
        self.on_demand: OnDemandId
        self.live: LiveClass

    async def begin(self, **terms: Any) -> None:
        mia = await self.world.person("Mia", coach=True)
        made = await self.here.on_demand.put(mia, OnDemandTerms(title="Climb", **terms), SCRIPT, None, "key")
        self.on_demand = made.id
        self.live = await self.here.on_demand.start(self.ana, made.id, "key")

    async def join(self, node: TestNode, caller: Caller) -> Connection:
        connection = node.connect(caller)
        await node.join(connection, self.live.code)
        await self.world.advance(0.1)
        return connection

    async def known(self, node: TestNode, *callers: Caller) -> None:
        """Wait until a node knows that these are here."""

        def here() -> bool:
            room = node.rooms.get(self.live.id)
            present = set() if room is None else {each.account_id for each in room.board.here()}
            return {caller.account_id for caller in callers} <= present

        for made in (self.here, self.there):
            made.rooms.beat()
        await self.world.settled(here)

    async def ready(self, node: TestNode, connection: Connection, *, ready: bool = True) -> LobbyView:
        return await node.lobbying.ready(connection, ClassReady(class_id=self.live.id, ready=ready))

    async def ended(self) -> bool:
        """Say that the end is due; whether it is over then."""
        async with self.transactions() as stores:
            return await end_by_clock(stores, self.live.id, self.world.clock.wall_ms())

    async def planned_ms(self) -> int:
        """When its end is to be told."""
        async with self.transactions() as stores:
            due = await stores.tx.fetchval("SELECT due_at FROM schedule_once WHERE kind = 'class.end_due'")
        return to_wall_ms(due)


@pytest.fixture
async def group(world: World) -> Group:
    return Group(world, world.node(), world.node(), await world.person("Ana"))


def said(connection: Connection, name: str) -> list[Any]:
    """The payloads of one event that have come and were not read yet."""
    return [payload for event, payload in events(connection) if event == name]


async def test_it_begins_for_all_at_the_same_instant_when_the_last_of_them_says_ready(
    world: World, group: Group
) -> None:
    await group.begin()
    ben = await world.person("Ben")
    first = await group.join(group.here, group.ana)
    second = await group.join(group.there, ben)
    await group.known(group.here, ben, group.ana)
    await group.known(group.there, ben, group.ana)
    assert (await group.ready(group.here, first)).ready == (1,)
    lobbies: list[Any] = []

    def heard() -> bool:
        lobbies.extend(said(second, "class.lobby"))
        return bool(lobbies)

    await world.settled(heard)
    assert (lobbies[-1]["ready"], lobbies[-1]["n"]) == ([1], 1)
    began_ms = world.clock.wall_ms()
    assert (await group.ready(group.there, second)).ready == (1, 2)
    clocks: dict[str, Any] = {}

    def both() -> bool:
        for name, connection in (("first", first), ("second", second)):
            for clock in said(connection, "class.clock"):
                clocks[name] = clock
        return len(clocks) == 2

    await world.settled(both)
    assert clocks["first"]["at_ms"] == clocks["second"]["at_ms"] == began_ms + COUNTDOWN_MS
    assert clocks["first"]["state"] == "running"
    with pytest.raises(ClassStarted):
        await group.ready(group.here, first, ready=False)


async def test_one_alone_waits_and_begins_by_asking_for_it(world: World, group: Group) -> None:
    await group.begin()
    first = await group.join(group.here, group.ana)
    await group.ready(group.here, first)
    assert not (await group.here.timelines.of(group.live.id)).begun
    at_ms = world.clock.wall_ms()
    timeline = await group.here.timelines.control(group.ana, group.live.id, Start(), None)
    assert timeline.begun_ms == at_ms + COUNTDOWN_MS


async def test_who_comes_into_the_lobby_later_sees_who_is_ready_on_whatever_node(world: World, group: Group) -> None:
    await group.begin()
    first = await group.join(group.here, group.ana)
    await group.ready(group.here, first)
    for node in (group.here, group.there):
        joined = await node.join(node.connect(await world.person("Late")), group.live.code)
        assert joined.lobby is not None
        assert (joined.lobby.ready, joined.lobby.n) == ((1,), 1)
        assert joined.room.group is not None
    assert (await group.ready(group.here, first, ready=False)).ready == ()


async def test_of_two_who_say_ready_at_once_one_begins_it_and_it_begins_once(world: World, group: Group) -> None:
    await group.begin()
    ben = await world.person("Ben")
    first, second = await group.join(group.here, group.ana), await group.join(group.here, ben)
    await group.known(group.here, ben, group.ana)
    await asyncio.gather(group.ready(group.here, first), group.ready(group.here, second))
    assert len((await group.here.timelines.of(group.live.id)).events) == 1


async def test_who_watches_is_waited_for_by_nobody_and_cannot_say_ready(world: World, group: Group) -> None:
    await group.begin()
    ben, wanda = await world.person("Ben"), await world.person("Wanda")
    first, second = await group.join(group.here, group.ana), await group.join(group.here, ben)
    watching = group.here.connect(wanda)
    await group.here.join(watching, group.live.code, "spectator")
    await group.known(group.here, ben, group.ana, wanda)
    with pytest.raises(Forbidden):
        await group.ready(group.here, watching)
    await group.ready(group.here, first)
    await group.ready(group.here, second)
    assert (await group.here.timelines.of(group.live.id)).begun
    with pytest.raises(NotInRoom):
        await group.ready(group.there, group.there.connect(ben))


async def test_a_class_with_a_coach_has_no_lobby(world: World, group: Group) -> None:
    node, mia = group.here, await world.person("Mia", coach=True)
    group.live = await node.create_class(mia)
    connection = node.connect(group.ana)
    assert (await node.join(connection, group.live.code)).lobby is None
    with pytest.raises(Forbidden):
        await group.ready(node, connection)


async def test_newcomers_find_their_place_in_the_script_until_it_is_too_late(world: World, group: Group) -> None:
    await group.begin(late_min=1)
    await group.join(group.here, group.ana)
    await group.here.timelines.control(group.ana, group.live.id, Start(), None)
    await world.advance(COUNTDOWN_MS / 1_000 + 59)
    late = await group.there.join(group.there.connect(await world.person("Late")), group.live.code)
    assert late.clock is not None
    assert (late.clock.state, world.clock.wall_ms() - late.clock.at_ms) == ("running", 59_000)
    await world.advance(1)
    too_late = await world.person("Too late")
    for attempt in (group.there.join, group.there.open):
        with pytest.raises(DoorsShut):
            await attempt(group.there.connect(too_late), group.live.code)
    assert (await group.there.join(group.there.connect(group.ana), group.live.code)).you is not None


async def test_it_holds_as_many_as_were_said_and_needs_what_was_said(world: World, group: Group) -> None:
    await group.begin(places=2)
    await group.join(group.here, group.ana)
    await group.join(group.here, await world.person("Ben"))
    with pytest.raises(ClassFull) as full:
        await group.join(group.there, await world.person("Cia"))
    assert full.value.data == {"limit": 2}
    premium = await group.here.on_demand.put(
        await world.person("Mo", coach=True), OnDemandTerms(title="Climb", needs="premium"), SCRIPT, None, "key"
    )
    with pytest.raises(EntitlementNeeded):
        await group.here.on_demand.start(group.ana, premium.id, "other")


async def test_it_ends_by_its_clock_alone_when_every_node_has_died(world: World, group: Group) -> None:
    await group.begin()
    await group.join(group.here, group.ana)
    created_ms = world.clock.wall_ms()
    assert abs(await group.planned_ms() - created_ms - IDLE_MS) < 1_000
    await group.here.timelines.control(group.ana, group.live.id, Start(), None)
    through_ms = world.clock.wall_ms() + COUNTDOWN_MS + LASTS_MS
    assert await group.planned_ms() == through_ms + AFTER_MS
    await group.here.die()
    await group.there.die()
    await world.clock.advance((COUNTDOWN_MS + LASTS_MS) / 1_000 - 1)
    assert not await group.ended()
    await world.clock.advance(1 + AFTER_MS / 1_000)
    async with group.transactions() as stores:
        await stores.schedule.tell(stores.outbox, utc(world.clock.wall_ms()), 10)
        told = [envelope.fact for envelope in await stores.outbox.peek(100)]
    assert ClassEndDue(group.live.id) in told
    assert await group.ended()
    assert not await group.ended(), "it is over"
    async with group.transactions() as stores:
        assert ClassEnded(group.live.id) in [envelope.fact for envelope in await stores.outbox.peek(100)]


async def test_a_pause_is_for_all_by_who_has_started_it_and_takes_the_end_along(world: World, group: Group) -> None:
    await group.begin()
    ben = await world.person("Ben")
    await group.join(group.here, group.ana)
    await group.join(group.there, ben)
    control = group.there.timelines.control
    await control(group.ana, group.live.id, Start(), None)
    planned_ms = await group.planned_ms()
    await world.advance(COUNTDOWN_MS / 1_000 + 20)
    with pytest.raises(Forbidden):
        await control(ben, group.live.id, Pause(), None)
    await control(group.ana, group.live.id, Pause(), None)
    assert await group.planned_ms() == world.clock.wall_ms() + IDLE_MS
    await world.advance(LASTS_MS / 1_000)
    assert not await group.ended()
    await control(group.ana, group.live.id, Resume(), None)
    assert await group.planned_ms() == planned_ms + LASTS_MS + RESUME_MS


async def test_starting_is_done_once_and_not_without_end(world: World, group: Group) -> None:
    await group.begin()
    start = group.here.on_demand.start
    assert (await start(group.ana, group.on_demand, "key")).id == group.live.id
    for number in range(1, MOST_AT_ONCE):
        await start(group.ana, group.on_demand, f"key {number}")
    with pytest.raises(TooManyGroups):
        await start(group.ana, group.on_demand, "one more")
    await group.here.classes.end(group.ana, group.live.id)
    await start(group.ana, group.on_demand, "one more")


async def test_whoever_starts_one_names_its_teams_or_has_those_of_its_terms(world: World, group: Group) -> None:
    await group.begin(teams=("Odd ", "Even"))
    assert group.live.teams == ("Odd", "Even")
    start = group.here.on_demand.start
    named = await start(group.ana, group.on_demand, "named", ("Red", " Blue"))
    assert named.teams == ("Red", "Blue")
    assert await start(group.ana, group.on_demand, "named", ("Red", "Blue")) == named
    with pytest.raises(KeyReused):
        await start(group.ana, group.on_demand, "named", ("Red", "Green"))
    assert (await start(group.ana, group.on_demand, "none", ())).teams == ()
    with pytest.raises(BadShape) as refused:
        await start(group.ana, group.on_demand, "one", ("Red",))
    assert refused.value.path == "$.teams"
    phone = group.here.connect(group.ana)
    joined = await group.here.rooms.join(phone, RoomJoin(code=named.code, team="Blue"))
    assert joined.you is not None
    assert (joined.room.teams, joined.you.team) == (("Red", "Blue"), 1)


async def test_what_was_withdrawn_is_started_by_nobody_and_what_was_started_goes_on(world: World, group: Group) -> None:
    await group.begin()
    (shown,) = await group.here.on_demand.page(group.ana, None, 10)
    async with group.transactions() as stores:
        await stores.on_demand.withdraw(shown.id, utc(world.clock.wall_ms()))
    assert await group.here.on_demand.page(group.ana, None, 10) == ()
    with pytest.raises(NotFound):
        await group.here.on_demand.start(group.ana, shown.id, "new")
    first = await group.join(group.here, group.ana)
    assert (await group.ready(group.here, first)).ready == (1,)


async def test_the_script_of_a_class_that_one_leads_can_be_put_on_demand(world: World, group: Group) -> None:
    node, mia = group.here, await world.person("Mia", coach=True)
    live = await node.create_class(mia)
    terms = OnDemandTerms(title="Again")
    with pytest.raises(NotFound):
        await node.on_demand.put(mia, terms, None, live.id, "key")
    async with group.transactions() as stores:
        await stores.timelines.save_script(live.id, SCRIPT, 1, utc(world.clock.wall_ms()))
    assert (await node.on_demand.put(mia, terms, None, live.id, "key")).duration_ms == LASTS_MS
    with pytest.raises(Forbidden):
        await node.on_demand.put(await world.person("Mo", coach=True), terms, None, live.id, "key")
