"""Engine.IO and Socket.IO by hand: HTTP requests and WebSocket messages, nothing answered or skipped by itself."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, Self
from urllib.parse import urlencode, urlsplit

import aiohttp
from multidict import CIMultiDictProxy

from tests.conformance.server import WAIT_S

SEPARATOR: Final = "\x1e"


@dataclass(frozen=True)
class Answer:
    """What the server said to one HTTP request."""

    status: int
    body: bytes
    headers: CIMultiDictProxy[str]

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def packets(self) -> list[str]:
        """The packets of a poll; it is asserted to have gone well."""
        assert self.status == 200, (self.status, self.text)
        return self.text.split(SEPARATOR)

    @property
    def code(self) -> int:
        """The number of a refusal, which comes with an explanation for people."""
        assert self.headers["Content-Type"].startswith("application/json"), self.headers["Content-Type"]
        refusal = json.loads(self.body)
        assert isinstance(refusal["message"], str)
        assert refusal["message"]
        return int(refusal["code"])


@asynccontextmanager
async def open_http() -> AsyncIterator[aiohttp.ClientSession]:
    """Connections are not shared with the next test, and bodies stay as they came."""
    async with aiohttp.ClientSession(auto_decompress=False) as http:
        yield http


def address(url: str, **query: str | None) -> str:
    """`url` with the parameters of a good polling request, and these; None leaves one out."""
    good = {"EIO": "4", "transport": "polling", **query}
    return f"{url}?{urlencode({name: value for name, value in good.items() if value is not None})}"


async def ask(http: aiohttp.ClientSession, method: str, url: str, **options: Any) -> Answer:
    async with asyncio.timeout(WAIT_S), http.request(method, url, **options) as response:
        return Answer(response.status, await response.read(), response.headers)


async def ask_by_hand(url: str, head: str, early: bytes = b"", late: bytes = b"") -> bytes:
    """Send the head of a request as it stands and the `early` part of its body; give the first line of the answer, which
    must come before the `late` part is sent."""
    parts = urlsplit(url)
    async with asyncio.timeout(WAIT_S):
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        try:
            path = f"{parts.path}?{parts.query}"
            writer.write(f"POST {path} HTTP/1.1\r\nHost: {parts.netloc}\r\n{head}\r\n\r\n".encode() + early)
            status = await reader.readuntil(b"\r\n")
            writer.write(late)
            await writer.drain()
            return status
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):  # refused before it was read to its end
                await writer.wait_closed()


class Polling:
    """One long-polling client."""

    def __init__(self, http: aiohttp.ClientSession, url: str) -> None:
        self.http = http
        self.url = url
        self.sid = ""

    async def open(self) -> Self:
        """Shake hands. The answer holds the open packet and nothing else."""
        (packet,) = (await ask(self.http, "GET", address(self.url))).packets
        assert packet[0] == "0", packet
        self.sid = json.loads(packet[1:])["sid"]
        return self

    async def poll(self) -> Answer:
        return await ask(self.http, "GET", address(self.url, sid=self.sid))

    async def post(self, body: str | bytes) -> Answer:
        return await ask(self.http, "POST", address(self.url, sid=self.sid), data=body)

    async def send(self, body: str | bytes) -> None:
        """Post what must be taken."""
        answer = await self.post(body)
        assert (answer.status, answer.text) == (200, "ok")

    async def receive(self) -> list[str]:
        """The packets of one poll."""
        return (await self.poll()).packets

    async def farewell(self) -> list[str]:
        """Poll until the server has said that it is over, with a close packet or a refusal; what came before that, noops
        aside."""
        before: list[str] = []
        async with asyncio.timeout(WAIT_S):
            while (answer := await self.poll()).status == 200:
                before += [packet for packet in answer.packets if packet != "6"]
                if before[-1:] == ["1"]:
                    return before[:-1]
        assert answer.status == 400, (answer.status, answer.text)
        return before

    async def is_gone(self) -> bool:
        """Whether the server has forgotten us, which it says with a 400 to posts and polls alike. Changes nothing on a
        server that has not: the packet posted is a pong."""
        posted = await self.post("3")
        if posted.status == 200:
            return False
        for answer in (posted, await self.poll()):
            assert (answer.status, answer.code) == (400, 1), (answer.status, answer.text)
        return True


class Socket:
    """One WebSocket."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket

    @property
    def close_code(self) -> int:
        """As RFC 6455 tells it: 1005 when the server named none, 1006 when it did not say goodbye."""
        code = self._socket.close_code
        assert code is not None, "not closed"
        return code or 1005

    async def send(self, packet: str | bytes) -> None:
        async with asyncio.timeout(WAIT_S):
            if isinstance(packet, str):
                await self._socket.send_str(packet)
            else:
                await self._socket.send_bytes(packet)

    async def receive(self) -> str | bytes:
        """The next packet, which must come."""
        message = await self._socket.receive(timeout=WAIT_S)
        assert message.type in {aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY}, (message, self._socket.close_code)
        data: str | bytes = message.data
        return data

    async def until_closed(self) -> list[str | bytes]:
        """Wait for the server to close; the packets that came before."""
        before: list[str | bytes] = []
        async with asyncio.timeout(WAIT_S):
            async for message in self._socket:
                assert message.type in {aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY}, message
                before.append(message.data)
        return before


@asynccontextmanager
async def open_socket(http: aiohttp.ClientSession, url: str, **query: str | None) -> AsyncIterator[Socket]:
    """A WebSocket that the server has accepted; nothing has been read from it."""
    async with asyncio.timeout(WAIT_S):
        socket = await http.ws_connect(address(url, **{"transport": "websocket", **query}), max_msg_size=0)
    async with socket:
        yield Socket(socket)


@asynccontextmanager
async def open_line(http: aiohttp.ClientSession, url: str) -> AsyncIterator[Socket]:
    """A WebSocket on which Engine.IO is open: messages may go both ways."""
    async with open_socket(http, url) as socket:
        opened = await socket.receive()
        assert isinstance(opened, str)
        assert opened.startswith('0{"sid":"')
        yield socket


@asynccontextmanager
async def open_member(http: aiohttp.ClientSession, url: str) -> AsyncIterator[Socket]:
    """A WebSocket whose client has joined the namespace / of the chat."""
    async with open_line(http, url) as socket:
        await join(socket)
        yield socket


async def join(socket: Socket, namespace: str = "/") -> None:
    """CONNECT without a payload, and what the chat says to it."""
    prefix = "" if namespace == "/" else f"{namespace},"
    await socket.send(f"40{prefix}")
    welcome = await socket.receive()
    assert isinstance(welcome, str)
    assert welcome.startswith(f'40{prefix}{{"sid":"'), welcome
    assert await socket.receive() == f'42{prefix}["auth",{{}}]'


async def refused(http: aiohttp.ClientSession, url: str, **query: str | None) -> int:
    """A WebSocket that must not come to life: the HTTP status of the refusal, or 101 when it was accepted and closed
    without a word."""
    try:
        async with open_socket(http, url, **query) as socket:
            assert await socket.until_closed() == []
            return 101
    except aiohttp.WSServerHandshakeError as refusal:
        return refusal.status
