"""Whatever a lost connection to Redis looks like below, it is trouble to be answered and ends no loop."""

import asyncio
import contextlib
from collections.abc import Callable

import pytest
import uvloop

from realtime.redis_address import TROUBLE
from realtime.redis_servers import RedisServers
from tests.support.proxy import open_proxy
from tests.support.redis_server import open_redis


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_a_connection_that_was_reset_in_the_pool_is_trouble(loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    async def story() -> None:
        async with open_redis() as redis, open_proxy(redis.socket) as network:
            servers = RedisServers(f"redis://127.0.0.1:{network.port}/0")
            client = servers.client("room:1")
            assert await client.ping()
            network.cut()
            for _ in range(100):  # turns, in which the loop sees the reset
                await asyncio.sleep(0)
            pipeline = client.pipeline(transaction=False)
            pipeline.publish("channel", b"word")
            with contextlib.suppress(*TROUBLE):
                await pipeline.execute()
            assert await client.ping()
            await servers.close()

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(story())
