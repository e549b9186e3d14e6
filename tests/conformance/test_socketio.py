"""Socket.IO v5: namespaces, events, acknowledgements and binary, on a WebSocket; then the same over long-polling.

The Engine.IO underneath has its own tests here, most of which run with Socket.IO on top as well.
"""

import json

import aiohttp
import pytest

from tests.conformance.client import Polling, Socket, join, open_line, open_member
from tests.conformance.server import CONNECT_TIMEOUT_S, LATE_S, PING_INTERVAL_S, Running, open_chat

NAMESPACES = pytest.mark.parametrize(("namespace", "prefix"), [("/", ""), ("/custom", "/custom,")])


async def alive(socket: Socket, prefix: str = "") -> None:
    """The namespace still answers, and has said nothing that we have not read."""
    await socket.send(f'42{prefix}["message","alive?"]')
    assert await socket.receive() == f'42{prefix}["message-back","alive?"]'


# -- connecting --------------------------------------------------------------------------------------------------------


@NAMESPACES
async def test_a_namespace_answers_with_a_sid_and_nothing_else(
    chat: Running, http: aiohttp.ClientSession, namespace: str, prefix: str
) -> None:
    async with open_line(http, chat.url) as socket:
        await socket.send(f"40{prefix}")
        welcome = await socket.receive()
        assert isinstance(welcome, str)
        assert welcome.startswith(f"40{prefix}{{")
        answer = json.loads(welcome.removeprefix(f"40{prefix}"))
        assert list(answer) == ["sid"]
        assert answer["sid"] not in chat.engine.links, "the engine's sid is a secret of polling; this one is not"
        assert await socket.receive() == f'42{prefix}["auth",{{}}]'


@NAMESPACES
async def test_a_namespace_gets_the_payload_of_connect(
    chat: Running, http: aiohttp.ClientSession, namespace: str, prefix: str
) -> None:
    async with open_line(http, chat.url) as socket:
        await socket.send(f'40{prefix}{{"token":"123","n":[1,null]}}')
        welcome = await socket.receive()
        assert isinstance(welcome, str)
        assert welcome.startswith(f'40{prefix}{{"sid":"')
        assert await socket.receive() == f'42{prefix}["auth",{{"token":"123","n":[1,null]}}]'


async def test_a_namespace_may_be_named_without_its_comma(chat: Running, http: aiohttp.ClientSession) -> None:
    async with open_line(http, chat.url) as socket:
        await socket.send("40/custom")
        welcome = await socket.receive()
        assert isinstance(welcome, str)
        assert welcome.startswith('40/custom,{"sid":"')


async def test_two_namespaces_live_side_by_side_on_one_line(chat: Running, http: aiohttp.ClientSession) -> None:
    async with open_member(http, chat.url) as socket:
        await join(socket, "/custom")
        await alive(socket, "/custom,")
        await alive(socket)


async def test_an_unknown_namespace_is_refused_with_an_object(chat: Running, http: aiohttp.ClientSession) -> None:
    async with open_line(http, chat.url) as socket:
        await socket.send("40/random")
        assert await socket.receive() == '44/random,{"message":"Invalid namespace"}'
        await join(socket)
        await alive(socket)


@pytest.mark.parametrize(
    ("why", "said"),
    [
        ('["not you"]', {"message": "not you"}),
        ('["not you",{"code":"x"}]', {"message": "not you", "data": {"code": "x"}}),
        ("[]", {"message": "Connection rejected by server"}),
    ],
)
@NAMESPACES
async def test_a_refusal_of_the_application_is_an_object_with_a_message(
    http: aiohttp.ClientSession, namespace: str, prefix: str, why: str, said: dict[str, object]
) -> None:
    async with open_chat(always_connect=False) as chat, open_line(http, chat.url) as socket:
        await socket.send(f'40{prefix}{{"refuse":{why}}}')
        answer = str(await socket.receive())
        assert answer.startswith(f"44{prefix}{{")
        assert json.loads(answer.removeprefix(f"44{prefix}")) == said
        await socket.send(f'42{prefix}["message","not joined"]')
        assert await socket.until_closed() == []


@pytest.mark.parametrize("packet", ["4abc", "4", "47", "49", '42["message","too early"]', '42/custom,["message"]'])
async def test_a_line_that_does_not_begin_with_connect_is_closed(
    chat: Running, http: aiohttp.ClientSession, packet: str
) -> None:
    async with open_line(http, chat.url) as socket:
        await socket.send(packet)
        assert await socket.until_closed() == []
    await chat.wait_until(lambda: not chat.engine.links)


async def test_a_line_that_joins_nothing_in_time_is_closed(http: aiohttp.ClientSession) -> None:
    async with open_chat(ping_interval=25.0) as chat, open_line(http, chat.url) as socket:
        await chat.pass_time(CONNECT_TIMEOUT_S - 0.1)
        assert len(chat.engine.links) == 1
        await chat.pass_time(0.5)
        assert await socket.until_closed() == []
        await chat.wait_until(lambda: not chat.engine.links)


async def test_a_poller_that_joins_nothing_in_time_is_gone(http: aiohttp.ClientSession) -> None:
    async with open_chat(ping_interval=25.0) as chat:
        line = await Polling(http, chat.url).open()
        await chat.pass_time(CONNECT_TIMEOUT_S + 0.5)
        assert await line.farewell() == []
        assert await line.is_gone()


async def test_a_line_whose_only_namespace_was_refused_is_closed_in_time(http: aiohttp.ClientSession) -> None:
    async with open_chat(ping_interval=25.0) as chat, open_line(http, chat.url) as socket:
        await socket.send("40/random")
        assert str(await socket.receive()).startswith("44/random,")
        await chat.pass_time(CONNECT_TIMEOUT_S + 0.5)
        assert await socket.until_closed() == []


async def test_a_line_that_has_joined_stays(http: aiohttp.ClientSession) -> None:
    async with open_chat(ping_interval=25.0) as chat, open_member(http, chat.url) as socket:
        await chat.pass_time(CONNECT_TIMEOUT_S * 4)
        await alive(socket)


# -- leaving -----------------------------------------------------------------------------------------------------------


@NAMESPACES
async def test_leaving_a_namespace_leaves_the_line_open(
    chat: Running, http: aiohttp.ClientSession, namespace: str, prefix: str
) -> None:
    async with open_line(http, chat.url) as socket:
        await join(socket, namespace)
        await socket.send(f"41{prefix}")
        await chat.pass_time(PING_INTERVAL_S + LATE_S)
        assert await socket.receive() == "2"
        await socket.send("3")
        await join(socket, namespace)
        await alive(socket, prefix)


@pytest.mark.parametrize("packet", ["41/custom,", "41/custom"])
async def test_leaving_one_namespace_leaves_the_other(chat: Running, http: aiohttp.ClientSession, packet: str) -> None:
    async with open_member(http, chat.url) as socket:
        await join(socket, "/custom")
        await socket.send(packet)
        await alive(socket)


async def test_the_server_takes_somebody_out_of_a_namespace(chat: Running, http: aiohttp.ClientSession) -> None:
    async with open_member(http, chat.url) as socket:
        await join(socket, "/custom")
        await socket.send('42/custom,["throw-me-out"]')
        assert await socket.receive() == "41/custom,"
        await alive(socket)


# -- events and acknowledgements ---------------------------------------------------------------------------------------


@NAMESPACES
@pytest.mark.parametrize(
    "arguments",
    ['1,"2",{"3":[true]}', "", "null", '"Föhn ❤ 🚲"', '{"_placeholder":false}', '[[[]]],-0.5,"\\u001e"'],
)
async def test_an_event_comes_with_its_arguments(
    chat: Running, http: aiohttp.ClientSession, namespace: str, prefix: str, arguments: str
) -> None:
    async with open_line(http, chat.url) as socket:
        await join(socket, namespace)
        sent = f'["message",{arguments}]' if arguments else '["message"]'
        await socket.send(f"42{prefix}{sent}")
        packet = await socket.receive()
        assert isinstance(packet, str)
        assert packet.startswith(f"42{prefix}[")
        assert json.loads(packet[2 + len(prefix) :]) == ["message-back", *json.loads(sent)[1:]]


@NAMESPACES
@pytest.mark.parametrize("number", [0, 456, 2**48])
async def test_an_acknowledgement_comes_with_the_number_and_the_arguments(
    chat: Running, http: aiohttp.ClientSession, namespace: str, prefix: str, number: int
) -> None:
    async with open_line(http, chat.url) as socket:
        await join(socket, namespace)
        await socket.send(f'42{prefix}{number}["message-with-ack",1,"2",{{"3":[false]}}]')
        assert await socket.receive() == f'43{prefix}{number}[1,"2",{{"3":[false]}}]'


async def test_an_acknowledgement_may_have_no_arguments(chat: Running, http: aiohttp.ClientSession) -> None:
    async with open_member(http, chat.url) as socket:
        await socket.send('427["message-with-ack"]')
        assert await socket.receive() == "437[]"


async def test_what_nobody_returned_is_not_acknowledged(chat: Running, http: aiohttp.ClientSession) -> None:
    # A client with `retries` would take it for done.
    async with open_member(http, chat.url) as socket:
        await socket.send('421["say-nothing"]')
        await socket.send('422["nobody-listens-to-this"]')
        await socket.send('423["message-with-ack"]')
        assert await socket.receive() == "433[]"


async def test_an_event_without_a_number_is_not_acknowledged(chat: Running, http: aiohttp.ClientSession) -> None:
    async with open_member(http, chat.url) as socket:
        await socket.send('42["message-with-ack",1]')
        await alive(socket)


@NAMESPACES
async def test_the_server_asks_and_the_client_acknowledges(
    chat: Running, http: aiohttp.ClientSession, namespace: str, prefix: str
) -> None:
    async with open_line(http, chat.url) as socket:
        await join(socket, namespace)
        await socket.send(f'42{prefix}["ask"]')
        question = await socket.receive()
        assert isinstance(question, str)
        head, _, arguments = question.partition("[")
        assert arguments == '"question","ready?"]'
        number = head.removeprefix(f"42{prefix}")
        assert number.isdigit()
        await socket.send(f'43{prefix}{number}["yes",1]')
        assert await socket.receive() == f'42{prefix}["answered","yes",1]'


async def test_an_acknowledgement_that_nobody_waits_for_is_harmless(chat: Running, http: aiohttp.ClientSession) -> None:
    async with open_member(http, chat.url) as socket:
        for _ in range(3):
            await socket.send('431["yes"]')
        await alive(socket)


async def test_events_of_one_client_are_handled_in_order(chat: Running, http: aiohttp.ClientSession) -> None:
    async with open_member(http, chat.url) as socket:
        for number in range(300):
            await socket.send(f'42["message",{number}]')
        assert [await socket.receive() for _ in range(300)] == [f'42["message-back",{n}]' for n in range(300)]


async def test_rooms_hear_what_is_told_to_them_and_nobody_else_does(chat: Running, http: aiohttp.ClientSession) -> None:
    async with (
        open_member(http, chat.url) as inside,
        open_member(http, chat.url) as left,
        open_member(http, chat.url) as speaker,
    ):
        for socket in (inside, left):
            await socket.send('421["enter","spin"]')
            assert await socket.receive() == "431[]"
        await left.send('422["leave","spin"]')
        assert await left.receive() == "432[]"
        await speaker.send('423["tell","spin",{"go":1}]')
        assert await speaker.receive() == "433[]"
        assert await inside.receive() == '42["told",{"go":1}]'
        await alive(left)


# -- binary ------------------------------------------------------------------------------------------------------------


def holders(*numbers: int) -> str:
    return ",".join(f'{{"_placeholder":true,"num":{number}}}' for number in numbers)


@NAMESPACES
async def test_an_event_carries_binary_both_ways(
    chat: Running, http: aiohttp.ClientSession, namespace: str, prefix: str
) -> None:
    async with open_line(http, chat.url) as socket:
        await join(socket, namespace)
        await socket.send(f'452-{prefix}["message",{holders(0, 1)}]')
        await socket.send(b"\x01\x02\x03")
        await socket.send(b"")
        assert await socket.receive() == f'452-{prefix}["message-back",{holders(0, 1)}]'
        assert [await socket.receive(), await socket.receive()] == [b"\x01\x02\x03", b""]


@NAMESPACES
async def test_an_acknowledgement_carries_binary(
    chat: Running, http: aiohttp.ClientSession, namespace: str, prefix: str
) -> None:
    async with open_line(http, chat.url) as socket:
        await join(socket, namespace)
        await socket.send(f'452-{prefix}789["message-with-ack",{holders(0, 1)}]')
        await socket.send(b"\x01\x02\x03")
        await socket.send(b"\x04\x05\x06")
        assert await socket.receive() == f"462-{prefix}789[{holders(0, 1)}]"
        assert [await socket.receive(), await socket.receive()] == [b"\x01\x02\x03", b"\x04\x05\x06"]


async def test_binary_may_lie_deep_inside_and_out_of_order(chat: Running, http: aiohttp.ClientSession) -> None:
    async with open_member(http, chat.url) as socket:
        await socket.send(f'452-["message",{{"a":[{{"b":{holders(1)}}}]}},{holders(0)},"plain"]')
        await socket.send(b"zero")
        await socket.send(b"one")
        assert await socket.receive() == f'452-["message-back",{{"a":[{{"b":{holders(0)}}}]}},{holders(1)},"plain"]'
        assert [await socket.receive(), await socket.receive()] == [b"one", b"zero"], "numbered anew, in order"


async def test_the_answer_to_a_question_carries_binary(chat: Running, http: aiohttp.ClientSession) -> None:
    async with open_member(http, chat.url) as socket:
        await socket.send('42["ask"]')
        number = str(await socket.receive()).removeprefix("42").partition("[")[0]
        await socket.send(f"461-{number}[{holders(0)}]")
        await socket.send(b"\x00\xff")
        assert await socket.receive() == f'451-["answered",{holders(0)}]'
        assert await socket.receive() == b"\x00\xff"


async def test_a_pong_may_come_between_an_event_and_its_attachment(chat: Running, http: aiohttp.ClientSession) -> None:
    async with open_member(http, chat.url) as socket:
        await join(socket, "/custom")
        await socket.send(f'451-/custom,["message",{holders(0)}]')
        await socket.send("3")
        await socket.send(b"for custom")
        assert await socket.receive() == f'451-/custom,["message-back",{holders(0)}]'
        assert await socket.receive() == b"for custom"
        await alive(socket)


# -- malformed packets -------------------------------------------------------------------------------------------------

MALFORMED = [
    "4abc",
    "4",
    "47",
    "42",
    "42{}",
    '42"message"',
    "42[]",
    '42["message"',
    '42["message",]',
    '42["message"]]',
    "42[null]",
    '42[{"event":"message"}]',
    '42abc["message-with-ack",1]',
    '42-1["message-with-ack"]',
    '42["connect"]',
    '42["disconnect"]',
    '42["connect_error"]',
    "43",
    "431",
    "431{}",
    '41{"a":1}',
    '40/custom,"text"',
    "40/custom,[1]",
    "40/custom,{",
    '45["message"]',
    '45x-["message"]',
    '45-1-["message"]',
    '4599999999999-["message",{"_placeholder":true,"num":0}]',
    '44{"message":"no"}',
    '42/custom,["message","not joined"]',
]


@pytest.mark.parametrize("packet", MALFORMED)
async def test_a_malformed_packet_closes_the_line_at_once(
    chat: Running, http: aiohttp.ClientSession, packet: str
) -> None:
    async with open_member(http, chat.url) as socket:
        await socket.send(packet)
        assert await socket.until_closed() == []
        assert socket.close_code != 1006, "closed, not cut: the code says why"
    await chat.wait_until(lambda: not chat.engine.links)


@pytest.mark.parametrize(
    "packets",
    [
        (b"\x01",),
        (f'451-["message",{holders(0)}]', '42["message","instead of the attachment"]'),
        (f'451-["message",{holders(1)}]', b"\x01"),
        (f'451-["message",{holders(-1)}]', b"\x01"),
        ('451-["message",{"_placeholder":true,"num":"0"}]', b"\x01"),
        (f'451-["message",{holders(0)}]', b"\x01", b"\x02"),
    ],
    ids=["nobody-announced", "text-instead", "too-high", "negative", "no-number", "one-too-many"],
)
async def test_attachments_that_do_not_fit_close_the_line(
    chat: Running, http: aiohttp.ClientSession, packets: tuple[str | bytes, ...]
) -> None:
    async with open_member(http, chat.url) as socket:
        for packet in packets:
            await socket.send(packet)
        before = await socket.until_closed()
        assert all(isinstance(packet, bytes) or packet.startswith('451-["message-back"') for packet in before)
    await chat.wait_until(lambda: not chat.engine.links)


# -- over long-polling -------------------------------------------------------------------------------------------------


async def test_polling_carries_all_of_it_too(chat: Running, http: aiohttp.ClientSession) -> None:
    line = await Polling(http, chat.url).open()

    async def heard(count: int) -> list[str]:
        packets: list[str] = []
        while len(packets) < count:
            packets += await line.receive()
        return packets

    await line.send("\x1e".join(['40{"token":"1"}', "40/custom,"]))
    welcome, auth, custom, custom_auth = await heard(4)
    assert welcome.startswith('40{"sid":"')
    assert auth == '42["auth",{"token":"1"}]'
    assert custom.startswith('40/custom,{"sid":"')
    assert custom_auth == '42/custom,["auth",{}]'
    await line.send("\x1e".join(['42["message","one"]', '42/custom,5["message-with-ack","two"]']))
    assert await heard(2) == ['42["message-back","one"]', '43/custom,5["two"]']
    await line.send("\x1e".join([f'451-["message",{holders(0)}]', "bAQIDBA=="]))
    assert await heard(2) == [f'451-["message-back",{holders(0)}]', "bAQIDBA=="]
    await line.send(f'451-9["message-with-ack",{holders(0)}]')
    await line.send("bAA==")
    assert await heard(2) == [f"461-9[{holders(0)}]", "bAA=="]


@pytest.mark.parametrize("packet", ["4abc", '42{"not":"a list"}', '42x["message"]', '42/custom,["not joined"]'])
async def test_a_malformed_packet_ends_a_poller_too(chat: Running, http: aiohttp.ClientSession, packet: str) -> None:
    line = await Polling(http, chat.url).open()
    await line.send("40")
    before = await line.receive()
    assert (await line.post(packet)).status in {200, 400}
    before += await line.farewell()
    assert [packet[:2] for packet in before] in (["40"], ["40", "42"]), "the welcome and perhaps `auth`"
    await chat.wait_until(lambda: not chat.engine.links)
    assert await line.is_gone()
