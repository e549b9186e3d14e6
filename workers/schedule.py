"""What happens by the clock: jobs in a table, and facts that were to be told later, done by one node at a time.

The leader holds a lease in the database (persistence/leadership.py). What it does, it does in transactions that begin with the
fence: a leader that was frozen or cut off and does not know that it has been replaced commits nothing.

A job is due by its timetable (services/schedule/timetable.py says how, and what becomes of times when nobody led). A due
time is taken by inserting a row with its name, the tick, so that two leaders who both believe in themselves cannot do it
twice. The work is done in bites, each one transaction in which the tick counts what was done: the effect of a bite, the count
and, after the last bite, the end of the tick commit together. A leader that dies leaves the tick open, and the next one goes on
with it. A tick whose work fails is tried again, `MOST_FAILURES` times, later each time; other jobs do not wait for it.

A job that kills its process would be the first thing that every next leader does, and take one after the other along,
with all that is due besides. So a leader counts what it begins before it begins it (persistence/ticks.py), and what has
not come back twice rests before it is begun again, longer each time, `LONGEST_REST_S` at most. It may have been a
neighbour of the one that kills, so those that rest are begun one after the other: what is well comes back, and the
killer is alone.

Facts that are told later (persistence/schedule.py) have a loop of their own, so that no job holds up a reminder.

Two clocks are at work. Intervals are measured by the one that never steps; the wall clock only names them. Cron times and
one-offs are judged by the wall clock, and a node whose wall clock is more than `MOST_SKEW_S` off the database's does not lead,
because its hour would be everybody's: it looks before it leads, with each renewal, and a step while it leads ends its term before
anything is done by the new time.

The jobs are in workers/jobs.py.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

import structlog

from persistence.leadership import Deposed, Leadership
from persistence.stores import Stores
from persistence.ticks import LEADERSHIP
from services.kernel import trace
from services.kernel.clock import Clock, pause, utc
from services.schedule.jobs import Tick
from services.schedule.timetable import Cron, Every, Missed, When, due

LOOK_S: Final = 1.0
"""Between two looks at what is due: how late a tick or a fact may be on a node that is well."""
LEASE_S: Final = 10.0
"""How long a leader may be silent: how late everything is after one was killed. Renewed three times as often."""
MOST_SKEW_S: Final = 30.0
"""How far a leader's wall clock may be off the database's. Chosen by feeling: machines that keep time are within one second."""
HANDS: Final = 3
"""Jobs at work at once. More wait for a hand, each at most once, and are late."""
BITE_TIMEOUT_S: Final = 30.0
"""A bite that takes longer is ended and has failed; nothing of it stays."""
BITE: Final = 200
"""Facts told in one transaction."""
MOST_FAILURES: Final = 5
"""Failures of one tick after which it is given up; the job is done again when it is due again."""
RETRY_S: Final = 15.0
"""Before the second attempt at a tick; twice as long before each further one."""
SUSPECT_AFTER: Final = 2
"""So often begun without coming back, a job is taken for one that kills its process. Once happens to every job that is
at work when its leader is killed."""
LONGEST_REST_S: Final = 3_600.0
"""How long such a job rests at most. By feeling: one leader an hour is a nuisance, and somebody was told."""
LATENESS_KEPT: Final = 200

Transactions = Callable[[], AbstractAsyncContextManager[Stores]]
Work = Callable[[Stores, Tick], Awaitable[int]]

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Job:
    """Something to do at the times of `when`. `work` does one bounded bite in the transaction it is given and says how much that
    was; 0: all is done. The name is for ever: what was done is remembered under it.

    Raises ValueError for an interval that skips: it would be late by its nature.
    """

    name: str
    when: When
    work: Work
    missed: Missed = "once"

    def __post_init__(self) -> None:
        if isinstance(self.when, Every) and self.missed == "skip":
            raise ValueError(f"{self.name}: an interval has no time to be late for; give it `once`")


@dataclass(slots=True)
class ScheduleStatistics:
    """Whether this node leads and under which epoch; per job the ticks taken, how much was done and how often it failed; due
    times that were dropped; facts told; and how late ticks and facts were, in seconds."""

    leads: bool = False
    epoch: int = 0
    ticks: dict[str, int] = field(default_factory=dict)
    done: dict[str, int] = field(default_factory=dict)
    failures: dict[str, int] = field(default_factory=dict)
    dropped: int = 0
    told: int = 0
    late_count: int = 0
    late_seconds: float = 0.0
    late_recent: deque[float] = field(default_factory=lambda: deque(maxlen=LATENESS_KEPT))

    def late(self, seconds: float) -> None:
        """Something was done so long after it was due."""
        self.late_count += 1
        self.late_seconds += max(seconds, 0.0)
        self.late_recent.append(max(seconds, 0.0))


def _count(counts: dict[str, int], name: str, amount: int = 1) -> None:
    counts[name] = counts.get(name, 0) + amount


@dataclass(slots=True)
class _Plan:
    """What a leader keeps in mind of one job: the cursor and the next due time (wall, ms), for an interval when it has
    passed and after a failure when to try again, and until when it rests (monotonic, s); whether somebody asked, and
    whether it is at work."""

    job: Job
    cursor_ms: int
    next_due_ms: int
    passed_at: float
    again_at: float | None = None
    rests_until: float = 0.0
    asked: bool = False
    at_work: bool = False

    def is_due(self, wall_ms: int, monotonic: float) -> bool:
        if self.asked:
            return True
        if monotonic < self.rests_until:
            return False
        if self.again_at is not None and monotonic >= self.again_at:
            return True
        if isinstance(self.job.when, Every):
            return monotonic >= self.passed_at
        return wall_ms >= self.next_due_ms

    def advance(self, cursor_ms: int, wall_ms: int, monotonic: float) -> None:
        """All due times up to the cursor are decided."""
        when = self.job.when
        self.cursor_ms = cursor_ms
        if isinstance(when, Every):
            pace_ms = when.seconds * 1_000
            self.next_due_ms = cursor_ms + pace_ms
            # From the name to the next, but never much sooner or later than the pace: the wall clock may have stepped.
            self.passed_at = monotonic + min(max(self.next_due_ms - wall_ms, pace_ms // 2), pace_ms) / 1_000
        else:
            self.next_due_ms = when.next_after(max(cursor_ms, wall_ms))


class _Term:
    """One leadership: its epoch, its plans, and the word that it is over."""

    def __init__(self, epoch: int, clock: Clock) -> None:
        self.epoch: Final = epoch
        self._clock: Final = clock
        self._offset_ms: Final = clock.wall_ms() - clock.monotonic() * 1_000
        self.plans: dict[str, _Plan] = {}
        self.over: Final = asyncio.Event()

    def wall_ms(self, most_skew_s: float) -> int:
        """The time. Raises `Deposed` when the wall clock has stepped since the term began."""
        now_ms = self._clock.wall_ms()
        step_s = (now_ms - self._clock.monotonic() * 1_000 - self._offset_ms) / 1_000
        if abs(step_s) > most_skew_s:
            raise Deposed(f"this machine's wall clock has stepped by {step_s:.1f} s: whoever keeps time may lead")
        return now_ms


class Scheduler:
    """Does what is due while it leads, and tries to lead while nobody does. `node` is its name among the leaders."""

    def __init__(
        self,
        transactions: Transactions,
        clock: Clock,
        table: tuple[Job, ...],
        *,
        node: str = "",
        lease_s: float = LEASE_S,
        look_s: float = LOOK_S,
        most_skew_s: float = MOST_SKEW_S,
    ) -> None:
        self._transactions: Final = transactions
        self._clock: Final = clock
        self._table: Final = table
        self._node: Final = node
        self._lease_s: Final = lease_s
        self._lease: Final = timedelta(seconds=lease_s)
        self._look_s: Final = look_s
        self._most_skew_s: Final = most_skew_s
        self._hands: Final = asyncio.Semaphore(HANDS)
        self._stopping: Final = asyncio.Event()
        self.statistics: Final = ScheduleStatistics()

    async def run(self) -> None:
        """Lead, or wait to, until `stop`; outlasts every fault of the database."""
        while not self._stopping.is_set():
            try:
                epoch = await self._take()
                if epoch is None:
                    await pause(self._clock, self._lease_s / 3, self._stopping)
                else:
                    await self._lead(epoch)
            except Exception:
                log.exception("schedule.interrupted", again_in_s=self._look_s)
                await pause(self._clock, self._look_s, self._stopping)
            finally:
                self.statistics.leads = False

    def stop(self) -> None:
        """Finish the bites at hand, give up the lead, return from `run`. May be called again."""
        self._stopping.set()

    async def tick(self, epoch: int) -> None:
        """As the leader of `epoch`, do everything that is due or asked for by now, and return when it is done: what the loops do,
        in one go. Raises `Deposed`."""
        term = _Term(epoch, self._clock)
        await self._announce(term)
        async with self._transactions() as stores:
            self._ask(term, await stores.ticks.wanted())
        async with asyncio.TaskGroup() as group:
            for plan in self._due(term):
                group.create_task(self._do(term, plan), name=f"job {plan.job.name}")
        while await self._tell(term):
            pass

    # -- leading ------------------------------------------------------------------------------------------------------

    async def _take(self) -> int | None:
        """Lead, if nobody does and this node's clock is right: the epoch."""
        async with self._transactions() as stores:
            leadership = Leadership(stores.tx, LEADERSHIP)
            leader = await leadership.leader()
            if leader is not None and (leader.leads or self._is_skewed(leader.now_ms)):
                return None
            epoch = await leadership.take(self._node, self._lease)
            if epoch is not None and self._is_skewed(await leadership.renew(epoch, self._lease)):
                await leadership.give_up(epoch)
                return None
        return epoch

    async def _lead(self, epoch: int) -> None:
        """Do what is due until the lead is lost or this node stops."""
        log.info("schedule.leads", epoch=epoch)
        self.statistics.leads, self.statistics.epoch = True, epoch
        term = _Term(epoch, self._clock)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._keep(term), name="schedule lease")
            group.create_task(self._tell_loop(term), name="schedule one-offs")
            await self._job_loop(term, group)
        async with self._transactions() as stores:
            await Leadership(stores.tx, LEADERSHIP).give_up(epoch)

    async def _keep(self, term: _Term) -> None:
        """Renew the lease until the term is over; end the term when it cannot be renewed, or should not be."""
        renewed_at = self._clock.monotonic()
        while not self._is_over(term):
            await pause(self._clock, self._lease_s / 3, term.over, self._stopping)
            if self._is_over(term):
                break
            asked_at = self._clock.monotonic()
            try:
                async with self._transactions() as stores:
                    now_ms = await Leadership(stores.tx, LEADERSHIP).renew(term.epoch, self._lease)
                    wanted = await stores.ticks.wanted()
            except Deposed as deposed:
                self._deposed(term, deposed)
                return
            except Exception as problem:
                log.warning("schedule.not_renewed", problem=repr(problem))
                if self._clock.monotonic() - renewed_at > self._lease_s:
                    term.over.set()
                continue
            renewed_at = asked_at
            self._ask(term, wanted)
            if self._is_skewed(now_ms):
                term.over.set()
        term.over.set()

    def _is_skewed(self, database_ms: int) -> bool:
        off_s = (self._clock.wall_ms() - database_ms) / 1_000
        if abs(off_s) <= self._most_skew_s:
            return False
        log.error("schedule.clock_wrong", off_s=off_s, most_s=self._most_skew_s, cure="set this machine's clock")
        return True

    def _is_over(self, term: _Term) -> bool:
        return term.over.is_set() or self._stopping.is_set()

    def _deposed(self, term: _Term, deposed: Deposed) -> None:
        if not term.over.is_set():
            log.warning("schedule.deposed", problem=str(deposed))
        term.over.set()

    # -- jobs ---------------------------------------------------------------------------------------------------------

    async def _job_loop(self, term: _Term, group: asyncio.TaskGroup) -> None:
        while not self._is_over(term):
            try:
                if not term.plans:
                    await self._announce(term)
                for plan in self._due(term):
                    plan.at_work = True
                    group.create_task(self._do(term, plan), name=f"job {plan.job.name}")
            except Deposed as deposed:
                self._deposed(term, deposed)
            except Exception:
                log.exception("schedule.not_announced", again_in_s=self._look_s)
            await pause(self._clock, self._look_s, term.over, self._stopping)

    def _ask(self, term: _Term, wanted: list[str]) -> None:
        for job in wanted:
            if job in term.plans:
                term.plans[job].asked = True

    async def _announce(self, term: _Term) -> None:
        """Tell the database which jobs there are, and learn from it where they stand and what was left open."""
        now_ms, monotonic = self._clock.wall_ms(), self._clock.monotonic()
        rows = [(job.name, str(job.when), job.missed, utc(_first_cursor(job.when, now_ms))) for job in self._table]
        async with self._transactions() as stores:
            await Leadership(stores.tx, LEADERSHIP).hold(term.epoch)
            announced = await stores.ticks.announce(term.epoch, rows)
            left = {job.name: await stores.ticks.open(job.name) for job in self._table}
        suspects = 0
        for job in self._table:
            cursor_ms, begun = announced[job.name]
            term.plans[job.name] = plan = _plan(job, cursor_ms, now_ms, monotonic)
            if left[job.name]:
                plan.again_at = monotonic
            if begun >= SUSPECT_AFTER:
                rest_s = rest_of(begun) + suspects * RETRY_S
                suspects += 1
                plan.rests_until = monotonic + rest_s
                log.error("schedule.job_never_came_back", job=job.name, begun=begun, begins_again_in_s=rest_s)

    def _due(self, term: _Term) -> list[_Plan]:
        now_ms, monotonic = term.wall_ms(self._most_skew_s), self._clock.monotonic()
        return [plan for plan in term.plans.values() if not plan.at_work and plan.is_due(now_ms, monotonic)]

    async def _do(self, term: _Term, plan: _Plan) -> None:
        """Take the due ticks of a job and do them, oldest first. Raises nothing."""
        try:
            async with self._hands:
                for tick in await self._take_ticks(term, plan):
                    if not await self._work(term, plan, tick):
                        break
        except Deposed as deposed:
            self._deposed(term, deposed)
        except Exception:
            log.exception("schedule.ticks_not_taken", job=plan.job.name, again_in_s=RETRY_S)
            plan.again_at = self._clock.monotonic() + RETRY_S
        finally:
            plan.at_work = False

    async def _take_ticks(self, term: _Term, plan: _Plan) -> list[Tick]:
        """Decide on the due times of a job, and take those that are to be done; these and what was left open."""
        job, now_ms, monotonic = plan.job, term.wall_ms(self._most_skew_s), self._clock.monotonic()
        now, name = utc(now_ms), plan.job.name
        passed = not isinstance(job.when, Every) or monotonic >= plan.passed_at
        async with self._transactions() as stores:
            await Leadership(stores.tx, LEADERSHIP).hold(term.epoch)
            ticks = stores.ticks
            decided = due(job.when, job.missed, plan.cursor_ms, now_ms) if passed else None
            taken = []
            for due_ms in decided.take if decided else ():
                if await ticks.take(name, utc(due_ms), term.epoch, now):
                    taken.append(due_ms)
            if plan.asked:
                await ticks.granted(name)
                if not taken and await ticks.take(name, now, term.epoch, now):
                    taken.append(now_ms)
            if taken and job.missed != "each":
                await ticks.supersede(name, utc(taken[-1]), now)
            following = _Plan(job, plan.cursor_ms, plan.next_due_ms, plan.passed_at)
            if decided:
                following.advance(decided.cursor_ms, now_ms, monotonic)
            opened = await ticks.open(name)
            cursor, next_due = utc(following.cursor_ms), utc(following.next_due_ms)
            await ticks.advance(name, cursor, next_due, begins=bool(opened))
        plan.cursor_ms, plan.next_due_ms, plan.passed_at = (
            following.cursor_ms, following.next_due_ms, following.passed_at,
        )  # fmt: skip
        plan.asked, plan.again_at = False, None
        if decided and decided.dropped:
            self.statistics.dropped += decided.dropped
            log.warning("schedule.dropped", job=name, at_least=decided.dropped, missed=job.missed)
        _count(self.statistics.ticks, name, len(taken))
        for due_ms in taken:
            self.statistics.late((now_ms - due_ms) / 1_000)
        return opened

    async def _work(self, term: _Term, plan: _Plan, tick: Tick) -> bool:
        """Do a tick bite by bite; False when it will be tried again, or when this node should begin nothing any more."""
        try:
            while not self._is_over(term):
                async with asyncio.timeout(BITE_TIMEOUT_S):
                    did = await self._bite(term, plan.job, tick)
                if not did:
                    return True
                _count(self.statistics.done, plan.job.name, did)
                tick = Tick(tick.job, tick.due_ms, tick.did + did, tick.failures)
        except Deposed:
            raise
        except Exception as problem:
            again_s = RETRY_S * 2**tick.failures
            give_up = tick.failures + 1 >= MOST_FAILURES
            _count(self.statistics.failures, plan.job.name)
            log.exception("schedule.job_failed", job=plan.job.name, again_in_s=None if give_up else again_s)
            plan.again_at = None if give_up else self._clock.monotonic() + again_s
            async with self._transactions() as stores:
                await Leadership(stores.tx, LEADERSHIP).hold(term.epoch)
                at = utc(self._clock.wall_ms())
                await stores.ticks.failed(tick, term.epoch, _reason(problem), at, give_up=give_up)
            return give_up
        return False

    async def _bite(self, term: _Term, job: Job, tick: Tick) -> int:
        """One transaction: the fence, a bite of the work, and how much of the tick is done."""
        async with self._transactions() as stores:
            await Leadership(stores.tx, LEADERSHIP).hold(term.epoch)
            with trace.span(f"job {job.name}"):
                did = await job.work(stores, tick)
            if did:
                await stores.ticks.did(tick, term.epoch, did)
            else:
                await stores.ticks.end(tick, term.epoch, utc(self._clock.wall_ms()))
        return did

    # -- facts that were to be told later -----------------------------------------------------------------------------

    async def _tell_loop(self, term: _Term) -> None:
        while not self._is_over(term):
            try:
                told = await self._tell(term)
            except Deposed as deposed:
                self._deposed(term, deposed)
                return
            except Exception:
                log.exception("schedule.not_told", again_in_s=self._look_s)
                told = 0
            if told < BITE:
                await pause(self._clock, self._look_s, term.over, self._stopping)

    async def _tell(self, term: _Term) -> int:
        """Tell one bite of what is due, longest due first; how many facts that were."""
        now_ms = term.wall_ms(self._most_skew_s)
        async with self._transactions() as stores:
            await Leadership(stores.tx, LEADERSHIP).hold(term.epoch)
            told = await stores.schedule.tell(stores.outbox, utc(now_ms), BITE)
        for due_at in told:
            self.statistics.late(now_ms / 1_000 - due_at.timestamp())
        self.statistics.told += len(told)
        return len(told)


def rest_of(begun: int) -> float:
    """How long a job rests that was begun so often and never came back, in seconds."""
    return min(RETRY_S * 2.0 ** min(begun - SUSPECT_AFTER, 16), LONGEST_REST_S)


def _first_cursor(when: When, now_ms: int) -> int:
    """Where a new job begins: an interval is due at once, a cron time when it comes next."""
    if isinstance(when, Cron):
        return now_ms
    pace_ms = when.seconds * 1_000
    return now_ms // pace_ms * pace_ms - pace_ms


def _plan(job: Job, cursor_ms: int, now_ms: int, monotonic: float) -> _Plan:
    """The plan of a new leader. An interval goes on where the cursor is, as long as the wall clock can be believed in that."""
    if isinstance(job.when, Cron):
        return _Plan(job, cursor_ms, job.when.next_after(cursor_ms), 0.0)
    pace_ms = job.when.seconds * 1_000
    wait_ms = min(max(cursor_ms + pace_ms - now_ms, 0), pace_ms)
    return _Plan(job, cursor_ms, cursor_ms + pace_ms, monotonic + wait_ms / 1_000)


def _reason(problem: BaseException) -> str:
    return f"{type(problem).__name__}: {problem}" if str(problem) else type(problem).__name__
