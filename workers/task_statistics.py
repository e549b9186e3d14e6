"""What can be counted about the task bus: plain numbers, which the probes show and `paceline tasks list` prints."""

from bisect import bisect_left
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from workers.bus import Queue

BOUNDS_S: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Upper bounds of the classes in which handler times are counted, seconds; one more class holds what took longer."""


@dataclass(slots=True)
class Durations:
    """How long something took: how often in each class of `BOUNDS_S`, and the sum in seconds."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS_S) + 1))
    total_s: float = 0.0

    def add(self, seconds: float) -> None:
        """One more."""
        self.counts[bisect_left(BOUNDS_S, seconds)] += 1
        self.total_s += seconds


@dataclass(slots=True)
class QueueStatistics:
    """What became of one queue's deliveries on this process since its start, and how many run now.

    `lost`: begun here, but another worker had the task by then, or the broker was away before it could be told. `newest_ms`
    is when the fact of the latest first delivery became true (wall ms); `refilled` counts facts told again to a queue that the
    broker had lost.
    """

    handled: int = 0
    retried: int = 0
    parked: int = 0
    lost: int = 0
    running: int = 0
    refilled: int = 0
    newest_ms: int | None = None
    seconds: Durations = field(default_factory=Durations)

    def outcomes(self) -> dict[str, int]:
        """What became of the attempts, by word."""
        return {"handled": self.handled, "retried": self.retried, "parked": self.parked, "lost": self.lost}


@dataclass(slots=True)
class BusStatistics:
    """Envelopes taken, publishes that failed, times the connection was lost, and each queue by name."""

    published: int = 0
    refused: int = 0
    reconnects: int = 0
    queues: dict[str, QueueStatistics] = field(default_factory=dict)

    def of(self, queue: "Queue") -> QueueStatistics:
        """The counters of one queue."""
        return self.queues.setdefault(queue.name, QueueStatistics())


@dataclass(frozen=True)
class Overview:
    """One queue as it lies on the bus, for all processes together. None is what this bus cannot know.

    `waiting` may begin now, `retrying` later, `running` are with a worker, `parked` were given up; `oldest_s` is the age of
    the oldest fact that is neither done nor parked (RabbitMQ: of the last one handed to this process, which is never younger);
    `consumers` are the workers that take from it.
    """

    waiting: int
    retrying: int
    parked: int
    running: int | None
    oldest_s: float | None
    consumers: int | None
