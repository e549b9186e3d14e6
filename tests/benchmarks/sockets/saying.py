"""What it costs a node to say an event through its room's log, in microseconds of its own processor time: from the shape to the
answer of the log, and until the event has come out of it again, with nobody in the room. What its members cost: `path`, `writing`.

    python -m tests.benchmarks.sockets.saying

Redis is a real one beside it. One event after the other, so nothing is merged. Caches are warm, which they are not between two
other programs on one core.
"""

import asyncio
import gc
import time
import uuid
from contextlib import suppress
from typing import Final

import uvloop

from realtime import wire
from realtime.feeds import Feeds
from realtime.hub import Hub
from realtime.node import Node
from realtime.position import NOWHERE
from realtime.redis_broker import RedisBroker
from realtime.redis_commands import RedisCommands
from realtime.redis_room_log import RedisRoomLog
from realtime.redis_servers import RedisServers
from services.kernel.clock import SystemClock
from services.kernel.ids import ClassId
from tests.support.redis_server import open_redis

EVENTS: Final = 10_000
WARM: Final = 2_000
ROUNDS: Final = 3


async def measure(events: int = EVENTS, warm: int = WARM) -> float:
    """Microseconds of this process's processor time per event, the kernel's for it included: the best of some rounds."""
    async with open_redis() as redis:
        servers = RedisServers(redis.url)
        clock = SystemClock()
        node = Node("says", Hub(), RedisBroker(servers, clock), clock)
        feeds = Feeds(node, RedisRoomLog(RedisCommands(servers)), clock)
        running = [asyncio.create_task(node.run()), asyncio.create_task(feeds.run())]
        try:
            await node.until_ready()
            return await _say(node, feeds, events, warm)
        finally:
            for task in running:
                task.cancel()
            with suppress(asyncio.CancelledError):
                await asyncio.gather(*running)
            await servers.close()


async def _say(node: Node, feeds: Feeds, events: int, warm: int) -> float:
    room = ClassId(uuid.UUID(int=7))
    channel, came = f"room:{room}", asyncio.Event()
    feeds.on_delivered(lambda _channel, _frame: came.set())
    node.follow(channel)
    feeds.follow(channel)
    await feeds.known(channel)

    async def say(count: int, name: str) -> float:
        began = time.process_time()
        for number in range(count):
            came.clear()
            cue = wire.Cue(class_id=room, text="up", coach_name="Kim", at_ms=number, position=NOWHERE)
            await feeds.begin(channel, "cue", cue, f"{name}:{number}")
            await came.wait()
        return (time.process_time() - began) / count * 1_000_000

    await say(warm, "warm")
    gc.collect()
    gc.freeze()
    try:
        return min([await say(events, f"{number}") for number in range(ROUNDS)])
    finally:
        gc.unfreeze()


def main() -> None:
    """Measure and print."""
    print(f"through the log {uvloop.run(measure()):8.1f} µs")


if __name__ == "__main__":
    main()
