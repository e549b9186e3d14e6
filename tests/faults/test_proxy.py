"""The network that can be broken is broken in exactly the ways it says."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.support.proxy import Line, Proxy, open_proxy

WAIT_S = 5.0


@asynccontextmanager
async def echo(*, path: Path | None = None) -> AsyncIterator[int]:
    """A server that says everything back; its port."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    if path is not None:
        server = await asyncio.start_unix_server(serve, path)
    else:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield 0 if path is not None else server.sockets[0].getsockname()[1]
    await asyncio.sleep(0.02)  # the handlers see the end of their lines


@asynccontextmanager
async def serving(
    handler: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[int]:
    """A server of one's own; its port."""
    async with await asyncio.start_server(handler, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]


class Caller:
    """A client of the echo."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def say(self, data: bytes) -> None:
        self._writer.write(data)
        await asyncio.wait_for(self._writer.drain(), WAIT_S)

    async def hear(self, count: int) -> bytes:
        return await asyncio.wait_for(self._reader.readexactly(count), WAIT_S)

    async def hears_nothing(self, for_s: float = 0.1) -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(self._reader.read(1), for_s)

    async def echoed(self, data: bytes) -> float:
        """Say it and hear it; how long that took, seconds."""
        began = time.monotonic()
        await self.say(data)
        assert await self.hear(len(data)) == data
        return time.monotonic() - began

    async def is_reset(self) -> None:
        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(self._reader.readexactly(1), WAIT_S)


@asynccontextmanager
async def call(proxy: Proxy) -> AsyncIterator[Caller]:
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    try:
        yield Caller(reader, writer)
    finally:
        writer.close()


async def test_a_healthy_network_changes_nothing() -> None:
    async with echo() as port, open_proxy(port) as proxy, call(proxy) as caller:
        data = bytes(range(256)) * 4_000
        sending = asyncio.create_task(caller.say(data))
        assert await caller.hear(len(data)) == data
        await sending
        assert (proxy.lines(), proxy.open_upstream) == (1, 1)


async def test_a_server_on_a_unix_socket_is_reached_as_well(tmp_path: Path) -> None:
    async with echo(path=tmp_path / "echo.sock"), open_proxy(tmp_path / "echo.sock") as proxy, call(proxy) as caller:
        assert await caller.echoed(b"over there") < WAIT_S


async def test_latency_delays_in_both_directions_and_keeps_the_order() -> None:
    async with echo() as port, open_proxy(port, seed=3) as proxy, call(proxy) as caller:
        await caller.echoed(b"x")
        proxy.latency(50, jitter=30)
        for n in range(20):
            await caller.say(b"%02d" % n)
        assert await caller.hear(40) == b"".join(b"%02d" % n for n in range(20))
        assert 0.1 <= await caller.echoed(b"y") < WAIT_S
        proxy.heal()
        assert await caller.echoed(b"z") < 0.1


async def test_a_throttle_lets_so_many_bytes_through_and_makes_the_sender_wait() -> None:
    async with echo() as port, open_proxy(port) as proxy, call(proxy) as caller:
        await caller.echoed(b"x")
        proxy.throttle(20_000)
        took = await caller.echoed(bytes(6_000))
        assert 0.25 <= took < 2.0
        proxy.heal()
        assert await caller.echoed(bytes(6_000)) < 0.25


async def test_what_is_late_arrives_at_once_when_the_network_is_healed() -> None:
    async with echo() as port, open_proxy(port) as proxy, call(proxy) as caller:
        await caller.echoed(b"x")
        proxy.latency(60_000)
        await caller.say(b"one")
        await caller.say(b"two")
        await caller.hears_nothing()
        proxy.heal()
        assert await caller.hear(6) == b"onetwo"


async def test_a_cut_resets_the_lines_and_welcomes_new_ones() -> None:
    async with echo() as port, open_proxy(port) as proxy:
        async with call(proxy) as caller:
            await caller.echoed(b"x")
            assert proxy.cut() == 1
            await caller.is_reset()
        async with call(proxy) as caller:
            await caller.echoed(b"again")


async def test_who_is_refused_is_reset_until_the_network_is_healed() -> None:
    async with echo() as port, open_proxy(port) as proxy:
        async with call(proxy) as caller:
            await caller.echoed(b"x")
            assert proxy.refuse() == 1
            await caller.is_reset()
        async with call(proxy) as caller:
            await caller.is_reset()
        proxy.heal()
        async with call(proxy) as caller:
            await caller.echoed(b"again")


async def test_a_black_hole_takes_everything_gives_nothing_and_closes_nothing() -> None:
    async with echo() as port, open_proxy(port) as proxy, call(proxy) as before:
        await before.echoed(b"x")
        proxy.blackhole()
        await before.say(b"lost")
        await before.hears_nothing()
        async with call(proxy) as during:
            await during.say(b"lost too")
            await during.hears_nothing()
            assert (proxy.lines(), proxy.open_upstream) == (2, 1)
            proxy.heal()
            # A hole in the middle of a line cannot be mended.
            await before.is_reset()
            await during.is_reset()
        async with call(proxy) as after:
            await after.echoed(b"again")


async def test_a_line_that_lost_nothing_in_the_dark_goes_on_after_it() -> None:
    async with echo() as port, open_proxy(port) as proxy, call(proxy) as caller:
        await caller.echoed(b"x")
        proxy.blackhole()
        proxy.heal()
        await caller.echoed(b"y")


async def test_the_end_of_the_server_does_not_get_through_the_dark() -> None:
    hung_up = asyncio.Event()

    async def greets(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello")
        await hung_up.wait()
        writer.close()

    async with serving(greets) as port, open_proxy(port) as proxy, call(proxy) as caller:
        assert await caller.hear(5) == b"hello"
        proxy.blackhole()
        hung_up.set()
        await asyncio.wait_for(proxy.reaped.wait(), WAIT_S)
        await caller.hears_nothing()
        proxy.heal()
        await caller.is_reset()


async def test_one_way_lets_the_questions_through_and_not_the_answers() -> None:
    heard = bytearray()

    async def listens(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(100):
            heard.extend(data)
            writer.write(data)
        writer.close()

    async with serving(listens) as port, open_proxy(port) as proxy, call(proxy) as caller:
        await caller.echoed(b"x")
        proxy.one_way("to_server")
        await caller.say(b"question")
        await caller.hears_nothing()
        assert heard == b"xquestion"


async def test_a_trouble_is_for_the_lines_it_names_those_to_come_included() -> None:
    def subscriber(line: Line) -> bool:
        return line.said(b"subscribe")

    async with echo() as port, open_proxy(port) as proxy, call(proxy) as talker, call(proxy) as listener:
        await listener.echoed(b"SUBSCRIBE news")
        proxy.blackhole(which=subscriber)
        await listener.say(b"lost")
        await listener.hears_nothing()
        await talker.echoed(b"PUBLISH news")
        async with call(proxy) as newcomer:
            await newcomer.say(b"subscribe more")
            await newcomer.hears_nothing()
        assert proxy.lines(subscriber) <= 2


async def test_a_server_that_is_not_there_is_a_reset() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        async with open_proxy(taken.getsockname()[1]) as proxy, call(proxy) as caller:
            await caller.is_reset()


async def test_new_lines_lead_to_the_new_server() -> None:
    async with echo() as port, open_proxy(1) as proxy:
        async with call(proxy) as caller:
            await caller.is_reset()
        proxy.upstream = port
        async with call(proxy) as caller:
            await caller.echoed(b"x")
