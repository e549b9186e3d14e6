"""The official client rides in a class for longer than a token lives: its samples, its room and its board never notice."""

import asyncio
import dataclasses
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
import pytest
import socketio  # type: ignore[import-untyped]

from gateway.http.server import GatewayRunner
from gateway.sockets.renewal import WARN_S
from paceline.program import Program
from paceline.serving import listen
from paceline.settings import Settings
from paceline.wiring import Parts, open_parts, start_loops
from realtime.wire import NAMESPACE
from services.kernel.clock import ManualClock
from services.kernel.ids import Uuid7Ids
from tests.support.world import World

WAIT_S = 60.0
MINUTE_S = 60
T = TypeVar("T")
PASSWORD = "violet anchor moss kettle"


class Hall:
    """The whole gateway on a clock that jumps; tokens live for a minute."""

    def __init__(self, parts: Parts, clock: ManualClock, http: aiohttp.ClientSession) -> None:
        self.parts = parts
        self.clock = clock
        self.http = http

    async def post(self, url: str, body: dict[str, Any]) -> dict[str, Any]:
        async with self.http.post(f"{self.parts.base_url}{url}", json=body) as answer:
            told: dict[str, Any] = await answer.json()
            assert answer.status < 300, told
            return told

    async def until(self, condition: Callable[[], bool]) -> None:
        """Let the loop run until something is true; no time passes."""
        async with asyncio.timeout(WAIT_S):
            while not condition():
                await asyncio.sleep(0.002)

    async def pass_time(self, seconds: float) -> None:
        """Let time pass, second by second, every ping answered before the next."""
        end = self.clock.monotonic() + seconds
        while (left := end - self.clock.monotonic()) > 0:
            await self.clock.advance(min(left, 1.0))
            await self.until(lambda: all(link.pinged_at is None for link in self.parts.sockets.eio.links.values()))

    async def in_time(self, waiting: "asyncio.Task[T]") -> T:
        """What comes of it, while time passes no faster than outside: a slow machine outlives no token by waiting."""
        async with asyncio.timeout(WAIT_S):
            while not waiting.done():
                await asyncio.wait({waiting}, timeout=0.05)
                await self.clock.advance(0.05)
        return waiting.result()


@pytest.fixture
async def hall(fresh_dsn: str, tmp_path: Path) -> AsyncIterator[Hall]:
    clock, program = ManualClock(), Program()
    settings = dataclasses.replace(
        Settings(), data_dir=tmp_path, port=0, roles=("gateway",), demo="off", access_token_minutes=1
    )
    async with AsyncExitStack() as resources:
        parts = await resources.enter_async_context(
            open_parts(
                settings, database_url=fresh_dsn, redis_url=None, clock=clock, ids=Uuid7Ids(clock), program=program
            )
        )
        start_loops(parts, program)

        async def end() -> None:
            ending = asyncio.create_task(program.end())
            while not ending.done():
                await clock.advance(0.05)
                await asyncio.sleep(0.002)

        resources.push_async_callback(end)
        runner = GatewayRunner(parts.app, parts.sockets.eio.behind_door, shutdown_timeout=1.0)
        await runner.setup()
        resources.push_async_callback(runner.cleanup)
        listening = resources.enter_context(listen("127.0.0.1", 0))
        await aiohttp.web.SockSite(runner, listening).start()
        parts.port = listening.getsockname()[1]
        http = await resources.enter_async_context(aiohttp.ClientSession())
        yield Hall(parts, clock, http)


@asynccontextmanager
async def connected(hall: Hall, token: str) -> AsyncIterator[Any]:
    client = socketio.AsyncClient(reconnection=False, http_session=hall.http)
    await client.connect(
        hall.parts.base_url,
        namespaces=[NAMESPACE],
        transports=["websocket"],
        auth={"token": token},
        wait_timeout=WAIT_S,
    )
    try:
        yield client
    finally:
        await client.disconnect()


async def test_samples_and_the_room_go_on_across_a_renewal(hall: Hall) -> None:
    coach = await World(hall.parts.database, hall.clock).account("Kim", "member", "coach")
    live = await World(hall.parts.database, hall.clock).live_class(coach)
    logged_in = await hall.post(
        "/v1/accounts", {"email": "ada@example.org", "password": PASSWORD, "name": "Ada", "role": "member"}
    )
    async with connected(hall, logged_in["access_token"]) as client:
        heard = asyncio.Queue[Any]()
        gone = list[str]()
        client.on("token.expiring", heard.put_nowait, namespace=NAMESPACE)
        client.on("disconnect", lambda *reason: gone.append(str(reason)), namespace=NAMESPACE)

        async def call(event: str, payload: dict[str, Any]) -> dict[str, Any]:
            asked = asyncio.create_task(client.call(event, payload, namespace=NAMESPACE, timeout=WAIT_S))
            answer: dict[str, Any] = await hall.in_time(asked)
            return answer

        stream = str(uuid.UUID(int=5))
        assert "ok" in await call("room.join", {"code": live.code, "role": "athlete"})
        opened = {"stream": stream, "class_code": live.code, "started_at_ms": hall.clock.wall_ms()}
        assert "ok" in await call("stream.open", opened)
        seq = 0
        for _ in range(2):
            await hall.pass_time(MINUTE_S - WARN_S + 2)
            async with asyncio.timeout(WAIT_S):
                assert (await heard.get())["expires_in_ms"] <= WARN_S * 1_000
            logged_in = await hall.post("/v1/logins/refresh", {"refresh_token": logged_in["refresh_token"]})
            for first in (True, False):
                if not first:
                    answer = await call("token.renew", {"token": logged_in["access_token"]})
                    assert answer["ok"]["expires_in_ms"] > WARN_S * 1_000
                stored = await call("stream.samples", {"stream": stream, "seq": seq, "samples": [[seq * 1_000, 120]]})
                seq += 1
                assert stored["ok"]["next_seq"] == seq
        # Well beyond the end of the token that it came with.
        board = await call("board.get", {"class_id": str(live.id)})
        assert "ok" in board
        assert gone == []
        assert hall.parts.renewals.renewed == 2
        assert len(hall.parts.node.hub) == 1


async def test_who_does_not_renew_is_sent_away_and_comes_back_with_a_new_token(hall: Hall) -> None:
    logged_in = await hall.post(
        "/v1/accounts", {"email": "ada@example.org", "password": PASSWORD, "name": "Ada", "role": "member"}
    )
    async with connected(hall, logged_in["access_token"]) as client:
        byes = asyncio.Queue[Any]()
        client.on("bye", byes.put_nowait, namespace=NAMESPACE)
        await hall.pass_time(MINUTE_S + 2)
        async with asyncio.timeout(WAIT_S):
            bye = await byes.get()
        assert bye["code"] == 3200
        assert bye["come_back_ms"] is not None
    logged_in = await hall.post("/v1/logins/refresh", {"refresh_token": logged_in["refresh_token"]})
    async with connected(hall, logged_in["access_token"]) as client:
        assert client.connected
