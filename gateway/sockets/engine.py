"""Engine.IO underneath Socket.IO: the stock server of python-engineio, tamed through a few named hooks.

What it does to a gateway when left alone: an unbounded queue per connection, a writer that waits for ever for a peer that
does not read, tasks that stay behind when a frame is malformed, compression for whoever asks. Each of these has its hook:

* `create_queue` gives a `Link` instead of a queue: what the engine itself has to say comes first, then the connection's
  mailbox, frame by frame, and after the last frame the line is closed.
* the driver's `websocket` class is ours: text that is already UTF-8 goes out without being encoded again, no compression,
  anything but a text packet of the protocol is refused before the engine decodes it.
* the driver's `translate_request` is ours: the same refusal for long-polling, and the true address of the peer.
* `handle_request` turns newcomers away while the node drains.

A line that makes no progress is cut, not politely closed: a close frame would wait behind what the peer does not read.
tests/contracts/test_socketio_hooks.py holds every one of these hooks to the installed version.
"""

import asyncio
import contextlib
import re
import socket
import struct
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol

import engineio  # type: ignore[import-untyped]
from aiohttp import WSMessage, WSMsgType, web
from engineio.async_drivers import aiohttp as stock_driver  # type: ignore[import-untyped]
from engineio.payload import Payload  # type: ignore[import-untyped]

from gateway.sockets.link import Link
from realtime.disconnect import DRAINING, MALFORMED, NOT_AUTHENTICATED, SLOW_READER
from services.kernel.clock import Clock

GRACE_S: Final = 2.0
"""How long a line may take to close once it was asked to; then it is cut. A poller's last requests, already under way when
it is told goodbye, are still answered so long: a refused one would make it forget the goodbye."""
POLL_GRACE_S: Final = 5.0
"""How long a poller may take to come for its goodbye. Between two polls it is only a slow round trip away."""
MAX_POLLED_PACKETS: Final = 128
"""Packets in one long-polling request; the stock 16 refuses an official client that has something to catch up on."""
TCP_USER_TIMEOUT_MS: Final = 30_000
"""How long the kernel keeps sending to a machine that no longer answers."""

# Close, pong and upgrade are bare; a probe comes once; a message is a Socket.IO packet without attachments.
_INBOUND: Final = re.compile(r"4[0-4]|(?:1|2probe|3|3probe|5|6)\Z")


class _Carried(Protocol):
    """The engine's socket, as far as it is used here."""

    queue: Link
    upgraded: bool


class _WebSocket:
    """The driver's WebSocket. The engine constructs it with a bound method of its socket and the engine itself."""

    def __init__(self, handler: Callable[["_WebSocket"], Awaitable[None]], engine: "Engine") -> None:
        carried: _Carried = handler.__self__  # type: ignore[attr-defined]
        self._handler = handler
        self._engine = engine
        self._carried = carried
        self._link = carried.queue
        self._request: web.Request | None = None
        self._task: asyncio.Task[Any] | None = None
        self._said_close = False
        # Closing is done here: aiohttp's way drops the line without waiting for the peer's close, and what was sent last,
        # the reason, is then lost to a peer that was just sending something.
        self._socket = web.WebSocketResponse(
            max_msg_size=engine.max_http_buffer_size, compress=False, timeout=GRACE_S, autoclose=False
        )

    async def __call__(self, environ: dict[str, Any]) -> web.WebSocketResponse:
        request: web.Request = environ["aiohttp.request"]
        self._request = request
        self._task = asyncio.current_task()
        await self._socket.prepare(request)
        _bound_tcp(request)
        self._link.attach(request)
        try:
            await self._handler(self)
        finally:
            self._link.detach()
            if self._carried.upgraded:
                self._engine.unlink(self._link)
        return self._socket

    async def send(self, message: bytes | str) -> None:
        await self._link.send(self._socket, message.encode() if isinstance(message, str) else message)

    async def wait(self) -> str:
        """The next packet of the client. Raises `OSError` when the WebSocket is closed, as the engine expects."""
        while True:
            message = await self._receive()
            if message.type is WSMsgType.TEXT:
                if self._link.ending is not None:
                    continue  # goodbye is on its way: nothing more is heard, and reading on sees the close
                if _INBOUND.match(message.data):
                    return str(message.data)
            elif message.type is not WSMsgType.BINARY:
                await self._over()
                raise OSError("the WebSocket is closed")
            self._engine.malformed(self._link)

    async def _receive(self) -> WSMessage:
        try:
            return await self._socket.receive()
        except asyncio.CancelledError:
            # The engine waits as long as a ping and its answer may take together, and then cancels. Whatever else cancels
            # cancels the request.
            if self._task is not None and not self._task.cancelling():
                self._link.unanswered()
            raise

    async def close(self) -> None:
        """Ask the peer to close. `wait` sees that it did; the sweep cuts the line when it does not."""
        if self._said_close or self._socket.closed:
            return
        self._said_close = True
        self._link.gone()
        ending = self._link.ending
        code, reason = (1000, "") if ending is None else (ending.code, ending.name)
        with contextlib.suppress(ConnectionError):  # gone meanwhile: nothing is left to say
            await self._socket.send_frame(struct.pack("!H", code) + reason.encode(), WSMsgType.CLOSE)

    async def _over(self) -> None:
        """The peer has closed, or the line broke."""
        if not self._said_close:
            self._said_close = True
            await self._socket.close(drain=False)
        elif self._request is not None and self._request.transport is not None:
            self._request.transport.close()


class _Body:
    """A request body that has been read, as the engine asks for it."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    async def read(self, _length: int) -> bytes:
        return self._data


class Engine(engineio.AsyncServer):  # type: ignore[misc]
    """The Engine.IO server. `clock` comes through the options that Socket.IO hands down."""

    _async: dict[str, Any]

    def __init__(self, *, clock: Clock, auth_deadline_s: float, **options: Any) -> None:
        super().__init__(async_mode="aiohttp", **options)
        self.draining = False
        self.links: dict[Link, None] = {}
        self.cut: Counter[str] = Counter()
        self.refused = 0
        self._clock = clock
        self._auth_deadline_s = auth_deadline_s
        self._async = {**self._async, "websocket": _WebSocket, "translate_request": self._translate}
        Payload.max_decode_packets = MAX_POLLED_PACKETS

    # -- hooks --------------------------------------------------------------------------------------------------------

    def create_queue(self, *_args: Any, **_kwargs: Any) -> Link:
        """The engine makes one queue per socket, in its constructor."""
        link = Link(self._clock)
        self.links[link] = None
        return link

    def start_background_task(self, target: Any, *args: Any, **kwargs: Any) -> "asyncio.Task[Any]":
        """A socket's ping sleeps in a task that nobody holds: the link does, and ends it when the line is gone."""
        task: asyncio.Task[Any] = super().start_background_task(target, *args, **kwargs)
        link = getattr(getattr(target, "__self__", None), "queue", None)
        if isinstance(link, Link):
            link.adopt(task)
        return task

    async def handle_request(self, request: web.Request) -> web.StreamResponse:
        """Every request of the transport comes through here."""
        if self.draining and "sid" not in request.query:
            raise web.HTTPServiceUnavailable(headers={"Retry-After": "2"}, text="this node is stopping")
        response: web.StreamResponse = await super().handle_request(request)
        return response

    async def _translate(self, request: web.Request) -> dict[str, Any]:
        environ: dict[str, Any] = stock_driver.translate_request(request)
        environ["REMOTE_ADDR"] = request.remote or ""
        if request.method == "POST":
            environ["wsgi.input"] = _Body(await self._read(request))
        return environ

    async def _read(self, request: web.Request) -> bytes:
        length = request.content_length
        if length is None:
            raise web.HTTPLengthRequired(text="long-polling needs a Content-Length")
        if length > self.max_http_buffer_size:
            raise web.HTTPRequestEntityTooLarge(max_size=self.max_http_buffer_size, actual_size=length)
        try:
            data = await request.content.readexactly(length)
        except asyncio.IncompleteReadError as fault:
            raise web.HTTPBadRequest(text="the body ended early") from fault
        try:
            packets = data.decode().split("\x1e")
        except UnicodeDecodeError as fault:
            self._refuse_polled(request)
            raise web.HTTPBadRequest(text="the body is not UTF-8") from fault
        if len(packets) > MAX_POLLED_PACKETS or not all(_INBOUND.match(packet) for packet in packets):
            self._refuse_polled(request)
            raise web.HTTPBadRequest(text="the body is not a payload of text packets")
        return data

    def _refuse_polled(self, request: web.Request) -> None:
        held = self.sockets.get(request.query.get("sid", ""))
        if held is not None:
            self.malformed(held.queue)

    # -- links --------------------------------------------------------------------------------------------------------

    def link(self, sid: str) -> Link | None:
        """The link of an Engine.IO connection, None when it is gone."""
        held = self.sockets.get(sid)
        return None if held is None else held.queue

    def malformed(self, link: Link) -> None:
        """Something came in that no official client sends."""
        self.refused += 1
        link.end(MALFORMED)

    def unlink(self, link: Link) -> None:
        """The line is gone for good. Harmless when it was known before."""
        self.links.pop(link, None)
        link.close()
        self.sockets.pop(link.sid, None)
        if link.connection is not None:
            link.connection.lost("transport")

    async def sweep(self) -> None:
        """Look once at every link: end those that are late with their token, cut those that do not move or do not close."""
        now = self._clock.monotonic()
        for link in tuple(self.links):
            if link.ended_at is not None:
                # A poller that has polled once more after its goodbye has read it, and the engine has forgotten it.
                forgotten = not link.on_websocket and link.sid not in self.sockets
                if forgotten or now - link.ended_at >= (POLL_GRACE_S if link.untaken else GRACE_S):
                    await self._cut(link, "grace")
            elif link.stalled(now):
                link.end(SLOW_READER)
                await self._cut(link, "stalled")
            elif link.waiting_since is not None and now - link.waiting_since >= self._auth_deadline_s:
                link.end(NOT_AUTHENTICATED)

    async def _cut(self, link: Link, why: str) -> None:
        if link.on_websocket:
            # The engine's own tasks see the end of the line and clean up after themselves.
            self.cut[why] += 1
            link.abort()
            return
        held = self.sockets.get(link.sid)
        if held is not None:
            await held.close(wait=False, abort=True)
        link.abort()
        self.unlink(link)

    async def drain(self, *, waves: int, pause_s: float) -> None:
        """Refuse newcomers and close what is open, in waves. Closes lines, does not send DISCONNECT: clients come back."""
        self.draining = True
        open_links = list(self.links)
        size = max(1, -(-len(open_links) // max(1, waves)))
        for start in range(0, len(open_links), size):
            for link in open_links[start : start + size]:
                link.end(DRAINING)
            await self._clock.sleep(pause_s)
        until = self._clock.monotonic() + GRACE_S
        while self.links and self._clock.monotonic() < until:
            await self._clock.sleep(0.05)
        for link in tuple(self.links):
            await self._cut(link, "drain")


def _bound_tcp(request: web.Request) -> None:
    line = None if request.transport is None else request.transport.get_extra_info("socket")
    if line is not None and line.family in (socket.AF_INET, socket.AF_INET6):
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, TCP_USER_TIMEOUT_MS)
