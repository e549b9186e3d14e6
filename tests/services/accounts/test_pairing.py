"""What a pairing is: codes, paces, states."""

import uuid

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.accounts import pairing as pure
from services.accounts.pairing import (
    ALPHABET,
    CODE_LENGTH,
    EARLY_MS,
    FETCH_MS,
    INTERVAL_S,
    LIFETIME_S,
    Pairing,
)
from services.kernel.ids import ClassId

NOW_MS = 1_790_000_000_000
CLASS = ClassId(uuid.UUID(int=9))
CODES = st.text(ALPHABET, min_size=CODE_LENGTH, max_size=CODE_LENGTH)


def begun() -> Pairing:
    return pure.begin(pure.make_device_code(), "203.0.113.0/24", NOW_MS)


def test_a_user_code_is_eight_letters_that_make_no_word_and_look_like_nothing_else() -> None:
    drawn = [pure.make_user_code() for _ in range(500)]
    assert {len(code) for code in drawn} == {CODE_LENGTH}
    letters = set("".join(drawn))
    assert letters == set(ALPHABET)
    assert not letters & set("AEIOUY0123456789")
    assert len(set(drawn)) == len(drawn)


def test_a_device_code_is_256_random_bits_and_kept_as_their_hash_asvs_6_5_3() -> None:
    one, other = pure.make_device_code(), pure.make_device_code()
    assert one != other
    assert one.startswith("pld_")
    assert len(one) == len("pld_") + 43, "32 bytes in base64url"
    kept = pure.begin(one, "", NOW_MS)
    assert kept.device_hash == pure.hash_of(one) != pure.hash_of(other)
    assert one.encode() not in msgspec.json.encode(kept)


@given(CODES, st.sampled_from(["", "-", " ", " - ", "\u2010", "\u2013"]), st.booleans())
def test_a_code_is_the_same_in_whatever_case_and_groups(code: str, between: str, lower: bool) -> None:
    written = between.join((code[:4], code[4:]))
    assert pure.typed(f" {written.lower() if lower else written}\n") == code
    assert pure.typed(pure.spelled(code)) == code


@pytest.mark.parametrize(
    "text", ["", "BCDF", "BCDFGHJKL", "BCDF-GHJA", "BCDF-GHJ0", "BCDF.GHJK", "ＢCDFGHJK", "BCDFGHJſ", "ß" * 8, "-" * 40]
)
def test_what_cannot_be_a_code_is_none_asvs_2_2_1(text: str) -> None:
    assert pure.typed(text) is None


def test_a_code_is_read_out_in_two_groups() -> None:
    assert pure.spelled("WDJBMJHT") == "WDJB-MJHT"


def test_a_screen_that_keeps_the_pace_hears_that_nobody_has_answered() -> None:
    pairing, now = begun(), NOW_MS
    for _ in range(20):
        pairing, heard = pure.poll(pairing, now)
        assert (heard, pairing.interval_s, pairing.polled_ms) == ("pending", INTERVAL_S, now)
        now += INTERVAL_S * 1_000


def test_each_question_that_comes_too_early_makes_the_interval_longer_by_five_seconds_rfc_8628_3_5() -> None:
    pairing, _ = pure.poll(begun(), NOW_MS)
    now = NOW_MS
    for slower in (10, 15, 20):
        now += pairing.interval_s * 1_000 - EARLY_MS - 1
        pairing, heard = pure.poll(pairing, now)
        assert (heard, pairing.interval_s) == ("slow_down", slower)
    pairing, heard = pure.poll(pairing, now + 5_000)
    assert (heard, pairing.interval_s) == ("slow_down", 25), "the old pace is too fast now"
    pairing, heard = pure.poll(pairing, now + 5_000 + 25_000)
    assert (heard, pairing.interval_s) == ("pending", 25), "and the new one is not forgotten"


def test_a_timer_that_is_a_little_early_is_forgiven() -> None:
    pairing, _ = pure.poll(begun(), NOW_MS)
    assert pure.poll(pairing, NOW_MS + INTERVAL_S * 1_000 - EARLY_MS)[1] == "pending"


@pytest.mark.parametrize(("given_class", "heard"), [(CLASS, "agreed"), (None, "refused")])
def test_an_answer_is_told_however_early_the_screen_asks(given_class: ClassId | None, heard: str) -> None:
    asked, _ = pure.poll(begun(), NOW_MS)
    answered = pure.answer(asked, given_class, NOW_MS + 1)
    assert pure.poll(answered, NOW_MS + 2) == (answered, heard)
    assert answered.class_id == given_class


def test_what_was_answered_waits_for_no_other_answer() -> None:
    pairing = begun()
    assert pairing.waits(NOW_MS)
    for given_class in (CLASS, None):
        assert not pure.answer(pairing, given_class, NOW_MS).waits(NOW_MS)


def test_it_is_over_to_the_millisecond_after_ten_minutes() -> None:
    pairing, end = begun(), NOW_MS + LIFETIME_S * 1_000
    assert pairing.waits(end - 1)
    assert not pairing.waits(end)
    assert pure.poll(pairing, end - 1)[1] == "pending"
    assert pure.poll(pairing, end) == (pairing, "expired")


def test_nobody_agrees_in_vain_in_the_last_second_but_not_for_long_either() -> None:
    last = NOW_MS + LIFETIME_S * 1_000 - 1
    answered = pure.answer(begun(), CLASS, last)
    assert pure.poll(answered, last + FETCH_MS - 1)[1] == "agreed"
    assert pure.poll(answered, last + FETCH_MS)[1] == "expired"
    early = pure.answer(begun(), CLASS, NOW_MS)
    assert early.expires_ms == NOW_MS + LIFETIME_S * 1_000, "an early answer changes nothing about the end"


@given(st.lists(st.integers(0, 120_000), max_size=60))
def test_no_screen_hears_pending_more_often_than_its_interval_allows(gaps: list[int]) -> None:
    pairing, now, last = begun(), NOW_MS, None
    for gap in gaps:
        now += gap
        before = pairing.interval_s
        pairing, heard = pure.poll(pairing, now)
        if heard == "pending" and last is not None:
            assert now - last >= before * 1_000 - EARLY_MS
        if heard == "slow_down":
            assert pairing.interval_s == before + INTERVAL_S
        if heard == "expired":
            assert now >= NOW_MS + LIFETIME_S * 1_000
            break
        last = now
