"""Buckets in Redis: one number each, by Redis' own clock, so that no node's clock counts for another.

The script is `services.limits.limit.tried` in Redis' words; tests/contracts/test_buckets.py holds one against the other. A key ends
when its bucket is full, so nothing has to be swept.
"""

from typing import Final

from realtime.redis_commands import RedisCommands
from realtime.room_log import LogAway
from services.limits.buckets import BucketsAwayError
from services.limits.limit import Limit, Standing, standing

_KEY: Final = "full"
_MARK: Final = "mark"

_TAKE: Final = """
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local every, whole, cost = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local before = math.max(math.min(tonumber(redis.call('GET', KEYS[1]) or '0'), now + whole), now)
local lacking = before + math.max(cost, 1) * every - now - whole
if cost >= 0 and lacking > 0 then
    return {now, before, lacking}
end
local after = math.max(before + cost * every, now)
if after == before then
    return {now, after, 0}
end
if after > now then
    redis.call('SET', KEYS[1], string.format('%.0f', after), 'PX', after - now)
else
    redis.call('DEL', KEYS[1])
end
return {now, after, 0}
"""

_SET_MARK: Final = "redis.call('SET', KEYS[1], '1', 'PX', ARGV[1]) return 1"
_HAS_MARK: Final = "return redis.call('EXISTS', KEYS[1])"


class RedisBuckets:
    """The buckets, each on the server where its name lives."""

    def __init__(self, commands: RedisCommands) -> None:
        self._redis: Final = commands

    async def take(self, limit: Limit, who: str, cost: int = 1) -> Standing:
        channel = f"limit:{limit.name}:{who}"
        try:
            now, full_at, lacking = await self._redis.run(channel, _TAKE, [_KEY], limit.every_ms, limit.full_ms, cost)
        except LogAway as away:
            raise BucketsAwayError(str(away)) from away
        return standing(limit, full_at, now, lacking_ms=lacking)

    async def mark(self, what: str, keep_ms: int) -> None:
        try:
            await self._redis.run(f"mark:{what}", _SET_MARK, [_MARK], keep_ms)
        except LogAway as away:
            raise BucketsAwayError(str(away)) from away

    async def marked(self, what: str) -> bool:
        try:
            return bool(await self._redis.run(f"mark:{what}", _HAS_MARK, [_MARK]))
        except LogAway as away:
            raise BucketsAwayError(str(away)) from away
