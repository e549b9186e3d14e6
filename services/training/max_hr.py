"""What maximum heart rate to expect at an age, by the formulas people know.

Every one of them is a straight or bent line through a cloud whose spread is about 10 bpm, so none replaces
a measured maximum. We start people on Tanaka, the usual choice for adults; the others stand here
because coaches and watches quote them and a member may ask why their watch says something else.

Each function takes the age in whole years and returns bpm, unrounded; `whole_bpm` rounds for storing.
"""

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final


def fox(age_years: int) -> float:
    """The textbook line, kept because everybody knows it. Fox, Naughton, Haskell 1971; errs by 10-12 bpm."""
    return 220.0 - age_years


def tanaka(age_years: int) -> float:
    """Our default. Tanaka, Monahan, Seals, J Am Coll Cardiol 2001;37:153."""
    return 208.0 - 0.7 * age_years


def gellish(age_years: int) -> float:
    """The straight-line fit of repeated tests in the same people. Gellish et al., Med Sci Sports Exerc
    2007;39:822."""
    return 207.0 - 0.7 * age_years


def gellish_quadratic(age_years: int) -> float:
    """The bent fit of the same paper: flatter for the young, steeper for the old. Gellish et al. 2007."""
    return 192.0 - 0.007 * age_years**2


def nes(age_years: int) -> float:
    """Fitted on 3 320 people, standard error 10.8 bpm. Nes et al. (HUNT), Scand J Med Sci Sports
    2013;23:697."""
    return 211.0 - 0.64 * age_years


def gulati(age_years: int) -> float:
    """Fitted on women only. Gulati et al., Circulation 2010;122:130."""
    return 206.0 - 0.88 * age_years


def zhu(age_years: int) -> float:
    """Bent, and lowest of all for the young. Zhu et al., CARDIA follow-up 2010."""
    return 179.0 + 0.29 * age_years - 0.011 * age_years**2


FORMULAS: Final[Mapping[str, Callable[[int], float]]] = MappingProxyType(
    {
        "fox": fox,
        "tanaka": tanaka,
        "gellish": gellish,
        "gellish_quadratic": gellish_quadratic,
        "nes": nes,
        "gulati": gulati,
        "zhu": zhu,
    }
)
"""Every formula by the name a page may offer it under."""


def whole_bpm(bpm: float) -> int:
    """Round to whole bpm, halves up: `round` would send 176.5 down and 183.5 up."""
    return math.floor(bpm + 0.5)
