"""Recovery codes as they are made and typed. Pure."""

import pytest

from services.accounts.recovery_code import ALPHABET, CODES, grouped, make_codes, name_of, normal_code


def test_ten_are_made_of_which_no_two_begin_alike() -> None:
    codes = make_codes()
    assert len({name_of(code) for code in codes}) == len(codes) == CODES
    assert all(normal_code(code) == code for code in codes)
    assert not set(make_codes()) & set(codes)


def test_none_has_a_sign_that_looks_like_another() -> None:
    assert not set("0O1I") & set(ALPHABET)
    assert len(set(ALPHABET)) == 32


@pytest.mark.parametrize("typed", ["7KQW-2MXB-4TRZ", "7kqw2mxb4trz", " 7KQW 2MXB  4TRZ ", "7-K-Q-W2MXB4TRZ"])
def test_one_may_be_typed_in_any_groups_and_case(typed: str) -> None:
    assert normal_code(typed) == "7KQW2MXB4TRZ"
    assert grouped("7KQW2MXB4TRZ") == "7KQW-2MXB-4TRZ"


@pytest.mark.parametrize("typed", ["", "7KQW2MXB4TR", "7KQW2MXB4TRZ2", "7KQW2MXB4TR0", "7KQW2MXB4TRß", "-" * 10_000])
def test_what_cannot_be_one_is_none(typed: str) -> None:
    assert normal_code(typed) is None
