"""The Engine.IO server: everything that is held once for all links.

The table of links, the timer wheel and the loop turn live here; `run` is the only loop. Requests come in through the
entrance (entrance.py), plain WebSocket handshakes through the door before it (door.py); both ask admission.py who may.

`socketio.AsyncServer` makes an engine through an overridable method and asks of it what stands under "what Socket.IO
asks". It is not a subclass of python-engineio's server: nothing of that would be used.
"""

import asyncio
import math
import re
import secrets
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Final

import structlog
from aiohttp import web

from gateway.proxies import TrustedProxies
from gateway.sockets.engine import drain, heartbeat
from gateway.sockets.engine.admission import (
    HANDSHAKES_PER_SECOND,
    MAX_LINKS,
    MAX_UNAUTHENTICATED,
    RESERVED_DESCRIPTORS,
    Admission,
    Reason,
)
from gateway.sockets.engine.door import Door
from gateway.sockets.engine.entrance import Entrance
from gateway.sockets.engine.link import Link
from gateway.sockets.engine.packets import open_packet
from gateway.sockets.engine.ring import Ring, open_ring
from gateway.sockets.engine.unread import Unread
from gateway.sockets.engine.wheel import TimerWheel
from realtime.disconnect import DRAINING, Disconnect
from realtime.limits import BURST_S, EVENTS_PER_SECOND
from realtime.sparingly import Sparingly
from realtime.turn import Turn
from services.kernel.clock import Clock

log = structlog.get_logger(__name__)

RTT_KEPT: Final = 512

OriginRule = Callable[[str | None, dict[str, Any]], bool]
Handle = Callable[[Link, bytearray, float], Awaitable[None] | None]
HandleBinary = Callable[[Link, bytearray], Awaitable[None] | None]

_TRANSPORTS: Final = ("polling", "websocket")
_TAG: Final = re.compile(r"[a-z0-9]{0,16}")


class Inlet:
    """Where the packets go that WebSockets read. Who has a shorter way for some of them inherits from it."""

    __slots__ = ()

    def receive(self, link: Link, packet: bytearray, now: float) -> None:
        """One Engine.IO packet of text, known to be UTF-8, that was read at `now`."""
        link.receive(packet, now)


class Engine:
    """See the module. `clock` tells the time of every deadline; `turn` is shared with the hub whose connections write
    here.

    Set by whoever uses it, all synchronous: `on_open(link)`; `handle(link, packet, now)` for a message of text, the
    leading `4` included, that was read at `now`, and `handle_binary(link, data)`, which may return an awaitable when
    they really have to wait; `on_close(link, reason)`. Messages of one link are handled one after another, whatever
    they wait for. `inlet` is where a WebSocket's packets go.
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
        max_links: int = MAX_LINKS,
        max_unauthenticated: int = MAX_UNAUTHENTICATED,
        handshakes_per_second: float = HANDSHAKES_PER_SECOND,
        max_per_address: int = 0,
        trusted_proxies: TrustedProxies | None = None,
        reserved_descriptors: int = RESERVED_DESCRIPTORS,
        tag: str = "",
        events_per_second: float = EVENTS_PER_SECOND,
        ring: bool = True,
    ) -> None:
        """Seconds for both ping values, bytes for the largest message; `auth_deadline_s`: how long a link may stay
        without being admitted or connected; `binary`: whether binary messages are let in; `compression`: whether
        permessage-deflate is agreed to when a client offers it; `keep_environ`: whether a link remembers its
        request as python-socketio's handlers get it; `tag`: small letters and digits that every link's id begins with,
        a dot behind them, for proxies that find the process by the id; `ring`: whether many lines are written to with one
        system call, where the machine has that. For the other bounds see `Admission`. Raises `ValueError` for values that
        cannot work."""
        if ping_interval <= 0 or ping_timeout <= 0:
            raise ValueError("ping_interval and ping_timeout are seconds above 0")
        if unknown := sorted(set(transports) - set(_TRANSPORTS)):
            raise ValueError(f"transports are polling and websocket, not {', '.join(unknown)}")
        if not transports:
            raise ValueError("at least one transport is needed")
        if not _TAG.fullmatch(tag):
            raise ValueError(f"a tag is up to 16 small letters and digits, not {tag!r}")
        self.clock: Final = clock
        self.monotonic: Final = clock.monotonic
        self.turn: Final = Turn() if turn is None else turn
        self.ping_interval_s: Final = ping_interval
        self.ping_timeout_s: Final = ping_timeout
        self.max_payload: Final = max_http_buffer_size
        self.transports: Final = frozenset(transports)
        self.auth_deadline_s: Final = auth_deadline_s
        self.events_per_second: Final = events_per_second
        self.events_burst: Final = events_per_second * BURST_S
        self.binary: Final = binary
        self.compression: Final = compression
        self.tick_s: Final = min(0.25, max(0.01, min(ping_interval, ping_timeout, auth_deadline_s) / 10))
        self.wheel: Final = TimerWheel[Link](clock.monotonic(), self.tick_s)
        self.links: Final[dict[str, Link]] = {}
        self.admission: Final = Admission(
            clock.monotonic,
            max_links=max_links,
            max_unauthenticated=max_unauthenticated,
            handshakes_per_second=handshakes_per_second,
            per_address=max_per_address,
            proxies=trusted_proxies,
            reserved_descriptors=reserved_descriptors,
        )
        self.on_open: Callable[[Link], None] = _nothing
        self.on_close: Callable[[Link, str], None] = _nothing
        self.inlet = Inlet()
        self.handle: Handle = self._handle
        self.handle_binary: HandleBinary = self._handle_binary
        self.on_message: Callable[[Link, bytes, bool], None] = _nothing
        # -- since start
        self.malformed = 0
        self.frames_in = 0
        self.bytes_in = 0
        self.pings = 0
        self.cut: Counter[str] = Counter()
        self.closed: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.rtt_count = 0
        self.rtt_total_s = 0.0
        self.rtt_recent: Final[deque[float]] = deque(maxlen=RTT_KEPT)
        # What clients can provoke, also our own faults, must not fill a disk.
        self.log: Final = Sparingly(log, clock.monotonic)
        self.may_connect: Final = _origin_rule(cors_allowed_origins)
        self.keeps_environ: Final = keep_environ
        self.path = ""
        self._wants_ring: Final = ring
        self._ring: Ring | None = None
        self.doors: Final = TimerWheel[Door](clock.monotonic(), 1.0)
        self.unread: Final = TimerWheel[Unread](clock.monotonic(), 1.0)
        self.unauthenticated = 0
        self._entrance: Final = Entrance(self)
        both, only = (["websocket"] if "websocket" in transports else []), list[str]()
        self._opening: Final = self._opening_packet(both)
        self._opening_websocket: Final = self._opening_packet(only)
        self._before_id: Final = f"{tag}." if tag else ""
        self._tasks: set[asyncio.Task[None]] = set()
        self._handlers: dict[str, Callable[..., Awaitable[Any]]] = {}
        self._kept_for_socketio: dict[str, dict[str, Any]] = {}

    # -- life -----------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Look at the deadlines of all links as they come due, until cancelled. For so long there is a ring, where there can be."""
        if self._wants_ring and self.turn.bulk is None:
            self.turn.bulk = self._ring = open_ring()
        try:
            await self._watch()
        finally:
            self._close_ring()

    def _close_ring(self) -> None:
        # The turn keeps it, and it sends nothing more: lines that are still open are known by their slots in it.
        ring, self._ring = self._ring, None
        if ring is not None:
            ring.close()

    async def _watch(self) -> None:
        while True:
            await self.clock.sleep(self.tick_s)
            now = self.clock.monotonic()
            for door in self.doors.advance(now):
                door.overdue()
            for unread in self.unread.advance(now):
                unread.overdue()
            for link in self.wheel.advance(now):
                try:
                    heartbeat.check(link, now)
                except Exception:
                    # One link's trouble must not leave all the others unwatched.
                    self.log.exception("engine.check_failed", link=link.name)

    def refuse(self) -> None:
        """Let nobody in any more."""
        self.admission.draining = True

    async def drain(self, *, limit_s: float = drain.DRAIN_S, ending: Disconnect = DRAINING) -> None:
        """Refuse newcomers and close what is open, in waves (drain.py); all is over after `limit_s`.

        Closes lines, does not send DISCONNECT: clients come back.
        """
        self.refuse()
        await drain.drain(self, ending, limit_s)

    async def hurry(self, *, ending: Disconnect = DRAINING) -> None:
        """Close what is still open at once."""
        self.refuse()
        await drain.hurry(self, ending)

    def cut_all(self, why: str) -> None:
        """Cut every line that is still there."""
        for link in tuple(self.links.values()):
            if link.on_websocket:
                self.cut[why] += 1
            link.abort()

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

    # -- links -------------------------------------------------------------------------------------------------

    def link_of(self, sid: str) -> Link | None:
        """The link of this id, None when it is gone."""
        found = self.links.get(sid)
        return None if found is None or found.closed else found

    def gone(self, link: Link, reason: str) -> None:
        """A link is over; its line may still be closing."""
        self.closed[reason] += 1
        self._kept_for_socketio.pop(link.sid, None)
        self.on_close(link, reason)

    def forget(self, link: Link) -> None:
        """Nothing of a link is left."""
        if self.links.pop(link.sid, None) is not None:
            self.wheel.drop(link)
            self.admission.left(link.peer)

    def note_rtt(self, seconds: float) -> None:
        """A ping was answered."""
        self.rtt_count += 1
        self.rtt_total_s += seconds
        self.rtt_recent.append(seconds)

    def why_not(self, address: str, descriptor: int) -> Reason | None:
        """Why this newcomer is not let in right now, which is counted; None counts it as one that is."""
        reason = self.admission.why_not(
            address, descriptor, links=len(self.links), unauthenticated=self.unauthenticated
        )
        if reason is not None:
            self.refused[reason.word] += 1
        return reason

    def open(self, peer: str, environ: dict[str, Any] | None, *, upgrades: bool) -> tuple[Link, bytes]:
        """A new link, and the packet that tells its client of it. `upgrades`: whether a WebSocket may take it over."""
        link = Link(self, self._before_id + secrets.token_urlsafe(15), peer)
        link.environ = environ
        self.links[link.sid] = link
        self.admission.entered(peer)
        self.unauthenticated += 1
        link.look_at(link.opened_at + min(self.ping_interval_s, self.auth_deadline_s))
        self.on_open(link)
        head = self._opening if upgrades else self._opening_websocket
        return link, head[0] + link.sid.encode() + head[1]

    def _opening_packet(self, upgrades: list[str]) -> tuple[bytes, bytes]:
        """The packet in two pieces, what stands before and behind the link's id."""
        interval, timeout = round(self.ping_interval_s * 1000), round(self.ping_timeout_s * 1000)
        before, _, behind = open_packet("#", upgrades, interval, timeout, self.max_payload).partition(b"#")
        return before, behind

    def _handle(self, link: Link, packet: bytearray, now: float) -> Awaitable[None] | None:
        self.on_message(link, bytes(packet[1:]), False)
        return None

    def _handle_binary(self, link: Link, data: bytearray) -> Awaitable[None] | None:
        self.on_message(link, bytes(data), True)
        return None

    # -- requests -------------------------------------------------------------------------------------------------

    def attach(self, app: web.Application, path: str = "engine.io") -> None:
        """Serve at /path/ of `app`."""
        self.path = f"/{path.strip('/')}/"
        app.router.add_route("*", self.path, self.handle_request)

    async def handle_request(self, request: web.Request) -> web.StreamResponse:
        """Every request of the protocol comes through here, but for those that the door has let in."""
        return await self._entrance.handle(request)

    def behind_door(self, otherwise: Callable[[], asyncio.BaseProtocol]) -> Callable[[], asyncio.BaseProtocol]:
        """The protocol factory of a server whose connections come through the door (door.py)."""
        return lambda: Door(self, otherwise)

    # -- what Socket.IO asks --------------------------------------------------------------------------------------

    def on(self, event: str, handler: Callable[..., Awaitable[Any]]) -> None:
        """Socket.IO names its three handlers; they are called by gateway/sockets/semantics.py, not from here."""
        self._handlers[event] = handler

    async def send(self, sid: str, data: str | bytes) -> None:
        """Send a message to a link; to one that is gone, nothing."""
        link = self.link_of(sid)
        if link is None:
            return
        if isinstance(data, str):
            link.send(data.encode())
        else:
            link.send(data, binary=True)

    async def send_packet(self, sid: str, packet: Any) -> None:
        """Send a message that was made once for many."""
        await self.send(sid, packet.data)

    async def disconnect(self, sid: str) -> None:
        """Close a link."""
        link = self.link_of(sid)
        if link is not None:
            link.close("server")

    async def get_session(self, sid: str) -> dict[str, Any]:
        """What python-socketio's `get_session` keeps for a link. Raises `KeyError` when it is gone."""
        if self.link_of(sid) is None:
            raise KeyError("Session not found")
        return self._kept_for_socketio.setdefault(sid, {})

    async def save_session(self, sid: str, session: dict[str, Any]) -> None:
        """See `get_session`."""
        if self.link_of(sid) is None:
            raise KeyError("Session not found")
        self._kept_for_socketio[sid] = session

    def transport(self, sid: str) -> str:
        """`polling` or `websocket`. Raises `KeyError` when it is gone."""
        link = self.link_of(sid)
        if link is None:
            raise KeyError("Session not found")
        return "websocket" if link.on_websocket else "polling"

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
