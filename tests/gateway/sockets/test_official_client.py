"""Clients that others have written: python-socketio's, over both transports and through an upgrade; and bare long-polling."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Self

import aiohttp
import pytest
import socketio  # type: ignore[import-untyped]

from realtime.codec import event_frame
from realtime.disconnect import DRAINING, LOGIN_ENDED
from realtime.position import NOWHERE
from realtime.wire import NAMESPACE, ClassEndedView
from tests.gateway.sockets.build import ROOM, WAIT_S, Gateway, open_gateway

BOARD = {"class_id": str(ROOM)}
TRANSPORTS = [["websocket"], ["polling"], ["polling", "websocket"]]


@asynccontextmanager
async def official(**options: Any) -> AsyncIterator[Any]:
    """Their client. The HTTP link is ours: coming back while the old one closes, the client forgets the new one."""
    async with aiohttp.ClientSession() as http:
        client = socketio.AsyncClient(reconnection_delay=0.05, reconnection_delay_max=0.1, http_session=http, **options)
        try:
            yield client
        finally:
            async with asyncio.timeout(WAIT_S):
                await client.disconnect()
                await client.wait()


async def connected(client: Any, gateway: Gateway, transports: list[str], token: str = "1") -> None:
    await client.connect(
        gateway.address, namespaces=[NAMESPACE], transports=transports, auth={"token": token}, wait_timeout=WAIT_S
    )


@pytest.mark.parametrize("transports", TRANSPORTS, ids="-".join)
async def test_it_calls_hears_and_leaves(transports: list[str]) -> None:
    async with open_gateway() as gateway, official() as client:
        heard = asyncio.Queue[Any]()
        client.on("class.ended", lambda payload, _position: heard.put_nowait(payload), namespace=NAMESPACE)
        await connected(client, gateway, transports)
        assert client.transport() == transports[-1]
        answers = [await client.call("board.get", BOARD, namespace=NAMESPACE, timeout=WAIT_S) for _ in range(3)]
        assert [answer["ok"]["v"] for answer in answers] == [1, 1, 1]
        gateway.connection().push(
            event_frame("class.ended", ClassEndedView(ROOM, "ABCD", "Föhn ❤", "Kim", "over", 0, 1, position=NOWHERE))
        )
        assert (await asyncio.wait_for(heard.get(), WAIT_S))["title"] == "Föhn ❤"
        async with asyncio.timeout(WAIT_S):
            await client.disconnect()
        await gateway.wait_until(lambda: not gateway.node.hub)


@pytest.mark.parametrize("transports", TRANSPORTS, ids="-".join)
async def test_it_comes_back_by_itself_after_an_ending_that_allows_it(transports: list[str]) -> None:
    async with open_gateway() as gateway, official() as client:
        byes = asyncio.Queue[Any]()
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
        assert "ok" in await client.call("board.get", BOARD, namespace=NAMESPACE, timeout=WAIT_S)


@pytest.mark.parametrize("transports", TRANSPORTS, ids="-".join)
async def test_it_is_told_why_and_stays_away_when_its_login_has_ended(transports: list[str]) -> None:
    async with open_gateway() as gateway, official() as client:
        gone, heard = asyncio.Event(), list[Any]()
        client.on("bye", heard.append, namespace=NAMESPACE)
        client.on("disconnect", lambda *_: gone.set(), namespace=NAMESPACE)
        await connected(client, gateway, transports)
        gateway.connection().end(LOGIN_ENDED)
        await asyncio.wait_for(gone.wait(), WAIT_S)
        assert [bye["code"] for bye in heard] == [3502]
        await gateway.pass_time(4)
        await gateway.wait_until(lambda: gateway.server.statistics().links == 0)
        await asyncio.wait_for(client.wait(), WAIT_S)
        assert len(gateway.calls.opened) == 1


async def test_a_refused_token_reaches_it_as_an_object() -> None:
    async with open_gateway() as gateway, official(reconnection=False) as client:
        errors = asyncio.Queue[Any]()
        client.on("connect_error", errors.put_nowait, namespace=NAMESPACE)
        with pytest.raises(socketio.exceptions.ConnectionError):
            await connected(client, gateway, ["websocket"], token="bad")
        assert errors.get_nowait()["data"]["code"] == "token_expired"


# -- bare long-polling ------------------------------------------------------------------------------------------------


class Poller:
    """Long-polling, spoken by hand."""

    def __init__(self, http: aiohttp.ClientSession, gateway: Gateway) -> None:
        self._http = http
        self._url = f"{gateway.address}/socket.io/?EIO=4&transport=polling"

    async def connect(self) -> Self:
        """Open, and CONNECT to the namespace."""
        await self.open()
        assert await self.post('40/live,{"token":"1"}') == 200
        assert (await self.get()).startswith("40/live,")
        return self

    async def status(self) -> int:
        """Poll for nothing but the status of the answer."""
        async with self._http.get(self._url, timeout=aiohttp.ClientTimeout(WAIT_S)) as response:
            return response.status

    async def open(self) -> str:
        (opened,) = (await self.get()).split("\x1e")
        sid = str(json.loads(opened[1:])["sid"])
        self._url += f"&sid={sid}"
        return sid

    async def get(self) -> str:
        async with self._http.get(self._url, timeout=aiohttp.ClientTimeout(WAIT_S)) as response:
            return await response.text()

    async def post(self, body: str | bytes, **headers: str) -> int:
        limit = aiohttp.ClientTimeout(WAIT_S)
        async with self._http.post(self._url, data=body, headers=headers, timeout=limit) as response:
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


def kinds(polled: str) -> list[str]:
    """What came in one poll: the names of events, other packets as they are."""
    return [one.split('"')[1] if one.startswith("42") else one for one in polled.split("\x1e")]


async def polling(gateway: Gateway, poller: Poller) -> "asyncio.Task[str]":
    """A poll that is pending."""
    poll = asyncio.create_task(poller.get())
    await gateway.wait_until(lambda: gateway.link().poll is not None)
    return poll


async def test_a_pending_poll_brings_the_goodbye_and_the_next_one_finds_nobody() -> None:
    async with open_gateway() as gateway, aiohttp.ClientSession() as http:
        poller = await Poller(http, gateway).connect()
        poll = await polling(gateway, poller)
        gateway.connection().end(LOGIN_ENDED)
        assert kinds(await poll) == ["bye", "41/live,"]
        assert await poller.status() == 400
        await gateway.wait_until(lambda: [reason for _, reason in gateway.calls.closed] == ["login_ended"])
        await gateway.pass_time(3)
        assert gateway.server.statistics().links == 0


async def test_between_two_polls_a_goodbye_and_all_that_stands_before_it_wait_for_the_next() -> None:
    async with open_gateway() as gateway, aiohttp.ClientSession() as http:
        poller = await Poller(http, gateway).connect()
        one = gateway.connection()
        for _ in range(10):
            one.push(
                event_frame(
                    "class.ended", ClassEndedView(ROOM, "ABCD", "x" * 4_000, "Kim", "over", 0, 1, position=NOWHERE)
                )
            )
        one.end(LOGIN_ENDED)
        # What was under way when it ended is still answered, else an official client gives up without polling again.
        assert await poller.post(f"42/live,0{json.dumps(['board.get', BOARD])}") == 200
        await gateway.pass_time(4)
        told: list[str] = []
        async with asyncio.timeout(WAIT_S):
            while "41/live," not in told:
                told += kinds(await poller.get())
        assert told == ["class.ended"] * 10 + ["bye", "41/live,"]
        assert gateway.calls.seen == []
        assert await poller.status() == 400


async def test_what_a_poller_sends_before_it_has_read_the_goodbye_is_still_answered() -> None:
    async with open_gateway() as gateway, aiohttp.ClientSession() as http:
        poller = await Poller(http, gateway).connect()
        poll = await polling(gateway, poller)
        gateway.connection().end(LOGIN_ENDED)
        assert kinds(await poll) == ["bye", "41/live,"]
        await gateway.pass_time(1.5)
        assert await poller.post("3") == 200
        await gateway.pass_time(2)
        assert await poller.post("3") == 400


async def test_a_poller_that_does_not_come_for_its_goodbye_is_given_up() -> None:
    async with open_gateway() as gateway, aiohttp.ClientSession() as http:
        poller = await Poller(http, gateway).connect()
        gateway.connection().end(LOGIN_ENDED)
        await gateway.pass_time(4)
        assert gateway.server.statistics().links == 1
        await gateway.pass_time(2)
        assert gateway.server.eio.links == {}
        assert [reason for _, reason in gateway.calls.closed] == ["login_ended"]
        assert await poller.status() == 400


async def test_a_poll_that_is_pending_when_its_client_says_goodbye_ends_at_once() -> None:
    async with open_gateway() as gateway, aiohttp.ClientSession() as http:
        poller = await Poller(http, gateway).connect()
        poll = await polling(gateway, poller)
        assert await poller.post("1") == 200
        await asyncio.wait_for(poll, WAIT_S)
        assert len(gateway.node.hub) == 0


async def test_a_poller_that_answers_no_ping_is_called_silent() -> None:
    async with open_gateway() as gateway, aiohttp.ClientSession() as http:
        poller = await Poller(http, gateway).connect()
        poll = await polling(gateway, poller)
        await gateway.pass_time(25.5)
        assert await poll == "2"
        pending = asyncio.create_task(poller.status())
        await gateway.wait_until(lambda: gateway.link().poll is not None)
        await gateway.pass_time(20.5)
        assert await pending == 400
        assert [reason for _, reason in gateway.calls.closed] == ["silent"]
        assert gateway.server.eio.links == {}


@pytest.mark.parametrize("body", ["x", "b" + "QUJD", "4{}", "451-/live,[]", "\x1e", b"\xff\xfe", "2" + "[" * 9_000, ""])
async def test_a_malformed_request_is_refused_and_ends_the_link_at_once(body: str | bytes) -> None:
    async with open_gateway() as gateway, aiohttp.ClientSession() as http:
        poller = await Poller(http, gateway).connect()
        assert await poller.post(body) == 400
        assert await poller.status() == 400
        assert [reason for _, reason in gateway.calls.closed] == ["malformed"]
        assert gateway.server.eio.links == {}


async def test_a_poll_that_is_pending_when_its_client_sends_garbage_says_why() -> None:
    async with open_gateway() as gateway, aiohttp.ClientSession() as http:
        poller = await Poller(http, gateway).connect()
        poll = await polling(gateway, poller)
        assert await poller.post("x") == 400
        told = (await poll).split("\x1e")
        assert '"code":3504' in told[0]
        assert told[-1] == "41/live,"
        assert await poller.status() == 400


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
        assert gateway.server.eio.links == {}
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
            assert await probe.receive_str(timeout=WAIT_S) == "3probe"
            assert await poller.get() == "6"
        await poller.post(f"42/live,0{json.dumps(['board.get', BOARD])}")
        answers = (await poller.get()).split("\x1e")
        assert answers[-1].startswith("43/live,0[")
