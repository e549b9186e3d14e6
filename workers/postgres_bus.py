"""The task bus on Postgres, for whoever runs Paceline without RabbitMQ.

Same promises as the broker, on the table `tasks` (persistence/tasks.py says how a task is taken and ended). One loop per
queue claims as many due tasks as it has hands free; it is woken by a notification, and looks by itself every `POLL_S`.

`Delivery.settle` deletes the task inside the handler's own transaction, so on this bus effect and end of a task are one
commit, and the inbox only has to catch facts that were published twice.

A task that has seen its worker die is claimed only while this process has no other such (`_alone`): what kills its worker does
so without neighbours from the second time on, and is parked when its attempts are used up, each death being one.
"""

import asyncio
import contextlib
import datetime
import uuid
from collections.abc import Awaitable, Callable, Iterator
from typing import Final

import structlog

from persistence.database import Database, Tx
from persistence.tasks import CHANNEL, Lying, ParkedTask, Task, Tasks
from services.kernel import facts
from services.kernel.clock import Clock, pause, to_wall_ms, utc
from services.kernel.facts import Envelope
from services.kernel.ids import FactId
from services.kernel.problems import Unavailable
from workers.bus import (
    BODY_LENGTH,
    FINISH_S,
    PUBLISH_TIMEOUT_S,
    UNREADABLE,
    BusUnavailable,
    Handle,
    Parked,
    Queue,
    TaskTaken,
    Told,
    wanted_by,
    within_limit,
)
from workers.retry import Again, Ladder, Park, after_failure
from workers.task_statistics import BusStatistics, Overview
from workers.wakeups import Wakeups, finish, woken_by

POLL_S: Final = 1.0
"""How often a queue is looked at without having been woken; also how late a retry may be."""
LEASE_MARGIN_S: Final = 5.0
"""A claimed task is left alone for its queue's time limit and this much more: so late is a task that died with its worker."""
RETRY_S: Final = 2.0
"""Between two looks, and two attempts to write something down, while the database is away."""

PAGE: Final = 100
"""How many parked tasks are replayed in one transaction."""

log = structlog.get_logger(__name__)


class _PostgresDelivery:
    """A claimed task on its way through a handler."""

    def __init__(self, queue: Queue, envelope: Envelope, task: Task) -> None:
        self.envelope: Final = envelope
        self.attempt: Final = task.attempt
        self.settled = False
        self._queue: Final = queue
        self._claims: Final = task.claims

    async def settle(self, tx: Tx) -> None:
        if not await Tasks(tx).settle(self._queue.name, self.envelope.id, self._claims):
            raise TaskTaken(f"{self._queue.name} {self.envelope.id}: another worker has it")
        self.settled = True


class PostgresBus:
    """A `TaskBus` on the table `tasks`. `queues` is every queue there is, whichever process consumes it."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        queues: tuple[Queue, ...],
        wakeups: Wakeups | None = None,
        *,
        ladder: Ladder | None = None,
        poll_s: float = POLL_S,
        lease_s: float | None = None,
    ) -> None:
        self._database: Final = database
        self._clock: Final = clock
        self._queues: Final = queues
        self._wakeups: Final = wakeups
        self._ladder: Final = ladder or Ladder()
        self._poll_s: Final = poll_s
        self._lease_s: Final = lease_s
        self._alone = False
        self._stopping: Final = asyncio.Event()
        self._statistics: Final = BusStatistics()

    async def publish(self, *envelopes: Envelope) -> None:
        """All or nothing, in one transaction."""
        rows = [
            (queue.name, envelope.id, facts.encode(envelope).decode())
            for envelope in envelopes
            for queue in wanted_by(self._queues, envelope)
        ]
        try:
            if rows:
                async with asyncio.timeout(PUBLISH_TIMEOUT_S), self._database.tx() as tx:
                    await Tasks(tx).add(rows, self._now())
        except (Unavailable, TimeoutError) as problem:
            self._statistics.refused += 1
            raise BusUnavailable(f"the database did not take the tasks: {problem}") from problem
        self._statistics.published += len(envelopes)

    async def consume(self, queue: Queue, handle: Handle) -> None:
        """See `TaskBus.consume`."""
        with woken_by(self._wakeups, CHANNEL) as woken:
            await self._consume(queue, handle, woken)

    def stop(self) -> None:
        """See `TaskBus.stop`."""
        if not self._stopping.is_set():
            log.info("bus.stopping")  # from here on nothing new is begun
        self._stopping.set()

    async def parked(self, queue: Queue, limit: int = 100) -> list[Parked]:
        """See `TaskBus.parked`."""
        with _away():
            async with self._database.tx() as tx:
                return [_parked(task) for task in await Tasks(tx).parked(queue.name, limit)]

    async def replay(self, queue: Queue, key: str) -> int:
        """See `TaskBus.replay`."""
        fact_id = _fact_id(key)
        if fact_id is None:
            return 0
        with _away():
            async with self._database.tx() as tx:
                return int(await Tasks(tx).replay(queue.name, fact_id, self._now()))

    async def replay_all(self, queue: Queue, told: Told) -> int:
        """See `TaskBus.replay_all`. What fails again meanwhile is parked again, and is not tried a second time."""
        before, done = self._now(), set[FactId]()
        with _away():
            while True:
                async with self._database.tx() as tx:
                    page = [task for task in await Tasks(tx).parked(queue.name, PAGE) if task.parked_at <= before]
                    page = [task for task in page if task.fact_id not in done]
                    for task in page:
                        await Tasks(tx).replay(queue.name, task.fact_id, self._now())
                if not page:
                    return len(done)
                for task in page:
                    done.add(task.fact_id)
                    told(len(done))

    async def drop(self, queue: Queue, key: str) -> int:
        """See `TaskBus.drop`."""
        fact_id = _fact_id(key)
        if fact_id is None:
            return 0
        with _away():
            async with self._database.tx() as tx:
                return int(await Tasks(tx).drop(queue.name, fact_id))

    async def overview(self) -> dict[str, Overview]:
        """See `TaskBus.overview`."""
        with _away():
            async with self._database.tx() as tx:
                return {
                    queue.name: self._seen(await Tasks(tx).lying(queue.name, self._now())) for queue in self._queues
                }

    def statistics(self) -> BusStatistics:
        """See `TaskBus.statistics`."""
        return self._statistics

    def _now(self) -> datetime.datetime:
        return utc(self._clock.wall_ms())

    def _seen(self, lying: Lying) -> Overview:
        oldest_s: float | None = 0.0
        if lying.oldest is not None:
            try:
                at_ms = facts.decode(lying.oldest).at_ms
            except UNREADABLE:
                oldest_s = None
            else:
                oldest_s = max(0.0, (self._clock.wall_ms() - at_ms) / 1_000)
        return Overview(lying.waiting, lying.retrying, lying.parked, lying.running, oldest_s, consumers=None)

    # -- one queue ------------------------------------------------------------------------------------------------

    async def _consume(self, queue: Queue, handle: Handle, woken: asyncio.Event) -> None:
        """Claim as many tasks as hands are free; after a stop, wait for those that run, and put back what takes too long."""
        running: set[asyncio.Task[None]] = set()

        def done(task: asyncio.Task[None]) -> None:
            running.discard(task)
            woken.set()

        async with asyncio.TaskGroup() as group:
            while not self._stopping.is_set():
                woken.clear()
                free = queue.concurrency - len(running)
                try:
                    claimed = await self._claim(queue, free) if free else []
                except Exception:
                    # Whatever it was, this loop must outlast it: nobody else would look at the queue.
                    log.exception("bus.claim_failed", queue=queue.name, again_in_s=RETRY_S)
                    await pause(self._clock, RETRY_S, self._stopping)
                    continue
                for task in claimed:
                    handling = group.create_task(self._run(queue, handle, task), name=f"{queue.name} {task.fact_id}")
                    running.add(handling)
                    handling.add_done_callback(done)
                if len(claimed) < free or not free:
                    await pause(self._clock, self._poll_s, woken, self._stopping)
            if await finish(self._clock, FINISH_S, tuple(running)):
                log.warning("bus.cut", queue=queue.name, seconds=FINISH_S)

    async def _claim(self, queue: Queue, limit: int) -> list[Task]:
        """Claim up to `limit` tasks, one suspect among them if this process has none."""
        now = self._now()
        lease_s = queue.time_limit_s + LEASE_MARGIN_S if self._lease_s is None else self._lease_s
        until = now + datetime.timedelta(seconds=lease_s)
        ours = not self._alone
        self._alone = True  # for as long as nobody knows whether a suspect comes
        claimed: list[Task] = []
        try:
            async with self._database.tx() as tx:
                if queue.ordered:
                    found = await Tasks(tx).claim_first(queue.name, now, until, died=ours)
                else:
                    found = await Tasks(tx).claim(queue.name, now, until, limit, died=ours)
            claimed = found
        finally:
            if ours:
                self._alone = any(task.died for task in claimed)
        return claimed

    async def _run(self, queue: Queue, handle: Handle, task: Task) -> None:
        statistics = self._statistics.of(queue)
        statistics.running += 1
        began = self._clock.monotonic()
        try:
            await self._handle(queue, handle, task)
        except TaskTaken as taken:
            statistics.lost += 1
            log.warning("bus.task_taken", task=str(taken))
        except asyncio.CancelledError:
            await self._give_back(queue, task)
            raise
        except Exception:
            # Neither done nor put back: the lease will run out, and somebody will try again.
            statistics.lost += 1
            log.exception("bus.left_to_its_lease", queue=queue.name, fact=str(task.fact_id))
        finally:
            statistics.running -= 1
            statistics.seconds.add(self._clock.monotonic() - began)
            if task.died:
                self._alone = False

    async def _handle(self, queue: Queue, handle: Handle, task: Task) -> None:
        if task.attempt > queue.max_attempts:
            reason = f"begun {task.attempt - 1} times and never answered: its worker died each time"
            await self._after(queue, task, Park(reason))
            return
        try:
            envelope = facts.decode(task.envelope)
        except UNREADABLE as problem:
            await self._after(queue, task, Park(f"nobody here can read it: {problem}"))
            return
        delivery = _PostgresDelivery(queue, envelope, task)
        try:
            await within_limit(queue, handle, delivery)
        except TaskTaken:
            raise
        except Exception as failure:
            verdict = after_failure(
                failure,
                task.attempt,
                ladder=self._ladder.in_place() if queue.ordered else self._ladder,
                max_attempts=queue.max_attempts,
                age_ms=self._clock.wall_ms() - envelope.at_ms,
            )
            log.warning("bus.handler_failed", **_about(queue, task, verdict), exc_info=failure)
            await self._after(queue, task, verdict)
            return
        if not delivery.settled:
            await self._write_down(queue, task, delivery.settle)
        self._statistics.of(queue).handled += 1

    async def _after(self, queue: Queue, task: Task, verdict: Again | Park) -> None:
        """Write down what becomes of a failed attempt."""
        statistics = self._statistics.of(queue)
        if isinstance(verdict, Park):
            await self._write_down(queue, task, lambda tx: self._park(tx, queue, task, verdict))
            statistics.parked += 1
            log.error("bus.parked", queue=queue.name, fact=str(task.fact_id), reason=verdict.reason)
        else:
            await self._write_down(queue, task, lambda tx: self._again(tx, queue, task, verdict))
            statistics.retried += 1

    async def _park(self, tx: Tx, queue: Queue, task: Task, verdict: Park) -> None:
        await Tasks(tx).park(queue.name, task.fact_id, task.claims, reason=verdict.reason, at=self._now())

    async def _again(self, tx: Tx, queue: Queue, task: Task, verdict: Again) -> None:
        due_at = self._now() + datetime.timedelta(seconds=verdict.delay_s)
        # The count in the row is of attempts begun; `claim` adds the next one.
        await Tasks(tx).again(queue.name, task.fact_id, task.claims, due_at=due_at, attempts=verdict.attempt - 1)

    async def _write_down(self, queue: Queue, task: Task, write: Callable[[Tx], Awaitable[None]]) -> None:
        """Keep how an attempt ended, for as long as the database is away: the task would count as one that has killed
        its worker, and be parked after a few such moments. Should the lease run out meanwhile, `claims` keeps this from
        touching what another worker does."""
        while True:
            try:
                async with self._database.tx() as tx:
                    await write(tx)
            except Unavailable as problem:
                log.warning(
                    "bus.not_written_down",
                    queue=queue.name,
                    fact=str(task.fact_id),
                    problem=str(problem),
                    again_in_s=RETRY_S,
                )
                await self._clock.sleep(RETRY_S)
            else:
                return

    async def _give_back(self, queue: Queue, task: Task) -> None:
        """A handler that was cut short has had no attempt: another worker may begin at once."""
        try:
            async with self._database.tx() as tx:
                await Tasks(tx).again(
                    queue.name, task.fact_id, task.claims, due_at=self._now(), attempts=task.attempt - 1
                )
        except Exception:
            log.exception("bus.left_to_its_lease", queue=queue.name, fact=str(task.fact_id))


@contextlib.contextmanager
def _away() -> Iterator[None]:
    """A database that is away is a bus that is away."""
    try:
        yield
    except Unavailable as problem:
        raise BusUnavailable(str(problem)) from problem


def _fact_id(key: str) -> FactId | None:
    try:
        return FactId(uuid.UUID(key))
    except ValueError:
        return None  # here every task is known by its fact's id


def _parked(task: ParkedTask) -> Parked:
    try:
        envelope = facts.decode(task.envelope)
    except UNREADABLE:
        envelope = None
    body = task.envelope[:BODY_LENGTH]
    return Parked(str(task.fact_id), envelope, body, task.attempt, task.reason, to_wall_ms(task.parked_at))


def _about(queue: Queue, task: Task, verdict: Again | Park) -> dict[str, str | int | float]:
    about: dict[str, str | int | float] = {
        "queue": queue.name,
        "fact": str(task.fact_id),
        "attempt": task.attempt,
    }
    if isinstance(verdict, Again):
        about["again_in_s"] = verdict.delay_s
    return about
