"""A fact that is delivered fifty times in parallel has one effect, on either bus."""

import asyncio
from collections.abc import AsyncIterator
from typing import Final

import pytest

from persistence.database import Database, Tx, open_database
from persistence.stores import Stores, Transactions
from services.kernel.facts import AnyFact, Envelope, WorkoutFinished
from tests.support.rabbitmq import RabbitMQ
from tests.support.task_buses import CLOCK, IDS, WAIT_S, AmqpBench, an_envelope, consuming, eventually
from workers.amqp_link import close, connect
from workers.amqp_topology import message_of, work_queue
from workers.bus import Queue
from workers.consumer import Consumer
from workers.postgres_bus import PostgresBus

pytest_plugins = ["tests.support.rabbitmq"]

TIMES: Final = 50
AT_ONCE: Final = 10


class Delivered:
    """A delivery by no bus."""

    attempt = 1

    def __init__(self, envelope: Envelope) -> None:
        self.envelope = envelope

    async def settle(self, tx: Tx) -> None:
        """There is nothing to settle."""


async def count_up(stores: Stores, _: AnyFact) -> None:
    """An effect that is there twice if it happens twice."""
    await stores.tx.execute("INSERT INTO effects DEFAULT VALUES")


@pytest.fixture
async def roomy(fresh_dsn: str) -> AsyncIterator[Database]:
    """A database with connections for all who come at once, and a table for effects."""
    async with open_database(fresh_dsn, size=AT_ONCE) as database:
        async with database.tx() as tx:
            await tx.execute("CREATE TABLE effects (n bigint GENERATED ALWAYS AS IDENTITY)")
        yield database


async def effects(database: Database) -> int:
    async with database.connection() as connection:
        n: int = await connection.fetchval("SELECT count(*) FROM effects")
        return n


def a_consumer(queue: Queue, database: Database) -> Consumer:
    return Consumer(queue, count_up, Transactions(database, CLOCK, IDS), CLOCK)


async def test_fifty_deliveries_at_once_have_one_effect(roomy: Database) -> None:
    consumer, envelope = a_consumer(Queue("test", wants=(WorkoutFinished,)), roomy), an_envelope()
    gate = asyncio.Semaphore(AT_ONCE)

    async def deliver() -> None:
        async with gate:
            await consumer(Delivered(envelope))

    await asyncio.gather(*(deliver() for _ in range(TIMES)))
    assert await effects(roomy) == 1
    assert (consumer.statistics.effects, consumer.statistics.duplicates) == (1, TIMES - 1)


async def test_a_fact_that_lies_fifty_times_in_a_queue_of_the_broker_has_one_effect(
    roomy: Database, rabbitmq: RabbitMQ
) -> None:
    bench = AmqpBench(rabbitmq.url)
    queue, envelope = bench.queue(concurrency=AT_ONCE), an_envelope()
    first, second = a_consumer(queue, roomy), a_consumer(queue, roomy)
    async with bench.open() as one, bench.open() as other:
        await one.publish(an_envelope())  # makes sure that the queue is there
        link = await connect(rabbitmq.url, "test")
        target = link.channel.default_exchange
        await asyncio.gather(*(target.publish(message_of(envelope), work_queue(queue)) for _ in range(TIMES)))
        await close(link)
        async with consuming(one, queue, first), consuming(other, queue, second):

            def all_handled() -> bool:
                return one.statistics().of(queue).handled + other.statistics().of(queue).handled == TIMES + 1

            await eventually(all_handled)
    await bench.remove()
    assert await effects(roomy) == 2, "that of the fact before, and one for all fifty"
    assert first.statistics.duplicates + second.statistics.duplicates == TIMES - 1


async def test_a_fact_that_is_published_fifty_times_while_two_workers_take_tasks_from_postgres_has_one_effect(
    roomy: Database,
) -> None:
    queue, envelope = Queue("test", wants=(WorkoutFinished,), concurrency=4), an_envelope()
    first, second = a_consumer(queue, roomy), a_consumer(queue, roomy)
    one, other = (PostgresBus(roomy, CLOCK, (queue,), poll_s=0.02) for _ in range(2))
    async with consuming(one, queue, first), consuming(other, queue, second):
        async with asyncio.timeout(WAIT_S):
            for _ in range(TIMES // 5):
                await asyncio.gather(*(one.publish(envelope) for _ in range(5)))

        async def nothing_left() -> bool:
            async with roomy.connection() as connection:
                return not await connection.fetchval("SELECT count(*) FROM tasks")

        await eventually(nothing_left)
    assert await effects(roomy) == 1
    assert first.statistics.effects + second.statistics.effects == 1
