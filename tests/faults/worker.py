"""`paceline run` with a ledger, a side door and places to die, for faults of what is done later.

    python -m tests.faults.worker PATH

runs the same program with the same settings. Besides its own queues it consumes the bench's (ledger.py), and every handler notes in
its own transaction that it had its effect. At the unix socket PATH (door.py) it can be told to be killed, once, at a place where
nothing but a power cut could end it: {"do": "die", "at": PLACE, "queue": NAME}; {"do": "live"} takes that back

    handled     when a handler has had its effects, before the commit
    committed   after the commit, before the acknowledgement
    published   when the relay's batch is with the bus, before the outbox knows

How often each queue was handed something stands in the file PATH.deliveries, a line each, which survives the process.

The environment may say BENCH_LADDER_S, the delays of every retry (of a fact, of what is on its way to somebody, of a webhook),
BENCH_HEARTBEAT_S of the connections to the broker, BENCH_LEASE_S of whoever leads the schedule, BENCH_ANSWER_S that a stranger may
take with an answer, and BENCH_CIRCUIT_S for which a circuit opens, so that a run need not wait for an hour. The product knows
nothing of any of it.
"""

import dataclasses
import functools
import os
import signal
import sys
from collections.abc import Callable
from contextvars import ContextVar
from types import ModuleType
from typing import Any, Final

from paceline import wiring
from paceline.__main__ import main
from persistence.stores import Stores
from services.integrations import retrying
from services.kernel.facts import AnyFact, Envelope
from services.notifications import delivery
from tests.faults.door import Asked, open_door
from tests.faults.ledger import ALL_QUEUES, LEDGER, note_effect, poison_in
from workers import amqp_link, sending, webhooks
from workers.amqp import open_amqp_bus
from workers.bus import Delivery, TaskBus
from workers.consumer import Consumer, Handler
from workers.handlers import Row, table
from workers.outbound import breaker, fcm, providers, sms, web_push
from workers.outbound.apns import ApnsProvider
from workers.outbound.smtp import SmtpProvider
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
        replace(wiring, name, part)
    if delays := os.environ.get("BENCH_LADDER_S"):
        climb_everywhere(tuple(float(delay) for delay in delays.split(",")))
    if seconds := os.environ.get("BENCH_LEASE_S"):
        replace(wiring, "Scheduler", functools.partial(Scheduler, lease_s=float(seconds)))
    if seconds := os.environ.get("BENCH_HEARTBEAT_S"):
        replace(amqp_link, "HEARTBEAT_S", int(seconds))
    if seconds := os.environ.get("BENCH_ANSWER_S"):
        be_patient_with_strangers(float(seconds))
    if seconds := os.environ.get("BENCH_CIRCUIT_S"):
        for name in ("FIRST_OPEN_S", "LONGEST_OPEN_S"):
            replace(breaker, name, float(seconds))


def climb_everywhere(delays_s: tuple[float, ...]) -> None:
    """The same ladder for whatever is tried again."""
    replace(wiring, "open_amqp_bus", functools.partial(open_amqp_bus, ladder=Ladder(delays_s)))
    policies = {
        channel: dataclasses.replace(policy, ladder_s=delays_s) for channel, policy in delivery.POLICIES.items()
    }
    for module in (delivery, sending):
        replace(module, "POLICIES", policies)
    more = len(retrying.DELAYS_S) - len(delays_s)
    replace(retrying, "DELAYS_S", (*delays_s, *more * delays_s[-1:]))


def be_patient_with_strangers(seconds: float) -> None:
    """So long may an answer take, of a provider or of a receiver of webhooks."""
    replace(providers, "SmtpProvider", functools.partial(SmtpProvider, answer_s=seconds, take_s=seconds))
    replace(providers, "ApnsProvider", functools.partial(ApnsProvider, answer_s=seconds))
    for name, module in (("FcmProvider", fcm), ("WebPushProvider", web_push), ("SmsProvider", sms)):
        limits = dataclasses.replace(module.LIMITS, total_s=seconds)
        replace(providers, name, functools.partial(getattr(module, name), limits=limits))
    replace(webhooks, "LIMITS", dataclasses.replace(webhooks.LIMITS, total_s=seconds))


def replace(module: ModuleType, name: str, part: object) -> None:
    """Put this in the place of a module's own. Raises LookupError when it has none of this name."""
    if not hasattr(module, name):
        raise LookupError(f"{module.__name__} has no {name} any more: tests/faults/worker.py has to follow")
    setattr(module, name, part)


if __name__ == "__main__":
    path = sys.argv[1]
    NotingConsumer.deliveries = os.open(f"{path}.deliveries", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    open_door(path, {"die": on_die, "live": on_live})
    as_the_bench_wants_it()
    sys.exit(main(["run"]))
