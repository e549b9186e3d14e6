"""The athletes of a load test, as a process of their own.

The watcher that measures boards must not wait behind five hundred sockets, so these live apart. It reads one
JSON line (`Orders`) from standard input, connects everybody, prints `{"phase":"ready"}`, waits for an empty
line, streams, and prints what it saw (`Report`) as its last line. Instants are CLOCK_MONOTONIC in ns, which all
processes of one machine share.
"""

import asyncio
import sys
import time
from contextlib import AsyncExitStack
from typing import Final

import aiohttp
import msgspec

from loadtest.api import Api
from loadtest.client import open_client
from loadtest.scenarios.crew import Person, allow_many_sockets, cpu_seconds, run, tell
from loadtest.scenarios.marked import Sightings, marked_sample
from loadtest.stream import DeviceStream
from realtime.wire import Row
from services.kernel.ids import WorkoutId

CONNECT_AT_ONCE: Final = 25
LAST_BOARD_S: Final = 1.5
"""Before the streams are finished, which empties their rows: the last readings shall have been on a board."""

_row: Final = msgspec.json.Decoder(Row)


class Orders(msgspec.Struct, frozen=True):
    """What the swarm is to do. `urls`: the gateways they are spread over; `own_rows`: so many athletes look for their own row on
    the boards they get."""

    urls: tuple[str, ...]
    code: str
    seconds: int
    people: tuple[Person, ...]
    own_rows: int = 0


class AthleteReport(msgspec.Struct, frozen=True):
    """One athlete's part: member number, when each sample was sent, how long each waited for its acknowledgement."""

    n: int
    workout: WorkoutId
    sent_ns: list[int]
    ack_ms: list[float]
    stored: int
    own_row_ms: list[float]
    own_row_passed_over: int


class Report(msgspec.Struct, frozen=True):
    """What the swarm did and saw. `late_ms`: how far behind its schedule each sample was sent."""

    athletes: tuple[AthleteReport, ...]
    late_ms: list[float]
    frames: int
    frame_bytes: int
    connections: int
    cpu_seconds: float


def gateway_of(number: int, gateways: int) -> int:
    """Which of the gateways this athlete is on."""
    return number % gateways


class StopWatch:
    """What is noted about one athlete while everything goes on. `n` is the member number, -1 before joining."""

    def __init__(self, number: int, *, look_for_own_row: bool) -> None:
        self.number = number
        self.n = -1
        self.sent_ns: list[int] = []
        self.ack_ms: list[float] = []
        self.frames = 0
        self.frame_bytes = 0
        self.connections = 0
        self.own = Sightings(number, self.sent_ns) if look_for_own_row else None

    def on_link(self, connection: int | None) -> None:
        """A connection has come or gone."""
        self.connections = max(self.connections, connection or 0)

    def on_stored(self, stored: int) -> None:
        """So many samples are acknowledged."""
        now = time.monotonic_ns()
        for k in range(len(self.ack_ms), min(stored, len(self.sent_ns))):
            self.ack_ms.append((now - self.sent_ns[k]) / 1e6)

    def on_board(self, frame: bytes) -> None:
        """A board came. Only the own row is read, by whoever looks for it."""
        self.frames += 1
        self.frame_bytes += len(frame)
        if self.own is not None:
            # A row begins with the member's number, and nothing else in a frame is such an array.
            begin = frame.find(b"[%d," % self.n)
            if begin >= 0:
                row = _row.decode(frame[begin : frame.index(b"]", begin) + 1])
                self.own.seen(row.bpm, time.monotonic_ns())


class Athlete:
    """One connection in the room with one open stream."""

    def __init__(self, watch: StopWatch, stream: DeviceStream, workout: WorkoutId) -> None:
        self.watch = watch
        self._stream = stream
        self._workout = workout

    async def send(self) -> None:
        """The next sample, now."""
        sample = marked_sample(self.watch.number, len(self.watch.sent_ns))
        self.watch.sent_ns.append(time.monotonic_ns())
        await self._stream.append(sample)

    async def finish(self) -> AthleteReport:
        """Wait until all is stored."""
        finished = await self._stream.finish()
        watch = self.watch
        return AthleteReport(
            n=watch.n,
            workout=self._workout,
            sent_ns=watch.sent_ns,
            ack_ms=watch.ack_ms,
            stored=finished.next_seq,
            own_row_ms=watch.own.latencies_ms if watch.own else [],
            own_row_passed_over=watch.own.passed_over if watch.own else 0,
        )


async def enter(stack: AsyncExitStack, api: Api, person: Person, code: str, watch: StopWatch) -> Athlete:
    """Connect, join, open the stream; all of it lasts as long as `stack`."""
    client = await stack.enter_async_context(open_client(api, person.tokens(api)))
    client.link.on_raw("board.changes", watch.on_board)
    client.link.on_raw("board.snapshot", watch.on_board)
    client.link.watch(lambda: watch.on_link(client.link.connection))
    joined = await client.join(code)
    if joined.you is not None:
        watch.n = joined.you.n
    stream = await stack.enter_async_context(client.open_stream(class_code=code, on_stored=watch.on_stored))
    return Athlete(watch, stream, (await stream.wait_opened()).workout)


async def stream_all(athletes: list[Athlete], seconds: int) -> list[float]:
    """One sample per second and athlete, the athletes spread evenly over the second; how late each was, ms."""
    late_ms: list[float] = []
    began = time.monotonic()
    for second in range(seconds):
        for place, athlete in enumerate(athletes):
            due = began + second + place / len(athletes)
            wait = due - time.monotonic()
            if wait > 0:
                await asyncio.sleep(wait)
            late_ms.append(max(0.0, (time.monotonic() - due) * 1000))
            await athlete.send()
    return late_ms


async def swarm(orders: Orders) -> Report:
    """Do as ordered."""
    allow_many_sockets(len(orders.people))
    gate = asyncio.Semaphore(CONNECT_AT_ONCE)
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)))
        apis = [Api(http, url, patience_s=60) for url in orders.urls]

        async def one(number: int, person: Person) -> Athlete:
            async with gate:
                watch = StopWatch(number, look_for_own_row=number < orders.own_rows)
                api = apis[gateway_of(number, len(apis))]
                return await enter(stack, api, person, orders.code, watch)

        athletes = await asyncio.gather(*(one(number, person) for number, person in enumerate(orders.people)))
        tell("ready")
        await asyncio.to_thread(sys.stdin.readline)
        cpu_before = cpu_seconds()
        late_ms = await stream_all(athletes, orders.seconds)
        cpu = cpu_seconds() - cpu_before
        await asyncio.sleep(LAST_BOARD_S)
        reports = await asyncio.gather(*(athlete.finish() for athlete in athletes))
        return Report(
            athletes=tuple(reports),
            late_ms=late_ms,
            frames=sum(athlete.watch.frames for athlete in athletes),
            frame_bytes=sum(athlete.watch.frame_bytes for athlete in athletes),
            connections=sum(athlete.watch.connections for athlete in athletes),
            cpu_seconds=round(cpu, 2),
        )


async def _main() -> int:
    orders = msgspec.json.decode(await asyncio.to_thread(sys.stdin.readline), type=Orders)
    report = await swarm(orders)
    sys.stdout.buffer.write(msgspec.json.encode(report) + b"\n")
    sys.stdout.buffer.flush()
    return 0


if __name__ == "__main__":
    sys.exit(run(_main()))
