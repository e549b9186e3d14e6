"""What is held for a peer that does not read, on any connection: how much, and on one of HTTP for how long.

Of a connection's unsent bytes the kernel takes little (TCP_NOTSENT_LOWAT), and the process holds the rest. A WebSocket is bounded
by its link, which writes nothing more meanwhile. aiohttp waits too, but without an end, and an answer that nobody reads may be a
megabyte: sixty connections cost 54 MB here and four times that in the kernel. So in every `TAKE_S` that bytes are waiting, at least
`TAKE_BYTES` of them have to go, or the connection is cut and counted under `unread`. Whoever is only slow gets everything.

aiohttp's side of a connection (gateway/http/server.py) says when bytes begin to wait and when all are gone; the time is the
engine's, on a wheel that holds only those for whom bytes are waiting.
"""

import asyncio
import math
import socket
import struct
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from gateway.sockets.engine.server import Engine

TCP_USER_TIMEOUT_MS: Final = 30_000
"""How long the kernel keeps sending to a machine that no longer answers."""
UNSENT_BYTES: Final = 64 * 1024
"""How much unsent data the kernel takes for one line (TCP_NOTSENT_LOWAT)."""
TAKE_S: Final = 30.0
"""How long it may take until some of what waits is gone. By feeling, like the next."""
TAKE_BYTES: Final = 16 * 1024
"""How much that is. The kernel asks for more once half of what it holds is sent: a line of 2 KB/s comes to 32 KB in this time."""

_NO_LINGER: Final = struct.pack("ii", 1, 0)


class Unread:
    """The bytes that wait on one HTTP connection."""

    __slots__ = ("_engine", "_left", "_transport", "wheel_due")

    def __init__(self, engine: "Engine", transport: asyncio.Transport) -> None:
        self._engine: Final = engine
        self._transport: Final = transport
        self._left = 0
        self.wheel_due = math.inf
        transport.set_write_buffer_limits(high=0)  # one byte that the kernel does not take is one that waits

    def begins(self) -> None:
        """Bytes wait from now on; nothing is written until they are gone."""
        self._look_later()

    def ends(self) -> None:
        """They are gone, or the connection is."""
        self._engine.unread.drop(self)

    def overdue(self) -> None:
        """Cut the connection, unless enough has gone, or something has come on top, which is then counted from here."""
        waits = self._transport.get_write_buffer_size()
        if waits <= self._left - TAKE_BYTES or waits > self._left:
            self._look_later()
        else:
            self._engine.cut["unread"] += 1
            cut(self._transport)

    def _look_later(self) -> None:
        self._left = self._transport.get_write_buffer_size()
        self._engine.unread.put(self, self._engine.clock.monotonic() + TAKE_S)


def tune(transport: asyncio.BaseTransport) -> None:
    """Have the kernel hold little for this connection, and not for long."""
    line = transport.get_extra_info("socket")
    if line is not None and line.family in (socket.AF_INET, socket.AF_INET6):
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, TCP_USER_TIMEOUT_MS)
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_BYTES)


def cut(transport: asyncio.Transport) -> None:
    """End a connection now. The kernel forgets what it holds for the peer: else one that reads a little would be served on."""
    line = transport.get_extra_info("socket")
    if line is not None:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
    transport.abort()
