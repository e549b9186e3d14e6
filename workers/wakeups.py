"""Being woken by Postgres instead of asking all the time.

One connection of this process listens on the channels that the outbox and the task table notify at commit. It is a
hint and nothing more: notifications are lost with the connection, so whoever waits here waits with a limit and then
looks for itself. The program is correct, only slower, when `run` does not run at all.
"""

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Final

import structlog

from persistence.database import Database, forget, is_lost
from services.kernel.clock import Clock

RETRY_S: Final = 2.0
"""Between two attempts to listen again."""
CHECK_S: Final = 5.0
"""How often the listening connection is asked whether it still lives."""

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
                    self._wake(channel)  # what was notified while nobody listened
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
        self._wake(channel)

    def _wake(self, channel: str) -> None:
        for woken in self._waiters[channel]:
            woken.set()


async def pause(clock: Clock, seconds: float, *events: asyncio.Event) -> None:
    """Return after `seconds`, or as soon as one of the events is set."""
    if any(event.is_set() for event in events):
        return
    waiting = [asyncio.ensure_future(clock.sleep(seconds)), *(asyncio.ensure_future(event.wait()) for event in events)]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for each in waiting:
            each.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
