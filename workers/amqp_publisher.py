"""The way in: messages to the broker, each done when the broker has confirmed it.

For a quorum queue a confirm means that a majority has the message on disk. What is not confirmed in time is the relay's to
publish again; nothing is replayed here. What was written and not confirmed may still arrive, so nothing is written to a broker
that has said that it has an alarm and reads nothing: whatever waits would reach it once for every attempt, and be handled as
often when the alarm is over (of 76,000 deliveries after two alarms of 30 s, 16,000 were such ones).

The publisher has a connection of its own, because a broker short of memory or disk stops reading from whoever publishes and
must not thereby stop acknowledgements. Queues are all that it knows:
streams are filled over other connections (amqp_feed.py), so that one that is sick holds up nothing here.
"""

import asyncio
from typing import Final

import aio_pika
import structlog
from aio_pika.abc import AbstractExchange

from services.kernel import facts
from services.kernel.facts import Envelope
from services.kernel.ids import FactId
from workers.amqp_link import OPEN_TIMEOUT_S, Link, broker_faults, close, connect
from workers.amqp_refilling import note_what_lies_there
from workers.amqp_topology import EXCHANGE, ForeignQueue, declare, message_of
from workers.bus import BusUnavailable, Queue, wanted_by
from workers.refill import Refill
from workers.retry import Ladder
from workers.task_statistics import BusStatistics

log = structlog.get_logger(__name__)


class Publisher:
    """Publishes over one link, which is made when it is first needed and again when it was lost."""

    def __init__(
        self,
        url: str,
        queues: tuple[Queue, ...],
        ladder: Ladder,
        statistics: BusStatistics,
        timeout_s: float,
        refill: Refill | None = None,
    ) -> None:
        self._url: Final = url
        self._queues: Final = queues
        self._ladder: Final = ladder
        self._statistics: Final = statistics
        self._timeout_s: Final = timeout_s
        self._refill: Final = refill
        self._link: Link | None = None
        self._facts: AbstractExchange | None = None
        self._opening: asyncio.Task[None] | None = None

    async def publish(self, *envelopes: Envelope) -> None:
        """See `TaskBus.publish`. Confirms are awaited together; what was confirmed is in `BusUnavailable.taken`. Under an alarm
        this waits for its end, for as long as for a confirm."""
        try:
            await self._admitted()
        except BusUnavailable:
            self._statistics.refused += 1
            raise
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

    async def send(self, queue: str, message: aio_pika.Message) -> None:
        """Put a message into one of the broker's queues. Raises `BusUnavailable`."""
        await self._admitted()
        await self._send("", queue, message, must_arrive=True)

    async def close(self) -> None:
        """Let go of the connection."""
        if self._opening is not None:
            self._opening.cancel()
            await asyncio.gather(self._opening, return_exceptions=True)
        await self._let_go()

    async def _let_go(self) -> None:
        link, self._link, self._facts = self._link, None, None
        if link is not None:
            await close(link)

    async def _admitted(self) -> None:
        """Wait until the broker reads what is written. Raises `BusUnavailable` when it does not in time."""
        with broker_faults("the broker has an alarm, or is away"):
            async with asyncio.timeout(self._timeout_s):
                link = await self._ready()
                await link.admitted()

    async def _publish_fact(self, envelope: Envelope) -> None:
        kind, message = facts.fact_type(type(envelope.fact)), message_of(envelope)
        # Unwanted facts must not come back as unroutable; a queue of a newer program may still want them.
        await self._send(EXCHANGE, kind, message, must_arrive=bool(wanted_by(self._queues, envelope)))

    async def _send(self, exchange: str, key: str, message: aio_pika.Message, *, must_arrive: bool) -> None:
        """Publish and wait for the broker's word. Raises `BusUnavailable`."""
        with broker_faults("the broker did not take a message"):
            async with asyncio.timeout(self._timeout_s):
                link = await self._ready()
                target = self._facts if exchange == EXCHANGE else link.channel.default_exchange
                if target is None:
                    raise BusUnavailable("the connection was lost just now")
                await target.publish(message, key, mandatory=must_arrive, timeout=self._timeout_s)

    async def _ready(self) -> Link:
        """The link, made anew when it is lost.

        A broker that has just been started may take longer to declare everything than a publish may take. So the link is made by
        a task of its own, which goes on when the publish that wanted it has given up: the next one finds it further, not at the
        beginning again. It ends with itself, after `OPEN_TIMEOUT_S`, or with `close`.
        """
        while self._link is None or not self._link.alive():
            if self._opening is None:
                self._opening = asyncio.create_task(self._reopen(), name="bus publisher opens")
                self._opening.add_done_callback(self._opened)
            await asyncio.shield(self._opening)
        return self._link

    def _opened(self, opening: asyncio.Task[None]) -> None:
        self._opening = None
        if not opening.cancelled():
            opening.exception()  # whoever waited has seen it; when nobody did, the next publish will

    async def _reopen(self) -> None:
        async with asyncio.timeout(OPEN_TIMEOUT_S):
            if self._link is not None:
                self._statistics.reconnects += 1
                await self._let_go()
            self._link, self._facts = await self._open()

    async def _open(self) -> tuple[Link, AbstractExchange]:
        """A link on which everything is declared. A queue that lies there with other arguments takes messages all the same:
        it must not keep the facts from all others, and whoever consumes it makes the noise."""
        foreign: set[str] = set()
        while True:
            link = await connect(self._url, "publisher")
            try:
                ours = [queue for queue in self._queues if queue.name not in foreign]
                if self._refill is not None:
                    await note_what_lies_there(link, ours, self._refill)
                exchange = await declare(link.channel, ours, self._ladder)
            except ForeignQueue as problem:
                log.error("bus.foreign_queue", queue=problem.queue.name, problem=str(problem))  # noqa: TRY400
                foreign.add(problem.queue.name)
                await close(link)
            except BaseException:
                await close(link)
                raise
            else:
                return link, exchange
