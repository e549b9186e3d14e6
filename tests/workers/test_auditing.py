"""The audit in the background: linking within half a second, signing by the clock, and the file that outlives the database."""

import asyncio
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from persistence.database import Database
from persistence.stores import Stores
from services.audit.checkpoint import check, of_line
from services.audit.entry import Entry, operator
from services.kernel.problems import Unavailable
from services.schedule.jobs import Tick
from tests.support.audited import PUBLIC, verifying_of
from tests.support.world import World
from workers.auditing import LINK_EVERY_S, AuditJobs, AuditLinker

TICK = Tick("sign-audit", 0)
WAIT_S = 60


@pytest.fixture
def world(database: Database) -> World:
    return World(database)


async def add(world: World, count: int) -> None:
    async with world.transactions() as stores:
        await stores.audit.add(*(Entry(operator(None), "job.run", reason=str(n)) for n in range(count)))


async def waiting(world: World) -> int:
    async with world.transactions() as stores:
        return await stores.audit.waiting()


async def test_what_was_told_has_its_place_by_the_next_look_however_much_it_is(world: World) -> None:
    await add(world, 25)
    linker = asyncio.create_task(AuditLinker(world.transactions, world.clock, batch=10).run())
    try:
        async with asyncio.timeout(WAIT_S):
            while await waiting(world):
                await asyncio.sleep(0)
        await add(world, 1)
        async with asyncio.timeout(WAIT_S):
            while await waiting(world):
                await world.clock.advance(LINK_EVERY_S)
    finally:
        linker.cancel()
        await asyncio.gather(linker, return_exceptions=True)
    async with world.transactions() as stores:
        assert (await stores.audit.head())[0] == 26


async def test_the_linker_outlasts_a_database_that_is_away(world: World) -> None:
    failures = [Unavailable("away"), LookupError("a bug")]

    @asynccontextmanager
    async def sometimes() -> AsyncIterator[Stores]:
        if failures:
            raise failures.pop(0)
        async with world.transactions() as stores:
            yield stores

    await add(world, 1)
    linker = asyncio.create_task(AuditLinker(sometimes, world.clock).run())
    try:
        async with asyncio.timeout(WAIT_S):
            while await waiting(world):
                await world.clock.advance(LINK_EVERY_S)
    finally:
        linker.cancel()
        await asyncio.gather(linker, return_exceptions=True)
    assert failures == []


async def test_the_chain_is_signed_into_a_file_once_for_what_is_new(world: World, tmp_path: Path) -> None:
    file = tmp_path / "kept" / "checkpoints.jsonl"
    jobs = AuditJobs(verifying_of(world), file)

    async def tick() -> int:
        async with world.transactions() as stores:
            return await jobs.checkpoint(stores, TICK)

    assert await tick() == 0, "there is nothing to sign"
    await add(world, 3)
    async with world.transactions() as stores:
        await stores.audit.link()
    assert await tick() == 1
    assert await tick() == 0
    (line,) = file.read_text().splitlines()
    checkpoint = of_line(line)
    check(checkpoint, [PUBLIC])
    assert checkpoint.position == 3
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    async with world.transactions() as stores:
        assert await stores.audit.checkpoints() == [checkpoint]
        assert await jobs.checkpoint(stores, Tick("sign-audit", 0, did=1)) == 0, "once per time"


async def test_a_file_that_cannot_be_written_keeps_nothing_from_being_signed(world: World, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    jobs = AuditJobs(verifying_of(world), tmp_path / "file" / "checkpoints.jsonl")
    await add(world, 1)
    async with world.transactions() as stores:
        await stores.audit.link()
    async with world.transactions() as stores:
        assert await jobs.checkpoint(stores, TICK) == 1
        assert len(await stores.audit.checkpoints()) == 1
