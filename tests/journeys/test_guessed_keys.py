"""Whoever makes up keys pays for it with their address, over sockets as over HTTP: the database is asked about so many."""

import json
import secrets
from collections import Counter

import aiohttp

from services.limits.table import UNKNOWN_KEY
from tests.support.server import open_server

PER_SOCKET = 5
SOCKETS = 30


async def told(http: aiohttp.ClientSession, base_url: str, address: str, sockets: int) -> Counter[str]:
    """What so many sockets from an address are told that each show some keys which nobody has."""
    codes: Counter[str] = Counter()
    for _ in range(sockets):
        url, headers = f"{base_url}/socket.io/?EIO=4&transport=websocket", {"X-Forwarded-For": address}
        async with http.ws_connect(url, headers=headers) as socket:
            assert (await socket.receive_str()).startswith("0{")
            for _ in range(PER_SOCKET):
                await socket.send_str("40/live," + json.dumps({"token": f"plk_{secrets.token_urlsafe(32)}"}))
                refusal = await socket.receive_str(timeout=20)
                codes[json.loads(refusal.removeprefix("44/live,"))["data"]["code"]] += 1
    return codes


async def test_keys_that_are_made_up_are_asked_about_so_often_and_no_more() -> None:
    with open_server(PACELINE_TRUSTED_PROXIES="127.0.0.1") as server:
        async with aiohttp.ClientSession() as http:
            guesser = await told(http, server.base_url, "203.0.113.9", SOCKETS)
            assert guesser.keys() == {"not_authenticated", "rate_limited"}
            assert UNKNOWN_KEY.burst <= guesser["not_authenticated"] < SOCKETS * PER_SOCKET
            assert await told(http, server.base_url, "198.51.100.1", 1) == {"not_authenticated": PER_SOCKET}
