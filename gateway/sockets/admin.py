"""The namespace `/admin`: the server side of the official Socket.IO Admin UI, behind the admin token.

The contract is that of the npm package `@socket.io/admin-ui` 0.5. A browser connects with `{username: "admin", password: <token>}`
or later with the `sessionId` it got (a pass, see gateway/admin_token.py); any other client may send `{token: …}`. It hears

    session       the pass to come back with
    config        what it may do: the UI shows no button for anything else
    server_stats  every two seconds: clients by transport, sockets by namespace, and what happened since the last time
    all_sockets, socket_connected, socket_updated, socket_disconnected, room_joined, room_left
                  only on the levels `sockets` and `control`

and on the level `control` it may send `emit`, `join`, `leave` and `_disconnect`.

None of it touches the path of an event. The figures are differences of counters that the engine keeps anyway; the news of
sockets are differences between two looks, every two seconds, at no more than `MOST_SOCKETS` of them, and only while somebody
watches. That is also why `event_received` and `event_sent` are not told: they would put a hook, and people's heart rates, into a
dashboard for the sake of a list that scrolls by.
"""

import asyncio
import os
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import msgspec
import socketio  # type: ignore[import-untyped]
import structlog
from socketio.exceptions import ConnectionRefusedError as Refused  # type: ignore[import-untyped]

from gateway.admin_token import AdminToken
from gateway.http.ports import SocketsWindow
from gateway.sockets.admin_sockets import LibraryNamespace, LiveNamespace, Namespace, SocketSeen
from gateway.sockets.statistics import SocketsStatistics
from realtime.node import Node
from realtime.sparingly import Sparingly
from realtime.wire import NAMESPACE as LIVE
from services.kernel.clock import Clock, utc
from services.kernel.problems import BadShape, NotFound, Problem

ADMIN: Final = "/admin"
EVERY_S: Final = 2.0
"""The beat of the official server side; the UI calls a server silent for ten seconds unhealthy."""
MOST_SOCKETS: Final = 1_000
"""Sockets that are told one by one. The UI keeps them in lists that it searches from the front."""

Level = Literal["counts", "sockets", "control"]
"""counts: figures only (the UI's production mode); sockets: each socket as well; control: and what may be done to them."""

_WATCH: Final = ("AGGREGATED_EVENTS",)
_ALL: Final = ("ALL_EVENTS",)
_DO: Final = ("EMIT", "JOIN", "LEAVE", "DISCONNECT", "MJOIN", "MLEAVE", "MDISCONNECT")
FEATURES: Final[Mapping[Level, tuple[str, ...]]] = {
    "counts": _WATCH,
    "sockets": _WATCH + _ALL,
    "control": _DO + _WATCH + _ALL,
}

log = structlog.get_logger(__name__)


class _Login(msgspec.Struct, frozen=True):
    """The auth payload of CONNECT. Other fields are ignored."""

    username: str = ""
    password: str = ""
    token: str = ""
    last_pass: str | None = msgspec.field(default=None, name="sessionId")


@dataclass(frozen=True, slots=True)
class _Counted:
    """What is counted since start, of which the UI wants what came since the last time."""

    opened: int
    closed: dict[str, int]
    packets_in: int
    packets_out: int
    bytes_out: int
    bytes_in: int

    @staticmethod
    def of(seen: SocketsStatistics) -> "_Counted":
        return _Counted(
            seen.links + sum(seen.closed.values()),
            dict(seen.closed),
            seen.frames_in,
            seen.frames,
            seen.bytes_out,
            seen.bytes_in,
        )

    def since(self, before: "_Counted", second_ms: int) -> list[dict[str, Any]]:
        """What happened between the two, in the UI's words."""
        amounts: list[tuple[str, str | None, int]] = [
            ("rawConnection", None, self.opened - before.opened),
            ("packetsIn", None, self.packets_in - before.packets_in),
            ("packetsOut", None, self.packets_out - before.packets_out),
            ("bytesOut", None, self.bytes_out - before.bytes_out),
            ("bytesIn", None, self.bytes_in - before.bytes_in),
            *(("rawDisconnection", why, count - before.closed.get(why, 0)) for why, count in self.closed.items()),
        ]
        return [
            {"timestamp": second_ms, "type": kind, "count": count} | ({"subType": why} if why else {})
            for kind, why, count in amounts
            if count > 0
        ]


class AdminUi:
    """Puts the namespace on a Socket.IO server. `run` tells whoever is connected; nothing is done while nobody is."""

    def __init__(
        self,
        server: socketio.AsyncServer,
        *,
        node: Node,
        window: SocketsWindow,
        clock: Clock,
        token: AdminToken,
        level: Level = "counts",
    ) -> None:
        self._server: Final = server
        self._node: Final = node
        self._window: Final = window
        self._clock: Final = clock
        self._token: Final = token
        self._level: Final = level
        self._live: Final = LiveNamespace(node, window, clock)
        self._began: Final = clock.monotonic()
        self._admins: dict[str, int] = {}
        self._watching: set[str] = set()
        self._counted: _Counted | None = None
        self._shown: dict[tuple[str, str], SocketSeen] = {}
        self._welcomes: set[asyncio.Task[None]] = set()
        # Whoever guesses may do so without filling the log.
        self._log: Final = Sparingly(log, clock.monotonic)
        server.on("connect", self._connected, namespace=ADMIN)
        server.on("disconnect", self._disconnected, namespace=ADMIN)
        if level == "control":
            for event, handler in self._orders().items():
                server.on(event, handler, namespace=ADMIN)

    async def run(self) -> None:
        """Tell everybody who watches, every two seconds, until cancelled."""
        try:
            while True:
                await self._clock.sleep(EVERY_S)
                await self._beat()
        finally:
            for welcome in tuple(self._welcomes):
                welcome.cancel()

    async def _beat(self) -> None:
        if not self._admins:
            self._counted = None
            self._shown = {}
            return
        try:
            await self._tell("server_stats", self._figures())
            if self._level != "counts":
                await self._tell_changes()
        except Exception:
            # A dashboard must not end the loop that the next look at it needs.
            log.exception("admin.tell_failed")

    # -- who watches ----------------------------------------------------------------------------------------------

    async def _connected(self, sid: str, environ: Mapping[str, Any], auth: object) -> None:
        login = _login_of(auth)
        known = login is not None and self._admits(login)
        if login is None or not known:
            self._log.warning("admin.refused", peer=environ.get("REMOTE_ADDR", ""))
            # The UI knows this sentence and shows its form again.
            raise Refused("invalid credentials")
        log.info("admin.connected", peer=environ.get("REMOTE_ADDR", ""), level=self._level)
        self._admins[sid] = self._clock.wall_ms()
        # The client must have read that it is connected before it hears anything else: a task begins after this handler,
        # and with it the answer to CONNECT, is through.
        new_pass = None if login.last_pass and self._token.admits_pass(login.last_pass) else self._token.new_pass()
        welcome = asyncio.create_task(self._welcome(sid, new_pass), name=f"admin.welcome {sid}")
        self._welcomes.add(welcome)
        welcome.add_done_callback(self._welcomes.discard)

    async def _disconnected(self, sid: str, _reason: str) -> None:
        self._admins.pop(sid, None)
        self._watching.discard(sid)

    def _admits(self, login: _Login) -> bool:
        if login.last_pass and self._token.admits_pass(login.last_pass):
            return True
        if login.token:
            return self._token.admits(login.token)
        return login.username == "admin" and self._token.admits(login.password)

    async def _welcome(self, sid: str, new_pass: str | None) -> None:
        if new_pass is not None:
            await self._tell("session", new_pass, to=sid)
        await self._tell("config", {"supportedFeatures": list(FEATURES[self._level])}, to=sid)
        # Its own beat would come in two seconds; a page that is empty so long looks broken.
        await self._tell("server_stats", self._figures(news=False), to=sid)
        if self._level != "counts":
            await self._tell_changes()
            await self._tell("all_sockets", [one.told() for one in self._shown.values()], to=sid)
            if sid in self._admins:
                self._watching.add(sid)

    # -- what is told ---------------------------------------------------------------------------------------------

    def _figures(self, *, news: bool = True) -> dict[str, Any]:
        """`news`: with what happened since the last time. Those are for everybody at once, so a newcomer gets none; the first
        one's arrival is where the counting begins."""
        seen = self._window.statistics()
        counted = _Counted.of(seen)
        before = self._counted or counted
        happened = counted.since(before, self._clock.wall_ms() // 1_000 * 1_000) if news else []
        self._counted = counted if news else before
        return {
            "serverId": self._node.id,
            "hostname": socket.gethostname(),
            "pid": os.getpid(),
            "uptime": self._clock.monotonic() - self._began,
            "clientsCount": seen.links,
            "pollingClientsCount": seen.polling,
            "aggregatedEvents": happened,
            "namespaces": [{"name": name, "socketsCount": one.count()} for name, one in self._namespaces().items()],
        }

    async def _tell_changes(self) -> None:
        """The differences between what was told last and what is now, to everybody who has heard all before."""
        at = utc(self._clock.wall_ms()).isoformat()
        now = {(one.namespace, one.id): one for one in self._sockets()}
        before, self._shown = self._shown, now
        for key in before.keys() - now.keys():
            await self._news("socket_disconnected", *key, "gone", at)
        for key, one in now.items():
            known = before.get(key)
            if known is None:
                await self._news("socket_connected", one.told(), at)
                continue
            if known.transport != one.transport:
                told = {"id": one.id, "nsp": one.namespace, "transport": one.transport}
                await self._news("socket_updated", told)
            for room in set(one.rooms) - set(known.rooms):
                await self._news("room_joined", one.namespace, room, one.id, at)
            for room in set(known.rooms) - set(one.rooms):
                await self._news("room_left", one.namespace, room, one.id, at)

    def _sockets(self) -> list[SocketSeen]:
        return [one for namespace in self._namespaces().values() for one in namespace.seen(MOST_SOCKETS)]

    def _namespaces(self) -> dict[str, Namespace]:
        others = sorted(set(self._server.manager.get_namespaces()) - {LIVE})
        return {LIVE: self._live} | {name: LibraryNamespace(self._server, name, self._admins) for name in others}

    async def _news(self, event: str, *arguments: object) -> None:
        """To those who have heard of all sockets: to others it would mean nothing, or come first."""
        for sid in tuple(self._watching):
            await self._tell(event, *arguments, to=sid)

    async def _tell(self, event: str, *arguments: object, to: str | None = None) -> None:
        await self._server.emit(event, arguments, to=to, namespace=ADMIN)

    # -- what may be done -----------------------------------------------------------------------------------------

    def _orders(self) -> dict[str, Callable[..., Any]]:
        async def emit(sid: str, namespace: object = None, filter: object = None, *event: object) -> object:
            return await self._done(sid, "emit", namespace, lambda one: _emit(one, filter, event))

        async def join(sid: str, namespace: object = None, room: object = None, filter: object = None) -> object:
            return await self._done(sid, "join", namespace, lambda one: one.join(_text(room), _filter(filter)))

        async def leave(sid: str, namespace: object = None, room: object = None, filter: object = None) -> object:
            return await self._done(sid, "leave", namespace, lambda one: one.leave(_text(room), _filter(filter)))

        async def disconnect(
            sid: str, namespace: object = None, close: object = False, filter: object = None
        ) -> object:
            def order(one: Namespace) -> Any:
                if (whom := _filter(filter)) is None:
                    raise BadShape("say which socket or room; to be rid of all, stop the node")
                return one.disconnect(whom, whole_line=close is True)

            return await self._done(sid, "_disconnect", namespace, order)

        return {"emit": emit, "join": join, "leave": leave, "_disconnect": disconnect}

    async def _done(self, sid: str, order: str, namespace: object, do: Callable[[Namespace], Any]) -> object:
        """Carry out an order and acknowledge it; the UI asks for none, a script may. The log keeps who did what."""
        try:
            one = self._namespaces().get(_text(namespace))
            if one is None:
                raise NotFound(f"there is no namespace {str(namespace)[:80]!r} here")
            sockets: int = await do(one)
        except Problem as problem:
            log.warning("admin.order_refused", order=order, admin=sid, problem=problem.code, why=problem.message)
            return {"problem": msgspec.to_builtins(problem.view())}
        log.info("admin.order", order=order, admin=sid, namespace=namespace, sockets=sockets)
        return {"ok": {"sockets": sockets}}


def _login_of(auth: object) -> _Login | None:
    try:
        return msgspec.convert(auth, _Login)
    except msgspec.ValidationError:
        return None


def _emit(one: Namespace, filter: object, event: tuple[object, ...]) -> Any:
    if not event:
        raise BadShape("say which event")
    return one.emit(_filter(filter), _text(event[0]), event[1:])


def _text(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise BadShape("a name is a text with something in it")
    return value


def _filter(value: object) -> str | None:
    """A socket or a room; the UI sends nothing, null or the empty text for everybody."""
    return _text(value) if value not in (None, "") else None
