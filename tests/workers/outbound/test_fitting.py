"""A push that has to fit."""

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.notifications.outgoing import Refused
from tests.support.providers.build import push
from workers.outbound.fitting import fitted, shortened


def make(title: str, body: str) -> bytes:
    return json.dumps({"title": title, "body": body}, ensure_ascii=False).encode()


def test_what_fits_is_left_as_it_is() -> None:
    assert json.loads(fitted(push(body="short"), make, 4_096, provider="apns"))["body"] == "short"


def test_the_body_gives_way_and_says_so() -> None:
    told = fitted(push(title="Heat", body="é" * 5_000), make, 1_000, provider="apns")
    assert 990 < len(told) <= 1_000
    assert json.loads(told)["title"] == "Heat"
    assert json.loads(told)["body"].endswith("é…")


def test_the_title_gives_way_when_the_body_is_gone() -> None:
    told = fitted(push(title="t" * 5_000, body="gone"), make, 1_000, provider="apns")
    assert len(told) <= 1_000
    assert json.loads(told)["body"] == ""


def test_what_is_too_large_without_words_is_refused() -> None:
    with pytest.raises(Refused, match="more than 10 bytes"):
        fitted(push(), make, 10, provider="apns")


@pytest.mark.parametrize(
    ("words", "characters", "short"),
    [
        ("abc", 3, "abc"),
        ("abcd", 3, "abc…"),
        ("ab cd", 3, "ab…"),
        ("e\u0301e\u0301", 3, "e\u0301…"),
        ("e\u0301x", 1, ""),
        ("go 🏃🏽\u200d♀\ufe0f now", 4, "go…"),
        ("go 🏃🏽\u200d♀\ufe0f now", 6, "go…"),
        ("go 🏃🏽\u200d♀\ufe0f now", 9, "go 🏃🏽\u200d♀\ufe0f…"),
    ],
)
def test_no_character_is_cut_in_half(words: str, characters: int, short: str) -> None:
    assert shortened(words, characters) == short


@given(st.text(), st.text(), st.integers(60, 400))
def test_whatever_the_words_the_payload_fits_and_is_a_beginning_of_them(title: str, body: str, most: int) -> None:
    told = json.loads(fitted(push(title=title, body=body), _ascii, most, provider="apns"))
    assert len(_ascii(told["title"], told["body"])) <= most
    assert body.startswith(told["body"].removesuffix("…")) or told["body"] == body
    assert title.startswith(told["title"].removesuffix("…")) or told["title"] == title
    cut = told["body"].removesuffix("…")
    if cut and told["body"] != body:
        assert unicodedata.category(cut[-1]) != "Cs"


def _ascii(title: str, body: str) -> bytes:
    return json.dumps({"title": title, "body": body}).encode()
