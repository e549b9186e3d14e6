"""What every broker promises, on every broker; and what Redis may do to the one that runs on it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from redis.asyncio.client import Pipeline, PubSub

from realtime import redis_broker
from realtime.broker import Broker, InMemoryBroker, MemoryBus, Waiting
from realtime.redis_broker import RedisBroker
from services.kernel.clock import Clock, ManualClock, SystemClock
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


@pytest.fixture(params=["memory", "redis"])
async def ears(request: pytest.FixtureRequest) -> AsyncIterator[tuple[Ear, Ear]]:
    """Two brokers that hear each other."""
    if request.param == "memory":
        bus = MemoryBus()
        pair = Ear(InMemoryBroker(bus)), Ear(InMemoryBroker(bus))
        async with running(*pair):
            yield pair
        return
    async with open_redis() as server:
        pair = ear(server), ear(server)
        async with running(*pair):
            yield pair


def ear(server: RedisServer, clock: Clock | None = None) -> Ear:
    return Ear(RedisBroker(server.url, clock or SystemClock()))


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
    assert waiting.take(10, 100, not_before=5.0) == [("c", b"x" * 9)]
    assert (waiting.dropped, len(waiting)) == (5, 0)


# -- Redis on a bad day -----------------------------------------------------------------------------------------------


async def test_a_killed_redis_heals_and_the_gap_is_told() -> None:
    async with open_redis() as server:
        one, two = ear(server), ear(server)
        async with running(one, two):
            await two.follow("room")
            await server.kill()
            one.broker.publish("room", b"into the void")
            await until(lambda: one.broker.statistics().dropped > 0)
            await server.start()
            await until(lambda: two.gaps.count("room") == 2)
            await until(lambda: said_and_heard(one, two))
            assert b"into the void" not in [data for _, data in two.heard]
            assert two.broker.statistics().reconnects >= 1


def said_and_heard(one: Ear, two: Ear) -> bool:
    one.broker.publish("room", b"back")
    return ("room", b"back") in two.heard


async def test_a_frozen_redis_blocks_nobody_and_turns_the_broker_unhealthy_until_it_thaws() -> None:
    async with open_redis() as server:
        clock = ManualClock()
        one = ear(server, clock)
        async with running(one):
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

            async def time_goes_on() -> None:
                while not one.broker.healthy():
                    await clock.advance(0.5)
                    await asyncio.sleep(0.01)

            await asyncio.wait_for(time_goes_on(), WAIT_S)
            await one.follow("after")


async def test_a_subscriber_that_is_thrown_out_subscribes_again() -> None:
    async with open_redis() as server:
        one, two = ear(server), ear(server)
        async with running(one, two):
            await two.follow("room")
            assert (await server.command("CLIENT", "KILL", "TYPE", "pubsub")).startswith(":")
            await until(lambda: two.gaps.count("room") == 2)
            await until(lambda: said_and_heard(one, two))


async def test_a_deaf_subscriber_is_noticed_and_heals_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    # Deafness: the connection is fine and Redis no longer counts it as a subscriber. Here its first life never reads.
    async with open_redis() as server:
        clock = ManualClock()
        broker = RedisBroker(server.url, clock)
        stock, lives = RedisBroker._keep_reading, []

        async def deaf_at_first(self: RedisBroker, *life: Any) -> None:
            lives.append(life)
            if len(lives) == 1:
                await asyncio.Event().wait()
            await stock(self, *life)

        monkeypatch.setattr(RedisBroker, "_keep_reading", deaf_at_first)
        one = Ear(broker)
        loop = asyncio.create_task(broker.run())
        try:
            one.broker.follow("room")

            async def time_goes_on() -> float:
                began = clock.monotonic()
                while not broker.healthy():
                    await clock.advance(0.5)
                    await asyncio.sleep(0.01)
                return clock.monotonic() - began

            took = await asyncio.wait_for(time_goes_on(), WAIT_S)
            assert took <= 10
            await until(lambda: one.gaps == ["room"])
            assert len(lives) == 2
        finally:
            loop.cancel()
            await ended(loop)


async def test_however_often_redis_goes_no_client_stays_open() -> None:
    async with open_redis() as server:
        one = ear(server)
        async with running(one):
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


# -- the library on a bad day -----------------------------------------------------------------------------------------


class Loser:
    """A call of the library that loses cancellations: it waits, and when it is cancelled returns as if nothing had been.
    Once it has lost `times`, and after `release`, it is itself again."""

    def __init__(self, stock: Callable[..., Any], times: int) -> None:
        self.waiting = asyncio.Event()
        self.lost = 0
        self._stock = stock
        self._left = times
        self._released = asyncio.Event()

    def release(self) -> None:
        self._released.set()

    def patched(self) -> Callable[..., Any]:
        async def call(*args: Any, **options: Any) -> Any:
            answer = await self._stock(*args, **options)
            while self._left and not self._released.is_set():
                self.waiting.set()
                try:
                    await self._released.wait()
                except asyncio.CancelledError:
                    self._left -= 1
                    self.lost += 1
                    if self._returns:
                        break
            return answer

        return call

    _returns = True


class Stubborn(Loser):
    """One that is cancelled and goes on waiting."""

    _returns = False


@pytest.mark.parametrize("times", [1, 5])
@pytest.mark.parametrize(
    ("owner", "name"),
    [(PubSub, "subscribe"), (PubSub, "get_message"), (Pipeline, "execute")],
    ids=["subscribe", "get_message", "execute"],
)
async def test_it_ends_when_it_is_cancelled_though_a_call_below_loses_the_cancellation(
    monkeypatch: pytest.MonkeyPatch, owner: type, name: str, times: int
) -> None:
    async with open_redis() as server:
        call = Loser(getattr(owner, name), times)
        monkeypatch.setattr(owner, name, call.patched())
        loop = asyncio.create_task(ear(server).broker.run())
        async with asyncio.timeout(WAIT_S):
            await call.waiting.wait()
        loop.cancel()
        await ended(loop)
        assert call.lost >= 1
        await until_clients(server, 1)


async def test_it_ends_when_it_is_cancelled_though_a_call_below_never_returns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_broker, "END_WITHIN_S", 0.5)
    async with open_redis() as server:
        call = Stubborn(PubSub.get_message, times=1_000_000)
        monkeypatch.setattr(PubSub, "get_message", call.patched())
        before = asyncio.all_tasks()
        loop = asyncio.create_task(ear(server).broker.run())
        async with asyncio.timeout(WAIT_S):
            await call.waiting.wait()
        loop.cancel()
        loop.cancel()
        await ended(loop)
        assert call.lost >= 2, "cancelled once, and not again"
        # What was left behind ends as soon as the call returns.
        call.release()
        await until(lambda: asyncio.all_tasks() == before)
        await until_clients(server, 1)


async def test_a_second_cancellation_while_it_ends_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_redis() as server:
        call = Loser(PubSub.get_message, times=2)
        monkeypatch.setattr(PubSub, "get_message", call.patched())
        loop = asyncio.create_task(ear(server).broker.run())
        async with asyncio.timeout(WAIT_S):
            await call.waiting.wait()
        for _ in range(5):
            loop.cancel()
            await asyncio.sleep(0)
        await ended(loop)
        await until_clients(server, 1)
