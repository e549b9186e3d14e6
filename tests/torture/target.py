"""The gateway under torture: the real engine and nothing behind it, in this process or in one of its own.

`open_target` serves `/socket.io/` (the live namespace, with handlers of a few lines) and `/engine.io/` (a plain Engine.IO
server that echoes every message, text and binary) on one port. `python -m tests.torture.target` does so as a program, on
uvloop, and answers questions line by line on its standard input: {"do": "census"} with counts, {"do": "publish", …} by
pushing frames to a channel. Its log goes to standard error, unlimited, so that a test can count its lines.

Handlers: `board.get` answers at once; `class.create` gives the title back; `room.join` joins a channel named after the code
and `room.leave` leaves it; `stream.samples` acknowledges at once; `class.end` thinks for a while first; the others answer
with what they were asked about.
"""

import argparse
import asyncio
import json
import logging
import os
import sys
import threading
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Literal

import msgspec
import structlog
import uvloop
from aiohttp import web

from gateway.http.server import GatewayRunner
from gateway.sockets.dispatch import Handlers, Reply
from gateway.sockets.engine.server import Engine
from gateway.sockets.server import LiveServer, attach
from realtime import wire
from realtime.broker import InMemoryBroker
from realtime.codec import event_frame
from realtime.connection import Connection
from realtime.frame import Frame
from realtime.hub import Hub
from realtime.node import Node
from realtime.position import NOWHERE
from services.kernel.caller import Caller
from services.kernel.clock import Clock, SystemClock
from services.kernel.ids import AccountId, ClassId, LoginId, WorkoutId
from services.kernel.problems import ChallengeNotFound, NotFound, NotInRoom, ReplayNotOpen, TokenExpired
from tests.support.census import Census, descriptors, objects_of, rss_kb, tasks_here

ROOM: Final = ClassId(uuid.UUID(int=77))
THINKING_S: Final = 0.2
OURS: Final = ("gateway.", "realtime.", "aiohttp.web", "uvloop.")
"""Packages whose objects a census counts by class."""

Kind = Literal["latest", "must", "droppable"]


def identify(token: str) -> Caller:
    """A token is the account's number."""
    if not (token.isascii() and token.isdigit()) or len(token) > 12:
        raise TokenExpired
    number = uuid.UUID(int=int(token))
    return Caller(AccountId(number), LoginId(number), f"Athlete {token}", frozenset({"member", "coach"}), 0)


def frame_of(kind: Kind, size: int, v: int = 1) -> Frame:
    """A server event of this delivery class, about `size` bytes long."""
    match kind:
        case "latest":
            rows = tuple(wire.Row(n, 1, 140, 70, 3, 1.5, "live") for n in range(max(size // 30, 1)))
            return event_frame("board.snapshot", wire.BoardSnapshot(ROOM, "e", v, 0, (), rows))
        case "must":
            return event_frame(
                "class.ended", wire.ClassEndedView(ROOM, "ABCD", "x" * size, "Kim", "over", v, v, position=NOWHERE)
            )
        case "droppable":
            view = NotInRoom("x" * size).view()
            return event_frame("problem", wire.ProblemEvent(event="board.get", problem=view))


class Hall:
    """The handlers of the live namespace."""

    def __init__(self, node: Node, clock: Clock) -> None:
        self._node = node
        self._clock = clock

    def handlers(self) -> Handlers:
        """By event name."""
        return {
            "board.get": self.board_get,
            "stream.samples": self.samples,
            "sensor.frame": self.frames,
            "room.join": self.join,
            "room.leave": self.leave,
            "stream.open": self.open,
            "stream.finish": self.finish,
            "cue.send": self.say,
            "cue.seen": self.acknowledge,
            "chat.send": self.say,
            "chat.history": self.chat_history,
            "display.set": self.show,
            "chat.mute": self.done,
            "chat.unmute": self.done,
            "chat.remove": self.done,
            "chat.report": self.done,
            "reaction.send": self.done,
            "trainer.set": self.drive,
            "class.create": self.create,
            "class.end": self.end,
            "class.control": self.control,
            "class.ready": self.ready,
            "coach.appoint": self.appoint,
            "ranking.set": self.rank,
            "board.filter": self.filter,
            "member.remove": self.remove,
            "member.let_in": self.let_in,
            "timeline.get": self.timeline,
            "clock.sync": self.sync,
            "token.renew": self.renew,
            "inbox.read": self.read,
            "task.cancel": self.cancel,
            "challenge.watch": self.watch,
            "challenge.unwatch": self.unwatch,
            "replay.open": self.unplayed,
            "replay.pace": self.unplayed,
            "replay.seek": self.unplayed,
            "replay.close": self.unplayed,
            "safety.cancel": self.safe,
            "safety.acknowledge": self.look,
        }

    def board_get(self, _: Connection, message: wire.RoomRef, reply: Reply) -> None:
        if message.class_id != ROOM:
            raise NotInRoom
        reply.ok(wire.BoardSnapshot(ROOM, "e", 1, 0, (), ()))

    def samples(self, _: Connection, message: wire.SampleBatch, reply: Reply) -> None:
        reply.ok(wire.SamplesStored(message.stream, message.seq + len(message.samples)))

    def frames(self, _: Connection, message: wire.SensorFrame, reply: Reply) -> None:
        reply.ok(wire.SamplesStored(message.stream, message.seq + len(message.frames)))

    def show(self, _: Connection, message: wire.DisplaySet, reply: Reply) -> None:
        reply.ok(wire.DisplayNow(message.class_id, message.mode, message.alias))

    def drive(self, _: Connection, _message: wire.TrainerSet, reply: Reply) -> None:
        reply.ok(wire.TrainerAsked(athletes=0))

    def join(self, connection: Connection, message: wire.RoomJoin, reply: Reply) -> None:
        self._node.join(connection, f"room:{message.code}")
        room = wire.ClassView(ROOM, message.code, "Spin", "Kim", "live", 0)
        reply.ok(wire.RoomJoined(room=room, board=wire.BoardSnapshot(ROOM, "e", 1, 0, (), ()), recovered=False))

    def leave(self, connection: Connection, message: wire.RoomRef, reply: Reply) -> None:
        self._node.leave(connection, f"room:{message.class_id}")
        reply.ok(wire.Done())

    def open(self, _: Connection, message: wire.StreamOpen, reply: Reply) -> None:
        reply.ok(wire.StreamOpened(message.stream, WorkoutId(message.stream), 1, 0))

    def finish(self, _: Connection, message: wire.StreamFinish, reply: Reply) -> None:
        reply.ok(wire.StreamFinished(message.stream, WorkoutId(message.stream), message.samples))

    def say(self, _: Connection, _message: wire.CueSend | wire.ChatSend, reply: Reply) -> None:
        reply.ok(wire.Said(NOWHERE))

    def acknowledge(self, _: Connection, _message: wire.CueSeen, reply: Reply) -> None:
        reply.ok(wire.Done())

    def create(self, _: Connection, message: wire.ClassCreate, reply: Reply) -> None:
        reply.ok(wire.ClassView(ROOM, "ABCD", message.title, "Kim", "live", 0))

    def appoint(self, _: Connection, message: wire.CoachAppoint, reply: Reply) -> None:
        reply.ok(wire.ClassView(message.class_id, "ABCD", "Spin", "Kim", "live", 0))

    def rank(self, _: Connection, message: wire.RankingSet, reply: Reply) -> None:
        reply.ok(wire.ClassView(message.class_id, "ABCD", "Spin", "Kim", "live", 0, metric=message.metric))

    def filter(self, _: Connection, message: wire.BoardFilter, reply: Reply) -> None:
        reply.ok(wire.BoardFiltered(message.class_id, 0, message.here, message.age_group))

    def remove(self, _: Connection, _message: wire.MemberRemove, reply: Reply) -> None:
        reply.ok(wire.Done())

    def let_in(self, _: Connection, _message: wire.MemberLetIn, reply: Reply) -> None:
        reply.ok(wire.Done())

    def control(self, _: Connection, message: wire.ClassControl, reply: Reply) -> None:
        reply.ok(wire.ClockView(message.class_id, 1, 1, "waiting", 0, 0, 0, 0, 60_000))

    def ready(self, _: Connection, message: wire.ClassReady, reply: Reply) -> None:
        reply.ok(wire.LobbyView(message.class_id, (1,), 1))

    def done(self, _: Connection, _message: object, reply: Reply) -> None:
        reply.ok(wire.Done())

    def chat_history(self, _: Connection, message: wire.ChatPage, reply: Reply) -> None:
        reply.ok(wire.ChatHistory(message.class_id, ()))

    def timeline(self, _: Connection, message: wire.RoomRef, reply: Reply) -> None:
        reply.ok(wire.ClassTimeline(message.class_id))

    def renew(self, connection: Connection, _: wire.TokenRenew, reply: Reply) -> None:
        reply.ok(wire.TokenLife(connection.caller.expires_at_ms, 0))

    def sync(self, _: Connection, message: wire.ClockSync, reply: Reply) -> None:
        now_ms = self._clock.wall_ms()
        reply.ok(wire.ClockSynced(message.sent_ms, now_ms, now_ms))

    def read(self, _: Connection, message: wire.InboxRead, reply: Reply) -> None:
        reply.ok(wire.ReadMarked(len(message.ids or ()), 0))

    def cancel(self, _: Connection, __: wire.TaskRef, ___: Reply) -> None:
        raise NotFound

    def watch(self, _: Connection, __: wire.ChallengeRef, ___: Reply) -> None:
        raise ChallengeNotFound

    def unwatch(self, _: Connection, __: wire.ChallengeRef, reply: Reply) -> None:
        reply.ok(wire.Done())

    def unplayed(
        self, _: Connection, __: wire.ReplayOpen | wire.ReplayPace | wire.ReplaySeek | wire.RoomRef, ___: Reply
    ) -> None:
        raise ReplayNotOpen

    def safe(self, _: Connection, __: wire.IncidentRef, ___: Reply) -> None:
        raise NotFound

    def look(self, _: Connection, __: wire.IncidentRef, ___: Reply) -> None:
        raise NotFound

    async def end(self, _: Connection, message: wire.ClassRef, reply: Reply) -> None:
        await self._clock.sleep(THINKING_S)
        reply.ok(wire.ClassView(message.class_id, "ABCD", "Spin", "Kim", "over", 0, 1))


@dataclass
class Target:
    """A running gateway, and the exceptions that reached its event loop."""

    server: LiveServer
    echo: Engine
    node: Node
    port: int
    faults: list[str] = field(default_factory=list)

    def census(self, *, objects: bool = False) -> Census:
        """What is held right now; `objects` takes a garbage collection."""
        hub = self.node.hub.statistics()
        counted = objects_of(*OURS) if objects else {}
        return Census(
            tasks=tasks_here(),
            descriptors=descriptors(),
            rss_kb=rss_kb(),
            links=self.server.statistics().links + len(self.echo.links),
            connections=hub.connections,
            channels=hub.channels,
            queued_bytes=hub.mailbox_bytes,
            faults=tuple(self.faults),
            objects=counted,
        )

    def publish(self, channel: str, kind: Kind, size: int, times: int) -> int:
        """Push frames of this class and size to a channel's members; how many members there are."""
        for v in range(times):
            self.node.broadcast(channel, frame_of(kind, size, v))
        return self.node.count(channel)


@asynccontextmanager
async def open_target(clock: Clock | None = None, **options: Any) -> AsyncIterator[Target]:
    """A target in this process, on a port of its own. `options`: see `LiveServer`."""
    clock = clock or SystemClock()
    node = Node("torture", Hub(), InMemoryBroker(), clock)
    app = web.Application()
    server = attach(
        app,
        node=node,
        clock=clock,
        identify=identify,
        handlers=Hall(node, clock).handlers(),
        on_open=lambda connection: None,
        on_close=lambda connection, reason: None,
        **options,
    )
    echo = Engine(clock=clock, binary=True, cors_allowed_origins="*", max_http_buffer_size=wire.MAX_PAYLOAD_BYTES)
    echo.on_open = lambda link: link.admitted()
    echo.on_message = lambda link, data, binary: link.send(data, binary=binary)
    echo.attach(app, "engine.io")
    runner = GatewayRunner(app, server.eio.behind_door, shutdown_timeout=1.0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, backlog=4096).start()
    target = Target(server, echo, node, runner.addresses[0][1])
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: target.faults.append(_told(context)))
    loops = [loop.create_task(node.run()), loop.create_task(server.run()), loop.create_task(echo.run())]
    await node.until_ready()
    try:
        yield target
    finally:
        await server.drain(limit_s=2.0)
        await echo.drain(limit_s=2.0)
        for task in loops:
            task.cancel()
        await asyncio.gather(*loops, return_exceptions=True)
        await server.close()
        await runner.cleanup()
        loop.set_exception_handler(None)


def _told(context: dict[str, Any]) -> str:
    return f"{context.get('message')}: {context.get('exception')!r}"


# -- the program ---------------------------------------------------------------------------------------------------------


async def _serve(options: dict[str, Any]) -> None:
    async with open_target(**options) as target:
        _say({"port": target.port, "pid": os.getpid()})
        answers: dict[str, Callable[[dict[str, Any]], Any]] = {
            "census": lambda asked: msgspec.to_builtins(target.census(objects=asked.get("objects", False))),
            "statistics": lambda _: asdict(target.server.statistics()),
            "hub": lambda _: asdict(target.node.hub.statistics()),
            "publish": lambda asked: target.publish(asked["channel"], asked["kind"], asked["size"], asked["times"]),
        }
        async for asked in _questions():
            _say(answers[asked["do"]](asked))


async def _questions() -> AsyncIterator[dict[str, Any]]:
    # A thread, not a pipe transport: what is counted should be what a gateway has.
    loop = asyncio.get_running_loop()
    lines: asyncio.Queue[str] = asyncio.Queue()

    def read() -> None:
        for line in sys.stdin:
            loop.call_soon_threadsafe(lines.put_nowait, line)
        loop.call_soon_threadsafe(lines.put_nowait, "")

    threading.Thread(target=read, daemon=True).start()
    while line := await lines.get():
        yield json.loads(line)


def _say(answer: object) -> None:
    print(json.dumps(answer), flush=True)


def main() -> None:
    """Serve until standard input ends."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--options", default="{}", help="options of LiveServer, as JSON")
    options = json.loads(parser.parse_args().options)
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(levelname)s %(name)s %(message)s")
    structlog.configure(
        processors=[
            structlog.stdlib.add_log_level,
            structlog.processors.format_exc_info,
            structlog.processors.KeyValueRenderer(key_order=["level", "event"]),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    uvloop.run(_serve(options))


if __name__ == "__main__":
    main()
