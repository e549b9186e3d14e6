"""The door in front of the web server: it looks at the first request of each TCP connection, and lets WebSockets
straight in.

A gateway's connections are nearly all the same request: a WebSocket handshake at our path, without an id. aiohttp would
make a parser, a request, a task and a response for it, send it through the router and the middlewares, and have its
transport taken away (takeover.py): about a fifth of what a connect costs with its token check. The door reads this one
request itself and hands every other connection, with the bytes that have come, to aiohttp as if it had not been there.

It is strict to the point of being simple: what is not exactly the plain form of that one request, a repeated or folded
header, an escape in the query, a body, a version or an option we would refuse, is aiohttp's. So there is one place that
finds fault, and one meaning of every request. Who is to come again later (admission.py) hears it here: in a storm, that is
most of them, and saying no must be cheap.

It also watches the clock until the head of the first request is whole, or too long for it, which aiohttp does not: a
connection that says nothing, or dribbles, is cut. And it closes what comes when descriptors are about to run out. What it hands
on is watched for answers that nobody reads (unread.py).
"""

import asyncio
import math
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, cast

from gateway.proxies import FORWARDED_FOR
from gateway.sockets.engine.opening import offers_deflate, refused, switching, upgrade_key
from gateway.sockets.engine.unread import Unread, tune
from gateway.sockets.engine.websocket import WebSocketLine

if TYPE_CHECKING:
    from gateway.sockets.engine.server import Engine

HEAD_S: Final = 10.0
"""How long the first request of a connection may take to arrive."""
HEAD_BYTES: Final = 8 * 1024
"""Longer first requests are aiohttp's to refuse."""

_NAME: Final = re.compile(r"[A-Za-z-]+").fullmatch
_VALUE: Final = re.compile(r"[\x20-\x7e]*").fullmatch
"""Two patterns of one class of signs each: together with the spaces around a value, one pattern would try every way to share them
out, which for 8 KB of spaces takes an hour."""
_WEBSOCKET: Final = "transport=websocket"
_FORWARDED_FOR: Final = FORWARDED_FOR.title()
_KNOWN_QUERY: Final = re.compile(r"(?:(?:EIO=4|transport=websocket|t=[\w.-]*)(?:&|\Z))+\Z", re.ASCII)


class Door(asyncio.Protocol):
    """One TCP connection until its first request is whole. `otherwise` makes the protocol for what is not ours."""

    __slots__ = ("_engine", "_head", "_otherwise", "_transport", "wheel_due")

    def __init__(self, engine: "Engine", otherwise: Callable[[], asyncio.BaseProtocol]) -> None:
        self._engine: Final = engine
        self._otherwise: Final = otherwise
        self._head = b""
        self._transport: asyncio.Transport | None = None
        self.wheel_due = math.inf

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Somebody is there."""
        # Not asked with isinstance: uvloop's transports are no subclasses.
        self._transport = cast(asyncio.Transport, transport)
        if self._engine.admission.crowded(descriptor_of(transport)):
            self._engine.cut["descriptors"] += 1
            self._transport.abort()
            return
        tune(transport)
        self._engine.doors.put(self, self._engine.clock.monotonic() + HEAD_S)

    def data_received(self, data: bytes) -> None:
        """Some of the request; all of it, nearly always."""
        transport = self._transport
        if transport is None:
            return
        head = self._head + data if self._head else data
        end = head.find(b"\r\n\r\n")
        if end < 0 and len(head) <= HEAD_BYTES:
            self._head = head
            return
        self._transport = None
        self._engine.doors.drop(self)
        asked = _read(head, end, self._engine.path) if 0 <= end <= HEAD_BYTES else None
        if asked is None or not self._answer(transport, asked, head[end + 4 :]):
            protocol = self._otherwise()
            watched_by: Callable[[Unread], None] | None = getattr(protocol, "watched_by", None)
            if watched_by is not None:
                watched_by(Unread(self._engine, transport))
            transport.set_protocol(protocol)
            protocol.connection_made(transport)
            cast(asyncio.Protocol, protocol).data_received(head)

    def connection_lost(self, exc: Exception | None) -> None:
        """They went away before they had asked for anything."""
        self._transport = None
        self._engine.doors.drop(self)

    def overdue(self) -> None:
        """Cut a connection that has not asked for anything in time."""
        if self._transport is not None:
            self._engine.cut["no_request"] += 1
            self._transport.abort()

    def _answer(self, transport: asyncio.Transport, asked: dict[str, str], rest: bytes) -> bool:
        """Let a handshake in or send it away; False when that is not ours to say."""
        engine = self._engine
        if "websocket" not in engine.transports or engine.keeps_environ:
            return False
        key = upgrade_key("GET", asked)
        if key is None or not engine.may_connect(asked.get("Origin"), {"HTTP_HOST": asked["Host"]}):
            return False
        address = engine.admission.proxies.client(_peer_of(transport), (asked.get(_FORWARDED_FOR, ""),))
        reason = engine.why_not(address, descriptor_of(transport))
        if reason is not None:
            transport.write(refused(reason.status, reason.message, reason.retry_after_s()))
            transport.close()
            return True
        link, opened = engine.open(address, None, upgrades=False)
        deflate = engine.compression and offers_deflate(asked.get("Sec-Websocket-Extensions", ""))
        line = WebSocketLine(engine, link, deflate=deflate)
        transport.set_protocol(line.as_protocol())
        line.take(transport, switching(key, deflate=deflate), opened)
        if rest:
            line.data_received(rest)
        return True


def descriptor_of(transport: asyncio.BaseTransport | None) -> int:
    """The number of a connection's descriptor, -1 when it has none."""
    line = None if transport is None else transport.get_extra_info("socket")
    return -1 if line is None else int(line.fileno())


def _peer_of(transport: asyncio.Transport) -> str:
    peer = transport.get_extra_info("peername")
    return str(peer[0]) if peer else ""


def _read(head: bytes, end: int, path: str) -> dict[str, str] | None:
    """The headers of a plain handshake at our path, by their names; None for any other request."""
    request, *lines = head[:end].decode("latin-1").split("\r\n")
    method, _, rest = request.partition(" ")
    target, _, version = rest.partition(" ")
    at, _, query = target.partition("?")
    if (method, at, version) != ("GET", path, "HTTP/1.1") or not _KNOWN_QUERY.match(query) or _WEBSOCKET not in query:
        return None
    if query.count("EIO=4") != 1 or query.count("transport=") != 1:
        return None
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        name, value = name.title(), value.strip(" \t")
        if not colon or not _NAME(name) or not _VALUE(value) or name in headers:
            return None
        headers[name] = value
    if "Content-Length" in headers or "Transfer-Encoding" in headers or "Host" not in headers:
        return None
    # The names as upgrade_key asks for them.
    headers["Sec-WebSocket-Key"] = headers.get("Sec-Websocket-Key", "")
    headers["Sec-WebSocket-Version"] = headers.get("Sec-Websocket-Version", "")
    return headers
