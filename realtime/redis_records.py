"""Records of connections in Redis: a hash per pid, with its owner `o` and the record `r`."""

from typing import Final

import msgspec

from realtime.records import KEEP_S, Record
from realtime.redis_commands import RedisCommands

_KEY: Final = "connection"
_BATCH: Final = 512
_KEEP_MS: Final = int(KEEP_S * 1000)

_WRITE: Final = """
local owner = redis.call('HGET', KEYS[1], 'o')
if owner and owner ~= ARGV[1] then
    return 0
end
redis.call('HSET', KEYS[1], 'o', ARGV[1], 'r', ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 1
"""

_TAKE: Final = """
if redis.call('EXISTS', KEYS[1]) == 0 then
    return 0
end
redis.call('HSET', KEYS[1], 'o', ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1
"""

_FORGET: Final = """
if redis.call('HGET', KEYS[1], 'o') == ARGV[1] then
    redis.call('DEL', KEYS[1])
end
return 1
"""

_REFRESH: Final = "return redis.call('PEXPIRE', KEYS[1], ARGV[1])"

_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(Record).decode


class RedisRecords:
    """Records on the servers where their pids live."""

    def __init__(self, commands: RedisCommands) -> None:
        self._redis: Final = commands

    async def write(self, pid: str, owner: str, record: Record) -> bool:
        return bool(await self._redis.run(_channel(pid), _WRITE, [_KEY], owner, _encode(record), _KEEP_MS))

    async def read(self, pid: str) -> Record | None:
        channel = _channel(pid)
        servers = self._redis.servers
        found = await self._redis.answered(lambda: servers.client(channel).hget(servers.key(channel, _KEY), "r"))
        try:
            return None if found is None else _decode(found)
        except msgspec.DecodeError:
            return None  # of another version of the program: nothing that could be proven

    async def take(self, pid: str, owner: str) -> bool:
        return bool(await self._redis.run(_channel(pid), _TAKE, [_KEY], owner, _KEEP_MS))

    async def refresh(self, pids: tuple[str, ...]) -> None:
        if self._redis.servers.clustered:
            for pid in pids:
                await self._redis.run(_channel(pid), _REFRESH, [_KEY], _KEEP_MS)
            return
        for client, channels in self._redis.by_client([_channel(pid) for pid in pids]):
            for start in range(0, len(channels), _BATCH):
                pipeline = client.pipeline(transaction=False)
                for channel in channels[start : start + _BATCH]:
                    pipeline.pexpire(self._redis.servers.key(channel, _KEY), _KEEP_MS)
                await self._redis.answered(pipeline.execute)

    async def forget(self, pid: str, owner: str) -> None:
        await self._redis.run(_channel(pid), _FORGET, [_KEY], owner)


def _channel(pid: str) -> str:
    """Nothing is published there; it only has a home like any channel."""
    return f"pid:{pid}"
