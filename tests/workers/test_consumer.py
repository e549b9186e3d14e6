"""One delivery, one effect: inbox, effects and the end of the task in one transaction."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from persistence.database import Database, Tx
from persistence.stores import Stores
from services.kernel.clock import utc
from services.kernel.facts import AnyFact, ClassEnded, Envelope, WorkoutFinished
from services.kernel.ids import ClassId
from tests.support.task_buses import WAIT_S, PostgresBench, an_envelope, consuming, eventually
from tests.support.world import World
from workers.bus import Queue, TaskTaken
from workers.consumer import Consumer
from workers.retry import Unprocessable

QUEUE = Queue("effects", wants=(WorkoutFinished,))


class Handed:
    """A delivery from no bus. `taken` is what `settle` does."""

    def __init__(self, envelope: Envelope, taken: Callable[[Tx], Awaitable[None]] | None = None) -> None:
        self.envelope = envelope
        self.attempt = 1
        self._taken = taken

    async def settle(self, tx: Tx) -> None:
        if self._taken is not None:
            await self._taken(tx)


@pytest.fixture
def world(database: Database) -> World:
    """An empty world."""
    return World(database)


async def tell(stores: Stores, fact: AnyFact) -> None:
    """An effect that can be counted: one more fact in the outbox."""
    assert isinstance(fact, WorkoutFinished)
    await stores.outbox.add(fact, fact.workout_id)


async def test_fifty_deliveries_of_one_fact_at_once_have_one_effect(world: World) -> None:
    consumer, envelope = Consumer(QUEUE, tell, world.transactions, world.clock), an_envelope()
    turn = asyncio.Semaphore(4)  # as many as the pool of this test allows

    async def deliver() -> None:
        async with turn:
            await consumer(Handed(envelope))

    await asyncio.gather(*(deliver() for _ in range(50)))
    assert await world.told() == [envelope.fact]
    assert (consumer.statistics.effects, consumer.statistics.duplicates) == (1, 49)


async def test_a_handler_that_fails_leaves_nothing_and_may_try_again(world: World) -> None:
    envelope, fails = an_envelope(), iter([True])

    async def stumbles(stores: Stores, fact: AnyFact) -> None:
        await tell(stores, fact)
        if next(fails, False):
            raise ValueError("stumbled")

    consumer = Consumer(QUEUE, stumbles, world.transactions, world.clock)
    with pytest.raises(ValueError, match="stumbled"):
        await consumer(Handed(envelope))
    assert await world.told() == []
    await consumer(Handed(envelope))
    assert await world.told() == [envelope.fact]


async def test_two_queues_each_have_their_effect(world: World) -> None:
    envelope = an_envelope()
    for name in ("one", "other"):
        queue = Queue(name, wants=(WorkoutFinished,))
        await Consumer(queue, tell, world.transactions, world.clock)(Handed(envelope))
    assert await world.told() == [envelope.fact] * 2


async def test_a_task_that_another_worker_has_taken_has_no_effect_here(world: World) -> None:
    async def gone(_: Tx) -> None:
        raise TaskTaken("somebody was faster")

    consumer = Consumer(QUEUE, tell, world.transactions, world.clock)
    with pytest.raises(TaskTaken):
        await consumer(Handed(an_envelope(), gone))
    assert await world.told() == []


async def test_a_fact_that_the_queue_does_not_want_is_unprocessable(world: World) -> None:
    consumer = Consumer(QUEUE, tell, world.transactions, world.clock)
    with pytest.raises(Unprocessable, match="ClassEnded"):
        await consumer(Handed(an_envelope(ClassEnded(class_id=ClassId(world.ids.next())))))


async def test_on_postgres_the_effect_and_the_end_of_the_task_are_one_commit(world: World) -> None:
    bench = PostgresBench(world.database)
    queue, envelope = bench.queue(), an_envelope()
    inside, go_on = asyncio.Event(), asyncio.Event()

    async def slow(stores: Stores, fact: AnyFact) -> None:
        await tell(stores, fact)
        inside.set()
        await go_on.wait()

    async def tasks() -> int:
        async with world.database.connection() as connection:
            return int(await connection.fetchval("SELECT count(*) FROM tasks"))

    async with bench.open() as bus:
        await bus.publish(envelope)
        async with consuming(bus, queue, Consumer(queue, slow, world.transactions, world.clock)):
            async with asyncio.timeout(WAIT_S):
                await inside.wait()
            assert (await tasks(), await world.told()) == (1, [])
            go_on.set()
            await eventually(lambda: bus.statistics().of(queue).handled)
            assert (await tasks(), await world.told()) == (0, [envelope.fact])


async def test_a_worker_killed_after_its_commit_finds_the_fact_in_the_inbox(world: World) -> None:
    consumer, envelope = Consumer(QUEUE, tell, world.transactions, world.clock), an_envelope()
    async with world.transactions() as stores:  # what a worker did before it died unacknowledged
        await stores.inbox.first_time(QUEUE.name, envelope.id, utc(world.clock.wall_ms()))
        await tell(stores, envelope.fact)
    await consumer(Handed(envelope))
    assert await world.told() == [envelope.fact]
