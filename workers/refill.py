"""Telling a queue again what it lost: the part that knows the outbox and no broker.

A broker can lose a queue with all that lay in it, and takes what is told until the queue is there again for the other queues that
want it. The outbox's log and the inbox know what is lacking (persistence/bus_queues.py). `Refill` is what a bus asks for it:

1. Before it makes queues it says which lie on the broker and which do not (`note`). One that is missing and was there
   once is lost; one that is new is told nothing old, and neither is one that wants a type anew.
2. When a lost queue is there again and bound, it asks how far the log went (`reach`) and fetches `page` after page.

A page is one transaction and its facts are published inside it, so a process that dies in between leaves the page to the next one,
and a fact told twice is known to the inbox. One process at a time; others look again later and do not wait.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final, Literal, Protocol

import structlog

from persistence.bus_queues import Loss, Reach
from persistence.outbox import SHARDS
from persistence.stores import Stores
from services.kernel import facts
from services.kernel.clock import Clock, utc
from services.kernel.facts import Envelope
from services.kernel.problems import Unavailable
from workers.bus import UNREADABLE, BusUnavailable, Queue

PAGE: Final = 200
"""Facts told again in one transaction, which is as long as the broker takes to confirm them."""

Progress = Literal["more", "done", "elsewhere"]
"""What a page says: there are more, that was all, or another process is at it or the queue was lost once more."""
Types = Mapping[str, Collection[str]]
"""By the broker's name of a queue, the types of facts that it wants."""
Tell = Callable[[Sequence[Envelope]], Awaitable[None]]
"""Puts facts into the queue, in order, and returns when they are safe there. Raises `BusUnavailable`."""

log = structlog.get_logger(__name__)


class Refill(Protocol):
    """See the module's docstring. `name` is the broker's own name of a queue. Everything raises `BusUnavailable`."""

    async def note(self, present: Types, missing: Types) -> None:
        """These queues lie on the broker, and these do not and are about to be made; all are about to be bound to these types."""
        ...

    async def lost(self, name: str) -> Loss | None:
        """The loss of a queue that is to be made good, if there is one."""
        ...

    async def reach(self) -> Reach:
        """How far the log goes, once no relay is left that began to publish before this was asked."""
        ...

    async def page(self, queue: Queue, name: str, loss: Loss, upto: Reach, tell: Tell) -> Progress:
        """Tell the queue the next facts that it lacks."""
        ...


class OutboxRefill:
    """A `Refill` from the outbox."""

    def __init__(
        self, transactions: Callable[[], AbstractAsyncContextManager[Stores]], clock: Clock, *, page: int = PAGE
    ) -> None:
        self._transactions: Final = transactions
        self._clock: Final = clock
        self._page: Final = page
        self._one: Final = asyncio.Lock()
        """One page at a time on this process: after a broker has lost its disk every queue wants one, each with a connection."""

    async def note(self, present: Types, missing: Types) -> None:
        """See `Refill.note`."""
        at = utc(self._clock.wall_ms())
        async with self._open() as stores:
            await stores.bus_queues.present(present, at)
            await stores.bus_queues.missing(missing, at)

    async def lost(self, name: str) -> Loss | None:
        """See `Refill.lost`."""
        async with self._open() as stores:
            return await stores.bus_queues.lost(name)

    async def reach(self) -> Reach:
        """See `Refill.reach`. A transaction per shard: no relay is kept from more than one of them."""
        positions = []
        for shard in range(SHARDS):
            async with self._open() as stores:
                positions.append(await stores.bus_queues.passed(shard))
        async with self._open() as stores:
            return Reach(positions, await stores.bus_queues.last_told())

    async def page(self, queue: Queue, name: str, loss: Loss, upto: Reach, tell: Tell) -> Progress:
        """See `Refill.page`."""
        async with self._one, self._open() as stores:
            if not await stores.bus_queues.alone(name):
                return "elsewhere"
            now = await stores.bus_queues.lost(name)
            if now is None:
                return "done"
            if now.number != loss.number:
                return "elsewhere"
            lacking = await stores.bus_queues.lacking(now, upto, queue.name, queue.types(), self._page)
            if lacking.reached is None:
                if not await stores.bus_queues.mended(name, now):
                    return "elsewhere"
            else:
                await tell(_readable(name, lacking.envelopes))
                if not await stores.bus_queues.told(name, now, lacking.reached, len(lacking.envelopes)):
                    return "elsewhere"
                return "more"
        # Two who make a new queue together take it for lost, and it lacks nothing.
        (log.error if now.refilled else log.info)("bus.queue_refilled", queue=name, facts=now.refilled)
        return "done"

    @asynccontextmanager
    async def _open(self) -> AsyncIterator[Stores]:
        try:
            async with self._transactions() as stores:
                yield stores
        except Unavailable as problem:
            raise BusUnavailable(f"what a queue lacks cannot be read: {problem}") from problem


def _readable(name: str, envelopes: Collection[str]) -> list[Envelope]:
    """The facts that this program can read; of others it says that they are not told again."""
    found = []
    for envelope in envelopes:
        try:
            found.append(facts.decode(envelope))
        except UNREADABLE as problem:
            log.error("bus.not_refilled", queue=name, envelope=envelope, problem=str(problem))  # noqa: TRY400
    return found
