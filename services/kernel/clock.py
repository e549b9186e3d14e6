"""Time as an argument.

Pure code takes `now`; loops take a `Clock`, which can also sleep. Two hands: `wall_ms` for what people and other
machines will read, `monotonic` for durations and deadlines, because a corrected wall clock must not drop sockets
or end workouts. Tests use `ManualClock` and jump.
"""

import asyncio
import heapq
import itertools
import time
from collections.abc import Coroutine
from datetime import UTC, datetime
from typing import Any, Protocol


class Clock(Protocol):
    """What loops ask for the time."""

    def wall_ms(self) -> int:
        """Ms since 1970-01-01T00:00:00Z."""
        ...

    def monotonic(self) -> float:
        """Seconds since some fixed instant; never steps back."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return after `seconds` have passed on the monotonic hand."""
        ...


class SystemClock:
    """The machine's own clock."""

    def wall_ms(self) -> int:
        return time.time_ns() // 1_000_000

    # Not a method of its own: it is asked several times for every message, and the detour would cost more than the answer.
    monotonic = staticmethod(time.monotonic)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class ManualClock:
    """A clock that stands still until `advance` moves both hands. Sleepers wake in the order of their deadlines."""

    def __init__(self, wall_ms: int = 1_790_000_000_000) -> None:
        self._wall_ms = wall_ms
        self._monotonic = 1_000.0
        self._order = itertools.count()
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []

    def wall_ms(self) -> int:
        return self._wall_ms

    def monotonic(self) -> float:
        return self._monotonic

    async def sleep(self, seconds: float) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._monotonic + seconds, next(self._order), future))
        await future

    async def advance(self, seconds: float) -> None:
        """Move time forward, waking each sleeper at its own instant and letting it run before time goes on."""
        end = self._monotonic + seconds
        await self._settle()
        while self._sleepers and self._sleepers[0][0] <= end:
            due, _, future = heapq.heappop(self._sleepers)
            self._move_to(due)
            if not future.done():
                future.set_result(None)
            await self._settle()
        self._move_to(end)
        await self._settle()

    def _move_to(self, instant: float) -> None:
        if instant > self._monotonic:
            self._wall_ms += round((instant - self._monotonic) * 1000)
            self._monotonic = instant

    @staticmethod
    async def _settle() -> None:
        # A woken task may start others; a few turns of the loop let a whole chain come to rest.
        for _ in range(10):
            await asyncio.sleep(0)


def utc(wall_ms: int) -> datetime:
    """The instant `wall_ms` (ms since 1970) as an aware datetime in UTC."""
    return datetime.fromtimestamp(wall_ms / 1000, UTC)


def to_wall_ms(instant: datetime) -> int:
    """Ms since 1970 of an aware datetime."""
    return round(instant.timestamp() * 1000)


async def pause(clock: Clock, seconds: float, *events: asyncio.Event) -> None:
    """Return after `seconds`, or as soon as one of the events is set."""
    if not any(event.is_set() for event in events):
        await first_of(clock.sleep(seconds), *(event.wait() for event in events))


async def first_of(*waits: Coroutine[Any, Any, object]) -> None:
    """Return as soon as one of these has; the others are given up."""
    waiting = [asyncio.ensure_future(each) for each in waits]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for each in waiting:
            each.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
