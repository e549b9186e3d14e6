"""The Socket.IO server: one namespace, text events, explicit acknowledgements.

`socketio.AsyncServer` keeps doing what it does well, CONNECT and DISCONNECT and the wording of the protocol. Three of its
methods are ours: the choice of the Engine.IO server, what happens to a message that came in, and what happens when the line
is gone. A message that is an event goes straight from its text to the dispatcher, without a generic decode in between, in
the order it came, in the task that read it.

Nothing here emits: frames are pushed through connections, hub and node (see realtime/). Rooms, sessions and callbacks of the
library are not used.

    server = attach(app, node=…, clock=…, identify=…, handlers=…, on_open=…, on_close=…)
    async with asyncio.TaskGroup() as group:
        group.create_task(server.run())
    …
    await server.drain()      # before the web server stops
    await server.close()
"""

import logging
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import socketio  # type: ignore[import-untyped]
import structlog
from aiohttp import web
from socketio.exceptions import ConnectionRefusedError as Refused  # type: ignore[import-untyped]
from socketio.packet import CONNECT_ERROR, Packet  # type: ignore[import-untyped]

from gateway.sockets.dispatch import Dispatcher, Handlers
from gateway.sockets.engine import Engine
from gateway.sockets.handshake import MAX_ATTEMPTS, Handshake, Identify, OnClose, OnOpen, origin_rule
from gateway.sockets.link import Link
from realtime.connection import Connection
from realtime.disconnect import ABUSE, SILENT
from realtime.limits import TokenBucket
from realtime.node import Node
from realtime.wire import MAX_PAYLOAD_BYTES, NAMESPACE
from services.kernel.clock import Clock
from services.kernel.problems import InternalFault, NotFound, Problem

log = structlog.get_logger(__name__)

PATH: Final = "socket.io"
AUTH_DEADLINE_S: Final = 5.0
"""From the opening of a socket to a CONNECT that is accepted."""
SWEEP_EVERY_S: Final = 1.0
LIBRARY_LINES_PER_SECOND: Final = 5.0
"""What the libraries underneath may log: clients can provoke their lines."""

# "2/live,17[…": an event of our namespace, with or without an acknowledgement id.
_EVENT: Final = re.compile(rf"2{NAMESPACE},(\d{{0,15}})(?=\[)")
_CONNECT: Final = re.compile(r"0(?:(/[^,?]*)(?:\?[^,]*)?(?:,|\Z))?")
_DISCONNECT: Final = frozenset({f"1{NAMESPACE},", f"1{NAMESPACE}"})


@dataclass(frozen=True, slots=True)
class SocketsStatistics:
    """Now: open `links` (sockets, authenticated or not), how many of them are `websockets`, and how many are
    `unauthenticated`. Since start: `refused` handshakes by problem code, `malformed` messages, lines that were `cut` by
    cause (grace: would not close; stalled: moved no byte; drain)."""

    links: int
    websockets: int
    unauthenticated: int
    refused: dict[str, int]
    malformed: int
    cut: dict[str, int]


class LiveServer(socketio.AsyncServer):  # type: ignore[misc]
    """See the module. Made by `attach`."""

    eio: Engine

    def __init__(
        self,
        *,
        node: Node,
        clock: Clock,
        identify: Identify,
        handlers: Handlers,
        on_open: OnOpen,
        on_close: OnClose,
        allowed_origins: Sequence[str] = (),
        transports: Sequence[str] = ("websocket", "polling"),
        ping_interval_s: int = 25,
        ping_timeout_s: int = 20,
        auth_deadline_s: float = AUTH_DEADLINE_S,
    ) -> None:
        """`transports` in order of preference; long-polling needs one process per port, or a balancer that sticks."""
        self._clock = clock
        self._refused: Counter[str] = Counter()
        self.dispatcher: Final = Dispatcher(handlers, clock)
        self.handshake: Final = Handshake(node, clock, identify, on_open=on_open, on_close=on_close)
        library_log = _library_log(clock)
        super().__init__(
            logger=library_log,
            engineio_logger=library_log,
            # A task per event would let one client's events overtake each other.
            async_handlers=False,
            namespaces=[NAMESPACE],
            cors_allowed_origins=origin_rule(allowed_origins),
            cors_credentials=False,
            http_compression=False,
            max_http_buffer_size=MAX_PAYLOAD_BYTES,
            transports=list(transports),
            ping_interval=ping_interval_s,
            ping_timeout=ping_timeout_s,
            clock=clock,
            auth_deadline_s=auth_deadline_s,
        )
        self.on("connect", self._on_connect, namespace=NAMESPACE)
        self.on("disconnect", self._on_disconnect, namespace=NAMESPACE)

    # -- life -----------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Watch over all sockets until cancelled: deadlines, stalls, closes that do not come to an end."""
        while True:
            await self._clock.sleep(SWEEP_EVERY_S)
            try:
                await self.eio.sweep()
            except Exception:
                # One socket's trouble must not leave all the others unwatched.
                log.exception("sockets.sweep_failed")

    async def drain(self, *, waves: int = 10, pause_s: float = 0.2) -> None:
        """Refuse handshakes and close all sockets in waves, with "come back". To be called before the web server stops:
        afterwards aiohttp no longer reads, and no WebSocket can close properly."""
        self.handshake.draining = True
        await self.eio.drain(waves=waves, pause_s=pause_s)

    async def close(self) -> None:
        """Stop what the library runs in the background."""
        await self.shutdown()

    def statistics(self) -> SocketsStatistics:
        """Counters for the probes. See also `dispatcher.statistics()`."""
        links = self.eio.links
        return SocketsStatistics(
            links=len(links),
            websockets=sum(link.on_websocket for link in links),
            unauthenticated=sum(link.connection is None for link in links),
            refused=dict(self._refused),
            malformed=self.eio.refused,
            cut=dict(self.eio.cut),
        )

    # -- hooks ----------------------------------------------------------------------------------------------------

    def _engineio_server_class(self) -> type[Engine]:
        return Engine

    async def _handle_eio_connect(self, eio_sid: str, environ: dict[str, Any]) -> None:
        link = self.eio.link(eio_sid)
        if link is not None:
            link.sid = eio_sid
            link.peer = environ["REMOTE_ADDR"]
        await super()._handle_eio_connect(eio_sid, environ)

    async def _handle_eio_message(self, eio_sid: str, data: object) -> None:
        link = self.eio.link(eio_sid)
        if link is None or link.ending is not None:
            return
        if not isinstance(data, str):
            self.eio.malformed(link)
            return
        event = _EVENT.match(data)
        if event is not None:
            await self._event(link, event, data)
        elif data.startswith(f"3{NAMESPACE},"):
            # Nobody is asked for acknowledgements; a client that sends them all the same costs an allowance, no more.
            if not link.allowance.bucket.take(self._clock.monotonic()):
                self._strike(link)
        elif data in _DISCONNECT:
            await self._handle_disconnect(eio_sid, NAMESPACE, self.reason.CLIENT_DISCONNECT)
        elif (connect := _CONNECT.match(data)) is not None:
            await self._connect(eio_sid, link, connect.group(1) or "/", data[connect.end() :])
        else:
            self.eio.malformed(link)

    async def _handle_eio_disconnect(self, eio_sid: str, reason: str) -> None:
        link = self.eio.link(eio_sid)
        if link is not None and link.ending is SILENT:
            # Two of the engine's clocks run out on a silent peer, the ping's and the reader's. Who is first is chance, and
            # the reader calls it a broken line.
            reason = self.reason.PING_TIMEOUT
        await super()._handle_eio_disconnect(eio_sid, reason)
        if link is not None:
            if reason == self.reason.PING_TIMEOUT:
                link.finish(SILENT)
            link.gone()

    # -- what comes in --------------------------------------------------------------------------------------------

    async def _event(self, link: Link, event: re.Match[str], data: str) -> None:
        if link.connection is None:
            self._strike(link)
            return
        if link.connection.closed:
            return
        ack_id = int(event.group(1)) if event.group(1) else None
        await self.dispatcher.dispatch(link.connection, link.allowance, ack_id, data[event.end() :])

    async def _connect(self, eio_sid: str, link: Link, namespace: str, auth: str) -> None:
        link.attempts += 1
        if link.attempts > MAX_ATTEMPTS or link.connection is not None:
            self._strike(link)
            return
        if namespace != NAMESPACE:
            problem = NotFound(f"there is no namespace {namespace[:80]}; connect to {NAMESPACE}")
            await self._refuse(eio_sid, namespace, problem)
            return
        try:
            payload = msgspec.json.decode(auth) if auth else None
        except (msgspec.DecodeError, RecursionError):
            self.eio.malformed(link)
            return
        await self._handle_connect(eio_sid, namespace, payload)
        link.release()

    def _strike(self, link: Link) -> None:
        if link.allowance.strikes.add(self._clock.monotonic()):
            link.end(ABUSE)

    async def _on_connect(self, sid: str, environ: dict[str, Any], auth: object) -> None:
        link = self._link_of(sid)
        try:
            self.handshake.open(sid, link, auth)
        except Problem as problem:
            self._refused[problem.code] += 1
            raise Refused(problem.message, msgspec.to_builtins(problem.view())) from problem
        except Exception as fault:
            log.exception("sockets.handshake_failed", peer=environ.get("REMOTE_ADDR"))
            ours = InternalFault()
            self._refused[ours.code] += 1
            raise Refused(ours.message, msgspec.to_builtins(ours.view())) from fault

    async def _on_disconnect(self, sid: str, reason: str) -> None:
        link = self._link_of(sid)
        connection: Connection | None = link.connection
        if connection is not None:
            link.disconnected()
            connection.lost(_word_for(reason))

    async def _refuse(self, eio_sid: str, namespace: str, problem: Problem) -> None:
        self._refused[problem.code] += 1
        data = {"message": problem.message, "data": msgspec.to_builtins(problem.view())}
        await self._send_packet(eio_sid, Packet(CONNECT_ERROR, data=data, namespace=namespace))

    def _link_of(self, sid: str) -> Link:
        link = self.eio.link(self.manager.eio_sid_from_sid(sid, NAMESPACE))
        if link is None:
            raise LookupError(f"connection {sid} has no link")
        return link


def attach(
    app: web.Application,
    *,
    node: Node,
    clock: Clock,
    identify: Identify,
    handlers: Handlers,
    on_open: OnOpen,
    on_close: OnClose,
    allowed_origins: Sequence[str] = (),
    **options: Any,
) -> LiveServer:
    """Serve Socket.IO at /socket.io/ of `app`. `options`: see `LiveServer`. Raises `ValueError` when the handlers do not
    match the wire catalogue."""
    server = LiveServer(
        node=node,
        clock=clock,
        identify=identify,
        handlers=handlers,
        on_open=on_open,
        on_close=on_close,
        allowed_origins=allowed_origins,
        **options,
    )
    server.attach(app, socketio_path=PATH)
    return server


def _word_for(reason: str) -> str:
    """Our word for the library's reason."""
    words = {
        socketio.AsyncServer.reason.CLIENT_DISCONNECT: "client",
        socketio.AsyncServer.reason.PING_TIMEOUT: "silent",
    }
    return words.get(reason, "transport")


class _Sparingly(logging.Filter):
    """Lets a few lines per second through."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock
        self._bucket = TokenBucket(LIBRARY_LINES_PER_SECOND, LIBRARY_LINES_PER_SECOND, clock.monotonic())

    def filter(self, record: logging.LogRecord) -> bool:
        return self._bucket.take(self._clock.monotonic())


def _library_log(clock: Clock) -> logging.Logger:
    logger = logging.getLogger("paceline.sockets.protocol")
    # Their INFO is a line per packet, payload included.
    logger.setLevel(logging.WARNING)
    logger.filters = [_Sparingly(clock)]
    return logger
