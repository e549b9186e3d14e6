"""Tasks that end together, whatever a library does with their cancellation.

On Python 3.11 `asyncio.wait_for` loses a cancellation that arrives in the turn in which the call completes, and an
`asyncio.TaskGroup` then waits for its task without end. redis-py wraps every write in one. A crew tells its end by a flag as
well, cancels again whoever goes on, and does not wait for ever.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, Final

import structlog

CANCEL_AGAIN_S: Final = 0.2
"""How long a task may take to heed a cancellation before it is cancelled again."""

log = structlog.get_logger(__name__)


class Crew:
    """Tasks that live together until one of them ends or whoever waits for them is cancelled, and then end together.

    Unlike an `asyncio.TaskGroup` it gets to its end whatever the tasks do with their cancellation: `over` is set first, for
    loops to see; whoever is not done is cancelled again and again; and what is not done after `within_s` is left behind and
    named in the log. A cancellation of the one who waits is raised whatever the tasks failed with. The seconds are real
    ones, because what is waited for are real connections.
    """

    def __init__(self, name: str, within_s: float) -> None:
        self.over = False
        self._name: Final = name
        self._within_s: Final = within_s

    async def live(self, **loops: Coroutine[Any, Any, None]) -> None:
        """Run the loops as tasks of these names. Raises `ExceptionGroup` of what they failed with."""
        tasks = [asyncio.create_task(loop, name=f"{self._name}.{name}") for name, loop in loops.items()]
        cancelled = False
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            cancelled = True
        self.over = True
        cancelled |= await self._end(tasks)
        failures = [failure for task in tasks if task.done() and not task.cancelled() and (failure := task.exception())]
        if cancelled:
            if failures:
                log.warning(
                    "crew.failed_while_ending", crew=self._name, failures=[repr(failure) for failure in failures]
                )
            raise asyncio.CancelledError
        if failures:
            raise BaseExceptionGroup(f"tasks of the {self._name} failed", failures)

    async def _end(self, tasks: "list[asyncio.Task[None]]") -> bool:
        """Cancel until all are done or the time is over; whether the one who waits was cancelled meanwhile."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._within_s
        cancelled = False
        while (going := _going(tasks)) and (left := deadline - loop.time()) > 0:
            for task in going:
                task.cancel()
            cancelled |= await done(going, min(CANCEL_AGAIN_S, left))
        for task in going:
            log.error("crew.task_left_behind", task=task.get_name(), waited_s=self._within_s)
        return cancelled


async def done(tasks: "list[asyncio.Task[None]]", within_s: float) -> bool:
    """Wait until the tasks are done or the time is over, and for nothing else; whether a cancellation came meanwhile."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + within_s
    cancelled = False
    while (going := _going(tasks)) and (left := deadline - loop.time()) > 0:
        try:
            await asyncio.wait(going, timeout=left)
        except asyncio.CancelledError:
            cancelled = True
    return cancelled


def _going(tasks: "list[asyncio.Task[None]]") -> "list[asyncio.Task[None]]":
    return [task for task in tasks if not task.done()]
