"""The keys that sign access tokens: which one signs now, which are still believed, and how they change.

A key is published before it signs, so that every node (and whoever else checks our tokens) knows it by then, and is believed after
it has stopped signing until the last token it signed has expired. `rotated` says when; it is the only place that does. Planned, a
new key waits `LEAD_MS` and the old ones go when no token of theirs can be good any more. `stolen`, it waits only until all nodes
have read it, and the old ones are refused from that moment on: everybody's next request is answered with `not_authenticated`, and
their refresh tokens, which no key signs, bring new ones.

The key of the installation (`PACELINE_TOKEN_KEY`, or the file in the data folder) is the first; it signs from the beginning, until
another one does.
"""

import base64
import hashlib
from collections.abc import Iterable
from typing import Final

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

READ_EVERY_MS: Final = 60_000
"""How often each node reads the keys that there are."""
LEAD_MS: Final = 10 * READ_EVERY_MS
"""A planned key signs so long after it was published: nodes may miss some readings, and others may cache our keys meanwhile."""
STOLEN_LEAD_MS: Final = 2 * READ_EVERY_MS


class KeyProblem(ValueError):  # noqa: N818 - the word of the house
    """A signing key that cannot be used, or not now; the text says what to do."""


class SigningKey:
    """A private key that tokens are signed with. `kid` is its thumbprint (RFC 7638)."""

    def __init__(self, private: Ed25519PrivateKey) -> None:
        self.private: Final = private
        self.public: Final = private.public_key()
        self.kid: Final = thumbprint(self.public)

    def __repr__(self) -> str:
        return f"SigningKey(kid={self.kid!r})"


class RingKey(msgspec.Struct, frozen=True):
    """A key's place in time: published since it is there, signing from `signs_from_ms` unless a later one does, refused from
    `retires_ms` on. Wall ms; None: no end yet."""

    kid: str
    signs_from_ms: int
    retires_ms: int | None = None


class Jwk(msgspec.Struct, frozen=True):
    """A public key as others read it (RFC 7517, RFC 8037)."""

    kid: str
    x: str
    kty: str = "OKP"
    crv: str = "Ed25519"
    alg: str = "EdDSA"
    use: str = "sig"


class Keyring:
    """The keys of one installation, as this process knows them. It begins with `first`, which signs until others are learned."""

    def __init__(self, first: SigningKey) -> None:
        self._first: Final = first
        self._places: tuple[RingKey, ...] = (RingKey(first.kid, 0),)
        self._publics: dict[str, Ed25519PublicKey] = {first.kid: first.public}
        self._privates: dict[str, SigningKey] = {first.kid: first}

    def learn(self, places: Iterable[RingKey], publics: Iterable[Ed25519PublicKey], own: Iterable[SigningKey]) -> None:
        """Know these from now on, instead of what was known before: places in time, public keys, and the private ones of those that
        could be read. The first stays, where no place of its own says otherwise."""
        told = {place.kid: place for place in places}
        told.setdefault(self._first.kid, RingKey(self._first.kid, 0))
        self._publics = {thumbprint(public): public for public in (self._first.public, *publics)}
        self._privates = {key.kid: key for key in (self._first, *own)}
        self._places = tuple(sorted(told.values(), key=lambda place: (place.signs_from_ms, place.kid)))

    def signing(self, now_ms: int) -> SigningKey:
        """The key to sign with at `now_ms`: the last to have begun, of those that this process has and that are believed. Raises
        KeyProblem when it has none of these."""
        for place in reversed(self._places):
            if place.kid in self._privates and place.signs_from_ms <= now_ms and _believed(place, now_ms):
                return self._privates[place.kid]
        raise KeyProblem(
            "no key to sign with can be opened here: give this node the PACELINE_SEALING_KEYS of the others"
        )

    def public(self, kid: str, now_ms: int) -> Ed25519PublicKey | None:
        """The public key of this name, None when there is none or it has retired."""
        for place in self._places:
            if place.kid == kid:
                return self._publics.get(kid) if _believed(place, now_ms) else None
        return None

    def published(self, now_ms: int) -> tuple[Jwk, ...]:
        """What others need to check our tokens: every key that is believed, those that will sign later included."""
        return tuple(
            Jwk(kid=place.kid, x=base64url(_raw(self._publics[place.kid])))
            for place in self._places
            if place.kid in self._publics and _believed(place, now_ms)
        )


def rotated(
    places: Iterable[RingKey], kid: str, now_ms: int, *, token_ms: int, stolen: bool = False
) -> tuple[RingKey, ...]:
    """All places with a new key `kid` among them, published at `now_ms`. `token_ms` is the longest life of a token.

    Raises KeyProblem when a planned one is still waiting to take over: one change at a time. A stolen key does not wait.
    """
    known = tuple(places)
    waiting = [place for place in known if place.signs_from_ms > now_ms and _believed(place, now_ms)]
    if waiting and not stolen:
        raise KeyProblem("a new key takes over soon; rotate again after that, or say that a key was stolen")
    begins = now_ms + (STOLEN_LEAD_MS if stolen else LEAD_MS)
    ends = begins if stolen else begins + token_ms
    old = (
        msgspec.structs.replace(place, retires_ms=ends if place.retires_ms is None else min(place.retires_ms, ends))
        for place in known
    )
    return (*old, RingKey(kid, begins))


def load_key(pem: bytes | str) -> SigningKey:
    """The key in `pem`. Raises KeyProblem."""
    cure = "make one with: openssl genpkey -algorithm ed25519"
    data = pem.encode() if isinstance(pem, str) else pem
    try:
        key = serialization.load_pem_private_key(data, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as cause:
        raise KeyProblem(f"the token key is not an unencrypted private key in PEM form; {cure}") from cause
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyProblem(f"the token key has to be an Ed25519 key; {cure}")
    return SigningKey(key)


def make_key() -> bytes:
    """A new private key as PEM (PKCS #8, not encrypted): keep it in a file only the program may read."""
    return Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def public_key(raw: bytes) -> Ed25519PublicKey:
    """The public key of 32 bytes. Raises KeyProblem."""
    try:
        return Ed25519PublicKey.from_public_bytes(raw)
    except ValueError as cause:
        raise KeyProblem("a stored public key has not 32 bytes: the row was changed by hand or damaged") from cause


def raw_public(key: SigningKey) -> bytes:
    """Its public key, 32 bytes."""
    return _raw(key.public)


def thumbprint(public: Ed25519PublicKey) -> str:
    """RFC 7638 thumbprint of the key's JWK (members crv, kty, x in this order)."""
    jwk = f'{{"crv":"Ed25519","kty":"OKP","x":"{base64url(_raw(public))}"}}'
    return base64url(hashlib.sha256(jwk.encode()).digest())


def base64url(data: bytes) -> str:
    """Base64 for addresses, without the padding (RFC 7515)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _believed(place: RingKey, now_ms: int) -> bool:
    return place.retires_ms is None or now_ms < place.retires_ms


def _raw(public: Ed25519PublicKey) -> bytes:
    return public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
