"""What is measured of somebody's body, with its history: from which day on a value holds, and how it came to be known. Pure.

A value holds from its day until the next one of its kind. Before the first one that one is the best guess there is, so a workout
from last March is judged by what held in March where that is known, and by the oldest that is known otherwise. Nobody deletes
history by getting fitter.

Values grow old: `stale` says of one that holds that it should be measured again. It is used all the same, since an old threshold
is a better guess than none.
"""

from collections.abc import Sequence
from datetime import date, timedelta
from types import MappingProxyType
from typing import Annotated, Final, Literal, get_args

import msgspec

from services.accounts.account import Profile
from services.kernel.ids import VitalId
from services.kernel.problems import BadShape
from services.training.physiology import (
    MASS_KG_RANGE,
    MAX_HR_RANGE,
    REST_HR_RANGE,
    ImplausiblePhysiologyError,
    Physiology,
)

VitalKind = Literal["max_hr", "rest_hr", "threshold_hr", "ftp_w", "mass_kg", "height_cm"]
Source = Literal["typed", "test", "device", "estimated", "imported"]
"""How a value is known: typed in, found by a test, measured by a device (a scale, a watch), estimated by a formula, brought along
from elsewhere."""
KINDS: Final[tuple[VitalKind, ...]] = get_args(VitalKind)
MOST_VITALS: Final = 2_000
"""Values of one account. By feeling: a scale every morning for five years. Full means: a problem; delete some, nothing is forgotten
by itself."""
EARLIEST: Final = date(1900, 1, 1)


class Measure(msgspec.Struct, frozen=True):
    """A kind of value: its unit, what it can be, in whole numbers or not, and after how many days it is stale (None: never)."""

    unit: str
    low: float
    high: float
    whole: bool
    good_days: int | None


MEASURES: Final = MappingProxyType[VitalKind, Measure](
    {
        "max_hr": Measure("bpm", *MAX_HR_RANGE, whole=True, good_days=730),
        "rest_hr": Measure("bpm", *REST_HR_RANGE, whole=True, good_days=180),
        "threshold_hr": Measure("bpm", 60, MAX_HR_RANGE[1], whole=True, good_days=120),
        "ftp_w": Measure("W", 30, 700, whole=True, good_days=90),
        "mass_kg": Measure("kg", *MASS_KG_RANGE, whole=False, good_days=90),
        "height_cm": Measure("cm", 50, 260, whole=False, good_days=None),
    }
)
"""Limits against typing errors. Days by feeling: a threshold moves within a season, a maximum by a beat a year."""

OF_PROFILE: Final[tuple[VitalKind, ...]] = ("max_hr", "rest_hr", "mass_kg")
"""What the profile has a field for: what holds today."""


class Vital(msgspec.Struct, frozen=True):
    """One value, from the day `from_day` on. `noted_at_ms` is when we heard of it, ms since 1970: of two for one day the newer
    holds."""

    id: VitalId
    kind: VitalKind
    value: float
    from_day: date
    source: Source
    noted_at_ms: int


class VitalView(msgspec.Struct, frozen=True):
    """One value of your body. It holds from `from_day` until the next of its kind (`until_day`, excluded; null: it holds now).
    `stale`: it holds, and is old enough to be measured again. `noted_at_ms` in ms since 1970."""

    id: VitalId
    kind: VitalKind
    value: float
    unit: str
    from_day: date
    until_day: date | None
    source: Source
    stale: bool
    noted_at_ms: int


class NewVital(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A value of your body: bpm, W, kg or cm, as its kind says. `from_day` is the day from which it holds, today if left out; an
    earlier one moves no later value."""

    kind: VitalKind
    value: Annotated[float, msgspec.Meta(ge=20, le=700)]
    from_day: date | None = None
    source: Source = "typed"


def vital_of(new: NewVital, vital_id: VitalId, today: date, now_ms: int) -> Vital:
    """What is stored of a new value. Raises BadShape with the path of what cannot be."""
    measure = MEASURES[new.kind]
    if not measure.low <= new.value <= measure.high:
        raise BadShape(
            f"{new.kind} is {measure.low:g} to {measure.high:g} {measure.unit}: check the number and its unit",
            path="$.value",
        )
    if measure.whole and new.value != int(new.value):
        raise BadShape(f"{new.kind} is a whole number of {measure.unit}", path="$.value")
    from_day = today if new.from_day is None else new.from_day
    # A day ahead: it may be tomorrow already where they live.
    if not EARLIEST <= from_day <= today + timedelta(days=1):
        raise BadShape("a value holds from a day that has come", path="$.from_day")
    return Vital(vital_id, new.kind, new.value, from_day, new.source, now_ms)


def holding(history: Sequence[Vital], kind: VitalKind, on: date) -> Vital | None:
    """The value that holds on a day; before the first one that one; None where there is none of its kind."""
    own = [vital for vital in history if vital.kind == kind]
    come = [vital for vital in own if vital.from_day <= on]
    return max(come, key=_order) if come else min(own, key=_order, default=None)


def profile_on(profile: Profile, history: Sequence[Vital], on: date) -> Profile:
    """The profile as it was on a day: what history knows, and of what it does not what was typed without one."""
    max_hr, rest_hr, mass_kg = (holding(history, kind, on) for kind in OF_PROFILE)
    return msgspec.structs.replace(
        profile,
        max_hr=profile.max_hr if max_hr is None else int(max_hr.value),
        rest_hr=profile.rest_hr if rest_hr is None else int(rest_hr.value),
        mass_kg=profile.mass_kg if mass_kg is None else mass_kg.value,
    )


def physiology_on(profile: Profile, history: Sequence[Vital], on: date) -> Physiology:
    """The body to judge a workout of the day `on` by. Raises ImplausiblePhysiologyError."""
    return profile_on(profile, history, on).physiology(on)


def check_plausible(profile: Profile, history: Sequence[Vital], days: Sequence[date], path: str = "$.value") -> None:
    """Raise BadShape with `path` when the body cannot have been like this on one of these days: nothing lies above the
    maximum."""
    for on in days:
        try:
            physiology = physiology_on(profile, history, on)
        except ImplausiblePhysiologyError as fault:
            raise BadShape(f"on {on.isoformat()}: {fault}", path=path) from fault
        threshold = holding(history, "threshold_hr", on)
        if threshold is not None and not physiology.rest_hr < threshold.value <= physiology.max_hr:
            raise BadShape(
                f"on {on.isoformat()}: a threshold lies above the resting heart rate, {physiology.rest_hr} bpm, and not above the"
                f" maximum, {physiology.max_hr} bpm",
                path=path,
            )


def views(history: Sequence[Vital], today: date) -> tuple[VitalView, ...]:
    """The history as its owner sees it: kind by kind, the newest first."""
    found = []
    for kind in KINDS:
        own = sorted((vital for vital in history if vital.kind == kind), key=_order, reverse=True)
        until: date | None = None
        holds = holding(own, kind, today)
        for vital in own:
            found.append(_view(vital, until, today, holds=vital is holds))
            until = vital.from_day
    return tuple(found)


def _view(vital: Vital, until: date | None, today: date, *, holds: bool) -> VitalView:
    measure = MEASURES[vital.kind]
    old = measure.good_days is not None and (today - vital.from_day).days > measure.good_days
    return VitalView(
        id=vital.id,
        kind=vital.kind,
        value=vital.value,
        unit=measure.unit,
        from_day=vital.from_day,
        until_day=until,
        source=vital.source,
        stale=holds and old,
        noted_at_ms=vital.noted_at_ms,
    )


def _order(vital: Vital) -> tuple[date, int, VitalId]:
    return vital.from_day, vital.noted_at_ms, vital.id
