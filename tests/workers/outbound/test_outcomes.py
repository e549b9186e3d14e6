"""What may be shown of a provider's words, and how long it may make us wait."""

import pytest

from workers.outbound.outcomes import LONGEST_WAIT_S, retry_after_s, shown

NOW_MS = 1_790_000_000_000  # Mon, 21 Sep 2026 14:13:20 GMT


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7.0),
        (" 0 ", 0.0),
        ("999999999", LONGEST_WAIT_S),
        ("Mon, 21 Sep 2026 14:14:20 GMT", 60.0),
        ("Mon, 21 Sep 2026 14:00:00 GMT", 0.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", LONGEST_WAIT_S),
        ("", None),
        (None, None),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("9" * 40, None),
        ("Mon, 99 Sep 2026 14:14:20 GMT", None),
    ],
)
def test_retry_after_is_seconds_or_a_date_or_nothing(value: str | None, seconds: float | None) -> None:
    assert retry_after_s(value, NOW_MS) == seconds


@pytest.mark.parametrize(
    ("words", "private", "line"),
    [
        ("5.1.1 <Mira@Example.org>: user unknown", "", "5.1.1 <…>: user unknown"),
        ("no mailbox for MIRA here", "mira", "no mailbox for … here"),
        ("two\r\nlines\x1b[31m", "", "two lines [31m"),
        ("The 'To' number +49 151 1234567 is bad", "", "The 'To' number … is bad"),
        (f"token {'aB3' * 20}", "", "token …"),
        ("4.2.2 mailbox full, 452 of 500", "", "4.2.2 mailbox full, 452 of 500"),
    ],
)
def test_words_are_shown_without_addresses_numbers_and_keys(words: str, private: str, line: str) -> None:
    assert shown(words, private) == line


def test_a_long_answer_is_cut() -> None:
    assert len(shown("word " * 1_000)) == 160


def test_a_long_page_is_looked_through_once() -> None:
    assert shown("a" * 200_000) == "…"  # minutes, if it were looked through once from each of its letters
