"""The door in front of the web server: plain handshakes go straight in, everything else is aiohttp's, byte for byte."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.gateway.sockets.build import WAIT_S, Gateway, open_client, open_gateway

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
HANDSHAKE = {
    "Host": "x",
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": KEY,
}
TARGET = "/socket.io/?EIO=4&transport=websocket"


def request(target: str = TARGET, *, method: str = "GET", version: str = "HTTP/1.1", **headers: str) -> bytes:
    """A handshake; headers named with underscores are added, replaced, or with "" left out."""
    named = HANDSHAKE | {name.replace("_", "-"): value for name, value in headers.items()}
    lines = [f"{name}: {value}" for name, value in named.items() if value]
    return "\r\n".join([f"{method} {target} {version}", *lines, "", ""]).encode()


class Wire:
    """A TCP connection, spoken by hand."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def ask(self, *pieces: bytes) -> str:
        """Send the pieces one by one; the head of the answer."""
        for piece in pieces:
            self.writer.write(piece)
            await self.writer.drain()
            await asyncio.sleep(0.005)
        async with asyncio.timeout(WAIT_S):
            return (await self.reader.readuntil(b"\r\n\r\n")).decode()

    async def frame(self) -> bytes:
        """The next frame's payload."""
        async with asyncio.timeout(WAIT_S):
            _, length = await self.reader.readexactly(2)
            if length == 126:
                length = int.from_bytes(await self.reader.readexactly(2))
            return await self.reader.readexactly(length)


@asynccontextmanager
async def open_wire(gateway: Gateway) -> AsyncIterator[Wire]:
    host, port = gateway.address.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        yield Wire(reader, writer)
    finally:
        writer.close()


async def let_in(gateway: Gateway) -> bool:
    """Whether the link there is came through the door: aiohttp has then never heard of its connection."""
    await gateway.wait_until(lambda: len(gateway.server.eio.links) == 1)
    return gateway.requests() == 0


@pytest.mark.parametrize("cuts", [[], [1], [20], [100], [3, 50, 120]])
async def test_a_plain_handshake_goes_straight_in_however_it_arrives(cuts: list[int]) -> None:
    whole = request()
    ends = [*cuts, len(whole)]
    pieces = [whole[begin:end] for begin, end in zip([0, *cuts], ends, strict=True)]
    async with open_gateway() as gateway, open_wire(gateway) as wire:
        head = await wire.ask(*pieces)
        assert head.startswith("HTTP/1.1 101 ")
        assert "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in head, "the example of RFC 6455, 1.3"
        assert (await wire.frame()).startswith(b'0{"sid":"')
        assert await let_in(gateway)


async def test_a_frame_behind_the_handshake_is_heard() -> None:
    connect = b'40/live,{"token":"1"}'
    frame = bytes((0x81, 0x80 | len(connect), 0, 0, 0, 0)) + connect
    async with open_gateway() as gateway, open_wire(gateway) as wire:
        await wire.ask(request() + frame)
        assert (await wire.frame()).startswith(b"0{")
        assert (await wire.frame()).startswith(b'40/live,{"sid"')


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        (request("/livez-not"), 404),
        (request("/socket.io/?EIO=4&transport=polling", Upgrade="", Connection=""), 200),
        (request("/socket.io/?EIO=3&transport=websocket"), 400),
        (request("/socket.io/?EIO=4&transport=websocket&sid=unknown"), 400),
        (request("/socket.io/?EIO=4&transport=websocket&transport=polling"), 101),
        (request("/socket.io/?EIO=4&transport=web%73ocket"), 101),
        (request(Sec_WebSocket_Key="short"), 400),
        (request(Sec_WebSocket_Version="8"), 400),
        (request(Upgrade="", Connection=""), 400),
        (request(method="POST", Content_Length="1") + b"x", 400),
        (request(Origin="http://evil.example"), 400),
        (request(version="HTTP/1.0"), 400),
        (request(Content_Length="0"), 101),
        (request(X_Long="y" * 9_000), 400),
        (request().replace(b"Host: x\r\n", b"Host: x\r\nHost: y\r\n"), 400),
        (request().replace(b"Host: x\r\n", b"Host: x\r\n folded\r\n"), 400),
        # Signs that could be shared out in many ways between a value and the space around it: looked at once, not once per way.
        (request(X_Wide=" " * 7_500 + "\x01"), 400),
        (request(X_Wide="y" + " " * 7_500 + "\x01"), 400),
        (b"\x16\x03\x01 not http\r\n\r\n", 400),
    ],
)
async def test_everything_else_is_aiohttps_with_the_bytes_that_have_come(asked: bytes, status: int) -> None:
    async with open_gateway() as gateway, open_gateway(door=False) as without:
        heads = []
        for one in (gateway, without):
            async with open_wire(one) as wire:
                heads.append(await wire.ask(asked[:30], asked[30:]))
        assert gateway.requests() == without.requests()
        assert [re.match(r"HTTP/1\.[01] (\d+)", head)[1] for head in heads] == [str(status)] * 2  # type: ignore[index]


async def test_a_keep_alive_connection_stays_aiohttps() -> None:
    poll = request("/socket.io/?EIO=4&transport=polling", Upgrade="", Connection="")
    async with open_gateway() as gateway, open_wire(gateway) as wire:
        for count in (1, 2):
            assert "200 OK" in await wire.ask(poll)
            await wire.reader.readuntil(b"}")
            assert gateway.requests() == count


async def test_who_is_to_come_again_hears_it_at_the_door_and_the_line_closes() -> None:
    async with open_gateway(handshakes_per_second=1.0) as gateway:
        async with open_client(gateway):
            pass
        async with open_wire(gateway) as wire:
            head = await wire.ask(request())
            assert head.startswith("HTTP/1.1 503 Service Unavailable\r\n")
            assert re.search(r"Retry-After: [1-5]\r\n", head)
            async with asyncio.timeout(WAIT_S):
                assert await wire.reader.read() == b"too many connections at once"
        assert gateway.requests() == 0
        assert gateway.server.statistics().refused == {"too_fast": 1}


async def test_more_than_a_number_of_silent_sockets_are_not_let_in() -> None:
    async with open_gateway(max_unauthenticated=1) as gateway, open_client(gateway) as client:
        async with open_wire(gateway) as wire:
            assert "503" in await wire.ask(request())
        await client.connect()
        async with open_wire(gateway) as wire:
            assert "101" in await wire.ask(request())


async def test_a_request_that_dribbles_in_is_cut() -> None:
    async with open_gateway() as gateway, open_wire(gateway) as wire:
        for byte in request()[:9]:
            wire.writer.write(bytes((byte,)))
            await gateway.pass_time(1)
        await gateway.pass_time(2)
        async with asyncio.timeout(WAIT_S):
            assert await wire.reader.read() == b""
        assert gateway.server.statistics().cut == {"no_request": 1}


async def test_somebody_who_says_nothing_is_cut_and_who_leaves_is_forgotten() -> None:
    async with open_gateway() as gateway:
        async with open_wire(gateway):
            await gateway.wait_until(lambda: len(gateway.server.eio.doors) == 1)
        await gateway.wait_until(lambda: len(gateway.server.eio.doors) == 0)
        async with open_wire(gateway) as wire:
            await gateway.wait_until(lambda: len(gateway.server.eio.doors) == 1)
            await gateway.pass_time(11)
            async with asyncio.timeout(WAIT_S):
                assert await wire.reader.read() == b""
