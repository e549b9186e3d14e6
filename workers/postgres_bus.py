"""The task bus on Postgres, for whoever runs Paceline without RabbitMQ.

Same promises as the broker, on the table `tasks` (persistence/tasks.py says how a task is taken and ended). One loop per
queue claims as many due tasks as it has hands free; it is woken by a notification, and looks by itself every `POLL_S`.

`Delivery.settle` deletes the task inside the handler's own transaction, so on this bus effect and end of a task are one
commit, and the inbox only has to catch facts that were published twice.
"""

import asyncio
import datetime
from typing import Final

import msgspec
import structlog

from persistence.database import Database, Tx
from persistence.tasks import CHANNEL, Task, Tasks
from services.kernel import facts
from services.kernel.clock import Clock, utc
from services.kernel.facts import Envelope
from services.kernel.ids import FactId
from services.kernel.problems import Unavailable
from workers.bus import (
    PUBLISH_TIMEOUT_S,
    BusStatistics,
    BusUnavailable,
    Delivery,
    Handle,
    Parked,
    Queue,
    TaskTaken,
    wanted_by,
)
from workers.retry import Again, Ladder, Park, after_failure
from workers.wakeups import Wakeups, pause

POLL_S: Final = 1.0
"""How often a queue is looked at without having been woken; also how late a retry may be."""
LEASE_S: Final = 15.0
"""How long a claimed task is left alone before its handler's transaction holds it: longer than any wait for a
connection, and how late a task is that died with its worker."""
RETRY_S: Final = 2.0
"""Between two looks while the database is away."""

log = structlog.get_logger(__name__)


class _PostgresDelivery:
    """A claimed task on its way through a handler."""

    def __init__(self, queue: Queue, envelope: Envelope, attempt: int) -> None:
        self.envelope: Final = envelope
        self.attempt: Final = attempt
        self.settled = False
        self._queue: Final = queue

    async def settle(self, tx: Tx) -> None:
        if not await Tasks(tx).settle(self._queue.name, self.envelope.id, self.attempt):
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
        lease_s: float = LEASE_S,
    ) -> None:
        self._database: Final = database
        self._clock: Final = clock
        self._queues: Final = queues
        self._wakeups: Final = wakeups
        self._ladder: Final = ladder or Ladder()
        self._poll_s: Final = poll_s
        self._lease: Final = datetime.timedelta(seconds=lease_s)
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
        woken = asyncio.Event()
        if self._wakeups is None:
            await self._consume(queue, handle, woken)
        else:
            with self._wakeups.on(CHANNEL, woken):
                await self._consume(queue, handle, woken)

    def stop(self) -> None:
        """See `TaskBus.stop`."""
        self._stopping.set()

    async def parked(self, queue: Queue, limit: int = 100) -> list[Parked]:
        """See `TaskBus.parked`."""
        try:
            async with self._database.tx() as tx:
                found = await Tasks(tx).parked(queue.name, limit)
        except Unavailable as problem:
            raise BusUnavailable(str(problem)) from problem
        return [Parked(task.fact_id, task.envelope, task.attempt, task.reason) for task in found]

    async def replay(self, queue: Queue, fact_id: FactId) -> bool:
        """See `TaskBus.replay`."""
        try:
            async with self._database.tx() as tx:
                return await Tasks(tx).replay(queue.name, fact_id, self._now())
        except Unavailable as problem:
            raise BusUnavailable(str(problem)) from problem

    def statistics(self) -> BusStatistics:
        """See `TaskBus.statistics`."""
        return self._statistics

    def _now(self) -> datetime.datetime:
        return utc(self._clock.wall_ms())

    # -- one queue ------------------------------------------------------------------------------------------------

    async def _consume(self, queue: Queue, handle: Handle, woken: asyncio.Event) -> None:
        """Claim as many tasks as hands are free; the group waits for those that run when the loop ends."""
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

    async def _claim(self, queue: Queue, limit: int) -> list[Task]:
        now = self._now()
        async with self._database.tx() as tx:
            return await Tasks(tx).claim(queue.name, now, now + self._lease, limit)

    async def _run(self, queue: Queue, handle: Handle, task: Task) -> None:
        statistics = self._statistics.of(queue)
        statistics.running += 1
        began = self._clock.monotonic()
        try:
            await self._handle(queue, handle, task)
        except TaskTaken as taken:
            log.warning("bus.task_taken", task=str(taken))
        except Exception:
            # Neither done nor put back: the lease will run out, and somebody will try again.
            log.exception("bus.left_to_its_lease", queue=queue.name, fact=str(task.fact_id))
        finally:
            statistics.running -= 1
            statistics.seconds += self._clock.monotonic() - began

    async def _handle(self, queue: Queue, handle: Handle, task: Task) -> None:
        if task.attempt > queue.max_attempts:
            reason = f"begun {task.attempt - 1} times and never answered: its worker died each time"
            await self._after(queue, task, Park(reason))
            return
        try:
            envelope = facts.decode(task.envelope)
        except msgspec.DecodeError as problem:
            await self._after(queue, task, Park(f"nobody here can read it: {problem}"))
            return
        delivery = _PostgresDelivery(queue, envelope, task.attempt)
        try:
            await handle(delivery)
        except TaskTaken:
            raise
        except Exception as failure:
            verdict = after_failure(
                failure,
                task.attempt,
                ladder=self._ladder,
                max_attempts=queue.max_attempts,
                age_ms=self._clock.wall_ms() - envelope.at_ms,
            )
            log.warning("bus.handler_failed", **_about(queue, task, verdict), exc_info=failure)
            await self._after(queue, task, verdict)
            return
        if not delivery.settled:
            await self._settle(delivery)
        self._statistics.of(queue).handled += 1

    async def _settle(self, delivery: Delivery) -> None:
        async with self._database.tx() as tx:
            await delivery.settle(tx)

    async def _after(self, queue: Queue, task: Task, verdict: Again | Park) -> None:
        """Write down what becomes of a failed attempt."""
        now = self._now()
        async with self._database.tx() as tx:
            if isinstance(verdict, Park):
                self._statistics.of(queue).parked += 1
                await Tasks(tx).park(queue.name, task.fact_id, task.attempt, reason=verdict.reason, at=now)
                log.error("bus.parked", queue=queue.name, fact=str(task.fact_id), reason=verdict.reason)
                return
            self._statistics.of(queue).retried += 1
            due_at = now + datetime.timedelta(seconds=verdict.delay_s)
            # The count in the row is of attempts begun; `claim` adds the next one.
            await Tasks(tx).again(queue.name, task.fact_id, task.attempt, due_at=due_at, attempts=verdict.attempt - 1)


def _about(queue: Queue, task: Task, verdict: Again | Park) -> dict[str, str | int | float]:
    about: dict[str, str | int | float] = {
        "queue": queue.name,
        "fact": str(task.fact_id),
        "attempt": task.attempt,
    }
    if isinstance(verdict, Again):
        about["again_in_s"] = verdict.delay_s
    return about
