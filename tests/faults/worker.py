"""`paceline run` with a ledger, a side door and places to die, for faults of what is done later.

    python -m tests.faults.worker PATH

runs the same program with the same settings. Besides its own queues it consumes the bench's (ledger.py), and every handler notes in
its own transaction that it had its effect. At the unix socket PATH (door.py) it can be told to be killed, once, at a place where
nothing but a power cut could end it: {"do": "die", "at": PLACE, "queue": NAME}; {"do": "live"} takes that back

    handled     when a handler has had its effects, before the commit
    committed   after the commit, before the acknowledgement
    published   when the relay's batch is with the bus, before the outbox knows

How often each queue was handed something stands in the file PATH.deliveries, a line each, which survives the process.

The environment may say BENCH_LADDER_S, the delays of the retry ladder, BENCH_HEARTBEAT_S of the connections to the broker, and
BENCH_LEASE_S of whoever leads the schedule, so that a run need not wait for an hour. The product knows nothing of any of it.
"""

import functools
import os
import signal
import sys
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, Final

from paceline import wiring
from paceline.__main__ import main
from persistence.stores import Stores
from services.kernel.facts import AnyFact, Envelope
from tests.faults.door import Asked, open_door
from tests.faults.ledger import ALL_QUEUES, LEDGER, note_effect, poison_in
from workers import amqp_link
from workers.amqp import open_amqp_bus
from workers.bus import Delivery, TaskBus
from workers.consumer import Consumer, Handler
from workers.handlers import Row, table
from workers.relay import Relay
from workers.retry import Ladder
from workers.schedule import Scheduler

_handled: ContextVar[Envelope] = ContextVar("the envelope whose handler runs")
_deadly: dict[str, str] = {}
"""Places to die at: the queue, or nothing for the relay."""


def die_at(place: str, queue: str = "") -> None:
    """Be killed here if the door was told so."""
    if _deadly.get(place) == queue:
        os.kill(os.getpid(), signal.SIGKILL)


def on_die(asked: Asked, answer: Callable[[Any], None]) -> None:
    """The door's deed."""
    _deadly[asked["at"]] = asked.get("queue", "")
    answer(True)


def on_live(_: Asked, answer: Callable[[Any], None]) -> None:
    """The door's deed that takes the other one back."""
    _deadly.clear()
    answer(True)


class NotingConsumer(Consumer):
    """Knows which envelope its handler is about, and writes down what it was handed."""

    deliveries: int
    """The file's descriptor."""

    async def __call__(self, delivery: Delivery) -> None:
        os.write(self.deliveries, f"{self.queue.name} {delivery.envelope.id} {delivery.attempt}\n".encode())
        _handled.set(delivery.envelope)
        await super().__call__(delivery)
        die_at("committed", self.queue.name)


class DeadlyBus:
    """The relay's bus, with a place to die behind it."""

    def __init__(self, bus: TaskBus) -> None:
        self._bus: Final = bus

    def __getattr__(self, name: str) -> Any:
        return getattr(self._bus, name)

    async def publish(self, *envelopes: Envelope) -> None:
        await self._bus.publish(*envelopes)
        die_at("published")


def noting(queue: str, handler: Handler) -> Handler:
    """The same handler, whose effect stands in the ledger as well."""

    async def handle(stores: Stores, fact: AnyFact) -> None:
        await handler(stores, fact)
        await note_effect(stores.tx, queue, _handled.get().id)
        die_at("handled", queue)

    return handle


async def obey(_: Stores, fact: AnyFact) -> None:
    """The handler of the bench's own queue."""
    match poison_in(fact):
        case "raises":
            raise ValueError("this fact is poison: it raises, always")
        case "kills":
            os._exit(9)
        case _:
            pass


def noting_table(*args: Any, **kwargs: Any) -> tuple[Row, ...]:
    """Everything that the program does later, and the bench's own."""
    rows = (*table(*args, **kwargs), Row(LEDGER, obey))
    return tuple(Row(row.queue, noting(row.queue.name, row.handler)) for row in rows)


def deadly_relay(transactions: Any, bus: TaskBus, *args: Any, **kwargs: Any) -> Relay:
    """A relay with a place to die."""
    return Relay(transactions, DeadlyBus(bus), *args, **kwargs)


def as_the_bench_wants_it() -> None:
    """Put the bench's parts in the places of the program's own."""
    for name, part in {
        "QUEUES": ALL_QUEUES,
        "table": noting_table,
        "Consumer": NotingConsumer,
        "Relay": deadly_relay,
    }.items():
        if not hasattr(wiring, name):
            raise LookupError(f"paceline/wiring.py has no {name} any more: tests/faults/worker.py has to follow")
        setattr(wiring, name, part)
    if delays := os.environ.get("BENCH_LADDER_S"):
        ladder = Ladder(tuple(float(delay) for delay in delays.split(",")))
        setattr(wiring, "open_amqp_bus", functools.partial(open_amqp_bus, ladder=ladder))  # noqa: B010
    if seconds := os.environ.get("BENCH_LEASE_S"):
        setattr(wiring, "Scheduler", functools.partial(Scheduler, lease_s=float(seconds)))  # noqa: B010
    if seconds := os.environ.get("BENCH_HEARTBEAT_S"):
        setattr(amqp_link, "HEARTBEAT_S", int(seconds))  # noqa: B010


if __name__ == "__main__":
    path = sys.argv[1]
    NotingConsumer.deliveries = os.open(f"{path}.deliveries", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    open_door(path, {"die": on_die, "live": on_live})
    as_the_bench_wants_it()
    sys.exit(main(["run"]))
