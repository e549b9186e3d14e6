"""Clients that others have written: python-socketio's, over both transports and through an upgrade; and bare long-polling."""

import asyncio
import json
from typing import Any

import aiohttp
import pytest
import socketio  # type: ignore[import-untyped]

from realtime.codec import event_frame
from realtime.disconnect import DRAINING, LOGIN_ENDED
from realtime.wire import NAMESPACE, ClassView
from tests.gateway.sockets.build import ROOM, WAIT_S, Gateway, open_gateway

BOARD = {"class_id": str(ROOM)}
TRANSPORTS = [["websocket"], ["polling"], ["polling", "websocket"]]


def official(**options: Any) -> Any:
    return socketio.AsyncClient(reconnection_delay=0.05, reconnection_delay_max=0.1, **options)


async def connected(client: Any, gateway: Gateway, transports: list[str], token: str = "1") -> None:
    await client.connect(
        gateway.address, namespaces=[NAMESPACE], transports=transports, auth={"token": token}, wait_timeout=WAIT_S
    )


@pytest.mark.parametrize("transports", TRANSPORTS, ids="-".join)
async def test_it_calls_hears_and_leaves(transports: list[str]) -> None:
    async with open_gateway() as gateway:
        client, heard = official(), asyncio.Queue[Any]()
        client.on("class.ended", heard.put_nowait, namespace=NAMESPACE)
        await connected(client, gateway, transports)
        assert client.transport() == transports[-1]
        answers = [await client.call("board.get", BOARD, namespace=NAMESPACE) for _ in range(3)]
        assert [answer["ok"]["v"] for answer in answers] == [1, 1, 1]
        gateway.connection().push(event_frame("class.ended", ClassView(ROOM, "ABCD", "Föhn ❤", "Kim", "over", 0, 1)))
        assert (await asyncio.wait_for(heard.get(), WAIT_S))["title"] == "Föhn ❤"
        await client.disconnect()
        await gateway.wait_until(lambda: not gateway.node.hub)


@pytest.mark.parametrize("transports", TRANSPORTS, ids="-".join)
async def test_it_comes_back_by_itself_after_an_ending_that_allows_it(transports: list[str]) -> None:
    async with open_gateway() as gateway:
        client, byes = official(), asyncio.Queue[Any]()
        client.on("bye", byes.put_nowait, namespace=NAMESPACE)
        await connected(client, gateway, transports)
        back = asyncio.Event()
        client.on("connect", back.set, namespace=NAMESPACE)
        first = gateway.connection()
        first.end(DRAINING)
        assert (await asyncio.wait_for(byes.get(), WAIT_S))["code"] == 3000
        await gateway.pass_time(3)
        await asyncio.wait_for(back.wait(), WAIT_S)
        assert gateway.calls.closed == [(first.id, "draining")]
        assert "ok" in await client.call("board.get", BOARD, namespace=NAMESPACE)
        await client.disconnect()


@pytest.mark.parametrize("transports", TRANSPORTS, ids="-".join)
async def test_it_stays_away_when_its_login_has_ended(transports: list[str]) -> None:
    async with open_gateway() as gateway:
        client, gone = official(), asyncio.Event()
        client.on("disconnect", lambda *_: gone.set(), namespace=NAMESPACE)
        await connected(client, gateway, transports)
        gateway.connection().end(LOGIN_ENDED)
        await asyncio.wait_for(gone.wait(), WAIT_S)
        await gateway.pass_time(4)
        await gateway.wait_until(lambda: gateway.server.statistics().links == 0)
        await asyncio.wait_for(client.wait(), WAIT_S)
        assert len(gateway.calls.opened) == 1


async def test_a_refused_token_reaches_it_as_an_object() -> None:
    async with open_gateway() as gateway:
        client, errors = official(reconnection=False), asyncio.Queue[Any]()
        client.on("connect_error", errors.put_nowait, namespace=NAMESPACE)
        with pytest.raises(socketio.exceptions.ConnectionError):
            await connected(client, gateway, ["websocket"], token="bad")
        assert errors.get_nowait()["data"]["code"] == "token_expired"
        await client.disconnect()


# -- bare long-polling ------------------------------------------------------------------------------------------------


class Poller:
    """Long-polling, spoken by hand."""

    def __init__(self, http: aiohttp.ClientSession, gateway: Gateway) -> None:
        self._http = http
        self._url = f"{gateway.address}/socket.io/?EIO=4&transport=polling"

    async def open(self) -> str:
        (opened,) = (await self.get()).split("\x1e")
        sid = str(json.loads(opened[1:])["sid"])
        self._url += f"&sid={sid}"
        return sid

    async def get(self) -> str:
        async with self._http.get(self._url, timeout=aiohttp.ClientTimeout(WAIT_S)) as response:
            return await response.text()

    async def post(self, body: str | bytes, **headers: str) -> int:
        async with self._http.post(self._url, data=body, headers=headers) as response:
            await response.read()
            return response.status


async def test_many_events_in_one_request_are_answered_in_order() -> None:
    async with open_gateway() as gateway, aiohttp.ClientSession() as http:
        poller = Poller(http, gateway)
        await poller.open()
        assert await poller.post('40/live,{"token":"1"}') == 200
        assert (await poller.get()).startswith("40/live,")
        event = json.dumps(["board.get", BOARD])
        assert await poller.post("\x1e".join(f"42/live,{n}{event}" for n in range(100))) == 200
        answers: list[str] = []
        while len(answers) < 100:
            answers += (await poller.get()).split("\x1e")
        assert [answer.split("[")[0] for answer in answers] == [f"43/live,{n}" for n in range(100)]


@pytest.mark.parametrize("body", ["x", "b" + "QUJD", "4{}", "451-/live,[]", "\x1e", b"\xff\xfe", "2" + "[" * 9_000])
async def test_a_malformed_request_is_refused_and_ends_the_connection(body: str | bytes) -> None:
    async with open_gateway() as gateway, aiohttp.ClientSession() as http:
        poller = Poller(http, gateway)
        await poller.open()
        await poller.post('40/live,{"token":"1"}')
        await poller.get()
        assert await poller.post(body) == 400
        told = (await poller.get()).split("\x1e")
        assert '"code":3504' in told[0]
        assert told[-1] == "41/live,"
        await gateway.pass_time(2)
        await gateway.wait_until(lambda: gateway.server.statistics().links == 0)
        assert gateway.calls.closed[0][1] == "malformed"


async def test_a_request_without_a_body_is_refused_and_harmless() -> None:
    async with open_gateway() as gateway, aiohttp.ClientSession() as http:
        poller = Poller(http, gateway)
        await poller.open()
        assert await poller.post("") == 400
        assert await poller.post('40/live,{"token":"1"}') == 200
        assert (await poller.get()).startswith("40/live,")


async def test_a_request_over_the_limit_is_refused_before_it_is_read() -> None:
    async with open_gateway() as gateway, aiohttp.ClientSession() as http:
        poller = Poller(http, gateway)
        await poller.open()
        assert await poller.post("4" * 300_000) == 413


async def test_a_poller_that_goes_away_leaves_nothing_behind() -> None:
    async with open_gateway() as gateway, aiohttp.ClientSession() as http:
        poller = Poller(http, gateway)
        await poller.open()
        await poller.post('40/live,{"token":"1"}')
        await poller.get()
        assert await poller.post("1") == 200
        await gateway.pass_time(4)
        assert gateway.server.statistics().links == 0
        assert gateway.server.eio.sockets == {}
        assert len(gateway.node.hub) == 0


async def test_a_websocket_that_is_tried_and_given_up_leaves_polling_as_it_was() -> None:
    async with open_gateway() as gateway, aiohttp.ClientSession() as http:
        poller = Poller(http, gateway)
        sid = await poller.open()
        await poller.post('40/live,{"token":"1"}')
        await poller.get()
        url = f"{gateway.address}/socket.io/?EIO=4&transport=websocket&sid={sid}"
        async with http.ws_connect(url) as probe:
            await probe.send_str("2probe")
            assert await probe.receive_str() == "3probe"
            assert await poller.get() == "6"
        await poller.post(f"42/live,0{json.dumps(['board.get', BOARD])}")
        answers = (await poller.get()).split("\x1e")
        assert answers[-1].startswith("43/live,0[")
