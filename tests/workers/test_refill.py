"""A queue that the broker has lost is told again what it lacks: relay, RabbitMQ, outbox and inbox as they are."""

import asyncio
import shutil
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

import pytest
import structlog

from persistence.database import Database
from persistence.stores import Stores
from services.kernel.facts import AnyFact, Envelope, WorkoutFinished
from services.kernel.ids import AccountId, WorkoutId
from tests.support.rabbitmq import RabbitMQ, open_rabbitmq
from tests.support.system_parts import require
from tests.support.task_buses import CLOCK, LADDER, WAIT_S, AmqpBench, consuming, eventually
from tests.support.world import World
from workers import amqp_consumer, amqp_refilling
from workers.amqp import AmqpBus, open_amqp_bus
from workers.amqp_link import close, connect
from workers.amqp_refilling import note_what_lies_there
from workers.amqp_topology import declare, work_queue
from workers.bus import BusUnavailable, Queue
from workers.consumer import Consumer
from workers.refill import OutboxRefill
from workers.relay import Relay

pytest_plugins = ["tests.support.rabbitmq"]


@pytest.fixture
def world(database: Database) -> World:
    """An empty world."""
    return World(database)


@pytest.fixture
async def bench(rabbitmq: RabbitMQ) -> AsyncIterator[AmqpBench]:
    """A bench whose queues are taken away afterwards."""
    made = AmqpBench(rabbitmq.url)
    yield made
    await made.remove()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever finds another process at it looks again soon."""
    monkeypatch.setattr(amqp_refilling, "LOOK_AGAIN_S", 0.1)


class Works:
    """Facts that are told, and how often each had its effect, by consumer."""

    def __init__(self, world: World, url: str) -> None:
        self.world: Final = world
        self.url: Final = url
        self.told: Final[list[WorkoutId]] = []
        self.effects: Final[Counter[tuple[str, WorkoutId]]] = Counter()

    async def tell(self, count: int) -> list[WorkoutId]:
        """So many facts that wait."""
        new = [WorkoutId(self.world.ids.next()) for _ in range(count)]
        for workout_id in new:
            async with self.world.transactions() as stores:
                await stores.outbox.add(WorkoutFinished(workout_id, AccountId(self.world.ids.next())), workout_id)
        self.told.extend(new)
        return new

    async def all_left(self) -> bool:
        """Whether nothing waits in the outbox."""
        async with self.world.transactions() as stores:
            return not await stores.outbox.peek(1)

    def consumer(self, queue: Queue) -> Consumer:
        """Counts effects."""

        async def handle(stores: Stores, fact: AnyFact) -> None:
            assert isinstance(fact, WorkoutFinished)
            self.effects[queue.name, fact.workout_id] += 1

        return Consumer(queue, handle, self.world.transactions, CLOCK)

    def had(self, queue: Queue, facts: Sequence[WorkoutId]) -> bool:
        """Whether the consumer has had these, each once, and nothing else."""
        mine = {workout_id: times for (name, workout_id), times in self.effects.items() if name == queue.name}
        assert set(mine.values()) <= {1}
        return mine.keys() == set(facts)

    @asynccontextmanager
    async def bus(self, *queues: Queue, page: int = 200) -> AsyncIterator[AmqpBus]:
        """A bus, as a process has one."""
        refill = OutboxRefill(self.world.transactions, CLOCK, page=page)
        async with open_amqp_bus(self.url, CLOCK, queues, ladder=LADDER, alone_poll_s=0.05, refill=refill) as bus:
            yield bus

    @asynccontextmanager
    async def relaying(self, bus: AmqpBus) -> AsyncIterator[None]:
        """Facts leave while entered."""
        relay = Relay(self.world.transactions, bus, CLOCK, None, poll_s=0.02)
        task = asyncio.create_task(relay.run(), name="relay")
        try:
            yield
        finally:
            relay.stop()
            async with asyncio.timeout(WAIT_S):
                await task

    async def delete(self, queue: Queue) -> None:
        """The work queue is gone, with all that lies in it."""
        link = await connect(self.url, "test")
        await link.channel.queue_delete(work_queue(queue))
        await close(link)

    async def mended(self, queue: Queue) -> None:
        """Return when the database knows of no loss."""

        async def nothing_lost() -> bool:
            async with self.world.transactions() as stores:
                return await stores.bus_queues.lost(work_queue(queue)) is None

        await eventually(nothing_lost)


@pytest.fixture
def works(world: World, rabbitmq: RabbitMQ) -> Works:
    """On the broker of this test run."""
    return Works(world, rabbitmq.url)


async def test_what_lay_in_a_deleted_queue_and_what_only_others_got_meanwhile_has_its_effect_once(
    bench: AmqpBench, works: Works
) -> None:
    lossy, other = bench.queue(), bench.queue()
    with structlog.testing.capture_logs() as logs:
        async with (
            works.bus(lossy, other, page=2) as bus,
            works.relaying(bus),
            consuming(bus, other, works.consumer(other)),
        ):
            done = await works.tell(3)
            async with works.bus(lossy) as first, consuming(first, lossy, works.consumer(lossy)):
                await eventually(lambda: works.had(lossy, done))
            await works.tell(4)  # they lie in the queue
            await eventually(works.all_left)
            await works.delete(lossy)
            await works.tell(5)  # they reach the other one alone, and count as taken
            await eventually(works.all_left)
            await eventually(lambda: works.had(other, works.told))
            assert works.had(lossy, done)
            async with works.bus(lossy) as again, consuming(again, lossy, works.consumer(lossy)):
                await eventually(lambda: works.had(lossy, works.told))
                await eventually(lambda: again.statistics().of(lossy).refilled == 9)
                await works.tell(2)
                await eventually(lambda: works.had(lossy, works.told))
                await works.mended(lossy)
            assert works.had(other, works.told)
    (loud,) = [entry for entry in logs if entry["event"] == "bus.queue_refilled" and entry["facts"]]
    assert (loud["queue"], loud["facts"], loud["log_level"]) == (work_queue(lossy), 9, "error")


async def test_a_queue_that_is_deleted_under_its_consumer_while_facts_are_told_lacks_nothing(
    bench: AmqpBench, works: Works
) -> None:
    lossy, other = bench.queue(concurrency=2), bench.queue(concurrency=2)
    async with (
        works.bus(lossy, other) as bus,
        works.relaying(bus),
        consuming(bus, lossy, works.consumer(lossy)),
        consuming(bus, other, works.consumer(other)),
    ):
        for _ in range(2):
            await works.tell(10)
            await eventually(lambda: works.had(lossy, works.told))
            refilled = bus.statistics().of(lossy).refilled
            await works.delete(lossy)
            while bus.statistics().of(lossy).refilled == refilled:
                await works.tell(1)
                await eventually(works.all_left)
            await works.tell(5)
            await eventually(lambda: works.had(lossy, works.told))
        await eventually(lambda: works.had(other, works.told))


async def test_who_waits_in_vain_for_what_a_subscription_needs_begins_anew(
    bench: AmqpBench, works: Works, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = bench.queue()
    async with works.bus(queue) as bus:
        async with works.relaying(bus):
            await works.tell(1)  # the queue is there, and noted
            await eventually(works.all_left)
        monkeypatch.setattr(amqp_consumer, "OPEN_TIMEOUT_S", 0.3)
        async with AsyncExitStack() as locked:
            stores = await locked.enter_async_context(works.world.transactions())
            await stores.tx.execute("LOCK TABLE bus_queues")
            async with consuming(bus, queue, works.consumer(queue)):
                await eventually(lambda: bus.statistics().reconnects >= 1)
                await locked.aclose()
                monkeypatch.undo()
                await eventually(lambda: works.had(queue, works.told))


async def test_a_broker_that_has_lost_its_disk_gets_everything_again(world: World) -> None:
    require("rabbitmq")
    with open_rabbitmq() as broker:
        works, bench = Works(world, broker.url), AmqpBench(broker.url)
        one, two, ordered = bench.queue(), bench.queue(), bench.queue(ordered=True)
        async with works.bus(one, two, ordered, page=3) as bus:
            async with works.relaying(bus):
                await works.tell(10)
                await eventually(works.all_left)
            broker.kill()
            shutil.rmtree(broker.folder / "mnesia")
            broker.launch()
            await asyncio.to_thread(broker.wait)
            async with works.relaying(bus):  # the publisher is the first to make the queues anew
                await works.tell(1)
                await eventually(works.all_left)
                async with (
                    consuming(bus, one, works.consumer(one)),
                    consuming(bus, two, works.consumer(two)),
                    consuming(bus, ordered, works.consumer(ordered)),
                ):
                    await eventually(lambda: all(works.had(queue, works.told) for queue in (one, two, ordered)))
                    order = [workout_id for name, workout_id in works.effects if name == ordered.name]
        assert order == [works.told[-1], *works.told[:-1]]


async def test_a_queue_that_is_new_is_told_nothing_old_not_even_when_it_is_lost_later(
    bench: AmqpBench, works: Works
) -> None:
    old, new = bench.queue(), bench.queue()
    async with works.bus(old) as bus, works.relaying(bus), consuming(bus, old, works.consumer(old)):
        await works.tell(5)
        await eventually(lambda: works.had(old, works.told))
    async with works.bus(old, new) as bus, works.relaying(bus), consuming(bus, old, works.consumer(old)):
        since = await works.tell(2)
        await eventually(lambda: works.had(old, works.told))
        await works.delete(new)
        async with works.bus(new) as newer, consuming(newer, new, works.consumer(new)):
            await eventually(lambda: works.had(new, since))
            await works.mended(new)
            assert newer.statistics().of(new).refilled == 2
    assert works.had(new, since)


async def test_of_two_processes_that_find_the_loss_each_fact_is_told_again_by_one(
    bench: AmqpBench, works: Works
) -> None:
    lossy, other = bench.queue(), bench.queue()
    async with works.bus(lossy, other) as bus, works.relaying(bus), consuming(bus, other, works.consumer(other)):
        await works.tell(40)
        await eventually(works.all_left)
        await works.delete(lossy)
        link = await connect(works.url, "test")
        await note_what_lies_there(link, (lossy,), OutboxRefill(works.world.transactions, CLOCK))
        await declare(link.channel, (lossy,), LADDER)
        await close(link)
        async with (
            works.bus(lossy, page=3) as one,
            works.bus(lossy, page=3) as two,
            consuming(one, lossy, works.consumer(lossy)),
            consuming(two, lossy, works.consumer(lossy)),
        ):
            await eventually(lambda: works.had(lossy, works.told))
            await works.mended(lossy)
            assert one.statistics().of(lossy).refilled + two.statistics().of(lossy).refilled == 40


async def test_a_page_that_the_broker_does_not_take_is_told_by_the_next_who_comes(world: World) -> None:
    works, queue = Works(world, ""), Queue("q", wants=(WorkoutFinished,))
    refill = OutboxRefill(world.transactions, CLOCK, page=2)
    name = work_queue(queue)
    await refill.note({}, {name: queue.types()})
    await works.tell(3)
    async with world.transactions() as stores:
        held = await stores.outbox.hold(-1, 16)
        await stores.outbox.left(held, await stores.outbox.waiting_in(held, 10))
    await refill.note({}, {name: queue.types()})
    loss, upto, told = await refill.lost(name), await refill.reach(), list[WorkoutId]()
    assert loss is not None

    async def tell(envelopes: Sequence[Envelope]) -> None:
        told.extend(envelope.fact.workout_id for envelope in envelopes if isinstance(envelope.fact, WorkoutFinished))

    async def refuse(_: Sequence[Envelope]) -> None:
        raise BusUnavailable("no")

    with pytest.raises(BusUnavailable):
        await refill.page(queue, name, loss, upto, refuse)
    outcomes = [await refill.page(queue, name, loss, upto, tell) for _ in range(4)]
    assert outcomes == ["more", "more", "done", "done"]
    assert told == works.told
