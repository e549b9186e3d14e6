"""A recording: what one file of a watch says, before anybody has judged it.

Seven file formats end in one shape, a row of points with an instant, a heart rate and beat-to-beat
intervals, and distance, power and cadence where the file has them as numbers (FIT, TCX; of GPX power and cadence).
The values stand here as the file wrote them (0 and -1 included); what they mean is decided once,
for all formats, in `timeline.py`. Only those things are taken from a file, with a sport and a device
name for the eye: positions, weight and account numbers are never read out, so they cannot leak from here.

A file is either read whole, or its first damage is named with its place. Whoever asked to keep going gets the
points before the damage and the damage beside them.
"""

from datetime import datetime
from typing import Final, Literal

import msgspec

MAX_BYTES: Final = 64 * 1024 * 1024
"""Largest file that is read, in bytes. A day at one record a second is about 5 MB of FIT and 40 MB of TCX."""

MAX_POINTS: Final = 1_000_000
"""Most points (and most RR intervals) in one recording.

Eleven days at one a second, more than a stream may last.
"""

Format = Literal["FIT", "TCX", "GPX", "Polar HRM", "RR list", "event log", "day curve"]


class RawPoint(msgspec.Struct, frozen=True, gc=False):
    """One entry of a file.

    `at_ms` ms since 1970, or since the beginning where the file knows no calendar, None where it gives no
    time; `bpm` the heart rate as written, None where absent (FIT's 255 is its way of leaving it out); `rr`
    beat-to-beat intervals in ms, oldest first, as written; `distance_m` m since the beginning, `power_w` W, `cadence` turns of the
    crank, strokes, or steps of one foot, per minute.
    """

    at_ms: int | None
    bpm: int | None = None
    rr: tuple[int, ...] = ()
    distance_m: float | None = None
    power_w: int | None = None
    cadence: int | None = None


class Damage(msgspec.Struct, frozen=True):
    """Where a file stops being what its format promises, and why we think so."""

    place: str
    """For a person with an editor: `byte 403433 of 403456`, `line 1 column 11`, `line 96`."""
    reason: str

    def __str__(self) -> str:
        return f"{self.place}: {self.reason}"


class Recording(msgspec.Struct, frozen=True):
    """One file as read: its points in the order of the file.

    `started_at` is aware where the file states a zone or UTC, naive where it has only a wall clock (Polar
    HRM), None where it has none (RR list). `damage` is None for a file that was whole.
    """

    name: str
    format: Format
    sport: str | None
    device: str | None
    started_at: datetime | None
    points: tuple[RawPoint, ...]
    damage: Damage | None = None


class RecordingError(Exception):
    """A file cannot be used.

    `place` is where (None: the file as a whole), `reason` why, `cure` what to do about it.
    """

    def __init__(self, name: str, reason: str, *, cure: str, place: str | None = None) -> None:
        where = f" at {place}" if place else ""
        super().__init__(f"{name}{where}: {reason}. {cure}")
        self.name = name
        self.reason = reason
        self.cure = cure
        self.place = place
