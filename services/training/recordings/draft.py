"""The recording while it is being read: every format's reader fills one of these, point by point.

It keeps the three promises that no reader should have to think about: the number of points is bounded, what
was read before a damage survives it, and text that comes out of a file is fit to be printed on somebody's
terminal.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from services.training.recordings.recording import (
    MAX_POINTS,
    Damage,
    Format,
    RawPoint,
    Recording,
    RecordingError,
)

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
LATEST_MS: Final = 253_402_300_799_999
"""The last instant of the year 9999, in ms since 1970: later ones have no calendar date."""

_MAX_LABEL: Final = 60
_MAX_NUMBER: Final = 40


class ReadingStopped(Exception):  # noqa: N818 - not a fault of the program: the file ends here
    """A reader met something after which nothing in the file can be trusted."""

    def __init__(self, place: str, reason: str) -> None:
        super().__init__(f"{place}: {reason}")
        self.damage = Damage(place, reason)


class Draft:
    """Points in the order of the file, and what the file says about itself.

    `calendar` False: the instants count from the beginning of the recording, not from 1970.
    `mentions_heart_rate` True as soon as the file has a place for a heart rate, even if no value ever
    stands there.
    """

    def __init__(self, name: str, *, keep_going: bool) -> None:
        self.name = name
        self.keep_going = keep_going
        self.points: list[RawPoint] = []
        self.sport: str | None = None
        self.device: str | None = None
        self.started_at: datetime | None = None
        self.calendar = True
        self.mentions_heart_rate = False
        self.damage: Damage | None = None
        self._rr: list[int] = []  # intervals that belong to the newest point, or wait for the first one
        self._rr_count = 0

    def add(
        self,
        at_ms: int | None,
        bpm: int | None,
        rr: tuple[int, ...] = (),
        *,
        distance_m: float | None = None,
        power_w: int | None = None,
        cadence: int | None = None,
    ) -> None:
        """Append a point. Raises RecordingError past MAX_POINTS."""
        self.require_room(len(self.points) + 1)
        self.settle_rr()
        self._count_rr(len(rr))
        self.points.append(RawPoint(at_ms, bpm, rr, distance_m, power_w, cadence))
        if bpm is not None or rr:
            self.mentions_heart_rate = True

    def add_rr(self, rr: Iterable[int]) -> None:
        """Give intervals to the point added last; before the first point they wait for it."""
        before = len(self._rr)
        self._rr.extend(rr)
        self._count_rr(len(self._rr) - before)
        self.mentions_heart_rate = True

    def require_room(self, points: int) -> None:
        """Raises RecordingError when `points` are more than a recording may have."""
        if points > MAX_POINTS:
            raise self._too_many("points")

    def replace_points(self, points: Iterable[RawPoint]) -> None:
        """Put other points in the place of those read so far, once all of them are known.

        Raises as `add` does.
        """
        self.points[:] = points
        self.require_room(len(self.points))

    def settle_rr(self) -> None:
        """Write intervals that were added after their point into that point."""
        if self._rr and self.points:
            last = self.points[-1]
            self.points[-1] = msgspec.structs.replace(last, rr=(*last.rr, *self._rr))
            self._rr = []

    def damaged(self, place: str, reason: str) -> None:
        """Something is wrong that does not keep us from reading on: the first such place is remembered.

        Raises ReadingStopped unless the caller asked to keep going.
        """
        if not self.keep_going:
            raise ReadingStopped(place, reason)
        if self.damage is None:
            self.damage = Damage(place, reason)

    def refusal(self, reason: str, *, cure: str, place: str | None = None) -> RecordingError:
        """The error to raise when the file is of no use at all."""
        return RecordingError(self.name, reason, cure=cure, place=place)

    def finish(self, kind: Format) -> Recording:
        """The finished recording.

        Raises RecordingError when it has no points or no place for a heart rate.
        """
        self.settle_rr()
        if not self.points or not self.mentions_heart_rate:
            raise self._empty(kind)
        return Recording(
            name=self.name,
            format=kind,
            sport=self.sport,
            device=self.device,
            started_at=self.started_at or self._first_instant(),
            points=tuple(self.points),
            damage=self.damage,
        )

    def _count_rr(self, more: int) -> None:
        self._rr_count += more
        if self._rr_count > MAX_POINTS:
            raise self._too_many("RR intervals")

    def _too_many(self, what: str) -> RecordingError:
        return self.refusal(
            f"holds more than {MAX_POINTS} {what}, the limit for one recording",
            cure="Cut it into shorter files.",
        )

    def _first_instant(self) -> datetime | None:
        first = next((p.at_ms for p in self.points if p.at_ms is not None), None)
        if first is None or not self.calendar:
            return None
        return EPOCH + timedelta(milliseconds=first)

    def _empty(self, kind: Format) -> RecordingError:
        what = "points" if self.mentions_heart_rate else "heart rate"
        if self.damage is not None:
            return self.refusal(
                f"holds no {what} before its damage ({self.damage.reason})",
                place=self.damage.place,
                cure="Export the recording again from the device; nothing of this copy can be used.",
            )
        return self.refusal(
            f"holds no {what} (it was read as {kind})",
            cure="Choose a recording that was made with a heart-rate sensor.",
        )


def label(text: str) -> str | None:
    """A name out of a file, made fit for a terminal.

    One line, printable, at most 60 characters; None if nothing is left.
    """
    kept = "".join(c if c.isprintable() else " " for c in text[: 4 * _MAX_LABEL])
    return " ".join(kept.split())[:_MAX_LABEL] or None


def epoch_ms(text: str) -> int:
    """ms since 1970 of an ISO 8601 time.

    Without a zone it counts as UTC, as GPX and TCX demand. Raises ValueError.
    """
    moment = datetime.fromisoformat(text.strip())
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    at_ms = (moment - EPOCH) // timedelta(milliseconds=1)
    if not 0 <= at_ms <= LATEST_MS:
        raise ValueError(f"{text.strip()[:40]} is before 1970")
    return at_ms


def whole(text: str) -> int:
    """A number written as `72`, `72.0` or ` 72 `, rounded to a whole one.

    Raises ValueError for anything else.
    """
    return round(number_of(text))


def number_of(text: str) -> float:
    """A number as a person or a program writes it. Raises ValueError for anything else."""
    if len(text) > _MAX_NUMBER:
        raise ValueError(f"a number of {len(text)} characters is no reading")
    number = float(text)
    if not -1e9 < number < 1e9:  # also refuses nan and inf
        raise ValueError(f"{number} is no reading")
    return number
