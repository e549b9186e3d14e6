"""Aggregates whose next fact the bus did not take, each left alone for a while, so that the rest goes on. Pure.

Without it, facts that cannot be sent (to a queue that is lost, or of a newer program) would stand at the head of
every batch. Only the next fact of an aggregate can be refused: those behind it wait, in order.
"""

import uuid
from typing import Final

FIRST_S: Final = 0.5
MOST_S: Final = 30.0
"""Longest time that an aggregate is left alone. Chosen: a fault of one queue is mended by people, not in seconds."""
MOST_KEPT: Final = 1_000
"""Full, the one that was refused longest ago is forgotten: it is only tried again sooner."""


class HeldBack:
    """Who is left alone, and until when (s on the monotonic clock)."""

    def __init__(self) -> None:
        self._until: Final[dict[uuid.UUID, float]] = {}
        self._delay_s: Final[dict[uuid.UUID, float]] = {}

    def refuse(self, about: uuid.UUID, now: float) -> None:
        """Leave it alone, each time twice as long."""
        delay_s = min(self._delay_s.pop(about, FIRST_S / 2) * 2, MOST_S)
        self._delay_s[about] = delay_s
        self._until[about] = now + delay_s
        if len(self._delay_s) > MOST_KEPT:
            self.forgive(next(iter(self._delay_s)))

    def forgive(self, about: uuid.UUID) -> None:
        """Its fact was taken."""
        self._delay_s.pop(about, None)
        self._until.pop(about, None)

    def forgive_all(self) -> None:
        """It was the bus that was away, and it is back."""
        self._delay_s.clear()
        self._until.clear()

    def at(self, now: float) -> list[uuid.UUID]:
        """Who is to be left alone now."""
        return [about for about, until in self._until.items() if until > now]

    def __len__(self) -> int:
        return len(self._until)
