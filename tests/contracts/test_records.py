"""One suite for the records of connections, in memory, on a Redis and on a cluster."""

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import pytest

from realtime.records import Claim, HeldRoom, MemoryRecords, Record, Records, Refreshed, Written, new_pid
from realtime.redis_commands import RedisCommands
from realtime.redis_records import RedisRecords
from realtime.redis_servers import RedisServers
from realtime.room_log import LogAway
from services.kernel.clock import ManualClock
from services.kernel.ids import AccountId, ClassId
from tests.support.redis_cluster import open_cluster
from tests.support.redis_server import ANSWER_S, open_redis
from tests.support.server import free_port
from tests.support.system_parts import require

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
    assert await records.write(Claim(pid, "one", 1), record) is Written.KEPT
    assert await records.read(pid) == record
    assert await records.write(Claim(pid, "one", 2), Record(ACCOUNT)) is Written.KEPT
    other = new_pid()
    assert await records.refresh((Claim(pid, "one", 2), Claim(other, "one", 1))) == Refreshed(lost=(other,))
    assert await records.read(pid) == Record(ACCOUNT)


async def test_over_a_record_another_is_written_and_in_place_of_none_nothing(records: Records) -> None:
    pid, record = new_pid(), Record(ACCOUNT, (ROOM,))
    assert await records.rewrite(Claim(pid, "one", 1), record) is Written.MISSING
    assert await records.read(pid) is None
    await records.write(Claim(pid, "one", 2), Record(ACCOUNT))
    assert await records.rewrite(Claim(pid, "one", 3), record) is Written.KEPT
    assert await records.rewrite(Claim(pid, "two", 4), Record(ACCOUNT)) is Written.TAKEN
    assert await records.read(pid) == record


async def test_only_the_newest_owner_writes_or_forgets(records: Records) -> None:
    pid, record = new_pid(), Record(ACCOUNT, (ROOM,))
    assert not await records.take(pid, "two"), "there is nothing to take"
    await records.write(Claim(pid, "one", 1), record)
    assert await records.take(pid, "two")
    assert await records.write(Claim(pid, "one", 2), Record(ACCOUNT)) is Written.TAKEN
    await records.forget(pid, "one")
    assert await records.read(pid) == record
    assert await records.take(pid, "two")
    await records.forget(pid, "two")
    assert await records.read(pid) is None


async def test_an_older_record_that_arrives_late_is_not_written_over_a_newer(records: Records) -> None:
    pid, newer = new_pid(), Record(ACCOUNT, (ROOM,))
    await records.write(Claim(pid, "one", 10), newer)
    for late in (records.rewrite, records.write):
        assert await late(Claim(pid, "one", 9), Record(ACCOUNT)) is Written.OLDER
    assert await records.write(Claim(pid, "one", 10), newer) is Written.KEPT, "the same, tried again"
    assert await records.read(pid) == newer


async def test_whoever_takes_a_record_counts_for_itself(records: Records) -> None:
    pid = new_pid()
    await records.write(Claim(pid, "one", 10), Record(ACCOUNT))
    await records.take(pid, "two")
    assert await records.refresh((Claim(pid, "two", 0),)) == Refreshed()
    assert await records.write(Claim(pid, "two", 1), Record(ACCOUNT, (ROOM,))) is Written.KEPT


async def test_a_record_that_is_not_the_one_last_written_is_as_good_as_lost(records: Records) -> None:
    pid = new_pid()
    await records.write(Claim(pid, "one", 2), Record(ACCOUNT))
    assert await records.refresh((Claim(pid, "one", 3),)) == Refreshed(lost=(pid,))
    assert await records.refresh((Claim(pid, "two", 0),)) == Refreshed(lost=(pid,))
    assert await records.refresh((Claim(pid, "one", 1),)) == Refreshed(), "of the newer it will hear in a moment"


async def test_where_the_last_was_lost_nobody_comes_back_by_the_one_before(lagging: "Lagging") -> None:
    records, pid, both = lagging.records, new_pid(), Record(ACCOUNT, (ROOM, ROOM))
    await records.write(Claim(pid, "one", 1), Record(ACCOUNT, (ROOM,)))
    await lagging.copy()
    await records.write(Claim(pid, "one", 2), both)
    await lagging.fall_back()
    assert not await records.take(pid, "two")
    assert await records.refresh((Claim(pid, "one", 2),)) == Refreshed(lost=(pid,))
    assert await records.rewrite(Claim(pid, "one", 3), both) is Written.MISSING
    assert await records.write(Claim(pid, "one", 4), both) is Written.KEPT
    assert await records.refresh((Claim(pid, "one", 4),)) == Refreshed()
    assert await records.take(pid, "two")
    assert await records.read(pid) == both


async def test_where_it_was_lost_that_it_was_taken_it_is_the_old_owners_no_more(lagging: "Lagging") -> None:
    records, pid = lagging.records, new_pid()
    await records.write(Claim(pid, "one", 1), Record(ACCOUNT))
    await lagging.copy()
    await records.take(pid, "two")
    await lagging.fall_back()
    claims = (Claim(pid, "one", 1),), (Claim(pid, "two", 0),)
    assert [await records.refresh(each) for each in claims] == [Refreshed(lost=(pid,))] * 2
    assert await records.write(Claim(pid, "two", 1), Record(ACCOUNT, (ROOM,))) is Written.KEPT
    assert await records.write(Claim(pid, "one", 2), Record(ACCOUNT)) is Written.TAKEN


@dataclass
class Lagging:
    """Records on a server that starts again with what it had when it was copied."""

    records: Records
    copy: Callable[[], Awaitable[None]]
    fall_back: Callable[[], Awaitable[None]]


@pytest.fixture(params=["memory", "redis", "cluster"])
async def lagging(request: pytest.FixtureRequest) -> AsyncIterator[Lagging]:
    if request.param == "memory":
        memory, copies = MemoryRecords(ManualClock()), list[Callable[[], None]]()

        async def copy() -> None:
            copies.append(memory.copy())

        async def fall_back() -> None:
            copies[-1]()

        yield Lagging(memory, copy, fall_back)
        return
    cluster = request.param == "cluster"
    words = (
        ("--cluster-enabled", "yes", "--port", str(free_port()), "--cluster-port", str(free_port())) if cluster else ()
    )
    async with open_redis(*words, program=require("redis") if cluster else None) as server:

        async def ready() -> None:
            async with asyncio.timeout(ANSWER_S):
                while cluster and await server.command("SET", "probe", "1") != "+OK":
                    await asyncio.sleep(0.01)

        async def save() -> None:
            assert await server.command("SAVE") == "+OK"

        async def start_again() -> None:
            await server.kill()
            await server.start()
            await ready()
            for _ in range(3):  # until the lines are new
                with contextlib.suppress(LogAway):
                    await made.read(new_pid())
                    await made.take(new_pid(), "nobody")

        if cluster:
            assert await server.command("CLUSTER", "ADDSLOTSRANGE", "0", "16383") == "+OK"
            await ready()
        servers = RedisServers(server.url)
        made = RedisRecords(RedisCommands(servers))
        try:
            yield Lagging(made, save, start_again)
        finally:
            await servers.close()


async def test_a_record_ends_two_minutes_after_the_last_word() -> None:
    clock, pid = ManualClock(), new_pid()
    records = MemoryRecords(clock)
    await records.write(Claim(pid, "one", 1), Record(ACCOUNT))
    await clock.advance(119)
    await records.refresh((Claim(pid, "one", 1),))
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
                await records.write(Claim(pid, "one", 1), Record(ACCOUNT))
            claims = tuple(Claim(pid, "one", 1) for pid in pids)
            home = {pid: servers.home(f"pid:{pid}") for pid in pids}
            lost = set(pids[40:])
            assert set((await records.refresh(claims)).lost) == lost
            await other.kill()
            refreshed = await records.refresh(claims)
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
            await records.write(Claim(pid, "one", 1), Record(ACCOUNT))
            left = await server.command("PTTL", servers.key(f"pid:{pid}", "connection"))
            assert 110_000 < int(left.removeprefix(":")) <= 120_000
            await server.command("CONFIG", "SET", "maxmemory", "1")
            with pytest.raises(LogAway):
                await records.write(Claim(new_pid(), "one", 1), Record(ACCOUNT))
        finally:
            await servers.close()
