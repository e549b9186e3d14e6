"""What may be in an account."""

import unicodedata
from datetime import date

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.accounts.account import (
    MAX_NAME,
    Account,
    Profile,
    ProfileChange,
    changed,
    check_password,
    normal_device,
    normal_email,
    normal_name,
    normal_password,
    unguessable_characters,
    view_of,
)
from services.kernel.ids import AccountId, CountingIds
from services.kernel.problems import BadShape, WeakPassword

TODAY = date(2026, 11, 20)


def an_account(**profile: object) -> Account:
    return Account(
        id=AccountId(CountingIds().next()),
        email="anna@example.org",
        name="Anna",
        roles=frozenset({"member"}),
        created_at_ms=0,
        profile=Profile(**profile),  # type: ignore[arg-type]
    )


class TestEmail:
    @pytest.mark.parametrize(
        ("typed", "kept"),
        [
            ("Anna@Example.ORG", "anna@example.org"),
            ("  anna@example.org ", "anna@example.org"),
            ("anna.b+gym@mail.example.co.uk", "anna.b+gym@mail.example.co.uk"),
            ("o'neil@example.org", "o'neil@example.org"),
        ],
    )
    def test_is_kept_in_lower_case_without_blanks_around_it(self, typed: str, kept: str) -> None:
        assert normal_email(typed) == kept

    @pytest.mark.parametrize(
        "typed",
        [
            "",
            "anna",
            "anna@",
            "@example.org",
            "anna@example",
            "anna@@example.org",
            "anna b@example.org",
            ".anna@example.org",
            "anna..b@example.org",
            "anna@-example.org",
            "anna@example-.org",
            "anna@example.org\n",
            "anna\r\nbcc: x@example.org",
            '"anna"@example.org',
            "änna@example.org",
            "anna@exämple.org",
            "İ@example.org",
            "a" * 65 + "@example.org",
            "anna@" + "a" * 64 + ".org",
            "anna@" + ".".join(["a" * 60] * 5),
        ],
    )
    def test_refuses_what_could_not_be_mailed_to(self, typed: str) -> None:
        with pytest.raises(BadShape) as refused:
            normal_email(typed)
        assert refused.value.path == "$.email"

    @given(st.text(max_size=300))
    def test_is_the_same_when_made_normal_twice(self, typed: str) -> None:
        try:
            email = normal_email(typed)
        except BadShape:
            return
        assert normal_email(email) == email == email.lower()
        assert email.isascii()

    def test_judges_a_long_hostile_address_in_no_time(self) -> None:
        # A backtracking pattern would need longer than the age of the universe for this one.
        with pytest.raises(BadShape):
            normal_email("a." * 120 + "@!")


class TestName:
    @pytest.mark.parametrize(
        ("typed", "kept"),
        [
            ("Anna", "Anna"),
            ("  Anna \t Maria\n", "Anna Maria"),
            (unicodedata.normalize("NFD", "Zoë"), "Zoë"),
            ("李雷", "李雷"),
            ("🚴", "🚴"),
            ("می\u200cخواهم", "می\u200cخواهم"),
        ],
    )
    def test_is_composed_and_trimmed(self, typed: str, kept: str) -> None:
        assert normal_name(typed) == kept

    @pytest.mark.parametrize(
        "typed", ["", "   ", "\u200d", "...", "a\x00b", "a\x1b[31mb", "\u202eanna", "a\ufeffb", "x" * (MAX_NAME + 1)]
    )
    def test_refuses_what_would_break_a_board(self, typed: str) -> None:
        with pytest.raises(BadShape) as refused:
            normal_name(typed)
        assert refused.value.path == "$.name"


def test_a_device_is_listed_without_anything_that_could_break_the_list() -> None:
    assert normal_device("  Anna's\x00 watch\n\u202e ") == "Anna's watch"
    assert len(normal_device("x" * 500)) == 80


class TestPassword:
    @pytest.mark.parametrize(
        "password",
        [
            "violet anchor moss kettle",
            "x7!Kq2#vLp",
            "correct horse battery staple",
            "schnürsenkel-im-regen",
            "анна купила слона",
            "violet anchor moss kettle " + "under seven copper lamps " * 4,
        ],
    )
    def test_accepts_what_is_hard_to_guess(self, password: str) -> None:
        check_password(password, email="anna@example.org", name="Anna Berg")

    @pytest.mark.parametrize(
        "password",
        [
            "short1!",
            "aaaaaaaaaaaa",
            "abababababab",
            "abcabcabcabc",
            "1234567890",
            "0987654321",
            "qwertyuiop",
            "asdfghjkl123",
            "1q2w3e4r5t",
            "Password123",
            "p@ssw0rd2024",
            "P4ssw0rd1234",
            "anna.berg1",
            "annaberg2024",
            "Anna@example.org",
            "annaannaanna",
            "paceline123",
            "PaceLine2026!",
            "welcome12345",
            "letmein2025!",
            "iloveyou1234",
        ],
    )
    def test_refuses_what_leads_every_list_or_names_the_person(self, password: str) -> None:
        with pytest.raises(WeakPassword) as refused:
            check_password(password, email="anna@example.org", name="Anna Berg")
        assert refused.value.path == "$.password"

    def test_takes_ten_to_128_characters(self) -> None:
        good = "".join(chr(0x4E00 + n * 7) for n in range(129))
        check_password(good[:10], email="a@b.org", name="A")
        check_password(good[:128], email="a@b.org", name="A")
        for bad in (good[:9], good[:129]):
            with pytest.raises(WeakPassword):
                check_password(bad, email="a@b.org", name="A")

    def test_counts_every_guessable_stretch_as_one_character(self) -> None:
        assert unguessable_characters("xPasswordx", email="", name="") == 3
        assert unguessable_characters("x1234x", email="", name="") == 3
        assert unguessable_characters("xannax", email="anna@x.org", name="") == 3

    def test_is_the_same_however_an_accent_was_typed(self) -> None:
        composed = "créme brûlée à la carte"
        assert normal_password(unicodedata.normalize("NFD", composed)) == composed

    def test_keeps_blanks_and_case(self) -> None:
        assert normal_password("  Violet  ") == "  Violet  "

    def test_of_a_megabyte_is_refused_before_anything_is_done_with_it(self) -> None:
        with pytest.raises(WeakPassword):
            normal_password("a\u0301" * 500_000)

    @given(st.text(max_size=60))
    def test_is_judged_without_falling_over(self, password: str) -> None:
        assert 0 <= unguessable_characters(password, email="anna@example.org", name="Anna") <= len(password.casefold())


class TestProfile:
    def test_changes_what_is_named_and_keeps_the_rest(self) -> None:
        after = changed(an_account(max_hr=185, mass_kg=70.0), ProfileChange(rest_hr=52, mass_kg=None), TODAY)
        assert after.profile == Profile(max_hr=185, rest_hr=52, mass_kg=None)
        assert after.name == "Anna"

    def test_changes_the_name_by_the_rules_of_names(self) -> None:
        assert changed(an_account(), ProfileChange(name=" Anna  B "), TODAY).name == "Anna B"
        with pytest.raises(BadShape):
            changed(an_account(), ProfileChange(name="\n"), TODAY)

    def test_refuses_a_resting_rate_that_is_not_below_the_maximum(self) -> None:
        for account, change in (
            (an_account(max_hr=110), ProfileChange(rest_hr=110)),
            (an_account(rest_hr=115), ProfileChange(max_hr=110)),
        ):
            with pytest.raises(BadShape, match="below the maximum") as refused:
                changed(account, change, TODAY)
            assert refused.value.path == "$.rest_hr"

    def test_refuses_a_birth_in_the_future_or_before_anybody(self) -> None:
        for born in (date(2026, 11, 21), date(1880, 1, 1)):
            with pytest.raises(BadShape) as refused:
                changed(an_account(), ProfileChange(birth_date=born), TODAY)
            assert refused.value.path == "$.birth_date"

    def test_gives_a_physiology_that_admits_its_guesses(self) -> None:
        physiology = Profile(birth_date=date(1990, 5, 17), rest_hr=50).physiology(TODAY)
        assert (physiology.max_hr_source, physiology.rest_hr_source) == ("tanaka", "measured")
        assert physiology.age_years == 36

    @pytest.mark.parametrize("bad", [{"max_hr": 99}, {"rest_hr": 24}, {"mass_kg": 401}, {"sex": "x"}, {"roles": []}])
    def test_shape_refuses_values_that_cannot_be_and_fields_that_are_not_there(self, bad: object) -> None:
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert(bad, ProfileChange)


def test_the_view_has_everything_but_the_hash() -> None:
    view = msgspec.to_builtins(view_of(an_account(max_hr=185)))
    assert view["email"] == "anna@example.org"
    assert view["roles"] == ["member"] or view["roles"] == ("member",)
    assert view["max_hr"] == 185
    assert not [field for field in view if "password" in field]
