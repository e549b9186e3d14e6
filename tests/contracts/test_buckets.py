"""One suite for the buckets of limits, in memory and on a Redis."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from realtime.redis_commands import RedisCommands
from realtime.redis_limits import _KEY, _TAKE, RedisBuckets
from realtime.redis_servers import RedisServers
from services.kernel.clock import SystemClock
from services.limits.buckets import Buckets, BucketsAwayError, MemoryBuckets
from services.limits.limit import Limit, Standing, tried
from tests.support.redis_server import open_redis

HOUR_MS = 3_600_000
SLOW = Limit("slow", 5, HOUR_MS, "anybody")
"""So slow that nothing flows in while a test runs, however long it takes."""


@pytest.fixture(params=["memory", "redis"])
async def buckets(request: pytest.FixtureRequest) -> AsyncIterator[Buckets]:
    if request.param == "memory":
        yield MemoryBuckets(SystemClock())
        return
    async with open_redis() as server:
        servers = RedisServers(server.url)
        try:
            yield RedisBuckets(RedisCommands(servers))
        finally:
            await servers.close()


async def test_a_bucket_is_emptied_and_then_says_how_long_to_wait(buckets: Buckets) -> None:
    assert [(await buckets.take(SLOW, "anna")).left for _ in range(5)] == [4, 3, 2, 1, 0]
    refused = await buckets.take(SLOW, "anna")
    assert not refused.passed
    assert refused.left == 0
    assert HOUR_MS - 120_000 < refused.wait_ms <= HOUR_MS
    assert (await buckets.take(SLOW, "ben")).left == 4
    assert (await buckets.take(Limit("other", 5, HOUR_MS, "anybody"), "anna")).left == 4


async def test_a_refusal_takes_nothing_and_what_is_given_back_may_be_taken_again(buckets: Buckets) -> None:
    await buckets.take(SLOW, "anna", 4)
    assert not (await buckets.take(SLOW, "anna", 2)).passed
    assert (await buckets.take(SLOW, "anna", 0)).passed
    assert (await buckets.take(SLOW, "anna")).left == 0
    assert not (await buckets.take(SLOW, "anna", 0)).passed
    assert (await buckets.take(SLOW, "anna", -1)).left == 1
    assert (await buckets.take(SLOW, "anna", -9)).left == 5


async def test_many_at_once_get_no_more_than_there_is(buckets: Buckets) -> None:
    found = await asyncio.gather(*(buckets.take(SLOW, "anna") for _ in range(50)))
    assert sum(standing.passed for standing in found) == 5


async def test_what_flows_in_may_be_taken(buckets: Buckets) -> None:
    quick = Limit("quick", 1, 20, "anybody")
    assert (await buckets.take(quick, "anna")).passed
    async with asyncio.timeout(30):
        while not (await buckets.take(quick, "anna")).passed:
            await asyncio.sleep(0)


async def test_a_mark_is_there_until_it_ends(buckets: Buckets) -> None:
    assert not await buckets.marked("anna")
    await buckets.mark("anna", HOUR_MS)
    await buckets.mark("ben", 1)
    assert await buckets.marked("anna")
    async with asyncio.timeout(30):
        while await buckets.marked("ben"):
            await asyncio.sleep(0)


async def test_redis_counts_as_the_law_says() -> None:
    """Step for step: what the script answers is what `tried` says of the same instant."""
    limit = Limit("law", 4, 3, "anybody")
    async with open_redis() as server:
        servers = RedisServers(server.url)
        commands = RedisCommands(servers)
        seen: list[Standing] = []
        full_at = 0
        try:
            for cost in [1, 1, 2, 1, 0, 3, -1, 1, 1, 1, 0, -2, 4, 1, 5, 1] * 20:
                now, found, lacking = await _raw(commands, limit, cost)
                expected_full_at, expected = tried(limit, full_at, now, cost)
                assert (found, max(lacking, 0)) == (expected_full_at, expected.wait_ms)
                full_at = found
                seen.append(expected)
        finally:
            await servers.close()
    assert {standing.passed for standing in seen} == {True, False}, "the steps show both"


async def _raw(commands: RedisCommands, limit: Limit, cost: int) -> tuple[int, int, int]:
    now, full_at, lacking = await commands.run("limit:law:anna", _TAKE, [_KEY], limit.every_ms, limit.full_ms, cost)
    return now, full_at, lacking


async def test_a_bucket_that_has_filled_up_leaves_nothing_behind() -> None:
    async with open_redis() as server:
        servers = RedisServers(server.url)
        commands = RedisCommands(servers)
        try:
            buckets = RedisBuckets(commands)
            await buckets.take(Limit("brief", 1, 1, "anybody"), "anna")
            await buckets.take(SLOW, "anna")
            await buckets.take(SLOW, "anna", -1)
            client = servers.client("limit:brief:anna")
            async with asyncio.timeout(30):
                while await client.dbsize():
                    await asyncio.sleep(0)
        finally:
            await servers.close()


async def test_a_redis_that_is_gone_is_told_as_away() -> None:
    async with open_redis() as server:
        servers = RedisServers(server.url)
    buckets = RedisBuckets(RedisCommands(servers))
    try:
        for ask in (buckets.take(SLOW, "anna"), buckets.mark("anna", 1), buckets.marked("anna")):
            with pytest.raises(BucketsAwayError):
                await ask
    finally:
        await servers.close()
