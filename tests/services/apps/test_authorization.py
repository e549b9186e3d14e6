"""An app's request, the way back to it, and PKCE."""

import string
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.apps import secret
from services.apps.authorization import Asked, Refused, Wanted, app_id_of, certain, proves, read, way_back
from services.kernel.problems import AppUnknown, RedirectMismatch
from tests.services.apps.test_app import app

ASKED = Asked(
    client_id="x",
    redirect_uri="https://pulse.example/cb",
    response_type="code",
    scope="profile:read",
    state="s",
    code_challenge="E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
    code_challenge_method="S256",
)
VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"


def test_the_vector_of_the_rfc() -> None:
    """RFC 7636, appendix B."""
    assert proves(VERIFIER, ASKED.code_challenge)


@given(st.text(alphabet=string.ascii_letters + string.digits + "-._~", min_size=43, max_size=128))
def test_no_other_verifier_proves_anything(other: str) -> None:
    assert proves(other, ASKED.code_challenge) == (other == VERIFIER)


@pytest.mark.parametrize("verifier", ["", "a" * 42, "a" * 129, VERIFIER[:-1] + "=", VERIFIER + "\n", "\u00e4" * 43])
def test_what_is_no_verifier_proves_nothing(verifier: str) -> None:
    """ASVS 10.4.6."""
    assert not proves(verifier, ASKED.code_challenge)


def test_a_request_in_order_is_read() -> None:
    assert read(ASKED) == Wanted(frozenset({"profile:read"}), ASKED.code_challenge)


@pytest.mark.parametrize(
    "changes",
    [
        {"code_challenge_method": "plain"},
        {"code_challenge_method": "s256"},
        {"code_challenge": ASKED.code_challenge + "="},
        {"response_type": "CODE"},
        {"scope": "profile:read app:read"},
        {"scope": "profile:read  workouts:read"},
    ],
)
def test_one_out_of_order_is_not(changes: dict[str, str]) -> None:
    """ASVS 10.4.6, 10.4.11."""
    assert isinstance(read(msgspec.structs.replace(ASKED, **changes)), Refused)


def test_who_asks_is_certain_first() -> None:
    """ASVS 10.4.1: until then nothing is told to anybody's address."""
    known = app("https://pulse.example/cb")
    assert certain(known, ASKED) is known
    with pytest.raises(AppUnknown):
        certain(None, ASKED)
    with pytest.raises(RedirectMismatch):
        certain(known, msgspec.structs.replace(ASKED, redirect_uri="https://pulse.example/cb2"))


@pytest.mark.parametrize(
    ("uri", "begins"),
    [
        ("https://pulse.example/cb", "https://pulse.example/cb?code="),
        ("https://pulse.example/cb?tenant=1", "https://pulse.example/cb?tenant=1&code="),
        ("https://pulse.example/cb?", "https://pulse.example/cb?code="),
    ],
)
def test_the_answer_is_added_to_what_the_address_has(uri: str, begins: str) -> None:
    """RFC 6749, 3.1.2; RFC 9207."""
    asked = msgspec.structs.replace(ASKED, redirect_uri=uri, state="a&iss=https://evil.example#x")
    back = way_back(asked, "https://run.example", code="c")
    assert back.startswith(begins)
    said = parse_qs(urlsplit(back).query)
    assert (said["state"], said["iss"]) == (["a&iss=https://evil.example#x"], ["https://run.example"])
    assert urlsplit(back).fragment == ""


@pytest.mark.parametrize(
    "text", ["", "x", "00000000-0000-7000-8000-00000000000A", "{00000000-0000-7000-8000-000000000000}"]
)
def test_an_app_has_one_spelling(text: str) -> None:
    assert app_id_of(text) is None


def test_a_secret_is_known_by_its_hash_and_by_its_kind() -> None:
    """ASVS 9.2.4: of one kind it is nothing to another."""
    made = secret.make(secret.APP_SECRET)
    assert secret.hash_of(secret.APP_SECRET, made.text) == made.hash
    for kind in (secret.API_KEY, secret.APP_REFRESH, secret.CODE):
        assert secret.hash_of(kind, made.text) is None
