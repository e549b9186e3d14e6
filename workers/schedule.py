"""What happens by the clock: jobs in a table, done by one node at a time.

The leader is whoever holds an advisory lock on a connection kept for that (persistence/leadership.py). Before every tick
it asks the server whether it still does. A leader that is deposed in the middle of a job finishes that job, so jobs
bear being done twice at once: they take rows with SKIP LOCKED and commit in small bites.

A job that was missed because nobody led is done once, at the next tick, not once for every time it was missed: each of
them says "bring this up to now". A new leader does everything at its first tick.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

import structlog

from persistence.database import Database
from persistence.leadership import Leadership
from persistence.stores import Stores
from persistence.upkeep import Upkeep
from services.kernel.clock import Clock, utc
from services.kernel.facts import ClassEnded, WorkoutFinished
from workers.outbox_upkeep import INBOX_MARGIN_DAYS, OutboxUpkeep
from workers.wakeups import pause

TICK_S: Final = 5.0
"""Between two looks at the table, and at the lock."""
JOB_TIMEOUT_S: Final = 60.0
"""A job that takes longer is ended and comes again at its next time; what it has committed stays."""
LOCK: Final = 0x5C4ED01E
BITE: Final = 200
"""Rows of one transaction of a job."""

SILENT_MIN: Final = 30
"""Minutes without a sample after which an open stream is finished."""
OVER_S: Final = 60
"""The same in seconds, once its class is over."""
FORGOTTEN_H: Final = 12
"""Hours after which a class that nobody ended is over."""
Transactions = Callable[[], AbstractAsyncContextManager[Stores]]

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Job:
    """Something to do every `every_s` seconds. `work` does one bounded bite and says how much it did; it is called again
    at once as long as it did something."""

    name: str
    every_s: float
    work: Callable[[], Awaitable[int]]


@dataclass(slots=True)
class ScheduleStatistics:
    """Whether this node leads, how much each job has done, and how often it failed."""

    leads: bool = False
    done: dict[str, int] = field(default_factory=dict)
    failures: dict[str, int] = field(default_factory=dict)


def jobs(transactions: Transactions, clock: Clock, outbox: OutboxUpkeep | None = None) -> tuple[Job, ...]:
    """The table."""
    upkeep = Jobs(transactions, clock, outbox or OutboxUpkeep(clock))
    return (
        Job("make-outbox-days", 3_600, upkeep.make_outbox_days),
        Job("drop-outbox-days", 3_600, upkeep.drop_outbox_days),
        Job("finish-abandoned-streams", 15, upkeep.finish_abandoned_streams),
        Job("end-forgotten-classes", 300, upkeep.end_forgotten_classes),
        Job("prune-inbox", 3_600, upkeep.prune_inbox),
        Job("prune-refresh-tokens", 3_600, upkeep.prune_refresh_tokens),
    )


class Jobs:
    """The jobs themselves: each does one bite in one transaction and says how many rows it took."""

    def __init__(self, transactions: Transactions, clock: Clock, outbox: OutboxUpkeep) -> None:
        self._transactions: Final = transactions
        self._clock: Final = clock
        self._outbox: Final = outbox

    async def make_outbox_days(self) -> int:
        """Days before the facts come."""
        async with self._transactions() as stores:
            return await self._outbox.make_days(stores)

    async def drop_outbox_days(self) -> int:
        """Days that nobody needs any more."""
        async with self._transactions() as stores:
            return await self._outbox.drop_days(stores)

    async def finish_abandoned_streams(self) -> int:
        """Finish streams that nobody feeds any more, so that their summaries come."""
        now = utc(self._clock.wall_ms())
        async with self._transactions() as stores:
            abandoned = await Upkeep(stores.tx).finish_abandoned(
                now,
                silent_since=now - timedelta(minutes=SILENT_MIN),
                over_since=now - timedelta(seconds=OVER_S),
                limit=BITE,
            )
            for each in abandoned:
                await stores.outbox.add(
                    WorkoutFinished(workout_id=each.workout_id, account_id=each.account_id), each.workout_id
                )
        return len(abandoned)

    async def end_forgotten_classes(self) -> int:
        """End classes whose coach went home."""
        now = utc(self._clock.wall_ms())
        async with self._transactions() as stores:
            forgotten = await stores.classes.forgotten(now - timedelta(hours=FORGOTTEN_H), BITE)
            for class_id in forgotten:
                if await stores.classes.end(class_id, now):
                    await stores.outbox.add(ClassEnded(class_id=class_id), class_id)
        return len(forgotten)

    async def prune_inbox(self) -> int:
        """Forget facts that cannot come again: neither out of a queue nor out of the outbox."""
        before = utc(self._clock.wall_ms()) - timedelta(days=self._outbox.keep_days + INBOX_MARGIN_DAYS)
        async with self._transactions() as stores:
            return await stores.inbox.prune(before, BITE)

    async def prune_refresh_tokens(self) -> int:
        """Forget refresh tokens that nobody can use any more."""
        async with self._transactions() as stores:
            return await Upkeep(stores.tx).prune_refresh_tokens(utc(self._clock.wall_ms()), BITE)


class Scheduler:
    """Does the jobs while it leads, and tries to lead while nobody does."""

    def __init__(self, database: Database, clock: Clock, table: tuple[Job, ...], *, tick_s: float = TICK_S) -> None:
        self._database: Final = database
        self._clock: Final = clock
        self._table: Final = table
        self._tick_s: Final = tick_s
        self._stopping: Final = asyncio.Event()
        self._due: dict[str, float] = {}
        self.statistics: Final = ScheduleStatistics()

    async def run(self) -> None:
        """Lead, or wait to, until `stop`; outlasts every fault of the database."""
        while not self._stopping.is_set():
            try:
                async with self._database.connection() as connection:
                    await self._stand(Leadership(connection, LOCK))
            except Exception:
                log.exception("schedule.interrupted", again_in_s=self._tick_s)
                await pause(self._clock, self._tick_s, self._stopping)
            finally:
                self.statistics.leads = False

    def stop(self) -> None:
        """Finish the job at hand, give up the lead, return from `run`. May be called again."""
        self._stopping.set()

    async def _stand(self, leadership: Leadership) -> None:
        """Wait for the lead, then tick until it is lost or this node stops."""
        while not self._stopping.is_set() and not await leadership.take():
            await pause(self._clock, self._tick_s, self._stopping)
        if self._stopping.is_set():
            # Taken in the last moment or not: the pool lets go of it with the connection.
            return
        log.info("schedule.leads")
        self.statistics.leads = True
        self._due.clear()
        while not self._stopping.is_set():
            if not await leadership.held():
                log.warning("schedule.deposed")
                return
            await self.tick()
            await pause(self._clock, self._tick_s, self._stopping)
        await leadership.give_up()

    async def tick(self) -> None:
        """Do every job that is due. One that fails is logged and comes again at its next time."""
        for job in self._table:
            now = self._clock.monotonic()
            if self._stopping.is_set() or now < self._due.get(job.name, now):
                continue
            self._due[job.name] = now + job.every_s
            try:
                async with asyncio.timeout(JOB_TIMEOUT_S):
                    await self._do(job)
            except Exception:
                self.statistics.failures[job.name] = self.statistics.failures.get(job.name, 0) + 1
                log.exception("schedule.job_failed", job=job.name, again_in_s=job.every_s)

    async def _do(self, job: Job) -> None:
        while did := await job.work():
            self.statistics.done[job.name] = self.statistics.done.get(job.name, 0) + did
            if self._stopping.is_set():
                return
