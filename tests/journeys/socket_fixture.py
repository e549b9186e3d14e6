"""Servers for the stories of the JavaScript clients: the product's namespace, the Socket.IO rules in general, and the bare engine.

    python -m tests.journeys.socket_fixture live|socketio|engineio

starts one and prints its two addresses as JSON: where the sockets are, and a side door on another port. The tests open them
in their own process. The side door is for what a client cannot know: `POST /handled` says how often each event was handled,
`/order` in which order, `/forget` begins anew, `/state` who is connected; `/end`, `/answer` and `/push` make the live server
say something.
"""

import asyncio
import inspect
import json
import sys
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from aiohttp import web
from socketio.exceptions import ConnectionRefusedError as Refused  # type: ignore[import-untyped]

from gateway.sockets.engine.server import Engine
from gateway.sockets.semantics import SocketServer
from realtime import disconnect, wire
from realtime.codec import event_frame
from realtime.connection import Connection
from realtime.position import NOWHERE
from services.kernel.clock import SystemClock
from tests.gateway.sockets.build import ROOM, Gateway, open_gateway

TOKEN: Final = "let me in"
NAMESPACES: Final = ("/", "/custom")
PING_S: Final = (0.3, 2.0)
"""Interval and timeout: short, so that a cut line is soon forgotten on long-polling too; long enough for a machine that is busy
with something else for a second."""
_ENDINGS: Final = {ending.name: ending for ending in disconnect.ENDINGS}

Verb = Callable[[Mapping[str, str]], object]
"""One thing the side door does: from the query of the request to what is answered as JSON, at once or in a while."""


@dataclass(frozen=True, slots=True)
class Fixture:
    """Where the sockets are, and the side door."""

    server_url: str
    control_url: str


@dataclass
class Noted:
    """What the handlers were given, in order, each as `event key`."""

    order: list[str] = field(default_factory=list)
    answers: list[object] = field(default_factory=list)

    def note(self, event: str, key: object) -> int:
        """Note one; how often it has come by now."""
        self.order.append(f"{event} {len(key)} bytes" if isinstance(key, bytes) else f"{event} {key}")
        return self.order.count(self.order[-1])

    def forget(self, _: Mapping[str, str]) -> object:
        self.order.clear()
        self.answers.clear()
        return "forgotten"

    def verbs(self) -> dict[str, Verb]:
        return {
            "handled": lambda _: dict(Counter(self.order)),
            "order": lambda _: self.order,
            "forget": self.forget,
        }


# -- the rules in general ---------------------------------------------------------------------------------------------


@asynccontextmanager
async def open_socketio() -> AsyncIterator[Fixture]:
    """A `SocketServer` with the same handlers on `/` and `/custom`."""
    noted = Noted()
    server = SocketServer(
        clock=SystemClock(),
        ping_interval=PING_S[0],
        ping_timeout=PING_S[1],
        max_http_buffer_size=1_000_000,
        binary=True,
        cors_allowed_origins="*",
        connect_timeout=1.0,
    )
    clients: set[str] = set()
    for namespace in NAMESPACES:
        _serve(server, namespace, noted, clients)

    def state(_: Mapping[str, str]) -> object:
        return {"clients": sorted(clients), "answers": noted.answers}

    app = web.Application()
    server.attach(app)
    async with _running(server.run()), _listening(app) as address:
        try:
            async with open_side_door({**noted.verbs(), "state": state}) as control:
                yield Fixture(address, control)
        finally:
            await server.shutdown()


def _serve(server: SocketServer, namespace: str, noted: Noted, clients: set[str]) -> None:
    """The handlers of one namespace."""

    async def connect(sid: str, _environ: object, auth: Any) -> None:
        if not isinstance(auth, dict) or auth.get("token") != TOKEN:
            raise Refused("The token is wrong.", {"code": "bad_token", "cure": "log in"})
        clients.add(sid)

    async def gone(sid: str, _reason: str) -> None:
        clients.discard(sid)

    async def echo(sid: str, *arguments: object) -> tuple[object, ...]:
        noted.note("echo", arguments[0] if arguments else "nothing")
        await server.emit("echoed", arguments, to=sid, namespace=namespace)
        return arguments

    async def withhold(_: str, key: object) -> None:
        noted.note("withhold", key)

    async def work(_: str, key: object) -> object:
        noted.note("work", key)
        return {"done": key}

    async def work_error_first(_: str, key: object) -> tuple[object, ...]:
        noted.note("work, error first", key)
        return None, {"done": key}

    async def third_time(_: str, key: object) -> object:
        return {"done": key} if noted.note("at the third time", key) >= 3 else None

    async def ask(sid: str, question: object) -> None:
        def answered(*answer: object) -> None:
            noted.answers.append([f"bytes {one.hex()}" if isinstance(one, bytes) else one for one in answer])

        await server.emit("question", question, to=sid, namespace=namespace, callback=answered)

    async def line(sid: str) -> str:
        return str(server.manager.eio_sid_from_sid(sid, namespace))

    async def end(sid: str) -> None:
        await server.disconnect(sid, namespace=namespace)

    handlers = {
        "connect": connect,
        "disconnect": gone,
        "echo": echo,
        "withhold": withhold,
        "work": work,
        "work, error first": work_error_first,
        "at the third time": third_time,
        "ask me": ask,
        "which line": line,
        "end me": end,
    }
    for event, handler in handlers.items():
        server.on(event, handler, namespace=namespace)


# -- the product's namespace ------------------------------------------------------------------------------------------


@asynccontextmanager
async def open_live() -> AsyncIterator[Fixture]:
    """The live namespace with the handlers of tests/gateway/sockets/build.py, on a clock that runs."""
    async with (
        open_gateway(SystemClock(), ping_interval_s=PING_S[0], ping_timeout_s=PING_S[1]) as gateway,
        open_side_door(_live_verbs(gateway)) as control,
    ):
        yield Fixture(gateway.address, control)


def _live_verbs(gateway: Gateway) -> dict[str, Verb]:
    calls = gateway.calls

    def order(_: Mapping[str, str] | None = None) -> list[str]:
        return [_name_of(message) for message in calls.seen]

    def forget(_: Mapping[str, str]) -> object:
        calls.seen.clear()
        calls.withheld.clear()
        return "forgotten"

    def answer(_: Mapping[str, str]) -> object:
        batches = [message for message in calls.seen if isinstance(message, wire.SampleBatch)]
        for batch, reply in zip(batches, calls.withheld, strict=True):
            reply.ok(wire.SamplesStored(batch.stream, batch.seq + len(batch.samples)))
        return len(batches)

    def end(query: Mapping[str, str]) -> object:
        _connection_of(gateway, query["account"]).end(_ENDINGS[query["ending"]])
        return "ended"

    def push(query: Mapping[str, str]) -> object:
        connection = _connection_of(gateway, query["account"])
        first = int(query["from"])
        for number in range(first, first + int(query["count"])):
            over = wire.ClassEndedView(ROOM, "ABCD", f"push {number}", "Kim", "over", 0, 1, position=NOWHERE)
            connection.push(event_frame("class.ended", over))
        return "pushed"

    def state(_: Mapping[str, str]) -> object:
        accounts = [str(one.caller.account_id.int) for one in gateway.node.hub.connections()]
        return {"open": accounts, "malformed": gateway.server.statistics().malformed}

    return {
        "handled": lambda _: dict(Counter(order())),
        "order": order,
        "forget": forget,
        "answer": answer,
        "end": end,
        "push": push,
        "state": state,
    }


def _connection_of(gateway: Gateway, account: str) -> Connection:
    """The connection of an account, told by its number."""
    number = uuid.UUID(int=int(account))
    (one,) = [one for one in gateway.node.hub.connections() if one.caller.account_id == number]
    return one


def _name_of(message: object) -> str:
    """What was handled: the event, and what tells it from others of its kind."""
    match message:
        case wire.SampleBatch(seq=seq):
            return f"stream.samples {seq}"
        case wire.RoomRef(class_id=room) | wire.ClassRef(class_id=room):
            return f"board.get {room.int}"
        case wire.ClassCreate(title=title):
            return f"class.create {title}"
        case _:
            return type(message).__name__


# -- the bare engine --------------------------------------------------------------------------------------------------


@asynccontextmanager
async def open_engineio() -> AsyncIterator[Fixture]:
    """An engine that sends back every message."""
    engine = Engine(
        clock=SystemClock(),
        ping_interval=PING_S[0],
        ping_timeout=PING_S[1],
        max_http_buffer_size=1_000_000,
        cors_allowed_origins="*",
        binary=True,
        auth_deadline_s=60.0,  # an echo has nobody to authenticate, and ends before
    )
    engine.on_message = lambda link, data, binary: link.send(data, binary=binary)
    app = web.Application()
    engine.attach(app, "engine.io")
    async with _running(engine.run()), _listening(app) as address:
        try:
            async with open_side_door({"state": lambda _: {"engine_sessions": len(engine.links)}}) as control:
                yield Fixture(address, control)
        finally:
            await engine.shutdown()


# -- what they share --------------------------------------------------------------------------------------------------


@asynccontextmanager
async def _running(loop: Any) -> AsyncIterator[None]:
    """A loop that runs meanwhile; what it dies of is raised."""
    task = asyncio.create_task(loop)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})
        if not task.cancelled():
            task.result()


@asynccontextmanager
async def _listening(app: web.Application) -> AsyncIterator[str]:
    """The address where `app` is served, on a port that was free."""
    runner = web.AppRunner(app, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def open_side_door(verbs: Mapping[str, Verb]) -> AsyncIterator[str]:
    """The address where `POST /verb?…` does what `verbs` says. A fault is answered with its text: the story shows it."""

    async def handle(request: web.Request) -> web.Response:
        try:
            answer = verbs[request.match_info["verb"]](request.query)
            return web.json_response(await answer if inspect.isawaitable(answer) else answer)
        except Exception as fault:
            return web.Response(status=500, text=repr(fault))

    app = web.Application()
    app.router.add_post("/{verb}", handle)
    async with _listening(app) as address:
        yield address


FIXTURES: Final = {"live": open_live, "socketio": open_socketio, "engineio": open_engineio}


async def main(name: str) -> None:
    """Serve until Ctrl-C."""
    async with FIXTURES[name]() as fixture:
        print(json.dumps({"server_url": fixture.server_url, "control_url": fixture.control_url}), flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] not in FIXTURES:
        sys.exit(f"usage: python -m tests.journeys.socket_fixture {'|'.join(FIXTURES)}")
    try:
        asyncio.run(main(sys.argv[1]))
    except KeyboardInterrupt:
        sys.exit(0)
