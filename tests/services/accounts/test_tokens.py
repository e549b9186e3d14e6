"""Access tokens: ours are read, everybody else's are refused, whatever they try."""

import base64
import hashlib
import hmac
import json
import uuid
from datetime import UTC, datetime

import jwt
import msgspec
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from services.accounts.account import Account
from services.accounts.keyring import KeyProblem, Keyring, RingKey, SigningKey, load_key, make_key
from services.accounts.tokens import AUDIENCE, Tokens, make_refresh_token, refresh_hash
from services.kernel.ids import AccountId, AppId, ClassId, LoginId
from services.kernel.problems import NotAuthenticated, RefreshRefused, TokenExpired

NOW = 1_790_000_000_000
LOGIN = LoginId(uuid.UUID(int=7))
ANNA = Account(
    id=AccountId(uuid.UUID(int=1)),
    email="anna@example.org",
    name="Anna 🚴",
    roles=frozenset({"member", "coach"}),
    created_at_ms=NOW,
)


@pytest.fixture(scope="module")
def key() -> SigningKey:
    return load_key(make_key())


@pytest.fixture(scope="module")
def tokens(key: SigningKey) -> Tokens:
    return Tokens(key)


def claims(**changes: object) -> dict[str, object]:
    """Good claims, but for `changes`; None takes one away."""
    good: dict[str, object] = {
        "iss": "paceline",
        "aud": AUDIENCE,
        "sub": str(ANNA.id),
        "lid": str(LOGIN),
        "roles": ["member"],
        "name": "Anna",
        "iat": NOW // 1000,
        "exp": NOW // 1000 + 900,
        **changes,
    }
    return {name: value for name, value in good.items() if value is not None}


def signed(key: SigningKey, payload: dict[str, object], **header: object) -> str:
    headers = {"typ": "at+jwt", "kid": key.kid, **header}
    return jwt.encode(payload, key.private, "EdDSA", headers=headers)


def part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


class TestOurs:
    def test_an_apps_says_which_app_it_is_and_what_it_was_granted(self, tokens: Tokens) -> None:
        app = AppId(uuid.UUID(int=9))
        issued = tokens.for_app(ANNA, LOGIN, app, {"live:stream", "profile:read"}, NOW)
        caller = tokens.identify(issued.token, NOW)
        assert (caller.account_id, caller.login_id, caller.app_id) == (ANNA.id, LOGIN, app)
        assert caller.scopes == frozenset({"live:stream", "profile:read"})

    def test_a_services_has_no_account_and_no_role(self, tokens: Tokens) -> None:
        app = AppId(uuid.UUID(int=9))
        caller = tokens.identify(tokens.for_service(app, "Pulse", {"app:read"}, NOW).token, NOW)
        assert {uuid.UUID(int=each.int) for each in (caller.account_id, caller.login_id)} == {app} == {caller.app_id}
        assert not caller.roles
        assert caller.scopes == frozenset({"app:read"})

    def test_a_scope_that_is_no_more_opens_nothing(self, tokens: Tokens, key: SigningKey) -> None:
        old = signed(key, claims(scope="teleport:now profile:read", client_id=str(uuid.UUID(int=9))))
        assert tokens.identify(old, NOW).scopes == frozenset({"profile:read"})

    @pytest.mark.parametrize(
        "half",
        [
            {"scope": "profile:read"},
            {"client_id": str(uuid.UUID(int=9))},
            {"scope": "profile:read", "client_id": str(uuid.UUID(int=9)), "roles": ["display"], "class": str(LOGIN)},
        ],
        ids=["scopes of nobody", "an app without scopes (ASVS 10.3.2)", "a screen with scopes"],
    )
    def test_what_is_half_an_apps_is_refused(self, tokens: Tokens, key: SigningKey, half: dict[str, object]) -> None:
        with pytest.raises(NotAuthenticated):
            tokens.identify(signed(key, claims(**half)), NOW)

    def test_says_who_shows_it(self, tokens: Tokens) -> None:
        issued = tokens.for_account(ANNA, LOGIN, NOW)
        caller = tokens.identify(issued.token, NOW)
        assert caller.account_id == ANNA.id
        assert caller.login_id == LOGIN
        assert caller.name == "Anna 🚴"
        assert caller.roles == {"member", "coach"}
        assert caller.class_id is None
        assert caller.expires_at_ms == NOW + 900_000
        assert issued.expires_in_s == 900

    def test_header_names_type_algorithm_and_key(self, tokens: Tokens, key: SigningKey) -> None:
        token = tokens.for_account(ANNA, LOGIN, NOW).token
        assert jwt.get_unverified_header(token) == {"alg": "EdDSA", "typ": "at+jwt", "kid": key.kid}

    def test_fits_the_longest_name(self, tokens: Tokens) -> None:
        longest = msgspec.structs.replace(ANNA, name="🚴" * 80)
        assert tokens.identify(tokens.for_account(longest, LOGIN, NOW).token, NOW).name == "🚴" * 80

    def test_dies_on_the_second(self, tokens: Tokens) -> None:
        token = tokens.for_account(ANNA, LOGIN, NOW).token
        tokens.identify(token, NOW + 899_999)
        with pytest.raises(TokenExpired):
            tokens.identify(token, NOW + 900_000)

    def test_of_a_display_is_bound_to_its_class_for_half_a_day(self, tokens: Tokens) -> None:
        class_id = ClassId(uuid.UUID(int=9))
        issued = tokens.for_display(class_id, uuid.UUID(int=5), "display", NOW)
        caller = tokens.identify(issued.token, NOW + 12 * 3_600_000 - 1)
        assert caller.roles == {"display"}
        assert caller.class_id == class_id
        assert issued.expires_in_s == 12 * 3_600

    def test_of_a_retiring_key_is_still_good(self, key: SigningKey) -> None:
        newer = load_key(make_key())
        ring = Keyring(newer)
        token = Tokens(key).for_account(ANNA, LOGIN, NOW).token
        with pytest.raises(NotAuthenticated):
            Tokens(ring).identify(token, NOW)
        ring.learn([RingKey(key.kid, 0, retires_ms=NOW + 1)], [key.public], [])
        Tokens(ring).identify(token, NOW)
        with pytest.raises(NotAuthenticated):
            Tokens(ring).identify(token, NOW + 1)

    def test_can_be_read_by_any_node_with_the_same_key(self) -> None:
        pem = make_key()
        Tokens(load_key(pem)).identify(Tokens(load_key(pem.decode())).for_account(ANNA, LOGIN, NOW).token, NOW)

    def test_is_not_shown_in_logs(self, tokens: Tokens) -> None:
        issued = tokens.for_account(ANNA, LOGIN, NOW)
        assert issued.token not in repr(issued)


class TestForged:
    def test_without_signature_is_refused(self, tokens: Tokens, key: SigningKey) -> None:
        for alg in ("none", "None", "NONE"):
            header = part({"alg": alg, "typ": "at+jwt", "kid": key.kid})
            for end in ("", "."):
                with pytest.raises(NotAuthenticated):
                    tokens.identify(f"{header}.{part(claims())}{end}", NOW)

    def test_with_the_public_key_as_shared_secret_is_refused(self, tokens: Tokens, key: SigningKey) -> None:
        pem = key.public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        raw = key.public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        text = f"{part({'alg': 'HS256', 'typ': 'at+jwt', 'kid': key.kid})}.{part(claims())}"
        for secret in (pem, raw):
            mac = hmac.new(secret, text.encode(), hashlib.sha256).digest()
            with pytest.raises(NotAuthenticated):
                tokens.identify(f"{text}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}", NOW)

    def test_with_another_key_under_our_name_is_refused(self, tokens: Tokens, key: SigningKey) -> None:
        other = load_key(make_key())
        with pytest.raises(NotAuthenticated):
            tokens.identify(signed(other, claims(), kid=key.kid), NOW)
        with pytest.raises(NotAuthenticated):
            tokens.identify(signed(other, claims()), NOW)

    @pytest.mark.parametrize("kid", ["", "../../dev/null", "' OR 1=1 --", "x" * 900, None, 1, ["a"]])
    def test_with_a_clever_key_id_is_refused(self, tokens: Tokens, key: SigningKey, kid: object) -> None:
        header = part({"alg": "EdDSA", "typ": "at+jwt", "kid": kid})
        signature = signed(key, claims()).rpartition(".")[2]
        with pytest.raises(NotAuthenticated):
            tokens.identify(f"{header}.{part(claims())}.{signature}", NOW)

    @pytest.mark.parametrize("name", ["jwk", "jku", "x5u", "x5c", "crit", "b64", "zip"])
    def test_that_brings_something_along_is_refused(self, tokens: Tokens, key: SigningKey, name: str) -> None:
        brought = ["exp"] if name == "crit" else "https://example.org/key"
        text = f"{part({'alg': 'EdDSA', 'typ': 'at+jwt', 'kid': key.kid, name: brought})}.{part(claims())}"
        signature = base64.urlsafe_b64encode(key.private.sign(text.encode())).rstrip(b"=").decode()
        with pytest.raises(NotAuthenticated):
            tokens.identify(f"{text}.{signature}", NOW)

    @pytest.mark.parametrize(
        "changes",
        [
            {"aud": "somebody-else"},
            {"aud": [AUDIENCE, "somebody-else"]},
            {"aud": [AUDIENCE]},
            {"aud": None},
            {"iss": "somebody-else"},
            {"iss": None},
            {"sub": None},
            {"sub": "anna"},
            {"sub": 1},
            {"lid": None},
            {"exp": None},
            {"exp": "soon"},
            {"exp": float(NOW // 1000 + 900) + 0.5},
            {"iat": None},
            {"roles": ["root"]},
            {"roles": "member"},
            {"roles": None},
            {"extra": 1},
            {"class": str(uuid.UUID(int=9))},
            {"roles": ["display"]},
            {"roles": ["display", "member"], "class": str(uuid.UUID(int=9))},
        ],
    )
    def test_with_our_signature_over_wrong_claims_is_refused(
        self, tokens: Tokens, key: SigningKey, changes: dict[str, object]
    ) -> None:
        tokens.identify(signed(key, claims()), NOW)
        with pytest.raises(NotAuthenticated):
            tokens.identify(signed(key, claims(**changes)), NOW)

    @pytest.mark.parametrize("kind", ["JWT", "id+jwt", "AT+JWT", "", None])
    def test_of_another_type_is_refused(self, tokens: Tokens, key: SigningKey, kind: object) -> None:
        with pytest.raises(NotAuthenticated):
            tokens.identify(signed(key, claims(), typ=kind), NOW)

    def test_with_any_bit_changed_is_refused(self, tokens: Tokens) -> None:
        token = tokens.for_account(ANNA, LOGIN, NOW).token.encode()
        for place in range(len(token)):
            for bit in range(7):
                changed = bytearray(token)
                changed[place] ^= 1 << bit
                with pytest.raises(NotAuthenticated):
                    tokens.identify(changed.decode("ascii"), NOW)

    @pytest.mark.parametrize(
        "text", ["", ".", "..", "...", "a.b.c", "é.é.é", "A" * 5_000, "null", "{}", "eyJhbGciOiJFZERTQSJ9..", "\0"]
    )
    def test_that_is_no_token_at_all_is_refused(self, tokens: Tokens, text: str) -> None:
        with pytest.raises(NotAuthenticated):
            tokens.identify(text, NOW)

    def test_that_is_a_refresh_token_is_refused(self, tokens: Tokens) -> None:
        with pytest.raises(NotAuthenticated):
            tokens.identify(make_refresh_token(), NOW)

    def test_of_an_issuer_with_the_same_key_is_refused(self, key: SigningKey) -> None:
        token = Tokens(key, issuer="staging").for_account(ANNA, LOGIN, NOW).token
        with pytest.raises(NotAuthenticated):
            Tokens(key).identify(token, NOW)


class TestKey:
    def test_is_refused_with_the_cure_when_it_is_no_ed25519_key(self) -> None:
        curve = ec.generate_private_key(ec.SECP256R1()).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        locked = Ed25519PrivateKey.generate().private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
        for pem in (b"", b"hello", curve, locked, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----"):
            with pytest.raises(KeyProblem, match="openssl genpkey"):
                load_key(pem)

    def test_does_not_show_itself(self) -> None:
        key = load_key(make_key())
        assert repr(key) == f"SigningKey(kid={key.kid!r})"


class TestRefreshToken:
    def test_is_random_and_known_by_its_hash_alone(self) -> None:
        made = {make_refresh_token() for _ in range(100)}
        assert len(made) == len({refresh_hash(token) for token in made}) == 100
        assert all(len(refresh_hash(token)) == 32 for token in made)

    @pytest.mark.parametrize("text", ["", "plr_", "plr_" + "a" * 42, "xxx_" + "a" * 43, "plr_" + "é" * 43])
    def test_that_cannot_be_ours_is_refused_unlooked(self, text: str) -> None:
        with pytest.raises(RefreshRefused):
            refresh_hash(text)

    def test_cannot_be_an_access_token(self, tokens: Tokens) -> None:
        with pytest.raises(RefreshRefused):
            refresh_hash(tokens.for_account(ANNA, LOGIN, NOW).token)


def test_time_is_an_argument_and_not_the_machine_s_clock(tokens: Tokens) -> None:
    long_ago = int(datetime(2001, 1, 1, tzinfo=UTC).timestamp() * 1000)
    assert tokens.identify(tokens.for_account(ANNA, LOGIN, long_ago).token, long_ago).name == ANNA.name
