"""The task bus on RabbitMQ: written for 4.x, works from 3.10 on.

amqp_topology.py says what lies on the broker, amqp_link.py how a connection is made and lost. Here are the two ways
through: in, with confirms, and out, with acknowledgements.

In. A publish is done when the broker has confirmed it, which for a quorum queue means that a majority has it on disk.
What is not confirmed in time is the relay's to publish again; nothing is replayed here. The publisher has a connection
of its own, because a broker short of memory stops reading from publishers and must not thereby stop acknowledgements.

Out. A message is acknowledged when its handler has returned, that is after its commit; or when it is safe in a retry or
parking queue. An acknowledgement that fails is no fault: the message comes again and the inbox knows it. At most
`concurrency` messages are here at once, so a worker that dies drags few neighbours along. A handler has half an hour at
most (the broker's `consumer_timeout`); longer work belongs in a row of its own.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import aio_pika
import msgspec
import structlog
from aio_pika.abc import AbstractExchange, AbstractIncomingMessage, AbstractQueue, HeadersType

from persistence.database import Tx
from services.kernel import facts
from services.kernel.clock import Clock
from services.kernel.facts import Envelope
from services.kernel.ids import FactId
from workers.amqp_link import Link, broker_faults, close, connect
from workers.amqp_log import declare_streams, stream_of
from workers.amqp_topology import (
    ATTEMPT,
    EXCHANGE,
    REASON,
    attempt_of,
    copy_of,
    declare,
    message_of,
    parked_of,
    parking_queue,
    retry_queue,
    work_queue,
)
from workers.bus import (
    PUBLISH_TIMEOUT_S,
    BusStatistics,
    BusUnavailable,
    Handle,
    Parked,
    Queue,
    wanted_by,
)
from workers.fact_log import family_of
from workers.retry import Again, Ladder, Park, after_failure
from workers.wakeups import pause

RETRY_FIRST_S: Final = 0.5
RETRY_MOST_S: Final = 10.0

log = structlog.get_logger(__name__)


class _AmqpDelivery:
    """A message on its way through a handler. RabbitMQ cannot take part in a transaction of ours."""

    def __init__(self, envelope: Envelope, attempt: int) -> None:
        self.envelope: Final = envelope
        self.attempt: Final = attempt

    async def settle(self, tx: Tx) -> None:
        """Nothing: the acknowledgement comes after the commit."""


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
    ) -> None:
        self._url: Final = url
        self._clock: Final = clock
        self._queues: Final = queues
        self._ladder: Final = ladder or Ladder()
        self._timeout_s: Final = publish_timeout_s
        self._stopping: Final = asyncio.Event()
        self._statistics: Final = BusStatistics()
        self._publisher: Link | None = None
        self._facts: AbstractExchange | None = None
        self._connecting: Final = asyncio.Lock()

    # -- publishing -----------------------------------------------------------------------------------------------

    async def publish(self, *envelopes: Envelope) -> None:
        """See `TaskBus.publish`. Confirms are awaited together; what was confirmed is in `BusUnavailable.taken`."""
        results = await asyncio.gather(*map(self._publish_fact, envelopes), return_exceptions=True)
        taken: set[FactId] = set()
        refusal: BusUnavailable | None = None
        for envelope, result in zip(envelopes, results, strict=True):
            if isinstance(result, BusUnavailable):
                refusal = result
            elif isinstance(result, BaseException):
                raise result
            else:
                taken.add(envelope.id)
        self._statistics.published += len(taken)
        if refusal is not None:
            self._statistics.refused += 1
            raise BusUnavailable(str(refusal), frozenset(taken)) from refusal

    async def _publish_fact(self, envelope: Envelope) -> None:
        kind, message = facts.fact_type(type(envelope.fact)), message_of(envelope)
        # Unwanted facts must not come back as unroutable; a queue of a newer program may still want them.
        await self._send(EXCHANGE, kind, message, must_arrive=bool(wanted_by(self._queues, envelope)))
        if (family := family_of(kind)) is not None:
            await self._send("", stream_of(family), message)

    async def _send(self, exchange: str, key: str, message: aio_pika.Message, *, must_arrive: bool = True) -> None:
        """Publish and wait for the broker's word. Raises `BusUnavailable`."""
        with broker_faults("the broker did not take a message"):
            async with asyncio.timeout(self._timeout_s):
                link = await self._publishing()
                target = self._facts if exchange == EXCHANGE else link.channel.default_exchange
                if target is None:
                    raise BusUnavailable("the connection was lost just now")
                await target.publish(message, key, mandatory=must_arrive, timeout=self._timeout_s)

    async def _publishing(self) -> Link:
        """The publisher's link, made anew when it is lost."""
        if self._publisher is not None and self._publisher.alive():
            return self._publisher
        async with self._connecting:
            if self._publisher is not None and self._publisher.alive():
                return self._publisher
            await self._drop_publisher()
            link = await connect(self._url, "publisher")
            try:
                self._facts = await declare(link.channel, self._queues, self._ladder)
                await declare_streams(link.channel)
            except BaseException:
                await link.connection.close()
                raise
            self._publisher = link
            return link

    async def _drop_publisher(self) -> None:
        link, self._publisher, self._facts = self._publisher, None, None
        if link is not None:
            self._statistics.reconnects += 1
            await close(link)

    # -- consuming ------------------------------------------------------------------------------------------------

    async def consume(self, queue: Queue, handle: Handle) -> None:
        """See `TaskBus.consume`."""
        retry_s = RETRY_FIRST_S
        while not self._stopping.is_set():
            began = self._clock.monotonic()
            try:
                with broker_faults("the connection to the broker is lost"):
                    link = await connect(self._url, queue.name)
                    try:
                        await self._consume(link, queue, handle)
                    finally:
                        await close(link)
            except BusUnavailable as problem:
                self._statistics.reconnects += 1
                if self._clock.monotonic() - began > RETRY_MOST_S:
                    retry_s = RETRY_FIRST_S  # it went well for a while: this is a new fault
                log.warning("bus.broker_away", queue=queue.name, problem=str(problem), again_in_s=retry_s)
                await pause(self._clock, retry_s, self._stopping)
                retry_s = min(retry_s * 2, RETRY_MOST_S)

    async def _consume(self, link: Link, queue: Queue, handle: Handle) -> None:
        """Handle messages until the link is lost or this bus stops; what runs is finished either way."""
        await declare(link.channel, (queue,), self._ladder)
        await link.channel.set_qos(prefetch_count=queue.concurrency)
        arrived: asyncio.Queue[AbstractIncomingMessage] = asyncio.Queue()
        work = await link.channel.get_queue(work_queue(queue), ensure=False)
        tag = await work.consume(arrived.put)
        ended = asyncio.Event()

        async def hand() -> None:
            while not ended.is_set():
                message = await _next(arrived, ended)
                if message is not None:
                    await self._run(queue, handle, message, link)

        async with asyncio.TaskGroup() as group:
            for number in range(queue.concurrency):
                group.create_task(hand(), name=f"{queue.name} {number}")
            await _first_of(self._stopping, link.lost)
            if self._stopping.is_set() and link.alive():
                with broker_faults("the broker did not end the subscription"):
                    await work.cancel(tag, timeout=self._timeout_s)
            ended.set()
        if not self._stopping.is_set():
            raise BusUnavailable("the broker closed the connection or the subscription")

    async def _run(self, queue: Queue, handle: Handle, message: AbstractIncomingMessage, link: Link) -> None:
        statistics = self._statistics.of(queue)
        statistics.running += 1
        began = self._clock.monotonic()
        try:
            if await self._handle(queue, handle, message, link):
                with broker_faults("the acknowledgement was lost"):
                    await message.ack()
        except BusUnavailable as problem:
            # The broker will deliver it again, and the inbox will know it.
            log.info("bus.not_acknowledged", queue=queue.name, fact=message.message_id, problem=str(problem))
        finally:
            statistics.running -= 1
            statistics.seconds += self._clock.monotonic() - began

    async def _handle(self, queue: Queue, handle: Handle, message: AbstractIncomingMessage, link: Link) -> bool:
        """Whether the message is done with: handled, or safe in a retry or parking queue."""
        statistics = self._statistics.of(queue)
        attempt = attempt_of(message)
        try:
            envelope = facts.decode(message.body)
        except msgspec.DecodeError as problem:
            return await self._after(queue, message, attempt, Park(f"nobody here can read it: {problem}"), link)
        try:
            await handle(_AmqpDelivery(envelope, attempt))
        except Exception as failure:
            verdict = after_failure(
                failure,
                attempt,
                ladder=self._ladder,
                max_attempts=queue.max_attempts,
                age_ms=self._clock.wall_ms() - envelope.at_ms,
            )
            log.warning(
                "bus.handler_failed", queue=queue.name, fact=str(envelope.id), attempt=attempt, exc_info=failure
            )
            return await self._after(queue, message, attempt, verdict, link)
        statistics.handled += 1
        return True

    async def _after(
        self, queue: Queue, message: AbstractIncomingMessage, attempt: int, verdict: Again | Park, link: Link
    ) -> bool:
        """Send a failed message on its way. It stays unacknowledged until it is safe there, however long that takes."""
        statistics = self._statistics.of(queue)
        if isinstance(verdict, Park):
            target = parking_queue(queue)
            headers: HeadersType = {ATTEMPT: attempt, REASON: verdict.reason}
            statistics.parked += 1
            log.error("bus.parked", queue=queue.name, fact=message.message_id, reason=verdict.reason)
        else:
            target = retry_queue(queue, verdict.delay_s)
            headers = {ATTEMPT: verdict.attempt}
            statistics.retried += 1
        retry_s = RETRY_FIRST_S
        while link.alive():
            try:
                await self._send("", target, copy_of(message, headers))
            except BusUnavailable as problem:
                log.warning("bus.broker_away", queue=queue.name, problem=str(problem), again_in_s=retry_s)
                await pause(self._clock, retry_s, link.lost, self._stopping)
                if self._stopping.is_set():
                    return False
                retry_s = min(retry_s * 2, RETRY_MOST_S)
            else:
                return True
        return False

    def stop(self) -> None:
        """See `TaskBus.stop`."""
        self._stopping.set()

    # -- what was given up ----------------------------------------------------------------------------------------

    async def parked(self, queue: Queue, limit: int = 100) -> list[Parked]:
        """See `TaskBus.parked`. Looks at the messages and puts them back where they were."""
        async with self._looking(queue) as parking:
            messages = [message async for message in _get(parking, limit)]
            found = [parked_of(message) for message in messages]
            for message in messages:
                await message.nack(requeue=True)
        return found

    async def replay(self, queue: Queue, fact_id: FactId) -> bool:
        """See `TaskBus.replay`."""
        replayed = False
        async with self._looking(queue) as parking:
            messages = [message async for message in _get(parking, None)]
            for message in messages:
                if message.message_id == str(fact_id) and not replayed:
                    await self._send("", work_queue(queue), copy_of(message, {ATTEMPT: 1}))
                    await message.ack()
                    replayed = True
                else:
                    await message.nack(requeue=True)
        return replayed

    @asynccontextmanager
    async def _looking(self, queue: Queue) -> AsyncIterator[AbstractQueue]:
        with broker_faults("the parking queue cannot be read"):
            link = await connect(self._url, "parked")
            try:
                await declare(link.channel, (queue,), self._ladder)
                yield await link.channel.get_queue(parking_queue(queue), ensure=False)
            finally:
                await close(link)

    def statistics(self) -> BusStatistics:
        """See `TaskBus.statistics`."""
        return self._statistics

    async def close(self) -> None:
        """Let go of the publisher's connection."""
        self.stop()
        link, self._publisher, self._facts = self._publisher, None, None
        if link is not None:
            await close(link)


@asynccontextmanager
async def open_amqp_bus(
    url: str, clock: Clock, queues: tuple[Queue, ...], *, ladder: Ladder | None = None
) -> AsyncIterator[AmqpBus]:
    """A bus on the broker at `url` (amqp:// or amqps://). Connects when it is first needed, and again whenever needed."""
    bus = AmqpBus(url, clock, queues, ladder=ladder)
    try:
        yield bus
    finally:
        await bus.close()


async def _get(queue: AbstractQueue, limit: int | None) -> AsyncIterator[AbstractIncomingMessage]:
    """The messages that lie in a queue now, each to be answered by the caller."""
    count = 0
    while limit is None or count < limit:
        message = await queue.get(fail=False)
        if message is None:
            return
        count += 1
        yield message


async def _next(
    arrived: asyncio.Queue[AbstractIncomingMessage], ended: asyncio.Event
) -> AbstractIncomingMessage | None:
    """The next message, or None when there will be none to begin any more."""
    getting, ending = asyncio.ensure_future(arrived.get()), asyncio.ensure_future(ended.wait())
    try:
        await asyncio.wait((getting, ending), return_when=asyncio.FIRST_COMPLETED)
        return getting.result() if getting.done() and not ended.is_set() else None
    finally:
        getting.cancel()
        ending.cancel()
        await asyncio.gather(getting, ending, return_exceptions=True)


async def _first_of(*events: asyncio.Event) -> None:
    waiting = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for each in waiting:
            each.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


async def ping(url: str) -> str | None:
    """Whether the broker at `url` answers and lets us in: None, or what is wrong in a sentence."""
    try:
        connection = await asyncio.wait_for(aio_pika.connect(url), 5)
    except (OSError, TimeoutError, aio_pika.exceptions.AMQPException) as problem:
        return f"does not answer: {problem!r}"
    await connection.close()
    return None
