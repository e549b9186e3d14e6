"""Doing long tasks: a worker takes one, does it step by step, and whoever asked for it sees how far it is.

The row is the truth (persistence/long_tasks.py). A fact wakes the workers and is acknowledged at once: a broker gives a message
that is held for half an hour to somebody else. Without the fact a task is found as well, `POLL_S` later.

Each step is one transaction: its effect, the checkpoint and how far it is commit together, and only under the epoch of this worker.
So a worker may be killed anywhere: the next one, which takes the task when the lease has run out, goes on from the checkpoint, and
no step has its effect twice. A worker that was frozen for longer than its lease cannot commit what it was at.

While a task runs, a beat every second renews the lease and asks whether its owner has cancelled it; if so, the step at hand is
cut off and rolled back. Progress goes to the owner's sockets on all nodes after steps, twice a second at most: a hint. That a task
has ended is told as a fact, in the transaction that ends it, and pushed from there, so it arrives also when this worker dies.

`concurrency` of a kind is how many of its tasks this process does at once, so a crowd that wants one thing does not keep others
from theirs. Of one person, one task of a kind runs at a time, on all workers together.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final, Protocol

import msgspec
import structlog

from persistence.stores import Stores
from services.kernel import trace
from services.kernel.clock import Clock, pause, utc
from services.kernel.facts import TaskAsked, TaskEnded
from services.kernel.ids import AccountId
from services.kernel.problems import Problem
from services.tasks.task import (
    MOST_ATTEMPTS,
    Again,
    AnyWork,
    GiveUp,
    Step,
    Task,
    TaskView,
    after_failure,
    kind_of,
    view_of,
)
from workers.retry import Unprocessable

POLL_S: Final = 2.0
"""How often waiting tasks are looked for without a fact, and tasks whose worker is gone."""
LEASE_S: Final = 15.0
"""How long a worker may be silent before another one takes its task."""
BEAT_S: Final = 1.0
"""Between two renewals: how soon a worker knows that a task is cancelled."""
PROGRESS_S: Final = 0.5
"""Between two pushes of one task's progress."""
STEP_TIMEOUT_S: Final = 60.0
"""A step that takes longer is cut off and has failed."""
RETRY_S: Final = 2.0
"""Between two looks while the database is away."""

log = structlog.get_logger(__name__)


class TaskLost(Exception):  # noqa: N818 - it says what happened to the task
    """Another worker has the task; what this one was about to commit must not be."""


class _Stopped(Exception):  # noqa: N818 - it says what happened to the worker
    """It was told to stop while it claimed: the claim is rolled back, and the task is somebody else's."""


class Kind(Protocol):
    """A kind of work. A step must be small: it is what is done again after a death, and a second or so at most keeps progress
    alive."""

    @property
    def work(self) -> type[AnyWork]:
        """The class of its work."""
        ...

    @property
    def concurrency(self) -> int:
        """How many of its tasks this process does at once."""
        ...

    async def step(self, stores: Stores, task: Task) -> Step:
        """Do the step after `task.checkpoint`, in the transaction that notes it; `result` set: it was the last one.

        Raises `Unprocessable` for a task that can never be done; its message is for the owner. Anything else is tried again.
        """
        ...

    async def clean(self, task: Task) -> None:
        """Remove what is left outside the database of a task that has ended without being done. May be called again."""
        ...


class Progress(Protocol):
    """Who tells the owner's sockets."""

    def task_progress(self, account_id: AccountId, view: TaskView) -> None: ...


@dataclass(slots=True)
class KindStatistics:
    """What became of one kind's tasks on this process: taken, of these from a worker that was gone, steps done, tasks done, failed,
    cancelled, given back, and lost to another worker; and how many run now."""

    taken: int = 0
    taken_over: int = 0
    steps: int = 0
    done: int = 0
    failed: int = 0
    cancelled: int = 0
    again: int = 0
    lost: int = 0
    running: int = 0


@dataclass(slots=True)
class _Run:
    """A task on this worker, and why its steps have ended: lost, cancelled, a failure, or nothing of it."""

    task: Task
    steps: "asyncio.Task[None] | None" = None
    cancelled: bool = False
    lost: bool = False
    ended: bool = False
    failure: Exception | None = None
    told_at: float = field(default=float("-inf"))


class LongTasks:
    """The workers of this process."""

    def __init__(
        self,
        transactions: Callable[[], AbstractAsyncContextManager[Stores]],
        clock: Clock,
        kinds: Sequence[Kind],
        progress: Progress,
        *,
        lease_s: float = LEASE_S,
        beat_s: float = BEAT_S,
        poll_s: float = POLL_S,
    ) -> None:
        self._transactions: Final = transactions
        self._clock: Final = clock
        self._kinds: Final = tuple(kinds)
        self._progress: Final = progress
        self._lease: Final = timedelta(seconds=lease_s)
        self._lease_s: Final = lease_s
        self._beat_s: Final = beat_s
        self._poll_s: Final = poll_s
        self._stopping: Final = asyncio.Event()
        self._woken: Final = {kind_of(kind.work): asyncio.Event() for kind in kinds}
        self.statistics: Final = {name: KindStatistics() for name in self._woken}

    async def run(self) -> None:
        """Do tasks as they come, until `stop`; outlasts every fault of the database."""
        async with asyncio.TaskGroup() as hands:
            for kind in self._kinds:
                for number in range(kind.concurrency):
                    hands.create_task(self._hand(kind), name=f"long tasks {kind_of(kind.work)} {number}")

    def stop(self) -> None:
        """Finish the steps at hand, give the tasks back, return from `run`. May be called again."""
        self._stopping.set()

    def wake(self, kind: str) -> None:
        """There is a task of this kind."""
        if kind in self._woken:
            self._woken[kind].set()

    # -- one hand -----------------------------------------------------------------------------------------------------

    async def _hand(self, kind: Kind) -> None:
        name = kind_of(kind.work)
        woken = self._woken[name]
        while not self._stopping.is_set():
            woken.clear()
            try:
                task = await self._claimed(name)
                if task is not None:
                    await self._do(kind, task)
                    continue
            except _Stopped:
                return
            except Exception:
                log.exception("long_tasks.interrupted", kind=name, again_in_s=RETRY_S)
                await pause(self._clock, RETRY_S, self._stopping)
                continue
            await pause(self._clock, self._poll_s, woken, self._stopping)

    async def _claimed(self, name: str) -> Task | None:
        """A task that is this worker's from now on. Raises `_Stopped`."""
        async with self._transactions() as stores:
            task = await stores.long_tasks.claim(name, utc(self._clock.wall_ms()), self._lease)
            if self._stopping.is_set():
                raise _Stopped
        return task

    async def _do(self, kind: Kind, task: Task) -> None:
        """Do a task that was taken until it ends, is lost, or this worker stops."""
        counts = self.statistics[task.kind]
        counts.taken += 1
        counts.taken_over += task.epoch > 1
        counts.running += 1
        log.info("long_tasks.taken", kind=task.kind, task=str(task.id), epoch=task.epoch, attempt=task.attempt)
        run = _Run(task, cancelled=task.cancel_asked)
        try:
            with (
                trace.span(f"long task {task.kind}", "consumer", parent=trace.parse(task.traceparent)) as span,
                structlog.contextvars.bound_contextvars(trace_id=span.context.trace_id),
            ):
                await self._attempt(kind, run)
        except TaskLost as lost:
            counts.lost += 1
            log.warning("long_tasks.lost", kind=task.kind, task=str(task.id), epoch=task.epoch, problem=str(lost))
        finally:
            counts.running -= 1

    async def _attempt(self, kind: Kind, run: _Run) -> None:
        """Its steps, with the beat beside them, and what became of them. Raises `TaskLost`."""
        task = run.task
        if task.attempt > MOST_ATTEMPTS:
            run.failure = Unprocessable(f"its worker died {task.attempt - 1} times before the next step was done")
        elif not run.cancelled:
            async with asyncio.TaskGroup() as group:
                beating = group.create_task(self._beat(run), name=f"beat {task.id}")
                run.steps = group.create_task(self._steps(kind, run, beating), name=f"steps {task.id}")
        await self._finish(kind, run)

    async def _beat(self, run: _Run) -> None:
        """Keep the task until it is cancelled by its owner, lost, or this is cancelled because its steps have ended."""
        heard_at = self._clock.monotonic()
        while not (run.cancelled or run.lost):
            await self._clock.sleep(self._beat_s)
            asked_at = self._clock.monotonic()
            try:
                async with self._transactions() as stores:
                    kept = await stores.long_tasks.beat(run.task.id, run.task.epoch, self._lease)
            except Exception as problem:
                log.warning("long_tasks.not_renewed", task=str(run.task.id), problem=repr(problem))
                run.lost = asked_at - heard_at > self._lease_s
            else:
                heard_at = asked_at
                run.lost, run.cancelled = kept is None, bool(kept)
        if run.steps is not None:
            run.steps.cancel()

    async def _steps(self, kind: Kind, run: _Run, beating: "asyncio.Task[None]") -> None:
        """Step by step, until it is done, fails, or this worker stops."""
        self._tell(run)
        try:
            while not (run.ended or self._stopping.is_set()):
                async with asyncio.timeout(STEP_TIMEOUT_S):
                    await self._step(kind, run)
                self._tell(run)
        except TaskLost:
            run.lost = True
        except Exception as failure:
            run.failure = failure
        finally:
            beating.cancel()

    async def _step(self, kind: Kind, run: _Run) -> None:
        """One transaction: the effect of a step, and that it is done."""
        task = run.task
        async with self._transactions() as stores:
            step = await kind.step(stores, task)
            kept = await stores.long_tasks.step(task.id, task.epoch, step, self._lease)
            if kept and step.result is not None:
                at = utc(self._clock.wall_ms())
                kept = await stores.long_tasks.end(task.id, task.epoch, "done", at, result=step.result)
                await self._tell_end(stores, task)
            if not kept:
                raise TaskLost("another worker has taken it")
        self.statistics[task.kind].steps += 1
        run.ended = step.result is not None
        run.task = _after(task, step)

    async def _finish(self, kind: Kind, run: _Run) -> None:
        """Write down why the steps have ended."""
        task, counts = run.task, self.statistics[run.task.kind]
        if run.ended:
            counts.done += 1
        elif run.lost:
            raise TaskLost("its lease has run out")
        elif run.cancelled:
            await self._end(kind, task, "cancelled")
            counts.cancelled += 1
        elif run.failure is not None:
            await self._failed(kind, task, run.failure)
        else:
            await self._release(task, 0.0, blameless=True)
            counts.again += 1

    async def _failed(self, kind: Kind, task: Task, failure: Exception) -> None:
        final = isinstance(failure, Unprocessable)
        house = isinstance(failure, Problem) and failure.retry
        verdict = after_failure(task, final=final)
        log.warning("long_tasks.failed", kind=task.kind, task=str(task.id), verdict=repr(verdict), exc_info=failure)
        counts = self.statistics[task.kind]
        match verdict:
            case GiveUp(problem=problem) if not house:
                await self._end(kind, task, "failed", str(failure) if final else problem)
                counts.failed += 1
            case Again(delay_s=delay_s):
                await self._release(task, delay_s, blameless=house)
                counts.again += 1
            case _:
                await self._release(task, RETRY_S, blameless=True)
                counts.again += 1

    async def _end(self, kind: Kind, task: Task, state: str, problem: str | None = None) -> None:
        async with self._transactions() as stores:
            at = utc(self._clock.wall_ms())
            if not await stores.long_tasks.end(task.id, task.epoch, state, at, problem=problem):
                raise TaskLost("another worker has taken it")
            await self._tell_end(stores, task)
        await kind.clean(task)

    async def _release(self, task: Task, delay_s: float, *, blameless: bool) -> None:
        due = utc(self._clock.wall_ms()) + timedelta(seconds=delay_s)
        async with self._transactions() as stores:
            if not await stores.long_tasks.release(task.id, task.epoch, due, blameless=blameless):
                raise TaskLost("another worker has taken it")
            if not delay_s:
                await stores.outbox.add(TaskAsked(task_id=task.id, account_id=task.account_id, kind=task.kind), task.id)

    async def _tell_end(self, stores: Stores, task: Task) -> None:
        await stores.outbox.add(TaskEnded(task_id=task.id, account_id=task.account_id, kind=task.kind), task.id)

    def _tell(self, run: _Run) -> None:
        """Push how far it is, unless that was a moment ago. Its end is told by a fact."""
        now = self._clock.monotonic()
        if not run.ended and now - run.told_at >= PROGRESS_S:
            run.told_at = now
            self._progress.task_progress(run.task.account_id, view_of(run.task))


def _after(task: Task, step: Step) -> Task:
    return msgspec.structs.replace(
        task, done=step.done, total=step.total, note=step.note, checkpoint=step.checkpoint, attempt=0
    )
