"""The misbehaviours themselves, one coroutine each, used by the tests one at a time and by the soak all together.

Each takes the port of a target and how much of it, does its worst, and returns how it ended for the offender: a `Counter` of
endings by their close code (None: the line ended without one) or by what was answered. What has to be true of that is said in
the tests.
"""

import asyncio
import contextlib
import json
import zlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Final

from realtime.wire import MAX_PAYLOAD_BYTES
from tests.support.raw_socket import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    RawSocket,
    ask,
    client_frame,
    connected,
    open_raw,
    text,
)
from tests.torture.client import BOARD_GET, LiveClient, fresh_token, open_client
from tests.torture.target import ROOM

Outcome = Counter[int | str | None]
"""How often which ending: a close code, None for a line that ended without one, or a word."""

STILL_OPEN: Final = "still open"


async def end_of(raw: RawSocket, *, within_s: float = 10.0) -> Outcome:
    """Read to the end, counting problems by code on the way; an offender who is still served is `STILL_OPEN`."""
    told: Outcome = Counter()
    try:
        async with asyncio.timeout(within_s):
            while True:
                frame = await raw.frame()
                if frame.opcode == CLOSE:
                    told[int.from_bytes(frame.payload[:2]) or 1005] += 1
                    await raw.send(client_frame(CLOSE, frame.payload))
                elif frame.opcode == PONG and frame.payload == b"the end":
                    # A pong may overtake what was to be said before it; the next one, asked for later, may not.
                    await raw.send(client_frame(PING, b"the very end"))
                elif frame.opcode == PONG and frame.payload == b"the very end":
                    told[STILL_OPEN] += 1
                    return told
                elif b'"problem":{"code":"' in frame.payload:
                    told[frame.payload.split(b'"problem":{"code":"')[1].split(b'"')[0].decode()] += 1
    except (EOFError, ConnectionError):
        if not any(isinstance(ending, int) for ending in told):
            told[None] += 1
        return told


async def spoken(raw: RawSocket, frames: Iterable[bytes]) -> Outcome:
    """Send all of it while reading, then a last ping, and read to its answer or to the end. How long that takes the two of us is no
    matter: what is watched are the neighbours."""
    reading = asyncio.create_task(end_of(raw, within_s=30))
    try:
        with contextlib.suppress(ConnectionError):  # ended while we were speaking
            batch = bytearray()
            for frame in frames:
                batch += frame
                if len(batch) > 64_000:
                    await raw.send(bytes(batch))
                    batch.clear()
                    if reading.done():
                        break
            await raw.send(bytes(batch) + client_frame(PING, b"the end"))
        return await reading
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)


# -- F-63: too large ---------------------------------------------------------------------------------------------------------


async def oversized_text(port: int) -> Outcome:
    """A text of 1,001 kB."""
    async with open_client(port) as client:
        return await spoken(client.raw, [text("42/live,1" + "x" * 1_001_000)])


async def declared_gigabyte(port: int) -> Outcome:
    """A frame that says it has a gigabyte, and begins to send it."""
    async with open_client(port) as client:
        begun = client_frame(TEXT, b"4" * 1_000, length=1 << 30)
        return await spoken(client.raw, [begun, *[b"4" * 50_000] * 40])


async def fragments(port: int, count: int = 10_000) -> Outcome:
    """One message in very many fragments, which never ends."""
    async with open_client(port) as client:
        first = client_frame(TEXT, b"4", fin=False)
        return await spoken(client.raw, [first, *[client_frame(CONTINUATION, b"2", fin=False)] * count])


async def empty_fragments(port: int, count: int = 10_000) -> Outcome:
    """The same with nothing in them: no limit on bytes is ever reached."""
    async with open_client(port) as client:
        first = client_frame(TEXT, b"", fin=False)
        return await spoken(client.raw, [first, *[client_frame(CONTINUATION, b"", fin=False)] * count])


async def deflate_bomb(port: int, megabytes: int = 200) -> Outcome:
    """A compressed message of a few hundred kilobytes that inflates to very much more (where compression is agreed to)."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = b"".join(packer.compress(b"4" * 1_000_000) for _ in range(megabytes)) + packer.flush(zlib.Z_SYNC_FLUSH)
    assert len(packed) < MAX_PAYLOAD_BYTES, len(packed)
    async with await connected(port) as raw:
        await raw.engine(deflate=True)
        assert raw.deflate
        return await spoken(raw, [client_frame(TEXT, packed, rsv=4)])


# -- F-64: contents ----------------------------------------------------------------------------------------------------------

CONTENTS: Final[dict[str, str]] = {
    "a hundred thousand brackets": "[" * 100_000,
    "brackets that are closed": "[" * 100_000 + "]" * 100_000,
    "a hundred thousand braces": '{"a":' * 45_000,
    "braces that are closed": '{"a":' * 40_000 + "1" + "}" * 40_000,
    "a number of many digits": "9" * 200_000,
    "a fraction of many digits": "0." + "1" * 200_000,
    "an exponent of many digits": "1e" + "9" * 200_000,
    "a number that overflows": "1e400",
    "a negative number that overflows": "-1e400",
    "no number": "NaN",
    "infinity": "-Infinity",
    "the same key twice": f'{{"class_id":"{ROOM}","class_id":"nonsense"}}',
    "very many keys": "{" + ",".join(f'"k{n}":0' for n in range(20_000)) + "}",
    "very many keys that collide": "{" + ",".join('"k":0' for _ in range(40_000)) + "}",
    "very many elements": "[" + "0," * 120_000 + "0]",
    "a lone surrogate": '{"class_id":"\\ud800"}',
    "surrogates the wrong way round": '{"class_id":"\\udc00\\ud800"}',
    "a NUL in a text": '{"class_id":"\\u0000"}',
    "a NUL between": '{"class_id":\x00"x"}',
    "a key that reaches for the prototype": '{"__proto__":{"admin":true},"constructor":{}}',
    "a text of many escapes": '{"class_id":"' + "\\u00e9" * 30_000 + '"}',
    "a text of many quotes": '{"class_id":"' + '\\"' * 90_000 + '"}',
    "blanks": " " * 200_000 + "{}",
    "nothing": "",
    "a placeholder of binary": '{"_placeholder":true,"num":0}',
}
"""Payloads below the size limit that have brought parsers down, each as the payload of an event."""


async def nasty_content(port: int, payload: str, *, name: str = "board.get") -> Outcome:
    """One event with this payload."""
    async with open_client(port) as client:
        return await spoken(client.raw, [text(f"42/live,1[{json.dumps(name)},{payload}]")])


# -- F-65: binary --------------------------------------------------------------------------------------------------------------


async def binary_flood(port: int, *, header: str = "459999999999-/live,", authenticated: bool = True) -> Outcome:
    """Announce very many binary attachments, and send them."""
    async with await connected(port) as raw:
        await raw.engine()
        if authenticated:
            await LiveClient(raw).connect()
        chunk = client_frame(BINARY, bytes(200_000))
        return await spoken(raw, [text(header + '["x",{"_placeholder":true,"num":0}]'), *[chunk] * 20])


# -- F-66: floods ----------------------------------------------------------------------------------------------------------------


async def event_flood(port: int, count: int = 10_000) -> Outcome:
    """Good events, far too many."""
    async with open_client(port) as client:
        return await spoken(client.raw, (text(f'42/live,{n}["board.get",{BOARD_GET}]') for n in range(count)))


async def event_flood_without_acks(port: int, count: int = 10_000) -> Outcome:
    """The same, with nothing to be answered."""
    async with open_client(port) as client:
        return await spoken(client.raw, (text(f'42/live,["board.get",{BOARD_GET}]') for _ in range(count)))


async def unknown_events(port: int, count: int = 1_000) -> Outcome:
    """Events that nobody has heard of, one named with a million characters' worth of bytes."""
    async with open_client(port) as client:
        names = ("x" * 1_000, "", "connect", "disconnect", "error", "__proto__")
        return await spoken(client.raw, (text(f'42/live,{n}["{names[n % 6]}{n}",{{}}]') for n in range(count)))


async def room_joins(port: int, count: int = 1_000) -> Outcome:
    """One room after another."""
    async with open_client(port) as client:
        return await spoken(client.raw, (text(f'42/live,{n}["room.join",{{"code":"R{n:05}"}}]') for n in range(count)))


async def long_names(port: int) -> Outcome:
    """Names of a quarter of a million characters: of an event, a room, a namespace, and in a CONNECT."""
    told: Outcome = Counter()
    huge = "n" * 250_000
    for packet in (
        f'42/live,1["{huge}",{{}}]',
        f'42/live,1["room.join",{{"code":"{huge}"}}]',
        f"40/{huge},",
        f"42/{huge},[]",
    ):
        async with open_client(port) as client:
            told += await spoken(client.raw, [text(packet)])
    return told


async def namespaces(port: int, count: int = 10_000) -> Outcome:
    """CONNECT to one namespace after another."""
    async with open_client(port) as client:
        return await spoken(client.raw, (text(f'40/n{n},{{"token":"1"}}') for n in range(count)))


async def connect_storm(port: int, count: int = 10_000) -> Outcome:
    """CONNECT again and again."""
    async with await connected(port) as raw:
        await raw.engine()
        return await spoken(raw, (text('40/live,{"token":"bad"}') for _ in range(count)))


async def in_and_out(port: int, count: int = 2_000) -> Outcome:
    """CONNECT and DISCONNECT in turn."""
    async with await connected(port) as raw:
        await raw.engine()
        token = fresh_token()
        return await spoken(raw, (text(f'40/live,{{"token":"{token}"}}') + text("41/live,") for _ in range(count)))


async def come_and_go(port: int, count: int = 300) -> Outcome:
    """CONNECT, and the end of the link in the same read."""
    told: Outcome = Counter()
    for n in range(count):
        async with await connected(port) as raw:
            await raw.engine()
            await raw.send(text(f'40/n{n},{{"token":"1"}}') + text("1"))
            told += await end_of(raw)
    return told


async def wide_headers(port: int, count: int = 20) -> Outcome:
    """Handshakes with a header that is nearly all space, and ends with what no header may have."""
    told: Outcome = Counter()
    for n in range(count):
        async with await connected(port) as raw:
            await raw.send(
                b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: a\r\n"
                b"A:%b%b\x01\r\n\r\n" % (b"y" * (n % 2), b" " * 7_500)
            )
            told[(await raw.response()).status] += 1
    return told


async def probe_flood(port: int, count: int = 20_000) -> Outcome:
    """A WebSocket that is to take a link over asks again and again whether it may, and reads nothing."""
    polling = "/socket.io/?EIO=4&transport=polling"
    sid = json.loads((await ask(port, "GET", polling)).body[1:])["sid"]
    async with await connected(port, receive_buffer=4_096) as raw:
        await raw.upgrade(f"/socket.io/?EIO=4&transport=websocket&sid={sid}")
        with contextlib.suppress(ConnectionError):
            await raw.send(text("2probe") * count)
        return await end_of(raw)


async def leave_flood(port: int, count: int = 20_000) -> Outcome:
    """DISCONNECT from what one was never in."""
    async with await connected(port) as raw:
        await raw.engine()
        return await spoken(raw, (text("41/live,") for _ in range(count)))


async def compressed_posts(port: int, count: int = 20) -> Outcome:
    """Bodies that would be large once inflated, and some that are no compression at all."""
    polling = "/socket.io/?EIO=4&transport=polling"
    bomb = zlib.compress(b"4" * 100_000_000, 9)
    told: Outcome = Counter()
    for body in (bomb, b"hello") * (count // 2):
        sid = json.loads((await ask(port, "GET", polling)).body[1:])["sid"]
        told[(await ask(port, "POST", f"{polling}&sid={sid}", body, Content_Encoding="deflate")).status] += 1
    return told


async def unasked_acks(port: int, count: int = 10_000) -> Outcome:
    """Acknowledgements of what was never asked."""
    async with open_client(port) as client:
        return await spoken(client.raw, (text(f"43/live,{n}[{{}}]") for n in range(count)))


async def ping_flood(port: int, count: int = 50_000) -> Outcome:
    """WebSocket's own pings, which have to be answered."""
    async with open_client(port) as client:
        return await spoken(client.raw, (client_frame(PING, b"p" * 125) for _ in range(count)))


async def empty_pings(port: int, count: int = 50_000) -> Outcome:
    """As many of them as fit into one read."""
    async with await connected(port) as raw:
        await raw.engine()
        return await spoken(raw, (client_frame(PING, b"") for _ in range(count)))


async def pong_flood(port: int, count: int = 50_000) -> Outcome:
    """Pongs of both kinds, which nobody asked for."""
    async with open_client(port) as client:
        return await spoken(client.raw, (client_frame(PONG, b"p") + text("3") for _ in range(count)))


async def behind_a_slow_handler(port: int, count: int = 5_000) -> Outcome:
    """Events while a handler still thinks about the one before."""
    async with open_client(port) as client:
        slow = text(f'42/live,0["class.end",{BOARD_GET}]')
        return await spoken(client.raw, [slow, *[text(f'42/live,1["board.get",{BOARD_GET}]')] * count])


async def asks_and_does_not_read(port: int, count: int = 20_000) -> Outcome:
    """Questions whose answers are not fetched until all were asked."""
    async with open_client(port, receive_buffer=4_096) as client:
        question = text('42/live,1["room.join",{"code":"ABCD"}]') + client_frame(PING, b"p" * 125)
        with contextlib.suppress(ConnectionError, TimeoutError):  # it may refuse to read, or cut us
            async with asyncio.timeout(3):
                for _ in range(count // 100):
                    await client.raw.send(question * 100)
        return await end_of(client.raw, within_s=20)


# -- F-67: who does not come in ---------------------------------------------------------------------------------------------------


async def silent_sockets(port: int, count: int = 200) -> Outcome:
    """Open, and say nothing."""
    async with opened(port, count) as lines:
        return await endings(lines)


async def never_quite_connecting(port: int, count: int = 50) -> Outcome:
    """Open, and answer pings, and be refused, and be otherwise busy, but never authenticate."""
    async with opened(port, count) as lines:
        for n, raw in enumerate(lines):
            await raw.send([text('40/live,{"token":"bad"}'), text("3"), client_frame(PONG), b"\x81"][n % 4])
        return await endings(lines)


async def slowloris(port: int, *, every_s: float = 0.5, within_s: float = 20.0) -> Outcome:
    """A request for an upgrade, one byte after another. TimeoutError when it is listened to for ever."""
    head = b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: t\r\nX: " + b"x" * 10_000
    async with open_raw(port) as raw, asyncio.timeout(within_s):
        try:
            for at in range(len(head)):
                await raw.send(head[at : at + 1])
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(every_s):
                        if not await raw.receive():
                            break
        except ConnectionError:
            pass
    return Counter({None: 1})


async def slow_body(port: int, *, every_s: float = 0.5, within_s: float = 20.0) -> Outcome:
    """A poller's message, one byte after another."""
    path = "/socket.io/?EIO=4&transport=polling"
    sid = json.loads((await ask(port, "GET", path)).body[1:])["sid"]
    async with open_raw(port) as raw, asyncio.timeout(within_s):
        await raw.send(f"POST {path}&sid={sid} HTTP/1.1\r\nHost: t\r\nContent-Length: 5000\r\n\r\n".encode())
        try:
            while True:
                await raw.send(b"4")
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(every_s):
                        if not await raw.receive():
                            break
        except ConnectionError:
            pass
    return Counter({None: 1})


# -- F-60: storms -------------------------------------------------------------------------------------------------------------


async def reconnect_storm(port: int, count: int, rounds: int) -> Outcome:
    """That many clients connect at once and are dropped at once, again and again; `back` counts those that got in."""
    told: Outcome = Counter()
    tokens = [fresh_token() for _ in range(count)]
    for _ in range(rounds):
        lines = await asyncio.gather(*(_storm_in(port, token) for token in tokens))
        told["back"] += len(lines)
        for raw in lines:
            raw.reset()
    return told


async def _storm_in(port: int, token: str) -> RawSocket:
    """Connect as a client with jitter does: sent away with 503, it comes again."""
    while True:
        raw = await connected(port)
        answer = await raw.upgrade("/socket.io/?EIO=4&transport=websocket")
        if answer.status == 101:
            await raw.frame()
            await LiveClient(raw).connect(token)
            return raw
        assert answer.status == 503, answer
        assert "retry-after" in answer.headers, answer
        raw.shut()
        await asyncio.sleep(0.05)


# -- many lines ---------------------------------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def opened(port: int, count: int) -> AsyncIterator[list[RawSocket]]:
    """That many Engine.IO connections, not authenticated."""
    lines = await asyncio.gather(*(_open(port) for _ in range(count)))
    try:
        yield lines
    finally:
        for raw in lines:
            raw.shut()


async def _open(port: int) -> RawSocket:
    return await (await connected(port)).engine()


async def endings(lines: list[RawSocket]) -> Outcome:
    """How each of them ends."""
    told: Outcome = Counter()
    for outcome in await asyncio.gather(*(end_of(raw) for raw in lines)):
        told += outcome
    return told


QUICK: Final[tuple[Callable[[int], Awaitable[Outcome]], ...]] = (
    oversized_text,
    declared_gigabyte,
    fragments,
    empty_fragments,
    binary_flood,
    event_flood,
    event_flood_without_acks,
    unknown_events,
    room_joins,
    long_names,
    namespaces,
    connect_storm,
    in_and_out,
    come_and_go,
    wide_headers,
    probe_flood,
    leave_flood,
    compressed_posts,
    unasked_acks,
    ping_flood,
    empty_pings,
    pong_flood,
    behind_a_slow_handler,
)
"""Those that end by themselves within seconds."""
