"""What people type into a name must not leave its place in somebody else's sentence."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.notifications import taming


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        ("Mira", "Mira"),
        ("  Mira \t von\u00a0 Bergen ", "Mira von Bergen"),
        ("Mira\r\nBcc: everybody@example.org", "Mira Bcc: everybody@example.org"),
        ("Mira\u2028\u2029\x85\x0bx", "Mira x"),
        ("Mi\x00\x07\x1bra", "Mira"),
        ("\u202eariM\u202c", "ariM"),
        ("Mi\u200bra\ufeff", "Mira"),
        ("👩\u200d👩\u200d👧 Team", "👩\u200d👩\u200d👧 Team"),
        ("\ud800Mira", "Mira"),
        ("", ""),
    ],
)
def test_a_line_stays_one_line_of_what_can_be_seen(typed: str, read: str) -> None:
    assert taming.line(typed, 80) == read


@pytest.mark.parametrize("name", ["محمد", "דנה", "Team دبي 2"])
def test_a_name_from_right_to_left_is_isolated(name: str) -> None:
    assert taming.line(name, 80) == f"\u2068{name}\u2069"


def test_a_long_name_is_cut_and_says_so() -> None:
    assert taming.line("x" * 10_000, 80) == "x" * 79 + "…"


def test_a_tower_of_marks_is_cut_down() -> None:
    assert taming.line("e" + "\u0301" * 50 + "!", 80) == "e" + "\u0301" * 4 + "!"


def test_prose_keeps_its_paragraphs_and_no_more() -> None:
    assert taming.prose("\n\nOne\r\ntwo  three\n\n\n\n\nfour\n", 80) == "One\ntwo three\n\nfour"


@given(st.text(), st.integers(min_value=2, max_value=60))
def test_a_line_has_no_break_and_no_more_than_its_length(text: str, most: int) -> None:
    line = taming.line(text, most)
    assert len(line.splitlines()) <= 1
    assert len(line) <= most + 2  # the isolating marks
    assert taming.line(line, most + 2).strip("\u2068\u2069") == line.strip("\u2068\u2069")
