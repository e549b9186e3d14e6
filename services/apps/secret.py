"""What apps and scripts show: 256 random bits behind a prefix.

The prefix says what it is, to people and to a scanner of leaked secrets. The database knows the SHA-256 (no slow hash: there is
nothing to guess), so a stolen dump opens nothing.
"""

import hashlib
import secrets
from typing import Final, Literal, NamedTuple

Prefix = Literal["plc_", "plas_", "plar_", "plk_"]
CODE: Final = "plc_"
"""An authorisation code: a minute, once."""
APP_SECRET: Final = "plas_"  # noqa: S105 - how one begins
"""What a confidential app proves itself with."""
APP_REFRESH: Final = "plar_"
"""An app's refresh token. Another prefix than a person's: neither endpoint takes the other's."""
API_KEY: Final = "plk_"
_LENGTH: Final = 43
"""Characters of 32 bytes in base64url."""


class Made(NamedTuple):
    """A new one: `text` is given out once, `hash` is kept."""

    text: str
    hash: bytes


def make(prefix: Prefix) -> Made:
    """A new one."""
    text = prefix + secrets.token_urlsafe(32)
    return Made(text, _hashed(text))


def hash_of(prefix: Prefix, text: str) -> bytes | None:
    """What the database knows it by; None when it cannot be one of ours."""
    if not text.startswith(prefix) or len(text) != len(prefix) + _LENGTH or not text.isascii():
        return None
    return _hashed(text)


def _hashed(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
