"""The live namespace: from the bytes of a message to the dispatcher, in one call.

`/live` is where all the traffic is, so it does not go through python-socketio's general path. A message is told apart
by its first bytes; an event goes straight from them to the dispatcher, without a generic decode in between, in the
order it came, in the call that read it. CONNECT and DISCONNECT of this namespace are answered here too: a connection
is an entry in the hub, and nothing of it is kept a second time in the library. Everything else a link may say is
checked and passed on to gateway/sockets/semantics.py.

Nothing here emits: frames are pushed through connections, hub and node (see realtime/).

    server = attach(app, node=…, clock=…, identify=…, handlers=…, on_open=…, on_close=…)
    async with asyncio.TaskGroup() as group:
        group.create_task(server.run())
    …
    await server.drain()      # before the web server stops
    await server.close()
"""

import heapq
import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, Literal

import msgspec
import structlog
from aiohttp import web

from gateway.origins import nobodys, origin_rule
from gateway.sockets.dispatch import Dispatcher, Handlers
from gateway.sockets.engine.drain import DRAIN_S
from gateway.sockets.engine.link import Link
from gateway.sockets.engine.server import Inlet
from gateway.sockets.handshake import Ask, ConnectAuth, Handshake, Identify, MustAsk, OnClose, OnOpen, Redeem, Require
from gateway.sockets.semantics import SocketServer
from gateway.sockets.statistics import LineView, Measured, Order, SocketsStatistics
from realtime.disconnect import DRAINING, Disconnect
from realtime.limits import ACCOUNT_FACTOR, EVENTS_PER_SECOND, AccountAllowances
from realtime.node import Node
from realtime.wire import MAX_PAYLOAD_BYTES, NAMESPACE
from rooms.comebacks import Comeback, Comebacks
from services.kernel.caller import Caller
from services.kernel.clock import Clock
from services.kernel.problems import InternalFault, NotFound, Problem

log = structlog.get_logger(__name__)

PATH: Final = "socket.io"
AUTH_DEADLINE_S: Final = 5.0
"""From the opening of a socket to a CONNECT that is accepted."""

_LIVE: Final = NAMESPACE.encode()
_EVENT: Final = b"42" + _LIVE + b","
_ACK: Final = b"43" + _LIVE + b","
_NUMBERED: Final = re.compile(_EVENT + rb"(\d{0,15})(?=\[)").match
"""An event, up to its array. An acknowledgement's number of more digits cannot be counted exactly by the clients that count in
doubles. One match takes half as long as looking for the array and at the digits before it."""
_CONNECT: Final = re.compile(rb"40(?:" + _LIVE + rb"(?:\?[^,]*)?(?:,|\Z))(?=\{|\Z)")
_DISCONNECT: Final = frozenset({b"41" + _LIVE + b",", b"41" + _LIVE})
_ACK_PACKET: Final = re.compile(rb"43" + _LIVE + rb",\d{1,15}\[")
_OTHER_CONNECT: Final = re.compile(rb"40(?:(/[^,\[{?]{0,79})(?:\?[^,]*)?(?:,|\Z))?(?=\{|\Z)")


class LiveInlet(Inlet):
    """An event that nothing stands in the way of, which is what nearly everything is, goes to the dispatcher from here: one call
    less, and no look at what it could be otherwise. All else goes by the link."""

    __slots__ = ("_dispatcher",)

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher: Final = dispatcher

    def receive(self, link: Link, packet: bytearray, now: float) -> None:
        """See `Inlet`."""
        event = _NUMBERED(packet)
        connection = link.connection
        if event is None or connection is None or link.order is not None or link.ended_at is not None:
            link.receive(packet, now)
            return
        link.events_in += 1
        ack_id = event[1] or None
        del packet[: event.end()]  # moves nothing, and what is left is the array
        try:
            waiting = self._dispatcher.dispatch(connection, link.allowance, ack_id, packet, now)
        except Exception:
            link.failed()
        else:
            if waiting is not None:
                link.wait_for(waiting)


class LiveServer(SocketServer):
    """See the module. Made by `attach`."""

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
        of_apps: Callable[[str], bool] = nobodys,
        transports: Sequence[str] = ("websocket", "polling"),
        ping_interval_s: float = 25.0,
        ping_timeout_s: float = 20.0,
        auth_deadline_s: float = AUTH_DEADLINE_S,
        events_per_second: float = EVENTS_PER_SECOND,
        redeem: Redeem | None = None,
        max_per_account: int = 0,
        comebacks: Comebacks | None = None,
        ask: Ask | None = None,
        must_ask: MustAsk | None = None,
        require: Require | None = None,
        **options: Any,
    ) -> None:
        """`of_apps`: whether an origin is that of an app's page. `redeem`: who comes with a ticket, None where there are none.
        `transports`: long-polling needs one process per port, and a balancer that finds it by the link's id.
        `events_per_second`: of one connection; an account may send four times as many. `max_per_account`: connections of one
        account on this node, 0 for any number. `options`: see `Engine`."""
        self._clock = clock
        accounts = AccountAllowances(events_per_second * ACCOUNT_FACTOR)
        self.dispatcher: Final = Dispatcher(handlers, clock, accounts=accounts)
        self.handshake: Final = Handshake(
            node,
            clock,
            identify,
            on_open=on_open,
            on_close=on_close,
            redeem=redeem,
            max_per_account=max_per_account,
            comebacks=comebacks,
            ask=ask,
            must_ask=must_ask,
            require=require,
        )
        super().__init__(
            clock=clock,
            turn=node.hub.turn,
            cors_allowed_origins=origin_rule(allowed_origins, of_apps),
            max_http_buffer_size=MAX_PAYLOAD_BYTES,
            transports=list(transports),
            ping_interval=ping_interval_s,
            ping_timeout=ping_timeout_s,
            connect_timeout=auth_deadline_s,
            keep_environ=False,
            events_per_second=events_per_second,
            **options,
        )
        self.eio.inlet = LiveInlet(self.dispatcher)

    # -- life -----------------------------------------------------------------------------------------------------

    def refuse(self) -> None:
        """Let nobody in any more: no handshake and no CONNECT. Who is here stays."""
        self.handshake.draining = True
        self.eio.refuse()

    async def drain(self, *, limit_s: float = DRAIN_S, ending: Disconnect = DRAINING) -> None:
        """Refuse newcomers and close all sockets in waves, with "come back", within `limit_s`. To be called before the web
        server stops: afterwards nothing is read any more, and no WebSocket can close properly."""
        self.refuse()
        await self.eio.drain(limit_s=limit_s, ending=ending)

    async def hurry(self, *, ending: Disconnect = DRAINING) -> None:
        """Close what `drain` has left, at once; returns at once when that is nothing."""
        self.refuse()
        await self.eio.hurry(ending=ending)

    async def close(self) -> None:
        """Stop what still runs in the background."""
        await self.shutdown()

    # -- what comes in --------------------------------------------------------------------------------------------

    def _handle(self, link: Link, packet: bytearray, now: float) -> Awaitable[None] | None:
        event = _NUMBERED(packet)
        if event is None:
            return self._rarer(link, packet, now)
        connection = link.connection
        if connection is None:
            link.strike()
            return None
        ack_id = event[1] or None
        del packet[: event.end()]  # moves nothing, and what is left is the array
        return self.dispatcher.dispatch(connection, link.allowance, ack_id, packet, now)

    def _rarer(self, link: Link, packet: bytearray, now: float) -> Awaitable[None] | None:
        """Everything but an event of the live namespace."""
        if packet.startswith(_EVENT):
            self._no_event(link)
            return None
        if packet.startswith(_ACK):
            # Nobody is asked for acknowledgements; a client that sends them all the same costs an allowance, no more.
            if _ACK_PACKET.match(packet):
                link.bother()
            else:
                link.malformed()
            return None
        if (connect := _CONNECT.match(packet)) is not None:
            return self._connect(link, bytes(packet[connect.end() :]))
        if bytes(packet) in _DISCONNECT:
            self._leave(link)
            return None
        other = _OTHER_CONNECT.match(packet)
        if other is not None and (other[1] or b"/").decode() not in self.handlers:
            self._unknown_namespace(link, (other[1] or b"/").decode())
            return None
        return super()._handle(link, packet, now)

    def _no_event(self, link: Link) -> None:
        """Something between the namespace and the array that is no number, or no array at all."""
        if link.connection is None:
            link.strike()
        else:
            link.malformed()

    def _connect(self, link: Link, auth: bytes) -> Awaitable[None] | None:
        if link.connection is not None or not self.may_try(link):
            link.strike()
            return None
        try:
            payload = msgspec.json.decode(auth) if auth else None
        except (msgspec.DecodeError, RecursionError):
            link.malformed()
            return None
        try:
            told = self.handshake.told(payload)
            caller = self.handshake.who(told)
        except Problem as problem:
            self._refuse(link, NAMESPACE, problem)
            return None
        sid = self.eio.generate_id()
        if caller is None:
            return self._ask(link, sid, told)
        if self.handshake.comes_back(told):
            return self._come_back(link, sid, told, caller)
        return self._open(link, sid, told, caller)

    async def _ask(self, link: Link, sid: str, told: ConnectAuth) -> None:
        """CONNECT with a ticket, which has to be used up first, or with what was lent; what the client sends meanwhile
        waits."""
        try:
            caller = await self.handshake.ask(told, link.peer)
        except Problem as problem:
            self._refuse(link, NAMESPACE, problem)
            return
        except Exception:
            log.exception("sockets.asking_failed", peer=link.peer)
            self._refuse(link, NAMESPACE, InternalFault())
            return
        if link.closed or link.ended_at is not None:
            return
        if self.handshake.comes_back(told):
            await self._come_back(link, sid, told, caller)
        elif (rest := self._open(link, sid, told, caller)) is not None:
            await rest

    async def _come_back(self, link: Link, sid: str, told: ConnectAuth, caller: Caller) -> None:
        """CONNECT of a client that has been here before; what it sends meanwhile waits."""
        try:
            comeback = await self.handshake.recall(sid, told, caller)
        except Problem as problem:
            self._refuse(link, NAMESPACE, problem)
            return
        except Exception:
            log.exception("sockets.comeback_failed", peer=link.peer)
            comeback = None
        if not link.closed and link.ended_at is None:
            self._open(link, sid, told, caller, comeback)

    def _open(
        self, link: Link, sid: str, told: ConnectAuth, caller: Caller, comeback: Comeback | None = None
    ) -> Awaitable[None] | None:
        try:
            connection = self.handshake.open(sid, link, told, caller, comeback)
        except Problem as problem:
            self._refuse(link, NAMESPACE, problem)
        except Exception:
            log.exception("sockets.handshake_failed", peer=link.peer)
            self._refuse(link, NAMESPACE, InternalFault())
        else:
            # What was pushed meanwhile stands in the mailbox, and the mailbox comes after this.
            pid = b',"pid":"' + connection.pid.encode() + b'"' if connection.pid else b""
            link.send(b"0" + _LIVE + b',{"sid":"' + connection.id.encode() + b'"' + pid + b"}")
            return self.handshake.rejoin(connection, told)
        return None

    def _unknown_namespace(self, link: Link, name: str) -> None:
        if not self.may_try(link):
            link.strike()
            return
        self._refuse(link, name, NotFound(f"there is no namespace {name}; connect to {NAMESPACE}"))

    def _refuse(self, link: Link, namespace: str, problem: Problem) -> None:
        self.eio.refused[problem.code] += 1
        data = msgspec.json.encode({"message": problem.message, "data": problem.view()})
        where = b"" if namespace == "/" else namespace.encode() + b","
        link.send(b"4" + where + data)

    def _leave(self, link: Link) -> None:
        connection = link.connection
        if connection is None:
            link.strike()
            return
        link.connection = None
        link.allowance.account = None  # the next to connect here may be somebody else
        self.has_left(link)
        connection.lost("client")

    # -- what there is to see -------------------------------------------------------------------------------------

    def statistics(self) -> SocketsStatistics:
        """Counters for the probes: one walk over the open lines. See also `dispatcher.statistics()`."""
        eio = self.eio
        websockets = closing = queued = unwritten = blocked = 0
        for link in eio.links.values():
            websockets += link.on_websocket
            closing += link.ended_at is not None
            queued += link.queued[0]
            unwritten += link.unwritten
            blocked += link.blocked_since is not None
        rtt = Measured(eio.rtt_count, eio.rtt_total_s * 1000, tuple(seconds * 1000 for seconds in eio.rtt_recent))
        return SocketsStatistics(
            links=len(eio.links),
            websockets=websockets,
            polling=len(eio.links) - websockets,
            unauthenticated=eio.unauthenticated,
            closing=closing,
            queued_bytes=queued,
            unwritten_bytes=unwritten,
            blocked=blocked,
            writes=eio.turn.writes,
            in_bulk=eio.turn.in_bulk,
            frames=eio.turn.frames,
            bytes_out=eio.turn.bytes_out,
            bytes_in=eio.bytes_in,
            frames_in=eio.frames_in,
            malformed=eio.malformed,
            pings=eio.pings,
            rtt_ms=rtt,
            refused=dict(eio.refused),
            cut=dict(eio.cut),
            closed=dict(eio.closed),
        )

    def lines(self, limit: int = 50, order: Order = "queued") -> list[LineView]:
        """The `limit` lines that are slowest, by `order`, slowest first."""
        now = self._clock.monotonic()
        keys = {
            "queued": lambda link: link.queued[0] + link.unwritten,
            "waiting": lambda link: link.waiting_s(now),
            "rtt": lambda link: link.rtt_s or 0.0,
            "age": lambda link: now - link.opened_at,
        }
        slowest = heapq.nlargest(max(0, limit), self.eio.links.values(), key=keys[order])
        return [_view(link, now) for link in slowest]


def _view(link: Link, now: float) -> LineView:
    connection = link.connection
    queued_bytes, queued_frames = link.queued
    state: Literal["unauthenticated", "open", "closing"] = "open"
    if link.ended_at is not None:
        state = "closing"
    elif link.waiting_since is not None:
        state = "unauthenticated"
    return LineView(
        id=link.name if connection is None else connection.id,
        account=None if connection is None else str(connection.caller.account_id),
        transport="websocket" if link.on_websocket else "polling",
        state=state,
        age_s=round(now - link.opened_at, 3),
        queued_bytes=queued_bytes,
        queued_frames=queued_frames,
        unwritten_bytes=link.unwritten,
        waiting_s=round(link.waiting_s(now), 3),
        dropped=0 if connection is None else connection.dropped,
        replaced=0 if connection is None else connection.replaced,
        rtt_ms=None if link.rtt_s is None else round(link.rtt_s * 1000, 3),
        events_in=link.events_in,
        rooms=0 if connection is None else max(0, len(connection.channels) - 1),
        peer=link.peer,
    )


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
