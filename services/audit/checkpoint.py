"""Checkpoints: what the chain was at an instant, signed, and kept where whoever changes the database does not reach.

The chain alone cannot tell that its last rows were taken off, or that all of it was written anew by somebody who knows how. A
checkpoint says "at this position the hash was this", signed with the key of the installation for this purpose alone: what is signed
begins with `PURPOSE`, which no token does, so neither can stand for the other.

As a line it is JSON with the signature last. The public key comes along, so that a line can be checked years later by whoever knows
which keys to trust.
"""

import base64
import binascii
from collections.abc import Callable, Collection
from datetime import UTC, datetime
from typing import Final

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

PUBLIC_BYTES: Final = 32
PURPOSE: Final = b"paceline audit checkpoint 1\n"


class BadCheckpoint(ValueError):  # noqa: N818 - the word of the house
    """A checkpoint that proves nothing; the text says why."""


class Checkpoint(msgspec.Struct, frozen=True):
    """The hash of the row at `position` as it was at `at_ms`, signed by the key whose 32 public bytes are `public`."""

    position: int
    hash: bytes
    at_ms: int
    public: bytes
    signature: bytes

    @property
    def when(self) -> str:
        """The instant, for people."""
        return f"{datetime.fromtimestamp(self.at_ms / 1_000, UTC):%Y-%m-%d %H:%M:%S} UTC"


class _Line(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    position: int
    hash: str
    at_ms: int
    public: str
    signature: str


def made(position: int, hash_: bytes, at_ms: int, public: bytes, sign: Callable[[bytes], bytes]) -> Checkpoint:
    """A checkpoint, signed with the key whose public part is `public`."""
    bare = Checkpoint(position, hash_, at_ms, public, b"")
    return msgspec.structs.replace(bare, signature=sign(_signed(bare)))


def check(checkpoint: Checkpoint, trusted: Collection[bytes]) -> None:
    """Return when one of the `trusted` public keys has signed it. Raises BadCheckpoint."""
    try:
        Ed25519PublicKey.from_public_bytes(checkpoint.public).verify(checkpoint.signature, _signed(checkpoint))
    except (InvalidSignature, ValueError) as cause:
        raise BadCheckpoint("its signature does not fit what it says") from cause
    if checkpoint.public not in trusted:
        name = key_name(checkpoint.public)
        raise BadCheckpoint(
            f"it is signed by the key {name}, which is not that of this installation; --trust it if it was"
        )


def key_name(public: bytes) -> str:
    """How a public key is written in a line and in a call."""
    return base64.b64encode(public).decode()


def key_named(name: str) -> bytes:
    """The public key of this name. Raises BadCheckpoint."""
    try:
        public = base64.b64decode(name, validate=True)
    except binascii.Error as cause:
        raise BadCheckpoint(f"{name} is no public key in base64") from cause
    if len(public) != PUBLIC_BYTES:
        raise BadCheckpoint(f"{name} is no public key of Ed25519: it has {len(public)} bytes instead of {PUBLIC_BYTES}")
    return public


def as_line(checkpoint: Checkpoint) -> str:
    """One line of JSON, without its end."""
    line = _Line(
        position=checkpoint.position,
        hash=checkpoint.hash.hex(),
        at_ms=checkpoint.at_ms,
        public=key_name(checkpoint.public),
        signature=base64.b64encode(checkpoint.signature).decode(),
    )
    return msgspec.json.encode(line).decode()


def of_line(text: str) -> Checkpoint:
    """The checkpoint in a line. Raises BadCheckpoint."""
    try:
        line = msgspec.json.decode(text, type=_Line)
        return Checkpoint(
            position=line.position,
            hash=bytes.fromhex(line.hash),
            at_ms=line.at_ms,
            public=key_named(line.public),
            signature=base64.b64decode(line.signature, validate=True),
        )
    except (msgspec.MsgspecError, ValueError, binascii.Error) as cause:
        raise BadCheckpoint(f"it is no line of a checkpoint: {cause}") from cause


def _signed(checkpoint: Checkpoint) -> bytes:
    return PURPOSE + msgspec.json.encode([checkpoint.position, checkpoint.hash.hex(), checkpoint.at_ms])
