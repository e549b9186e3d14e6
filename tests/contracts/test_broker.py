"""What every broker promises, on every broker; and what Redis may do to the one that runs on it."""

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

import pytest
import structlog

from realtime.broker import Broker, InMemoryBroker, MemoryBus, Waiting
from realtime.redis_broker import RedisBroker
from realtime.redis_servers import RedisServers
from realtime.redis_shard import RedisShard
from services.kernel.clock import Clock, ManualClock, SystemClock
from tests.support.redis_cluster import open_cluster
from tests.support.redis_server import RedisServer, open_redis

WAIT_S = 15.0


@dataclass
class Ear:
    """A running broker, and what it has delivered."""

    broker: Broker
    heard: list[tuple[str, bytes]] = field(default_factory=list)
    gaps: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.broker.deliver = lambda channel, data: self.heard.append((channel, data))
        self.broker.on_gap = self.gaps.extend

    async def follow(self, channel: str) -> None:
        """Follow a channel and wait until it is heard."""
        before = self.gaps.count(channel)
        self.broker.follow(channel)
        await until(lambda: self.gaps.count(channel) > before)


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop run until something is true. Raises `TimeoutError`."""
    async with asyncio.timeout(WAIT_S):
        while not condition():
            await asyncio.sleep(0.005)


@asynccontextmanager
async def running(*ears: Ear) -> AsyncIterator[None]:
    loops = [asyncio.create_task(ear.broker.run()) for ear in ears]
    try:
        await until(lambda: all(ear.broker.healthy() for ear in ears))
        yield
    finally:
        for loop in loops:
            loop.cancel()
        await ended(*loops)


async def ended(*loops: "asyncio.Task[None]") -> None:
    """Wait until brokers that were cancelled have ended, and ended as cancelled."""
    _, going = await asyncio.wait(loops, timeout=WAIT_S)
    assert not going, "a broker goes on after it was cancelled"
    assert all(loop.cancelled() for loop in loops), [loop.exception() for loop in loops if not loop.cancelled()]


@pytest.fixture(params=["memory", "redis", "shards", "cluster"])
async def ears(request: pytest.FixtureRequest) -> AsyncIterator[tuple[Ear, Ear]]:
    """Two brokers that hear each other."""
    async with AsyncExitStack() as stack:
        if request.param == "memory":
            bus = MemoryBus()
            pair = Ear(InMemoryBroker(bus)), Ear(InMemoryBroker(bus))
        else:
            url = await opened(stack, request.param)
            pair = await stack.enter_async_context(ear(url)), await stack.enter_async_context(ear(url))
        async with running(*pair):
            yield pair


async def opened(stack: AsyncExitStack, kind: str) -> str:
    """Start the servers; their URL."""
    if kind == "cluster":
        return (await stack.enter_async_context(open_cluster())).url
    servers = [await stack.enter_async_context(open_redis()) for _ in range(2 if kind == "shards" else 1)]
    return ",".join(server.url for server in servers)


@asynccontextmanager
async def ear(url: str, clock: Clock | None = None) -> AsyncIterator[Ear]:
    servers = RedisServers(url)
    try:
        yield Ear(RedisBroker(servers, clock or SystemClock()))
    finally:
        await servers.close()


@asynccontextmanager
async def two_ears(url: str) -> AsyncIterator[tuple[Ear, Ear]]:
    """Two brokers that run and hear each other."""
    async with ear(url) as one, ear(url) as two, running(one, two):
        yield one, two


# -- the promises -----------------------------------------------------------------------------------------------------


async def test_what_is_published_is_heard_by_whoever_follows_in_order(ears: tuple[Ear, Ear]) -> None:
    one, two = ears
    await one.follow("room")
    await two.follow("room")
    said = [("room", b"%d" % n) for n in range(500)]
    for channel, data in said:
        one.broker.publish(channel, data)
    await until(lambda: len(two.heard) == len(one.heard) == 500)
    assert two.heard == one.heard == said


async def test_channels_that_are_not_followed_are_not_heard(ears: tuple[Ear, Ear]) -> None:
    one, two = ears
    await two.follow("room")
    one.broker.publish("other", b"x")
    one.broker.publish("room", b"y")
    await until(lambda: two.heard != [])
    assert two.heard == [("room", b"y")]


async def test_after_unfollowing_nothing_is_heard_and_following_again_works(ears: tuple[Ear, Ear]) -> None:
    one, two = ears
    await two.follow("room")
    await two.follow("marker")
    two.broker.unfollow("room")
    one.broker.publish("room", b"late")
    one.broker.publish("marker", b"m")
    await until(lambda: two.heard != [])
    assert two.heard == [("marker", b"m")]
    await two.follow("room")
    one.broker.publish("room", b"again")
    await until(lambda: len(two.heard) == 2)
    assert two.heard[1] == ("room", b"again")


async def test_each_beginning_to_hear_is_told_as_a_gap(ears: tuple[Ear, Ear]) -> None:
    one, _ = ears
    await one.follow("a")
    await one.follow("b")
    assert one.gaps == ["a", "b"]


async def test_many_channels_can_be_followed_at_once(ears: tuple[Ear, Ear]) -> None:
    one, two = ears
    names = [f"room:{n}" for n in range(1_500)]
    for name in names:
        two.broker.follow(name)
    await until(lambda: len(two.gaps) == len(names))
    for name in names:
        one.broker.publish(name, b"x")
    await until(lambda: len(two.heard) == len(names))
    assert two.broker.statistics().following == len(names)


async def test_flapping_ends_where_it_was_left(ears: tuple[Ear, Ear]) -> None:
    one, two = ears
    for _ in range(50):
        two.broker.follow("room")
        two.broker.unfollow("room")
    two.broker.follow("kept")
    two.broker.unfollow("kept")
    two.broker.follow("kept")
    await until(lambda: "kept" in two.gaps)
    one.broker.publish("room", b"x")
    one.broker.publish("kept", b"y")
    await until(lambda: two.heard != [])
    assert two.heard == [("kept", b"y")]


async def test_a_receiver_at_fault_does_not_stop_the_carrier(ears: tuple[Ear, Ear]) -> None:
    one, two = ears
    await two.follow("room")
    keep = two.broker.deliver

    def broken(channel: str, data: bytes) -> None:
        keep(channel, data)
        raise RuntimeError("a receiver at fault")

    two.broker.deliver = broken
    for _ in range(3):
        one.broker.publish("room", b"x")
    await until(lambda: len(two.heard) == 3)


async def test_statistics_count_what_was_carried(ears: tuple[Ear, Ear]) -> None:
    one, two = ears
    await two.follow("room")
    before = one.broker.statistics().published
    one.broker.publish("room", b"x")
    await until(lambda: two.broker.statistics().delivered == 1)
    await until(lambda: one.broker.statistics().published >= before + 1)
    assert one.broker.statistics().dropped == 0
    assert one.broker.statistics().healthy


def test_a_full_queue_drops_the_oldest_and_counts() -> None:
    waiting = Waiting(limit=3, limit_bytes=10)
    for n in range(5):
        waiting.put(float(n), "c", b"%d" % n)
    assert waiting.dropped == 2
    waiting.put(5.0, "c", b"x" * 9)
    assert waiting.take(10, 100, not_before=5.0) == [(5.0, "c", b"x" * 9)]
    assert (waiting.dropped, len(waiting)) == (5, 0)


# -- Redis on a bad day -----------------------------------------------------------------------------------------------


async def test_a_killed_redis_heals_and_the_gap_is_told() -> None:
    async with open_redis() as server, two_ears(server.url) as (one, two):
        await two.follow("room")
        await server.kill()
        await server.start()
        await until(lambda: two.gaps.count("room") == 2)
        await until(lambda: said_and_heard(one, two))
        assert two.broker.statistics().reconnects >= 1


def said_and_heard(one: Ear, two: Ear, channel: str = "room") -> bool:
    one.broker.publish(channel, b"back")
    return (channel, b"back") in two.heard


async def test_what_waits_longer_than_two_seconds_for_redis_is_dropped_and_counted() -> None:
    clock = ManualClock()
    async with open_redis() as server, ear(server.url, clock) as one, running(one):
        await one.follow("room")
        await server.kill()
        await until(lambda: not speaks(one))
        one.broker.publish("room", b"into the void")
        for _ in range(3):
            await clock.advance(1)
        assert one.broker.statistics().dropped >= 1
        await server.start()
        await passing(clock, lambda: said_and_heard(one, one))
        assert b"into the void" not in [data for _, data in one.heard]


def speaks(one: Ear) -> bool:
    return any(shard.speaker.line is not None for shard in shards_of(one))


async def test_a_frozen_redis_blocks_nobody_and_turns_the_broker_unhealthy_until_it_thaws() -> None:
    clock = ManualClock()
    async with open_redis() as server, ear(server.url, clock) as one, running(one):
        await one.follow("room")
        server.freeze()
        try:
            for n in range(20_000):
                one.broker.publish("room", b"%d" % n)
                one.broker.follow(f"more:{n % 50}")
            assert one.broker.statistics().waiting <= 10_000
            for _ in range(11):
                await clock.advance(1)
            assert not one.broker.healthy()
        finally:
            server.thaw()
        await passing(clock, one.broker.healthy)
        assert one.broker.statistics().dropped >= 10_000
        one.broker.follow("after")
        await passing(clock, lambda: "after" in one.gaps)


async def passing(clock: ManualClock, condition: Callable[[], bool]) -> float:
    """Let time pass until something is true; how many seconds that were. Raises `TimeoutError`."""
    began = clock.monotonic()
    async with asyncio.timeout(WAIT_S):
        while not condition():
            await clock.advance(0.5)
            await asyncio.sleep(0.01)
    return clock.monotonic() - began


async def test_messages_that_redis_does_not_answer_in_time_are_counted_and_not_said_again() -> None:
    async with open_redis() as server, two_ears(server.url) as (one, two):
        await two.follow("room")
        server.freeze()
        try:
            for n in range(100):
                one.broker.publish("room", b"%d" % n)
            await until(lambda: one.broker.statistics().dropped >= 100)
        finally:
            server.thaw()
        await until(lambda: said_and_heard(one, two))
        # Redis had them in its buffer and may say them when it thaws; nobody says them twice.
        assert max(Counter(data for _, data in two.heard if data != b"back").values(), default=0) <= 1


async def test_a_subscriber_that_is_thrown_out_subscribes_again() -> None:
    async with open_redis() as server, two_ears(server.url) as (one, two):
        await two.follow("room")
        assert (await server.command("CLIENT", "KILL", "TYPE", "pubsub")).startswith(":")
        await until(lambda: two.gaps.count("room") == 2)
        await until(lambda: said_and_heard(one, two))


async def test_a_deaf_subscriber_is_noticed_and_heals_itself() -> None:
    # Deafness: the connection is fine, and Redis no longer counts it as a subscriber.
    clock = ManualClock()
    async with open_redis() as server, ear(server.url, clock) as one, running(one):
        await one.follow("room")
        (shard,) = shards_of(one)
        line = shard.listener.line
        assert line is not None
        line._transport.write(b"RESET\r\n")  # type: ignore[union-attr]
        async with asyncio.timeout(WAIT_S):
            while await server.command("PUBSUB", "CHANNELS") != "*0":
                await asyncio.sleep(0.01)
        assert await passing(clock, lambda: one.gaps.count("room") == 2) <= 10
        await until(lambda: said_and_heard(one, one))


def shards_of(one: Ear) -> tuple[RedisShard, ...]:
    assert isinstance(one.broker, RedisBroker)
    return tuple(one.broker._shards.values())


@pytest.mark.parametrize("said", ["nonsense", "-1", "9" * 40, "0"])
async def test_what_others_say_where_a_broker_speaks_to_itself_is_no_probe(said: str) -> None:
    clock = ManualClock()
    async with open_redis() as server, ear(server.url, clock) as one, running(one):
        await one.follow("room")
        (shard,) = shards_of(one)
        heard = shard._probe_heard
        await clock.advance(0.5)
        await server.command("PUBLISH", f"paceline:{{{shard.probe}}}", said)
        await until(lambda: said_and_heard(one, one))
        assert shard._probe_heard == heard
        await passing(clock, lambda: shard._probe_heard > heard)


async def test_a_refused_message_is_counted_and_the_others_go_on() -> None:
    async with open_redis() as server:
        await server.command("ACL", "SETUSER", "default", "resetchannels", "&paceline:{probe*", "&paceline:{room}")
        async with two_ears(server.url) as (one, two):
            await two.follow("room")
            one.broker.publish("secret", b"x")
            one.broker.publish("room", b"y")
            await until(lambda: two.heard == [("room", b"y")])
            await until(lambda: one.broker.statistics().dropped == 1)
            assert one.broker.statistics().reconnects == 0


async def test_a_refused_subscription_is_asked_for_again() -> None:
    clock = ManualClock()
    async with open_redis() as server:
        await server.command("ACL", "SETUSER", "default", "resetchannels", "&paceline:{probe*")
        async with ear(server.url, clock) as one, running(one):
            with structlog.testing.capture_logs() as lines:
                one.broker.follow("room")
                await until(lambda: any(line["event"] == "broker.subscription_refused" for line in lines))
            await server.command("ACL", "SETUSER", "default", "allchannels")
            await clock.advance(2)
            await until(lambda: one.gaps == ["room"])


async def test_however_often_redis_goes_no_client_stays_open() -> None:
    async with open_redis() as server:
        async with ear(server.url) as one, running(one):
            for _ in range(5):
                before = one.broker.statistics().reconnects
                await server.command("CLIENT", "KILL", "TYPE", "pubsub")
                await server.command("CLIENT", "KILL", "TYPE", "normal")
                await until(lambda before=before: one.broker.statistics().reconnects > before)  # type: ignore[misc]
                gaps = len(one.gaps)
                one.broker.follow(f"room:{gaps}")
                await until(lambda gaps=gaps: len(one.gaps) > gaps)  # type: ignore[misc]
            clients = await clients_of(server)
            assert clients <= 3, clients
        await until_clients(server, 1)


async def clients_of(server: RedisServer) -> int:
    """Connections that Redis has, the one that asks included."""
    async with asyncio.timeout(WAIT_S):
        reader, writer = await asyncio.open_unix_connection(server.socket)
        writer.write(b"CLIENT LIST\r\n")
        size = int((await reader.readline())[1:])
        listed = await reader.readexactly(size)
        writer.close()
    return listed.count(b"\n")


async def until_clients(server: RedisServer, count: int) -> None:
    async with asyncio.timeout(WAIT_S):
        while await clients_of(server) > count:
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("when", ["opening", "open"])
async def test_it_ends_when_it_is_cancelled_while_redis_answers_nothing(when: str) -> None:
    async with open_redis() as server, ear(server.url) as one:
        loop = asyncio.create_task(one.broker.run())
        if when == "open":
            await until(one.broker.healthy)
        server.freeze()
        try:
            one.broker.publish("room", b"x")
            one.broker.follow("room")
            await asyncio.sleep(0)
            loop.cancel()
            loop.cancel()
            await ended(loop)
        finally:
            server.thaw()
        await until_clients(server, 1)


# -- several servers ------------------------------------------------------------------------------------------------


def channel_at(servers: RedisServers, place: int) -> str:
    """A channel whose home is the server of that place in the list."""
    names = (f"room:{n}" for n in itertools.count())
    return next(name for name in names if servers.home(name) == servers.addresses[place])


async def test_the_trouble_of_one_shard_leaves_the_channels_of_the_others_alone() -> None:
    async with open_redis() as well, open_redis() as ill:
        servers = RedisServers(f"{well.url},{ill.url}")
        here, there = channel_at(servers, 0), channel_at(servers, 1)
        await servers.close()
        # The same servers in another order are the same homes.
        async with ear(f"{well.url},{ill.url}") as one, ear(f"{ill.url},{well.url}") as two, running(one, two):
            await two.follow(here)
            await two.follow(there)
            await ill.kill()
            one.broker.publish(there, b"lost")
            for n in range(200):
                one.broker.publish(here, b"%d" % n)
            await until(lambda: len(two.heard) == 200)
            assert two.gaps == [here, there]
            await ill.start()
            await until(lambda: two.gaps == [here, there, there])
            await until(lambda: said_and_heard(one, two, there))


async def test_one_shard_that_is_not_heard_makes_the_whole_unhealthy() -> None:
    clock = ManualClock()
    async with open_redis() as well, open_redis() as ill, ear(f"{well.url},{ill.url}", clock) as one, running(one):
        await ill.kill()
        for _ in range(22):
            await clock.advance(0.5)
            await asyncio.sleep(0.01)
        assert not one.broker.healthy()
        assert sorted(shard.healthy() for shard in shards_of(one)) == [False, True]
        await ill.start()
        await passing(clock, one.broker.healthy)


# -- a cluster ------------------------------------------------------------------------------------------------------


@dataclass
class Story:
    """Numbered messages said one after another, and what was heard of them, with the gaps where they were told."""

    one: Ear
    two: Ear
    told: list[int | None] = field(default_factory=list)
    said: int = 0

    def __post_init__(self) -> None:
        self.two.broker.deliver = lambda _, data: self.told.append(int(data))
        self.two.broker.on_gap = lambda _: self.told.append(None)

    async def tell(self) -> None:
        while True:
            self.one.broker.publish("room", b"%d" % self.said)
            self.said += 1
            await asyncio.sleep(0.001)

    async def until_more(self) -> None:
        """Wait until something is heard that was said after now."""
        now = self.said
        await until(lambda: any(number is not None and number > now for number in self.told))

    def silently_lost(self) -> set[int]:
        """What was not heard although nothing told of a gap between its neighbours."""
        lost: set[int] = set()
        before: int | None = None
        for number in self.told:
            if number is not None and before is not None:
                lost |= set(range(before + 1, number))
            before = number
        return lost


async def test_a_slot_that_moves_while_messages_flow_loses_nothing_silently_and_says_nothing_twice() -> None:
    async with open_cluster() as cluster, two_ears(cluster.url) as (one, two):
        story = Story(one, two)
        two.broker.follow("room")
        await until(lambda: story.told == [None])
        telling = asyncio.create_task(story.tell())
        for moves in (1, 2, 3):
            await story.until_more()
            await cluster.move(b"paceline:{room}")
            await until(lambda moves=moves: story.told.count(None) > moves)  # type: ignore[misc]
        await story.until_more()
        telling.cancel()
        await asyncio.wait([telling])
        heard = [number for number in story.told if number is not None]
        assert story.silently_lost() == set()
        assert len(set(heard)) == len(heard)
        assert one.broker.statistics().dropped == 0
        assert story.said - len(heard) < 1_000, "moving a slot costs more than a moment"


async def test_a_master_that_is_killed_and_comes_back_is_followed_again_and_the_others_go_on() -> None:
    async with open_cluster() as cluster, two_ears(cluster.url) as (one, two):
        home = await cluster.home(b"paceline:{room}")
        names = (f"elsewhere:{n}" for n in itertools.count())
        while await cluster.home(f"paceline:{{{(elsewhere := next(names))}}}".encode()) is home:
            pass
        await two.follow("room")
        await two.follow(elsewhere)
        await home.kill()
        one.broker.publish("room", b"lost")
        await until(lambda: said_and_heard(one, two, elsewhere))
        await home.start()
        await until(lambda: two.gaps.count("room") == 2)
        await until(lambda: said_and_heard(one, two))
        assert two.gaps.count(elsewhere) == 1
        await until(lambda: one.broker.healthy() and two.broker.healthy())


async def test_what_is_said_before_the_cluster_is_known_is_said_when_it_is() -> None:
    async with open_cluster() as cluster, ear(cluster.url) as one:
        one.broker.follow("room")
        one.broker.publish("other", b"early")
        assert one.broker.statistics().waiting == 1
        async with running(one):
            await until(lambda: one.gaps == ["room"])
            await until(lambda: one.broker.statistics().waiting == 0)
            assert one.broker.statistics().dropped == 0
