"""What Redis has of somebody, and when it is gone: whatever leads to them runs out by itself before their account is emptied."""

import uuid
from typing import Any, Final

from redis.asyncio import Redis

from realtime.redis_commands import RedisCommands
from realtime.redis_limits import RedisBuckets
from realtime.redis_presence import RedisRegister
from realtime.redis_room_log import RedisRoomLog
from realtime.redis_servers import RedisServers
from realtime.redis_tables import RedisTables
from realtime.register import Report
from realtime.room_log import Entry
from services.accounts.attempts import KNOWN_FOR_MS
from services.challenges.ranking import Line
from services.challenges.tables import Changed
from services.kernel.clock import ManualClock
from services.kernel.ids import AccountId, ChallengeId
from services.limits.limits import Limits
from services.limits.table import LIMITS
from services.privacy.erasure import REST_MS
from tests.realtime import build
from tests.support.redis_server import open_redis

ADA: Final = AccountId(uuid.UUID(int=2**100 + 7))
NAME, SAID, EMAIL = "mark-name", "mark-said", "mark@example.org"
ROOM: Final = "room:hills"
CHALLENGE: Final = ChallengeId(uuid.UUID(int=3))
LINE: Final = Line(n=4_242, value=31_337, tie=1)


async def test_what_leads_to_somebody_is_gone_after_the_rest_and_what_stays_are_numbers() -> None:
    """ASVS 14.2.7: an erasure closes the account, rests for an hour and then empties it; until then Redis has forgotten."""
    async with open_redis() as server:
        servers = RedisServers(server.url)
        await fill(servers)
        found = await everything(Redis(unix_socket_path=str(server.socket)))
        await servers.close()
    marked = {key for key, (_, content) in found.items() if marks_in(key + content)}
    for part in ("log", "presence"):
        assert any(part in key for key in marked), f"this looks for what was never there: {part}"
    for key, (left_ms, _) in found.items():
        assert left_ms > 0, f"{key} never runs out"
        assert key not in marked or left_ms <= REST_MS, f"{key} says who it is when everything else is gone"
    kept = {key.rpartition(":")[2] for key, (left_ms, _) in found.items() if left_ms > REST_MS}
    assert kept == {"meta", "order", "places", "state", "mark"}, (
        "say in docs/systems/privacy.md why it stays, and how long"
    )


async def fill(servers: RedisServers) -> None:
    """A chat line, somebody in a room, a place in a table, limits that were counted, and where they log in from."""
    commands = RedisCommands(servers)
    line = f'42["chat.said",{{"name":"{NAME}","account_id":"{ADA}","text":"{SAID}","position":"'
    await build.appended(RedisRoomLog(commands), ROOM, [Entry(line.encode(), "key-1")])
    for whole in (False, True):
        await RedisRegister(servers).exchange(
            [Report(ROOM, "node", came=() if whole else (ADA,), here=(ADA,), whole=whole)]
        )
    tables = RedisTables(commands)
    assert await tables.take(CHALLENGE, 0, 1, [Changed(LINE, True, 1)]) == 1
    limits = Limits(ManualClock(), RedisBuckets(commands))
    for limit in LIMITS.values():
        for who in (str(ADA), EMAIL):
            await limits.take(limit, who, cost=limit.burst)
    await limits.mark("known", EMAIL, "192.0.2.7", keep_ms=KNOWN_FOR_MS)


def marks_in(text: str) -> bool:
    return any(mark in text for mark in (str(ADA), NAME, SAID, EMAIL))


async def everything(redis: "Redis") -> dict[str, tuple[int, str]]:
    """Every key with how long it stays, in ms (-1 for ever), and what is in it."""
    found: dict[str, tuple[int, str]] = {}
    async with redis:
        async for key in redis.scan_iter():
            found[key.decode("latin-1")] = (await redis.pttl(key), repr(await _content(redis, key)))
    return found


async def _content(redis: "Redis", key: bytes) -> Any:
    match await redis.type(key):
        case b"string":
            return await redis.get(key)
        case b"hash":
            return await redis.hgetall(key)
        case b"zset":
            return await redis.zrange(key, 0, -1, withscores=True)
        case b"set":
            return await redis.smembers(key)
        case b"stream":
            return await redis.xrange(key)
        case kind:
            raise ValueError(f"say how a {kind!r} is read")
