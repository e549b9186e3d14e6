"""Both task buses behind one bench, so that one suite of tests can be run on either.

A `Bench` stands for the broker and everything around it; `open` gives a bus as a worker process has one. Delays are
short, because here the ladder is real time on a real server.
"""

import asyncio
import contextlib
import itertools
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final, Protocol

import aio_pika
import msgspec

from persistence.database import Database
from persistence.tasks import Tasks
from services.kernel.clock import SystemClock, utc
from services.kernel.facts import AnyFact, Envelope, Fact, WorkoutFinished
from services.kernel.ids import AccountId, FactId, Uuid7Ids, WorkoutId
from workers.amqp import open_amqp_bus
from workers.amqp_link import close, connect
from workers.amqp_topology import arguments_of, work_queue
from workers.bus import TIME_LIMIT_S, BusUnavailable, Delivery, Handle, OperatedBus, Queue, TaskBus
from workers.postgres_bus import PostgresBus
from workers.retry import Ladder

CLOCK: Final = SystemClock()
IDS: Final = Uuid7Ids(CLOCK)
LADDER: Final = Ladder((0.05, 0.1))
WAIT_S: Final = 60.0
"""How long a test waits for what must come."""
LEASE_S: Final = 0.5
"""Short, for tests in which a worker dies; handlers that take longer are taken for dead."""
_names: Final = itertools.count()


def an_envelope(fact: AnyFact | None = None) -> Envelope:
    """A fact on its way, of now."""
    if fact is None:
        fact = WorkoutFinished(workout_id=WorkoutId(IDS.next()), account_id=AccountId(IDS.next()))
    return Envelope(id=FactId(IDS.next()), at_ms=CLOCK.wall_ms(), fact=fact)


def foreign_body(fact_id: FactId) -> str:
    """An envelope with a fact of a program newer than this one."""
    body = {"id": str(fact_id), "at_ms": CLOCK.wall_ms(), "fact": {"type": "moon.eclipsed", "moon": 1}}
    return msgspec.json.encode(body).decode()


async def published(bus: TaskBus, *envelopes: Envelope) -> None:
    """Hand envelopes over as the relay does: what was refused is handed over again, in its order. A queue that has just been
    made may refuse while its broker is busy."""
    waiting = list(envelopes)
    async with asyncio.timeout(WAIT_S):
        while waiting:
            try:
                await bus.publish(*waiting)
            except BusUnavailable as refused:
                waiting = [envelope for envelope in waiting if envelope.id not in refused.taken]
            else:
                return


class Bench(Protocol):
    """One bus under test."""

    def queue(
        self,
        *wants: type[Fact],
        concurrency: int = 1,
        max_attempts: int = 5,
        name: str = "test",
        prefetch: int = 0,
        ordered: bool = False,
        time_limit_s: float = TIME_LIMIT_S,
    ) -> Queue:
        """A queue that no other test uses; made before any bus is opened."""
        ...

    def open(self, *, lease_s: float = LEASE_S) -> AbstractAsyncContextManager[OperatedBus]:
        """A bus, as a worker process has one. `lease_s` on the bus that has leases."""
        ...

    async def put(self, queue: Queue, fact_id: FactId, body: str) -> None:
        """Put something into a queue behind the bus's back."""
        ...

    def where(self) -> tuple[str, str]:
        """Which bus it is, and the URL of what lies under it: for a process of its own."""
        ...


class PostgresBench:
    """The bus on Postgres."""

    def __init__(self, database: Database) -> None:
        self._database: Final = database
        self._queues: list[Queue] = []

    def queue(
        self,
        *wants: type[Fact],
        concurrency: int = 1,
        max_attempts: int = 5,
        name: str = "test",
        prefetch: int = 0,
        ordered: bool = False,
        time_limit_s: float = TIME_LIMIT_S,
    ) -> Queue:
        queue = Queue(
            f"{name}-{next(_names)}",
            wants or (WorkoutFinished,),
            concurrency,
            max_attempts,
            prefetch,
            ordered,
            time_limit_s,
        )
        self._queues.append(queue)
        return queue

    @asynccontextmanager
    async def open(self, *, lease_s: float = LEASE_S) -> AsyncIterator[OperatedBus]:
        yield PostgresBus(self._database, CLOCK, tuple(self._queues), ladder=LADDER, poll_s=0.02, lease_s=lease_s)

    async def put(self, queue: Queue, fact_id: FactId, body: str) -> None:
        async with self._database.tx() as tx:
            await Tasks(tx).add([(queue.name, fact_id, body)], utc(CLOCK.wall_ms()))

    def where(self) -> tuple[str, str]:
        return "postgres", self._database.dsn


class AmqpBench:
    """The bus on RabbitMQ. `remove` takes the queues off the broker again."""

    def __init__(self, url: str) -> None:
        self._url: Final = url
        self._queues: list[Queue] = []

    def queue(
        self,
        *wants: type[Fact],
        concurrency: int = 1,
        max_attempts: int = 5,
        name: str = "test",
        prefetch: int = 0,
        ordered: bool = False,
        time_limit_s: float = TIME_LIMIT_S,
    ) -> Queue:
        queue = Queue(
            # The broker may be shared with other runs of the tests.
            f"{name}-{os.getpid()}-{next(_names)}",
            wants or (WorkoutFinished,),
            concurrency,
            max_attempts,
            prefetch,
            ordered,
            time_limit_s,
        )
        self._queues.append(queue)
        return queue

    @asynccontextmanager
    async def open(self, *, lease_s: float = LEASE_S) -> AsyncIterator[OperatedBus]:
        async with open_amqp_bus(self._url, CLOCK, tuple(self._queues), ladder=LADDER, alone_poll_s=0.05) as bus:
            yield bus

    async def put(self, queue: Queue, fact_id: FactId, body: str) -> None:
        link = await connect(self._url, "test")
        message = aio_pika.Message(body.encode(), message_id=str(fact_id))
        await link.channel.default_exchange.publish(message, work_queue(queue))
        await close(link)

    def where(self) -> tuple[str, str]:
        return "rabbitmq", self._url

    async def remove(self) -> None:
        link = await connect(self._url, "test")
        for queue in self._queues:
            for name in arguments_of(queue, LADDER):
                await link.channel.queue_delete(name)
        await close(link)


class Seen:
    """A handler that remembers what it was given, and what it should do with it."""

    def __init__(self, act: Callable[[Delivery], Exception | None] = lambda _: None) -> None:
        self.deliveries: list[Delivery] = []
        self._act: Final = act
        self._changed: Final = asyncio.Event()

    async def __call__(self, delivery: Delivery) -> None:
        self.deliveries.append(delivery)
        self._changed.set()
        failure = self._act(delivery)
        if failure is not None:
            raise failure

    def ids(self) -> list[FactId]:
        """The facts seen, in the order of their deliveries."""
        return [delivery.envelope.id for delivery in self.deliveries]

    async def until(self, enough: Callable[[list[Delivery]], bool]) -> None:
        """Return when `enough` holds for what was seen; fails after `WAIT_S`."""
        async with asyncio.timeout(WAIT_S):
            while not enough(self.deliveries):
                self._changed.clear()
                await self._changed.wait()

    async def times(self, count: int) -> None:
        """Return when `count` deliveries were seen."""
        await self.until(lambda seen: len(seen) >= count)


@asynccontextmanager
async def consuming(bus: TaskBus, queue: Queue, handle: Handle) -> AsyncIterator[asyncio.Task[None]]:
    """Consume a queue while entered; afterwards stop politely."""
    task = asyncio.create_task(bus.consume(queue, handle), name=f"consume {queue.name}")
    try:
        yield task
    finally:
        bus.stop()
        async with asyncio.timeout(WAIT_S):
            with contextlib.suppress(asyncio.CancelledError):
                await task


async def eventually(look: Callable[[], object]) -> None:
    """Return when awaiting `look()` gives something true; fails after `WAIT_S`. For what only the server knows."""
    async with asyncio.timeout(WAIT_S):
        while True:
            found = look()
            if asyncio.iscoroutine(found):
                found = await found
            if found:
                return
            await asyncio.sleep(0.02)
