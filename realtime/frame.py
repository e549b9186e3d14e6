"""A message ready to leave, and the WebSocket framing around it (RFC 6455)."""

import zlib
from typing import Final

import msgspec

from realtime.wire import Delivery

TEXT: Final = 0x81
"""The first byte of a whole text frame."""
_TEXT_DEFLATED: Final = 0xC1
COMPRESS_FROM_BYTES: Final = 256
"""Shorter messages are not worth the 6 µs: with the headers of TCP and IP around them, little is saved."""
_COMPRESSION_LEVEL: Final = 1
"""For a board of 500: 63 µs and 36 % of the size. The library's own choice, 6, takes 216 µs for 33 %."""
_SYNC_TAIL: Final = b"\x00\x00\xff\xff"
"""How a flushed deflate stream ends; left out on the wire (RFC 7692, 7.2.1)."""


class Frame(msgspec.Struct, frozen=True, eq=False, gc=False):
    """A message ready to leave.

    `event` its name in the catalogue, `delivery` what a slow reader loses, `ws` the WebSocket frame and `head` the length of
    its header in bytes.
    """

    event: str
    delivery: Delivery
    ws: bytes
    head: int
    _compressed: bytes | None = None

    @property
    def wire(self) -> bytes:
        """The Engine.IO message, UTF-8."""
        return self.ws[self.head :]

    @property
    def text(self) -> str:
        """The Socket.IO packet: the message without the Engine.IO digit."""
        return self.ws[self.head + 1 :].decode()

    @property
    def size(self) -> int:
        """Bytes on the wire of a WebSocket, not compressed."""
        return len(self.ws)

    def compressed(self) -> bytes:
        """The same as a WebSocket frame after permessage-deflate (RFC 7692) that uses nothing of earlier messages, so that it
        fits every connection that agreed to it. Made once; short messages, and those that would not shrink, stay as they are."""
        made = self._compressed
        if made is None:
            made = self.ws if len(self.ws) < COMPRESS_FROM_BYTES else min(self.ws, _deflated(self.wire), key=len)
            # Frozen for everybody else: what a frame says never changes, only whether this form of it exists yet.
            msgspec.structs.force_setattr(self, "_compressed", made)
        return made


def header_of(first: int, size: int) -> bytes:
    """How an unmasked frame of `size` bytes begins."""
    if size < 126:
        return bytes((first, size))
    if size < 1 << 16:
        return bytes((first, 126)) + size.to_bytes(2)
    return bytes((first, 127)) + size.to_bytes(8)


def _deflated(message: bytes) -> bytes:
    """`message` as a compressed WebSocket text frame."""
    deflater = zlib.compressobj(_COMPRESSION_LEVEL, wbits=-zlib.MAX_WBITS)
    body = (deflater.compress(message) + deflater.flush(zlib.Z_SYNC_FLUSH)).removesuffix(_SYNC_TAIL)
    return header_of(_TEXT_DEFLATED, len(body)) + body
