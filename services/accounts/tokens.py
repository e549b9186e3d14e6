"""Access tokens and refresh tokens: what a caller shows, and how we know it is ours.

An **access token** is short-lived and signed (JWT, EdDSA over Ed25519); whoever has the public key can tell who is asking
without a database. That is why it cannot be called back: it dies of age, after `access_ttl_s`. It says account, login,
roles, name; a display's token says its class and nothing else.

A **refresh token** is 256 random bits that mean nothing. The database knows its SHA-256 (no slow hash: there is nothing
to guess), so a stolen dump opens no account.

Verification trusts nothing inside the token but its signature. Algorithm, type, issuer, audience and the keys are fixed
here; a header with anything besides `alg`, `typ`, `kid` is refused, so no `jwk`, `jku` or `x5u` can bring a key along; and a
token has exactly one spelling, so that a changed bit is always a refused token.
"""

import base64
import hashlib
import secrets
import uuid
from collections.abc import Iterable
from typing import Final, Literal

import jwt
import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from services.accounts.account import Account
from services.kernel.caller import AccountRole, Caller
from services.kernel.ids import AccountId, ClassId, LoginId
from services.kernel.problems import NotAuthenticated, RefreshRefused, TokenExpired

ALGORITHM: Final = "EdDSA"
TYPE: Final = "at+jwt"
"""RFC 9068: an access token, not an ID token or anything else that somebody might sign with the same key."""
AUDIENCE: Final = "paceline"
MAX_TOKEN: Final = 2_048
"""Characters; ours have about 600."""

ACCESS_TTL_S: Final = 15 * 60
DISPLAY_TTL_S: Final = 12 * 3_600
REFRESH_PREFIX: Final = "plr_"
"""Lets a scanner of leaked secrets recognise one, and people see which token they are holding."""


class KeyProblem(ValueError):  # noqa: N818 - the word of the house
    """A signing key that cannot be used; the text says what to do."""


class SigningKey:
    """The private key new tokens are signed with. `kid` is its thumbprint (RFC 7638)."""

    def __init__(self, private: Ed25519PrivateKey) -> None:
        self.private: Final = private
        self.public: Final = private.public_key()
        self.kid: Final = thumbprint(self.public)

    def __repr__(self) -> str:
        return f"SigningKey(kid={self.kid!r})"


def make_key() -> bytes:
    """A new private key as PEM (PKCS #8, not encrypted): keep it in a file only the program may read."""
    return Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


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


def thumbprint(public: Ed25519PublicKey) -> str:
    """RFC 7638 thumbprint of the key's JWK (members crv, kty, x in this order)."""
    raw = public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    jwk = f'{{"crv":"Ed25519","kty":"OKP","x":"{_base64url(raw)}"}}'
    return _base64url(hashlib.sha256(jwk.encode()).digest())


class _Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    alg: Literal["EdDSA"]
    typ: Literal["at+jwt"]
    kid: str


class _Claims(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    iss: str
    aud: str
    sub: uuid.UUID
    lid: uuid.UUID
    roles: tuple[AccountRole, ...]
    name: str
    iat: int
    exp: int
    class_id: uuid.UUID | None = msgspec.field(default=None, name="class")


class Issued(msgspec.Struct, frozen=True):
    """A new access token and how many seconds it lives."""

    token: str
    expires_in_s: int

    def __repr__(self) -> str:
        return f"Issued(expires_in_s={self.expires_in_s})"


class Tokens:
    """Signs and reads access tokens. `retiring` are public keys whose tokens are still good until they expire.

    Two nodes that should know each other's tokens need the same key and the same `issuer`. An installation gives its
    displays their own lifetime, because nobody stands at a screen to log in again.
    """

    def __init__(
        self,
        key: SigningKey,
        *,
        issuer: str = "paceline",
        access_ttl_s: int = ACCESS_TTL_S,
        display_ttl_s: int = DISPLAY_TTL_S,
        retiring: Iterable[Ed25519PublicKey] = (),
    ) -> None:
        self._key: Final = key
        self._issuer: Final = issuer
        self._access_ttl_s: Final = access_ttl_s
        self._display_ttl_s: Final = display_ttl_s
        self._known: Final = {thumbprint(public): public for public in (key.public, *retiring)}

    def for_account(self, account: Account, login_id: LoginId, now_ms: int) -> Issued:
        """The access token of somebody who has just logged in or refreshed, at `now_ms` (wall ms)."""
        claims = _Claims(
            iss=self._issuer,
            aud=AUDIENCE,
            sub=account.id,
            lid=login_id,
            roles=tuple(sorted(account.roles)),
            name=account.name,
            iat=now_ms // 1_000,
            exp=now_ms // 1_000 + self._access_ttl_s,
        )
        return Issued(self._sign(claims), self._access_ttl_s)

    def for_display(self, class_id: ClassId, display_id: uuid.UUID, name: str, now_ms: int) -> Issued:
        """The access token of a screen that may watch the class `class_id` and nothing else."""
        claims = _Claims(
            iss=self._issuer,
            aud=AUDIENCE,
            sub=display_id,
            lid=display_id,
            roles=("display",),
            name=name,
            iat=now_ms // 1_000,
            exp=now_ms // 1_000 + self._display_ttl_s,
            class_id=class_id,
        )
        return Issued(self._sign(claims), self._display_ttl_s)

    def identify(self, token: str, now_ms: int) -> Caller:
        """Who shows `token` at `now_ms` (wall ms). Pure. Raises NotAuthenticated, TokenExpired."""
        claims = self._verified(token)
        if now_ms >= claims.exp * 1_000:
            raise TokenExpired
        is_display = claims.roles == ("display",)
        if ("display" in claims.roles) != is_display or is_display != (claims.class_id is not None):
            raise NotAuthenticated
        return Caller(
            account_id=AccountId(claims.sub),
            login_id=LoginId(claims.lid),
            name=claims.name,
            roles=frozenset(claims.roles),
            expires_at_ms=claims.exp * 1_000,
            class_id=None if claims.class_id is None else ClassId(claims.class_id),
        )

    def _sign(self, claims: _Claims) -> str:
        payload = {name: value for name, value in msgspec.to_builtins(claims).items() if value is not None}
        return jwt.encode(payload, self._key.private, ALGORITHM, headers={"typ": TYPE, "kid": self._key.kid})

    def _verified(self, token: str) -> _Claims:
        """The claims of a token with our signature. Times are not looked at: the caller knows what time it is."""
        try:
            key = self._known[_header_of(token).kid]
            # The library would judge times by the machine's clock; here time is an argument.
            payload = jwt.decode(
                token,
                key,
                algorithms=[ALGORITHM],
                audience=AUDIENCE,
                issuer=self._issuer,
                options={
                    "require": ["iss", "aud", "sub", "exp", "iat"],
                    "strict_aud": True,
                    "verify_exp": False,
                    "verify_iat": False,
                    "verify_nbf": False,
                },
            )
            return msgspec.convert(payload, _Claims)
        except (jwt.InvalidTokenError, msgspec.MsgspecError, KeyError, ValueError) as cause:
            raise NotAuthenticated from cause


def _header_of(token: str) -> _Header:
    """The header of a token with three parts in their one spelling. Raises ValueError, msgspec.MsgspecError."""
    if len(token) > MAX_TOKEN or not token.isascii():
        raise ValueError("not a token")
    parts = token.split(".")
    if len(parts) != 3:
        raise ValueError("not a token")
    decoded = [base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)) for part in parts]
    # The last character of each part has bits that decode to nothing; only one spelling counts.
    if [_base64url(data) for data in decoded] != parts:
        raise ValueError("not the canonical spelling")
    return msgspec.json.decode(decoded[0], type=_Header)


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


# -- refresh tokens ---------------------------------------------------------------------------------------------


def make_refresh_token() -> str:
    """256 random bits as text. Given out once; only `refresh_hash` of it is kept."""
    return REFRESH_PREFIX + secrets.token_urlsafe(32)


def refresh_hash(token: str) -> bytes:
    """What the database knows a refresh token by: its SHA-256. Raises RefreshRefused when it cannot be one of ours."""
    if not token.startswith(REFRESH_PREFIX) or len(token) != len(REFRESH_PREFIX) + 43 or not token.isascii():
        raise RefreshRefused
    return hashlib.sha256(token.encode()).digest()
