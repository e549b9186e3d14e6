"""The task bus: carries facts from the relay to the queues of whoever wants them.

Two implementations, one promise, one contract suite (tests/contracts/test_task_bus.py): `amqp.py` on RabbitMQ and
`postgres_bus.py` on the database that is there anyway.

What a bus guarantees:

- *Taken means kept.* `publish` returns when the bus has each envelope safely in the queue of every consumer that wants
  its type. When it raises, nothing is known: envelopes may or may not arrive, and must be published again.
- *At least once.* An envelope is delivered until its handler has returned. A worker that dies between effect and
  acknowledgement causes a second delivery; `Envelope.id` is how a consumer knows it (see consumer.py).
- *Failures climb.* A handler that raises sees the envelope again after the delays of retry.py, and after the queue's
  `max_attempts` it is parked with its reason. An envelope nobody here can read is parked at once. Neither holds up
  its neighbours.
- *A polite end.* After `stop` nothing new is begun, what runs is finished, and `consume` returns.

What it does not: order. Two envelopes of one queue may be handled at once or in either order, so handlers read the
state as it is now and do not trust a fact to be the latest.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final, Protocol

from persistence.database import Tx
from services.kernel import facts
from services.kernel.facts import Envelope, Fact
from services.kernel.ids import FactId
from workers.retry import MAX_ATTEMPTS

PUBLISH_TIMEOUT_S: Final = 5.0
"""How long `publish` waits for the bus to take everything it was given."""


class BusUnavailable(Exception):  # noqa: N818 - it says what the bus is
    """The bus has not taken everything; publish again what is not in `taken`. The message says what was wrong.

    Nothing may be concluded about the rest: it may have arrived all the same.
    """

    def __init__(self, message: str, taken: frozenset[FactId] = frozenset()) -> None:
        super().__init__(message)
        self.taken: Final = taken


class TaskTaken(Exception):  # noqa: N818 - it says what happened to the task
    """Another worker has the task by now; this one must forget what it did. Raised by `Delivery.settle`."""


@dataclass(frozen=True)
class Queue:
    """One consumer's queue.

    `wants` the facts it is told; `concurrency` how many handlers may run at once on this process; `max_attempts` after
    how many failures a message is parked. The name is for ever: messages wait under it.
    """

    name: str
    wants: tuple[type[Fact], ...]
    concurrency: int = 1
    max_attempts: int = MAX_ATTEMPTS

    def __post_init__(self) -> None:
        if not self.wants or self.concurrency < 1 or self.max_attempts < 1:
            raise ValueError(f"queue {self.name!r} must want a fact and allow at least one handler and one attempt")

    def types(self) -> frozenset[str]:
        """The routing keys of the facts it wants."""
        return frozenset(facts.fact_type(kind) for kind in self.wants)


class Delivery(Protocol):
    """One envelope, handed to a handler. `attempt` counts from 1; repeated deliveries of one attempt are possible."""

    @property
    def envelope(self) -> Envelope: ...

    @property
    def attempt(self) -> int: ...

    async def settle(self, tx: Tx) -> None:
        """Make the end of the task part of `tx`, where the bus can: done if and only if `tx` commits.

        Optional: a handler that returns has settled anyway. Raises `TaskTaken` when another worker has the task.
        """
        ...


Handle = Callable[[Delivery], Awaitable[None]]
"""Handles one delivery. Returning means done; raising means not done, whatever it raises."""


@dataclass(frozen=True)
class Parked:
    """A message that was given up, as a person sees it. `fact_id` None when not even that could be read."""

    fact_id: FactId | None
    body: str
    attempt: int
    reason: str


@dataclass(slots=True)
class QueueStatistics:
    """What happened to one queue's messages on this process since its start, and how many run now."""

    handled: int = 0
    retried: int = 0
    parked: int = 0
    running: int = 0
    seconds: float = 0.0


@dataclass(slots=True)
class BusStatistics:
    """Envelopes taken, publishes that failed, times the connection was lost, and each queue by name."""

    published: int = 0
    refused: int = 0
    reconnects: int = 0
    queues: dict[str, QueueStatistics] = field(default_factory=dict)

    def of(self, queue: Queue) -> QueueStatistics:
        """The counters of one queue."""
        return self.queues.setdefault(queue.name, QueueStatistics())


class TaskBus(Protocol):
    """See the module's docstring for what it guarantees."""

    async def publish(self, *envelopes: Envelope) -> None:
        """Hand envelopes over. Raises `BusUnavailable` when not all were taken within `PUBLISH_TIMEOUT_S`."""
        ...

    async def consume(self, queue: Queue, handle: Handle) -> None:
        """Handle a queue's envelopes until `stop`, outlasting every fault of the bus."""
        ...

    def stop(self) -> None:
        """Ask all `consume` loops to finish what runs and return. May be called again."""
        ...

    async def parked(self, queue: Queue, limit: int = 100) -> list[Parked]:
        """Messages of a queue that were given up, the oldest first. Raises `BusUnavailable`."""
        ...

    async def replay(self, queue: Queue, fact_id: FactId) -> bool:
        """Give a parked envelope all its attempts again; False when it is not parked. Raises `BusUnavailable`."""
        ...

    def statistics(self) -> BusStatistics:
        """Counters for the probes."""
        ...


def wanted_by(queues: tuple[Queue, ...], envelope: Envelope) -> tuple[Queue, ...]:
    """The queues that want this envelope."""
    kind = type(envelope.fact)
    return tuple(queue for queue in queues if kind in queue.wants)
