"""Secrets that must be read again, kept so that the database alone does not give them away.

A webhook's secret cannot be hashed like a password: every call needs it. So it is sealed with a key that lies outside the
database (PACELINE_SEALING_KEYS, or a file in the data folder): a dump, a replica or a backup opens nothing. Whoever has
both has the secrets; this is no defence against a machine that was taken over.

AES-256-GCM with a random nonce. What a text is sealed *about* (which endpoint) is part of the seal, so that a row cannot
be given another row's secret. Keys have a number, and several may be known: the first seals, all open, so a key is
changed by putting the new one first and leaving the old one until nothing is sealed with it any more.

The same keys make tags: proof in a link that it was made here, for one purpose. And they make blind indexes: what SQL finds a
sealed text by, without saying what it is.
"""

import base64
import hashlib
import hmac
import secrets
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

KEY_BYTES: Final = 32
NUMBER_BYTES: Final = 4
"""Of a key: so long is the beginning of what it has sealed that says which it was."""
BLIND_BYTES: Final = 16
"""Of an index, after the number of its key: two texts of a trillion have the same one with a chance of 1 to 10^14."""
_NONCE_BYTES: Final = 12


class CannotOpen(Exception):  # noqa: N818 - it says what is the matter
    """Sealed with a key that this process does not have, or about something else. Give all processes the same
    PACELINE_SEALING_KEYS, or rotate the secret."""


def make_key() -> str:
    """A new key as it stands in the option: 256 random bits in base64."""
    return base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()


class Seals:
    """Seals with the first of `keys` (32 bytes each, at least one) and opens what any of them has sealed."""

    def __init__(self, keys: tuple[bytes, ...]) -> None:
        if not keys or any(len(key) != KEY_BYTES for key in keys):
            raise ValueError(f"sealing needs at least one key, each of {KEY_BYTES} bytes")
        self._ciphers: Final = {number_of(key): AESGCM(_derived(key, b"seal")) for key in keys}
        self._tag_keys: Final = tuple(_derived(key, b"tag") for key in keys)
        self._blind_keys: Final = tuple((number_of(key), _derived(key, b"blind index")) for key in keys)
        self.newest: Final = number_of(keys[0])
        """What everything begins with that the first key has sealed."""

    def seal(self, text: str, about: bytes) -> bytes:
        """The sealed text; opened only about the same."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return self.newest + nonce + self._ciphers[self.newest].encrypt(nonce, text.encode(), about)

    def open(self, sealed: bytes, about: bytes) -> str:
        """The text. Raises `CannotOpen`."""
        cipher = self._ciphers.get(sealed[:NUMBER_BYTES])
        if cipher is None:
            raise CannotOpen("sealed with a key that is not among PACELINE_SEALING_KEYS")
        nonce, rest = sealed[NUMBER_BYTES:][:_NONCE_BYTES], sealed[NUMBER_BYTES + _NONCE_BYTES :]
        try:
            return cipher.decrypt(nonce, rest, about).decode()
        except (InvalidTag, ValueError) as cause:
            raise CannotOpen("sealed about something else, or damaged") from cause

    def tag(self, text: str) -> str:
        """Proof that `text` was written here: 43 characters of base64url."""
        return _tag(self._tag_keys[0], text)

    def blind(self, text: str, about: bytes) -> tuple[bytes, ...]:
        """What equal texts about the same are found by, under each of the keys, the first one's first; it begins with the number
        of its key."""
        said = about + b"|" + text.encode()
        return tuple(number + hmac.digest(key, said, "sha256")[:BLIND_BYTES] for number, key in self._blind_keys)

    def is_tag(self, tag: str, text: str) -> bool:
        """Whether `tag` is proof for `text`, by any of the keys."""
        return tag.isascii() and any(hmac.compare_digest(_tag(key, text), tag) for key in self._tag_keys)


def _tag(key: bytes, text: str) -> str:
    return base64.urlsafe_b64encode(hmac.digest(key, text.encode(), hashlib.sha256)).rstrip(b"=").decode()


def number_of(key: bytes) -> bytes:
    return hashlib.sha256(b"paceline key number" + key).digest()[:NUMBER_BYTES]


def _derived(key: bytes, purpose: bytes) -> bytes:
    return HKDF(hashes.SHA256(), KEY_BYTES, None, b"paceline " + purpose).derive(key)
