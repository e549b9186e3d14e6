"""The log of facts on the outbox itself, for whoever runs Paceline without RabbitMQ.

A reader asks for what has left since its positions (persistence/outbox_log.py), and when there is nothing it asks again. Positions
count without a hole, so a hole is a day that was dropped, and is told as `PositionLost`. Keep a position in the same database:
a copy that is restored then has position and outbox of the same moment.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from persistence.database import Database
from persistence.outbox import SHARDS
from persistence.outbox_log import OutboxLog
from services.kernel import facts
from services.kernel.clock import Clock, pause, utc
from services.kernel.problems import Unavailable
from workers.bus import BusUnavailable
from workers.fact_log import Family, Page, Position, PositionLost

POLL_S: Final = 1.0
"""How late a reader that waits sees a fact. Followers keep numbers, they do not ring anybody."""
PAGE: Final = 64
"""Facts of one shard in one page; of all of them, a thousand: a few hundred KB."""
_KIND: Final = "outbox:"


class PostgresLog:
    """A `FactLog` on the outbox."""

    def __init__(self, database: Database, clock: Clock, *, poll_s: float = POLL_S, page: int = PAGE) -> None:
        self._database: Final = database
        self._clock: Final = clock
        self._poll_s: Final = poll_s
        self._page: Final = page

    @asynccontextmanager
    async def reading(
        self, family: Family, after: Position | None = None, *, since_ms: int | None = None
    ) -> AsyncIterator["PostgresReader"]:
        """See `FactLog.reading`."""
        try:
            async with self._database.tx() as tx:
                log = OutboxLog(tx)
                bounds = await log.bounds()
                if after is not None:
                    start = _numbers(after)
                    _within(start, bounds)
                elif since_ms is not None:
                    start = await log.before(utc(since_ms))
                else:
                    start = [before for before, _ in bounds]
        except Unavailable as problem:
            raise BusUnavailable(f"the log cannot be read: {problem}") from problem
        yield PostgresReader(self._database, self._clock, family, start, poll_s=self._poll_s, page=self._page)


class PostgresReader:
    """One reading. Made by `PostgresLog.reading`."""

    def __init__(
        self, database: Database, clock: Clock, family: Family, start: list[int], *, poll_s: float, page: int
    ) -> None:
        self._database: Final = database
        self._clock: Final = clock
        self._family: Final = family
        self._at: Final = start
        self._poll_s: Final = poll_s
        self._page: Final = page

    async def page(self, wait_s: float, *until: asyncio.Event) -> Page:
        """See `FactReader.page`."""
        deadline = self._clock.monotonic() + wait_s
        while True:
            page = await self._next()
            left_s = deadline - self._clock.monotonic()
            if page is not None:
                return page
            if left_s <= 0 or any(event.is_set() for event in until):
                return Page((), _position(self._at))
            await pause(self._clock, min(self._poll_s, left_s), *until)

    async def _next(self) -> Page | None:
        """What has left since the last time; None when nothing has."""
        try:
            async with self._database.tx() as tx:
                rows = await OutboxLog(tx).read(self._at, self._family.nouns, self._page)
        except Unavailable as problem:
            raise BusUnavailable(f"the log cannot be read: {problem}") from problem
        if not rows:
            return None
        reached = list(self._at)
        for row in rows:
            if row.position != reached[row.shard] + 1:
                raise PositionLost(f"shard {row.shard} goes on with {row.position} after {reached[row.shard]}")
            reached[row.shard] = row.position
        # Facts about one thing have both orders; of different things, the older one comes first.
        wanted = [row.envelope for row in sorted(rows, key=lambda row: row.seq) if row.envelope is not None]
        page = Page(tuple(facts.decode(envelope) for envelope in wanted), _position(reached))
        self._at[:] = reached
        return page


def _position(at: list[int]) -> Position:
    return Position(_KIND + ",".join(map(str, at)))


def _numbers(position: Position) -> list[int]:
    numbers = position.removeprefix(_KIND).split(",")
    if not position.startswith(_KIND) or len(numbers) != SHARDS or not all(each.isdecimal() for each in numbers):
        raise PositionLost(f"{position!r} is no position in the outbox")
    return [int(each) for each in numbers]


def _within(start: list[int], bounds: list[tuple[int, int]]) -> None:
    for shard, (at, (before, last)) in enumerate(zip(start, bounds, strict=True)):
        if not before <= at <= last:
            raise PositionLost(f"shard {shard} was read up to {at} and has {before + 1} to {last}")
