"""Commands and scripts on Redis as the logs and records use them, with one kind of failure.

Scripts are what a room says, and may be many at once. Commands of the library's client are rarer, and a few at a time.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from redis.asyncio import Redis

from realtime.redis_address import TROUBLE
from realtime.redis_caller import Word
from realtime.redis_servers import RedisServers
from realtime.room_log import LogAway

AT_ONCE: Final = 8
"""Commands of the library under way at once: half of what a client has connections for. Full means: wait, for `WAIT_S`."""
HISTORY: Final = """
local function history()
    local told = redis.call('INFO', 'replication')
    local _, colon = string.find(told, 'master_replid:', 1, true)
    return colon and string.sub(told, colon + 1, colon + 40) or ''
end
"""
"""For scripts: the replication id of the server, which Redis makes anew whenever a server starts or is promoted. What was written
under another one may lack its end."""
WAIT_S: Final = 1.0


class RedisCommands:
    """Asks the servers where channels live. Everything raises `LogAway`."""

    def __init__(self, servers: RedisServers) -> None:
        self.servers: Final = servers
        self._places: Final = asyncio.Semaphore(AT_ONCE)

    async def run(self, channel: str, script: str, keys: Sequence[str], *args: Word) -> Any:
        """Run a script on the home of a channel, with keys that are kept under its name."""
        names = [self.servers.key(channel, key) for key in keys]
        try:
            return await self.servers.script(channel, script, names, args)
        except TROUBLE as trouble:
            raise away(trouble) from trouble

    async def answered(self, call: Callable[[], Awaitable[Any]]) -> Any:
        """The answer to one command or pipeline of the library's client."""
        try:
            async with asyncio.timeout(WAIT_S):
                await self._places.acquire()
        except TimeoutError as full:
            raise LogAway("too much waits for Redis already") from full
        try:
            return await call()
        except TROUBLE as trouble:
            raise away(trouble) from trouble
        finally:
            self._places.release()

    def by_client(self, channels: Sequence[str]) -> list[tuple[Redis, list[str]]]:
        """The channels of each server, for pipelines."""
        found: dict[int, tuple[Redis, list[str]]] = {}
        for channel in channels:
            client = self.servers.client(channel)
            found.setdefault(id(client), (client, []))[1].append(channel)
        return list(found.values())


def away(trouble: BaseException) -> LogAway:
    """Trouble with Redis, for whoever knows only of logs."""
    return LogAway(f"Redis did not answer as it should: {trouble}")
