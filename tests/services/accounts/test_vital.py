"""Which value of a body holds on which day."""

import itertools
import uuid
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.accounts.account import Profile
from services.accounts.vital import (
    KINDS,
    MEASURES,
    NewVital,
    Vital,
    VitalKind,
    check_plausible,
    holding,
    physiology_on,
    profile_on,
    views,
    vital_of,
)
from services.kernel.ids import VitalId
from services.kernel.problems import BadShape

TODAY = date(2026, 11, 28)
MARCH, JUNE = date(2026, 3, 10), date(2026, 6, 1)


def vital(kind: VitalKind, value: float, from_day: date, n: int = 0) -> Vital:
    return Vital(VitalId(uuid.UUID(int=n)), kind, value, from_day, "typed", n)


HISTORY = [vital("max_hr", 185, MARCH, 1), vital("max_hr", 182, JUNE, 2), vital("mass_kg", 71.4, JUNE, 3)]
DAYS = st.dates(date(2026, 1, 1), date(2026, 12, 31))
HISTORIES = st.lists(
    st.builds(
        lambda n, kind, value, day: vital(kind, value, day, n),
        st.integers(0, 50), st.sampled_from(("max_hr", "rest_hr")), st.integers(100, 110), DAYS,
    ),
    max_size=20, unique_by=lambda one: one.id,
)  # fmt: skip


def test_a_workout_of_march_has_the_body_of_march() -> None:
    profile = Profile(birth_date=date(1990, 5, 17), sex="female", max_hr=170, rest_hr=51, mass_kg=70.0)
    march, today = (physiology_on(profile, HISTORY, on) for on in (MARCH + timedelta(days=5), TODAY))
    assert (march.max_hr, march.rest_hr, march.mass_kg) == (185, 51, 71.4), (
        "before the first mass that one is the best guess"
    )
    assert (today.max_hr, today.age_years) == (182, 36)


def test_a_value_holds_from_its_day_on_and_of_two_for_a_day_the_one_noted_last() -> None:
    for day, value in ((MARCH - timedelta(days=1), 185), (MARCH, 185), (JUNE - timedelta(days=1), 185), (JUNE, 182)):
        found = holding(HISTORY, "max_hr", day)
        assert found is not None
        assert found.value == value
    corrected = holding([*HISTORY, vital("max_hr", 183, JUNE, 9)], "max_hr", TODAY)
    assert corrected is not None
    assert corrected.value == 183
    assert holding(HISTORY, "ftp_w", TODAY) is None


@given(HISTORIES, DAYS, st.randoms(use_true_random=False))
def test_what_holds_does_not_depend_on_the_order_of_the_history(history: list[Vital], on: date, random: object) -> None:
    shuffled = list(history)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert profile_on(Profile(), history, on) == profile_on(Profile(), shuffled, on)


@given(HISTORIES, DAYS)
def test_the_views_tile_time_and_the_one_that_is_open_holds(history: list[Vital], today: date) -> None:
    for kind in KINDS:
        own = [view for view in views(history, today) if view.kind == kind]
        assert [view.until_day for view in own[:1]] == [None] * len(own[:1])
        assert all(later.from_day == earlier.until_day for later, earlier in itertools.pairwise(own))
    assert {view.id for view in views(history, today)} == {one.id for one in history}


def test_an_old_value_that_holds_is_stale_and_one_that_was_replaced_is_not() -> None:
    old = [vital("ftp_w", 240, MARCH, 1), vital("max_hr", 185, MARCH, 2), vital("height_cm", 181, MARCH, 3)]
    assert {view.kind for view in views(old, TODAY) if view.stale} == {"ftp_w"}
    newer = views([*old, vital("ftp_w", 251, TODAY, 4)], TODAY)
    assert not any(view.stale for view in newer)


@pytest.mark.parametrize(
    ("new", "path"),
    [
        (NewVital("max_hr", 99), "$.value"), (NewVital("max_hr", 180.5), "$.value"), (NewVital("ftp_w", 20), "$.value"),
        (NewVital("mass_kg", 401), "$.value"), (NewVital("height_cm", 300), "$.value"),
        (NewVital("ftp_w", 250, TODAY + timedelta(days=2)), "$.from_day"), (NewVital("ftp_w", 250, date(1899, 1, 1)), "$.from_day"),
    ],
)  # fmt: skip
def test_what_no_body_has_and_no_day_that_has_not_come_is_refused_with_the_place(new: NewVital, path: str) -> None:
    with pytest.raises(BadShape) as refused:
        vital_of(new, VitalId(uuid.UUID(int=1)), TODAY, 0)
    assert refused.value.path == path


def test_a_value_is_of_today_unless_it_says_otherwise() -> None:
    made = vital_of(NewVital("mass_kg", 70.25, source="device"), VitalId(uuid.UUID(int=1)), TODAY, 5)
    assert made == Vital(VitalId(uuid.UUID(int=1)), "mass_kg", 70.25, TODAY, "device", 5)


def test_a_threshold_lies_between_resting_rate_and_maximum_on_every_day_it_is_held_against() -> None:
    profile = Profile(rest_hr=50)
    check_plausible(profile, [*HISTORY, vital("threshold_hr", 183, MARCH, 4)], (MARCH,))
    with pytest.raises(BadShape, match="2026-06-01"):
        check_plausible(profile, [*HISTORY, vital("threshold_hr", 183, MARCH, 4)], (MARCH, JUNE))
    with pytest.raises(BadShape, match="2026-03-10"):
        check_plausible(
            Profile(rest_hr=60), [vital("max_hr", 101, MARCH, 1), vital("rest_hr", 110, MARCH, 2)], (MARCH,)
        )


def test_every_kind_has_a_measure() -> None:
    assert set(MEASURES) == set(KINDS)
