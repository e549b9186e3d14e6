"""The public keys of another issuer (RFC 7517), and signatures checked with them.

Of a token's header two things are looked at before the signature is: `alg`, which must be one that was agreed on with this issuer,
and `kid`, which chooses among keys that came from the issuer itself. Whatever else it brings along (`jwk`, `jku`, `x5u`) is never
read (ASVS 9.1.2, 9.1.3). A key is good for the algorithms of its own kind alone, so no public key is taken for a shared secret.
"""

import base64
from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Any, Final

import jwt
import msgspec
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from services.accounts.keyring import base64url
from services.accounts.provider import Algorithm, BadDocument

MOST_KEYS: Final = 50
LEAST_RSA_BITS: Final = 2_048
MAX_TOKEN: Final = 16 * 1_024
"""Characters. Tokens with lists of groups are long; Google's have about 1,200."""

PublicKey = RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey
_CURVES: Final = {"ES256": "secp256r1", "ES384": "secp384r1"}
_JWS: Final = jwt.PyJWS()


class TokenRefused(ValueError):  # noqa: N818 - it says what became of it
    """Somebody else's token that is not believed; the text says why, for the log."""


class KidUnknown(TokenRefused):
    """It is signed with a key that is not known: the issuer may have a new one."""


class Header(msgspec.Struct, frozen=True):
    """What is looked at of a token's header. `crit` names extensions that must be understood, and none is."""

    alg: str
    kid: str = ""
    typ: str = ""
    crit: Any = None


class _Jwk(msgspec.Struct, frozen=True):
    kty: str
    kid: str = ""
    use: str = "sig"
    alg: str = ""
    key_ops: list[str] | None = None

    def checks_signatures(self) -> bool:
        return (
            self.use == "sig"
            and self.kty in {"RSA", "EC", "OKP"}
            and (self.key_ops is None or "verify" in self.key_ops)
        )


class _Jwks(msgspec.Struct, frozen=True):
    keys: list[dict[str, Any]]


class IssuerKeys:
    """The keys of one issuer, by their names. `only` names the algorithm of those that are for no other, "" for
    the others."""

    def __init__(self, keys: dict[str, PublicKey], only: Mapping[str, str] = MappingProxyType({})) -> None:
        self._keys: Final = keys
        self._only: Final = only

    def __len__(self) -> int:
        return len(self._keys)

    def verified(self, token: str, algorithms: Collection[Algorithm], types: Collection[str]) -> tuple[Header, bytes]:
        """The header and the payload of a token that this issuer signed. `types`: what it may say it is, in small letters; "" for
        nothing. Raises TokenRefused, KidUnknown."""
        header = header_of(token)
        if header.alg not in algorithms:
            raise TokenRefused(f"its algorithm {header.alg[:20]!r} was not agreed on")
        if header.typ.lower().removeprefix("application/") not in types:
            raise TokenRefused(f"it says it is a {header.typ[:20]!r}, which is something else")
        if header.crit is not None:
            raise TokenRefused("it asks for extensions to be understood, and none is")
        key = self._key(header)
        try:
            payload: bytes = _JWS.decode(token, key, algorithms=[header.alg])
        except (jwt.InvalidTokenError, TypeError, ValueError) as cause:
            raise TokenRefused("its signature is wrong") from cause
        return header, payload

    def _key(self, header: Header) -> PublicKey:
        kid = next(iter(self._keys)) if not header.kid and len(self._keys) == 1 else header.kid
        key = self._keys.get(kid)
        if key is None:
            raise KidUnknown("it is signed with a key that the issuer has not published, as far as is known")
        if self._only.get(kid, "") not in {"", header.alg}:
            raise TokenRefused("its key is for another algorithm")
        return _fit(key, header.alg)


def read_keys(body: bytes) -> IssuerKeys:
    """The keys in a JWK set that signatures may be checked with; others in it are passed over. Raises BadDocument."""
    try:
        told = msgspec.json.decode(body, type=_Jwks).keys
    except msgspec.MsgspecError as cause:
        raise BadDocument(f"its keys are not a JWK set: {cause}") from cause
    if len(told) > MOST_KEYS:
        raise BadDocument(f"it publishes {len(told)} keys, and {MOST_KEYS} are looked at")
    found: dict[str, PublicKey] = {}
    only: dict[str, str] = {}
    for jwk in told:
        try:
            about = msgspec.convert(jwk, _Jwk)
            key = jwt.PyJWK.from_dict(jwk).key if about.checks_signatures() else None
        except (jwt.PyJWTError, msgspec.MsgspecError, ValueError, TypeError):
            continue  # of a kind that is not known here
        if isinstance(key, RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey) and _strong(key):
            found[about.kid] = key
            only[about.kid] = about.alg
    if not found:
        raise BadDocument("it publishes no key that a signature can be checked with")
    return IssuerKeys(found, only)


def header_of(token: str) -> Header:
    """The header of a token with three parts in their one spelling. Raises TokenRefused."""
    parts = token.split(".")
    if len(token) > MAX_TOKEN or not token.isascii() or len(parts) != 3:
        raise TokenRefused("it is not a token")
    try:
        decoded = [base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)) for part in parts]
        header = msgspec.json.decode(decoded[0], type=Header)
    except (ValueError, RecursionError) as cause:  # base64's and msgspec's are ValueErrors, too
        raise TokenRefused("it is not a token") from cause
    if [base64url(data) for data in decoded] != parts:
        raise TokenRefused("it is not in its one spelling")
    return header


def _fit(key: PublicKey, alg: str) -> PublicKey:
    match key:
        case RSAPublicKey():
            fits = alg[:2] in {"RS", "PS"}
        case EllipticCurvePublicKey():
            fits = _CURVES.get(alg) == key.curve.name
        case Ed25519PublicKey():
            fits = alg == "EdDSA"
    if not fits:
        raise TokenRefused("its algorithm does not go with its key")
    return key


def _strong(key: PublicKey) -> bool:
    return not isinstance(key, RSAPublicKey) or key.key_size >= LEAST_RSA_BITS
