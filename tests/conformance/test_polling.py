"""Long-polling: payloads both ways, what ends a line, and what HTTP asks of it."""

import asyncio
from urllib.parse import urlsplit

import aiohttp
import pytest

from tests.conformance.client import SEPARATOR, Polling, address, ask, ask_by_hand
from tests.conformance.server import MAX_PAYLOAD, Running, open_echo

ORIGIN = "https://app.example"


async def test_one_message_comes_back(echo: Running, http: aiohttp.ClientSession) -> None:
    line = await Polling(http, echo.url).open()
    posted = await line.post("4hello")
    assert (posted.status, posted.text) == (200, "ok")
    assert (await line.poll()).text == "4hello"


@pytest.mark.parametrize(
    "payload",
    [
        SEPARATOR.join(["4test1", "4test2", "4test3"]),
        "bAQIDBA==",
        SEPARATOR.join(["4hello", "bAQIDBA=="]),
        SEPARATOR.join(["bAQIDBA==", "4", "bAA==", "4Föhn ❤ 🚲", "4 \n\t"]),
    ],
    ids=["several", "binary", "mixed", "odd"],
)
async def test_several_messages_come_back_together_in_one_poll(
    echo: Running, http: aiohttp.ClientSession, payload: str
) -> None:
    line = await Polling(http, echo.url).open()
    posted = await line.post(payload)
    assert (posted.status, posted.text) == (200, "ok")
    assert (await line.poll()).text == payload


async def test_a_poll_waits_for_the_next_message(echo: Running, http: aiohttp.ClientSession) -> None:
    line = await Polling(http, echo.url).open()
    async with asyncio.TaskGroup() as tasks:
        poll = tasks.create_task(line.poll())
        await echo.settle()
        assert not poll.done()
        await line.send("4at last")
        assert (await poll).text == "4at last"


async def test_messages_keep_their_order_over_many_requests(echo: Running, http: aiohttp.ClientSession) -> None:
    line = await Polling(http, echo.url).open()
    sent = [f"4{number}" for number in range(300)]
    for start in range(0, len(sent), 7):
        await line.send(SEPARATOR.join(sent[start : start + 7]))
    heard: list[str] = []
    while len(heard) < len(sent):
        heard += await line.receive()
    assert heard == sent


@pytest.mark.parametrize(
    "payload",
    [
        "abc",
        "",
        "7",
        "4first" + SEPARATOR,
        SEPARATOR + "4second",
        "4first" + SEPARATOR + "x",
        "b***=",
        "bAQIDBA",
        b"4\xff\xfe",
        "0{}",
    ],
)
async def test_a_packet_that_is_none_ends_the_line(
    either: Running, http: aiohttp.ClientSession, payload: str | bytes
) -> None:
    line = await Polling(http, either.url).open()
    assert (await line.post(payload)).status == 400
    assert await line.is_gone()
    await either.wait_until(lambda: not either.engine.links)


async def test_a_packet_that_is_none_ends_a_poll_that_waits(either: Running, http: aiohttp.ClientSession) -> None:
    line = await Polling(http, either.url).open()
    async with asyncio.TaskGroup() as tasks:
        poll = tasks.create_task(line.poll())
        await either.settle()
        assert (await line.post("abc")).status == 400
        assert (await poll).status in {200, 400}
    assert await line.is_gone()


async def test_of_two_polls_at_once_the_first_is_told_to_close_and_the_second_is_refused(
    either: Running, http: aiohttp.ClientSession
) -> None:
    line = await Polling(http, either.url).open()
    async with asyncio.TaskGroup() as tasks:
        first = tasks.create_task(line.poll())
        await either.settle()
        second = await line.poll()
        assert second.status == 400
        assert (await first).packets == ["1"]
    assert await line.is_gone()


async def test_a_poll_that_is_given_up_ends_the_line(either: Running, http: aiohttp.ClientSession) -> None:
    line = await Polling(http, either.url).open()
    parts = urlsplit(address(either.url, sid=line.sid))
    _, writer = await asyncio.open_connection(parts.hostname, parts.port)
    writer.write(f"GET {parts.path}?{parts.query} HTTP/1.1\r\nHost: {parts.netloc}\r\n\r\n".encode())
    await either.settle()
    writer.close()
    await writer.wait_closed()
    await either.settle()
    assert (await line.poll()).status == 400
    assert await line.is_gone()


async def test_a_client_that_closes_gets_its_poll_back_with_a_noop(
    either: Running, http: aiohttp.ClientSession
) -> None:
    line = await Polling(http, either.url).open()
    async with asyncio.TaskGroup() as tasks:
        poll = tasks.create_task(line.poll())
        await either.settle()
        await line.send("1")
        assert (await poll).text == "6"
    assert await line.is_gone()


async def test_a_client_may_close_without_a_poll(either: Running, http: aiohttp.ClientSession) -> None:
    line = await Polling(http, either.url).open()
    await line.send("1")
    assert await line.is_gone()


async def test_a_request_as_large_as_announced_is_taken(echo: Running, http: aiohttp.ClientSession) -> None:
    line = await Polling(http, echo.url).open()
    message = "4" + "x" * (MAX_PAYLOAD - 1)
    await line.send(message)
    assert await line.receive() == [message]


async def test_a_request_larger_than_announced_is_refused_unread_and_ends_the_line(
    either: Running, http: aiohttp.ClientSession
) -> None:
    line = await Polling(http, either.url).open()
    head = f"Content-Type: text/plain;charset=UTF-8\r\nContent-Length: {MAX_PAYLOAD + 1}"
    status = await ask_by_hand(address(either.url, sid=line.sid), head, late=b"4" * (MAX_PAYLOAD + 1))
    assert status.startswith(b"HTTP/1.1 413 "), status
    await either.settle()
    assert await line.is_gone()


async def test_a_request_of_untold_length_is_refused_before_it_ends(
    either: Running, http: aiohttp.ClientSession
) -> None:
    line = await Polling(http, either.url).open()
    head = "Content-Type: text/plain;charset=UTF-8\r\nTransfer-Encoding: chunked"
    chunk = b"186a0\r\n" + b"4" * 100_000 + b"\r\n"
    url = address(either.url, sid=line.sid)
    status = await ask_by_hand(url, head, chunk * (MAX_PAYLOAD // 100_000 + 1), b"0\r\n\r\n")
    assert status.split()[1] in {b"411", b"413"}, status
    await either.settle()
    if status.split()[1] == b"413":
        assert await line.is_gone()


async def test_answers_are_plain_text_that_nobody_stores_or_compresses(
    echo: Running, http: aiohttp.ClientSession
) -> None:
    line = await Polling(http, echo.url).open()
    asked = {"Accept-Encoding": "gzip, deflate, br"}
    url = address(echo.url, sid=line.sid)
    message = "4" + "compressible" * 1000
    posted = await ask(http, "POST", url, data=message, headers=asked)
    polled = await ask(http, "GET", url, headers=asked)
    assert polled.text == message
    for answer in (posted, polled):
        assert "Content-Encoding" not in answer.headers
        assert "no-store" in answer.headers["Cache-Control"]
    assert polled.headers["Content-Type"].replace(" ", "").lower() == "text/plain;charset=utf-8"


async def test_a_page_from_elsewhere_reads_answers_and_refusals(either: Running, http: aiohttp.ClientSession) -> None:
    line = await Polling(http, either.url).open()
    url, headers = address(either.url, sid=line.sid), {"Origin": ORIGIN}
    answers = [
        await ask(http, "GET", address(either.url), headers=headers),
        await ask(http, "POST", url, data="3", headers=headers),
        await ask(http, "GET", address(either.url, EIO="3"), headers=headers),
        await ask(http, "POST", url, data="abc", headers=headers),
        await ask(http, "GET", url, headers=headers),
    ]
    assert [answer.status for answer in answers] == [200, 200, 400, 400, 400]
    for answer in answers:
        assert answer.headers["Access-Control-Allow-Origin"] in {"*", ORIGIN}


async def test_a_browser_that_asks_first_is_told_what_it_may_send(either: Running, http: aiohttp.ClientSession) -> None:
    headers = {
        "Origin": ORIGIN,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type,x-app",
    }
    answer = await ask(http, "OPTIONS", address(either.url), headers=headers)
    assert answer.status in {200, 204}
    assert answer.headers["Access-Control-Allow-Origin"] in {"*", ORIGIN}
    methods = {method.strip() for method in answer.headers["Access-Control-Allow-Methods"].split(",")}
    assert {"GET", "POST"} <= methods
    allowed = {name.strip().lower() for name in answer.headers["Access-Control-Allow-Headers"].split(",")}
    assert {"content-type", "x-app"} <= allowed
    assert not either.engine.links


async def test_pages_that_are_not_listed_are_refused_on_both_transports(http: aiohttp.ClientSession) -> None:
    async with open_echo(cors_allowed_origins=[ORIGIN]) as echo:
        mine = await ask(http, "GET", address(echo.url), headers={"Origin": ORIGIN})
        assert (mine.status, mine.headers["Access-Control-Allow-Origin"]) == (200, ORIGIN)
        assert "Origin" in mine.headers["Vary"], "a cache between us must not give one page's answer to another"
        native = await ask(http, "GET", address(echo.url))
        assert native.status == 200
        other = {"Origin": "https://evil.example"}
        for method in ("GET", "OPTIONS"):
            theirs = await ask(http, method, address(echo.url), headers=other)
            assert theirs.status in {400, 403}
            assert "Access-Control-Allow-Origin" not in theirs.headers
        with pytest.raises(aiohttp.WSServerHandshakeError) as refusal:
            await http.ws_connect(address(echo.url, transport="websocket"), headers=other)
        assert refusal.value.status in {400, 403}
        assert len(echo.engine.links) == 2
