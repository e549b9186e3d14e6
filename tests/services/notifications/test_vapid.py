"""The key by which push services know us."""

import base64

import pytest

from services.accounts.keyring import make_key
from services.notifications.vapid import VapidProblem, load_vapid_key, make_vapid_key


def test_a_new_key_is_kept_as_pem_and_its_public_half_is_what_browsers_want() -> None:
    pem = make_vapid_key().decode()
    key = load_vapid_key(pem)
    point = base64.urlsafe_b64decode(key.public + "=")
    assert (len(point), point[0]) == (65, 4), "an uncompressed point"
    assert load_vapid_key(pem).public == key.public
    assert load_vapid_key(make_vapid_key().decode()).public != key.public
    assert "PRIVATE" not in repr(key)


@pytest.mark.parametrize("pem", ["", "nonsense", make_key().decode()])
def test_a_key_of_another_kind_says_how_to_make_one(pem: str) -> None:
    with pytest.raises(VapidProblem, match="openssl genpkey"):
        load_vapid_key(pem)
