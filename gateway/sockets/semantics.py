"""Socket.IO v5 on our engine: `socketio.AsyncServer` with the rules of the protocol that it misses.

Everything that python-socketio offers works here, on any namespace: handlers, rooms, `emit`, `call`, its own client.
What is ours:

* the engine underneath (gateway/sockets/engine/);
* a packet that breaks the protocol ends the link at once; python-socketio logs a traceback and goes on;
* refusals are objects with a `message`, also for an unknown namespace;
* an acknowledgement is sent when the handler returns something. Returning None withholds it: a client that repeats until
  it is acknowledged must not take an event for delivered that nobody has handled;
* binary attachments only where the engine is told so, and few;
* a link that has joined no namespace in time is closed, and one may join only a few.

The live namespace does not come by here: it is handled by gateway/sockets/server.py, which builds on this.
"""

import logging
import re
from collections.abc import Awaitable, Iterator
from typing import Any, Final

import msgspec
import socketio  # type: ignore[import-untyped]
import structlog
from socketio.packet import CONNECT_ERROR, Packet  # type: ignore[import-untyped]

from gateway.sockets.engine.link import Link
from gateway.sockets.engine.server import Engine
from realtime.limits import MAX_NAMESPACES
from realtime.sparingly import Sparingly
from services.kernel.clock import Clock

MAX_CONNECTS: Final = 5
"""CONNECTs of one link without one that is accepted. An official client sends another when its token had expired."""
CONNECT_COST: Final = 10
"""What a CONNECT takes from the allowance: a token is checked, a welcome or a refusal is sent."""
MAX_ATTACHMENTS: Final = 16
CONNECT_TIMEOUT_S: Final = 5.0

_PACKET: Final = re.compile(
    rb"4(?:(?P<type>[0-3])|(?P<binary>[56])(?P<attachments>[1-9]\d?)-)"
    rb"(?:(?P<namespace>/[^,\[{?]{0,79})(?:\?[^,]*)?(?:,|\Z))?(?P<id>\d{0,15})(?=[\[{]|\Z)"
)
"""`4`, the type (binary ones with the number of attachments), namespace unless it is `/`, acknowledgement id, JSON."""
_CONNECT, _DISCONNECT, _EVENT, _ACK, _BINARY_EVENT = b"0", b"1", b"2", b"3", b"5"
_RESERVED: Final = frozenset(
    {"connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"}
)
"""Names that an event must not have: handlers of these names belong to the server."""


class SocketServer(socketio.AsyncServer):  # type: ignore[misc]
    """See the module. `options` are those of `Engine` and of `socketio.AsyncServer`; `run` must run in a task."""

    eio: Engine

    def __init__(self, *, clock: Clock, connect_timeout: float = CONNECT_TIMEOUT_S, **options: Any) -> None:
        """`connect_timeout`: seconds from the opening of a link until it must have joined a namespace."""
        library_log = _library_log(clock)
        self._now = clock.monotonic
        super().__init__(
            logger=library_log,
            engineio_logger=library_log,
            # A task per event would let one client's events overtake each other.
            async_handlers=False,
            clock=clock,
            auth_deadline_s=connect_timeout,
            **{"keep_environ": True, **options},
        )
        self.manager_initialized = True
        self.manager.initialize()
        self.eio.handle = self._handle
        self.eio.handle_binary = self._handle_binary
        self.eio.on_close = self._closed

    async def run(self) -> None:
        """Watch over all links until cancelled."""
        await self.eio.run()

    def _engineio_server_class(self) -> Any:
        def engine(**options: Any) -> Engine:
            # Options of python-engineio that python-socketio fills in by itself and that mean nothing here.
            for name in ("logger", "json", "async_handlers", "async_mode", "monitor_clients"):
                options.pop(name, None)
            return Engine(**options)

        return engine

    # -- what comes in --------------------------------------------------------------------------------------------

    def _handle(self, link: Link, packet: bytearray, now: float) -> Awaitable[None] | None:
        """One message. What cannot be a packet of the protocol ends the link before anything is done with it."""
        found = _PACKET.match(packet)
        if found is None or link.sid in self._binary_packet or not self._is_sound(link, found, packet):
            link.malformed()
            return None
        kind = found["type"] or b""
        if kind == _CONNECT and (len(self.namespaces_of(link)) >= MAX_NAMESPACES or not self.may_try(link)):
            link.strike()
            return None
        return self._general(link, bytes(packet[1:]).decode(), kind)

    def may_try(self, link: Link) -> bool:
        """Whether a link may send one more CONNECT. The first is free."""
        link.attempts += 1
        if link.attempts == 1 and not link.welcomed:
            return True
        return link.attempts <= MAX_CONNECTS and link.allowance.take(self._now(), CONNECT_COST)

    def _handle_binary(self, link: Link, data: bytearray) -> Awaitable[None] | None:
        if link.sid not in self._binary_packet:
            link.malformed()
            return None
        return self._general(link, bytes(data))

    def _is_sound(self, link: Link, found: "re.Match[bytes]", packet: bytearray) -> bool:
        """Whether a packet is whole, means something, and belongs to a namespace that the link is in."""
        kind, numbered = found["type"] or found["binary"], bool(found["id"])
        opening = bytes(packet[found.end() : found.end() + 1])
        if kind == _CONNECT:
            right = opening in (b"", b"{") and not numbered
        elif kind == _DISCONNECT:
            right = opening == b"" and not numbered
        else:
            right = opening == b"[" and (numbered or kind in (_EVENT, _BINARY_EVENT))
        if not right or (found["binary"] and not (self.eio.binary and int(found["attachments"]) <= MAX_ATTACHMENTS)):
            return False
        if kind != _CONNECT and not self.manager.sid_from_eio_sid(link.sid, (found["namespace"] or b"/").decode()):
            return False
        if opening == b"":
            return True
        try:
            arguments = msgspec.json.decode(memoryview(packet)[found.end() :])
        except (msgspec.DecodeError, RecursionError):
            return False
        if found["binary"] and sorted(_placeholders(arguments)) != list(range(int(found["attachments"]))):
            return False
        if kind in (_EVENT, _BINARY_EVENT):
            return bool(arguments) and isinstance(arguments[0], str | int) and arguments[0] not in _RESERVED
        return True

    async def _general(self, link: Link, data: str | bytes, kind: bytes = b"") -> None:
        if link.ended_at is not None:
            return  # it has ended since this was read, and what python-socketio knew of it is forgotten
        if link.sid not in self.environ:
            self.environ[link.sid] = link.environ or {"REMOTE_ADDR": link.peer}
        await self._handle_eio_message(link.sid, data)
        if kind == _CONNECT and self.namespaces_of(link):
            link.admitted()
        elif kind == _DISCONNECT:
            self.has_left(link)

    def namespaces_of(self, link: Link) -> list[str]:
        """The namespaces that a link is in, but for the live one."""
        return [name for name in self.manager.get_namespaces() if self.manager.sid_from_eio_sid(link.sid, name)]

    def has_left(self, link: Link) -> None:
        """A link has left a namespace: if that was its last, it has to join another in time."""
        if link.connection is None and not self.namespaces_of(link):
            link.waits_again()

    def _closed(self, link: Link, reason: str) -> None:
        self._binary_packet.pop(link.sid, None)
        if link.sid in self.environ:
            self.eio.start(self._handle_eio_disconnect(link.sid, _their_word(reason)))

    async def disconnect(self, sid: str, namespace: str | None = None, ignore_queue: bool = False) -> None:
        """See `socketio.AsyncServer`."""
        eio_sid = self.manager.eio_sid_from_sid(sid, namespace or "/")
        await super().disconnect(sid, namespace, ignore_queue)
        if (link := self.eio.links.get(eio_sid)) is not None:
            self.has_left(link)

    # -- rules that python-socketio misses ------------------------------------------------------------------------

    async def _handle_connect(self, eio_sid: str, namespace: str | None, data: Any) -> None:
        name = namespace or "/"
        known = (
            name in self.handlers
            or name in self.namespace_handlers
            or self.namespaces == "*"
            or name in self.namespaces
        )
        if not known:
            await self._send_packet(eio_sid, Packet(CONNECT_ERROR, {"message": "Invalid namespace"}, namespace=name))
            return
        await super()._handle_connect(eio_sid, namespace, data)

    async def _handle_event_internal(
        self, server: Any, sid: str, eio_sid: str, data: list[Any], namespace: str, id: int | None
    ) -> None:
        answer = await server._trigger_event(data[0], namespace, sid, *data[1:])
        if id is None or answer is None or answer is self.not_handled:
            return
        arguments = list(answer) if isinstance(answer, tuple) else [answer]
        await server._send_packet(
            eio_sid, self.packet_class(socketio.packet.ACK, namespace=namespace, id=id, data=arguments)
        )


def _placeholders(value: Any) -> Iterator[int]:
    """The numbers of the attachments that a decoded packet speaks of; -1 for what is no number."""
    if isinstance(value, dict):
        if value.get("_placeholder") is True:
            number = value.get("num")
            yield number if isinstance(number, int) else -1
        else:
            for part in value.values():
                yield from _placeholders(part)
    elif isinstance(value, list):
        for part in value:
            yield from _placeholders(part)


def _their_word(reason: str) -> str:
    """python-socketio's word for the reason of an ending."""
    words = {
        "client": socketio.AsyncServer.reason.TRANSPORT_CLOSE,
        "silent": socketio.AsyncServer.reason.PING_TIMEOUT,
        "server": socketio.AsyncServer.reason.SERVER_DISCONNECT,
        "malformed": socketio.AsyncServer.reason.TRANSPORT_ERROR,
    }
    return str(words.get(reason, socketio.AsyncServer.reason.TRANSPORT_CLOSE))


class _Few(logging.Filter):
    """Lets a few of the libraries' lines through: clients can provoke them."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._sparingly = Sparingly(structlog.get_logger(__name__), clock.monotonic)

    def filter(self, record: logging.LogRecord) -> bool:
        return self._sparingly.allow("library", record.msg if isinstance(record.msg, str) else "") is not None


def _library_log(clock: Clock) -> logging.Logger:
    logger = logging.getLogger("paceline.sockets.protocol")
    # Their INFO is a line per packet, payload included.
    logger.setLevel(logging.WARNING)
    logger.filters = [_Few(clock)]
    return logger
