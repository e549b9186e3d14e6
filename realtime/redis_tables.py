"""The hot tables of challenges in Redis: `HotTable` (services/challenges/tables.py) as two scripts on a sorted set.

A sorted set orders by a double and, where doubles are equal, by the bytes of the member. Left alone, that second rule would rank
equals by whatever their ids happen to be. Here it *is* the rule for ties: the score is the value with its sign turned, so that the
best comes first, and the member is six bytes of tie and four of member number, both big-endian. Their order as bytes is their order
as numbers, so the set has exactly the order of `Line.place`. Nothing is lost on the way: values are whole and below 2^53, where
every whole number is a double, ties below 2^48, numbers below 2^32, and `Line` refuses anything else. Packing value and tie into
one double could not do it: an effort over a year takes 38 bits and an instant of it 35.

What is kept under a challenge's name: `order` (the sorted set), `places` (hash: number, its member in the set), `state` (hash:
the entry of the log up to which both are right, and their size). They expire together when a table has not moved for `KEEP_S`, and
are truth for nobody: gone, they are made again from the database. Where a size is not that of the state, something was evicted, and
there is no copy at all.
"""

import struct
from collections.abc import Iterator, Sequence
from typing import Any, Final

from realtime.redis_caller import Word
from realtime.redis_commands import RedisCommands
from realtime.room_log import LogAway
from services.challenges.ranking import Line, ranks
from services.challenges.tables import Changed, Page, TableAway
from services.kernel.ids import ChallengeId

KEEP_S: Final = 7 * 86_400
"""By feeling: whoever looks at a table that has stood still for a week can wait for the database."""
_KEYS: Final = ("order", "places", "state")
_NUMBER: Final = struct.Struct(">I")

_STANDS: Final = """
local order, places, state = KEYS[1], KEYS[2], KEYS[3]
local seq, size = unpack(redis.call('HMGET', state, 'seq', 'size'))
local stands = tonumber(seq or 0)
if redis.call('ZCARD', order) ~= tonumber(size or 0) or redis.call('HLEN', places) ~= tonumber(size or 0) then stands = 0 end
"""
"""How every script begins: where the copy stands, 0 when it is not whole."""

_TAKE: Final = (
    _STANDS
    + """
if stands == 0 then redis.call('DEL', order, places, state) end
if stands ~= tonumber(ARGV[1]) then return stands end
for at = 4, #ARGV, 3 do
  local n, score, member = ARGV[at], ARGV[at + 1], ARGV[at + 2]
  local was = redis.call('HGET', places, n)
  if was then redis.call('ZREM', order, was) end
  if member == '' then
    redis.call('HDEL', places, n)
  else
    redis.call('ZADD', order, score, member)
    redis.call('HSET', places, n, member)
  end
end
redis.call('HSET', state, 'seq', ARGV[2], 'size', redis.call('ZCARD', order))
for at = 1, 3 do redis.call('PEXPIRE', KEYS[at], ARGV[3]) end
return tonumber(ARGV[2])
"""
)

# The rank of the first line: one more than those of a better value, and within its value the first position with its tie, found
# by halving. Ties are compared for equality only: the order of Lua's strings is that of the server's locale.
_PAGE: Final = (
    _STANDS
    + """
if stands == 0 then return {0} end
local start, limit = tonumber(ARGV[2]), tonumber(ARGV[3])
if ARGV[1] ~= '' then
  local me = redis.call('HGET', places, ARGV[1])
  if not me then return {0} end
  start = math.max(redis.call('ZRANK', order, me) - math.floor((limit - 1) / 2), 0)
end
local rows = redis.call('ZRANGE', order, start, start + limit - 1, 'WITHSCORES')
if #rows == 0 then return {stands, start, 0, rows} end
local tie = string.sub(rows[1], 1, 6)
local low, high = redis.call('ZCOUNT', order, '-inf', '(' .. rows[2]), start
while low < high do
  local middle = math.floor((low + high) / 2)
  if string.sub(redis.call('ZRANGE', order, middle, middle)[1], 1, 6) == tie then high = middle else low = middle + 1 end
end
return {stands, start, low + 1, rows}
"""
)

_SEQ: Final = f"{_STANDS} return stands"

_FORGET: Final = "return redis.call('DEL', KEYS[1], KEYS[2], KEYS[3])"


class RedisTables:
    """Copies of tables on the servers where their challenges live."""

    def __init__(self, commands: RedisCommands) -> None:
        self._redis: Final = commands

    async def seq(self, challenge_id: ChallengeId) -> int:
        return int(await self._run(challenge_id, _SEQ))

    async def take(self, challenge_id: ChallengeId, after: int, to: int, changed: Sequence[Changed]) -> int:
        words = [word for each in changed for word in _words(each)]
        return int(await self._run(challenge_id, _TAKE, after, to, KEEP_S * 1_000, *words))

    async def forget(self, challenge_id: ChallengeId) -> None:
        await self._run(challenge_id, _FORGET)

    async def page(self, challenge_id: ChallengeId, start: int, limit: int) -> Page | None:
        return _page(await self._run(challenge_id, _PAGE, "", start, limit))

    async def around(self, challenge_id: ChallengeId, n: int, limit: int) -> Page | None:
        return _page(await self._run(challenge_id, _PAGE, _NUMBER.pack(n), 0, limit))

    async def _run(self, challenge_id: ChallengeId, script: str, *args: Word) -> Any:
        try:
            return await self._redis.run(f"challenge:{challenge_id}", script, _KEYS, *args)
        except LogAway as away:
            raise TableAway(str(away)) from away


def packed(line: Line) -> tuple[int, bytes]:
    """Score and member of a line in the sorted set. See the module for why nothing is lost."""
    return -line.value, line.tie.to_bytes(6, "big") + _NUMBER.pack(line.n)


def unpacked(score: bytes | float, member: bytes) -> Line:
    """The line again. Its team is not kept here."""
    (n,) = _NUMBER.unpack(member[6:])
    return Line(n=n, value=-int(float(score)), tie=int.from_bytes(member[:6], "big"))


def _words(changed: Changed) -> tuple[Word, Word, Word]:
    score, member = packed(changed.line)
    return _NUMBER.pack(changed.line.n), score, member if changed.here else b""


def _page(said: Any) -> Page | None:
    if not said[0]:
        return None
    seq, start, first_rank, rows = said
    return Page(int(seq), int(start), tuple(ranks(_lines(rows), int(start), int(first_rank))))


def _lines(rows: Sequence[bytes]) -> Iterator[Line]:
    """Lines from members and scores in turn."""
    return (unpacked(score, member) for member, score in zip(rows[::2], rows[1::2], strict=True))
