"""Envelopes: what is sealed opens for its own field, account and key, and for nothing else."""

import uuid
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.kernel.ids import AccountId
from services.kernel.sealing import CannotOpen, Seals
from services.privacy.vault import Field, Vault, about_key

OLD, NEW = bytes(32), bytes(range(32))
ADA, BOB = AccountId(uuid.UUID(int=1)), AccountId(uuid.UUID(int=2))
MASS: Final = Field("bodies", "mass")
VAULT: Final = Vault(Seals((OLD,)))


@given(st.binary(max_size=300))
def test_what_is_sealed_comes_back_and_is_not_to_be_seen(plain: bytes) -> None:
    """ASVS 11.3.2: an approved authenticated cipher."""
    key = VAULT.open(ADA, VAULT.make(ADA))
    sealed = key.seal(MASS, plain)
    assert key.open(MASS, sealed) == plain
    assert len(plain) < 4 or plain not in sealed
    assert key.seal(MASS, plain) != sealed


@pytest.mark.parametrize("field", [Field("bodies", "height"), Field("heads", "mass")], ids=["column", "table"])
def test_what_was_moved_to_another_column_does_not_open(field: Field) -> None:
    """ASVS 11.3.3: the ciphertext is bound to its place."""
    key = VAULT.open(ADA, VAULT.make(ADA))
    with pytest.raises(CannotOpen, match=f"{field.table}.{field.column} does not open: it was moved here"):
        key.open(field, key.seal(MASS, b"62.5"))


def test_what_was_moved_to_another_account_does_not_open_even_with_its_key() -> None:
    """ASVS 11.3.3: neither a field nor a key serves somebody else."""
    wrapped = VAULT.make(ADA)
    hers, his = VAULT.open(ADA, wrapped), VAULT.open(BOB, VAULT.make(BOB))
    with pytest.raises(CannotOpen, match="moved here from another row"):
        his.open(MASS, hers.seal(MASS, b"62.5"))
    with pytest.raises(CannotOpen, match="sealed about something else"):
        VAULT.open(BOB, wrapped)


@given(st.data())
def test_a_flipped_bit_is_noticed(data: st.DataObject) -> None:
    """ASVS 11.3.3: integrity of encrypted data."""
    key = VAULT.open(ADA, VAULT.make(ADA))
    sealed = bytearray(key.seal(MASS, b"62.5"))
    sealed[data.draw(st.integers(0, len(sealed) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(CannotOpen):
        key.open(MASS, bytes(sealed))
    with pytest.raises(CannotOpen):
        key.open(MASS, bytes(sealed[:5]))


def test_a_new_key_of_the_installation_opens_nothing_that_was_not_brought_under_it_and_everything_that_was() -> None:
    """ASVS 11.1.1: keys can be changed."""
    wrapped = VAULT.make(ADA)
    sealed = VAULT.open(ADA, wrapped).seal(MASS, b"62.5")
    both, new = Vault(Seals((NEW, OLD))), Vault(Seals((NEW,)))
    with pytest.raises(CannotOpen, match="not among PACELINE_SEALING_KEYS"):
        new.open(ADA, wrapped)
    anew = both.wrap_anew(wrapped, about_key(ADA))
    assert anew.startswith(both.newest)
    assert not wrapped.startswith(both.newest)
    assert new.open(ADA, anew).open(MASS, sealed) == b"62.5"


def test_a_key_that_was_opened_before_is_found_by_its_wrapping_alone() -> None:
    """A process that has seen a key does not go on using it for an account that has another one now."""
    vault = Vault(Seals((OLD,)))
    first, second = vault.make(ADA), vault.make(ADA)
    sealed = vault.open(ADA, first).seal(MASS, b"62.5")
    assert vault.open(ADA, first).open(MASS, sealed) == b"62.5"
    with pytest.raises(CannotOpen):
        vault.open(ADA, second).open(MASS, sealed)


def test_no_key_is_in_what_it_says_of_itself() -> None:
    """ASVS 16.2.5: no key in logs."""
    assert repr(VAULT.open(ADA, VAULT.make(ADA))) == "DataKey()"
