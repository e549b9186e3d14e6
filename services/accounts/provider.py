"""Who else may say who somebody is: the providers of an installation, as its operator wrote them down.

A provider is an issuer of OpenID Connect, or GitHub, which has OAuth without ID tokens. Google, Apple, Microsoft and GitHub are
ready: ids and secrets are all that is left to fill in. What an issuer says of itself (`Metadata`: its addresses and where its keys
are) is read by workers and believed only when it names the issuer that was asked (OpenID Connect Discovery 4.3; ASVS 10.5.3) and
stays with TLS, so a document cannot lead a secret to somewhere else in the clear.

Microsoft signs for thousands of tenants with one set of keys. Its issuer holds `{tenantid}` in place of the tenant, which each
token names itself (`tid`); an identity is (issuer, subject) with the tenant filled in, so tenants stay apart. And its addresses are
whatever an administrator of a tenant types, so they count as proven only where the token says that their domain is the tenant's
(`xms_edov`), or the operator does (`trust_email`).
"""

import re
import tomllib
from collections.abc import Mapping
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey

from services.accounts.trust import Trust, checked_trust

Kind = Literal["oidc", "google", "apple", "microsoft", "github"]
Algorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"]
"""Signatures only: with a shared secret (HS256) whoever can check a token could make one."""

MOST_PROVIDERS: Final = 20
TENANT: Final = "{tenantid}"
_UUID: Final = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})

Text = Annotated[str, msgspec.Meta(min_length=1, max_length=500)]


class BadDocument(ValueError):  # noqa: N818 - it says what the matter is
    """What an issuer published cannot be believed; the text says why."""


class Metadata(msgspec.Struct, frozen=True):
    """What an issuer says of itself, as far as it is needed (OpenID Connect Discovery; RFC 9207 for the last). Other fields are let
    be."""

    issuer: Text
    authorization_endpoint: Text
    token_endpoint: Text
    jwks_uri: str = ""
    userinfo_endpoint: str = ""
    authorization_response_iss_parameter_supported: bool = False


class AppleKey(msgspec.Struct, frozen=True):
    """What Apple takes in place of a secret: a key that signs one for each exchange."""

    team_id: str
    key_id: str
    pem: str

    def __repr__(self) -> str:
        return f"AppleKey(key_id={self.key_id!r})"


class Provider(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the file, filled up. `discovery` is where its metadata is, "" for `github`, whose addresses are `fixed`.
    `trust`: how far its access tokens are taken for ours, None for not at all."""

    id: str
    kind: Kind
    name: str
    button: str
    issuer: str
    discovery: str
    client_id: str
    client_secret: str = ""
    apple: AppleKey | None = None
    scopes: tuple[str, ...] = ("openid", "email", "profile")
    response_mode: Literal["query", "form_post"] = "query"
    algorithms: tuple[Algorithm, ...] = ("RS256",)
    secret_in: Literal["header", "form"] = "header"  # noqa: S105 - where it stands
    trust_email: bool = False
    fixed: Metadata | None = None
    user_url: str = ""
    trust: Trust | None = None

    def __repr__(self) -> str:
        return f"Provider({self.id!r}, issuer={self.issuer!r})"

    def is_issuer(self, issuer: str) -> bool:
        """Whether a response may say that it comes from this issuer."""
        if TENANT in self.issuer:
            return re.fullmatch(re.escape(self.issuer).replace(re.escape(TENANT), _UUID), issuer) is not None
        return issuer == self.issuer

    def issuer_for(self, tenant: str | None) -> str:
        """The issuer that a token of this tenant must name; the tenant does not matter where there is one issuer only."""
        if TENANT not in self.issuer:
            return self.issuer
        if tenant is None or re.fullmatch(_UUID, tenant) is None:
            raise BadDocument("the token does not say which tenant it is from")
        return self.issuer.replace(TENANT, tenant)


# -- what the operator writes -----------------------------------------------------------------------------------------


class _Row(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    kind: Kind | None = None
    client_id: Text
    client_secret: str = ""
    issuer: str = ""
    name: str = ""
    button: str = ""
    scopes: tuple[Text, ...] = ()
    algorithms: tuple[Algorithm, ...] = ()
    response_mode: Literal["query", "form_post"] | None = None
    secret_in: Literal["header", "form"] = "header"  # noqa: S105 - where it stands
    trust_email: bool = False
    tenant: str = ""
    team_id: str = ""
    key_id: str = ""
    key: str = ""
    url: str = ""
    api_url: str = ""
    tokens: Trust | None = None


def read_providers(text: str) -> tuple[Provider, ...]:
    """The providers in a text of TOML: one table each, named as in addresses. Raises ValueError that names every fault; no secret
    is repeated."""
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"it is not TOML: {error}") from error
    faults: list[str] = []
    found: list[Provider] = []
    for name, table in tables.items():
        try:
            found.append(_provider(name, msgspec.convert(table, _Row)))
        except ValueError as fault:  # msgspec's is one, too
            faults.append(f"[{name}] {fault}")
    trusted = [one.issuer for one in found if one.trust is not None]
    if twice := sorted({issuer for issuer in trusted if trusted.count(issuer) > 1}):
        faults.append(f"two tables say how far the tokens of {', '.join(twice)} are trusted: leave one of them")
    if len(found) > MOST_PROVIDERS:
        faults.append(f"there are {len(found)} providers, and {MOST_PROVIDERS} at most")
    if faults:
        raise ValueError("; ".join(faults))
    return tuple(found)


def _provider(name: str, row: _Row) -> Provider:
    if not re.fullmatch(r"[a-z][a-z0-9-]{0,29}", name):
        raise ValueError("its name stands in addresses: small letters, digits and dashes, at most 30")
    kind = row.kind or (name if name in _READY else "oidc")
    made = _READY[kind](name, row)
    changed = {
        "name": row.name,
        "button": row.button,
        "scopes": row.scopes,
        "algorithms": row.algorithms,
        "response_mode": row.response_mode,
    }
    made = msgspec.structs.replace(made, **{field: value for field, value in changed.items() if value})
    if kind != "github" and "openid" not in made.scopes:
        raise ValueError("scopes need openid, without which there is no ID token")
    if row.tokens is not None:
        if kind != "oidc":
            raise ValueError(
                f"tokens: access tokens of {made.name} are made for its own servers; only those of an issuer of your own"
                ' (kind "oidc") can be made for this installation'
            )
        made = msgspec.structs.replace(made, trust=checked_trust(row.tokens, row.client_id))
    return msgspec.structs.replace(made, button=made.button or f"Continue with {made.name}")


def _google(name: str, row: _Row) -> Provider:
    return _oidc_at("https://accounts.google.com", name, row, shown="Google", kind="google")


def _microsoft(name: str, row: _Row) -> Provider:
    tenant = row.tenant or "common"
    if not re.fullmatch(rf"common|organizations|consumers|{_UUID}", tenant):
        raise ValueError("tenant: common, organizations, consumers, or the id of one tenant")
    at = "https://login.microsoftonline.com"
    single = re.fullmatch(_UUID, tenant) is not None
    issuer = f"{at}/{tenant if single else TENANT}/v2.0"
    made = _oidc_at(issuer, name, row, shown="Microsoft", kind="microsoft")
    return msgspec.structs.replace(made, discovery=f"{at}/{tenant}/v2.0/.well-known/openid-configuration")


def _apple(name: str, row: _Row) -> Provider:
    if not (row.team_id and row.key_id and row.key):
        raise ValueError("needs team_id, key_id and key (the .p8 file from Apple's developer pages)")
    issuer = "https://appleid.apple.com"
    pem = row.key.replace("\\n", "\n").strip() + "\n"
    load_apple_key(pem)
    row = msgspec.structs.replace(row, client_secret="made for each exchange")  # noqa: S106
    made = _oidc_at(issuer, name, row, shown="Apple", kind="apple")
    return msgspec.structs.replace(
        made,
        client_secret="",
        apple=AppleKey(row.team_id, row.key_id, pem),
        scopes=("openid", "email", "name"),
        response_mode="form_post",  # Apple insists on it for whoever asks for more than openid
        secret_in="form",  # noqa: S106 - where it stands
    )


def _oidc(name: str, row: _Row) -> Provider:
    if not row.issuer:
        raise ValueError("needs issuer: the address of the provider, as its tokens name it")
    checked_url(row.issuer, "issuer")
    # To the letter, with a slash at its end or without: tokens name it so.
    return _oidc_at(row.issuer, name, row, shown=name.capitalize(), kind="oidc")


def _oidc_at(issuer: str, name: str, row: _Row, *, shown: str, kind: Kind) -> Provider:
    if row.issuer not in {"", issuer}:
        raise ValueError(f'issuer: that of this kind is {issuer}; use kind = "oidc" for another')
    if not row.client_secret:
        raise ValueError("needs client_secret")
    return Provider(
        id=name,
        kind=kind,
        name=shown,
        button="",
        issuer=issuer,
        discovery=issuer.rstrip("/") + "/.well-known/openid-configuration",
        client_id=row.client_id,
        client_secret=row.client_secret,
        secret_in=row.secret_in,
        trust_email=row.trust_email,
    )


def _github(name: str, row: _Row) -> Provider:
    if not row.client_secret:
        raise ValueError("needs client_secret")
    at = checked_url(row.url or "https://github.com", "url")
    api = checked_url(row.api_url or "https://api.github.com", "api_url")
    return Provider(
        id=name,
        kind="github",
        name="GitHub",
        button="",
        issuer=at,
        discovery="",
        client_id=row.client_id,
        client_secret=row.client_secret,
        scopes=("read:user", "user:email"),
        secret_in="form",  # noqa: S106 - where it stands
        fixed=Metadata(at, f"{at}/login/oauth/authorize", f"{at}/login/oauth/access_token"),
        user_url=f"{api}/user",
    )


_READY: Final = {
    "oidc": _oidc,
    "google": _google,
    "apple": _apple,
    "microsoft": _microsoft,
    "github": _github,
}


def load_apple_key(pem: str) -> EllipticCurvePrivateKey:
    """The key in `pem`. Raises ValueError."""
    try:
        key = serialization.load_pem_private_key(pem.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as cause:
        raise ValueError("key is not an unencrypted private key in PEM form: take Apple's .p8 file") from cause
    if not isinstance(key, EllipticCurvePrivateKey) or key.curve.name != SECP256R1.name:
        raise ValueError("key is a key of another kind: take Apple's .p8 file")
    return key


def checked_url(url: str, what: str, *, plain: bool = True) -> str:
    """The address without a slash at its end. Raises ValueError unless it is https, or (`plain`) http to this machine, which is for
    trying things out."""
    parts = urlsplit(url)
    local = plain and parts.scheme == "http" and parts.hostname in _LOOPBACK
    if not (parts.scheme == "https" or local) or not parts.hostname or "@" in parts.netloc or parts.fragment:
        raise ValueError(f"{what}: it has to be an address with https://")
    return url.rstrip("/")


# -- what an issuer says of itself ------------------------------------------------------------------------------------


def read_metadata(provider: Provider, body: bytes) -> Metadata:
    """The metadata in a discovery document of this provider. Raises BadDocument."""
    try:
        told = msgspec.json.decode(body, type=Metadata)
    except msgspec.MsgspecError as cause:
        raise BadDocument(f"its metadata are not what OpenID Connect says: {cause}") from cause
    if told.issuer != provider.issuer:
        raise BadDocument("its metadata name another issuer than the one that was asked")
    if not told.jwks_uri:
        raise BadDocument("its metadata do not say where its keys are")
    local = urlsplit(provider.issuer).scheme == "http"
    ends: Mapping[str, str] = msgspec.structs.asdict(told)
    for name in ("authorization_endpoint", "token_endpoint", "jwks_uri", "userinfo_endpoint"):
        if ends[name]:
            try:
                checked_url(ends[name], name, plain=local)
            except ValueError as cause:
                raise BadDocument(str(cause)) from cause
    return told
