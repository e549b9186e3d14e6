"""What one write to one of many lines costs the process, in nanoseconds: by uvloop's transport, as the engine writes to a few,
by its ring, as it writes to many and as it tells a room as one, and by nothing but the system call.

    python -m tests.benchmarks.sockets.writing --lines 500

Lines are TCP on loopback, read by another process on the other core. What the call takes is the kernel's, with the receiver's share
(docs/performance/sockets.md); the difference is what a transport adds. With `path`, which says what the engine adds, this is all
that a delivery costs. `os.write` is no way out: it lets go of the interpreter's lock each time, and another thread that takes it
keeps it for milliseconds.
"""

import argparse
import asyncio
import os
import subprocess
import sys
import time
from array import array
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Final, cast

import uvloop

from gateway.sockets.engine.ring import open_ring

LINES: Final = 500
ROUNDS: Final = 300
PAUSE_S: Final = 0.002
"""Between two rounds: the reader comes after."""
FRAME: Final = b"\x81\x60" + b"x" * 96
"""About what an event of the comparison weighs."""

_READER: Final = """
import os, selectors, socket, sys
port, lines, core = map(int, sys.argv[1:])
os.sched_setaffinity(0, [core])
ready = selectors.DefaultSelector()
for _ in range(lines):
    line = socket.create_connection(("127.0.0.1", port))
    line.setblocking(False)
    ready.register(line, selectors.EVENT_READ)
while True:
    for key, _ in ready.select():
        if not key.fileobj.recv(65536):
            sys.exit()
"""

Write = Callable[[bytes], object]
Way = Callable[[], object]
"""Writes a frame to every line."""


class _Line(asyncio.Protocol):
    def __init__(self, there: list[asyncio.Transport]) -> None:
        self._there: Final = there

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        line = cast(asyncio.Transport, transport)
        line.set_write_buffer_limits(high=0)
        self._there.append(line)


async def measure(lines: int = LINES, rounds: int = ROUNDS) -> dict[str, float]:
    """Nanoseconds of processor time per write, the best of three: by the transport, by the call alone, and, where there is
    one, by the ring."""
    there: list[asyncio.Transport] = []
    server = await asyncio.get_running_loop().create_server(lambda: _Line(there), "127.0.0.1", 0)
    async with server:
        with _reading(server.sockets[0].getsockname()[1], lines):
            while len(there) < lines:
                await asyncio.sleep(0.01)
            numbers = [line.get_extra_info("socket").fileno() for line in there]
            ways: dict[str, Way] = {
                "transport": partial(_each, [line.write for line in there]),
                "call": partial(_each, [partial(os.write, number) for number in numbers]),
            }
            ring = open_ring()
            if ring is not None:
                slots = [ring.hold(number) for number in numbers]
                ways["ring"] = partial(ring.send, slots, [FRAME] * lines)
                ways["as one"] = partial(ring.send_to_all, array("i", slots), FRAME)
            found = {name: float("inf") for name in ways}
            for _ in range(3):
                for name, way in ways.items():
                    found[name] = min(found[name], await _cost(way, rounds) / lines)
            if ring is not None:
                ring.close()
            for line in there:
                line.abort()
    return found


def _each(writes: list[Write]) -> None:
    for write in writes:
        write(FRAME)


async def _cost(way: Way, rounds: int) -> float:
    """Nanoseconds for all lines together."""
    spent = 0
    for _ in range(rounds):
        began = time.process_time_ns()
        way()
        spent += time.process_time_ns() - began
        await asyncio.sleep(PAUSE_S)
    return spent / rounds


@contextmanager
def _reading(port: int, lines: int) -> Iterator[None]:
    """A process that reads all lines, on the other core; this one stays on the first."""
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, cores[:1])
    words = [sys.executable, "-c", _READER, str(port), str(lines), str(cores[-1])]
    reader = subprocess.Popen(words)
    try:
        yield
    finally:
        reader.kill()
        reader.wait()
        os.sched_setaffinity(0, cores)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--lines", type=int, default=LINES, help="how many (default: %(default)s)")
    for way, ns in uvloop.run(measure(parser.parse_args().lines)).items():
        print(f"{way:12}{ns:8.0f} ns")


if __name__ == "__main__":
    main()
