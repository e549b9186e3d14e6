"""How much one connection may ask for, as arithmetic on `now`.

A token bucket bounds the rate of events; strikes end a connection that keeps sending what is refused. Both are plain
numbers per connection: no timers, no tasks, nothing to clean up.
"""

from collections import deque
from typing import Final

EVENTS_PER_SECOND: Final = 100.0
"""Events one connection may send per second, on average. A device sends one or two; a replay at full speed batches."""
EVENTS_BURST: Final = 200.0
"""Events it may send at once after a pause: a backlog after a dead zone, in batches."""
STRIKES: Final = 10
"""Refused messages within `STRIKES_WINDOW_S` that end a connection. By feeling: a person trying out a client by hand stays
below it."""
STRIKES_WINDOW_S: Final = 10.0


class TokenBucket:
    """`rate` tokens per second flow in, up to `burst`. `now` is in monotonic seconds."""

    __slots__ = ("_at", "_tokens", "burst", "rate")

    def __init__(self, rate: float, burst: float, now: float) -> None:
        if rate <= 0 or burst < 1:
            raise ValueError(f"a bucket needs a rate above 0 ({rate}) and a burst of at least 1 ({burst})")
        self.rate: Final = rate
        self.burst: Final = burst
        self._tokens = burst
        self._at = now

    def take(self, now: float, tokens: float = 1.0) -> bool:
        """Take `tokens` if they are there; False, taking nothing, when they are not."""
        self._refill(now)
        if self._tokens < tokens:
            return False
        self._tokens -= tokens
        return True

    def wait_s(self, now: float, tokens: float = 1.0) -> float:
        """Seconds until `tokens` will be there; 0 when they are."""
        self._refill(now)
        return max(tokens - self._tokens, 0.0) / self.rate

    def _refill(self, now: float) -> None:
        if now > self._at:
            self._tokens = min(self.burst, self._tokens + (now - self._at) * self.rate)
            self._at = now


class Strikes:
    """Counts offences inside a sliding window of `window_s` seconds."""

    __slots__ = ("_at", "limit", "window_s")

    def __init__(self, limit: int = STRIKES, window_s: float = STRIKES_WINDOW_S) -> None:
        self.limit: Final = limit
        self.window_s: Final = window_s
        self._at: deque[float] = deque(maxlen=limit)

    def add(self, now: float) -> bool:
        """Note an offence; True when it is one too many and the connection should end."""
        self._at.append(now)
        return len(self._at) == self.limit and now - self._at[0] <= self.window_s


class Allowance:
    """What one socket may still ask for: its rate of messages and its strikes."""

    __slots__ = ("bucket", "strikes")

    def __init__(self, now: float, rate: float = EVENTS_PER_SECOND, burst: float = EVENTS_BURST) -> None:
        self.bucket: Final = TokenBucket(rate, burst, now)
        self.strikes: Final = Strikes()
