"""A network that can be broken: a TCP proxy in front of a port, which stops forwarding without closing anything.

That is what a phone in a tunnel looks like from the server's side, or a laptop whose lid was closed: no FIN, no reset, just
nothing any more, in either direction, and on top of it acknowledgements from a kernel that still takes everything.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Final, cast


class Proxy:
    """A proxy on `port`. Made by `open_proxy`."""

    def __init__(self, upstream: int) -> None:
        self.port = 0
        self.reaped = asyncio.Event()
        self._upstream: Final = upstream
        self._dark = False
        self._ends: set[_End] = set()

    def blackhole(self) -> None:
        """Forward nothing more, close nothing."""
        self._dark = True

    @property
    def open_upstream(self) -> int:
        """How many lines to the server are open."""
        return sum(not end.to_client for end in self._ends)

    async def serve(self) -> asyncio.Server:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: _End(self, to_client=True), "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        return server

    def passes(self) -> bool:
        return not self._dark


class _End(asyncio.Protocol):
    """One of the two lines of a connection through the proxy."""

    def __init__(self, proxy: Proxy, *, to_client: bool, other: "_End | None" = None) -> None:
        self.to_client: Final = to_client
        self._proxy = proxy
        self._other = other
        self._early = bytearray()
        self.transport: asyncio.Transport | None = None
        self._dialling: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is one, without saying so
        self._proxy._ends.add(self)
        if self.to_client:
            self._dialling = asyncio.get_running_loop().create_task(self._dial())
        elif self._other is not None:
            self._other._other = self
            self.transport.write(bytes(self._other._early))

    async def _dial(self) -> None:
        loop = asyncio.get_running_loop()
        await loop.create_connection(
            lambda: _End(self._proxy, to_client=False, other=self), "127.0.0.1", self._proxy._upstream
        )

    def data_received(self, data: bytes) -> None:
        if not self._proxy.passes():
            return
        if self._other is None or self._other.transport is None:
            self._early += data
        else:
            self._other.transport.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._proxy._ends.discard(self)
        if not self.to_client and not self._proxy.open_upstream:
            self._proxy.reaped.set()
        if self._other is not None and self._other.transport is not None and self._proxy.passes():
            self._other.transport.close()

    def cut(self) -> None:
        if self.transport is not None:
            self.transport.abort()


@contextlib.asynccontextmanager
async def open_proxy(upstream: int) -> AsyncIterator[Proxy]:
    """A proxy in front of a port of the loopback interface; `reaped` is set when the server has closed its last line."""
    proxy = Proxy(upstream)
    server = await proxy.serve()
    try:
        yield proxy
    finally:
        server.close()
        for end in tuple(proxy._ends):
            end.cut()
        await asyncio.sleep(0)
        await server.wait_closed()
