"""The relay: nothing leaves the outbox before the bus has it."""

import asyncio
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager

import pytest

from persistence.database import Database
from persistence.outbox import CHANNEL, SHARDS
from services.kernel.clock import SystemClock
from services.kernel.facts import Envelope, WorkoutFinished
from services.kernel.ids import AccountId, FactId, WorkoutId
from services.kernel.problems import Unavailable
from tests.support.task_buses import WAIT_S, eventually
from tests.support.world import World
from workers import held_back
from workers.bus import BusStatistics, BusUnavailable, Handle, Parked, Queue
from workers.relay import POLL_S, RETRY_FIRST_S, RETRY_MOST_S, WAVES_S, Relay
from workers.wakeups import Wakeups


class ScriptedBus:
    """A bus that takes what it is told to take. `refuse` says how many envelopes of each publish are taken, `poison` which are
    never taken."""

    def __init__(self, poison: Collection[FactId] = ()) -> None:
        self.published: list[FactId] = []
        self.waves: list[list[FactId]] = []
        self.refuse: list[int] = []
        self.poison = poison
        self.taking = asyncio.Event()
        self.go_on = asyncio.Event()
        self.go_on.set()

    async def publish(self, *envelopes: Envelope) -> None:
        self.taking.set()
        await self.go_on.wait()
        self.waves.append([envelope.id for envelope in envelopes])
        taken = tuple(envelope for envelope in envelopes if envelope.id not in self.poison)
        if self.refuse:
            taken = taken[: self.refuse.pop(0)]
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


async def tell(world: World, count: int = 1, about: uuid.UUID | None = None) -> list[FactId]:
    """Facts in the outbox, each about something else unless it is said what they are about."""
    async with world.transactions() as stores:
        return [
            await stores.outbox.add(
                WorkoutFinished(workout_id=WorkoutId(world.ids.next()), account_id=AccountId(world.ids.next())),
                about or world.ids.next(),
            )
            for _ in range(count)
        ]


def in_shard(world: World, shard: int) -> uuid.UUID:
    """Something new whose facts lie in this shard."""
    return uuid.UUID(int=world.ids.next().int >> 4 << 4 | shard)


async def empty(relay: Relay) -> list[int]:
    """Relay until nothing is left; how much each batch moved."""
    moved = []
    while count := await relay.relay():
        moved.append(count)
    return moved


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


async def test_facts_about_one_thing_leave_one_by_one_in_the_order_they_were_told(world: World) -> None:
    told, bus = await tell(world, 5, about=world.ids.next()), ScriptedBus()
    relay = Relay(world.transactions, bus, world.clock, batch=2)
    assert await empty(relay) == [2, 2, 1]
    assert bus.waves == [[fact] for fact in told]
    assert await world.told() == []
    assert relay.statistics.relayed == 5


async def test_facts_about_different_things_travel_together(world: World) -> None:
    bus, shard = ScriptedBus(), 3
    about = [in_shard(world, shard) for _ in range(4)]
    told = [(await tell(world, 2, about=each)) for each in about]
    await empty(Relay(world.transactions, bus, world.clock))
    assert bus.waves == [[first for first, _ in told], [second for _, second in told]]


async def test_every_shard_gets_its_turn(world: World) -> None:
    bus = ScriptedBus()
    told = [await tell(world, 3, about=in_shard(world, shard)) for shard in range(SHARDS)]
    assert await empty(Relay(world.transactions, bus, world.clock, batch=4)) == [4] * 12
    assert set(bus.published[:SHARDS]) == {first for first, _, _ in told}


async def test_a_fact_stays_in_the_outbox_until_the_bus_has_confirmed_it(world: World) -> None:
    await tell(world)
    bus = ScriptedBus()
    bus.go_on.clear()
    waiting = "SELECT count(*) FROM outbox WHERE relayed_at IS NULL"
    relaying = asyncio.create_task(Relay(world.transactions, bus, world.clock).relay())
    async with asyncio.timeout(WAIT_S):
        await bus.taking.wait()
        async with world.database.connection() as connection:
            assert await connection.fetchval(waiting) == 1
        bus.go_on.set()
        await relaying
    assert await world.told() == []


async def test_what_the_bus_did_not_take_is_published_again_and_what_it_took_is_not(world: World) -> None:
    told, bus = await tell(world, 4, about=world.ids.next()), ScriptedBus()
    bus.refuse = [0, 1, 0]
    relay = Relay(world.transactions, bus, world.clock)
    with pytest.raises(BusUnavailable):
        await relay.relay()
    await world.clock.advance(RETRY_MOST_S)
    assert await relay.relay() == 1
    assert bus.published == told[:1]
    await world.clock.advance(RETRY_MOST_S)
    assert await relay.relay() == 3
    assert bus.published == told


async def test_nothing_follows_a_fact_that_was_refused_and_everything_else_goes_on(world: World) -> None:
    sick, sound = world.ids.next(), world.ids.next()
    stuck = await tell(world, 3, about=sick)
    fine = await tell(world, 3, about=sound)
    bus = ScriptedBus(poison=stuck[:1])
    relay = Relay(world.transactions, bus, world.clock)

    async def goes_on() -> bool:
        await world.clock.advance(1)
        return bus.published == fine

    async with running(relay):
        await eventually(goes_on)
        fine += await tell(world, 2, about=sound)
        await eventually(goes_on)
        bus.poison = ()
        fine += stuck
        await eventually(goes_on)


async def test_thousands_of_facts_that_nobody_takes_do_not_stand_in_the_way(world: World) -> None:
    shard = 5
    stuck = await tell(world, 2_000, about=in_shard(world, shard))
    bus = ScriptedBus(poison=stuck)
    relay = Relay(world.transactions, bus, world.clock, batch=10)
    with pytest.raises(BusUnavailable):
        await relay.relay()
    fine = await tell(world, 10, about=in_shard(world, shard))
    assert await relay.relay() == 10
    assert bus.published == fine


def has_left(bus: ScriptedBus, told: Collection[FactId]) -> Callable[[], bool]:
    return lambda: set(told) <= set(bus.published)


async def rounds(world: World, relay: Relay, until: Callable[[], bool]) -> int:
    """Relay as the loop does, pauses included, until something is so; in how many batches."""
    for n in range(200):
        if until():
            return n
        try:
            if not await relay.relay():
                await world.clock.advance(POLL_S)
        except BusUnavailable:
            await world.clock.advance(RETRY_FIRST_S)
    raise AssertionError("it goes on for ever")


@pytest.mark.parametrize("why", ["refused", "unreadable"])
async def test_however_many_things_are_held_back_the_next_fact_about_another_leaves_soon(
    world: World, why: str
) -> None:
    stuck = await tell(world, 2_500)
    if why == "unreadable":
        async with world.database.tx() as tx:
            await tx.execute("""UPDATE outbox SET envelope = jsonb_set(envelope, '{fact,type}', '"moon.eclipsed"')""")
    bus = ScriptedBus(poison=frozenset(stuck))
    relay = Relay(world.transactions, bus, world.clock)
    for turns in (5, 2, 2):
        fine = await tell(world, SHARDS)
        assert await rounds(world, relay, has_left(bus, fine)) <= turns * 4
        await world.clock.advance(held_back.MOST_S)
    assert relay.statistics.held_back > 2_000


async def test_what_was_passed_over_leaves_when_it_is_taken_again(world: World) -> None:
    stuck = await tell(world, 1_500)
    again = await tell(world, 1_500)
    bus = ScriptedBus(poison=frozenset([*stuck, *again]))
    relay = Relay(world.transactions, bus, world.clock)
    fine = await tell(world, SHARDS)
    await rounds(world, relay, has_left(bus, fine))
    bus.poison = frozenset(stuck)
    await rounds(world, relay, has_left(bus, again))
    bus.poison = ()
    await rounds(world, relay, has_left(bus, stuck))
    assert Counter(bus.published) == dict.fromkeys([*stuck, *again, *fine], 1)


async def test_one_fact_that_was_taken_is_no_reason_to_try_all_that_were_refused(world: World) -> None:
    bus = ScriptedBus(poison=await tell(world))
    relay = Relay(world.transactions, bus, world.clock)
    with pytest.raises(BusUnavailable):
        await relay.relay()
    await tell(world)
    assert await empty(relay) == [1]


async def test_a_fact_that_only_a_newer_program_can_read_waits_for_that_one(world: World) -> None:
    about = world.ids.next()
    await tell(world, 1, about=about)
    async with world.database.tx() as tx:
        await tx.execute("""UPDATE outbox SET envelope = jsonb_set(envelope, '{fact,type}', '"moon.eclipsed"')""")
    await tell(world, 1, about=about)
    fine, bus = await tell(world), ScriptedBus()
    assert await empty(Relay(world.transactions, bus, world.clock)) == [1]
    assert bus.published == fine


async def test_a_bus_that_was_away_and_is_back_gets_everything_at_once(world: World) -> None:
    told, bus = await tell(world, 40), ScriptedBus()
    bus.refuse = [0] * 6
    relay = Relay(world.transactions, bus, world.clock)
    for _ in range(6):
        with pytest.raises(BusUnavailable):
            await relay.relay()
        await world.clock.advance(RETRY_MOST_S)
    await empty(relay)
    assert Counter(bus.published) == dict.fromkeys(told, 1)


async def test_a_batch_ends_soon_though_a_long_line_of_facts_waits(world: World) -> None:
    told = await tell(world, 5, about=world.ids.next())

    class Slow(ScriptedBus):
        async def publish(self, *envelopes: Envelope) -> None:
            await super().publish(*envelopes)
            await world.clock.advance(WAVES_S / 2)

    bus = Slow()
    assert await empty(Relay(world.transactions, bus, world.clock)) == [2, 2, 1]
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
    told = [fact for shard in range(4) for fact in await tell(world, 2, about=in_shard(world, shard))]
    first, second = ScriptedBus(), ScriptedBus()
    first.go_on.clear()
    slow = asyncio.create_task(Relay(world.transactions, first, world.clock, shards_at_once=2).relay())
    async with asyncio.timeout(WAIT_S):
        await first.taking.wait()
        assert await Relay(world.transactions, second, world.clock).relay() == 4
        first.go_on.set()
        await slow
    assert Counter([*first.published, *second.published]) == dict.fromkeys(told, 1)


async def test_what_a_relay_holds_is_left_to_it_even_what_was_told_since(world: World) -> None:
    about = world.ids.next()
    told, first, second = await tell(world, 1, about=about), ScriptedBus(), ScriptedBus()
    first.go_on.clear()
    relay = Relay(world.transactions, first, world.clock)
    slow = asyncio.create_task(relay.relay())
    async with asyncio.timeout(WAIT_S):
        await first.taking.wait()
        told += await tell(world, 1, about=about)
        assert await Relay(world.transactions, second, world.clock).relay() == 0
        first.go_on.set()
        await slow
        await relay.relay()
    assert first.published == told


async def test_the_shards_of_a_relay_whose_connection_dies_are_free(world: World) -> None:
    told, first, second = await tell(world, 2, about=world.ids.next()), ScriptedBus(), ScriptedBus()
    first.go_on.clear()
    doomed = asyncio.create_task(Relay(world.transactions, first, world.clock).relay())
    async with asyncio.timeout(WAIT_S):
        await first.taking.wait()
        async with world.database.connection() as connection:
            await connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE state = 'idle in transaction'"
            )
        await eventually(lambda: empty(Relay(world.transactions, second, world.clock)))
        first.go_on.set()
        with pytest.raises(Unavailable):
            await doomed
    assert second.published == told


async def test_the_loop_outlasts_a_bus_that_is_away(world: World) -> None:
    told, bus = await tell(world, 3, about=world.ids.next()), ScriptedBus()
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


async def test_the_statistics_say_what_waits_also_while_the_bus_is_away(world: World) -> None:
    await tell(world, 3)
    await world.clock.advance(60)
    bus = ScriptedBus()
    bus.go_on.clear()
    bus.refuse = [0] * 100
    relay = Relay(world.transactions, bus, world.clock)
    async with running(relay):
        async with asyncio.timeout(WAIT_S):
            await bus.taking.wait()
        assert relay.statistics.held > 0
        bus.go_on.set()
        await eventually(lambda: relay.statistics.waiting == 3)
        assert relay.statistics.oldest_s == 60
        assert relay.statistics.held == 0
        assert relay.statistics.held_back == 3
