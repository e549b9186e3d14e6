"""What comes in is handled in order, also when a handler has to wait.

Nearly every message is handled in place, in the call that read it. When a handler really waits (for the database,
mostly), the link gets an `Order` for so long: one task that goes on with it, and a backlog of what came in
meanwhile, which is handled behind it. The backlog is bounded: over its bound the line is not read, and the client,
sooner or later, not allowed to send.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from gateway.sockets.engine.link import Link

MESSAGES: Final = 64
BYTES: Final = 256 * 1024
"""Messages, and bytes, that may wait for a handler before the line is no longer read.

One message of the largest size fits.
"""


class Order:
    """Goes on with `waiting`, then with what stands behind it, then is gone from the link."""

    __slots__ = ("_backlog", "_bytes", "_link", "task")

    def __init__(self, link: "Link", waiting: Awaitable[None]) -> None:
        self._link: Final = link
        self._backlog: deque[tuple[bytearray, bool]] = deque()
        self._bytes = 0
        self.task: Final[asyncio.Task[None]] = link.engine.start(self._work(waiting))

    def hold_back(self, packet: bytearray, *, binary: bool) -> None:
        """Handle a message when its turn has come."""
        self._backlog.append((packet, binary))
        self._bytes += len(packet)
        if self.crowded and self._link.line is not None:
            self._link.line.read_no_more()

    @property
    def crowded(self) -> bool:
        """Whether so much waits that nothing more should be read."""
        return len(self._backlog) >= MESSAGES or self._bytes >= BYTES

    async def _work(self, awaitable: Awaitable[None]) -> None:
        waiting: Awaitable[None] | None = awaitable
        link = self._link
        try:
            while waiting is not None:
                try:
                    await waiting
                except Exception:
                    link.engine.log.exception("link.handler_failed", link=link.name)
                waiting = self._next()
        finally:
            link.order = None
            if link.line is not None:
                link.line.read_again()

    def _next(self) -> Awaitable[None] | None:
        """Handle what was held back, until something waits again."""
        while self._backlog and self._link.ended_at is None:
            packet, binary = self._backlog.popleft()
            self._bytes -= len(packet)
            waiting = self._link.handle(packet, binary=binary)
            if waiting is not None:
                if not self.crowded and self._link.line is not None:
                    self._link.line.read_again()
                return waiting
        return None
