"""A well-behaved client of the live namespace over a raw socket, and the neighbour who must notice nothing."""

import contextlib
import itertools
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, Self

from tests.support.raw_socket import CLOSE, TEXT, RawSocket, connected, text
from tests.torture.target import ROOM

_accounts = itertools.count(1)
_tokens: list[Callable[[], str]] = [lambda: str(next(_accounts))]

BOARD_GET = json.dumps({"class_id": str(ROOM)})


def fresh_token() -> str:
    """The token of an account that nobody else uses: limits per account are not shared by accident."""
    return _tokens[-1]()


@contextlib.contextmanager
def tokens_from(source: Callable[[], str]) -> Iterator[None]:
    """Inside, `fresh_token` is this: for a gateway with real accounts."""
    _tokens.append(source)
    try:
        yield
    finally:
        _tokens.pop()


class LiveClient:
    """Socket.IO over one WebSocket: pings are answered whenever something is awaited."""

    def __init__(self, raw: RawSocket) -> None:
        self.raw = raw
        self.events: list[tuple[str, Any]] = []
        self._next_id = 0

    async def connect(self, token: str | None = None) -> Self:
        """CONNECT to the namespace. Raises AssertionError when it is refused."""
        await self.send("40/live," + json.dumps({"token": token or fresh_token()}))
        answer = await self.packet()
        assert answer.startswith('40/live,{"sid":'), answer
        return self

    async def send(self, packet: str) -> None:
        await self.raw.send(text(packet))

    async def event(self, name: str, payload: str) -> int:
        """Send an event with this payload, JSON as it is; the id of its acknowledgement."""
        ack_id, self._next_id = self._next_id, self._next_id + 1
        await self.send(f"42/live,{ack_id}[{json.dumps(name)},{payload}]")
        return ack_id

    async def call(self, name: str, payload: str) -> dict[str, Any]:
        """Send an event and wait for its acknowledgement; events that come before it are kept in `events`."""
        return await self.ack(await self.event(name, payload))

    async def ack(self, ack_id: int) -> dict[str, Any]:
        """Wait for an acknowledgement."""
        while True:
            packet = await self.packet()
            if packet.startswith("42/live,["):
                name, payload, *_ = json.loads(packet.removeprefix("42/live,"))
                self.events.append((name, payload))
                continue
            head, bracket, rest = packet.partition("[")
            assert head == f"43/live,{ack_id}", packet[:200]
            (answer,) = json.loads(bracket + rest)
            assert isinstance(answer, dict), packet[:200]
            return answer

    async def packet(self) -> str:
        """The next packet that is not a ping. Raises AssertionError when the server closes."""
        while True:
            frame = await self.raw.frame()
            assert frame.opcode != CLOSE, f"closed: {frame.payload!r}"
            assert frame.opcode == TEXT, frame
            packet = frame.payload.decode()
            if packet != "2":
                return packet
            await self.send("3")

    async def served(self) -> float:
        """Ask for the board and get it; how long it took, seconds. Raises AssertionError when it is not given."""
        began = time.monotonic()
        answer = await self.call("board.get", BOARD_GET)
        assert "ok" in answer, answer
        return time.monotonic() - began


@contextlib.asynccontextmanager
async def open_client(
    port: int, token: str | None = None, *, receive_buffer: int | None = None
) -> AsyncIterator[LiveClient]:
    """A connected client."""
    async with await connected(port, receive_buffer=receive_buffer) as raw:
        yield await LiveClient(await raw.engine()).connect(token)


@contextlib.asynccontextmanager
async def undisturbed(port: int) -> AsyncIterator[LiveClient]:
    """A neighbour who is connected before, and is served on the same connection after."""
    async with open_client(port) as neighbour:
        await neighbour.served()
        yield neighbour
        await neighbour.served()
        neighbour_heard = [name for name, _ in neighbour.events]
        assert "bye" not in neighbour_heard, neighbour_heard
