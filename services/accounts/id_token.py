"""What an ID token proves (OpenID Connect Core 3.1.3.7): who somebody is to its issuer, for us, in this one sign-in. Pure.

Everything is compared with what we know ourselves: the issuer with the one that was written down, the audience with our client id,
the nonce with the one of this sign-in, the times with the clock that is handed in. An identity is (issuer, subject); an address is
only something that the issuer says of it, and counts as proven only where the issuer says so.
"""

import hashlib
import hmac
from typing import Annotated, Any, Final

import msgspec

from services.accounts.issuer_keys import Header, IssuerKeys, TokenRefused
from services.accounts.keyring import base64url
from services.accounts.provider import BadDocument, Provider

SKEW_S: Final = 60
"""How far another clock may be from ours."""
OLDEST_S: Final = 600
"""An ID token is asked for and given within seconds; one that was issued longer ago belongs to another sign-in."""
_HASHES: Final = {"256": hashlib.sha256, "384": hashlib.sha384, "512": hashlib.sha512, "DSA": hashlib.sha512}

Subject = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]


class Statement(msgspec.Struct, frozen=True):
    """Who somebody is to a provider, proven. `email` is None unless the provider says one; `name` is what it calls them."""

    issuer: str
    subject: str
    email: str | None = None
    email_verified: bool = False
    name: str | None = None


class Claims(msgspec.Struct, frozen=True):
    """What is looked at in an ID token. Apple says "true" where others say true."""

    iss: str
    sub: Subject
    aud: str | list[str]
    exp: int | float
    iat: int | float
    nonce: str = ""
    azp: str = ""
    at_hash: str = ""
    tid: str | None = None
    email: str | None = None
    email_verified: bool | str | None = None
    xms_edov: bool | str | int | None = None
    name: str | None = None


def proven(
    token: str, provider: Provider, keys: IssuerKeys, *, nonce: str, now_ms: int, access_token: str | None = None
) -> Statement:
    """Who the ID token `token` proves somebody to be at `now_ms` (wall ms). Raises TokenRefused with the reason, KidUnknown."""
    header, payload = keys.verified(token, provider.algorithms, types=("", "jwt"))
    try:
        claims = msgspec.json.decode(payload, type=Claims)
    except (msgspec.MsgspecError, UnicodeDecodeError) as cause:
        raise TokenRefused(f"it does not say what an ID token says: {cause}") from cause
    _check_issuer(claims, provider)
    _check_audience(claims, provider.client_id)
    _check_times(claims.exp, claims.iat, now_ms)
    if not nonce or not hmac.compare_digest(claims.nonce.encode(), nonce.encode()):
        raise TokenRefused("it answers another sign-in: its nonce is not the one of this one")
    if claims.at_hash and (access_token is None or not _is_hash(claims.at_hash, access_token, header)):
        raise TokenRefused("it belongs to another access token")
    return Statement(
        issuer=claims.iss,
        subject=claims.sub,
        email=claims.email,
        email_verified=claims.email is not None and _vouched(claims, provider),
        name=claims.name,
    )


def with_userinfo(statement: Statement, provider: Provider, body: bytes) -> Statement:
    """The statement with what the userinfo endpoint adds to it. Raises TokenRefused when that is about somebody else (5.3.2)."""
    try:
        told = msgspec.json.decode(body, type=_UserInfo)
    except (msgspec.MsgspecError, UnicodeDecodeError) as cause:
        raise TokenRefused(f"its userinfo are not what OpenID Connect says: {cause}") from cause
    if told.sub != statement.subject:
        raise TokenRefused("its userinfo are about somebody else")
    if statement.email is not None:
        return msgspec.structs.replace(statement, name=statement.name or told.name)
    verified = told.email is not None and (provider.trust_email or _true(told.email_verified))
    return msgspec.structs.replace(
        statement, email=told.email, email_verified=verified, name=statement.name or told.name
    )


class _UserInfo(msgspec.Struct, frozen=True):
    sub: Subject
    email: str | None = None
    email_verified: bool | str | None = None
    name: str | None = None


def _check_times(exp: float, iat: float, now_ms: int) -> None:
    now_s = now_ms / 1_000
    if now_s >= exp + SKEW_S:
        raise TokenRefused("it has expired")
    if iat > now_s + SKEW_S:
        raise TokenRefused("it is from the future")
    if iat < now_s - OLDEST_S - SKEW_S:
        raise TokenRefused("it was issued too long ago")


def _check_issuer(claims: Claims, provider: Provider) -> None:
    try:
        expected = provider.issuer_for(claims.tid)
    except BadDocument as cause:
        raise TokenRefused(str(cause)) from cause
    if claims.iss != expected:
        raise TokenRefused("it is from another issuer")


def _check_audience(claims: Claims, client_id: str) -> None:
    audiences = [claims.aud] if isinstance(claims.aud, str) else claims.aud
    # Nobody else is trusted, so nobody else may be meant (3.1.3.7, 3).
    if audiences != [client_id]:
        raise TokenRefused("it is meant for somebody else")
    if claims.azp not in {"", client_id}:
        raise TokenRefused("it was given to somebody else")


def _vouched(claims: Claims, provider: Provider) -> bool:
    if provider.trust_email:
        return True
    if provider.kind == "microsoft":
        return _true(claims.xms_edov)
    return _true(claims.email_verified)


def _true(said: Any) -> bool:
    return said in (True, "true", "1")  # 1 is True, too


def _is_hash(at_hash: str, access_token: str, header: Header) -> bool:
    digest = _HASHES[header.alg[-3:]](access_token.encode()).digest()
    return hmac.compare_digest(at_hash.encode(), base64url(digest[: len(digest) // 2]).encode())
