"""Being woken by Postgres instead of asking all the time.

One connection of this process listens on the channels that the outbox and the task table notify at commit. It is a
hint and nothing more: notifications are lost with the connection, so whoever waits here waits with a limit and then
looks for itself. The program is correct, only slower, when `run` does not run at all.

`Bell` is the other side: it notifies after the commit, once for all that was told within a moment. Postgres could do it at the
commit, but lets only one notifying transaction commit at a time, flush to disk included: eight connections told 20 to 45 % fewer
facts (`python -m tests.benchmarks.outbox`).
"""

import asyncio
import contextlib
from collections.abc import Collection, Iterator
from typing import Final

import structlog

from persistence.database import Database, forget, is_lost
from services.kernel.clock import Clock

RETRY_S: Final = 2.0
"""Between two attempts to listen again."""
CHECK_S: Final = 5.0
"""How often the listening connection is asked whether it still lives."""
RING_EVERY_S: Final = 0.02
"""Shortest time between two notifications of a process."""

log = structlog.get_logger(__name__)


class Wakeups:
    """Notifications of some channels, for any number of loops of this process."""

    def __init__(self, database: Database, clock: Clock, channels: tuple[str, ...]) -> None:
        self._database: Final = database
        self._clock: Final = clock
        self._channels: Final = channels
        self._waiters: Final[dict[str, set[asyncio.Event]]] = {channel: set() for channel in channels}
        self.listening: Final = asyncio.Event()

    @contextlib.contextmanager
    def on(self, channel: str, woken: asyncio.Event) -> Iterator[None]:
        """While entered, `woken` is set whenever the channel is notified; the waiter clears it."""
        self._waiters[channel].add(woken)
        try:
            yield
        finally:
            self._waiters[channel].discard(woken)

    async def run(self) -> None:
        """Listen until cancelled; after a loss, listen again."""
        while True:
            try:
                await self._listen()
            except Exception as problem:
                # Only a hint is lost: whoever waits looks for itself.
                log.warning("wakeups.lost", problem=repr(problem), again_in_s=RETRY_S)
            finally:
                self.listening.clear()
            await self._clock.sleep(RETRY_S)

    async def _listen(self) -> None:
        async with self._database.connection() as connection:
            for channel in self._channels:
                await connection.add_listener(channel, self._notified)
            try:
                self.listening.set()
                for channel in self._channels:
                    self.wake(channel)  # what was notified while nobody listened
                while True:
                    await self._clock.sleep(CHECK_S)
                    await connection.fetchval("SELECT 1")
            finally:
                if is_lost(connection):
                    forget(connection)  # the driver forgets the listeners of a lost connection only when told
                else:
                    for channel in self._channels:
                        await connection.remove_listener(channel, self._notified)

    def _notified(self, _connection: object, _pid: int, channel: str, _payload: object) -> None:
        self.wake(channel)

    def wake(self, channel: str) -> None:
        """Wake whoever waits for this channel in this process."""
        for woken in self._waiters[channel]:
            woken.set()


@contextlib.contextmanager
def woken_by(wakeups: Wakeups | None, channel: str) -> Iterator[asyncio.Event]:
    """While entered, an event that is set whenever the channel is notified; without `wakeups` it never is."""
    woken = asyncio.Event()
    with contextlib.nullcontext() if wakeups is None else wakeups.on(channel, woken):
        yield woken


class Bell:
    """Wakes whoever listens to a channel: those of this process at once, those of others by a notification."""

    def __init__(self, database: Database, clock: Clock, channel: str, wakeups: Wakeups) -> None:
        self._database: Final = database
        self._clock: Final = clock
        self._channel: Final = channel
        self._wakeups: Final = wakeups
        self._rung: Final = asyncio.Event()

    def ring(self) -> None:
        """There is something to look at."""
        self._wakeups.wake(self._channel)
        self._rung.set()

    async def run(self) -> None:
        """Notify the others, until cancelled."""
        while True:
            await self._rung.wait()
            self._rung.clear()
            try:
                async with self._database.connection() as connection:
                    # A hint need not be on disk.
                    await connection.execute(
                        "SELECT set_config('synchronous_commit', 'off', true), pg_notify($1, '')", self._channel
                    )
            except Exception as problem:
                log.warning("bell.not_heard", problem=repr(problem))
            await self._clock.sleep(RING_EVERY_S)


async def finish(clock: Clock, seconds: float, tasks: Collection["asyncio.Task[None]"]) -> int:
    """Let tasks end by themselves for `seconds`, then cancel those that have not and wait for them; how many those were."""
    ending = asyncio.ensure_future(asyncio.wait(tasks)) if tasks else None
    if ending is None:
        return 0
    limit = asyncio.ensure_future(clock.sleep(seconds))
    try:
        await asyncio.wait((ending, limit), return_when=asyncio.FIRST_COMPLETED)
        late = [task for task in tasks if not task.done()]
        for task in late:
            task.cancel()
        await ending
    finally:
        ending.cancel()
        limit.cancel()
        await asyncio.gather(ending, limit, return_exceptions=True)
    return len(late)
