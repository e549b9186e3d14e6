"""Text that strangers send to a screen on a wall. Each case names where it comes from."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.classes.plain_text import MAX_MARKS, one_line, units
from services.kernel.problems import BadShape

ENGLAND = "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f"
FAMILY = "👩\u200d👩\u200d👧\u200d👦"

CLEANED = [
    ("white space of all kinds is one space", "  hello \r\n\t there\u00a0\u3000", "hello there"),
    ("line and paragraph separators, UAX #14", "line\u2028break\u2029end", "line break end"),
    ("next line, a control that is white space", "line\u0085break", "line break"),
    ("composed form, UAX #15", "Fo\u0308hn", "F\u00f6hn"),
    ("what a character between had kept apart composes", "Fo\u200b\u0308hn", "F\u00f6hn"),
    ("Trojan Source, CVE-2021-42574: override", "abc\u202egpj.exe", "abcgpj.exe"),
    ("Trojan Source, CVE-2021-42574: isolates", "a\u2066b\u2067c\u2068d\u2069e", "abcde"),
    ("direction marks, UAX #9", "a\u200e\u200f\u061cb", "ab"),
    ("controls, terminal escapes among them", "a\u0000b\u001b[31mc", "ab[31mc"),
    ("byte order mark, zero-width space, word joiner", "\ufeffa\u200bb\u2060c", "abc"),
    ("soft hyphen, invisible operators, annotations", "a\u00adb\u2062c\ufff9d\ufffbe", "abcde"),
    ("grapheme joiner and selectors of Mongolian", "a\u034fb\u180bc\u180ed", "abcd"),
    ("private use and noncharacters", "a\ue000b\ufdd0c\uffffd\U0010fffee", "abcde"),
    ("inkless letters, UTS #39 5.4", "a\u3164\u115f\u1160\uffa0\u2800b", "a b"),
    ("a joiner in an emoji, UTS #51", "👩‍🚒 👋🏽 🏳️‍🌈", "👩‍🚒 👋🏽 🏳️‍🌈"),
    ("a non-joiner in Persian, UAX #31 2.3", "می‌خواهم", "می‌خواهم"),
    ("joiners without anything to join", "\u200da\u200d \u200db\u200c", "a b"),
    ("a run of joiners is one", "a\u200d\u200c\u200d\u200db", "a\u200db"),
    ("the flag of England is written with tags", f"go {ENGLAND}!", f"go {ENGLAND}!"),
    ("tags elsewhere are letters that nobody sees", "go\U000e0068\U000e0069!", "go!"),
    ("tags behind a flag that do not end", "\U0001f3f4" + "\U000e0068" * 40, "\U0001f3f4"),
    ("a selector for the coloured heart", "\u2764\ufe0f", "\u2764\ufe0f"),
    ("selectors as an alphabet to hide words in", "a" + "\U000e0148\U000e0155" * 9, "a\U000e0148"),
    ("selectors behind a space", "a \ufe0fb", "a b"),
    ("Vietnamese needs two marks", "trước", "trước"),
    ("keycaps", "1\ufe0f\u20e3", "1\ufe0f\u20e3"),
    ("a tower of marks", "Z" + "\u0335" * 30, "Z" + "\u0335" * MAX_MARKS),
    ("marks without a character", "\u0335\u0335a \u0335b", "a b"),
]


@pytest.mark.parametrize(("sent", "shown"), [case[1:] for case in CLEANED], ids=[case[0] for case in CLEANED])
def test_it_becomes_one_line_that_stays_in_its_place(sent: str, shown: str) -> None:
    assert one_line(sent) == shown


@pytest.mark.parametrize(
    "text", ["", " ", "\u200d", "\u202e\u2066", "\n\t", "\u3164\u2800", "\u0335", "\U000e0041", "\ufe0f"]
)
def test_what_shows_nothing_is_refused(text: str) -> None:
    with pytest.raises(BadShape) as refused:
        one_line(text)
    assert refused.value.path == "$.text"


@pytest.mark.parametrize(
    ("line", "count"),
    [
        ("abc", 3),
        ("trước", 5),
        (FAMILY, 1),
        ("👋🏽", 1),
        ("🇩🇪🇫🇷", 2),
        ("🇩a🇪", 3),
        (ENGLAND, 1),
        ("नमस्ते", 4),
        ("میخواهم", 7),
        ("می\u200cخ", 3),
    ],
)
def test_length_is_what_a_reader_counts(line: str, count: int) -> None:
    assert units(line) == count


def test_what_is_too_long_is_refused_with_the_limit_and_what_fits_is_taken() -> None:
    assert one_line(FAMILY * 5, 5) == FAMILY * 5
    with pytest.raises(BadShape) as refused:
        one_line(FAMILY * 6, 5)
    assert refused.value.data == {"limit": 5}


ODD = st.text(
    st.one_of(
        st.sampled_from(
            "ab eo\n\u0308\u0335\u0301\u200b\u200c\u200d\u202e\ufe0f\u3164\u034f🇩🇪👩🏽"
            "\U0001f3f4\U000e0067\U000e007f\U000e0100\u1100\u1161"
        ),
        st.characters(),
    ),
    max_size=60,
)


@given(ODD)
def test_whatever_is_sent_the_line_is_clean_and_stays_as_it_is(text: str) -> None:
    try:
        line = one_line(text)
    except BadShape:
        return
    assert one_line(line) == line
    assert line == line.strip() != ""
    assert unicodedata.is_normalized("NFC", line)
    assert not {unicodedata.category(character) for character in line} & {"Cc", "Cs", "Co", "Zl", "Zp"}
    assert not set(line) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200b\ufeff\u3164")
    assert 1 <= units(line) <= len(line)
