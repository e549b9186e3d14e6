"""Private keys that providers gave us, read from PEM."""

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey


class BadKey(ValueError):  # noqa: N818 - what it is
    """A key that cannot be used; the text says which one is needed, and nothing of the key."""


def p256_key(pem: str, whose: str) -> EllipticCurvePrivateKey:
    """The EC key on P-256 in `pem`. Raises `BadKey`."""
    key = _loaded(pem, whose)
    if not isinstance(key, EllipticCurvePrivateKey) or not isinstance(key.curve, SECP256R1):
        raise BadKey(f"the key for {whose} has to be an EC key on P-256")
    return key


def rsa_key(pem: str, whose: str) -> RSAPrivateKey:
    """The RSA key in `pem`. Raises `BadKey`."""
    key = _loaded(pem, whose)
    if not isinstance(key, RSAPrivateKey):
        raise BadKey(f"the key for {whose} has to be an RSA key")
    return key


def _loaded(pem: str, whose: str) -> object:
    try:
        return serialization.load_pem_private_key(pem.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as cause:
        raise BadKey(f"the key for {whose} has to be an unencrypted private key in PEM form") from cause
