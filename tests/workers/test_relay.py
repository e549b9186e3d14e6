"""The relay: nothing leaves the outbox before the bus has it."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from persistence.database import Database
from persistence.outbox import CHANNEL
from services.kernel.clock import SystemClock
from services.kernel.facts import Envelope, WorkoutFinished
from services.kernel.ids import AccountId, FactId, WorkoutId
from tests.support.task_buses import WAIT_S, eventually
from tests.support.world import World
from workers.bus import BusStatistics, BusUnavailable, Handle, Parked, Queue
from workers.relay import RETRY_MOST_S, Relay
from workers.wakeups import Wakeups


class ScriptedBus:
    """A bus that takes what it is told to take. `refuse` maps how many envelopes of a batch are taken first."""

    def __init__(self) -> None:
        self.published: list[FactId] = []
        self.refuse: list[int] = []
        self.taking = asyncio.Event()
        self.go_on = asyncio.Event()
        self.go_on.set()

    async def publish(self, *envelopes: Envelope) -> None:
        self.taking.set()
        await self.go_on.wait()
        taken = envelopes
        if self.refuse:
            taken = envelopes[: self.refuse.pop(0)]
        self.published += [envelope.id for envelope in taken]
        if len(taken) < len(envelopes):
            raise BusUnavailable("no more room", frozenset(envelope.id for envelope in taken))

    async def consume(self, queue: Queue, handle: Handle) -> None:
        raise NotImplementedError

    def stop(self) -> None:
        raise NotImplementedError

    async def parked(self, queue: Queue, limit: int = 100) -> list[Parked]:
        raise NotImplementedError

    async def replay(self, queue: Queue, fact_id: FactId) -> bool:
        raise NotImplementedError

    def statistics(self) -> BusStatistics:
        raise NotImplementedError


@pytest.fixture
def world(database: Database) -> World:
    """An empty world."""
    return World(database)


async def tell(world: World, count: int = 1) -> list[FactId]:
    """Facts in the outbox."""
    async with world.transactions() as stores:
        return [
            await stores.outbox.add(
                WorkoutFinished(workout_id=WorkoutId(world.ids.next()), account_id=AccountId(world.ids.next())),
                world.ids.next(),
            )
            for _ in range(count)
        ]


@asynccontextmanager
async def running(relay: Relay) -> AsyncIterator[None]:
    """The relay's loop while entered."""
    task = asyncio.create_task(relay.run())
    try:
        yield
    finally:
        relay.stop()
        async with asyncio.timeout(WAIT_S):
            await task


async def test_facts_leave_in_the_order_they_were_told_batch_by_batch(world: World) -> None:
    told, bus = await tell(world, 5), ScriptedBus()
    relay = Relay(world.transactions, bus, world.clock, batch=2)
    assert [await relay.relay() for _ in range(4)] == [2, 2, 1, 0]
    assert bus.published == told
    assert await world.told() == []
    assert relay.statistics.relayed == 5


async def test_a_fact_stays_in_the_outbox_until_the_bus_has_confirmed_it(world: World) -> None:
    await tell(world)
    bus = ScriptedBus()
    bus.go_on.clear()
    relaying = asyncio.create_task(Relay(world.transactions, bus, world.clock).relay())
    async with asyncio.timeout(WAIT_S):
        await bus.taking.wait()
        async with world.database.connection() as connection:
            assert await connection.fetchval("SELECT count(*) FROM outbox") == 1
        bus.go_on.set()
        await relaying
    assert await world.told() == []


async def test_what_the_bus_did_not_take_is_published_again_and_what_it_took_is_not(world: World) -> None:
    told, bus = await tell(world, 4), ScriptedBus()
    bus.refuse = [0, 1]
    relay = Relay(world.transactions, bus, world.clock)
    for _ in range(2):
        with pytest.raises(BusUnavailable):
            await relay.relay()
    assert bus.published == told[:1]
    await relay.relay()
    assert bus.published == told


async def test_a_relay_killed_after_publishing_publishes_again(world: World) -> None:
    told, bus = await tell(world, 2), ScriptedBus()

    class Killed(BaseException):
        """The process ends here."""

    class Dies(ScriptedBus):
        async def publish(self, *envelopes: Envelope) -> None:
            await super().publish(*envelopes)
            raise Killed

    dying = Dies()
    with pytest.raises(Killed):
        await Relay(world.transactions, dying, world.clock).relay()
    await Relay(world.transactions, bus, world.clock).relay()
    assert dying.published == bus.published == told


async def test_two_relays_share_the_work_and_neither_waits_for_the_other(world: World) -> None:
    told, first, second = await tell(world, 4), ScriptedBus(), ScriptedBus()
    first.go_on.clear()
    slow = asyncio.create_task(Relay(world.transactions, first, world.clock, batch=2).relay())
    async with asyncio.timeout(WAIT_S):
        await first.taking.wait()
        assert await Relay(world.transactions, second, world.clock, batch=10).relay() == 2
        first.go_on.set()
        await slow
    assert Counter([*first.published, *second.published]) == dict.fromkeys(told, 1)


async def test_the_loop_outlasts_a_bus_that_is_away(world: World) -> None:
    told, bus = await tell(world, 3), ScriptedBus()
    bus.refuse = [0, 0, 0]
    relay = Relay(world.transactions, bus, world.clock)
    async with running(relay):
        for failures in (1, 2, 3):
            await eventually(lambda failures=failures: relay.statistics.failures == failures)  # type: ignore[misc]
            assert bus.published == []
            await world.clock.advance(RETRY_MOST_S)
        await eventually(lambda: bus.published == told)


async def test_a_fact_told_while_the_relay_sleeps_wakes_it(world: World) -> None:
    wakeups = Wakeups(world.database, SystemClock(), (CHANNEL,))
    listening = asyncio.create_task(wakeups.run())
    bus = ScriptedBus()
    async with asyncio.timeout(WAIT_S):
        await wakeups.listening.wait()
    # Its own clock stands still: nothing but the notification can wake it.
    relay = Relay(world.transactions, bus, world.clock, wakeups)
    async with running(relay):
        await eventually(lambda: wakeups.listening.is_set())
        told = await tell(world)
        await eventually(lambda: bus.published == told)
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)


async def test_without_any_notification_the_relay_looks_by_itself(world: World) -> None:
    bus = ScriptedBus()
    relay = Relay(world.transactions, bus, SystemClock(), poll_s=0.02)
    async with running(relay):
        told = await tell(world)
        await eventually(lambda: bus.published == told)


async def test_the_statistics_say_what_waits(world: World) -> None:
    await tell(world, 3)
    bus = ScriptedBus()
    relay = Relay(world.transactions, bus, world.clock, batch=2)
    bus.refuse = [2, 0]
    async with running(relay):
        await eventually(lambda: relay.statistics.relayed == 2)
        await eventually(lambda: relay.statistics.failures)
    assert relay.statistics.waiting == 1
