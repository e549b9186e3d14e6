"""Training load: what a workout cost, in the points of two schools.

Edwards counts minutes times zone number. It is what the live board shows, so its bookkeeping is whole
milliseconds per zone and the points are derived from them: a live score and the summary computed a week
later agree to the last bit.

Banister weighs time by an exponential of the share x of heart-rate reserve. It is integrated over every
rate that was held (see `exposure.py`), never taken from the mean; x is kept within 0 and 1, so a wrong
maximum cannot explode the result. Men and women have constants of their own, and for women two variants are
in use: Banister's own 0.86 (with which a woman at her maximum scores more per minute than a man) and the
0.64 of several programs. We compute 0.86, the published one, and store its name beside the number. Where
sex is unknown nothing is computed: the two differ by up to a third, and a guess would look like a
measurement.
"""

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final, Literal

import msgspec

from services.training.exposure import Exposure
from services.training.physiology import Physiology, Sex
from services.training.zones import ZONES

MS_PER_MINUTE: Final = 60_000

BanisterVariant = Literal["men", "women_086", "women_064"]

_BANISTER: Final[Mapping[BanisterVariant, tuple[float, float]]] = MappingProxyType(
    {"men": (0.64, 1.92), "women_086": (0.86, 1.67), "women_064": (0.64, 1.67)}
)
_VARIANT_OF: Final[Mapping[Sex, BanisterVariant]] = MappingProxyType({"male": "men", "female": "women_086"})


def edwards_points(zone: int, ms: int) -> float:
    """Points for `ms` in one zone (0 to 5): minutes times zone number. Edwards 1993."""
    return zone * ms / MS_PER_MINUTE


def edwards_trimp(ms_in_zone: Sequence[int]) -> float:
    """Points for whole ms in zones 0 to 5: summed as integers and divided once, so equal in any order of
    arrival.

    Raises ValueError when there are not exactly six zones.
    """
    if len(ms_in_zone) != ZONES:
        raise ValueError(f"give the ms of all {ZONES} zones, zone 0 first; got {len(ms_in_zone)}")
    return sum(zone * ms for zone, ms in enumerate(ms_in_zone)) / MS_PER_MINUTE


def reserve_share(bpm: float, rest_hr: int, max_hr: int) -> float:
    """The share of heart-rate reserve in use, from 0 at rest (and below) to 1 at maximum (and above)."""
    return min(max((bpm - rest_hr) / (max_hr - rest_hr), 0.0), 1.0)


def banister_per_minute(share: float, variant: BanisterVariant) -> float:
    """Points per minute at a share of heart-rate reserve. Banister 1991; Morton, Fitz-Clarke, Banister, J
    Appl Physiol 1990;69:1171; the variant `women_064` as printed at fellrnr.com."""
    factor, exponent = _BANISTER[variant]
    return share * factor * math.exp(exponent * share)


class BanisterLoad(msgspec.Struct, frozen=True):
    """Banister points with the variant they were computed by; where `points` is None, `reason` says what is
    missing."""

    points: float | None
    variant: BanisterVariant | None
    reason: Literal["sex_unknown"] | None = None


def banister_trimp(exposure: Exposure, physiology: Physiology) -> BanisterLoad:
    """Banister's TRIMP over all time with a known heart rate; unknown time earns nothing."""
    if physiology.sex is None:
        return BanisterLoad(points=None, variant=None, reason="sex_unknown")
    variant = _VARIANT_OF[physiology.sex]
    points = math.fsum(
        ms / MS_PER_MINUTE * banister_per_minute(reserve_share(bpm, physiology.rest_hr, physiology.max_hr), variant)
        for bpm, ms in exposure.stretches()
    )
    return BanisterLoad(points=points, variant=variant)
