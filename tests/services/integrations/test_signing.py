"""Signatures: the vector of the standard, and a verification written from its text alone."""

import base64
import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.integrations.signing import headers, key_of, make_secret, signature

# Standard Webhooks, the vector of its reference libraries.
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
VECTOR = ("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, b'{"test": 2432232314}')


def verified(secret: str, received: dict[str, str], body: bytes) -> bool:
    """What a receiver does, from the text of the standard: any of the signatures will do."""
    key = base64.b64decode(secret.split("_", 1)[1])
    content = b".".join([received["webhook-id"].encode(), received["webhook-timestamp"].encode(), body])
    expected = base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()
    given = [part.split(",", 1) for part in received["webhook-signature"].split(" ")]
    return any(version == "v1" and hmac.compare_digest(value, expected) for version, value in given)


def test_the_vector_of_the_standard() -> None:
    assert signature(SECRET, *VECTOR) == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@given(st.text(st.characters(codec="ascii", exclude_characters=" ."), min_size=1), st.integers(0, 2**40), st.binary())
def test_a_receiver_that_follows_the_text_accepts_what_was_signed(webhook_id: str, at: int, body: bytes) -> None:
    secret = make_secret()
    assert verified(secret, dict(headers([secret], webhook_id, at, body)), body)


def test_during_a_rotation_a_receiver_with_either_secret_accepts() -> None:
    old, new = make_secret(), make_secret()
    both = dict(headers([new, old], *VECTOR))
    assert both["webhook-signature"].count("v1,") == 2
    assert verified(old, both, VECTOR[2])
    assert verified(new, both, VECTOR[2])
    assert not verified(make_secret(), both, VECTOR[2])


@pytest.mark.parametrize("header", ["webhook-id", "webhook-timestamp"])
def test_another_id_and_another_time_are_not_what_was_signed(header: str) -> None:
    received = dict(headers([SECRET], *VECTOR))
    assert verified(SECRET, received, VECTOR[2])
    assert not verified(SECRET, received | {header: received[header] + "1"}, VECTOR[2])
    assert not verified(SECRET, received, VECTOR[2] + b" ")


def test_secrets_are_new_each_time_and_have_256_bits() -> None:
    made = {make_secret() for _ in range(100)}
    assert len(made) == 100
    assert all(secret.startswith("whsec_") and len(key_of(secret)) == 32 for secret in made)


@pytest.mark.parametrize("secret", ["whsec_", "whsec_***", "whsec_" + base64.b64encode(b"short").decode(), "whsec_é"])
def test_what_is_no_secret_signs_nothing(secret: str) -> None:
    with pytest.raises(ValueError, match="a webhook secret"):
        key_of(secret)
