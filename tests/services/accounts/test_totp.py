"""Codes of authenticator apps: the vectors of the RFCs, the window, the one use, the guesses. Pure."""

import xml.etree.ElementTree as ET
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP

from services.accounts.qr import picture_of
from services.accounts.totp import (
    GUESS_EVERY_MS,
    MOST_GUESSES,
    STEP_MS,
    Totp,
    code_at,
    make_secret,
    matching_step,
    spelled,
    step_of,
    uri_of,
)

SECRET = b"12345678901234567890"
NOW = 1_790_000_000_000

RFC_4226 = ("755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583", "399871", "520489")
RFC_6238 = {
    59: "94287082",
    1111111109: "07081804",
    1111111111: "14050471",
    1234567890: "89005924",
    2000000000: "69279037",
    20000000000: "65353130",
}
"""Seconds since 1970 and eight digits of SHA-1; ours are the last six of them."""


@pytest.mark.parametrize(("counter", "code"), list(enumerate(RFC_4226)))
def test_codes_are_those_of_rfc_4226_appendix_d(counter: int, code: str) -> None:
    assert code_at(SECRET, counter) == code


@pytest.mark.parametrize(("second", "code"), list(RFC_6238.items()))
def test_codes_are_those_of_rfc_6238_appendix_b(second: int, code: str) -> None:
    assert TOTP(SECRET, 8, SHA1(), 30).generate(second).decode() == code, "the vector was copied wrongly"
    assert code_at(SECRET, step_of(second * 1_000)) == code[-6:]
    assert matching_step(SECRET, code[-6:], second * 1_000, None) == second // 30


@pytest.mark.parametrize(("off", "good"), [(-2, False), (-1, True), (0, True), (1, True), (2, False)])
def test_a_clock_may_be_one_step_off_either_way(off: int, good: bool) -> None:
    """ASVS 6.5.5."""
    step = step_of(NOW) + off
    assert matching_step(SECRET, code_at(SECRET, step), NOW, None) == (step if good else None)


def test_a_code_is_worth_nothing_once_it_or_a_later_one_was_used() -> None:
    """ASVS 6.5.1."""
    now = step_of(NOW)
    for used in (now, now + 1):
        assert matching_step(SECRET, code_at(SECRET, now), NOW, used) is None
    assert matching_step(SECRET, code_at(SECRET, now + 1), NOW, now) == now + 1


def test_two_steps_with_the_same_code_are_two_codes() -> None:
    """The same six digits may come twice in a row: the earlier one that was used does not hide the later one."""
    first, second = 910_737, 910_738
    assert code_at(SECRET, first) == code_at(SECRET, second) == "911617"
    assert matching_step(SECRET, "911617", first * STEP_MS, None) == first
    assert matching_step(SECRET, "911617", first * STEP_MS, first) == second


@pytest.mark.parametrize("typed", ["{a} {b}", " {a}-{b} ", "{a}{b}"])
def test_a_code_may_be_typed_in_groups(typed: str) -> None:
    code = code_at(SECRET, step_of(NOW))
    assert matching_step(SECRET, typed.format(a=code[:3], b=code[3:]), NOW, None) == step_of(NOW)


@pytest.mark.parametrize("typed", ["", "12345", "1234567", "abcdef", "٤٢٣٤٥٦", "0x1234", "-1", "1e5   ", "\ud800"])
def test_what_is_no_code_is_wrong_and_breaks_nothing(typed: str) -> None:
    assert matching_step(SECRET, typed.encode("utf-8", "replace").decode(), NOW, None) is None


def test_guesses_are_few_and_come_back_slowly() -> None:
    """ASVS 6.3.1."""
    app: Totp | int = Totp(b"", made_at_ms=NOW, guessed_at_ms=NOW)
    for _ in range(MOST_GUESSES):
        assert isinstance(app, Totp)
        app = app.guess(NOW)
    assert isinstance(app, Totp)
    assert app.guess(NOW) == GUESS_EVERY_MS
    assert app.guess(NOW + GUESS_EVERY_MS - 1_000) == 1_000
    after = app.guess(NOW + GUESS_EVERY_MS)
    assert isinstance(after, Totp)
    assert isinstance(after.guess(NOW + GUESS_EVERY_MS), int)
    long_after = app.guess(NOW + 100 * MOST_GUESSES * GUESS_EVERY_MS)
    assert isinstance(long_after, Totp)
    assert long_after.guesses == MOST_GUESSES - 1, "more than the allowance does not gather"
    assert after.used(7).guesses == MOST_GUESSES
    assert after.used(7).used_step == 7


def test_a_clock_that_went_back_gives_no_guesses() -> None:
    app = Totp(b"", made_at_ms=NOW, guesses=0.5, guessed_at_ms=NOW)
    assert isinstance(app.guess(NOW - 3_600_000), int)


def test_secrets_are_random_and_long_enough() -> None:
    secrets = {make_secret() for _ in range(50)}
    assert len(secrets) == 50
    assert {len(secret) for secret in secrets} == {20}


def test_the_uri_says_what_apps_read() -> None:
    parts = urlsplit(uri_of(SECRET, "anna+bike@example.org", "Paceline"))
    assert (parts.scheme, parts.netloc, unquote(parts.path)) == ("otpauth", "totp", "/Paceline:anna+bike@example.org")
    assert parse_qs(parts.query) == {
        "secret": ["GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"],
        "issuer": ["Paceline"],
        "algorithm": ["SHA1"],
        "digits": ["6"],
        "period": ["30"],
    }
    assert spelled(SECRET) == "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"


def test_the_picture_is_an_svg_without_script_or_style() -> None:
    picture = picture_of(uri_of(SECRET, "anna@example.org", "Paceline"))
    root = ET.fromstring(picture)
    space = "{http://www.w3.org/2000/svg}"
    assert {element.tag for element in root.iter()} == {f"{space}svg", f"{space}path"}
    assert "viewBox" in root.attrib
    assert "style" not in picture
