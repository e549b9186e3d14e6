"""An app's request to be let in, and the way back to it. Pure (RFC 6749 4.1, 7636, 9207, 9700).

Two kinds of faults must not be mixed up. While it is not certain who asks and where they may be sent back to, nobody is sent
anywhere: our own page says what is wrong, because a redirect to an address that somebody merely wrote down is a gift to a phisher.
Only then are faults told to the app, at its own address.

PKCE is not optional, and only S256 is taken: a request without a challenge, or with `plain`, is what an attacker would like to
turn somebody else's into.
"""

import base64
import hashlib
import hmac
import re
import uuid
from typing import Final, Literal
from urllib.parse import urlencode, urlsplit

import msgspec

from services.accounts.scope import FOR_PEOPLE, scopes_of
from services.apps.app import App, leads_to
from services.kernel.caller import Scope
from services.kernel.ids import AppId
from services.kernel.problems import AppUnknown, RedirectMismatch

CODE_TTL_S: Final = 60
MAX_STATE: Final = 1_024
_CHALLENGE: Final = re.compile(r"[A-Za-z0-9_-]{43}")
_VERIFIER: Final = re.compile(r"[A-Za-z0-9\-._~]{43,128}")

Fault = Literal["invalid_request", "unsupported_response_type", "invalid_scope", "access_denied"]


class Asked(msgspec.Struct, frozen=True):
    """The parameters of /oauth/authorize as they came; what is missing is empty."""

    client_id: str = ""
    redirect_uri: str = ""
    response_type: str = ""
    scope: str = ""
    state: str = ""
    code_challenge: str = ""
    code_challenge_method: str = ""


class Wanted(msgspec.Struct, frozen=True):
    """A request in order: what the app wants of somebody."""

    scopes: frozenset[Scope]
    challenge: str


class Refused(msgspec.Struct, frozen=True):
    """What the app is told instead."""

    error: Fault
    description: str


def app_id_of(text: str) -> AppId | None:
    """The app of a `client_id`; one spelling only."""
    try:
        found = uuid.UUID(text)
    except ValueError:
        return None
    return AppId(found) if str(found) == text else None


def certain(app: App | None, asked: Asked) -> App:
    """The app, now that it is certain that it may be answered at `redirect_uri`. Raises AppUnknown, RedirectMismatch."""
    if app is None:
        raise AppUnknown
    if not leads_to(app, asked.redirect_uri):
        raise RedirectMismatch
    return app


def read(asked: Asked) -> Wanted | Refused:
    """What is wanted, or why not."""
    if asked.response_type != "code":
        return Refused("unsupported_response_type", "response_type must be code")
    if not _CHALLENGE.fullmatch(asked.code_challenge) or asked.code_challenge_method != "S256":
        return Refused("invalid_request", "PKCE is needed: code_challenge of 43 characters, code_challenge_method S256")
    scopes = scopes_of(asked.scope)
    if not scopes or not scopes <= FOR_PEOPLE:
        return Refused("invalid_scope", "name at least one scope, each of those that a person can grant")
    return Wanted(scopes, asked.code_challenge)


def way_back(asked: Asked, issuer: str, **answer: str) -> str:
    """The redirect URI with an answer in its query. `iss` says who answers, so that an app with several servers to log in at cannot
    be told one's answer as another's (RFC 9207)."""
    values = {**answer, **({"state": asked.state} if asked.state else {}), "iss": issuer}
    sign = "&" if urlsplit(asked.redirect_uri).query else "?"
    return asked.redirect_uri.removesuffix("?") + sign + urlencode(values)


def place_of(uri: str) -> str:
    """Where a redirect URI leads, as people read it."""
    return urlsplit(uri).netloc


def proves(verifier: str, challenge: str) -> bool:
    """Whether `verifier` is what `challenge` was made of (S256)."""
    if not _VERIFIER.fullmatch(verifier):
        return False
    made = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=")
    return hmac.compare_digest(made, challenge.encode())
