"""How a line opens, and who is turned away: the same with and without Socket.IO on top."""

import json

import aiohttp
import pytest

from tests.conformance.client import Polling, address, ask, open_line, open_socket, refused
from tests.conformance.server import MAX_PAYLOAD, Running, open_echo

# The codes that engine.io has given its refusals since its first version; clients show them.
UNKNOWN_TRANSPORT, UNKNOWN_SID, BAD_METHOD, BAD_REQUEST, FORBIDDEN, UNSUPPORTED_PROTOCOL = range(6)
NEVER_GIVEN = "AAAAAAAAAAAAAAAAAAAA"


async def test_polling_opens_with_exactly_the_handshake_of_the_protocol(
    either: Running, http: aiohttp.ClientSession
) -> None:
    answer = await ask(http, "GET", address(either.url))
    assert answer.status == 200
    assert answer.text[0] == "0"
    handshake = json.loads(answer.text[1:])
    assert list(handshake) == ["sid", "upgrades", "pingInterval", "pingTimeout", "maxPayload"]
    assert isinstance(handshake.pop("sid"), str)
    assert handshake == {
        "upgrades": ["websocket"],
        "pingInterval": 300,
        "pingTimeout": 200,
        "maxPayload": MAX_PAYLOAD,
    }


async def test_a_websocket_opens_with_the_same_handshake_and_nothing_to_upgrade_to(
    either: Running, http: aiohttp.ClientSession
) -> None:
    async with open_socket(http, either.url) as socket:
        packet = await socket.receive()
    assert isinstance(packet, str)
    assert packet[0] == "0"
    handshake = json.loads(packet[1:])
    assert isinstance(handshake.pop("sid"), str)
    assert handshake == {"upgrades": [], "pingInterval": 300, "pingTimeout": 200, "maxPayload": MAX_PAYLOAD}


@pytest.mark.parametrize(("interval", "timeout", "announced"), [(0.3, 0.2, (300, 200)), (25.0, 20, (25000, 20000))])
async def test_the_ping_times_are_announced_in_whole_milliseconds(
    http: aiohttp.ClientSession, interval: float, timeout: float, announced: tuple[int, int]
) -> None:
    async with open_echo(ping_interval=interval, ping_timeout=timeout) as echo:
        text = (await ask(http, "GET", address(echo.url))).text
    handshake = json.loads(text[1:])
    assert (handshake["pingInterval"], handshake["pingTimeout"]) == announced
    assert f'"pingInterval":{announced[0]},' in text, "a JavaScript client reads 300.0 as well, a typed one does not"


async def test_every_line_gets_a_sid_of_its_own_that_fits_into_a_query(
    echo: Running, http: aiohttp.ClientSession
) -> None:
    sids = {(await Polling(http, echo.url).open()).sid for _ in range(50)}
    assert len(sids) == 50
    assert all(sid.replace("-", "").replace("_", "").isalnum() and len(sid) >= 20 for sid in sids)


@pytest.mark.parametrize("version", [None, "", "abc", "5", "-4", "4.0"])
async def test_polling_without_version_4_is_refused(
    either: Running, http: aiohttp.ClientSession, version: str | None
) -> None:
    answer = await ask(http, "GET", address(either.url, EIO=version))
    assert (answer.status, answer.code) == (400, UNSUPPORTED_PROTOCOL)


async def test_version_3_is_refused_with_a_message_that_names_what_to_do(
    either: Running, http: aiohttp.ClientSession
) -> None:
    answer = await ask(http, "GET", address(either.url, EIO="3"))
    assert (answer.status, answer.code) == (400, UNSUPPORTED_PROTOCOL)
    message = json.loads(answer.body)["message"].lower()
    assert "socket.io" in message, "the user of an old client knows that name, not Engine.IO's"
    assert "4" in message


@pytest.mark.parametrize("transport", [None, "", "abc", "POLLING", "flashsocket"])
async def test_a_transport_that_is_missing_or_unknown_is_refused(
    either: Running, http: aiohttp.ClientSession, transport: str | None
) -> None:
    answer = await ask(http, "GET", address(either.url, transport=transport))
    assert (answer.status, answer.code) == (400, UNKNOWN_TRANSPORT)


@pytest.mark.parametrize("version", [None, "abc", "3"])
async def test_a_websocket_without_version_4_does_not_live(
    either: Running, http: aiohttp.ClientSession, version: str | None
) -> None:
    assert await refused(http, either.url, EIO=version) in {400, 101}
    assert not either.engine.links


@pytest.mark.parametrize("transport", [None, "abc", "polling"])
async def test_a_websocket_that_does_not_say_so_does_not_live(
    either: Running, http: aiohttp.ClientSession, transport: str | None
) -> None:
    assert await refused(http, either.url, transport=transport) in {400, 101}
    assert not either.engine.links


async def test_the_websocket_transport_without_an_upgrade_request_is_refused(
    either: Running, http: aiohttp.ClientSession
) -> None:
    answer = await ask(http, "GET", address(either.url, transport="websocket"))
    assert answer.status == 400
    assert answer.code in {UNKNOWN_TRANSPORT, BAD_REQUEST}
    assert not either.engine.links


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_sid_that_was_never_given_is_refused(either: Running, http: aiohttp.ClientSession, method: str) -> None:
    answer = await ask(http, method, address(either.url, sid=NEVER_GIVEN), data="4x" if method == "POST" else None)
    assert (answer.status, answer.code) == (400, UNKNOWN_SID)


async def test_a_websocket_with_a_sid_that_was_never_given_does_not_live(
    either: Running, http: aiohttp.ClientSession
) -> None:
    assert await refused(http, either.url, sid=NEVER_GIVEN) in {400, 101}
    assert not either.engine.links


async def test_the_sid_of_a_websocket_is_none_for_polling(either: Running, http: aiohttp.ClientSession) -> None:
    async with open_socket(http, either.url) as socket:
        packet = await socket.receive()
        assert isinstance(packet, str)
        sid = json.loads(packet[1:])["sid"]
        for method in ("GET", "POST"):
            answer = await ask(http, method, address(either.url, sid=sid), data="41" if method == "POST" else None)
            assert answer.status == 400, "whoever learns a sid may not speak for the WebSocket"
        await either.settle()
        assert list(either.engine.links) == [sid]


async def test_polling_without_a_sid_starts_with_a_get(either: Running, http: aiohttp.ClientSession) -> None:
    answer = await ask(http, "POST", address(either.url), data="4hello")
    assert (answer.status, answer.code) == (400, BAD_METHOD)


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "HEAD"])
@pytest.mark.parametrize("known", [True, False], ids=["of-a-line", "of-nobody"])
async def test_other_methods_are_refused(
    either: Running, http: aiohttp.ClientSession, method: str, known: bool
) -> None:
    line = await Polling(http, either.url).open()
    answer = await ask(http, method, address(either.url, sid=line.sid if known else None))
    assert answer.status == 400
    if method == "HEAD":
        assert answer.body == b""
    else:
        assert answer.code in {BAD_METHOD, BAD_REQUEST}
    await line.send("3")  # the line has not noticed


async def test_jsonp_is_refused_by_its_name(either: Running, http: aiohttp.ClientSession) -> None:
    answer = await ask(http, "GET", address(either.url, j="0"))
    assert (answer.status, answer.code) == (400, BAD_REQUEST)
    assert "JSONP" in json.loads(answer.body)["message"]
    assert not either.engine.links


async def test_with_polling_switched_off_only_websockets_open(http: aiohttp.ClientSession) -> None:
    async with open_echo(transports=("websocket",)) as echo:
        answer = await ask(http, "GET", address(echo.url))
        assert (answer.status, answer.code) == (400, UNKNOWN_TRANSPORT)
        async with open_line(http, echo.url) as socket:
            await socket.send("4hello")
            assert await socket.receive() == "4hello"


async def test_with_websockets_switched_off_polling_offers_no_upgrade(http: aiohttp.ClientSession) -> None:
    async with open_echo(transports=("polling",)) as echo:
        handshake = json.loads((await ask(http, "GET", address(echo.url))).text[1:])
        assert handshake["upgrades"] == []
        assert await refused(http, echo.url) in {400, 101}
        assert await refused(http, echo.url, sid=handshake["sid"]) in {400, 101}
        line = Polling(http, echo.url)
        line.sid = handshake["sid"]
        await line.send("4still here")
        assert await line.receive() == ["4still here"]
