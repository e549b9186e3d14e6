"""The HTTP side of Engine.IO: every request of the protocol, with the statuses and bodies that it wants.

Handshakes, polls, posts and WebSockets, also those that take a polling link over. What is refused is refused with a
number and a sentence (`{"code": 5, "message": "Unsupported protocol version: …"}`): the numbers are those of the
reference server.
"""

import asyncio
from typing import TYPE_CHECKING, Any, Final

from aiohttp import HttpVersion11, web

from gateway.proxies import FORWARDED_FOR
from gateway.sockets.engine import heartbeat, polling
from gateway.sockets.engine.door import descriptor_of
from gateway.sockets.engine.link import Link
from gateway.sockets.engine.opening import offers_deflate, switching, upgrade_key
from gateway.sockets.engine.takeover import Taken, take_over
from gateway.sockets.engine.unread import tune
from gateway.sockets.engine.websocket import WebSocketLine

if TYPE_CHECKING:
    from gateway.sockets.engine.server import Engine

BODY_S: Final = 10.0
"""How long the body of a request may take to arrive."""

_REASONS: Final = {
    0: "Transport unknown",
    1: "Session ID unknown",
    2: "Bad handshake method",
    3: "Bad request",
    4: "Forbidden",
    5: "Unsupported protocol version",
}
_SPEAKS: Final = "this server speaks Engine.IO 4: use a Socket.IO client of version 3 or 4"


class Entrance:
    """See the module. Belongs to one engine."""

    def __init__(self, engine: "Engine") -> None:
        self._engine: Final = engine

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one request."""
        origin = request.headers.get("Origin")
        if not self._engine.may_connect(origin, {"HTTP_HOST": request.host}):
            return self._refuse(4, "pages of this origin may not connect")
        response = await self._answer(request)
        if origin is not None and not isinstance(response, Taken):
            response.headers["Access-Control-Allow-Origin"] = origin
            # Some clients say that they send cookies. Nothing here reads any, but a browser wants to hear that they may.
            response.headers["Access-Control-Allow-Credentials"] = "true"
            response.headers["Vary"] = "Origin"
        return response

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        if request.method == "OPTIONS":
            return web.Response(status=204, headers=_preflight(request))
        if request.method not in ("GET", "POST"):
            return self._refuse(2)
        query = request.query
        transport = query.get("transport", "")
        if transport not in self._engine.transports:
            return self._refuse(0)
        if query.get("EIO") != "4":
            return self._refuse(5, _SPEAKS if query.get("EIO") else f"EIO is missing; {_SPEAKS}")
        if "j" in query:
            return self._refuse(3, "JSONP is not supported")
        key = upgrade_key(request.method, request.headers)
        if (key is not None) != (transport == "websocket"):
            return self._refuse(3, "transport=websocket is for WebSocket requests, and they for it")
        if key is not None and request.version < HttpVersion11:
            return self._refuse(3, "a WebSocket needs HTTP/1.1")
        sid = query.get("sid")
        if sid is None:
            return self._handshake(request, key)
        link = self._engine.links.get(sid)
        if link is None:
            return self._refuse(1)
        if key is not None:
            return self._probe(request, link, key)
        if link.line is not None or link.closed:
            return self._refuse(3 if link.line is not None else 1)
        if request.method == "GET":
            heartbeat.check_answer(link, self._engine.clock.monotonic())
            polled = await polling.poll(link, request)
            return polled if polled is not None else self._refuse(1)
        return await self._post(request, link)

    def _handshake(self, request: web.Request, key: bytes | None) -> web.StreamResponse:
        if request.method != "GET":
            return self._refuse(2)
        engine = self._engine
        address = engine.admission.proxies.client(request.remote or "", request.headers.getall(FORWARDED_FOR, ()))
        reason = engine.why_not(address, descriptor_of(request.transport))
        if reason is not None:
            headers = {"Retry-After": str(reason.retry_after_s())}
            response = web.Response(status=reason.status, headers=headers, text=reason.message)
            response.force_close()
            return response
        environ = _environ(request, address) if engine.keeps_environ else None
        link, opened = engine.open(address, environ, upgrades=key is None)
        if key is None:
            return polling.opening(opened)
        line = WebSocketLine(engine, link, deflate=self._agrees_to_deflate(request))
        rest = _take(request, line, key, opened)
        if line.closing:
            link.close("transport")  # it went away while its request was read
        else:
            line.data_received(rest)
        return Taken()

    def _probe(self, request: web.Request, link: Link, key: bytes) -> web.StreamResponse:
        line = WebSocketLine(self._engine, link, probing=True, deflate=self._agrees_to_deflate(request))
        rest = _take(request, line, key, b"")
        if line.closing:
            return Taken()  # it went away while its request was read
        if link.line is not None or link.probe is not None or link.closed:
            # The protocol wants it accepted and closed: to a refusal its client has no answer.
            line.dismiss(1000, "")
        else:
            link.probed_by(line)
        line.data_received(rest)
        return Taken()

    async def _post(self, request: web.Request, link: Link) -> web.StreamResponse:
        length = request.content_length if request.body_exists else 0
        if length is None:
            return self._refuse(3, "long-polling needs a Content-Length", status=411)
        if length > self._engine.max_payload:
            link.malformed()
            return self._refuse(3, f"at most {self._engine.max_payload} bytes in one request", status=413)
        try:
            async with asyncio.timeout(BODY_S):
                body = await request.content.readexactly(length) if length else b""
        except TimeoutError:
            return self._refuse(3, f"the body did not arrive within {BODY_S:g} s", status=408)
        except (asyncio.IncompleteReadError, ConnectionError):
            return self._refuse(3, "the body ended early")
        answer = await polling.post(link, body)
        return answer if answer is not None else self._refuse(3, "the body is no payload of packets")

    def _refuse(self, code: int, message: str = "", *, status: int = 400) -> web.Response:
        self._engine.refused[_REASONS[code].lower().replace(" ", "_")] += 1
        body = {"code": code, "message": _REASONS[code] + (f": {message}" if message else "")}
        return web.json_response(body, status=status)

    def _agrees_to_deflate(self, request: web.Request) -> bool:
        if not self._engine.compression:
            return False
        return offers_deflate(",".join(request.headers.getall("Sec-WebSocket-Extensions", [])))


def _take(request: web.Request, line: WebSocketLine, key: bytes, opened: bytes) -> bytes:
    """Let the line carry on where the request ends; what had come in behind it, which is to be handled before anything else."""
    taken = take_over(request, line.as_protocol())
    if taken is None:
        line.connection_lost(None)
        return b""
    transport, rest = taken
    tune(transport)  # it may not have come through the door
    line.take(transport, switching(key, deflate=line.deflate), opened)
    return rest


def _preflight(request: web.Request) -> dict[str, str]:
    """What a browser asks before it sends what is not a plain form. No cookie and no header means anything here: all may come."""
    wanted = request.headers.get("Access-Control-Request-Headers", "content-type")
    return {
        "Access-Control-Allow-Methods": "GET, POST",
        "Access-Control-Allow-Headers": wanted,
        "Access-Control-Max-Age": "600",
    }


def _environ(request: web.Request, address: str) -> dict[str, Any]:
    """The request as python-socketio hands it to handlers: what WSGI calls an environ."""
    environ: dict[str, Any] = {
        "REQUEST_METHOD": request.method,
        "PATH_INFO": request.path,
        "QUERY_STRING": request.query_string,
        "REMOTE_ADDR": address,
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.url_scheme": request.scheme,
    }
    for name, value in request.headers.items():
        environ["HTTP_" + name.upper().replace("-", "_")] = value
    return environ
