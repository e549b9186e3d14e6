"""Commands and scripts on Redis as the logs and records use them: a few at a time, and one kind of failure.

A script is called by its digest; a server that has not seen it, or has started again, is given the text by the library.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, Final

from redis.asyncio import Redis
from redis.commands.core import AsyncScript

from realtime.redis_line import TROUBLE
from realtime.redis_servers import RedisServers
from realtime.room_log import LogAway

AT_ONCE: Final = 8
"""Commands under way at once: half of what a client has connections for. Full means: wait, for `WAIT_S`."""
WAIT_S: Final = 1.0


class RedisCommands:
    """Asks the servers where channels live. Everything raises `LogAway`."""

    def __init__(self, servers: RedisServers) -> None:
        self.servers: Final = servers
        self._scripts: dict[tuple[int, str], AsyncScript] = {}
        self._places: Final = asyncio.Semaphore(AT_ONCE)

    async def run(self, channel: str, script: str, keys: Sequence[str], *args: str | bytes | int) -> Any:
        """Run a script on the home of a channel, with keys that are kept under its name."""
        client = self.servers.client(channel)
        known = self._scripts.get((id(client), script))
        if known is None:
            known = self._scripts[id(client), script] = client.register_script(script)
        names = [self.servers.key(channel, key) for key in keys]
        return await self.answered(partial(known, keys=names, args=list(args)))

    async def answered(self, call: Callable[[], Awaitable[Any]]) -> Any:
        """The answer to one command or pipeline."""
        try:
            async with asyncio.timeout(WAIT_S):
                await self._places.acquire()
        except TimeoutError as full:
            raise LogAway("too much waits for Redis already") from full
        try:
            return await call()
        except TROUBLE as trouble:
            raise LogAway(f"Redis did not answer as it should: {trouble}") from trouble
        finally:
            self._places.release()

    def by_client(self, channels: Sequence[str]) -> list[tuple[Redis, list[str]]]:
        """The channels of each server, for pipelines."""
        found: dict[int, tuple[Redis, list[str]]] = {}
        for channel in channels:
            client = self.servers.client(channel)
            found.setdefault(id(client), (client, []))[1].append(channel)
        return list(found.values())
