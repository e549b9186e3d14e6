"""What the HTTP providers for tests have in common: a server of aiohttp that counts, and breaks answers on order."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from aiohttp import web

from tests.support.providers.authority import authority
from tests.support.providers.faults import Fault, Faults

GRACE_S: Final = 0.1


class HttpProvider:
    """`taken`: messages by our id. `asked`: messages that arrived."""

    def __init__(self) -> None:
        self.faults: Final = Faults()
        self.taken: Final[Counter[str]] = Counter()
        self.asked = 0
        self.url = ""
        self.port = 0
        self.over: Final = asyncio.Event()
        self._transports: Final[set[asyncio.Transport | None]] = set()

    @property
    def connections(self) -> int:
        """Connections over which somebody asked."""
        return len(self._transports)

    def note(self, request: web.Request) -> None:
        """Count the connection of a request."""
        self._transports.add(request.transport)

    async def break_off(self, request: web.Request, fault: Fault | None) -> web.StreamResponse | None:
        """What hang, hang_up and cut are in HTTP, with what is left to return then; None for all others."""
        match fault:
            case Fault("hang"):
                await self.over.wait()
                return aborted(request)
            case Fault("hang_up"):
                return aborted(request)
            case Fault("cut"):
                response = web.StreamResponse(status=fault.status or 200, headers={"Content-Length": "500"})
                await response.prepare(request)
                await response.write(b'{"name": "proj')
                aborted(request)
                return response
        return None


def aborted(request: web.Request) -> web.Response:
    """Reset the connection; the answer goes nowhere."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


def retry_headers(fault: Fault) -> dict[str, str]:
    """The header Retry-After, if it was ordered."""
    return {"Retry-After": fault.retry_after} if fault.retry_after is not None else {}


@asynccontextmanager
async def serving(provider: HttpProvider, app: web.Application, *, port: int, tls: bool) -> AsyncIterator[None]:
    """Listen while inside."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=GRACE_S, handle_signals=False)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port, ssl_context=authority().server() if tls else None)
    await site.start()
    assert runner.addresses
    provider.port = runner.addresses[0][1]
    provider.url = f"http{'s' if tls else ''}://localhost:{provider.port}"
    try:
        yield
    finally:
        provider.over.set()
        await runner.cleanup()
