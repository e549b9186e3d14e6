"""Passkeys (WebAuthn): what is asked of an authenticator, and what its answer proves. Pure; the cryptography is fido2's.

A passkey is a key pair that a device, or the keyring of its maker, holds for this site alone: it signs only for pages of our
origins, and for our apps, so nobody can be talked into showing it elsewhere. Ours are always discoverable (no name has to be
typed) and always verify their user (a finger, a face, a PIN), so one is two factors at once and opens a login by itself.

Which device made it is nobody's business here: attestation is "none". The counter of signatures, where an authenticator
counts, must grow; one that does not was copied. Keyrings that are shared among devices always say 0, which is fine.

A challenge carries what it is for and how long it is good in itself, with a tag that only this installation can make; so
asking for one, which anybody may, stores nothing. It is marked as used once an answer with a good signature has come.
"""

import base64
import hashlib
import secrets
import struct
from collections.abc import Callable, Iterable
from typing import Annotated, Final, Literal, NoReturn, TypeVar
from urllib.parse import urlsplit

import msgspec
import structlog
from cryptography.exceptions import UnsupportedAlgorithm
from fido2.cose import ES256, RS256, CoseKey, EdDSA
from fido2.server import Fido2Server
from fido2.webauthn import (
    AttestationObject,
    AttestedCredentialData,
    AuthenticationResponse,
    AuthenticatorAssertionResponse,
    AuthenticatorAttestationResponse,
    AuthenticatorData,
    CollectedClientData,
    PublicKeyCredentialRpEntity,
    RegistrationResponse,
)

from services.kernel.ids import AccountId, PasskeyId
from services.kernel.problems import PasskeyRefused
from services.kernel.sealing import Seals

MOST_PASSKEYS: Final = 20
"""Of one account. Chosen by feeling."""
MAX_NAME: Final = 60
CHALLENGE_MS: Final = 5 * 60_000
"""How long somebody may look for their key."""
TIMEOUT_MS: Final = 3 * 60_000
"""How long their browser lets them."""
NAME: Final = "Paceline"
ALGORITHMS: Final[tuple[type[CoseKey], ...]] = (ES256, EdDSA, RS256)
"""What phones, security keys and Windows make, in the order in which we like them."""
MAX_PART: Final = 12_000
"""Characters of one part of an answer; those of real authenticators have some hundred, with an attestation a few thousand."""

_AT_BYTES: Final = 8
_RANDOM_BYTES: Final = 16
_BASE64URL: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_=")
_MALFORMED: Final = (
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    ArithmeticError,
    AssertionError,
    RecursionError,
    NotImplementedError,
    struct.error,
    UnsupportedAlgorithm,
)
"""What fido2 and its CBOR raise for bytes that nobody honest has written, besides their own "wrong"."""

T = TypeVar("T")
log = structlog.get_logger(__name__)

Part = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_PART, description="bytes in base64url")]


class Passkey(msgspec.Struct, frozen=True):
    """A passkey as stored. `credential`: its id and public key, as its authenticator said them; `signatures`: its counter."""

    id: PasskeyId
    account_id: AccountId
    name: str
    credential: bytes
    signatures: int
    made_at_ms: int
    used_at_ms: int | None = None

    @property
    def credential_id(self) -> bytes:
        """What the authenticator knows it by."""
        return AttestedCredentialData(self.credential).credential_id


class MadePasskey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What `navigator.credentials.create()` answered: two fields of its `response`, as base64url."""

    client_data_json: Part
    attestation_object: Part


class ShownPasskey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What `navigator.credentials.get()` answered: its `rawId` and the fields of its `response`, as base64url."""

    id: Part
    client_data_json: Part
    authenticator_data: Part
    signature: Part
    user_handle: Part | None = None


# -- what the browser is told: the shapes of WebAuthn Level 3, for parse…OptionsFromJSON ------------------------------


class RelyingPartyView(msgspec.Struct, frozen=True):
    """Whom the passkey is for."""

    id: str
    name: str


class UserView(msgspec.Struct, frozen=True, rename="camel"):
    """Whose it is; `id` is what it says when it is shown."""

    id: str
    name: str
    display_name: str


class AlgorithmView(msgspec.Struct, frozen=True):
    """A kind of key, by its number in COSE."""

    alg: int
    type: Literal["public-key"] = "public-key"


class CredentialView(msgspec.Struct, frozen=True):
    """A passkey, by the id that its authenticator gave it."""

    id: str
    type: Literal["public-key"] = "public-key"


class SelectionView(msgspec.Struct, frozen=True, rename="camel"):
    """Which authenticators may make one."""

    resident_key: Literal["required"] = "required"
    require_resident_key: bool = True
    user_verification: Literal["required"] = "required"


class CreationOptions(msgspec.Struct, frozen=True, rename="camel"):
    """For `PublicKeyCredential.parseCreationOptionsFromJSON`."""

    rp: RelyingPartyView
    user: UserView
    challenge: str
    pub_key_cred_params: tuple[AlgorithmView, ...]
    timeout: int
    exclude_credentials: tuple[CredentialView, ...]
    authenticator_selection: SelectionView = SelectionView()
    attestation: Literal["none"] = "none"


class RequestOptions(msgspec.Struct, frozen=True, rename="camel"):
    """For `PublicKeyCredential.parseRequestOptionsFromJSON`. Without `allowCredentials` whoever has one chooses."""

    challenge: str
    timeout: int
    rp_id: str
    allow_credentials: tuple[CredentialView, ...]
    user_verification: Literal["required"] = "required"


# -- who we are --------------------------------------------------------------------------------------------------------


class Site(msgspec.Struct, frozen=True):
    """For whom passkeys are made: a domain, and the origins whose pages may use them."""

    domain: str
    origins: frozenset[str]


def site_of(url: str, also: Iterable[str] = (), apps: Iterable[str] = ()) -> Site:
    """The site at `url`, by which people reach this installation, those of the origins `also` that are on the same domain, and
    `apps`, the origins of our own apps (native_apps.py).

    Browsers know no passkeys of bare addresses; on the machine itself they take "localhost", so that stands for loopback.
    """
    parts = urlsplit(url)
    host = parts.hostname or "localhost"
    domain = "localhost" if host in {"127.0.0.1", "::1"} else host
    port = "" if parts.port is None else f":{parts.port}"
    own = f"{parts.scheme}://{domain}{port}"
    same = (origin for origin in also if _is_on(urlsplit(origin).hostname or "", domain))
    return Site(domain, frozenset({own, *same, *apps}))


def _is_on(host: str, domain: str) -> bool:
    return host == domain or host.endswith(f".{domain}")


class PasskeyChallenges:
    """Makes challenges and knows them again. `purpose` says what one is for, and whose it is where that is known."""

    def __init__(self, seals: Seals) -> None:
        self._seals: Final = seals

    def make(self, purpose: str, now_ms: int) -> bytes:
        """A new one."""
        body = (now_ms + CHALLENGE_MS).to_bytes(_AT_BYTES) + secrets.token_bytes(_RANDOM_BYTES)
        return body + self._seals.tag(_about(purpose, body)).encode()

    def check(self, challenge: bytes, purpose: str, now_ms: int) -> int:
        """Until when (wall ms) one of ours that is for this is good. Raises PasskeyRefused."""
        body, tag = challenge[: _AT_BYTES + _RANDOM_BYTES], challenge[_AT_BYTES + _RANDOM_BYTES :]
        until_ms = int.from_bytes(body[:_AT_BYTES])
        if not self._seals.is_tag(tag.decode("ascii", "replace"), _about(purpose, body)) or now_ms >= until_ms:
            raise PasskeyRefused("this was asked too long ago, or for something else; begin again")
        return until_ms


def _about(purpose: str, body: bytes) -> str:
    return f"passkey challenge: {purpose}: {body.hex()}"


# -- asking and judging ---------------------------------------------------------------------------------------------


class New(msgspec.Struct, frozen=True):
    """A passkey that has just been made: its credential, its counter, and the challenge that it answered."""

    credential: bytes
    signatures: int
    challenge: bytes


class Shown(msgspec.Struct, frozen=True):
    """Which passkey was shown, with its signature yet unchecked: the id of its credential, and the challenge that it answers."""

    credential_id: bytes
    challenge: bytes


def creation_options(
    site: Site, challenge: bytes, account_id: AccountId, email: str, name: str, have: Iterable[Passkey]
) -> CreationOptions:
    """What to ask of an authenticator that does not hold one of `have`."""
    return CreationOptions(
        rp=RelyingPartyView(site.domain, NAME),
        user=UserView(base64url(account_id.bytes), email, name),
        challenge=base64url(challenge),
        pub_key_cred_params=tuple(AlgorithmView(each.ALGORITHM) for each in ALGORITHMS),
        timeout=TIMEOUT_MS,
        exclude_credentials=_named(have),
    )


def request_options(site: Site, challenge: bytes, have: Iterable[Passkey] = ()) -> RequestOptions:
    """What to ask of an authenticator; one of `have`, or whichever it has for us."""
    return RequestOptions(base64url(challenge), TIMEOUT_MS, site.domain, _named(have))


def made(site: Site, answer: MadePasskey) -> New:
    """What an authenticator has made. The challenge is still to be checked. Raises PasskeyRefused."""
    client, attestation = _bytes(answer.client_data_json), _bytes(answer.attestation_object)

    def judge() -> New:
        data, attested = CollectedClientData(client), AttestationObject(attestation)
        credential = attested.auth_data.credential_data
        if data.cross_origin or credential is None or not isinstance(credential.public_key, ALGORITHMS):
            raise ValueError("made for a frame of another site, or of a kind that was not asked for")
        response = AuthenticatorAttestationResponse(client_data=data, attestation_object=attested)
        _server(site).register_complete(
            _state(data.challenge), RegistrationResponse(raw_id=credential.credential_id, response=response)
        )
        return New(bytes(credential), attested.auth_data.counter, data.challenge)

    return _judged(judge)


def shown(answer: ShownPasskey) -> Shown:
    """Which passkey somebody says they have. Raises PasskeyRefused."""
    client = _bytes(answer.client_data_json)
    return _judged(lambda: Shown(_bytes(answer.id), CollectedClientData(client).challenge))


def signatures_of(site: Site, answer: ShownPasskey, passkey: Passkey) -> int:
    """The counter that `passkey` has shown with a good signature. The challenge is still to be checked. Raises PasskeyRefused."""
    client, said, signature = (
        _bytes(answer.client_data_json),
        _bytes(answer.authenticator_data),
        _bytes(answer.signature),
    )

    def judge() -> int:
        data, authenticator = CollectedClientData(client), AuthenticatorData(said)
        handle = None if answer.user_handle is None else _bytes(answer.user_handle)
        if data.cross_origin or handle not in {None, passkey.account_id.bytes}:
            raise ValueError("shown in a frame of another site, or somebody else's")
        response = AuthenticatorAssertionResponse(
            client_data=data, authenticator_data=authenticator, signature=signature
        )
        _server(site).authenticate_complete(
            _state(data.challenge),
            [AttestedCredentialData(passkey.credential)],
            AuthenticationResponse(raw_id=passkey.credential_id, response=response),
        )
        return authenticator.counter

    return _judged(judge)


def is_copied(passkey: Passkey, signatures: int) -> bool:
    """Whether a counter does not grow as it must, which says that there are two of a thing that there is one of."""
    return (signatures or passkey.signatures) > 0 and signatures <= passkey.signatures


def challenge_hash(challenge: bytes) -> bytes:
    """What a used challenge is remembered by."""
    return hashlib.sha256(challenge).digest()


def base64url(data: bytes) -> str:
    """Without padding, as WebAuthn writes bytes."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _named(have: Iterable[Passkey]) -> tuple[CredentialView, ...]:
    return tuple(CredentialView(base64url(passkey.credential_id)) for passkey in have)


def _server(site: Site) -> Fido2Server:
    return Fido2Server(PublicKeyCredentialRpEntity(id=site.domain, name=NAME), verify_origin=site.origins.__contains__)


def _state(challenge: bytes) -> dict[str, str]:
    """The challenge that was answered: whether it is one of ours for this is judged by `PasskeyChallenges`."""
    return {"challenge": base64url(challenge), "user_verification": "required"}


def _bytes(part: str) -> bytes:
    if not set(part) <= _BASE64URL:
        _refuse(ValueError("not base64url"))
    try:
        return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except ValueError as cause:
        _refuse(cause)


def _judged(judge: Callable[[], T]) -> T:
    try:
        return judge()
    except _MALFORMED as cause:
        _refuse(cause)


def _refuse(cause: Exception) -> NoReturn:
    log.info("passkey.refused", why=f"{type(cause).__name__}: {cause}"[:200])
    raise PasskeyRefused from cause
