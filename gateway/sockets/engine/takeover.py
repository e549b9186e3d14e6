"""What leans on aiohttp's inside, and nothing else does: the transport is taken over after the request was read.

aiohttp parses the request and asks our handler. From then on its own WebSocket would keep a request, a parser, two
tasks, two queues and a timer for as long as the connection lives, which is most of what a connection costs. So the
protocol of the transport is exchanged for ours, aiohttp's is told that its connection is gone, and its handler gets
an answer that writes nothing.

Used of it: `Request.protocol` and its `_message_tail`; that `connection_lost` with no transport set releases
everything and closes nothing; that a response is asked for `prepare`, `write_eof`, `keep_alive`.
tests/contracts/test_socket_engine.py holds the installed version to that, and pyproject.toml pins its minor version.
"""

import asyncio

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter


class Taken(web.Response):
    """The answer to a request whose transport is somebody else's by now."""

    def __init__(self) -> None:
        super().__init__(status=101)
        self.force_close()

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Nothing is written."""
        return None

    async def write_eof(self, data: bytes = b"") -> None:
        """Nothing is written."""


def take_over(request: web.Request, protocol: asyncio.BaseProtocol) -> tuple[asyncio.Transport, bytes] | None:
    """Make `protocol` the one of this request's transport; the transport, and what had come in behind the request. None
    when the client is gone already."""
    theirs = request.protocol
    transport = theirs.transport
    if transport is None or transport.is_closing():
        return None
    rest = theirs._message_tail
    theirs._message_tail = b""
    transport.set_protocol(protocol)
    theirs.transport = None
    theirs.connection_lost(None)
    if theirs._reading_paused or theirs._buffer_paused:
        transport.resume_reading()
    return transport, rest
