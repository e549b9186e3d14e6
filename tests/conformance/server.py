"""The servers under test, on a port of their own, with the timing that the protocol documents use in their examples.

`open_echo` is Engine.IO alone and sends back every message. `open_chat` is Socket.IO with the namespaces / and /custom: it
emits `auth` with what came in CONNECT (or refuses, when that says so), answers `message` with `message-back`, and
acknowledges `message-with-ack` with its arguments; the other handlers are there for acknowledgements in both directions
and for rooms.

Time stands still on them until `Running.pass_time`: no test is in a hurry because of a ping. The pings are announced as they
would be, so a client that counts for itself needs servers with longer ones.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import socketio  # type: ignore[import-untyped]
from aiohttp import web

from gateway.sockets.engine.server import Engine
from gateway.sockets.semantics import SocketServer
from services.kernel.clock import Clock, ManualClock

PING_INTERVAL_S: Final = 0.3
PING_TIMEOUT_S: Final = 0.2
CONNECT_TIMEOUT_S: Final = 1.0
MAX_PAYLOAD: Final = 1_000_000
LATE_S: Final = 0.05
"""How late a ping may come: the server looks at its deadlines every so often. A client's deadline does not move with it."""
WAIT_S: Final = 5.0
"""What no test needs: something hangs."""


@dataclass(frozen=True)
class Running:
    """A server that answers at `url` (path included, no query). `server` is the Socket.IO server, None on the echo."""

    url: str
    clock: Clock
    engine: Engine
    server: SocketServer | None = None

    async def settle(self) -> None:
        """Let everything that is on its way on the loopback arrive and be handled; no time passes."""
        for _ in range(100):
            await asyncio.sleep(0)

    async def pass_time(self, seconds: float) -> None:
        """Let so much time pass on the server, 50 ms at a time (long times in twenty steps), with the network keeping up."""
        assert isinstance(self.clock, ManualClock)
        await self.settle()
        step = max(0.05, seconds / 20)
        end = self.clock.monotonic() + seconds
        while (left := end - self.clock.monotonic()) > 1e-9:
            await self.clock.advance(min(left, step))
            await self.settle()

    async def wait_until(self, condition: Callable[[], bool]) -> None:
        """Let the loop run until something is true. Raises `TimeoutError`."""
        async with asyncio.timeout(WAIT_S):
            while not condition():
                await asyncio.sleep(0.002)


@asynccontextmanager
async def open_echo(clock: Clock | None = None, **options: Any) -> AsyncIterator[Running]:
    """Engine.IO at /engine.io/. `options` go to the engine."""
    clock = clock or ManualClock()
    engine = Engine(
        clock=clock,
        **{
            "ping_interval": PING_INTERVAL_S,
            "ping_timeout": PING_TIMEOUT_S,
            "max_http_buffer_size": MAX_PAYLOAD,
            "cors_allowed_origins": "*",
            "auth_deadline_s": 3600.0,  # nobody authenticates on an echo
            "binary": True,
            **options,
        },
    )
    engine.on_message = lambda link, data, binary: link.send(data, binary=binary)
    app = web.Application()
    engine.attach(app, "engine.io")
    async with _serving(app) as address:
        running = Running(f"{address}/engine.io/", clock, engine)
        async with _living(engine, engine.run()):
            yield running


@asynccontextmanager
async def open_chat(clock: Clock | None = None, **options: Any) -> AsyncIterator[Running]:
    """Socket.IO at /socket.io/. `options` go to the server."""
    clock = clock or ManualClock()
    server = SocketServer(
        clock=clock,
        **{
            "ping_interval": PING_INTERVAL_S,
            "ping_timeout": PING_TIMEOUT_S,
            "max_http_buffer_size": MAX_PAYLOAD,
            "cors_allowed_origins": "*",
            "connect_timeout": CONNECT_TIMEOUT_S,
            "binary": True,
            "always_connect": True,  # python-socketio's word for: `auth` comes after the answer to CONNECT
            **options,
        },
    )
    for namespace in ("/", "/custom"):
        _converse(server, namespace)
    app = web.Application()
    server.attach(app)
    async with _serving(app) as address:
        running = Running(f"{address}/socket.io/", clock, server.eio, server)
        async with _living(server.eio, server.run()):
            yield running


@asynccontextmanager
async def _serving(app: web.Application) -> AsyncIterator[str]:
    runner = web.AppRunner(app, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}"
    finally:
        async with asyncio.timeout(WAIT_S):
            await runner.cleanup()


@asynccontextmanager
async def _living(engine: Engine, run: Any) -> AsyncIterator[None]:
    loop = asyncio.create_task(run, name="engine")
    await asyncio.sleep(0)
    try:
        yield
    finally:
        for link in tuple(engine.links.values()):
            link.abort()
        died = loop.done()
        loop.cancel()
        endings = await asyncio.gather(loop, return_exceptions=True)
        assert not died, f"the engine's loop ended by itself: {endings}"


def _converse(server: SocketServer, namespace: str) -> None:
    """The handlers of one namespace."""

    async def connect(sid: str, _environ: object, auth: object) -> None:
        if isinstance(auth, dict) and "refuse" in auth:
            raise socketio.exceptions.ConnectionRefusedError(*auth["refuse"])
        await server.emit("auth", auth or {}, to=sid, namespace=namespace)

    async def message(sid: str, *arguments: object) -> None:
        await server.emit("message-back", arguments, to=sid, namespace=namespace)

    async def message_with_ack(_sid: str, *arguments: object) -> tuple[object, ...]:
        return arguments

    async def say_nothing(_sid: str, *_arguments: object) -> None:
        """Withholds its acknowledgement."""

    async def ask(sid: str) -> None:
        async def answered(*arguments: object) -> None:
            await server.emit("answered", arguments, to=sid, namespace=namespace)

        await server.emit("question", "ready?", to=sid, namespace=namespace, callback=answered)

    async def enter(sid: str, room: str) -> tuple[()]:
        await server.enter_room(sid, room, namespace=namespace)
        return ()

    async def leave(sid: str, room: str) -> tuple[()]:
        await server.leave_room(sid, room, namespace=namespace)
        return ()

    async def tell(sid: str, room: str, what: object) -> tuple[()]:
        await server.emit("told", what, room=room, skip_sid=sid, namespace=namespace)
        return ()

    async def throw_me_out(sid: str) -> None:
        await server.disconnect(sid, namespace=namespace)

    for name, handler in {
        "connect": connect,
        "message": message,
        "message-with-ack": message_with_ack,
        "say-nothing": say_nothing,
        "ask": ask,
        "enter": enter,
        "leave": leave,
        "tell": tell,
        "throw-me-out": throw_me_out,
    }.items():
        server.on(name, handler, namespace=namespace)
