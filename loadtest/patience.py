"""How long to wait before trying again, and when to give up.

Full jitter: each wait is drawn evenly from zero to a bound that doubles (Marc Brooker, "Exponential Backoff And
Jitter", 2015), so that five hundred devices that lost the same server do not come back in the same instant. A
hint of the server's own ("come back in 3000 ms") is taken instead, spread by half of itself to either side for
the same reason.
"""

import random
from typing import Final

from services.kernel.clock import Clock

FIRST_BOUND_S: Final = 0.5
"""Bound of the first wait, in seconds. Chosen by feeling: a restarted server is back in one to three."""
LARGEST_BOUND_S: Final = 10.0
PATIENCE_S: Final = 300.0
"""Five minutes without an answer, and a person should look."""


class OutOfPatience(Exception):  # noqa: N818 - said to people as it is
    """The server did not answer for as long as we were told to try."""

    def __init__(self, seconds: float, last: str) -> None:
        super().__init__(f"no answer for {seconds:.0f} s ({last}). Is the server running, and is the address right?")
        self.last = last


class Patience:
    """Counts the tries of one endeavour. `total_s` 0: the first failure is final."""

    def __init__(self, clock: Clock, rng: random.Random, total_s: float = PATIENCE_S) -> None:
        self._clock = clock
        self._rng = rng
        self._total_s = total_s
        self._tries = 0
        self._since: float | None = None

    @property
    def waited_s(self) -> float:
        """Seconds since the first failure in a row; 0 while all is well."""
        return 0.0 if self._since is None else self._clock.monotonic() - self._since

    def succeeded(self) -> None:
        """It worked: the next failure is a first one again."""
        self._tries = 0
        self._since = None

    def next_wait(self, last: str, hint_ms: int | None = None) -> float:
        """Seconds to wait after a failure. Raises OutOfPatience when the time is used up; `last` is what failed."""
        now = self._clock.monotonic()
        if self._since is None:
            self._since = now
        left = self._since + self._total_s - now
        if left <= 0:
            raise OutOfPatience(self._total_s, last)
        bound = min(FIRST_BOUND_S * 2**self._tries, LARGEST_BOUND_S)
        self._tries = min(self._tries + 1, 30)
        if hint_ms is not None:
            return hint_ms / 1000 * self._rng.uniform(0.5, 1.5)
        return min(self._rng.uniform(0, bound), left)

    async def wait(self, last: str, hint_ms: int | None = None) -> None:
        """Sleep for `next_wait`."""
        await self._clock.sleep(self.next_wait(last, hint_ms))
