"""Names that could pass for another one (bad input: Unicode look-alikes; OWASP API6). Pure."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.accounts.account import normal_email, normal_name
from services.accounts.look_alike import MOST_MARKS, fault_of, undressed
from services.kernel.problems import BadShape


@pytest.mark.parametrize(
    "name",
    [
        "Anna Berg",
        "Zoë O'Neil-Łukasiewicz",
        "Mª José",
        "Kaʻiulani",
        "Анна Каренина",
        "Anna Каренина",
        "Αθηνά",
        "李雷 Lee",
        "X線の李さん",
        "佐々木ルーシー",
        "김Kim",
        "ㄅㄆLi",
        "می\u200cخواهم",
        "क्\u200dष",
        "נֹעָה",
        "Ana 👩\u200d👩\u200d👧",
        "❤️ Ana",
        "José 2",
    ],
)
def test_names_of_people_are_kept(name: str) -> None:
    assert normal_name(name) == unicodedata.normalize("NFC", name)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("Аnna", "one script"),  # a Cyrillic A
        ("Annа", "one script"),
        ("Annα", "one script"),
        ("Аnna Berg", "one script"),
        ("Berg-Аnna", "one script"),
        ("Anna\u3164", "nobody sees"),
        ("An\u115fna", "nobody sees"),
        ("Anna\u2800", "nobody sees"),
        ("An\u034fna", "nobody sees"),
        ("Anna\ufe0f", "nobody sees"),
        ("Anna\U000e0101", "nobody sees"),
        ("An\u200dna", "joiners"),
        ("An\u200cna", "joiners"),
        ("Анн\u200dа", "joiners"),
        ("Anna\u200d", "joiners"),
        ("Anna \u200dBerg", "joiners"),
        ("می\u200c\u200cخ", "joiners"),
        ("A" + "\u0335" * (MOST_MARKS + 1), "marks"),
    ],
)
def test_a_name_that_could_pass_for_another_is_refused_with_the_reason(name: str, why: str) -> None:
    with pytest.raises(BadShape, match=why) as refused:
        normal_name(name)
    assert refused.value.path == "$.name"


@pytest.mark.parametrize("typed", ["𝐀𝐧𝐧𝐚", "Ａｎｎａ", "𝒜𝓃𝓃𝒶", "Ａnna"])
def test_letters_in_a_costume_are_undressed(typed: str) -> None:
    assert normal_name(typed) == "Anna"


@given(st.text(max_size=60))
def test_undressing_is_done_once_and_judging_never_fails(text: str) -> None:
    once = undressed(text)
    assert undressed(once) == once
    fault_of(once)


@given(st.text(max_size=80))
def test_what_is_a_name_once_is_the_same_name_again(text: str) -> None:
    try:
        name = normal_name(text)
    except BadShape:
        return
    assert normal_name(name) == name


@pytest.mark.parametrize("typed", ["аnna@example.org", "anna@exаmple.org", "anna@example。org", "ａnna@example.org"])
def test_an_address_has_no_look_alikes_of_other_scripts(typed: str) -> None:
    with pytest.raises(BadShape):
        normal_email(typed)


def test_dots_and_what_stands_behind_a_plus_are_another_address() -> None:
    """Making them one would let whoever has one of them into the account of the other."""
    assert (
        len({normal_email(typed) for typed in ("anna.b@example.org", "annab@example.org", "annab+x@example.org")}) == 3
    )
