"""The way out: one queue's messages, from one link to the broker, through a handler, to their acknowledgement.

A message is acknowledged when its handler has returned, that is after its commit; or when it is safe in a retry or parking
queue. An acknowledgement that fails is no fault: the message comes again and the inbox knows it.

A worker that dies takes no neighbour along. The broker counts a delivery without an answer for every message that the dead
worker had, so a killer and its neighbours look alike. What has been counted twice is therefore moved to the queue `alone`
before a handler sees it, where it begins with a count of nothing, and is fetched from there only while no other suspect is on
this process (`Means.alone`): the killer then kills alone until the broker parks it, and the others are done.

A queue that is ordered has one message here and keeps it: a failure waits in place, unacknowledged. Whoever must let go of it
(a stop, `HELD_S`) gives it back, and the broker has it first again; its attempts then count anew. A subscription to it ends only
with its link: the broker makes the next consumer the active one as soon as one says that it cancels, while that one still
handles its message, and the one behind would overtake it (seen on 3.10).

The subscription is watched: every `WATCH_S` the broker is asked on the same channel how the queue does. No answer, no consumer,
or messages that wait while nothing comes although there is room for them, and the link is taken for lost.

A queue that was lost is consumed again at once, and refilled beside that (amqp_refilling.py).
"""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Final

import structlog
from aio_pika.abc import AbstractIncomingMessage, AbstractQueue, HeadersType

from persistence.database import Tx
from services.kernel import facts
from services.kernel.clock import Clock, first_of, pause
from services.kernel.facts import Envelope
from workers.amqp_link import OPEN_TIMEOUT_S, Link, Send, broker_faults, heed_cancellation
from workers.amqp_refilling import Refilling, note_what_lies_there
from workers.amqp_topology import (
    ATTEMPT,
    PARKED_MS,
    REASON,
    SUSPECT_AFTER,
    alone_queue,
    attempt_of,
    copy_of,
    deaths_of,
    declare,
    parking_queue,
    retry_queue,
    work_queue,
)
from workers.bus import FINISH_S, HELD_S, UNREADABLE, BusUnavailable, Handle, Queue, TaskTaken, within_limit
from workers.refill import Refill
from workers.retry import Again, Ladder, Park, after_failure
from workers.task_statistics import BusStatistics, QueueStatistics
from workers.wakeups import finish

WATCH_S: Final = 15.0
"""How often a subscription is looked at."""
ALONE_POLL_S: Final = 5.0
"""How often a queue of suspects is looked into; they are few, and late already."""
ASK_TIMEOUT_S: Final = 5.0
"""How long the broker may take to answer a question about a queue."""
RETRY_FIRST_S: Final = 0.5
RETRY_MOST_S: Final = 10.0

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Means:
    """What all consumers of a bus share. `alone` is held by whoever has a suspect on this process; `watch_s` and
    `alone_poll_s` as above."""

    clock: Clock
    ladder: Ladder
    statistics: BusStatistics
    send: Send
    stopping: asyncio.Event
    alone: asyncio.Lock
    watch_s: float = WATCH_S
    alone_poll_s: float = ALONE_POLL_S
    refill: Refill | None = None


class _AmqpDelivery:
    """A message on its way through a handler. RabbitMQ cannot take part in a transaction of ours."""

    def __init__(self, queue: Queue, envelope: Envelope, attempt: int, link: Link) -> None:
        self.envelope: Final = envelope
        self.attempt: Final = attempt
        self._queue: Final = queue
        self._link: Final = link

    async def settle(self, tx: Tx) -> None:
        """The acknowledgement comes after the commit. Only in an ordered queue is a link that is lost a reason not to commit:
        there another worker has the message by now, and what follows it may have been done."""
        if self._queue.ordered and not self._link.alive():
            raise TaskTaken(f"{self._queue.name} {self.envelope.id}: the broker has given it to another worker")


class Consumption:
    """One queue on one link. `run` returns after a stop and raises `BusUnavailable` when the link is lost."""

    def __init__(self, queue: Queue, handle: Handle, link: Link, means: Means) -> None:
        self._queue: Final = queue
        self._handle: Final = handle
        self._link: Final = link
        self._means: Final = means
        self._arrived: Final[asyncio.Queue[AbstractIncomingMessage | None]] = asyncio.Queue()
        """Bounded by the prefetch: the broker sends no more before an answer."""
        self._slots: Final = asyncio.Semaphore(queue.concurrency)
        self._came = 0
        self._here = 0
        self._suspected: Final = asyncio.Event()

    async def run(self) -> None:
        """Handle messages until the link is lost or the bus stops; what runs is finished either way."""
        queue, link, means = self._queue, self._link, self._means
        async with asyncio.timeout(OPEN_TIMEOUT_S):  # a broker that answers heartbeats may still owe an answer for ever
            if means.refill is not None:
                await note_what_lies_there(link, (queue,), means.refill)
            await declare(link.channel, (queue,), means.ladder)
            await link.channel.set_qos(prefetch_count=queue.ahead)
            work = await link.channel.get_queue(work_queue(queue), ensure=False)
            tag = await work.consume(self._arrive)
        async with asyncio.TaskGroup() as group:
            watch = group.create_task(self._outlast(self._watch(work)), name=f"{queue.name} watch")
            hands = [
                group.create_task(self._outlast(self._hand()), name=f"{queue.name} {number}")
                for number in range(queue.concurrency)
            ]
            if not queue.ordered:
                hands.append(group.create_task(self._outlast(self._suspects()), name=f"{queue.name} alone"))
            if means.refill is not None:
                refilling = Refilling(
                    queue, link, means.refill, means.send, self._statistics, means.clock, means.stopping
                )
                hands.append(group.create_task(self._outlast(refilling.run()), name=f"{queue.name} refill"))
            await first_of(means.stopping.wait(), link.lost.wait())
            watch.cancel()
            if means.stopping.is_set() and not queue.ordered:
                await self._end_subscription(work, tag)
            for _ in range(queue.concurrency):
                self._arrived.put_nowait(None)
            if means.stopping.is_set() and await finish(means.clock, FINISH_S, hands):
                log.warning("bus.cut", queue=queue.name, seconds=FINISH_S)
        if not means.stopping.is_set():
            raise BusUnavailable("the broker closed the connection or the subscription")

    async def _arrive(self, message: AbstractIncomingMessage) -> None:
        self._came += 1
        self._here += 1
        self._arrived.put_nowait(message)

    async def _end_subscription(self, work: AbstractQueue, tag: str) -> None:
        """Fetch no more, and give back what nobody has begun, for another worker to begin now."""
        try:
            with broker_faults("the broker did not end the subscription"):
                await work.cancel(tag, timeout=ASK_TIMEOUT_S)
        except BusUnavailable as problem:
            log.info("bus.not_ended", queue=self._queue.name, problem=str(problem))
        while not self._arrived.empty():
            message = self._arrived.get_nowait()
            if message is not None:
                await self._put_back(message)

    async def _put_back(self, message: AbstractIncomingMessage) -> None:
        """Let go of a message; the broker has it first again."""
        try:
            with broker_faults("the message was not put back"):
                await message.nack(requeue=True)
        except BusUnavailable as problem:
            # With the link goes every claim to the message, which is what was wanted.
            log.info("bus.not_put_back", queue=self._queue.name, fact=message.message_id, problem=str(problem))

    # -- hands ----------------------------------------------------------------------------------------------------

    async def _outlast(self, hand: Coroutine[None, None, None]) -> None:
        """Whatever a hand fails with, this link is of no use without it: everybody lets go, and a new link begins with new ones."""
        try:
            await hand
        except BusUnavailable as problem:
            log.warning("bus.link_dead", queue=self._queue.name, problem=str(problem))
            self._link.lost.set()
        except Exception:
            log.exception("bus.hand_failed", queue=self._queue.name)
            self._link.lost.set()

    async def _hand(self) -> None:
        while (message := await self._arrived.get()) is not None:
            if self._means.stopping.is_set():
                self._arrived.put_nowait(message)  # for `_end_subscription`: put back earlier, it would come here again
                return
            if not self._link.alive():
                continue  # the broker has given it to somebody else by now
            try:
                if self._queue.ordered:
                    await self._in_order(message)
                elif deaths_of(message) >= SUSPECT_AFTER:
                    await self._set_aside(message)
                else:
                    async with self._slots:
                        await self._anywhere(message)
            finally:
                self._here -= 1

    async def _suspects(self) -> None:
        """Handle messages whose worker has died under them, one at a time on this whole process."""
        means, name = self._means, alone_queue(self._queue)
        alone = await self._link.channel.get_queue(name, ensure=False)
        while not means.stopping.is_set() and self._link.alive():
            self._suspected.clear()
            with broker_faults("the suspects cannot be read"):
                waiting, _ = await ask(self._link, name)
                if waiting:
                    async with means.alone:
                        message = await alone.get(fail=False, timeout=ASK_TIMEOUT_S)
                        heed_cancellation()
                        if message is not None:
                            async with self._slots:
                                await self._anywhere(message)
            if not waiting:
                await pause(means.clock, means.alone_poll_s, self._suspected, self._link.lost, means.stopping)

    async def _anywhere(self, message: AbstractIncomingMessage) -> None:
        """Handle a message of a queue without order; a failure sends it to a rung of the ladder."""
        attempt = attempt_of(message)
        verdict = await self._attempt(message, attempt, self._means.ladder)
        if isinstance(verdict, Again):
            target = retry_queue(self._queue, verdict.delay_s)
            safe = await self._pass_on(message, target, {ATTEMPT: verdict.attempt})
        else:
            safe = verdict is None or await self._park(message, attempt, verdict)
        if safe:
            await self._acknowledge(message)

    async def _in_order(self, message: AbstractIncomingMessage) -> None:
        """Handle a message of an ordered queue, again and again in its place, until it is done, parked, or must be let go of."""
        means = self._means
        attempt, until = attempt_of(message), means.clock.monotonic() + HELD_S
        while self._link.alive() and not means.stopping.is_set() and means.clock.monotonic() < until:
            verdict = await self._attempt(message, attempt, means.ladder.in_place())
            if not isinstance(verdict, Again):
                if verdict is None or await self._park(message, attempt, verdict):
                    await self._acknowledge(message)
                return
            attempt = verdict.attempt
            await pause(means.clock, verdict.delay_s, self._link.lost, means.stopping)
        if not means.stopping.is_set():  # else it goes back with the link
            await self._put_back(message)

    async def _set_aside(self, message: AbstractIncomingMessage) -> None:
        """Move a suspect to where it is handled alone."""
        log.warning("bus.suspect", queue=self._queue.name, fact=message.message_id, deaths=deaths_of(message))
        if await self._pass_on(message, alone_queue(self._queue), {ATTEMPT: attempt_of(message)}):
            await self._acknowledge(message)
            self._suspected.set()

    # -- one attempt ----------------------------------------------------------------------------------------------

    async def _attempt(self, message: AbstractIncomingMessage, attempt: int, ladder: Ladder) -> Again | Park | None:
        """Run the handler; None when it is done. Raises `BusUnavailable` when the message is another worker's by now."""
        queue, clock = self._queue, self._means.clock
        statistics = self._statistics
        try:
            envelope = facts.decode(message.body)
        except UNREADABLE as problem:
            return Park(f"nobody here can read it: {problem}")
        if not message.redelivered and attempt == 1:
            statistics.newest_ms = envelope.at_ms
        statistics.running += 1
        began = clock.monotonic()
        try:
            await within_limit(queue, self._handle, _AmqpDelivery(queue, envelope, attempt, self._link))
        except TaskTaken as taken:
            statistics.lost += 1
            raise BusUnavailable(str(taken)) from taken
        except Exception as failure:
            log.warning(
                "bus.handler_failed", queue=queue.name, fact=str(envelope.id), attempt=attempt, exc_info=failure
            )
            age_ms = clock.wall_ms() - envelope.at_ms
            verdict = after_failure(failure, attempt, ladder=ladder, max_attempts=queue.max_attempts, age_ms=age_ms)
            statistics.retried += isinstance(verdict, Again)
            return verdict
        finally:
            statistics.running -= 1
            statistics.seconds.add(clock.monotonic() - began)
        statistics.handled += 1
        return None

    async def _acknowledge(self, message: AbstractIncomingMessage) -> None:
        try:
            with broker_faults("the acknowledgement was lost"):
                await message.ack()
        except BusUnavailable as problem:
            # The broker will deliver it again, and the inbox will know it.
            self._statistics.lost += 1
            log.info("bus.not_acknowledged", queue=self._queue.name, fact=message.message_id, problem=str(problem))

    async def _park(self, message: AbstractIncomingMessage, attempt: int, verdict: Park) -> bool:
        self._statistics.parked += 1
        log.error("bus.parked", queue=self._queue.name, fact=message.message_id, reason=verdict.reason)
        headers: HeadersType = {
            ATTEMPT: attempt,
            REASON: verdict.reason,
            PARKED_MS: self._means.clock.wall_ms(),
        }
        return await self._pass_on(message, parking_queue(self._queue), headers)

    async def _pass_on(self, message: AbstractIncomingMessage, target: str, headers: HeadersType) -> bool:
        """Put a copy into another queue; whether it is safe there. The message stays unacknowledged until it is, however long
        that takes."""
        means, retry_s = self._means, RETRY_FIRST_S
        while self._link.alive():
            try:
                await means.send(target, copy_of(message, headers))
            except BusUnavailable as problem:
                log.warning("bus.broker_away", queue=self._queue.name, problem=str(problem), again_in_s=retry_s)
                await pause(means.clock, retry_s, self._link.lost, means.stopping)
                if means.stopping.is_set():
                    return False
                retry_s = min(retry_s * 2, RETRY_MOST_S)
            else:
                return True
        return False

    @property
    def _statistics(self) -> QueueStatistics:
        return self._means.statistics.of(self._queue)

    # -- the watch ------------------------------------------------------------------------------------------------

    async def _watch(self, work: AbstractQueue) -> None:
        """Take the link for lost when the broker does not answer on it, or has forgotten our subscription."""
        came, idle = self._came, False
        while True:
            await self._means.clock.sleep(self._means.watch_s)
            try:
                with broker_faults("no answer about the queue"):
                    waiting, consumers = await ask(self._link, work.name)
            except BusUnavailable as problem:
                log.warning("bus.link_dead", queue=self._queue.name, problem=str(problem))
                self._link.lost.set()
                return
            # The second consumer of an ordered queue gets nothing, rightly.
            unfed = waiting > 0 and self._here == 0 and self._came == came and not self._queue.ordered
            if consumers == 0 or (unfed and idle):
                log.warning("bus.subscription_gone", queue=self._queue.name, consumers=consumers, waiting=waiting)
                self._link.lost.set()
                return
            came, idle = self._came, unfed


async def ask(link: Link, name: str) -> tuple[int, int]:
    """How many messages of one of the broker's queues wait, and how many consumers it has. Raises whatever the library raises:
    call it inside `broker_faults`."""
    channel = await link.channel.get_underlay_channel()
    told = await channel.queue_declare(name, passive=True, timeout=ASK_TIMEOUT_S)
    heed_cancellation()
    return told.message_count or 0, told.consumer_count or 0
