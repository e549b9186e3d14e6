"""Engine.IO over a WebSocket."""

import aiohttp
import pytest

from tests.conformance.client import address, open_line
from tests.conformance.server import MAX_PAYLOAD, Running


@pytest.mark.parametrize(
    "packet",
    ["4hello", "4", "4Föhn ❤ 🚲", "4 \x1e not a separator here", b"\x01\x02\x03\x04", b"", b"4hello"],
)
async def test_a_message_comes_back_as_what_it_was(
    echo: Running, http: aiohttp.ClientSession, packet: str | bytes
) -> None:
    async with open_line(http, echo.url) as socket:
        await socket.send(packet)
        assert await socket.receive() == packet


async def test_messages_come_back_in_order(echo: Running, http: aiohttp.ClientSession) -> None:
    sent: list[str | bytes] = [f"4{n}" if n % 3 else bytes([n % 256]) * n for n in range(500)]
    async with open_line(http, echo.url) as socket:
        for packet in sent:
            await socket.send(packet)
        assert [await socket.receive() for _ in sent] == sent


@pytest.mark.parametrize("packet", ["abc", "", "7", "x4", "0{}", "bAQIDBA=="])
async def test_a_packet_that_is_none_closes_the_websocket(
    either: Running, http: aiohttp.ClientSession, packet: str
) -> None:
    async with open_line(http, either.url) as socket:
        await socket.send(packet)
        assert await socket.until_closed() == []
    await either.wait_until(lambda: not either.engine.links)


async def test_a_client_that_closes_is_closed(either: Running, http: aiohttp.ClientSession) -> None:
    async with open_line(http, either.url) as socket:
        await socket.send("1")
        assert await socket.until_closed() == []
        assert socket.close_code in {1000, 1005}, "nothing was wrong"
    await either.wait_until(lambda: not either.engine.links)


async def test_what_was_sent_before_the_close_is_still_handled(echo: Running, http: aiohttp.ClientSession) -> None:
    handled: list[bytes] = []
    echo.engine.on_message = lambda _session, data, _binary: handled.append(data)
    async with open_line(http, echo.url) as socket:
        for packet in ("4one", b"two", "1", "4too late"):
            await socket.send(packet)
        assert await socket.until_closed() == []
    assert handled == [b"one", b"two"]


@pytest.mark.parametrize("text", [True, False], ids=["text", "binary"])
async def test_a_message_as_large_as_announced_is_taken_and_a_larger_one_is_not(
    echo: Running, http: aiohttp.ClientSession, text: bool
) -> None:
    async with open_line(http, echo.url) as socket:
        largest: str | bytes = "4" + "x" * (MAX_PAYLOAD - 1) if text else bytes(MAX_PAYLOAD)
        await socket.send(largest)
        assert await socket.receive() == largest
        await socket.send(largest + largest[-1:])  # type: ignore[operator]
        assert await socket.until_closed() == []
        assert socket.close_code == 1009


async def test_compression_is_not_agreed_to_though_offered(either: Running, http: aiohttp.ClientSession) -> None:
    async with http.ws_connect(address(either.url, transport="websocket"), compress=15) as socket:
        assert socket.compress == 0
        assert (await socket.receive_str(timeout=5)).startswith("0{")


async def test_a_subprotocol_is_not_agreed_to(echo: Running, http: aiohttp.ClientSession) -> None:
    url = address(echo.url, transport="websocket")
    async with http.ws_connect(url, headers={"Sec-WebSocket-Protocol": "chat"}) as socket:
        assert socket.protocol is None
