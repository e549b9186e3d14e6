"""Fair play, two things at a time: the same heart in two accounts, two hearts in one account, one person in two places, and a
sensor that counts steps instead of beats.

Streams are compared as curves: the heart rate at each whole second, None where it is unknown. Two devices on one heart, smoothing
differently and with clocks 12 s apart, still stand within 2 bpm of each other most of the time once they are moved together; two
people in the same class do not, though both go up and down with the music. So the measure is the share of seconds that are near,
at the best shift, over four minutes at least in which something happened. It costs 35 ms a pair (the mean of 231 pairs of real
recordings): ask it of those whom `fingerprint` or a suspicion has brought together, not of all pairs of a challenge.
"""

import hashlib
import math
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from statistics import median, pstdev
from typing import Final, NamedTuple

from services.training.location import Location
from services.training.plausibility import RULES, Judgement, judgement
from services.training.sample import HOLD_MS, Sample

NEAR_BPM: Final = 2
MAX_SHIFT_S: Final = 60
"""How far two clocks may be apart. A copy that was started later is aligned by its beginning before."""
MIN_OVERLAP_S: Final = 240
"""Seconds both must know. By feeling: below four minutes even strangers on one treadmill may be near."""
MIN_SPREAD_BPM: Final = 5.0
"""Standard deviation that the common part must have: two people who sit still are near each other, and prove nothing."""
LOCK_BPM: Final = 3
LOCK_CORRELATION: Final = 0.9
EARTH_KM: Final = 6_371.0
SAME_PLACE_KM: Final = 50.0
"""Nearer than this nobody is suspected: what is known of a place is a tenth of a degree, or only where its network is."""
CLOCKS_APART_MS: Final = 60_000
"""Nearer in time than this two moments count as so far apart: no two clocks agree better."""
MS_PER_HOUR: Final = 3_600_000
REACH_MS: Final = math.ceil(math.pi * EARTH_KM * MS_PER_HOUR / (RULES["two_places"].flagged or 1))
"""Farther apart in time anybody may be anywhere: half the way around the earth at the speed that is flagged, 20 h."""

Curve = Sequence[int | None]


def _rate_of(sample: Sample) -> int | None:
    return sample.bpm


def cadence_of(sample: Sample) -> int | None:
    """What a curve of cadences is made of."""
    return None if sample.motion is None else sample.motion.cadence


class CurveTaker:
    """Makes a curve of samples that come one after the other: of their heart rate, unless it is told of what."""

    def __init__(self, of: Callable[[Sample], int | None] = _rate_of) -> None:
        self._of = of
        self._curve: list[int | None] = []
        self._last: Sample | None = None

    def add(self, sample: Sample) -> None:
        """The next sample."""
        last, self._last = self._last, sample
        if last is not None and sample.t > last.t:
            _fill(self._curve, last.t, min(sample.t, last.t + HOLD_MS), self._of(last))

    def done(self) -> list[int | None]:
        """The curve; nothing may be added to it afterwards."""
        if self._last is not None:
            _fill(self._curve, self._last.t, self._last.t + 1, self._of(self._last))
        return self._curve


def curve_of(samples: Iterable[Sample]) -> list[int | None]:
    """The heart rate at each whole second of a stream, from 0; a reading holds as everywhere, 5 s at the most. Where the clock
    steps back, what was first known of a second stays."""
    taker = CurveTaker()
    for sample in samples:
        taker.add(sample)
    return taker.done()


def _fill(curve: list[int | None], t: int, until_ms: int, value: int | None) -> None:
    for second in range(-(-t // 1_000), -(-until_ms // 1_000)):
        curve.extend([None] * (second + 1 - len(curve)))
        if curve[second] is None:
            curve[second] = value


def fingerprint(curve: Curve) -> str:
    """The same for every copy of a recording, wherever it begins and however often it reports: a digest of its rates in their
    order, each change once. What is equal here is equal; what differs may still be near (`copied`)."""
    return hashlib.sha256(bytes(turns(curve))).hexdigest()


def turns(curve: Curve) -> list[int]:
    """The rates of a curve in their order, each change once."""
    known = [bpm for bpm in curve if bpm is not None]
    return known[:1] + [after for before, after in pairwise(known) if after != before]


def likeness_percent(one: Curve, other: Curve) -> float:
    """Of the seconds that both know, how many are near each other at the best shift, in %; 0 when they have too few in common, or
    nothing happens in them."""
    return max(near_percent(one, other, shift) for shift in range(-MAX_SHIFT_S, MAX_SHIFT_S + 1))


def near_percent(one: Curve, other: Curve, shift_s: int) -> float:
    """The same at one shift: some 0.3 ms, for whoever must let others have their turn in between."""
    together = zip(one[max(shift_s, 0) :], other[max(-shift_s, 0) :], strict=False)
    both = [(a, b) for a, b in together if a is not None and b is not None]
    if len(both) < MIN_OVERLAP_S:
        return 0.0
    near = sum(-NEAR_BPM <= a - b <= NEAR_BPM for a, b in both)
    if near * 2 < len(both) or any(pstdev(curve) < MIN_SPREAD_BPM for curve in zip(*both, strict=True)):
        return 0.0
    return round(100 * near / len(both), 1)


def copied(one: Curve, other: Curve) -> Judgement:
    """Whether two accounts have sent the same heart. A copy to the last bit is flagged like a near one: which of the two is the
    original no curve can say, so a person decides."""
    return judgement([("copied", likeness_percent(one, other))])


def two_hearts(one: Curve, other: Curve) -> Judgement:
    """Whether two streams of one account, at the same seconds of the same clock, come from one heart."""
    apart = [abs(a - b) for a, b in zip(one, other, strict=False) if a is not None and b is not None]
    return judgement([("two_hearts", median(apart) if len(apart) >= MIN_OVERLAP_S else 0)])


class Whereabouts(NamedTuple):
    """Where somebody was, and when, ms since 1970."""

    location: Location
    at_ms: int


def two_places(one: Whereabouts, other: Whereabouts) -> Judgement:
    """Whether one person can have been at both: the speed in whole km/h that the way between them takes."""
    km = distance_km(one.location, other.location)
    if km < SAME_PLACE_KM:
        return judgement([])
    return judgement([("two_places", km * MS_PER_HOUR // max(abs(one.at_ms - other.at_ms), CLOCKS_APART_MS))])


def distance_km(one: Location, other: Location) -> float:
    """The way between two places over the earth (haversine)."""
    lat, other_lat = math.radians(one.latitude), math.radians(other.latitude)
    east = math.radians(other.longitude - one.longitude)
    chord = math.sin((other_lat - lat) / 2) ** 2 + math.cos(lat) * math.cos(other_lat) * math.sin(east / 2) ** 2
    return 2 * EARTH_KM * math.asin(min(1.0, math.sqrt(chord)))


def cadence_lock(rates: Curve, cadence: Curve) -> Judgement:
    """Whether an optical sensor counts steps: the longest time in which the rate keeps to the cadence (steps per minute, second by
    second) and moves with it. A steady runner whose heart happens to beat as often as the feet fall moves in nothing together."""
    longest = 0
    begin: int | None = None
    for second, (rate, steps) in enumerate([*zip(rates, cadence, strict=False), (None, None)]):
        near = rate is not None and steps is not None and abs(rate - steps) <= LOCK_BPM
        if near and begin is None:
            begin = second
        elif not near and begin is not None:
            if _correlation(rates[begin:second], cadence[begin:second]) >= LOCK_CORRELATION:
                longest = max(longest, second - begin)
            begin = None
    return judgement([("cadence_lock", longest)])


def _correlation(one: Curve, other: Curve) -> float:
    """Pearson's r of the seconds that both know; 0 where one of them stands still."""
    both = [(a, b) for a, b in zip(one, other, strict=True) if a is not None and b is not None]
    mean_a, mean_b = sum(a for a, _ in both) / len(both), sum(b for _, b in both) / len(both)
    spread = math.sqrt(sum((a - mean_a) ** 2 for a, _ in both) * sum((b - mean_b) ** 2 for _, b in both))
    return sum((a - mean_a) * (b - mean_b) for a, b in both) / spread if spread else 0.0
