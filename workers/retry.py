"""What becomes of a task whose handler failed. Pure.

A failure climbs a ladder of fixed delays, one rung per attempt, and after the last attempt the task is parked with its
reason until somebody replays it. Fixed delays, because a broker without a plug-in can only wait a fixed time per queue.

Two failures are treated apart. `Unprocessable` says that trying again cannot help: parked at once. And when the house
itself is away (a `Problem` that says `retry`, such as an unreachable database), the task is not to blame: it waits on
the first rung and keeps its attempts, else an hour of outage would park everything that waited. Only a fact older
than `PATIENCE_MS` loses that privilege, so that a task which itself makes the house fail is parked in the end.
"""

from dataclasses import dataclass
from typing import Final

from services.kernel.problems import Problem

MAX_ATTEMPTS: Final = 5
LADDER_S: Final = (5.0, 30.0, 300.0, 3_600.0)
"""Seconds before attempt 2, 3, 4, 5. Chosen: a blip, a restart, a deployment, a repair."""
IN_PLACE_MOST_S: Final = 120.0
"""Longest wait of a message that others wait behind. Chosen by feeling: a restart is outlasted, a deployment is not."""
PATIENCE_MS: Final = 24 * 3_600_000
"""How old a fact may be (ms) and still blame the house for its failures. Chosen by feeling: a night and a day."""
REASON_LENGTH: Final = 1_000


class Unprocessable(Exception):  # noqa: N818 - it says what the message is
    """This message can never be handled; trying again would only cost time. The message says why."""


@dataclass(frozen=True)
class Again:
    """Try again in `delay_s` seconds, the next delivery being number `attempt`."""

    delay_s: float
    attempt: int


@dataclass(frozen=True)
class Park:
    """Give up until somebody replays it; `reason` for people."""

    reason: str


@dataclass(frozen=True)
class Ladder:
    """The delays in seconds before attempt 2, 3, …; the last one serves for all further attempts."""

    delays_s: tuple[float, ...] = LADDER_S

    def __post_init__(self) -> None:
        if not self.delays_s or any(delay <= 0 for delay in self.delays_s):
            raise ValueError(f"a retry ladder needs at least one delay, all of them above 0 s: {self.delays_s}")

    def in_place(self) -> "Ladder":
        """The delays where others wait behind the message."""
        return Ladder(tuple(min(delay, IN_PLACE_MOST_S) for delay in self.delays_s))

    def rung(self, attempt: int) -> float:
        """The delay after failed attempt number `attempt`, seconds."""
        return self.delays_s[min(attempt, len(self.delays_s)) - 1]


def after_failure(
    failure: BaseException, attempt: int, *, ladder: Ladder, max_attempts: int, age_ms: int
) -> Again | Park:
    """What to do after attempt number `attempt` (from 1) failed, on a fact `age_ms` old."""
    if isinstance(failure, Unprocessable):
        return Park(_reason(failure))
    if isinstance(failure, Problem) and failure.retry and age_ms < PATIENCE_MS:
        return Again(ladder.rung(1), attempt)
    if attempt >= max_attempts:
        return Park(f"failed {attempt} times, at last with {_reason(failure)}")
    return Again(ladder.rung(attempt), attempt + 1)


def _reason(failure: BaseException) -> str:
    text = f"{type(failure).__name__}: {failure}" if str(failure) else type(failure).__name__
    return text[:REASON_LENGTH]
