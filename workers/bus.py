"""The task bus: carries facts from the relay to the queues of whoever wants them.

Two implementations, one promise, one contract suite (tests/contracts/test_task_bus*.py): `amqp.py` on RabbitMQ and
`postgres_bus.py` on the database that is there anyway.

What a bus guarantees:

- *Taken means kept.* `publish` returns when the bus has each envelope safely in the queue of every consumer that wants
  its type. When it raises, nothing is known: envelopes may or may not arrive, and must be published again.
- *At least once.* An envelope is delivered until its handler has returned. A worker that dies between effect and
  acknowledgement causes a second delivery; `Envelope.id` is how a consumer knows it (see consumer.py).
- *Failures climb.* A handler that raises, or takes longer than the queue's `time_limit_s`, sees the envelope again after
  the delays of retry.py, and after the queue's `max_attempts` it is parked with its reason. An envelope nobody here can
  read is parked at once. One that kills its worker each time is handled away from others, and then parked. None of
  them takes its neighbours along and, unless they are ordered, none holds them up.
- *A polite end.* After `stop` nothing new is begun, what runs is finished within `FINISH_S`, what was fetched and not begun
  is at once somebody else's, and `consume` returns.

Order is kept by a queue that is `ordered`, and costs what standing in line costs: one envelope at a time for all workers together.
Envelopes are first handed over in the order in which the bus took them: one whose `publish` returned before another
was published comes before it, and those of one `publish` in their order. One that fails is tried again in its place, with
shorter delays (`Ladder.in_place`), and the others wait until it is done or parked; a worker that dies hands over to another,
which begins with the same envelope. Two things are out of order: what was published twice may come once more later, which
the inbox knows; and what was parked and is replayed comes after everything that waits. A worker that was deposed and does
not know it yet cannot end a task: `Delivery.settle` raises where it is known, and the inbox stops it where it is not.

Of any other queue two envelopes may be handled at once or in either order, so handlers read the state as it is now and do
not trust a fact to be the latest.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Protocol

import msgspec

from persistence.database import Tx
from services.kernel import facts
from services.kernel.facts import Envelope, Fact
from services.kernel.ids import FactId
from workers.retry import IN_PLACE_MOST_S, MAX_ATTEMPTS
from workers.task_statistics import BusStatistics as BusStatistics
from workers.task_statistics import Overview

PUBLISH_TIMEOUT_S: Final = 5.0
"""How long `publish` waits for the bus to take everything it was given."""
TIME_LIMIT_S: Final = 20.0
"""How long a handler may take where its queue says nothing else: longer than a database that does not answer needs to be
recognised as such (2 s for a connection, twice 8 s for a query), so that an outage is not blamed on the task."""
FINISH_S: Final = 4.0
"""How long what runs may take after `stop`; shorter than what the program grants a loop, so that it ends in order."""
HELD_S: Final = 1_200.0
"""Longest time a worker keeps one message; the broker takes it back after 1,800 s (its `consumer_timeout`)."""
BODY_LENGTH: Final = 10_000
"""How much of a parked message's body is shown."""
UNREADABLE: Final = (msgspec.DecodeError, RecursionError)
"""What reading a body raises that is no envelope of this program: no JSON, another shape, or nested without end."""

_NAME: Final = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


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
    how many failures a message is parked; `prefetch` how many messages a broker may send ahead to this process, those that
    run included (0: as many as run; a handler that could take its process down wants 1 to 4); `ordered` to keep their order, see
    above; `time_limit_s` how long a handler may take before it counts as failed. The name is for ever: messages wait under it.
    """

    name: str
    wants: tuple[type[Fact], ...]
    concurrency: int = 1
    max_attempts: int = MAX_ATTEMPTS
    prefetch: int = 0
    ordered: bool = False
    time_limit_s: float = TIME_LIMIT_S

    def __post_init__(self) -> None:
        if _NAME.fullmatch(self.name) is None:
            raise ValueError(f"queue {self.name!r} must be named in small letters, digits and hyphens")
        if not self.wants or self.concurrency < 1 or self.max_attempts < 1:
            raise ValueError(f"queue {self.name!r} must want a fact and allow at least one handler and one attempt")
        if self.prefetch and self.prefetch < self.concurrency:
            raise ValueError(
                f"queue {self.name!r} must fetch at least the {self.concurrency} messages it handles at once"
            )
        if not 0 < self.time_limit_s <= HELD_S:
            raise ValueError(
                f"queue {self.name!r} must give its handler between 0 and {HELD_S:g} s; write a row for longer work"
            )
        if self.ordered and self.ahead > 1:
            raise ValueError(f"queue {self.name!r} is ordered: it handles and fetches one message at a time")
        if self.ordered and self.max_attempts * (self.time_limit_s + IN_PLACE_MOST_S) > HELD_S:
            raise ValueError(
                f"queue {self.name!r} may not hold its first message for longer than {HELD_S:g} s: "
                "give it fewer attempts or a shorter time limit"
            )

    @property
    def ahead(self) -> int:
        """How many messages may be on this process at once."""
        return self.prefetch or self.concurrency

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


Told = Callable[[int], None]
"""Is told how many messages something long has been done to."""


@dataclass(frozen=True)
class Parked:
    """A message that was given up, as a person sees it.

    `key` names it for `replay` and `drop`: the fact's id or, where not even that could be read, what the bus knows it by;
    `envelope` None when nobody here can read it; `body` as text, shortened; `parked_ms` when it was given up (wall ms).
    """

    key: str
    envelope: Envelope | None
    body: str
    attempt: int
    reason: str
    parked_ms: int | None


class TaskBus(Protocol):
    """See the module's docstring for what it guarantees."""

    async def publish(self, *envelopes: Envelope) -> None:
        """Hand envelopes over. Raises `BusUnavailable` when not all were taken within `PUBLISH_TIMEOUT_S` of the bus
        taking any, or it took none for as long."""
        ...

    async def consume(self, queue: Queue, handle: Handle) -> None:
        """Handle a queue's envelopes until `stop`, outlasting every fault of the bus."""
        ...

    def stop(self) -> None:
        """Ask all `consume` loops to finish what runs and return. May be called again."""
        ...

    def statistics(self) -> BusStatistics:
        """Counters for the probes."""
        ...


class OperatedBus(TaskBus, Protocol):
    """A task bus with what a person may do to it (`paceline tasks`)."""

    async def parked(self, queue: Queue, limit: int = 100) -> list[Parked]:
        """Messages of a queue that were given up, the oldest first. Raises `BusUnavailable`."""
        ...

    async def replay(self, queue: Queue, key: str) -> int:
        """Give a parked message all its attempts again; how many of this key were parked. Raises `BusUnavailable`."""
        ...

    async def replay_all(self, queue: Queue, told: Told) -> int:
        """Do so to all that are parked now, the oldest first; how many. Raises `BusUnavailable`, those told of being done."""
        ...

    async def drop(self, queue: Queue, key: str) -> int:
        """Forget a parked message for ever; how many of this key were parked. Raises `BusUnavailable`."""
        ...

    async def overview(self) -> dict[str, Overview]:
        """What lies in every queue, by its name; changes nothing. Raises `BusUnavailable`."""
        ...


class TookTooLong(Exception):  # noqa: N818 - it says what the handler did
    """A handler was stopped at its queue's time limit."""


class Interrupted(Exception):  # noqa: N818 - it says what happened to the handler
    """A handler ended as if it had been cancelled, which nobody did: some library has let it down."""


async def within_limit(queue: Queue, handle: Handle, delivery: Delivery) -> None:
    """Handle a delivery. Whatever is wrong with it becomes an `Exception`, unless this task itself is cancelled."""
    try:
        async with asyncio.timeout(queue.time_limit_s) as limit:
            await handle(delivery)
    except TimeoutError as cause:
        if limit.expired():
            raise TookTooLong(f"stopped after {queue.time_limit_s:g} s, the time limit of {queue.name}") from cause
        raise
    except asyncio.CancelledError as cause:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise Interrupted(f"a handler of {queue.name} was interrupted from inside") from cause


def wanted_by(queues: tuple[Queue, ...], envelope: Envelope) -> tuple[Queue, ...]:
    """The queues that want this envelope."""
    kind = type(envelope.fact)
    return tuple(queue for queue in queues if kind in queue.wants)
