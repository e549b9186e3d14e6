"""Codes that prove a telephone number, and how many there may be."""

import itertools
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.kernel.ids import AccountId, PhoneCheckId
from services.kernel.problems import BadShape
from services.notifications.addresses import normal_phone
from services.notifications.local import LANGUAGES
from services.notifications.phone import CODES_A_DAY, DAY_MS, PAUSE_MS, PhoneCheck, PhoneCodes, wait_ms
from services.notifications.ports import Reader
from services.notifications.rendering import Words
from services.notifications.segments import segments

CODES = PhoneCodes(b"the secret of all nodes")
NUMBER = "+4915112345678"
MINUTE = 60_000


def a_check(number: str = NUMBER) -> PhoneCheck:
    return PhoneCheck(PhoneCheckId(uuid.UUID(int=7)), AccountId(uuid.UUID(int=1)), number, 0, 1)


def test_a_code_is_six_digits_and_of_its_check_its_number_and_its_key_alone() -> None:
    code = CODES.code(a_check().id, NUMBER)
    assert len(code) == 6
    assert code.isdecimal()
    assert code == PhoneCodes(b"the secret of all nodes").code(a_check().id, NUMBER)
    others = {
        CODES.code(uuid.UUID(int=8), NUMBER),
        CODES.code(a_check().id, "+4915112345679"),
        PhoneCodes(b"another").code(a_check().id, NUMBER),
    }
    assert code not in others
    assert len(others) == 3


def test_a_code_is_known_in_whatever_groups_it_is_typed() -> None:
    check = a_check()
    code = CODES.code(check.id, check.number)
    assert CODES.matches(check, f" {code[:3]} {code[3:]}")
    assert CODES.matches(check, f"{code[:3]}-{code[3:]}")
    for wrong in ("", code[:5], code + "0", f"{(int(code) + 1) % 10**6:06}", "٣" * 6):
        assert not CODES.matches(check, wrong)


def test_the_next_code_waits_a_minute_and_after_five_for_the_first_ones_day_to_end() -> None:
    assert wait_ms([], 0) == 0
    assert wait_ms([0], 10_000) == PAUSE_MS - 10_000
    assert wait_ms([0], PAUSE_MS) == 0
    five = [n * MINUTE for n in range(CODES_A_DAY)]
    assert wait_ms(five, 6 * MINUTE) == DAY_MS - 6 * MINUTE
    assert wait_ms(five, DAY_MS) == 0


@given(st.lists(st.integers(1, 3 * DAY_MS), max_size=60))
def test_whoever_waits_as_told_is_never_sent_more_than_five_in_any_day(pauses: list[int]) -> None:
    now, made = 0, list[int]()
    for pause in pauses:
        now += pause
        if (left := wait_ms(made, now)) == 0:
            made.append(now)
        else:
            assert wait_ms(made, now + left) == 0
    assert all(later - earlier >= PAUSE_MS for earlier, later in itertools.pairwise(made))
    assert all(later - earlier >= DAY_MS for earlier, later in zip(made, made[CODES_A_DAY:], strict=False))


@pytest.mark.parametrize("text", ["+49 (151) 1234-5678", "+49.151.12345678", "+4915112345678"])
def test_a_number_is_kept_in_the_form_of_e164(text: str) -> None:
    assert normal_phone(text) == NUMBER


@pytest.mark.parametrize(
    "text", ["", "0151 12345678", "+0151123456", "+49 151", "+49151123456789012", "+49 151 CALLME"]
)
def test_what_is_no_number_with_its_country_is_refused(text: str) -> None:
    with pytest.raises(BadShape) as refused:
        normal_phone(text)
    assert refused.value.path == "$.phone"


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_message_begins_with_the_code_and_is_one_segment(language: str) -> None:
    text = Words().code("012345", Reader("Ada", language, "UTC"))
    assert text.startswith("Paceline: 012345 ")
    assert "10" in text
    assert segments(text) == 1
