"""Signatures of webhooks, by Standard Webhooks 1.0.0. Pure.

A receiver must be able to tell that a call is ours, that nobody changed it on the way, and that nobody recorded it and
plays it again. So what is signed is `id.timestamp.body`, every byte of it: the id is the same on each attempt, the
timestamp is of this one. The signature is HMAC-SHA256, in base64 behind `v1,`.

During a rotation two secrets are live and each call carries a signature of both, with a space between. A receiver that
knows either of them finds its own.
"""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Iterable, Mapping
from typing import Final

SECRET_PREFIX: Final = "whsec_"  # noqa: S105 - what secrets begin with
SECRET_BYTES: Final = 32
"""The standard allows 24 to 64."""

ID_HEADER: Final = "webhook-id"
TIMESTAMP_HEADER: Final = "webhook-timestamp"
SIGNATURE_HEADER: Final = "webhook-signature"


def make_secret() -> str:
    """A new secret as its owner gets to see it, once: `whsec_` and 256 random bits in base64."""
    return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def key_of(secret: str) -> bytes:
    """The bytes that a secret stands for. Raises ValueError when it is none."""
    try:
        key = base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    except ValueError as error:
        raise ValueError("a webhook secret is whsec_ and base64") from error
    if not 24 <= len(key) <= 64:
        raise ValueError(f"a webhook secret has 24 to 64 bytes, this one has {len(key)}")
    return key


def signature(secret: str, webhook_id: str, timestamp_s: int, body: bytes) -> str:
    """One signature: `v1,` and base64. `timestamp_s` is of this attempt, seconds since 1970."""
    signed = f"{webhook_id}.{timestamp_s}.".encode() + body
    return "v1," + base64.b64encode(hmac.digest(key_of(secret), signed, hashlib.sha256)).decode()


def headers(live: Iterable[str], webhook_id: str, timestamp_s: int, body: bytes) -> Mapping[str, str]:
    """The three headers of a call, signed with every secret that is `live`."""
    return {
        ID_HEADER: webhook_id,
        TIMESTAMP_HEADER: str(timestamp_s),
        SIGNATURE_HEADER: " ".join(signature(secret, webhook_id, timestamp_s, body) for secret in live),
    }
