"""One Engine.IO connection from the gateway's side: what will be sent, and the line that can be cut.

The engine reads from a queue; it gets a `Link`. What the engine itself has to say (open, ping, CONNECT) comes first, so that
pings are on time however much is waiting; then the connection's mailbox, frame by frame; and once the connection has ended
and its last frame is taken, the line is closed.

Little is taken out of the mailbox at a time. What is taken stands in the engine's hands and can no longer be replaced by
something newer: for a slow reader that would be a backlog of old boards.
"""

import asyncio
from collections import deque
from typing import Any, Final

from aiohttp import WSMsgType, web
from engineio.packet import MESSAGE, Packet  # type: ignore[import-untyped]

from realtime.codec import Frame
from realtime.connection import Connection
from realtime.disconnect import SILENT, Disconnect
from realtime.limits import Allowance
from realtime.mailbox import Mailbox
from realtime.wire import NAMESPACE
from services.kernel.clock import Clock

BATCH_BYTES: Final = 16 * 1024
"""How much is taken out of a mailbox at once. What is taken can no longer be replaced by something newer."""
STALL_S: Final = 10.0
"""A line on which a write has waited this long without moving a byte is cut."""
MAX_CONTROL: Final = 32
"""Packets of the engine's own that may wait. More than a few means that the peer asks without reading."""

_NOTHING: Final = object()


class _FramePacket:
    """A frame in the shape of an Engine.IO packet. For WebSockets it is the shared bytes themselves."""

    __slots__ = ("frame",)

    def __init__(self, frame: Frame) -> None:
        self.frame: Final = frame

    def encode(self, b64: bool = False) -> bytes | str:
        # The engine says b64 for long-polling, whose body it joins as text.
        return self.frame.wire.decode() if b64 else self.frame.wire


class Link:
    """One Engine.IO connection: the queue that the engine reads from, and the line that can be cut.

    It is a `realtime.connection.Transport`, and an `asyncio.Queue` as far as the engine uses one. `connection` is set
    between the client's CONNECT and DISCONNECT.
    """

    def __init__(self, clock: Clock) -> None:
        now = clock.monotonic()
        self.sid = ""
        self.peer = ""
        self.connection: Connection | None = None
        self.allowance: Final = Allowance(now)
        self.attempts = 0
        self.waiting_since: float | None = now
        self.ending: Disconnect | None = None
        self.ended_at: float | None = None
        self.sent = 0
        self._clock: Final = clock
        self._mailbox: Mailbox | None = None
        self._control: deque[Any] = deque()
        self._farewell: deque[Any] = deque()
        self._budget = 0
        self._stopped = False
        self._held = False
        self._waiter: asyncio.Future[Any] | None = None
        self._asker: asyncio.Task[Any] | None = None
        self._request: web.Request | None = None
        self._sending = False
        self._mark = (0, 0)
        self._moved_at = now
        self._ping: asyncio.Task[Any] | None = None

    # -- what the gateway does with it --------------------------------------------------------------------------------

    def open_mailbox(self) -> Mailbox:
        """A mailbox whose frames leave by this link. Replaces the one of a connection that is gone."""
        self._mailbox = Mailbox()
        self._mailbox.on_ready = self._wake
        self._held = True
        return self._mailbox

    def release(self) -> None:
        """The client has been told that it is connected: frames may leave. Before that they would mean nothing to it."""
        self._held = False
        self._wake()

    def connected(self, connection: Connection) -> None:
        """The client is authenticated."""
        self.connection = connection
        self.waiting_since = None

    def disconnected(self) -> None:
        """The client has left the namespace, or is gone."""
        self.connection = None
        self.waiting_since = self._clock.monotonic()

    def finish(self, ending: Disconnect) -> None:
        """Close once the mailbox is empty. `Engine.sweep` cuts the line if that takes longer than the grace."""
        if self.ending is not None:
            return
        self.ending = ending
        self.ended_at = self._clock.monotonic()
        if ending.come_back_ms is None and self.connection is not None:
            # The one packet after which an official client does not come back by itself. Without it a poller finds its
            # connection unknown at the next request, and a WebSocket closes: every client comes back after that. The
            # engine's own CLOSE is not sent: the official client acts on it before it has read the `bye`.
            self._farewell.append(Packet(MESSAGE, f"1{NAMESPACE},"))
        self._wake()

    def end(self, ending: Disconnect) -> None:
        """End whatever there is: the connection with a `bye`, or a line that has none yet."""
        if self.connection is not None and not self.connection.closed:
            self.connection.end(ending)
        else:
            self.finish(ending)

    def unanswered(self) -> None:
        """The engine has waited for this peer as long as a ping and its answer may take, and nothing came."""
        self.finish(SILENT)

    def abort(self) -> None:
        """Cut the line now. What is unsent is lost."""
        self._stopped = True
        self._wake()
        if self._request is not None and self._request.transport is not None:
            self._request.transport.abort()

    def adopt(self, ping: "asyncio.Task[Any]") -> None:
        """Hold the task of the next ping. There is one at a time."""
        self._ping = ping

    def close(self) -> None:
        """The line is gone for good: nothing of it goes on."""
        self._stopped = True
        if self._ping is not None:
            self._ping.cancel()
        self._wake()

    @property
    def on_websocket(self) -> bool:
        """Whether a WebSocket carries it at the moment."""
        return self._request is not None

    @property
    def drained(self) -> bool:
        """Whether everything to be said has been taken."""
        return not (self._control or self._farewell or self._mailbox)

    @property
    def untaken(self) -> bool:
        """Whether a poller still has to come for what is left for it, the goodbye at the end."""
        return self.ending is not None and not self.on_websocket and not self.drained and not self._stopped

    def stalled(self, now: float) -> bool:
        """Whether a write has waited for `STALL_S` without anything moving. To be asked about once a second."""
        mark = (self.sent, self._unwritten())
        if not self._sending or mark != self._mark:
            self._mark, self._moved_at = mark, now
        return now - self._moved_at >= STALL_S

    def _unwritten(self) -> int:
        transport = None if self._request is None else self._request.transport
        return 0 if transport is None else transport.get_write_buffer_size()

    # -- the WebSocket that carries it --------------------------------------------------------------------------------

    def attach(self, request: web.Request) -> None:
        """A WebSocket has been opened for it."""
        self._request = request

    def detach(self) -> None:
        """The WebSocket is gone; long-polling goes on when it was only a probe."""
        self._request = None

    def gone(self) -> None:
        """The engine has given the peer up, or the peer has said goodbye: nothing more will be read, and a poll that is
        pending has nothing to wait for."""
        if self.ended_at is None:
            self.ended_at = self._clock.monotonic()
        if not self.on_websocket:
            self._stopped = True
            self._wake()

    async def send(self, websocket: web.WebSocketResponse, packet: bytes) -> None:
        """Write one packet; waits while the peer does not read."""
        self._sending = True
        try:
            await websocket.send_frame(packet, WSMsgType.TEXT)
        finally:
            self._sending = False
        self.sent += 1

    # -- the queue that the engine reads from -------------------------------------------------------------------------

    def get(self) -> "asyncio.Future[Any]":
        """The next packet, or None when there will be no more (`TimeoutError` for a poll). A future, not a coroutine: the
        engine would make a task."""
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._budget = BATCH_BYTES
        self._waiter = future
        self._wake()
        if not future.done():
            self._asker = asyncio.current_task()
            future.add_done_callback(self._given_up)
        return future

    def get_nowait(self) -> Any:
        """The next packet that still belongs into the same write. Raises `asyncio.QueueEmpty`."""
        item = self._next() if self._budget > 0 else _NOTHING
        if item is _NOTHING:
            raise asyncio.QueueEmpty
        return item

    async def put(self, packet: Any) -> None:
        """A packet of the engine's own."""
        self.put_nowait(packet)

    def put_nowait(self, packet: Any) -> None:
        """A packet of the engine's own: ahead of all frames, so that pings are on time. None: there will be no more."""
        if packet is None:
            self._stopped = True
        elif len(self._control) >= MAX_CONTROL:
            self.abort()
            return
        else:
            self._control.append(packet)
        self._wake()

    def task_done(self) -> None:
        """Nobody counts."""

    async def join(self) -> None:
        """Returns at once: nobody waits politely for a reader who may never read."""

    def empty(self) -> bool:
        """Whether there is nothing to take."""
        return self.drained and not self._stopped

    def _given_up(self, waiter: "asyncio.Future[Any]") -> None:
        # The engine has waited so long for something to send that a ping was due, had the one before been answered. Whatever
        # else cancels cancels the task that asked.
        if waiter.cancelled() and waiter is self._waiter and self._asker is not None and not self._asker.cancelling():
            self.unanswered()

    def _next(self) -> Any:
        if self._stopped:
            return None
        if self._control:
            return self._control.popleft()
        if self._held:
            return _NOTHING
        frame = None if self._mailbox is None else self._mailbox.take()
        if frame is not None:
            self._budget -= frame.size
            return _FramePacket(frame)
        if self.ending is None:
            return _NOTHING
        return self._farewell.popleft() if self._farewell else None

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is None or waiter.done():
            return
        item = self._next()
        if item is _NOTHING:
            return
        self._waiter = None
        if item is None and not self.on_websocket:
            # The engine refuses the poll and cleans up; None would make it answer with an empty, invalid payload.
            waiter.set_exception(TimeoutError())
        else:
            waiter.set_result(item)
