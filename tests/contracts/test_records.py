"""One suite for the records of connections, in memory, on a Redis and on a cluster."""

import uuid
from collections.abc import AsyncIterator

import pytest

from realtime.records import HeldRoom, MemoryRecords, Record, Records, Refreshed, new_pid
from realtime.redis_commands import RedisCommands
from realtime.redis_records import RedisRecords
from realtime.redis_servers import RedisServers
from realtime.room_log import LogAway
from services.kernel.clock import ManualClock
from services.kernel.ids import AccountId, ClassId
from tests.support.redis_cluster import open_cluster
from tests.support.redis_server import open_redis

ACCOUNT = AccountId(uuid.UUID(int=1))
ROOM = HeldRoom(ClassId(uuid.UUID(int=7)), "athlete", "0f3a9c41", 12)


@pytest.fixture(params=["memory", "redis", "cluster"])
async def records(request: pytest.FixtureRequest) -> AsyncIterator[Records]:
    if request.param == "memory":
        yield MemoryRecords(ManualClock())
        return
    async with open_redis() if request.param == "redis" else open_cluster() as server:
        servers = RedisServers(server.url)
        try:
            yield RedisRecords(RedisCommands(servers))
        finally:
            await servers.close()


async def test_a_record_is_read_as_it_was_written(records: Records) -> None:
    pid, record = new_pid(), Record(ACCOUNT, (ROOM,))
    assert await records.read(pid) is None
    assert await records.write(pid, "one", record)
    assert await records.read(pid) == record
    assert await records.write(pid, "one", Record(ACCOUNT))
    other = new_pid()
    assert await records.refresh((pid, other)) == Refreshed(lost=(other,))
    assert await records.read(pid) == Record(ACCOUNT)


async def test_over_a_record_another_is_written_and_in_place_of_none_nothing(records: Records) -> None:
    pid, record = new_pid(), Record(ACCOUNT, (ROOM,))
    assert await records.rewrite(pid, "one", record) is None
    assert await records.read(pid) is None
    await records.write(pid, "one", Record(ACCOUNT))
    assert await records.rewrite(pid, "one", record) is True
    assert await records.rewrite(pid, "two", Record(ACCOUNT)) is False
    assert await records.read(pid) == record


async def test_only_the_newest_owner_writes_or_forgets(records: Records) -> None:
    pid, record = new_pid(), Record(ACCOUNT, (ROOM,))
    assert not await records.take(pid, "two"), "there is nothing to take"
    await records.write(pid, "one", record)
    assert await records.take(pid, "two")
    assert not await records.write(pid, "one", Record(ACCOUNT))
    await records.forget(pid, "one")
    assert await records.read(pid) == record
    assert await records.take(pid, "two")
    await records.forget(pid, "two")
    assert await records.read(pid) is None


async def test_a_record_ends_two_minutes_after_the_last_word() -> None:
    clock, pid = ManualClock(), new_pid()
    records = MemoryRecords(clock)
    await records.write(pid, "one", Record(ACCOUNT))
    await clock.advance(119)
    await records.refresh((pid,))
    await clock.advance(119)
    assert await records.read(pid) is not None
    await clock.advance(2)
    assert await records.read(pid) is None


async def test_a_server_that_is_away_keeps_the_records_of_another_from_nothing() -> None:
    async with open_redis() as one, open_redis() as other:
        servers = RedisServers(f"{one.url},{other.url}")
        records = RedisRecords(RedisCommands(servers))
        try:
            pids = tuple(new_pid() for _ in range(1_200))
            for pid in pids[:40]:
                await records.write(pid, "one", Record(ACCOUNT))
            home = {pid: servers.home(f"pid:{pid}") for pid in pids}
            lost = set(pids[40:])
            assert set((await records.refresh(pids)).lost) == lost
            await other.kill()
            refreshed = await records.refresh(pids)
            there = servers.addresses[0]
            assert set(refreshed.lost) == {pid for pid in lost if home[pid] == there}
            assert set(refreshed.unsure) == {pid for pid in pids if home[pid] != there}
        finally:
            await servers.close()


async def test_in_redis_it_ends_by_itself_and_a_full_redis_is_told() -> None:
    async with open_redis() as server:
        servers = RedisServers(server.url)
        records, pid = RedisRecords(RedisCommands(servers)), new_pid()
        try:
            await records.write(pid, "one", Record(ACCOUNT))
            left = await server.command("PTTL", servers.key(f"pid:{pid}", "connection"))
            assert 110_000 < int(left.removeprefix(":")) <= 120_000
            await server.command("CONFIG", "SET", "maxmemory", "1")
            with pytest.raises(LogAway):
                await records.write(new_pid(), "one", Record(ACCOUNT))
        finally:
            await servers.close()
