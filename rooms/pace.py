"""Where a player is in a class at an instant, and how long it still is to the next event: a straight line. Pure.

Nothing is added up. Each wait is computed from the one anchor that the last change of pace has set, so an hour of small waits that
all end a little late is not late at its end.
"""

import math

import msgspec


class Pace(msgspec.Struct, frozen=True):
    """At `at_ms` (of the class, wall clock) at the second `since_s` (of the player, monotonic), and from there on `speed` times as
    fast as life; None: it stands."""

    at_ms: float
    since_s: float
    speed: float | None

    def at(self, now_s: float) -> float:
        """Where it is now."""
        return self.at_ms if self.speed is None else self.at_ms + (now_s - self.since_s) * 1_000 * self.speed

    def wait_s(self, at_ms: int, now_s: float) -> float:
        """How long until it is at `at_ms`: zero and less when it is there, without end when it stands before that."""
        left_ms = at_ms - self.at(now_s)
        if self.speed is None:
            return 0.0 if left_ms <= 0 else math.inf
        return left_ms / 1_000 / self.speed

    def at_speed(self, speed: float | None, now_s: float) -> "Pace":
        """The same place at another speed."""
        return Pace(self.at(now_s), now_s, speed)

    def held_at(self, at_ms: int, now_s: float) -> "Pace":
        """At `at_ms` now, though it should be further: what it plays for could not follow."""
        return Pace(at_ms, now_s, self.speed)
