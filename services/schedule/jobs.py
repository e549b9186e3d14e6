"""The jobs as their operator sees them: when each was done last and is due next, how it went, who leads; and asking for one now.

The jobs themselves are code (workers/schedule.py). What is here is their state, which lies in the database, so that any node can
show it and whichever node leads will do what was asked.
"""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Final, Protocol

import msgspec

from services.audit.entry import Actor, AuditStore, Entry, Thing
from services.kernel.clock import Clock, utc
from services.kernel.problems import NotFound


class Tick(msgspec.Struct, frozen=True):
    """One due time of a job (ms since 1970), taken: `did` says how much of its work is committed, `failures` how often it
    failed."""

    job: str
    due_ms: int
    did: int = 0
    failures: int = 0

    @property
    def due(self) -> datetime:
        return utc(self.due_ms)


class TickView(msgspec.Struct, frozen=True):
    """What became of one due time. Times are ms since 1970; `ended_ms` is null while it is being done or will be tried again.
    `did` counts what the job counts (rows, mostly), `problem` is the last thing that went wrong."""

    due_ms: int
    taken_ms: int
    ended_ms: int | None
    did: int
    failures: int
    problem: str | None


class JobView(msgspec.Struct, frozen=True):
    """A job. `due` says when, in words: "every 15 s", or five cron fields and a zone. `missed` what becomes of times when nobody
    led: `once`, `each` or `skip`. `known` false: the leader is of a version that does not have it. `asked`: somebody asked for it
    and it has not begun. `failures` since it was first seen. Times are ms since 1970."""

    job: str
    due: str
    missed: str
    known: bool
    asked: bool
    failures: int
    next_due_ms: int | None
    last: TickView | None


class LeaderView(msgspec.Struct, frozen=True):
    """The node that does the jobs: the `epoch`-th leader. `leads` false: it died or stopped, and nobody has followed yet."""

    node: str
    epoch: int
    since_ms: int
    leads: bool


class ScheduleNow(msgspec.Struct, frozen=True):
    """The schedule. `leader` null: nobody ever led. `waiting`: how many facts are to be told later. Times are ms since 1970."""

    at_ms: int
    leader: LeaderView | None
    jobs: tuple[JobView, ...]
    waiting: int


class TickStore(Protocol):
    """What this needs of the jobs' store (persistence/ticks.py)."""

    async def leader(self) -> LeaderView | None: ...
    async def jobs(self) -> list[JobView]: ...
    async def want(self, job: str, at: datetime) -> bool: ...


class OnceStore(Protocol):
    """And of the one-offs' (persistence/schedule.py)."""

    async def waiting(self) -> int: ...


class ScheduleStores(Protocol):
    """The stores of one transaction."""

    @property
    def ticks(self) -> TickStore: ...
    @property
    def schedule(self) -> OnceStore: ...
    @property
    def audit(self) -> AuditStore: ...


class Jobs:
    """The operator's use cases."""

    def __init__(self, transactions: Callable[[], AbstractAsyncContextManager[ScheduleStores]], clock: Clock) -> None:
        self._transactions: Final = transactions
        self._clock: Final = clock

    async def now(self) -> ScheduleNow:
        """All jobs as they stand."""
        async with self._transactions() as stores:
            return ScheduleNow(
                at_ms=self._clock.wall_ms(),
                leader=await stores.ticks.leader(),
                jobs=tuple(await stores.ticks.jobs()),
                waiting=await stores.schedule.waiting(),
            )

    async def ask(self, job: str, by: Actor) -> None:
        """Have a job done now, by whoever leads; `by` wants it. Raises `NotFound` for a job that no leader has announced."""
        async with self._transactions() as stores:
            if not await stores.ticks.want(job, utc(self._clock.wall_ms())):
                raise NotFound("there is no job of this name; `paceline schedule` lists them")
            await stores.audit.add(Entry(by, "job.run", thing=Thing("job", job)))
