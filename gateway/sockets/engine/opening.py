"""The opening handshake of a WebSocket (RFC 6455, 4.2; RFC 7692, 7.1), as a server sees it, and a refusal of one. Pure."""

import base64
import binascii
import hashlib
from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

_MAGIC: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_SWITCHING: Final = b"\r\n".join(
    (
        b"HTTP/1.1 101 Switching Protocols",
        b"Upgrade: websocket",
        b"Connection: Upgrade",
        b"Sec-WebSocket-Accept: %b",
        b"%b",
        b"",
    )
)
_REFUSED: Final = "\r\n".join(
    (
        "HTTP/1.1 {status.value} {status.phrase}",
        "Content-Type: text/plain; charset=utf-8",
        "Content-Length: {length}",
        "Retry-After: {retry_after_s}",
        "Connection: close",
        "",
        "{message}",
    )
)
_DEFLATE: Final = (
    b"Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover\r\n"
)


def upgrade_key(method: str, headers: Mapping[str, str]) -> bytes | None:
    """The key of a request that asks for a WebSocket properly; None for any other."""
    if method != "GET" or headers.get("Upgrade", "").lower() != "websocket":
        return None
    if "upgrade" not in headers.get("Connection", "").lower() or headers.get("Sec-WebSocket-Version") != "13":
        return None
    key = headers.get("Sec-WebSocket-Key", "")
    try:
        return key.encode() if len(base64.b64decode(key, validate=True)) == 16 else None
    except (binascii.Error, ValueError):
        return None


def offers_deflate(extensions: str) -> bool:
    """Whether a client's `Sec-WebSocket-Extensions` holds an offer that can be agreed to. A window smaller than zlib's own is the
    client's right to ask for, and ours to decline."""
    for offer in extensions.split(","):
        name, *parameters = (part.strip().lower() for part in offer.split(";"))
        if name == "permessage-deflate" and not any(one.startswith("server_max_window_bits=") for one in parameters):
            return True
    return False


def switching(key: bytes, *, deflate: bool) -> bytes:
    """The head of the answer that agrees."""
    accepted = base64.b64encode(hashlib.sha1(key + _MAGIC, usedforsecurity=False).digest())
    return _SWITCHING % (accepted, _DEFLATE if deflate else b"")


def refused(status: int, message: str, retry_after_s: int) -> bytes:
    """A whole answer that sends a client away, after which the connection closes."""
    length = len(message.encode())
    return _REFUSED.format(
        status=HTTPStatus(status), length=length, retry_after_s=retry_after_s, message=message
    ).encode()
