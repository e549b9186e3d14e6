"""Notifications: heard, lost with the connection, heard again."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from persistence.database import Database, open_database
from services.kernel.clock import ManualClock, SystemClock, pause
from tests.support.task_buses import WAIT_S, eventually
from workers.wakeups import CHECK_S, RETRY_S, RING_EVERY_S, Bell, Wakeups


@pytest.fixture
async def clock() -> ManualClock:
    """The clock of the listening loop."""
    return ManualClock()


@pytest.fixture
async def wakeups(database: Database, clock: ManualClock) -> AsyncIterator[Wakeups]:
    """Listening on two channels."""
    made = Wakeups(database, clock, ("apples", "pears"))
    task = asyncio.create_task(made.run())
    async with asyncio.timeout(WAIT_S):
        await made.listening.wait()
    yield made
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def notify(database: Database, channel: str) -> None:
    """Notify at commit."""
    async with database.tx() as tx:
        await tx.execute("SELECT pg_notify($1, '')", channel)


async def test_a_notification_wakes_those_who_wait_on_its_channel(database: Database, wakeups: Wakeups) -> None:
    apples, more_apples, pears = asyncio.Event(), asyncio.Event(), asyncio.Event()
    with wakeups.on("apples", apples), wakeups.on("apples", more_apples), wakeups.on("pears", pears):
        await notify(database, "apples")
        async with asyncio.timeout(WAIT_S):
            await apples.wait()
            await more_apples.wait()
        assert not pears.is_set()


async def test_who_left_is_not_woken(database: Database, wakeups: Wakeups) -> None:
    left, stayed = asyncio.Event(), asyncio.Event()
    with wakeups.on("apples", left):
        pass
    with wakeups.on("apples", stayed):
        await notify(database, "apples")
        async with asyncio.timeout(WAIT_S):
            await stayed.wait()
    assert not left.is_set()


async def test_after_a_cut_connection_it_listens_again_and_wakes_for_what_was_missed(
    database: Database, wakeups: Wakeups, clock: ManualClock
) -> None:
    woken = asyncio.Event()
    with wakeups.on("apples", woken):
        async with database.connection() as connection:
            await connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'"
            )

        async def lost() -> bool:
            # Asked before time goes on: one step too many, and it would listen again already.
            if wakeups.listening.is_set():
                await clock.advance(CHECK_S)
                return False
            return True

        await eventually(lost)
        await notify(database, "apples")
        assert not woken.is_set()
        await clock.advance(RETRY_S)
        async with asyncio.timeout(WAIT_S):
            await woken.wait()
            await wakeups.listening.wait()
        woken.clear()
        await notify(database, "apples")
        async with asyncio.timeout(WAIT_S):
            await woken.wait()


async def test_a_pause_ends_with_its_time_or_with_the_first_event() -> None:
    clock, event = ManualClock(), asyncio.Event()
    timed = asyncio.create_task(pause(clock, 5, event))
    await clock.advance(4.9)
    assert not timed.done()
    await clock.advance(0.2)
    assert timed.done()
    woken = asyncio.create_task(pause(clock, 5, asyncio.Event(), event))
    await clock.advance(1)
    event.set()
    async with asyncio.timeout(WAIT_S):
        await woken
        await pause(SystemClock(), 3_600, event)


@asynccontextmanager
async def ringing(bell: Bell) -> AsyncIterator[None]:
    """The bell's loop while entered."""
    task = asyncio.create_task(bell.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_bell_wakes_its_own_process_at_once_and_without_a_server(wakeups: Wakeups, database: Database) -> None:
    woken = asyncio.Event()
    with wakeups.on("apples", woken):
        Bell(database, ManualClock(), "apples", wakeups).ring()
        assert woken.is_set()


async def test_a_bell_wakes_other_processes_once_for_all_that_happens_within_a_moment(
    database: Database, wakeups: Wakeups
) -> None:
    clock, elsewhere = ManualClock(), asyncio.Event()
    bell = Bell(database, clock, "apples", Wakeups(database, clock, ("apples",)))
    with wakeups.on("apples", elsewhere):
        async with asyncio.timeout(WAIT_S), ringing(bell):
            bell.ring()
            await elsewhere.wait()
            elsewhere.clear()
            for _ in range(3):
                bell.ring()
            # Its moment is not over: the clock stands still.
            await notify(database, "pears")
            assert not elsewhere.is_set()

            async def heard() -> bool:
                await clock.advance(RING_EVERY_S)
                return elsewhere.is_set()

            await eventually(heard)


async def test_a_bell_whose_line_to_the_server_breaks_is_heard_the_next_time(
    fresh_dsn: str, database: Database, wakeups: Wakeups
) -> None:
    clock, elsewhere = ManualClock(), asyncio.Event()
    async with open_database(fresh_dsn, size=1) as line:
        bell = Bell(line, clock, "apples", Wakeups(line, clock, ("apples",)))
        with wakeups.on("apples", elsewhere):
            async with line.connection() as connection:
                pid = await connection.fetchval("SELECT pg_backend_pid()")
            async with database.tx() as tx:
                await tx.execute("SELECT pg_terminate_backend($1)", pid)

            async def heard() -> bool:
                bell.ring()
                await clock.advance(RING_EVERY_S)
                return elsewhere.is_set()

            async with ringing(bell):
                await eventually(heard)
