"""The namespace of the official Admin UI, spoken to byte for byte on a running gateway."""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from gateway.admin_token import PASS_S, AdminToken
from gateway.sockets.admin import ADMIN, FEATURES, MOST_SOCKETS, AdminUi, Level
from services.kernel.clock import ManualClock
from tests.gateway.sockets.build import Client, Gateway, open_client, open_gateway

SECRET = "kettle-moss-anchor-violet-2031"
PASSWORD = {"username": "admin", "password": SECRET}
BEAT_S = 2.0


@dataclass
class House:
    """A gateway with the Admin UI on it."""

    gateway: Gateway
    ui: AdminUi

    async def beat(self) -> None:
        await self.gateway.pass_time(BEAT_S)


@asynccontextmanager
async def open_house(level: Level = "counts") -> AsyncIterator[House]:
    async with open_gateway() as gateway:
        ui = AdminUi(
            gateway.server,
            node=gateway.node,
            window=gateway.server,
            clock=gateway.clock,
            token=AdminToken(SECRET, gateway.clock),
            level=level,
        )
        loop = asyncio.create_task(ui.run())
        await asyncio.sleep(0)
        try:
            yield House(gateway, ui)
        finally:
            loop.cancel()
            await asyncio.gather(loop, return_exceptions=True)


class Admin:
    """One logged-in browser: every event it hears, in order."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.id = ""

    async def log_in(self, auth: object = PASSWORD) -> "Admin":
        await self.client.text(f"40{ADMIN},{json.dumps(auth)}")
        answer = await self.client.packet()
        assert answer.startswith(f'40{ADMIN},{{"sid":'), answer
        self.id = json.loads(answer.removeprefix(f"40{ADMIN},"))["sid"]
        return self

    async def hears(self, event: str) -> Any:
        """The arguments of the next event, which must be this one."""
        packet = await self.client.packet()
        name, *arguments = json.loads(packet.removeprefix(f"42{ADMIN},"))
        assert name == event, packet
        return arguments[0] if len(arguments) == 1 else arguments

    async def waits_for(self, event: str) -> Any:
        """The arguments of the next event of this name; what comes before is skipped."""
        while True:
            packet = await self.client.packet()
            name, *arguments = json.loads(packet.removeprefix(f"42{ADMIN},"))
            if name == event:
                return arguments[0] if len(arguments) == 1 else arguments

    async def orders(self, *event: object) -> dict[str, Any]:
        """Send an event; its acknowledgement."""
        await self.client.text(f"42{ADMIN},7{json.dumps(event)}")
        while not (packet := await self.client.packet()).startswith(f"43{ADMIN},7"):
            pass
        (answer,) = json.loads(packet.removeprefix(f"43{ADMIN},7"))
        assert isinstance(answer, dict)
        return answer


@asynccontextmanager
async def open_admin(house: House, auth: object = PASSWORD) -> AsyncIterator[Admin]:
    async with open_client(house.gateway) as client:
        yield await Admin(client).log_in(auth)


async def refusal(house: House, auth: object) -> str:
    """The message of the answer to a CONNECT that is refused."""
    async with open_client(house.gateway) as client:
        await client.text(f"40{ADMIN}," + json.dumps(auth))
        answer = await client.packet()
        assert answer.startswith(f"44{ADMIN},"), answer
        return str(json.loads(answer.removeprefix(f"44{ADMIN},"))["message"])


# -- logging in ---------------------------------------------------------------------------------------------------


async def test_after_a_login_it_hears_its_pass_what_it_may_do_and_the_figures() -> None:
    async with open_house() as house, open_admin(house) as admin:
        assert isinstance(await admin.hears("session"), str)
        assert await admin.hears("config") == {"supportedFeatures": ["AGGREGATED_EVENTS"]}
        figures = await admin.hears("server_stats")
        assert (figures["serverId"], figures["pid"], figures["clientsCount"]) == ("one", os.getpid(), 1)
        assert {"name": ADMIN, "socketsCount": 1} in figures["namespaces"]
        assert figures["aggregatedEvents"] == []


async def test_the_pass_lets_it_come_back_for_a_day_and_is_not_given_again() -> None:
    async with open_house() as house:
        async with open_admin(house) as admin:
            given = await admin.hears("session")
        async with open_admin(house, {"sessionId": given}) as admin:
            await admin.hears("config")
        clock = house.gateway.clock
        assert isinstance(clock, ManualClock)
        await clock.advance(PASS_S)
        assert await refusal(house, {"sessionId": given}) == "invalid credentials"


async def test_a_script_may_show_the_token_alone() -> None:
    async with open_house() as house, open_admin(house, {"token": SECRET}) as admin:
        await admin.hears("session")


@pytest.mark.parametrize(
    "auth",
    [
        {},
        {"username": "admin", "password": "x"},
        {"username": "admin", "password": ""},
        {"username": "root", "password": SECRET},
        {"token": SECRET + "x"},
        {"sessionId": None},
        {"sessionId": SECRET},
        {"sessionId": "9999999999." + "0" * 64},
        {"token": 7},
    ],
)
async def test_nobody_else_gets_in(auth: object) -> None:
    async with open_house() as house:
        assert await refusal(house, auth) == "invalid credentials"


async def test_a_line_with_nothing_but_this_namespace_may_stay() -> None:
    async with open_house() as house, open_admin(house) as admin:
        for _ in range(4):
            await house.beat()
        assert (await admin.waits_for("server_stats"))["clientsCount"] == 1
        await house.beat()
        assert not admin.client.socket.closed


# -- figures ------------------------------------------------------------------------------------------------------


async def test_every_two_seconds_it_hears_what_has_happened_since() -> None:
    async with open_house() as house, open_admin(house) as admin:
        await admin.waits_for("server_stats")
        await house.beat()
        ours = {event["type"] for event in (await admin.hears("server_stats"))["aggregatedEvents"]}
        assert ours <= {"packetsOut", "bytesOut"}
        async with open_client(house.gateway) as client:
            await client.connect()
            await house.beat()
            figures = await admin.hears("server_stats")
            assert figures["clientsCount"] == 2
            assert {"name": "/live", "socketsCount": 1} in figures["namespaces"]
            happened = {event["type"]: event["count"] for event in figures["aggregatedEvents"]}
            assert happened["rawConnection"] == 1
            assert happened["packetsIn"] >= 1
            assert happened["bytesOut"] > 0
            assert all(event["timestamp"] % 1_000 == 0 for event in figures["aggregatedEvents"])
        await house.gateway.wait_until(lambda: len(house.gateway.node.hub) == 0)
        await house.beat()
        events = (await admin.hears("server_stats"))["aggregatedEvents"]
        assert [event["count"] for event in events if event["type"] == "rawDisconnection"] == [1]


async def test_on_the_level_of_counts_no_socket_is_told_and_no_order_taken() -> None:
    async with open_house() as house, open_admin(house) as admin, open_client(house.gateway) as client:
        await client.connect()
        await admin.waits_for("server_stats")
        await admin.client.text(f'42{ADMIN},7["_disconnect","/live",false,"{house.gateway.connection().id}"]')
        await house.beat()
        await admin.hears("server_stats")
        await house.beat()
        await admin.hears("server_stats")
        assert len(house.gateway.node.hub) == 1


async def test_nothing_is_looked_at_while_nobody_watches() -> None:
    async with open_house("sockets") as house:
        async with open_admin(house) as admin:
            await admin.waits_for("all_sockets")
        await house.gateway.wait_until(lambda: not house.gateway.server.eio.links)

        def never() -> Any:
            raise AssertionError("looked")

        house.gateway.server.statistics = never  # type: ignore[method-assign]
        await house.beat()


# -- sockets ------------------------------------------------------------------------------------------------------


async def test_on_the_level_of_sockets_it_hears_of_each_with_its_rooms() -> None:
    async with open_house("sockets") as house, open_client(house.gateway) as client:
        await client.connect("5")
        connection = house.gateway.connection()
        house.gateway.node.join(connection, "room:abc")
        async with open_admin(house) as admin:
            assert await admin.waits_for("config") == {"supportedFeatures": list(FEATURES["sockets"])}
            sockets = {one["id"]: one for one in await admin.waits_for("all_sockets")}
            assert set(sockets) == {connection.id, admin.id}
            seen = sockets[connection.id]
            assert (seen["nsp"], seen["transport"]) == ("/live", "websocket")
            assert seen["data"] == {"account": str(connection.caller.account_id)}
            assert "room:abc" in seen["rooms"]
            assert seen["handshake"]["address"] == "127.0.0.1"
            assert (seen["handshake"]["headers"], seen["handshake"]["query"]) == ({}, {})
            assert sockets[admin.id]["nsp"] == ADMIN
            assert sockets[admin.id]["handshake"]["address"] == "127.0.0.1"


async def test_news_of_sockets_come_with_the_next_beat() -> None:
    async with open_house("sockets") as house, open_admin(house) as admin:
        await admin.waits_for("all_sockets")
        async with open_client(house.gateway) as client:
            await client.connect()
            connection = house.gateway.connection()
            await house.beat()
            told, _ = await admin.waits_for("socket_connected")
            assert told["id"] == connection.id
            house.gateway.node.join(connection, "room:abc")
            await house.beat()
            assert (await admin.waits_for("room_joined"))[:3] == ["/live", "room:abc", connection.id]
            house.gateway.node.leave(connection, "room:abc")
            await house.beat()
            assert (await admin.waits_for("room_left"))[:3] == ["/live", "room:abc", connection.id]
        await house.gateway.wait_until(lambda: len(house.gateway.node.hub) == 0)
        await house.beat()
        assert (await admin.waits_for("socket_disconnected"))[:2] == ["/live", connection.id]


async def test_it_tells_a_bounded_number_of_sockets() -> None:
    asked: list[int] = []
    async with open_house("sockets") as house:
        lines = house.gateway.server.lines

        def watched(limit: int = 50, order: Any = "queued") -> Any:
            asked.append(limit)
            return lines(limit, order)

        house.gateway.server.lines = watched  # type: ignore[method-assign]
        async with open_admin(house) as admin:
            await admin.waits_for("all_sockets")
        assert asked == [MOST_SOCKETS]


# -- orders -------------------------------------------------------------------------------------------------------


async def test_it_may_disconnect_a_client_which_hears_that_it_is_not_to_come_back() -> None:
    async with open_house("control") as house, open_admin(house) as admin, open_client(house.gateway) as client:
        await client.connect()
        answer = await admin.orders("_disconnect", "/live", True, house.gateway.connection().id)
        assert answer == {"ok": {"sockets": 1}}
        name, bye = await client.received()
        assert (name, bye["code"], bye.get("come_back_ms")) == ("bye", 3505, None)
        assert await client.closed() == 3505
        await house.gateway.wait_until(lambda: len(house.gateway.node.hub) == 0)


async def test_it_may_disconnect_a_room() -> None:
    async with open_house("control") as house, open_admin(house) as admin, open_client(house.gateway) as client:
        await client.connect()
        house.gateway.node.join(house.gateway.connection(), "room:abc")
        assert await admin.orders("_disconnect", "/live", False, "room:other") == {"ok": {"sockets": 0}}
        assert await admin.orders("_disconnect", "/live", False, "room:abc") == {"ok": {"sockets": 1}}
        assert await client.closed() == 3505


async def test_it_may_move_a_client_between_rooms_that_are_open() -> None:
    async with (
        open_house("control") as house,
        open_admin(house) as admin,
        open_client(house.gateway) as client,
        open_client(house.gateway) as other,
    ):
        await client.connect("1")
        one = house.gateway.connection()
        house.gateway.node.join(one, "room:abc")
        await other.connect("2")
        (two,) = set(house.gateway.node.hub.connections()) - {one}
        assert await admin.orders("join", "/live", "room:abc", two.id) == {"ok": {"sockets": 1}}
        assert house.gateway.node.count("room:abc") == 2
        assert await admin.orders("leave", "/live", "room:abc") == {"ok": {"sockets": 2}}
        assert house.gateway.node.count("room:abc") == 0


async def test_it_may_send_an_event_of_the_catalogue() -> None:
    async with open_house("control") as house, open_admin(house) as admin, open_client(house.gateway) as client:
        await client.connect()
        problem = {"code": "busy", "message": "in a minute"}
        event = {"event": "class.create", "problem": problem}
        assert await admin.orders("emit", "/live", None, "problem", event) == {"ok": {"sockets": 1}}
        assert await client.received() == ("problem", event)


@pytest.mark.parametrize(
    ("order", "code"),
    [
        (["_disconnect", "/live", True], "bad_shape"),
        (["_disconnect", "/live", True, ""], "bad_shape"),
        (["_disconnect", "/nowhere", True, "x"], "not_found"),
        (["_disconnect"], "bad_shape"),
        (["_disconnect", 7, {}, []], "bad_shape"),
        (["join", "/live", "account:7"], "not_found"),
        (["join", "/live", "room:not-open"], "not_found"),
        (["join", "/live", ""], "bad_shape"),
        (["leave", "/live", "account:7"], "not_found"),
        (["emit", "/live", None], "bad_shape"),
        (["emit", "/live", None, "nonsense", {}], "unknown_event"),
        (["emit", "/live", None, "bye", {"code": 1, "reason": ""}], "unknown_event"),
        (["emit", "/live", None, "stream.open", {}], "unknown_event"),
        (["emit", "/live", None, "problem", {"event": 7}], "bad_shape"),
        (["emit", "/live", None, "problem"], "bad_shape"),
    ],
)
async def test_an_order_that_cannot_be_carried_out_is_refused_and_touches_nobody(order: list[Any], code: str) -> None:
    async with open_house("control") as house, open_admin(house) as admin, open_client(house.gateway) as client:
        await client.connect()
        channels = tuple(house.gateway.connection().channels)
        assert (await admin.orders(*order))["problem"]["code"] == code
        assert tuple(house.gateway.connection().channels) == channels
        assert not client.socket.closed


@pytest.mark.parametrize("auth", [None, {"token": "5"}, {"username": "admin", "password": "guess"}])
async def test_an_order_of_somebody_who_is_not_logged_in_is_not_carried_out(auth: object) -> None:
    async with (
        open_house("control") as house,
        open_client(house.gateway) as client,
        open_client(house.gateway) as stranger,
    ):
        await client.connect()
        connection = house.gateway.connection()
        if auth is not None:
            await stranger.text(f"40{ADMIN},{json.dumps(auth)}")
            assert (await stranger.packet()).startswith(f"44{ADMIN},")
        await stranger.text(f'42{ADMIN},7["_disconnect","/live",true,"{connection.id}"]')
        assert await stranger.closed() == 3504
        assert not connection.closed
        assert house.gateway.node.hub.get(connection.id) is connection


async def test_it_may_show_itself_out() -> None:
    async with open_house("control") as house, open_admin(house) as admin:
        await admin.client.text(f'42{ADMIN},["_disconnect","{ADMIN}",false,"{admin.id}"]')
        while not (await admin.client.packet()).startswith(f"41{ADMIN}"):
            pass


async def test_orders_of_a_library_namespace_reach_its_rooms() -> None:
    async with open_house("control") as house:
        heard: list[Any] = []

        async def connect(sid: str, _environ: Any) -> None:
            heard.append(sid)

        house.gateway.server.on("connect", connect, namespace="/lobby")
        async with open_admin(house) as admin, open_client(house.gateway) as client:
            await client.text("40/lobby,")
            await client.packet()
            (sid,) = heard
            assert await admin.orders("join", "/lobby", "blue", sid) == {"ok": {"sockets": 1}}
            assert await admin.orders("emit", "/lobby", "blue", "hello", 1, 2) == {"ok": {"sockets": 1}}
            assert await client.packet() == '42/lobby,["hello",1,2]'
            assert await admin.orders("leave", "/lobby", "blue", "blue") == {"ok": {"sockets": 1}}
            assert await admin.orders("_disconnect", "/lobby", False, sid) == {"ok": {"sockets": 1}}
            assert (await client.packet()).startswith("41/lobby")


async def test_a_second_admin_hears_all_sockets_before_any_news_and_the_first_hears_of_it() -> None:
    async with open_house("sockets") as house, open_admin(house) as first:
        await first.waits_for("all_sockets")
        async with open_client(house.gateway) as client:
            await client.connect()
            async with open_admin(house) as second:
                for event in ("session", "config", "server_stats"):
                    await second.hears(event)
                assert {one["nsp"] for one in await second.hears("all_sockets")} == {"/live", ADMIN}
                assert (await first.waits_for("socket_connected"))[0]["id"] == house.gateway.connection().id
                await house.beat()
                await second.hears("server_stats")
