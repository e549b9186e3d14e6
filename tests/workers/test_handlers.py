"""The asynchronous behaviour of the program, fact by fact, on real stores."""

import asyncio

import msgspec
import pytest

from persistence.database import Database
from realtime.wire import TaskView, WorkoutSummaryView
from services.classes.class_clock import Started
from services.classes.live_class import LiveClass
from services.classes.metric import Metric
from services.classes.showing import Showing
from services.classes.summary import ClassSummary
from services.classes.timeline import Timeline
from services.kernel.clock import utc
from services.kernel.facts import (
    FACTS,
    AccountRegistered,
    AnyFact,
    ClassBooked,
    ClassClockMoved,
    ClassCoachesChanged,
    ClassDoorsDue,
    ClassEnded,
    ClassMemberLetIn,
    ClassMemberRemoved,
    ClassMessageRemoved,
    ClassRankingChanged,
    ClassSummarised,
    EntitlementGranted,
    EntitlementWithdrawn,
    LoginEnded,
    NotificationsRead,
    NotificationsTold,
    SensorChosen,
    ShowingChosen,
    TaskEnded,
    WorkoutFinished,
    WorkoutSummarised,
)
from services.kernel.ids import AccountId, ChallengeId, ClassId, LoginId, NotificationId, TaskId, WorkoutId
from services.notifications.notification import Notification
from services.notifications.ports import Reader
from services.tasks.task import ExportAccount
from services.tasks.tasks import start
from services.training.summary import summarise
from tests.services.classes.scripts import script
from tests.support.notified import Notified, announced, notifying
from tests.support.world import BODY, World, steady
from workers.handlers import CLASS_DOORS, CLASS_SUMMARIES, LONG_TASKS, PUSHES, QUEUES, WORKOUT_SUMMARIES, Row, table
from workers.retry import Unprocessable

MINUTE = 60_000


class Pushed:
    """Remembers what people were told."""

    def __init__(self) -> None:
        self.workouts: list[tuple[AccountId, WorkoutSummaryView]] = []
        self.ended: list[ClassId] = []
        self.classes: list[tuple[ClassId, ClassSummary]] = []
        self.shown: list[tuple[ClassId, AccountId, Showing]] = []
        self.clocks: list[tuple[ClassId, Timeline]] = []
        self.coaches: list[tuple[ClassId, AccountId]] = []
        self.rankings: list[tuple[ClassId, Metric]] = []
        self.removed: list[tuple[ClassId, AccountId, int, int]] = []
        self.taken_down: list[tuple[ClassId, str]] = []
        self.logins: list[tuple[AccountId, LoginId, str]] = []
        self.tasks: list[tuple[AccountId, TaskView]] = []
        self.new: list[tuple[Notification, Reader, int]] = []
        self.read: list[tuple[AccountId, tuple[NotificationId, ...], NotificationId | None, int]] = []

    def workout_summary(self, account_id: AccountId, view: WorkoutSummaryView) -> None:
        self.workouts.append((account_id, view))

    async def class_ended(self, live: LiveClass) -> None:
        self.ended.append(live.id)

    async def class_summary(self, class_id: ClassId, summary: ClassSummary) -> None:
        self.classes.append((class_id, summary))

    async def class_clock(self, class_id: ClassId, timeline: Timeline) -> None:
        self.clocks.append((class_id, timeline))

    async def message_removed(self, class_id: ClassId, position: str) -> None:
        self.taken_down.append((class_id, position))

    def member_shown(self, class_id: ClassId, account_id: AccountId, showing: Showing) -> None:
        self.shown.append((class_id, account_id, showing))

    async def class_coaches(self, live: LiveClass) -> None:
        self.coaches.append((live.id, live.coach_id))

    async def class_ranking(self, live: LiveClass) -> None:
        self.rankings.append((live.id, live.metric))

    async def member_removed(self, class_id: ClassId, account_id: AccountId, n: int, removals: int) -> None:
        self.removed.append((class_id, account_id, n, removals))

    async def member_let_in(self, class_id: ClassId, account_id: AccountId, n: int, removals: int) -> None:
        self.removed.append((class_id, account_id, n, removals))

    def login_ended(self, account_id: AccountId, login_id: LoginId, reason: str) -> None:
        self.logins.append((account_id, login_id, reason))

    def table_moved(self, challenge_id: ChallengeId) -> None:
        raise NotImplementedError

    def task_progress(self, account_id: AccountId, view: TaskView) -> None:
        self.tasks.append((account_id, view))

    def notification_new(self, notification: Notification, reader: Reader, unread: int) -> None:
        self.new.append((notification, reader, unread))

    def notifications_read(
        self, account_id: AccountId, ids: tuple[NotificationId, ...], up_to: NotificationId | None, unread: int
    ) -> None:
        self.read.append((account_id, ids, up_to, unread))


@pytest.fixture
def world(database: Database) -> World:
    """An empty world."""
    return World(database)


@pytest.fixture
def pushed() -> Pushed:
    """What people were told."""
    return Pushed()


@pytest.fixture
def rows(world: World, pushed: Pushed) -> dict[str, Row]:
    """The table by queue."""
    return {row.queue.name: row for row in table(world.clock, pushed, notifying(world), world.webhook_facts())}


async def happen(world: World, row: Row, fact: AnyFact) -> None:
    """Handle a fact as a worker would."""
    async with world.transactions() as stores:
        await row.handler(stores, fact)


async def stored_table(world: World, live: LiveClass) -> ClassSummary | None:
    """The final table as stored."""
    async with world.transactions() as stores:
        stored = await stores.classes.summary(live.id)
    return None if stored is None else msgspec.json.decode(stored, type=ClassSummary)


def test_every_queue_has_one_row_and_every_fact_but_five_is_wanted(rows: dict[str, Row]) -> None:
    assert [row.queue for row in rows.values()] == list(QUEUES)
    assert len(rows) == len(QUEUES)
    unwanted = set(FACTS) - {fact for queue in QUEUES for fact in queue.wants}
    assert unwanted == {AccountRegistered, ClassBooked, EntitlementGranted, EntitlementWithdrawn, SensorChosen}


@pytest.mark.parametrize("queue", QUEUES, ids=lambda queue: str(queue.name))
async def test_a_handler_refuses_what_its_queue_does_not_want(
    queue: object, world: World, rows: dict[str, Row]
) -> None:
    row = next(row for row in rows.values() if row.queue is queue)
    with pytest.raises(Unprocessable):
        await happen(world, row, AccountRegistered(account_id=AccountId(world.ids.next())))


async def test_a_finished_workout_gets_its_summary(world: World, rows: dict[str, Row]) -> None:
    ada = await world.account()
    workout_id, _ = await world.workout(ada, steady(90))
    await happen(world, rows[WORKOUT_SUMMARIES.name], WorkoutFinished(workout_id=workout_id, account_id=ada.account_id))
    async with world.transactions() as stores:
        found = await stores.workouts.by_id(workout_id)
    assert found is not None
    assert (found.revision, found.summary) == (1, summarise(steady(90), BODY))
    assert await world.told() == [WorkoutSummarised(workout_id=workout_id, account_id=ada.account_id)]


async def test_a_workout_that_was_deleted_meanwhile_is_no_failure(world: World, rows: dict[str, Row]) -> None:
    gone = WorkoutFinished(workout_id=WorkoutId(world.ids.next()), account_id=AccountId(world.ids.next()))
    for row in rows.values():
        if WorkoutFinished in row.queue.wants:
            await happen(world, row, gone)
    assert await world.told() == []


async def test_the_doors_of_a_class_that_was_offered_open_once(world: World, rows: dict[str, Row]) -> None:
    class_id = await world.offer(await world.account("Mira", "member", "coach"), in_min=20)
    due = ClassDoorsDue(class_id=class_id)
    for waited_s, there in ((0, False), (300, True), (0, True)):
        await world.clock.advance(waited_s)
        await happen(world, rows[CLASS_DOORS.name], due)
        async with world.transactions() as stores:
            assert (await stores.classes.by_id(class_id) is not None) == there
    await happen(world, rows[CLASS_DOORS.name], ClassDoorsDue(class_id=ClassId(world.ids.next())))


async def test_an_ended_class_gets_its_final_table(world: World, rows: dict[str, Row]) -> None:
    coach, ada, bob = await world.account("Cleo", "coach"), await world.account("Ada"), await world.account("Bob")
    live = await world.live_class(coach)
    for athlete, zone_ms in ((ada, (0, MINUTE, 0, 0, 0, 0)), (bob, (0, 0, 2 * MINUTE, 0, 0, 0))):
        await world.enter(live, athlete)
        await world.workout(athlete, steady(5), live=live, zone_ms=zone_ms)
    await world.enter(live, coach, "coach")
    await world.clock.advance(1_800)
    await world.end(live)
    await happen(world, rows[CLASS_SUMMARIES.name], ClassEnded(class_id=live.id))
    made = await stored_table(world, live)
    assert made is not None
    assert (made.title, made.duration_ms, made.athletes) == ("Hills", 1_800_000, 2)
    assert [(line.rank, line.name, line.effort) for line in made.standings] == [(1, "Bob", 4.0), (2, "Ada", 1.0)]
    assert await world.told() == [ClassSummarised(class_id=live.id)]


async def test_the_efforts_of_two_streams_of_one_member_add_up(world: World, rows: dict[str, Row]) -> None:
    coach, ada = await world.account("Cleo", "coach"), await world.account()
    live = await world.live_class(coach)
    await world.enter(live, ada)
    for _ in range(2):
        await world.workout(ada, steady(5), live=live, zone_ms=(0, 0, 0, MINUTE, 0, 0))
    await world.end(live)
    await happen(world, rows[CLASS_SUMMARIES.name], ClassEnded(class_id=live.id))
    made = await stored_table(world, live)
    assert made is not None
    assert [line.effort for line in made.standings] == [6.0]


async def test_the_same_end_told_twice_is_announced_once(world: World, rows: dict[str, Row]) -> None:
    live = await world.live_class(await world.account("Cleo", "coach"))
    await world.end(live)
    for _ in range(2):
        await happen(world, rows[CLASS_SUMMARIES.name], ClassEnded(class_id=live.id))
    assert await world.told() == [ClassSummarised(class_id=live.id)]


async def test_late_samples_correct_the_table_without_another_announcement(world: World, rows: dict[str, Row]) -> None:
    coach, ada = await world.account("Cleo", "coach"), await world.account()
    live = await world.live_class(coach)
    await world.enter(live, ada)
    workout_id, stream_id = await world.workout(ada, steady(5), live=live, zone_ms=(0, MINUTE, 0, 0, 0, 0))
    await world.end(live)
    await happen(world, rows[CLASS_SUMMARIES.name], ClassEnded(class_id=live.id))
    await world.write(stream_id, 5, steady(5, start=5), (0, 3 * MINUTE, 0, 0, 0, 0))
    finished = WorkoutFinished(workout_id=workout_id, account_id=ada.account_id)
    await happen(world, rows[CLASS_SUMMARIES.name], finished)
    made = await stored_table(world, live)
    assert made is not None
    assert [line.effort for line in made.standings] == [3.0]
    assert await world.told() == [ClassSummarised(class_id=live.id)]


async def test_a_table_that_is_being_made_without_late_samples_is_corrected_once_it_is_there(
    world: World, rows: dict[str, Row]
) -> None:
    coach, ada = await world.account("Cleo", "coach"), await world.account()
    live = await world.live_class(coach)
    await world.enter(live, ada)
    workout_id, stream_id = await world.workout(ada, steady(5), live=live, zone_ms=(0, MINUTE, 0, 0, 0, 0))
    await world.end(live)
    finished = WorkoutFinished(workout_id=workout_id, account_id=ada.account_id)
    async with world.transactions() as stores:
        await rows[CLASS_SUMMARIES.name].handler(stores, ClassEnded(class_id=live.id))
        await world.write(stream_id, 5, steady(5, start=5), (0, 3 * MINUTE, 0, 0, 0, 0))
        correcting = asyncio.create_task(happen(world, rows[CLASS_SUMMARIES.name], finished))
        while not correcting.done():
            if await stores.tx.fetchval("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)"):
                break
    await correcting
    made = await stored_table(world, live)
    assert made is not None
    assert [line.effort for line in made.standings] == [3.0]


async def test_a_workout_that_finishes_while_its_class_goes_on_makes_no_table(
    world: World, rows: dict[str, Row]
) -> None:
    coach, ada = await world.account("Cleo", "coach"), await world.account()
    live = await world.live_class(coach)
    await world.enter(live, ada)
    workout_id, _ = await world.workout(ada, steady(5), live=live)
    finished = WorkoutFinished(workout_id=workout_id, account_id=ada.account_id)
    await happen(world, rows[CLASS_SUMMARIES.name], finished)
    await happen(world, rows[CLASS_SUMMARIES.name], ClassEnded(class_id=live.id))  # told, but not true any more
    assert await stored_table(world, live) is None
    assert await world.told() == []


async def test_a_summary_is_pushed_to_its_owner_as_it_is_now(
    world: World, rows: dict[str, Row], pushed: Pushed
) -> None:
    coach, ada = await world.account("Cleo", "coach"), await world.account()
    live = await world.live_class(coach)
    workout_id, _ = await world.workout(ada, steady(90), live=live)
    finished = WorkoutFinished(workout_id=workout_id, account_id=ada.account_id)
    summarised = WorkoutSummarised(workout_id=workout_id, account_id=ada.account_id)
    await happen(world, rows[PUSHES.name], summarised)
    assert pushed.workouts == []
    for _ in range(2):
        await happen(world, rows[WORKOUT_SUMMARIES.name], finished)
    await happen(world, rows[PUSHES.name], summarised)
    view = WorkoutSummaryView(workout=workout_id, revision=2, summary=summarise(steady(90), BODY), class_id=live.id)
    assert pushed.workouts == [(ada.account_id, view)]


async def test_a_final_table_is_pushed_to_the_room(world: World, rows: dict[str, Row], pushed: Pushed) -> None:
    coach, ada = await world.account("Cleo", "coach"), await world.account()
    live = await world.live_class(coach)
    await world.enter(live, ada)
    await world.end(live)
    await happen(world, rows[PUSHES.name], ClassSummarised(class_id=live.id))
    assert pushed.classes == []
    await happen(world, rows[CLASS_SUMMARIES.name], ClassEnded(class_id=live.id))
    await happen(world, rows[PUSHES.name], ClassSummarised(class_id=live.id))
    ((class_id, summary),) = pushed.classes
    assert class_id == live.id
    assert pushed.ended == [live.id]
    assert [line.name for line in summary.standings] == ["Ada"]


async def test_a_changed_class_clock_is_pushed_as_it_is_now(world: World, rows: dict[str, Row], pushed: Pushed) -> None:
    live = await world.live_class(await world.account("Cleo", "coach"))
    ride = script(60)
    async with world.transactions() as stores:
        await stores.timelines.save_script(live.id, ride, 1, utc(world.clock.wall_ms()))
        await stores.timelines.add(live.id, 1, Started(5_000, 8_000), None)
    await happen(world, rows[PUSHES.name], ClassClockMoved(class_id=live.id))
    assert pushed.clocks == [(live.id, Timeline(ride, 1, (Started(5_000, 8_000),)))]


async def test_who_leads_a_class_and_who_was_sent_out_is_said_again_to_its_room(
    world: World, rows: dict[str, Row], pushed: Pushed
) -> None:
    coach, athlete = await world.account("Cleo", "coach"), await world.account("Ada")
    live = await world.live_class(coach)
    await happen(world, rows[PUSHES.name], ClassCoachesChanged(class_id=live.id))
    gone = ClassMemberRemoved(class_id=live.id, account_id=athlete.account_id, n=2)
    back = ClassMemberLetIn(class_id=live.id, account_id=athlete.account_id, n=2, removals=2)
    for fact in (gone, back):
        await happen(world, rows[PUSHES.name], fact)
    assert pushed.coaches == [(live.id, coach.account_id)]
    assert pushed.removed == [(live.id, athlete.account_id, 2, 1), (live.id, athlete.account_id, 2, 2)]


async def test_what_a_board_is_ranked_by_is_said_again_to_its_room(
    world: World, rows: dict[str, Row], pushed: Pushed
) -> None:
    live = await world.live_class(await world.account("Cleo", "coach"))
    changed = msgspec.structs.replace(live, metric="zone_minutes", ranking_n=1)
    async with world.transactions() as stores:
        await stores.classes.rank_by(changed)
    await happen(world, rows[PUSHES.name], ClassRankingChanged(class_id=live.id))
    assert pushed.rankings == [(live.id, "zone_minutes")]


async def test_a_message_that_was_taken_down_is_told_to_the_room(
    world: World, rows: dict[str, Row], pushed: Pushed
) -> None:
    class_id, position = ClassId(world.ids.next()), "0f3a9c41-000000000012"
    await happen(world, rows[PUSHES.name], ClassMessageRemoved(class_id=class_id, position=position))
    assert pushed.taken_down == [(class_id, position)]


async def test_an_ended_login_is_told_to_the_sockets(world: World, rows: dict[str, Row], pushed: Pushed) -> None:
    account_id, login_id = AccountId(world.ids.next()), LoginId(world.ids.next())
    fact = LoginEnded(account_id=account_id, login_id=login_id, reason="logged out")
    await happen(world, rows[PUSHES.name], fact)
    assert pushed.logins == [(account_id, login_id, "logged out")]


async def test_the_end_of_a_long_task_is_pushed_to_its_owner_and_one_that_waits_wakes_a_worker(world: World) -> None:
    pushed, woken = Pushed(), list[str]()
    rows = {
        row.queue.name: row for row in table(world.clock, pushed, notifying(world), world.webhook_facts(), woken.append)
    }
    ada = await world.account()
    task_id = TaskId(world.ids.next())
    async with world.transactions() as stores:
        await start(stores, task_id, ada.account_id, ExportAccount(), "key", world.clock.wall_ms())
        await stores.long_tasks.cancel(task_id, utc(world.clock.wall_ms()))
    (asked,) = await world.told()
    await happen(world, rows[LONG_TASKS.name], asked)
    assert woken == ["export_account"]
    ended = TaskEnded(task_id=task_id, account_id=ada.account_id, kind="export_account")
    await happen(world, rows[PUSHES.name], ended)
    assert [(account, view.task, view.state) for account, view in pushed.tasks] == [
        (ada.account_id, task_id, "cancelled")
    ]
    gone = TaskEnded(task_id=TaskId(world.ids.next()), account_id=ada.account_id, kind="export_account")
    await happen(world, rows[PUSHES.name], gone)
    assert len(pushed.tasks) == 1


async def test_what_is_new_in_an_inbox_is_pushed_to_its_owner_with_the_count_of_now(
    database: Database, rows: dict[str, Row], pushed: Pushed
) -> None:
    world = Notified(database)
    ada, bob = await world.account("Ada"), await world.account("Bob")
    await world.tell(announced("at eight"), ada, bob)
    (fact,) = [fact for fact in await world.told() if isinstance(fact, NotificationsTold)]
    await world.tell(announced("at nine"), ada, subject="another")
    await happen(world, rows[PUSHES.name], fact)
    told = sorted((reader.name, notification.content, unread) for notification, reader, unread in pushed.new)
    assert told == [("Ada", announced("at eight"), 2), ("Bob", announced("at eight"), 1)]


async def test_what_was_read_on_one_device_is_pushed_to_all_of_them(
    database: Database, rows: dict[str, Row], pushed: Pushed
) -> None:
    world = Notified(database)
    ada = await world.account()
    await world.tell(announced("at eight"), ada)
    await world.tell(announced("at nine"), ada, subject="another")
    newest, oldest = await world.inbox(ada)
    await world.use.mark_read(ada, (newest.id,))
    await world.use.mark_read_up_to(ada, oldest.id)
    for fact in await world.told():
        if isinstance(fact, NotificationsRead):
            await happen(world, rows[PUSHES.name], fact)
    assert sorted(pushed.read, key=str) == sorted(
        [(ada.account_id, (newest.id,), None, 0), (ada.account_id, (), oldest.id, 0)], key=str
    )


async def test_a_decision_how_to_be_shown_is_told_to_the_nodes_and_corrects_the_final_table(
    world: World, rows: dict[str, Row], pushed: Pushed
) -> None:
    coach, ada = await world.account("Cleo", "coach"), await world.account()
    live = await world.live_class(coach)
    await world.enter(live, ada)
    await world.end(live)
    await happen(world, rows[CLASS_SUMMARIES.name], ClassEnded(class_id=live.id))
    hidden = Showing("hidden", "", 1)
    async with world.transactions() as stores:
        await stores.showings.save(live.id, ada.account_id, hidden)
    chosen = ShowingChosen(class_id=live.id, account_id=ada.account_id)
    await happen(world, rows[PUSHES.name], chosen)
    await happen(world, rows[CLASS_SUMMARIES.name], chosen)
    assert pushed.shown == [(live.id, ada.account_id, hidden)]
    async with world.transactions() as stores:
        stored = await stores.classes.summary(live.id)
    assert stored is not None
    table = msgspec.json.decode(stored, type=ClassSummary)
    assert (table.athletes, table.standings) == (1, ())
