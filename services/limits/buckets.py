"""Where attempts are counted: what that place must be able to do, and one in memory.

Nothing in a bucket's name says who it is for: whoever is counted is named by a digest.
"""

import hashlib
from collections import OrderedDict
from typing import Final, Protocol

from services.kernel.clock import Clock
from services.limits.limit import Limit, Standing, tried

MOST: Final = 50_000
"""Buckets, and marks, that are kept in memory; some 10 MB. Full means: the one that was used longest ago is forgotten, which gives
its owner a fresh one. Somebody with enough addresses to push out others gains little by it, for every password still costs its
hash."""


class BucketsAwayError(Exception):
    """The place where all nodes count does not answer."""


class Buckets(Protocol):
    """Counts. Everything raises `BucketsAwayError`; what was asked may have been counted then."""

    async def take(self, limit: Limit, who: str, cost: int = 1) -> Standing:
        """Take `cost` if it is there, in one step; a cost of 0 looks, one below zero gives back."""
        ...

    async def mark(self, what: str, keep_ms: int) -> None:
        """Remember `what` for a while."""
        ...

    async def marked(self, what: str) -> bool:
        """Whether it is remembered."""
        ...


def name_of(*parts: str) -> str:
    """What somebody is called here: 128 bits of BLAKE2 over all parts, which no other parts can have."""
    return hashlib.blake2b("\0".join(parts).encode(), digest_size=16).hexdigest()


class MemoryBuckets:
    """The buckets of one process, or of several nodes in one."""

    def __init__(self, clock: Clock, most: int = MOST) -> None:
        self._clock: Final = clock
        self._most: Final = most
        self._full_at: Final[OrderedDict[tuple[str, str], int]] = OrderedDict()
        self._marks: Final[OrderedDict[str, int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._full_at)

    async def take(self, limit: Limit, who: str, cost: int = 1) -> Standing:
        now_ms = self._now_ms()
        key = (limit.name, who)
        full_at, standing = tried(limit, self._full_at.get(key, 0), now_ms, cost)
        self._full_at[key] = full_at
        self._full_at.move_to_end(key)
        if len(self._full_at) > self._most:
            self._full_at.popitem(last=False)
        return standing

    async def mark(self, what: str, keep_ms: int) -> None:
        self._marks[what] = self._now_ms() + keep_ms
        self._marks.move_to_end(what)
        if len(self._marks) > self._most:
            self._marks.popitem(last=False)

    async def marked(self, what: str) -> bool:
        return self._marks.get(what, 0) > self._now_ms()

    def _now_ms(self) -> int:
        return round(self._clock.monotonic() * 1_000)
