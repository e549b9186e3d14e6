"""Everything that happens later, on one screen: which queue is told which facts, and what it then does.

A handler runs in one transaction together with its inbox (consumer.py), may be called again for the same fact if that
transaction did not commit, and reads the state as it is now: two facts of one workout may come in either order.

None of these queues is `ordered`, although the bus can: each handler locks what it changes and computes it from the state as it is
now, so the latest of two facts about one thing wins in either order, and a failure of one must not hold up a thousand others. A
push carries the revision of what it shows. Order would be due where a handler acts on what a fact says rather than on what is
stored. Pushes are quick and touch nothing but a connection, so a broker may send some ahead; what computes tables may not.

What leaves for people's pockets is not here: a notification's way out is a row with a time in it (workers/sending.py).

Adding one: a row in `table`, a method here; a fact that nobody wants is simply forgotten by the bus. A queue's name
is kept for ever, because messages wait under it across deployments.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec
import structlog

from persistence.stores import Stores
from realtime.wire import WorkoutSummaryView
from services.challenges.tables import HotTable
from services.classes.metric import Basis
from services.classes.summary import ClassSummary, final_table
from services.kernel.clock import Clock, utc
from services.kernel.facts import (
    AnnouncementMade,
    AnyFact,
    AudienceTold,
    BookingCancelled,
    BookingPromoted,
    ChallengeDue,
    ChallengeFinished,
    ChallengeMoved,
    ClassCalledOff,
    ClassClockMoved,
    ClassCoachesChanged,
    ClassDoorsDue,
    ClassEndDue,
    ClassEnded,
    ClassMemberLetIn,
    ClassMemberRemoved,
    ClassMessageRemoved,
    ClassRankingChanged,
    ClassReminderDue,
    ClassSummarised,
    ErasureAsked,
    FriendAsked,
    FriendsMade,
    LoginEnded,
    NotificationsRead,
    NotificationsTold,
    SafetyIncidentMoved,
    SafetyStepDue,
    SecondFactorChanged,
    ShowingChosen,
    TaskAsked,
    TaskEnded,
    WebhookPaused,
    WorkoutAppealed,
    WorkoutExamined,
    WorkoutFinished,
    WorkoutJudged,
    WorkoutSummarised,
)
from services.kernel.ids import ClassId, NotificationId, WorkoutId
from services.tasks.task import view_of
from services.training import workouts
from workers.bus import Queue
from workers.challenging import ChallengeFacts
from workers.class_doors import ClassDoors
from workers.consumer import Handler
from workers.judging import Judging
from workers.notifying import Notifying
from workers.push import Push
from workers.retry import Unprocessable
from workers.safety_chain import SafetyChain, ToAccount
from workers.webhooks import WebhookFacts

WORKOUT_SUMMARIES: Final = Queue("workout-summaries", wants=(WorkoutFinished,), concurrency=2)
CLASS_SUMMARIES: Final = Queue(
    "class-summaries", wants=(ClassEnded, WorkoutFinished, WorkoutJudged, ShowingChosen), concurrency=2
)
VERDICTS: Final = Queue("verdicts", wants=(WorkoutSummarised,), concurrency=2)
COMPARISONS: Final = Queue("comparisons", wants=(WorkoutExamined,))
PUSHES: Final = Queue(
    "pushes",
    wants=(
        WorkoutSummarised,
        ClassSummarised,
        ClassClockMoved,
        ClassMessageRemoved,
        ShowingChosen,
        ClassCoachesChanged,
        ClassRankingChanged,
        ClassMemberRemoved,
        ClassMemberLetIn,
        LoginEnded,
        TaskEnded,
        NotificationsTold,
        NotificationsRead,
    ),
    concurrency=4,
    prefetch=16,
)
NOTIFICATIONS: Final = Queue(
    "notifications",
    wants=(
        LoginEnded,
        SecondFactorChanged,
        ErasureAsked,
        WorkoutSummarised,
        ClassSummarised,
        ClassReminderDue,
        BookingPromoted,
        BookingCancelled,
        ClassCalledOff,
        AnnouncementMade,
        AudienceTold,
        WebhookPaused,
        WorkoutJudged,
        WorkoutAppealed,
        FriendAsked,
        FriendsMade,
    ),
    concurrency=2,
)
LONG_TASKS: Final = Queue("long-tasks", wants=(TaskAsked,))
SAFETY: Final = Queue("safety", wants=(SafetyStepDue, SafetyIncidentMoved), concurrency=2)
CLASS_DOORS: Final = Queue("class-doors", wants=(ClassDoorsDue, ClassEndDue))
WEBHOOKS: Final = Queue("webhooks", wants=(WorkoutSummarised, ClassEnded, ClassSummarised), concurrency=2)
CHALLENGES: Final = Queue("challenges", wants=(WorkoutSummarised, WorkoutJudged, ChallengeDue), concurrency=2)
CHALLENGE_TABLES: Final = Queue("challenge-tables", wants=(ChallengeMoved, ChallengeFinished))

QUEUES: Final = (
    WORKOUT_SUMMARIES,
    CLASS_SUMMARIES,
    SAFETY,
    CLASS_DOORS,
    PUSHES,
    NOTIFICATIONS,
    LONG_TASKS,
    WEBHOOKS,
    CHALLENGES,
    CHALLENGE_TABLES,
    VERDICTS,
    COMPARISONS,
)
"""Every queue there is: the bus needs them all, whichever of them this process consumes."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    queue: Queue
    handler: Handler


def table(
    clock: Clock,
    push: Push,
    notifying: Notifying,
    webhooks: WebhookFacts,
    wake: Callable[[str], None] = lambda _: None,
    hot: HotTable | None = None,
    to_account: ToAccount = lambda _, __: None,
) -> tuple[Row, ...]:
    """Who does what later. `wake` tells this process's workers that there is a long task of a kind; `hot` are the copies of
    challenges' tables, None where nothing is there to hold them; `to_account` says something to all sockets of somebody."""
    handlers = Handlers(clock, push, wake)
    challenges, judging = ChallengeFacts(clock, hot, push.table_moved), Judging(clock)
    return (
        Row(WORKOUT_SUMMARIES, handlers.summarise_workout),
        Row(CLASS_SUMMARIES, handlers.summarise_class),
        Row(SAFETY, SafetyChain(clock, to_account).handle),
        Row(CLASS_DOORS, ClassDoors(clock).open),
        Row(PUSHES, handlers.push),
        Row(NOTIFICATIONS, notifying.tell),
        Row(LONG_TASKS, handlers.wake_long_tasks),
        Row(WEBHOOKS, webhooks.tell),
        Row(CHALLENGES, challenges.keep_score),
        Row(CHALLENGE_TABLES, challenges.keep_tables),
        Row(VERDICTS, judging.judge),
        Row(COMPARISONS, judging.compare),
    )


class Handlers:
    """The handlers themselves."""

    def __init__(self, clock: Clock, push: Push, wake: Callable[[str], None]) -> None:
        self._clock: Final = clock
        self._push: Final = push
        self._wake: Final = wake

    async def summarise_workout(self, stores: Stores, fact: AnyFact) -> None:
        """A workout is finished, or late samples came: make its summary (again) and tell so."""
        match fact:
            case WorkoutFinished(workout_id=workout_id):
                if await workouts.summarise(stores, workout_id) is None:
                    log.info("handlers.workout_gone", workout=str(workout_id))
            case _:
                raise _unwanted(fact)

    async def summarise_class(self, stores: Stores, fact: AnyFact) -> None:
        """A class is over: make its final table and tell so. Once it is made, a workout of the class that finishes or
        gets late samples or another verdict corrects it without another announcement: five hundred phones that finish within
        a minute must not be told five hundred tables."""
        match fact:
            case ClassEnded(class_id=class_id):
                if await self._store_table(stores, class_id):
                    await stores.outbox.add(ClassSummarised(class_id=class_id), class_id)
            case WorkoutFinished(workout_id=workout_id) | WorkoutJudged(workout_id=workout_id):
                workout = await stores.workouts.by_id(workout_id)
                if workout is not None and workout.class_id is not None:
                    await self._correct_table(stores, workout.class_id)
            case ShowingChosen(class_id=class_id):
                await self._correct_table(stores, class_id)
            case _:
                raise _unwanted(fact)

    async def push(self, stores: Stores, fact: AnyFact) -> None:
        """Tell whoever is connected."""
        match fact:
            case WorkoutSummarised(workout_id=workout_id):
                await self._push_workout(stores, workout_id)
            case ClassSummarised(class_id=class_id):
                await self._push_class(stores, class_id)
            case ClassClockMoved(class_id=class_id):
                await self._push.class_clock(class_id, await stores.timelines.of(class_id))
            case ShowingChosen(class_id=class_id, account_id=account_id):
                member = await stores.classes.membership(class_id, account_id)
                if member is not None and member.showing is not None:
                    self._push.member_shown(class_id, account_id, member.showing)
            case ClassCoachesChanged(class_id=class_id):
                live = await stores.classes.by_id(class_id)
                if live is not None:
                    await self._push.class_coaches(live)
            case ClassRankingChanged(class_id=class_id):
                live = await stores.classes.by_id(class_id)
                if live is not None:
                    await self._push.class_ranking(live)
            case ClassMemberRemoved(class_id=class_id, account_id=account_id, n=n, removals=removals):
                await self._push.member_removed(class_id, account_id, n, removals)
            case ClassMemberLetIn(class_id=class_id, account_id=account_id, n=n, removals=removals):
                await self._push.member_let_in(class_id, account_id, n, removals)
            case ClassMessageRemoved(class_id=class_id, position=position):
                await self._push.message_removed(class_id, position)
            case LoginEnded(account_id=account_id, login_id=login_id, reason=reason):
                self._push.login_ended(account_id, login_id, reason)
            case TaskEnded(task_id=task_id):
                task = await stores.long_tasks.by_id(task_id)
                if task is not None:
                    self._push.task_progress(task.account_id, view_of(task))
            case NotificationsTold(ids=ids):
                await self._push_notifications(stores, ids)
            case NotificationsRead(account_id=account_id, ids=ids, up_to=up_to):
                unread = await stores.notifications.unread(account_id, utc(self._clock.wall_ms()))
                self._push.notifications_read(account_id, ids, up_to, unread)
            case _:
                raise _unwanted(fact)

    async def wake_long_tasks(self, _: Stores, fact: AnyFact) -> None:
        """A long task waits. The row is the truth and keeps it; this is only the word that it is there, acknowledged at once."""
        match fact:
            case TaskAsked(kind=kind):
                self._wake(kind)
            case _:
                raise _unwanted(fact)

    async def _store_table(self, stores: Stores, class_id: ClassId) -> bool:
        """Make the final table and keep it; False when it is the same as before, or the class is gone or live."""
        live = await stores.classes.lock(class_id)
        if live is None or not live.over:
            log.info("handlers.class_gone", class_id=str(class_id))
            return False
        tallies = await stores.streams.judged_tallies(class_id)
        earned = {tally.account_id: tally.earned.zone_ms for tally in tallies}
        bases = {
            tally.account_id: Basis(
                tally.earned.burned if tally.body else None, moved=tally.moved, mass_kg=tally.mass_kg
            )
            for tally in tallies
        }
        flagged = {tally.account_id for tally in tallies if tally.flagged}
        made = final_table(live, await stores.classes.members(class_id), earned, flagged, bases)
        stored = await stores.classes.summary(class_id)
        if stored is not None and msgspec.json.decode(stored, type=ClassSummary) == made:
            return False
        await stores.classes.store_summary(class_id, made, utc(self._clock.wall_ms()))
        return True

    async def _correct_table(self, stores: Stores, class_id: ClassId) -> None:
        """Bring a table that was made already up to date; also one that is being made right now, perhaps without this workout."""
        live = await stores.classes.by_id(class_id)
        if live is None or not live.over:
            return
        await stores.classes.lock(class_id)
        if await stores.classes.summary(class_id) is not None:
            await self._store_table(stores, class_id)

    async def _push_class(self, stores: Stores, class_id: ClassId) -> None:
        """The end first: the gateway may have failed to say it, and a class that was forgotten had nobody to say it."""
        live = await stores.classes.by_id(class_id)
        stored = await stores.classes.summary(class_id)
        if live is None or stored is None:
            return
        await self._push.class_ended(live)
        await self._push.class_summary(class_id, msgspec.json.decode(stored, type=ClassSummary))

    async def _push_notifications(self, stores: Stores, ids: Sequence[NotificationId]) -> None:
        """Each to its owner, in their own language; one that was read or replaced meanwhile as it is now."""
        found = await stores.notifications.by_ids(ids)
        owners = [notification.account_id for notification in found]
        readers = await stores.notification_settings.readers(owners)
        unread = await stores.notifications.unread_of(owners, utc(self._clock.wall_ms()))
        for notification in found:
            owner = notification.account_id
            self._push.notification_new(notification, readers[owner], unread[owner])

    async def _push_workout(self, stores: Stores, workout_id: WorkoutId) -> None:
        workout = await stores.workouts.by_id(workout_id)
        if workout is None or workout.summary is None:
            return
        self._push.workout_summary(
            workout.account_id,
            WorkoutSummaryView(
                workout=workout.id,
                revision=workout.revision,
                summary=workout.summary,
                class_id=workout.class_id,
            ),
        )


def _unwanted(fact: AnyFact) -> Unprocessable:
    return Unprocessable(f"this handler knows nothing about {type(fact).__name__}")
