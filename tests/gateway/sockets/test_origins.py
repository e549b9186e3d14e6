"""Pages of strangers do not get a socket, whatever headers come along (ASVS 4.4.2, 4.1.3: cross-site WebSocket hijacking)."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import aiohttp
import pytest

from services.kernel.clock import SystemClock
from tests.gateway.sockets.build import Gateway, open_gateway
from tests.gateway.sockets.test_behind_proxy import open_haproxy

COOKIE: Final = {"Cookie": "__Host-paceline-coach=plr_stolen; io=x"}
STRANGERS: Final = (
    "https://evil.example",
    "null",
    "",
    "file://",
    "http://127.0.0.1",
    "http://127.0.0.1.evil.example",
    "http://evil.example#127.0.0.1",
    "http://{host}.evil.example",
    "http://evil.example/{host}",
    "http://{host}@evil.example",
    "chrome-extension://{host}",
)
CLAIMS: Final[tuple[dict[str, str], ...]] = (
    {},
    {"X-Forwarded-Host": "evil.example"},
    {"Forwarded": "host=evil.example;proto=https"},
    {"X-Original-Host": "evil.example", "X-Host": "evil.example", "X-HTTP-Host-Override": "evil.example"},
    {"X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "https", "X-Forwarded-Port": "443"},
)


@pytest.fixture(params=["directly", "through HAProxy"])
async def address(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[tuple[Gateway, str]]:
    """A gateway, and where it is reached. What our edge makes of such headers before is tests/deploy/test_edge.py; here the proxy
    passes all of them on."""
    async with AsyncExitStack() as stack:
        gateway = await stack.enter_async_context(open_gateway(SystemClock(), tag="gw1"))
        base = gateway.address
        if request.param != "directly":
            base = await stack.enter_async_context(open_haproxy(tmp_path, gateway, gateway))
        yield gateway, base


async def handshake(base: str, transport: str, headers: dict[str, str]) -> int:
    """The status of a handshake: 101 or 200 where the page got its socket."""
    url = f"{base}/socket.io/?EIO=4&transport={transport}"
    async with aiohttp.ClientSession() as http:
        if transport == "polling":
            async with http.get(url, headers=headers) as response:
                return response.status
        try:
            async with http.ws_connect(url, headers=headers):
                return 101
        except aiohttp.WSServerHandshakeError as refused:
            return refused.status


@pytest.mark.parametrize("transport", ["websocket", "polling"])
async def test_a_stranger_s_page_is_refused_with_whatever_it_claims(
    address: tuple[Gateway, str], transport: str
) -> None:
    """OWASP API8, ASVS 4.4.2 and 4.1.3: X-Forwarded-Host does not open the origin check; a cookie that comes along changes
    nothing."""
    gateway, base = address
    host = urlsplit(base).netloc
    for stranger in STRANGERS:
        for claims in CLAIMS if stranger == STRANGERS[0] else CLAIMS[:2]:
            status = await handshake(base, transport, {"Origin": stranger.format(host=host), **claims, **COOKIE})
            assert status == 400, (stranger, claims)
    assert not gateway.server.eio.links


@pytest.mark.parametrize("transport", ["websocket", "polling"])
async def test_our_own_page_and_an_app_without_an_origin_get_one(address: tuple[Gateway, str], transport: str) -> None:
    """Without this every refusal above might be one of something else."""
    _, base = address
    for headers in ({"Origin": base}, {}):
        assert await handshake(base, transport, headers) == (101 if transport == "websocket" else 200)


async def test_a_cookie_alone_is_nobody_s_right_to_a_socket() -> None:
    """ASVS 4.4.3, 4.4.4: without an Origin the handshake is an app's, and an app has a token to show."""
    async with open_gateway(SystemClock()) as gateway, aiohttp.ClientSession() as http:
        url = f"{gateway.address}/socket.io/?EIO=4&transport=websocket"
        async with http.ws_connect(url, headers=COOKIE) as socket:
            await socket.receive()
            await socket.send_str("40/live,{}")
            answer = await socket.receive()
            assert str(answer.data).startswith("44/live,")
            assert '"code":"not_authenticated"' in str(answer.data)


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("https://app.example.org", 101),
        ("https://APP.example.org", 101),
        ("http://app.example.org", 400),
        ("https://app.example.org:8443", 400),
        ("https://app.example.org.evil.example", 400),
        ("null", 400),
    ],
)
async def test_a_list_of_origins_is_taken_to_the_letter(origin: str, status: int) -> None:
    """ASVS 4.4.2: and our own address is not on it unless it is written there."""
    async with open_gateway(SystemClock(), allowed_origins=["https://app.example.org"]) as gateway:
        assert await handshake(gateway.address, "websocket", {"Origin": origin}) == status
        assert await handshake(gateway.address, "websocket", {"Origin": gateway.address}) == 400
