"""Asks whether somebody may do something once more, also while the place where all nodes count is away.

Then each limit's own policy holds (`services.limits.limit.Away`), and for `AGAIN_S` nobody asks that place any more: an outage
costs one request in a second its patience, and not all of them. What a node counted by itself meanwhile is not added later: the
shared buckets have filled up in that time, by at most what they would have let pass.
"""

from typing import Final

import structlog

from services.kernel.clock import Clock
from services.kernel.problems import Problem, RateLimited, Unavailable
from services.limits.buckets import Buckets, BucketsAwayError, MemoryBuckets, name_of
from services.limits.limit import Limit, Standing

AGAIN_S: Final = 1.0
"""How long nobody asks again after there was no answer."""

log = structlog.get_logger(__name__)


class Limits:
    """The use case. `shared` is where all nodes count; without one this node is the only one."""

    def __init__(self, clock: Clock, shared: Buckets | None = None) -> None:
        self._clock: Final = clock
        self._own: Final = MemoryBuckets(clock)
        self._shared: Final = shared
        self._silent_until = 0.0
        self.refused: Final[dict[str, int]] = {}
        """Refusals by limit, since the start."""

    @property
    def away(self) -> bool:
        """Whether the node counts by itself just now, though it should not."""
        return self._clock.monotonic() < self._silent_until

    async def take(self, limit: Limit, *who: str, cost: int = 1) -> Standing:
        """Take `cost` from the bucket of `who`, and how it stands then: whether it passed says `Standing.passed`.

        A cost of 0 asks whether one more would pass, one below zero gives back. Raises Unavailable for a limit that refuses while
        nobody counts.
        """
        name = name_of(*who)
        if self._shared is not None:
            if not self.away:
                try:
                    return await self._shared.take(limit, name, cost)
                except BucketsAwayError as away:
                    self._silence(away)
            if limit.away == "refuse":
                raise Unavailable("nobody counts how often this is done right now", retry_after_ms=int(AGAIN_S * 1_000))
        return await self._own.take(limit, name, cost)

    async def spend(
        self, limit: Limit, *who: str, cost: int = 1, problem: type[Problem] = RateLimited, message: str | None = None
    ) -> Standing:
        """Take `cost`, or raise `problem` with how long to wait (and Unavailable as `take`)."""
        standing = await self.take(limit, *who, cost=cost)
        if not standing.passed:
            raise self.refusal(standing, problem, message)
        return standing

    def refusal(
        self,
        standing: Standing,
        problem: type[Problem] = RateLimited,
        message: str | None = None,
        *,
        path: str | None = None,
    ) -> Problem:
        """What is told to whom a limit refuses."""
        name = standing.limit.name
        self.refused[name] = self.refused.get(name, 0) + 1
        return problem(message, path=path, retry_after_ms=standing.wait_ms, policy=name)

    async def mark(self, *what: str, keep_ms: int) -> None:
        """Remember `what` for a while, on all nodes, or while nobody answers on this one."""
        name = name_of(*what)
        await self._own.mark(name, keep_ms)
        if self._shared is not None and not self.away:
            try:
                await self._shared.mark(name, keep_ms)
            except BucketsAwayError as away:
                self._silence(away)

    async def marked(self, *what: str) -> bool:
        """Whether it is remembered, as far as this node can tell."""
        name = name_of(*what)
        if await self._own.marked(name):
            return True
        if self._shared is None or self.away:
            return False
        try:
            return await self._shared.marked(name)
        except BucketsAwayError as away:
            self._silence(away)
            return False

    def _silence(self, away: BucketsAwayError) -> None:
        if not self.away:
            log.warning("limits.away", reason=str(away))
        self._silent_until = self._clock.monotonic() + AGAIN_S
