"""Records of connections in Redis: a hash per pid, with its owner `o` and the record `r`."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Final, cast

import msgspec
from redis.asyncio import Redis

from realtime.records import KEEP_S, Record, Refreshed
from realtime.redis_commands import RedisCommands
from realtime.room_log import LogAway

_KEY: Final = "connection"
_BATCH: Final = 512
_SCRIPTS: Final = 64
"""Scripts that a cluster is asked for at once. By feeling: a few for each connection to it."""
_KEEP_MS: Final = int(KEEP_S * 1000)

_WRITE: Final = """
local owner = redis.call('HGET', KEYS[1], 'o')
if not owner and ARGV[4] == 'there' then
    return -1
end
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

_ANEW: Final = "anew"
_THERE: Final = "there"

_REFRESH: Final = "return redis.call('PEXPIRE', KEYS[1], ARGV[1])"

_Ask = Callable[[Sequence[str]], Awaitable[Sequence[int | None]]]
"""Refreshes the records of some pids: 1 for each that is there, 0 for one that is not, None where nobody knows."""

_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(Record).decode


class RedisRecords:
    """Records on the servers where their pids live."""

    def __init__(self, commands: RedisCommands) -> None:
        self._redis: Final = commands

    async def write(self, pid: str, owner: str, record: Record) -> bool:
        return bool(await self._write(pid, owner, record, _ANEW))

    async def rewrite(self, pid: str, owner: str, record: Record) -> bool | None:
        written = await self._write(pid, owner, record, _THERE)
        return None if written < 0 else bool(written)

    async def _write(self, pid: str, owner: str, record: Record, where: str) -> int:
        return int(await self._redis.run(_channel(pid), _WRITE, [_KEY], owner, _encode(record), _KEEP_MS, where))

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

    async def refresh(self, pids: tuple[str, ...]) -> Refreshed:
        if self._redis.servers.clustered:
            return _together([await self._refresh(pids, _SCRIPTS, self._by_scripts)])
        by_channel = {_channel(pid): pid for pid in pids}
        async with asyncio.TaskGroup() as group:  # one server that is away must not hold up the others
            parts = [
                group.create_task(
                    self._refresh([by_channel[each] for each in channels], _BATCH, partial(self._by_pipeline, client)),
                    name="records.refresh",
                )
                for client, channels in self._redis.by_client(list(by_channel))
            ]
        return _together([part.result() for part in parts])

    async def _refresh(self, pids: Sequence[str], at_once: int, ask: _Ask) -> Refreshed:
        """Refresh the records of one server, or of a cluster, until nothing of a batch is answered: then the rest is not asked."""
        lost: list[str] = []
        unsure: list[str] = []
        for start in range(0, len(pids), at_once):
            batch = pids[start : start + at_once]
            answers = await ask(batch)
            lost += [pid for pid, kept in zip(batch, answers, strict=True) if kept == 0]
            unsure += [pid for pid, kept in zip(batch, answers, strict=True) if kept is None]
            if all(kept is None for kept in answers):
                unsure += pids[start + at_once :]
                break
        return Refreshed(tuple(lost), tuple(unsure))

    async def _by_pipeline(self, client: Redis, pids: Sequence[str]) -> Sequence[int | None]:
        pipeline = client.pipeline(transaction=False)
        for pid in pids:
            pipeline.pexpire(self._redis.servers.key(_channel(pid), _KEY), _KEEP_MS)
        try:
            return cast(Sequence[int], await self._redis.answered(pipeline.execute))
        except LogAway:
            return [None] * len(pids)

    async def _by_scripts(self, pids: Sequence[str]) -> Sequence[int | None]:
        return await asyncio.gather(*map(self._by_script, pids))

    async def _by_script(self, pid: str) -> int | None:
        try:
            return int(await self._redis.run(_channel(pid), _REFRESH, [_KEY], _KEEP_MS))
        except LogAway:
            return None

    async def forget(self, pid: str, owner: str) -> None:
        await self._redis.run(_channel(pid), _FORGET, [_KEY], owner)


def _together(parts: Sequence[Refreshed]) -> Refreshed:
    return Refreshed(
        tuple(pid for part in parts for pid in part.lost), tuple(pid for part in parts for pid in part.unsure)
    )


def _channel(pid: str) -> str:
    """Nothing is published there; it only has a home like any channel."""
    return f"pid:{pid}"
