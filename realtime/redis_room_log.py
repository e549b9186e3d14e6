"""The room log in Redis: one script stores messages and publishes them.

Per channel there are three kinds of key, all in the slot of the channel's name, so that a script may touch them together and
publish there in a cluster too: `meta` (a hash: epoch `e`, offset `o`, and by whom they were counted: history `h`, node `n`), `log`
(a stream whose ids are the offsets), and a small string per idempotency key that holds the position.

The order inside the script is what makes failure safe. Its first write is one that a full server refuses, so that a script is
refused as a whole or runs to its end: no offset is given that has no event, nothing is published that was not stored. An offset
that begins anew (`meta` was lost and the stream was not) deletes the orphan first.

A position in a log that is not there cannot be compared, so asking for the end of a log begins it.

A server that takes over from another, or starts again, may lack the end of a log, and nothing in the log shows that. So an epoch
belongs to one *history*: the replication id of the server that counts, which Redis makes anew whenever a server starts or is
promoted. Whoever appends under another history, gateway or worker, begins another epoch, and no offset is given twice. That is
decided where the offset is given; a node that was told once would not hear of a promotion. It costs Redis 3 µs a step.

In a cluster a slot may move, and its logs with it, whole. Then the epoch stays, but only where that is proven: the log was on
another node before (`n`), which is a master that has not failed and serves other slots, and this one has not taken over from
anybody since it started (it has no second replication id). In a failover a master loses all its slots at one stroke, and gets
them back as somebody's copy or under another history; who still serves some has given this one away. What is not proven begins
another epoch, which at worst is a reset that nobody needed.

The proof says nothing of a master that starts again with less than it had and gives the slot away after that. So in a cluster,
where the end of a log is asked for by a script anyway, that too begins another epoch under another history: within four seconds of
the start, for each room that somebody follows.
"""

import asyncio
from collections.abc import Collection, Sequence
from functools import lru_cache
from typing import Any, Final, cast

from redis.asyncio import Redis

from realtime.position import Position, position_of
from realtime.redis_address import TROUBLE
from realtime.redis_caller import Fixed, Key, Word
from realtime.redis_commands import AT_ONCE, HISTORY, RedisCommands, away
from realtime.room_log import (
    KEEP_EVENTS,
    KEEP_KEY_S,
    KEEP_META_S,
    KEEP_S,
    READ_BYTES,
    READ_EVENTS,
    Appended,
    Back,
    Entry,
    LogAway,
    Since,
    Told,
    new_epoch,
)

NAMES_REMEMBERED: Final = 16_384
_BATCH: Final = 512
"""Logs whose ends are asked for in one pipeline."""


def _ms(seconds: float) -> int:
    return int(seconds * 1000)


_KEEP_META_MS: Final = Fixed(f"{_ms(KEEP_META_S)}")
_KEEP_KEY_MS: Final = Fixed(f"{_ms(KEEP_KEY_S)}")

_HISTORY: Final = (
    HISTORY
    + """
local function node()
    local id = redis.pcall('CLUSTER', 'MYID')
    return type(id) == 'string' and id or ''
end
local function begin(meta, log, epoch)
    redis.call('HSET', meta, 'e', epoch, 'o', 0, 'h', history(), 'n', node())
    redis.call('DEL', log)
end
local function serves(id)
    local all = redis.pcall('CLUSTER', 'NODES')
    if type(all) ~= 'string' then
        return false
    end
    local line = '\\n' .. id .. ' %S+ (%S+) %S+ %S+ %S+ %S+ %S+ %d'
    local flags = string.match('\\n' .. all, line)
    return flags == 'master' or flags == 'master,nofailover'
end
local function moved(meta)
    local here, from = node(), redis.call('HGET', meta, 'n')
    local heir = not string.find(redis.call('INFO', 'replication'), 'master_replid2:0+%s')
    if not from or from == '' or here == '' or here == from or heir or not serves(from) then
        return false
    end
    redis.call('HSET', meta, 'h', history(), 'n', here)
    return true
end
local function stands(meta)
    local now = redis.call('HMGET', meta, 'e', 'h')
    return now[1] and (now[2] == history() or moved(meta)) and now[1]
end
"""
)

_APPEND: Final = (
    _HISTORY
    + """
local meta, log = KEYS[1], KEYS[2]
local name, word, new_epoch = ARGV[1], ARGV[2], ARGV[3]
local keep_events, keep_ms, keep_meta_ms, keep_key_ms = ARGV[4], ARGV[5], ARGV[6], ARGV[7]
local answer, epoch = {}, nil
for i = 1, #KEYS - 2 do
    local once = KEYS[2 + i]
    local position = redis.call('GET', once)
    if position then
        answer[2 * i] = 1
    else
        if not epoch then
            epoch = stands(meta)
            if not epoch then
                epoch = new_epoch
                begin(meta, log, epoch)
            end
        end
        local offset = redis.call('HINCRBY', meta, 'o', 1)
        position = epoch .. '-' .. string.format('%012d', offset)
        local message = ARGV[7 + i] .. position .. '"},"' .. position .. '"]'
        redis.call('XADD', log, 'MAXLEN', '=', keep_events, offset .. '-0', 'm', message)
        redis.call('SET', once, position, 'PX', keep_key_ms)
        redis.call(word, name, message)
        answer[2 * i] = 0
    end
    answer[2 * i - 1] = position
end
if epoch then
    redis.call('PEXPIRE', meta, keep_meta_ms)
    redis.call('PEXPIRE', log, keep_ms)
end
return answer
"""
)

_SINCE: Final = (
    _HISTORY
    + """
local meta, log = KEYS[1], KEYS[2]
local epoch, offset, events, size = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local now = redis.call('HMGET', meta, 'e', 'o')
if not now[1] then
    return {}
end
local top = tonumber(now[2])
local missed = top - offset
if now[1] == epoch and missed < 0 then
    begin(meta, log, ARGV[5])
    return {ARGV[5], '0'}
end
if now[1] ~= epoch or missed < 0 or missed > events then
    return {now[1], now[2]}
end
if missed == 0 then
    return {now[1], now[2], {}}
end
local found = redis.call('XRANGE', log, (offset + 1) .. '-0', top .. '-0')
if #found ~= missed then
    return {now[1], now[2]}
end
local messages = {}
for i, entry in ipairs(found) do
    messages[i] = entry[2][2]
    size = size - #messages[i]
    if size < 0 then
        return {now[1], now[2]}
    end
end
return {now[1], now[2], messages}
"""
)

_BACK: Final = """
local meta, log = KEYS[1], KEYS[2]
local epoch, before, events, size = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local now = redis.call('HMGET', meta, 'e', 'o')
if not now[1] then
    return {}
end
if now[1] ~= epoch or before < 2 then
    return {now[1], now[2], {}}
end
local last = math.min(before - 1, tonumber(now[2]))
local messages = {}
for i, entry in ipairs(redis.call('XREVRANGE', log, last .. '-0', '-', 'COUNT', events)) do
    size = size - #entry[2][2]
    if size < 0 and i > 1 then
        break
    end
    messages[i] = entry[2][2]
end
return {now[1], now[2], messages}
"""

_BEGIN: Final = (
    _HISTORY
    + """
if not stands(KEYS[1]) then
    begin(KEYS[1], KEYS[2], ARGV[1])
end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return redis.call('HMGET', KEYS[1], 'e', 'o')
"""
)


class RedisRoomLog:
    """Room logs on the servers where their channels live."""

    def __init__(self, commands: RedisCommands, *, keep_events: int = KEEP_EVENTS, keep_s: float = KEEP_S) -> None:
        self._redis: Final = commands
        self._names: Final = lru_cache(NAMES_REMEMBERED)(self._names_of)
        self._word: Final = Fixed(commands.servers.publish_word.decode())
        self._keeps: Final = (Fixed(f"{keep_events}"), Fixed(f"{_ms(keep_s)}"), _KEEP_META_MS, _KEEP_KEY_MS)

    def append(self, channel: str, entries: Sequence[Entry], told: Told) -> None:
        name, meta, log, once = self._names(channel)
        keys: list[Key] = [meta, log]
        args: list[Word] = [name, self._word, new_epoch(), *self._keeps]
        for entry in entries:
            keys.append(once + entry.key.encode())
            args.append(entry.head)
        self._redis.servers.begin(channel, _APPEND, keys, args, _Append(told).settle)

    async def since(
        self, channel: str, position: Position, *, events: int = READ_EVENTS, size: int = READ_BYTES
    ) -> Since:
        found = await self._redis.run(
            channel, _SINCE, ("meta", "log"), position.epoch, position.offset, events, size, new_epoch()
        )
        if not found:
            return Since(await self._begin(channel), None)
        top = Position(found[0].decode(), int(found[1]))
        return Since(top, tuple(found[2]) if len(found) == 3 else None)

    async def back(self, channel: str, before: Position, *, events: int = READ_EVENTS, size: int = READ_BYTES) -> Back:
        found = await self._redis.run(channel, _BACK, ("meta", "log"), before.epoch, before.offset, events, size)
        if not found:
            return Back(await self._begin(channel), ())
        return Back(Position(found[0].decode(), int(found[1])), tuple(found[2]))

    async def tops(self, channels: Collection[str]) -> dict[str, Position | LogAway]:
        tops: dict[str, Position | LogAway] = {}
        # Side by side: a server that is away must not hold up the others.
        if self._redis.servers.clustered:
            nodes = self._redis.servers.by_node(channels)
            parts = await asyncio.gather(*map(self._tops_of_node, nodes))
        else:
            homes = self._redis.by_client(tuple(channels))
            parts = await asyncio.gather(*(self._tops_of(client, here) for client, here in homes))
        for part in parts:
            tops.update(part)
        return tops

    async def _tops_of_node(self, channels: list[str]) -> dict[str, Position | LogAway]:
        """On one node of a cluster, one by one: a pipeline there would be torn apart by slots, and fail as a whole when one of them
        moves. Once nothing of a batch is answered it is not asked for the rest."""
        tops: dict[str, Position | LogAway] = {}
        for batch in _batches(channels, AT_ONCE):
            found = await asyncio.gather(*map(self._begun, batch))
            tops.update(zip(batch, found, strict=True))
            if (unknown := _nothing_but_away(found)) is not None:
                return {**dict.fromkeys(channels, unknown), **tops}
        return tops

    async def _tops_of(self, client: Redis, channels: list[str]) -> dict[str, Position | LogAway]:
        """On one server. Once it does not answer it is not asked for the rest."""
        tops: dict[str, Position | LogAway] = {}
        for batch in _batches(channels, _BATCH):
            pipeline = client.pipeline(transaction=False)
            for channel in batch:
                pipeline.hmget(self._redis.servers.key(channel, "meta"), ["e", "o"])
            try:
                found = await self._redis.answered(pipeline.execute)
            except LogAway as unknown:
                return {**dict.fromkeys(channels, unknown), **tops}
            for channel, (epoch, offset) in zip(batch, found, strict=True):
                tops[channel] = await self._begun(channel) if epoch is None else Position(epoch.decode(), int(offset))
        return tops

    def _names_of(self, channel: str) -> tuple[Fixed, Fixed, Fixed, bytes]:
        """What Redis calls the channel, its two keys, and what the keys of its entries begin with. Remembered, as `_names`."""
        servers = self._redis.servers
        meta, log, once = (servers.key(channel, key) for key in ("meta", "log", "once:"))
        return Fixed(servers.name(channel)), Fixed(meta), Fixed(log), once.encode()

    async def _begin(self, channel: str) -> Position:
        epoch, offset = await self._redis.run(channel, _BEGIN, ("meta", "log"), new_epoch(), _KEEP_META_MS)
        return Position(epoch.decode(), int(offset))

    async def _begun(self, channel: str) -> Position | LogAway:
        try:
            return await self._begin(channel)
        except LogAway as unknown:
            return unknown


class _Append:
    """Waits for what came of `_APPEND`."""

    __slots__ = ("_told",)

    def __init__(self, told: Told) -> None:
        self._told: Final = told

    def settle(self, answer: object) -> None:
        """See `Settle`."""
        told: list[Appended] | BaseException
        if isinstance(answer, BaseException):
            told = away(answer) if isinstance(answer, TROUBLE) else answer
        else:
            try:
                told = _appended(cast(list[Any], answer))
            except Exception as fault:  # what answers is not our script
                told = fault
        self._told(told)


def _appended(answer: list[Any]) -> list[Appended]:
    """For each entry its position, and whether it stood there before."""
    return [
        Appended(position_of(answer[at].decode()), repeated=bool(answer[at + 1])) for at in range(0, len(answer), 2)
    ]


def _nothing_but_away(found: Sequence[Position | LogAway]) -> LogAway | None:
    """Why nothing at all was answered; None when something was."""
    away = [each for each in found if isinstance(each, LogAway)]
    return away[0] if len(away) == len(found) else None


def _batches(channels: list[str], most: int) -> list[list[str]]:
    return [channels[start : start + most] for start in range(0, len(channels), most)]
