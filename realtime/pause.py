"""The growing pause between tries: a failure that lasts costs a try every two seconds, and one that passes costs little."""

import random
from typing import Final

PAUSE_S: Final = (0.05, 2.0)
"""First and longest pause after a failure; doubles in between, and each is spread over half to all of itself."""


class Pause:
    """The growing pause between tries."""

    def __init__(self) -> None:
        self._next = PAUSE_S[0]
        self._failures = 0

    def first(self) -> bool:
        """Note a failure; True when it is the first of a row, the one worth a line in the log."""
        self._failures += 1
        return self._failures == 1

    def next_s(self) -> float:
        """How long to wait now."""
        pause = self._next
        self._next = min(2 * pause, PAUSE_S[1])
        return random.uniform(pause / 2, pause)  # noqa: S311 - spreading load, not secrets

    def over(self) -> bool:
        """Things work; True when they did not before."""
        failed, self._failures, self._next = self._failures > 0, 0, PAUSE_S[0]
        return failed
