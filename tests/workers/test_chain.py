"""From a finished workout to the message on its owner's socket: outbox, relay, bus, consumers, on each bus."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from persistence import outbox, tasks
from persistence.database import Database
from realtime.wire import ClassSummary, TaskView, WorkoutSummaryView
from services.classes.bookings import Bookings
from services.classes.live_class import LiveClass
from services.classes.showing import Showing
from services.classes.timeline import Timeline
from services.kernel.clock import SystemClock, utc
from services.kernel.facts import ClassEnded, WorkoutFinished
from services.kernel.ids import AccountId, ChallengeId, ClassId, LoginId, NotificationId
from services.notifications.notification import Notification
from services.notifications.ports import Reader
from services.training.summary import summarise
from tests.support.challenged import Challenged, shown
from tests.support.notified import notifying
from tests.support.rabbitmq import RabbitMQ
from tests.support.task_buses import LADDER, WAIT_S, eventually
from tests.support.world import BODY, steady
from workers.amqp import open_amqp_bus
from workers.amqp_link import close, connect
from workers.amqp_topology import arguments_of
from workers.bus import Delivery, TaskBus
from workers.consumer import Consumer
from workers.handlers import QUEUES, table
from workers.postgres_bus import PostgresBus
from workers.relay import Relay
from workers.wakeups import Wakeups

pytest_plugins = ["tests.support.rabbitmq"]


class Inboxes:
    """What people see on their sockets."""

    def __init__(self) -> None:
        self.summaries: list[WorkoutSummaryView] = []
        self.tables: list[ClassSummary] = []
        self.notifications: list[tuple[str, str, int]] = []

    def workout_summary(self, account_id: AccountId, view: WorkoutSummaryView) -> None:
        self.summaries.append(view)

    async def class_ended(self, live: LiveClass) -> None:
        pass

    async def class_summary(self, class_id: ClassId, summary: ClassSummary) -> None:
        self.tables.append(summary)

    async def class_clock(self, class_id: ClassId, timeline: Timeline) -> None:
        raise NotImplementedError

    async def message_removed(self, class_id: ClassId, position: str) -> None:
        raise NotImplementedError

    def member_shown(self, class_id: ClassId, account_id: AccountId, showing: Showing) -> None:
        raise NotImplementedError

    async def class_coaches(self, live: LiveClass) -> None:
        raise NotImplementedError

    async def class_ranking(self, live: LiveClass) -> None:
        raise NotImplementedError

    async def member_removed(self, class_id: ClassId, account_id: AccountId, n: int, removals: int) -> None:
        raise NotImplementedError

    async def member_let_in(self, class_id: ClassId, account_id: AccountId, n: int, removals: int) -> None:
        raise NotImplementedError

    def login_ended(self, account_id: AccountId, login_id: LoginId, reason: str) -> None:
        raise NotImplementedError

    def table_moved(self, challenge_id: ChallengeId) -> None:
        pass

    def task_progress(self, account_id: AccountId, view: TaskView) -> None:
        raise NotImplementedError

    def notification_new(self, notification: Notification, reader: Reader, unread: int) -> None:
        self.notifications.append((notification.topic, reader.name, unread))

    def notifications_read(
        self, account_id: AccountId, ids: tuple[NotificationId, ...], up_to: NotificationId | None, unread: int
    ) -> None:
        raise NotImplementedError


@pytest.fixture(params=["postgres", "rabbitmq"])
def broker(request: pytest.FixtureRequest) -> RabbitMQ | None:
    """The broker, or None for the bus on Postgres."""
    if request.param == "postgres":
        return None
    found: RabbitMQ = request.getfixturevalue("rabbitmq")
    return found


@pytest.fixture
def world(database: Database) -> Challenged:
    """An empty world."""
    return Challenged(database)


@pytest.fixture
async def wakeups(database: Database) -> AsyncIterator[Wakeups]:
    """Listening for what the outbox and the tasks tell."""
    made = Wakeups(database, SystemClock(), (outbox.CHANNEL, tasks.CHANNEL))
    task = asyncio.create_task(made.run())
    yield made
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
async def bus(broker: RabbitMQ | None, database: Database, wakeups: Wakeups) -> AsyncIterator[TaskBus]:
    """The program's own queues on each bus."""
    if broker is None:
        yield PostgresBus(database, SystemClock(), QUEUES, wakeups, ladder=LADDER, poll_s=0.05, lease_s=0.5)
        return
    async with open_amqp_bus(broker.url, SystemClock(), QUEUES, ladder=LADDER) as bus:
        yield bus
    link = await connect(broker.url, "test")
    for queue in QUEUES:
        for name in arguments_of(queue, LADDER):
            await link.channel.queue_delete(name)
    await close(link)


class Clumsy:
    """A consumer whose worker fails just after the commit of its first delivery of each fact: the effect is there, the
    bus does not know."""

    def __init__(self, consumer: Consumer) -> None:
        self._consumer = consumer
        self._stumbled: set[object] = set()

    async def __call__(self, delivery: Delivery) -> None:
        await self._consumer(delivery)
        if delivery.envelope.id not in self._stumbled:
            self._stumbled.add(delivery.envelope.id)
            raise ConnectionResetError("after the commit, before the acknowledgement")


@asynccontextmanager
async def workers(
    world: Challenged, bus: TaskBus, wakeups: Wakeups, people: Inboxes, *, clumsy: bool = False
) -> AsyncIterator[list[Consumer]]:
    """Relay and consumers, as one process has them."""
    relay = Relay(world.transactions, bus, SystemClock(), wakeups, poll_s=0.05)
    loops = [asyncio.create_task(relay.run())]
    consumers = [
        Consumer(row.queue, row.handler, world.transactions, SystemClock())
        for row in table(world.clock, people, notifying(world), world.webhook_facts())
    ]
    for consumer in consumers:
        handle = Clumsy(consumer) if clumsy else consumer
        loops.append(asyncio.create_task(bus.consume(consumer.queue, handle)))
    async with AsyncExitStack() as stack:
        stack.callback(relay.stop)
        stack.callback(bus.stop)
        yield consumers
    async with asyncio.timeout(WAIT_S):
        await asyncio.gather(*loops)


@pytest.mark.parametrize("clumsy", [False, True], ids=["in peace", "every acknowledgement lost once"])
async def test_a_finished_workout_and_an_ended_class_reach_the_people_once(
    world: Challenged, bus: TaskBus, wakeups: Wakeups, broker: RabbitMQ | None, *, clumsy: bool
) -> None:
    people = Inboxes()
    coach, ada = await world.account("Cleo", "coach"), await world.account("Ada")
    live = await world.live_class(coach)
    await world.enter(live, ada)
    challenge = await world.challenge(ada, kind="zone_time", from_zone=1)
    await world.join(challenge, ada)
    samples = steady(120)
    workout_id, _ = await world.workout(ada, samples, live=live, zone_ms=(0, 0, 0, 120_000, 0, 0))
    await world.end(live)
    async with world.transactions() as stores:
        await stores.workouts.finish(workout_id, utc(world.clock.wall_ms()))
        await stores.outbox.add(WorkoutFinished(workout_id=workout_id, account_id=ada.account_id), workout_id)
        await stores.outbox.add(ClassEnded(class_id=live.id), live.id)
    async with workers(world, bus, wakeups, people, clumsy=clumsy) as consumers:
        # Seventeen facts to handle. On Postgres the task ends with the commit, so there a lost word brings nothing back.
        again = 17 if clumsy and broker is not None else 0
        await eventually(lambda: sum(each.statistics.effects for each in consumers) == 17)
        await eventually(lambda: sum(each.statistics.duplicates for each in consumers) == again)
    assert [(view.workout, view.revision, view.class_id) for view in people.summaries] == [(workout_id, 1, live.id)]
    assert people.summaries[0].summary == summarise(samples, BODY)
    (final,) = people.tables
    assert [(line.name, line.rank, line.effort) for line in final.standings] == [("Ada", 1, 6.0)]
    told = sorted((topic, name) for topic, name, _ in people.notifications)
    assert told == [("class.summarised", "Ada"), ("workout.summarised", "Ada")]
    assert await world.told() == []
    assert shown(await world.challenges.table(ada, challenge.id)) == [(1, "Ada", 119_000)]
    async with world.transactions() as stores:
        found = await stores.workouts.by_id(workout_id)
    assert found is not None
    assert found.revision == 1


async def test_whoever_comes_off_the_waitlist_hears_of_it_is_reminded_and_finds_the_doors_open(
    world: Challenged, bus: TaskBus, wakeups: Wakeups
) -> None:
    people = Inboxes()
    ada, bob = await world.account("Ada"), await world.account("Bob")
    class_id = await world.offer(await world.account("Mira", "member", "coach"), in_min=61, capacity=1)
    booked, waiting = await world.book(ada, class_id), await world.book(bob, class_id)
    bookings = Bookings(world.transactions, world.clock, world.ids)
    await bookings.cancel(ada, booked.id)

    async def wait_min(minutes: int) -> None:
        await world.clock.advance(minutes * 60)
        async with world.transactions() as stores:
            await stores.schedule.tell(stores.outbox, utc(world.clock.wall_ms()), 10)

    async with workers(world, bus, wakeups, people) as consumers:
        await wait_min(1)
        # Cancelled, promoted, reminded; and two pieces of news on Bob's sockets.
        await eventually(lambda: sum(each.statistics.effects for each in consumers) == 5)
        assert (await bookings.by_id(bob, waiting.id)).code is None
        await wait_min(45)
        await eventually(lambda: sum(each.statistics.effects for each in consumers) == 6)
    told = sorted((topic, name) for topic, name, _ in people.notifications)
    assert told == [("booking.promoted", "Bob"), ("class.reminder", "Bob")]
    async with world.transactions() as stores:
        live = await stores.classes.by_id(class_id)
    assert live is not None
    assert (await bookings.by_id(bob, waiting.id)).code == live.code
