"""Following the log of facts: one node at a time reads a family and makes something of it, from where the last one stopped.

What was made and the position commit together. Facts may come twice (fact_log.py), so whoever takes them in asks the inbox,
under a name of its own for every run. A run begins anew when somebody asks for it, or when the log has lost what the
follower had not read yet; that is told loudly, because then something may be missing.
"""

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import structlog

from persistence.following import Run
from persistence.stores import Stores
from services.kernel.clock import Clock, pause, utc
from services.kernel.facts import Envelope
from workers.bus import BusUnavailable
from workers.fact_log import FactLog, Family, Page, Position, PositionLost
from workers.wall_watch import WallWatch

LEASE: Final = timedelta(seconds=20)
"""How long a follower may be silent before another node takes over."""
IDLE_S: Final = 5.0
"""How long a page is waited for; then the lease is renewed, and it is seen whether somebody wants another run."""
RETRY_FIRST_S: Final = 1.0
RETRY_MOST_S: Final = 30.0

Take = Callable[[Stores, Run, Sequence[Envelope]], Awaitable[int]]
"""Makes something of facts in an open transaction; how many were new. Raises to have it rolled back and tried again."""

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class FollowerStatistics:
    """Whether this node follows; facts taken in, facts that had come before, times that the log had lost some, and times that
    reading or taking in failed."""

    follows: bool = False
    taken: int = 0
    repeated: int = 0
    lost: int = 0
    failures: int = 0


class Follower:
    """Follows one family under one name. `holder` tells this process from others; `wall` says when it may not follow
    because this machine's clock is wrong, without it that is not looked at."""

    def __init__(
        self,
        name: str,
        family: Family,
        take: Take,
        fact_log: FactLog,
        transactions: Callable[[], AbstractAsyncContextManager[Stores]],
        clock: Clock,
        holder: uuid.UUID,
        *,
        idle_s: float = IDLE_S,
        wall: WallWatch | None = None,
    ) -> None:
        self.name: Final = f"{name} of {family.name}"
        self._name: Final = name
        self._family: Final = family
        self._take_in: Final = take
        self._log: Final = fact_log
        self._transactions: Final = transactions
        self._clock: Final = clock
        self._holder: Final = holder
        self._idle_s: Final = idle_s
        self._wall: Final = wall
        self._stopping: Final = asyncio.Event()
        self.statistics: Final = FollowerStatistics()

    async def run(self) -> None:
        """Follow, or wait to, until `stop`; outlasts every fault of the log and the database."""
        retry_s = RETRY_FIRST_S
        while not self._stopping.is_set():
            before = self.statistics.taken
            try:
                await self._stand()
            except Exception as problem:
                self.statistics.failures += 1
                if self.statistics.taken > before:
                    retry_s = RETRY_FIRST_S
                if isinstance(problem, BusUnavailable):
                    log.warning("follower.log_away", follower=self.name, problem=str(problem), again_in_s=retry_s)
                else:
                    # The database away, a fact of a newer program: whatever it is, nobody else would follow.
                    log.exception("follower.failed", follower=self.name, again_in_s=retry_s)
                await pause(self._clock, retry_s, self._stopping)
                retry_s = min(retry_s * 2, RETRY_MOST_S)
            finally:
                self.statistics.follows = False
        await self._let_go()

    def stop(self) -> None:
        """Finish the page at hand and return from `run`. May be called again."""
        self._stopping.set()

    async def _stand(self) -> None:
        """Wait for the lease, then follow until it is lost, another run begins, or this node stops."""
        async with self._transactions() as stores:
            run = await self._claim(stores)
        if run is None:
            await pause(self._clock, self._idle_s, self._stopping)
            return
        self.statistics.follows = True
        try:
            await self._follow(run)
        except PositionLost as problem:
            self.statistics.lost += 1
            log.error("follower.position_lost", follower=self.name, run=run.number, problem=str(problem))  # noqa: TRY400
            async with self._transactions() as stores:
                if await self._claim(stores) == run:
                    await stores.followers.begin_anew(self._name, self._family.name)

    async def _follow(self, run: Run) -> None:
        position = None if run.position is None else Position(run.position)
        async with self._log.reading(self._family, position) as reader:
            while not self._stopping.is_set():
                page = await reader.page(self._idle_s, self._stopping)
                taken = await self._take(run, page)
                if taken is None:
                    return
                run = taken

    async def _take(self, run: Run, page: Page) -> Run | None:
        """Take a page in; the run as it stands then, or None when it is not ours any more."""
        new = 0
        async with self._transactions() as stores:
            found = await self._claim(stores)
            if found is None or (found.number, found.position) != (run.number, run.position):
                log.info("follower.overtaken", follower=self.name, run=run.number)
                return None
            if page.envelopes:
                new = await self._take_in(stores, found, page.envelopes)
            if page.position is not None and page.position != found.position:
                found = await stores.followers.advance(found, page.position)
        self.statistics.taken += new
        self.statistics.repeated += len(page.envelopes) - new
        return found

    async def _claim(self, stores: Stores) -> Run | None:
        if self._wall is not None and not await self._wall.agrees(stores.tx):
            return None
        now = utc(self._clock.wall_ms())
        return await stores.followers.claim(self._name, self._family.name, self._holder, now, now + LEASE)

    async def _let_go(self) -> None:
        try:
            async with self._transactions() as stores:
                await stores.followers.let_go(self._name, self._family.name, self._holder)
        except Exception as problem:
            log.info("follower.lease_left", follower=self.name, problem=repr(problem))
