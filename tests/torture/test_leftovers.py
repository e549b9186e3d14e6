"""In this process, on uvloop, every object counted: what an abuse leaves behind that is too small for the memory of a process to
show.

Tasks, timers of the loop's, links, connections, mailboxes, transports: after each misbehaviour there are as many as before it,
class by class. The second round is the one that counts: what is made once and kept (a table of accounts, a compiled pattern) is no
leak.
"""

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final

import pytest
import uvloop

from tests.support.census import LOOK_EVERY_S, Census, settled
from tests.support.proxy import open_proxy
from tests.support.raw_socket import ask, client_frame, connected, text
from tests.torture import abuses
from tests.torture.client import LiveClient, fresh_token, open_client, undisturbed
from tests.torture.grammar import conversation
from tests.torture.target import Target, open_target
from tests.torture.test_fuzz import converse

EMPTY_S: Final = 15.0
PATIENCE: Final[dict[str, Any]] = {"ping_interval_s": 2.0, "ping_timeout_s": 2.0, "auth_deadline_s": 1.0}
"""Seconds: a dropped link is remembered by the timer wheel until its next deadline would have come."""
KEPT: Final = (
    "realtime.limits.",
    "gateway.sockets.dispatch.EventStatistics",
    "realtime.hub.HubStatistics",
    "structlog.",
)
"""Classes whose objects are kept on purpose: the buckets of accounts, which outlive their connections so that a reconnect does not
refill them (bounded, see realtime/limits.py); and what a census itself makes."""


def on_uvloop(work: Coroutine[Any, Any, None]) -> None:
    """Run it on the loop that the gateway runs on."""

    async def bounded() -> None:
        async with asyncio.timeout(60):  # pytest's own alarm does not reach this loop
            await work

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(bounded())


async def counted(target: Target) -> Census:
    """Everything, by class, without what is kept on purpose."""
    census = target.census(objects=True)
    objects = {name: count for name, count in census.objects.items() if not name.startswith(KEPT)}
    return Census(
        tasks=census.tasks,
        descriptors=census.descriptors,
        rss_kb=0,
        links=census.links,
        connections=census.connections,
        channels=census.channels,
        queued_bytes=census.queued_bytes,
        faults=census.faults,
        objects=objects,
    )


async def leaves_nothing(target: Target, abuse: Callable[[], Awaitable[object]]) -> None:
    """Once to warm up, once with everything counted before and after."""
    idle = target.census().tasks
    await to_the_end(target, abuse, idle)
    baseline = await counted(target)
    await to_the_end(target, abuse, idle)
    await settled(lambda: counted(target), baseline)


async def to_the_end(target: Target, abuse: Callable[[], Awaitable[object]], idle: dict[str, int]) -> None:
    """The abuse, to the end of its last link and task."""
    await abuse()
    async with asyncio.timeout(EMPTY_S):
        while target.census().links or target.census().tasks != idle:
            await asyncio.sleep(LOOK_EVERY_S)


async def beside_a_neighbour(port: int, abuse: Callable[[int], Awaitable[object]]) -> None:
    """The abuse, while somebody else is connected."""
    async with undisturbed(port):
        await abuse(port)


@pytest.mark.parametrize("abuse", abuses.QUICK, ids=lambda abuse: abuse.__name__)
def test_a_misbehaviour_leaves_not_one_object(abuse: Callable[[int], Awaitable[object]]) -> None:
    async def story() -> None:
        async with open_target(**PATIENCE) as target:
            await leaves_nothing(target, lambda: beside_a_neighbour(target.port, abuse))

    on_uvloop(story())


async def _come_and_go(port: int) -> None:
    for ending in ("close", "reset", "fin", "engine", "leave"):
        async with open_client(port) as client:
            await client.call("room.join", '{"code":"ABCD"}')
            match ending:
                case "close":
                    await client.raw.send(client_frame(8, b"\x03\xe8"))
                    await client.raw.ending(reply=False)
                case "reset":
                    client.raw.reset()
                case "fin":
                    client.raw.end_writing()
                    await client.raw.ending()
                case "engine":
                    await client.raw.send(text("1"))
                    await client.raw.ending()
                case "leave":
                    await client.raw.send(text("41/live,"))


async def _poll(port: int) -> None:
    path = "/socket.io/?EIO=4&transport=polling"
    sid = json.loads((await ask(port, "GET", path)).body[1:])["sid"]
    assert (await ask(port, "POST", f"{path}&sid={sid}", b'40/live,{"token":"5"}')).status == 200
    assert (await ask(port, "GET", f"{path}&sid={sid}")).body.startswith(b"40/live,")
    hanging = asyncio.create_task(ask(port, "GET", f"{path}&sid={sid}"))
    await asyncio.sleep(0.02)
    assert (await ask(port, "POST", f"{path}&sid={sid}", b"1")).status == 200
    assert (await hanging).status in (200, 400)


async def _upgrade(port: int) -> None:
    path = "/socket.io/?EIO=4&transport=polling"
    for last in ("upgrade", "probe", "nothing", "nonsense"):
        sid = json.loads((await ask(port, "GET", path)).body[1:])["sid"]
        async with await connected(port) as raw:
            answer = await raw.upgrade(f"/socket.io/?EIO=4&transport=websocket&sid={sid}")
            assert answer.status == 101
            if last != "nothing":
                await raw.send(text("2probe" if last != "nonsense" else "2nonsense"))
            if last in ("upgrade", "probe"):
                assert (await raw.frame()).payload == b"3probe"
            if last == "upgrade":
                await raw.send(text("5") + text(f'40/live,{{"token":"{fresh_token()}"}}'))
                assert (await raw.frame()).payload.startswith(b"40/live,")
        with contextlib.suppress(ConnectionError):
            await ask(port, "POST", f"{path}&sid={sid}", b"1")


async def _aborted_poll(port: int) -> None:
    path = "/socket.io/?EIO=4&transport=polling"
    sid = json.loads((await ask(port, "GET", path)).body[1:])["sid"]
    raw = await connected(port)
    await raw.send(f"GET {path}&sid={sid} HTTP/1.1\r\nHost: t\r\n\r\n".encode())
    await asyncio.sleep(0.05)
    raw.reset()


async def _fuzz(port: int) -> None:
    for seed in range(60):
        await converse(port, conversation(seed), authenticated=seed % 3 != 0)


async def _interrupted(port: int) -> None:
    """Gone while a handler still thinks."""
    async with open_client(port) as client:
        await client.event("class.end", '{"class_id":"00000000-0000-0000-0000-00000000004d"}')
        await client.event("board.get", "{}")
        client.raw.reset()


@pytest.mark.parametrize(
    "life",
    [_come_and_go, _poll, _upgrade, _aborted_poll, _fuzz, _interrupted],
    ids=lambda life: life.__name__.strip("_"),
)
def test_a_life_however_it_ends_leaves_not_one_object(life: Callable[[int], Awaitable[object]]) -> None:
    async def story() -> None:
        async with open_target(**PATIENCE) as target:
            await leaves_nothing(target, lambda: beside_a_neighbour(target.port, life))

    on_uvloop(story())


def test_peers_who_vanish_leave_not_one_object() -> None:
    async def vanish(target: Target) -> None:
        async with open_client(target.port) as neighbour, open_proxy(target.port) as proxy:
            raws = [await connected(proxy.port) for _ in range(5)]
            for raw in raws:
                await LiveClient(await raw.engine()).connect()
            proxy.blackhole()
            async with asyncio.timeout(15):
                while not proxy.reaped.is_set():
                    await neighbour.served()
                    await asyncio.sleep(LOOK_EVERY_S)
            for raw in raws:
                raw.shut()

    async def story() -> None:
        async with open_target(ping_interval_s=0.3, ping_timeout_s=0.3, auth_deadline_s=1.0) as target:
            await leaves_nothing(target, lambda: vanish(target))

    on_uvloop(story())


def test_peers_who_do_not_read_leave_not_one_object() -> None:
    async def overflow(target: Target) -> None:
        raws = [await connected(target.port, receive_buffer=4_096) for _ in range(5)]
        for raw in raws:
            client = await LiveClient(await raw.engine()).connect()
            await client.call("room.join", '{"code":"ABCD"}')
        for _ in range(40):
            target.publish("room:ABCD", "must", 100_000, 1)
            target.publish("room:ABCD", "latest", 20_000, 1)
            await asyncio.sleep(0)
        async with asyncio.timeout(15):
            while target.node.count("room:ABCD"):
                await asyncio.sleep(LOOK_EVERY_S)
        for raw in raws:
            raw.reset()

    async def story() -> None:
        async with open_target(**PATIENCE) as target:
            await leaves_nothing(target, lambda: overflow(target))

    on_uvloop(story())
