"""A log that clients cannot flood.

Whatever a client can provoke, a thousand clients can provoke a thousand times a second; and a fault of ours that every
message meets would fill a disk with one traceback. So a line is written a few times per cause and second, and the next one that
is written says how many were left out: the count is never lost, only the copies.

A cause is named by the code that logs (an event's name, a handler, a type of exception), never by what a client sent.
"""

from collections.abc import Callable
from typing import Any, Final, Protocol

from realtime.limits import TokenBucket

LINES_PER_SECOND: Final = 1.0
LINES_BURST: Final = 5.0
"""Lines of one cause that are written at once after a pause. By feeling: enough to see whether they are alike."""
MAX_CAUSES: Final = 256
"""Causes that are counted apart. More means that something a client sends has become a cause; they then share one count."""


class Logger(Protocol):
    """What is asked of a logger; structlog's have it."""

    def warning(self, event: str, /, **fields: Any) -> Any: ...
    def error(self, event: str, /, **fields: Any) -> Any: ...
    def exception(self, event: str, /, **fields: Any) -> Any: ...


class _Cause:
    __slots__ = ("bucket", "left_out")

    def __init__(self, bucket: TokenBucket) -> None:
        self.bucket: Final = bucket
        self.left_out = 0


class Sparingly:
    """Writes through `log`, `per_second` lines of each cause on average and `burst` at once. `now` tells monotonic seconds.

    A cause is the line's event and, where that is not enough, `cause`. `left_out` counts since start, all causes together.
    """

    def __init__(
        self,
        log: Logger,
        now: Callable[[], float],
        *,
        per_second: float = LINES_PER_SECOND,
        burst: float = LINES_BURST,
        max_causes: int = MAX_CAUSES,
    ) -> None:
        self.left_out = 0
        self._log: Final = log
        self._now: Final = now
        self._per_second: Final = per_second
        self._burst: Final = burst
        self._max_causes: Final = max_causes
        self._causes: dict[tuple[str, str], _Cause] = {}

    def warning(self, event: str, *, cause: str = "", **fields: object) -> None:
        """A line about what somebody else did."""
        if (left_out := self.allow(event, cause)) is not None:
            self._log.warning(event, **_told(fields, left_out))

    def error(self, event: str, *, cause: str = "", **fields: object) -> None:
        """A line about what we did."""
        if (left_out := self.allow(event, cause)) is not None:
            self._log.error(event, **_told(fields, left_out))

    def exception(self, event: str, *, cause: str = "", **fields: object) -> None:
        """The same with the traceback of the exception that is being handled."""
        if (left_out := self.allow(event, cause)) is not None:
            self._log.exception(event, **_told(fields, left_out))

    def allow(self, event: str, cause: str = "") -> int | None:
        """Whether a line may be written now: None when not, otherwise how many were left out since the last one."""
        now = self._now()
        counted = self._causes.get((event, cause))
        if counted is None:
            key = (event, cause) if len(self._causes) < self._max_causes else ("", "")
            counted = self._causes.setdefault(key, _Cause(TokenBucket(self._per_second, self._burst, now)))
        if not counted.bucket.take(now):
            counted.left_out += 1
            self.left_out += 1
            return None
        left_out, counted.left_out = counted.left_out, 0
        return left_out


def _told(fields: dict[str, object], left_out: int) -> dict[str, object]:
    return {**fields, "left_out": left_out} if left_out else fields
