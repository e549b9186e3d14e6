"""Whatever comes and goes, a gateway keeps nothing of it: counted in blocks of memory, which also finds what the garbage collector
does not know of, as a reference that compiled code has forgotten to give back."""

import asyncio
import gc
import sys
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any, Final

import pytest
import structlog

from gateway.sockets.dispatch import Reply
from gateway.sockets.engine.websocket import WebSocketLine
from realtime import wire
from realtime.codec import event_frame
from realtime.connection import Connection
from realtime.disconnect import ABUSE
from services.kernel.clock import ManualClock
from services.kernel.ids import StreamId, Uuid7Ids
from services.kernel.problems import Forbidden
from tests.benchmarks.sockets import path
from tests.benchmarks.sockets.path import CountingTransport, Gateway, masked

ROUNDS: Final = 150
CONNECT: Final = masked(b'40/live,{"token":"700"}')
NO_EVENT: Final = masked(b'42/live,1["nope",{}]')


@pytest.fixture(autouse=True)
def no_log() -> Iterator[None]:
    """Whoever prints a traceback remembers what it has shown."""

    def drop(_logger: Any, _method: str, _event: Any) -> Any:
        raise structlog.DropEvent

    before = structlog.get_config()
    structlog.configure(processors=[drop])
    yield
    structlog.configure(**before)


class QuietTransport(CountingTransport):
    """Can be closed as well."""

    def get_write_buffer_size(self) -> int:
        return 0

    def close(self) -> None:
        """Nothing is there to be closed."""

    def abort(self) -> None:
        """Nothing is there to be cut."""

    def is_closing(self) -> bool:
        return False


def answers(_connection: Connection, message: wire.SampleBatch, reply: Reply) -> None:
    reply.ok(wire.SamplesStored(message.stream, message.seq))


def refuses(_connection: Connection, _message: wire.SampleBatch, _reply: Reply) -> None:
    raise Forbidden("not here")


def fails(_connection: Connection, _message: wire.SampleBatch, _reply: Reply) -> None:
    raise ValueError("a fault of ours")


async def waits(_connection: Connection, message: wire.SampleBatch, reply: Reply) -> None:
    await asyncio.sleep(0)
    reply.ok(wire.SamplesStored(message.stream, message.seq))


async def kept(clock: ManualClock, gateway: Gateway, work: Callable[[], Any]) -> float:
    """Blocks that are kept per round of `work`, once all that waits for its deadline has had it."""

    async def blocks(rounds: int) -> int:
        for _ in range(rounds):
            work()
            await asyncio.sleep(0)
        for _ in range(40):
            await clock.advance(10)
            gateway.server.eio.wheel.advance(clock.monotonic())
        gc.collect()
        return sys.getallocatedblocks()

    await blocks(ROUNDS)
    counted = [await blocks(ROUNDS) for _ in range(4)]
    return min(after - before for before, after in pairwise(counted)) / ROUNDS


@pytest.mark.parametrize("handler", [answers, refuses, fails, waits])
async def test_of_an_event(handler: Any) -> None:
    clock = ManualClock()
    gateway = Gateway(handler, clock)
    line, event = gateway.lines[0], masked(path.sample(0, 5_000))

    assert await kept(clock, gateway, lambda: line.data_received(event)) < 0.5


@pytest.mark.parametrize("as_one", [False, True], ids=["each", "as one"])
async def test_of_what_is_said_to_a_room_whose_members_do_not_all_read(as_one: bool) -> None:
    clock = ManualClock()
    gateway, bulk = Gateway(answers, clock), path.CountingBulk()
    if as_one:
        gateway.know(bulk)
    stream = StreamId(Uuid7Ids(clock).next())

    def work() -> None:
        frame = event_frame("stream.taken", wire.StreamTaken(stream, 7))
        slow = gateway.lines[0]
        slow.pause_writing()
        for _ in range(3):
            gateway.hub.broadcast("room", frame, key="board", whole=lambda: frame)
            gateway.hub.broadcast("room", frame)
        slow.resume_writing()
        gateway.hub.turn.flush()
        gateway.hub.broadcast("room", frame)

    for transport in gateway.transports:
        transport.get_write_buffer_size = lambda: 0  # type: ignore[method-assign]
    assert await kept(clock, gateway, work) < 0.5
    assert (bulk.as_one > 0) is as_one


@pytest.mark.parametrize(
    "messages",
    [
        pytest.param([], id="nothing"),
        pytest.param([CONNECT], id="connected"),
        pytest.param([CONNECT, masked(b"41/live,")], id="left"),
        pytest.param([CONNECT, masked(b"9x")], id="no packet"),
        pytest.param([CONNECT, masked(b'42/live,1["stream.samples",{"x":1}]')], id="a wrong shape"),
        pytest.param([CONNECT, NO_EVENT], id="no event"),
        pytest.param([CONNECT, *[NO_EVENT] * 12], id="struck out"),
        pytest.param([CONNECT, masked(b'42/live,1["\xff"]')], id="no UTF-8"),
        pytest.param([masked(b"40/other,")], id="no namespace"),
        pytest.param([masked(b'40/live,{"token":7}')], id="no token"),
        pytest.param([CONNECT, b"\x81\x01x"], id="not masked"),
        pytest.param([CONNECT, b"\x01\x82\0\0\0\x0042", b"\x80\x81\0\0\0\0x"], id="fragments"),
        pytest.param([CONNECT, b"\xf1\x80\0\0\0\0"], id="reserved bits"),
        pytest.param([CONNECT, b"\x88\x82\0\0\0\0\x03\xe8"], id="closed"),
        pytest.param([CONNECT, b"\x89\x80\0\0\0\0"], id="a ping"),
        pytest.param([CONNECT, b"\x82\x81\0\0\0\0x"], id="binary"),
    ],
)
@pytest.mark.parametrize("ending", ["lost", "ended", "aborted"])
async def test_of_a_connection(messages: list[bytes], ending: str) -> None:
    clock = ManualClock()
    gateway = Gateway(answers, clock)

    def work() -> None:
        link, opened = gateway.server.eio.open("127.0.0.1", None, upgrades=False)
        line = WebSocketLine(gateway.server.eio, link)
        line.take(QuietTransport(), b"", opened)
        for message in messages:
            line.data_received(message)
        if ending == "ended":
            link.end(ABUSE)
        elif ending == "aborted":
            link.abort()
        line.connection_lost(None)

    assert await kept(clock, gateway, work) < 0.5
    assert len(gateway.server.eio.links) == len(gateway.lines)


async def test_what_is_kept_would_be_found() -> None:
    clock = ManualClock()
    held: list[object] = []

    assert await kept(clock, Gateway(answers, clock), lambda: held.append(object())) >= 1
