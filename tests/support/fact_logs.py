"""Both logs of facts behind one bench, so that one suite of tests can be run on either.

`tell` takes the whole way that a fact takes: outbox, relay, log; on RabbitMQ the relay's bus is the broker, and what
feeds the streams follows the outbox.
"""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import aio_pika
import pytest

from persistence.database import Database
from persistence.stores import Transactions
from services.kernel.clock import SystemClock
from services.kernel.facts import AnyFact, Envelope
from services.kernel.ids import FactId, Uuid7Ids
from tests.support.rabbitmq import RabbitMQ
from tests.support.task_buses import WAIT_S, eventually, foreign_body
from workers import amqp_feed
from workers.amqp import open_amqp_bus
from workers.amqp_feed import stream_feed
from workers.amqp_link import Link, close, connect
from workers.amqp_log import AmqpLog, declare_stream, stream_of
from workers.amqp_topology import message_of
from workers.bus import BusStatistics, Handle, Parked, Queue, TaskBus
from workers.fact_log import FAMILIES, TRAINING, FactLog
from workers.following import Follower
from workers.postgres_log import PostgresLog
from workers.relay import Relay

CLOCK: Final = SystemClock()
IDS: Final = Uuid7Ids(CLOCK)
PROOF_S: Final = 2.0


class TakesAll:
    """A bus without queues, for a relay whose outbox is the log."""

    async def publish(self, *envelopes: Envelope) -> None:
        """Taken."""

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


class LogBench:
    """One log under test, and the database with the outbox that feeds it."""

    def __init__(self, database: Database, bus: TaskBus, log: FactLog) -> None:
        self.log: Final = log
        self.database: Final = database
        self.transactions: Final = Transactions(database, CLOCK, IDS)
        self.relay: Final = Relay(self.transactions, bus, CLOCK)

    async def tell(self, *told: tuple[AnyFact, uuid.UUID]) -> list[FactId]:
        """Facts, each with what it is about, are committed one after the other, and relayed."""
        ids = []
        for fact, about in told:
            async with self.transactions() as stores:
                ids.append(await stores.outbox.add(fact, about))
        while await self.relay.relay():
            pass
        return ids

    async def put_foreign(self) -> None:
        """A fact about a workout that only a newer program knows is in the log."""
        raise NotImplementedError

    async def begin_anew(self) -> None:
        """The log is lost with all that was in it, and another one takes its place."""
        raise NotImplementedError


class PostgresLogBench(LogBench):
    """The log on the outbox."""

    def __init__(self, database: Database) -> None:
        super().__init__(database, TakesAll(), PostgresLog(database, CLOCK, poll_s=0.02))

    async def put_foreign(self) -> None:
        fact = FactId(IDS.next())
        async with self.database.tx() as tx:
            await tx.execute(
                """
                INSERT INTO outbox (id, type, aggregate_id, envelope, created_at)
                VALUES ($1, 'workout.eclipsed', $1, $2, now())
                """,
                fact,
                foreign_body(fact),
            )
        async with self.transactions() as stores:
            held = await stores.outbox.hold(-1, 16)
            await stores.outbox.left(held, await stores.outbox.waiting_in(held, 10))

    async def begin_anew(self) -> None:
        async with self.database.tx() as tx:
            await tx.execute("TRUNCATE outbox; UPDATE outbox_shards SET position = 0")


class AmqpLogBench(LogBench):
    """The log on RabbitMQ."""

    def __init__(self, database: Database, bus: TaskBus, url: str, link: Link) -> None:
        super().__init__(database, bus, AmqpLog(url, CLOCK, proof_s=PROOF_S))
        self._link: Final = link
        self._url: Final = url
        self.feeds: Final = self.make_feeds()

    def make_feeds(self) -> tuple[Follower, ...]:
        """What feeds the streams, as one process has it."""
        return tuple(
            stream_feed(
                self._url, family, self.database, self.transactions, CLOCK, IDS.next(), poll_s=0.02, publish_s=1.0
            )
            for family in FAMILIES
        )

    async def tell(self, *told: tuple[AnyFact, uuid.UUID]) -> list[FactId]:
        """See `LogBench.tell`; when it returns, the streams have them."""
        ids = await self.leave(*told)
        await self.fed()
        return ids

    async def leave(self, *told: tuple[AnyFact, uuid.UUID]) -> list[FactId]:
        """Facts are committed and relayed; the streams may not have them yet."""
        return await super().tell(*told)

    async def fed(self) -> None:
        """Return when the streams have everything that has left."""

        async def reached() -> bool:
            async with self.database.tx() as tx:
                left = await tx.fetch("SELECT position FROM outbox_shards ORDER BY shard")
                at = await tx.fetch("SELECT position FROM followers WHERE name = $1", amqp_feed.NAME)
            told = "outbox:" + ",".join(str(row["position"]) for row in left)
            return [row["position"] for row in at] == [told] * len(FAMILIES)

        await eventually(reached)

    async def put(self, *envelopes: Envelope) -> None:
        """These are in the stream of training."""
        exchange = self._link.channel.default_exchange
        await asyncio.gather(*(exchange.publish(message_of(each), stream_of(TRAINING)) for each in envelopes))

    async def put_foreign(self) -> None:
        body = foreign_body(FactId(IDS.next())).encode()
        await self._link.channel.default_exchange.publish(aio_pika.Message(body), stream_of(TRAINING))

    async def begin_anew(self) -> None:
        await self.lose_streams()
        for family in FAMILIES:
            await declare_stream(self._link.channel, family)

    async def lose_streams(self) -> None:
        """There are none any more."""
        for family in FAMILIES:
            await self._link.channel.queue_delete(stream_of(family))


@asynccontextmanager
async def running(*followers: Follower) -> AsyncIterator[None]:
    """The followers' loops while entered."""
    tasks = [asyncio.create_task(follower.run()) for follower in followers]
    try:
        yield
    finally:
        for follower in followers:
            follower.stop()
        async with asyncio.timeout(WAIT_S):
            await asyncio.gather(*tasks)


@asynccontextmanager
async def amqp_log_bench(database: Database, url: str, *, fed: bool = True) -> AsyncIterator[AmqpLogBench]:
    """The bench on a broker that other tests use as well: its streams begin anew. `fed` false: the test runs the feeds."""
    link = await connect(url, "test")
    try:
        async with open_amqp_bus(url, CLOCK, ()) as bus:
            bench = AmqpLogBench(database, bus, url, link)
            await bench.begin_anew()
            async with running(*(bench.feeds if fed else ())):
                yield bench
    finally:
        await close(link)


@pytest.fixture(params=["postgres", "rabbitmq"])
def fact_log_broker(request: pytest.FixtureRequest) -> RabbitMQ | None:
    """What lies under the log besides the database. Apart from the bench: servers cannot be started inside a running loop."""
    return request.getfixturevalue("rabbitmq") if request.param == "rabbitmq" else None


@pytest.fixture
async def fact_log_bench(fact_log_broker: RabbitMQ | None, database: Database) -> AsyncIterator[LogBench]:
    """Each log in turn, empty."""
    if fact_log_broker is None:
        yield PostgresLogBench(database)
        return
    async with amqp_log_bench(database, fact_log_broker.url) as amqp:
        yield amqp
