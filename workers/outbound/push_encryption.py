"""Encryption of a push for one browser: aes128gcm with a key that only the browser can agree on (RFC 8188, RFC 8291).

The push service carries the message and cannot read it. Each message has a fresh key pair and salt; whoever has the browser's
private key and its `auth` secret finds the same keys from what stands in front of the ciphertext. One record, its end marked by
a 2.
"""

import base64
import binascii
import struct
from typing import Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

RECORD_BYTES: Final = 4_096
_POINT_BYTES: Final = 65
_SALT_BYTES: Final = 16
_AUTH_BYTES: Final = 16
_TAG_BYTES: Final = 16
MOST_PLAIN: Final = RECORD_BYTES - _SALT_BYTES - 4 - 1 - _POINT_BYTES - 1 - _TAG_BYTES
"""Bytes that every push service takes once they are encrypted (RFC 8030, 7.2: 4,096)."""


class BadSubscription(ValueError):  # noqa: N818 - what it is
    """The keys of a subscription are none; no message can be encrypted for it."""


def encrypted(plain: bytes, p256dh: str, auth: str, *, salt: bytes, sender: ec.EllipticCurvePrivateKey) -> bytes:
    """The body of the request. `p256dh`, `auth`: the subscription's keys, base64url; `salt`: 16 random bytes, `sender`: a key
    pair, both for this message alone. Raises `BadSubscription`."""
    receiver, secret = _receiver(p256dh), _decoded(auth)
    if len(secret) != _AUTH_BYTES:
        raise BadSubscription("the auth secret of the subscription has not 16 bytes")
    own_point = sender.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    receiver_point = receiver.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    shared = sender.exchange(ec.ECDH(), receiver)
    material = _hkdf(secret, shared, b"WebPush: info\0" + receiver_point + own_point, 32)
    key = _hkdf(salt, material, b"Content-Encoding: aes128gcm\0", 16)
    nonce = _hkdf(salt, material, b"Content-Encoding: nonce\0", 12)
    head = salt + struct.pack("!IB", RECORD_BYTES, len(own_point)) + own_point
    return head + AESGCM(key).encrypt(nonce, plain + b"\x02", None)


def _receiver(p256dh: str) -> ec.EllipticCurvePublicKey:
    try:
        return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), _decoded(p256dh))
    except ValueError as cause:
        raise BadSubscription("the public key of the subscription is no point on P-256") from cause


def _decoded(text: str) -> bytes:
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError) as cause:
        raise BadSubscription("a key of the subscription is not base64url") from cause


def _hkdf(salt: bytes, material: bytes, info: bytes, length: int) -> bytes:
    return HKDF(hashes.SHA256(), length, salt, info).derive(material)
