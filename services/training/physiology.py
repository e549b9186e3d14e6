"""The body a workout is judged against, frozen at the time of the workout.

Zones, load and energy all depend on the person: maximum and resting heart rate, sex, mass, age. People age
and get fitter, so the values that held on the day are stored with the workout as one `Physiology`;
computing the summary again a year later then gives the same number.

Not everybody tells us everything. A missing maximum comes from the age (Tanaka) or is assumed, a missing
resting rate is assumed, and the value says so in its `*_source`, so that every page can admit what is a
guess. Sex, mass and age have no sensible default: where they are unknown the numbers that need them are not
computed.
"""

from datetime import date
from typing import Final, Literal

import msgspec

from services.training.max_hr import tanaka, whole_bpm
from services.training.sample import MAX_BPM

Sex = Literal["male", "female"]
MaxHrSource = Literal["measured", "tanaka", "assumed"]
RestHrSource = Literal["measured", "assumed"]

ASSUMED_MAX_HR: Final = 190
"""bpm when not even the age is known: about Tanaka's value at 26, chosen by feeling."""
ASSUMED_REST_HR: Final = 60
"""bpm when nobody measured: the lower edge of what is called normal, chosen by feeling."""

# Limits against typing errors, wide enough for every adult and most children.
MAX_HR_RANGE: Final = (100, MAX_BPM)
REST_HR_RANGE: Final = (25, 120)
MASS_KG_RANGE: Final = (20.0, 400.0)
AGE_RANGE: Final = (0, 120)


class ImplausiblePhysiologyError(ValueError):
    """A body value that cannot be, alone or next to another. `field` names it, `cure` says what to enter
    instead."""

    def __init__(self, field: str, value: object, cure: str) -> None:
        super().__init__(f"{field} cannot be {value!r}: {cure}")
        self.field = field
        self.value = value
        self.cure = cure


class Physiology(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One person's body on one day. `max_hr`, `rest_hr` in bpm, `mass_kg` in kg, `age_years` in completed
    years.

    Raises ImplausiblePhysiologyError for values outside the ranges of this module or a resting rate that is
    not below the maximum; decoding a stored one raises msgspec.ValidationError with the same words.
    """

    max_hr: int
    rest_hr: int
    sex: Sex | None
    mass_kg: float | None
    age_years: int | None
    max_hr_source: MaxHrSource
    rest_hr_source: RestHrSource

    def __post_init__(self) -> None:
        _check_within("max_hr", self.max_hr, MAX_HR_RANGE, "bpm")
        _check_within("rest_hr", self.rest_hr, REST_HR_RANGE, "bpm")
        _check_within("mass_kg", self.mass_kg, MASS_KG_RANGE, "kg")
        _check_within("age_years", self.age_years, AGE_RANGE, "years")
        if self.rest_hr >= self.max_hr:
            raise ImplausiblePhysiologyError(
                "rest_hr",
                self.rest_hr,
                f"it must be below the maximum heart rate, {self.max_hr} bpm; correct one of the two",
            )


def physiology_of(
    *,
    on: date,
    max_hr: int | None = None,
    rest_hr: int | None = None,
    sex: Sex | None = None,
    mass_kg: float | None = None,
    born: date | None = None,
) -> Physiology:
    """The body to judge a workout of the day `on` by, from whatever the profile knows.

    Heart rates in bpm, mass in kg, None for what nobody told us. Raises ImplausiblePhysiologyError with the
    field and the cure when a value cannot be, among them a birth after `on`.
    """
    age_years = None if born is None else age_on(on, born)
    max_hr_source: MaxHrSource
    if max_hr is not None:
        max_hr_source = "measured"
    elif age_years is not None:
        max_hr, max_hr_source = whole_bpm(tanaka(age_years)), "tanaka"
    else:
        max_hr, max_hr_source = ASSUMED_MAX_HR, "assumed"
    return Physiology(
        max_hr=max_hr,
        rest_hr=ASSUMED_REST_HR if rest_hr is None else rest_hr,
        sex=sex,
        mass_kg=mass_kg,
        age_years=age_years,
        max_hr_source=max_hr_source,
        rest_hr_source="assumed" if rest_hr is None else "measured",
    )


def age_on(on: date, born: date) -> int:
    """Completed years on the day `on`; a birthday on 29 February falls on 1 March in common years.

    Raises ImplausiblePhysiologyError when the birth lies after `on` or more than 120 years before it.
    """
    age = on.year - born.year - ((on.month, on.day) < (born.month, born.day))
    if born > on or age > AGE_RANGE[1]:
        raise ImplausiblePhysiologyError(
            "born",
            born.isoformat(),
            f"enter a birth date in the {AGE_RANGE[1]} years before {on.isoformat()}",
        )
    return age


def _check_within(field: str, value: float | None, limits: tuple[float, float], unit: str) -> None:
    low, high = limits
    # Written so that NaN fails too.
    if value is not None and not low <= value <= high:
        raise ImplausiblePhysiologyError(
            field, value, f"enter a value from {low:g} to {high:g} {unit}, or leave it unknown"
        )
