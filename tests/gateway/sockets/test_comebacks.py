"""CONNECT of clients that come back, over real sockets: what is answered, in which order, and what is refused."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from gateway.sockets.engine.link import Link
from persistence.database import Database
from realtime.connection import Connection
from realtime.wire import CueSend
from services.kernel.caller import Caller
from tests.gateway.sockets.build import Client, Gateway, open_client, open_gateway
from tests.rooms.conftest import TestNode, World


class Studio:
    """A gateway on a node with rooms, and a class whose coach is connected to another node."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.node, self.elsewhere = world.node(), world.node()
        self.people: dict[str, Caller] = {}

    async def open(self) -> None:
        mia = await self.world.person("Mia", coach=True)
        self.people["1"] = await self.world.person("Ada", coach=True)
        self.people["2"] = await self.world.person("Eve")
        self.live = await self.elsewhere.create_class(mia)
        self.coach = self.elsewhere.connect(mia)
        await self.elsewhere.join(self.coach, self.live.code, "coach")
        await self.world.advance(0)

    async def cue(self, *texts: str) -> str:
        for text in texts:
            said = await self.elsewhere.speaking.cue(self.coach, CueSend(class_id=self.live.id, text=text))
        await self.world.advance(0)
        return said.position

    @asynccontextmanager
    async def gateway(self) -> AsyncIterator[Gateway]:
        async with open_gateway(
            self.world.clock, node=self.node.node, identify=self.people.__getitem__, comebacks=self.node.comebacks
        ) as gateway:
            yield gateway

    async def join(self, node: TestNode, client: Client, gateway: Gateway) -> str:
        """Join the class as `room.join` does; the position to come back with."""
        connection = gateway.connection()
        joined = await node.join(connection, self.live.code)
        assert joined.position is not None
        return joined.position


@pytest.fixture
async def studio(world: World) -> Studio:
    studio = Studio(world)
    await studio.open()
    return studio


@pytest.fixture
async def world(database: Database) -> AsyncIterator[World]:
    world = World(database)
    yield world
    await world.close()


async def connect(client: Client, **auth: object) -> dict[str, Any]:
    """CONNECT with this payload; what it is answered with."""
    await client.text("40/live," + json.dumps({"token": "1", **auth}))
    answer = await client.packet()
    assert answer.startswith("40/live,"), answer
    welcome: dict[str, Any] = json.loads(answer.removeprefix("40/live,"))
    return welcome


async def test_a_client_is_given_a_pid_and_comes_back_by_it_in_order(studio: Studio) -> None:
    async with studio.gateway() as gateway:
        async with open_client(gateway) as client:
            pid = (await connect(client))["pid"]
            await studio.join(studio.node, client, gateway)
            seen = await studio.cue("seen")
            assert (await client.received())[1]["text"] == "seen"
        await gateway.wait_until(lambda: not gateway.node.hub)
        await studio.cue("one", "two")
        async with open_client(gateway) as client:
            welcome = await connect(client, pid=pid, offset=seen)
            assert welcome["pid"] == pid
            assert [(await client.received())[1]["text"] for _ in range(2)] == ["one", "two"]
            assert (await client.received())[0] == "board.snapshot"
            await studio.cue("three")
            assert (await client.received())[1]["text"] == "three"


@pytest.mark.parametrize(
    "auth",
    [{"pid": "x" * 24, "offset": None}, {"pid": 5, "offset": {}}, {"pid": ["a"]}, {"pid": "x" * 24, "offset": "y"}],
)
async def test_a_pid_that_is_worth_nothing_is_answered_with_a_new_one(studio: Studio, auth: dict[str, object]) -> None:
    async with studio.gateway() as gateway, open_client(gateway) as client:
        welcome = await connect(client, **auth)
        assert welcome["pid"] not in (auth["pid"], None, "")
        assert gateway.connection().rooms == set()


async def test_somebody_else_gets_nothing_for_a_pid(studio: Studio) -> None:
    async with studio.gateway() as gateway:
        async with open_client(gateway) as client:
            pid = (await connect(client))["pid"]
            told = await studio.join(studio.node, client, gateway)
        await gateway.wait_until(lambda: not gateway.node.hub)
        async with open_client(gateway) as client:
            welcome = await connect(client, token="2", pid=pid, offset=told)
            assert welcome["pid"] != pid
            assert gateway.connection().rooms == set()


async def test_a_bad_token_is_refused_however_good_the_pid(studio: Studio) -> None:
    node = studio.node
    async with (
        open_gateway(studio.world.clock, node=node.node, comebacks=node.comebacks) as gateway,
        open_client(gateway) as client,
    ):
        await client.text('40/live,{"token":"bad","pid":"' + "x" * 24 + '","offset":"0f3a9c41-000000000012"}')
        error = json.loads((await client.packet()).removeprefix("44/live,"))
        assert error["data"]["code"] == "token_expired"


async def test_what_a_client_sends_while_it_comes_back_waits_for_the_answer(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = asyncio.Event()
    read = studio.world.records.read

    async def slowly(pid: str) -> object:
        await gate.wait()
        return await read(pid)

    monkeypatch.setattr(studio.world.records, "read", slowly)
    async with studio.gateway() as gateway, open_client(gateway) as client:
        await client.text('40/live,{"token":"1","pid":"' + "x" * 24 + '","offset":"0f3a9c41-000000000012"}')
        await client.event("class.create", {"title": "sent at once"})
        await gateway.wait_until(lambda: gateway.link().order is not None)
        assert gateway.calls.seen == []
        gate.set()
        assert (await client.packet()).startswith("40/live,")
        await gateway.wait_until(lambda: len(gateway.calls.seen) == 1)


async def test_a_line_that_breaks_while_it_comes_back_leaves_nobody_in_a_room(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with studio.gateway() as gateway:
        async with open_client(gateway) as client:
            pid = (await connect(client))["pid"]
            told = await studio.join(studio.node, client, gateway)
        await gateway.wait_until(lambda: not gateway.node.hub)
        gate = asyncio.Event()
        read = studio.world.records.read

        async def slowly(pid: str) -> object:
            await gate.wait()
            return await read(pid)

        monkeypatch.setattr(studio.world.records, "read", slowly)
        links: list[Link] = []
        async with open_client(gateway) as client:
            await client.text("40/live," + json.dumps({"token": "1", "pid": pid, "offset": told}))
            await gateway.wait_until(lambda: gateway.link().order is not None)
            links.append(gateway.link())
        await gateway.wait_until(lambda: links[0].closed)
        gate.set()
        await studio.world.advance(0)
        assert len(gateway.node.hub) == 0
        assert studio.node.comebacks.statistics.records == 0


async def test_rooms_in_the_auth_payload_are_answered_before_anything_the_client_sends(studio: Studio) -> None:
    seen = await studio.cue("seen")
    await studio.cue("missed")
    async with studio.gateway() as gateway, open_client(gateway) as client:
        rooms = [{"code": studio.live.code, "since": seen}, {"code": "NOSUCH", "role": "spectator"}]
        await client.text("40/live," + json.dumps({"token": "1", "rooms": rooms}))
        await client.event("class.create", {"title": "sent at once"})
        assert (await client.packet()).startswith("40/live,")
        name, answer = await client.received()
        assert (name, answer["ok"]["recovered"]) == ("room.recovered", True)
        assert [payload["text"] for _, payload in answer["ok"]["missed"]] == ["missed"]
        assert (await client.received())[1]["problem"]["code"] == "class_not_found"
        await gateway.wait_until(lambda: len(gateway.calls.seen) == 1)
        connection: Connection = gateway.connection()
        assert connection.rooms == {studio.live.id}


@pytest.mark.parametrize(
    "rooms", ["ABCDEF", [{"code": "x"}], [{"code": "ABCDEF", "since": "yesterday"}], [{"code": "ABCDEF"}] * 33]
)
async def test_rooms_of_another_shape_are_refused_with_the_place(studio: Studio, rooms: object) -> None:
    async with studio.gateway() as gateway, open_client(gateway) as client:
        await client.text("40/live," + json.dumps({"token": "1", "rooms": rooms}))
        error = json.loads((await client.packet()).removeprefix("44/live,"))
        assert error["data"]["code"] == "bad_shape"
        assert error["data"]["path"].startswith("$.rooms")
