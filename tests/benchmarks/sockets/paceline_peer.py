"""Paceline's own engine as a peer of the benchmark: everything a gateway has between the network and its handlers.

The engine, the handshake with the real token check, dispatcher and wire catalogue, hub, mailboxes, limits and broker are those
of the product, wired as it wires them; so are the settings of the garbage collector. Only the handlers are the benchmark's: they
do what the handlers of the other peers do. Nothing is switched off; the limits that a client of the benchmark would run into
are raised.
"""

import asyncio
import contextlib
import gc
import sys
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, Final

import structlog
import uvloop
from aiohttp import web

from gateway.http.server import GatewayRunner
from gateway.sockets.dispatch import Handler, Handlers, Reply
from gateway.sockets.server import attach
from paceline.serving import GC_THRESHOLD
from realtime import wire
from realtime.broker import Broker, InMemoryBroker
from realtime.codec import event_frame
from realtime.connection import Connection
from realtime.feeds import Feeds
from realtime.hub import Hub
from realtime.node import Node
from realtime.position import NOWHERE
from realtime.redis_broker import RedisBroker
from realtime.redis_commands import RedisCommands
from realtime.redis_room_log import RedisRoomLog
from realtime.redis_servers import RedisServers
from realtime.room_log import Appended, MemoryRoomLog, RoomLog
from services.kernel.clock import Clock, SystemClock
from services.kernel.ids import ClassId
from tests.benchmarks.sockets.job import Job, job, ready, room_of, zone_of

PLENTY: Final = 1e9
"""Events and handshakes per second: the benchmark's clients send as much as a hundred ordinary ones."""
_MEMBER_BITS: Final = 32


@dataclass(slots=True)
class _Room:
    channel: str
    class_id: ClassId
    version: int = 0
    rows: list[wire.Row] = field(default_factory=list)


def _said(appended: "asyncio.Future[Appended]") -> None:
    """Raises `LogAway`: the benchmark would be worth nothing."""
    appended.result()


class Work:
    """The benchmark's handlers, one per client event of the catalogue."""

    def __init__(self, this: Job, node: Node, feeds: Feeds, clock: Clock) -> None:
        self._job: Final = this
        self._feeds: Final = feeds
        self._node: Final = node
        self._clock: Final = clock
        self._rooms: Final[dict[str, _Room]] = {}
        self._room_of: Final[dict[Connection, _Room]] = {}

    def handlers(self) -> Handlers:
        samples: Handler = self._ingest
        if self._job.is_board:
            samples = self._on_board
        elif self._job.log:
            samples = self._say
        elif self._job.redis:
            samples = self._tell_all
        elif not self._job.is_ingest:
            samples = self._tell
        refuse = self._refuse
        return {
            "stream.samples": samples,
            "room.join": self._join,
            "stream.open": refuse,
            "sensor.frame": refuse,
            "stream.finish": refuse,
            "room.leave": refuse,
            "board.get": refuse,
            "cue.send": refuse,
            "cue.seen": refuse,
            "chat.send": refuse,
            "chat.history": refuse,
            "display.set": refuse,
            "chat.mute": refuse,
            "chat.unmute": refuse,
            "chat.remove": refuse,
            "chat.report": refuse,
            "reaction.send": refuse,
            "trainer.set": refuse,
            "class.control": refuse,
            "class.ready": refuse,
            "coach.appoint": refuse,
            "ranking.set": refuse,
            "board.filter": refuse,
            "member.remove": refuse,
            "member.let_in": refuse,
            "timeline.get": refuse,
            "clock.sync": refuse,
            "token.renew": refuse,
            "class.create": refuse,
            "class.end": refuse,
            "inbox.read": refuse,
            "challenge.watch": refuse,
            "challenge.unwatch": refuse,
            "replay.open": refuse,
            "replay.pace": refuse,
            "replay.seek": refuse,
            "replay.close": refuse,
            "safety.cancel": refuse,
            "safety.acknowledge": refuse,
            "task.cancel": refuse,
        }

    def closed(self, connection: Connection, _reason: str) -> None:
        self._room_of.pop(connection, None)

    async def beat(self) -> None:
        """Boards leave as latest-only frames, once per beat, all rooms together."""
        while True:
            await self._clock.sleep(self._job.beat_s)
            for room in self._rooms.values():
                if room.rows:
                    rows, room.rows = tuple(room.rows), []
                    room.version += 1
                    changes = wire.BoardChanges(room.class_id, "e", room.version, self._clock.wall_ms(), rows)
                    self._node.broadcast(room.channel, event_frame("board.changes", changes), key=room.channel)

    def _ingest(self, _connection: Connection, message: wire.SampleBatch, reply: Reply) -> None:
        reply.ok(wire.SamplesStored(message.stream, message.seq + len(message.samples)))

    def _tell(self, connection: Connection, message: wire.SampleBatch, _reply: Reply) -> None:
        frame = event_frame("stream.taken", wire.StreamTaken(message.stream, message.seq))
        self._node.broadcast(self._room_of[connection].channel, frame)

    def _tell_all(self, connection: Connection, message: wire.SampleBatch, _reply: Reply) -> None:
        frame = event_frame("stream.taken", wire.StreamTaken(message.stream, message.seq))
        self._node.tell(self._room_of[connection].channel, frame)

    def _say(self, connection: Connection, message: wire.SampleBatch, _reply: Reply) -> None:
        """Through the room's log, as what must arrive goes: with a key, a place in one order, and recovery."""
        room, stream = self._room_of[connection], str(message.stream)
        cue = wire.Cue(class_id=room.class_id, text=stream, coach_name="Kim", at_ms=message.seq, position=NOWHERE)
        self._feeds.begin(room.channel, "cue", cue, f"{stream}:{message.seq}").add_done_callback(_said)

    def _on_board(self, connection: Connection, message: wire.SampleBatch, _reply: Reply) -> None:
        bpm = message.samples[0].bpm or 0
        percent, zone = zone_of(bpm)
        number = message.stream.int & (1 << _MEMBER_BITS) - 1
        self._room_of[connection].rows.append(
            wire.Row(number, message.seq, bpm, percent, zone, message.seq / 10, "live")
        )

    def _join(self, connection: Connection, message: wire.RoomJoin, reply: Reply) -> None:
        room = self._rooms.get(message.code)
        if room is None:
            class_id = ClassId(uuid.UUID(room_of(message.code)))
            room = self._rooms[message.code] = _Room(f"room:{class_id}", class_id)
        self._room_of[connection] = room
        self._node.join(connection, room.channel)
        if self._job.log:
            self._feeds.follow(room.channel)
        view = wire.ClassView(room.class_id, message.code, "Spin", "Kim", "live", 0)
        reply.ok(
            wire.RoomJoined(view, wire.BoardSnapshot(room.class_id, "e", room.version, 0, (), ()), recovered=False)
        )

    def _refuse(self, _connection: Connection, _message: object, _reply: Reply) -> None:
        raise RuntimeError("the benchmark sends no such event")


@contextlib.asynccontextmanager
async def serving(this: Job) -> AsyncIterator[None]:
    """The peer, listening."""
    clock = SystemClock()
    broker: Broker
    log: RoomLog
    if this.redis:
        servers = RedisServers(this.redis)
        broker, log = RedisBroker(servers, clock), RedisRoomLog(RedisCommands(servers))
    else:
        broker = InMemoryBroker()
        log = MemoryRoomLog(broker.publish, clock)
    node = Node(f"node-{this.port}", Hub(), broker, clock)
    feeds = Feeds(node, log, clock)
    work = Work(this, node, feeds, clock)
    app = web.Application()
    options: dict[str, Any] = {
        "ping_interval_s": this.ping_s,
        "handshakes_per_second": PLENTY,
        "events_per_second": PLENTY,
    }
    server = attach(
        app,
        node=node,
        clock=clock,
        identify=this.identify(),
        handlers=work.handlers(),
        on_open=lambda connection: None,
        on_close=work.closed,
        **options,
    )
    runner = GatewayRunner(app, server.eio.behind_door)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", this.port, backlog=1024).start()
    async with asyncio.TaskGroup() as group:
        group.create_task(node.run())
        group.create_task(server.run())
        group.create_task(feeds.run())
        group.create_task(work.beat())
        await node.until_ready()
        if not this.usual_gc:
            gc.collect()
            gc.freeze()
            gc.set_threshold(*GC_THRESHOLD)
        yield


async def main() -> None:
    # Standard output is the harness's; it reads one word of it.
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    async with serving(job()):
        ready()


if __name__ == "__main__":
    uvloop.run(main())
