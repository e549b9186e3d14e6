"""permessage-deflate, for those who switch it on: no memory between messages, and a frame is compressed once for all."""

import asyncio
import json
import zlib
from typing import Any

import aiohttp
import pytest

from realtime.codec import event_frame
from realtime.frame import Frame
from realtime.position import NOWHERE
from realtime.wire import ClassEndedView
from tests.gateway.sockets.build import ROOM, WAIT_S, Gateway, open_client, open_gateway
from tests.gateway.sockets.engine.test_door import open_wire, request

LONG = event_frame("class.ended", ClassEndedView(ROOM, "ABCD", "x" * 4_000, "Kim", "over", 0, 1, position=NOWHERE))
OFFER = "permessage-deflate; client_max_window_bits"


async def extension(gateway: Gateway, offer: str) -> str:
    """What is agreed to."""
    async with open_wire(gateway) as wire:
        head = await wire.ask(request(Sec_WebSocket_Extensions=offer))
    lines = [line for line in head.split("\r\n") if line.startswith("Sec-WebSocket-Extensions: ")]
    return lines[0].partition(": ")[2] if lines else ""


@pytest.mark.parametrize("door", [True, False])
@pytest.mark.parametrize(
    ("offer", "agreed"),
    [
        ("permessage-deflate", True),
        (OFFER, True),
        ("permessage-deflate; server_max_window_bits=10, permessage-deflate", True),
        ("permessage-deflate; server_max_window_bits=10", False),
        ("x-webkit-deflate-frame", False),
    ],
)
async def test_it_is_agreed_to_without_context_takeover(offer: str, agreed: bool, door: bool) -> None:
    wanted = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
    async with open_gateway(compression=True, door=door) as gateway:
        assert await extension(gateway, offer) == (wanted if agreed else "")


async def test_nobody_gets_it_unless_it_is_switched_on() -> None:
    async with open_gateway() as gateway:
        assert await extension(gateway, OFFER) == ""


async def test_messages_go_both_ways() -> None:
    async with open_gateway(compression=True) as gateway, open_client(gateway) as client:
        assert client.socket.compress
        await client.connect()
        # aiohttp's client compresses what it sends.
        assert "ok" in await client.call("board.get", {"class_id": str(ROOM)})
        gateway.connection().push(LONG)
        assert (await client.received())[1]["title"] == "x" * 4_000
        assert gateway.server.statistics().bytes_out < LONG.size


async def test_a_broadcast_is_compressed_once_and_only_for_those_who_want_it(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[bytes] = []
    stock = zlib.compressobj

    def counting(*arguments: Any, **options: Any) -> Any:
        made.append(b"")
        return stock(*arguments, **options)

    async with (
        open_gateway(compression=True) as gateway,
        open_client(gateway) as one,
        open_client(gateway) as two,
        open_wire(gateway) as plain,
    ):
        await one.connect("1")
        await two.connect("2")
        await plain.ask(request())
        await plain.frame()
        connect = b'40/live,{"token":"3"}'
        plain.writer.write(bytes((0x81, 0x80 | len(connect), 0, 0, 0, 0)) + connect)
        assert (await plain.frame()).startswith(b"40/live,")
        for connection in gateway.node.hub.connections():
            gateway.node.join(connection, "room")
        frame = Frame(LONG.event, LONG.delivery, LONG.ws, LONG.head)
        monkeypatch.setattr("realtime.frame.zlib.compressobj", counting)
        assert gateway.node.broadcast("room", frame) == 3
        for client in (one, two):
            assert (await client.received())[1]["title"] == "x" * 4_000
        assert await plain.frame() == LONG.wire
        assert len(made) == 1


async def test_a_bomb_closes_the_line_and_costs_nothing() -> None:
    async with open_gateway(compression=True) as gateway, aiohttp.ClientSession() as http:
        url = f"{gateway.address}/socket.io/?EIO=4&transport=websocket"
        async with http.ws_connect(url, compress=15, max_msg_size=0) as socket:
            await socket.receive(timeout=WAIT_S)
            await socket.send_str("4" + json.dumps(["x" * 5_000_000]))
            async with asyncio.timeout(WAIT_S):
                async for _ in socket:
                    pass
            assert socket.close_code == 1009
        assert gateway.server.statistics().malformed == 1
