"""What is not even HTTP. These tests also tell when aiohttp has moved one of the names that server.py leans on."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from typing import Final

import msgspec
import pytest
from aiohttp import ClientSession, web
from structlog.testing import capture_logs

from gateway.app import build_app
from gateway.http.bodies import FORM
from gateway.http.router import Nothing
from gateway.http.routes import ROUTES
from gateway.http.server import GatewayRunner
from realtime.sparingly import LINES_BURST, LINES_PER_SECOND
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


async def test_what_cannot_be_parsed_does_not_fill_the_log(port: int) -> None:
    with capture_logs() as lines:
        for _ in range(50):
            status, _, _ = await answer_to(port, b"hello\r\n\r\n")
            assert status == 400
        await asyncio.sleep(1 / LINES_PER_SECOND)
        await answer_to(port, b"hello\r\n\r\n")
    told = [line for line in lines if line["event"] == "http.malformed"]
    assert LINES_BURST <= len(told) <= LINES_BURST + 5
    assert sum(line.get("left_out", 0) for line in told) + len(told) == 51, "and none of them is lost"


ODD: Final = (b"%00", b"%ED%A0%80", b"%FF", b"\xff", b"\xc3\xa9", b"\xed\xa0\x80", b"caf\xe9")
"""What may stand in an address, and is no text, or not one that Postgres keeps."""
TARGETS: Final = (
    *(b"/v1/challenges?", b"/v1/offers?", b"/v1/notifications?", b"/v1/schedule?", b"/v1/staff/audit?act="),
    *(b"/v1/tasks?kind=", b"/v1/on-demand?", b"/v1/operations/queues/", b"/v1/operations/jobs/", b"/v1/me/phone/"),
    *(b"/", b"/assets/", b"/v1/", b"/v1/me?", b"/unsubscribe?token=", b"/sign-in/return/", b"/sign-in/return/x?code="),
    *(b"/emergency-contact?token=", b"/emergency-contact/phone?token=", b"/oauth/authorize?client_id=", b"/livez?"),
    *(b"/socket.io/", b"/socket.io/?EIO=4&sid=", b"/.well-known/", b"/docs?", b"/metrics?"),
)


@pytest.mark.parametrize("odd", ODD)
async def test_no_byte_of_an_address_is_a_fault_of_ours(api: Api, port: int, odd: bytes) -> None:
    token = (await api.token("coach")).encode()
    for target in TARGETS:
        for method in (b"GET", b"POST", b"DELETE"):
            head = b" HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 0\r\nAuthorization: Bearer " + token
            status, _, body = await answer_to(port, method + b" " + target + odd + head + b"\r\n\r\n")
            assert status < 500, (method, target, body)


async def test_every_parameter_of_every_route_refuses_what_postgres_does_not_keep(api: Api) -> None:
    token = await api.token("coach")
    seen = 0
    for route in ROUTES:
        names = [field.name for field in msgspec.structs.fields(route.query)]
        parts = re.findall(r"\{(\w+)\}", route.url)
        url = re.sub(r"\{\w+\}", "%00", route.url)
        for query, path in [(f"?{name}=a%00", f"query.{name}") for name in names] + ([("", "path")] if parts else []):
            if query and parts:
                continue
            answer = await api.call(route.method, url + query, {} if route.body is not Nothing else None, token=token)
            assert answer.status < 500, (route.name, query, await answer.text())
            if answer.status == 422:
                assert (await answer.json())["path"].startswith(path), (route.name, query)
                seen += 1
    assert seen > 20


@pytest.mark.parametrize("odd", [b"\xff", b"\xed\xa0\x80", b"\xc3\xa9"])
@pytest.mark.parametrize(
    "header",
    [
        b"Authorization: Bearer ",
        b"Authorization: Bearer plk_",
        b"Authorization: Basic ",
        b"Origin: https://",
        b"Accept-Language: ",
        b"X-Request-Id: ",
        b"X-Forwarded-For: ",
        b"Content-Type: ",
    ],
)
async def test_no_byte_of_a_header_is_a_fault_of_ours(port: int, header: bytes, odd: bytes) -> None:
    for target in (b"/v1/me", b"/v1/logins/refresh", b"/oauth/token", b"/unsubscribe", b"/v1/rate-limits"):
        for method in (b"GET", b"POST", b"OPTIONS"):
            kind = b"" if header.startswith(b"Content") else b"Content-Type: application/x-www-form-urlencoded\r\n"
            head = b" HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 0\r\n" + kind + header + odd
            status, _, body = await answer_to(port, method + b" " + target + head + b"\r\n\r\n")
            assert status < 500, (method, target, body)


async def test_no_byte_of_a_cookie_is_a_fault_of_ours(port: int) -> None:
    origin = f"127.0.0.1:{port}".encode()
    head = b"\r\n".join(
        (
            b"POST /v1/logins/refresh HTTP/1.1",
            b"Host: " + origin,
            b"Origin: http://" + origin,
            b"X-Paceline-Page: athlete",
            b"Content-Type: application/json",
            b"Content-Length: 2",
            b"Connection: close",
            b"Cookie: paceline-athlete-" + str(port).encode() + b'="\xff"',
        )
    )
    status, _, body = await answer_to(port, head + b"\r\n\r\n{}")
    assert 400 <= status < 500, body


@pytest.mark.parametrize("odd", ["%00", "%FF", "%ED%A0%80"])
async def test_no_sign_in_a_form_is_a_fault_of_ours(api: Api, odd: str) -> None:
    app = "00000000-0000-7000-8000-000000000000"
    names = ("client_id", "client_secret", "grant_type", "code", "refresh_token", "token", "scope", "redirect_uri")
    for target in ("/oauth/token", "/oauth/revoke", "/oauth/introspect", "/sign-in/return/x", "/v1/callbacks/sms"):
        for name in names:
            said = {"client_id": app, "client_secret": "x", "grant_type": "refresh_token", "token": "x", name: odd}
            form = "&".join(f"{key}={value}" for key, value in said.items()).encode()
            answer = await api.call("POST", target, form, headers={"Content-Type": FORM})
            assert answer.status < 500, (target, name, await answer.text())


async def test_the_next_client_is_served(port: int) -> None:
    await answer_to(port, b"hello\r\n\r\n")
    async with ClientSession() as client, client.get(f"http://127.0.0.1:{port}/livez") as response:
        assert response.status == 200
