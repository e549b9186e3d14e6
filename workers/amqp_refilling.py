"""Noticing on RabbitMQ that a queue was lost, and refilling it.

`note_what_lies_there` runs before every declaration, by consumers and by the publisher: whoever comes first after a broker has
lost its disk makes the queue, and nobody could tell afterwards that it was missing. What is deleted between the look and the
declaration, some milliseconds, goes unnoticed.

Only work queues are looked at. A message on a rung waits there until its work queue is back.
"""

import asyncio
from collections.abc import Collection, Iterable, Sequence
from typing import Final

import aio_pika
import structlog
from aio_pika.abc import AbstractConnection

from services.kernel.clock import Clock, pause
from services.kernel.facts import Envelope
from workers.amqp_link import Link, Send, broker_faults
from workers.amqp_topology import EXCHANGE, message_of, work_queue
from workers.bus import BusUnavailable, Queue
from workers.refill import Refill
from workers.task_statistics import QueueStatistics

LOOK_AGAIN_S: Final = 5.0
"""How often to look whether another process has refilled the queue, or whether it goes better now."""

log = structlog.get_logger(__name__)


async def note_what_lies_there(link: Link, queues: Iterable[Queue], refill: Refill) -> None:
    """Say which of these work queues lie on the broker, before they are declared. Raises `BusUnavailable`."""
    present: dict[str, Collection[str]] = {}
    missing: dict[str, Collection[str]] = {}
    with broker_faults("the broker did not say what lies there"):
        for queue in queues:
            name = work_queue(queue)
            (present if await _lies_there(link.connection, name) else missing)[name] = queue.types()
    await refill.note(present, missing)


async def _lies_there(connection: AbstractConnection, name: str) -> bool:
    """Asked on a channel of its own: the broker closes it when there is no such queue."""
    channel = connection.channel()
    await channel.initialize()
    try:
        await channel.declare_queue(name, passive=True)
    except aio_pika.exceptions.ChannelNotFoundEntity:
        return False
    finally:
        await channel.close()
    return True


class Refilling:
    """Refills one queue, on the link of its consumer and for as long as that lives, if it was lost."""

    def __init__(
        self,
        queue: Queue,
        link: Link,
        refill: Refill,
        send: Send,
        statistics: QueueStatistics,
        clock: Clock,
        stopping: asyncio.Event,
    ) -> None:
        self._queue: Final = queue
        self._name: Final = work_queue(queue)
        self._link: Final = link
        self._refill: Final = refill
        self._send: Final = send
        self._statistics: Final = statistics
        self._clock: Final = clock
        self._stopping: Final = stopping

    async def run(self) -> None:
        """Return when the queue lacks nothing, when the link is lost, or after a stop."""
        while self._goes_on():
            try:
                if await self._mended():
                    return
            except BusUnavailable as problem:
                log.warning("bus.refill_waits", queue=self._name, problem=str(problem), again_in_s=LOOK_AGAIN_S)
            await pause(self._clock, LOOK_AGAIN_S, self._link.lost, self._stopping)

    async def _mended(self) -> bool:
        """Go on with the loss there is, if any; False when that is for later."""
        loss = await self._refill.lost(self._name)
        if loss is None:
            return True
        await self._bind()
        upto = await self._refill.reach()
        progress = "more"
        while progress == "more" and self._goes_on():
            progress = await self._refill.page(self._queue, self._name, loss, upto, self._tell)
        return progress == "done"

    async def _bind(self) -> None:
        """Make sure that from here on the queue is told everything: whoever noted the loss may not be done with making it."""
        with broker_faults("the queue could not be bound"):
            work = await self._link.channel.get_queue(self._name, ensure=False)
            for kind in sorted(self._queue.types()):
                await work.bind(EXCHANGE, kind)

    async def _tell(self, envelopes: Sequence[Envelope]) -> None:
        """Straight to this queue: the others have had them."""
        sends = (self._send(self._name, message_of(envelope)) for envelope in envelopes)
        for result in await asyncio.gather(*sends, return_exceptions=True):
            if isinstance(result, BaseException):
                raise result
        self._statistics.refilled += len(envelopes)

    def _goes_on(self) -> bool:
        return self._link.alive() and not self._stopping.is_set()
