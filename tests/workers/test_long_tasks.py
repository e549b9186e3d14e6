"""Long tasks on a real database: step by step, once each, whoever dies, freezes or changes their mind."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Final

import msgspec
import pytest

from persistence.database import Database
from persistence.stores import Stores
from services.kernel import trace
from services.kernel.caller import Caller
from services.kernel.clock import SystemClock, utc
from services.kernel.facts import TaskAsked, TaskEnded
from services.kernel.ids import AccountId, TaskId
from services.kernel.problems import KeyReused, NotFound, TooManyTasks, Unavailable
from services.tasks.task import (
    MOST_ATTEMPTS,
    MOST_OPEN,
    AnyWork,
    ExportAccount,
    RecomputeWorkouts,
    Step,
    Task,
    TaskResult,
    TaskView,
)
from services.tasks.tasks import Tasks
from tests.support.task_buses import WAIT_S, eventually
from tests.support.world import World
from workers.long_tasks import LongTasks
from workers.retry import Unprocessable

STEPS: Final = 6
LEASE: Final = timedelta(seconds=60)
"""Of tasks that a test takes by itself."""


@pytest.fixture
async def world(database: Database) -> World:
    """A world with a ledger of effects."""
    async with database.connection() as connection:
        await connection.execute("CREATE TABLE ledger (task uuid, step bigint, worker text)")
    return World(database)


class Counting:
    """Work of six steps, each of which writes a line into the ledger. `before` is awaited ahead of each effect."""

    def __init__(self, worker: str = "", work: type[AnyWork] = RecomputeWorkouts) -> None:
        self.work: type[AnyWork] = work
        self.worker = worker
        self.concurrency = 2
        self.begun: list[int] = []
        self.cleaned: list[TaskId] = []
        self.running = 0
        self.most_running = 0
        self.hold_at: int | None = None
        self.held, self.go_on = asyncio.Event(), asyncio.Event()
        self.fail: Callable[[Task], Exception | None] = lambda _: None

    async def step(self, stores: Stores, task: Task) -> Step:
        step = int(task.checkpoint or "0")
        self.begun.append(step)
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            await stores.tx.execute("INSERT INTO ledger VALUES ($1, $2, $3)", task.id, step, self.worker)
            if step == self.hold_at:
                self.held.set()
                await self.go_on.wait()
            if (failure := self.fail(task)) is not None:
                raise failure
        finally:
            self.running -= 1
        result = TaskResult(changed=STEPS) if step + 1 == STEPS else None
        return Step(checkpoint=str(step + 1), done=step + 1, total=STEPS, result=result)

    async def clean(self, task: Task) -> None:
        self.cleaned.append(task.id)


class Pushed:
    """What the owner's sockets were told."""

    def __init__(self) -> None:
        self.views: list[TaskView] = []

    def task_progress(self, account_id: AccountId, view: TaskView) -> None:
        self.views.append(view)


def workers(world: World, *kinds: Counting, lease_s: float = 5.0, pushed: Pushed | None = None) -> LongTasks:
    return LongTasks(
        world.transactions, SystemClock(), kinds, pushed or Pushed(), lease_s=lease_s, beat_s=0.05, poll_s=0.05
    )


@asynccontextmanager
async def running(*all_workers: LongTasks) -> AsyncIterator[list[asyncio.Task[None]]]:
    """Their loops, politely stopped in the end."""
    loops = [asyncio.create_task(each.run()) for each in all_workers]
    try:
        yield loops
    finally:
        for each in all_workers:
            each.stop()
        async with asyncio.timeout(WAIT_S):
            await asyncio.gather(*loops, return_exceptions=True)


def owner(world: World) -> Tasks:
    """The use cases, as the gateway has them."""
    return Tasks(world.transactions, world.clock, world.ids, Path("/nowhere"))


async def task_of(world: World, ada: Caller, key: str = "key", work: AnyWork | None = None) -> TaskId:
    fresh = msgspec.structs.replace(ada, fresh_at_ms=world.clock.wall_ms())
    return (await owner(world).start(fresh, work or RecomputeWorkouts(), key)).task


async def state_of(world: World, task_id: TaskId) -> Task:
    async with world.transactions() as stores:
        task = await stores.long_tasks.by_id(task_id)
    assert task is not None
    return task


async def ended(world: World, task_id: TaskId, state: str) -> Task:
    """Wait until a task is in a state."""

    async def is_there() -> bool:
        return (await state_of(world, task_id)).state == state

    await eventually(is_there)
    return await state_of(world, task_id)


async def ledger(world: World, task_id: TaskId) -> list[int]:
    async with world.database.connection() as connection:
        rows = await connection.fetch("SELECT step FROM ledger WHERE task = $1 ORDER BY step", task_id)
    return [row["step"] for row in rows]


# -- one worker -----------------------------------------------------------------------------------------------------------


async def test_a_task_is_done_step_by_step_and_its_owner_sees_it(world: World) -> None:
    ada, kind, pushed = await world.account(), Counting(), Pushed()
    task_id = await task_of(world, ada)
    async with running(workers(world, kind, pushed=pushed)):
        task = await ended(world, task_id, "done")
    assert await ledger(world, task_id) == list(range(STEPS))
    assert (task.done, task.total, task.result) == (STEPS, STEPS, TaskResult(changed=STEPS))
    assert await world.told() == [
        TaskAsked(task_id=task_id, account_id=ada.account_id, kind="recompute_workouts"),
        TaskEnded(task_id=task_id, account_id=ada.account_id, kind="recompute_workouts"),
    ]
    assert [view.state for view in pushed.views] == ["running"], "six steps within half a second are one push"
    assert kind.cleaned == []


async def test_a_task_is_done_in_the_trace_of_whoever_asked_for_it(world: World) -> None:
    with trace.span("an evening") as evening:
        task_id = await task_of(world, await world.account())
    async with running(workers(world, Counting())):
        await ended(world, task_id, "done")
    async with world.transactions() as stores:
        told = [trace.parse(envelope.traceparent) for envelope in await stores.outbox.peek(10)]
    assert [found.trace_id for found in told if found is not None] == [evening.context.trace_id] * 2


async def test_a_task_is_begun_as_soon_as_its_fact_comes(world: World) -> None:
    kind = Counting()
    sleepy = LongTasks(world.transactions, SystemClock(), [kind], Pushed(), poll_s=3_600)
    async with running(sleepy):
        await eventually(lambda: sleepy.statistics["recompute_workouts"].taken == 0)
        task_id = await task_of(world, await world.account())
        sleepy.wake("recompute_workouts")
        sleepy.wake("of another process")
        await ended(world, task_id, "done")


async def test_the_same_key_finds_the_task_it_started(world: World) -> None:
    ada, bob = await world.account(), await world.account("Bob")
    first = await task_of(world, ada, "once")
    assert await task_of(world, ada, "once") == first
    assert await task_of(world, bob, "once") != first
    with pytest.raises(KeyReused):
        await task_of(world, ada, "once", ExportAccount())
    assert len(await world.told()) == 2


async def test_an_account_has_a_bounded_number_of_open_tasks_also_when_it_asks_all_at_once(world: World) -> None:
    ada = await world.account()
    asked = await asyncio.gather(
        *(task_of(world, ada, f"key-{n}") for n in range(MOST_OPEN + 3)), return_exceptions=True
    )
    assert sum(isinstance(answer, TooManyTasks) for answer in asked) == 3


async def test_somebody_else_s_task_does_not_exist(world: World) -> None:
    task_id, bob = await task_of(world, await world.account()), await world.account("Bob")
    for asked in (owner(world).by_id, owner(world).cancel, owner(world).file):
        with pytest.raises(NotFound):
            await asked(bob, task_id)
    assert await owner(world).of_account(bob) == ()


# -- cancelling -----------------------------------------------------------------------------------------------------------


async def test_a_task_that_waits_is_cancelled_at_once_and_told_once(world: World) -> None:
    ada, kind = await world.account(), Counting()
    task_id = await task_of(world, ada)
    assert (await owner(world).cancel(ada, task_id)).state == "cancelled"
    assert (await owner(world).cancel(ada, task_id)).state == "cancelled"
    async with running(workers(world, kind)):
        other = await task_of(world, ada, "other")
        await ended(world, other, "done")
    assert await ledger(world, task_id) == []
    assert sum(isinstance(fact, TaskEnded) and fact.task_id == task_id for fact in await world.told()) == 1


async def test_a_running_task_is_cut_off_in_the_middle_of_its_step_within_a_second(world: World) -> None:
    ada, kind = await world.account(), Counting()
    kind.hold_at = 3
    task_id = await task_of(world, ada)
    async with running(workers(world, kind)):
        async with asyncio.timeout(WAIT_S):
            await kind.held.wait()
        view = await owner(world).cancel(ada, task_id)
        assert (view.state, view.cancelling) == ("running", True)
        asked_at = SystemClock().monotonic()
        await ended(world, task_id, "cancelled")
        assert SystemClock().monotonic() - asked_at < 5
        await eventually(lambda: kind.cleaned == [task_id])
    assert await ledger(world, task_id) == [0, 1, 2], "what was committed stays, the step at hand does not"
    assert TaskEnded(task_id=task_id, account_id=ada.account_id, kind="recompute_workouts") in await world.told()


async def test_a_task_that_has_ended_stays_as_it_is(world: World) -> None:
    ada = await world.account()
    task_id = await task_of(world, ada)
    async with running(workers(world, Counting())):
        await ended(world, task_id, "done")
    view = await owner(world).cancel(ada, task_id)
    assert (view.state, view.cancelling) == ("done", False)


# -- dying, freezing, failing ---------------------------------------------------------------------------------------------


async def test_a_dead_worker_s_task_goes_on_from_its_checkpoint_with_another(world: World) -> None:
    first, second = Counting("first"), Counting("second")
    first.hold_at = 3
    task_id = await task_of(world, await world.account())
    async with running(workers(world, first, lease_s=0.5)) as (loop,):
        async with asyncio.timeout(WAIT_S):
            await first.held.wait()
        loop.cancel()  # as a kill: nothing is given back
        await asyncio.gather(loop, return_exceptions=True)
        assert (await state_of(world, task_id)).state == "running"
        other = workers(world, second, lease_s=0.5)
        async with running(other):
            await ended(world, task_id, "done")
    assert (first.begun, second.begun) == ([0, 1, 2, 3], [3, 4, 5])
    assert await ledger(world, task_id) == list(range(STEPS))
    assert other.statistics["recompute_workouts"].taken_over == 1


async def test_a_worker_that_was_replaced_commits_neither_its_step_nor_the_end(world: World) -> None:
    frozen, other = Counting("frozen"), Counting("other")
    frozen.hold_at = other.hold_at = STEPS - 1
    frozen.concurrency = 1
    task_id = await task_of(world, await world.account())
    # A beat that never comes, as if the whole process were frozen.
    stuck = LongTasks(world.transactions, SystemClock(), [frozen], Pushed(), lease_s=0.3, beat_s=3_600, poll_s=0.05)
    async with running(stuck):
        async with asyncio.timeout(WAIT_S):
            await frozen.held.wait()
        async with running(workers(world, other)):
            async with asyncio.timeout(WAIT_S):
                await other.held.wait()
            frozen.go_on.set()
            await eventually(lambda: stuck.statistics["recompute_workouts"].lost == 1)
            assert (await state_of(world, task_id)).state == "running"
            other.go_on.set()
            await ended(world, task_id, "done")
    assert await ledger(world, task_id) == list(range(STEPS))
    async with world.database.connection() as connection:
        assert await connection.fetchval("SELECT worker FROM ledger WHERE step = $1", STEPS - 1) == "other"


async def test_a_worker_that_stops_gives_its_task_back_at_once(world: World) -> None:
    first, second = Counting("first"), Counting("second")
    first.hold_at = 2
    task_id = await task_of(world, await world.account())
    stopping = workers(world, first, lease_s=3_600)
    async with running(stopping):
        async with asyncio.timeout(WAIT_S):
            await first.held.wait()
        stopping.stop()
        first.go_on.set()
        await ended(world, task_id, "waiting")
    async with running(workers(world, second)):
        task = await ended(world, task_id, "done")
    assert (first.begun, second.begun) == ([0, 1, 2], [3, 4, 5])
    assert task.epoch == 2
    assert sum(isinstance(fact, TaskAsked) for fact in await world.told()) == 2


async def test_a_worker_that_is_told_to_stop_while_it_claims_takes_nothing(world: World) -> None:
    task_id = await task_of(world, await world.account())

    @asynccontextmanager
    async def told_to_stop_meanwhile() -> AsyncIterator[Stores]:
        async with world.transactions() as stores:
            stopping.stop()
            yield stores

    kind = Counting()
    stopping = LongTasks(told_to_stop_meanwhile, SystemClock(), [kind], Pushed())
    async with asyncio.timeout(WAIT_S):
        await stopping.run()
    task = await state_of(world, task_id)
    assert (task.state, task.epoch, kind.begun) == ("waiting", 0, [])


async def test_a_step_that_fails_leaves_nothing_and_is_tried_again_later(world: World) -> None:
    kind = Counting()
    failures = [ZeroDivisionError("once")]
    kind.fail = lambda task: failures.pop() if failures and task.checkpoint == "2" else None
    task_id = await task_of(world, await world.account())
    async with running(workers(world, kind)):
        await eventually(lambda: not failures)
        await ended(world, task_id, "waiting")
        assert await ledger(world, task_id) == [0, 1]
        async with world.database.connection() as connection:  # five seconds pass
            await connection.execute("UPDATE long_tasks SET due_at = created_at")
        await ended(world, task_id, "done")
    assert await ledger(world, task_id) == list(range(STEPS))


async def test_attempts_without_a_step_are_bounded(world: World) -> None:
    kind = Counting()
    kind.fail = lambda task: ZeroDivisionError() if task.checkpoint == "2" else None
    ada = await world.account()
    task_id = await task_of(world, ada)
    async with running(workers(world, kind)):
        while (await state_of(world, task_id)).state != "failed":
            async with world.database.connection() as connection:
                await connection.execute("UPDATE long_tasks SET due_at = created_at")
            await asyncio.sleep(0.02)
    task = await state_of(world, task_id)
    assert kind.begun.count(2) == MOST_ATTEMPTS + 1, "the first taking did two steps, so it was no attempt"
    assert task.problem is not None
    assert "failed each time" in task.problem
    assert "ZeroDivision" not in task.problem
    assert TaskEnded(task_id=task_id, account_id=ada.account_id, kind="recompute_workouts") in await world.told()


async def test_a_task_that_kills_its_workers_is_given_up(world: World) -> None:
    kind = Counting()
    task_id = await task_of(world, await world.account())
    for _ in range(MOST_ATTEMPTS):
        async with world.transactions() as stores:
            now = utc(SystemClock().wall_ms())
            taken = await stores.long_tasks.claim("recompute_workouts", now, timedelta(seconds=-1))
        assert taken is not None
    async with running(workers(world, kind)):
        task = await ended(world, task_id, "failed")
    assert kind.begun == []
    assert task.problem == f"its worker died {MOST_ATTEMPTS} times before the next step was done"


async def test_what_can_never_be_done_fails_at_once_with_its_reason(world: World) -> None:
    kind = Counting()
    kind.fail = lambda _: Unprocessable("there is no such moon")
    task_id = await task_of(world, await world.account())
    async with running(workers(world, kind)):
        task = await ended(world, task_id, "failed")
    assert (task.problem, len(kind.begun)) == ("there is no such moon", 1)
    assert kind.cleaned == [task_id]


async def test_when_the_house_is_away_no_attempt_is_counted(world: World) -> None:
    kind = Counting()
    kind.fail = lambda _: Unavailable("the database does not answer right now")
    task_id = await task_of(world, await world.account())
    async with running(workers(world, kind)):
        await eventually(lambda: kind.begun)
        task = await ended(world, task_id, "waiting")
    assert task.attempt == 0


# -- many at once ---------------------------------------------------------------------------------------------------------


async def test_one_person_has_one_task_of_a_kind_running_and_others_are_not_kept_waiting(world: World) -> None:
    kind = Counting()
    kind.hold_at = 0
    ada, bob = await world.account(), await world.account("Bob")
    hers = [await task_of(world, ada, f"key-{n}") for n in range(3)]
    his = await task_of(world, bob)
    async with running(workers(world, kind), workers(world, kind)):
        await eventually(lambda: kind.running == 2)
        assert (await state_of(world, hers[0])).state == "running"
        assert (await state_of(world, his)).state == "running"
        kind.go_on.set()
        for task_id in (*hers, his):
            await ended(world, task_id, "done")
    assert kind.most_running == 2


async def test_a_crowd_that_wants_one_kind_does_not_keep_another_kind_waiting(world: World) -> None:
    crowded, other = Counting(), Counting(work=ExportAccount)
    crowded.hold_at = 0
    for n in range(5):
        await task_of(world, await world.account(f"Person {n}"))
    async with running(workers(world, crowded, other)):
        await eventually(lambda: crowded.running == crowded.concurrency)
        exported = await task_of(world, await world.account(), work=ExportAccount())
        await ended(world, exported, "done")
        assert crowded.running == crowded.most_running == crowded.concurrency
        crowded.go_on.set()


async def test_two_workers_at_once_never_take_two_tasks_of_one_person(world: World) -> None:
    ada = await world.account()
    for n in range(4):
        await task_of(world, ada, f"key-{n}")

    async def claim() -> Task | None:
        async with world.transactions() as stores:
            return await stores.long_tasks.claim("recompute_workouts", utc(world.clock.wall_ms()), LEASE)

    taken = await asyncio.gather(*(claim() for _ in range(4)))
    assert sum(task is not None for task in taken) == 1
