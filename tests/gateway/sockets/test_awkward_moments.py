"""Something comes, or somebody goes, just when it is least expected: between two frames of one read, while something else is waited
for, while an upgrade is under way."""

import asyncio
import gzip
import json
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
import uvloop
from aiohttp import web
from aiohttp.typedefs import Handler
from structlog.testing import capture_logs

from gateway.sockets.engine.heartbeat import GRACE_S, STALL_S
from gateway.sockets.engine.websocket import WebSocketLine
from realtime.codec import event_frame
from realtime.disconnect import ABUSE, DRAINING, MALFORMED
from realtime.limits import EVENTS_BURST, STRIKES
from realtime.turn import Turn
from realtime.wire import BoardChanges, Row, StreamTaken
from services.accounts.revoked import Revoked
from services.kernel.caller import Caller
from services.kernel.clock import ManualClock
from services.kernel.ids import StreamId
from tests.gateway.sockets.build import ROOM, WAIT_S, Client, Gateway, identify, open_client, open_gateway
from tests.support.raw_socket import PING, PONG, RawSocket, ask, client_frame, connected, text

OTHER = "/lobby"


@asynccontextmanager
async def open_line(gateway: Gateway) -> AsyncIterator[RawSocket]:
    """A WebSocket of which every byte is ours."""
    async with await connected(int(gateway.address.rpartition(":")[2])) as raw:
        await raw.engine()
        yield raw


async def let_in(_sid: str, _environ: object, _auth: object) -> None:
    """Anybody."""


# -- two frames in one read -------------------------------------------------------------------------------------------


async def test_who_joins_a_namespace_and_leaves_in_the_same_read_leaves_nothing_behind() -> None:
    async with open_gateway() as gateway:
        gateway.server.on("connect", let_in, namespace=OTHER)
        for _ in range(3):
            async with open_line(gateway) as raw:
                await raw.send(text(f"40{OTHER},{{}}") + text("1"))
                assert (await raw.ending()).code == 1000
        await gateway.wait_until(lambda: not gateway.server.eio.links)
        assert gateway.server.environ == {}
        assert gateway.server.manager.rooms.get(OTHER, {}) in ({}, {None: {}})


@pytest.mark.parametrize("authenticated", [False, True], ids=["a stranger", "a member"])
async def test_of_a_flood_of_pings_in_one_read_no_more_are_answered_than_are_allowed(authenticated: bool) -> None:
    async with open_gateway() as gateway, open_line(gateway) as raw:
        if authenticated:
            await raw.send(text('40/live,{"token":"1"}'))
            await raw.frame()
        await raw.send(client_frame(PING, b"") * 20_000)
        ending = await raw.ending()
        assert sum(frame.opcode == PONG for frame in ending.before) <= EVENTS_BURST + STRIKES
        assert (ending.code, ending.how) == (ABUSE.code, "closed"), "and it is told why"
        raw.shut()
        await gateway.wait_until(lambda: gateway.server.statistics().closed == {"abuse": 1})


async def test_behind_what_is_malformed_nothing_of_the_same_read_is_looked_at() -> None:
    async with open_gateway() as gateway, open_line(gateway) as raw:
        await raw.send(text("") * 20_000)
        ending = await raw.ending()
        assert ending == (MALFORMED.code, "malformed", "closed", ())
        assert gateway.server.eio.malformed == 1
        raw.shut()
        await gateway.wait_until(lambda: gateway.server.statistics().closed == {"malformed": 1})


# -- while something else is waited for -------------------------------------------------------------------------------


async def test_a_login_that_ends_while_its_connection_is_being_made_is_not_let_in() -> None:
    clock, asked, gate = ManualClock(), asyncio.Event(), asyncio.Event()
    revoked = Revoked(clock)

    async def ask(token: str, _peer: str) -> Caller:
        caller = identify(token)
        asked.set()
        await gate.wait()
        return caller

    async with (
        open_gateway(clock, ask=ask, must_ask=lambda _: True, require=revoked.require) as gateway,
        open_client(gateway) as client,
    ):
        await client.text('40/live,{"token":"1"}')
        await asked.wait()
        assert revoked.note([identify("1").login_id]), (
            "it ends now, and no connection of it is found that could be ended"
        )
        gate.set()
        refusal = await client.packet()
        assert refusal.startswith("44/live,")
        assert json.loads(refusal.removeprefix("44/live,"))["data"]["code"] == "not_authenticated"
        assert len(gateway.node.hub) == 0


# -- what is put together, and a line that is blocked -------------------------------------------------------------------


async def test_a_board_that_has_waited_is_not_overtaken_when_the_line_is_blocked_and_clear_again() -> None:
    async with open_gateway(turn=Turn(patience_s=0.05)) as gateway, open_client(gateway) as client:
        await client.connect()
        connection, line = gateway.connection(), gateway.link().line
        assert line is not None

        def board(v: int) -> None:
            rows = (Row(0, 1, 140, 70, 3, 1.5, "live"),)
            connection.push(event_frame("board.changes", BoardChanges(ROOM, "e", v, 0, rows)), key="board")

        board(1)
        line.pause_writing()  # as the transport does when the kernel takes no more, here of a pong
        board(2)
        connection.push(event_frame("stream.taken", StreamTaken(StreamId(ROOM), 3)))
        line.resume_writing()
        heard = [await client.received() for _ in range(3)]
        assert [payload["v"] for name, payload in heard if name == "board.changes"] == [1, 2]
        assert heard[0][0] == "board.changes"


# -- namespaces -------------------------------------------------------------------------------------------------------


async def join_other(client: Client) -> None:
    await client.text(f"40{OTHER},")
    assert (await client.packet()).startswith(f'40{OTHER},{{"sid":')


async def test_who_leaves_one_of_two_namespaces_may_stay() -> None:
    async with open_gateway() as gateway, open_client(gateway) as client:
        gateway.server.on("connect", let_in, namespace=OTHER)
        await join_other(client)
        await client.connect()
        await client.text("41/live,")
        await gateway.wait_until(lambda: len(gateway.node.hub) == 0)
        assert gateway.server.statistics().unauthenticated == 0
        await gateway.pass_time(10)
        assert gateway.link().ended_at is None


@pytest.mark.parametrize("way", ["the client leaves", "it is put out"])
async def test_who_is_in_no_namespace_any_more_has_to_join_one_in_time(way: str) -> None:
    async with open_gateway() as gateway, open_client(gateway) as client:
        gateway.server.on("connect", let_in, namespace=OTHER)
        await join_other(client)
        await gateway.pass_time(10)
        assert gateway.link().ended_at is None
        if way == "the client leaves":
            await client.text(f"41{OTHER},")
        else:
            (sid,) = gateway.server.manager.get_participants(OTHER, None)
            await gateway.server.disconnect(sid[0], namespace=OTHER)
        await gateway.wait_until(lambda: gateway.server.statistics().unauthenticated == 1)
        await gateway.pass_time(10 + GRACE_S)
        assert gateway.server.statistics().closed == {"not_authenticated": 1}
        assert gateway.server.statistics().unauthenticated == 0


# -- an upgrade -------------------------------------------------------------------------------------------------------

UPGRADE = (
    "GET /socket.io/?EIO=4&transport=websocket&sid={sid} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
    "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
RESET = struct.pack("ii", 1, 0)


@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
def test_a_websocket_that_dies_during_its_upgrade_leaves_the_next_one_its_place(reset: bool) -> None:
    async def work() -> None:
        async with open_gateway() as gateway, aiohttp.ClientSession() as http:
            base = f"{gateway.address}/socket.io/?EIO=4"
            async with http.get(f"{base}&transport=polling") as opened:
                sid = json.loads((await opened.text())[1:])["sid"]
            before = gateway.requests()
            # Without a turn of the loop in between: the request and the end of its line are found together.
            with socket.create_connection(("127.0.0.1", int(gateway.address.rpartition(":")[2]))) as line:
                await asyncio.sleep(0.05)  # it is accepted
                if reset:
                    line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                line.sendall(UPGRADE.format(sid=sid).encode())
            await gateway.wait_until(lambda: gateway.requests() > before)
            for _ in range(10):
                await asyncio.sleep(0.005)
            probe: WebSocketLine | None = gateway.link().probe
            assert probe is None
            async with http.ws_connect(f"{base}&transport=websocket&sid={sid}") as honest:
                await honest.send_str("2probe")
                assert (await honest.receive(timeout=WAIT_S)).data == "3probe"

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(work())


POLL = "/socket.io/?EIO=4&transport=polling"


async def open_poller(gateway: Gateway) -> tuple[int, str]:
    """A link on long-polling, connected as account 1: the port, and where to ask for it."""
    port = int(gateway.address.rpartition(":")[2])
    where = f"{POLL}&sid={json.loads((await ask(port, 'GET', POLL)).body[1:])['sid']}"
    assert (await ask(port, "POST", where, b'40/live,{"token":"1"}')).status == 200
    assert (await ask(port, "GET", where)).body.startswith(b"40/live,")
    return port, where


@asynccontextmanager
async def open_probe(gateway: Gateway, port: int, where: str) -> AsyncIterator[RawSocket]:
    """A WebSocket that may take a poller's link over."""
    async with await connected(port) as raw:
        answer = await raw.upgrade(where.replace("polling", "websocket"))
        assert answer.status == 101
        assert gateway.link().probe is not None
        yield raw


async def test_a_probe_is_answered_once() -> None:
    async with open_gateway() as gateway:
        port, where = await open_poller(gateway)
        async with open_probe(gateway, port, where) as raw:
            await raw.send(text("2probe") * 10_000)
            ending = await raw.ending()
            assert [frame.payload for frame in ending.before] == [b"3probe"]
            assert ending.code == 1002
        await gateway.wait_until(lambda: gateway.link().probe is None)
        assert (await ask(port, "POST", where, b'42/live,7["no.such",{}]')).status == 200
        assert (await ask(port, "GET", where)).body.startswith(b"43/live,7["), "polling goes on"


async def test_who_takes_over_without_having_read_is_watched_from_there() -> None:
    async with open_gateway() as gateway:
        port, where = await open_poller(gateway)
        async with open_probe(gateway, port, where) as raw:
            await raw.send(text("2probe"))
            assert (await raw.frame()).payload == b"3probe"
            probe = gateway.link().probe
            assert probe is not None
            probe.pause_writing()  # as the transport does when the kernel takes no more
            await raw.send(text("5"))
            await gateway.wait_until(lambda: gateway.link().line is probe)
            assert gateway.server.statistics().blocked == 1
            await gateway.pass_time(STALL_S + 2)
            assert gateway.server.statistics().cut == {"stalled": 1}


async def test_a_handshake_whose_line_is_gone_leaves_no_link() -> None:
    asked, gate = asyncio.Event(), asyncio.Event()

    @web.middleware
    async def slow(request: web.Request, handler: Handler) -> web.StreamResponse:
        asked.set()
        await gate.wait()
        return await handler(request)

    async with open_gateway(layers=(slow,), door=False) as gateway:
        async with await connected(int(gateway.address.rpartition(":")[2])) as raw:
            await raw.send(UPGRADE.replace("&sid={sid}", "").encode())
            await asked.wait()
            raw.reset()
        await gateway.wait_until(lambda: all(line.transport is None for line in gateway.lines()))
        gate.set()
        await gateway.wait_until(lambda: gateway.server.statistics().closed == {"transport": 1})
        assert gateway.server.eio.links == {}
        assert gateway.server.statistics().unauthenticated == 0


# -- long-polling -----------------------------------------------------------------------------------------------------


async def test_who_answers_a_ping_that_was_not_read_is_silent_all_the_same() -> None:
    async with open_gateway() as gateway:
        port, where = await open_poller(gateway)
        await gateway.pass_time(26)
        assert (await ask(port, "POST", where, b"3")).status == 200
        assert gateway.link().rtt_s is None
        await gateway.pass_time(20)
        assert gateway.server.statistics().closed == {"silent": 1}


async def test_what_stands_in_line_is_told_to_a_poll_that_a_closing_finds_waiting() -> None:
    async with open_gateway() as gateway:
        gateway.server.on("connect", let_in, namespace=OTHER)
        port, where = await open_poller(gateway)
        assert (await ask(port, "POST", where, f"40{OTHER},".encode())).status == 200
        assert (await ask(port, "GET", where)).body.startswith(f"40{OTHER},".encode())
        (sid,) = gateway.server.manager.get_participants(OTHER, None)
        polled = asyncio.create_task(ask(port, "GET", where))
        await gateway.wait_until(lambda: gateway.link().poll is not None)
        link = gateway.link()
        await gateway.server.disconnect(sid[0], namespace=OTHER)
        await gateway.server.eio.disconnect(link.sid)
        assert (await polled).body == f"41{OTHER},".encode()


async def test_a_compressed_body_is_refused_unopened_and_unlogged() -> None:
    with capture_logs() as lines:
        async with open_gateway() as gateway:
            port, where = await open_poller(gateway)
            answer = await ask(port, "POST", where, b"hello", Content_Encoding="gzip")
            assert answer.status == 400
            assert gateway.server.statistics().closed == {"malformed": 1}
    assert lines == []


async def test_a_compressed_packet_is_no_packet() -> None:
    async with open_gateway() as gateway:
        port, where = await open_poller(gateway)
        assert (await ask(port, "POST", where, gzip.compress(b"1"), Content_Encoding="gzip")).status == 400
        assert gateway.server.statistics().closed == {"malformed": 1}


async def test_what_pollers_send_and_are_sent_is_counted() -> None:
    async with open_gateway() as gateway:
        port, where = await open_poller(gateway)
        before = gateway.server.statistics()
        event = b'42/live,7["no.such",{}]'
        await ask(port, "POST", where, event)
        heard = (await ask(port, "GET", where)).body
        after = gateway.server.statistics()
        assert after.frames_in - before.frames_in == 1
        assert after.bytes_in - before.bytes_in == len(event)
        assert after.frames - before.frames == 1
        assert after.bytes_out - before.bytes_out == len(heard)


# -- who is at the other end ------------------------------------------------------------------------------------------


async def test_whoever_leaves_what_they_are_not_in_is_ended() -> None:
    async with open_gateway() as gateway, open_line(gateway) as raw:
        await raw.send(text("41/live,") * 20_000)
        assert (await raw.ending()).code == ABUSE.code
        assert gateway.server.eio.frames_in < 20_000 + STRIKES


async def test_who_connects_on_a_line_that_was_somebody_elses_spends_from_their_own_allowance() -> None:
    async with open_gateway() as gateway, open_client(gateway) as client:
        await client.connect("1")
        await client.call("board.get", {"class_id": str(ROOM)})
        await client.text("41/live,")
        await client.connect("2")
        await client.call("board.get", {"class_id": str(ROOM)})
        spent = gateway.link().allowance.account
        assert spent is gateway.server.dispatcher.accounts.of(identify("2").account_id, gateway.clock.monotonic())


async def test_garbage_during_a_goodbye_changes_nothing_about_it() -> None:
    async with open_gateway() as gateway, open_line(gateway) as raw:
        await raw.send(text('40/live,{"token":"1"}'))
        await raw.frame()
        link = gateway.link()
        line = link.line
        assert line is not None
        line.pause_writing()
        link.end(DRAINING)
        before = gateway.server.eio.bytes_in
        await raw.send(b"\xff\xff\xff\xff")
        await gateway.wait_until(lambda: gateway.server.eio.bytes_in > before)
        line.resume_writing()
        assert (await raw.ending()).code == DRAINING.code
        assert gateway.server.eio.malformed == 0


async def test_an_id_is_not_shown_whole() -> None:
    async with open_gateway() as gateway, open_client(gateway):
        (shown,) = gateway.server.lines()
        assert gateway.link().sid.startswith(shown.id.rstrip("…"))
        assert len(gateway.link().sid) - len(shown.id) >= 11
