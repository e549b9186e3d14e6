"""Tokens that look like ours and are not: the confusion set, by name (OWASP API2, ASVS 9.1.1 to 9.2.4).

One set for every place where a token is taken: HTTP, the socket's handshake, the renewal on the open socket.
"""

import base64
import hashlib
import hmac
import json
import uuid
from collections.abc import Callable
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from services.accounts.keyring import SigningKey, load_key, make_key
from services.accounts.ticket import AUDIENCE as TICKET_AUDIENCE
from services.accounts.ticket import TYPE as TICKET_TYPE
from services.accounts.tokens import AUDIENCE, make_refresh_token

_RSA: Final = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
_EC: Final = ec.generate_private_key(ec.SECP256R1())


class Forger:
    """What somebody may try who has one good token and the public keys; and, for what a signature cannot tell, our own key."""

    def __init__(self, key: SigningKey, now_ms: int) -> None:
        self.key: Final = key
        self.now_s: Final = now_ms // 1_000

    def claims(self, **changes: object) -> dict[str, object]:
        """Good claims, but for `changes`; None takes one away."""
        good: dict[str, object] = {
            "iss": "paceline",
            "aud": AUDIENCE,
            "sub": str(uuid.UUID(int=1)),
            "lid": str(uuid.UUID(int=1)),
            "roles": ["member"],
            "name": "Anna",
            "iat": self.now_s,
            "exp": self.now_s + 900,
            **changes,
        }
        return {name: value for name, value in good.items() if value is not None}

    def header(self, **changes: object) -> dict[str, object]:
        return {"alg": "EdDSA", "typ": "at+jwt", "kid": self.key.kid, **changes}

    def signed(self, claims: dict[str, object] | None = None, by: SigningKey | None = None, **header: object) -> str:
        """By our own key unless by another: only what it says is wrong."""
        return self.with_signature(
            self.header(**header), self.claims() if claims is None else claims, (by or self.key).private.sign
        )

    def with_signature(
        self, header: dict[str, object], claims: dict[str, object], sign: Callable[[bytes], bytes]
    ) -> str:
        text = f"{part(header)}.{part(claims)}"
        return f"{text}.{spelled(sign(text.encode()))}"

    def hmac(self, secret: bytes) -> str:
        return self.with_signature(
            self.header(alg="HS256"), self.claims(), lambda text: hmac.new(secret, text, hashlib.sha256).digest()
        )


def part(value: object) -> str:
    return spelled(json.dumps(value).encode())


def spelled(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def jwk(other: SigningKey) -> dict[str, str]:
    return {"kty": "OKP", "crv": "Ed25519", "x": spelled(raw(other)), "kid": other.kid}


def raw(key: SigningKey) -> bytes:
    return key.public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)


def pem(key: SigningKey) -> bytes:
    return key.public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


OTHER: Final = load_key(make_key())

SET: Final[dict[str, Callable[[Forger], str]]] = {
    # -- 9.1.2, 9.1.3: the algorithm is ours to choose
    "9.1.2 none": lambda f: f.with_signature(f.header(alg="none"), f.claims(), lambda _: b""),
    "9.1.2 none with our signature": lambda f: f.signed(alg="none"),
    "9.1.2 NoNe": lambda f: f.with_signature(f.header(alg="NoNe"), f.claims(), lambda _: b""),
    "9.1.2 no signature": lambda f: f.signed().rpartition(".")[0] + ".",
    "9.1.2 two parts": lambda f: f.signed().rpartition(".")[0],
    "9.1.2 HS256 with the public PEM": lambda f: f.hmac(pem(f.key)),
    "9.1.2 HS256 with the public bytes": lambda f: f.hmac(raw(f.key)),
    "9.1.2 HS256 with the kid": lambda f: f.hmac(f.key.kid.encode()),
    "9.1.2 HS256 with nothing": lambda f: f.hmac(b""),
    "9.1.2 RS256": lambda f: f.with_signature(
        f.header(alg="RS256"), f.claims(), lambda text: _RSA.sign(text, padding.PKCS1v15(), hashes.SHA256())
    ),
    "9.1.2 ES256": lambda f: f.with_signature(
        f.header(alg="ES256"), f.claims(), lambda text: _EC.sign(text, ec.ECDSA(hashes.SHA256()))
    ),
    "9.1.2 an algorithm that is a list": lambda f: f.signed(alg=["EdDSA"]),
    # -- 9.1.3: the key is ours to find
    "9.1.3 another key under our kid": lambda f: f.signed(by=OTHER),
    "9.1.3 another key under its own kid": lambda f: f.signed(by=OTHER, kid=OTHER.kid),
    "9.1.3 jwk": lambda f: f.signed(by=OTHER, kid=OTHER.kid, jwk=jwk(OTHER)),
    "9.1.3 jku": lambda f: f.signed(by=OTHER, kid=OTHER.kid, jku="https://example.org/jwks.json"),
    "9.1.3 x5u": lambda f: f.signed(by=OTHER, kid=OTHER.kid, x5u="https://example.org/cert.pem"),
    "9.1.3 x5c": lambda f: f.signed(by=OTHER, kid=OTHER.kid, x5c=[spelled(raw(OTHER))]),
    "9.1.3 jwk beside our own signature": lambda f: f.signed(jwk=jwk(f.key)),
    "9.1.3 kid of a file": lambda f: f.signed(kid="../../../../dev/null"),
    "9.1.3 kid of SQL": lambda f: f.signed(kid="' UNION SELECT 'key' --"),
    "9.1.3 kid of a command": lambda f: f.signed(kid="|/bin/true"),
    "9.1.3 kid of an address": lambda f: f.signed(kid="https://example.org/key"),
    "9.1.3 kid with a NUL": lambda f: f.signed(kid=f"{f.key.kid}\0"),
    "9.1.3 no kid": lambda f: f.signed(kid=None),
    "9.1.3 kid that is a list": lambda f: f.signed(kid=[f.key.kid]),
    "9.1.1 crit": lambda f: f.signed(crit=["exp"]),
    "9.1.1 zip": lambda f: f.signed(zip="DEF"),
    # -- 9.2.2: the type
    "9.2.2 an ID token": lambda f: f.signed(
        f.claims(aud="an-app", nonce="n", email="anna@example.org", lid=None, roles=None), typ="JWT"
    ),
    "9.2.2 an ID token with our audience": lambda f: f.signed(f.claims(nonce="n", lid=None, roles=None), typ="JWT"),
    "9.2.2 type JWT": lambda f: f.signed(typ="JWT"),
    "9.2.2 no type": lambda f: f.signed(typ=None),
    "9.2.2 a logout token": lambda f: f.signed(typ="logout+jwt"),
    "9.2.2 a ticket's type": lambda f: f.signed(typ=TICKET_TYPE),
    # -- 9.2.3, 9.2.4: for whom, by whom
    "9.2.3 another audience": lambda f: f.signed(f.claims(aud="another-service")),
    "9.2.3 the ticket's audience": lambda f: f.signed(f.claims(aud=TICKET_AUDIENCE)),
    "9.2.3 ours among others": lambda f: f.signed(f.claims(aud=[AUDIENCE, "another-service"])),
    "9.2.3 no audience": lambda f: f.signed(f.claims(aud=None)),
    "9.2.4 another issuer": lambda f: f.signed(f.claims(iss="https://accounts.example.org")),
    "9.2.4 no issuer": lambda f: f.signed(f.claims(iss=None)),
    # -- what it says
    "9.2.1 no end": lambda f: f.signed(f.claims(exp=None)),
    "9.2.1 an end that is a text": lambda f: f.signed(f.claims(exp="tomorrow")),
    "8.2.1 a role there is not": lambda f: f.signed(f.claims(roles=["root"])),
    "8.2.1 a screen without a class": lambda f: f.signed(f.claims(roles=["display"])),
    "8.2.1 a member who is a screen": lambda f: f.signed(
        f.claims(roles=["display", "member"], **{"class": str(uuid.UUID(int=9))})
    ),
    "8.2.1 scopes of no app": lambda f: f.signed(f.claims(scope="live:stream")),
    "8.2.1 a claim too many": lambda f: f.signed(f.claims(is_admin=True)),
    # -- what is not one at all
    "9.2.2 a refresh token": lambda _: make_refresh_token(),
    "9.2.2 a join code": lambda _: "K7TQ2M",
    "9.1.1 nothing but dots": lambda _: "..",
    "9.1.1 a token of 100 kB": lambda f: f.signed(f.claims(name="x" * 100_000)),
    "9.1.1 padded": lambda f: f.signed() + "=",
    "9.1.1 another spelling of the same bytes": lambda f: _respelled(f.signed()),
    "9.1.1 with a space within": lambda f: f.signed().replace(".", " .", 1),
}


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def _respelled(token: str) -> str:
    """The last character of a signature of 64 bytes has four bits that mean nothing."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return token[:-1] + alphabet[alphabet.index(token[-1]) ^ 1]


def decoded(token: str) -> dict[str, Any]:
    """What a token says, believed unseen."""
    claims: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    return claims
