"""How far a client's clock is from the server's, out of four timestamps (Mills, NTP; RFC 5905, section 8). Pure.

A client notes when it sends, the server when it receives and when it answers, the client when the answer is there. If both ways
took equally long, the offset is exact; if not, it is wrong by at most half of the round trip. So of several exchanges the one
with the shortest round trip is believed: what waited in a queue on the way waits on one side only, and shows as delay.

Two estimates some minutes apart tell how fast the clocks run apart. Ordinary quartz is within 100 ppm, 6 ms in a minute.
"""

from collections.abc import Iterable
from math import ceil
from typing import Annotated, Final

import msgspec

SEVERAL: Final = 5
"""Exchanges from which a client takes the best one. By feeling: a phone on Wi-Fi has one quiet round trip in three."""
AGAIN_AFTER_S: Final = 60
"""When a client should ask again: at 100 ppm it is 6 ms off by then, less than a frame of a screen."""

ClockMs = Annotated[
    float,
    msgspec.Meta(
        ge=0, le=2.0**53, description="a clock's reading in ms, whatever it counts from; fractions are welcome"
    ),
]
MovedMs = Annotated[float, msgspec.Meta(ge=-3_600_000, le=3_600_000, description="ms")]
DelayMs = Annotated[float, msgspec.Meta(ge=0, le=60_000, description="ms")]


class Report(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a client found when it asked for the time before: the `delay_ms` of the exchange it believed, and by how much its new
    offset differs from the one it had used until then, `moved_ms`: so far off were its cues."""

    delay_ms: DelayMs
    moved_ms: MovedMs = 0.0


def off_ms(report: Report) -> int:
    """How far off a screen was at most, in whole ms: by what its offset has moved, and by half of the round trip it believed."""
    return ceil(abs(report.moved_ms) + report.delay_ms / 2)


class Exchange(msgspec.Struct, frozen=True):
    """One question and its answer, ms: `sent`, `back` by the client's clock, `received`, `answered` by the server's."""

    sent: float
    received: float
    answered: float
    back: float

    @property
    def offset_ms(self) -> float:
        """What to add to the client's clock to have the server's."""
        return ((self.received - self.sent) + (self.answered - self.back)) / 2

    @property
    def delay_ms(self) -> float:
        """The round trip without the server's own time."""
        return (self.back - self.sent) - (self.answered - self.received)


class Estimate(msgspec.Struct, frozen=True):
    """The offset, the round trip it comes from, and `at_ms`, when by the client's clock. It is right within `within_ms`."""

    offset_ms: float
    delay_ms: float
    at_ms: float

    @property
    def within_ms(self) -> float:
        """How wrong it can be, if the clocks did not jump meanwhile."""
        return self.delay_ms / 2


def best_of(exchanges: Iterable[Exchange]) -> Estimate:
    """The estimate of the exchange with the least delay, the latest of equals. Exchanges that took less than no time are left out:
    a clock was set in the middle of them. Raises `ValueError` when none is left."""
    good = [exchange for exchange in exchanges if exchange.delay_ms >= 0 and exchange.back >= exchange.sent]
    if not good:
        raise ValueError("no exchange can be believed: ask again")
    best = min(good, key=lambda exchange: (exchange.delay_ms, -exchange.back))
    return Estimate(best.offset_ms, best.delay_ms, best.back)


def drift_ppm(earlier: Estimate, later: Estimate) -> float:
    """How much faster the server's clock runs than the client's, in millionths. Raises `ValueError` unless time has passed in
    between."""
    elapsed_ms = later.at_ms - earlier.at_ms
    if elapsed_ms <= 0:
        raise ValueError("drift needs two estimates at different times")
    return (later.offset_ms - earlier.offset_ms) / elapsed_ms * 1_000_000
