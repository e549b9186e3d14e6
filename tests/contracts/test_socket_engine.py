"""What gateway/sockets/engine leans on inside aiohttp, one test per name.

None of it is a documented interface. When one of these tests fails after an upgrade, its text says what no longer holds
and what in gateway/sockets/engine rests on it.
"""

import asyncio
import inspect

import pytest
from aiohttp import web
from aiohttp._websocket import helpers
from aiohttp.helpers import NO_EXTENSIONS
from aiohttp.test_utils import TestServer

from gateway.sockets.engine.takeover import Taken, take_over

MASK = b"\x37\xfa\x21\x3d"


def test_aiohttp_unmasks_a_bytearray_in_place() -> None:
    for size in (*range(20), 125, 126, 1000, 65_537):
        plain = bytes(at % 251 for at in range(size))
        data = bytearray(byte ^ MASK[at % 4] for at, byte in enumerate(plain))
        answer: object = helpers.websocket_mask(MASK, data)
        assert answer is None, (
            "websocket_mask answers something: engine/frames.py takes the unmasked bytes from its argument"
        )
        assert data == plain, (
            "websocket_mask no longer unmasks its second argument in place: engine/frames.py reads noise"
        )


def test_aiohttp_unmasks_in_c() -> None:
    if NO_EXTENSIONS:
        pytest.skip("aiohttp was told to do without its C parts (AIOHTTP_NO_EXTENSIONS)")
    assert not inspect.isfunction(helpers.websocket_mask), (
        "websocket_mask is Python here: unmasking in engine/frames.py costs several times as much; look for a wheel of aiohttp "
        "with its C parts"
    )


async def test_a_request_lets_its_transport_go() -> None:
    """What takeover.py does, step by step, on a real request."""
    seen: dict[str, object] = {}

    class Ours(asyncio.Protocol):
        def data_received(self, data: bytes) -> None:
            seen["data"] = data

        def connection_lost(self, exc: Exception | None) -> None:
            seen["lost"] = True

    async def handler(request: web.Request) -> web.StreamResponse:
        theirs = request.protocol
        assert theirs.transport is request.transport, "the transport stands elsewhere"
        assert theirs._message_tail == b"early", (
            "bytes behind an upgrade request are kept elsewhere: they would be lost"
        )
        taken = take_over(request, Ours())
        assert taken is not None
        transport, rest = taken
        transport.write(b"ours")
        seen.update(rest=rest, theirs=theirs, transport=transport)
        return Taken()

    app = web.Application()
    app.router.add_get("/", handler)
    async with TestServer(app) as server:
        reader, writer = await asyncio.open_connection(server.host, server.port)
        upgrade = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
        writer.write(upgrade + b"early")
        assert await reader.readexactly(4) == b"ours", "aiohttp wrote something of its own to a transport that is taken"
        writer.write(b"late")
        async with asyncio.timeout(5):
            while "data" not in seen:
                await asyncio.sleep(0.001)
        assert (seen["rest"], seen["data"]) == (b"early", b"late")
        theirs = seen["theirs"]
        assert isinstance(theirs, web.RequestHandler)
        assert theirs._task_handler is None, "its task goes on for as long as the connection lives"
        assert theirs._parser is None, "its parser is kept for as long as the connection lives"
        assert theirs._keepalive_handle is None or theirs._keepalive_handle.cancelled(), "its timer still runs"
        assert server.runner is not None
        assert server.runner.server is not None
        async with asyncio.timeout(5):
            while server.runner.server.connections:
                await asyncio.sleep(0.001)
        transport = seen["transport"]
        assert isinstance(transport, asyncio.Transport)
        assert not transport.is_closing(), "aiohttp closed a transport that is taken"
        writer.close()
        async with asyncio.timeout(5):
            while "lost" not in seen:
                await asyncio.sleep(0.001)
