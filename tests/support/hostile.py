"""A web server that answers exactly what a test tells it, byte for byte, however wrong.

`open_server` (not to be mistaken for the program's own) listens on a free port of the loopback interface; `act` is called with
each request that has come in whole, and has the bare connection to do with as it likes.
"""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final


@dataclass(frozen=True)
class Request:
    """What came in. Names of headers in small letters."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


Act = Callable[[Request, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class HostileServer:
    """A server that runs. `requests` it has been sent, `connections` it has taken; `act` may be changed at any time."""

    port: int
    act: Act
    requests: list[Request] = field(default_factory=list)
    connections: int = 0
    acting: asyncio.Event = field(default_factory=asyncio.Event)

    def url(self, path: str = "/hook", host: str = "127.0.0.1", scheme: str = "http") -> str:
        """Its address under this name."""
        return f"{scheme}://{host}:{self.port}{path}"


def says(text: bytes) -> Act:
    """Answers with these bytes and closes."""

    async def act(_request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(text)
        await writer.drain()

    return act


def answers(status: int, body: bytes = b"", *headers: str) -> Act:
    """A proper answer."""
    head = [f"HTTP/1.1 {status} Status", f"Content-Length: {len(body)}", "Connection: close", *headers]
    return says("\r\n".join([*head, "", ""]).encode() + body)


async def silence(_request: Request, _writer: asyncio.StreamWriter) -> None:
    """Never answers; ends when the client has gone, or the server."""
    await asyncio.get_running_loop().create_future()


async def resets(_request: Request, writer: asyncio.StreamWriter) -> None:
    """Cuts the connection instead of answering."""
    writer.transport.abort()


@asynccontextmanager
async def open_hostile(
    act: Act, *, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1"
) -> AsyncIterator[HostileServer]:
    """A server on this address of this machine, and an end to whatever it is at on leaving."""
    running: Final[set[asyncio.Task[None]]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        running.add(task)
        server.connections += 1
        try:
            # A peer that goes away in the middle is what these tests are about.
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                request = await _request(reader)
                server.requests.append(request)
                server.acting.set()
                await server.act(request, writer)
        finally:
            running.discard(task)
            writer.close()

    listening = await asyncio.start_server(connected, host, 0, ssl=tls)
    server = HostileServer(listening.sockets[0].getsockname()[1], act)
    try:
        yield server
    finally:
        listening.close()
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def _request(reader: asyncio.StreamReader) -> Request:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    method, path, _ = head[0].split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
    return Request(method, path, headers, await reader.readexactly(int(headers.get("content-length", 0))))
