"""Coming back to a room with the official JavaScript clients, on two servers that share one Redis and one Postgres.

`js/recovery.mjs` tells the story: by the client's own connection state recovery (4.8), by `room.join` and by the auth payload
(3.1 and 4.8); the line is cut, moved to the other server, the server is killed, Redis starts again empty.
"""

import asyncio
import json
from collections.abc import Mapping
from contextlib import ExitStack

from tests.journeys.node import run_node
from tests.journeys.socket_fixture import open_side_door
from tests.support.redis_server import RedisServer, open_redis
from tests.support.server import Server, open_server, shared_keys
from tests.support.system_parts import require


async def test_whoever_comes_back_has_everything_or_is_told(fresh_dsn: str) -> None:
    require("socket.io-client")
    async with open_redis() as redis:
        with ExitStack() as servers:
            first, second = await asyncio.to_thread(_two_servers, servers, fresh_dsn, redis)

            async def kill(_: Mapping[str, str]) -> object:
                await asyncio.to_thread(first.kill)
                return "killed"

            async def empty(_: Mapping[str, str]) -> object:
                await redis.kill()
                await redis.start()
                return "empty"

            async with open_side_door({"kill": kill, "empty": empty}) as control:
                said, code = await run_node(
                    "recovery.mjs",
                    BASE_URL=first.base_url,
                    OTHER_URL=second.base_url,
                    CONTROL_URL=control,
                    NODE_NO_WARNINGS="1",
                )
    assert code == 0, said
    assert [line["step"] for line in map(json.loads, said.splitlines())] == [
        "native",
        "native on another server",
        "native without an event",
        "by join, version 3",
        "by join, version 4",
        "by auth, version 3",
        "by auth, version 4",
        "native after a kill",
        "reset",
        "done",
    ]


def _two_servers(servers: ExitStack, dsn: str, redis: RedisServer) -> tuple[Server, Server]:
    settings = {"DATABASE_URL": dsn, "REDIS_URL": redis.url, **shared_keys(), "PACELINE_DB_POOL": "4"}
    first, second = (servers.enter_context(open_server(**settings)) for _ in range(2))
    return first, second
