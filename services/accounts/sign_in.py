"""One sign-in with a provider, from the button to the login: what is known of it, and what it may become. Pure.

    begun      the browser was sent to the provider
    returned   it came back with a code, which nobody has looked at
    asking     a worker has the code and asks the provider; once, because a code works once
    proven     the provider has said who it is
    failed     it came to nothing

**Bound to one browser.** Whoever begins gets a secret that stays in the page (`sessionStorage`) or the app and goes to nobody else.
The provider's answer is handed in together with it, so an answer that arrives in another browser does nothing there: neither may
somebody be logged in to an account that is not theirs (login CSRF), nor does whoever lures a victim to a provider's page with a
sign-in of their own get what the victim is given. `state` ties the answer to the sign-in, `nonce` the ID token to it, and the code
is worth nothing without the PKCE verifier (RFC 7636), which never leaves our side (ASVS 10.1.2, 10.2.1, 10.5.1).

**Mix-up.** Each provider has a return address of its own, and an `iss` in the answer must be that of the provider that was asked
(RFC 9207); where an issuer says that it always sends one, an answer without is refused (ASVS 10.2.2).
"""

import hashlib
import hmac
import secrets
from typing import Final, Literal
from urllib.parse import urlencode, urlsplit

import msgspec

from services.accounts.account import SignupRole
from services.accounts.id_token import Statement
from services.accounts.keyring import base64url
from services.accounts.provider import Metadata, Provider
from services.kernel.ids import AccountId, LoginId, SignInId

LIFETIME_MS: Final = 10 * 60_000
"""From the button to the login. By feeling: somebody looks for their second factor meanwhile."""
LEASE_MS: Final = 60_000
"""A worker that asks the provider for longer than this is gone, and the code with it."""
SECRET_PREFIX: Final = "pls_"  # noqa: S105 - what secrets begin with
RETURN_PATH: Final = "/sign-in/return/"

State = Literal["begun", "returned", "asking", "proven", "failed"]
Failure = Literal["denied", "refused", "unreachable", "unproven", "abandoned"]
"""The person said no, the provider did, nobody could ask it, what it said cannot be believed, or a worker died over it."""


class SignIn(msgspec.Struct, frozen=True, kw_only=True):
    """One sign-in. Secrets as hashes; `sealed` holds what must be read again (`Sealed`), `code` the provider's code. `account_id`
    and `login_id` of who links, None for who logs in."""

    id: SignInId
    provider: str
    secret_hash: bytes
    state_hash: bytes
    sealed: bytes
    return_url: str
    device: str
    role: SignupRole
    began_ms: int
    state: State = "begun"
    account_id: AccountId | None = None
    login_id: LoginId | None = None
    code: bytes | None = None
    asked_ms: int | None = None
    failure: Failure | None = None
    statement: Statement | None = None

    def __repr__(self) -> str:
        return f"SignIn({self.id}, {self.provider!r}, {self.state!r})"

    def over(self, now_ms: int) -> bool:
        """Whether its time is up."""
        return now_ms >= self.began_ms + LIFETIME_MS

    def waits(self, now_ms: int) -> bool:
        """Whether its end is still to come."""
        return self.state in {"returned", "asking"} and not self.left_alone(now_ms)

    def left_alone(self, now_ms: int) -> bool:
        """Whether the worker that asked is gone."""
        return self.state == "asking" and self.asked_ms is not None and now_ms >= self.asked_ms + LEASE_MS


class Sealed(msgspec.Struct, frozen=True):
    """What of a sign-in is a secret of ours, and must be read again."""

    verifier: str
    nonce: str

    def __repr__(self) -> str:
        return "Sealed()"


class Fresh(msgspec.Struct, frozen=True):
    """The secrets of a new sign-in, before they are hashed and sealed."""

    secret: str
    state: str
    sealed: Sealed

    def __repr__(self) -> str:
        return "Fresh()"


def make_fresh() -> Fresh:
    """256 random bits each."""
    secret, state, verifier, nonce = (secrets.token_urlsafe(32) for _ in range(4))
    return Fresh(SECRET_PREFIX + secret, state, Sealed(verifier, nonce))


def digest(secret: str) -> bytes:
    """What the database knows a secret by. No slow hash: there is nothing to guess."""
    return hashlib.sha256(secret.encode()).digest()


def belongs(found: SignIn, secret: str) -> bool:
    """Whether this is the secret of that sign-in."""
    return hmac.compare_digest(found.secret_hash, digest(secret))


def challenge(verifier: str) -> str:
    """The PKCE challenge of a verifier, by S256 (RFC 7636, 4.2)."""
    return base64url(hashlib.sha256(verifier.encode()).digest())


def authorization_url(provider: Provider, metadata: Metadata, fresh: Fresh, return_url: str) -> str:
    """Where the browser is sent. Nobody is asked to be remembered, and nobody's address is in it."""
    asked = {
        "response_type": "code",
        "client_id": provider.client_id,
        "redirect_uri": return_url,
        "scope": " ".join(provider.scopes),
        "state": fresh.state,
        "code_challenge": challenge(fresh.sealed.verifier),
        "code_challenge_method": "S256",
    }
    if provider.kind != "github":
        asked["nonce"] = fresh.sealed.nonce
    if provider.response_mode != "query":
        asked["response_mode"] = provider.response_mode
    joint = "&" if urlsplit(metadata.authorization_endpoint).query else "?"
    return metadata.authorization_endpoint + joint + urlencode(asked)


def why_not_from(provider: Provider, metadata: Metadata, iss: str | None) -> str | None:
    """Why an answer with this `iss` is not one of that provider; None when it may be."""
    if iss is None:
        return "it does not name its issuer" if metadata.authorization_response_iss_parameter_supported else None
    return None if provider.is_issuer(iss) else "it names another issuer"


def about(sign_in_id: SignInId, what: str) -> bytes:
    """What the secrets of a sign-in are sealed about."""
    return f"sign-in {what} ".encode() + sign_in_id.bytes
