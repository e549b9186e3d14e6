"""A scripted gateway: real HTTP and real WebSockets, and a test that decides what they say.

`on_socket` is called for every WebSocket with a `Peer`; `on_call` for every HTTP request.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from aiohttp import WSMsgType, web
from aiohttp.test_utils import TestServer


class Peer:
    """The server's end of one WebSocket."""

    def __init__(self, ws: web.WebSocketResponse, number: int) -> None:
        self.ws = ws
        self.number = number

    async def say(self, frame: str) -> None:
        await self.ws.send_str(frame)

    async def hear(self) -> str:
        """The next frame; raises ConnectionError when the client is gone."""
        message = await self.ws.receive()
        if message.type is not WSMsgType.TEXT:
            raise ConnectionError
        text: str = message.data
        return text

    async def event(self, name: str, payload: Any) -> None:
        await self.say(f'42/live,["{name}",{msgspec.json.encode(payload).decode()}]')

    async def hello(self, *, ping_ms: int = 25_000, wait_ms: int = 20_000) -> str:
        """Open Engine.IO; the token the client came with."""
        await self.say(
            f'0{{"sid":"s","upgrades":[],"pingInterval":{ping_ms},"pingTimeout":{wait_ms},"maxPayload":1000000}}'
        )
        token: str = msgspec.json.decode((await self.hear()).removeprefix("40/live,"))["token"]
        return token

    async def let_in(self, *, ping_ms: int = 25_000, wait_ms: int = 20_000) -> str:
        """Open Engine.IO and the namespace; the token the client came with."""
        token = await self.hello(ping_ms=ping_ms, wait_ms=wait_ms)
        await self.say('40/live,{"sid":"x"}')
        return token

    async def refuse(self, code: str, *, retry: bool = False) -> None:
        """Open Engine.IO, refuse the namespace."""
        await self.hello()
        problem = {"code": code, "message": f"no: {code}", "retry": retry}
        await self.say("44/live," + msgspec.json.encode({"message": code, "data": problem}).decode())

    async def stay(self) -> None:
        """Until the client leaves."""
        while (await self.ws.receive()).type is WSMsgType.TEXT:
            pass


class ScriptedGateway:
    """What a test sets before it connects."""

    def __init__(self) -> None:
        self.on_socket: Callable[[Peer], Awaitable[None]] | None = None
        self.on_call: Callable[[str, str, Any], tuple[int, Any]] | None = None
        self.sockets = 0
        self.calls: list[tuple[str, str]] = []
        self.base_url = ""

    async def _socket(self, request: web.Request) -> web.WebSocketResponse:
        ws = web.WebSocketResponse(compress=False)
        await ws.prepare(request)
        self.sockets += 1
        assert self.on_socket is not None
        try:
            await self.on_socket(Peer(ws, self.sockets))
        except ConnectionError:
            return ws
        await ws.close()
        return ws

    async def _call(self, request: web.Request) -> web.Response:
        data = await request.read()
        self.calls.append((request.method, request.path))
        assert self.on_call is not None
        status, body = self.on_call(request.method, request.path, msgspec.json.decode(data) if data else None)
        return web.Response(status=status, body=msgspec.json.encode(body), content_type="application/json")


@asynccontextmanager
async def open_gateway() -> AsyncIterator[ScriptedGateway]:
    """A gateway that listens."""
    gateway = ScriptedGateway()
    app = web.Application()
    app.router.add_get("/socket.io/", gateway._socket)
    app.router.add_route("*", "/{path:.*}", gateway._call)
    server = TestServer(app, shutdown_timeout=0.1)
    await server.start_server()
    gateway.base_url = str(server.make_url("")).rstrip("/")
    try:
        yield gateway
    finally:
        await asyncio.shield(server.close())
