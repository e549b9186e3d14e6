"""A TCP socket that speaks WebSocket and Engine.IO badly on request, and listens strictly.

Client libraries refuse to send what a torture test has to send: wrong lengths, unmasked frames, half a header. Here every
byte is the test's own. What comes back is read to the letter of RFC 6455, as a client library would: a masked frame, a
reserved bit, a length in the wrong form or text that is not UTF-8 is `Unfit`, a failure of the server.

Nothing is read unless somebody asks, so a client that does not read is simply one that does not ask. Every wait is bounded
and says what it waited for.
"""

import asyncio
import base64
import contextlib
import hashlib
import json
import socket
import struct
import zlib
from collections.abc import AsyncIterator
from typing import Any, Final, Literal, NamedTuple, Self

CONTINUATION: Final = 0
TEXT: Final = 1
BINARY: Final = 2
CLOSE: Final = 8
PING: Final = 9
PONG: Final = 10

WAIT_S: Final = 10.0
_ESTABLISHED: Final = 1
"""TCP_ESTABLISHED in linux/tcp_states.h, the first byte of `tcp_info`."""
_MASK: Final = b"\x37\xfa\x21\x3d"
_KEY: Final = base64.b64encode(b"sixteen bytes ok").decode()
_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class Unfit(AssertionError):  # noqa: N818 - it is a finding, not a fault of the test
    """The server has sent something that no strict client would accept."""


class Frame(NamedTuple):
    """One frame of the server's."""

    opcode: int
    payload: bytes
    fin: bool = True
    rsv: int = 0


class Ending(NamedTuple):
    """How a connection ended: the close frame's `code` and `reason` (None and "" when there was no close frame, 1005 when it
    was empty), whether TCP was closed properly or reset, and which frames came before."""

    code: int | None
    reason: str
    how: Literal["closed", "reset"]
    before: tuple[Frame, ...]


class Response(NamedTuple):
    """An HTTP answer; names of headers in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


def client_frame(
    opcode: int,
    payload: bytes = b"",
    *,
    fin: bool = True,
    rsv: int = 0,
    masked: bool = True,
    length: int | None = None,
    form: Literal[7, 16, 64] | None = None,
) -> bytes:
    """A frame as a client sends it, or should not: `rsv` the three reserved bits as a number (4 is RSV1), `length` the length
    that is declared when it is not the true one, `form` the bits of the length field when they are not the fewest."""
    declared = len(payload) if length is None else length
    form = form or (7 if declared < 126 else 16 if declared < 65_536 else 64)
    head = bytes([fin << 7 | rsv << 4 | opcode])
    flag = masked << 7
    match form:
        case 7:
            head += bytes([flag | declared])
        case 16:
            head += struct.pack("!BH", flag | 126, declared)
        case 64:
            head += struct.pack("!BQ", flag | 127, declared)
    return head + (_MASK + mask(payload) if masked else payload)


def mask(payload: bytes) -> bytes:
    """The payload under the mask that `client_frame` uses."""
    repeated = (_MASK * (len(payload) // 4 + 1))[: len(payload)]
    return (int.from_bytes(payload) ^ int.from_bytes(repeated)).to_bytes(len(payload))


def text(payload: str | bytes) -> bytes:
    """A whole text frame."""
    return client_frame(TEXT, payload.encode() if isinstance(payload, str) else payload)


def close(code: int | None = 1000, reason: str | bytes = "") -> bytes:
    """A close frame; an empty one without a code."""
    if code is None:
        return client_frame(CLOSE)
    return client_frame(CLOSE, struct.pack("!H", code) + (reason.encode() if isinstance(reason, str) else reason))


class RawSocket:
    """See the module. Made by `open_raw`; `opened` is the Engine.IO handshake, once there was one; `deflate` that compression was
    agreed upon, so that RSV1 on a message is understood."""

    def __init__(self, line: socket.socket) -> None:
        self.opened: dict[str, Any] = {}
        self.deflate = False
        self._line = line
        self._read = bytearray()
        self._sending = asyncio.Lock()

    @property
    def established(self) -> bool:
        """Whether the kernel takes the line for open. Reads nothing, so it is for those who do not read."""
        state: int = self._line.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
        return state == _ESTABLISHED

    # -- bytes --------------------------------------------------------------------------------------------------------

    async def send(self, data: bytes, *, cut: int | None = None) -> None:
        """Send these bytes, in writes of `cut` bytes when given. Raises `ConnectionError` when the line is gone and
        `TimeoutError` when the server does not read.

        One at a time: a loop waits for one writer of a descriptor, and a second would put the first out of mind for ever."""
        loop = asyncio.get_running_loop()
        pieces = [data] if cut is None else [data[at : at + cut] for at in range(0, len(data), cut)]
        async with asyncio.timeout(WAIT_S), self._sending:
            for piece in pieces:
                await loop.sock_sendall(self._line, piece)

    async def receive(self, most: int = 65_536) -> bytes:
        """Some bytes, empty at the end. Raises `ConnectionError` when the line was reset."""
        if self._read:
            some = bytes(self._read[:most])
            del self._read[:most]
            return some
        return await asyncio.get_running_loop().sock_recv(self._line, most)

    async def _exactly(self, count: int) -> bytes:
        while len(self._read) < count:
            more = await asyncio.get_running_loop().sock_recv(self._line, 65_536)
            if not more:
                raise EOFError(f"closed after {len(self._read)} of {count} bytes")
            self._read += more
        some = bytes(self._read[:count])
        del self._read[:count]
        return some

    async def _line_of_text(self) -> str:
        while (end := self._read.find(b"\r\n")) < 0:
            more = await asyncio.get_running_loop().sock_recv(self._line, 65_536)
            if not more:
                raise EOFError("closed within the head of an answer")
            self._read += more
        return (await self._exactly(end + 2))[:-2].decode("latin-1")

    def reset(self) -> None:
        """Drop the line with a TCP reset, as a crash or a NAT does."""
        self._line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._line.close()

    def end_writing(self) -> None:
        """Send FIN, keep reading."""
        self._line.shutdown(socket.SHUT_WR)

    def shut(self) -> None:
        """Close the descriptor without a word of goodbye."""
        self._line.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.shut()

    # -- HTTP -----------------------------------------------------------------------------------------------------------

    async def response(self) -> Response:
        """The answer to a request that has been sent."""
        async with asyncio.timeout(WAIT_S):
            return await self._response()

    async def _response(self) -> Response:
        status = int((await self._line_of_text()).split(" ")[1])
        headers: dict[str, str] = {}
        while found := await self._line_of_text():
            name, _, value = found.partition(":")
            headers[name.strip().lower()] = value.strip()
        body = b"" if status in (101, 204, 304) else await self._exactly(int(headers.get("content-length", 0)))
        return Response(status, headers, body)

    async def upgrade(self, path: str, **headers: str) -> Response:
        """Ask for a WebSocket at this path; the answer, 101 or not. Raises `Unfit` for an accept key that is not right."""
        lines = [
            f"GET {path} HTTP/1.1",
            "Host: torture.test",
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Version: 13",
            f"Sec-WebSocket-Key: {_KEY}",
            *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items()),
        ]
        await self.send("\r\n".join([*lines, "", ""]).encode())
        answer = await self.response()
        accept = base64.b64encode(hashlib.sha1(_KEY.encode() + _GUID).digest()).decode()
        if answer.status == 101 and answer.headers.get("sec-websocket-accept") != accept:
            raise Unfit(f"the accept key is not the answer to ours: {answer.headers}")
        return answer

    # -- WebSocket ------------------------------------------------------------------------------------------------------

    async def frame(self) -> Frame:
        """The next frame. Raises `EOFError` and `ConnectionError` at the end of the line, `Unfit` for a frame that breaks RFC
        6455, `TimeoutError` when none comes."""
        async with asyncio.timeout(WAIT_S):
            return await self._frame()

    async def _frame(self) -> Frame:
        first, second = await self._exactly(2)
        fin, rsv, opcode = bool(first & 0x80), first >> 4 & 7, first & 15
        if second & 0x80:
            raise Unfit("a server masks nothing")
        if rsv and not (self.deflate and rsv == 4 and opcode in (TEXT, BINARY)):
            raise Unfit(f"reserved bits {rsv:03b} without an extension")
        if opcode not in (CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG):
            raise Unfit(f"opcode {opcode} is reserved")
        length, least = second, 0
        if length == 126:
            length, least = int.from_bytes(await self._exactly(2)), 126
        elif length == 127:
            length, least = int.from_bytes(await self._exactly(8)), 65_536
        if length < least:
            raise Unfit(f"length {length} is written in too many bytes")
        if opcode >= CLOSE and (length > 125 or not fin):
            raise Unfit("a control frame is short and whole")
        payload = await self._exactly(length)
        if rsv:
            payload = zlib.decompressobj(-15).decompress(payload + b"\x00\x00\xff\xff")
        if opcode == TEXT and fin:
            _utf8(payload)
        return Frame(opcode, payload, fin, rsv)

    async def ending(self, *, within_s: float = WAIT_S, reply: bool = True) -> Ending:
        """Read to the end of the line; a close frame is answered unless `reply` is False. Raises `TimeoutError` when the server
        leaves the line open."""
        code, reason = None, ""
        before: list[Frame] = []
        try:
            async with asyncio.timeout(within_s):
                while True:
                    frame = await self._frame()
                    if code is not None:
                        raise Unfit(f"{frame} after a close frame")
                    if frame.opcode == CLOSE:
                        code, reason = _close(frame.payload)
                        if reply:
                            with contextlib.suppress(ConnectionError):  # the server need not wait for it
                                await self.send(client_frame(CLOSE, frame.payload))
                    else:
                        before.append(frame)
        except EOFError:
            return Ending(code, reason, "closed", tuple(before))
        except ConnectionError:
            return Ending(code, reason, "reset", tuple(before))
        except TimeoutError as late:
            raise TimeoutError(f"still open after {within_s} s; close code {code}, frames {before[-3:]}") from late

    # -- Engine.IO ------------------------------------------------------------------------------------------------------

    async def engine(self, path: str = "/socket.io/", *, deflate: bool = False) -> Self:
        """Open an Engine.IO connection over a WebSocket, with compression when the server agrees."""
        offer = {"Sec_WebSocket_Extensions": "permessage-deflate"} if deflate else {}
        answer = await self.upgrade(f"{path}?EIO=4&transport=websocket", **offer)
        assert answer.status == 101, answer
        self.deflate = "permessage-deflate" in answer.headers.get("sec-websocket-extensions", "")
        frame = await self.frame()
        assert (frame.opcode, frame.payload[:1]) == (TEXT, b"0"), frame
        self.opened = json.loads(frame.payload[1:])
        return self


@contextlib.asynccontextmanager
async def open_raw(port: int, *, receive_buffer: int | None = None) -> AsyncIterator[RawSocket]:
    """A connected socket. `receive_buffer`: bytes that the kernel takes in while nobody reads, for readers who do not."""
    async with await connected(port, receive_buffer=receive_buffer) as raw:
        yield raw


async def connected(port: int, *, receive_buffer: int | None = None) -> RawSocket:
    """`open_raw` for those who close by themselves."""
    line = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        line.setblocking(False)
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if receive_buffer is not None:
            line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        async with asyncio.timeout(WAIT_S):
            await asyncio.get_running_loop().sock_connect(line, ("127.0.0.1", port))
    except BaseException:
        line.close()
        raise
    return RawSocket(line)


async def ask(port: int, method: str, path: str, body: bytes = b"", **headers: str) -> Response:
    """One HTTP request on a line of its own. A `Content_Length` among the headers replaces the true one."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    if method == "POST":
        named.setdefault("Content-Length", str(len(body)))
    head = [f"{method} {path} HTTP/1.1", "Host: torture.test", "Connection: close"]
    head += [f"{name}: {value}" for name, value in named.items()]
    async with open_raw(port) as raw:
        with contextlib.suppress(ConnectionError):  # refused before it was read; the answer may be there all the same
            await raw.send("\r\n".join([*head, "", ""]).encode() + body)
        return await raw.response()


def _close(payload: bytes) -> tuple[int, str]:
    if not payload:
        return 1005, ""
    if len(payload) == 1:
        raise Unfit("a close frame with half a code")
    return int.from_bytes(payload[:2]), _utf8(payload[2:])


def _utf8(payload: bytes) -> str:
    try:
        return payload.decode()
    except UnicodeDecodeError as fault:
        raise Unfit(f"text that is not UTF-8: {payload[:40]!r}") from fault
