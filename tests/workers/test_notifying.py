"""Who is told what, fact by fact, on real stores."""

import asyncio
import tracemalloc

import msgspec
import pytest

from persistence.database import Database
from services.accounts.entitlements import Entitlements
from services.accounts.ports import Login
from services.classes.bookings import Bookings
from services.classes.offers import Offers
from services.classes.summary import ClassStanding, ClassSummary
from services.fairplay.judging import judge
from services.fairplay.verdicts import Verdicts
from services.integrations.endpoint import Endpoint, PauseReason, Standing
from services.kernel.caller import Caller
from services.kernel.clock import utc
from services.kernel.facts import (
    AccountRegistered,
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
    NotificationsTold,
    SecondFactorChanged,
    WebhookPaused,
    WorkoutAppealed,
    WorkoutFinished,
    WorkoutJudged,
    WorkoutSummarised,
)
from services.kernel.ids import (
    AccountId,
    AnnouncementId,
    ClassId,
    LoginId,
    NotificationId,
    WebhookEndpointId,
    WorkoutId,
)
from services.notifications.announcement import announce
from services.notifications.content import (
    BookingCancelledContent,
    ClassContent,
    ErasureAskedContent,
    FriendAskedContent,
    FriendMadeContent,
    LoginEndedContent,
    SecondFactorContent,
    VerdictContent,
    WebhookPausedContent,
    WorkoutContent,
)
from services.notifications.telling import IDS_PER_FACT
from services.organisations.organisations import Organisations
from services.privacy.erasure import GRACE_MS
from services.privacy.erasures import Erasures
from services.social.friend import LIFE_MS, MAX_SHOWN, Request
from services.training import workouts
from tests.support.judged import cheats
from tests.support.notified import Notified, announced
from tests.support.world import steady
from workers.notifying import Notifying
from workers.retry import Unprocessable


@pytest.fixture
def world(database: Database) -> Notified:
    """An empty world."""
    return Notified(database)


@pytest.fixture
def notifying(world: Notified) -> Notifying:
    """The handler, with small pages."""
    return Notifying(world.telling, world.clock, page=4)


async def happen(world: Notified, notifying: Notifying, fact: AnyFact) -> list[AnyFact]:
    """Handle a fact as a worker would; the facts that this led to."""
    before = len(await world.told())
    async with world.transactions() as stores:
        await notifying.tell(stores, fact)
    return (await world.told())[before:]


async def all_told(world: Notified, notifying: Notifying, fact: AnyFact) -> int:
    """Handle a fact and every page that follows from it; how many pages it took."""
    pages, following = 0, [fact]
    while following:
        pages += 1
        told = await happen(world, notifying, following.pop())
        following += [each for each in told if isinstance(each, AudienceTold)]
    return pages


async def a_login(world: Notified, caller: Caller, device: str = "Ada's phone") -> LoginId:
    """A login that has ended."""
    login_id, now = LoginId(world.ids.next()), utc(world.clock.wall_ms())
    async with world.transactions() as stores:
        await stores.logins.add(Login(login_id, caller.account_id, device, now))
        await stores.logins.end(login_id, now, "for some reason")
    return login_id


async def an_announcement(
    world: Notified, *, class_id: ClassId | None = None, subject: str = "", body: str = "at eight"
) -> AnnouncementMade:
    """Something to say to many."""
    async with world.transactions() as stores:
        made = await announce(stores, world.clock, world.ids, announced(body), class_id=class_id, subject=subject)
    return AnnouncementMade(announcement_id=made.id)


async def test_a_stolen_login_is_told_with_the_name_of_its_device(world: Notified, notifying: Notifying) -> None:
    ada = await world.account()
    login_id = await a_login(world, ada)
    fact = LoginEnded(ada.account_id, login_id, "a refresh token was used twice", stolen=True)
    (told,) = await happen(world, notifying, fact)
    (one,) = await world.inbox(ada)
    assert one.content == LoginEndedContent(login_id, "Ada's phone", world.clock.wall_ms())
    assert told == NotificationsTold(ids=(one.id,))


async def test_a_lot_of_news_of_one_person_is_no_line_in_the_outbox(world: Notified, notifying: Notifying) -> None:
    """What is about one thing leaves one by one, each after the broker's word for the one before."""
    ada = await world.account()
    for _ in range(3):
        await happen(world, notifying, LoginEnded(ada.account_id, await a_login(world, ada), "stolen", stolen=True))
    async with world.transactions() as stores:
        rows = await stores.tx.fetch("SELECT DISTINCT aggregate_id FROM outbox WHERE type = 'notifications.told'")
    assert len(rows) == 3


async def test_each_thing_that_happens_to_a_second_factor_is_told_by_itself(
    world: Notified, notifying: Notifying
) -> None:
    ada = await world.account("Ada")
    facts = [SecondFactorChanged(ada.account_id, "code_used", 1_790_000_000_000 + n, left=9 - n) for n in range(2)]
    for fact in (*facts, facts[0]):
        await happen(world, notifying, fact)
    told = [notification.content for notification in await world.inbox(ada)]
    assert sorted(one.left for one in told if isinstance(one, SecondFactorContent)) == [8, 9]


async def test_who_is_to_be_erased_is_told_until_when_they_may_take_it_back(
    world: Notified, notifying: Notifying
) -> None:
    """ASVS 6.3.7: what happens to an account is said where its owner reads it."""
    ada = await world.account()
    at = world.clock.wall_ms()
    asked = await Erasures(world.transactions, world.clock).ask_for(ada.account_id)
    await happen(world, notifying, ErasureAsked(ada.account_id, at, asked.due_ms))
    (one,) = await world.inbox(ada)
    assert one.content == ErasureAskedContent(at, at + GRACE_MS)


async def test_an_erasure_that_was_taken_back_is_no_news(world: Notified, notifying: Notifying) -> None:
    ada = await world.account()
    assert await happen(world, notifying, ErasureAsked(ada.account_id, 0, 1)) == []
    assert await world.inbox(ada) == ()


async def test_logging_out_is_no_news_but_its_device_gets_no_more_pushes(world: Notified, notifying: Notifying) -> None:
    ada = await world.account()
    await world.device(ada)
    assert await happen(world, notifying, LoginEnded(ada.account_id, ada.login_id, "logged out")) == []
    assert await world.inbox(ada) == ()
    assert await world.use.devices(ada) == ()


async def test_the_thiefs_device_is_not_told_that_it_was_noticed(world: Notified, notifying: Notifying) -> None:
    ada = await world.account()
    login_id = await a_login(world, ada)
    thief = Caller(ada.account_id, login_id, "Ada", ada.roles, 2**53)
    await world.device(ada, "mine")
    await world.device(thief, "stolen", "fcm")
    await happen(world, notifying, LoginEnded(ada.account_id, login_id, "stolen", stolen=True))
    assert await world.states(ada) == [("apns", "waiting"), ("email", "waiting")]


async def test_a_workouts_summary_is_told_to_its_owner_and_a_later_revision_corrects_it(
    world: Notified, notifying: Notifying
) -> None:
    ada = await world.account()
    await world.device(ada)
    workout_id, stream_id = await world.workout(ada, steady(90))
    fact = WorkoutSummarised(workout_id=workout_id, account_id=ada.account_id)
    assert await happen(world, notifying, fact) == []  # there is none yet
    for seconds in (90, 180):
        async with world.transactions() as stores:
            await workouts.summarise(stores, workout_id)
        await happen(world, notifying, fact)
        (one,) = await world.inbox(ada)
        assert isinstance(one.content, WorkoutContent)
        assert (one.content.duration_ms, one.content.mean_bpm) == ((seconds - 1) * 1_000, 150)
        if seconds == 90:
            await world.write(stream_id, 90, steady(90, start=90))
    assert await world.states(ada) == [("apns", "waiting")]


@pytest.mark.parametrize(
    ("reason", "failed_ms"),
    [("dead", 3 * 24 * 3_600_000), ("gone", 0)],
    ids=["after days of failures", "by its own word"],
)
async def test_the_owner_of_a_paused_webhook_is_told_its_host_and_nothing_else_of_its_address(
    world: Notified, notifying: Notifying, reason: PauseReason, failed_ms: int
) -> None:
    ada, now_ms = await world.account(), world.clock.wall_ms()
    endpoint = await an_endpoint(world, ada, Standing("paused", 10, now_ms - failed_ms, reason))
    fact = WebhookPaused(ada.account_id, endpoint.id, reason)
    (told,) = await happen(world, notifying, fact)
    (one,) = await world.inbox(ada)
    assert one.content == WebhookPausedContent(endpoint.id, "hooks.test:8443", "diary", reason, now_ms - failed_ms)
    assert told == NotificationsTold(ids=(one.id,))
    assert await world.states(ada) == [("email", "waiting")]


@pytest.mark.parametrize("standing", [Standing(), None], ids=["resumed", "removed"])
async def test_of_a_webhook_that_is_not_paused_any_more_nobody_is_told(
    world: Notified, notifying: Notifying, standing: Standing | None
) -> None:
    ada = await world.account()
    endpoint_id = WebhookEndpointId(world.ids.next())
    if standing is not None:
        endpoint_id = (await an_endpoint(world, ada, standing)).id
    assert await happen(world, notifying, WebhookPaused(ada.account_id, endpoint_id, "dead")) == []


async def an_endpoint(world: Notified, owner: Caller, standing: Standing) -> Endpoint:
    """A webhook endpoint that stands like this."""
    endpoint = Endpoint(
        id=WebhookEndpointId(world.ids.next()),
        account_id=owner.account_id,
        url="https://user:word@hooks.test:8443/in?token=secret",
        events=("class.ended",),
        scopes=(),
        description="diary",
        created_at_ms=world.clock.wall_ms(),
        standing=standing,
    )
    since = None if standing.failing_since_ms is None else utc(standing.failing_since_ms)
    async with world.transactions() as stores:
        await stores.webhooks.add(endpoint, "hooks.test")
        await stores.tx.execute(
            "UPDATE webhook_endpoints SET state = $1, failures = $2, failing_since = $3, paused_reason = $4",
            standing.state,
            standing.failures,
            since,
            standing.paused_reason,
        )
    return endpoint


async def a_class(world: Notified, athletes: int) -> tuple[ClassId, list[Caller]]:
    """A class that is over, with its table: its athletes, and a coach as the last of its members."""
    coach = await world.account("Cleo", "coach")
    live = await world.live_class(coach)
    callers = [await world.account(f"no. {number}") for number in range(athletes)]
    for caller in callers:
        await world.enter(live, caller)
    await world.enter(live, coach, "coach")
    await world.end(live)
    lines = tuple(ClassStanding(n, n, "", 100.0 - n, (0,) * 6) for n in range(1, athletes + 1))
    async with world.transactions() as stores:
        table = ClassSummary(live.id, live.title, 60_000, athletes, lines)
        await stores.classes.store_summary(live.id, table, utc(world.clock.wall_ms()))
    return live.id, [*callers, coach]


async def test_everybody_in_a_class_is_told_their_own_place_page_by_page(world: Notified, notifying: Notifying) -> None:
    class_id, members = await a_class(world, 8)
    assert await all_told(world, notifying, ClassSummarised(class_id=class_id)) == 3
    ranks = []
    for caller in members:
        (one,) = await world.inbox(caller)
        assert isinstance(one.content, ClassContent)
        assert one.content.title == "Hills"
        ranks.append(one.content.rank)
    assert ranks == [*range(1, 9), None]


async def test_a_class_told_again_is_told_nobody_twice(world: Notified, notifying: Notifying) -> None:
    class_id, members = await a_class(world, 2)
    await all_told(world, notifying, ClassSummarised(class_id=class_id))
    told = await happen(world, notifying, ClassSummarised(class_id=class_id))
    assert told == []
    assert [len(await world.inbox(caller)) for caller in members] == [1, 1, 1]


async def test_what_is_gone_meanwhile_is_told_nobody(world: Notified, notifying: Notifying) -> None:
    nobody, some = AccountId(world.ids.next()), world.ids.next()
    facts: list[AnyFact] = [
        LoginEnded(nobody, LoginId(some), "stolen", stolen=True),
        WorkoutSummarised(workout_id=WorkoutId(some), account_id=nobody),
        ClassSummarised(class_id=ClassId(some)),
        AnnouncementMade(announcement_id=AnnouncementId(some)),
        AudienceTold(topic="announcement", subject_id=some, through=nobody),
    ]
    for fact in facts:
        assert await happen(world, notifying, fact) == []


@pytest.mark.parametrize("kind", ["registered", "finished", "unknown topic"])
async def test_what_nobody_is_told_about_is_refused(world: Notified, notifying: Notifying, kind: str) -> None:
    some = world.ids.next()
    facts: dict[str, AnyFact] = {
        "registered": AccountRegistered(account_id=AccountId(some)),
        "finished": WorkoutFinished(workout_id=WorkoutId(some), account_id=AccountId(some)),
        "unknown topic": AudienceTold(topic="weather", subject_id=some, through=AccountId(some)),
    }
    with pytest.raises(Unprocessable):
        await happen(world, notifying, facts[kind])


async def test_an_announcement_reaches_everybody_once_and_knows_when_it_has(
    world: Notified, notifying: Notifying
) -> None:
    people = [await world.account(f"no. {number}") for number in range(10)]
    made = await an_announcement(world)
    assert await all_told(world, notifying, made) == 3
    assert [len(await world.inbox(caller)) for caller in people] == [1] * 10
    async with world.transactions() as stores:
        ((_, title, told, _, finished_at),) = await stores.announcements.latest(5)
    assert (title, told, finished_at) == ("News", 10, utc(world.clock.wall_ms()))


async def test_an_announcement_for_a_class_reaches_its_members_alone(world: Notified, notifying: Notifying) -> None:
    class_id, members = await a_class(world, 3)
    stranger = await world.account("Stranger")
    await all_told(world, notifying, await an_announcement(world, class_id=class_id))
    assert [len(await world.inbox(caller)) for caller in members] == [1] * 4
    assert await world.inbox(stranger) == ()


async def test_an_announcement_that_another_has_taken_the_place_of_stops_where_it_is(
    world: Notified, notifying: Notifying
) -> None:
    people = [await world.account(f"no. {number}") for number in range(6)]
    first = await an_announcement(world, subject="closing", body="at eight")
    (following,) = [each for each in await happen(world, notifying, first) if isinstance(each, AudienceTold)]
    await world.clock.advance(1)
    second = await an_announcement(world, subject="closing", body="at nine")
    await all_told(world, notifying, second)
    assert await happen(world, notifying, following) == []
    for caller in people:
        (one,) = await world.inbox(caller)
        assert one.content == announced("at nine")


async def test_two_pages_told_at_once_under_one_subject_leave_the_later_words(
    world: Notified, notifying: Notifying
) -> None:
    people = [await world.account(f"no. {number}") for number in range(3)]
    for round_number in range(5):
        first = await an_announcement(world, subject=f"s{round_number}", body="earlier")
        await world.clock.advance(1)
        second = await an_announcement(world, subject=f"s{round_number}", body="later")
        await asyncio.gather(happen(world, notifying, second), happen(world, notifying, first))
    for caller in people:
        assert {each.content for each in await world.inbox(caller)} == {announced("later")}


async def test_new_notifications_are_named_to_the_sockets_in_facts_of_bounded_size(world: Notified) -> None:
    people = [await world.account(f"no. {number}") for number in range(IDS_PER_FACT + 5)]
    await world.tell(announced(), *people)
    told = [fact for fact in await world.told() if isinstance(fact, NotificationsTold)]
    assert sorted(len(fact.ids) for fact in told) == [5, IDS_PER_FACT]
    assert all(len(msgspec.json.encode(fact)) < 8_000 for fact in told)


async def test_ten_times_the_people_take_no_more_memory(world: Notified) -> None:
    await many_accounts(world, 2_000)
    notifying = Notifying(world.telling, world.clock, page=200)
    one_page, pages = await peak_memory(world, notifying, await an_announcement(world), most_pages=1)
    assert pages == 1
    all_pages, pages = await peak_memory(world, notifying, await an_announcement(world), most_pages=99)
    assert pages == 11
    assert all_pages < one_page * 1.5 + 500_000
    async with world.database.tx() as tx:
        assert await tx.fetchval("SELECT count(*) FROM notifications") == 2_200


async def many_accounts(world: Notified, count: int) -> None:
    """So many people with an account."""
    async with world.database.tx() as tx:
        await tx.execute(
            """
            INSERT INTO accounts (id, email, name, password_hash, roles, created_at)
            SELECT gen_random_uuid(), 'p' || n || '@example.org', 'Person ' || n, '', '{member}', now()
            FROM generate_series(1, $1) AS n
            """,
            count,
        )


async def peak_memory(world: Notified, notifying: Notifying, fact: AnyFact, *, most_pages: int) -> tuple[int, int]:
    """Most bytes that Python held while it told a fact and what follows from it, and how many pages that were."""
    following, pages, peak = [fact], 0, 0
    while following and pages < most_pages:
        pages += 1
        before = len(await world.told())
        async with world.transactions() as stores:
            tracemalloc.start()
            await notifying.tell(stores, following.pop())
            peak = max(peak, tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
        following += [each for each in (await world.told())[before:] if isinstance(each, AudienceTold)]
    return peak, pages


async def test_two_workers_who_tell_a_whole_class_the_same_do_not_lock_each_other_out(world: Notified) -> None:
    class_id, members = await a_class(world, 40)
    notifying = Notifying(world.telling, world.clock)
    for _ in range(3):
        await asyncio.gather(*(happen(world, notifying, ClassSummarised(class_id=class_id)) for _ in range(3)))
    assert [len(await world.inbox(caller)) for caller in members] == [1] * 41


# -- bookings


async def a_coach(world: Notified) -> Caller:
    return await world.account("Mira", "member", "coach")


async def topics_of(world: Notified, caller: Caller) -> list[str]:
    """What somebody was told about, the newest first."""
    async with world.transactions() as stores:
        found = await stores.notifications.page(
            caller.account_id, utc(world.clock.wall_ms()), after=None, unread=False, limit=50
        )
    return [one.topic for one in found]


async def test_who_has_a_place_is_reminded_in_pages_and_who_waits_is_not(world: Notified, notifying: Notifying) -> None:
    class_id = await world.offer(await a_coach(world), in_min=120, capacity=9)
    people = [await world.account(f"Person {n}") for n in range(10)]
    for person in people:
        await world.book(person, class_id)
    due = ClassReminderDue(class_id=class_id)
    assert await all_told(world, notifying, due) == 1
    assert await topics_of(world, people[0]) == [], "it was put off since this was planned"
    await world.clock.advance(3_600)
    assert await all_told(world, notifying, due) == 3
    assert [await topics_of(world, person) for person in people] == [["class.reminder"]] * 9 + [[]]
    await world.clock.advance(3_600)
    assert await all_told(world, notifying, due) == 1, "it has begun"


async def test_who_comes_off_the_waitlist_is_told_while_the_place_is_theirs(
    world: Notified, notifying: Notifying
) -> None:
    class_id = await world.offer(await a_coach(world), capacity=1)
    ada, bob = await world.account("Ada"), await world.account("Bob")
    bookings = Bookings(world.transactions, world.clock, world.ids)
    await bookings.cancel(ada, (first := await world.book(ada, class_id)).id)
    again, waiting = await world.book(ada, class_id), await world.book(bob, class_id)
    await bookings.cancel(ada, again.id)
    promoted = BookingPromoted(class_id=class_id, booking_id=waiting.id, account_id=bob.account_id)
    assert promoted in await world.told()
    await happen(world, notifying, promoted)
    assert await topics_of(world, bob) == ["booking.promoted"]
    await bookings.cancel(bob, waiting.id)
    await happen(world, notifying, BookingPromoted(class_id=class_id, booking_id=first.id, account_id=ada.account_id))
    assert await topics_of(world, ada) == []


async def test_the_owner_of_a_workout_is_told_what_stands_of_it_and_what_somebody_said(
    world: Notified, notifying: Notifying
) -> None:
    ada, coach = await world.account("Ada"), await a_coach(world)
    live = await world.live_class(coach)
    workout_id, _ = await world.workout(ada, cheats(1)["flat"], live=live)
    verdicts = Verdicts(world.transactions, world.clock)
    async with world.transactions() as stores:
        await stores.workouts.finish(workout_id, utc(world.clock.wall_ms()))
        await judge(stores, workout_id, world.clock.wall_ms())

    async def told() -> VerdictContent:
        await happen(world, notifying, [fact for fact in await world.told() if isinstance(fact, WorkoutJudged)][-1])
        async with world.transactions() as stores:
            ids = [NotificationId(row["id"]) for row in await stores.tx.fetch("SELECT id FROM notifications")]
            (notification,) = await stores.notifications.by_ids(ids)
        assert (notification.account_id, notification.topic) == (ada.account_id, "verdict.changed")
        assert isinstance(notification.content, VerdictContent)
        return notification.content

    first = await told()
    assert (first.verdict, first.rule, first.by_person) == ("rejected", "flat", False)
    assert first.appeal_until_ms is not None
    await verdicts.appeal(ada, workout_id, "No.")
    await verdicts.rule(coach, workout_id, "uphold", "Nobody's heart does that.")
    second = await told()
    assert (second.verdict, second.reason, second.appeal_until_ms) == ("rejected", "Nobody's heart does that.", None)


async def test_all_who_may_rule_on_an_appeal_are_told_of_it_and_nobody_once_it_is_decided(
    world: Notified, notifying: Notifying
) -> None:
    ada, coach, other = await world.account("Ada"), await a_coach(world), await world.account("Kim")
    live = await world.live_class(coach)
    workout_id, _ = await world.workout(ada, cheats(1)["flat"], live=live)
    verdicts = Verdicts(world.transactions, world.clock)
    async with world.transactions() as stores:
        await stores.workouts.finish(workout_id, utc(world.clock.wall_ms()))
        await judge(stores, workout_id, world.clock.wall_ms())
    await verdicts.appeal(ada, workout_id, "My strap hung.")
    (appealed,) = [fact for fact in await world.told() if isinstance(fact, WorkoutAppealed)]
    await happen(world, notifying, appealed)
    assert await topics_of(world, coach) == ["appeal.waiting"]
    assert (await topics_of(world, ada), await topics_of(world, other)) == ([], [])
    (case,) = await verdicts.waiting_for(coach)
    assert (case.workout_id, case.appeal) == (workout_id, "My strap hung.")
    assert (await verdicts.waiting_for(ada), await verdicts.waiting_for(other)) == ((), ())

    await verdicts.rule(coach, workout_id, "overturn", "I have seen it.")
    async with world.transactions() as stores:
        await stores.tx.execute("DELETE FROM notifications")
    await happen(world, notifying, appealed)
    assert await topics_of(world, coach) == []


async def test_who_loses_a_place_is_told_and_who_gives_it_back_is_not(world: Notified, notifying: Notifying) -> None:
    mira = await a_coach(world)
    class_id = await world.offer(mira)
    ada, bob = await world.account("Ada"), await world.account("Bob")
    bookings = Bookings(world.transactions, world.clock, world.ids)
    await bookings.cancel(ada, (await world.book(ada, class_id)).id)
    await bookings.cancel(mira, (await world.book(bob, class_id)).id)
    for fact in await world.told():
        if isinstance(fact, BookingCancelled):
            await happen(world, notifying, fact)
    assert (await topics_of(world, ada), await topics_of(world, bob)) == ([], ["booking.cancelled"])


async def test_who_lacked_what_the_class_needs_when_it_was_their_turn_is_told_what(
    world: Notified, notifying: Notifying
) -> None:
    mira = await a_coach(world)
    class_id = await world.offer(mira, capacity=1, needs="premium")
    ada, bob = await world.account("Ada"), await world.account("Bob")
    entitlements = Entitlements(world.transactions, world.clock, world.ids)
    for person in (ada, bob):
        await entitlements.grant(person.account_id, "premium", "operator", None, None)
    place, _ = await world.book(ada, class_id), await world.book(bob, class_id)
    await entitlements.withdraw(bob.account_id, "premium", "operator")
    await Bookings(world.transactions, world.clock, world.ids).cancel(ada, place.id)
    for fact in await world.told():
        if isinstance(fact, BookingCancelled):
            await happen(world, notifying, fact)
    async with world.transactions() as stores:
        ids = [NotificationId(row["id"]) for row in await stores.tx.fetch("SELECT id FROM notifications")]
        (notification,) = await stores.notifications.by_ids(ids)
    assert notification.account_id == bob.account_id
    assert isinstance(notification.content, BookingCancelledContent)
    assert notification.content.needs == "premium"


async def test_who_has_lost_a_place_with_their_seat_in_an_organisation_is_told_why(
    world: Notified, notifying: Notifying
) -> None:
    mira, ana = await a_coach(world), await world.account("Ana")
    organisations = Organisations(world.transactions, world.clock, world.ids)
    gym = (await organisations.make(mira, "Harbour Gym")).organisation.id
    async with world.transactions() as stores:
        await stores.organisations.seat(gym, ana.account_id, "member", utc(world.clock.wall_ms()))
    await world.book(ana, await world.offer(mira, organisation=gym, members="only"))
    await organisations.remove(mira, gym, ana.account_id)
    for fact in await world.told():
        if isinstance(fact, BookingCancelled):
            await happen(world, notifying, fact)
    async with world.transactions() as stores:
        ids = [NotificationId(row["id"]) for row in await stores.tx.fetch("SELECT id FROM notifications")]
        (notification,) = await stores.notifications.by_ids(ids)
    assert notification.account_id == ana.account_id
    assert isinstance(notification.content, BookingCancelledContent)
    assert notification.content.members_only


async def test_when_a_class_is_called_off_all_who_had_booked_are_told_in_pages(
    world: Notified, notifying: Notifying
) -> None:
    mira = await a_coach(world)
    class_id = await world.offer(mira, capacity=3)
    people = [await world.account(f"Person {n}") for n in range(6)]
    booked = [await world.book(person, class_id) for person in people]
    await Bookings(world.transactions, world.clock, world.ids).cancel(people[5], booked[5].id)
    await Offers(world.transactions, world.clock, world.ids).call_off(mira, class_id)
    assert await all_told(world, notifying, ClassCalledOff(class_id=class_id)) == 2
    assert [await topics_of(world, person) for person in people] == [["booking.cancelled"]] * 5 + [[]]


async def test_who_is_asked_to_be_friends_is_told_once_and_whoever_asked_when_they_are(
    world: Notified, notifying: Notifying
) -> None:
    ada, bob = await world.account("Ada"), await world.account("Bob")
    now_ms = world.clock.wall_ms()
    asked, made = FriendAsked(ada.account_id, bob.account_id), FriendsMade(ada.account_id, bob.account_id)
    async with world.transactions() as stores:
        await stores.friends.put(Request(ada.account_id, bob.account_id, "Bobby", now_ms))
    for _ in range(2):
        await happen(world, notifying, asked)
    (one,) = await world.inbox(bob)
    assert one.content == FriendAskedContent(ada.account_id, "Ada", now_ms + LIFE_MS), "not what the other calls them"
    await happen(world, notifying, made)
    assert await topics_of(world, ada) == [], "they are none yet, or no more"
    async with world.transactions() as stores:
        await stores.friends.befriend(ada.account_id, bob.account_id, utc(now_ms))
    await happen(world, notifying, made)
    (one,) = await world.inbox(ada)
    assert one.content == FriendMadeContent(bob.account_id, "Bob", now_ms)
    assert await topics_of(world, bob) == ["friend.asked"]


@pytest.mark.parametrize("fate", ["withdrawn", "declined", "blocked", "over", "more than are shown"])
async def test_a_request_that_nobody_is_shown_is_no_news(world: Notified, notifying: Notifying, fate: str) -> None:
    ada, bob = await world.account("Ada"), await world.account("Bob")
    now_ms = world.clock.wall_ms()
    request = Request(ada.account_id, bob.account_id, "Bobby", now_ms)
    others = [await world.account("N") for _ in range(MAX_SHOWN if fate == "more than are shown" else 0)]
    async with world.transactions() as stores:
        for other in others:
            await stores.friends.put(Request(other.account_id, bob.account_id, "B", now_ms - 1_000))
        await stores.friends.put(request)
        if fate == "withdrawn":
            await stores.friends.withdraw(ada.account_id, bob.account_id)
        if fate == "declined":
            await stores.friends.unwanted(ada.account_id, bob.account_id)
        if fate == "blocked":
            await stores.friends.sever(bob.account_id, ada.account_id)
    if fate == "over":
        await world.clock.advance(LIFE_MS / 1_000)
    await happen(world, notifying, FriendAsked(ada.account_id, bob.account_id))
    assert await topics_of(world, bob) == []
