"""Records of connections in Redis: a hash per pid, with its owner `o`, the record `r`, its number `n`, and the history `h`.

That is the replication id of the server that took the record, which Redis makes anew whenever a server starts or is promoted (see
realtime/redis_room_log.py). A record of another history may be an old one and is treated as none. So is, in a cluster, one that
moved with its slot: that is rare, and it is written anew like any that is lost. To refresh a record costs Redis 7 µs.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Final, cast

import msgspec
from redis.asyncio import Redis

from realtime.records import KEEP_S, Claim, Record, Refreshed, Written
from realtime.redis_commands import HISTORY, RedisCommands
from realtime.room_log import LogAway

_KEY: Final = "connection"
_BATCH: Final = 512
_SCRIPTS: Final = 64
"""Scripts that a cluster is asked for at once. By feeling: a few for each connection to it."""
_KEEP_MS: Final = int(KEEP_S * 1000)

_HISTORY: Final = (
    HISTORY
    + """
local here, now = history(), redis.call('HMGET', KEYS[1], 'o', 'n', 'h')
local owner, number = now[1], tonumber(now[2] or 0)
if now[3] ~= here then
    owner = nil
end
"""
)
"""What every script begins with: who the owner is, if there is a record of this history, and which number it has."""

_WRITE: Final = (
    _HISTORY
    + """
if not owner and ARGV[5] == 'there' then
    return 'missing'
end
if owner and owner ~= ARGV[1] then
    return 'taken'
end
if owner and number > tonumber(ARGV[2]) then
    return 'older'
end
redis.call('HSET', KEYS[1], 'o', ARGV[1], 'n', ARGV[2], 'r', ARGV[3], 'h', here)
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return 'kept'
"""
)

_TAKE: Final = (
    _HISTORY
    + """
if not owner then
    return 0
end
redis.call('HSET', KEYS[1], 'o', ARGV[1], 'n', 0)
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1
"""
)

_REFRESH: Final = (
    _HISTORY
    + """
if owner ~= ARGV[1] or number < tonumber(ARGV[2]) then
    return 0
end
return redis.call('PEXPIRE', KEYS[1], ARGV[3])
"""
)

_FORGET: Final = """
if redis.call('HGET', KEYS[1], 'o') == ARGV[1] then
    redis.call('DEL', KEYS[1])
end
return 1
"""

_ANEW: Final = "anew"
_THERE: Final = "there"

_REFRESH_DIGEST: Final = hashlib.sha1(_REFRESH.encode(), usedforsecurity=False).hexdigest()

_Ask = Callable[[Sequence[Claim]], Awaitable[Sequence[int | None]]]
"""Refreshes the records that are claimed: 1 for each that is there, 0 for one that is not, None where nobody knows."""

_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(Record).decode


class RedisRecords:
    """Records on the servers where their pids live."""

    def __init__(self, commands: RedisCommands) -> None:
        self._redis: Final = commands

    async def write(self, claim: Claim, record: Record) -> Written:
        return await self._write(claim, record, _ANEW)

    async def rewrite(self, claim: Claim, record: Record) -> Written:
        return await self._write(claim, record, _THERE)

    async def _write(self, claim: Claim, record: Record, where: str) -> Written:
        pid, owner, number = claim
        words = (owner, number, _encode(record), _KEEP_MS, where)
        answer: bytes = await self._redis.run(_channel(pid), _WRITE, [_KEY], *words)
        return Written(answer.decode())

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

    async def refresh(self, claims: tuple[Claim, ...]) -> Refreshed:
        if self._redis.servers.clustered:
            return _together([await self._refresh(claims, _SCRIPTS, self._by_scripts)])
        by_channel = {_channel(claim.pid): claim for claim in claims}
        async with asyncio.TaskGroup() as group:  # one server that is away must not hold up the others
            parts = [
                group.create_task(
                    self._refresh([by_channel[each] for each in channels], _BATCH, partial(self._by_pipeline, client)),
                    name="records.refresh",
                )
                for client, channels in self._redis.by_client(list(by_channel))
            ]
        return _together([part.result() for part in parts])

    async def _refresh(self, claims: Sequence[Claim], at_once: int, ask: _Ask) -> Refreshed:
        """Refresh the records of one server, or of a cluster, until nothing of a batch is answered: then the rest is not asked."""
        lost: list[str] = []
        unsure: list[str] = []
        for start in range(0, len(claims), at_once):
            batch = claims[start : start + at_once]
            answers = await ask(batch)
            lost += [claim.pid for claim, kept in zip(batch, answers, strict=True) if kept == 0]
            unsure += [claim.pid for claim, kept in zip(batch, answers, strict=True) if kept is None]
            if all(kept is None for kept in answers):
                unsure += [claim.pid for claim in claims[start + at_once :]]
                break
        return Refreshed(tuple(lost), tuple(unsure))

    async def _by_pipeline(self, client: Redis, claims: Sequence[Claim]) -> Sequence[int | None]:
        pipeline = client.pipeline(transaction=False)
        pipeline.script_load(_REFRESH)  # so that none of them is refused for a server that does not know it
        for pid, owner, number in claims:
            key = self._redis.servers.key(_channel(pid), _KEY)
            pipeline.evalsha(_REFRESH_DIGEST, 1, key, owner, str(number), str(_KEEP_MS))
        try:
            _, *kept = cast(Sequence[int], await self._redis.answered(pipeline.execute))
        except LogAway:
            return [None] * len(claims)
        return kept

    async def _by_scripts(self, claims: Sequence[Claim]) -> Sequence[int | None]:
        return await asyncio.gather(*map(self._by_script, claims))

    async def _by_script(self, claim: Claim) -> int | None:
        pid, owner, number = claim
        try:
            return int(await self._redis.run(_channel(pid), _REFRESH, [_KEY], owner, number, _KEEP_MS))
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
