"""The end of a class, on a node that was not told of it by the node where it ended."""

import asyncio

import pytest

from realtime.connection import Connection
from realtime.peer import AnyPeerMessage, RoomClosed
from realtime.wire import ChatSend, CueSend
from rooms.room import Room
from services.classes.live_class import LiveClass
from services.kernel.ids import StreamId
from services.kernel.problems import ClassOver
from services.training.sample import Sample
from tests.realtime import build
from tests.rooms.conftest import TestNode, World, events


class Evening:
    """A class that ends on one node; on the other its coach is connected, and Ada who rides."""

    def __init__(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        self.world = world
        self.here, self.there = world.node(), world.node()
        self.live: LiveClass
        self.coach: Connection
        self.phone: Connection
        self.stream: StreamId
        say = self.here.node.publish

        def says_all_but_the_end(channel: str, message: AnyPeerMessage) -> None:
            if not isinstance(message, RoomClosed):
                say(channel, message)

        monkeypatch.setattr(self.here.node, "publish", says_all_but_the_end)

    async def begin(self) -> None:
        mia = await self.world.person("Mia", coach=True)
        self.live = await self.here.create_class(mia)
        self.coach = self.there.connect(mia)
        await self.there.join(self.coach, self.live.code, "coach")
        self.phone = self.there.connect(await self.world.person("Ada"))
        await self.there.join(self.phone, self.live.code)
        self.stream = (await self.there.open(self.phone, self.live.code)).stream
        await self.world.advance(1)

    async def end(self) -> None:
        self.live = await self.here.classes.end(self.coach.caller, self.live.id)

    async def ride(self, seconds: range) -> None:
        samples = tuple(Sample(t=1_000 * second, bpm=140) for second in seconds)
        self.there.send(self.phone, self.stream, seconds[0], samples)
        await self.world.advance(0.3)

    def room_on(self, node: TestNode) -> Room:
        room = node.rooms.get(self.live.id)
        assert room is not None
        return room

    async def effort(self) -> list[int]:
        async with self.world.database.connection() as connection:
            zone_ms: list[int] = await connection.fetchval("SELECT zone_ms FROM streams")
        return zone_ms


@pytest.fixture
async def evening(world: World, monkeypatch: pytest.MonkeyPatch) -> Evening:
    made = Evening(world, monkeypatch)
    await made.begin()
    return made


async def test_a_node_that_was_not_told_learns_it_from_the_rooms_log_and_takes_no_more(evening: Evening) -> None:
    await evening.end()
    await evening.world.advance(5)
    assert [name for name, _ in events(evening.phone)].count("class.ended") == 1
    room = evening.room_on(evening.there)
    assert room.live.ended_ms == evening.live.ended_ms
    with pytest.raises(ClassOver):
        await evening.there.speaking.cue(evening.coach, CueSend(class_id=evening.live.id, text="up"))
    with pytest.raises(ClassOver):
        await evening.there.speaking.chat(evening.phone, ChatSend(class_id=evening.live.id, text="hello"))
    await evening.ride(range(61))
    assert await evening.effort() == [0, 0, 0, 0, 0, 0]


async def test_what_is_told_of_the_end_late_or_again_changes_nothing(evening: Evening) -> None:
    await evening.end()
    await evening.world.advance(5)
    room = evening.room_on(evening.there)
    ended_ms = room.live.ended_ms
    assert ended_ms is not None
    evening.there.rooms._closed(room.channel, RoomClosed(class_id=evening.live.id, ended_ms=ended_ms + 5_000))
    assert not room.take_end(ended_ms + 5_000)
    assert room.live.ended_ms == ended_ms


async def test_an_end_that_was_lost_with_the_log_is_read_from_the_database_and_said_again(
    evening: Evening, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = evening.world
    with monkeypatch.context() as away:
        away.setattr(world.log, "append", build.stores_nothing)
        await evening.end()
    assert not evening.room_on(evening.there).live.over
    world.log.forget()
    told: list[str] = []
    async with asyncio.timeout(5):
        while "class.ended" not in told:
            await world.advance(1)
            await asyncio.sleep(0.001)
            told += [name for name, _ in events(evening.phone)]
    assert told.index("room.reset") < told.index("class.ended")
    assert evening.room_on(evening.there).live.ended_ms == evening.live.ended_ms
    await world.advance(10)
    assert "class.ended" not in [name for name, _ in events(evening.phone)]


async def test_an_end_that_was_read_while_the_log_was_away_is_said_when_it_is_back(
    evening: Evening, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, room = evening.world, evening.room_on(evening.there)
    with monkeypatch.context() as away:
        away.setattr(world.log, "append", build.stores_nothing)
        await evening.end()
        world.log.forget()
        async with asyncio.timeout(5):
            while not room.live.over:
                await world.advance(1)
                await asyncio.sleep(0.001)
    told: list[str] = []
    async with asyncio.timeout(5):
        while "class.ended" not in told:
            await world.advance(1)
            await asyncio.sleep(0.001)
            told += [name for name, _ in events(evening.phone)]
    assert told.count("class.ended") == 1
