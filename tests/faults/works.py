"""What is done later on the stand: those who tell facts, and what the ledger says about them.

Orders are workouts that are finished, put straight into the database, each in one transaction with its fact: so many a second. A
clerk at each gateway creates and ends classes over HTTP, which tells facts too, and notes how long every answer took: that HTTP
does not wait for a broker is seen there. What becomes of all these facts is in the ledger (ledger.py).

As with the swarm: what is told and seen goes into the history, and what to think of it is the checkers' business.
"""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final

import aiohttp
import msgspec
from aio_pika.abc import AbstractIncomingMessage, AbstractQueue

from persistence.database import Database, open_database
from persistence.stores import Transactions
from services.kernel.clock import SystemClock, utc
from services.kernel.facts import (
    AnyFact,
    ChallengeMoved,
    ClassDoorsDue,
    LoginEnded,
    SafetyIncidentMoved,
    TaskAsked,
    WorkoutExamined,
    WorkoutFinished,
)
from services.kernel.ids import ChallengeId, ClassId, FactId, IncidentId, LoginId, TaskId, Uuid7Ids, WorkoutId
from services.kernel.problems import Unavailable
from tests.faults.history import Effect, FactTold, Handed, History, Parked, Poisoned
from tests.faults.ledger import ALL_QUEUES, LEDGER, Ledger, queues_wanting, reason_of
from tests.faults.outside import Outside
from tests.faults.people import Person, open_registry
from tests.faults.process import Gateway
from tests.faults.stand import Stand
from tests.support.rabbitmq import RabbitMQ, open_cluster
from tests.support.world import BODY
from workers.amqp_link import HEARTBEAT_S, Link, broker_faults, close, connect
from workers.amqp_topology import REASON, parking_queue
from workers.retry import Ladder
from workers.schedule import LEASE_S


class Tempo(msgspec.Struct, frozen=True):
    """How fast things are: orders a second; the heartbeat of connections to the broker, the ladder of every retry, how long
    whoever leads the schedule may be silent, how long a stranger may take with an answer, and for how long a circuit opens (None:
    as it is shipped)."""

    orders_per_s: float
    heartbeat_s: int
    ladder: Ladder
    lease_s: float
    answer_s: float
    circuit_s: float | None

    def environ(self) -> dict[str, str]:
        """What the workers have to be told of it."""
        delays = ",".join(str(delay) for delay in self.ladder.delays_s)
        told = {
            "BENCH_HEARTBEAT_S": str(self.heartbeat_s),
            "BENCH_LADDER_S": delays,
            "BENCH_LEASE_S": str(self.lease_s),
            "BENCH_ANSWER_S": str(self.answer_s),
        }
        return told if self.circuit_s is None else told | {"BENCH_CIRCUIT_S": str(self.circuit_s)}


BRISK: Final = Tempo(15.0, 1, Ladder((0.2, 0.4)), 3.0, answer_s=2.5, circuit_s=3.0)
FULL: Final = Tempo(25.0, HEARTBEAT_S, Ladder((1.0, 2.0, 4.0, 8.0)), LEASE_S, answer_s=10.0, circuit_s=None)
"""With the heartbeat that is shipped; with the ladder that is, a message would be parked after an hour and a quarter. The orders,
and the classes of the clerks, are what two cores just do beside the clients: what a minute of outage leaves is done in 47 to 63 s,
with both cores busy throughout. At fifty a second nothing was lost either, but that took 57 s once and more than a minute twice."""
ASK_EVERY_S: Final = 0.1
"""Two requests each time: below the twenty a second that one account gets for good (services/limits/table.py, `api`)."""
ASK_TIMEOUT_S: Final = 10.0
LOOK_EVERY_S: Final = 0.1


class Works:
    """Whoever tells facts, and the ledger. `poisoned` is what nobody can handle; `cluster` is another broker, of several nodes."""

    def __init__(
        self, stand: Stand, database: Database, clerks: Sequence[Person], tempo: Tempo, outside: Outside | None = None
    ) -> None:
        self.stand: Final = stand
        self.tempo: Final = tempo
        self.database: Final = database
        self.ledger: Final = Ledger(database)
        self.poisoned: set[uuid.UUID] = set()
        self.faults: list[str] = []
        self.cluster: asyncio.Task[tuple[RabbitMQ, ...]] | None = None
        self.history = History()
        self.clock: Final = SystemClock()
        self.ids: Final = Uuid7Ids(self.clock)
        self.transactions: Final = Transactions(database, self.clock, self.ids)
        self.clerk: Final = clerks[0]
        self._clerks: Final = dict(zip((gateway.name for gateway in stand.gateways), clerks, strict=True))
        self._outside: Final = outside
        self._hushed = True
        self._busy = 0
        self._orders = 0
        self._order_of: dict[FactId, int] = {}
        self._mark = 0
        self._handed: dict[str, int] = {}

    # -- a history's beginning and end --------------------------------------------------------------------------------

    async def begin(self, history: History) -> None:
        """Everything that happens from now on belongs to this history. To be called while all is quiet."""
        self.history = history
        self.faults.clear()
        self._mark = await self.ledger.mark()
        self._handed = {worker.name: worker.deliveries() for worker in self.stand.workers}

    def loud(self) -> None:
        """Tell facts."""
        self._hushed = False

    async def quiet(self) -> None:
        """Tell nothing more, and wait until what is being told is told."""
        self._hushed = True
        while self._busy:
            await asyncio.sleep(LOOK_EVERY_S)

    @property
    def outside(self) -> Outside:
        """Everybody whom the workers call. Raises LookupError where they were told of nobody."""
        if self._outside is None:
            raise LookupError("these works were opened without anybody outside")
        return self._outside

    async def owed(self) -> int:
        """How many effects are still to come."""
        return await self.ledger.owed(self._mark, self.poisoned)

    async def some_done(self, since: int) -> bool:
        """Whether anything told since a mark has had an effect."""
        return bool(await self.ledger.effects(since))

    async def relayed(self) -> int:
        """How many of the facts told have left the outbox."""
        return await self.ledger.relayed(self._mark)

    async def drained(self, within_s: float) -> float | None:
        """Wait until everything told has had its effects; how long that took, None when it was not in time."""
        began = time.monotonic()
        while (passed := time.monotonic() - began) < within_s:
            if not await self.owed():
                return passed
            await asyncio.sleep(LOOK_EVERY_S)
        return None

    async def note_done(self) -> None:
        """Read back what the database and the broker have of all that was told."""
        history = self.history
        for told in await self.ledger.told(self._mark):
            owed = [queue.name for queue in queues_wanting(told.type)]
            order = self._order_of.get(told.fact_id)
            history.note(FactTold(t=history.now(), who=told.type, fact=str(told.fact_id), owed=owed, order=order))
        for queue, fact_id in await self.ledger.effects(self._mark):
            history.note(Effect(t=history.now(), who=queue, fact=str(fact_id)))
        async with self.link() as link:
            for of in ALL_QUEUES:
                async for message in _taken(await link.channel.get_queue(parking_queue(of), ensure=False)):
                    reason = str(message.headers.get(REASON) or "the broker has given it up")
                    history.note(Parked(t=history.now(), who=of.name, fact=message.message_id or "", reason=reason))
        waiting = await self.ledger.waiting()
        for worker in self.stand.workers:
            deliveries = worker.deliveries() - self._handed.get(worker.name, 0)
            history.note(Handed(t=history.now(), who=worker.name, deliveries=deliveries, waiting=waiting))

    @asynccontextmanager
    async def link(self) -> AsyncIterator[Link]:
        """A connection of one's own to the broker, past every proxy."""
        with broker_faults("the bench does not reach the broker"):
            link = await connect(self._broker().url, "bench")
            try:
                yield link
            finally:
                await close(link)

    def _broker(self) -> RabbitMQ:
        if self.stand.broker is None:
            raise LookupError("this stand has no broker")
        return self.stand.broker

    # -- those who tell -----------------------------------------------------------------------------------------------

    async def order(self) -> None:
        """Orders, for ever, as many a second as there shall be; one that takes long holds up none of the others."""
        async with asyncio.TaskGroup() as group:
            began, turn = time.monotonic(), 0
            while True:
                turn += 1
                if not self._hushed:
                    self._orders += 1
                    group.create_task(self._order(self._orders), name=f"order {self._orders}")
                began = max(began, time.monotonic() - 1.0)  # what could not be ordered is not made up for
                await asyncio.sleep(max(0.0, began + 1 / self.tempo.orders_per_s - time.monotonic()))
                began += 1 / self.tempo.orders_per_s

    async def _order(self, number: int) -> None:
        workout_id = WorkoutId(self.ids.next())
        op = self.history.invoke("orders", "order", value=number)
        history = self.history
        self._busy += 1
        try:
            async with self.transactions() as stores:
                await stores.workouts.create(
                    workout_id,
                    account_id=self.clerk.account_id,
                    class_id=None,
                    sport="run",
                    physiology=BODY,
                    created_at=utc(self.clock.wall_ms()),
                )
                fact = WorkoutFinished(workout_id=workout_id, account_id=self.clerk.account_id)
                self._order_of[await stores.outbox.add(fact, workout_id)] = number
        except Unavailable as problem:
            history.end(op, "info", problem=problem.code)
        else:
            history.end(op, "ok")
        finally:
            self._busy -= 1

    async def tell(self, fact: AnyFact, about: uuid.UUID) -> FactId:
        """One fact more, whatever it is."""
        async with self.transactions() as stores:
            return await stores.outbox.add(fact, about)

    async def later(self, count: int, within_s: float) -> set[uuid.UUID]:
        """So many facts that are to be told later, evenly over the next seconds; what each is about."""
        about = [WorkoutId(self.ids.next()) for _ in range(count)]
        now_ms = self.clock.wall_ms()
        async with self.transactions() as stores:
            for n, workout_id in enumerate(about):
                fact = WorkoutFinished(workout_id=workout_id, account_id=self.clerk.account_id)
                at_ms = now_ms + round(1_000 * within_s * n / count)
                await stores.schedule.once(fact, workout_id, at_ms=at_ms, key=str(workout_id))
        return set(about)

    async def leader(self) -> str | None:
        """The node that leads the schedule, by the database's own clock; None while nobody does."""
        async with self.transactions() as stores:
            leader = await stores.ticks.leader()
        return None if leader is None or not leader.leads else leader.node

    async def ask_for_a_task(self) -> FactId:
        """The word that a long task waits, of a kind that nobody does: it wakes nobody."""
        task_id = TaskId(self.ids.next())
        return await self.tell(TaskAsked(task_id=task_id, account_id=self.clerk.account_id, kind="bench"), task_id)

    async def move_a_table(self) -> FactId:
        """The word that the table of a challenge moved, of one that nobody has made: there is nothing to copy."""
        challenge_id = ChallengeId(self.ids.next())
        return await self.tell(ChallengeMoved(challenge_id=challenge_id), challenge_id)

    async def call_for_doors(self) -> FactId:
        """The word that the doors of a class are due, of one that nobody has offered: none open."""
        class_id = ClassId(self.ids.next())
        return await self.tell(ClassDoorsDue(class_id=class_id), class_id)

    async def tell_of_an_incident(self) -> FactId:
        """The word that an incident has moved, of one that never was: nobody hears of it."""
        incident_id = IncidentId(self.ids.next())
        return await self.tell(SafetyIncidentMoved(incident_id, self.clerk.account_id), incident_id)

    async def tell_of_an_examination(self) -> FactId:
        """The word that a workout was examined, of one that never was: there is nothing to compare."""
        workout_id = WorkoutId(self.ids.next())
        return await self.tell(WorkoutExamined(workout_id, self.clerk.account_id), workout_id)

    async def poison(self, kind: str) -> FactId:
        """A fact that makes its handler raise, or kills its process."""
        login_id = LoginId(self.ids.next())
        fact = LoginEnded(account_id=self.clerk.account_id, login_id=login_id, reason=reason_of(kind))
        fact_id = await self.tell(fact, login_id)
        self.note_poison(LEDGER.name, fact_id, kind)
        return fact_id

    def note_poison(self, queue: str, message_id: uuid.UUID, how: str) -> None:
        """Nobody can handle this: it is owed to nobody, and has to be parked."""
        self.poisoned.add(message_id)
        self.history.note(Poisoned(t=self.history.now(), who=queue, fact=str(message_id), how=how))

    async def ask(self, gateway: Gateway) -> None:
        """Create a class at a gateway, end it, and so on, for ever."""
        who = f"http-{gateway.name}"
        while True:
            await asyncio.sleep(ASK_EVERY_S)
            if self._hushed:
                continue
            self._busy += 1
            try:
                created = await self._asked(who, gateway, "/v1/classes", {"title": "Fault ride"})
                if created is not None:
                    await self._asked(who, gateway, f"/v1/classes/{created}/end", {})
            finally:
                self._busy -= 1

    async def _asked(self, who: str, gateway: Gateway, path: str, body: dict[str, str]) -> str | None:
        """The id in the answer; None without one."""
        history, op = self.history, self.history.invoke(who, "ask")
        try:
            async with self.stand.http.post(
                gateway.server.base_url + path,
                json=body,
                headers={"Authorization": f"Bearer {self._clerks[gateway.name].token}"},
                timeout=aiohttp.ClientTimeout(total=ASK_TIMEOUT_S),
            ) as answer:
                content = await answer.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as problem:
            history.end(op, "info", problem=repr(problem))
            return None
        if answer.status >= 300:
            history.end(op, "fail", problem=str(answer.status))
            self.faults.append(f"{who}: {path} was answered with {answer.status}: {content[:200]!r}")
            return None
        history.end(op, "ok")
        return str(msgspec.json.decode(content)["id"])


@asynccontextmanager
async def open_works(
    stand: Stand, tempo: Tempo, *, nodes: int = 0, outside: Outside | None = None
) -> AsyncIterator[Works]:
    """The works of a stand with a broker; nobody tells anything before `loud`. `nodes`: a cluster of so many is made meanwhile;
    `outside`: whom the workers were told to call."""
    async with AsyncExitStack() as resources:
        registry = await resources.enter_async_context(open_registry(stand))
        database = await resources.enter_async_context(open_database(stand.database_url, size=4))
        names = [f"Clerk of the works at {gateway.name}" for gateway in stand.gateways]
        clerks = await registry.people(names, "coach", "member")
        works = Works(stand, database, clerks, tempo, outside)
        if nodes:
            works.cluster = asyncio.create_task(
                resources.enter_async_context(open_cluster(nodes)), name="a cluster starts"
            )
            resources.push_async_callback(_ended, works.cluster)
        loops = [asyncio.create_task(works.order(), name="orders")]
        loops += [
            asyncio.create_task(works.ask(gateway), name=f"clerk at {gateway.name}") for gateway in stand.gateways
        ]
        try:
            yield works
        finally:
            for loop in loops:
                loop.cancel()
            await asyncio.gather(*loops, return_exceptions=True)


async def _taken(queue: AbstractQueue) -> AsyncIterator[AbstractIncomingMessage]:
    """What lies in a queue; gone from it then, so that the next history begins with nothing."""
    while (message := await queue.get(fail=False)) is not None:
        await message.ack()
        yield message


async def _ended(task: asyncio.Task[Any]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
