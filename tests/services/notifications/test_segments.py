"""What a text message costs, and how one is made to fit."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.notifications.segments import MOST_SEGMENTS, fitted, is_gsm, plain, segments


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 1),
        ("a" * 160, 1),
        ("a" * 161, 2),
        ("a" * 306, 2),
        ("a" * 307, 3),
        ("ä" * 160, 1),
        ("€" * 80, 1),
        ("€" * 81, 2),
        # 153 is odd: the last septet of each segment stays empty, because a euro is not torn apart.
        ("€" * 152, 2),
        ("€" * 153, 3),
        ("я" * 70, 1),
        ("я" * 71, 2),
        ("я" * 134, 2),
        ("я" * 135, 3),
        ("🚲" * 35, 1),
        ("🚲" * 36, 2),
        ("🚲" * 66, 2),
        ("🚲" * 67, 3),
    ],
)
def test_segments_are_counted_as_networks_count_them(text: str, count: int) -> None:
    assert segments(text) == count


def test_one_character_outside_of_the_alphabet_halves_the_message() -> None:
    assert (segments("a" * 134), segments("a" * 133 + "ő"), segments("a" * 134 + "ő")) == (1, 2, 3)


def test_typewriter_quotes_are_in_the_alphabet() -> None:
    assert not is_gsm("„Berg“ – 3 min…")
    assert plain("„Berg“ – 3 min…") == '"Berg" - 3 min...'
    assert is_gsm(plain("„Berg“ – 3 min…"))


@given(st.text(max_size=400))
def test_what_is_fitted_fits_and_begins_as_it_did(text: str) -> None:
    short = fitted(text)
    assert segments(short) <= MOST_SEGMENTS
    assert short == text or text.startswith(short.removesuffix("..."))
