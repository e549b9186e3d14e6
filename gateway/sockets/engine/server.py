"""The Engine.IO server: from an HTTP request to a session, and everything that is held once for all sessions.

`handle_request` is the entry: handshakes, polls, posts and WebSockets, with the statuses and bodies of the protocol.
The table of sessions, the timer wheel and the loop turn live here; `run` is the only loop.

`socketio.AsyncServer` makes an engine through an overridable method and asks of it what stands under "what Socket.IO
asks". It is not a subclass of python-engineio's server: nothing of that would be used.
"""

import asyncio
import base64
import binascii
import hashlib
import math
import secrets
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Final

import structlog
from aiohttp import web

from gateway.sockets.engine import heartbeat, polling
from gateway.sockets.engine.frames import TEXT, server_frame
from gateway.sockets.engine.packets import open_packet
from gateway.sockets.engine.session import Session
from gateway.sockets.engine.takeover import Taken, take_over
from gateway.sockets.engine.websocket import WebSocketLine
from gateway.sockets.engine.wheel import TimerWheel
from realtime.disconnect import DRAINING
from realtime.limits import TokenBucket
from realtime.turn import Turn
from services.kernel.clock import Clock

log = structlog.get_logger(__name__)

MAX_SESSIONS: Final = 100_000
"""Sessions of one process; above it newcomers are sent away for a while. Memory, not a wish: some 7 KB each."""
HANDSHAKES_PER_SECOND: Final = 2_000.0
"""New sessions per second, on average; a second's worth may come at once. A core manages about twice that, and the
clients that are here already want some of it."""
MAX_UNAUTHENTICATED: Final = 5_000
"""Sessions that have not shown a token yet.

With the deadline, a flood of silent sockets is bounded in number and in time.
"""
RTT_KEPT: Final = 512

OriginRule = Callable[[str | None, dict[str, Any]], bool]
Handle = Callable[[Session, bytearray], Awaitable[None] | None]

_MAGIC: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_TRANSPORTS: Final = ("polling", "websocket")
_REASONS: Final = {
    0: "Transport unknown",
    1: "Session ID unknown",
    2: "Bad handshake method",
    3: "Bad request",
    4: "Forbidden",
    5: "Unsupported protocol version",
}
"""The numbers and words of the protocol for what is refused."""


class Engine:
    """See the module. `clock` tells the time of every deadline; `turn` is shared with the hub whose connections write
    here.

    Set by whoever uses it, all synchronous: `on_open(session)`; `handle(session, packet)` for a message of text, the
    leading `4` included, and `handle_binary(session, data)`, which may return an awaitable when they really have to
    wait; `on_close(session, reason)`. Messages of one session are handled one after another, whatever they wait for.
    """

    async_mode: Final = "aiohttp"

    def __init__(
        self,
        *,
        clock: Clock,
        turn: Turn | None = None,
        ping_interval: float = 25.0,
        ping_timeout: float = 20.0,
        max_http_buffer_size: int = 1_000_000,
        transports: Sequence[str] = _TRANSPORTS,
        cors_allowed_origins: OriginRule | Sequence[str] | str = (),
        auth_deadline_s: float = math.inf,
        binary: bool = False,
        compression: bool = False,
        keep_environ: bool = False,
        max_sessions: int = MAX_SESSIONS,
        max_unauthenticated: int = MAX_UNAUTHENTICATED,
        handshakes_per_second: float = HANDSHAKES_PER_SECOND,
    ) -> None:
        """Seconds for both ping values, bytes for the largest message; `auth_deadline_s`: how long a session may stay
        without being admitted or connected; `binary`: whether binary messages are let in; `compression`: whether
        permessage-deflate is agreed to when a client offers it; `keep_environ`: whether a session remembers its
        request as python-socketio's handlers get it. Raises `ValueError` for values that cannot work."""
        if ping_interval <= 0 or ping_timeout <= 0:
            raise ValueError("ping_interval and ping_timeout are seconds above 0")
        if unknown := sorted(set(transports) - set(_TRANSPORTS)):
            raise ValueError(f"transports are polling and websocket, not {', '.join(unknown)}")
        if not transports:
            raise ValueError("at least one transport is needed")
        self.clock: Final = clock
        self.turn: Final = Turn() if turn is None else turn
        self.ping_interval_s: Final = ping_interval
        self.ping_timeout_s: Final = ping_timeout
        self.max_payload: Final = max_http_buffer_size
        self.transports: Final = frozenset(transports)
        self.auth_deadline_s: Final = auth_deadline_s
        self.binary: Final = binary
        self.compression: Final = compression
        self.tick_s: Final = min(0.25, max(0.01, min(ping_interval, ping_timeout, auth_deadline_s) / 10))
        self.wheel: Final = TimerWheel[Session](clock.monotonic(), self.tick_s)
        self.sessions: Final[dict[str, Session]] = {}
        self.draining = False
        self.on_open: Callable[[Session], None] = _nothing
        self.on_close: Callable[[Session, str], None] = _nothing
        self.handle: Handle = self._handle
        self.handle_binary: Handle = self._handle_binary
        self.on_message: Callable[[Session, bytes, bool], None] = _nothing
        # -- since start
        self.malformed = 0
        self.frames_in = 0
        self.pings = 0
        self.cut: Counter[str] = Counter()
        self.closed: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.rtt_count = 0
        self.rtt_total_s = 0.0
        self.rtt_recent: Final[deque[float]] = deque(maxlen=RTT_KEPT)
        self._may_connect: Final = _origin_rule(cors_allowed_origins)
        self._keep_environ: Final = keep_environ
        self._max_sessions: Final = max_sessions
        self._max_unauthenticated: Final = max_unauthenticated
        self._unauthenticated = 0
        self._handshakes: Final = TokenBucket(handshakes_per_second, max(1.0, handshakes_per_second), clock.monotonic())
        self._tasks: set[asyncio.Task[None]] = set()
        self._handlers: dict[str, Callable[..., Awaitable[Any]]] = {}
        self._sessions_of_socketio: dict[str, dict[str, Any]] = {}

    # -- life -----------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Look at the deadlines of all sessions as they come due, until cancelled."""
        while True:
            await self.clock.sleep(self.tick_s)
            now = self.clock.monotonic()
            for session in self.wheel.advance(now):
                try:
                    heartbeat.check(session, now)
                except Exception:
                    # One session's trouble must not leave all the others unwatched.
                    log.exception("engine.check_failed", session=session.sid)

    async def drain(self, *, waves: int, pause_s: float) -> None:
        """Refuse newcomers and close what is open, in waves.

        Closes lines, does not send DISCONNECT: clients come back.
        """
        self.draining = True
        open_sessions = list(self.sessions.values())
        size = max(1, -(-len(open_sessions) // max(1, waves)))
        for start in range(0, len(open_sessions), size):
            for session in open_sessions[start : start + size]:
                session.end(DRAINING)
            await self.clock.sleep(pause_s)
        until = self.clock.monotonic() + 2.0
        while self.sessions and self.clock.monotonic() < until:
            await self.clock.sleep(0.05)
        self.cut_all("drain")

    def cut_all(self, why: str) -> None:
        """Cut every line that is still there."""
        for session in tuple(self.sessions.values()):
            if session.on_websocket:
                self.cut[why] += 1
            session.abort()

    def start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """A task that is held until it is done."""
        task = asyncio.get_running_loop().create_task(work, name="sockets.handler")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def shutdown(self) -> None:
        """Cut what is left and end the handlers that still wait."""
        self.cut_all("shutdown")
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    # -- sessions -------------------------------------------------------------------------------------------------

    def session_of(self, sid: str) -> Session | None:
        """The session of this id, None when it is gone."""
        found = self.sessions.get(sid)
        return None if found is None or found.closed else found

    def gone(self, session: Session, reason: str) -> None:
        """A session is over; its line may still be closing."""
        self.closed[reason] += 1
        self._sessions_of_socketio.pop(session.sid, None)
        self.on_close(session, reason)

    def forget(self, session: Session) -> None:
        """Nothing of a session is left."""
        if self.sessions.pop(session.sid, None) is not None:
            self.wheel.drop(session)

    def note_rtt(self, seconds: float) -> None:
        """A ping was answered."""
        self.rtt_count += 1
        self.rtt_total_s += seconds
        self.rtt_recent.append(seconds)

    def _open(self, request: web.Request) -> Session:
        session = Session(self, secrets.token_urlsafe(15), request.remote or "")
        if self._keep_environ:
            session.environ = _environ(request)
        self.sessions[session.sid] = session
        now = self.clock.monotonic()
        session.look_at(now + min(self.ping_interval_s, self.auth_deadline_s))
        return session

    def _handle(self, session: Session, packet: bytearray) -> Awaitable[None] | None:
        self.on_message(session, bytes(packet[1:]), False)
        return None

    def _handle_binary(self, session: Session, data: bytearray) -> Awaitable[None] | None:
        self.on_message(session, bytes(data), True)
        return None

    # -- requests -------------------------------------------------------------------------------------------------

    def attach(self, app: web.Application, path: str = "engine.io") -> None:
        """Serve at /path/ of `app`."""
        app.router.add_route("*", f"/{path.strip('/')}/", self.handle_request)

    async def handle_request(self, request: web.Request) -> web.StreamResponse:
        """Every request of the protocol comes through here."""
        origin = request.headers.get("Origin")
        if not self._may_connect(origin, {"HTTP_HOST": request.host}):
            return self._refuse(request, 4, "this page may not connect; see PACELINE_ALLOWED_ORIGINS", status=400)
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
            return self._refuse(request, 2)
        query = request.query
        transport = query.get("transport", "")
        if transport not in self.transports:
            return self._refuse(request, 0)
        if query.get("EIO") != "4":
            hint = "this server speaks Engine.IO 4: use a Socket.IO client of version 3 or 4"
            return self._refuse(request, 5, hint if query.get("EIO") else f"EIO is missing; {hint}")
        if "j" in query:
            return self._refuse(request, 3, "JSONP is not supported")
        upgrade = _upgrade_key(request)
        if (upgrade is not None and transport != "websocket") or (upgrade is None and transport == "websocket"):
            return self._refuse(request, 3, "transport=websocket is for WebSocket requests, and they for it")
        sid = query.get("sid")
        if sid is None:
            return self._handshake(request, upgrade)
        session = self.sessions.get(sid)
        if session is None:
            return self._refuse(request, 1)
        if upgrade is not None:
            return self._probe(request, session, upgrade)
        if session.line is not None or session.closed:
            return self._refuse(request, 3 if session.line is not None else 1)
        if request.method == "GET":
            heartbeat.check_answer(session, self.clock.monotonic())
            polled = await polling.poll(session, request)
            return polled if polled is not None else self._refuse(request, 1)
        return await self._post(request, session)

    def _handshake(self, request: web.Request, upgrade: bytes | None) -> web.StreamResponse:
        if request.method != "GET":
            return self._refuse(request, 2)
        why = self._why_not()
        if why is not None:
            self.refused[why[0]] += 1
            return web.Response(status=503, headers={"Retry-After": "2"}, text=why[1])
        session = self._open(request)
        upgrades = ["websocket"] if upgrade is None and "websocket" in self.transports else []
        opened = open_packet(
            session.sid,
            upgrades,
            round(self.ping_interval_s * 1000),
            round(self.ping_timeout_s * 1000),
            self.max_payload,
        )
        self.on_open(session)
        if upgrade is None:
            return polling.opening(opened)
        line = WebSocketLine(self, session, deflate=self._agrees_to_deflate(request))
        return self._take(request, line, upgrade, server_frame(TEXT, opened))

    def _why_not(self) -> tuple[str, str] | None:
        """Why nobody new is let in right now: a word for the counter, and a sentence."""
        if self.draining:
            return "draining", "this node is stopping"
        if len(self.sessions) >= self._max_sessions:
            return "full", "this node holds as many connections as it may"
        if not self._handshakes.take(self.clock.monotonic()):
            return "too_fast", "too many connections at once"
        return None

    def _probe(self, request: web.Request, session: Session, upgrade: bytes) -> web.StreamResponse:
        line = WebSocketLine(self, session, probing=True, deflate=self._agrees_to_deflate(request))
        response = self._take(request, line, upgrade, b"")
        if session.line is not None or session.probe is not None or session.closed:
            # The protocol wants it accepted and closed: to a refusal its client has no answer.
            line.dismiss(1000, "")
        else:
            session.probed_by(line)
        return response

    def _take(self, request: web.Request, line: WebSocketLine, upgrade: bytes, first: bytes) -> web.StreamResponse:
        taken = take_over(request, line)
        if taken is None:
            line.connection_lost(None)
            return Taken()
        extension = (
            b"Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover\r\n"
            if line.deflate
            else b""
        )
        head = (
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
            + _accept(upgrade)
            + b"\r\n"
            + extension
            + b"\r\n"
        )
        transport, rest = taken
        line.take(transport, head + first)
        if rest:
            asyncio.get_running_loop().call_soon(line.data_received, rest)
        return Taken()

    async def _post(self, request: web.Request, session: Session) -> web.StreamResponse:
        length = request.content_length if request.body_exists else 0
        if length is None:
            return self._refuse(request, 3, "long-polling needs a Content-Length", status=411)
        if length > self.max_payload:
            session.malformed()
            return self._refuse(request, 3, f"at most {self.max_payload} bytes in one request", status=413)
        try:
            body = await request.content.readexactly(length) if length else b""
        except asyncio.IncompleteReadError:
            return self._refuse(request, 3, "the body ended early")
        answer = await polling.post(session, body)
        return answer if answer is not None else self._refuse(request, 3, "the body is no payload of packets")

    def _refuse(self, request: web.Request, code: int, message: str = "", *, status: int = 400) -> web.Response:
        self.refused[_REASONS[code].lower().replace(" ", "_")] += 1
        body = {"code": code, "message": _REASONS[code] + (f": {message}" if message else "")}
        return web.json_response(body, status=status)

    def _agrees_to_deflate(self, request: web.Request) -> bool:
        if not self.compression:
            return False
        for offer in ",".join(request.headers.getall("Sec-WebSocket-Extensions", [])).split(","):
            name, *parameters = (part.strip().lower() for part in offer.split(";"))
            # A smaller window than zlib's own is the client's right to ask for, and ours not to offer.
            if name == "permessage-deflate" and not any(
                one.startswith("server_max_window_bits=") for one in parameters
            ):
                return True
        return False

    # -- what Socket.IO asks --------------------------------------------------------------------------------------

    def on(self, event: str, handler: Callable[..., Awaitable[Any]]) -> None:
        """Socket.IO names its three handlers; they are called by gateway/sockets/semantics.py, not from here."""
        self._handlers[event] = handler

    async def send(self, sid: str, data: str | bytes) -> None:
        """Send a message to a session; to one that is gone, nothing."""
        session = self.session_of(sid)
        if session is None:
            return
        if isinstance(data, str):
            session.send(data.encode())
        else:
            session.send(data, binary=True)

    async def send_packet(self, sid: str, packet: Any) -> None:
        """Send a message that was made once for many."""
        await self.send(sid, packet.data)

    async def disconnect(self, sid: str) -> None:
        """Close a session."""
        session = self.session_of(sid)
        if session is not None:
            session.close("server")

    async def get_session(self, sid: str) -> dict[str, Any]:
        """What python-socketio's `get_session` keeps for a session. Raises `KeyError` when it is gone."""
        if self.session_of(sid) is None:
            raise KeyError("Session not found")
        return self._sessions_of_socketio.setdefault(sid, {})

    async def save_session(self, sid: str, session: dict[str, Any]) -> None:
        """See `get_session`."""
        if self.session_of(sid) is None:
            raise KeyError("Session not found")
        self._sessions_of_socketio[sid] = session

    def transport(self, sid: str) -> str:
        """`polling` or `websocket`. Raises `KeyError` when it is gone."""
        session = self.session_of(sid)
        if session is None:
            raise KeyError("Session not found")
        return "websocket" if session.on_websocket else "polling"

    def generate_id(self) -> str:
        """An id that cannot be guessed."""
        return secrets.token_urlsafe(15)

    def start_background_task(self, target: Callable[..., Coroutine[Any, Any, None]], *args: Any, **kwargs: Any) -> Any:
        """A task that is held until it is done."""
        return self.start(target(*args, **kwargs))

    async def sleep(self, seconds: float = 0) -> None:
        """Wait."""
        await asyncio.sleep(seconds)

    def create_event(self, *_: Any, **__: Any) -> asyncio.Event:
        """Something that can be waited for."""
        return asyncio.Event()


def _nothing(*_: Any) -> None:
    """Nobody wants to know."""


def _origin_rule(allowed: OriginRule | Sequence[str] | str) -> OriginRule:
    if callable(allowed):
        return allowed
    names = {allowed} if isinstance(allowed, str) else set(allowed)
    return lambda origin, _: origin is None or "*" in names or origin in names


def _preflight(request: web.Request) -> dict[str, str]:
    """What a browser asks before it sends what is not a plain form. No cookie and no header means anything here: all may come."""
    wanted = request.headers.get("Access-Control-Request-Headers", "content-type")
    return {
        "Access-Control-Allow-Methods": "GET, POST",
        "Access-Control-Allow-Headers": wanted,
        "Access-Control-Max-Age": "600",
    }


def _upgrade_key(request: web.Request) -> bytes | None:
    """The key of a request that asks for a WebSocket properly; None for any other."""
    headers = request.headers
    if request.method != "GET" or headers.get("Upgrade", "").lower() != "websocket":
        return None
    if "upgrade" not in headers.get("Connection", "").lower() or headers.get("Sec-WebSocket-Version") != "13":
        return None
    key = headers.get("Sec-WebSocket-Key", "")
    try:
        return key.encode() if len(base64.b64decode(key, validate=True)) == 16 else None
    except (binascii.Error, ValueError):
        return None


def _accept(key: bytes) -> bytes:
    return base64.b64encode(hashlib.sha1(key + _MAGIC, usedforsecurity=False).digest())


def _environ(request: web.Request) -> dict[str, Any]:
    """The request as python-socketio hands it to handlers: what WSGI calls an environ."""
    environ: dict[str, Any] = {
        "REQUEST_METHOD": request.method,
        "PATH_INFO": request.path,
        "QUERY_STRING": request.query_string,
        "REMOTE_ADDR": request.remote or "",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.url_scheme": request.scheme,
    }
    for name, value in request.headers.items():
        environ["HTTP_" + name.upper().replace("-", "_")] = value
    return environ
