"""Who asks over HTTP and does not read the answer: little is held for them, and not for long."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final, cast

import pytest
from aiohttp import web
from aiohttp.typedefs import Handler

from gateway.sockets.engine.unread import TAKE_BYTES, TAKE_S, TCP_USER_TIMEOUT_MS, UNSENT_BYTES, Unread
from tests.gateway.sockets.build import WAIT_S, Gateway, open_client, open_gateway

LONG: Final = 4_000_000
ASK: Final = b"GET /long HTTP/1.1\r\nHost: x\r\n\r\n"


@web.middleware
async def long_answers(request: web.Request, handler: Handler) -> web.StreamResponse:
    return web.Response(body=bytes(LONG)) if request.path == "/long" else await handler(request)


@asynccontextmanager
async def open_line(gateway: Gateway) -> AsyncIterator[socket.socket]:
    """A connection with a small window, on which nothing is read by itself."""
    host, port = gateway.address.removeprefix("http://").split(":")
    with socket.socket() as line:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        line.setblocking(False)
        await asyncio.get_running_loop().sock_connect(line, (host, int(port)))
        yield line


async def taken(line: socket.socket, count: int) -> int:
    """Read so much, or what comes until the end; how much it was."""
    got = 0
    async with asyncio.timeout(WAIT_S):
        while got < count and (piece := await asyncio.get_running_loop().sock_recv(line, min(65_536, count - got))):
            got += len(piece)
    return got


def waiting(gateway: Gateway) -> int:
    """Bytes of answers that wait in the process."""
    return sum(line.transport.get_write_buffer_size() for line in gateway.lines() if line.transport is not None)


def options_of(transport: Any) -> tuple[int, int]:
    line = transport.get_extra_info("socket")
    return (
        line.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT),
        line.getsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT),
    )


class Full:
    """A transport in which bytes wait."""

    def __init__(self) -> None:
        self.waits, self.cut = 400, False

    def set_write_buffer_limits(self, high: int) -> None:
        """All of it waits."""

    def get_extra_info(self, _name: str) -> None:
        return None

    def get_write_buffer_size(self) -> int:
        return self.waits

    def abort(self) -> None:
        self.cut = True


async def test_who_does_not_read_is_cut_and_nothing_is_left() -> None:
    async with open_gateway(layers=[long_answers]) as gateway, open_line(gateway) as line:
        await asyncio.get_running_loop().sock_sendall(line, ASK * 6)
        await gateway.wait_until(lambda: len(gateway.server.eio.unread) == 1)
        assert 0 < waiting(gateway) <= LONG + 1_000, "one answer, not six"
        await gateway.pass_time(TAKE_S - 1)
        assert gateway.server.statistics().cut == {}
        await gateway.pass_time(2)
        assert gateway.server.statistics().cut == {"unread": 1}
        await gateway.wait_until(lambda: not gateway.lines())
        assert len(gateway.server.eio.unread) == 0
        with pytest.raises(ConnectionResetError):
            await taken(line, LONG)


async def test_so_is_who_reads_a_little_now_and_then() -> None:
    async with open_gateway(layers=[long_answers]) as gateway, open_line(gateway) as line:
        await asyncio.get_running_loop().sock_sendall(line, ASK)
        await gateway.wait_until(lambda: len(gateway.server.eio.unread) == 1)
        for _ in range(3):
            await gateway.pass_time(TAKE_S / 3)
            await taken(line, 100)
        await gateway.pass_time(1)
        assert gateway.server.statistics().cut == {"unread": 1}


async def test_a_line_that_was_closed_with_unread_bytes_is_cut_as_well() -> None:
    async with open_gateway(layers=[long_answers]) as gateway, open_line(gateway) as line:
        await asyncio.get_running_loop().sock_sendall(line, ASK)
        await gateway.wait_until(lambda: len(gateway.server.eio.unread) == 1)
        (handler,) = gateway.lines()
        handler.force_close()
        await gateway.pass_time(TAKE_S + 1)
        assert gateway.server.statistics().cut == {"unread": 1}
        await gateway.wait_until(lambda: not gateway.lines())


async def test_who_is_only_slow_gets_everything() -> None:
    async with open_gateway(layers=[long_answers]) as gateway, open_line(gateway) as line:
        await asyncio.get_running_loop().sock_sendall(line, ASK)
        await gateway.wait_until(lambda: len(gateway.server.eio.unread) == 1)
        got = 0
        for _ in range(5):
            before = waiting(gateway)
            while before - waiting(gateway) < TAKE_BYTES:
                got += await taken(line, 4_096)
            await gateway.pass_time(TAKE_S - 1)
        assert gateway.server.statistics().cut == {}
        assert await taken(line, LONG - got) == LONG - got
        await gateway.wait_until(lambda: len(gateway.server.eio.unread) == 0)
        await gateway.pass_time(2 * TAKE_S)
        assert gateway.server.statistics().cut == {}


async def test_what_comes_on_top_of_what_waits_is_counted_from_there() -> None:
    async with open_gateway() as gateway:
        engine, transport = gateway.server.eio, Full()
        Unread(engine, cast(asyncio.Transport, transport)).begins()
        transport.waits += 256_000  # a file, behind the head of its answer
        await gateway.pass_time(TAKE_S + 1)
        transport.waits -= TAKE_BYTES
        await gateway.pass_time(TAKE_S + 1)
        assert not transport.cut
        await gateway.pass_time(TAKE_S + 1)
        assert transport.cut
        assert engine.cut == {"unread": 1}


async def test_the_kernel_holds_little_for_any_connection() -> None:
    tuned = (TCP_USER_TIMEOUT_MS, UNSENT_BYTES)
    async with open_gateway(layers=[long_answers]) as gateway, open_line(gateway) as line:
        await asyncio.get_running_loop().sock_sendall(line, ASK)
        await gateway.wait_until(lambda: len(gateway.lines()) == 1)
        assert options_of(gateway.lines()[0].transport) == tuned


@pytest.mark.parametrize("door", [True, False])
async def test_nor_for_a_websocket_whichever_way_it_came(door: bool) -> None:
    async with open_gateway(door=door) as gateway, open_client(gateway):
        line: Any = gateway.link().line
        assert options_of(line._transport) == (TCP_USER_TIMEOUT_MS, UNSENT_BYTES)
