"""What an ID token proves, and what it does not: every lie that a provider, or somebody between, could tell."""

import base64
import json
from typing import Any, Final

import jwt
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from services.accounts.id_token import Statement, proven, with_userinfo
from services.accounts.issuer_keys import IssuerKeys, KidUnknown, TokenRefused, read_keys
from services.accounts.provider import BadDocument, Provider, read_providers
from tests.support.identity_provider.server import CLIENT_ID, IdentityProvider, Person

NOW_S: Final = 1_790_000_000
NONCE: Final = "the nonce of this sign-in"
ACCESS: Final = "an access token"
ANNA: Final = Person("anna-1", "anna@example.org", name="Anna")
IDS: Final = 'client_id = "id"\nclient_secret = "secret"\n'


@pytest.fixture(scope="module")
def issuer() -> IdentityProvider:
    """It makes tokens; nobody listens."""
    return IdentityProvider(lambda: NOW_S)


def keys_of(issuer: IdentityProvider) -> IssuerKeys:
    public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(issuer.key.private.public_key()))
    return read_keys(json.dumps({"keys": [{**public, "kid": issuer.key.kid, "use": "sig"}]}).encode())


def provider_of(issuer: IdentityProvider, **changes: Any) -> Provider:
    (provider,) = read_providers(issuer.toml("studio", **changes))
    return provider


def judged(issuer: IdentityProvider, lie: str = "", person: Person = ANNA, **changes: Any) -> Statement:
    issuer.lie = lie
    token = issuer.id_token(person, NONCE, ACCESS)
    return proven(
        token, provider_of(issuer, **changes), keys_of(issuer), nonce=NONCE, now_ms=NOW_S * 1_000, access_token=ACCESS
    )


def test_a_true_token_says_who_it_is(issuer: IdentityProvider) -> None:
    assert judged(issuer) == Statement(issuer.issuer, "anna-1", "anna@example.org", True, "Anna")


@pytest.mark.parametrize(
    ("lie", "why"),
    [
        pytest.param("none", "algorithm", id="ASVS-9.1.2-none"),
        pytest.param("hs256", "algorithm", id="ASVS-9.1.2-HS256-with-the-public-key"),
        pytest.param("jwk", "signature", id="ASVS-9.1.3-jwk"),
        pytest.param("jku", "signature", id="ASVS-9.1.3-jku"),
        pytest.param("stranger", "signature", id="ASVS-9.1.1-strangers-key"),
        pytest.param("flipped", "signature", id="ASVS-9.1.1-flipped-bit"),
        pytest.param("kid", "not published", id="ASVS-9.1.3-kid-unknown"),
        pytest.param("crit", "extensions", id="ASVS-9.1.1-crit"),
        pytest.param("access", "something else", id="ASVS-9.2.2-access-token-as-ID-token"),
        pytest.param("issuer", "another issuer", id="ASVS-10.5.3-issuer"),
        pytest.param("audience", "somebody else", id="ASVS-10.5.4-audience"),
        pytest.param("two_audiences", "somebody else", id="ASVS-10.5.4-two-audiences"),
        pytest.param("azp", "given to somebody else", id="ASVS-10.5.4-azp"),
        pytest.param("nonce", "another sign-in", id="ASVS-10.5.1-nonce"),
        pytest.param("at_hash", "another access token", id="ASVS-10.5.1-at_hash"),
        pytest.param("expired", "expired", id="ASVS-9.2.1-expired"),
        pytest.param("future", "future", id="ASVS-9.2.1-from-the-future"),
        pytest.param("old", "too long ago", id="ASVS-10.5.1-issued-long-ago"),
        pytest.param("subject", "ID token", id="ASVS-10.5.2-no-subject"),
    ],
)
def test_a_lie_proves_nothing(issuer: IdentityProvider, lie: str, why: str) -> None:
    with pytest.raises(TokenRefused, match=why):
        judged(issuer, lie)


def test_a_token_without_a_nonce_answers_no_sign_in(issuer: IdentityProvider) -> None:
    """ASVS 10.5.1."""
    issuer.lie = ""
    token = issuer.id_token(ANNA, "", ACCESS)
    for nonce in ("", NONCE):
        with pytest.raises(TokenRefused, match="another sign-in"):
            proven(token, provider_of(issuer), keys_of(issuer), nonce=nonce, now_ms=NOW_S * 1_000, access_token=ACCESS)


@pytest.mark.parametrize("part", [0, 1, 2])
def test_a_token_in_another_spelling_is_none(issuer: IdentityProvider, part: int) -> None:
    """ASVS 9.1.1: a changed character is a refused token, also where it decodes to the same bytes."""
    issuer.lie = ""
    parts = issuer.id_token(ANNA, NONCE, ACCESS).split(".")
    parts[part] += "="
    with pytest.raises(TokenRefused):
        proven(".".join(parts), provider_of(issuer), keys_of(issuer), nonce=NONCE, now_ms=NOW_S * 1_000)


@pytest.mark.parametrize("token", ["", "a.b", "a.b.c.d", "..", "é.é.é", "x" * 20_000, "W10.e30.x"])
def test_what_is_no_token_is_refused(issuer: IdentityProvider, token: str) -> None:
    with pytest.raises(TokenRefused):
        proven(token, provider_of(issuer), keys_of(issuer), nonce=NONCE, now_ms=NOW_S * 1_000)


def test_clocks_may_differ_by_a_minute(issuer: IdentityProvider) -> None:
    issuer.lie = ""
    token = issuer.id_token(ANNA, NONCE, ACCESS)

    def at(offset_s: int) -> Statement:
        now_ms = (NOW_S + offset_s) * 1_000
        return proven(token, provider_of(issuer), keys_of(issuer), nonce=NONCE, now_ms=now_ms, access_token=ACCESS)

    assert at(-60).subject == at(359).subject == "anna-1"
    for late in (-61, 360):
        with pytest.raises(TokenRefused):
            at(late)


def test_an_address_counts_as_proven_only_where_the_issuer_says_so(issuer: IdentityProvider) -> None:
    """ASVS 6.8.1."""
    doubtful = Person("eve-1", "anna@example.org", email_verified=False)
    assert judged(issuer, person=doubtful).email_verified is False
    assert judged(issuer, person=doubtful, trust_email=True).email_verified is True
    assert judged(issuer, person=Person("ben-2")).email is None


def test_what_an_administrator_of_a_tenant_typed_proves_no_address() -> None:
    """ASVS 6.8.1: Microsoft's addresses count where their domain is verified (xms_edov)."""
    key = rsa.generate_private_key(65_537, 2_048)
    jwk = {**json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key())), "kid": "k"}
    (microsoft,) = read_providers(f"[microsoft]\n{IDS}")
    tenant = "72f988bf-86f1-41af-91ab-2d7cd011db47"

    def said(**claims: object) -> Statement:
        told: dict[str, object] = {
            "iss": f"https://login.microsoftonline.com/{tenant}/v2.0", "tid": tenant, "sub": "s", "aud": "id",
            "exp": NOW_S + 60, "iat": NOW_S, "nonce": NONCE, "email": "ceo@example.org", "email_verified": True,
        } | claims  # fmt: skip
        token = jwt.encode(told, key, "RS256", headers={"kid": "k", "x5t": "whatever"})
        keys = read_keys(json.dumps({"keys": [jwk]}).encode())
        return proven(token, microsoft, keys, nonce=NONCE, now_ms=NOW_S * 1_000)

    assert said().email_verified is False
    assert said(xms_edov=True).email_verified is said(xms_edov="1").email_verified is True
    assert said(xms_edov=False).email_verified is said(xms_edov=0).email_verified is False
    other = "11111111-86f1-41af-91ab-2d7cd011db47"
    with pytest.raises(TokenRefused, match="another issuer"):
        said(tid=other)
    assert said(tid=other, iss=f"https://login.microsoftonline.com/{other}/v2.0").issuer != said().issuer


class TestUserinfo:
    def test_adds_what_the_token_left_out(self, issuer: IdentityProvider) -> None:
        bare = Statement(issuer.issuer, "anna-1")
        body = b'{"sub":"anna-1","email":"anna@example.org","email_verified":"true","name":"Anna"}'
        assert with_userinfo(bare, provider_of(issuer), body) == judged(issuer)

    def test_about_somebody_else_is_refused(self, issuer: IdentityProvider) -> None:
        """OpenID Connect Core 5.3.2; ASVS 10.5.2."""
        with pytest.raises(TokenRefused, match="somebody else"):
            with_userinfo(Statement(issuer.issuer, "anna-1"), provider_of(issuer), b'{"sub":"eve-1"}')

    def test_cannot_replace_an_address_that_the_token_says(self, issuer: IdentityProvider) -> None:
        told = Statement(issuer.issuer, "anna-1", "anna@example.org", False)
        body = b'{"sub":"anna-1","email":"boss@example.org","email_verified":true}'
        assert with_userinfo(told, provider_of(issuer), body) == told


class TestKeys:
    @pytest.mark.parametrize(
        "body", [b"", b"{}", b'{"keys":[]}', b'{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}', b'{"keys":[1]}']
    )
    def test_a_set_without_a_key_for_signatures_is_not_believed(self, body: bytes) -> None:
        with pytest.raises(BadDocument):
            read_keys(body)

    def test_a_short_key_and_one_for_encryption_are_passed_over(self) -> None:
        short = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(rsa.generate_private_key(65_537, 1_024).public_key()))
        good = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(ec.generate_private_key(ec.SECP256R1()).public_key()))
        told = [{**short, "kid": "short"}, {**good, "kid": "enc", "use": "enc"}, {**good, "kid": "good", "more": [1]}]
        assert len(read_keys(json.dumps({"keys": told}).encode())) == 1

    def test_more_keys_than_anybody_has_are_not_looked_at(self) -> None:
        with pytest.raises(BadDocument, match="51"):
            read_keys(json.dumps({"keys": [{"kty": "RSA"}] * 51}).encode())

    def test_a_key_is_good_for_its_own_algorithms_alone(self) -> None:
        """ASVS 9.1.2: what an issuer may sign with, and what goes with a key, are two conditions."""
        private = ed25519.Ed25519PrivateKey.generate()
        jwk = json.loads(jwt.algorithms.OKPAlgorithm.to_jwk(private.public_key()))
        keys = read_keys(json.dumps({"keys": [{**jwk, "kid": "k"}]}).encode())
        token = jwt.encode({"sub": "s"}, private, "EdDSA", headers={"kid": "k"})
        assert msgspec.json.decode(keys.verified(token, ["EdDSA"], ("jwt",))[1]) == {"sub": "s"}
        with pytest.raises(TokenRefused, match="not agreed on"):
            keys.verified(token, ["RS256"], ("jwt",))
        claimed = base64.urlsafe_b64encode(b'{"alg":"RS256","kid":"k","typ":"JWT"}').rstrip(b"=").decode()
        with pytest.raises(TokenRefused, match="does not go with its key"):
            keys.verified(".".join([claimed, *token.split(".")[1:]]), ["RS256", "EdDSA"], ("jwt",))

    def test_of_one_key_the_name_may_be_left_out_but_not_be_another(self) -> None:
        private = ec.generate_private_key(ec.SECP256R1())
        jwk = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(private.public_key()))
        keys = read_keys(json.dumps({"keys": [{**jwk, "kid": "k"}]}).encode())
        keys.verified(jwt.encode({}, private, "ES256"), ["ES256"], ("jwt",))
        with pytest.raises(KidUnknown):
            keys.verified(jwt.encode({}, private, "ES256", headers={"kid": "x"}), ["ES256"], ("jwt",))


def test_our_id_is_the_only_audience(issuer: IdentityProvider) -> None:
    issuer.lie = ""
    token = issuer.id_token(ANNA, NONCE, ACCESS, audience=CLIENT_ID.upper())
    with pytest.raises(TokenRefused, match="somebody else"):
        proven(token, provider_of(issuer), keys_of(issuer), nonce=NONCE, now_ms=NOW_S * 1_000, access_token=ACCESS)
