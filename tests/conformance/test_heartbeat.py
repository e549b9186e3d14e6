"""Pings: sent by the server, every interval; a client that does not answer in time is gone at that very moment."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import aiohttp
import pytest

from services.kernel.clock import SystemClock
from tests.conformance.client import Polling, open_line
from tests.conformance.server import LATE_S, PING_INTERVAL_S, PING_TIMEOUT_S, WAIT_S, Running, open_chat, open_echo

Opened = Callable[..., AbstractAsyncContextManager[Running]]


async def test_polls_bring_pings_and_pongs_keep_the_line(either: Running, http: aiohttp.ClientSession) -> None:
    line = await Polling(http, either.url).open()
    for _ in range(2):  # less than Socket.IO waits for a CONNECT
        async with asyncio.TaskGroup() as tasks:
            poll = tasks.create_task(line.poll())
            await either.pass_time(PING_INTERVAL_S + LATE_S)
            assert (await poll).text == "2"
        await line.send("3")


async def test_websockets_bring_pings_and_pongs_keep_the_line(either: Running, http: aiohttp.ClientSession) -> None:
    async with open_line(http, either.url) as socket:
        for _ in range(2):
            await either.pass_time(PING_INTERVAL_S + LATE_S)
            assert await socket.receive() == "2"
            await socket.send("3")
        await either.settle()
        assert len(either.engine.links) == 1


async def test_a_ping_does_not_come_before_its_time(echo: Running, http: aiohttp.ClientSession) -> None:
    line = await Polling(http, echo.url).open()
    async with asyncio.TaskGroup() as tasks:
        poll = tasks.create_task(line.poll())
        await echo.pass_time(PING_INTERVAL_S - 0.05)
        assert not poll.done()
        await echo.pass_time(0.05 + LATE_S)
        assert (await poll).text == "2"


async def test_traffic_does_not_take_the_place_of_a_ping(echo: Running, http: aiohttp.ClientSession) -> None:
    # The client counts on a ping in every interval, whatever else it hears.
    async with open_line(http, echo.url) as socket:
        for _ in range(3):
            await socket.send("4busy")
            assert await socket.receive() == "4busy"
            await echo.pass_time((PING_INTERVAL_S + LATE_S) / 3)
        assert await socket.receive() == "2"


async def test_a_poller_that_never_comes_is_gone_when_interval_and_timeout_are_over(
    either: Running, http: aiohttp.ClientSession
) -> None:
    line = await Polling(http, either.url).open()
    await either.pass_time(PING_INTERVAL_S + PING_TIMEOUT_S)
    assert (await line.poll()).status == 400
    assert await line.is_gone()


async def test_a_poller_that_takes_the_ping_but_does_not_answer_is_gone(
    either: Running, http: aiohttp.ClientSession
) -> None:
    line = await Polling(http, either.url).open()
    await either.pass_time(PING_INTERVAL_S + LATE_S)
    assert await line.receive() == ["2"]
    await either.pass_time(PING_TIMEOUT_S)
    assert (await line.poll()).status == 400
    assert await line.is_gone()


async def test_a_poll_that_waits_is_released_when_its_line_is_gone(
    either: Running, http: aiohttp.ClientSession
) -> None:
    line = await Polling(http, either.url).open()
    await either.pass_time(PING_INTERVAL_S + LATE_S)
    assert await line.receive() == ["2"]
    async with asyncio.TaskGroup() as tasks:
        poll = tasks.create_task(line.poll())
        await either.pass_time(PING_TIMEOUT_S + LATE_S)
        answer = await poll
    assert answer.status == 400 or answer.text == "1"
    assert await line.is_gone()


async def test_a_websocket_that_does_not_answer_is_closed(either: Running, http: aiohttp.ClientSession) -> None:
    async with open_line(http, either.url) as socket:
        await either.pass_time(PING_INTERVAL_S + PING_TIMEOUT_S + LATE_S)
        assert await socket.until_closed() == ["2"]
    await either.wait_until(lambda: not either.engine.links)


async def test_a_websocket_that_has_a_moment_left_is_not_closed(echo: Running, http: aiohttp.ClientSession) -> None:
    async with open_line(http, echo.url) as socket:
        await echo.pass_time(PING_INTERVAL_S + PING_TIMEOUT_S - 0.05)
        assert await socket.receive() == "2"
        await socket.send("3")
        await echo.pass_time(0.1)
        await socket.send("4alive")
        assert await socket.receive() == "4alive"


async def test_a_pong_that_nobody_asked_for_is_harmless(either: Running, http: aiohttp.ClientSession) -> None:
    async with open_line(http, either.url) as socket:
        await socket.send("3")
        await either.pass_time(PING_INTERVAL_S + LATE_S)
        assert await socket.receive() == "2"
        await either.pass_time(PING_TIMEOUT_S + LATE_S)
        assert await socket.until_closed() == [], "an early pong answers no later ping"


@pytest.mark.parametrize("timeout", [0.1, 0.3, 60.0])
async def test_the_beat_does_not_depend_on_how_long_an_answer_may_take(
    http: aiohttp.ClientSession, timeout: float
) -> None:
    async with open_echo(ping_timeout=timeout) as echo, open_line(http, echo.url) as socket:
        await echo.pass_time(LATE_S)
        for _ in range(3):
            await echo.pass_time(PING_INTERVAL_S)
            await socket.send("4")
            assert [await socket.receive(), await socket.receive()] == ["2", "4"]
            await socket.send("3")


async def test_the_beat_does_not_depend_on_when_an_answer_comes(http: aiohttp.ClientSession) -> None:
    async with open_echo(ping_timeout=60.0) as echo, open_line(http, echo.url) as socket:
        await echo.pass_time(LATE_S)
        for _ in range(3):
            await echo.pass_time(PING_INTERVAL_S / 2)
            await socket.send("3")
            await echo.pass_time(PING_INTERVAL_S / 2)
            await socket.send("4")
            assert [await socket.receive(), await socket.receive()] == ["2", "4"]


async def test_after_an_answer_that_took_longer_than_the_interval_the_next_ping_comes_at_once(
    http: aiohttp.ClientSession,
) -> None:
    async with open_echo(ping_timeout=60.0) as echo, open_line(http, echo.url) as socket:
        await echo.pass_time(3 * PING_INTERVAL_S)
        await socket.send("4")
        assert [await socket.receive(), await socket.receive()] == ["2", "4"], "one ping at a time"
        await socket.send("3")
        await socket.send("4")
        assert await socket.receive() == "4"
        await echo.pass_time(LATE_S)
        assert await socket.receive() == "2"


async def test_on_a_real_clock_the_beat_is_the_same(http: aiohttp.ClientSession) -> None:
    async with open_echo(SystemClock(), ping_timeout=WAIT_S) as echo, open_line(http, echo.url) as socket:
        for _ in range(2):
            assert await socket.receive() == "2"
            await socket.send("3")


@pytest.mark.parametrize("opened", [open_echo, open_chat], ids=["engine.io", "socket.io"])
async def test_on_a_real_clock_a_poller_comes_too_late_when_the_announced_times_are_over(
    opened: Opened, http: aiohttp.ClientSession
) -> None:
    async with opened(SystemClock()) as running:
        line = await Polling(http, running.url).open()
        await asyncio.sleep(PING_INTERVAL_S + PING_TIMEOUT_S)
        assert (await line.poll()).status == 400
