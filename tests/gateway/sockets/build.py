"""A real Socket.IO server on a real port, and a client that speaks the protocol byte for byte.

The handlers are small and say what came in: `board.get` answers at once, `stream.samples` keeps its acknowledgement until
the test gives it, `room.join` waits for the test.
"""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Self

import aiohttp
from aiohttp import web
from aiohttp.typedefs import Middleware

from gateway.http.server import GatewayRunner
from gateway.sockets.dispatch import Handler, Handlers, Reply
from gateway.sockets.engine.link import Link
from gateway.sockets.handshake import Identify
from gateway.sockets.server import LiveServer, attach
from realtime import wire
from realtime.broker import InMemoryBroker
from realtime.connection import Connection
from realtime.hub import Hub
from realtime.node import Node
from realtime.turn import Turn
from services.kernel.caller import Caller
from services.kernel.clock import Clock, ManualClock
from services.kernel.ids import AccountId, ClassId, LoginId
from services.kernel.problems import NotInRoom, TokenExpired

ROOM = ClassId(uuid.UUID(int=77))
WAIT_S = 60.0


def identify(token: str) -> Caller:
    """Tokens of these tests are the account's number."""
    if not token.isdigit():
        raise TokenExpired
    number = uuid.UUID(int=int(token))
    return Caller(AccountId(number), LoginId(number), f"Athlete {token}", frozenset({"member", "coach"}), 0)


@dataclass
class Calls:
    """What the handlers have seen."""

    seen: list[object] = field(default_factory=list)
    withheld: list[Reply] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    opened: list[Connection] = field(default_factory=list)
    greet: Callable[[Connection], None] | None = None
    closed: list[tuple[str, str]] = field(default_factory=list)
    renew: Handler | None = None

    def handlers(self) -> Handlers:
        def board_get(_: Connection, message: wire.RoomRef, reply: Reply) -> None:
            self.seen.append(message)
            if message.class_id != ROOM:
                raise NotInRoom
            reply.ok(wire.BoardSnapshot(ROOM, "e", 1, 0, (), ()))

        def samples(_: Connection, message: wire.SampleBatch, reply: Reply) -> None:
            self.seen.append(message)
            self.withheld.append(reply)

        async def join(_: Connection, message: wire.RoomJoin, reply: Reply) -> None:
            await self.gate.wait()
            self.seen.append(message)
            reply.ok(
                wire.RoomJoined(
                    room=wire.ClassView(ROOM, "ABCD", "Spin", "Kim", "live", 0),
                    board=wire.BoardSnapshot(ROOM, "e", 1, 0, (), ()),
                    recovered=False,
                )
            )

        def leave(_: Connection, message: wire.RoomRef, _reply: Reply) -> None:
            self.seen.append(message)
            raise ZeroDivisionError("our own fault")

        def finish(_: Connection, message: wire.StreamFinish, reply: Reply) -> None:
            reply.ok(wire.Done())  # the wrong shape: a fault of ours

        def anything(_: Connection, message: object, _reply: Reply) -> None:
            self.seen.append(message)

        return {
            "board.get": board_get,
            "stream.samples": samples,
            "room.join": join,
            "room.leave": leave,
            "stream.finish": finish,
            "sensor.frame": anything,
            "stream.open": anything,
            "cue.send": anything,
            "cue.seen": anything,
            "chat.send": anything,
            "chat.history": anything,
            "display.set": anything,
            "chat.mute": anything,
            "chat.unmute": anything,
            "chat.remove": anything,
            "chat.report": anything,
            "reaction.send": anything,
            "trainer.set": anything,
            "class.create": anything,
            "class.end": anything,
            "class.control": anything,
            "class.ready": anything,
            "coach.appoint": anything,
            "ranking.set": anything,
            "board.filter": anything,
            "member.remove": anything,
            "member.let_in": anything,
            "timeline.get": anything,
            "clock.sync": anything,
            "token.renew": anything if self.renew is None else self.renew,
            "challenge.watch": anything,
            "challenge.unwatch": anything,
            "replay.open": anything,
            "replay.pace": anything,
            "replay.seek": anything,
            "replay.close": anything,
            "task.cancel": anything,
            "inbox.read": anything,
            "safety.cancel": anything,
            "safety.acknowledge": anything,
        }

    def on_open(self, connection: Connection) -> None:
        self.opened.append(connection)
        if self.greet is not None:
            self.greet(connection)

    def on_close(self, connection: Connection, reason: str) -> None:
        self.closed.append((connection.id, reason))


@dataclass
class Gateway:
    """A running gateway with nothing but sockets."""

    server: LiveServer
    node: Node
    calls: Calls
    clock: Clock
    address: str
    requests: Callable[[], int]
    """How many requests aiohttp has seen."""
    lines: Callable[[], list[Any]]
    """The connections that are aiohttp's."""

    async def wait_until(self, condition: Callable[[], bool]) -> None:
        """Let the loop run until something is true; on a manual clock no time passes. Raises `TimeoutError`."""
        async with asyncio.timeout(WAIT_S):
            while not condition():
                await asyncio.sleep(0.002)

    async def pass_time(self, seconds: float) -> None:
        """Let so much time pass on the gateway's manual clock, with the network keeping up second by second."""
        assert isinstance(self.clock, ManualClock)
        end = self.clock.monotonic() + seconds
        while (left := end - self.clock.monotonic()) > 0:
            await self.clock.advance(min(left, 1.0))
            for _ in range(50):
                await asyncio.sleep(0)

    def connection(self) -> Connection:
        """The one connection there is."""
        (one,) = self.node.hub.connections()
        return one

    def link(self) -> Link:
        """The one link there is."""
        (one,) = self.server.eio.links.values()
        return one


@asynccontextmanager
async def open_gateway(
    clock: Clock | None = None,
    *,
    turn: Turn | None = None,
    door: bool = True,
    node: Node | None = None,
    identify: Identify = identify,
    renew: Handler | None = None,
    layers: Sequence[Middleware] = (),
    **options: Any,
) -> AsyncIterator[Gateway]:
    """A gateway on a port of its own; on a manual clock unless another is given, and on a node of its own unless one is given
    that runs already."""
    clock = clock or ManualClock()
    loops: list[asyncio.Task[None]] = []
    if node is None:
        node = Node("one", Hub(turn), InMemoryBroker(), clock)
        loops.append(asyncio.create_task(node.run()))
    calls = Calls(renew=renew)
    app = web.Application(middlewares=layers)
    server = attach(
        app,
        node=node,
        clock=clock,
        identify=identify,
        handlers=calls.handlers(),
        on_open=calls.on_open,
        on_close=calls.on_close,
        **options,
    )
    runner = GatewayRunner(app, server.eio.behind_door if door else None, shutdown_timeout=1.0)
    await runner.setup()
    http = runner._server
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    loops.append(asyncio.create_task(server.run()))
    await asyncio.sleep(0)  # the loops have begun: tests count tasks
    await asyncio.sleep(0)
    try:
        yield Gateway(
            server,
            node,
            calls,
            clock,
            f"http://{host}:{port}",
            lambda: http.requests_count if http else 0,
            lambda: http.connections if http else [],
        )
    finally:
        server.eio.cut_all("test")
        for loop in loops:
            loop.cancel()
        async with asyncio.timeout(WAIT_S):
            await asyncio.gather(*loops, return_exceptions=True)
            await server.close()
            await runner.cleanup()


class Client:
    """Socket.IO over one WebSocket, spoken by hand."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self._next_id = 0

    async def connect(self, token: str = "1") -> Self:
        """CONNECT to the namespace; the answer is asserted to be a welcome."""
        await self.text("40/live," + json.dumps({"token": token}))
        answer = await self.packet()
        assert answer.startswith('40/live,{"sid":'), answer
        return self

    async def text(self, packet: str) -> None:
        async with asyncio.timeout(WAIT_S):
            await self.socket.send_str(packet)

    async def event(self, name: str, payload: object, *, acknowledged: bool = True) -> int | None:
        """Send an event; the id of its acknowledgement, if there will be one."""
        ack_id = None
        if acknowledged:
            ack_id, self._next_id = self._next_id, self._next_id + 1
        await self.text(f"42/live,{'' if ack_id is None else ack_id}{json.dumps([name, payload])}")
        return ack_id

    async def call(self, name: str, payload: object) -> dict[str, Any]:
        """Send an event and wait for its acknowledgement, which must be the next message."""
        ack_id = await self.event(name, payload)
        return await self.ack(ack_id)

    async def call_after(self, before: str, name: str, payload: object) -> dict[str, Any]:
        """The same, where an event `before` comes first."""
        ack_id = await self.event(name, payload)
        assert (await self.received())[0] == before
        return await self.ack(ack_id)

    async def ack(self, ack_id: int | None) -> dict[str, Any]:
        packet = await self.packet()
        head = f"43/live,{ack_id}["
        assert packet.startswith(head), packet
        (answer,) = json.loads(packet[len(head) - 1 :])
        assert isinstance(answer, dict)
        return answer

    async def received(self) -> tuple[str, dict[str, Any]]:
        """The next event: name and payload."""
        packet = await self.packet()
        assert packet.startswith("42/live,["), packet
        name, payload, *_ = json.loads(packet.removeprefix("42/live,"))
        return name, payload

    async def packet(self) -> str:
        """The next message, pings answered on the way."""
        while True:
            message = await self.socket.receive(timeout=WAIT_S)
            assert message.type is aiohttp.WSMsgType.TEXT, message
            if message.data != "2":
                return str(message.data)
            await self.text("3")

    async def closed(self) -> int | None:
        """Read until the server closes; the close code."""
        async with asyncio.timeout(WAIT_S):
            async for _ in self.socket:
                pass
        return self.socket.close_code


@asynccontextmanager
async def open_client(gateway: Gateway, **headers: str) -> AsyncIterator[Client]:
    """A client with an open Engine.IO connection, not yet authenticated."""
    url = f"{gateway.address}/socket.io/?EIO=4&transport=websocket"
    async with aiohttp.ClientSession() as http:
        async with asyncio.timeout(WAIT_S):
            socket = await http.ws_connect(url, compress=15, headers=headers)
        async with socket:
            client = Client(socket)
            opened = await client.packet()
            assert opened.startswith('0{"sid":'), opened
            yield client
