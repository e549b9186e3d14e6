"""The provider itself.

Lies, each told in every ID token until `lie` is another one:

    nonce, issuer, audience, azp, expired, future, old, subject     a claim that is wrong (subject: it is empty)
    two_audiences         it is meant for us and for somebody else
    none                  no signature, and says so
    hs256                 signed with the public key as a shared secret
    jwk, jku              signed with a key of a stranger, which the header brings along or points to
    stranger              the same, under the name of the real key
    kid                   signed with the real key under a name that nobody knows
    at_hash               it belongs to another access token
    access                it says that it is an access token
    flipped               one bit of its signature is another
    crit                  it asks for an extension to be understood
    userinfo              no lie in the token, but the userinfo are about somebody else
    iss                   the answer to the browser names another issuer
    no_iss                the answer to the browser names none, though the metadata say it always does
    metadata              the metadata name another issuer
"""

import base64
import hashlib
import hmac
import html
import json
import secrets
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qsl, unquote_plus, urlencode, urlsplit

import jwt
from aiohttp import web
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key

from tests.support.providers.http_server import HttpProvider, serving

CLIENT_ID: Final = "paceline-tests"
CLIENT_SECRET: Final = "a secret / of two"
TOKEN_S: Final = 300
STRANGER: Final = "https://stranger.example"


@dataclass
class Person:
    """Somebody with an account at the provider."""

    subject: str
    email: str | None = None
    email_verified: bool = True
    name: str | None = None


@dataclass
class _Code:
    person: Person
    asked: dict[str, str]
    used: bool = False


@dataclass
class _Key:
    kid: str
    private: RSAPrivateKey = field(default_factory=lambda: generate_private_key(65_537, 2_048))


class IdentityProvider(HttpProvider):
    """One issuer with one client. `asked_for` counts what was asked for: "keys", "metadata", "token", "userinfo"."""

    def __init__(self, now_s: Callable[[], float] = time.time) -> None:
        super().__init__()
        self.people: list[Person] = []
        self.lie = ""
        self.in_userinfo = False
        """Whether address and name are told by the userinfo alone."""
        self.apple_key: EllipticCurvePublicKey | None = None
        """What a signed client secret is checked with, in place of the secret."""
        self.key = _Key("first")
        self.asked_for: dict[str, int] = {}
        self.forms: Final[list[dict[str, str]]] = []
        """What the token endpoint was sent."""
        self._now_s: Final = now_s
        self._codes: Final[dict[str, _Code]] = {}
        self._tokens: Final[dict[str, Person]] = {}
        self._stranger: Final = _Key("first")

    @property
    def issuer(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def toml(self, table: str, **more: object) -> str:
        """A table for the file of providers."""
        rows = {"issuer": self.issuer, "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET, **more}
        return f"[{table}]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in rows.items())

    def github(self, name: str = "github") -> str:
        """The same, for who takes this for GitHub."""
        rows = {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET, "url": self.issuer, "api_url": self.issuer}
        return f'[{name}]\nkind = "github"\n' + "".join(f"{key} = {json.dumps(value)}\n" for key, value in rows.items())

    def rotate(self) -> None:
        """Another key signs from now on; the old one is published no more."""
        self.key = _Key(secrets.token_hex(4))

    def say_yes(self, url: str, subject: str) -> dict[str, str]:
        """What comes of a person's click on the page at `url`: the fields of the answer that their browser takes along."""
        asked = dict(parse_qsl(urlsplit(url).query))
        person = next(one for one in self.people if one.subject == subject)
        return self._answer(asked, person)

    # -- what it answers ------------------------------------------------------------------------------------------

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/.well-known/openid-configuration", self._metadata)
        app.router.add_get("/keys", self._keys)
        for url in ("/authorize", "/login/oauth/authorize"):
            app.router.add_get(url, self._page)
            app.router.add_post(url, self._clicked)
        for url in ("/token", "/login/oauth/access_token"):
            app.router.add_post(url, self._token)
        app.router.add_get("/userinfo", self._userinfo)
        app.router.add_get("/user", self._github_user)
        app.router.add_get("/user/emails", self._github_emails)
        return app

    def _count(self, what: str) -> None:
        self.asked_for[what] = self.asked_for.get(what, 0) + 1

    async def _metadata(self, _: web.Request) -> web.Response:
        self._count("metadata")
        at = self.issuer
        return web.json_response(
            {
                "issuer": STRANGER if self.lie == "metadata" else at,
                "authorization_endpoint": f"{at}/authorize",
                "token_endpoint": f"{at}/token",
                "userinfo_endpoint": f"{at}/userinfo",
                "jwks_uri": f"{at}/keys",
                "response_types_supported": ["code"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": ["RS256"],
                "code_challenge_methods_supported": ["S256"],
                "authorization_response_iss_parameter_supported": True,
            }
        )

    async def _keys(self, _: web.Request) -> web.Response:
        self._count("keys")
        return web.json_response({"keys": [_jwk(self.key), {"kty": "oct", "kid": "x", "k": "c2VjcmV0"}]})

    async def _page(self, request: web.Request) -> web.Response:
        asked = dict(request.query)
        if (why := _why_not(asked)) is not None:
            return web.Response(status=400, text=why)
        hidden = "".join(
            f'<input type="hidden" name="{html.escape(name)}" value="{html.escape(value)}">'
            for name, value in asked.items()
        )
        buttons = "".join(
            f'<p><button name="who" value="{html.escape(one.subject)}">{html.escape(one.name or one.subject)}</button></p>'
            for one in self.people
        )
        return web.Response(
            content_type="text/html",
            text='<!doctype html><html lang="en"><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width"><title>Who are you?</title><h1>Who are you?</h1>'
            f'<form method="post">{hidden}{buttons}<p><button name="who" value="">Nobody</button></p></form>',
        )

    async def _clicked(self, request: web.Request) -> web.Response:
        asked = {name: str(value) for name, value in (await request.post()).items()}
        who = asked.pop("who", "")
        person = next((one for one in self.people if one.subject == who), None)
        answer = {"error": "access_denied", "state": asked["state"], "iss": self.issuer}
        if person is not None:
            answer = self._answer(asked, person)
        if asked.get("response_mode") == "form_post":
            hidden = "".join(f'<input type="hidden" name="{k}" value="{html.escape(v)}">' for k, v in answer.items())
            return web.Response(
                content_type="text/html",
                text='<!doctype html><html lang="en"><meta charset="utf-8"><title>Back</title>'
                f'<form method="post" action="{html.escape(asked["redirect_uri"])}">{hidden}<button>Go back</button></form>'
                "<script>document.forms[0].submit()</script>",
            )
        return web.Response(status=303, headers={"Location": f"{asked['redirect_uri']}?{urlencode(answer)}"})

    def _answer(self, asked: dict[str, str], person: Person) -> dict[str, str]:
        why = _why_not(asked)
        assert why is None, why
        code = secrets.token_urlsafe(16)
        self._codes[code] = _Code(person, asked)
        answer = {"code": code, "state": asked["state"], "iss": STRANGER if self.lie == "iss" else self.issuer}
        if self.lie == "no_iss":
            del answer["iss"]
        return answer

    async def _token(self, request: web.Request) -> web.StreamResponse:
        self._count("token")
        self.note(request)
        form = {name: str(value) for name, value in (await request.post()).items()}
        self.forms.append(form)
        fault = self.faults.meet()
        if (broken := await self.break_off(request, fault)) is not None:
            return broken
        if fault is not None:
            return web.json_response({"error": "server_error"}, status=fault.status or 500)
        if not self._is_client(request.headers.get("Authorization", ""), form):
            return web.json_response({"error": "invalid_client"}, status=401)
        code = self._codes.get(form.get("code", ""))
        if code is None or code.used or not _proves(form, code.asked):
            return web.json_response({"error": "invalid_grant"}, status=400)
        code.used = True
        access = secrets.token_urlsafe(24)
        self._tokens[access] = code.person
        granted = {"access_token": access, "token_type": "Bearer", "expires_in": TOKEN_S}
        if request.path == "/token":
            granted["id_token"] = self.id_token(code.person, code.asked.get("nonce", ""), access)
        return web.json_response(granted)

    def _is_client(self, authorization: str, form: dict[str, str]) -> bool:
        if authorization.startswith("Basic "):
            user, _, password = base64.b64decode(authorization[6:]).decode().partition(":")
            return (unquote_plus(user), unquote_plus(password)) == (CLIENT_ID, CLIENT_SECRET)
        if self.apple_key is not None:
            try:
                options = {"verify_exp": False, "verify_iat": False}
                claims = jwt.decode(
                    form["client_secret"],
                    self.apple_key,
                    algorithms=["ES256"],
                    audience=self.issuer,
                    options=options,  # type: ignore[arg-type]
                )
            except (jwt.InvalidTokenError, KeyError):
                return False
            return bool(claims["sub"] == CLIENT_ID and claims["iat"] <= self._now_s() < claims["exp"])
        return (form.get("client_id"), form.get("client_secret")) == (CLIENT_ID, CLIENT_SECRET)

    def id_token(self, person: Person, nonce: str, access: str, audience: str = CLIENT_ID) -> str:
        """An ID token, with the lie that is told now."""
        now = int(self._now_s())
        claims: dict[str, Any] = {
            "iss": self.issuer,
            "sub": person.subject,
            "aud": audience,
            "iat": now,
            "exp": now + TOKEN_S,
            "nonce": nonce,
            "at_hash": _half_hash(access),
        }
        if not self.in_userinfo:
            claims |= _told(person)
        lies: dict[str, dict[str, Any]] = {
            "nonce": {"nonce": "another"},
            "issuer": {"iss": STRANGER},
            "audience": {"aud": "somebody-else"},
            "two_audiences": {"aud": [audience, "somebody-else"]},
            "azp": {"azp": "somebody-else"},
            "expired": {"exp": now - 120},
            "future": {"iat": now + 600, "exp": now + 900},
            "old": {"iat": now - 3_600},
            "subject": {"sub": ""},
            "at_hash": {"at_hash": _half_hash("another")},
        }
        claims |= lies.get(self.lie, {})
        return self._signed(claims)

    def access_token(self, person: Person, audience: str, scope: str) -> str:
        """An access token for a server that trusts this issuer (RFC 9068)."""
        now = int(self._now_s())
        claims = {
            "iss": self.issuer,
            "sub": person.subject,
            "aud": audience,
            "client_id": "an-app",
            "scope": scope,
            "iat": now,
            "exp": now + TOKEN_S,
        }
        headers = {"kid": self.key.kid, "typ": "at+jwt"}
        return jwt.encode(claims, self.key.private, "RS256", headers=headers)

    def _signed(self, claims: dict[str, Any]) -> str:
        header: dict[str, Any] = {"kid": self.key.kid}
        private: RSAPrivateKey = self.key.private
        match self.lie:
            case "none":
                return jwt.encode(claims, "", "none", headers=header)
            case "hs256":
                return _by_hand({"alg": "HS256", "typ": "JWT", **header}, claims, _pem(self.key))
            case "jwk":
                header["jwk"], private = _jwk(self._stranger), self._stranger.private
            case "jku":
                header["jku"], private = f"{STRANGER}/keys", self._stranger.private
            case "stranger":
                private = self._stranger.private
            case "kid":
                header["kid"] = "../../etc/passwd' OR 1=1 --"
            case "access":
                header["typ"] = "at+jwt"
            case "crit":
                header["crit"] = ["b64"]
        token = jwt.encode(claims, private, "RS256", headers=header)
        if self.lie == "flipped":
            head, payload, signature = token.split(".")
            raw = bytearray(base64.urlsafe_b64decode(signature + "=="))
            raw[7] ^= 1
            token = f"{head}.{payload}.{_base64(bytes(raw))}"
        return token

    async def _userinfo(self, request: web.Request) -> web.Response:
        self._count("userinfo")
        person = self._person(request)
        subject = "somebody-else" if self.lie == "userinfo" else person.subject
        return web.json_response({"sub": subject, **_told(person)})

    async def _github_user(self, request: web.Request) -> web.Response:
        person = self._person(request)
        return web.json_response({"id": int(person.subject), "login": f"user{person.subject}", "name": person.name})

    async def _github_emails(self, request: web.Request) -> web.Response:
        person = self._person(request)
        other = {"email": "other@example.org", "primary": False, "verified": True}
        return web.json_response(
            [other, {"email": person.email, "primary": True, "verified": person.email_verified}] if person.email else []
        )

    def _person(self, request: web.Request) -> Person:
        person = self._tokens.get(request.headers.get("Authorization", "").removeprefix("Bearer "))
        if person is None or not request.headers.get("User-Agent"):
            raise web.HTTPUnauthorized
        return person


@asynccontextmanager
async def open_identity_provider(
    *, now_s: Callable[[], float] = time.time, port: int = 0
) -> AsyncIterator[IdentityProvider]:
    """A provider that listens while inside."""
    provider = IdentityProvider(now_s)
    async with serving(provider, provider.app(), port=port, tls=False):
        yield provider


def _why_not(asked: dict[str, str]) -> str | None:
    """What a provider should refuse in a request for a code."""
    if asked.get("client_id") != CLIENT_ID:
        return "no such client"
    if asked.get("response_type") != "code" or asked.get("code_challenge_method") != "S256":
        return "a code with PKCE by S256 is needed"
    if len(asked.get("code_challenge", "")) != 43 or not asked.get("state") or not asked.get("redirect_uri"):
        return "code_challenge, state and redirect_uri are needed"
    return None


def _proves(form: dict[str, str], asked: dict[str, str]) -> bool:
    """Return address and PKCE (RFC 7636, 4.6)."""
    challenge = _base64(hashlib.sha256(form.get("code_verifier", "").encode()).digest())
    return (
        form.get("grant_type") == "authorization_code"
        and form.get("redirect_uri") == asked["redirect_uri"]
        and challenge == asked["code_challenge"]
    )


def _told(person: Person) -> dict[str, Any]:
    told: dict[str, Any] = {}
    if person.email is not None:
        told |= {"email": person.email, "email_verified": person.email_verified}
    if person.name is not None:
        told["name"] = person.name
    return told


def _jwk(key: _Key) -> dict[str, Any]:
    return {**json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(key.private.public_key())), "kid": key.kid, "use": "sig"}


def _pem(key: _Key) -> bytes:
    public = key.private.public_key()
    return public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def _by_hand(header: dict[str, Any], claims: dict[str, Any], secret: bytes) -> str:
    """HS256 with a secret that no library lets one use."""
    said = ".".join(_base64(json.dumps(part).encode()) for part in (header, claims))
    return f"{said}.{_base64(hmac.digest(secret, said.encode(), 'sha256'))}"


def _half_hash(access: str) -> str:
    return _base64(hashlib.sha256(access.encode()).digest()[:16])


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
