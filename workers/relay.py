"""The relay: takes facts from the outbox to the bus. The only publisher there is.

A batch is a few shards of the outbox, held by one transaction: what waits in them is handed to the bus and marked as gone
when the bus has confirmed it. Whatever fails in between leaves the facts where they are, to be published again: a fact may
reach the bus twice, never not at all. Relays on several nodes hold different shards, and one that dies lets go with its
connection.

**Order.** Facts about one aggregate reach the bus in the order in which they were told, however many relays there are and
whatever the bus refuses, as long as one looks at the first arrival of each. They all lie in one shard, and a batch is
published in waves: the first fact about each aggregate, then, of those that were confirmed, the second, and so on. A fact
that was not confirmed may still arrive, so nothing about the same aggregate follows it before it is confirmed itself. Waves
cost nothing where it matters: a backlog is many aggregates, and a wave of them travels together.

**Fairness.** Shards are taken in turn. An aggregate that was refused is left alone for a while (held_back.py), and the
others go on, however many were refused; when nothing at all is taken, the bus is away and everybody waits. No
transaction lasts longer than `WAVES_S` and one publish, which may have to wait for the bus first.

It is woken when a transaction adds a fact, and looks by itself every `POLL_S`.
"""

import asyncio
import uuid
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Final

import msgspec
import structlog

from persistence.outbox import CHANNEL, SHARDS, Span, Waiting
from persistence.stores import Stores
from services.kernel import facts
from services.kernel.clock import Clock, pause
from services.kernel.facts import Envelope
from services.kernel.ids import FactId
from workers.bus import BusUnavailable, TaskBus
from workers.held_back import HeldBack, Page
from workers.wakeups import Wakeups, woken_by

BATCH: Final = 500
"""Facts of one batch, shared by the shards it holds. One wave of as many is on its way at once."""
SHARDS_AT_ONCE: Final = 4
"""A quarter of all: four relays find work at the same time, and what one holds while the bus is slow is a quarter."""
WAVES_S: Final = 1.0
"""A batch begins no further wave after this long: the bus may need its whole timeout for the last one."""
POLL_S: Final = 1.0
LOOK_S: Final = 1.0
"""Between two looks at what waits, for the statistics."""
RETRY_FIRST_S: Final = 0.5
RETRY_MOST_S: Final = 5.0
"""Longest pause while the bus or the database is away: how late the first fact is after a long outage."""

AWAY_AFTER: Final = SHARDS // SHARDS_AT_ONCE
"""Batches in a row of which nothing was taken, after which the bus counts as away: every shard has had its turn."""

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class RelayStatistics:
    """Facts that left the outbox, and batches that the bus or the database refused; shards held now and aggregates held back;
    facts waiting (counted up to `persistence.outbox.COUNTED`) and the age of the oldest in seconds, as of the last look."""

    relayed: int = 0
    failures: int = 0
    held: int = 0
    held_back: int = 0
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
        shards_at_once: int = SHARDS_AT_ONCE,
        poll_s: float = POLL_S,
    ) -> None:
        self._transactions: Final = transactions
        self._bus: Final = bus
        self._clock: Final = clock
        self._wakeups: Final = wakeups
        self._batch: Final = batch
        self._shards_at_once: Final = shards_at_once
        self._poll_s: Final = poll_s
        self._stopping: Final = asyncio.Event()
        self._held_back: Final = HeldBack()
        self._last_shard = -1
        self._refused_in_a_row = 0
        self._reads_on = False
        self._look_at = 0.0
        self.statistics: Final = RelayStatistics()

    async def run(self) -> None:
        """Move facts as they come, until `stop`; outlasts every fault of bus and database."""
        with woken_by(self._wakeups, CHANNEL) as woken:
            await self._run(woken)

    def stop(self) -> None:
        """Finish the batch at hand and return from `run`. May be called again."""
        self._stopping.set()

    async def relay(self) -> int:
        """Move one batch; how many facts left. Raises `BusUnavailable` when there were some and none left."""
        now = self._clock.monotonic()
        but, spans = self._held_back.at(now), self._held_back.spans(now)
        self._reads_on = False
        try:
            async with self._transactions() as stores:
                held = await stores.outbox.hold(self._last_shard, self._shards_at_once, but, spans)
                if not held:
                    return 0
                self.statistics.held = len(held)
                self._last_shard = held[-1].shard
                shards = {each.shard for each in held}
                spans = [span for span in spans if span.shard in shards]
                each = max(self._batch // len(spans), 1)
                waiting = await stores.outbox.waiting_in(held, each, but, spans)
                gone, refused, refusal = await self._publish(waiting)
                if gone:
                    await stores.outbox.left(held, gone)
        finally:
            self.statistics.held = 0
        self.statistics.relayed += len(gone)
        self._remember(bool(gone), refusal)
        self._hold_back(_pages(spans, waiting, each), gone, refused)
        if refusal is not None and not gone:
            raise refusal
        return len(gone)

    async def _publish(self, waiting: Sequence[Waiting]) -> tuple[list[Waiting], set[uuid.UUID], BusUnavailable | None]:
        """Publish in waves; what the bus has taken, the aggregates of which it has not taken the next fact, or whose
        next fact cannot be read here, and why the bus has not taken all, if so."""
        lines, refused = self._in_lines(waiting)
        until = self._clock.monotonic() + WAVES_S
        gone: list[Waiting] = []
        refusal: BusUnavailable | None = None
        while lines:
            wave = {about: line[0] for about, line in lines.items()}
            taken: frozenset[FactId] | None = None
            try:
                await self._bus.publish(*(envelope for _, envelope in wave.values()))
            except BusUnavailable as problem:
                refusal, taken = problem, problem.taken
            for about, (fact, envelope) in wave.items():
                if taken is None or envelope.id in taken:
                    gone.append(fact)
                    lines[about].popleft()
                    if not lines[about]:
                        del lines[about]
                else:
                    refused.add(about)
                    del lines[about]
            if self._clock.monotonic() >= until:
                break
        return gone, refused, refusal

    @staticmethod
    def _in_lines(
        waiting: Sequence[Waiting],
    ) -> tuple[dict[uuid.UUID, deque[tuple[Waiting, Envelope]]], set[uuid.UUID]]:
        """The facts about each aggregate, in order, as far as they can be read here; and of whom one cannot."""
        lines: dict[uuid.UUID, deque[tuple[Waiting, Envelope]]] = {}
        unread: set[uuid.UUID] = set()
        for fact in waiting:
            if fact.about in unread:
                continue
            try:
                envelope = facts.decode(fact.envelope)
            except msgspec.DecodeError as problem:
                # Of a newer program, whose own relay can read it.
                log.warning("relay.unreadable", seq=fact.seq, about=str(fact.about), problem=str(problem))
                unread.add(fact.about)
                continue
            if envelope.about is None:
                envelope = msgspec.structs.replace(envelope, about=fact.about)
            lines.setdefault(fact.about, deque()).append((fact, envelope))
        return lines, unread

    def _remember(self, moved: bool, refusal: BusUnavailable | None) -> None:
        """Whether the bus is away, and that it is back: then nobody is held back for it any longer."""
        if moved:
            if self._refused_in_a_row >= AWAY_AFTER:
                self._held_back.forgive_all()
            self._refused_in_a_row = 0
        elif refusal is not None:
            self._refused_in_a_row += 1
        if moved and refusal is not None:
            self.statistics.failures += 1
            log.warning("relay.refused", problem=str(refusal), held_back=len(self._held_back))

    def _hold_back(self, pages: Iterable[Page], gone: Sequence[Waiting], refused: Collection[uuid.UUID]) -> None:
        """Leave alone what was refused, and read on behind it."""
        left, now = {fact.seq for fact in gone}, self._clock.monotonic()
        for page in pages:
            self._reads_on |= self._held_back.tried(page, left, refused, now)
        self.statistics.held_back = len(self._held_back)

    async def _run(self, woken: asyncio.Event) -> None:
        retry_s = RETRY_FIRST_S
        while not self._stopping.is_set():
            woken.clear()
            try:
                moved = await self._round()
            except Exception as problem:
                self.statistics.failures += 1
                if isinstance(problem, BusUnavailable):
                    log.warning("relay.bus_away", problem=str(problem), again_in_s=retry_s)
                else:
                    # The database away: that may not end the relay either.
                    log.exception("relay.failed", again_in_s=retry_s)
                await pause(self._clock, retry_s, self._stopping)
                # While there is something behind what was refused, that has not been tried: it may be the facts, not
                # the bus.
                retry_s = RETRY_FIRST_S if self._reads_on else min(retry_s * 2, RETRY_MOST_S)
                continue
            retry_s = RETRY_FIRST_S
            if not moved and not self._reads_on:
                await pause(self._clock, self._poll_s, woken, self._stopping)

    async def _round(self) -> int:
        try:
            moved = await self.relay()
        except BusUnavailable:
            await self._look()  # now of all times somebody wants to know how much waits
            raise
        await self._look()
        return moved

    async def _look(self) -> None:
        if self._clock.monotonic() < self._look_at:
            return
        async with self._transactions() as stores:
            backlog = await stores.outbox.backlog()
        self._look_at = self._clock.monotonic() + LOOK_S
        self.statistics.waiting, self.statistics.oldest_s = backlog.waiting, backlog.oldest_s


def _pages(spans: Sequence[Span], waiting: Sequence[Waiting], each: int) -> Iterator[Page]:
    """What was read of each span, `each` facts at most."""
    for span in spans:
        mine = [fact for fact in waiting if fact.shard == span.shard and span.after < fact.seq <= span.upto]
        yield Page(span, mine, full=len(mine) == each)
