"""Two gateways behind the real edge look like one to everybody, and stay so when one is stopped, killed or renewed.

The processes are those an operator starts, HAProxy runs deploy/edge/haproxy.cfg as it stands, and the stories enter where clients
do. What HAProxy does with each request, seen from the other side, is tests/deploy/test_edge.py.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Iterator

import aiohttp
import pytest

from tests.journeys.behind_proxy import (
    TAGS,
    Device,
    Newcomers,
    Processes,
    Stand,
    Watcher,
    open_processes,
    open_stand,
    streaming,
    until,
    watching,
)
from tests.journeys.node import run_node
from tests.support.postgres import PostgresServer
from tests.support.raw_socket import ask, open_raw, text
from tests.support.system_parts import require

POLLING = "/socket.io/?EIO=4&transport=polling"
DEVICES = 10
SAMPLES = 240
PACE_S = 0.05
"""Between two samples: four minutes of a class in twelve seconds."""
SILENCE_S = 12.0
"""How long a board may stand still for somebody whose gateway goes away: a client waits for as long as `bye` says, spread by half
of it to either side, and joins again."""


@pytest.fixture(scope="module")
def processes(postgres: PostgresServer) -> Iterator[Processes]:
    """Started once: every test leaves a class behind, and none of them minds."""
    require("haproxy")
    dsn = asyncio.run(postgres.fresh())
    with open_processes(dsn) as processes:
        yield processes
    asyncio.run(postgres.drop(dsn))


@pytest.fixture
async def stand(processes: Processes) -> AsyncIterator[Stand]:
    async with open_stand(processes) as stand:
        yield stand


async def test_members_on_different_gateways_see_one_board(stand: Stand) -> None:
    await stand.empty()
    coach, code, class_id = await stand.live_class()
    async with contextlib.AsyncExitStack() as stack:

        async def watch(_: int) -> Watcher:
            return await stack.enter_async_context(watching(stand, coach, code, class_id))

        async def train(number: int) -> int:
            bpm = 120 + number
            await stack.enter_async_context(streaming(stand, code, bpm))
            return bpm

        watchers = await stand.on_both(watch)
        rates = await stand.on_both(train)

        async def one_board() -> bool:
            boards = [await one.board() for one in watchers]
            live = [{row.bpm for row in board.rows if row.freshness == "live"} for board in boards]
            names = [{member.n: member.name for member in board.members} for board in boards]
            return all(seen == set(rates) for seen in live) and all(one == names[0] for one in names)

        await until(one_board, "the same board on both gateways, with everybody on it")


async def test_a_gateway_that_is_asked_to_stop_is_missed_by_nobody(stand: Stand) -> None:
    await stand.empty()
    coach, code, class_id = await stand.live_class()
    devices = [Device(SAMPLES) for _ in range(DEVICES)]
    newcomers = Newcomers(stand)
    async with watching(stand, coach, code, class_id) as watcher, asyncio.TaskGroup() as group:
        for device in devices:
            group.create_task(device.train(stand, code, PACE_S))
        knocking = group.create_task(newcomers.knock())
        await until(lambda: _reached(devices, SAMPLES // 4), "everybody to have something stored")
        before = await stand.connections()
        assert min(before.values()) > 0, before

        stopping = group.create_task(stand.stop("g1"))
        await until(lambda: _unready(stand, "g1"), "the gateway to say that it stops")
        await stand.edge.sees("g1", "DOWN")
        assert not stopping.done(), "the edge has seen it before it went"
        assert await stopping == 0
        await until(lambda: _left(stand, "g1"), "nobody on the gateway that went")
        await until(lambda: _reached(devices, SAMPLES), "everything to be stored")
        assert len((await watcher.board()).members) == DEVICES + 1, "the coach is back, and the board is whole"
        knocking.cancel()
    _assert_nothing_lost(devices)
    assert newcomers.refused == []
    assert newcomers.let_in > 20
    assert not watcher.ended
    assert watcher.longest_silence_s() < SILENCE_S
    assert any(device.connections > 1 for device in devices), "some were on the gateway that went"


async def test_a_gateway_that_is_killed_heals_without_a_person(stand: Stand) -> None:
    await stand.empty()
    coach, code, class_id = await stand.live_class()
    devices = [Device(SAMPLES) for _ in range(DEVICES)]
    async with watching(stand, coach, code, class_id) as watcher, asyncio.TaskGroup() as group:
        for device in devices:
            group.create_task(device.train(stand, code, PACE_S))
        await until(lambda: _reached(devices, SAMPLES // 4), "everybody to have something stored")

        await asyncio.to_thread(stand.gateways["g2"].kill)

        await stand.edge.sees("g2", "DOWN")
        await until(lambda: _left(stand, "g2"), "nobody on the gateway that went")
        await until(lambda: _reached(devices, SAMPLES), "everything to be stored")
        assert len((await watcher.board()).members) == DEVICES + 1, "the coach is back, and the board is whole"
    _assert_nothing_lost(devices)
    assert not watcher.ended
    assert watcher.longest_silence_s() < SILENCE_S


async def test_both_gateways_are_renewed_under_load_and_the_class_goes_on(stand: Stand) -> None:
    require("socket.io-client")
    await stand.empty()
    coach, code, class_id = await stand.live_class()
    devices = [Device(2 * SAMPLES) for _ in range(DEVICES)]
    newcomers = Newcomers(stand)
    app = {"BASE_URL": stand.edge.base_url, "CODE": code, "SAMPLES": str(2 * SAMPLES), "PACE_MS": str(1_000 * PACE_S)}
    async with watching(stand, coach, code, class_id) as watcher, asyncio.TaskGroup() as group:
        for device in devices:
            group.create_task(device.train(stand, code, PACE_S))
        official = group.create_task(run_node("restarts.mjs", TRANSPORTS="websocket", **app))
        knocking = group.create_task(newcomers.knock())
        await until(lambda: _reached(devices, SAMPLES // 8), "everybody to have something stored")

        for tag in TAGS:
            assert await stand.stop(tag) == 0
            await stand.start(tag)

        await until(lambda: _reached(devices, 2 * SAMPLES), "everything to be stored")
        said, code_of_exit = await official
        knocking.cancel()
    _assert_nothing_lost(devices)
    assert code_of_exit == 0, said
    assert json.loads(said.splitlines()[0])["connections"] > 1, "the official client was on a gateway that went"
    assert newcomers.refused == []
    assert not watcher.ended
    assert watcher.longest_silence_s() < SILENCE_S


async def test_a_websocket_without_a_library_gets_through(stand: Stand) -> None:
    tokens = await stand.person("Raw")
    async with open_raw(stand.edge.port) as raw:
        await raw.engine()
        await raw.send(text(connect(await tokens.current())))
        assert (await raw.frame()).payload.startswith(b'40/live,{"sid":')


@pytest.mark.parametrize("transports", ["websocket", "polling,websocket", "polling"])
async def test_the_official_client_gets_through_the_whole_story(transports: str, stand: Stand) -> None:
    require("socket.io-client")

    said, code = await run_node("journey.mjs", BASE_URL=stand.edge.base_url, TRANSPORTS=transports)

    assert code == 0, said
    assert json.loads(said.splitlines()[-1])["step"] == "done"


async def test_polling_by_hand_stays_with_its_gateway_and_upgrades_there(stand: Stand) -> None:
    tokens, port = await stand.person("Raw"), stand.edge.port
    tags = set()
    for _ in range(4):
        opened = await ask(port, "GET", POLLING)
        sid = str(json.loads(opened.body[1:])["sid"])
        tags.add(sid.partition(".")[0])
        mine = f"{POLLING}&sid={sid}"
        assert (await ask(port, "POST", mine, connect(await tokens.current()).encode())).body == b"ok"
        assert (await ask(port, "GET", mine)).body.startswith(b'40/live,{"sid":')
        async with open_raw(port) as raw:
            assert (await raw.upgrade(mine.replace("polling", "websocket"))).status == 101
            await raw.send(text("2probe"))
            assert (await raw.frame()).payload == b"3probe"
            await raw.send(text("5"))
            await raw.send(text("42/live,7" + json.dumps(["room.join", {"code": "NOSUCH"}])))
            while not (answer := (await raw.frame()).payload).startswith(b"43/live,7"):
                pass
            assert b"class_not_found" in answer
    assert tags == set(TAGS), "both gateways had some"


def connect(token: str) -> str:
    """The packet that asks to be let in."""
    return "40/live," + json.dumps({"token": token})


async def test_a_gateway_knows_from_where_a_client_comes_whatever_the_client_says(stand: Stand) -> None:
    """ASVS 4.1.3: header spoofing through a real proxy."""
    spoofed = {"X-Forwarded-For": "6.6.6.6", "Forwarded": "for=6.6.6.6", "X-Real-IP": "6.6.6.6"}
    connector = aiohttp.TCPConnector(local_addr=("127.0.0.2", 0))
    async with aiohttp.ClientSession(stand.edge.base_url, connector=connector) as elsewhere:
        url = "/socket.io/?EIO=4&transport=websocket"
        async with elsewhere.ws_connect(url, headers=spoofed) as one, elsewhere.ws_connect(url, headers=spoofed) as two:
            await asyncio.gather(one.receive(), two.receive())

            peers = await stand.peers()

    assert "127.0.0.2" in peers
    assert "6.6.6.6" not in peers


async def _unready(stand: Stand, tag: str) -> bool:
    return not await stand.ready(tag)


async def _left(stand: Stand, tag: str) -> bool:
    return (await stand.connections())[tag] == 0


async def _reached(devices: list[Device], samples: int) -> bool:
    return all(device.acknowledged >= samples for device in devices)


def _assert_nothing_lost(devices: list[Device]) -> None:
    for device in devices:
        assert device.stored == list(device.sent), "what was acknowledged is stored, once and in order"
        assert device.marks == sorted(device.marks), "a mark never moves back"
