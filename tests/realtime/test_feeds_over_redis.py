"""Two nodes and one Redis in one process: one order for everybody, nothing twice, and the truth when Redis loses it all."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from realtime.feeds import Feeds
from realtime.hub import Hub
from realtime.node import Node
from realtime.position import NOWHERE, Position
from realtime.redis_broker import RedisBroker
from realtime.redis_commands import RedisCommands
from realtime.redis_room_log import RedisRoomLog
from realtime.redis_servers import RedisServers
from realtime.room_log import LogAway
from realtime.wire import Cue
from services.kernel.clock import SystemClock
from tests.realtime import build
from tests.realtime.test_feeds import CHANNEL, said
from tests.support.redis_server import RedisServer, open_redis

WAIT_S = 15.0


class Pair:
    """Two nodes with one member each in the room."""

    def __init__(self, server: RedisServer) -> None:
        clock = SystemClock()
        self.server = server
        self.servers = RedisServers(server.url)
        self.nodes = [Node(name, Hub(), RedisBroker(self.servers, clock), clock) for name in ("one", "two")]
        self.feeds = [Feeds(node, RedisRoomLog(RedisCommands(self.servers)), clock) for node in self.nodes]
        self.members = [build.connection(name, number) for number, name in enumerate("ab", start=1)]
        self.heard: tuple[list[str], list[str]] = ([], [])
        self.resets: list[tuple[str, Position]] = []
        for node, feeds, member in zip(self.nodes, self.feeds, self.members, strict=True):
            node.add(member)
            node.join(member, CHANNEL)
            feeds.follow(CHANNEL)
            feeds.on_reset = self._reset_of(node)

    def _reset_of(self, node: Node) -> Callable[[str, Position], None]:
        return lambda channel, position: self.resets.append((node.id, position))

    async def say(self, text: str, node: int = 0, key: str | None = None) -> Position:
        cue = Cue(class_id=build.ROOM, text=text, coach_name="Mia", at_ms=0, position=NOWHERE)
        return (await self.feeds[node].append(CHANNEL, "cue", cue, key or text)).position

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(WAIT_S):
            while not condition():
                for told, member in zip(self.heard, self.members, strict=True):
                    told.extend(said(member))
                await asyncio.sleep(0.005)

    async def until_heard(self, count: int) -> None:
        await self.until(lambda: all(len(told) >= count for told in self.heard))


@asynccontextmanager
async def pair() -> AsyncIterator[Pair]:
    async with open_redis() as server:
        made = Pair(server)
        loops = [
            asyncio.create_task(loop)
            for node, feeds in zip(made.nodes, made.feeds, strict=True)
            for loop in (node.run(), feeds.run())
        ]
        try:
            await made.until(lambda: all(node.ready() for node in made.nodes))
            await made.until(lambda: all(feeds.at(CHANNEL) is not None for feeds in made.feeds))
            made.resets.clear()
            yield made
        finally:
            for loop in loops:
                loop.cancel()
            await asyncio.gather(*loops, return_exceptions=True)
            await made.servers.close()


async def test_fifty_publishers_that_repeat_themselves_are_heard_once_and_in_one_order() -> None:
    async with pair() as two:
        said_by = [
            two.say(f"{number}", node=attempt % 2, key=f"key {number}")
            for number, attempt in itertools.product(range(50), range(2))
        ]
        positions = await asyncio.gather(*said_by)
        await two.until_heard(50)
        here, there = two.heard
        assert here == there
        assert sorted(here, key=int) == [str(number) for number in range(50)]
        assert len(set(positions)) == 50
        assert [feeds.statistics.repaired for feeds in two.feeds] == [0, 0], "nothing was lost, so nothing was read"


async def test_a_redis_that_is_killed_and_starts_again_empty_is_told_to_members_and_goes_on() -> None:
    async with pair() as two:
        before = await two.say("before")
        await two.until_heard(1)
        await two.server.kill()
        with pytest.raises(LogAway):
            await two.say("into the void")
        await two.server.start()
        await two.until(lambda: {node for node, _ in two.resets} == {"one", "two"})
        after = await two.say("after")
        await two.until_heard(2)
        assert two.heard == (["before", "after"], ["before", "after"])
        assert after.epoch != before.epoch
        assert all(position.epoch == after.epoch for _, position in two.resets)


async def test_a_frozen_redis_makes_an_append_fail_soon_and_loses_nothing_that_was_stored() -> None:
    async with pair() as two:
        await two.say("before")
        two.server.freeze()
        loop = asyncio.get_running_loop()
        began = loop.time()
        with pytest.raises(LogAway):
            await two.say("asked twice")
        assert loop.time() - began < 1.5
        two.server.thaw()
        for _ in range(2):
            await two.say("asked twice")
        await two.say("after")
        await two.until_heard(3)
        assert two.heard == (["before", "asked twice", "after"],) * 2
        assert two.resets == []


async def test_while_redis_is_full_nothing_is_said_and_afterwards_nothing_is_missing() -> None:
    async with pair() as two:
        await two.say("before")
        await two.server.command("CONFIG", "SET", "maxmemory", "1")
        with pytest.raises(LogAway):
            await two.say("too much")
        await two.server.command("CONFIG", "SET", "maxmemory", "0")
        await two.say("after")
        await two.until_heard(2)
        assert two.heard == (["before", "after"],) * 2
        assert two.resets == []
