"""Handling one delivery: inbox, effects and the end of the task in one transaction.

The order is the whole point. First the bus is told, where it can take part in the transaction; then the inbox decides
whether this consumer has seen the fact; only then the handler runs, with the same stores. All of it commits together,
and the acknowledgement comes after the commit. A worker may be killed between any two of these lines and the effect is
there once: before the commit nothing happened, after it the inbox stops the second delivery.
"""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Final

import structlog

from persistence.stores import Stores
from services.kernel import trace
from services.kernel.clock import Clock, utc
from services.kernel.facts import AnyFact
from workers.bus import Delivery, Queue
from workers.retry import Unprocessable

Handler = Callable[[Stores, AnyFact], Awaitable[None]]
"""Handles a fact with the stores of an open transaction. Raises to have the transaction rolled back and tried again."""

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class ConsumerStatistics:
    """Facts that had their effect, and deliveries that had it before."""

    effects: int = 0
    duplicates: int = 0


class Consumer:
    """What a bus calls for each delivery of one queue. The queue's name is the consumer's name in the inbox."""

    def __init__(
        self,
        queue: Queue,
        handler: Handler,
        transactions: Callable[[], AbstractAsyncContextManager[Stores]],
        clock: Clock,
    ) -> None:
        self.queue: Final = queue
        self._handler: Final = handler
        self._transactions: Final = transactions
        self._clock: Final = clock
        self.statistics: Final = ConsumerStatistics()

    async def __call__(self, delivery: Delivery) -> None:
        """Have the effect of this delivery, once. Raises what the handler raises, `Unprocessable` for a fact that this
        queue does not want, and `TaskTaken`."""
        envelope = delivery.envelope
        if type(envelope.fact) not in self.queue.wants:
            raise Unprocessable(f"{self.queue.name} does not handle {type(envelope.fact).__name__}")
        parent = trace.parse(envelope.traceparent)
        about: dict[str, trace.Attribute] = {
            "messaging.destination.name": self.queue.name,
            "messaging.message.id": str(envelope.id),
            "paceline.attempt": delivery.attempt,
        }
        with (
            trace.span(f"process {self.queue.name}", "consumer", parent=parent, **about) as span,
            structlog.contextvars.bound_contextvars(trace_id=span.context.trace_id),
        ):
            first = await self._have(delivery)
        if first:
            self.statistics.effects += 1
        else:
            self.statistics.duplicates += 1
            log.info("consumer.duplicate", queue=self.queue.name, fact=str(envelope.id))

    async def _have(self, delivery: Delivery) -> bool:
        """Effect, inbox and end of the task in one transaction; False when the inbox knew the fact."""
        envelope = delivery.envelope
        async with self._transactions() as stores:
            await delivery.settle(stores.tx)
            first = await stores.inbox.first_time(self.queue.name, envelope.id, utc(self._clock.wall_ms()))
            if first:
                await self._handler(stores, envelope.fact)
        return first
