"""What a profile turns into, what is assumed, and what is refused."""

from datetime import date

import msgspec
import pytest

from services.training.physiology import ImplausiblePhysiologyError, Physiology, age_on, physiology_of
from tests.services.training.build import body

TODAY = date(2026, 11, 20)


def test_measured_values_are_taken_as_they_are() -> None:
    person = physiology_of(on=TODAY, max_hr=184, rest_hr=48, sex="female", mass_kg=61.5, born=date(1990, 5, 1))
    assert person == Physiology(184, 48, "female", 61.5, 36, "measured", "measured")


def test_a_missing_maximum_comes_from_the_age() -> None:
    person = physiology_of(on=TODAY, born=date(1986, 1, 1))
    assert (person.max_hr, person.max_hr_source) == (180, "tanaka")


def test_an_unknown_person_is_assumed_and_says_so() -> None:
    assert physiology_of(on=TODAY) == Physiology(190, 60, None, None, None, "assumed", "assumed")


@pytest.mark.parametrize(
    ("born", "age"),
    [
        (date(1996, 11, 20), 30),
        (date(1996, 11, 21), 29),
        (date(2026, 11, 20), 0),
        (date(1906, 11, 20), 120),
    ],
)
def test_age_is_counted_in_completed_years(born: date, age: int) -> None:
    assert age_on(TODAY, born) == age


def test_a_leap_day_birthday_falls_on_the_first_of_march() -> None:
    assert age_on(date(2026, 2, 28), date(2000, 2, 29)) == 25
    assert age_on(date(2026, 3, 1), date(2000, 2, 29)) == 26


@pytest.mark.parametrize("born", [date(2026, 11, 21), date(1905, 11, 20)])
def test_a_birth_in_the_future_or_too_long_ago_is_refused(born: date) -> None:
    with pytest.raises(ImplausiblePhysiologyError, match="120 years before 2026-11-20") as refused:
        physiology_of(on=TODAY, born=born)
    assert refused.value.field == "born"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("max_hr", 99),
        ("max_hr", 251),
        ("rest_hr", 24),
        ("rest_hr", 121),
        ("mass_kg", 19.9),
        ("mass_kg", 400.1),
        ("mass_kg", float("nan")),
        ("mass_kg", float("inf")),
    ],
)
def test_a_value_no_body_has_is_refused_by_name_with_the_cure(field: str, value: float) -> None:
    with pytest.raises(ImplausiblePhysiologyError, match="enter a value from") as refused:
        physiology_of(on=TODAY, **{field: value})  # type: ignore[arg-type]
    assert refused.value.field == field


@pytest.mark.parametrize("rest_hr", [110, 111, 120])
def test_a_resting_rate_must_be_below_the_maximum(rest_hr: int) -> None:
    with pytest.raises(ImplausiblePhysiologyError, match="below the maximum heart rate, 110 bpm"):
        physiology_of(on=TODAY, max_hr=110, rest_hr=rest_hr)


def test_a_snapshot_survives_storing() -> None:
    person = body(sex=None, mass_kg=None)
    assert msgspec.json.decode(msgspec.json.encode(person), type=Physiology) == person


def test_a_damaged_snapshot_is_refused_at_reading() -> None:
    stored = msgspec.json.encode(body()).replace(b'"rest_hr":60', b'"rest_hr":12')
    with pytest.raises(msgspec.ValidationError, match="rest_hr cannot be 12"):
        msgspec.json.decode(stored, type=Physiology)
