"""Paceline: `python -m tests.benchmarks.tasks.peers.paceline producer|worker`, with DATABASE_URL and, for RabbitMQ, AMQP_URL.

The producer is what a use case does: a transaction with all stores, a row, a fact in the outbox. The worker is `paceline run` with
one queue of the benchmark's in place of the program's own; relay, bus and consumer are as they are shipped.
"""

import asyncio
import os
import sys
import time
import uuid
from typing import Any, Final

import uvloop

from paceline import wiring
from paceline.__main__ import main
from persistence.database import open_database
from persistence.stores import Stores, Transactions
from services.kernel.clock import SystemClock
from services.kernel.facts import AnyFact, WorkoutFinished
from services.kernel.ids import AccountId, Uuid7Ids, WorkoutId
from tests.benchmarks.tasks.peers.orders import DONE_SQL, ORDER_SQL, answer_all
from workers.bus import Queue
from workers.handlers import Row
from workers.retry import Unprocessable

QUEUE: Final = Queue("bench-tasks", wants=(WorkoutFinished,), concurrency=int(os.environ.get("BENCH_HANDS", "8")))
NOBODY: Final = AccountId(uuid.UUID(int=0))


async def handle(stores: Stores, fact: AnyFact) -> None:
    """The task."""
    started_ns = time.monotonic_ns()
    if not isinstance(fact, WorkoutFinished):
        raise Unprocessable("the benchmark tells one kind of fact")
    await stores.tx.execute(DONE_SQL.format("$1", "$2"), fact.workout_id.int, started_ns)


async def produce() -> None:
    """Take orders until the input ends."""
    clock = SystemClock()
    async with open_database(os.environ["DATABASE_URL"], size=10) as database:
        transactions = Transactions(database, clock, Uuid7Ids(clock))

        async def one(n: int) -> None:
            workout_id = WorkoutId(uuid.UUID(int=n))
            async with transactions() as stores:
                await stores.tx.execute(ORDER_SQL.format("$1"), n)
                await stores.outbox.add(WorkoutFinished(workout_id=workout_id, account_id=NOBODY), workout_id)

        await answer_all(one)


def work() -> int:
    """`paceline run`, with this queue."""

    def table(*_: Any, **__: Any) -> tuple[Row, ...]:
        return (Row(QUEUE, handle),)

    for name, part in {"QUEUES": (QUEUE,), "table": table}.items():
        if not hasattr(wiring, name):
            raise LookupError(f"paceline/wiring.py has no {name} any more: this benchmark has to follow")
        setattr(wiring, name, part)
    return main(["run"])


if __name__ == "__main__":
    if sys.argv[1] == "worker":
        sys.exit(work())
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    asyncio.run(produce())
