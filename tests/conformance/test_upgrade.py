"""From long-polling to a WebSocket, without losing, doubling or reordering anything on the way."""

import asyncio
import random

import aiohttp
import pytest

from tests.conformance.client import Polling, Socket, open_socket, refused
from tests.conformance.server import LATE_S, PING_INTERVAL_S, Running, open_echo


async def probed(socket: Socket) -> None:
    await socket.send("2probe")
    assert await socket.receive() == "3probe"


async def test_a_waiting_poll_is_released_by_the_probe(either: Running, http: aiohttp.ClientSession) -> None:
    line = await Polling(http, either.url).open()
    async with asyncio.TaskGroup() as tasks, open_socket(http, either.url, sid=line.sid) as socket:
        poll = tasks.create_task(line.poll())
        await either.settle()
        await probed(socket)
        assert (await poll).text == "6"


async def test_a_poll_during_the_upgrade_gets_a_noop(either: Running, http: aiohttp.ClientSession) -> None:
    line = await Polling(http, either.url).open()
    async with open_socket(http, either.url, sid=line.sid) as socket:
        await probed(socket)
        assert await line.receive() == ["6"]
        assert await line.receive() == ["6"]


async def test_after_the_upgrade_messages_go_over_the_websocket_and_no_noop_comes_first(
    echo: Running, http: aiohttp.ClientSession
) -> None:
    line = await Polling(http, echo.url).open()
    async with open_socket(http, echo.url, sid=line.sid) as socket:
        await probed(socket)
        assert await line.receive() == ["6"]
        await socket.send("5")
        await socket.send("4hello")
        assert await socket.receive() == "4hello"
        await socket.send(b"\x01\x02")
        assert await socket.receive() == b"\x01\x02"
        assert list(echo.engine.links) == [line.sid]


async def test_a_client_in_a_hurry_does_not_wait_for_the_answer_to_its_probe(
    echo: Running, http: aiohttp.ClientSession
) -> None:
    line = await Polling(http, echo.url).open()
    async with open_socket(http, echo.url, sid=line.sid) as socket:
        for packet in ("2probe", "5", "4hello"):
            await socket.send(packet)
        assert [await socket.receive(), await socket.receive()] == ["3probe", "4hello"]
        assert (await line.poll()).status == 400


async def test_after_the_upgrade_pings_come_over_the_websocket(either: Running, http: aiohttp.ClientSession) -> None:
    line = await Polling(http, either.url).open()
    async with open_socket(http, either.url, sid=line.sid) as socket:
        await probed(socket)
        await socket.send("5")
        await either.pass_time(PING_INTERVAL_S + LATE_S)
        assert await socket.receive() == "2"
        await socket.send("3")
        await either.pass_time(PING_INTERVAL_S + LATE_S)
        assert await socket.receive() == "2"


@pytest.mark.parametrize("method", ["poll", "post"])
async def test_after_the_upgrade_polling_with_that_sid_is_refused_and_harmless(
    either: Running, http: aiohttp.ClientSession, method: str
) -> None:
    line = await Polling(http, either.url).open()
    async with open_socket(http, either.url, sid=line.sid) as socket:
        await probed(socket)
        await socket.send("5")
        await either.settle()
        answer = await line.poll() if method == "poll" else await line.post("1")
        assert answer.status == 400
        assert answer.code == 3
        await either.pass_time(PING_INTERVAL_S + LATE_S)
        assert await socket.receive() == "2"


async def test_after_the_upgrade_another_websocket_with_that_sid_is_accepted_and_closed(
    echo: Running, http: aiohttp.ClientSession
) -> None:
    # Refused with an HTTP status, the usual WebSocket package of Node raises an error that its user has to handle.
    line = await Polling(http, echo.url).open()
    async with open_socket(http, echo.url, sid=line.sid) as socket:
        await probed(socket)
        await socket.send("5")
        await echo.settle()
        assert await refused(http, echo.url, sid=line.sid) == 101
        await socket.send("4hello")
        assert await socket.receive() == "4hello"


async def test_of_two_upgrades_at_once_the_second_is_closed(echo: Running, http: aiohttp.ClientSession) -> None:
    line = await Polling(http, echo.url).open()
    async with open_socket(http, echo.url, sid=line.sid) as socket:
        await probed(socket)
        assert await refused(http, echo.url, sid=line.sid) == 101
        await socket.send("5")
        await socket.send("4hello")
        assert await socket.receive() == "4hello"


@pytest.mark.parametrize("packet", ["2", "2prob", "2probe2", "4hello", "3probe", "1", "abc", "", b"2probe"])
async def test_a_wrong_probe_closes_the_websocket_and_polling_goes_on(
    echo: Running, http: aiohttp.ClientSession, packet: str | bytes
) -> None:
    line = await Polling(http, echo.url).open()
    async with open_socket(http, echo.url, sid=line.sid) as socket:
        await socket.send(packet)
        assert await socket.until_closed() == []
    await line.send("4still here")
    assert await line.receive() == ["4still here"]


@pytest.mark.parametrize("packet", ["4hello", "1", "3", b"\x01", None])
async def test_an_upgrade_that_breaks_off_after_the_probe_leaves_polling_as_it_was(
    echo: Running, http: aiohttp.ClientSession, packet: str | bytes | None
) -> None:
    line = await Polling(http, echo.url).open()
    async with open_socket(http, echo.url, sid=line.sid) as socket:
        await probed(socket)
        await line.send("4meanwhile")
        if packet is not None:
            await socket.send(packet)
            assert await socket.until_closed() == []
    await echo.settle()
    heard: list[str] = []
    while not heard:  # a poll that came before the break was seen is told to come again
        heard = [packet for packet in await line.receive() if packet != "6"]
    assert heard == ["4meanwhile"]
    async with open_socket(http, echo.url, sid=line.sid) as socket:
        await probed(socket)
        await socket.send("5")
        await socket.send("4at the second attempt")
        assert await socket.receive() == "4at the second attempt"


async def test_an_upgrade_that_is_never_finished_is_given_up(http: aiohttp.ClientSession) -> None:
    async with open_echo(ping_interval=60.0, ping_timeout=60.0) as echo:
        line = await Polling(http, echo.url).open()
        async with open_socket(http, echo.url, sid=line.sid) as socket:
            await probed(socket)
            await echo.pass_time(30.0)
            assert await socket.until_closed() == []
        await line.send("4still here")
        assert await line.receive() == ["4still here"]


async def test_a_websocket_that_never_probes_is_given_up(http: aiohttp.ClientSession) -> None:
    async with open_echo(ping_interval=60.0, ping_timeout=60.0) as echo:
        line = await Polling(http, echo.url).open()
        async with open_socket(http, echo.url, sid=line.sid) as socket:
            await echo.pass_time(30.0)
            assert await socket.until_closed() == []
        await line.send("4still here")
        assert await line.receive() == ["4still here"]


async def test_what_the_server_says_at_every_step_of_the_upgrade_arrives_once_and_in_order(
    echo: Running, http: aiohttp.ClientSession
) -> None:
    line = await Polling(http, echo.url).open()
    link = echo.engine.links[line.sid]
    heard: list[str | bytes] = []

    async def polled() -> None:
        heard.extend(packet for packet in await line.receive() if packet != "6")

    link.send(b"0 before the WebSocket")
    async with open_socket(http, echo.url, sid=line.sid) as socket:
        link.send(b"1 before the probe")
        await probed(socket)
        link.send(b"2 after the probe")
        await polled()
        link.send(b"3 between two polls")
        link.send(b"4 twice")
        await polled()
        link.send(b"5 after the last poll")
        await socket.send("5")
        link.send(b"6 with the upgrade under way")
        await echo.settle()
        link.send(b"7 after the upgrade")
        while len(heard) < 8:
            heard.append(await socket.receive())
    assert [str(packet)[1] for packet in heard] == list("01234567")


@pytest.mark.parametrize("seed", range(5))
async def test_a_stream_in_both_directions_survives_the_upgrade(
    echo: Running, http: aiohttp.ClientSession, seed: int
) -> None:
    """The server speaks all the time; the client sends numbers, which the echo puts between the server's own words."""
    chance = random.Random(seed)
    line = await Polling(http, echo.url).open()
    link = echo.engine.links[line.sid]
    heard: list[str] = []
    said = sent = 0
    upgraded = asyncio.Event()

    async def speak() -> None:
        nonlocal said
        left = 2000
        while left > 0:
            for _ in range(chance.randrange(4)):
                link.send(b"s%d" % said)
                said += 1
                left -= 1
            if upgraded.is_set():
                left = min(left, 50)
            await asyncio.sleep(0)

    async def post(times: int) -> None:
        nonlocal sent
        for _ in range(times):
            count = 1 + chance.randrange(3)
            await line.send("\x1e".join(f"4c{sent + n}" for n in range(count)))
            sent += count

    async def poll(until: asyncio.Event) -> None:
        while not until.is_set():
            heard.extend(packet for packet in await line.receive() if packet != "6")

    async with asyncio.TaskGroup() as tasks:
        speaker = tasks.create_task(speak())
        paused = asyncio.Event()
        poller = tasks.create_task(poll(paused))
        await post(chance.randrange(1, 6))
        async with open_socket(http, echo.url, sid=line.sid) as socket:
            await post(chance.randrange(4))
            await probed(socket)
            # As the official client does: no new requests, and the last poll comes to its end before the upgrade is sealed.
            paused.set()
            await poller
            await socket.send("5")
            for _ in range(20):
                await socket.send(f"4c{sent}")
                sent += 1
            upgraded.set()
            await speaker
            while len(heard) < said + sent:
                packet = await socket.receive()
                assert isinstance(packet, str)
                heard.append(packet)
    assert [packet for packet in heard if packet[1] == "s"] == [f"4s{n}" for n in range(said)]
    assert [packet for packet in heard if packet[1] == "c"] == [f"4c{n}" for n in range(sent)]
