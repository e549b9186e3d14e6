"""A provider's code for what it proves: what is asked, and what the answers mean. Pure; a worker does the asking.

The request for tokens carries the PKCE verifier and the client's secret, in the header or the form as the provider wants it. Apple
has no secret but a key: it signs one for each exchange that is good for five minutes. GitHub has no ID token; who it is and the
address that it has verified come from its API, by the access token, which is used for these two questions and then forgotten.
"""

import base64
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote_plus, urlencode

import jwt
import msgspec

from services.accounts.id_token import Statement
from services.accounts.issuer_keys import TokenRefused
from services.accounts.provider import Metadata, Provider, load_apple_key

APPLE_SECRET_S: Final = 300
USER_AGENT: Final = "Paceline"
"""GitHub refuses who does not say a name."""


class Question(msgspec.Struct, frozen=True):
    """One request to a provider."""

    url: str
    headers: Mapping[str, str]
    form: bytes | None = None

    def __repr__(self) -> str:
        return f"Question({self.url!r})"


class Granted(msgspec.Struct, frozen=True):
    """What a token endpoint gives. GitHub says `error` with the status 200."""

    access_token: str = ""
    id_token: str = ""
    error: str = ""

    def __repr__(self) -> str:
        return f"Granted(error={self.error!r})"


def token_question(
    provider: Provider, metadata: Metadata, code: str, verifier: str, return_url: str, now_ms: int
) -> Question:
    """What a code is exchanged with."""
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": return_url,
        "code_verifier": verifier,
    }
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
    headers["User-Agent"] = USER_AGENT
    if provider.secret_in == "header":  # noqa: S105 - where it stands
        pair = f"{quote_plus(provider.client_id)}:{quote_plus(provider.client_secret)}"  # RFC 6749, 2.3.1
        headers["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
    else:
        form |= {"client_id": provider.client_id, "client_secret": client_secret(provider, now_ms)}
    return Question(metadata.token_endpoint, headers, urlencode(form).encode())


def client_secret(provider: Provider, now_ms: int) -> str:
    """The secret of this client at this provider, made anew where the provider has it signed."""
    if provider.apple is None:
        return provider.client_secret
    now_s = now_ms // 1_000
    claims = {
        "iss": provider.apple.team_id,
        "iat": now_s,
        "exp": now_s + APPLE_SECRET_S,
        "aud": provider.issuer,
        "sub": provider.client_id,
    }
    key = load_apple_key(provider.apple.pem)
    return jwt.encode(claims, key, "ES256", headers={"kid": provider.apple.key_id})


def asking_with(access_token: str, url: str) -> Question:
    """A question about who an access token stands for."""
    return Question(
        url,
        {"Authorization": f"Bearer {access_token}", "Accept": "application/json", "User-Agent": USER_AGENT},
    )


def read_granted(provider: Provider, body: bytes) -> Granted:
    """The tokens in an answer. Raises TokenRefused when there are none."""
    try:
        granted = msgspec.json.decode(body, type=Granted)
    except (msgspec.MsgspecError, UnicodeDecodeError) as cause:
        raise TokenRefused("the answer of its token endpoint cannot be read") from cause
    if granted.error:
        raise TokenRefused(f"it gives no token: {granted.error[:80]!r}")
    if not granted.access_token or (provider.kind != "github" and not granted.id_token):
        raise TokenRefused("the answer of its token endpoint lacks a token")
    return granted


class _GithubUser(msgspec.Struct, frozen=True):
    id: int
    login: str
    name: str | None = None


class _GithubEmail(msgspec.Struct, frozen=True):
    email: str
    primary: bool
    verified: bool


def read_github(provider: Provider, user: bytes, emails: bytes) -> Statement:
    """Who it is to GitHub, by its number: names there can be given up and taken by others. Raises TokenRefused."""
    try:
        told = msgspec.json.decode(user, type=_GithubUser)
        addresses = msgspec.json.decode(emails, type=list[_GithubEmail])
    except (msgspec.MsgspecError, UnicodeDecodeError) as cause:
        raise TokenRefused(f"what its API says of somebody cannot be read: {cause}") from cause
    primary = next((one for one in addresses if one.primary), None)
    return Statement(
        issuer=provider.issuer,
        subject=str(told.id),
        email=primary.email if primary else None,
        email_verified=primary is not None and primary.verified,
        name=told.name or told.login,
    )
