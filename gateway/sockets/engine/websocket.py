"""The line of a link that is on a WebSocket: a protocol directly on the TCP transport.

Bytes that came in are handled where the transport hands them over, in this call, without a queue, a future or a task
in between; bytes that go out go to the transport, which writes them at once as far as the kernel takes them. What the
kernel does not take, the transport keeps, and says so (`pause_writing`); from then on nothing more is written, and
what comes up waits in the link's mailbox. So the process holds at most one write per line that the peer does not
read, and the kernel, which is told to hold little that is unsent (unread.py), not much more: a phone that
begins to read again gets the newest board, not the oldest.
"""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, cast

from aiohttp._websocket.helpers import websocket_mask

from gateway.sockets.engine.frames import (
    BINARY,
    CLOSE,
    NO_CODE,
    PING,
    PONG,
    TEXT,
    FrameError,
    FrameReader,
    Message,
    close_frame,
    parse_close,
    server_frame,
)
from gateway.sockets.engine.unread import cut
from realtime.codec import websocket_text
from realtime.turn import NO_SLOT, UNASKED

if TYPE_CHECKING:
    from gateway.sockets.engine.link import Link
    from gateway.sockets.engine.server import Engine

MAX_FRAGMENTS: Final = 64
"""Frames of one message. No official client sends more than one."""

_TEXT_FRAME: Final = 0x80 | TEXT
_MASKED: Final = 0x80
_LONG: Final = _MASKED | 126
"""The length stands in the next two bytes, and the mask behind them."""
_PONG: Final = ord("3")
_PONG_BYTES: Final = 7
"""A frame with the one byte of a pong: head, mask, and that."""


class WebSocketLine:
    """See the module. `probing` while it has not taken over its link, which is on long-polling; `blocked` while the peer
    does not take what was written; `closing` once a close frame was sent or the transport is closed; `slot` where the turn's
    bulk knows it."""

    __slots__ = (
        "_deaf",
        "_engine",
        "_paused",
        "_reader",
        "_transport",
        "blocked",
        "closing",
        "deflate",
        "link",
        "probing",
        "slot",
        "write",
    )

    write: Callable[[bytes], None]

    def __init__(self, engine: "Engine", link: "Link", *, deflate: bool = False, probing: bool = False) -> None:
        self._engine: Final = engine
        self._transport: asyncio.Transport | None = None
        self._reader: FrameReader | None = None
        self._paused = False
        self._deaf = False
        self.link: Final = link
        self.deflate: Final = deflate
        self.probing = probing
        self.blocked = False
        self.closing = False
        self.slot = UNASKED

    def take(self, transport: asyncio.Transport, head: bytes, opened: bytes) -> None:
        """Begin on a transport: answer with `head`, and with the packet `opened` behind it, unless it is empty."""
        self._transport = transport
        self.write = transport.write
        transport.set_write_buffer_limits(high=0)
        transport.write(head + websocket_text(opened) if opened else head)
        if not self.probing:
            self.link.carried_by(self)

    def as_protocol(self) -> asyncio.BaseProtocol:
        """Itself. It is an `asyncio.Protocol` in all but name: a class that inherits from one that is not compiled cannot be."""
        return cast(asyncio.BaseProtocol, self)

    # -- what the transport calls -------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Handle every message that is whole now."""
        if self._deaf:
            return
        if self._reader is not None:
            self._engine.bytes_in += len(data)
            self._read(data)
            return
        at, end, frames = 0, len(data), 0
        engine, link = self._engine, self.link
        limit, inlet = engine.max_payload, engine.inlet
        engine.bytes_in += end
        now = engine.monotonic()
        if end == _PONG_BYTES and _is_pong(data) and not (self.probing or self.closing):
            # All that an idle client ever says.
            engine.frames_in += 1
            link.ponged(now)
            return
        while end - at >= 6:
            # A whole, masked text frame without fragments: nearly everything. All else goes to the reader.
            length, begin = data[at + 1], at + 6
            if length == _LONG and begin + 2 <= end:
                begin += 2
                length = data[at + 2] << 8 | data[at + 3]
                if length < 126:
                    break
            else:
                length -= _MASKED
                if not 0 <= length < 126:
                    break
            stop = begin + length
            if data[at] != _TEXT_FRAME or stop > end or length > limit:
                break
            if link.ended_at is not None and not self.probing:
                # Goodbye is on its way: what else is in this read is passed over, but for a close frame.
                at = stop
                frames += 1
                continue
            packet = bytearray(data[begin:stop])
            websocket_mask(data[begin - 4 : begin], packet)
            if not (packet.isascii() or _is_utf8(packet)):
                break
            at = stop
            frames += 1
            if self.probing or self.closing:
                self._receive(packet, now)
            else:
                inlet.receive(link, packet, now)
            if self._reader is not None:
                break
        engine.frames_in += frames
        if at < end:
            self._read(data[at:])

    def eof_received(self) -> None:
        """The peer sends no more: the transport closes."""

    def pause_writing(self) -> None:
        """The kernel does not take everything."""
        self.blocked = True
        if not self.probing:
            self.link.blocked()

    def resume_writing(self) -> None:
        """The kernel has taken everything."""
        self.blocked = False
        if not self.probing:
            self.link.clear()

    def connection_lost(self, exc: Exception | None) -> None:
        """The line is gone."""
        self.closing = True
        self.blocked = False
        self._transport = None
        self._reader = None
        self.link.line_lost(self)
        slot, self.slot = self.slot, NO_SLOT
        if slot >= 0 and self._engine.turn.bulk is not None:
            self._engine.turn.bulk.let_go(slot)

    # -- what the link calls ---------------------------------------------------------------------------------------

    def close(self, code: int, reason: str) -> None:
        """Say so to the peer; its close frame, or the link's grace, ends the line."""
        if self.closing:
            return
        self.closing = True
        self.read_again()
        if self._transport is not None:
            self.write(close_frame(code, reason))
            if self._deaf and self._transport.can_write_eof():
                # Its answer would not be understood: all that is waited for is the end of the line.
                self._transport.write_eof()
            elif self._deaf:
                self._transport.close()  # what encrypts cannot end one direction alone

    def ask_slot(self) -> int:
        """Have the turn's bulk know it; its slot there."""
        bulk, transport = self._engine.turn.bulk, self._transport
        if self.slot == UNASKED and bulk is not None and transport is not None:
            self.slot = NO_SLOT
            line = transport.get_extra_info("socket")
            # A transport that is closing still tells the number of its descriptor, which may be somebody else's by then; what TLS
            # encrypts must go through the transport.
            if line is not None and not transport.is_closing() and transport.get_extra_info("sslcontext") is None:
                self.slot = bulk.hold(line.fileno())
        return self.slot

    def dismiss(self, code: int, reason: str) -> None:
        """Say so to the peer and wait for no answer."""
        self.close(code, reason)
        self._finish()

    def abort(self) -> None:
        """Cut the line now."""
        self.closing = True
        if self._transport is not None:
            cut(self._transport)

    def read_no_more(self) -> None:
        """Leave what comes in to the kernel."""
        if not self._paused and self._transport is not None and not self.closing:
            self._paused = True
            self._transport.pause_reading()

    def read_again(self) -> None:
        """Undo `read_no_more`."""
        if self._paused and self._transport is not None:
            self._paused = False
            self._transport.resume_reading()

    @property
    def reading_paused(self) -> bool:
        """Whether it is we who do not read."""
        return self._paused

    @property
    def unwritten(self) -> int:
        """Bytes that the kernel has not taken yet."""
        return 0 if self._transport is None else self._transport.get_write_buffer_size()

    # -- what came in -------------------------------------------------------------------------------------------------

    def _read(self, data: bytes) -> None:
        if self._reader is None:
            self._reader = FrameReader(self._engine.max_payload, max_fragments=MAX_FRAGMENTS, deflate=self.deflate)
        reader = self._reader
        try:
            for message in reader.feed(data):
                self._message(message)
        except FrameError as fault:
            for message in fault.messages:
                self._message(message)
            self._broken(fault)
            return
        if reader.idle and self._reader is reader:
            self._reader = None

    def _message(self, message: Message) -> None:
        opcode, data = message
        self._engine.frames_in += 1
        if opcode != CLOSE and self.link.ended_at is not None and not self.probing:
            return
        if opcode == TEXT:
            self._receive(bytearray(data), self._engine.monotonic())
        elif opcode == BINARY:
            if self.probing:
                self.abort()
            elif not self.closing:
                self.link.receive_binary(bytearray(data))
        elif opcode == CLOSE:
            self._closed_by_peer(data)
        elif not self.closing:
            self.link.bother()
            if opcode == PING and not self.blocked and (self.probing or self.link.ended_at is None):
                self.write(server_frame(PONG, bytes(data)))

    def _receive(self, packet: bytearray, now: float) -> None:
        if self.closing:
            return
        if not self.probing:
            self._engine.inlet.receive(self.link, packet, now)
        elif packet == b"2probe" and self.link.probe is self and not self.link.takes_noop:
            self.write(server_frame(TEXT, b"3probe"))
            self.link.probed()
        elif packet == b"5" and self.link.probe is self and self.link.takes_noop:
            self.probing = False
            self.link.upgraded(self)
        else:
            self.dismiss(1002, "not a probe")

    def _closed_by_peer(self, payload: bytes | bytearray) -> None:
        try:
            code, _ = parse_close(payload)
        except FrameError as fault:
            self._broken(fault)
            return
        if not self.closing:
            if not self.probing:
                self.link.last_words()
            self.closing = True
            self.write(close_frame(1000 if code == NO_CODE else code))
        self._finish()

    def _broken(self, fault: FrameError) -> None:
        """The peer does not speak the protocol.

        The line is closed with the code of the standard, once what was said before is out.
        """
        if self.closing:
            # Its answer to our close frame will not be understood either.
            self._finish()
            return
        if self.probing:
            self.dismiss(fault.code, fault.reason)
            return
        # The rest of the bytes means nothing, but must be taken: a line that is closed with unread bytes is reset, and the peer
        # would not see why.
        self._deaf = True
        self._reader = None
        self.link.malformed(fault.code)

    def _finish(self) -> None:
        """Both have said goodbye: let the last bytes go, then close."""
        if self._transport is not None:
            self._transport.close()


def _is_pong(data: bytes) -> bool:
    return data[0] == _TEXT_FRAME and data[1] == _MASKED | 1 and data[2] ^ data[6] == _PONG


def _is_utf8(packet: bytearray) -> bool:
    try:
        packet.decode()
    except UnicodeDecodeError:
        return False
    return True
