"""What the Admin UI sees and moves: the sockets of each namespace of this node, and the four things that may be done to them.

Two kinds of namespace answer to the same five questions. `/live` is the hub's: connections, channels, frames of the wire
catalogue. Every other one is the Socket.IO library's own. Both know this node only; the UI connects to several servers.

What is done to `/live` keeps its promises: a connection that is removed hears `bye` first, an event is one of the catalogue with
its shape, and nobody can be put into a channel but that of a room which is open here. The channel of an account is its owner's
alone, an operator's token does not change that.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any, Final, Protocol

import msgspec
import socketio  # type: ignore[import-untyped]

from gateway.http.ports import SocketsWindow
from realtime.codec import event_frame
from realtime.connection import Connection
from realtime.disconnect import REMOVED
from realtime.node import Node
from realtime.wire import BY_NAME, NAMESPACE
from services.kernel.clock import Clock, utc
from services.kernel.problems import BadShape, NotFound, UnknownEvent

ROOM_CHANNELS: Final = "room:"


@dataclass(frozen=True, slots=True)
class SocketSeen:
    """One socket: `id` within its namespace, `client` the connection below it, `since_ms` its opening (wall clock), `rooms` what
    it hears, `account` whose it is, where that is known."""

    id: str
    client: str
    namespace: str
    transport: str
    address: str
    since_ms: int
    rooms: tuple[str, ...]
    account: str | None = None

    def told(self) -> dict[str, Any]:
        """As the Admin UI wants it. Headers and queries of people's devices are not kept, so there are none to show."""
        return {
            "id": self.id,
            "clientId": self.client,
            "transport": self.transport,
            "nsp": self.namespace,
            "data": {} if self.account is None else {"account": self.account},
            "handshake": {
                "address": self.address,
                "headers": {},
                "query": {},
                "issued": self.since_ms,
                "secure": False,
                "time": utc(self.since_ms).isoformat(),
                "url": "",
                "xdomain": False,
            },
            "rooms": list(self.rooms),
        }


class Namespace(Protocol):
    """One namespace, as an operator sees it. `filter` is the id of a socket or the name of a room, None everybody."""

    def count(self) -> int: ...
    def seen(self, limit: int) -> Iterator[SocketSeen]: ...
    async def disconnect(self, filter: str | None, *, whole_line: bool) -> int: ...
    async def join(self, room: str, filter: str | None) -> int: ...
    async def leave(self, room: str, filter: str | None) -> int: ...
    async def emit(self, filter: str | None, event: str, arguments: tuple[object, ...]) -> int: ...


class LiveNamespace:
    """`/live`: the connections of this node's hub."""

    def __init__(self, node: Node, window: SocketsWindow, clock: Clock) -> None:
        self._node: Final = node
        self._window: Final = window
        self._clock: Final = clock

    def count(self) -> int:
        return len(self._node.hub)

    def seen(self, limit: int) -> Iterator[SocketSeen]:
        """At most `limit` of them, those that have been open longest."""
        now, wall_ms = self._clock.monotonic(), self._clock.wall_ms()
        for line in self._window.lines(limit, "age"):
            connection = self._node.hub.get(line.id)
            if connection is None:
                continue  # not authenticated, or gone within this turn
            yield SocketSeen(
                id=connection.id,
                client=connection.id,
                namespace=NAMESPACE,
                transport=line.transport,
                address=connection.peer,
                since_ms=wall_ms - round((now - connection.opened_at) * 1_000),
                rooms=tuple(sorted(connection.channels)),
                account=str(connection.caller.account_id),
            )

    async def disconnect(self, filter: str | None, *, whole_line: bool) -> int:
        """They hear `bye`. There is one namespace for people, so the line goes with it either way."""
        members = self._those(filter)
        for connection in members:
            connection.end(REMOVED)
        return len(members)

    async def join(self, room: str, filter: str | None) -> int:
        """Raises NotFound for anything but a room that is open here."""
        if not room.startswith(ROOM_CHANNELS) or not self._node.count(room):
            raise NotFound(f"no room with the channel {room[:80]!r} is open on this node")
        members = self._those(filter)
        for connection in members:
            self._node.join(connection, room)
        return len(members)

    async def leave(self, room: str, filter: str | None) -> int:
        """Raises NotFound for anything but a room's channel."""
        if not room.startswith(ROOM_CHANNELS):
            raise NotFound(f"{room[:80]!r} is not the channel of a room")
        members = [connection for connection in self._those(filter) if room in connection.channels]
        for connection in members:
            self._node.leave(connection, room)
        return len(members)

    async def emit(self, filter: str | None, event: str, arguments: tuple[object, ...]) -> int:
        """Raises UnknownEvent and BadShape."""
        row = BY_NAME.get(event)
        if row is None or row.delivery is None or event == "bye":
            raise UnknownEvent(f"{event[:80]!r} is not an event that a server sends on {NAMESPACE}; see /asyncapi.json")
        if len(arguments) != 1:
            raise BadShape(f"{event} carries one object")
        try:
            frame = event_frame(event, msgspec.convert(arguments[0], row.shape))
        except (msgspec.ValidationError, ValueError) as fault:
            raise BadShape(str(fault)) from fault
        members = self._those(filter)
        for connection in members:
            connection.push(frame)
        return len(members)

    def _those(self, filter: str | None) -> Collection[Connection]:
        if filter is None:
            return tuple(self._node.hub.connections())
        one = self._node.hub.get(filter)
        return self._node.members(filter) if one is None else (one,)


class LibraryNamespace:
    """A namespace that the Socket.IO library keeps by itself, this one of the operators among them."""

    def __init__(self, server: socketio.AsyncServer, name: str, since_ms: dict[str, int]) -> None:
        """`since_ms` when each socket connected, as far as somebody wrote it down."""
        self._server: Final = server
        self._name: Final = name
        self._since_ms: Final = since_ms

    def count(self) -> int:
        return len(self._those(None))

    def seen(self, limit: int) -> Iterator[SocketSeen]:
        for sid, client in self._those(None)[:limit]:
            environ = self._server.get_environ(sid, namespace=self._name) or {}
            yield SocketSeen(
                id=sid,
                client=client,
                namespace=self._name,
                transport=self._server.transport(sid, namespace=self._name),
                address=str(environ.get("REMOTE_ADDR", "")),
                since_ms=self._since_ms.get(sid, 0),
                rooms=tuple(sorted(self._server.rooms(sid, namespace=self._name))),
            )

    async def disconnect(self, filter: str | None, *, whole_line: bool) -> int:
        """`whole_line` takes the client's other namespaces with it."""
        members = self._those(filter)
        for sid, client in members:
            await self._server.disconnect(sid, namespace=self._name)
            if whole_line:
                await self._server.eio.disconnect(client)
        return len(members)

    async def join(self, room: str, filter: str | None) -> int:
        members = self._those(filter)
        for sid, _ in members:
            await self._server.enter_room(sid, room, namespace=self._name)
        return len(members)

    async def leave(self, room: str, filter: str | None) -> int:
        members = self._those(filter)
        for sid, _ in members:
            await self._server.leave_room(sid, room, namespace=self._name)
        return len(members)

    async def emit(self, filter: str | None, event: str, arguments: tuple[object, ...]) -> int:
        members = self._those(filter)
        await self._server.emit(event, arguments, room=filter, namespace=self._name)
        return len(members)

    def _those(self, filter: str | None) -> list[tuple[str, str]]:
        """(socket, client) of a room, of one socket (which is a room of its own), or of all."""
        manager = self._server.manager
        if self._name not in manager.rooms or filter not in manager.rooms[self._name]:
            return []
        return list(manager.get_participants(self._name, filter))
