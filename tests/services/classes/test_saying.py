"""Text that strangers send to a screen on a wall."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.classes.saying import MAX_MARKS, one_line
from services.kernel.problems import BadShape


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ("  hello \r\n  there ", "hello there"),
        ("Föhn", "Föhn"),
        ("abc\u202egpj.exe", "abcgpj.exe"),
        ("a\u0000b\u001bc", "abc"),
        ("👩‍🚒 👋🏽 🏳️‍🌈", "👩‍🚒 👋🏽 🏳️‍🌈"),
        ("می‌خواهم", "می‌خواهم"),
        ("trước", "trước"),
        ("Z" + "\u0335" * 30, "Z" + "\u0335" * MAX_MARKS),
        ("line\u2028break", "line break"),
    ],
)
def test_it_becomes_one_line_that_stays_in_its_place(sent: str, shown: str) -> None:
    assert one_line(sent) == shown


@given(st.text(max_size=500))
def test_whatever_is_sent_the_line_is_clean_and_stays_as_it_is(text: str) -> None:
    try:
        line = one_line(text)
    except BadShape:
        return
    assert one_line(line) == line
    assert line == line.strip() != ""
    assert all(unicodedata.category(character) not in {"Cc", "Cs", "Zl", "Zp"} for character in line)
    assert "\u202e" not in line
