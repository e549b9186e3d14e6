"""Passkeys: which answers of an authenticator are believed. Pure, with an authenticator of software."""

import uuid
from collections.abc import Callable

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from fido2.cose import ES384
from fido2.utils import sha256
from fido2.webauthn import AttestationObject, AttestedCredentialData, AuthenticatorData, CollectedClientData
from hypothesis import given
from hypothesis import strategies as st

from services.accounts.passkey import (
    CHALLENGE_MS,
    MadePasskey,
    Passkey,
    PasskeyChallenges,
    ShownPasskey,
    Site,
    base64url,
    creation_options,
    is_copied,
    made,
    request_options,
    shown,
    signatures_of,
    site_of,
)
from services.kernel.ids import AccountId, PasskeyId
from services.kernel.problems import PasskeyRefused
from services.kernel.sealing import Seals
from tests.support.authenticator import Authenticator

SITE = site_of("https://paceline.example.org", ["https://www.paceline.example.org", "https://elsewhere.example"])
CHALLENGES = PasskeyChallenges(Seals((bytes(32),)))
ANNA, JONAS = AccountId(uuid.UUID(int=1)), AccountId(uuid.UUID(int=2))
NOW = 1_790_000_000_000


def a_passkey(authenticator: Authenticator, account_id: AccountId = ANNA) -> Passkey:
    options = creation_options(SITE, b"c" * 32, account_id, "anna@example.org", "Anna", ())
    new = made(SITE, authenticator.make(options))
    return Passkey(PasskeyId(uuid.uuid4()), account_id, "Phone", new.credential, new.signatures, NOW)


def asked() -> bytes:
    return CHALLENGES.make("log in", NOW)


class TestAnAnswer:
    def test_that_was_signed_for_this_challenge_is_believed(self) -> None:
        phone = Authenticator()
        passkey, challenge = a_passkey(phone), asked()
        answer = phone.show(request_options(SITE, challenge))
        assert shown(answer).credential_id == passkey.credential_id == phone.id
        assert shown(answer).challenge == challenge
        assert signatures_of(SITE, answer, passkey) == 2

    def test_from_another_page_of_ours_is_believed(self) -> None:
        phone = Authenticator(origin="https://www.paceline.example.org")
        passkey = a_passkey(phone)
        assert signatures_of(SITE, phone.show(request_options(SITE, asked())), passkey) == 2

    @pytest.mark.parametrize(
        "wrong",
        [
            lambda phone: setattr(phone, "origin", "https://paceline.example.org.evil.example"),
            lambda phone: setattr(phone, "origin", "https://elsewhere.example"),
            lambda phone: setattr(phone, "origin", "http://paceline.example.org"),
            lambda phone: setattr(phone, "verifies", False),
            lambda phone: setattr(phone, "framed", True),
            lambda phone: setattr(phone, "user", JONAS.bytes),
            lambda phone: setattr(phone, "key", Authenticator().key),
        ],
        ids=["longer domain", "origin of others", "without TLS", "user unverified", "framed", "somebody else", "key"],
    )
    def test_that_is_wrong_in_one_thing_is_not(self, wrong: Callable[[Authenticator], None]) -> None:
        """OWASP API2, WebAuthn 7.2: origin, relying party, user, signature."""
        phone = Authenticator()
        passkey = a_passkey(phone)
        wrong(phone)
        with pytest.raises(PasskeyRefused):
            signatures_of(SITE, phone.show(request_options(SITE, asked())), passkey)

    def test_for_another_domain_is_not(self) -> None:
        phone = Authenticator()
        passkey = a_passkey(phone)
        with pytest.raises(PasskeyRefused):
            signatures_of(SITE, phone.show(request_options(site_of("https://other.example.org"), asked())), passkey)

    @given(part=st.sampled_from(ShownPasskey.__struct_fields__[1:4]), place=st.integers(0, 10_000))
    def test_with_one_bit_flipped_is_not(self, part: str, place: int) -> None:
        said = str(getattr(ANSWER, part))
        at = place % (len(said) - 1)  # the last sign has bits that decode to nothing
        flipped = said[:at] + ("A" if said[at] != "A" else "B") + said[at + 1 :]
        with pytest.raises(PasskeyRefused):
            signatures_of(SITE, msgspec.structs.replace(ANSWER, **{part: flipped}), PASSKEY)

    @given(st.binary(min_size=1, max_size=300), st.binary(min_size=1, max_size=300))
    def test_of_any_bytes_breaks_nothing(self, one: bytes, other: bytes) -> None:
        with pytest.raises(PasskeyRefused):
            made(SITE, MadePasskey(base64url(one), base64url(other)))
        with pytest.raises(PasskeyRefused):
            shown(ShownPasskey(base64url(one), base64url(other), "AA", "AA"))

    @pytest.mark.parametrize("nested", [b"\x81" * 8_000, b"\xa1" * 8_000, b"\x9b" + b"\xff" * 8, b"\xa1\x80\x00"])
    def test_that_is_nested_without_end_breaks_nothing(self, nested: bytes) -> None:
        """OWASP API4."""
        client = base64url(b'{"type":"webauthn.create","challenge":"AA","origin":"https://paceline.example.org"}')
        with pytest.raises(PasskeyRefused):
            made(SITE, MadePasskey(client, base64url(nested)))

    @pytest.mark.parametrize("spelled", ["a b", "+/", "é", "A", "=", "A\n"])
    def test_that_is_no_base64url_is_refused(self, spelled: str) -> None:
        with pytest.raises(PasskeyRefused):
            shown(ShownPasskey(spelled, spelled, spelled, spelled))


class TestACounter:
    @pytest.mark.parametrize(
        ("known", "said", "copied"),
        [(0, 0, False), (0, 1, False), (5, 6, False), (5, 900, False), (5, 5, True), (5, 4, True), (5, 0, True)],
    )
    def test_that_does_not_grow_is_that_of_a_copy(self, known: int, said: int, copied: bool) -> None:
        passkey = msgspec.structs.replace(PASSKEY, signatures=known)
        assert is_copied(passkey, said) is copied


class TestAChallenge:
    def test_is_known_again_for_what_it_was_made_for_until_it_is_too_old(self) -> None:
        challenge = asked()
        assert CHALLENGES.check(challenge, "log in", NOW + CHALLENGE_MS - 1) == NOW + CHALLENGE_MS
        for purpose, at in (("step up", NOW), ("log in", NOW + CHALLENGE_MS)):
            with pytest.raises(PasskeyRefused):
                CHALLENGES.check(challenge, purpose, at)
        assert asked() != challenge

    def test_of_another_installation_is_not_ours(self) -> None:
        theirs = PasskeyChallenges(Seals((bytes([1]) * 32,)))
        with pytest.raises(PasskeyRefused):
            CHALLENGES.check(theirs.make("log in", NOW), "log in", NOW)

    @given(st.integers(0, 66))
    def test_with_a_changed_byte_is_not_ours(self, place: int) -> None:
        challenge = bytearray(asked())
        challenge[place] ^= 1
        with pytest.raises(PasskeyRefused):
            CHALLENGES.check(bytes(challenge), "log in", NOW)

    @pytest.mark.parametrize("short", [b"", b"x", bytes(24), bytes([255]) * 67])
    def test_that_is_none_is_not_ours(self, short: bytes) -> None:
        with pytest.raises(PasskeyRefused):
            CHALLENGES.check(short, "log in", NOW)


class TestASite:
    def test_is_its_domain_and_the_origins_on_it(self) -> None:
        assert SITE.domain == "paceline.example.org"
        assert SITE.origins == {"https://paceline.example.org", "https://www.paceline.example.org"}

    @pytest.mark.parametrize("url", ["http://127.0.0.1:8080", "http://localhost:8080", "http://[::1]:8080"])
    def test_on_the_machine_itself_is_localhost_which_is_what_browsers_take(self, url: str) -> None:
        site = site_of(url)
        assert site == Site("localhost", frozenset({"http://localhost:8080"}))


def test_a_key_of_a_kind_that_was_not_asked_for_is_refused() -> None:
    """ASVS 9.1.2."""
    other = ES384.from_cryptography_key(ec.generate_private_key(ec.SECP384R1()).public_key())  # type: ignore[no-untyped-call]
    credential = AttestedCredentialData.create(bytes(16), b"id", other)
    said = AuthenticatorData.create(sha256(SITE.domain.encode()), AuthenticatorData.FLAG(0x45), 0, credential)
    client = CollectedClientData.create("webauthn.create", b"c" * 32, "https://paceline.example.org")
    answer = MadePasskey(base64url(client), base64url(AttestationObject.create("none", said, {})))
    with pytest.raises(PasskeyRefused):
        made(SITE, answer)


PHONE = Authenticator()
PASSKEY = a_passkey(PHONE)
ANSWER = PHONE.show(request_options(SITE, asked()))
