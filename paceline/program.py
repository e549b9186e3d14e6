"""The life of the process: named loops, one stop, one ending.

A core loop that ends by itself, with or without an error, is a fault: the program stops in order and exits non-zero rather
than limping on without it. A first signal asks to stop, also what has not started yet; a second one skips the waiting.

A stop ends whatever hangs: each of its steps has its seconds, and those in which it is cancelled are among them. A cancellation can
be lost in what somebody cleans up, so it is repeated until the seconds are over; who lives on all the same is left and named.
"""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import structlog

from realtime.crew import CANCEL_AGAIN_S

CUT_S: Final = 1.0
"""How much of its time a step keeps for cancelling what has not ended by then: five cancellations."""
STEP_CUT_S: Final = 0.5
LOOPS_S: Final = 7.0
"""What all loops together may take to end: the grace of one, a second for a last one, and another to cut what is left."""
CLOSING_S: Final = 3.0
"""What all resources together may take to close. Goodbyes take milliseconds; this is for servers that do not hear them."""

Done = TypeVar("Done")

log = structlog.get_logger(__name__)


class CoreLoopEndedError(Exception):
    """A loop that must live as long as the program has ended. The log above says why."""


class StoppedEarly(Exception):  # noqa: N818 - no error: it is what somebody wanted
    """Somebody asked to stop before what they asked it of had started."""


@dataclass(frozen=True)
class _Loop:
    """A running loop, and how to ask it to return."""

    task: asyncio.Task[Any]
    stop: Callable[[], None] | None


class Program:
    """Starts loops, waits for the reason to stop, ends loops in reverse order."""

    def __init__(self) -> None:
        self._loops: list[_Loop] = []
        self._stop = asyncio.Event()
        self._insist = asyncio.Event()
        self.fault: BaseException | None = None

    def start(self, name: str, loop: Coroutine[Any, Any, Any], stop: Callable[[], None] | None = None) -> None:
        """Run a core loop under this name until the program ends. `stop` asks it to finish what it does and return; a loop
        without one is cancelled, which must be harmless at any moment."""
        self._loops.append(_Loop(asyncio.get_running_loop().create_task(loop, name=name), stop))

    async def drop(self, name: str) -> None:
        """End one loop early; it is no core loop any more. Nothing happens when there is none of this name."""
        for loop in [loop for loop in self._loops if loop.task.get_name() == name]:
            self._loops.remove(loop)
            await _end({loop.task}, STEP_CUT_S)

    def stop(self) -> None:
        """Ask to stop; asked again, do not wait for anything any more."""
        if self._stop.is_set():
            self._insist.set()
        self._stop.set()

    @property
    def stopping(self) -> bool:
        return self._stop.is_set()

    @contextlib.contextmanager
    def signals(self) -> Iterator[None]:
        """SIGINT and SIGTERM stop the program while inside."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.stop)
        try:
            yield
        finally:
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)

    @contextlib.asynccontextmanager
    async def starting(self) -> AsyncIterator[None]:
        """What is inside may wait for others as long as nobody asks to stop. Then it is cancelled where it waits, tidies up, and
        StoppedEarly is raised, whatever else went wrong with that."""
        loop = asyncio.get_running_loop()
        # Nothing but a limit of the library's knows its own cancellation from anybody else's.
        limit = asyncio.timeout(None)

        async def watch() -> None:
            await self._stop.wait()
            limit.reschedule(loop.time())

        watching = loop.create_task(watch(), name="program.starting")
        try:
            async with limit:
                yield
        except Exception as problem:
            if not limit.expired():
                raise
            log.info("program.stopped_early", problem=repr(problem.__cause__ or problem))
            raise StoppedEarly from problem
        finally:
            watching.cancel()

    def healthy(self) -> bool:
        """Whether every core loop lives."""
        return self.fault is None and not any(loop.task.done() for loop in self._loops)

    def loops(self) -> dict[str, bool]:
        """Every core loop and whether it lives."""
        return {loop.task.get_name(): not loop.task.done() for loop in self._loops}

    async def wait(self) -> None:
        """Return when somebody asked to stop, or when a loop ended by itself (then `fault` is set)."""
        stopped = asyncio.ensure_future(self._stop.wait())
        try:
            done, _ = await asyncio.wait(
                {stopped, *(loop.task for loop in self._loops)}, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            stopped.cancel()
        for task in done - {stopped}:
            self._note(task)
        self._stop.set()

    def _note(self, task: "asyncio.Task[Any]") -> None:
        cause = None if task.cancelled() else task.exception()
        log.error("program.loop_ended", loop=task.get_name(), problem=repr(cause), exc_info=cause)
        if self.fault is None:
            self.fault = cause or CoreLoopEndedError(task.get_name())

    async def within(
        self, seconds: float, what: Coroutine[Any, Any, Any], name: str, *, skippable: bool = True
    ) -> None:
        """Do one step of the stop, at most this long with its end, or until somebody insists and it is `skippable`."""
        step = asyncio.get_running_loop().create_task(what, name=name)
        insist = asyncio.ensure_future(self._insist.wait())
        enough = {step, insist} if skippable else {step}
        try:
            await asyncio.wait(enough, timeout=max(0.0, seconds - STEP_CUT_S), return_when=asyncio.FIRST_COMPLETED)
            if not step.done():
                log.warning("program.step_skipped", step=name, seconds=seconds)
                await _end({step}, STEP_CUT_S)
            if step.done() and not step.cancelled() and (problem := step.exception()) is not None:
                log.error("program.step_failed", step=name, exc_info=problem)
        finally:
            insist.cancel()

    async def end(self, grace_s: float = 5.0, within_s: float = LOOPS_S) -> None:
        """End the loops, last started first. One that can be asked may take `grace_s` to finish what it does, and all of them
        `within_s`: those whose turn has not come a second before that are asked side by side, and then cancelled."""
        clock = asyncio.get_running_loop()
        over = clock.time() + within_s
        left = {loop.task for loop in self._loops if not loop.task.done()}
        for loop in reversed(self._loops):
            turn = over - CUT_S - clock.time()
            if loop.task.done() or turn <= 0:
                continue
            if loop.stop is not None:
                loop.stop()
                await asyncio.wait({loop.task}, timeout=0 if self._insist.is_set() else min(grace_s, turn))
                if not loop.task.done():
                    log.warning("program.loop_cut", loop=loop.task.get_name(), seconds=grace_s)
            await _cancel({loop.task}, min(CUT_S, max(CANCEL_AGAIN_S, over - CUT_S - clock.time())))
        for loop in reversed(self._loops):
            if loop.stop is not None and not loop.task.done():
                loop.stop()  # asked before, or not come to yet
        left = {task for task in left if not task.done()}
        if left and not self._insist.is_set():
            await asyncio.wait(left, timeout=max(0.0, over - STEP_CUT_S - clock.time()))
        await _end({task for task in left if not task.done()}, over - clock.time())
        self._loops.clear()


@contextlib.asynccontextmanager
async def closed_within(seconds: float) -> AsyncIterator[contextlib.AsyncExitStack]:
    """Resources that are closed on leaving, last opened first, all of them within these seconds: who does not hear the goodbye is
    not waited for, and keeps none of the others from being closed."""
    resources = contextlib.AsyncExitStack()
    try:
        yield resources
    finally:
        closing = asyncio.get_running_loop().create_task(resources.aclose(), name="program.closing")
        await asyncio.wait({closing}, timeout=max(0.0, seconds - CUT_S))
        if not closing.done():
            log.warning("program.closing_cut", seconds=seconds)
            await _end({closing}, CUT_S)
        if closing.done() and not closing.cancelled():
            closing.result()


async def _end(tasks: "set[asyncio.Task[Any]]", within_s: float) -> None:
    """Cancel them, and name those that live on all the same."""
    for task in await _cancel(tasks, within_s):
        log.error("program.left_behind", task=task.get_name(), seconds=within_s)


async def _cancel(tasks: "set[asyncio.Task[Any]]", within_s: float) -> "set[asyncio.Task[Any]]":
    """Cancel them, again and again, until they are done or the time is over; those that are not done."""
    clock = asyncio.get_running_loop()
    over = clock.time() + within_s
    while tasks and (left := over - clock.time()) > 0:
        for task in tasks:
            task.cancel()
        _, tasks = await asyncio.wait(tasks, timeout=min(CANCEL_AGAIN_S, left))
    return tasks


async def unless_stopped(what: Coroutine[Any, Any, Done]) -> Done:
    """Do this, as all that a program does, unless a signal comes first. Raises StoppedEarly."""
    program = Program()
    with program.signals():
        async with program.starting():
            return await what
    raise AssertionError("`starting` lets nothing pass but what it raises")
