"""What one event costs on its way through the engine, in nanoseconds of Python.

    python -m tests.benchmarks.sockets.path

The comparison with the peers takes minutes and hears whatever else the machine does. This takes seconds and hears next to nothing
of it: what a socket would have read is handed to real lines on a transport that only counts, no kernel on either side, and of many
rounds the quickest counts. So it shows what a change of a few lines is worth. It says nothing of what the kernel takes, which is
about as much again.

Every stage of an event goes the whole way up to there; what a stage costs is the difference to the one before.
"""

import asyncio
import gc
import socket
import time
import uuid
from array import array
from collections.abc import Callable, Sequence
from typing import Any, Final

import uvloop
from aiohttp import web
from aiohttp._websocket.helpers import websocket_mask

from gateway.sockets.dispatch import Handler, Reply
from gateway.sockets.engine import heartbeat
from gateway.sockets.engine.server import Inlet
from gateway.sockets.engine.websocket import WebSocketLine
from gateway.sockets.server import LiveServer, attach
from realtime import wire
from realtime.broker import InMemoryBroker
from realtime.codec import event_frame
from realtime.connection import Connection
from realtime.hub import Hub
from realtime.node import Node
from services.kernel.caller import Caller
from services.kernel.clock import Clock, ManualClock, SystemClock
from services.kernel.ids import AccountId, LoginId, StreamId

CONNECTIONS: Final = 100
PER_READ: Final = 2
"""Events in one read, and in one room and turn: what the clients of `ingest` and `busy` have under way."""
ROUNDS: Final = 300
PLENTY: Final = 1e9
"""Events and handshakes per second: the limits are counted, and not met."""
_MASK: Final = b"\x37\xfa\x21\x3d"
_ROOM: Final = "room"

Work = Callable[[], None]


class NoSocket:
    """What is asked of a socket that there is not."""

    family: Final = socket.AF_UNIX

    def fileno(self) -> int:
        return 0


class CountingTransport(asyncio.Transport):
    """Takes everything; `last` is what it took last."""

    def __init__(self) -> None:
        super().__init__()
        self.last = b""
        self.socket: NoSocket | None = None

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self.socket if name == "socket" else default

    def is_closing(self) -> bool:
        return False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.last = bytes(data)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """It is never full."""


class CountingBulk:
    """Takes everything for everybody; `last` is what it took last, `slots` for whom, `as_one` how often it was the same for all."""

    def __init__(self) -> None:
        self.as_one = 0
        self.last = b""
        self.slots: Sequence[int] = ()
        self._held = 0

    def hold(self, _descriptor: int) -> int:
        self._held += 1
        return self._held

    def let_go(self, slot: int) -> None:
        """Nobody goes."""

    def send(self, slots: Sequence[int], pieces: Sequence[bytes]) -> Sequence[tuple[int, int]]:
        self.slots, self.last = slots, pieces[-1]
        return ()

    def send_to_all(self, slots: "array[int]", piece: bytes) -> Sequence[tuple[int, int]]:
        self.slots, self.last = slots, piece
        self.as_one += 1
        return ()


class Gateway:
    """A gateway whose clients are all there, authenticated and in one room. `answers` handles their samples."""

    def __init__(self, answers: Handler, clock: Clock | None = None) -> None:
        clock = clock or SystemClock()
        self.hub: Final = Hub()
        node = Node("path", self.hub, InMemoryBroker(), clock)
        self.server: Final = attach(
            web.Application(),
            node=node,
            clock=clock,
            identify=_anybody,
            handlers={event.name: answers for event in wire.CLIENT_EVENTS},
            on_open=lambda connection: node.join(connection, _ROOM),
            on_close=lambda connection, reason: None,
            handshakes_per_second=PLENTY,
            events_per_second=PLENTY,
        )
        self.transports: Final = [CountingTransport() for _ in range(CONNECTIONS)]
        self.lines: Final = [_line(self.server, transport) for transport in self.transports]
        for number, line in enumerate(self.lines):
            line.data_received(masked(b'40/live,{"token":"%d"}' % number))

    def know(self, bulk: CountingBulk) -> None:
        """From now on all of them can be written to in bulk."""
        self.hub.turn.bulk = bulk
        for transport in self.transports:
            transport.socket = NoSocket()


async def measure(rounds: int = ROUNDS) -> dict[str, float]:
    """Nanoseconds per event up to each stage, and per delivery of a broadcast."""
    return {
        "read": await _events(_withholds, rounds, heard=False),
        "decoded": await _events(_withholds, rounds),
        "answered": await _events(_answers, rounds),
        "delivered, 1 per turn": await _deliveries(1, rounds),
        f"delivered, {PER_READ} per turn": await _deliveries(PER_READ, rounds),
        "told as one, 1 per turn": await _deliveries(1, rounds, CountingBulk()),
        f"told as one, {PER_READ} per turn": await _deliveries(PER_READ, rounds, CountingBulk()),
        "pinged and answered": await _pings(rounds),
    }


async def _events(answers: Handler, rounds: int, *, heard: bool = True) -> float:
    """`heard`: whether anybody listens to what the lines have read."""
    gateway = Gateway(answers)
    await asyncio.sleep(0)
    if not heard:
        gateway.server.eio.inlet = Inlet()
        for link in gateway.server.eio.links.values():
            link.ended_at = 0.0
    reads = [
        (line.data_received, b"".join(masked(sample(member, number)) for number in range(5_000, 5_000 + PER_READ)))
        for member, line in enumerate(gateway.lines)
    ]

    def work() -> None:
        for data_received, read in reads:
            data_received(read)

    took = await _quickest(work, rounds)
    if answers is _answers:
        acks = [transport.last.count(b'[{"ok":') for transport in gateway.transports]
        if acks != [PER_READ] * CONNECTIONS:
            raise RuntimeError(f"not every event was answered, so nothing was measured: {gateway.transports[0].last!r}")
    return took / (CONNECTIONS * PER_READ)


async def _deliveries(per_turn: int, rounds: int, bulk: CountingBulk | None = None) -> float:
    gateway = Gateway(_withholds)
    if bulk is not None:
        gateway.know(bulk)
    await asyncio.sleep(0)
    frame = event_frame("stream.taken", wire.StreamTaken(StreamId(uuid.UUID(int=5)), 7))

    def work() -> None:
        for _ in range(per_turn):
            gateway.hub.broadcast(_ROOM, frame)

    took = await _quickest(work, rounds)
    if bulk is not None:
        everybody = len(bulk.slots) == CONNECTIONS and bulk.last == frame.ws * per_turn
    else:
        everybody = all(transport.last == frame.ws * per_turn for transport in gateway.transports)
    if not everybody:
        raise RuntimeError("not everybody was told, so nothing was measured")
    return took / (CONNECTIONS * per_turn)


async def _pings(rounds: int) -> float:
    clock = ManualClock()
    gateway = Gateway(_withholds, clock)
    await asyncio.sleep(0)
    engine, pong = gateway.server.eio, masked(b"3")
    answers = [line.data_received for line in gateway.lines]

    def work() -> None:
        now = clock.monotonic()
        for link in engine.wheel.advance(now):
            heartbeat.check(link, now)
        for data_received in answers:
            data_received(pong)

    best = float("inf")
    for _ in range(rounds):
        # A round is an interval of pings, whose deadlines come with it.
        await clock.advance(engine.ping_interval_s)
        pinged = engine.pings
        took = await _quickest(work, 1)
        if engine.pings - pinged == CONNECTIONS:
            best = min(best, took)
    if best == float("inf"):
        raise RuntimeError("nobody was pinged, so nothing was measured")
    return best / CONNECTIONS


async def _quickest(work: Work, rounds: int) -> float:
    """Nanoseconds of the quickest round of `work`, the end of its loop turn included."""
    best = float("inf")
    gc.collect()
    gc.disable()
    try:
        for _ in range(rounds):
            began = time.perf_counter_ns()
            work()
            await asyncio.sleep(0)
            best = min(best, time.perf_counter_ns() - began)
    finally:
        gc.enable()
    return best


def masked(message: bytes) -> bytes:
    """A text frame as a client sends it."""
    size = len(message)
    head = bytes((0x81, 0x80 | size)) if size < 126 else bytes((0x81, 0xFE)) + size.to_bytes(2)
    body = bytearray(message)
    websocket_mask(_MASK, body)
    return head + _MASK + bytes(body)


def sample(member: int, number: int) -> bytes:
    """The event that the comparison's clients send."""
    stream, beat = uuid.UUID(int=member), 60 + number % 120
    return (
        f'42/live,{number}["stream.samples",{{"stream":"{stream}","seq":{number},"samples":[[{number * 1000},{beat}]]}}]'
    ).encode()


def _line(server: LiveServer, transport: CountingTransport) -> WebSocketLine:
    link, opened = server.eio.open("127.0.0.1", None, upgrades=False)
    line = WebSocketLine(server.eio, link)
    line.take(transport, b"", opened)
    return line


def _anybody(token: str) -> Caller:
    number = uuid.UUID(int=int(token))
    return Caller(AccountId(number), LoginId(number), "Ada", frozenset({"member", "coach"}), 0)


def _answers(_connection: Connection, message: wire.SampleBatch, reply: Reply) -> None:
    reply.ok(wire.SamplesStored(message.stream, message.seq + len(message.samples)))


def _withholds(_connection: Connection, _message: wire.SampleBatch, _reply: Reply) -> None:
    """Says nothing."""


def main() -> None:
    """Measure and print."""
    for stage, ns in uvloop.run(measure()).items():
        print(f"{stage:24}{ns:8.0f} ns")


if __name__ == "__main__":
    main()
