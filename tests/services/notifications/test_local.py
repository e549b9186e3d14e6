"""Numbers, spans, dates and times in the conventions of the locales, against what CLDR's own formatters print."""

import pytest

from services.notifications.local import CONVENTIONS, Local, fallbacks, language_of

NEW_YEAR = 1_767_312_000_000  # 2026-01-02T00:00:00Z, a Friday
SUMMER = 1_784_118_600_000  # 2026-07-15T12:30:00Z, a Wednesday


@pytest.mark.parametrize(
    ("locale", "order"),
    [
        ("de-AT", ["de-AT", "de", "en"]),
        ("de_at", ["de-AT", "de", "en"]),
        ("en-GB", ["en-GB", "en"]),
        ("zh-Hant-TW", ["zh-Hant-TW", "zh-Hant", "zh", "en"]),
        ("en", ["en"]),
    ],
)
def test_words_are_looked_for_in_the_nearest_language_first(locale: str, order: list[str]) -> None:
    assert list(fallbacks(locale)) == order


@pytest.mark.parametrize(("locale", "language"), [("de-CH", "de"), ("fr-CA", "en"), ("DE", "de"), ("", "en")])
def test_everybody_reads_one_of_the_languages(locale: str, language: str) -> None:
    assert language_of(locale) == language


@pytest.mark.parametrize(
    ("locale", "written"),
    [
        ("en", "1,234,567.9"),
        ("en-GB", "1,234,567.9"),
        ("de", "1.234.567,9"),
        ("de-AT", "1\N{NO-BREAK SPACE}234\N{NO-BREAK SPACE}567,9"),
        ("de-CH", "1’234’567.9"),
        ("fr", "1,234,567.9"),
    ],
)
def test_a_number_is_grouped_as_the_region_does(locale: str, written: str) -> None:
    assert Local(locale, "UTC").number(1_234_567.89, 1) == written


@pytest.mark.parametrize(
    ("value", "digits", "written"), [(0, 0, "0"), (999.5, 0, "1,000"), (-0.04, 1, "0.0"), (-12.0, 1, "−12.0")]
)
def test_a_number_is_rounded_before_it_is_written(value: float, digits: int, written: str) -> None:
    assert Local("en", "UTC").number(value, digits) == written


@pytest.mark.parametrize(
    ("ms", "written"),
    [
        (0, "0 s"),
        (59_400, "59 s"),
        (59_600, "1 min"),
        (750_000, "12 min 30 s"),
        (3_600_000, "1 h"),
        (3_900_000, "1 h 5 min"),
    ],
)
def test_a_length_of_time_is_said_in_its_two_largest_units(ms: int, written: str) -> None:
    assert Local("de", "UTC").span(ms) == written


@pytest.mark.parametrize(
    ("locale", "zone", "written"),
    [
        ("en", "America/New_York", "Thursday, January 1, 2026 at 7:00 PM"),
        ("en-GB", "Europe/London", "Friday 2 January 2026 at 00:00"),
        ("de", "Europe/Berlin", "Freitag, 2. Januar 2026 um 01:00 Uhr"),
        ("de-AT", "Europe/Vienna", "Freitag, 2. Jänner 2026 um 01:00 Uhr"),
        ("de-CH", "Europe/Zurich", "Freitag, 2. Januar 2026 um 01:00 Uhr"),
    ],
)
def test_a_moment_is_written_for_the_place_where_it_is_read(locale: str, zone: str, written: str) -> None:
    assert Local(locale, zone).moment(NEW_YEAR) == written


def test_summer_time_is_told_from_winter_time() -> None:
    berlin = Local("de", "Europe/Berlin")
    assert (berlin.time(NEW_YEAR), berlin.time(SUMMER)) == ("01:00 Uhr", "14:30 Uhr")


def test_noon_and_midnight_are_twelve_in_english() -> None:
    utc = Local("en", "UTC")
    assert (utc.time(NEW_YEAR), utc.time(NEW_YEAR + 12 * 3_600_000)) == ("12:00 AM", "12:00 PM")


def test_a_zone_that_this_machine_has_lost_is_utc() -> None:
    for lost in ("Mars/Olympus_Mons", "../../etc/passwd", ""):
        assert Local("en", lost).time(NEW_YEAR) == "12:00 AM"


def test_one_is_not_many() -> None:
    assert [Local("en", "UTC").count(n, "athlete", "athletes") for n in (0, 1, 2_000)] == [
        "0 athletes",
        "1 athlete",
        "2,000 athletes",
    ]


def test_every_locale_has_all_days_and_months() -> None:
    for conventions in CONVENTIONS.values():
        assert (len(set(conventions.weekdays)), len(set(conventions.months))) == (7, 12)
