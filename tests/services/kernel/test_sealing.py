"""Secrets at rest, and tags in links."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.kernel.sealing import KEY_BYTES, CannotOpen, Seals, make_key

ONE, TWO = bytes([1]) * KEY_BYTES, bytes([2]) * KEY_BYTES
SEALS = Seals((ONE,))


@given(st.text(), st.binary())
def test_what_was_sealed_is_opened_about_the_same(text: str, about: bytes) -> None:
    sealed = SEALS.seal(text, about)
    assert SEALS.open(sealed, about) == text
    with pytest.raises(CannotOpen, match="something else"):
        SEALS.open(sealed, about + b"x")


def test_the_same_text_is_sealed_differently_each_time_and_does_not_show() -> None:
    sealed = {SEALS.seal("whsec_secret", b"a") for _ in range(50)}
    assert len(sealed) == 50
    assert not any(b"secret" in each for each in sealed)


@given(st.integers(0, 59), st.integers(0, 7))
def test_a_changed_bit_is_noticed(place: int, bit: int) -> None:
    sealed = bytearray(SEALS.seal("whsec_0123456789012345678901", b"a"))
    sealed[place] ^= 1 << bit
    with pytest.raises(CannotOpen):
        SEALS.open(bytes(sealed), b"a")


@pytest.mark.parametrize("sealed", [b"", b"abc", bytes(16), bytes(40)])
def test_what_is_no_seal_is_not_opened(sealed: bytes) -> None:
    with pytest.raises(CannotOpen):
        SEALS.open(sealed, b"a")


def test_a_key_is_changed_by_putting_the_new_one_first() -> None:
    old, both, new = Seals((ONE,)), Seals((TWO, ONE)), Seals((TWO,))
    before, during = old.seal("before", b"a"), both.seal("during", b"a")
    assert (both.open(before, b"a"), both.open(during, b"a"), new.open(during, b"a")) == ("before", "during", "during")
    with pytest.raises(CannotOpen, match="PACELINE_SEALING_KEYS"):
        new.open(before, b"a")
    with pytest.raises(CannotOpen):
        old.open(during, b"a")


def test_a_tag_is_proof_for_its_text_by_any_of_the_keys() -> None:
    tag = Seals((ONE,)).tag("a link")
    assert Seals((TWO, ONE)).is_tag(tag, "a link")
    assert not Seals((TWO, ONE)).is_tag(tag, "another link")
    assert not Seals((TWO,)).is_tag(tag, "a link")
    assert not SEALS.is_tag("é" * 43, "a link")


def test_keys_are_new_each_time_and_of_their_size_only() -> None:
    made = [base64.b64decode(make_key()) for _ in range(10)]
    assert len(set(made)) == 10
    Seals(tuple(made))
    for wrong in ((), (b"short",), (ONE, b"")):
        with pytest.raises(ValueError, match="32 bytes"):
            Seals(wrong)
