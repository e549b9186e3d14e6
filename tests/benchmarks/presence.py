"""What presence costs: `python -m tests.benchmarks.presence` prints a table in about half a minute.

One node reports its rooms to a Redis of its own on the same machine. Processor time is that of this process and of Redis, each
divided by the reports; a report is one room's. Nothing else is counted: no sockets, no announcements to anybody.
"""

import asyncio
import resource
import uuid
from collections.abc import Callable
from typing import Final

from realtime.presence import Presence
from realtime.redis_presence import RedisRegister
from realtime.redis_servers import RedisServers
from services.kernel.clock import ManualClock
from services.kernel.ids import AccountId
from tests.support.redis_server import RedisServer, open_redis

ROUNDS: Final = 40
ROUND_S: Final = 2.1
"""Just above the time after which every room is due again."""


async def measured(server: RedisServer, rooms: int, people: int, move: Callable[[Presence, int], None]) -> str:
    """Reports of so many rooms with so many people each, after `move` was called before each round."""
    servers, clock = RedisServers(server.url), ManualClock()
    presence = Presence("one", RedisRegister(servers, now_ms=lambda: round(clock.monotonic() * 1_000)), clock)
    try:
        for room in range(rooms):
            presence.follow(f"room:{room}")
            for number in range(people):
                presence.enter(f"room:{room}", person(number))
        while presence.statistics().waiting:
            await presence._round()
        before = presence.statistics().reports, own(), await of_redis(servers)
        for number in range(ROUNDS):
            await clock.advance(ROUND_S)
            move(presence, number)
            await presence._round()
        reports = presence.statistics().reports - before[0]
        mine, theirs = own() - before[1], await of_redis(servers) - before[2]
    finally:
        await servers.close()
    return f"{reports:>8} {1e6 * mine / reports:>12.0f} {1e6 * theirs / reports:>12.0f}"


def person(number: int) -> AccountId:
    return AccountId(uuid.UUID(int=number))


def own() -> float:
    """Processor seconds of this process."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


async def of_redis(servers: RedisServers) -> float:
    """Processor seconds of Redis, as it says itself."""
    used = await servers.client("any").info("cpu")
    return float(used["used_cpu_user"]) + float(used["used_cpu_sys"])


def nobody(_: Presence, __: int) -> None:
    """Everybody stays where they are."""


def one_flaps(presence: Presence, number: int) -> None:
    """In each room one person leaves and another comes back."""
    for room in presence._rooms:
        presence.leave(room, person(number % 10))
        presence.enter(room, person((number - 1) % 10))


async def main() -> None:
    print(f"{'what':<44} {'reports':>8} {'node µs':>12} {'Redis µs':>12}")
    for what, rooms, people, move in (
        ("100 rooms of 20, nobody moves", 100, 20, nobody),
        ("100 rooms of 20, one leaves and one comes", 100, 20, one_flaps),
        ("4 rooms of 500, nobody moves", 4, 500, nobody),
        ("4 rooms of 500, one leaves and one comes", 4, 500, one_flaps),
        ("1,000 rooms of 5, nobody moves", 1_000, 5, nobody),
    ):
        async with open_redis() as server:
            print(f"{what:<44} {await measured(server, rooms, people, move)}", flush=True)


if __name__ == "__main__":
    asyncio.run(main())
