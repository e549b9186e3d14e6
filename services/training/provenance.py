"""Where a heart rate comes from, and how far it can be trusted for that alone.

Four grades, best first:

    strap_rr   a chest strap that sends each beat: electrodes, and intervals that would be hard to make up
    strap      a chest strap without beats, or beats from a sensor that does not say what it is
    optical    light on a wrist, an arm, an ear, a finger, a machine's grips; a sensor of which nothing is known
    manual     typed in by a person

What a sensor says of itself can be a lie, so a grade is no proof of anything: it says which of two honest sensors to believe, and
how much a rule of fair play may ask of it. What can be checked is checked: `strap_rr` needs the intervals to be there, for most
of the measured time, not once.
"""

from collections.abc import Iterable
from typing import Final, Literal

from services.training.heart_rate_frames import BodyLocation
from services.training.sample import Sample, held_ms

Grade = Literal["strap_rr", "strap", "optical", "manual"]
GRADES: Final[tuple[Grade, ...]] = ("strap_rr", "strap", "optical", "manual")
"""Best first."""

SensorKind = Literal["strap", "optical", "machine", "manual"]
"""What a sensor says it is; `machine` is the grips of a bike or treadmill."""

RR_SHARE_PERCENT: Final = 80
"""Of the time with a heart rate, so much must be covered by intervals for a strap to count as one that sends them. By feeling: the
strap recordings that we have cover 90 % and more."""


def grade_of(kind: SensorKind | None, *, beats: bool) -> Grade:
    """The grade of a sensor of a kind (None: it has not said), which sends beat-to-beat intervals or not.

    Optical sensors derive their intervals from a filtered wave; they do not become better by sending them.
    """
    match kind:
        case "strap":
            return "strap_rr" if beats else "strap"
        case None:
            return "strap" if beats else "optical"
        case "manual":
            return "manual"
        case "optical" | "machine":
            return "optical"


def better(one: Grade, other: Grade) -> bool:
    """Whether the first is the better grade."""
    return GRADES.index(one) < GRADES.index(other)


def kind_at(location: BodyLocation) -> SensorKind | None:
    """What sits at a place on the body: only electrodes are worn on the chest. None where both are worn."""
    match location:
        case "chest":
            return "strap"
        case "hand":
            return "machine"
        case "other":
            return None
        case "wrist" | "finger" | "ear_lobe" | "foot":
            return "optical"


class Beats:
    """Whether a stream sends its beats: the time they cover against the time with a heart rate."""

    __slots__ = ("_covered_ms", "_last", "_measured_ms")

    def __init__(self) -> None:
        self._last: Sample | None = None
        self._measured_ms = 0
        self._covered_ms = 0

    def add(self, sample: Sample) -> None:
        """The next sample of the stream."""
        last, self._last = self._last, sample
        if last is None or last.bpm is None:
            return
        held = held_ms(last.t, sample.t)
        self._measured_ms += held
        # A lost strap is one long interval: no sample covers more than the time it held for.
        self._covered_ms += min(sum(sample.rr), held)

    def there(self) -> bool:
        """Whether enough of the time is covered so far."""
        return self._measured_ms > 0 and self._covered_ms * 100 >= self._measured_ms * RR_SHARE_PERCENT


def grade_of_stream(kind: SensorKind | None, samples: Iterable[Sample]) -> Grade:
    """The grade of a whole stream, from its samples in order."""
    beats = Beats()
    for sample in samples:
        beats.add(sample)
    return grade_of(kind, beats=beats.there())
