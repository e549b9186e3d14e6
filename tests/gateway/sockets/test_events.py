"""Events in, exactly one answer out."""

import json
import uuid

import pytest

from gateway.sockets.dispatch import Dispatcher
from realtime.codec import event_frame
from realtime.wire import BoardSnapshot, SampleBatch, SamplesStored
from services.kernel.clock import ManualClock
from services.kernel.ids import StreamId
from services.kernel.problems import StreamNotOpen
from tests.gateway.sockets.build import ROOM, Calls, open_client, open_gateway

BOARD = {"class_id": str(ROOM)}
STREAM = str(uuid.UUID(int=3))
FRAMES = {"stream": STREAM, "seq": 0, "characteristic": "2a37", "frames": [[0, "AIw="]]}


def batch(seq: int) -> dict[str, object]:
    return {"stream": STREAM, "seq": seq, "samples": [[seq * 1000, 140]]}


async def test_an_event_is_answered_with_its_reply() -> None:
    async with open_gateway() as gateway, open_client(gateway) as client:
        await client.connect()
        answer = await client.call("board.get", BOARD)
        assert answer["ok"]["class_id"] == str(ROOM)


async def test_a_refusal_is_a_problem_in_the_acknowledgement() -> None:
    async with open_gateway() as gateway, open_client(gateway) as client:
        await client.connect()
        answer = await client.call("board.get", {"class_id": str(uuid.uuid4())})
        assert answer["problem"]["code"] == "not_in_room"
        assert "ok" in await client.call("board.get", BOARD)


async def test_events_of_one_client_are_handled_in_order_even_past_a_slow_one() -> None:
    async with open_gateway() as gateway, open_client(gateway) as client:
        await client.connect()
        await client.event("room.join", {"code": "ABCD"})
        for seq in range(60):
            await client.event("stream.samples", batch(seq), acknowledged=False)
        await client.event("board.get", BOARD)
        gateway.calls.gate.set()
        assert "ok" in await client.ack(0)
        assert "ok" in await client.ack(1)
        batches = [message for message in gateway.calls.seen if isinstance(message, SampleBatch)]
        assert [one.seq for one in batches] == list(range(60))
        assert gateway.calls.seen.index(batches[0]) == 1


@pytest.mark.parametrize("number", ["0", "7", "007", "999999999999999"])
async def test_the_number_of_an_event_comes_back_in_the_digits_in_which_it_was_sent(number: str) -> None:
    async with open_gateway() as gateway, open_client(gateway) as client:
        await client.connect()
        for payload in (BOARD, {}):
            await client.text(f"42/live,{number}{json.dumps(['board.get', payload])}")
            assert (await client.packet()).startswith(f"43/live,{number}[")


async def test_an_acknowledgement_can_be_withheld_and_given_out_of_order() -> None:
    async with open_gateway() as gateway, open_client(gateway) as client:
        await client.connect()
        first = await client.event("stream.samples", batch(0))
        second = await client.event("stream.samples", batch(1))
        assert "ok" in await client.call("board.get", BOARD)
        late, early = gateway.calls.withheld
        early.ok(SamplesStored(StreamId(uuid.UUID(STREAM)), 2))
        assert await client.ack(second) == {"ok": {"stream": STREAM, "next_seq": 2}}
        late.problem(StreamNotOpen())
        assert (await client.ack(first))["problem"]["code"] == "stream_not_open"


async def test_an_answer_after_the_connection_is_gone_is_harmless_and_a_second_one_is_not() -> None:
    async with open_gateway() as gateway:
        async with open_client(gateway) as client:
            await client.connect()
            await client.event("stream.samples", batch(0))
            await gateway.wait_until(lambda: bool(gateway.calls.withheld))
        await gateway.wait_until(lambda: not gateway.node.hub)
        (reply,) = gateway.calls.withheld
        reply.ok(SamplesStored(StreamId(uuid.UUID(STREAM)), 1))
        with pytest.raises(RuntimeError, match="answered twice"):
            reply.problem(StreamNotOpen())


async def test_without_an_acknowledgement_id_only_problems_are_told() -> None:
    async with open_gateway() as gateway, open_client(gateway) as client:
        await client.connect()
        await client.event("board.get", BOARD, acknowledged=False)
        await client.event("board.get", {"class_id": str(uuid.uuid4())}, acknowledged=False)
        name, payload = await client.received()
        assert (name, payload["event"], payload["problem"]["code"]) == ("problem", "board.get", "not_in_room")


@pytest.mark.parametrize("name", ["no.such.event", "board.snapshot", "connect", "disconnect", ""])
async def test_an_unknown_event_is_refused_and_the_connection_kept(name: str) -> None:
    async with open_gateway() as gateway, open_client(gateway) as client:
        await client.connect()
        assert (await client.call(name, {}))["problem"]["code"] == "unknown_event"
        assert "ok" in await client.call("board.get", BOARD)


@pytest.mark.parametrize(
    ("name", "payload", "path"),
    [
        ("board.get", {}, "$"),
        ("board.get", {"class_id": "not-a-uuid"}, "$.class_id"),
        ("board.get", BOARD | {"extra": 1}, "$"),
        ("board.get", [], "$"),
        ("board.get", None, "$"),
        ("stream.samples", batch(0) | {"seq": -1}, "$.seq"),
        ("stream.samples", batch(0) | {"seq": 2**70}, "$.seq"),
        ("stream.samples", batch(0) | {"seq": True}, "$.seq"),
        ("stream.samples", batch(0) | {"seq": "1"}, "$.seq"),
        ("stream.samples", batch(0) | {"seq": 1.5}, "$.seq"),
        ("stream.samples", batch(0) | {"samples": []}, "$.samples"),
        ("stream.samples", batch(0) | {"samples": [[0, 140], [1000, "140"]]}, "$.samples[1][1]"),
        ("stream.samples", batch(0) | {"samples": [[0, float("nan")]]}, "$.samples[0][1]"),
        ("stream.samples", batch(0) | {"samples": [[float("inf"), 140]]}, "$.samples[0][0]"),
        ("sensor.frame", FRAMES | {"frames": [[0, "AIw"]]}, "$.frames[0][1]"),
        ("sensor.frame", FRAMES | {"frames": [[0, "AIw=", ["AIw="] * 4]]}, "$.frames[0][2]"),
        ("sensor.frame", FRAMES | {"characteristic": "0x2a37"}, "$.characteristic"),
    ],
)
async def test_a_wrong_shape_is_refused_with_the_place_and_never_handled(name: str, payload: object, path: str) -> None:
    async with open_gateway() as gateway, open_client(gateway) as client:
        await client.connect()
        problem = (await client.call(name, payload))["problem"]
        assert (problem["code"], problem["path"]) == ("bad_shape", path)
        assert gateway.calls.seen == []


@pytest.mark.parametrize(
    ("packet", "code"),
    [
        ("42/live,0[]", "bad_shape"),
        ('42/live,0["board.get"]', "bad_shape"),
        ('42/live,0["board.get",{},{}]', "bad_shape"),
        ("42/live,0[1,{}]", "bad_shape"),
        ('42/live,0["board.get",{]', "bad_json"),
        ('42/live,0["board.get",' + "[" * 20_000 + "]", "bad_json"),
        ('42/live,0["board.get",' + "[" * 20_000 + "]" * 20_001, "bad_json"),
        ("42/live,0[NaN", "bad_json"),
    ],
)
async def test_arguments_that_are_no_event_are_refused(packet: str, code: str) -> None:
    async with open_gateway() as gateway, open_client(gateway) as client:
        await client.connect()
        await client.text(packet)
        assert (await client.ack(0))["problem"]["code"] == code
        await client.text('42/live,5["board.get",' + json.dumps(BOARD) + "]")
        assert "ok" in await client.ack(5)


async def test_a_fault_of_ours_is_answered_as_one_and_does_not_tell_its_cause() -> None:
    async with open_gateway() as gateway, open_client(gateway) as client:
        await client.connect()
        for name, payload in (("room.leave", BOARD), ("stream.finish", {"stream": STREAM, "samples": 0})):
            problem = (await client.call(name, payload))["problem"]
            assert (problem["code"], problem["retry"]) == ("internal_fault", True)
            assert "fault of" not in problem["message"]


async def test_a_flood_is_refused_with_the_time_to_wait_and_in_the_end_closed() -> None:
    async with open_gateway() as gateway, open_client(gateway) as client:
        await client.connect()
        for _ in range(203):
            await client.event("board.get", BOARD)
        for ack_id in range(200):
            assert "ok" in await client.ack(ack_id)
        problem = (await client.ack(200))["problem"]
        assert (problem["code"], problem["retry"]) == ("rate_limited", True)
        assert problem["retry_after_ms"] > 0
        for _ in range(10):
            await client.event("board.get", BOARD)
        assert await client.closed() == 3501


async def test_repeated_abuse_closes_with_a_reason_after_which_nobody_comes_back() -> None:
    async with open_gateway() as gateway, open_client(gateway) as client:
        await client.connect()
        for ack_id in range(10):
            await client.text(f'42/live,{ack_id}["board.get",{{}}]')
            assert (await client.ack(ack_id))["problem"]["code"] == "bad_shape"
        name, bye = await client.received()
        assert (name, bye["code"], bye.get("come_back_ms")) == ("bye", 3501, None)
        assert await client.packet() == "41/live,"
        assert await client.closed() == 3501
        await gateway.wait_until(lambda: gateway.calls.closed != [])
        assert gateway.calls.closed[0][1] == "abuse"


async def test_counters_tell_what_was_answered() -> None:
    async with open_gateway() as gateway, open_client(gateway) as client:
        await client.connect()
        await client.call("board.get", BOARD)
        await client.call("board.get", {"class_id": str(uuid.uuid4())})
        await client.call("board.get", {})
        statistics = gateway.server.dispatcher.statistics()
        board = statistics.events["board.get"]
        assert (board.received, board.ok, sum(board.buckets)) == (2, 1, 1)
        assert statistics.problems == {"not_in_room": 1, "bad_shape": 1}


def test_a_catalogue_row_without_a_handler_refuses_to_start() -> None:
    handlers = dict(Calls().handlers())
    del handlers["board.get"]
    with pytest.raises(ValueError, match=r"without a handler: board\.get"):
        Dispatcher(handlers, ManualClock())
    with pytest.raises(ValueError, match=r"does not have: board\.gte"):
        Dispatcher({**Calls().handlers(), "board.gte": Calls().handlers()["board.get"]}, ManualClock())


async def test_what_the_server_pushes_while_a_client_connects_comes_after_the_welcome() -> None:
    async with open_gateway() as gateway, open_client(gateway) as client:
        snapshot = event_frame("board.snapshot", BoardSnapshot(ROOM, "e", 1, 0, (), ()))
        gateway.server.handshake._on_open = lambda connection: connection.push(snapshot)
        await client.connect()
        assert (await client.received())[0] == "board.snapshot"
