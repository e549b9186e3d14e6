"""The task bus on RabbitMQ: written for 4.x, works from 3.10 on.

amqp_topology.py says what lies on the broker, amqp_link.py how a connection is made and lost; amqp_publisher.py is the way in,
amqp_consumer.py the way out, and amqp_parking.py what a person does. Here they are put together, and here a consumer that has
lost its link gets another.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import aio_pika
import structlog

from services.kernel.clock import Clock, pause
from services.kernel.facts import Envelope
from workers.amqp_consumer import ALONE_POLL_S, RETRY_FIRST_S, RETRY_MOST_S, WATCH_S, Consumption, Means
from workers.amqp_link import broker_faults, close, connect
from workers.amqp_parking import Overseer, Parking
from workers.amqp_publisher import Publisher
from workers.amqp_topology import ForeignQueue
from workers.bus import PUBLISH_TIMEOUT_S, BusUnavailable, Handle, Parked, Queue, Told
from workers.refill import Refill
from workers.retry import Ladder
from workers.task_statistics import BusStatistics, Overview

log = structlog.get_logger(__name__)


class AmqpBus:
    """A `TaskBus` on RabbitMQ. Made by `open_amqp_bus`."""

    def __init__(
        self,
        url: str,
        clock: Clock,
        queues: tuple[Queue, ...],
        *,
        ladder: Ladder | None = None,
        publish_timeout_s: float = PUBLISH_TIMEOUT_S,
        watch_s: float = WATCH_S,
        alone_poll_s: float = ALONE_POLL_S,
        refill: Refill | None = None,
    ) -> None:
        """`refill` makes good what a lost queue lacks; without it such a queue is only made again."""
        self._url: Final = url
        self._clock: Final = clock
        self._stopping: Final = asyncio.Event()
        self._statistics: Final = BusStatistics()
        rungs = ladder or Ladder()
        self._publisher: Final = Publisher(url, queues, rungs, self._statistics, publish_timeout_s, refill)
        self._parking: Final = Parking(url, self.send)
        self._overseer: Final = Overseer(url, queues, rungs, clock, self._statistics)
        self._means: Final = Means(
            clock, rungs, self._statistics, self.send, self._stopping, asyncio.Lock(), watch_s, alone_poll_s, refill
        )

    async def publish(self, *envelopes: Envelope) -> None:
        """See `TaskBus.publish`."""
        await self._publisher.publish(*envelopes)

    async def send(self, queue: str, message: aio_pika.Message) -> None:
        """Put a message into one of the broker's queues. Raises `BusUnavailable`."""
        await self._publisher.send(queue, message)

    async def consume(self, queue: Queue, handle: Handle) -> None:
        """See `TaskBus.consume`."""
        retry_s = RETRY_FIRST_S
        while not self._stopping.is_set():
            began = self._clock.monotonic()
            try:
                await self._consume(queue, handle)
            except BusUnavailable as problem:
                retry_s = self._after(began, retry_s)
                log.warning("bus.broker_away", queue=queue.name, problem=str(problem), again_in_s=retry_s)
            except ForeignQueue as problem:
                retry_s = RETRY_MOST_S  # no waiting will mend it
                log.error("bus.foreign_queue", queue=queue.name, problem=str(problem), again_in_s=retry_s)  # noqa: TRY400
            except Exception:
                # Whatever it was, the database most likely: this loop must outlast it, or the process ends with it.
                retry_s = self._after(began, retry_s)
                log.exception("bus.consume_failed", queue=queue.name, again_in_s=retry_s)
            else:
                continue
            self._statistics.reconnects += 1
            await pause(self._clock, retry_s, self._stopping)
            retry_s = min(retry_s * 2, RETRY_MOST_S)

    def _after(self, began: float, retry_s: float) -> float:
        """The pause after a fault: the first again, if it went well for a while since `began`."""
        return RETRY_FIRST_S if self._clock.monotonic() - began > RETRY_MOST_S else retry_s

    async def _consume(self, queue: Queue, handle: Handle) -> None:
        with broker_faults("the connection to the broker is lost"):
            link = await connect(self._url, queue.name)
            try:
                await Consumption(queue, handle, link, self._means).run()
            finally:
                await close(link)

    def stop(self) -> None:
        """See `TaskBus.stop`."""
        if not self._stopping.is_set():
            log.info("bus.stopping")  # from here on nothing new is begun
        self._stopping.set()

    async def parked(self, queue: Queue, limit: int = 100) -> list[Parked]:
        """See `TaskBus.parked`."""
        return await self._parking.parked(queue, limit)

    async def replay(self, queue: Queue, key: str) -> int:
        """See `TaskBus.replay`."""
        return await self._parking.replay(queue, key)

    async def replay_all(self, queue: Queue, told: Told) -> int:
        """See `TaskBus.replay_all`."""
        return await self._parking.replay_all(queue, told)

    async def drop(self, queue: Queue, key: str) -> int:
        """See `TaskBus.drop`."""
        return await self._parking.drop(queue, key)

    async def overview(self) -> dict[str, Overview]:
        """See `TaskBus.overview`."""
        return await self._overseer.overview()

    def statistics(self) -> BusStatistics:
        """See `TaskBus.statistics`."""
        return self._statistics

    async def close(self) -> None:
        """Let go of the connections that are kept between calls."""
        self.stop()
        await self._publisher.close()
        await self._overseer.close()


@asynccontextmanager
async def open_amqp_bus(
    url: str,
    clock: Clock,
    queues: tuple[Queue, ...],
    *,
    ladder: Ladder | None = None,
    alone_poll_s: float = ALONE_POLL_S,
    refill: Refill | None = None,
) -> AsyncIterator[AmqpBus]:
    """A bus on the broker at `url` (amqp:// or amqps://). Connects when it is first needed, and again whenever needed."""
    bus = AmqpBus(url, clock, queues, ladder=ladder, alone_poll_s=alone_poll_s, refill=refill)
    try:
        yield bus
    finally:
        await bus.close()


async def ping(url: str) -> str | None:
    """Whether the broker at `url` answers and lets us in: None, or what is wrong in a sentence."""
    try:
        connection = await asyncio.wait_for(aio_pika.connect(url), 5)
    except (OSError, TimeoutError, aio_pika.exceptions.AMQPException) as problem:
        return f"does not answer: {problem!r}"
    await connection.close()
    return None
