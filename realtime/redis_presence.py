"""The register of presence in Redis: the step of realtime/register.py as one script per room.

What is stored under a room's name: `nodes` (sorted set: node, end of its lease), `entries` (hash: "account node", held or
leaving), `leaving` (sorted set: entry, end of its grace), `people` (hash: account, number of entries; its length is the number of
people), `news` (hash: account, 1 came or -1 left), `state` (hash of the numbers), `parted` (sorted set: node that was given up or
said goodbye, when). All of it expires together some minutes after the last report, and none of it is truth for anybody but the
register: lost, it is reported again.

The time is that of the Redis server, one clock for all nodes. Tests, which jump, bring their own.

Costs. A report that changes nothing takes Redis about 30 µs (`python -m tests.benchmarks.presence`), once per room, node and two
seconds. Only the death of a node and a whole report walk a room.
"""

import asyncio
import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final
from uuid import UUID

from redis.asyncio import Redis
from redis.exceptions import NoScriptError

from realtime.redis_address import TROUBLE
from realtime.redis_servers import NotWhole, RedisServers
from realtime.register import PARTED_KEPT, Answer, News, RegisterAway, Report, Seen, Terms
from services.kernel.ids import AccountId

_PARTS: Final = ("nodes", "entries", "leaving", "people", "news", "state", "parted")

SCRIPT: Final = """
local nodes, entries, leaving, people, news, state, parted = unpack(KEYS)
local now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end
local node, whole, before, bye, told = ARGV[2], ARGV[3] == '1', ARGV[4] == '1', ARGV[5] == '1', tonumber(ARGV[6])
local lease, grace, news_after, settle, names, kept =
  tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9]), tonumber(ARGV[10]), tonumber(ARGV[11]), tonumber(ARGV[12])
local parted_kept = tonumber(ARGV[13])
local came_to = 16 + tonumber(ARGV[14])
local left_to = came_to + tonumber(ARGV[15])

local function note(account, what, opposite)
  if redis.call('HGET', news, account) == opposite then
    redis.call('HDEL', news, account)
  else
    redis.call('HSET', news, account, what)
  end
end

local function come(account, quiet)
  local entry = account .. ' ' .. node
  local was = redis.call('HGET', entries, entry)
  if was == 'held' then return end
  redis.call('HSET', entries, entry, 'held')
  if was then
    redis.call('ZREM', leaving, entry)
  elseif redis.call('HINCRBY', people, account, 1) == 1 and not quiet then
    note(account, '1', '-1')
  end
end

local function leave(entry)
  if redis.call('HGET', entries, entry) == 'held' then
    redis.call('HSET', entries, entry, 'leaving')
    redis.call('ZADD', leaving, now + grace, entry)
  end
end

local function parts(entry)
  local space = string.find(entry, ' ', 1, true)
  return string.sub(entry, 1, space - 1), string.sub(entry, space + 1)
end

local function leave_unless(here)
  local fields = redis.call('HKEYS', entries)
  for _, entry in ipairs(fields) do
    local account, through = parts(entry)
    if through == node and not here[account] then leave(entry) end
  end
end

local function gone(entry)
  local account = parts(entry)
  redis.call('HDEL', entries, entry)
  redis.call('ZREM', leaving, entry)
  if redis.call('HINCRBY', people, account, -1) <= 0 then
    redis.call('HDEL', people, account)
    note(account, '-1', '1')
  end
end

local function part(one)
  redis.call('ZREM', nodes, one)
  redis.call('ZADD', parted, now, one)
  redis.call('ZREMRANGEBYRANK', parted, 0, -1 - parted_kept)
end

-- Evicted in part: what is left would never add up again.
if (redis.call('HLEN', people) == 0) ~= (redis.call('HLEN', entries) == 0) then
  redis.call('DEL', nodes, entries, leaving, people, news)
end
local known = redis.call('ZSCORE', nodes, node)
if not known and not whole then return {1, 0, -1, 0, {}, {}} end
local settles_at, announced, put_right, news_at =
  unpack(redis.call('HMGET', state, 'settles_at', 'announced', 'put_right', 'news_at'))
settles_at, announced, news_at = tonumber(settles_at or 0), tonumber(announced or 0), tonumber(news_at or nil)
local forgotten = before and not known and not redis.call('ZSCORE', parted, node)
if forgotten and now >= settles_at then
  settles_at = now + settle
  redis.call('HSET', state, 'settles_at', settles_at)
end
local newest = tonumber(redis.call('ZRANGE', nodes, -1, -1, 'WITHSCORES')[2] or nil)
if newest and now - (newest - lease) > settle then
  -- The register was away, not they: nothing ends before everybody has had the time to report.
  for _, times in ipairs({nodes, leaving}) do
    for _, one in ipairs(redis.call('ZRANGEBYSCORE', times, '-inf', '(' .. now + settle)) do
      redis.call('ZADD', times, now + settle, one)
    end
  end
end
redis.call('ZADD', nodes, now + lease, node)
if not known then redis.call('ZREM', parted, node) end
if whole then
  local here = {}
  for at = 16, came_to - 1 do here[ARGV[at]] = true end
  for at = left_to, #ARGV do here[ARGV[at]] = true end
  leave_unless(here)
end
for at = 16, came_to - 1 do come(ARGV[at], false) end
for at = left_to, #ARGV do come(ARGV[at], forgotten) end
for at = came_to, left_to - 1 do leave(ARGV[at] .. ' ' .. node) end
if bye then
  leave_unless({})
  part(node)
end

local dead, any = {}, false
for _, one in ipairs(redis.call('ZRANGEBYSCORE', nodes, '-inf', now)) do
  part(one)
  dead[one], any = true, true
end
if any then
  local all = redis.call('HGETALL', entries)
  for at = 1, #all, 2 do
    local _, through = parts(all[at])
    if dead[through] and all[at + 1] == 'held' then gone(all[at]) end
  end
end
for _, entry in ipairs(redis.call('ZRANGEBYSCORE', leaving, '-inf', now)) do gone(entry) end

local count = redis.call('HLEN', people)
if told and told ~= count then
  put_right = '1'
  redis.call('HSET', state, 'put_right', '1')
end
local joined, left, announce = {}, {}, 0
local noted = redis.call('HLEN', news)
if noted == 0 and not put_right and count == announced then
  if news_at then redis.call('HDEL', state, 'news_at') end
  news_at = nil
else
  local at_first = news_at
  news_at = math.max(news_at or now + news_after, settles_at)
  if news_at ~= at_first then redis.call('HSET', state, 'news_at', news_at) end
  if now >= news_at and not bye then
    announce = 1
    if noted <= names then
      local all = redis.call('HGETALL', news)
      for at = 1, #all, 2 do
        table.insert(all[at + 1] == '1' and joined or left, all[at])
      end
    end
    redis.call('DEL', news)
    redis.call('HDEL', state, 'news_at', 'put_right')
    redis.call('HSET', state, 'announced', count)
    news_at = nil
  end
end
for at = 1, #KEYS do redis.call('PEXPIRE', KEYS[at], kept) end
local due = news_at
for _, times in ipairs({nodes, leaving}) do
  local first = tonumber(redis.call('ZRANGE', times, 0, 0, 'WITHSCORES')[2] or nil)
  if first and (not due or first < due) then due = first end
end
return {0, count, due and math.max(due - now, 0) or -1, announce, joined, left}
"""
LOOK_SCRIPT: Final = """
local nodes, entries, people = KEYS[1], KEYS[2], KEYS[3]
local now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end
local alive = redis.call('ZRANGEBYSCORE', nodes, '(' .. now, '+inf')
if #alive == 0 then return {0, {}, {}, {}} end
local count = redis.call('HLEN', people)
if ARGV[2] ~= '1' then return {count, {}, {}, {}} end
return {count, alive, redis.call('HKEYS', people), redis.call('HGETALL', entries)}
"""
"""Who is in a room: `Seen`, and nothing is swept away."""
_SHA: Final = hashlib.sha1(SCRIPT.encode(), usedforsecurity=False).hexdigest()


class RedisRegister:
    """A register in the Redis servers of an installation. `now_ms`: a clock instead of the server's own."""

    def __init__(
        self, servers: RedisServers, terms: Terms | None = None, *, now_ms: Callable[[], int] | None = None
    ) -> None:
        self._servers: Final = servers
        self._terms: Final = terms or Terms()
        self._now_ms: Final = now_ms

    async def exchange(self, reports: Sequence[Report]) -> list[Answer | RegisterAway]:
        """See `Register.exchange`: one pipeline for each server that is home to some of the rooms."""
        homes: dict[Redis, list[int]] = defaultdict(list)
        for index, report in enumerate(reports):
            homes[self._servers.client(report.room)].append(index)
        # Side by side: a server that is away must not hold up the others.
        given = await asyncio.gather(
            *(
                self._ask(client, [self._words(reports[index]) for index in indices])
                for client, indices in homes.items()
            )
        )
        answers = {
            index: said
            for indices, of_home in zip(homes.values(), given, strict=True)
            for index, said in zip(indices, of_home, strict=True)
        }
        return [answers[index] for index in range(len(reports))]

    async def _ask(self, client: Redis, calls: list[list[Any]]) -> list[Answer | RegisterAway]:
        try:
            said = await _run(client, calls)
            if any(isinstance(one, NoScriptError) for one in said):
                # A server that was started anew: all calls of the pipeline met the same, and none was taken.
                await client.script_load(SCRIPT)
                missing = [index for index, one in enumerate(said) if isinstance(one, NoScriptError)]
                for index, one in zip(missing, await _run(client, [calls[index] for index in missing]), strict=True):
                    said[index] = one
        except NotWhole as trouble:
            if len(calls) == 1:
                return [RegisterAway(repr(trouble))]
            # The trouble of some of these rooms, and of no others.
            return [
                one for alone in await asyncio.gather(*(self._ask(client, [call]) for call in calls)) for one in alone
            ]
        except TROUBLE as trouble:
            return [RegisterAway(repr(trouble))] * len(calls)
        return [RegisterAway(repr(one)) if isinstance(one, Exception) else _answer(one) for one in said]

    async def look(self, rooms: Sequence[str], *, names: bool = False) -> list[Seen | RegisterAway]:
        """See `Onlooker.look`: one pipeline for each server that is home to some of the rooms."""
        homes: dict[Redis, list[str]] = defaultdict(list)
        for room in dict.fromkeys(rooms):
            homes[self._servers.client(room)].append(room)
        given = await asyncio.gather(*(self._look(client, of_home, names) for client, of_home in homes.items()))
        found = {
            room: seen
            for of_home, said in zip(homes.values(), given, strict=True)
            for room, seen in zip(of_home, said, strict=True)
        }
        return [found[room] for room in rooms]

    async def _look(self, client: Redis, rooms: list[str], names: bool) -> list[Seen | RegisterAway]:
        now = "" if self._now_ms is None else self._now_ms()
        calls: list[list[Any]] = []
        for room in rooms:
            keys = [self._servers.key(room, f"presence:{part}") for part in ("nodes", "entries", "people")]
            calls.append(["EVAL", LOOK_SCRIPT, len(keys), *keys, now, int(names)])
        try:
            said = await _run(client, calls)
        except NotWhole as trouble:
            if len(rooms) == 1:
                return [RegisterAway(repr(trouble))]
            return [
                one
                for alone in await asyncio.gather(*(self._look(client, [room], names) for room in rooms))
                for one in alone
            ]
        except TROUBLE as trouble:
            return [RegisterAway(repr(trouble))] * len(rooms)
        return [RegisterAway(repr(one)) if isinstance(one, Exception) else _seen(one) for one in said]

    def _words(self, report: Report) -> list[Any]:
        terms = self._terms
        keys = [self._servers.key(report.room, f"presence:{part}") for part in _PARTS]
        now = "" if self._now_ms is None else self._now_ms()
        told = "" if report.told is None else report.told
        return [
            *("EVALSHA", _SHA, len(keys), *keys, now, report.node),
            *(int(report.whole), int(report.before), int(report.bye), told),
            *(terms.lease_ms, terms.grace_ms, terms.news_ms, terms.settle_ms, terms.names),
            *(terms.kept_ms, PARTED_KEPT),
            *(len(report.came), len(report.left)),
            *(str(account) for account in (*report.came, *report.left, *report.here)),
        ]


async def _run(client: Redis, calls: list[list[Any]]) -> list[Any]:
    pipeline = client.pipeline(transaction=False)
    for words in calls:
        pipeline.execute_command(*words)
    return await pipeline.execute(raise_on_error=False)


def _answer(said: list[Any]) -> Answer:
    again, count, due_ms, announce, joined, left = said
    if again:
        return Answer(again=True)
    news = News(count, tuple(_accounts(joined)), tuple(_accounts(left))) if announce else None
    return Answer(False, count, None if due_ms < 0 else due_ms, news)


def _seen(said: list[Any]) -> Seen:
    count, alive, people, entries = said
    through: dict[AccountId, tuple[str, ...]] = dict.fromkeys(_accounts(people), ())
    living = {node.decode() for node in alive}
    for entry, state in sorted(zip(entries[::2], entries[1::2], strict=True)):
        account, _, node = entry.decode().partition(" ")
        if state == b"held" and node in living:
            through[AccountId(UUID(account))] += (node,)
    return Seen(count, through)


def _accounts(names: list[bytes]) -> Iterator[AccountId]:
    return (AccountId(UUID(name.decode())) for name in names)
