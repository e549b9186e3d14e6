"""Sockets as such: opening, refusing, closing, slow readers, and what they cost."""

import asyncio
import contextlib
import gc
import json
import socket
from typing import Any

import aiohttp
import pytest

from gateway.origins import origin_rule
from gateway.sockets.engine import drain
from realtime.codec import event_frame
from realtime.disconnect import ABUSE, DRAINING, LOGIN_ENDED
from realtime.frame import Frame
from realtime.limits import STRIKES
from realtime.position import NOWHERE
from realtime.turn import Turn, Write
from realtime.wire import BoardChanges, BoardSnapshot, Bye, ClassEndedView, Row
from tests.gateway.sockets.build import ROOM, WAIT_S, Client, Gateway, open_client, open_gateway
from tests.support.census import tasks_here

ROWS = tuple(Row(n, 1, 140, 70, 3, 1.5, "live") for n in range(500))


def changes(v: int) -> Frame:
    return event_frame("board.changes", BoardChanges(class_id=ROOM, epoch="e", v=v, at_ms=0, rows=ROWS))


def snapshot(v: int) -> Frame:
    return event_frame("board.snapshot", BoardSnapshot(ROOM, "e", v, 0, (), ROWS))


def ended() -> Frame:
    return event_frame("class.ended", ClassEndedView(ROOM, "ABCD", "x" * 4_000, "Kim", "over", 0, 1, position=NOWHERE))


# -- the handshake ----------------------------------------------------------------------------------------------------


async def test_a_connection_is_in_the_hub_and_hears_its_account() -> None:
    async with open_gateway() as gateway, open_client(gateway) as client:
        await client.connect("7")
        one = gateway.connection()
        assert gateway.calls.opened == [one]
        assert one.peer == "127.0.0.1"
        gateway.node.tell(f"account:{one.caller.account_id}", ended())
        assert (await client.received())[0] == "class.ended"


async def test_leaving_takes_a_connection_out_of_the_hub() -> None:
    async with open_gateway() as gateway:
        async with open_client(gateway) as client:
            await client.connect()
            one = gateway.connection()
        await gateway.wait_until(lambda: not gateway.node.hub)
        assert gateway.calls.closed == [(one.id, "transport")]
        await gateway.wait_until(lambda: gateway.server.statistics().links == 0)


async def test_a_client_may_leave_the_namespace_and_connect_again() -> None:
    async with open_gateway() as gateway, open_client(gateway) as client:
        await client.connect("1")
        await client.text("41/live,")
        await client.connect("2")
        assert [reason for _, reason in gateway.calls.closed] == ["client"]
        assert gateway.connection().caller.name == "Athlete 2"
        assert "ok" in await client.call("board.get", {"class_id": str(ROOM)})


@pytest.mark.parametrize(
    ("auth", "code"),
    [
        ('{"token":"bad"}', "token_expired"),
        ("{}", "not_authenticated"),
        ("", "not_authenticated"),
        ('{"token":5}', "not_authenticated"),
    ],
)
async def test_a_refused_connect_says_why_and_the_client_may_try_again(auth: str, code: str) -> None:
    async with open_gateway() as gateway, open_client(gateway) as client:
        await client.text(f"40/live,{auth}")
        packet = await client.packet()
        error = json.loads(packet.removeprefix("44/live,"))
        assert error["data"]["code"] == code
        assert error["message"] == error["data"]["message"]
        await client.connect()
        assert gateway.server.statistics().refused == {code: 1}


async def test_another_namespace_is_refused_with_an_object() -> None:
    async with open_gateway() as gateway, open_client(gateway) as client:
        for packet, namespace in (('40{"token":"1"}', ""), ('40/admin,{"token":"1"}', "/admin,")):
            await client.text(packet)
            answer = await client.packet()
            assert json.loads(answer.removeprefix(f"44{namespace}"))["data"]["code"] == "not_found"


async def test_a_socket_without_a_connect_in_time_is_closed() -> None:
    async with open_gateway() as gateway, open_client(gateway) as client:
        await gateway.pass_time(4)
        assert gateway.server.statistics().unauthenticated == 1
        await gateway.pass_time(2)
        assert await client.closed() == 3500


async def test_a_token_refused_again_and_again_does_not_extend_the_time() -> None:
    async with open_gateway() as gateway, open_client(gateway) as client:
        for _ in range(3):
            await client.text('40/live,{"token":"bad"}')
            assert (await client.packet()).startswith("44/live,")
            await gateway.pass_time(2)
        assert await client.closed() == 3500


async def test_compression_is_never_negotiated() -> None:
    async with open_gateway() as gateway, open_client(gateway) as client:
        assert not client.socket.compress


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "http://evil.example"}, 400),
        ({"Origin": "null"}, 400),
        ({"Origin": "http://evil.example", "X-Forwarded-Host": "evil.example"}, 400),
        ({"Origin": "OWN"}, 200),
        ({}, 200),
    ],
)
async def test_pages_of_others_may_not_connect(headers: dict[str, str], status: int) -> None:
    async with open_gateway() as gateway, aiohttp.ClientSession() as http:
        own = {name: gateway.address if value == "OWN" else value for name, value in headers.items()}
        url = f"{gateway.address}/socket.io/?EIO=4&transport=polling"
        async with http.get(url, headers=own) as response:
            assert response.status == status


@pytest.mark.parametrize(
    ("origin", "host", "allowed"),
    [
        ("https://paceline.example", "paceline.example", True),
        ("https://paceline.example", "paceline.example:443", True),
        ("http://localhost:8080", "localhost:8080", True),
        ("http://localhost:8080", "localhost:9090", False),
        ("http://[::1]:8080", "[::1]:8080", True),
        ("file://", "", False),
        ("http://x:nonsense", "x", False),
        ("null", "null", False),
    ],
)
def test_our_own_address_is_told_by_the_host_header(origin: str, host: str, allowed: bool) -> None:
    assert origin_rule(())(origin, {"HTTP_HOST": host}) is allowed


def test_a_list_of_origins_is_the_whole_truth() -> None:
    rule = origin_rule(["https://app.example/"])
    assert rule("https://APP.example", {})
    assert not rule("https://own.example", {"HTTP_HOST": "own.example"})
    assert origin_rule(["*"])("https://any.example", {})


# -- malformed input --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "packet",
    [
        '451-/live,["board.get",{"_placeholder":true,"num":0}]',
        "461-/live,0[]",
        "bAAAA",
        '4{"a":1}',
        "4" + "[" * 50_000,
        "44/live,{}",
        "42/live,9999999999999999999[]",
        '42["board.get",{}]',
        "40/live,{not json",
        "40/live," + "[" * 50_000,
        "47",
        "7",
        "x",
        "0",
        "2" + "[" * 50_000,
        "",
    ],
)
async def test_what_no_client_of_this_protocol_sends_closes_the_connection(packet: str) -> None:
    async with open_gateway() as gateway:
        baseline = tasks_here()
        async with open_client(gateway) as client:
            await client.connect()
            await client.text("41/live,") if packet.startswith("40") else None
            await client.text(packet)
            assert await client.closed() == 3504
        await gateway.wait_until(lambda: tasks_here() == baseline)
        assert gateway.server.statistics().malformed == 1


async def test_binary_messages_are_refused() -> None:
    async with open_gateway() as gateway, open_client(gateway) as client:
        await client.connect()
        await client.socket.send_bytes(b"\x00" * 100)
        assert (await client.received())[1]["code"] == 3504
        assert await client.closed() == 3504


async def test_a_message_over_the_limit_closes_the_connection_and_nobody_elses() -> None:
    async with open_gateway() as gateway, open_client(gateway) as loud, open_client(gateway) as calm:
        await loud.connect("1")
        await calm.connect("2")
        await loud.text('42/live,0["board.get",' + " " * 300_000 + "{}]")
        assert await loud.closed() == 1009
        assert "ok" in await calm.call("board.get", {"class_id": str(ROOM)})


async def test_events_before_a_connect_are_strikes() -> None:
    async with open_gateway() as gateway, open_client(gateway) as client:
        for _ in range(10):
            await client.event("board.get", {})
        assert await client.closed() == 3501
        assert gateway.calls.seen == []


async def test_acknowledgements_that_nobody_asked_for_are_ignored() -> None:
    async with open_gateway() as gateway, open_client(gateway) as client:
        await client.connect()
        await client.text("43/live,1[]")
        assert "ok" in await client.call("board.get", {"class_id": str(ROOM)})


# -- endings ----------------------------------------------------------------------------------------------------------


async def test_an_ending_that_may_come_back_closes_the_line_and_sends_no_disconnect() -> None:
    async with open_gateway() as gateway, open_client(gateway) as client:
        await client.connect()
        one = gateway.connection()
        one.push(ended())
        one.end(DRAINING)
        assert (await client.received())[0] == "class.ended"
        name, bye = await client.received()
        assert (name, bye["code"]) == ("bye", 3000)
        assert 500 <= bye["come_back_ms"] <= 5_000
        assert await client.closed() == 3000
        await gateway.wait_until(lambda: gateway.calls.closed == [(one.id, "draining")])


async def test_the_end_of_a_login_tells_the_client_not_to_come_back() -> None:
    async with open_gateway() as gateway, open_client(gateway) as client:
        await client.connect()
        gateway.connection().end(LOGIN_ENDED)
        assert (await client.received())[1]["code"] == 3502
        assert await client.packet() == "41/live,"
        assert await client.closed() == 3502


async def test_draining_closes_everybody_and_refuses_newcomers() -> None:
    async with open_gateway() as gateway:
        async with open_client(gateway) as one, open_client(gateway) as silent:
            await one.connect("1")
            drained = asyncio.create_task(gateway.server.drain())
            assert (await one.received())[1]["code"] == 3000
            assert await one.closed() == 3000
            assert await silent.closed() == 3000
            await gateway.wait_until(lambda: not gateway.server.eio.links)
            await gateway.pass_time(1)
            await asyncio.wait_for(drained, WAIT_S)
        url = f"{gateway.address}/socket.io/?EIO=4&transport=polling"
        async with aiohttp.ClientSession() as http, http.get(url) as response:
            assert response.status == 503
            assert response.headers["Retry-After"]
        assert gateway.server.statistics().links == 0


async def test_many_leave_in_waves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drain, "AT_ONCE", 2)
    monkeypatch.setattr(drain, "RETURNS_PER_SECOND", 2.0)
    async with open_gateway() as gateway, contextlib.AsyncExitStack() as clients:
        for number in range(12):
            client = await clients.enter_async_context(open_client(gateway))
            await client.connect(str(number))
        drained = asyncio.create_task(gateway.server.drain(limit_s=15))
        left = []
        for _ in range(6):
            await gateway.pass_time(1)
            left.append(sum(not one.closed for one in gateway.node.hub.connections()))
        assert left == sorted(left, reverse=True)
        assert len(set(left)) > 3, "over five seconds, not at once"
        assert left[-1] == 0
        await gateway.pass_time(10)
        await asyncio.wait_for(drained, WAIT_S)
        assert gateway.server.statistics().links == 0


async def test_who_insists_gets_everybody_out_at_once_with_a_goodbye(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drain, "AT_ONCE", 0)
    monkeypatch.setattr(drain, "RETURNS_PER_SECOND", 0.1)
    async with open_gateway() as gateway:
        async with open_client(gateway) as one, open_client(gateway) as two:
            await one.connect("1")
            await two.connect("2")
            waiting = asyncio.create_task(gateway.server.drain(limit_s=100))
            await gateway.pass_time(1)
            waiting.cancel()
            hurried = asyncio.create_task(gateway.server.hurry())
            assert {await one.closed(), await two.closed()} == {3000}
            await gateway.pass_time(1)
            await asyncio.wait_for(hurried, WAIT_S)
        assert gateway.server.statistics().links == 0


# -- slow readers -----------------------------------------------------------------------------------------------------


class Deaf:
    """A client that connects and then does not read until it is told to."""

    def __init__(self, gateway: Gateway) -> None:
        self._address = gateway.address
        self._line = socket.socket()

    async def __aenter__(self) -> "Deaf":
        host, port = self._address.removeprefix("http://").split(":")
        loop = asyncio.get_running_loop()
        self._line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        self._line.setblocking(False)
        await loop.sock_connect(self._line, (host, int(port)))
        await self._write(
            b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
            b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        )
        await self.read_until(b'"maxPayload"')
        await self.text('40/live,{"token":"1"}')
        await self.read_until(b"40/live,")
        return self

    async def __aexit__(self, *_: object) -> None:
        self._line.close()

    async def text(self, packet: str) -> None:
        await self.texts([packet])

    async def texts(self, packets: list[str]) -> None:
        """Send messages in one piece."""
        assert all(len(packet) < 126 for packet in packets)
        await self._write(b"".join(bytes((0x81, 0x80 | len(one), 0, 0, 0, 0)) + one.encode() for one in packets))

    async def read_until(self, mark: bytes) -> bytes:
        """Read until `mark` has come in; b"" at the end of the line stops it too."""
        seen = b""
        async with asyncio.timeout(WAIT_S):
            while mark not in seen:
                data = await asyncio.get_running_loop().sock_recv(self._line, 65_536)
                if not data:
                    break
                seen += data
        return seen

    async def _write(self, data: bytes) -> None:
        async with asyncio.timeout(WAIT_S):
            await asyncio.get_running_loop().sock_sendall(self._line, data)


async def blocked(gateway: Gateway) -> None:
    """Push boards until the writer waits for the peer and the newest stands in the mailbox."""
    one = gateway.connection()
    async with asyncio.timeout(WAIT_S):
        v = 0
        while not one.replaced:
            v += 1
            broadcast(gateway, v)
            await asyncio.sleep(0)


def broadcast(gateway: Gateway, v: int) -> None:
    """One beat of the board, as a room does it."""
    gateway.node.broadcast("room", changes(v), key="board", whole=lambda: snapshot(v))


async def test_a_slow_reader_costs_bounded_memory_and_gets_the_newest_board_whole() -> None:
    async with open_gateway() as gateway, Deaf(gateway) as deaf:
        one = gateway.connection()
        gateway.node.join(one, "room")
        await blocked(gateway)
        for v in range(5_000, 5_200):
            broadcast(gateway, v)
            await asyncio.sleep(0)
        assert len(one.mailbox) == 1
        assert one.mailbox.bytes == snapshot(5_199).size
        assert gateway.link().unwritten < 256 * 1024
        seen = await deaf.read_until(b'"v":5199')
        newest = seen.rindex(b'["board.')
        assert seen[newest:].startswith(b'["board.snapshot"')
        assert b'"v":5100' not in seen


async def test_a_reader_that_moves_no_byte_is_cut_and_nothing_of_it_stays() -> None:
    async with open_gateway() as gateway:
        baseline = tasks_here()
        async with Deaf(gateway):
            gateway.node.join(gateway.connection(), "room")
            await blocked(gateway)
            await gateway.pass_time(5)
            assert len(gateway.node.hub) == 1
            await gateway.pass_time(8)
            await gateway.wait_until(lambda: not gateway.node.hub)
            await gateway.wait_until(lambda: tasks_here() == baseline)
        assert [reason for _, reason in gateway.calls.closed] == ["slow_reader"]
        statistics = gateway.server.statistics()
        assert (statistics.links, statistics.cut) == (0, {"stalled": 1})
        assert gateway.server.eio.links == {}


async def test_a_mailbox_that_overflows_ends_the_connection_and_says_so() -> None:
    async with open_gateway() as gateway:
        baseline = tasks_here()
        async with Deaf(gateway):
            one = gateway.connection()
            while not one.closed:
                one.push(ended())
                assert one.mailbox.bytes <= one.mailbox.hard_bytes
                await asyncio.sleep(0)
            assert one.mailbox.bytes < 1_000
            await gateway.pass_time(4)
            await gateway.wait_until(lambda: not gateway.node.hub)
            await gateway.wait_until(lambda: tasks_here() == baseline)
        assert gateway.node.hub.statistics().closed == {"slow_reader": 1}
        assert gateway.server.statistics().cut == {"grace": 1}


async def test_a_peer_that_does_not_answer_pings_is_told_and_cut() -> None:
    async with open_gateway() as gateway:
        baseline = tasks_here()
        async with Deaf(gateway) as deaf:
            await gateway.pass_time(44)
            assert len(gateway.node.hub) == 1, "a ping after 25 s, and 20 s for its answer"
            await gateway.pass_time(2)
            assert b"silent" in await deaf.read_until(b"silent"), "the close frame says why"
            await gateway.pass_time(4)
            await gateway.wait_until(lambda: gateway.server.statistics().links == 0)
            await gateway.wait_until(lambda: tasks_here() == baseline)
        assert [reason for _, reason in gateway.calls.closed] == ["silent"]
        assert gateway.server.statistics().cut == {"grace": 1}


async def test_a_peer_that_speaks_and_answers_no_ping_is_called_silent() -> None:
    async with open_gateway() as gateway, Deaf(gateway) as deaf:
        for _ in range(46):
            await deaf.text("43/live,1[]")
            await gateway.pass_time(1)
        assert b"silent" in await deaf.read_until(b"silent")
        await gateway.pass_time(4)
        assert [reason for _, reason in gateway.calls.closed] == ["silent"]


async def test_pings_go_on_as_long_as_they_are_answered_and_tell_the_round_trip() -> None:
    async with open_gateway() as gateway, open_client(gateway) as client:
        await client.connect()
        for count in range(1, 4):
            await gateway.pass_time(25.5 if count == 1 else 24.5)
            assert (await client.socket.receive(timeout=WAIT_S)).data == "2"
            await gateway.pass_time(0.5)
            await client.text("3")
            await gateway.wait_until(lambda count=count: gateway.server.statistics().rtt_ms.count == count)  # type: ignore[misc]
        assert len(gateway.node.hub) == 1
        (line,) = gateway.server.lines()
        assert line.rtt_ms is not None
        assert 500 <= line.rtt_ms < 1_100
        assert gateway.server.statistics().pings == 3


async def test_a_line_that_breaks_is_nobodys_fault() -> None:
    async with open_gateway() as gateway, open_client(gateway) as client:
        await client.connect()
        line = gateway.link().line
        assert line is not None
        line.abort()
        await gateway.wait_until(lambda: not gateway.node.hub)
        assert [reason for _, reason in gateway.calls.closed] == ["transport"]


async def test_two_hundred_connections_leave_no_task_and_no_object_behind() -> None:
    async with open_gateway() as gateway:
        async with open_client(gateway) as client:
            await client.connect()
        await gateway.wait_until(lambda: gateway.server.statistics().links == 0)
        baseline = tasks_here()
        for _ in range(10):
            clients: list[Any] = [open_client(gateway) for _ in range(20)]
            opened: list[Client] = [await one.__aenter__() for one in clients]
            await asyncio.gather(*(one.connect() for one in opened))
            for one in clients:
                await one.__aexit__(None, None, None)
        await gateway.wait_until(lambda: gateway.server.statistics().links == 0)
        await gateway.wait_until(lambda: tasks_here() == baseline)
        gateway.calls.opened.clear()
        gc.collect()
        assert gateway.server.eio.links == {}
        assert gateway.server.environ == {}
        assert gateway.server.manager.rooms == {}
        assert gateway.node.hub.statistics().channels == 0


# -- encode once ------------------------------------------------------------------------------------------------------


async def test_a_broadcast_is_the_same_bytes_for_everybody(monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_gateway() as gateway, open_client(gateway) as one, open_client(gateway) as two:
        for account, client in enumerate((one, two)):
            await client.connect(str(account))
        written: list[bytes] = []
        for connection in gateway.node.hub.connections():
            gateway.node.join(connection, "room")
            assert connection.write_now is not None, "the line is clear"
            monkeypatch.setattr(connection, "write_now", _noting(written, connection.write_now))
        frame = ended()
        assert gateway.node.broadcast("room", frame) == 2
        for client in (one, two):
            assert (await client.received())[0] == "class.ended"
        assert [data is frame.ws for data in written] == [True, True]


def _noting(written: list[bytes], write: Write) -> Write:
    def noting(data: bytes) -> None:
        written.append(data)
        write(data)

    return noting


async def test_what_one_turn_says_to_a_connection_leaves_in_one_write_and_in_order() -> None:
    async with open_gateway() as gateway, open_client(gateway) as client:
        await client.connect()
        one = gateway.connection()
        gateway.node.join(one, "room")
        gateway.node.join(one, "other")
        before = gateway.server.statistics()
        gateway.node.broadcast("room", changes(1), key="board", whole=lambda: snapshot(1))
        one.push(ended())
        gateway.node.broadcast("other", changes(2), key="board", whole=lambda: snapshot(2))
        one.push(event_frame("bye", Bye(3000, "x", 1)))
        heard = [await client.received() for _ in range(4)]
        assert [name for name, _ in heard] == ["board.changes", "class.ended", "board.changes", "bye"]
        after = gateway.server.statistics()
        assert (after.writes - before.writes, after.frames - before.frames) == (1, 4)


async def test_the_acknowledgements_of_one_read_leave_in_one_write() -> None:
    async with open_gateway() as gateway, Deaf(gateway) as deaf:
        before = gateway.server.statistics()
        event = json.dumps(["board.get", {"class_id": str(ROOM)}])
        await deaf.texts([f"42/live,{n}{event}" for n in range(10)])
        seen = await deaf.read_until(b"43/live,9[")
        assert [seen.index(b"43/live,%d[" % n) for n in range(10)] == sorted(
            seen.index(b"43/live,%d[" % n) for n in range(10)
        )
        after = gateway.server.statistics()
        assert (after.writes - before.writes, after.frames - before.frames) == (1, 10)


async def test_what_stands_behind_one_offence_too_many_in_the_same_read_is_not_heard() -> None:
    async with open_gateway() as gateway, Deaf(gateway) as deaf:
        offence, event = json.dumps(["board.get", {}]), json.dumps(["board.get", {"class_id": str(ROOM)}])
        await deaf.texts([f"42/live,{n}{offence}" for n in range(STRIKES)] + [f"42/live,99{event}"])
        await gateway.wait_until(lambda: gateway.connection().ending is ABUSE)
        assert gateway.calls.seen == []


async def test_what_stands_behind_an_event_that_waits_in_the_same_read_waits_for_it() -> None:
    async with open_gateway() as gateway, Deaf(gateway) as deaf:
        join, event = json.dumps(["room.join", {"code": "ABCD"}]), json.dumps(["board.get", {"class_id": str(ROOM)}])
        await deaf.texts([f"42/live,0{join}", f"42/live,1{event}"])
        (link,) = gateway.server.eio.links.values()
        await gateway.wait_until(lambda: link.events_in == 3)  # CONNECT and the two
        assert gateway.calls.seen == []
        gateway.calls.gate.set()
        seen = await deaf.read_until(b"43/live,1[")
        assert seen.index(b"43/live,0[") < seen.index(b"43/live,1[")


async def test_boards_wait_a_moment_for_company_and_acknowledgements_take_them_along() -> None:
    turn = Turn(patience_s=3600)
    async with open_gateway(turn=turn) as gateway, open_client(gateway) as client:
        await client.connect()
        one = gateway.connection()
        gateway.node.join(one, "room")
        gateway.node.broadcast("room", changes(1), key="board", whole=lambda: snapshot(1))
        await asyncio.sleep(0)
        assert one.out == changes(1).ws
        assert "ok" in await client.call_after("board.changes", "board.get", {"class_id": str(ROOM)})
        turn.flush()


async def test_manual_time_is_what_the_deadlines_go_by() -> None:
    async with open_gateway(ping_interval_s=10_000) as gateway, open_client(gateway) as client:
        await client.connect()
        await gateway.pass_time(3_600)
        assert "ok" in await client.call("board.get", {"class_id": str(ROOM)})
