"""The relay: takes facts from the outbox to the bus. The only publisher there is.

A batch is locked, handed to the bus, and removed when the bus has confirmed it, all in one transaction of the outbox.
Whatever fails in between leaves the facts where they are, to be published again: a fact may reach the bus twice, never
not at all. Relays on several nodes skip what another one holds.

It is woken when a transaction adds a fact, and looks by itself every `POLL_S`.
"""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Final

import structlog

from persistence.outbox import CHANNEL
from persistence.stores import Stores
from services.kernel.clock import Clock
from workers.bus import BusUnavailable, TaskBus
from workers.wakeups import Wakeups, pause

BATCH: Final = 100
POLL_S: Final = 1.0
RETRY_FIRST_S: Final = 0.5
RETRY_MOST_S: Final = 30.0
"""Longest pause while the bus or the database is away: how late the first fact is after a long outage."""

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class RelayStatistics:
    """Facts that left the outbox, and batches that did not; facts waiting and the age of the oldest in seconds, as of
    the last look."""

    relayed: int = 0
    failures: int = 0
    waiting: int = 0
    oldest_s: float = 0.0


class Relay:
    """Moves facts until stopped."""

    def __init__(
        self,
        transactions: Callable[[], AbstractAsyncContextManager[Stores]],
        bus: TaskBus,
        clock: Clock,
        wakeups: Wakeups | None = None,
        *,
        batch: int = BATCH,
        poll_s: float = POLL_S,
    ) -> None:
        self._transactions: Final = transactions
        self._bus: Final = bus
        self._clock: Final = clock
        self._wakeups: Final = wakeups
        self._batch: Final = batch
        self._poll_s: Final = poll_s
        self._stopping: Final = asyncio.Event()
        self.statistics: Final = RelayStatistics()

    async def run(self) -> None:
        """Move facts as they come, until `stop`; outlasts every fault of bus and database."""
        woken = asyncio.Event()
        if self._wakeups is None:
            await self._run(woken)
        else:
            with self._wakeups.on(CHANNEL, woken):
                await self._run(woken)

    def stop(self) -> None:
        """Finish the batch at hand and return from `run`. May be called again."""
        self._stopping.set()

    async def relay(self) -> int:
        """Move one batch; how many facts left. Raises `BusUnavailable` after removing what was confirmed."""
        refused: BusUnavailable | None = None
        async with self._transactions() as stores:
            envelopes = await stores.outbox.take(self._batch)
            gone = [envelope.id for envelope in envelopes]
            if envelopes:
                try:
                    await self._bus.publish(*envelopes)
                except BusUnavailable as problem:
                    refused = problem
                    gone = [fact_id for fact_id in gone if fact_id in problem.taken]
            if gone:
                await stores.outbox.remove(gone)
        self.statistics.relayed += len(gone)
        if refused is not None:
            raise refused
        return len(gone)

    async def _run(self, woken: asyncio.Event) -> None:
        retry_s = RETRY_FIRST_S
        while not self._stopping.is_set():
            woken.clear()
            try:
                moved = await self.relay()
                await self._look()
            except Exception as problem:
                self.statistics.failures += 1
                if isinstance(problem, BusUnavailable):
                    log.warning("relay.bus_away", problem=str(problem), again_in_s=retry_s)
                else:
                    # The database away, or a fact of a newer program: neither may end the relay.
                    log.exception("relay.failed", again_in_s=retry_s)
                await pause(self._clock, retry_s, self._stopping)
                retry_s = min(retry_s * 2, RETRY_MOST_S)
                continue
            retry_s = RETRY_FIRST_S
            if moved < self._batch:
                await pause(self._clock, self._poll_s, woken, self._stopping)

    async def _look(self) -> None:
        async with self._transactions() as stores:
            self.statistics.waiting, self.statistics.oldest_s = await stores.outbox.waiting()
