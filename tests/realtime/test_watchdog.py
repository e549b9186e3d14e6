"""A node that no longer hears the others notices it, says so, and heals; one that only stood still does not cry wolf."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from realtime import peer
from realtime.broker import Broker, Deliver, InMemoryBroker, MemoryBus
from realtime.hub import Hub
from realtime.node import Node
from realtime.parcel import header_of
from realtime.peer import EVERY_NODE, Heartbeat
from realtime.redis_broker import RedisBroker
from realtime.redis_servers import RedisServers
from realtime.redis_shard import RedisShard
from realtime.watchdog import Standing
from services.kernel.clock import ManualClock
from tests.support.redis_server import RedisServer, open_redis
from tests.support.stalling_clock import StallingClock

WAIT_S = 15.0


class Ear:
    """A node, what it said of its hearing, and a hand on its ear."""

    def __init__(self, name: str, broker: Broker, clock: ManualClock) -> None:
        self.clock = StallingClock(clock)
        self.broker = broker
        self.node = Node(name, Hub(), broker, self.clock)
        self.said: list[Standing] = []
        self.node.on_standing(self.said.append)
        self._hear: Deliver = broker.deliver
        self._unheard: list[tuple[str, bytes]] = []

    def does_not_hear(self, *names: str) -> None:
        """What these nodes say is lost on the way to this one."""

        def deliver(channel: str, data: bytes) -> None:
            if header_of(data).sender not in names:
                self._hear(channel, data)

        self.broker.deliver = deliver

    def hears_all(self) -> None:
        self.broker.deliver = self._hear

    def stall(self) -> None:
        """Its loop stands still: nothing of it runs, and what is said to it waits in the socket."""
        self.clock.stall()
        self.broker.deliver = lambda channel, data: self._unheard.append((channel, data))

    def go_on(self) -> None:
        self.hears_all()
        self.clock.go_on()
        while self._unheard:
            self._hear(*self._unheard.pop(0))


class Nodes:
    """Running nodes on one bus and one clock."""

    def __init__(self, *names: str) -> None:
        self.bus, self.clock = MemoryBus(), ManualClock()
        self.ears = {name: Ear(name, InMemoryBroker(self.bus), self.clock) for name in names}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def __getitem__(self, name: str) -> Ear:
        return self.ears[name]

    def start(self) -> None:
        self._tasks = {name: asyncio.create_task(ear.node.run()) for name, ear in self.ears.items()}

    async def end(self, *names: str) -> None:
        tasks = [self._tasks[name] for name in names or self._tasks]
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)

    async def until(self, condition: Callable[[], bool], within_s: float) -> float:
        """Let time pass until something is true; how long that took. Fails when it takes longer."""
        began = self.clock.monotonic()
        while not condition():
            assert self.clock.monotonic() - began <= within_s, f"not within {within_s} s"
            await self.clock.advance(0.1)
        return self.clock.monotonic() - began

    def all_fresh(self) -> bool:
        return all(ear.node.ready() and not ear.said for ear in self.ears.values())


@asynccontextmanager
async def running(*names: str) -> AsyncIterator[Nodes]:
    nodes = Nodes(*names)
    nodes.start()
    await nodes.clock.advance(5)
    try:
        yield nodes
    finally:
        await nodes.end()


def lose_subscriptions(nodes: Nodes, name: str) -> None:
    """The carrier forgets that this node listens, and tells nobody."""
    broker = nodes[name].broker
    assert isinstance(broker, InMemoryBroker)
    for channel in tuple(broker._following):
        nodes.bus.remove(channel, broker)


async def test_nodes_that_hear_each_other_have_nothing_to_say() -> None:
    async with running("one", "two", "three") as nodes:
        await nodes.clock.advance(120)
        assert nodes.all_fresh()
        assert set(nodes["one"].node.peers()) == {"two", "three"}
        assert all(age <= 1.5 for age in nodes["one"].node.peers().values())


async def test_a_deaf_node_notices_it_within_10_s_and_heals_itself() -> None:
    async with running("one", "two") as nodes:
        one = nodes["one"]
        heard: list[str] = []
        one.node.listen(peer.WholeWanted, lambda channel, _: heard.append(channel))
        one.node.follow("room")
        await nodes.clock.advance(1)
        lose_subscriptions(nodes, "one")
        await nodes.until(lambda: not one.node.ready(), 10)
        assert one.said[-1].reason == "this node has not heard its own heartbeat for 6 s"
        assert one.node.why_not_ready() == one.said[-1].reason
        assert one.node.statistics().stale
        await nodes.until(one.node.ready, 10)
        assert [standing.fresh for standing in one.said] == [False, True]
        assert one.node.statistics().went_stale == 1
        nodes["two"].node.publish("room", peer.WholeWanted("two"))
        await nodes.clock.advance(0)
        assert heard == ["room"], "every channel is heard again, not only that of the heartbeats"
        assert nodes["two"].said == []


async def test_a_node_that_hears_itself_and_not_a_peer_that_others_hear_is_deaf_too() -> None:
    async with running("one", "two", "three") as nodes:
        one = nodes["one"]
        one.node.follow("room")
        await nodes.clock.advance(1)
        gaps: list[str] = []
        one.does_not_hear("three")
        took = await nodes.until(lambda: not one.node.ready(), 10)
        assert took > 5
        assert one.said[-1].reason == "other nodes hear three, and this one does not"
        assert not one.node.gone("three"), "others hear it: it is we who are deaf"
        await nodes.clock.advance(10)
        one.node.on_gap(gaps.extend)
        one.hears_all()
        await nodes.until(one.node.ready, 5)
        assert "room" in gaps, "what was said meanwhile is asked for"
        assert (nodes["two"].said, nodes["three"].said) == ([], [])


async def test_a_dead_node_makes_nobody_deaf_and_is_gone_within_15_s() -> None:
    async with running("one", "two", "three") as nodes:
        await nodes.end("three")
        survivors = [nodes["one"].node, nodes["two"].node]
        took = await nodes.until(lambda: all(node.gone("three") for node in survivors), 15)
        assert took > 12
        await nodes.clock.advance(30)
        assert (nodes["one"].said, nodes["two"].said) == ([], [])
        assert set(nodes["one"].node.peers()) == {"two"}
        assert not nodes["one"].node.gone("two")


async def test_a_loop_that_stands_still_for_12_s_is_forgiven_and_forgives() -> None:
    async with running("one", "two", "three") as nodes:
        one = nodes["one"]
        # The worst moment: right before its next heartbeat.
        await nodes.until(lambda: nodes["two"].node.peers()["one"] >= 1.4, 3)
        one.stall()
        for _ in range(120):
            await nodes.clock.advance(0.1)
            assert not nodes["two"].node.gone("one")
        one.go_on()
        for _ in range(100):
            assert not one.node.gone("two")
            assert not one.node.gone("three")
            await nodes.clock.advance(0.1)
        assert nodes.all_fresh()


async def test_a_node_that_dies_while_another_stands_still_is_not_kept_alive_by_it() -> None:
    async with running("one", "two", "three") as nodes:
        nodes["one"].stall()
        await nodes.end("three")
        await nodes.clock.advance(12)
        nodes["one"].go_on()
        await nodes.until(lambda: nodes["two"].node.gone("three"), 4)
        await nodes.until(lambda: nodes["one"].node.gone("three"), 16)
        assert (nodes["one"].said, nodes["two"].said) == ([], [])


async def test_a_deaf_node_judges_nobody_until_it_hears_again() -> None:
    async with running("one", "two", "three") as nodes:
        one = nodes["one"]
        one.does_not_hear("one", "two", "three")
        await nodes.clock.advance(60)
        assert not one.node.ready()
        assert not one.node.gone("two")
        one.hears_all()
        await nodes.until(one.node.ready, 5)
        await nodes.end("two")
        await nodes.until(lambda: one.node.gone("two"), 15)


async def test_what_does_not_heal_is_tried_again_ever_more_seldom() -> None:
    async with running("one", "two") as nodes:
        one = nodes["one"]
        gaps: list[str] = []
        one.node.on_gap(gaps.extend)
        one.does_not_hear("one", "two")
        await nodes.clock.advance(300)
        assert 3 <= gaps.count(EVERY_NODE) <= 9
        assert len(one.said) == 1


async def test_a_listener_at_fault_does_not_end_the_watch() -> None:
    async with running("one", "two") as nodes:
        one = nodes["one"]

        def broken(_: Standing) -> None:
            raise RuntimeError("a listener at fault")

        one.node.on_standing(broken)
        lose_subscriptions(nodes, "one")
        await nodes.until(lambda: len(one.said) == 2, 20)
        assert one.node.ready()


def test_the_heartbeat_of_an_older_node_names_nobody() -> None:
    parcel = peer.encode("old", Heartbeat("old", 7))
    assert peer.decode(header_of(parcel), parcel) == Heartbeat("old", 7, ())


@asynccontextmanager
async def on_two_servers() -> AsyncIterator[tuple[Ear, ManualClock, StallingClock, RedisServer, RedisShard]]:
    """A node that is well, the time, the clock of its carrier, and the server that does not carry the heartbeats."""
    async with open_redis() as first, open_redis() as second:
        servers, clock = RedisServers(f"{first.url},{second.url}"), ManualClock()
        carriers = StallingClock(clock)
        broker = RedisBroker(servers, carriers)
        ear = Ear("one", broker, clock)
        (address,) = set(servers.addresses) - {servers.home(EVERY_NODE)}
        other = first if RedisServers(first.url).addresses == (address,) else second
        task = asyncio.create_task(ear.node.run())
        try:
            await time_passes(clock, lambda: clock.monotonic() - ear.node.standing.since > 8 and ear.node.ready())
            yield ear, clock, carriers, other, broker._shards[address]
        finally:
            task.cancel()
            await asyncio.wait({task})
            await servers.close()


async def time_passes(clock: ManualClock, condition: Callable[[], bool], step_s: float = 0.1) -> float:
    """Let time pass, slowly enough for Redis, until something is true; how long that took."""
    began = clock.monotonic()
    async with asyncio.timeout(WAIT_S):
        while not condition():
            await clock.advance(step_s)
            await asyncio.sleep(0.03)
    return clock.monotonic() - began


async def test_a_server_without_heartbeats_is_missed_within_10_s_too() -> None:
    async with on_two_servers() as (ear, clock, _, server, shard):
        # The worst moments: right after it was heard, at each distance to the next look.
        took: list[float] = []
        for _ in range(3):
            heard = shard._probe_heard
            await time_passes(clock, lambda heard=heard: shard._probe_heard > heard)  # type: ignore[misc]
            server.freeze()
            try:
                took.append(await time_passes(clock, lambda: not ear.node.standing.fresh))
            finally:
                server.thaw()
            await time_passes(clock, lambda: ear.node.standing.fresh)
        assert 6 < min(took) <= max(took) < 9.9, took
        assert {standing.reason for standing in ear.said} == {"the carrier between nodes does not work right now", ""}


async def test_two_probes_that_are_lost_make_nobody_stale() -> None:
    async with on_two_servers() as (ear, clock, _, server, shard):
        heard = shard._probe_heard
        await time_passes(clock, lambda: shard._probe_heard > heard)
        server.freeze()
        try:
            began = clock.monotonic()
            await time_passes(clock, lambda: clock.monotonic() - began > 5)
        finally:
            server.thaw()
        await time_passes(clock, lambda: clock.monotonic() - began > 15)
        assert ear.said == []


async def test_a_loop_that_stands_still_for_12_s_does_not_take_its_own_silence_for_that_of_redis() -> None:
    async with on_two_servers() as (ear, clock, carriers, _, shard):
        heard = shard._probe_heard
        await time_passes(clock, lambda: shard._probe_heard > heard)
        carriers.stall()
        ear.stall()
        await clock.advance(12)
        carriers.go_on()
        ear.go_on()
        began = clock.monotonic()
        await time_passes(clock, lambda: clock.monotonic() - began > 5)
        assert ear.said == []


async def test_a_frozen_redis_turns_the_node_stale_within_10_s_and_it_is_fresh_after_the_thaw() -> None:
    async with open_redis() as server:
        clock = ManualClock()
        servers = RedisServers(server.url)
        ear = Ear("one", RedisBroker(servers, clock), clock)
        task = asyncio.create_task(ear.node.run())

        try:
            await time_passes(clock, ear.node.ready)
            await time_passes(clock, lambda: ear.node.statistics().own_heartbeat_s < 1)
            server.freeze()
            try:
                assert await time_passes(clock, lambda: bool(ear.said)) <= 10
                assert not ear.node.ready()
            finally:
                server.thaw()
            await time_passes(clock, ear.node.ready)
            assert [standing.fresh for standing in ear.said] == [False, True]
        finally:
            task.cancel()
            await asyncio.wait({task})
            await servers.close()
