"""The key by which browsers' push services know us (VAPID, RFC 8292): an EC key on P-256.

A browser that subscribes is given the public half, and from then on its push service takes messages for that subscription only
with a token that the private half has signed. So the key outlives everything: with another one, all subscriptions are dead.
"""

import base64
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec


class VapidProblem(ValueError):  # noqa: N818 - the word of the house
    """A key that cannot be used; the text says what to do."""


class VapidKey:
    """The private key. `public`: the other half as browsers want it (`applicationServerKey`): the point, uncompressed, in
    base64url."""

    def __init__(self, private: ec.EllipticCurvePrivateKey) -> None:
        self.private: Final = private
        point = private.public_key().public_bytes(
            serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
        )
        self.public: Final = base64.urlsafe_b64encode(point).rstrip(b"=").decode()

    def __repr__(self) -> str:
        return f"VapidKey(public={self.public!r})"


def make_vapid_key() -> bytes:
    """A new private key as PEM (PKCS #8, not encrypted): keep it in a file only the program may read."""
    return ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def load_vapid_key(pem: str) -> VapidKey:
    """The key in `pem`. Raises VapidProblem."""
    cure = "make one with: openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256"
    try:
        key = serialization.load_pem_private_key(pem.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as cause:
        raise VapidProblem(f"the VAPID key is not an unencrypted private key in PEM form; {cure}") from cause
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise VapidProblem(f"the VAPID key has to be an EC key on P-256; {cure}")
    return VapidKey(key)
