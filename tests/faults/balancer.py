"""A real HAProxy in front of the gateways, taken in and out by its runtime socket."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from tests.faults.process import Gateway
from tests.support.keeper import keep
from tests.support.server import free_port
from tests.support.system_parts import haproxy


class NotOnThisMachine(Exception):  # noqa: N818 - what it says
    """A case needs a program that is not installed; the text names it and the cure."""


class Balancer:
    """A running HAProxy at `url`; its runtime socket takes nodes out and puts them back."""

    def __init__(self, port: int, runtime: Path) -> None:
        self.url: Final = f"http://127.0.0.1:{port}"
        self._runtime: Final = runtime

    async def drain(self, gateway: Gateway) -> None:
        """No new connections for this node."""
        await self._say(f"set server gateways/{gateway.name} state drain")

    async def back(self, gateway: Gateway) -> None:
        """It gets its share again."""
        await self._say(f"set server gateways/{gateway.name} state ready")

    async def _say(self, line: str) -> None:
        reader, writer = await asyncio.open_unix_connection(self._runtime)
        writer.write(line.encode() + b"\n")
        answer = (await asyncio.wait_for(reader.read(), 10)).decode().strip()
        writer.close()
        if answer:
            raise RuntimeError(f"HAProxy, asked to {line}: {answer}")


_HAPROXY: Final = """
global
    stats socket {runtime} mode 600 level admin
    maxconn 4000
defaults
    mode http
    timeout connect 2s
    timeout client 60s
    timeout server 60s
    timeout tunnel 1h
    option redispatch
    retries 3
frontend clients
    bind 127.0.0.1:{port}
    default_backend gateways
backend gateways
    balance leastconn
    option httpchk GET /readyz
    default-server check inter 300ms fall 1 rise 1 on-marked-down shutdown-sessions
{servers}
"""


@asynccontextmanager
async def open_balancer(folder: Path, gateways: Sequence[Gateway]) -> AsyncIterator[Balancer]:
    """A running HAProxy whose files are in `folder`. Raises NotOnThisMachine."""
    program = haproxy()
    if program is None:
        raise NotOnThisMachine("HAProxy is not installed: sudo apt-get install haproxy")
    port, runtime, configuration = free_port(), folder / "haproxy.sock", folder / "haproxy.cfg"
    servers = "\n".join(f"    server {one.name} 127.0.0.1:{one.server.port}" for one in gateways)
    configuration.write_text(_HAPROXY.format(runtime=runtime, port=port, servers=servers))
    process = await asyncio.create_subprocess_exec(
        str(program),
        "-db",
        "-f",
        str(configuration),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    keep(process.pid)
    try:
        async with asyncio.timeout(60):
            while not _listens(port):
                if process.returncode is not None:
                    raise RuntimeError(
                        f"HAProxy ended with {process.returncode}; look at it with: haproxy -c -f {configuration}"
                    )
                await asyncio.sleep(0.05)
        yield Balancer(port, runtime)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
