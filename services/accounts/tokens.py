"""Access tokens and refresh tokens: what a caller shows, and how we know it is ours.

An **access token** is short-lived and signed (JWT, EdDSA over Ed25519); whoever has the public key can tell who is asking
without a database (`keyring.py` has the keys). That is why it cannot be called back: it dies of age, after `access_ttl_s`. It
says account, login, roles, name; a display's token says its class and nothing else; an app's also says which app it is and what it
was granted (`client_id` and `scope`, RFC 9068).

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
from collections.abc import Collection
from typing import Final, Literal

import jwt
import msgspec

from services.accounts.account import Account
from services.accounts.keyring import Keyring, SigningKey, base64url
from services.accounts.scope import known, written
from services.kernel.caller import AccountRole, Caller, Scope
from services.kernel.ids import AccountId, AppId, ClassId, LoginId
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
    fresh: int | None = None
    fresh2: int | None = None
    scope: str | None = None
    client_id: uuid.UUID | None = None


class Issued(msgspec.Struct, frozen=True):
    """A new access token and how many seconds it lives."""

    token: str
    expires_in_s: int

    def __repr__(self) -> str:
        return f"Issued(expires_in_s={self.expires_in_s})"


class Tokens:
    """Signs and reads access tokens, with the keys of a ring (or the one key there is).

    Two nodes that should know each other's tokens need the same keys and the same `issuer`. An installation gives its
    displays their own lifetime, because nobody stands at a screen to log in again.
    """

    def __init__(
        self,
        keys: Keyring | SigningKey,
        *,
        issuer: str = "paceline",
        access_ttl_s: int = ACCESS_TTL_S,
        display_ttl_s: int = DISPLAY_TTL_S,
    ) -> None:
        self.keys: Final = keys if isinstance(keys, Keyring) else Keyring(keys)
        self._issuer: Final = issuer
        self._access_ttl_s: Final = access_ttl_s
        self._display_ttl_s: Final = display_ttl_s

    def for_account(
        self,
        account: Account,
        login_id: LoginId,
        now_ms: int,
        *,
        fresh_at_ms: int | None = None,
        second_factor_at_ms: int | None = None,
    ) -> Issued:
        """The access token of somebody who has just logged in or refreshed, at `now_ms` (wall ms); their login last proved itself
        at `fresh_at_ms`, and with a second factor at `second_factor_at_ms`."""
        claims = _Claims(
            iss=self._issuer,
            aud=AUDIENCE,
            sub=account.id,
            lid=login_id,
            roles=tuple(sorted(account.roles)),
            name=account.name,
            iat=now_ms // 1_000,
            exp=now_ms // 1_000 + self._access_ttl_s,
            fresh=None if fresh_at_ms is None else fresh_at_ms // 1_000,
            fresh2=None if second_factor_at_ms is None else second_factor_at_ms // 1_000,
        )
        return Issued(self._sign(claims, now_ms), self._access_ttl_s)

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
        return Issued(self._sign(claims, now_ms), self._display_ttl_s)

    def for_app(
        self, account: Account, login_id: LoginId, app_id: AppId, scopes: Collection[Scope], now_ms: int
    ) -> Issued:
        """The access token of an app that an account has lent `scopes`."""
        claims = _Claims(
            iss=self._issuer,
            aud=AUDIENCE,
            sub=account.id,
            lid=login_id,
            roles=tuple(sorted(account.roles)),
            name=account.name,
            iat=now_ms // 1_000,
            exp=now_ms // 1_000 + self._access_ttl_s,
            scope=written(scopes),
            client_id=app_id,
        )
        return Issued(self._sign(claims, now_ms), self._access_ttl_s)

    def for_service(self, app_id: AppId, name: str, scopes: Collection[Scope], now_ms: int) -> Issued:
        """The access token of an app that speaks for itself."""
        claims = _Claims(
            iss=self._issuer,
            aud=AUDIENCE,
            sub=app_id,
            lid=app_id,
            roles=(),
            name=name,
            iat=now_ms // 1_000,
            exp=now_ms // 1_000 + self._access_ttl_s,
            scope=written(scopes),
            client_id=app_id,
        )
        return Issued(self._sign(claims, now_ms), self._access_ttl_s)

    def identify(self, token: str, now_ms: int) -> Caller:
        """Who shows `token` at `now_ms` (wall ms). Pure. Raises NotAuthenticated, TokenExpired."""
        claims = self._verified(token, now_ms)
        if now_ms >= claims.exp * 1_000:
            raise TokenExpired
        is_display = claims.roles == ("display",)
        if ("display" in claims.roles) != is_display or is_display != (claims.class_id is not None):
            raise NotAuthenticated
        if (claims.scope is None) != (claims.client_id is None) or (is_display and claims.scope is not None):
            raise NotAuthenticated
        return Caller(
            account_id=AccountId(claims.sub),
            login_id=LoginId(claims.lid),
            name=claims.name,
            roles=frozenset(claims.roles),
            expires_at_ms=claims.exp * 1_000,
            class_id=None if claims.class_id is None else ClassId(claims.class_id),
            fresh_at_ms=None if claims.fresh is None else claims.fresh * 1_000,
            second_factor_at_ms=None if claims.fresh2 is None else claims.fresh2 * 1_000,
            scopes=None if claims.scope is None else known(claims.scope.split()),
            app_id=None if claims.client_id is None else AppId(claims.client_id),
        )

    def _sign(self, claims: _Claims, now_ms: int) -> str:
        payload = {name: value for name, value in msgspec.to_builtins(claims).items() if value is not None}
        key = self.keys.signing(now_ms)
        return jwt.encode(payload, key.private, ALGORITHM, headers={"typ": TYPE, "kid": key.kid})

    def _verified(self, token: str, now_ms: int) -> _Claims:
        """The claims of a token with our signature, by a key that is believed. The token's own times are not looked at."""
        try:
            key = self.keys.public(_header_of(token).kid, now_ms)
            if key is None:
                raise NotAuthenticated
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
    return msgspec.json.decode(parts_of(token)[0], type=_Header)


def parts_of(token: str) -> list[bytes]:
    """Header, payload and signature of a token of ours in their one spelling. Raises ValueError."""
    if len(token) > MAX_TOKEN or not token.isascii():
        raise ValueError("not a token")
    parts = token.split(".")
    if len(parts) != 3:
        raise ValueError("not a token")
    decoded = [base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)) for part in parts]
    # The last character of each part has bits that decode to nothing; only one spelling counts.
    if [base64url(data) for data in decoded] != parts:
        raise ValueError("not the canonical spelling")
    return decoded


# -- refresh tokens ---------------------------------------------------------------------------------------------


def make_refresh_token() -> str:
    """256 random bits as text. Given out once; only `refresh_hash` of it is kept."""
    return REFRESH_PREFIX + secrets.token_urlsafe(32)


def refresh_hash(token: str) -> bytes:
    """What the database knows a refresh token by: its SHA-256. Raises RefreshRefused when it cannot be one of ours."""
    if not token.startswith(REFRESH_PREFIX) or len(token) != len(REFRESH_PREFIX) + 43 or not token.isascii():
        raise RefreshRefused
    return hashlib.sha256(token.encode()).digest()
