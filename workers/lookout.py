"""Looking at all queues every `LOOK_S`, so that a scrape finds numbers without asking the bus.

While the bus does not answer there are no numbers: what nobody knows must not look as if all were well.
"""

import asyncio
from collections.abc import Mapping
from typing import Final

import structlog

from services.kernel.clock import Clock, pause
from workers.bus import BusUnavailable, OperatedBus
from workers.task_statistics import Overview

LOOK_S: Final = 15.0

log = structlog.get_logger(__name__)


class Lookout:
    """Looks until stopped. `seen` is every queue by name as of the last look."""

    def __init__(self, bus: OperatedBus, clock: Clock, *, look_s: float = LOOK_S) -> None:
        self._bus: Final = bus
        self._clock: Final = clock
        self._look_s: Final = look_s
        self._stopping: Final = asyncio.Event()
        self.seen: Mapping[str, Overview] = {}

    async def run(self) -> None:
        """Look again and again, until `stop`; outlasts every fault of the bus."""
        while not self._stopping.is_set():
            try:
                self.seen = await self._bus.overview()
            except BusUnavailable as problem:
                self.seen = {}
                log.warning("lookout.bus_away", problem=str(problem), again_in_s=self._look_s)
            except Exception:
                self.seen = {}
                log.exception("lookout.failed", again_in_s=self._look_s)
            await pause(self._clock, self._look_s, self._stopping)

    def stop(self) -> None:
        """Return from `run`. May be called again."""
        self._stopping.set()
