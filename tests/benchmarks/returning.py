"""Many phones in rooms, half of whose world is killed: how they come back.

Each phone follows the rule of the official Socket.IO client: after a loss it waits a second, give or take half, twice as long
after each failure and never more than five. What it reaches is what a balancer would give it: the gateway it belongs to, or
the next one as soon as that does not accept connections. A phone counts as back when it has shown its token and been let
into its room again. Each has an address of its own (in 127.1.0.0/16), as phones have.

It reads one JSON line (`Orders`) from standard input, brings everybody in, and tells `entered`. It is told by a line
`killed NS` (monotonic ns) that the first gateway is dead, waits until all are back, and tells `back` with a `Report`.
"""

import asyncio
import contextlib
import random
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import urlsplit

import msgspec

from loadtest import packets
from loadtest.scenarios.crew import Spread, allow_many_sockets, run, spread_of, tell
from realtime.wire import RoomJoin
from services.kernel.problems import ProblemView

FIRST_WAIT_S: Final = 1.0
LARGEST_WAIT_S: Final = 5.0
RANDOM_SHARE: Final = 0.5
"""`reconnectionDelay`, `reconnectionDelayMax` and `randomizationFactor` of socket.io-client 4, by default."""
CONNECT_S: Final = 20.0
"""Its `timeout`: how long opening a connection may take."""
ENTER_AT_ONCE: Final = 25
GIVE_UP_S: Final = 90.0
"""Whoever is not back by then is missing."""
READ_BYTES: Final = 16 * 1024

_NO_MASK: Final = bytes(4)
"""Masks are against proxies that can be fooled; there is none here, and a mask of zeros costs nothing."""


class Seat(msgspec.Struct, frozen=True):
    """One phone: its token, the code of its room, and which gateway it is on."""

    token: str
    code: str
    gateway: int


class Orders(msgspec.Struct, frozen=True):
    """What the phones are to do. `urls` are the gateways; the first is the one that dies."""

    urls: tuple[str, ...]
    seats: tuple[Seat, ...]


class Report(msgspec.Struct, frozen=True):
    """How they came back; see `BackRun` in results.py."""

    missing: int
    disturbed: int
    lost_ms: Spread
    inside_ms: Spread
    back_ms: Spread
    handshakes: int
    refused: int
    timed_out: int
    joins_refused: int


class TurnedAway(Exception):  # noqa: N818 - a state of the world
    """The server would not have this phone now."""


class _Answer(msgspec.Struct, frozen=True):
    problem: ProblemView | None = None


_answer: Final = msgspec.json.Decoder(_Answer)


class BackOff:
    """The waits of the official client, which knows neither hints nor full jitter."""

    def __init__(self, rng: random.Random) -> None:
        self._rng: Final = rng
        self._tries = 0

    def next_s(self) -> float:
        """Seconds until the next try."""
        wait = FIRST_WAIT_S * 2.0**self._tries
        self._tries = min(self._tries + 1, 30)
        spread: float = wait * self._rng.uniform(1 - RANDOM_SHARE, 1 + RANDOM_SHARE)
        return min(spread, LARGEST_WAIT_S)

    def succeeded(self) -> None:
        """The next failure is a first one."""
        self._tries = 0


class Crowd:
    """What all phones share: where the gateways are, and what is counted."""

    def __init__(self, urls: Sequence[str]) -> None:
        self.gateways: Final = [(split.hostname or "", split.port or 80) for split in map(urlsplit, urls)]
        self.handshakes = 0
        self.refused = 0
        self.timed_out = 0
        self.joins_refused = 0
        self._entered: Counter[int] = Counter()
        self._moved: Final = asyncio.Event()

    def count_anew(self) -> None:
        """From now on."""
        self.handshakes = self.refused = self.timed_out = self.joins_refused = 0
        self._entered.clear()

    def entered(self, gateway: int) -> None:
        """Somebody who belongs to this gateway is in a room."""
        self._entered[gateway] += 1
        self._moved.set()

    async def until_entered(self, counts: Mapping[int, int]) -> None:
        """Wait until so many of each gateway have entered since counting began."""
        while any(self._entered[gateway] < count for gateway, count in counts.items()):
            self._moved.clear()
            await self._moved.wait()


class Phone:
    """One client. Instants in monotonic ns, of the newest loss, token check and entry; None before the first."""

    def __init__(self, number: int, seat: Seat, crowd: Crowd, rng: random.Random) -> None:
        self.gateway: Final = seat.gateway
        self.lost_ns: int | None = None
        self.inside_ns: int | None = None
        self.entered_ns: int | None = None
        self._seat: Final = seat
        self._address: Final = f"127.1.{number // 250}.{number % 250 + 1}"
        self._crowd: Final = crowd
        self._rng: Final = rng
        self._back_off: Final = BackOff(rng)

    async def live(self) -> None:
        """Be in the room, again and again, until cancelled."""
        while True:
            try:
                await self._connection()
            except TurnedAway:
                self._crowd.refused += 1
            except TimeoutError:
                self._crowd.timed_out += 1
            except (OSError, EOFError):
                pass
            await asyncio.sleep(self._back_off.next_s())

    async def _connection(self) -> None:
        async with asyncio.timeout(CONNECT_S):
            reader, writer = await self._reached()
        entered = False
        try:
            async with asyncio.timeout(CONNECT_S):
                frames = await self._opened(reader, writer)
            self._back_off.succeeded()
            self.inside_ns = time.monotonic_ns()
            await self._enter(frames)
            self.entered_ns = time.monotonic_ns()
            entered = True
            self._crowd.entered(self.gateway)
            await frames.until(b"41")  # the server's goodbye; most connections end without one
        finally:
            if entered:
                self.lost_ns = time.monotonic_ns()
            writer.transport.abort()

    async def _reached(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A TCP connection to the own gateway, or to the next that accepts one. Raises OSError."""
        count = len(self._crowd.gateways)
        for step in range(count):
            host, port = self._crowd.gateways[(self.gateway + step) % count]
            try:
                return await asyncio.open_connection(host, port, local_addr=(self._address, 0), limit=READ_BYTES)
            except ConnectionRefusedError:
                continue
        raise ConnectionRefusedError("no gateway accepts connections")

    async def _opened(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> "_Frames":
        """From the handshake to the token check. Raises TurnedAway."""
        self._crowd.handshakes += 1
        writer.write(
            b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
            b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 101"):
            raise TurnedAway(head.partition(b"\r\n")[0].decode(errors="replace"))
        frames = _Frames(reader, writer)
        await frames.until(b"0{")
        frames.say(packets.connect(self._seat.token))
        if (await frames.until(b"40/live", b"44/live")).startswith(b"44"):
            raise TurnedAway("the token check")
        return frames

    async def _enter(self, frames: "_Frames") -> None:
        """Join the room, as often as it takes. Raises SystemExit when it will never be let in."""
        while True:
            frames.say(packets.event("room.join", 1, RoomJoin(code=self._seat.code)))
            ack = packets.parse(await frames.until(b"43/live"))
            assert isinstance(ack, packets.Ack)
            problem = _answer.decode(ack.payload).problem
            if problem is None:
                return
            if not problem.retry:
                raise SystemExit(f"a phone may not enter its room: {problem.message} ({problem.code})")
            self._crowd.joins_refused += 1
            hint_s = (problem.retry_after_ms or 1_000) / 1_000
            await asyncio.sleep(hint_s * self._rng.uniform(1 - RANDOM_SHARE, 1 + RANDOM_SHARE))


class _Frames:
    """A WebSocket of a server that sends whole text frames, and no close frame that anybody would read."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    def say(self, text: str) -> None:
        payload = text.encode()
        size = len(payload)
        head = bytes((0x81, 0x80 | size)) if size < 126 else bytes((0x81, 0xFE)) + size.to_bytes(2)
        self._writer.write(head + _NO_MASK + payload)

    async def until(self, *beginnings: bytes) -> bytes:
        """The next text that begins so; pings are answered, everything else is passed over. Raises EOFError at the end."""
        while True:
            payload = await self._next()
            if payload == packets.PING:
                self.say(packets.PONG)
            elif payload.startswith(beginnings):
                return payload

    async def _next(self) -> bytes:
        opcode, size = await self._reader.readexactly(2)
        if size > 125:
            size = int.from_bytes(await self._reader.readexactly(2 if size == 126 else 8))
        payload = await self._reader.readexactly(size)
        if opcode != 0x81:
            raise EOFError("the server closed the connection")
        return payload


def report_of(phones: Sequence[Phone], crowd: Crowd, killed_ns: int) -> Report:
    """What came of those who were on the first gateway, and whether the others noticed anything. Pure."""
    victims = [phone for phone in phones if phone.gateway == 0]
    back = [phone for phone in victims if (phone.entered_ns or 0) > killed_ns]
    return Report(
        missing=len(victims) - len(back),
        disturbed=sum((phone.lost_ns or 0) > killed_ns for phone in phones if phone.gateway != 0),
        lost_ms=_since(killed_ns, [phone.lost_ns for phone in back]),
        inside_ms=_since(killed_ns, [phone.inside_ns for phone in back]),
        back_ms=_since(killed_ns, [phone.entered_ns for phone in back]),
        handshakes=crowd.handshakes,
        refused=crowd.refused,
        timed_out=crowd.timed_out,
        joins_refused=crowd.joins_refused,
    )


def _since(killed_ns: int, instants: Sequence[int | None]) -> Spread:
    return spread_of([(instant - killed_ns) / 1e6 for instant in instants if instant is not None])


async def _main() -> int:
    orders = msgspec.json.decode(await asyncio.to_thread(sys.stdin.readline), type=Orders)
    allow_many_sockets(len(orders.seats))
    rng = random.Random()
    crowd = Crowd(orders.urls)
    phones = [Phone(number, seat, crowd, rng) for number, seat in enumerate(orders.seats)]
    async with asyncio.TaskGroup() as living:
        tasks = []
        for begun in range(0, len(phones), ENTER_AT_ONCE):
            there = phones[: begun + ENTER_AT_ONCE]
            tasks += [living.create_task(phone.live(), name="phone") for phone in there[begun:]]
            await crowd.until_entered(Counter(phone.gateway for phone in there))
        crowd.count_anew()
        tell("entered")
        _, killed_ns = (await asyncio.to_thread(sys.stdin.readline)).split()
        with contextlib.suppress(TimeoutError):  # the report says how many are missing
            async with asyncio.timeout(GIVE_UP_S):
                await crowd.until_entered({0: sum(phone.gateway == 0 for phone in phones)})
        report = report_of(phones, crowd, int(killed_ns))
        for task in tasks:
            task.cancel()
    sys.stdout.buffer.write(msgspec.json.encode({"phase": "back", "result": report}) + b"\n")
    sys.stdout.buffer.flush()
    return 0


if __name__ == "__main__":
    sys.exit(run(_main()))
