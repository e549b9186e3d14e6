"""A network that can be broken: a TCP proxy in front of a server, which does to the lines through it what networks do.

Approach. Each line is two ends and a lane in each direction. What is wrong with the network is a list of troubles, and every
trouble names the lines it is for by a question that is asked anew whenever bytes pass: "only the line of this gateway that
subscribes" is known as soon as the line has said so (see `said`). While nothing is wrong a lane hands bytes on at once, and stops
reading where the other side does not take them, so that a slow reader is as slow through the proxy as without it.

    latency     bytes arrive later, in order
    throttle    so many bytes a second in each direction; what does not fit is not read, and the sender notices
    cut         the lines are reset, now
    refuse      the lines are reset, and new ones as soon as they come
    blackhole   bytes are taken and lost, nothing is closed: a phone in a tunnel, a laptop whose lid was shut, a dead switch
    one_way     the same for one direction only
    heal        all of that is over

A line that has lost bytes is no TCP any more: when the network is healed it is reset, as a real one is when its other side has
forgotten it. Bytes that were only late arrive at once, in order.

Every line costs two sockets here; nothing is kept of a line that has ended. `open_proxy` ends all of them.
"""

import asyncio
import contextlib
import random
import socket
import struct
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, cast

Direction = Literal["to_server", "to_client"]
Upstream = int | Path
"""A port of the loopback interface, or the path of a unix socket."""

LANE_BYTES: Final = 64 * 1024
"""What a lane holds back before it stops reading."""
OPENING_BYTES: Final = 2_048
"""How much of what the client said first is remembered, to tell lines apart."""
PIECES_PER_S: Final = 20
"""A throttled lane hands on that many small pieces a second rather than one large one now and then."""
BOTH: Final[frozenset[Direction]] = frozenset({"to_server", "to_client"})
_RESET: Final = struct.pack("ii", 1, 0)


class Line:
    """A connection through the proxy, as a question about lines sees it: its `number`, counted from 0."""

    def __init__(self, number: int) -> None:
        self.number: Final = number
        self.opening = b""

    def said(self, word: bytes) -> bool:
        """Whether the client has said this among its first words, in large or small letters."""
        return word.lower() in self.opening.lower()


Which = Callable[[Line], bool]
"""Which lines a trouble is for."""


def every(_: Line) -> bool:
    """All of them."""
    return True


@dataclass(frozen=True)
class _Trouble:
    """Something that is wrong with the network, and for which lines."""

    which: Which
    latency_s: float = 0.0
    jitter_s: float = 0.0
    bytes_per_s: float | None = None
    dark: frozenset[Direction] = frozenset()
    refuse: bool = False


class Proxy:
    """A proxy on `port`, made by `open_proxy`. `reaped` is set when the server has closed its last line; `upstream` may be changed:
    new lines lead there."""

    def __init__(self, upstream: Upstream, *, rng: random.Random, receive_buffer: int | None) -> None:
        self.port = 0
        self.upstream = upstream
        self.reaped = asyncio.Event()
        self.accepted = 0
        self._rng: Final = rng
        self._receive_buffer: Final = receive_buffer
        self._troubles: list[_Trouble] = []
        self._lines: set[_Passage] = set()
        self._dialling: set[asyncio.Task[None]] = set()

    # -- what can be done to it ---------------------------------------------------------------------------------------

    def latency(self, ms: float, jitter: float = 0.0, *, which: Which = every) -> None:
        """From now on bytes take `ms` longer in each direction, and up to `jitter` ms on top of it. Order is kept."""
        self._troubles.append(_Trouble(which, latency_s=ms / 1000, jitter_s=jitter / 1000))

    def throttle(self, bytes_per_s: float, *, which: Which = every) -> None:
        """From now on at most so many bytes a second pass in each direction of a line."""
        self._troubles.append(_Trouble(which, bytes_per_s=bytes_per_s))

    def cut(self, *, which: Which = every) -> int:
        """Reset these lines; how many there were. New ones are welcome."""
        doomed = [line for line in self._lines if which(line.face)]
        for line in doomed:
            line.reset()
        return len(doomed)

    def refuse(self, *, which: Which = every) -> int:
        """Reset these lines and those to come; how many there were."""
        self._troubles.append(_Trouble(which, refuse=True))
        return self.cut(which=which)

    def blackhole(self, *, which: Which = every) -> None:
        """From now on take everything, hand on nothing, close nothing."""
        self._troubles.append(_Trouble(which, dark=BOTH))

    def one_way(self, passes: Direction, *, which: Which = every) -> None:
        """From now on only what goes in this direction arrives."""
        self._troubles.append(_Trouble(which, dark=BOTH - {passes}))

    def heal(self) -> None:
        """The network is well. Lines that have lost bytes are reset; what was late arrives now."""
        self._troubles.clear()
        for line in tuple(self._lines):
            line.heal()

    # -- what can be seen of it ---------------------------------------------------------------------------------------

    @property
    def open_upstream(self) -> int:
        """How many lines to the server are open."""
        return sum(line.server_open for line in self._lines)

    def lines(self, which: Which = every) -> int:
        """How many of these lines are open on the client's side."""
        return sum(line.client_open and which(line.face) for line in self._lines)

    # -- its own business ---------------------------------------------------------------------------------------------

    def _of(self, line: Line) -> list[_Trouble]:
        return [trouble for trouble in self._troubles if trouble.which(line)]

    def _accept(self) -> asyncio.Protocol:
        passage = _Passage(self, Line(self.accepted))
        self.accepted += 1
        return passage.client

    async def serve(self) -> asyncio.Server:
        """Listen on a free port."""
        server = await asyncio.get_running_loop().create_server(self._accept, "127.0.0.1", 0, backlog=4096)
        self.port = server.sockets[0].getsockname()[1]
        return server

    async def close(self) -> None:
        """End every line and wait for what is still being dialled."""
        for line in tuple(self._lines):
            line.reset()
        for task in self._dialling:
            task.cancel()
        await asyncio.gather(*self._dialling, return_exceptions=True)
        await asyncio.sleep(0)


class _Passage:
    """One connection: the end towards the client, the one towards the server, a lane in each direction."""

    def __init__(self, proxy: Proxy, face: Line) -> None:
        self.proxy: Final = proxy
        self.face: Final = face
        self.holed = False
        self.client: Final = _End(self, "to_client")
        self.server: Final = _End(self, "to_server")

    @property
    def client_open(self) -> bool:
        return self.client.transport is not None

    @property
    def server_open(self) -> bool:
        return self.server.transport is not None

    def opened(self) -> None:
        """The client is here: dial, unless the network would not carry that."""
        proxy = self.proxy
        proxy._lines.add(self)
        troubles = proxy._of(self.face)
        if any(trouble.refuse for trouble in troubles):
            self.reset()
        elif any("to_server" in trouble.dark for trouble in troubles):
            self.holed = True
        else:
            task = asyncio.get_running_loop().create_task(self._dial(), name="proxy dials")
            proxy._dialling.add(task)
            task.add_done_callback(proxy._dialling.discard)

    async def _dial(self) -> None:
        loop, upstream = asyncio.get_running_loop(), self.proxy.upstream
        try:
            if isinstance(upstream, Path):
                await loop.create_unix_connection(lambda: self.server, str(upstream))
            else:
                await loop.create_connection(lambda: self.server, "127.0.0.1", upstream)
        except OSError:
            self.reset()  # nobody listens there: the nearest thing to a refused connection that is left
            return
        if not self.client_open:
            self.server.close()

    def came(self, data: bytes, direction: Direction) -> None:
        """Bytes for this direction."""
        if direction == "to_server" and len(self.face.opening) < OPENING_BYTES:
            self.face.opening += data[: OPENING_BYTES - len(self.face.opening)]
        troubles = self.proxy._of(self.face) if self.proxy._troubles else []
        if any(trouble.refuse for trouble in troubles):
            self.reset()
        elif self.holed or any(direction in trouble.dark for trouble in troubles):
            self.holed = True
        else:
            self._to(direction).hand_on(data, troubles)

    def ended(self, end: "_End") -> None:
        """One end is gone: so is the other, after what is still on its way, unless the word of it does not get through."""
        proxy = self.proxy
        if not self.client_open and not self.server_open:
            proxy._lines.discard(self)
        if end is self.server and not proxy.open_upstream:
            proxy.reaped.set()
        onward: Direction = "to_server" if end is self.client else "to_client"
        if any(onward in trouble.dark for trouble in proxy._of(self.face)):
            self.holed = True
        else:
            self._to(onward).close()

    def heal(self) -> None:
        """See `Proxy.heal`."""
        if self.holed:
            self.reset()
        else:
            self.client.flush()
            self.server.flush()

    def reset(self) -> None:
        """Both ends, at once, with a reset."""
        self.client.reset()
        self.server.reset()
        self.proxy._lines.discard(self)

    def _to(self, direction: Direction) -> "_End":
        return self.client if direction == "to_client" else self.server


class _End(asyncio.Protocol):
    """One of the two sockets of a passage, and the lane that leads to it."""

    def __init__(self, passage: _Passage, towards: Direction) -> None:
        self.transport: asyncio.Transport | None = None
        self._passage: Final = passage
        self._towards: Final = towards
        self._late: deque[tuple[float, bytes]] = deque()
        self._late_bytes = 0
        self._free_at = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._early = bytearray()
        self._over = False
        self._closing = False

    @property
    def _other(self) -> "_End":
        return self._passage.server if self is self._passage.client else self._passage.client

    # -- the protocol -------------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is one, without saying so
        line = transport.get_extra_info("socket")
        buffer = self._passage.proxy._receive_buffer
        if buffer is not None:
            line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        if self is self._passage.client:
            self._passage.opened()
        elif self._early:
            self.transport.write(bytes(self._early))
            self._early.clear()
            self._other.resume()

    def data_received(self, data: bytes) -> None:
        self._passage.came(data, self._other._towards)

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None
        self._over = True
        self._forget()
        self._passage.ended(self)

    def pause_writing(self) -> None:
        self._other.pause()

    def resume_writing(self) -> None:
        self._other.resume()

    # -- the lane -----------------------------------------------------------------------------------------------------

    def hand_on(self, data: bytes, troubles: list[_Trouble]) -> None:
        """Write it, now or when the network lets it arrive."""
        if not self._late and not troubles:
            self._write(data)
            return
        now = asyncio.get_running_loop().time()
        rng = self._passage.proxy._rng
        delay = sum(trouble.latency_s + rng.uniform(0, trouble.jitter_s) for trouble in troubles)
        rate = min((trouble.bytes_per_s for trouble in troubles if trouble.bytes_per_s is not None), default=None)
        size = len(data) if rate is None else max(1, int(rate / PIECES_PER_S))
        for at in range(0, len(data), size):
            piece = data[at : at + size]
            self._free_at = max(self._free_at, now) + (0.0 if rate is None else len(piece) / rate)
            newest = self._late[-1][0] if self._late else now
            self._late.append((max(self._free_at, now + delay, newest), piece))
        self._late_bytes += len(data)
        if self._late_bytes >= LANE_BYTES or rate is not None:
            self._other.pause()
        self._arm()

    def _arm(self) -> None:
        if self._timer is None and self._late:
            self._timer = asyncio.get_running_loop().call_at(self._late[0][0], self._due)

    def _due(self) -> None:
        self._timer = None
        now = asyncio.get_running_loop().time()
        while self._late and self._late[0][0] <= now:
            _, piece = self._late.popleft()
            self._late_bytes -= len(piece)
            self._write(piece)
        if not self._late:
            self._drained()
        self._arm()

    def flush(self) -> None:
        """What is late arrives now."""
        late = b"".join(piece for _, piece in self._late)
        self._forget()
        if late:
            self._write(late)
        self._drained()

    def _drained(self) -> None:
        self._other.resume()
        if self._closing and self.transport is not None:
            self.transport.close()

    def _write(self, data: bytes) -> None:
        if self.transport is not None:
            if not self.transport.is_closing():
                self.transport.write(data)
        elif self is self._passage.server and not self._over:
            self._early += data  # it is still being dialled
            if len(self._early) >= LANE_BYTES:
                self._other.pause()

    def _forget(self) -> None:
        self._late.clear()
        self._late_bytes = 0
        self._free_at = 0.0
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # -- the socket ---------------------------------------------------------------------------------------------------

    def pause(self) -> None:
        """Read no more for now."""
        if self.transport is not None and not self.transport.is_closing() and self.transport.is_reading():
            self.transport.pause_reading()

    def resume(self) -> None:
        """Read on."""
        if self.transport is not None and not self.transport.is_closing() and not self.transport.is_reading():
            self.transport.resume_reading()

    def close(self) -> None:
        """Close when everything that is on its way has been written."""
        self._closing = True
        if self.transport is not None and not self._late:
            self.transport.close()

    def reset(self) -> None:
        """Drop the line as a crash does."""
        self._forget()
        if self.transport is not None and not self.transport.is_closing():
            line = self.transport.get_extra_info("socket")
            if line is not None and line.family != socket.AF_UNIX:
                line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self.transport.abort()


@contextlib.asynccontextmanager
async def open_proxy(upstream: Upstream, *, seed: int = 0, receive_buffer: int | None = None) -> AsyncIterator[Proxy]:
    """A proxy in front of a server. `receive_buffer`: bytes that the kernel takes in for one of its sockets, for readers whose
    slowness shall be noticed at once."""
    proxy = Proxy(upstream, rng=random.Random(seed), receive_buffer=receive_buffer)
    server = await proxy.serve()
    try:
        yield proxy
    finally:
        server.close()
        await proxy.close()
        await server.wait_closed()
