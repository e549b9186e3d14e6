"""Many lines are written to with one system call, where the machine has that: nobody may notice but the processor."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import cast

import pytest

from gateway.sockets.engine.link import Link
from gateway.sockets.engine.ring import Ring, open_ring
from gateway.sockets.engine.server import Engine
from gateway.sockets.engine.websocket import WebSocketLine
from realtime.turn import BULK, NO_SLOT
from services.kernel.clock import ManualClock
from tests.gateway.sockets.build import Client, Gateway, open_client, open_gateway
from tests.realtime import build

PEOPLE = BULK + 4


@pytest.fixture(scope="module")
def here() -> None:
    """Only where there is a ring: the log of `open_ring` says why there is none."""
    ring = open_ring()
    if ring is None:
        pytest.skip("this machine does not let us have io_uring")
    ring.close()


@asynccontextmanager
async def room(*, ring: bool = True) -> AsyncIterator[tuple[Gateway, list[Client]]]:
    """A room in which everybody is."""
    async with AsyncExitStack() as stack:
        gateway = await stack.enter_async_context(open_gateway(ring=ring))
        yield gateway, await people(stack, gateway, PEOPLE, 1)


def ring_of(gateway: Gateway) -> Ring:
    ring = gateway.server.eio.turn.bulk
    assert isinstance(ring, Ring)
    return ring


@pytest.mark.parametrize("ring", [True, False], ids=["ring", "one by one"])
async def test_everybody_hears_everything_in_order(ring: bool, here: None) -> None:
    async with room(ring=ring) as (gateway, clients):
        first = next(iter(gateway.node.hub.connections()))
        before = gateway.server.statistics()
        for number in range(50):
            gateway.node.broadcast("room", build.must(number))
            if number % 3 == 0:
                first.push(build.ended(f"only for one {number}"))
            if number % 7 == 0:
                await asyncio.sleep(0)  # the turn is over
        await asyncio.sleep(0)
        for at, client in enumerate(clients):
            heard = [await client.received() for _ in range(50 + 17 * (at == 0))]
            assert [payload["epoch"] for name, payload in heard if name == "stream.taken"] == list(range(50))
        after = gateway.server.statistics()
        assert after.frames - before.frames == 50 * PEOPLE + 17
        assert after.writes - before.writes < 10 * PEOPLE, "merged"
        assert after.in_bulk - before.in_bulk == (after.writes - before.writes if ring else 0)
        assert gateway.server.statistics().blocked == 0
        if ring:
            assert ring_of(gateway).held == PEOPLE


async def test_who_does_not_read_is_found_and_hears_the_rest_later_and_nobody_else_waits(here: None) -> None:
    async with room() as (gateway, clients):
        slow, *others = clients
        connections = list(gateway.node.hub.connections())
        link = cast(Link, connections[0]._transport)
        text = "x" * 60_000
        said = 0
        slow.socket._reader._protocol.transport.pause_reading()  # type: ignore[union-attr]
        heard: list[list[str]] = [[] for _ in others]
        while link.blocked_since is None:
            gateway.node.broadcast("room", build.ended(f"{said} {text}"))
            said += 1
            for at, client in enumerate(others):
                heard[at].append((await client.received())[1]["title"])
            assert said < 1_000
        assert gateway.server.statistics().blocked == 1
        gateway.node.broadcast("room", build.ended(f"{said} {text}"))
        said += 1
        for at, client in enumerate(others):
            heard[at].append((await client.received())[1]["title"])
        assert all(one == [f"{number} {text}" for number in range(said)] for one in heard)
        slow.socket._reader._protocol.transport.resume_reading()  # type: ignore[union-attr]
        assert [(await slow.received())[1]["title"] for _ in range(said)] == [
            f"{number} {text}" for number in range(said)
        ]
        await gateway.wait_until(lambda: gateway.server.statistics().blocked == 0)


async def test_lines_that_end_let_their_slots_go_and_the_others_go_on(here: None) -> None:
    async with room() as (gateway, clients):
        gateway.node.broadcast("room", build.must(0))
        for client in clients:
            await client.received()
        assert ring_of(gateway).held == PEOPLE
        gone = list(gateway.server.eio.links.values())[:3]
        gone[0].abort()
        await clients[1].socket.close()
        transport = clients[2].socket._response.connection
        assert transport is not None
        assert transport.transport is not None
        transport.transport.abort()
        gateway.node.broadcast("room", build.must(1))
        for client in clients[3:]:
            assert (await client.received())[1]["epoch"] == 1
        await gateway.wait_until(lambda: ring_of(gateway).held == PEOPLE - 3)
        assert await clients[0].closed() is not None, "it is closed for its peer too"
        assert gateway.server.statistics().links == PEOPLE - 3


async def test_whoever_comes_gets_a_slot_that_was_let_go_and_hears_what_is_his(here: None) -> None:
    async with room() as (gateway, clients):
        said = 0
        for number in range(4):
            await clients.pop(0).socket.close()
            await gateway.wait_until(lambda: len(gateway.node.hub) == len(clients))
            async with open_client(gateway) as newcomer:
                await newcomer.connect(str(900 + number))
                gateway.node.join(list(gateway.node.hub.connections())[-1], "room")
                for _ in range(3):
                    said += 1
                    gateway.node.broadcast("room", build.must(said))
                    for client in (*clients, newcomer):
                        assert (await client.received())[1]["epoch"] == said
                assert ring_of(gateway).held == len(clients) + 1
            await gateway.wait_until(lambda: len(gateway.node.hub) == len(clients))
            assert ring_of(gateway).held == len(clients)
            assert len(clients) >= BULK - 1


async def test_pings_of_a_moment_leave_in_bulk_and_are_answered(here: None) -> None:
    async with room() as (gateway, clients):
        before = gateway.server.statistics()
        listening = [asyncio.create_task(client.packet()) for client in clients]
        await gateway.pass_time(26)
        await gateway.wait_until(lambda: gateway.server.statistics().rtt_ms.count == PEOPLE)
        after = gateway.server.statistics()
        assert (after.pings - before.pings, after.in_bulk - before.in_bulk) == (PEOPLE, PEOPLE)
        for one in listening:
            one.cancel()


@pytest.mark.parametrize(
    ("encrypted", "closing", "known"), [(False, False, True), (True, False, False), (False, True, False)]
)
async def test_a_line_that_is_encrypted_or_closing_is_left_to_its_transport(
    encrypted: bool, closing: bool, known: bool, here: None
) -> None:
    one, other = socket.socketpair()

    class Transport:
        def get_extra_info(self, name: str) -> object:
            return {"socket": one, "sslcontext": ssl.create_default_context() if encrypted else None}[name]

        def is_closing(self) -> bool:
            return closing

    engine = Engine(clock=ManualClock())
    running = asyncio.create_task(engine.run())
    await asyncio.sleep(0)
    ring = engine.turn.bulk
    assert isinstance(ring, Ring)
    line = WebSocketLine(engine, Link(engine, "id", "peer"))
    line._transport = cast(asyncio.Transport, Transport())
    with one, other:
        for _ in range(2):
            assert (line.ask_slot() != NO_SLOT, ring.held) == (known, known)
    running.cancel()
    await asyncio.wait([running])
    assert ring.send([0], [b"x"]) == [(0, 0)], "closed"


async def test_a_gateway_that_is_told_so_has_no_ring(here: None) -> None:
    async with open_gateway(ring=False) as gateway:
        assert gateway.node.hub.turn.bulk is None


async def test_two_servers_of_one_node_share_a_ring_and_the_second_goes_on_without_the_first(here: None) -> None:
    async with open_gateway() as first, AsyncExitStack() as stack:
        second = await stack.enter_async_context(open_gateway(node=first.node))
        theirs = await people(stack, second, BULK, 100)
        async with AsyncExitStack() as early:
            ours = await people(early, first, BULK, 1)
            for number in range(3):
                first.node.broadcast("room", build.must(number))
                for connection in first.node.hub.connections():
                    connection.push(build.ended(f"for {connection.caller.name}"))
                for at, client in enumerate((*theirs, *ours)):
                    account = 100 + at if at < BULK else 1 + at - BULK
                    assert (await client.received())[1]["epoch"] == number
                    assert (await client.received())[1]["title"] == f"for Athlete {account}"
            assert ring_of(first) is ring_of(second)
            assert ring_of(first).held == 2 * BULK
        ring_of(first).close()
        for number in range(3):
            first.node.broadcast("room", build.must(number))
            for client in theirs:
                assert (await client.received())[1]["epoch"] == number


async def people(stack: AsyncExitStack, gateway: Gateway, count: int, first: int) -> list[Client]:
    """So many clients in the room, with accounts from `first` on."""
    before = set(gateway.node.hub.connections())
    clients = []
    for number in range(count):
        client = await stack.enter_async_context(open_client(gateway))
        clients.append(await client.connect(str(first + number)))
    for connection in set(gateway.node.hub.connections()) - before:
        gateway.node.join(connection, "room")
    return clients
