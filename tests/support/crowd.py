"""Many authenticated clients over raw sockets, who note exactly how each of them ended."""

import asyncio
import contextlib
import json
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final, Self

import aiohttp

from tests.support.raw_socket import CLOSE, TEXT, RawSocket, client_frame, connected, text

AT_A_TIME: Final = 50
"""Clients that connect side by side."""


@dataclass(frozen=True)
class Ended:
    """How a client ended: close `code` (1006: the line ended without a word), when to `come_back_ms` as `bye` said, `at` the loop's
    time."""

    code: int
    come_back_ms: int | None
    at: float


class Member:
    """One client. Pings are answered while it is listened to."""

    def __init__(self, raw: RawSocket) -> None:
        self.raw: Final = raw
        self.sid = ""
        self.heard: list[str] = []

    async def connect(self, token: str) -> Self:
        """Open the link and authenticate. Raises AssertionError when it is refused."""
        await self.raw.engine()
        self.sid = str(self.raw.opened["sid"])
        return await self.authenticate(token)

    async def authenticate(self, token: str) -> Self:
        """CONNECT on a link that is open. Raises AssertionError when it is refused."""
        await self.raw.send(text("40/live," + json.dumps({"token": token})))
        answer = (await self.raw.frame()).payload.decode()
        assert answer.startswith('40/live,{"sid":'), answer
        return self

    async def ended(self, within_s: float) -> Ended:
        """Listen until the line ends. Raises `TimeoutError`."""
        loop = asyncio.get_running_loop()
        code, come_back_ms = 1006, None
        async with asyncio.timeout(within_s):
            with contextlib.suppress(EOFError, ConnectionError):
                while True:
                    frame = await self.raw._frame()
                    if frame.opcode == CLOSE:
                        code = int.from_bytes(frame.payload[:2])
                        await self.raw.send(client_frame(CLOSE, frame.payload))
                    elif frame.opcode == TEXT and frame.payload == b"2":
                        await self.raw.send(text("3"))
                    else:
                        packet = frame.payload.decode()
                        self.heard.append(packet)
                        if packet.startswith('42/live,["bye",'):
                            come_back_ms = json.loads(packet.removeprefix("42/live,"))[1].get("come_back_ms")
        return Ended(code, come_back_ms, loop.time())


@contextlib.asynccontextmanager
async def open_crowd(port: int, token: str, count: int) -> AsyncIterator[list[Member]]:
    """So many clients of one account (allow it so many)."""
    turn = asyncio.Semaphore(AT_A_TIME)
    lines: list[RawSocket] = []

    async def one() -> Member:
        async with turn:
            raw = await connected(port)
            lines.append(raw)
            return await Member(raw).connect(token)

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one()) for _ in range(count)]
        yield [task.result() for task in tasks]
    finally:
        for raw in lines:
            raw.shut()


async def new_token(base_url: str) -> str:
    """The access token of a new account."""
    body = {
        "email": f"{secrets.token_hex(6)}@example.org",
        "password": "a sentence nobody guesses",
        "name": "Mia",
        "role": "coach",
    }
    async with aiohttp.ClientSession() as http, http.post(f"{base_url}/v1/accounts", json=body) as answer:
        told = await answer.json()
        assert answer.status == 201, told
        return str(told["access_token"])
