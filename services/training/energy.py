"""Energy burned, from heart rate, and how much of the number is inside what was ever measured.

Keytel and colleagues fitted 115 people of 18 to 45 years, exercising at about 90 to 150 bpm. Read outside
that, the line gives nonsense: 50 bpm can come out below zero. So every rate that was held is counted by one
of three models:

- `keytel`: 90 to 150 bpm, age 18 to 45: the formula where it was fitted;
- `extrapolated`: above 150 bpm, or the formula at an age outside the study. Hard exercise does burn more
  and nothing better is at hand, so the line is followed, and the result says that it was;
- `resting`: below 90 bpm, or wherever Keytel falls below it: one MET, what a body uses sitting still. It
  under-reads a stroll, on purpose: a number that errs low is easier to defend than calories from a pulse
  raised by coffee.

Time without a known heart rate burns nothing here, so the result is energy over measured time, and it is
never negative.
"""

import math
from functools import lru_cache
from typing import Final, Literal

import msgspec

from services.training.exposure import Exposure
from services.training.load import MS_PER_MINUTE
from services.training.oxygen_cost import KJ_PER_KCAL, met_kcal_per_min
from services.training.physiology import Physiology, Sex
from services.training.sample import MAX_BPM

KEYTEL_BPM: Final = (90, 150)
KEYTEL_AGE: Final = (18, 45)
"""Where the fit holds, both ends inclusive. Keytel et al. 2005."""

Model = Literal["keytel", "extrapolated", "resting"]
Missing = Literal["sex_unknown", "mass_unknown", "age_unknown", "no_heart_rate"]


def keytel_kj_per_min(bpm: float, mass_kg: float, age_years: float, sex: Sex) -> float:
    """The bare regression, kJ per minute, without any guard: outside its range it may be absurd or negative.

    Keytel et al., J Sports Sci 2005;23:289, the form without measured fitness (r = 0.857).
    """
    if sex == "male":
        return -55.0969 + 0.6309 * bpm + 0.1988 * mass_kg + 0.2017 * age_years
    return -20.4022 + 0.4472 * bpm - 0.1263 * mass_kg + 0.074 * age_years


def keytel_vo2max_kj_per_min(bpm: float, vo2max: float, mass_kg: float, age_years: float, sex: Sex) -> float:
    """The bare regression that knows the person's VO2max (mL per kg and minute), kJ per minute. Keytel et
    al. 2005."""
    if sex == "male":
        return -95.7735 + 0.634 * bpm + 0.404 * vo2max + 0.394 * mass_kg + 0.271 * age_years
    return -59.3954 + 0.450 * bpm + 0.380 * vo2max + 0.103 * mass_kg + 0.274 * age_years


def kcal_per_min(bpm: int, mass_kg: float, age_years: int, sex: Sex) -> tuple[float, Model]:
    """kcal per minute at a heart rate, never below resting, with the model it came from."""
    resting = met_kcal_per_min(1, mass_kg)
    keytel = keytel_kj_per_min(bpm, mass_kg, age_years, sex) / KJ_PER_KCAL
    if bpm < KEYTEL_BPM[0] or keytel < resting:
        return resting, "resting"
    inside = bpm <= KEYTEL_BPM[1] and KEYTEL_AGE[0] <= age_years <= KEYTEL_AGE[1]
    return keytel, "keytel" if inside else "extrapolated"


class Energy(msgspec.Struct, frozen=True):
    """Energy over the measured time. Where `kcal` is None, `reason` says what is missing and the rest is
    empty.

    `inside_range_share` and `resting_share` are shares of measured time, 0 to 1; what is left of 1 was
    extrapolated, and `extrapolated` is true if any was.
    """

    kcal: float | None
    method: Literal["keytel_2005"] | None = None
    inside_range_share: float | None = None
    resting_share: float | None = None
    extrapolated: bool = False
    reason: Missing | None = None


NKCAL_PER_MS: Final = 1_000_000_000 / MS_PER_MINUTE
"""Nanokilocalories per ms for one kcal per minute: as whole numbers rates are off by a twenty-thousandth at most."""


@lru_cache(4_096)
def burn_rates(mass_kg: float, age_years: int, sex: Sex) -> tuple[int, ...]:
    """nkcal that are burned per ms at 0, 1, … `MAX_BPM` beats per minute. Whole numbers, so that a running sum is the same in any
    order of arrival."""
    return tuple(round(kcal_per_min(bpm, mass_kg, age_years, sex)[0] * NKCAL_PER_MS) for bpm in range(MAX_BPM + 1))


def burn_rates_of(physiology: Physiology) -> tuple[int, ...] | None:
    """The rates of somebody's body; None where mass, age or sex is not known: then no energy is computed."""
    if physiology.mass_kg is None or physiology.age_years is None or physiology.sex is None:
        return None
    return burn_rates(physiology.mass_kg, physiology.age_years, physiology.sex)


def energy_of(exposure: Exposure, physiology: Physiology) -> Energy:
    """Energy burned over all time with a known heart rate."""
    sex, mass_kg, age_years = physiology.sex, physiology.mass_kg, physiology.age_years
    if sex is None:
        return Energy(kcal=None, reason="sex_unknown")
    if mass_kg is None:
        return Energy(kcal=None, reason="mass_unknown")
    if age_years is None:
        return Energy(kcal=None, reason="age_unknown")
    measured = exposure.measured_ms
    if not measured:
        return Energy(kcal=None, reason="no_heart_rate")

    ms_by: dict[Model, int] = {"keytel": 0, "extrapolated": 0, "resting": 0}
    burned: list[float] = []
    for bpm, ms in exposure.stretches():
        rate, model = kcal_per_min(bpm, mass_kg, age_years, sex)
        ms_by[model] += ms
        burned.append(rate * ms / MS_PER_MINUTE)
    return Energy(
        kcal=math.fsum(burned),
        method="keytel_2005",
        inside_range_share=ms_by["keytel"] / measured,
        resting_share=ms_by["resting"] / measured,
        extrapolated=ms_by["extrapolated"] > 0,
    )
