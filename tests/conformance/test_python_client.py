"""python-socketio's own client, which also counts the pings and decodes by itself, in each of its modes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
import socketio  # type: ignore[import-untyped]

from tests.conformance.server import WAIT_S, Running, open_chat

MODES = pytest.mark.parametrize("transports", [["websocket"], ["polling"], ["polling", "websocket"]], ids="-".join)
NAMESPACES = ["/", "/custom"]


@pytest.fixture
async def chat() -> AsyncIterator[Running]:
    """The client keeps its own time and ours stands still: the pings must be announced for later."""
    async with open_chat(ping_interval=25.0, ping_timeout=20.0) as running:
        yield running


class Client:
    """What came in, in order, per namespace."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self.heard = asyncio.Queue[tuple[str, str, tuple[object, ...]]]()
        for namespace in NAMESPACES:
            for event in ("auth", "message-back", "told", "answered"):
                client.on(event, self._listener(namespace, event), namespace=namespace)

    def _listener(self, namespace: str, event: str) -> Any:
        def hear(*arguments: object) -> None:
            self.heard.put_nowait((namespace, event, arguments))

        return hear

    async def next(self) -> tuple[str, str, tuple[object, ...]]:
        return await asyncio.wait_for(self.heard.get(), WAIT_S)

    async def connect(self, chat: Running, transports: list[str], *, auth: object = None) -> None:
        address = chat.url.removesuffix("/socket.io/")
        await self.client.connect(address, namespaces=NAMESPACES, transports=transports, auth=auth, wait_timeout=WAIT_S)
        for _ in NAMESPACES:
            _, event, arguments = await self.next()
            assert (event, arguments) == ("auth", (auth or {},))

    async def call(self, event: str, *arguments: object, namespace: str = "/") -> Any:
        return await self.client.call(event, arguments, namespace=namespace, timeout=WAIT_S)


@asynccontextmanager
async def open_client(**options: Any) -> AsyncIterator[Client]:
    async with aiohttp.ClientSession() as http:
        client = socketio.AsyncClient(
            reconnection_delay=0.01, reconnection_delay_max=0.02, randomization_factor=0, http_session=http, **options
        )
        try:
            yield Client(client)
        finally:
            async with asyncio.timeout(WAIT_S):
                await client.disconnect()
                await client.eio.wait()  # theirs adds a second for a reconnect that may begin


@MODES
async def test_it_connects_talks_and_leaves(chat: Running, transports: list[str]) -> None:
    async with open_client() as client:
        await client.connect(chat, transports, auth={"token": "abc"})
        assert client.client.transport() == transports[-1]
        for namespace in NAMESPACES:
            await client.client.emit("message", ("Föhn ❤", {"n": [1, None]}), namespace=namespace)
            assert await client.next() == (namespace, "message-back", ("Föhn ❤", {"n": [1, None]}))
            assert await client.call("message-with-ack", 1, namespace=namespace) == 1
        async with asyncio.timeout(WAIT_S):
            await client.client.disconnect()
        await chat.wait_until(lambda: not chat.engine.links)


@MODES
async def test_it_sends_and_hears_binary(chat: Running, transports: list[str]) -> None:
    async with open_client() as client:
        await client.connect(chat, transports)
        await client.client.emit("message", ({"picture": b"\x00\xff", "more": [b"", b"x" * 100_000]},))
        _, _, arguments = await client.next()
        assert arguments == ({"picture": b"\x00\xff", "more": [b"", b"x" * 100_000]},)
        assert await client.call("message-with-ack", b"\x01", "text") == (b"\x01", "text")


@MODES
async def test_calls_are_answered_each_with_its_own(chat: Running, transports: list[str]) -> None:
    async with open_client() as client:
        await client.connect(chat, transports)
        answers = await asyncio.gather(*(client.call("message-with-ack", number) for number in range(50)))
        assert answers == list(range(50))


@MODES
async def test_a_withheld_acknowledgement_is_a_timeout_for_it(chat: Running, transports: list[str]) -> None:
    async with open_client() as client:
        await client.connect(chat, transports)
        with pytest.raises(socketio.exceptions.TimeoutError):
            await client.client.call("say-nothing", timeout=0.05)
        assert await client.call("message-with-ack", "alive") == "alive"


@MODES
async def test_it_answers_what_the_server_asks(chat: Running, transports: list[str]) -> None:
    async with open_client() as client:
        client.client.on("question", lambda question: (question, b"yes"))
        await client.connect(chat, transports)
        await client.client.emit("ask")
        assert await client.next() == ("/", "answered", ("ready?", b"yes"))


@MODES
async def test_rooms_reach_its_members(chat: Running, transports: list[str]) -> None:
    async with open_client() as one, open_client() as two, open_client() as three:
        for client in (one, two, three):
            await client.connect(chat, transports)
        await one.call("enter", "spin")
        await two.call("enter", "spin")
        await one.call("tell", "spin", {"go": 1, "raw": b"\x07"})
        assert await two.next() == ("/", "told", ({"go": 1, "raw": b"\x07"},))
        await two.call("leave", "spin")
        await three.call("tell", "spin", "again")
        assert await one.next() == ("/", "told", ("again",))
        await two.call("message-with-ack", 1)
        assert two.heard.empty()
        assert three.heard.empty()


@MODES
async def test_the_server_disconnects_it_from_one_namespace(chat: Running, transports: list[str]) -> None:
    async with open_client() as client:
        gone = asyncio.Event()
        client.client.on("disconnect", lambda *_: gone.set(), namespace="/custom")
        await client.connect(chat, transports)
        await client.client.emit("throw-me-out", namespace="/custom")
        await asyncio.wait_for(gone.wait(), WAIT_S)
        assert list(client.client.namespaces) == ["/"]
        assert await client.call("message-with-ack", "alive") == "alive"


@MODES
async def test_it_comes_back_by_itself_when_the_line_breaks(chat: Running, transports: list[str]) -> None:
    async with open_client() as client:
        await client.connect(chat, transports)
        first = client.client.get_sid()
        (link,) = chat.engine.links.values()
        link.abort()
        for _ in NAMESPACES:
            assert (await client.next())[1] == "auth"
        assert client.client.get_sid() != first
        assert await client.call("message-with-ack", "back") == "back"
        await chat.wait_until(lambda: len(chat.engine.links) == 1)


async def test_it_learns_why_a_namespace_is_refused(chat: Running) -> None:
    async with open_client() as client:
        errors = asyncio.Queue[object]()
        client.client.on("connect_error", errors.put_nowait, namespace="/random")
        with pytest.raises(socketio.exceptions.ConnectionError):
            await client.client.connect(
                chat.url.removesuffix("/socket.io/"), namespaces=["/random"], wait_timeout=WAIT_S
            )
        assert await asyncio.wait_for(errors.get(), WAIT_S) == {"message": "Invalid namespace"}


@MODES
async def test_events_sent_around_the_upgrade_arrive_once_and_in_order(chat: Running, transports: list[str]) -> None:
    # The client tells of its connection before it begins to upgrade: the first of these go out over polling.
    async with open_client() as client:
        opened = asyncio.Event()
        client.client.on("connect", opened.set)

        async def emit() -> None:
            await opened.wait()
            for number in range(200):
                await client.client.emit("message", number)

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(emit())
            await client.client.connect(
                chat.url.removesuffix("/socket.io/"), transports=transports, wait_timeout=WAIT_S
            )
        heard: list[object] = []
        while len(heard) < 200:
            _, event, arguments = await client.next()
            heard += arguments if event == "message-back" else ()
        assert heard == list(range(200))
