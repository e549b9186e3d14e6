"""Access tokens of another issuer, taken in place of ours (RFC 9068): what one of them proves. Pure.

What is known here is compared with what the token says: the issuer and what it calls this installation, to the letter; the type, so
that no ID token passes; the times, with the clock that is handed in. Nobody else may be meant beside us: another server that gets
such a token could come with it. A token that is bound to a key of its client (`cnf`) is not one for whoever brings it, and one that
speaks for a program and no person is nobody's.

Which issuer's keys it is checked with is told by what the token itself says (`claimed_issuer`), before anything of it is believed;
so the keys of one issuer never check what claims to be another's.
"""

import base64
from typing import Annotated, Any, Final

import msgspec

from services.accounts.id_token import SKEW_S, Statement, Subject
from services.accounts.issuer_keys import IssuerKeys, TokenRefused
from services.accounts.provider import Provider
from services.kernel.caller import Scope

TYPE: Final = "at+jwt"
MAX_LENGTH: Final = 8_000
"""Characters. No more go into a header of HTTP."""

_Client = Annotated[str, msgspec.Meta(min_length=1, max_length=500)]


class Ended(TokenRefused):
    """Its time is over."""


class ForeignToken(msgspec.Struct, frozen=True):
    """What a token proves: who it is, what of ours was lent with it, from when it is and until when it is good (wall ms)."""

    statement: Statement
    scopes: frozenset[Scope]
    issued_ms: int
    expires_ms: int


class _Claims(msgspec.Struct, frozen=True):
    iss: str
    sub: Subject
    aud: str | list[str]
    exp: int | float
    iat: int | float
    client_id: _Client
    scope: str = ""
    nbf: int | float | None = None
    cnf: Any = None
    email: str | None = None
    email_verified: bool | str | None = None
    name: str | None = None


class _Named(msgspec.Struct, frozen=True):
    iss: str = ""


def claimed_issuer(token: str) -> str:
    """Who a token says it is from, believed unseen; "" for what is no token."""
    parts = token.split(".") if len(token) <= MAX_LENGTH and token.isascii() else ()
    if len(parts) != 3:
        return ""
    try:
        payload = base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4))
        return msgspec.json.decode(payload, type=_Named).iss
    except (ValueError, RecursionError):  # msgspec's and base64's are ValueErrors
        return ""


def accepted(token: str, provider: Provider, keys: IssuerKeys, now_ms: int) -> ForeignToken:
    """What a token proves at `now_ms` (wall ms). Raises TokenRefused with the reason, KidUnknown, Ended."""
    trust = provider.trust
    if trust is None or len(token) > MAX_LENGTH:
        raise TokenRefused("no access tokens of its issuer are taken, or none of this length")
    _, payload = keys.verified(token, provider.algorithms, types=(TYPE,))
    try:
        claims = msgspec.json.decode(payload, type=_Claims)
    except (ValueError, RecursionError) as cause:
        raise TokenRefused(f"it does not say what an access token says: {cause}") from cause
    if claims.iss != provider.issuer:
        raise TokenRefused("it is from another issuer")
    if claims.aud not in (trust.audience, [trust.audience]):
        raise TokenRefused("it is meant for somebody else")
    if trust.clients and claims.client_id not in trust.clients:
        raise TokenRefused("it was given to a program that is not on the list")
    if not claims.sub.isprintable():
        raise TokenRefused("its subject has characters that no name has")
    if claims.sub == claims.client_id:
        raise TokenRefused("it speaks for a program, and for no person")
    if claims.cnf is not None:
        raise TokenRefused("it is bound to a key of its client, which nobody has shown")
    _check_times(claims, longest_s=trust.longest_minutes * 60, now_s=now_ms / 1_000)
    email = claims.email
    return ForeignToken(
        statement=Statement(
            issuer=claims.iss,
            subject=claims.sub,
            email=email,
            email_verified=email is not None and (provider.trust_email or claims.email_verified in (True, "true")),
            name=claims.name,
        ),
        scopes=trust.lent(claims.scope),
        issued_ms=int(claims.iat * 1_000),
        expires_ms=int(claims.exp * 1_000),
    )


def _check_times(claims: _Claims, *, longest_s: int, now_s: float) -> None:
    """Its end is taken at its word, to the second; only from when on it is good may another clock tell a little early."""
    if claims.iat > now_s + SKEW_S or (claims.nbf is not None and claims.nbf > now_s + SKEW_S):
        raise TokenRefused("it is from the future")
    if claims.exp - claims.iat > longest_s:
        raise TokenRefused(f"it is good for longer than the {longest_s // 60} minutes that are trusted here")
    if now_s >= claims.exp:
        raise Ended("it has expired")
