"""What is not even HTTP. These tests also tell when aiohttp has moved one of the names that server.py leans on."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
from aiohttp import ClientSession, web

from gateway.app import build_app
from gateway.http.server import GatewayRunner
from tests.gateway.http.conftest import Api


@pytest.fixture
async def port(api: Api) -> AsyncIterator[int]:
    runner = GatewayRunner(build_app(api.deps), shutdown_timeout=1.0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield runner.addresses[0][1]
    await runner.cleanup()


async def answer_to(port: int, sent: bytes) -> tuple[int, dict[str, str], bytes]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(sent)
        async with asyncio.timeout(10):
            raw = await reader.read()
    finally:
        writer.close()
    head, _, body = raw.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    return int(first.split()[1]), dict(line.split(": ", 1) for line in lines), body


@pytest.mark.parametrize(
    "sent",
    [
        b"hello\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64) + b"\r\n\r\n",
        b"BREW / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nBad Header: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n",
        b"POST /v1/logins HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
    ],
)
async def test_what_cannot_be_parsed_is_a_problem_that_repeats_nothing(port: int, sent: bytes) -> None:
    status, headers, body = await answer_to(port, sent)
    problem = json.loads(body)
    assert 400 <= status < 500
    assert headers["Content-Type"].startswith("application/problem+json")
    assert (problem["status"], problem["code"]) == (status, "bad_shape")
    assert problem["trace_id"] == headers["X-Request-Id"]
    assert "aiohttp" not in str(headers)
    assert b"aaaa" not in body


async def test_the_next_client_is_served(port: int) -> None:
    await answer_to(port, b"hello\r\n\r\n")
    async with ClientSession() as client, client.get(f"http://127.0.0.1:{port}/livez") as response:
        assert response.status == 200
