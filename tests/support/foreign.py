"""An issuer of access tokens that is trusted, on paper: it has keys and signs, and nobody listens. And the confusion set of what
looks like a token of it and is not, by name (OWASP API2, ASVS 9.1.1 to 9.2.4, RFC 9068)."""

import hashlib
import hmac
import json
import uuid
from collections.abc import Callable
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from persistence.stores import Transactions
from services.accounts.identity import Identity
from services.accounts.keyring import load_key, make_key
from services.accounts.provider import Provider, read_providers
from services.accounts.sign_in_ports import IssuerDocuments
from services.kernel.clock import Clock
from services.kernel.ids import AccountId, IdentityId, Ids
from tests.support.confusion import part, spelled

OURS: Final = "https://paceline.example.org"
CLIENT_ID: Final = "paceline-web"
WATCH: Final = "the-watch"
TYPE: Final = "at+jwt"
_RSA: Final = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
_OUR_KEY: Final = load_key(make_key())

Key = ec.EllipticCurvePrivateKey


class Issuer:
    """One issuer, whose table in the operator's file is `name`. It signs with ES256, by the key "first" unless by another."""

    def __init__(self, clock: Clock, name: str = "studio") -> None:
        self.name: Final = name
        self.url: Final = f"https://login.{name}.example"
        self.clock: Final = clock
        self.keys: Final[dict[str, Key]] = {"first": _key()}
        self.more: Final[dict[str, tuple[Key, dict[str, object]]]] = {
            "for secrets": (_key(), {"use": "enc"}),
            "only signs": (_key(), {"key_ops": ["sign"]}),
            "another algorithm": (_key(), {"alg": "ES384"}),
        }
        """Keys that it publishes and that check no token."""

    @property
    def now_s(self) -> int:
        return self.clock.wall_ms() // 1_000

    def toml(self, more: str = "") -> str:
        """Its table; `more` goes into the part about tokens."""
        return (
            f'[{self.name}]\nissuer = "{self.url}"\nclient_id = "{CLIENT_ID}"\nclient_secret = "secret"\nname = "the studio"\n'
            f'algorithms = ["ES256", "ES384", "RS256"]\n[{self.name}.tokens]\naudience = "{OURS}"\n{more}\n'
            f'[{self.name}.tokens.scopes]\n"studio.me" = ["profile:read"]\n'
            '"studio.ride" = ["live:stream", "classes:join", "classes:read"]\n'
        )

    def provider(self, more: str = "") -> Provider:
        (provider,) = read_providers(self.toml(more))
        return provider

    def jwks(self) -> bytes:
        told = [_jwk(kid, key) for kid, key in self.keys.items()]
        told += [{**_jwk(kid, key), **about} for kid, (key, about) in self.more.items()]
        return json.dumps({"keys": told}).encode()

    def claims(self, **changes: object) -> dict[str, object]:
        """Good claims, but for `changes`; None takes one away."""
        good: dict[str, object] = {
            "iss": self.url,
            "aud": OURS,
            "sub": "anna-1",
            "client_id": WATCH,
            "scope": "openid studio.me",
            "iat": self.now_s,
            "exp": self.now_s + 600,
            "jti": str(uuid.UUID(int=7)),
            **changes,
        }
        return {name: value for name, value in good.items() if value is not None}

    def header(self, **changes: object) -> dict[str, object]:
        return {"alg": "ES256", "typ": TYPE, "kid": "first", **changes}

    def token(self, **changes: object) -> str:
        """A good token, but for these claims."""
        return self.signed(self.claims(**changes))

    def signed(self, claims: dict[str, object] | None = None, by: Key | None = None, **header: object) -> str:
        key = by or self.keys["first"]

        def sign(text: bytes) -> bytes:
            r, s = decode_dss_signature(key.sign(text, ec.ECDSA(hashes.SHA256())))
            return r.to_bytes(32, "big") + s.to_bytes(32, "big")

        return by_hand(self.header(**header), self.claims() if claims is None else claims, sign)

    def hmac(self, secret: bytes, algorithm: str = "HS256") -> str:
        return by_hand(
            self.header(alg=algorithm), self.claims(), lambda text: hmac.new(secret, text, hashlib.sha256).digest()
        )

    def pem(self) -> bytes:
        public = self.keys["first"].public_key()
        return public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)

    async def publish(self, transactions: Transactions) -> None:
        """What a worker does: keep what it publishes."""
        async with transactions() as stores:
            await stores.issuers.want(self.url, self.clock.wall_ms())
            await stores.issuers.save(IssuerDocuments(self.url, b"{}", self.jwks(), self.clock.wall_ms()))

    async def link(self, transactions: Transactions, ids: Ids, account_id: AccountId, subject: str = "anna-1") -> None:
        """What signing in with it does."""
        now = self.clock.wall_ms()
        identity = Identity(
            id=IdentityId(ids.next()),
            issuer=self.url,
            subject=subject,
            account_id=account_id,
            provider=self.name,
            email=None,
            linked_ms=now,
            used_ms=now,
        )
        async with transactions() as stores:
            assert await stores.identities.add(identity)


def by_hand(header: dict[str, object], claims: dict[str, object], sign: Callable[[bytes], bytes]) -> str:
    text = f"{part(header)}.{part(claims)}"
    return f"{text}.{spelled(sign(text.encode()))}"


def _key() -> Key:
    return ec.generate_private_key(ec.SECP256R1())


def _jwk(kid: str, key: Key) -> dict[str, Any]:
    return {**json.loads(jwt.algorithms.ECAlgorithm.to_jwk(key.public_key())), "kid": kid, "use": "sig"}


STRANGER: Final = _key()


def _rsa(text: bytes) -> bytes:
    return _RSA.sign(text, padding.PKCS1v15(), hashes.SHA256())


def _flipped(token: str) -> str:
    head, payload, signature = token.split(".")
    return f"{head}.{payload}.{'B' if signature[0] == 'A' else 'A'}{signature[1:]}"


def _deep(issuer: Issuer) -> str:
    """A payload that is nested deeper than a reader goes, and names the issuer before that."""
    payload = f'{{"iss":"{issuer.url}","x":{"[" * 2_000}{"]" * 2_000}}}'
    return f"{part(issuer.header())}.{spelled(payload.encode())}.{spelled(b'signature')}"


SET: Final[dict[str, tuple[Callable[[Issuer], str], str]]] = {
    # -- the algorithm is agreed on, and goes with the key
    "9.1.2 none": (lambda i: by_hand(i.header(alg="none"), i.claims(), lambda _: b""), "algorithm"),
    "9.1.2 none with a signature": (lambda i: i.signed(alg="none"), "algorithm"),
    "9.1.2 no signature": (lambda i: i.signed().rpartition(".")[0] + ".", "signature"),
    "9.1.2 HS256 with the public PEM": (lambda i: i.hmac(i.pem()), "algorithm"),
    "9.1.2 HS256 that says ES256": (lambda i: i.hmac(i.pem(), "ES256"), "signature"),
    "9.1.2 HS256 with nothing": (lambda i: i.hmac(b""), "algorithm"),
    "9.1.2 RS256 under the name of its key": (
        lambda i: by_hand(i.header(alg="RS256"), i.claims(), _rsa),
        "go with its key",
    ),
    "9.1.2 an algorithm for another curve": (lambda i: i.signed(alg="ES384"), "go with its key"),
    "9.1.2 an algorithm that is a list": (lambda i: i.signed(alg=["ES256"]), "not a token"),
    # -- the key is the issuer's own, and for this
    "9.1.3 a stranger's key under the name of its key": (lambda i: i.signed(by=STRANGER), "signature"),
    "9.1.3 a stranger's key": (lambda i: i.signed(by=STRANGER, kid="stranger"), "not published"),
    "9.1.3 jwk": (lambda i: i.signed(by=STRANGER, kid="x", jwk=_jwk("x", STRANGER)), "not published"),
    "9.1.3 jwk under the name of its key": (lambda i: i.signed(by=STRANGER, jwk=_jwk("first", STRANGER)), "signature"),
    "9.1.3 jku": (lambda i: i.signed(by=STRANGER, jku="https://evil.example/keys"), "signature"),
    "9.1.3 x5u": (lambda i: i.signed(by=STRANGER, x5u="https://evil.example/cert"), "signature"),
    "9.1.3 kid of a file": (lambda i: i.signed(kid="../../dev/null"), "not published"),
    "9.1.3 kid of SQL": (lambda i: i.signed(kid="' UNION SELECT 'key' --"), "not published"),
    "9.1.3 no kid": (lambda i: i.signed(kid=""), "not published"),
    "9.1.3 a key for secrets": (lambda i: i.signed(by=i.more["for secrets"][0], kid="for secrets"), "not published"),
    "9.1.3 a key that only signs": (lambda i: i.signed(by=i.more["only signs"][0], kid="only signs"), "not published"),
    "9.1.3 a key for another algorithm": (
        lambda i: i.signed(by=i.more["another algorithm"][0], kid="another algorithm"),
        "another algorithm",
    ),
    "9.1.3 our own key": (
        lambda i: by_hand(
            i.header(alg="EdDSA", kid=_OUR_KEY.kid), i.claims(), lambda text: _OUR_KEY.private.sign(text)
        ),
        "algorithm",
    ),
    "9.1.1 crit": (lambda i: i.signed(crit=["b64"]), "extensions"),
    "9.1.1 a flipped bit": (lambda i: _flipped(i.signed()), "signature"),
    "9.1.1 padded": (lambda i: i.signed() + "=", "spelling"),
    "9.1.1 with a space within": (lambda i: i.signed().replace(".", " .", 1), "token"),
    # -- the type
    "9.2.2 an ID token": (
        lambda i: i.signed(i.claims(aud=CLIENT_ID, client_id=None, scope=None, nonce="n"), typ="JWT"),
        "something else",
    ),
    "9.2.2 an ID token for our name": (
        lambda i: i.signed(i.claims(client_id=None, nonce="n"), typ="JWT"),
        "something else",
    ),
    "9.2.2 no type": (lambda i: i.signed(typ=""), "something else"),
    "9.2.2 a logout token": (lambda i: i.signed(typ="logout+jwt"), "something else"),
    "9.2.2 the type of a ticket": (lambda i: i.signed(typ="ticket+jwt"), "something else"),
    "9.2.2 without a program": (lambda i: i.token(client_id=None), "access token"),
    # -- for whom, by whom
    "9.2.3 another audience": (lambda i: i.token(aud="https://other.example"), "somebody else"),
    "9.2.3 ours among others": (lambda i: i.token(aud=[OURS, "https://other.example"]), "somebody else"),
    "9.2.3 the audience of ID tokens": (lambda i: i.token(aud=CLIENT_ID), "somebody else"),
    "9.2.3 the audience of our own tokens": (lambda i: i.token(aud="paceline"), "somebody else"),
    "9.2.3 ours in another spelling": (lambda i: i.token(aud=f"{OURS}/"), "somebody else"),
    "9.2.3 no audience": (lambda i: i.token(aud=None), "access token"),
    "9.2.3 no audience in a list": (lambda i: i.token(aud=[]), "somebody else"),
    # -- about whom
    "10.3.3 no subject": (lambda i: i.token(sub=None), "access token"),
    "10.3.3 an empty subject": (lambda i: i.token(sub=""), "access token"),
    "10.3.3 a subject of 300 characters": (lambda i: i.token(sub="x" * 300), "access token"),
    "10.3.3 a subject with a NUL": (lambda i: i.token(sub="anna-1\0"), "no name has"),
    "10.3.3 a program that speaks for itself": (lambda i: i.token(sub=WATCH), "no person"),
    "10.3.5 bound to a key of its client": (lambda i: i.token(cnf={"jkt": "x"}), "bound"),
    # -- from when on, until when
    "9.2.1 no end": (lambda i: i.token(exp=None), "access token"),
    "9.2.1 an end that is a text": (lambda i: i.token(exp="tomorrow"), "access token"),
    "9.2.1 no beginning": (lambda i: i.token(iat=None), "access token"),
    "9.2.1 from the future": (lambda i: i.token(iat=i.now_s + 61, exp=i.now_s + 600), "future"),
    "9.2.1 not yet": (lambda i: i.token(nbf=i.now_s + 61), "future"),
    "9.2.1 for longer than is trusted": (lambda i: i.token(exp=i.now_s + 3_601), "60 minutes"),
    "9.2.1 for ever": (lambda i: i.token(exp=1e300), "60 minutes"),
}
"""What is refused, and a word of why. Each names an issuer that is trusted, so none is taken for a token of ours."""

ELSEWHERE: Final[dict[str, Callable[[Issuer], str]]] = {
    "9.2.4 another issuer": lambda i: i.token(iss="https://login.evil.example"),
    "9.2.4 the issuer with a slash": lambda i: i.token(iss=f"{i.url}/"),
    "9.2.4 the issuer in other letters": lambda i: i.token(iss=i.url.upper()),
    "9.2.4 no issuer": lambda i: i.token(iss=None),
    "9.2.4 an issuer that is a list": lambda i: i.token(iss=[i.url]),
    "9.2.4 our own name": lambda i: i.token(iss="paceline", aud="paceline"),
    "9.1.1 nested deeper than one may read": _deep,
    "9.1.1 longer than a header may be": lambda i: i.token(x="x" * 8_000),
}
"""What names no issuer that is trusted: it is judged as a token of ours, and refused as one."""
