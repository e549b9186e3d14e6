"""The whole program and receivers of its webhooks: the two that the documentation shows, and one that kills the program."""

import asyncio
import contextlib
import os
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import aiohttp
import asyncpg
import pytest

from tests.support.hostile import Request, answers, open_hostile
from tests.support.server import ROOT, Server, free_port, open_server
from tests.support.system_parts import require
from tests.support.task_buses import eventually
from tests.support.webhooks import ids_of, verify

PAGE: Final = ROOT / "docs" / "howto" / "receive-webhooks.md"
WAIT_S: Final = 30.0
LOOPBACK: Final = {"PACELINE_OUTBOUND_ALLOW": "127.0.0.0/8"}


class Owner:
    """Somebody with an account on a running program."""

    def __init__(self, http: aiohttp.ClientSession, server: Server, token: str) -> None:
        self._http: Final = http
        self._server: Final = server
        self._headers: Final = {"Authorization": f"Bearer {token}"}

    async def ask(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        """One request that must succeed; its reply."""
        url = f"{self._server.base_url}/v1/{path}"
        async with self._http.request(method, url, json=body, headers=self._headers) as answer:
            assert answer.status < 300, await answer.text()
            reply: dict[str, Any] = await answer.json()
            return reply

    async def delivery(self, endpoint: str, delivery: str) -> dict[str, Any]:
        """One delivery as the program tells it."""
        return await self.ask("GET", f"webhook-endpoints/{endpoint}/deliveries/{delivery}")


@asynccontextmanager
async def coach_of(server: Server) -> AsyncIterator[Owner]:
    """A coach, registered now."""
    async with aiohttp.ClientSession() as http:
        body = {"email": "mira@example.org", "password": "a sentence nobody guesses", "name": "Mira", "role": "coach"}
        async with http.post(f"{server.base_url}/v1/accounts", json=body) as answer:
            token = (await answer.json())["access_token"]
        yield Owner(http, server, token)


def shown(language: str) -> str:
    """The receiver that the page shows in a language."""
    (code,) = re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(), re.DOTALL)
    return str(code)


@asynccontextmanager
async def receiver(language: str, folder: Path, secret: str, port: int) -> AsyncIterator[asyncio.StreamReader]:
    """The page's receiver at work; what it prints."""
    program, ending = (sys.executable, "py") if language == "python" else (str(require("node")), "mjs")
    file = folder / f"receiver.{ending}"
    file.write_text(shown(language))
    process = await asyncio.create_subprocess_exec(
        program,
        str(file),
        env={**os.environ, "WEBHOOK_SECRET": secret, "PORT": str(port)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        await eventually(lambda: _listens(port))
        assert process.stdout is not None
        yield process.stdout
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


@pytest.mark.parametrize("language", ["python", "js"])
async def test_the_receivers_of_the_documentation_take_what_is_ours_once_and_nothing_else(
    language: str, tmp_path: Path
) -> None:
    with open_server(**LOOPBACK) as server:
        port = free_port()
        url = f"http://127.0.0.1:{port}/hooks"
        async with coach_of(server) as mira:
            made = await mira.ask("POST", "webhook-endpoints", {"url": url, "events": ["class.ended"]})
            endpoint = made["endpoint"]["id"]
            async with receiver(language, tmp_path, made["secret"], port) as printed:
                first = await mira.ask("POST", f"webhook-endpoints/{endpoint}/test")
                await delivered(mira, endpoint, first["id"], calls=1)
                await mira.ask("POST", f"webhook-endpoints/{endpoint}/deliveries/{first['id']}/replay")
                await delivered(mira, endpoint, first["id"], calls=2)
                await mira.ask("POST", f"webhook-endpoints/{endpoint}/rotate", {})
                live = await mira.ask("POST", "classes", {"title": "Thursday hills"})
                await mira.ask("POST", f"classes/{live['id']}/end")
                async with asyncio.timeout(WAIT_S):
                    lines = [(await printed.readline()).decode() for _ in range(2)]
                assert [line.split()[0] for line in lines] == ["test.ping", "class.ended"], "each once"
                assert live["id"] in lines[1]
                async with aiohttp.ClientSession() as stranger:
                    forged = {
                        "webhook-id": "x",
                        "webhook-timestamp": "1790000000",
                        "webhook-signature": "v1,AAAA v2,BBBB",
                    }
                    async with stranger.post(url, data=b"{}", headers=forged) as answer:
                        assert answer.status == 401
                    async with stranger.post(url, data=b"{}") as answer:
                        assert answer.status == 401


async def delivered(owner: Owner, endpoint: str, delivery: str, *, calls: int) -> None:
    """Return when a delivery was taken after so many calls in all."""

    async def look() -> bool:
        found = await owner.delivery(endpoint, delivery)
        return (found["delivery"]["state"], len(found["attempts"])) == ("delivered", calls)

    await eventually(look)


async def test_a_program_that_is_killed_while_a_receiver_holds_its_call_calls_again_under_the_same_id(
    fresh_dsn: str,
) -> None:
    with open_server(DATABASE_URL=fresh_dsn, **LOOPBACK) as server:
        killed = asyncio.Event()

        async def kill(_request: Request, _writer: asyncio.StreamWriter) -> None:
            await asyncio.to_thread(server.kill)
            killed.set()

        async with open_hostile(kill) as stranger, coach_of(server) as mira:
            made = await mira.ask("POST", "webhook-endpoints", {"url": stranger.url(), "events": ["class.ended"]})
            live = await mira.ask("POST", "classes", {"title": "Thursday hills"})
            await mira.ask("POST", f"classes/{live['id']}/end")
            async with asyncio.timeout(WAIT_S):
                await killed.wait()
            assert len(stranger.requests) == 1
            stranger.act = answers(200)
            await asyncio.to_thread(server.start)
            await the_lease_runs_out(fresh_dsn)
            await eventually(lambda: len(stranger.requests) >= 2)
            first, second = stranger.requests
            assert ids_of([first]) == ids_of([second])
            assert first.body == second.body
            for request in (first, second):
                verify(made["secret"], request, float(request.headers["webhook-timestamp"]))
            endpoint, (webhook_id,) = made["endpoint"]["id"], ids_of([second])

            async def taken() -> bool:
                found = await mira.delivery(endpoint, webhook_id)
                return (found["delivery"]["state"], found["delivery"]["attempts"]) == ("delivered", 2)

            await eventually(taken)
            assert len(stranger.requests) == 2


async def the_lease_runs_out(dsn: str) -> None:
    """Let the forty-five seconds pass that a turn is left to the worker that has died."""
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute("UPDATE webhook_endpoints SET leased_until = now() WHERE leased_until IS NOT NULL")
    finally:
        await connection.close()
