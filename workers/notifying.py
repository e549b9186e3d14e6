"""Who is told what: from facts to notifications.

One method per kind of fact says who is concerned and what they are told; `services/notifications/telling.py` does the rest, in
the transaction in which the fact is handled. Where many are concerned they are told page by page: each page is a
transaction, and ends with a fact that leads to the next one. So ten thousand people cost a thousand people's memory, a
worker that dies repeats at most one page, and what comes in between is not held up.
"""

from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import urlsplit
from uuid import UUID

import msgspec
import structlog

from persistence.stores import Stores
from services.classes.summary import ClassStanding, ClassSummary
from services.kernel.clock import Clock, to_wall_ms, utc
from services.kernel.facts import (
    AnnouncementMade,
    AnyFact,
    AudienceTold,
    BookingCancelled,
    BookingPromoted,
    ClassCalledOff,
    ClassReminderDue,
    ClassSummarised,
    ErasureAsked,
    FriendAsked,
    FriendsMade,
    LoginEnded,
    SecondFactorChanged,
    WebhookPaused,
    WorkoutAppealed,
    WorkoutJudged,
    WorkoutSummarised,
)
from services.kernel.ids import AccountId, AnnouncementId, ClassId, LoginId, WebhookEndpointId, WorkoutId
from services.notifications.content import (
    ClassContent,
    ErasureAskedContent,
    LoginEndedContent,
    Place,
    SecondFactorContent,
    WebhookPausedContent,
    WorkoutContent,
)
from services.notifications.telling import PAGE, News, Telling
from services.notifications.topics import (
    ANNOUNCEMENT,
    APPEAL_WAITING,
    BOOKING_CANCELLED,
    BOOKING_PROMOTED,
    CLASS_REMINDER,
    CLASS_SUMMARISED,
    ERASURE_ASKED,
    FRIEND_ASKED,
    FRIEND_MADE,
    LOGIN_ENDED,
    SECOND_FACTOR,
    VERDICT_CHANGED,
    WEBHOOK_PAUSED,
    WORKOUT_SUMMARISED,
)
from workers import booking_news, friend_news, verdict_news
from workers.retry import Unprocessable

TOP: Final = 3
"""Lines of a class's table that everybody is told."""

log = structlog.get_logger(__name__)


class Notifying:
    """The handler of everything that people are told about."""

    def __init__(self, telling: Telling, clock: Clock, *, page: int = PAGE) -> None:
        self._telling: Final = telling
        self._clock: Final = clock
        self._page: Final = page

    async def tell(self, stores: Stores, fact: AnyFact) -> None:
        """Tell whoever is concerned by a fact."""
        match fact:
            case LoginEnded(account_id=account_id, login_id=login_id, stolen=stolen):
                # What is logged out shows nobody's messages any more, and the thief's device least of all.
                await stores.notification_settings.forget_devices_of(login_id)
                if stolen:
                    await self._login_ended(stores, account_id, login_id)
            case SecondFactorChanged(account_id=account_id):
                await self._second_factor_changed(stores, account_id, fact)
            case ErasureAsked(account_id=account_id, asked_ms=asked_ms, due_ms=due_ms):
                await self._erasure_asked(stores, account_id, asked_ms, due_ms)
            case WorkoutSummarised(workout_id=workout_id):
                await self._workout_summarised(stores, workout_id)
            case ClassSummarised(class_id=class_id):
                await self._class_summarised(stores, class_id, after=None)
            case ClassReminderDue(class_id=class_id):
                await self._reminded(stores, class_id, after=None)
            case BookingPromoted():
                await self._telling.tell(stores, BOOKING_PROMOTED.name, await booking_news.promotion(stores, fact))
            case BookingCancelled():
                await self._telling.tell(stores, BOOKING_CANCELLED.name, await booking_news.cancellation(stores, fact))
            case ClassCalledOff(class_id=class_id):
                await self._called_off(stores, class_id, after=None)
            case AnnouncementMade(announcement_id=announcement_id):
                await self._announced(stores, announcement_id, after=None)
            case WorkoutJudged(workout_id=workout_id):
                await self._telling.tell(stores, VERDICT_CHANGED.name, await verdict_news.verdict(stores, workout_id))
            case WorkoutAppealed(workout_id=workout_id):
                await self._telling.tell(stores, APPEAL_WAITING.name, await verdict_news.appeal(stores, workout_id))
            case FriendAsked():
                news = await friend_news.request(stores, fact, self._clock.wall_ms())
                await self._telling.tell(stores, FRIEND_ASKED.name, news)
            case FriendsMade():
                await self._telling.tell(stores, FRIEND_MADE.name, await friend_news.acceptance(stores, fact))
            case WebhookPaused(endpoint_id=endpoint_id):
                await self._webhook_paused(stores, endpoint_id)
            case AudienceTold(topic=CLASS_SUMMARISED.name, subject_id=subject_id, through=through):
                await self._class_summarised(stores, ClassId(subject_id), after=through)
            case AudienceTold(topic=CLASS_REMINDER.name, subject_id=subject_id, through=through):
                await self._reminded(stores, ClassId(subject_id), after=through)
            case AudienceTold(topic=BOOKING_CANCELLED.name, subject_id=subject_id, through=through):
                await self._called_off(stores, ClassId(subject_id), after=through)
            case AudienceTold(topic=ANNOUNCEMENT.name, subject_id=subject_id, through=through):
                await self._announced(stores, AnnouncementId(subject_id), after=through)
            case _:
                raise Unprocessable(f"nobody is told about {fact!r}")

    async def _login_ended(self, stores: Stores, account_id: AccountId, login_id: LoginId) -> None:
        login = await stores.logins.by_id(login_id)
        if login is None or login.ended_at is None:
            log.info("notifying.login_gone", login=str(login_id))
            return
        content = LoginEndedContent(login_id=login_id, device=login.device, ended_at_ms=to_wall_ms(login.ended_at))
        await self._telling.tell(stores, LOGIN_ENDED.name, [News(account_id, content, str(login_id))])

    async def _second_factor_changed(self, stores: Stores, account_id: AccountId, fact: SecondFactorChanged) -> None:
        content = SecondFactorContent(change=fact.change, at_ms=fact.at_ms, name=fact.name, left=fact.left)
        # Each is news of its own: the next one takes no earlier one's place.
        news = News(account_id, content, f"{fact.change} {fact.at_ms} {fact.name}")
        await self._telling.tell(stores, SECOND_FACTOR.name, [news])

    async def _erasure_asked(self, stores: Stores, account_id: AccountId, asked_ms: int, due_ms: int) -> None:
        erasure = await stores.erasures.of(account_id)
        if erasure is None or erasure.closed_ms is not None:
            log.info("notifying.erasure_gone", account=str(account_id))
            return
        content = ErasureAskedContent(asked_at_ms=asked_ms, due_at_ms=due_ms)
        await self._telling.tell(stores, ERASURE_ASKED.name, [News(account_id, content, str(due_ms))])

    async def _workout_summarised(self, stores: Stores, workout_id: WorkoutId) -> None:
        workout = await stores.workouts.by_id(workout_id)
        if workout is None or workout.summary is None:
            log.info("notifying.workout_gone", workout=str(workout_id))
            return
        live = None if workout.class_id is None else await stores.classes.by_id(workout.class_id)
        summary = workout.summary
        content = WorkoutContent(
            workout_id=workout_id,
            sport=workout.sport,
            started_at_ms=workout.created_at_ms,
            duration_ms=summary.duration_ms,
            mean_bpm=None if summary.mean_bpm is None else round(summary.mean_bpm),
            max_bpm=summary.max_bpm,
            effort=summary.edwards,
            energy_kcal=None if summary.energy.kcal is None else round(summary.energy.kcal),
            class_title=None if live is None else live.title,
            zone_ms=tuple(summary.ms_in_zone),
        )
        news = News(workout.account_id, content, str(workout_id))
        await self._telling.tell(stores, WORKOUT_SUMMARISED.name, [news])

    async def _class_summarised(self, stores: Stores, class_id: ClassId, after: AccountId | None) -> None:
        live = await stores.classes.by_id(class_id)
        stored = await stores.classes.summary(class_id)
        if live is None or stored is None:
            log.info("notifying.class_gone", class_id=str(class_id))
            return
        table = msgspec.json.decode(stored, type=ClassSummary)
        lines: Mapping[int, ClassStanding] = {line.n: line for line in table.standings}
        top = tuple(Place(line.rank, line.name, line.effort) for line in table.standings[:TOP] if line.rank is not None)
        members = await stores.classes.members_after(class_id, after, self._page)
        news = [
            News(
                member.account_id,
                ClassContent(
                    class_id=class_id,
                    title=table.title,
                    coach_name=live.coach_name,
                    duration_ms=table.duration_ms,
                    athletes=table.athletes,
                    rank=lines[member.n].rank if member.n in lines else None,
                    effort=lines[member.n].effort if member.n in lines else None,
                    ended_at_ms=live.ended_ms,
                    top=top,
                ),
                str(class_id),
            )
            for member in members
        ]
        await self._page_of(stores, CLASS_SUMMARISED.name, class_id, news)

    async def _reminded(self, stores: Stores, class_id: ClassId, after: AccountId | None) -> None:
        now_ms = self._clock.wall_ms()
        news = await booking_news.reminders(stores, class_id, now_ms, after=after, limit=self._page)
        await self._page_of(stores, CLASS_REMINDER.name, class_id, news)

    async def _called_off(self, stores: Stores, class_id: ClassId, after: AccountId | None) -> None:
        news = await booking_news.calling_off(stores, class_id, after=after, limit=self._page)
        await self._page_of(stores, BOOKING_CANCELLED.name, class_id, news)

    async def _announced(self, stores: Stores, announcement_id: AnnouncementId, after: AccountId | None) -> None:
        announcement = await stores.announcements.locked(announcement_id)
        if announcement is None or announcement.superseded:
            log.info("notifying.announcement_gone", announcement=str(announcement_id))
            return
        audience = await stores.announcements.audience(announcement.class_id, after, self._page)
        news = [News(account_id, announcement.content, announcement.subject) for account_id in audience]
        more = await self._page_of(stores, ANNOUNCEMENT.name, announcement_id, news)
        finished_at = None if more else utc(self._clock.wall_ms())
        await stores.announcements.told(announcement_id, len(news), finished_at=finished_at)

    async def _webhook_paused(self, stores: Stores, endpoint_id: WebhookEndpointId) -> None:
        endpoint = await stores.webhooks.by_id(endpoint_id)
        standing = None if endpoint is None else endpoint.standing
        if endpoint is None or standing is None or standing.paused_reason is None or standing.failing_since_ms is None:
            log.info("notifying.webhook_not_paused", endpoint=str(endpoint_id))  # removed, or resumed by now
            return
        content = WebhookPausedContent(
            endpoint_id=endpoint_id,
            host=urlsplit(endpoint.url).netloc.rpartition("@")[2],
            description=endpoint.description,
            reason=standing.paused_reason,
            failing_since_ms=standing.failing_since_ms,
        )
        news = News(endpoint.account_id, content, str(endpoint_id))
        await self._telling.tell(stores, WEBHOOK_PAUSED.name, [news])

    async def _page_of(self, stores: Stores, topic: str, subject_id: UUID, news: Sequence[News]) -> bool:
        """Tell one page of people, who are in the order of their ids; whether there may be another."""
        if news:
            await self._telling.tell(stores, topic, news)
        if len(news) < self._page:
            return False
        through = news[-1].account_id
        await stores.outbox.add(AudienceTold(topic=topic, subject_id=subject_id, through=through), subject_id)
        return True
