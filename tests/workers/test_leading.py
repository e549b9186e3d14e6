"""Who does the schedule: one at a time, and each tick once, whatever becomes of leaders and clocks."""

import asyncio
import itertools
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import asyncpg
import pytest

from persistence.database import Database, open_database
from persistence.leadership import IDLE_MS, Deposed, Leadership
from persistence.stores import Stores, Transactions
from persistence.ticks import LEADERSHIP
from services.kernel.clock import SystemClock
from services.kernel.facts import ClassEnded
from services.kernel.ids import ClassId, Uuid7Ids
from services.schedule.jobs import Tick
from services.schedule.timetable import Every
from tests.support.task_buses import WAIT_S, eventually
from tests.workers import scheduler_program
from tests.workers.scheduler_program import BITES
from workers.schedule import Job, Scheduler

LEASE_S = 1.0
SECOND = timedelta(seconds=1)
HOUR_MS = 3_600_000


class Counted:
    """A job that counts the due times it was begun for."""

    def __init__(self) -> None:
        self.dues: list[int] = []

    async def __call__(self, _: Stores, tick: Tick) -> int:
        self.dues.append(tick.due_ms)
        return 0


class SteppingClock(SystemClock):
    """The machine's clock, whose wall hand somebody turns by `off_ms`."""

    def __init__(self) -> None:
        self.off_ms = 0

    def wall_ms(self) -> int:
        return super().wall_ms() + self.off_ms


def scheduler(database: Database, node: str, *table: Job, clock: SystemClock | None = None) -> Scheduler:
    clock = clock or SystemClock()
    transactions = Transactions(database, clock, Uuid7Ids(clock))
    return Scheduler(transactions, clock, table, node=node, lease_s=LEASE_S, look_s=0.02)


@asynccontextmanager
async def running(*schedulers: Scheduler) -> AsyncIterator[list[asyncio.Task[None]]]:
    """Their loops; politely stopped in the end."""
    tasks = [asyncio.create_task(each.run()) for each in schedulers]
    try:
        yield tasks
    finally:
        for each in schedulers:
            each.stop()
        async with asyncio.timeout(WAIT_S):
            await asyncio.gather(*tasks)


async def test_one_leads_and_another_takes_over_when_it_stops(database: Database) -> None:
    first_job, second_job = Counted(), Counted()
    first = scheduler(database, "one", Job("job", Every(1), first_job))
    second = scheduler(database, "two", Job("job", Every(1), second_job))
    async with running(first):
        await eventually(lambda: first_job.dues)
        async with running(second):
            seen = len(first_job.dues)
            await eventually(lambda: len(first_job.dues) >= seen + 2)
            assert (first.statistics.leads, second.statistics.leads) == (True, False)
            assert second_job.dues == []
            first.stop()
            await eventually(lambda: second_job.dues)
            assert (first.statistics.leads, second.statistics.leads) == (False, True)
            assert second.statistics.epoch == first.statistics.epoch + 1
    assert not set(first_job.dues) & set(second_job.dues)


async def test_a_leader_that_was_replaced_begins_nothing_until_it_leads_again(fresh_dsn: str) -> None:
    job = Counted()
    async with open_database(fresh_dsn, size=3) as database, open_database(fresh_dsn, size=2) as rival:
        away = scheduler(database, "away", Job("job", Every(1), job))
        async with running(away):
            await eventually(lambda: job.dues)
            async with rival.tx() as tx:
                # A rival between two renewals, as if the leader had been away for a lease.
                leadership = Leadership(tx, LEADERSHIP)
                await leadership.give_up(away.statistics.epoch)
                epoch = await leadership.take("rival", timedelta(seconds=60))
            assert epoch is not None
            await eventually(lambda: not away.statistics.leads)
            seen = len(job.dues)
            async with rival.tx() as tx:
                await Leadership(tx, LEADERSHIP).give_up(epoch)
            await eventually(lambda: len(job.dues) > seen)
            assert away.statistics.epoch == epoch + 1
    assert len(set(job.dues)) == len(job.dues)


async def test_the_fence_holds_up_the_next_leader_and_shuts_out_the_one_before(database: Database) -> None:
    async with database.tx() as tx:
        old = await Leadership(tx, "test").take("old", timedelta(0))
    assert old is not None
    async with database.tx() as at_work:
        await Leadership(at_work, "test").hold(old)
        async with database.tx() as tx:  # renewing is held up by nobody
            await Leadership(tx, "test").renew(old, timedelta(0))
        async with database.tx() as tx:
            await tx.execute("SET LOCAL lock_timeout = '50ms'")
            with pytest.raises(asyncpg.LockNotAvailableError):
                await Leadership(tx, "test").take("new", timedelta(seconds=60))
    async with database.tx() as tx:
        new = await Leadership(tx, "test").take("new", timedelta(seconds=60))
    assert new == old + 1
    async with database.tx() as tx:
        leadership = Leadership(tx, "test")
        assert await leadership.take("third", timedelta(seconds=60)) is None
        with pytest.raises(Deposed):
            await leadership.hold(old)
        with pytest.raises(Deposed):
            await leadership.renew(old, timedelta(seconds=60))
        await leadership.give_up(old)
        leader = await leadership.leader()
    assert leader is not None
    assert (leader.holder, leader.epoch, leader.leads) == ("new", new, True)


async def test_a_leader_frozen_in_the_middle_of_a_transaction_holds_up_the_next_one_for_seconds(
    database: Database,
) -> None:
    asked = "SELECT current_setting('idle_in_transaction_session_timeout')"
    async with database.tx() as tx:
        epoch = await Leadership(tx, "test").take("frozen", timedelta(0))
        assert epoch is not None
        await Leadership(tx, "test").hold(epoch)
        limit = await tx.fetchval(asked)
    assert limit == f"{IDLE_MS // 1_000}s"
    async with database.tx() as tx:
        assert await tx.fetchval(asked) != limit, "of that transaction only"


# -- clocks that step -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step_ms", [HOUR_MS, -HOUR_MS], ids=["an hour ahead", "an hour back"])
async def test_a_node_whose_clock_steps_leaves_the_lead_to_one_that_keeps_time(
    database: Database, step_ms: int
) -> None:
    odd_clock, odd_job, right_job = SteppingClock(), Counted(), Counted()
    odd = scheduler(database, "odd", Job("job", Every(1), odd_job), clock=odd_clock)
    right = scheduler(database, "right", Job("job", Every(1), right_job))
    in_half_an_hour = SystemClock().wall_ms() + HOUR_MS // 2
    async with Transactions(database, SystemClock(), Uuid7Ids(SystemClock()))() as stores:
        fact = ClassEnded(class_id=ClassId(UUID(int=1)))
        await stores.schedule.once(fact, UUID(int=1), at_ms=in_half_an_hour, key="in half an hour")
    async with running(odd):
        await eventually(lambda: len(odd_job.dues) >= 2)
        odd_clock.off_ms = step_ms
        async with running(right):
            await eventually(lambda: right_job.dues)
            assert not odd.statistics.leads
            odd_clock.off_ms = 0
            await eventually(lambda: len(right_job.dues) >= 3)
    dues, now_ms = odd_job.dues + right_job.dues, SystemClock().wall_ms()
    assert len(set(dues)) == len(dues), "nothing twice"
    assert max(dues) <= now_ms, "nothing too soon"
    async with database.connection() as connection:
        assert await connection.fetchval("SELECT count(*) FROM outbox") == 0


async def test_when_the_clock_of_the_whole_machine_steps_back_nothing_is_done_twice_and_the_pace_is_kept(
    database: Database,
) -> None:
    clock, job = SteppingClock(), Counted()

    def one() -> Scheduler:
        transactions = Transactions(database, clock, Uuid7Ids(clock))
        # The database's clock does not step with ours here, so the comparison is left out.
        return Scheduler(
            transactions, clock, (Job("job", Every(1), job),), lease_s=LEASE_S, look_s=0.02, most_skew_s=10**6
        )

    async with running(one()):
        await eventually(lambda: len(job.dues) >= 2)
        clock.off_ms = -HOUR_MS
        seen, began = len(job.dues), clock.monotonic()
        await eventually(lambda: len(job.dues) >= seen + 3)
        assert 1.5 < clock.monotonic() - began < 10
    assert job.dues == sorted(set(job.dues))


# -- leaders that are frozen and killed -------------------------------------------------------------------------------------


@asynccontextmanager
async def process(dsn: str, node: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A scheduler as a process."""
    program = Path(scheduler_program.__file__)
    started = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.workers.scheduler_program",
        dsn,
        node,
        str(LEASE_S),
        cwd=program.parents[2],
        stdout=asyncio.subprocess.DEVNULL,
    )
    try:
        yield started
    finally:
        if started.returncode is None:
            started.send_signal(signal.SIGCONT)
            started.kill()
        await started.wait()


async def within(seconds: float, look: Callable[[], Awaitable[bool]]) -> None:
    """Wait until something is true, also on a busy machine."""
    async with asyncio.timeout(seconds):
        while not await look():
            await asyncio.sleep(0.05)


async def test_each_tick_is_done_once_though_leaders_are_frozen_and_killed(fresh_dsn: str) -> None:
    async with (
        open_database(fresh_dsn, size=2) as database,
        process(fresh_dsn, "one") as one,
        process(fresh_dsn, "two") as two,
    ):
        async with database.connection() as connection:
            await connection.execute(
                "CREATE TABLE ledger (due_at timestamptz, bite bigint, node text, at timestamptz DEFAULT clock_timestamp())"
            )
        processes = {"one": one, "two": two}

        async def leading() -> str:
            async with database.tx() as tx:
                leader = await Leadership(tx, LEADERSHIP).leader()
            return leader.holder if leader is not None and leader.leads else ""

        async def lines(node: str) -> int:
            async with database.connection() as connection:
                found: int = await connection.fetchval("SELECT count(*) FROM ledger WHERE node = $1", node)
            return found

        async def works(node: str, more: int = 2 * BITES) -> None:
            before = await lines(node)

            async def has_worked() -> bool:
                return await lines(node) >= before + more

            await within(60, has_worked)

        async def leads(*nodes: str) -> str:
            async def found() -> bool:
                return await leading() in nodes

            await within(60, found)
            return await leading()

        frozen = await leads("one", "two")
        other = "two" if frozen == "one" else "one"
        await works(frozen)
        processes[frozen].send_signal(signal.SIGSTOP)
        await leads(other)
        await works(other)
        processes[frozen].send_signal(signal.SIGCONT)
        await works(other)
        assert await leading() == other
        processes[other].kill()
        await leads(frozen)
        await works(frozen)
        processes[frozen].kill()
        await asyncio.gather(one.wait(), two.wait())
        async with database.connection() as connection:
            dues = await connection.fetch(
                "SELECT due_at, array_agg(bite ORDER BY bite) AS bites FROM ledger GROUP BY due_at ORDER BY due_at"
            )
    *whole, last = dues
    assert all(row["bites"] == list(range(BITES)) for row in whole), "each bite of each tick once"
    assert last["bites"] == list(range(len(last["bites"])))
    gaps = [later["due_at"] - earlier["due_at"] for earlier, later in itertools.pairwise(dues)]
    assert set(gaps) == {SECOND}, "no tick left out"
