"""What a producer is told and what it answers, a JSON line each, for every peer the same. Standard library only.

    {"first": 1, "count": 1000, "at_once": 8, "rate": 0}     make orders 1 to 1000, eight at once, as fast as they go
    {"first": 1, "count": 100, "at_once": 8, "rate": 25}     the same, evenly spaced, 25 a second

The answer holds, for each order, its number and the monotonic time (ns, the same clock for all processes) at which its commit had
returned. An order that was not committed is not in it.
"""

import asyncio
import json
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass

ORDER_SQL = "INSERT INTO bench_orders (n) VALUES ({})"
DONE_SQL = "INSERT INTO bench_done (n, started_ns) VALUES ({}, {})"


@dataclass(frozen=True)
class Order:
    """What to make; `rate` 0 for as fast as it goes."""

    first: int
    count: int
    at_once: int
    rate: float

    def due_s(self, n: int) -> float:
        """When order number `n` is due, in seconds after the beginning."""
        return (n - self.first) / self.rate if self.rate else 0.0

    def numbers(self) -> range:
        return range(self.first, self.first + self.count)


def orders() -> Iterator[Order]:
    """What comes in, until the input ends."""
    for line in sys.stdin:
        yield Order(**json.loads(line))


def say(line: object) -> None:
    """One line to whoever started this program."""
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


async def answer_all(one: Callable[[int], Awaitable[None]]) -> None:
    """Be a producer on an event loop: `one` makes one order."""
    say("ready")
    loop = asyncio.get_running_loop()
    incoming = orders()
    while (order := await loop.run_in_executor(None, next, incoming, None)) is not None:
        say(await produce(order, one))


async def produce(order: Order, one: Callable[[int], Awaitable[None]]) -> list[tuple[int, int]]:
    """Make these orders; each number with the time of its commit."""
    began, numbers = time.monotonic(), iter(order.numbers())
    committed: list[tuple[int, int]] = []

    async def hand() -> None:
        for n in numbers:
            await asyncio.sleep(max(0.0, began + order.due_s(n) - time.monotonic()))
            await one(n)
            committed.append((n, time.monotonic_ns()))

    await asyncio.gather(*(hand() for _ in range(order.at_once)))
    return committed


def answer_all_in_threads(one: Callable[[int], int]) -> None:
    """Be a producer with a thread for each order that is made at once; `one` gives the time of its commit itself."""
    say("ready")
    for order in orders():
        say(produce_in_threads(order, one))


def produce_in_threads(order: Order, one: Callable[[int], int]) -> list[tuple[int, int]]:
    """Make these orders; each number with the time of its commit."""
    began, numbers, turn = time.monotonic(), iter(order.numbers()), threading.Lock()
    committed: list[tuple[int, int]] = []

    def hand() -> None:
        while True:
            with turn:
                n = next(numbers, None)
            if n is None:
                return
            time.sleep(max(0.0, began + order.due_s(n) - time.monotonic()))
            committed.append((n, one(n)))

    threads = [threading.Thread(target=hand) for _ in range(order.at_once)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return committed
