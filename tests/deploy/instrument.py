"""What stands where gateways would when an edge is tried: it writes down what reached it, and answers as it is told."""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import aiohttp
from aiohttp import web

SHUTDOWN_S: Final = 0.1
HANDSHAKE: Final = "/socket.io/?EIO=4&transport=polling"
SPOOFED: Final = {
    "X-Forwarded-For": "6.6.6.6",
    "X-Forwarded-Host": "evil.example",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Port": "1",
    "X-Forwarded-Prefix": "/evil",
    "Forwarded": "for=6.6.6.6;host=evil.example",
    "X-Real-IP": "6.6.6.6",
    "X-Original-URL": "/metrics",
    "X-Original-Host": "evil.example",
    "True-Client-IP": "6.6.6.6",
    "CF-Connecting-IP": "6.6.6.6",
}


class Instrument:
    """Stands where a gateway would. `ready` is what /readyz says; `refuses` the status it answers everything else with."""

    def __init__(self, tag: str) -> None:
        self.tag = tag
        self.port = 0
        self.ready = True
        self.refuses: int | None = None
        self.seen: list[web.BaseRequest] = []

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.path == "/readyz":
            return web.Response(status=200 if self.ready else 503)
        self.seen.append(request)
        if self.refuses is not None:
            return web.Response(status=self.refuses, headers={"Retry-After": "7"})
        pairs = [(name.lower(), value) for name, value in request.headers.items()]
        return web.json_response({"tag": self.tag, "headers": pairs})


@asynccontextmanager
async def listening(instrument: Instrument) -> AsyncIterator[Instrument]:
    runner = web.ServerRunner(web.Server(instrument.answer), shutdown_timeout=SHUTDOWN_S)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    instrument.port = runner.addresses[0][1]
    try:
        yield instrument
    finally:
        await runner.cleanup()


async def headers_at_gateway(base_url: str, sent: dict[str, str], path: str = "/board") -> dict[str, str]:
    """What a gateway is told when a client says `sent`. Fails when a header comes twice."""
    async with aiohttp.ClientSession(base_url) as http, http.get(path, headers=sent) as answer:
        pairs: list[tuple[str, str]] = (await answer.json())["headers"]
    twice = [name for name, count in Counter(name for name, _ in pairs).items() if count > 1]
    assert not twice, f"came more than once: {twice}"
    return dict(pairs)


async def who_answers(base_url: str, path: str) -> str:
    async with aiohttp.ClientSession(base_url) as http, http.get(path) as answer:
        return str((await answer.json())["tag"])
