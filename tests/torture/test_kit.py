"""The kit itself: a strict reader that lets a wrong frame pass, or a census that misses a task, would make every other test here
worth nothing."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.support.census import Census, descriptors, objects_of, settled, tasks_here
from tests.support.proxy import open_proxy
from tests.support.raw_socket import CLOSE, TEXT, Frame, RawSocket, Unfit, client_frame, open_raw
from tests.torture.catalogue import NotInCatalogue, check_packet

EMPTY = Census(tasks={"run": 1}, descriptors=5, rss_kb=1_000)


@asynccontextmanager
async def hearing(data: bytes, *, end: bool = True) -> AsyncIterator[RawSocket]:
    """A socket that is sent these bytes."""
    served = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        if not end:
            await reader.read()  # until the other side is gone
        writer.close()
        await writer.wait_closed()
        served.set()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        async with open_raw(server.sockets[0].getsockname()[1]) as raw:
            yield raw
        await served.wait()


@pytest.mark.parametrize(
    "data",
    [
        client_frame(TEXT, b"x"),
        client_frame(TEXT, b"x", masked=False, rsv=4),
        client_frame(3, b"x", masked=False),
        client_frame(TEXT, b"x", masked=False, form=16),
        client_frame(TEXT, b"x" * 200, masked=False, form=64),
        client_frame(TEXT, b"\xff", masked=False),
        client_frame(CLOSE, b"\x03\xe8", masked=False, fin=False),
        client_frame(9, b"x" * 126, masked=False),
    ],
)
async def test_a_frame_that_breaks_the_standard_is_noticed(data: bytes) -> None:
    async with hearing(data) as raw:
        with pytest.raises(Unfit):
            await raw.frame()


async def test_an_ending_tells_code_reason_and_what_came_before() -> None:
    said = client_frame(TEXT, b"4hello", masked=False) + client_frame(CLOSE, b"\x0d\xacwhy", masked=False)
    async with hearing(said) as raw:
        ending = await raw.ending(reply=False)
    assert ending == (3500, "why", "closed", (Frame(TEXT, b"4hello"),))


async def test_a_line_that_is_left_open_is_no_ending() -> None:
    async with hearing(client_frame(CLOSE, b"\x03\xe8", masked=False), end=False) as raw:
        with pytest.raises(TimeoutError, match="still open"):
            await raw.ending(within_s=0.05, reply=False)


@pytest.mark.parametrize(
    ("now", "found"),
    [
        (Census(tasks={"run": 1, "read": 2}, descriptors=5, rss_kb=1_000), "tasks: 2 more read"),
        (Census(tasks={}, descriptors=5, rss_kb=1_000), "tasks: 1 fewer run"),
        (Census(tasks={"run": 1}, descriptors=6, rss_kb=1_000), "descriptors: 6, was 5"),
        (Census(tasks={"run": 1}, descriptors=5, rss_kb=3_000), "memory: 2000 kB more, 500 are tolerated"),
        (
            Census(tasks={"run": 1}, descriptors=5, rss_kb=1_000, faults=("boom",)),
            "exceptions that reached the loop: ('boom',)",
        ),
        (Census(tasks={"run": 1}, descriptors=5, rss_kb=1_000, objects={"Link": 1}), "objects: 1 more Link"),
    ],
)
def test_a_census_names_what_is_left_over(now: Census, found: str) -> None:
    assert now.differs_from(EMPTY, rss_tolerance_kb=500) == [found]
    assert EMPTY.differs_from(EMPTY, rss_tolerance_kb=0) == []


async def test_what_does_not_settle_fails_with_its_name() -> None:
    async def read() -> Census:
        return Census(tasks={"run": 1, "leak": 1}, descriptors=5, rss_kb=1_000)

    with pytest.raises(AssertionError, match="1 more leak"):
        await settled(read, EMPTY, within_s=0.05)


async def test_tasks_descriptors_and_objects_of_this_process_are_counted() -> None:
    before, open_files = tasks_here(), descriptors()
    gate = asyncio.Event()
    waiting = asyncio.create_task(gate.wait(), name="waiting")
    async with hearing(b"") as raw:
        assert descriptors() > open_files
        assert tasks_here() != before
        assert objects_of("tests.support.raw_socket") == {"tests.support.raw_socket.RawSocket": 1}
    gate.set()
    await waiting
    del raw


class Compiled(Coroutine[Any, None, None]):
    """A coroutine as a compiler makes them: with a class of its own, and without a name."""

    def __init__(self, awaited: Coroutine[Any, None, None]) -> None:
        self._awaited = awaited

    def __await__(self) -> Any:
        return self._awaited.__await__()

    def send(self, value: None) -> Any:
        return self._awaited.send(value)

    def throw(self, *what: Any) -> Any:
        return self._awaited.throw(*what)

    def close(self) -> None:
        self._awaited.close()


async def test_a_compiled_task_is_counted_by_its_class_whether_what_it_waits_for_is_done_or_not() -> None:
    gate = asyncio.get_running_loop().create_future()

    async def wait() -> None:
        await gate

    waiting = asyncio.create_task(Compiled(wait()))
    await asyncio.sleep(0)
    before = tasks_here()
    gate.set_result(None)  # it goes on with the next turn only
    assert tasks_here() == before
    assert before["Compiled"] == 1
    await waiting


@pytest.mark.parametrize(
    "packet",
    [
        "5",
        "4x",
        '40/live,{"sid":"a","pid":"b"}',
        '42/live,["nonsense",{}]',
        '42/live,["bye",{"code":"x"}]',
        "43/live,1[]",
        '43/live,1[{"problem":{"code":"internal_fault","message":"","retry":false}}]',
        '43/live,1[{"problem":{"code":"made_up"}}]',
        '44/live,"a string"',
    ],
)
def test_what_is_in_no_catalogue_is_noticed(packet: str) -> None:
    with pytest.raises(NotInCatalogue):
        check_packet(packet)


async def test_a_black_hole_takes_everything_and_gives_nothing() -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(100):
            writer.write(data)
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    async with server, open_proxy(server.sockets[0].getsockname()[1]) as proxy, open_raw(proxy.port) as raw:
        await raw.send(b"one")
        assert await raw.receive() == b"one"
        proxy.blackhole()
        await raw.send(b"two")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await raw.receive()
        assert proxy.open_upstream == 1


async def test_two_who_send_on_one_line_both_come_through() -> None:
    """As a reader that answers a close does, while the flood it belongs to still waits for the server."""
    reading = asyncio.Event()
    heard = asyncio.Queue[int]()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reading.wait()
        heard.put_nowait(len(await reader.read(-1)))
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, limit=1_000)
    async with server, asyncio.timeout(5):
        async with open_raw(server.sockets[0].getsockname()[1]) as raw, asyncio.TaskGroup() as group:
            for _ in range(2):
                group.create_task(raw.send(b"x" * 8_000_000))
            await asyncio.sleep(0.2)  # both wait now
            reading.set()
        assert await heard.get() == 16_000_000
