"""Two gateways that offer long-polling behind a real HAProxy, which finds the one that has a link by the link's id alone."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import pytest
import socketio  # type: ignore[import-untyped]

from services.kernel.clock import SystemClock
from tests.gateway.sockets.build import ROOM, Gateway, open_gateway
from tests.support.server import free_port
from tests.support.system_parts import require

CONFIGURATION = """
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    timeout tunnel 1h

frontend everybody
    bind 127.0.0.1:{port}
    default_backend gateways

backend gateways
    balance roundrobin
    use-server gw1 if {{ url_param(sid) -m beg gw1. }}
    use-server gw2 if {{ url_param(sid) -m beg gw2. }}
    server gw1 {first}
    server gw2 {second}
"""


@contextlib.asynccontextmanager
async def open_haproxy(folder: Path, *gateways: Gateway) -> AsyncIterator[str]:
    """HAProxy in front of two gateways; its address."""
    program, port = require("haproxy"), free_port()
    first, second = (urlsplit(one.address).netloc for one in gateways)
    configuration = folder / "haproxy.cfg"
    configuration.write_text(CONFIGURATION.format(port=port, first=first, second=second))
    process = await asyncio.create_subprocess_exec(
        program, "-db", "-f", configuration, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        async with asyncio.timeout(10):
            while True:
                with contextlib.suppress(OSError):
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                    writer.close()
                    break
                await asyncio.sleep(0.02)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        await process.wait()


async def test_every_request_of_a_poller_reaches_its_gateway_over_whatever_connection(tmp_path: Path) -> None:
    async with (
        open_gateway(SystemClock(), tag="gw1") as one,
        open_gateway(SystemClock(), tag="gw2") as two,
        open_haproxy(tmp_path, one, two) as address,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as http,
    ):
        base = f"{address}/socket.io/?EIO=4&transport=polling"
        for number in range(8):
            async with http.get(base) as response:
                sid = re.search(r'"sid":"([^"]+)"', await response.text())[1]  # type: ignore[index]
            async with http.post(f"{base}&sid={sid}", data=f'40/live,{{"token":"{number}"}}') as response:
                assert response.status == 200
            async with http.get(f"{base}&sid={sid}") as response:
                assert (await response.text()).startswith('40/live,{"sid"')
        assert len(one.node.hub) == len(two.node.hub) == 4


@pytest.mark.parametrize("transports", [["polling"], ["websocket"], ["polling", "websocket"]])
async def test_official_clients_come_through_it_on_either_transport(tmp_path: Path, transports: list[str]) -> None:
    async with (
        open_gateway(SystemClock(), tag="gw1") as one,
        open_gateway(SystemClock(), tag="gw2") as two,
        open_haproxy(tmp_path, one, two) as address,
    ):
        for number in range(4):
            client = socketio.AsyncClient(reconnection=False)
            await client.connect(address, transports=transports, namespaces=["/live"], auth={"token": str(number)})
            answer = await client.call("board.get", {"class_id": str(ROOM)}, namespace="/live", timeout=10)
            assert "ok" in answer
            assert client.transport() == transports[-1]
            await client.disconnect()
        assert len(one.calls.opened) == len(two.calls.opened) == 2
