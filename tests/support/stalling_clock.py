"""A clock on which one node's loop can stand still while time goes on for the others."""

import asyncio
from typing import Final

from services.kernel.clock import ManualClock


class StallingClock:
    """Tells the time of `clock`. Whoever sleeps on it sleeps on while it is stalled, as on a loop that is blocked."""

    def __init__(self, clock: ManualClock) -> None:
        self._clock: Final = clock
        self._going: Final = asyncio.Event()
        self._going.set()

    def wall_ms(self) -> int:
        return self._clock.wall_ms()

    def monotonic(self) -> float:
        return self._clock.monotonic()

    async def sleep(self, seconds: float) -> None:
        await self._clock.sleep(seconds)
        await self._going.wait()

    def stall(self) -> None:
        """Nobody wakes any more."""
        self._going.clear()

    def go_on(self) -> None:
        """Whoever is due wakes now."""
        self._going.set()
