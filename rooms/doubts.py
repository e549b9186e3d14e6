"""Copies of what is stored, kept right: what is in doubt is read again, and everything now and then.

A node keeps a copy of small things that it needs at once, many times a second: who is muted, who has blocked whom. A change is
stored first, then told to the other nodes as a hint; whoever hears it doubts its copy and reads. A hint may be lost, so a gap of
the broker puts all that it carried in doubt, and every half minute all copies are.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable
from typing import Final, Generic, TypeVar

import structlog

from realtime.crew import Crew
from realtime.sparingly import Sparingly
from services.kernel.clock import Clock
from services.kernel.problems import Unavailable

EVERY_S: Final = 30.0
"""How long a change can go unheard whose hint was lost without anybody noticing. One question per 500 copies."""
AT_ONCE: Final = 500
"""Copies that are read in one question."""
AGAIN_S: Final = 1.0
"""Pause after the database did not answer."""
END_WITHIN_S: Final = 5.0

Key = TypeVar("Key")

log = structlog.get_logger(__name__)


class Doubts(Generic[Key]):
    """The copies in doubt, by their key: never more than there are copies. `read` brings some up to date, and raises
    `Unavailable`; `known` are all that there are."""

    def __init__(
        self,
        name: str,
        read: Callable[[Collection[Key]], Awaitable[None]],
        known: Callable[[], Collection[Key]],
        clock: Clock,
    ) -> None:
        self._name: Final = name
        self._read: Final = read
        self._known: Final = known
        self._clock: Final = clock
        self._say: Final = Sparingly(log, clock.monotonic)
        self._doubted: dict[Key, None] = {}
        self._wake: Final = asyncio.Event()

    def doubt(self, keys: Iterable[Key]) -> None:
        """These may be behind: read them again, soon."""
        for key in keys:
            self._doubted[key] = None
            self._wake.set()

    async def run(self) -> None:
        """Read what is in doubt, until cancelled."""
        crew = Crew(self._name, END_WITHIN_S)
        await crew.live(doubts=self._keep_reading(crew), rounds=self._keep_doubting(crew))

    async def _keep_reading(self, crew: Crew) -> None:
        while not crew.over:
            await self._wake.wait()
            self._wake.clear()
            while self._doubted and not crew.over:
                keys = list(self._doubted)[:AT_ONCE]
                # Before it is read: what is doubted meanwhile is read once more.
                for key in keys:
                    del self._doubted[key]
                try:
                    await self._read(keys)
                except Unavailable as problem:
                    self._say.warning(f"{self._name}.in_doubt", cause="read", trouble=problem.message)
                    self.doubt(keys)
                    await self._clock.sleep(AGAIN_S)

    async def _keep_doubting(self, crew: Crew) -> None:
        while not crew.over:
            await self._clock.sleep(EVERY_S)
            self.doubt(self._known())
