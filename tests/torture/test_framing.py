"""Sixty ways to frame a message, in the groups of the Autobahn suite, against a running gateway.

Every case is a row: the bytes, the answers that must come, and the exact close code when the connection must end. It is
played on the live namespace and on a plain Engine.IO echo, in one piece and byte by byte; and every time a neighbour who was
connected before is served after.

A message is a whole packet, so that its answer proves that it has arrived as it was meant: on the echo the same packet, on
the live namespace the title of a class.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Literal, Protocol

import pytest

from tests.support.raw_socket import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    Ending,
    Frame,
    RawSocket,
    client_frame,
    close,
    open_raw,
)
from tests.torture.client import LiveClient, undisturbed
from tests.torture.process import Process

MAX_BYTES: Final = 256 * 1024
"""Largest message (`realtime.wire.MAX_PAYLOAD_BYTES`)."""
MAX_FRAGMENTS: Final = 64
AT_ONCE_S: Final = 1.8
"""Below the grace (2 s) that a peer gets who does not answer a close: who answers it is closed at once."""


class Surface(Protocol):
    """Somewhere to send text to that comes back."""

    name: str

    async def enter(self, raw: RawSocket) -> None: ...

    def packet(self, content: str | bytes) -> bytes:
        """The packet that carries this content."""
        ...

    def answers(self, payload: bytes, content: str | bytes) -> bool:
        """Whether this is the answer to it."""
        ...


class Echo:
    """Plain Engine.IO: what was sent comes back."""

    name = "echo"

    async def enter(self, raw: RawSocket) -> None:
        await raw.engine("/engine.io/")

    def packet(self, content: str | bytes) -> bytes:
        return b"4" + _bytes(content)

    def answers(self, payload: bytes, content: str | bytes) -> bool:
        return payload == self.packet(content)


class Live:
    """The live namespace: the title of a class comes back in the acknowledgement. A title that is too long is refused, with an
    acknowledgement as well."""

    name = "live"

    async def enter(self, raw: RawSocket) -> None:
        await LiveClient(await raw.engine()).connect()

    def packet(self, content: str | bytes) -> bytes:
        return b'42/live,7["class.create",{"title":"' + _bytes(content) + b'"}]'

    def answers(self, payload: bytes, content: str | bytes) -> bool:
        if not payload.startswith(b"43/live,7["):
            return False
        (answer,) = json.loads(payload[9:])
        if len(content) > 80:
            return bool(answer["problem"]["code"] == "bad_shape")
        return bool(answer["ok"]["title"] == _bytes(content).decode())


ECHO: Final = Echo()
LIVE: Final = Live()


def _bytes(content: str | bytes) -> bytes:
    return content.encode() if isinstance(content, str) else content


Said = tuple[Literal["answer", "binary", "pong"], str | bytes]
"""What the server must say: the answer to a content, a binary message, or a pong with a payload."""


@dataclass(frozen=True)
class Case:
    """`sent` makes the bytes; `said` is what must come back, in this order; `code` the close code that must follow (None: the
    connection goes on; a tuple: either). `on`: surfaces it makes sense on. `cut`: whether it is also sent byte by byte."""

    name: str
    sent: Callable[[Surface], bytes]
    said: tuple[Said, ...] = ()
    code: int | tuple[int, ...] | None = None
    on: tuple[Surface, ...] = (LIVE, ECHO)
    cut: bool = True


def whole(content: str | bytes, *, form: Literal[7, 16, 64] | None = None) -> Callable[[Surface], bytes]:
    """One text frame."""
    return lambda to: client_frame(TEXT, to.packet(content), form=form)


def split(
    content: str | bytes, *at: int, between: bytes = b"", last: bytes | None = None
) -> Callable[[Surface], bytes]:
    """A text message in fragments: cut `at` these places of the packet, counted from its end; `between` goes between them;
    `last` instead of the last fragment."""

    def sent(to: Surface) -> bytes:
        packet = to.packet(content)
        places = [0, *(len(packet) - place for place in at), len(packet)]
        pieces = [packet[begin:end] for begin, end in pairwise(places)]
        frames = [
            client_frame(TEXT if n == 0 else CONTINUATION, piece, fin=False) for n, piece in enumerate(pieces[:-1])
        ]
        return between.join([*frames, client_frame(CONTINUATION, pieces[-1]) if last is None else last])

    return sent


def fixed(data: bytes) -> Callable[[Surface], bytes]:
    """These bytes, whatever the surface."""
    return lambda to: data


def then(first: Callable[[Surface], bytes], second: Callable[[Surface], bytes]) -> Callable[[Surface], bytes]:
    """Both, in one write."""
    return lambda to: first(to) + second(to)


def answer(*contents: str | bytes) -> tuple[Said, ...]:
    return tuple(("answer", content) for content in contents)


def pong(*payloads: bytes) -> tuple[Said, ...]:
    return tuple(("pong", payload) for payload in payloads)


def ping(payload: bytes = b"", **bent: int) -> bytes:
    return client_frame(PING, payload, **bent)  # type: ignore[arg-type]


GREEK: Final = "κόσμε"
BELOW: Final = b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5"
"""The same word, as bytes to be broken."""

LENGTHS: Final = [
    Case(f"1 text of {size} bytes", whole("x" * size), answer("x" * size), cut=size < 200)
    for size in (1, 16, 60, 125, 126, 127, 128, 65_535, 65_536)
] + [
    Case(
        f"1 binary of {size} bytes",
        fixed(client_frame(BINARY, b"\x00\xff" * (size // 2))),
        (("binary", b"\x00\xff" * (size // 2)),),
        on=(ECHO,),
        cut=size < 200,
    )
    for size in (2, 124, 126, 128, 65_536)
]
WRONG_LENGTHS: Final = [
    Case("1 a 16-bit length that fits into 7 bits", whole("x", form=16), code=1002),
    Case("1 a 64-bit length that fits into 7 bits", whole("x", form=64), code=1002),
    Case("1 a 64-bit length that fits into 16 bits", whole("x" * 200, form=64), code=1002),
    Case("1 a 64-bit length with its top bit set", fixed(b"\x81\xff\x80" + bytes(7) + b"mask"), code=1002),
    Case("1 a frame without a mask", lambda to: client_frame(TEXT, to.packet("x"), masked=False), code=1002),
]
PINGS: Final = [
    Case("2 a ping without payload", fixed(ping()), pong(b"")),
    Case("2 a ping with text", fixed(ping(b"Hello")), pong(b"Hello")),
    Case("2 a ping with bytes that are no text", fixed(ping(b"\x00\xff\xfe\xfd")), pong(b"\x00\xff\xfe\xfd")),
    Case("2 a ping of 125 bytes", fixed(ping(b"\xfe" * 125)), pong(b"\xfe" * 125)),
    Case("2 a ping of 126 bytes", fixed(ping(b"\xfe" * 126)), code=1002),
    Case("2 a pong nobody asked for", fixed(client_frame(PONG, b"unasked"))),
    Case("2 a pong nobody asked for, then a ping", fixed(client_frame(PONG) + ping(b"p")), pong(b"p")),
    Case("2 ten pings at once", fixed(b"".join(ping(b"%d" % n) for n in range(10))), pong(*(b"%d" % n for n in range(10)))),
    Case("2 a ping before and after a message", lambda to: ping(b"1") + whole("m")(to) + ping(b"2"),
         (*pong(b"1"), *answer("m"), *pong(b"2"))),
]  # fmt: skip
RESERVED: Final = [
    Case(f"3 reserved bits {rsv:03b} on a text", lambda to, rsv=rsv: client_frame(TEXT, to.packet("x"), rsv=rsv), code=1002)  # type: ignore[misc]
    for rsv in (1, 2, 3, 4, 5, 6, 7)
] + [
    Case("3 a reserved bit after a good message", lambda to: whole("ok")(to) + client_frame(TEXT, to.packet("x"), rsv=2),
         answer("ok"), code=1002),
    Case("3 a reserved bit on a ping", fixed(client_frame(PING, b"x", rsv=4)), code=1002),
    Case("3 a reserved bit on a close", fixed(client_frame(CLOSE, b"\x03\xe8", rsv=1)), code=1002),
    Case("3 a reserved bit on a later fragment",
         lambda to: split("x", 2, last=client_frame(CONTINUATION, b"x", rsv=4))(to), code=1002),
]  # fmt: skip
OPCODES: Final = [
    Case(f"4 opcode {opcode}", fixed(client_frame(opcode, b"x")), code=1002)
    for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)
] + [
    Case("4 a reserved opcode after a good message", then(whole("ok"), fixed(client_frame(5))), answer("ok"), code=1002)
]
FRAGMENTS: Final = [
    Case("5 two fragments", split("whole", 4), answer("whole")),
    Case("5 a fragment of nothing at either end", split("whole", 0), answer("whole")),
    Case("5 every byte a fragment", split("abcdefgh", *range(8, 0, -1)), answer("abcdefgh")),
    Case("5 a ping between fragments", split("whole", 4, between=ping(b"now")), (*pong(b"now"), *answer("whole"))),
    Case("5 pings between all fragments", split("whole", 5, 3, between=ping(b"p")), (*pong(b"p", b"p"), *answer("whole"))),
    Case("5 a fragmented ping", fixed(client_frame(PING, b"x", fin=False)), code=1002),
    Case("5 a fragmented close", fixed(client_frame(CLOSE, b"\x03\xe8", fin=False)), code=1002),
    Case("5 a continuation of nothing", fixed(client_frame(CONTINUATION, b"x")), code=1002),
    Case("5 an unfinished continuation of nothing", fixed(client_frame(CONTINUATION, b"x", fin=False)), code=1002),
    Case("5 a continuation after a whole message", then(whole("ok"), fixed(client_frame(CONTINUATION, b"x"))),
         answer("ok"), code=1002),
    Case("5 a new text within a fragmented one", split("x", 2, last=client_frame(TEXT, b"4x")), code=1002),
    Case("5 a new binary within a fragmented text", split("x", 2, last=client_frame(BINARY, b"x")), code=1002),
    Case("5 as many fragments as are allowed", split("a" * 70, *range(MAX_FRAGMENTS - 1, 0, -1)), answer("a" * 70), cut=False),
    Case("5 one fragment too many", split("a" * 70, *range(MAX_FRAGMENTS, 0, -1)), code=1008, cut=False),
    Case("5 binary in fragments with a ping", fixed(
        client_frame(BINARY, b"\x00\x01", fin=False) + ping(b"p") + client_frame(CONTINUATION, b"\x02")),
         (*pong(b"p"), ("binary", b"\x00\x01\x02")), on=(ECHO,)),
]  # fmt: skip
TEXTS: Final = [
    Case("6 valid", whole(GREEK), answer(GREEK)),
    Case("6 valid, cut in the middle of a character", split(GREEK, 5), answer(GREEK)),
    Case("6 valid, every byte a fragment", split(GREEK, *range(11, 0, -1)), answer(GREEK)),
    Case("6 the first and last of every length", whole("\u0080\u07ff\u0800\uffff\U00010000\U0010ffff"),
         answer("\u0080\u07ff\u0800\uffff\U00010000\U0010ffff")),
    Case("6 noncharacters", whole("\ufdd0\ufffe\uffff\U0001fffe"), answer("\ufdd0\ufffe\uffff\U0001fffe")),
    Case("6 around the surrogates", whole("\ud7ff\ue000"), answer("\ud7ff\ue000")),
    Case("6 a byte order mark is a character", whole("\ufeffx"), answer("\ufeffx")),
    Case("6 a NUL", whole("a\x00b"), answer("a\x00b"), on=(ECHO,)),
    Case("6 a broken sequence", whole(BELOW + b"\xed\xa0\x80edited"), code=1007),
    Case("6 a lone surrogate, high", whole(b"\xed\xa0\x80"), code=1007),
    Case("6 a lone surrogate, low", whole(b"\xed\xbf\xbf"), code=1007),
    Case("6 a pair of surrogates", whole(b"\xed\xa0\x80\xed\xb0\x80"), code=1007),
    Case("6 overlong, two bytes", whole(b"\xc0\xaf"), code=1007),
    Case("6 overlong, three bytes", whole(b"\xe0\x80\xaf"), code=1007),
    Case("6 overlong, four bytes", whole(b"\xf0\x80\x80\xaf"), code=1007),
    Case("6 above U+10FFFF", whole(b"\xf4\x90\x80\x80"), code=1007),
    Case("6 five and six bytes", whole(b"\xf8\x88\x80\x80\x80\xfc\x84\x80\x80\x80\x80"), code=1007),
    Case("6 bytes that are never text", whole(b"\xfe\xff"), code=1007),
    Case("6 a continuation byte alone", whole(b"\x80"), code=1007),
    Case("6 a character that never ends", lambda to: client_frame(TEXT, to.packet("")[:1] + b"\xce"), code=1007),
    Case("6 broken in the first of two fragments, the last never comes",
         lambda to: client_frame(TEXT, to.packet("")[:1] + b"\xff\xfe", fin=False), code=1007),
    Case("6 broken across two fragments",
         lambda to: client_frame(TEXT, b"4\xce", fin=False) + client_frame(CONTINUATION, b"x", fin=False), code=1007),
    Case("6 broken after a good message", then(whole("ok"), whole(b"\xff")), answer("ok"), code=1007),
]  # fmt: skip
CLOSES: Final = [
    Case("7 close without a code", fixed(close(None)), code=(1000, 1005)),
    Case("7 close with a reason", fixed(close(1000, "thank you")), code=1000),
    Case("7 close with a reason of 123 bytes", fixed(close(1000, "x" * 123)), code=1000),
    Case("7 close of 126 bytes", fixed(client_frame(CLOSE, b"\x03\xe8" + b"x" * 124)), code=1002),
    Case("7 close with half a code", fixed(client_frame(CLOSE, b"\x03")), code=1002),
    Case("7 close with a reason that is no text", fixed(close(1000, b"\xce\xba\xed\xa0\x80")), code=1007),
    Case("7 messages before a close are answered", then(whole("ok"), fixed(close())), answer("ok"), code=1000),
    Case("7 a ping before a close is answered", fixed(ping(b"p") + close()), pong(b"p"), code=1000),
    Case("7 nothing after a close is heard", lambda to: close() + whole("late")(to) + ping(b"late"), code=1000,
         cut=False),
    Case("7 two closes", fixed(close(1000) + close(1001)), code=1000, cut=False),
    Case("7 a close within a fragmented message", split("x", 2, last=close(1000)), code=1000),
] + [
    Case(f"7 close code {code}", fixed(close(code)), code=code)
    for code in (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999)
] + [
    Case(f"7 close code {code}, which nobody may send", fixed(close(code)), code=1002)
    for code in (0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999, 5000, 65_535)
]  # fmt: skip
LIMITS: Final = [
    Case("9 as large as allowed", lambda to: whole("x" * (MAX_BYTES - len(to.packet(""))))(to), answer("x" * 1_000), on=(LIVE,),
         cut=False),
    Case("9 one byte too large", lambda to: whole("x" * (MAX_BYTES - len(to.packet("")) + 1))(to), code=1009, cut=False),
    Case("9 a declared gigabyte", fixed(client_frame(TEXT, b"4", length=1 << 30)), code=1009),
    Case("9 the largest length there is", fixed(client_frame(BINARY, b"", length=(1 << 63) - 1)), code=1009),
    Case("9 fragments that are too large together", lambda to: client_frame(TEXT, b"4" * 200_000, fin=False)
         + client_frame(CONTINUATION, b"", length=100_000)[:14], code=1009, cut=False),
]  # fmt: skip
COMPRESSED: Final = [
    Case("12 a compressed message that nobody agreed to", fixed(client_frame(TEXT, b"\xf2\x48\xcd\xc9\xc9\x07\x00", rsv=4)),
         code=1002),
]  # fmt: skip

CASES: Final = (
    *LENGTHS, *WRONG_LENGTHS, *PINGS, *RESERVED, *OPCODES, *FRAGMENTS, *TEXTS, *CLOSES, *LIMITS, *COMPRESSED
)  # fmt: skip


def played() -> list[object]:
    """Every case on each of its surfaces, whole and, where that is quick, byte by byte."""
    return [
        pytest.param(case, surface, cut, id=f"{surface.name}, {case.name}{', byte by byte' if cut else ''}")
        for case in CASES
        for surface in case.on
        for cut in ((None, 1) if case.cut else (None,))
    ]


@pytest.mark.parametrize(("case", "surface", "cut"), played())
async def test_every_frame_gets_its_answer_or_its_close_code(
    case: Case, surface: Surface, cut: int | None, usual: Process
) -> None:
    async with undisturbed(usual.port), open_raw(usual.port) as raw:
        await surface.enter(raw)
        await raw.send(case.sent(surface), cut=cut)
        if case.code is None:
            check([await heard(raw) for _ in case.said], case, surface)
            await raw.send(ping(b"still there"))
            assert await heard(raw) == Frame(PONG, b"still there")
            return
        ending = await raw.ending(reply=case not in CLOSES, within_s=AT_ONCE_S)
        assert_ended(ending, case, surface)


async def heard(raw: RawSocket) -> Frame:
    """The next frame that is not Engine.IO's ping."""
    while (frame := await raw.frame()) == Frame(TEXT, b"2"):
        pass
    return frame


def check(frames: list[Frame], case: Case, surface: Surface) -> None:
    """What was said is what should be. A pong may overtake an answer, or the other way round: RFC 6455 has no order between
    them."""
    pongs = [frame.payload for frame in frames if frame.opcode == PONG]
    assert pongs == [content for kind, content in case.said if kind == "pong"]
    rest = [frame for frame in frames if frame.opcode != PONG]
    expected = [(kind, content) for kind, content in case.said if kind != "pong"]
    assert len(rest) == len(expected), frames
    for frame, (kind, content) in zip(rest, expected, strict=True):
        if kind == "binary":
            assert frame == Frame(BINARY, _bytes(content))
        else:
            assert frame.opcode == TEXT, frame
            assert surface.answers(frame.payload, content), frame.payload[:200]


def assert_ended(ending: Ending, case: Case, surface: Surface) -> None:
    before = [frame for frame in ending.before if frame != Frame(TEXT, b"2")]
    if surface is LIVE and len(before) > len(case.said):
        # What ends the connection is told in its own words as well, to those who read.
        *before, bye, farewell = before
        assert bye.payload.startswith(b'42/live,["bye",{"code":3504,'), bye
        assert farewell.payload == b"41/live,", farewell
    check(before, case, surface)
    codes = case.code if isinstance(case.code, tuple) else (case.code,)
    assert ending.code in codes, ending
    assert ending.how == "closed", ending


# -- around the upgrade --------------------------------------------------------------------------------------------------


UPGRADE: Final = (
    b"GET /%s/?EIO=4&transport=websocket HTTP/1.1\r\nHost: t\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n"
)


@pytest.mark.parametrize("cut", [None, 1, 7], ids=["in one piece", "byte by byte", "in sevens"])
async def test_frames_that_come_with_the_upgrade_request_are_not_lost(usual: Process, cut: int | None) -> None:
    async with undisturbed(usual.port), open_raw(usual.port) as raw:
        messages = client_frame(TEXT, b"4one") + ping(b"p") + client_frame(TEXT, b"4two", fin=False)
        await raw.send(UPGRADE % b"engine.io" + messages + client_frame(CONTINUATION, b"!"), cut=cut)
        assert (await raw.response()).status == 101
        assert (await raw.frame()).payload[:1] == b"0"
        said = [await heard(raw) for _ in range(3)]
        assert [frame for frame in said if frame.opcode == TEXT] == [Frame(TEXT, b"4one"), Frame(TEXT, b"4two!")]
        assert Frame(PONG, b"p") in said


async def test_a_broken_frame_that_comes_with_the_upgrade_request_ends_it_with_its_code(usual: Process) -> None:
    async with undisturbed(usual.port), open_raw(usual.port) as raw:
        await raw.send(UPGRADE % b"socket.io" + client_frame(TEXT, b"4x", masked=False))
        assert (await raw.response()).status == 101
        assert (await raw.ending()).code == 1002


async def test_another_request_behind_the_upgrade_is_a_broken_frame_and_not_a_request(usual: Process) -> None:
    async with undisturbed(usual.port), open_raw(usual.port) as raw:
        await raw.send(UPGRADE % b"socket.io" + b"GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: t\r\n\r\n")
        assert (await raw.response()).status == 101
        ending = await raw.ending()
        assert ending.code == 1002
        assert not any(b"HTTP/1.1" in frame.payload for frame in ending.before)


@pytest.mark.parametrize(
    "offer",
    [
        "permessage-deflate",
        "permessage-deflate; client_max_window_bits",
        "permessage-deflate; server_max_window_bits=99",
        "x-webkit-deflate-frame, bbf-usp-protocol",
        "permessage-deflate" + "; a" * 500,
    ],
)
async def test_no_extension_is_agreed_to_that_was_not_switched_on(usual: Process, offer: str) -> None:
    async with open_raw(usual.port) as raw:
        answer_ = await raw.upgrade("/socket.io/?EIO=4&transport=websocket", Sec_WebSocket_Extensions=offer)
        assert answer_.status == 101
        assert "sec-websocket-extensions" not in answer_.headers


@pytest.mark.parametrize(
    ("headers", "statuses"),
    [
        ({"Sec_WebSocket_Version": "8"}, {400, 426}),
        ({"Sec_WebSocket_Version": "13, 13"}, {400, 426}),
        ({"Sec_WebSocket_Key": "short"}, {400}),
        ({"Sec_WebSocket_Key": "=" * 24}, {400}),
        ({"Upgrade": "h2c"}, {400, 426}),
    ],
)
async def test_a_broken_upgrade_is_refused_with_a_status(
    usual: Process, headers: dict[str, str], statuses: set[int]
) -> None:
    lines = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec_WebSocket_Version": "13",
        "Sec_WebSocket_Key": "MDEyMzQ1Njc4OWFiY2RlZg==",
    } | headers
    request = "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: t\r\n"
    request += "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in lines.items())
    async with undisturbed(usual.port), open_raw(usual.port) as raw:
        await raw.send((request + "\r\n").encode())
        assert (await raw.response()).status in statuses


# -- the end of the line ---------------------------------------------------------------------------------------------------


async def test_a_peer_that_does_not_answer_a_close_is_closed_all_the_same(usual: Process) -> None:
    async with undisturbed(usual.port), open_raw(usual.port) as raw:
        await ECHO.enter(raw)
        await raw.send(client_frame(TEXT, b"4x", masked=False))
        ending = await raw.ending(reply=False, within_s=6)
        assert ending.code == 1002


@pytest.mark.parametrize("surface", [LIVE, ECHO], ids=["live", "echo"])
@pytest.mark.parametrize("last", [b"", b"\x81", b"\x81\xfe\x01", b"\x81\x85mas", client_frame(TEXT, b"4half")[:-2]])
async def test_a_line_that_ends_within_a_frame_leaves_nothing(usual: Process, surface: Surface, last: bytes) -> None:
    async with undisturbed(usual.port), open_raw(usual.port) as raw:
        await surface.enter(raw)
        await raw.send(last)
        raw.end_writing()
        ending = await raw.ending(within_s=5)
        assert ending.code in (None, 1002)


@pytest.mark.parametrize("surface", [LIVE, ECHO], ids=["live", "echo"])
async def test_a_reset_leaves_nothing(usual: Process, surface: Surface) -> None:
    async with undisturbed(usual.port), open_raw(usual.port) as raw:
        await surface.enter(raw)
        await raw.send(client_frame(TEXT, b"4half")[:-2])
        raw.reset()
