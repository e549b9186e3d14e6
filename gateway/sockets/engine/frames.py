"""WebSocket framing after RFC 6455, as a server sees it: bytes in, whole messages out, and the bytes that go back.

Pure: nothing here knows a socket, a clock or a loop, so every rule can be tested by feeding bytes. The rules are the
RFC's, to the letter, because a peer that breaks them is broken or hostile and either way not worth guessing at:

* A fault is found at the first byte that shows it. Whatever follows from a frame's header is decided on the header: a
  frame that announces a gigabyte is refused after ten bytes, so nothing over the limit is ever held.
* Bytes may arrive in any cut. The reader keeps at most a header that is not whole yet, the frame it is in and the
  message that frame belongs to; the cost is in proportion to the bytes, and the outcome does not depend on the cuts.
* Text is checked to be UTF-8 fragment by fragment but stays bytes: what reads it next (a JSON decoder) wants bytes.
* Compression is without context takeover in both directions: a message is inflated from nothing, so that an idle
  connection holds no window, and one compressed body serves every receiver. Inflating goes in small steps and stops
  at the limit: a megabyte that would become a gigabyte costs what an honest message costs.

Unmasking is aiohttp's C routine, 0.15 µs for a sample event of 125 bytes and 2.5 µs for 64 KiB; the XOR of two long
integers takes 0.6 µs and 115 µs. The name is not public: tests/contracts/test_socket_engine.py says when it is gone.

To extend: a new rule about one frame's header belongs in `_permit`, a rule about lengths in `_bound`, one about what
a message contains in `_take` or `_Fragmented`. Neither `_permit` nor `_bound` may change anything: a header that
comes in pieces passes through them again with every piece.
"""

import zlib
from codecs import utf_8_decode
from collections.abc import Iterator
from struct import Struct
from typing import Final, NamedTuple

from aiohttp._websocket.helpers import websocket_mask

CONTINUATION: Final = 0
TEXT: Final = 1
BINARY: Final = 2
CLOSE: Final = 8
PING: Final = 9
PONG: Final = 10

PROTOCOL_ERROR: Final = 1002
BAD_CONTENT: Final = 1007
"""A message that is not what it says it is: text that is not UTF-8, a compressed body that does not inflate."""
POLICY: Final = 1008
TOO_BIG: Final = 1009
NO_CODE: Final = 1005
"""What `parse_close` answers for a close frame without a code; never sent."""

MAX_CONTROL: Final = 125
"""Bytes in a close, ping or pong (RFC 6455, 5.5)."""

_FIN: Final = 0x80
_RSV1: Final = 0x40
_RSV2_RSV3: Final = 0x30
_MASKED: Final = 0x80
_WHOLE: Final = (_FIN | TEXT, _FIN | BINARY)
"""First bytes of nearly every frame there is: a message of its own, not compressed."""
_SHORT: Final = Struct("!H")
_LONG: Final = Struct("!Q")

_SYNC_TAIL: Final = b"\x00\x00\xff\xff"
"""How a flushed deflate stream ends; left out on the wire (RFC 7692, 7.2.1)."""
_END_BLOCK: Final = b"\x01\x00\x00\xff\xff"
"""An empty last block.

Read after the tail it proves that the body ended where a block ends, and not in the middle of one.
"""
_AFTER_LAST_BLOCK: Final = b"\x00" + _SYNC_TAIL + _END_BLOCK
"""What may follow when a client itself marked its last block (RFC 7692, 7.2.3.4).

The zero byte it adds, and our tail.
"""
_INFLATE_STEP: Final = 16 * 1024
"""Bytes given to zlib and taken from it at a time; chosen by feeling."""


class Message(NamedTuple):
    """A whole message, or a control frame. `data` of a text is undecoded, but known to be UTF-8."""

    opcode: int
    data: bytes | bytearray


class FrameError(Exception):
    """The peer broke the protocol or a limit: close with `code` (1002, 1007, 1008 or 1009) and `reason`.

    `messages`: what came whole before the fault in the bytes just fed.
    """

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{code}: {reason}")
        self.code = code
        self.reason = reason
        self.messages: tuple[Message, ...] = ()


class FrameReader:
    """Reads one client's frames.

    `max_message`: bytes in one message, all fragments together, inflated. `max_fragments`: frames one message may be
    spread over; it bounds the work that empty fragments cause. `max_frame`: bytes in one data frame on the wire, if
    less than a message. `deflate`: whether permessage-deflate was agreed, without context takeover.
    """

    __slots__ = (
        "_deflate",
        "_fault",
        "_first",
        "_frame",
        "_head",
        "_mask",
        "_max_fragments",
        "_max_frame",
        "_max_message",
        "_message",
        "_missing",
        "closed",
    )

    def __init__(
        self, max_message: int, *, max_fragments: int = 64, max_frame: int | None = None, deflate: bool = False
    ) -> None:
        if max_message < 1 or max_fragments < 1 or (max_frame is not None and max_frame < 1):
            raise ValueError(
                f"max_message={max_message}, max_fragments={max_fragments}, max_frame={max_frame}: "
                "each limit must be at least 1 (max_frame None: no limit beside max_message)"
            )
        self._max_message = max_message
        self._max_fragments = max_fragments
        self._max_frame = max_frame
        self._deflate = deflate
        self.closed = False
        """A close frame came. What follows it is not read (RFC 6455, 5.5.1) and not held."""
        self._fault: FrameError | None = None
        self._forget()

    def _forget(self) -> None:
        """Nothing of a frame and nothing of a message is held."""
        self._head = b""
        self._first = 0
        self._mask = b""
        self._frame: bytearray | None = None
        self._missing = 0
        self._message: _Fragmented | None = None

    @property
    def idle(self) -> bool:
        """Whether the next byte fed is the first of a new message."""
        return not (self._missing or self._message or self._head or self.closed or self._fault)

    @property
    def held(self) -> int:
        """Bytes kept of what is not whole yet."""
        message = self._message
        return len(self._head) + len(self._frame or b"") + (0 if message is None else len(message.body))

    def feed(self, data: bytes) -> list[Message]:
        """Take in what came; answer the messages that are whole now, in order.

        Raises:
            FrameError: the peer is at fault. Nothing is held any more, and the reader is spent: feeding it again
                raises the same error, without messages.
        """
        if self._fault is not None:
            self._fault.messages = ()
            raise self._fault
        messages: list[Message] = []
        try:
            self._read(data, messages)
        except FrameError as fault:
            fault.messages = tuple(messages)
            self._fault = fault
            self._forget()
            raise
        return messages

    def _read(self, data: bytes, messages: list[Message]) -> None:
        if self._head:
            data, self._head = self._head + data, b""
        at, end = 0, len(data)
        while at < end and not self.closed:
            if self._frame is None:
                start = self._open(data, at, end)
                if not start:
                    self._head = data[at:]
                    return
                at = min(start + self._missing, end)
                frame = bytearray(data[start:at])
                self._missing -= at - start
            else:
                frame = self._frame
                stop = min(at + self._missing, end)
                frame += data[at:stop]
                self._missing -= stop - at
                at = stop
            if self._missing:
                self._frame = frame
                return
            self._frame = None
            websocket_mask(self._mask, frame)
            self._take(frame, messages)

    def _open(self, data: bytes, at: int, end: int) -> int:
        """Read the header that begins at `at`. Answers where its payload begins; 0 while the header is not whole."""
        if end - at < 2:
            return 0
        first, second = data[at], data[at + 1]
        length = second & 0x7F
        if first not in _WHOLE or second < _MASKED or self._message is not None:
            self._permit(first, second, length)
        start = at + 6
        if length > MAX_CONTROL:
            form, least = (_SHORT, MAX_CONTROL + 1) if length == 126 else (_LONG, 1 << 16)
            if end - at < 2 + form.size:
                return 0
            (length,) = form.unpack_from(data, at + 2)
            if not least <= length < 1 << 63:
                raise FrameError(PROTOCOL_ERROR, "a length must be written in the shortest form")
            start += form.size
        if first & 0x0F < CLOSE:
            self._bound(first, length)
        if start > end:
            return 0
        self._first = first
        self._mask = data[start - 4 : start]
        self._missing = length
        return start

    def _permit(self, first: int, second: int, length: int) -> None:
        """Refuse what the first two bytes of a frame already show to be wrong."""
        opcode = first & 0x0F
        if first & _RSV2_RSV3 or (first & _RSV1 and not (self._deflate and TEXT <= opcode <= BINARY)):
            raise FrameError(PROTOCOL_ERROR, "a reserved bit is set that nothing was agreed for")
        if opcode > PONG or BINARY < opcode < CLOSE:
            raise FrameError(PROTOCOL_ERROR, f"opcode {opcode} is reserved")
        if second < _MASKED:
            raise FrameError(PROTOCOL_ERROR, "a client must mask its frames")
        if opcode >= CLOSE:
            if not first & _FIN:
                raise FrameError(PROTOCOL_ERROR, "a control frame must not be fragmented")
            if length > MAX_CONTROL:
                raise FrameError(PROTOCOL_ERROR, f"a control frame carries {MAX_CONTROL} bytes at most")
        elif opcode:
            if self._message is not None:
                raise FrameError(PROTOCOL_ERROR, "a message began inside a fragmented one")
        elif self._message is None:
            raise FrameError(PROTOCOL_ERROR, "a continuation without a message to continue")
        elif self._message.fragments >= self._max_fragments:
            raise FrameError(POLICY, "too many fragments")

    def _bound(self, first: int, length: int) -> None:
        """Refuse a data frame that would carry its message over the limit."""
        message, limit = self._message, self._max_message
        if first & _RSV1 or (message is not None and message.inflater is not None):
            # What does not compress grows a little; zlib's own bound for its worst settings is an eighth.
            limit += (limit >> 3) + 64
        if length + (0 if message is None else message.wire_bytes) > limit:
            raise FrameError(TOO_BIG, f"a message carries {self._max_message} bytes at most")
        if self._max_frame is not None and length > self._max_frame:
            raise FrameError(TOO_BIG, f"a frame carries {self._max_frame} bytes at most")

    def _take(self, frame: bytearray, messages: list[Message]) -> None:
        """A frame is whole and unmasked: it is a message, or a part of one."""
        first = self._first
        opcode = first & 0x0F
        if first in _WHOLE:
            if opcode == TEXT and not frame.isascii():
                _cut_character(frame, last=True)
            messages.append(Message(opcode, frame))
        elif opcode >= CLOSE:
            if opcode == CLOSE:
                parse_close(frame)
                self.closed = True
                self._forget()
            messages.append(Message(opcode, frame))
        else:
            if self._message is None:
                self._message = _Fragmented(opcode, self._max_message, compressed=bool(first & _RSV1))
            self._message.add(frame, last=bool(first & _FIN))
            if first & _FIN:
                messages.append(Message(self._message.opcode, self._message.body))
                self._message = None


class _Fragmented:
    """A message in several frames, or in one that is compressed: inflated and checked as it comes.

    `wire_bytes`: what came of it, as it came. `body`: the same, inflated; at most `limit` bytes.
    """

    __slots__ = ("_limit", "_split_character", "body", "fragments", "inflater", "opcode", "wire_bytes")

    def __init__(self, opcode: int, limit: int, *, compressed: bool) -> None:
        self.opcode = opcode
        self.body = bytearray()
        self.fragments = 0
        self.wire_bytes = 0
        self.inflater = zlib.decompressobj(-zlib.MAX_WBITS) if compressed else None
        self._limit = limit
        self._split_character = b""

    def add(self, frame: bytearray, *, last: bool) -> None:
        self.fragments += 1
        self.wire_bytes += len(frame)
        if self.inflater is None:
            self._append(frame, last)
            return
        for part in self._inflated(self.inflater, frame, last):
            self._append(part, last=False)
        if last:
            self._append(b"", last)

    def _append(self, part: bytes | bytearray, last: bool) -> None:
        if len(self.body) + len(part) > self._limit:
            raise FrameError(TOO_BIG, f"a message carries {self._limit} bytes at most, inflated")
        if self.opcode == TEXT:
            text = self._split_character + part if self._split_character else part
            self._split_character = _cut_character(text, last=last)
        self.body += part

    def _inflated(self, inflater: "zlib._Decompress", frame: bytearray, last: bool) -> Iterator[bytes]:
        """The content of one frame, a step at a time; who does not want more leaves the rest of it compressed."""
        if last:
            frame += _SYNC_TAIL + _END_BLOCK
        for at in range(0, len(frame), _INFLATE_STEP):
            rest = bytes(frame[at : at + _INFLATE_STEP])
            part = b""
            while rest or len(part) == _INFLATE_STEP:  # zlib asks to be called again after a full step
                try:
                    part = inflater.decompress(rest, _INFLATE_STEP)
                except zlib.error as error:
                    raise FrameError(BAD_CONTENT, "a compressed message does not inflate") from error
                yield part
                rest = inflater.unconsumed_tail
            if not _AFTER_LAST_BLOCK.startswith(inflater.unused_data):
                raise FrameError(BAD_CONTENT, "a compressed message goes on after its last block")
        if last and not inflater.eof:
            raise FrameError(BAD_CONTENT, "a compressed message ends in the middle of a block")


def _cut_character(text: bytes | bytearray, *, last: bool) -> bytes:
    """Check that `text` is UTF-8.

    Answers the beginning of a character at its end, which only a text that goes on may have.
    """
    if text.isascii():
        return b""
    try:
        _, used = utf_8_decode(text, "strict", last)
    except UnicodeDecodeError as error:
        raise FrameError(BAD_CONTENT, f"text is not UTF-8: {error.reason}") from error
    return bytes(text[used:])


def server_frame(opcode: int, payload: bytes, *, fin: bool = True, rsv1: bool = False) -> bytes:
    """One frame from server to client, unmasked. `rsv1`: the payload is compressed."""
    first = opcode | (_FIN if fin else 0) | (_RSV1 if rsv1 else 0)
    length = len(payload)
    if length <= 125:
        return bytes((first, length)) + payload
    if length < 1 << 16:
        return bytes((first, 126)) + _SHORT.pack(length) + payload
    return bytes((first, 127)) + _LONG.pack(length) + payload


def close_frame(code: int, reason: str = "") -> bytes:
    """A close frame; of the reason as many whole characters as fit (123 bytes).

    Raises:
        ValueError: the code may not be sent.
    """
    if not _may_be_sent(code):
        raise ValueError(f"close code {code} may not be sent; take one of 1000-1003, 1007-1014 or 3000-4999")
    said = reason.encode("utf-8", "replace")[: MAX_CONTROL - 2].decode("utf-8", "ignore").encode()
    return server_frame(CLOSE, _SHORT.pack(code) + said)


def parse_close(payload: bytes | bytearray) -> tuple[int, str]:
    """Code and reason of a close frame; `NO_CODE` and no reason for an empty one.

    Raises:
        FrameError: one byte only, a code that may not be sent, or a reason that is not UTF-8. Never for a message
            that came out of a `FrameReader`, which has asked already.
    """
    if not payload:
        return NO_CODE, ""
    if len(payload) == 1:
        raise FrameError(PROTOCOL_ERROR, "a close code has two bytes")
    (code,) = _SHORT.unpack_from(payload)
    if not _may_be_sent(code):
        raise FrameError(PROTOCOL_ERROR, f"close code {code} may not be sent")
    try:
        return code, payload[2:].decode()
    except UnicodeDecodeError as error:
        raise FrameError(BAD_CONTENT, f"a close reason is not UTF-8: {error.reason}") from error


def _may_be_sent(code: int) -> bool:
    """RFC 6455, 7.4, with the codes registered since (1012-1014)."""
    return 1000 <= code <= 1003 or 1007 <= code <= 1014 or 3000 <= code <= 4999
