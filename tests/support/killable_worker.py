"""A worker as a process of its own, for what a test cannot do in its own: die in the middle of a handler.

    python -m tests.support.killable_worker '{"bus": "postgres", "url": "…", "queues": […], "kills": ["…"]}'

It consumes the queues, prints the id of each fact it has handled, and leaves with `os._exit(9)` when it is handed one of `kills`.
"""

import asyncio
import os
import signal
import sys
from contextlib import AsyncExitStack
from typing import Final

import msgspec

from persistence.database import open_database
from services.kernel.clock import SystemClock
from services.kernel.facts import FACTS, fact_type
from tests.support.task_buses import LADDER
from workers.amqp import open_amqp_bus
from workers.bus import Delivery, Queue, TaskBus
from workers.postgres_bus import PostgresBus


class Share(msgspec.Struct):
    """A queue to consume; `wants` the types of its facts."""

    name: str
    wants: list[str]
    concurrency: int
    prefetch: int
    ordered: bool

    def queue(self) -> Queue:
        """As a worker knows it."""
        wants = tuple(kind for kind in FACTS if fact_type(kind) in self.wants)
        return Queue(self.name, wants, self.concurrency, prefetch=self.prefetch, ordered=self.ordered)


def share_of(queue: Queue) -> Share:
    """A queue, for the order."""
    return Share(queue.name, sorted(queue.types()), queue.concurrency, queue.prefetch, queue.ordered)


class Order(msgspec.Struct):
    """What the worker is to do. `holds`: facts whose handler never ends; `lease_s` on the bus on Postgres."""

    bus: str
    url: str
    queues: list[Share]
    kills: list[str] = []
    holds: list[str] = []
    slow_ms: int = 0
    lease_s: float = 0.5


async def _work(order: Order) -> None:
    clock = SystemClock()
    queues = tuple(share.queue() for share in order.queues)

    async def handle(delivery: Delivery) -> None:
        name = str(delivery.envelope.id)
        if name in order.kills:
            os._exit(9)
        print(f"began {name}", flush=True)
        if name in order.holds:
            await asyncio.Event().wait()
        await clock.sleep(order.slow_ms / 1_000)
        print(f"done {name}", flush=True)

    async with AsyncExitStack() as stack:
        bus: TaskBus
        if order.bus == "postgres":
            database = await stack.enter_async_context(open_database(order.url, size=5))
            bus = PostgresBus(database, clock, queues, ladder=LADDER, poll_s=0.02, lease_s=order.lease_s)
        else:
            bus = await stack.enter_async_context(
                open_amqp_bus(order.url, clock, queues, ladder=LADDER, alone_poll_s=0.05)
            )
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, bus.stop)
        print("ready", flush=True)
        await asyncio.gather(*(bus.consume(queue, handle) for queue in queues))


USAGE: Final = "python -m tests.support.killable_worker ORDER"

if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(USAGE)
    asyncio.run(_work(msgspec.json.decode(sys.argv[1], type=Order)))
