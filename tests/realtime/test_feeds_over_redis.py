"""Two nodes and one Redis in one process: one order for everybody, nothing twice, and the truth when Redis loses it all."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from redis.asyncio import Redis

from realtime.broker import MemoryBus
from realtime.codec import event_frame
from realtime.feeds import CHECK_EVERY_S, Feeds
from realtime.hub import Hub
from realtime.node import Node
from realtime.parcel import encode_frame
from realtime.position import NOWHERE, TAIL_BYTES, Position, head
from realtime.redis_broker import RedisBroker
from realtime.redis_commands import RedisCommands
from realtime.redis_room_log import RedisRoomLog
from realtime.redis_servers import RedisServers
from realtime.room_log import Entry, LogAway
from realtime.wire import Cue
from services.kernel.clock import ManualClock, SystemClock
from tests.realtime import build
from tests.realtime.test_feeds import CHANNEL, said
from tests.support.proxy import open_proxy
from tests.support.redis_cluster import open_cluster
from tests.support.redis_server import RedisServer, open_redis
from tests.support.server import free_port

WAIT_S = 15.0
CUE = Cue(class_id=build.ROOM, text="up", coach_name="Mia", at_ms=0, position=NOWHERE)
HEAD = head(encode_frame("worker", event_frame("cue", CUE), open_end=TAIL_BYTES))


class Pair:
    """Two nodes with one member each in the room."""

    def __init__(self, url: str) -> None:
        clock = SystemClock()
        self.servers = [RedisServers(url) for _ in range(2)]
        brokers = [RedisBroker(servers, clock) for servers in self.servers]
        self.nodes = [Node(name, Hub(), broker, clock) for name, broker in zip(("one", "two"), brokers, strict=True)]
        self.feeds = [
            Feeds(node, RedisRoomLog(RedisCommands(servers)), clock)
            for node, servers in zip(self.nodes, self.servers, strict=True)
        ]
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

    async def say_until_said(self, text: str, node: int = 0) -> Position:
        """Say it, again with the same key as long as the log does not take it."""
        async with asyncio.timeout(WAIT_S):
            while True:
                try:
                    return await self.say(text, node)
                except LogAway:
                    await asyncio.sleep(0.01)

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(WAIT_S):
            while not condition():
                for told, member in zip(self.heard, self.members, strict=True):
                    told.extend(said(member))
                await asyncio.sleep(0.005)

    async def until_heard(self, count: int) -> None:
        await self.until(lambda: all(len(told) >= count for told in self.heard))


@asynccontextmanager
async def pair(url: str) -> AsyncIterator[Pair]:
    made = Pair(url)
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
        for servers in made.servers:
            await servers.close()


async def test_fifty_publishers_that_repeat_themselves_are_heard_once_and_in_one_order() -> None:
    async with open_redis() as server, pair(server.url) as two:
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
    async with open_redis() as server, pair(server.url) as two:
        before = await two.say("before")
        await two.until_heard(1)
        await server.kill()
        with pytest.raises(LogAway):
            await two.say("into the void")
        await server.start()
        await two.until(lambda: {node for node, _ in two.resets} == {"one", "two"})
        after = await two.say("after")
        await two.until_heard(2)
        assert two.heard == (["before", "after"], ["before", "after"])
        assert after.epoch != before.epoch
        assert all(position.epoch == after.epoch for _, position in two.resets)


async def test_a_frozen_redis_makes_an_append_fail_soon_and_loses_nothing_that_was_stored() -> None:
    async with open_redis() as server, pair(server.url) as two:
        await two.say("before")
        server.freeze()
        loop = asyncio.get_running_loop()
        began = loop.time()
        with pytest.raises(LogAway):
            await two.say("asked twice")
        assert loop.time() - began < 1.5
        server.thaw()
        for _ in range(2):
            await two.say("asked twice")
        await two.say("after")
        await two.until_heard(3)
        assert two.heard == (["before", "asked twice", "after"],) * 2
        assert two.resets == []


async def test_while_redis_is_full_nothing_is_said_and_afterwards_nothing_is_missing() -> None:
    async with open_redis() as server, pair(server.url) as two:
        await two.say("before")
        await server.command("CONFIG", "SET", "maxmemory", "1")
        with pytest.raises(LogAway):
            await two.say("too much")
        await server.command("CONFIG", "SET", "maxmemory", "0")
        await two.say("after")
        await two.until_heard(2)
        assert two.heard == (["before", "after"],) * 2
        assert two.resets == []


@pytest.mark.parametrize("said_after", [1, 2, 3])
async def test_a_copy_that_lagged_and_takes_over_is_told_to_members_though_a_worker_speaks_first(
    said_after: int,
) -> None:
    port = free_port()
    async with open_redis("--bind", "127.0.0.1", "--port", f"{port}") as primary, open_redis() as copy:
        await copy.command("REPLICAOF", "127.0.0.1", f"{port}")
        await until_it_follows(copy)
        async with open_proxy(primary.socket) as network, pair(f"redis://127.0.0.1:{network.port}/0") as two:
            kept = await two.say("kept")
            await until_it_has(copy, kept)
            await copy.command("REPLICAOF", "NO", "ONE")
            await two.say("lost")
            lost = await two.say("lost too")
            await two.until_heard(3)
            assert lost.epoch == kept.epoch
            network.upstream = copy.socket
            network.cut()
            after = await of_a_worker(copy, said_after)
            assert after.offset == said_after
            await two.until(lambda: {node for node, _ in two.resets} == {"one", "two"})
            assert all(position == Position(after.epoch, 0) for _, position in two.resets)
            assert after.epoch != lost.epoch
            assert await two.feeds[0].missed(CHANNEL, lost) is None
            await two.until_heard(3 + said_after)
            assert [heard.count("up") for heard in two.heard] == [said_after, said_after]


async def test_what_is_said_first_after_a_restart_from_disk_is_heard_once_though_nothing_was_lost() -> None:
    async with open_redis() as server, pair(server.url) as two:
        await two.say("before")
        await two.until_heard(1)
        await server.command("SAVE")
        await server.kill()
        await server.start()
        first = await two.say_until_said("first")
        await two.until_heard(2)
        await two.say("and on")
        await two.until_heard(3)
        assert two.heard == (["before", "first", "and on"],) * 2
        assert sorted(two.resets, key=str) == [(node, Position(first.epoch, 0)) for node in ("one", "two")]


async def until_it_follows(copy: RedisServer) -> None:
    async with asyncio.timeout(WAIT_S), Redis(unix_socket_path=str(copy.socket)) as client:
        while (await client.info("replication"))["master_link_status"] != "up":
            await asyncio.sleep(0.01)


async def until_it_has(copy: RedisServer, position: Position) -> None:
    servers = RedisServers(copy.url)
    async with asyncio.timeout(WAIT_S):
        while await servers.client(CHANNEL).hget(servers.key(CHANNEL, "meta"), "o") != b"%d" % position.offset:
            await asyncio.sleep(0.01)
    await servers.close()


async def of_a_worker(server: RedisServer, count: int, channel: str = CHANNEL) -> Position:
    """Say so much into a room's log without following it; the position of the last."""
    servers = RedisServers(server.url)
    log = RedisRoomLog(RedisCommands(servers))
    for number in range(count):
        (appended,) = await build.appended(log, channel, [Entry(HEAD, f"{number}")])
    await servers.close()
    return appended.position


async def test_a_server_that_is_away_keeps_no_other_servers_feeds_from_being_checked() -> None:
    clock = ManualClock()
    async with open_redis() as one, open_redis() as two:
        servers = RedisServers(f"{one.url},{two.url}")
        feeds = Feeds(build.node("deaf", MemoryBus(), clock), RedisRoomLog(RedisCommands(servers)), clock)
        gone, there = (
            next(f"room:{n}" for n in range(99) if servers.home(f"room:{n}").path == str(server.socket))
            for server in (one, two)
        )
        living = asyncio.create_task(feeds.run())
        try:
            for channel in (gone, there):
                feeds.follow(channel)
            async with asyncio.timeout(WAIT_S):
                while feeds.at(gone) is None or feeds.at(there) is None:
                    await asyncio.sleep(0.005)
                await one.kill()
                said = await of_a_worker(two, 1, there)
                while feeds.at(there) != said:
                    await clock.advance(CHECK_EVERY_S)
                    await asyncio.sleep(0.05)
            assert not living.done()
        finally:
            living.cancel()
            await asyncio.gather(living, return_exceptions=True)
            await servers.close()


# -- a cluster ------------------------------------------------------------------------------------------------------


class Talk:
    """Two people who talk, each on a node, until they are asked to stop. What the log did not take they say again, with the same
    key, as clients do."""

    def __init__(self, pair: Pair) -> None:
        self.said: tuple[list[str], list[str]] = ([], [])
        self._pair = pair
        self._over = False

    async def talk(self, node: int) -> None:
        while not self._over:
            text = f"{node}.{len(self.said[node])}"
            await self._pair.say_until_said(text, node)
            self.said[node].append(text)

    async def until_more(self) -> None:
        """Until both have got something said that they began after now."""
        before = [len(said) for said in self.said]
        await self._pair.until(lambda: all(len(said) > was + 2 for said, was in zip(self.said, before, strict=True)))

    def stop(self) -> None:
        self._over = True


async def test_a_slot_that_moves_while_people_talk_loses_and_repeats_nothing() -> None:
    async with open_cluster() as cluster, pair(cluster.url) as two:
        talk = Talk(two)
        async with asyncio.TaskGroup() as group:
            for node in (0, 1):
                group.create_task(talk.talk(node))
            for _ in range(3):
                await talk.until_more()
                await cluster.move(two.servers[0].name(CHANNEL).encode())
            await talk.until_more()
            talk.stop()
        count = sum(len(said) for said in talk.said)
        await two.until_heard(count)
        here, there = two.heard
        assert here == there
        assert len(here) == count
        for node, said_there in enumerate(talk.said):
            assert [text for text in here if text.startswith(f"{node}.")] == said_there
        assert two.resets == [], "the log moved with its slot, so nobody is told to start again"


async def test_a_master_that_is_killed_takes_its_logs_along_and_members_are_told() -> None:
    async with open_cluster() as cluster, pair(cluster.url) as two:
        await two.say("before")
        await two.until_heard(1)
        home = await cluster.home(two.servers[0].name(CHANNEL).encode())
        await home.kill()
        with pytest.raises(LogAway):
            await two.say("into the void")
        await home.start()
        await cluster.until_whole()
        await two.until(lambda: {node for node, _ in two.resets} == {"one", "two"})
        after = await two.say_until_said("after")
        await two.until_heard(2)
        assert [heard[-1] for heard in two.heard] == ["after", "after"]
        assert all(position.epoch == after.epoch for _, position in two.resets)


@pytest.mark.parametrize("starts_again", [False, True])
async def test_a_copy_that_takes_over_in_a_cluster_is_told_to_members_and_begins_another_epoch(
    starts_again: bool,
) -> None:
    async with open_cluster() as cluster:
        home = await cluster.home(f"paceline:{{{CHANNEL}}}".encode())
        copy = await cluster.copy_of(home)
        await copy.command("CONFIG", "SET", "appendonly", "yes")
        async with pair(cluster.url) as two:
            before = await two.say("before")
            await two.until_heard(1)
            await home.until_copied()
            await home.kill()
            await copy.command("CLUSTER", "FAILOVER", "TAKEOVER")
            if starts_again:
                await copy.kill()
                await copy.start("--appendonly", "yes")
            after = await two.say_until_said("after")
            assert after.epoch != before.epoch
            await two.until_heard(2)
            assert two.heard == (["before", "after"],) * 2
            assert {node for node, _ in two.resets} == {"one", "two"}
            assert (await two.say_until_said("and on")).follows(after)


@pytest.mark.parametrize("comes_back", [False, True])
async def test_a_copy_that_lagged_took_over_and_started_again_gives_no_position_of_the_cluster_twice(
    comes_back: bool,
) -> None:
    async with open_cluster() as cluster:
        home = await cluster.home(f"paceline:{{{CHANNEL}}}".encode())
        copy = await cluster.copy_of(home)
        await copy.command("CONFIG", "SET", "appendonly", "yes")
        servers = RedisServers(cluster.url)
        log = RedisRoomLog(RedisCommands(servers))
        (kept,) = await build.appended(log, CHANNEL, [Entry(HEAD, "kept")])
        await home.until_copied()
        copy.freeze()
        await home.command("CLIENT", "KILL", "TYPE", "replica")
        lost = await build.appended(log, CHANNEL, [Entry(HEAD, f"lost {number}") for number in range(2)])
        assert [one.position.offset for one in lost] == [2, 3]
        await home.kill()
        copy.thaw()
        await copy.command("CLUSTER", "FAILOVER", "TAKEOVER")
        assert await copy.command("HGET", servers.key(CHANNEL, "meta"), "o") == b"1"
        await copy.kill()
        await copy.start("--appendonly", "yes")
        if comes_back:
            await home.start()
        async with asyncio.timeout(WAIT_S):
            after = None
            while after is None:
                with contextlib.suppress(LogAway):
                    (after,) = await build.appended(log, CHANNEL, [Entry(HEAD, "after")])
        assert (after.position.offset, after.position.epoch != kept.position.epoch) == (1, True)
        await servers.close()


async def test_a_master_that_started_again_with_less_and_gave_its_slot_away_gives_no_position_twice() -> None:
    async with open_cluster() as cluster:
        servers = RedisServers(cluster.url)
        log = RedisRoomLog(RedisCommands(servers))
        name = servers.name(CHANNEL).encode()
        home = await cluster.home(name)
        (kept,) = await build.appended(log, CHANNEL, [Entry(HEAD, "kept")])
        await home.command("SAVE")
        await build.appended(log, CHANNEL, [Entry(HEAD, "lost")])
        await home.kill()
        await home.start()
        await cluster.until_whole()
        async with asyncio.timeout(WAIT_S):
            while isinstance((await log.tops((CHANNEL,)))[CHANNEL], LogAway):
                await asyncio.sleep(0.01)
        await cluster.move(name)
        (after,) = await build.appended(log, CHANNEL, [Entry(HEAD, "after")])
        assert (after.position.offset, after.position.epoch != kept.position.epoch) == (1, True)
        await servers.close()


async def test_a_frozen_master_holds_up_no_question_for_the_ends_of_the_others_logs() -> None:
    async with open_cluster() as cluster:
        servers = RedisServers(cluster.url)
        log = RedisRoomLog(RedisCommands(servers))
        channels = [f"room:{number}" for number in range(160)]
        assert not any(isinstance(top, LogAway) for top in (await log.tops(channels)).values())
        frozen = await cluster.home(servers.name(channels[0]).encode())
        held_up = [channel for channel in channels if await cluster.home(servers.name(channel).encode()) is frozen]
        frozen.freeze()
        loop = asyncio.get_running_loop()
        try:
            for _ in range(2):
                began = loop.time()
                tops = await log.tops(channels)
                # As long as one time-out, and one more for whoever learns from it who has which slot. One by one it was over 7 s.
                assert loop.time() - began < 2.0
                assert [channel for channel, top in tops.items() if isinstance(top, LogAway)] == held_up
        finally:
            frozen.thaw()
            await servers.close()
