"""From bytes to handler and back, without a socket."""

import asyncio
import json
import uuid
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from gateway.http.examples import example_of
from gateway.sockets import inbound
from gateway.sockets.dispatch import Dispatcher, Reply
from realtime import wire
from realtime.connection import Connection
from realtime.disconnect import ABUSE
from realtime.limits import BYTES_PER_TOKEN, EVENTS_BURST, STRIKES, AccountAllowances, Allowance
from realtime.mailbox import Mailbox
from services.kernel.caller import Caller
from services.kernel.clock import ManualClock
from services.kernel.ids import AccountId, ClassId, LoginId, StreamId
from services.kernel.problems import ClassNotFound, Problem
from tests.realtime import build

ROOM = ClassId(uuid.UUID(int=77))
BOARD = json.dumps({"class_id": str(ROOM)}).encode()
STREAM = StreamId(uuid.UUID(int=3))
ASK = b'["board.get",' + BOARD + b"]"
JOIN = b'["room.join",{"code":"ABCD"}]'
LEAVE = b'["room.leave",' + BOARD + b"]"
NOTHING = wire.BoardSnapshot(ROOM, "e", 1, 0, (), ())


def samples(text: str) -> bytes:
    """`stream.samples` with these samples, as they are written."""
    return f'["stream.samples",{{"stream":"{STREAM}","seq":0,"samples":{text}}}]'.encode()


class Desk:
    """A dispatcher with one client in front of it. `seen` is what handlers got."""

    def __init__(self, *, timeout_s: float = 15.0, error_first: bool = False) -> None:
        self.clock = ManualClock()
        self.seen: list[object] = []
        self.withheld: list[Reply] = []
        self.waits: Callable[[], Any] = asyncio.Event().wait
        handlers: dict[str, Any] = {event.name: self._note for event in wire.CLIENT_EVENTS}
        handlers |= {"board.get": self._board, "room.join": self._join, "room.leave": self._leave}
        self.dispatcher = Dispatcher(handlers, self.clock, timeout_s=timeout_s)
        self.error_first = error_first
        self.connection, self.allowance = self.client()

    def client(self, account: int = 1) -> tuple[Connection, Allowance]:
        """One more client."""
        number = uuid.UUID(int=account)
        caller = Caller(AccountId(number), LoginId(number), "Ada", frozenset({"member", "coach"}), 0)
        connection = Connection(
            str(uuid.uuid4()), caller, Mailbox(), build.Line(), opened_at=0.0, error_first=self.error_first
        )
        return connection, Allowance(self.clock.monotonic())

    def tell(self, arguments: bytes | bytearray | memoryview, ack_id: bytes | None = b"7") -> Any:
        return self.dispatcher.dispatch(self.connection, self.allowance, ack_id, arguments, self.clock.monotonic())

    def said(self) -> list[Any]:
        """Everything said to the client since the last time: the arguments of each packet, decoded."""
        return [json.loads(text[text.index("[") :]) for text in build.texts(self.connection.mailbox)]

    def refusal(self, arguments: bytes) -> dict[str, Any]:
        """The problem that an event is answered with."""
        assert self.tell(arguments) is None
        ((answer,),) = self.said()
        (problem,) = answer.values()
        assert isinstance(problem, dict)
        return problem

    def _note(self, _: Connection, message: object, reply: Reply) -> None:
        self.seen.append(message)
        self.withheld.append(reply)

    def _board(self, _: Connection, message: wire.RoomRef, reply: Reply) -> None:
        self.seen.append(message)
        reply.ok(NOTHING)

    async def _join(self, _: Connection, message: wire.RoomJoin, reply: Reply) -> None:
        await self.waits()
        self.seen.append(message)
        reply.ok(
            wire.RoomJoined(room=wire.ClassView(ROOM, "ABCD", "Spin", "Kim", "live", 0), board=NOTHING, recovered=False)
        )

    def _leave(self, _: Connection, message: wire.RoomRef, reply: Reply) -> None:
        raise ZeroDivisionError("our own fault")


# -- in place, or later -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_an_event_is_answered_before_dispatch_returns(kind: Callable[[bytes], bytes]) -> None:
    desk = Desk()
    assert desk.tell(kind(ASK)) is None
    ((answer,),) = desk.said()
    assert answer["ok"]["class_id"] == str(ROOM)
    assert desk.seen == [wire.RoomRef(class_id=ROOM)]


@pytest.mark.parametrize(
    "arguments", [ASK, samples("[[0,140]]"), samples("[[0,NaN]]"), b'["board.get",{}]', b"[", b"\xff"]
)
def test_the_readers_buffer_is_its_own_again_afterwards(arguments: bytes) -> None:
    desk, buffer = Desk(), bytearray(b"42/live,7" + arguments)
    desk.tell(memoryview(buffer)[9:])
    buffer.clear()  # raises while somebody still looks at it
    assert len(desk.seen) + len(desk.said()) >= 1


@pytest.mark.parametrize("event", wire.CLIENT_EVENTS, ids=lambda event: event.name)
def test_every_event_of_the_catalogue_reaches_its_handler_as_its_shape(event: wire.Event) -> None:
    seen: list[object] = []

    def noting(name: str) -> Callable[[Connection, object, Reply], None]:
        return lambda _, message, __: seen.append((name, message))

    handlers = {row.name: noting(row.name) for row in wire.CLIENT_EVENTS}
    example = example_of(event.shape)
    connection, clock = build.connection(), ManualClock()
    arguments = msgspec.json.encode([event.name, example])
    assert Dispatcher(handlers, clock).dispatch(connection, Allowance(0.0), None, arguments, 0.0) is None
    assert seen == [(event.name, msgspec.convert(example, event.shape))]


async def test_a_handler_that_waits_is_handed_back_and_answers_when_it_is_done() -> None:
    desk, gate = Desk(), asyncio.Event()
    desk.waits = gate.wait
    waiting = desk.tell(JOIN)
    assert waiting is not None
    assert desk.said() == []
    gate.set()
    await waiting
    ((answer,),) = desk.said()
    assert answer["ok"]["room"]["code"] == "ABCD"


async def test_a_handler_that_waits_too_long_is_given_up_and_the_client_may_try_again() -> None:
    desk = Desk(timeout_s=0.0)
    with capture_logs() as lines:
        await desk.tell(JOIN)
    ((answer,),) = desk.said()
    assert (answer["problem"]["code"], answer["problem"]["retry"]) == ("unavailable", True)
    assert [line["event"] for line in lines] == ["dispatch.handler_late"]


async def test_a_waiting_handlers_refusal_and_fault_are_answered() -> None:
    async def refuse() -> None:
        raise ClassNotFound(path="$.code")

    async def break_down() -> None:
        raise OSError("the database of secrets is away")

    desk = Desk()
    for waits, code in ((refuse, "class_not_found"), (break_down, "internal_fault")):
        desk.waits = waits
        await desk.tell(JOIN)
        ((answer,),) = desk.said()
        assert answer["problem"]["code"] == code
        assert "secrets" not in answer["problem"]["message"]


async def test_what_a_handler_waited_for_may_be_cancelled_without_leaving_the_client_unanswered() -> None:
    desk, shared = Desk(), asyncio.get_running_loop().create_future()
    shared.cancel()
    desk.waits = lambda: shared
    await desk.tell(JOIN)
    ((answer,),) = desk.said()
    assert answer["problem"]["code"] == "internal_fault"


async def test_an_answer_may_be_what_comes_of_a_future() -> None:
    desk = Desk()
    ends: list[tuple[wire.Said | Exception | None, str]] = [
        (wire.Said("e-1"), "ok"),
        (ClassNotFound(), "class_not_found"),
        (KeyError("our own fault"), "internal_fault"),
        (None, "internal_fault"),
    ]
    for end, said in ends:
        cue = f'["cue.send",{{"class_id":"{ROOM}","text":"up"}}]'.encode()
        assert desk.tell(cue) is None
        done: asyncio.Future[wire.Said] = asyncio.get_running_loop().create_future()
        desk.withheld.pop().when(done)
        assert desk.said() == []
        if isinstance(end, Exception):
            done.set_exception(end)
        elif end is None:
            done.cancel()
        else:
            done.set_result(end)
        await asyncio.sleep(0)
        ((answer,),) = desk.said()
        assert said in answer or answer["problem"]["code"] == said


async def test_a_handler_that_is_stopped_stops() -> None:
    desk = Desk()
    task = asyncio.ensure_future(desk.tell(JOIN))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert desk.said() == []


def test_a_reply_that_is_not_fit_for_the_wire_is_our_fault_and_answered_as_one() -> None:
    desk = Desk()
    row = wire.Row(0, 1, None, None, None, float("nan"), "lost")

    def board(_: Connection, message: wire.RoomRef, reply: Reply) -> None:
        reply.ok(wire.BoardSnapshot(ROOM, "e", 1, 0, (), (row,)))

    handlers: dict[str, Any] = {event.name: board for event in wire.CLIENT_EVENTS}
    dispatcher = Dispatcher(handlers, desk.clock)
    assert dispatcher.dispatch(desk.connection, desk.allowance, b"7", ASK, desk.clock.monotonic()) is None
    ((answer,),) = desk.said()
    assert answer["problem"]["code"] == "internal_fault"
    assert dispatcher.statistics().events["board.get"].ok == 0


# -- acknowledgements -------------------------------------------------------------------------------------------------


def test_for_a_client_that_wants_it_a_null_stands_before_every_answer() -> None:
    desk = Desk(error_first=True)
    for arguments, key in ((ASK, "ok"), (b'["board.get",{}]', "problem"), (LEAVE, "problem"), (b"[", "problem")):
        desk.tell(arguments)
        ((error, answer),) = desk.said()
        assert error is None
        assert list(answer) == [key]


def test_without_an_acknowledgement_id_an_answer_is_silent_and_a_refusal_an_event() -> None:
    desk = Desk(error_first=True)
    desk.tell(ASK, None)
    assert desk.said() == []
    desk.tell(b'["board.get",{}]', None)
    ((name, told),) = desk.said()
    assert (name, told["event"], told["problem"]["code"]) == ("problem", "board.get", "bad_shape")


def test_an_answer_is_given_once() -> None:
    desk = Desk()
    desk.tell(samples("[[0,140]]"))
    (reply,) = desk.withheld
    with pytest.raises(TypeError, match="is answered with SamplesStored, not Done"):
        reply.ok(wire.Done())
    assert not reply.answered
    desk.connection.lost("transport")
    reply.ok(wire.SamplesStored(STREAM, 1))
    with pytest.raises(RuntimeError, match="answered twice"):
        reply.ok(wire.SamplesStored(STREAM, 1))
    with pytest.raises(RuntimeError, match="answered twice"):
        reply.problem(ClassNotFound())


# -- what is wrong, and where -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "code", "path"),
    [
        (b'["board.get",{"class_id":1}]', "bad_shape", "$.class_id"),
        (b'["board.get",{"class_id":"x","class_id":2}]', "bad_shape", "$.class_id"),
        (b'["board.get",{}]', "bad_shape", "$"),
        (b'["board.get",{},1]', "bad_shape", None),
        (b'["board.get"]', "bad_shape", None),
        (b"[]", "bad_shape", None),
        (b"{}", "bad_shape", None),
        (b'"board.get"', "bad_shape", None),
        (b"[null,{}]", "bad_shape", None),
        (b'[["board.get"],{}]', "bad_shape", None),
        (b'["stream.samples",[1]]', "bad_shape", "$"),
        (samples("[[0,140],[0,140,[0]]]"), "bad_shape", "$.samples[1][2][0]"),
        (samples("[[0,140,[],1]]"), "bad_shape", "$.samples[0][3]"),
        (samples("[[0,140,[],[-1]]]"), "bad_shape", "$.samples[0][3][0]"),
        (samples("[[0,140,[],[null,4001]]]"), "bad_shape", "$.samples[0][3][1]"),
        (samples("[[0,140,[],[null,null,90.5]]]"), "bad_shape", "$.samples[0][3][2]"),
        (samples("[[0,140,[],null,1]]"), "bad_shape", "$"),
        (samples("[[0,NaN]]"), "bad_shape", "$.samples[0][1]"),
        (samples("[[-Infinity,140]]"), "bad_shape", "$.samples[0][0]"),
        (samples("[[0,1e999]]"), "bad_shape", "$.samples[0][1]"),
        (samples("[[0,1.0]]"), "bad_shape", "$.samples[0][1]"),
        (samples("[[0," + "1" * 5_000 + "]]"), "bad_shape", "$.samples[0][1]"),
        (samples("[[0,NaN],[" + "1" * 5_000 + ",0]]"), "bad_json", None),
        (samples("[[0,140]]") + b" x", "bad_json", None),
        (samples("[[0,01]]"), "bad_json", None),
        (b"", "bad_json", None),
        (b"[", "bad_json", None),
        (b'["board.get",{"class_id":', "bad_json", None),
        (b'["class.create",{"title":"a\nb"}]', "bad_json", None),
        (b'["class.create",{"title":"\xff"}]', "bad_json", None),
        (b'["class.create",{"title":"\xed\xa0\x80"}]', "bad_json", None),
        (b'["class.create",{"\xff":1}]', "bad_json", None),
        (b'["\xff",{}]', "bad_json", None),
        (b'["class.create",{"title":"\\ud83d"}]', "bad_json", None),
        (b'["class.create",{"title":"\\ude00 x"}]', "bad_json", None),
        (b'["class.create",{"\\ud83d":1}]', "bad_json", None),
        (b'["class.create",{"x - at `\\ud83d":1}]', "bad_json", None),
        (b'["\\ud83d",{}]', "bad_json", None),
        (b'["nope",{}]', "unknown_event", None),
        (b'["nope",NaN]', "unknown_event", None),
        (b'["nope - at `$`",{}]', "unknown_event", None),
        (b'["class.create",{"x - at `$.y`":1}]', "bad_shape", "$"),
        (b'["board.get",' + b"[" * 100_000, "bad_json", None),
        (b'["board.get",' + b'{"a":' * 40_000, "bad_json", None),
        (b"[" * 100_000, "bad_shape", None),
        (samples("[" + "[0,140]," * 1_000 + "[0,140]]"), "bad_shape", "$.samples"),
        (b'["class.create",{"title":"' + b"x" * wire.MAX_PAYLOAD_BYTES + b'"}]', "too_large", None),
        (ASK.ljust(wire.MAX_PAYLOAD_BYTES + 1), "too_large", None),
        (b'["class.create",{"title":NaN,"x":"' + b"x" * inbound.MAX_LOOSE + b'"}]', "bad_json", None),
    ],
)
def test_a_refusal_says_what_is_wrong_and_where_and_can_always_be_sent(arguments: bytes, code: str, path: str) -> None:
    desk = Desk()
    problem = desk.refusal(arguments)
    assert (problem["code"], problem.get("path")) == (code, path)
    assert desk.seen == []
    assert len(json.dumps(problem)) < 500
    desk.tell(arguments, None)
    ((name, told),) = desk.said()
    assert (name, told["problem"]) == ("problem", problem)


@pytest.mark.parametrize(
    "arguments",
    [
        b'["room.join",{"code":"ABCD","role":"' + b"x" * 100_000 + b'"}]',
        b'["room.join",{"' + b"x" * 100_000 + b'":1}]',
        b'["' + b"x" * 100_000 + b'",{}]',
    ],
)
def test_a_refusal_does_not_send_the_clients_own_words_back_in_full(arguments: bytes) -> None:
    desk = Desk()
    assert len(desk.refusal(arguments)["message"]) < 300


def test_of_two_fields_of_one_name_the_last_counts() -> None:
    desk = Desk()
    desk.tell(b'["class.create",{"title":"one","title":"two"}]')
    assert desk.seen == [wire.ClassCreate("two")]


def _example(event: wire.Event) -> dict[str, Any]:
    example = example_of(event.shape)
    assert isinstance(example, dict)
    return example


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
_names = st.sampled_from([event.name for event in wire.CLIENT_EVENTS]) | st.text(max_size=8)
_almost = st.sampled_from(wire.CLIENT_EVENTS).flatmap(
    lambda event: st.tuples(
        st.just(event.name),
        st.dictionaries(
            st.sampled_from([field.name for field in msgspec.structs.fields(event.shape)]), _json, max_size=3
        ).map(lambda changed: {**_example(event), **changed}),
    )
)
_events = st.tuples(_names, _json) | _almost | st.lists(_json, max_size=3)


async def _no_time() -> None:
    """Waits for nothing."""


def _agrees(arguments: bytes) -> None:
    name, found = inbound.explain(arguments)
    try:
        event = inbound.decode(arguments)
    except inbound.UNREADABLE:
        assert isinstance(found, Problem)
    else:
        assert found == event.payload
        assert type(event) is inbound.KINDS[name]


@given(_events)
def test_the_quick_way_and_the_slow_way_agree(event: object) -> None:
    _agrees(json.dumps(event).encode())


@given(st.binary(max_size=40) | st.text('[]{}",:1eE-+.NaNIfity\\ud8', max_size=40).map(str.encode))
def test_they_agree_on_anything_at_all(arguments: bytes) -> None:
    _agrees(arguments)


@given(_events, st.binary(max_size=3), st.integers(0, 200))
def test_damaged_events_are_answered_exactly_once(event: object, damage: bytes, at: int) -> None:
    desk, text = Desk(), json.dumps(event).encode()
    desk.waits = _no_time
    waiting = desk.tell(text[:at] + damage + text[at:], b"1")
    if waiting is not None:
        asyncio.run(waiting)
    assert len(desk.said()) + len(desk.withheld) == 1


# -- limits -----------------------------------------------------------------------------------------------------------


def test_a_large_event_costs_more_than_a_small_one() -> None:
    desk = Desk()
    large = b'["board.get",' + BOARD.ljust(9 * BYTES_PER_TOKEN) + b"]"
    for _ in range(int(EVENTS_BURST) // 10):
        desk.tell(large)
    assert all("ok" in answer for (answer,) in desk.said())
    assert desk.refusal(ASK)["code"] == "rate_limited"
    assert desk.refusal(large)["retry_after_ms"] == 101


def test_the_largest_event_fits_into_a_burst() -> None:
    assert 1 + wire.MAX_PAYLOAD_BYTES // BYTES_PER_TOKEN <= EVENTS_BURST


async def test_after_the_time_named_in_the_refusal_the_event_is_taken() -> None:
    desk = Desk()
    for _ in range(int(EVENTS_BURST)):
        desk.tell(ASK)
    desk.said()
    wait_ms = desk.refusal(ASK)["retry_after_ms"]
    await desk.clock.advance(wait_ms / 1000)
    desk.tell(ASK)
    assert "ok" in desk.said()[0][0]


def test_an_account_does_not_get_more_by_opening_more_connections() -> None:
    desk = Desk()
    taken = 0
    for _ in range(8):
        desk.connection, desk.allowance = desk.client()
        for _ in range(int(EVENTS_BURST)):
            desk.tell(ASK)
        taken += sum("ok" in answer for (answer,) in desk.said())
        assert desk.connection.ending is None
    assert taken == 4 * EVENTS_BURST
    desk.connection, desk.allowance = desk.client(account=2)
    desk.tell(ASK)
    assert "ok" in desk.said()[0][0]


def test_a_refusal_on_account_of_the_others_is_no_strike() -> None:
    desk = Desk()
    desk.dispatcher.accounts.of(desk.connection.caller.account_id, desk.clock.monotonic()).take(
        desk.clock.monotonic(), 4 * EVENTS_BURST
    )
    for _ in range(3 * STRIKES):
        assert desk.refusal(ASK)["code"] == "rate_limited"
    assert desk.connection.ending is None


async def test_a_bucket_that_was_forgotten_is_asked_for_again() -> None:
    accounts = AccountAllowances(limit=1)
    handlers: dict[str, Any] = {event.name: lambda *_: None for event in wire.CLIENT_EVENTS}
    clock = ManualClock()
    dispatcher = Dispatcher(handlers, clock, accounts=accounts)
    desk = Desk()
    first, second = desk.client(1), desk.client(2)
    dispatcher.dispatch(*first, b"1", ASK, clock.monotonic())
    held = first[1].account
    dispatcher.dispatch(*second, b"1", ASK, clock.monotonic())
    dispatcher.dispatch(*first, b"1", ASK, clock.monotonic())
    assert first[1].account is not held
    assert len(accounts) == 1


def test_who_keeps_sending_what_is_refused_is_ended() -> None:
    desk = Desk()
    with capture_logs() as lines:
        for _ in range(STRIKES):
            assert desk.connection.ending is None
            desk.tell(b'["board.get",{}]')
    assert desk.connection.ending is ABUSE
    assert [(line["event"], line["code"]) for line in lines] == [("dispatch.struck_out", "bad_shape")]


def test_a_fault_that_every_event_meets_does_not_flood_the_log() -> None:
    desk = Desk()
    with capture_logs() as lines:
        for _ in range(100):
            desk.tell(LEAVE)
    assert 1 <= len(lines) <= 5
    assert {line["event"] for line in lines} == {"dispatch.handler_failed"}
    assert len(desk.said()) == 100


async def test_counters_tell_how_long_answers_took() -> None:
    desk = Desk()
    desk.tell(ASK)
    desk.tell(samples("[[0,140]]"))
    await desk.clock.advance(0.3)
    desk.withheld[0].ok(wire.SamplesStored(STREAM, 1))
    desk.tell(b'["board.get",{}]')
    statistics = desk.dispatcher.statistics()
    stored = statistics.events["stream.samples"]
    assert (stored.received, stored.ok) == (1, 1)
    assert stored.seconds == pytest.approx(0.3)
    assert stored.buckets == [0, 0, 0, 0, 0, 1, 0, 0, 0, 0]
    assert statistics.events["board.get"].buckets[0] == 1
    assert statistics.problems == {"bad_shape": 1}
