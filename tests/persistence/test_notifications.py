"""Inboxes, preferences and devices on a real Postgres, through the use cases of their owner."""

import json
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import pytest

from persistence.database import Database
from services.kernel.caller import Caller
from services.kernel.clock import utc
from services.kernel.facts import NotificationsRead, NotificationsTold
from services.kernel.ids import AccountId, ClassId, NotificationId
from services.kernel.problems import BadShape, ChangedMeanwhile, Forbidden, NotFound
from services.notifications.content import AnnouncementContent, ClassContent, LoginEndedContent
from services.notifications.notification import MAX_UNREAD, Notification
from services.notifications.notifications import MAX_READ_AT_ONCE
from services.notifications.preferences import DigestTime, Preferences, QuietHours
from services.notifications.topics import TOPICS
from services.notifications.unsubscribe import Stopping
from tests.support.notified import Notified, announced


@pytest.fixture
def world(database: Database) -> Notified:
    """An empty world."""
    return Notified(database)


async def told(world: Notified, caller: Caller, count: int, prefix: str = "no.") -> list[str]:
    """So many announcements, a second apart; their bodies, newest first."""
    bodies = [f"{prefix} {number}" for number in range(count)]
    for body in bodies:
        await world.tell(announced(body), caller, subject=body)
        await world.clock.advance(1)
    return bodies[::-1]


def bodies(notifications: Iterable[Notification]) -> list[str]:
    """What announcements say."""
    return [each.content.body for each in notifications if isinstance(each.content, AnnouncementContent)]


def class_content(rank: int | None, class_id: ClassId) -> ClassContent:
    """A line of a class's final table."""
    return ClassContent(
        class_id=class_id, title="Hills", coach_name="Cleo", duration_ms=60_000, athletes=2, rank=rank, effort=1.0
    )


async def test_an_inbox_is_read_page_by_page_without_holes_while_more_comes_in(world: Notified) -> None:
    ada = await world.account()
    expected = await told(world, ada, 5)
    first = await world.use.page(ada, limit=2)
    await told(world, ada, 1, "newer")
    second = await world.use.page(ada, limit=2, before=first.next)
    third = await world.use.page(ada, limit=2, before=second.next)
    seen = [*first.notifications, *second.notifications, *third.notifications]
    assert bodies(seen) == expected
    assert third.next is None


async def test_notifications_of_the_same_millisecond_are_each_seen_once(world: Notified) -> None:
    ada = await world.account()
    for number in range(4):
        await world.tell(announced(str(number)), ada, subject=str(number))
    first = await world.use.page(ada, limit=2)
    second = await world.use.page(ada, limit=2, before=first.next)
    assert sorted(bodies([*first.notifications, *second.notifications])) == ["0", "1", "2", "3"]


@pytest.mark.parametrize("cursor", ["", "!", "AAAA", "ä" * 32, "_" * 32, "A" * 31])
async def test_a_cursor_that_is_none_is_refused(world: Notified, cursor: str) -> None:
    with pytest.raises(BadShape):
        await world.use.page(await world.account(), before=cursor)


async def test_what_is_read_is_counted_off_and_told_to_the_other_devices(world: Notified) -> None:
    ada = await world.account()
    await told(world, ada, 3)
    newest, *_ = await world.inbox(ada)
    before = len(await world.told())
    marked = await world.use.mark_read(ada, (newest.id, newest.id))
    assert (marked.marked, marked.unread) == (1, 2)
    assert (await world.told())[before:] == [NotificationsRead(account_id=ada.account_id, ids=(newest.id,))]
    assert len((await world.use.page(ada, unread=True)).notifications) == 2


async def test_reading_again_changes_nothing_and_tells_nobody(world: Notified) -> None:
    ada = await world.account()
    await told(world, ada, 1)
    (one,) = await world.inbox(ada)
    await world.use.mark_read(ada, (one.id,))
    before = await world.told()
    assert (await world.use.mark_read(ada, (one.id,))).marked == 0
    assert await world.told() == before


async def test_reading_up_to_one_reads_everything_older_and_nothing_newer(world: Notified) -> None:
    ada = await world.account()
    await told(world, ada, 4)
    newest, second, *_ = await world.inbox(ada)
    marked = await world.use.mark_read_up_to(ada, second.id)
    assert (marked.marked, marked.unread) == (3, 1)
    assert [each.id for each in (await world.use.page(ada, unread=True)).notifications] == [newest.id]


async def test_nobody_reads_or_marks_what_is_somebody_elses(world: Notified) -> None:
    ada, bob = await world.account("Ada"), await world.account("Bob")
    await told(world, ada, 1)
    (one,) = await world.inbox(ada)
    assert await world.inbox(bob) == ()
    assert (await world.use.mark_read(bob, (one.id,))).marked == 0
    with pytest.raises(NotFound):
        await world.use.mark_read_up_to(bob, one.id)
    assert await world.use.unread(ada) == 1


async def test_more_ids_than_a_request_may_have_are_refused(world: Notified) -> None:
    many = tuple(NotificationId(world.ids.next()) for _ in range(MAX_READ_AT_ONCE + 1))
    with pytest.raises(BadShape):
        await world.use.mark_read(await world.account(), many)


async def test_a_display_has_no_inbox(world: Notified) -> None:
    coach = await world.account("Cleo", "coach")
    live = await world.live_class(coach)
    display = Caller(coach.account_id, coach.login_id, "", frozenset({"display"}), 2**53, class_id=live.id)
    with pytest.raises(Forbidden):
        await world.use.unread(display)


async def test_what_has_expired_is_neither_shown_nor_counted_and_is_pruned(world: Notified) -> None:
    ada = await world.account()
    await told(world, ada, 1)
    await world.clock.advance(91 * 86_400)
    assert await world.inbox(ada) == ()
    assert await world.use.unread(ada) == 0
    async with world.transactions() as stores:
        assert await stores.notifications.prune(utc(world.clock.wall_ms()), 10) == 1
    assert await world.deliveries(ada) == []


async def test_a_corrected_table_takes_the_earlier_ones_place_silently(world: Notified) -> None:
    ada = await world.account()
    class_id = ClassId(world.ids.next())
    await world.tell(class_content(2, class_id), ada, subject=str(class_id))
    (unread,) = await world.inbox(ada)
    await world.use.mark_read(ada, (unread.id,))
    (before,) = await world.inbox(ada)
    await world.clock.advance(60)
    assert await world.tell(class_content(1, class_id), ada, subject=str(class_id)) == 1
    (after,) = await world.inbox(ada)
    assert after.content == class_content(1, class_id)
    assert (after.id, after.told_at_ms, after.read_at_ms) == (before.id, before.told_at_ms, before.read_at_ms)
    assert await world.states(ada) == [("digest", "waiting")]


async def test_the_same_table_told_again_changes_nothing(world: Notified) -> None:
    ada = await world.account()
    class_id = ClassId(world.ids.next())
    assert await world.tell(class_content(1, class_id), ada, subject=str(class_id)) == 1
    assert await world.tell(class_content(1, class_id), ada, subject=str(class_id)) == 0
    assert len([fact for fact in await world.told() if isinstance(fact, NotificationsTold)]) == 1


async def test_an_announcement_in_place_of_another_is_new_again_and_only_the_newer_leaves(world: Notified) -> None:
    ada = await world.account()
    await world.tell(announced("at eight"), ada, subject="closing")
    await world.tell(announced("something else"), ada, subject="other")
    first = next(each for each in await world.inbox(ada) if bodies([each]) == ["at eight"])
    await world.use.mark_read(ada, (first.id,))
    await world.clock.advance(60)
    await world.tell(announced("at nine"), ada, subject="closing")
    newest, _ = await world.inbox(ada)
    assert bodies([newest]) == ["at nine"]
    assert newest.read_at_ms is None
    assert await world.states(ada) == [("email", "collapsed"), ("email", "waiting"), ("email", "waiting")]


async def test_what_never_collapses_stands_beside_the_one_before(world: Notified) -> None:
    ada = await world.account()
    content = LoginEndedContent(login_id=ada.login_id, device="phone", ended_at_ms=world.clock.wall_ms())
    for _ in range(2):
        await world.tell(content, ada)
    assert len(await world.inbox(ada)) == 2


async def test_somebody_without_an_account_any_more_is_left_out(world: Notified) -> None:
    ada = await world.account()
    gone = Caller(AccountId(world.ids.next()), ada.login_id, "Gone", ada.roles, 2**53)
    assert await world.tell(announced(), ada, gone) == 1
    assert await world.tell(announced(), gone) == 0


async def test_the_unread_count_ends_at_a_thousand(world: Notified) -> None:
    ada = await world.account()
    async with world.database.tx() as tx:
        await tx.execute(
            """
            INSERT INTO notifications
                (id, account_id, topic, template, version, content, collapse_key, told_at, expires_at)
            SELECT gen_random_uuid(), $1, 'announcement', 'announcement', 1, '{}', n::text, now(), 'infinity'
            FROM generate_series(1, 1200) AS n
            """,
            ada.account_id,
        )
    assert await world.use.unread(ada) == MAX_UNREAD


async def test_pages_and_counts_are_answered_from_their_indexes(world: Notified) -> None:
    ada = await world.account()
    async with world.database.tx() as tx:
        await tx.execute(
            """
            INSERT INTO notifications
                (id, account_id, topic, template, version, content, collapse_key, told_at, expires_at, read_at)
            SELECT gen_random_uuid(), $1, 'announcement', 'announcement', 1, '{}', n::text, now(), 'infinity',
                   CASE WHEN n % 50 = 0 THEN NULL ELSE now() END
            FROM generate_series(1, 5000) AS n
            """,
            ada.account_id,
        )
    # Outside a transaction, which VACUUM insists on; it is what makes an index enough.
    async with world.database.connection() as connection:
        await connection.execute("VACUUM ANALYZE notifications")
        page = await connection.fetchval(
            """
            EXPLAIN (FORMAT JSON) SELECT * FROM notifications
            WHERE account_id = $1 AND expires_at > now() ORDER BY told_at DESC, id DESC LIMIT 50
            """,
            ada.account_id,
        )
        count = await connection.fetchval(
            """
            EXPLAIN (FORMAT JSON) SELECT count(*) FROM notifications
            WHERE account_id = $1 AND read_at IS NULL AND expires_at > now()
            """,
            ada.account_id,
        )
    assert "notifications_of_account" in page
    assert "Sort" not in _nodes(page)
    assert "notifications_unread" in count
    assert "Index Only Scan" in _nodes(count)


def _nodes(plan: str) -> list[str]:
    """The kinds of all steps of a plan."""
    found: list[str] = []

    def walk(node: dict[str, Any]) -> None:
        found.append(str(node["Node Type"]))
        for child in node.get("Plans", []):
            walk(child)

    walk(json.loads(plan)[0]["Plan"])
    return found


# -- preferences


async def test_without_a_choice_the_defaults_hold_and_what_was_chosen_comes_back(world: Notified) -> None:
    ada = await world.account()
    assert await world.use.preferences(ada) == Preferences()
    wanted = Preferences(
        locale="de-AT",
        time_zone="Europe/Vienna",
        quiet_hours=QuietHours(begins=1320, until=420),
        digest=DigestTime(hour=18, weekday=6),
        chosen={"announcement": {"email": "off", "push": "now"}, "class.summarised": {"email": "now"}},
    )
    saved = await world.use.save_preferences(ada, wanted)
    assert saved.revision == 1
    assert await world.use.preferences(ada) == saved


async def test_of_two_devices_that_change_at_once_the_second_is_told_to_read_again(world: Notified) -> None:
    ada = await world.account()
    await world.use.save_preferences(ada, Preferences(locale="de"))
    with pytest.raises(ChangedMeanwhile):
        await world.use.save_preferences(ada, Preferences(locale="fr"))
    with pytest.raises(ChangedMeanwhile):
        await world.use.save_preferences(await world.account("Bob"), Preferences(revision=3))
    assert (await world.use.preferences(ada)).locale == "de"


async def test_one_click_stops_mail_of_that_topic_and_nothing_else(world: Notified) -> None:
    ada = await world.account()
    token = world.unsubscribe.token(Stopping(ada.account_id, "announcement"))
    for _ in range(2):
        assert (await world.use.unsubscribe(token)).topics == ("announcement",)
    chosen = (await world.use.preferences(ada)).chosen
    assert chosen == {"announcement": {"email": "off"}}


async def test_the_link_of_a_digest_stops_what_was_gathered_and_that_of_all_everything_but_safety(
    world: Notified,
) -> None:
    ada = await world.account()
    digest = await world.use.unsubscribe(world.unsubscribe.token(Stopping(ada.account_id, digest=True)))
    assert (digest.scope, digest.topics) == ("digest", ("class.summarised",))
    everything = await world.use.unsubscribe(world.unsubscribe.token(Stopping(ada.account_id)))
    assert set(everything.topics) == {topic.name for topic in TOPICS.values() if not topic.essential}
    chosen = (await world.use.preferences(ada)).chosen
    mailed = {
        topic.name for topic in TOPICS.values() if topic.ways.get("email", "off") != "off" and not topic.essential
    }
    assert chosen == {name: {"email": "off"} for name in mailed}


async def test_a_new_digest_hour_holds_for_what_waits_already(world: Notified) -> None:
    ada = await world.account()
    await world.tell(class_content(1, ClassId(world.ids.next())), ada)
    await world.prefers(ada, Preferences(digest=DigestTime(hour=20)))
    async with world.database.tx() as tx:
        due = await tx.fetchval("SELECT due_at FROM deliveries WHERE lane = 'digest'")
    assert due.hour == 20


# -- devices


async def test_a_device_that_registers_again_is_the_same_device_seen_later(world: Notified) -> None:
    ada = await world.account()
    first = await world.device(ada)
    await world.clock.advance(60)
    again = await world.device(ada)
    assert (again.id, again.created_at_ms) == (first.id, first.created_at_ms)
    assert again.seen_at_ms == first.seen_at_ms + 60_000
    assert await world.use.devices(ada) == (again,)


async def test_a_push_token_moves_to_whoever_logs_in_there_and_takes_no_messages_along(world: Notified) -> None:
    ada, bob = await world.account("Ada"), await world.account("Bob")
    await world.device(ada)
    await world.tell(class_content(1, ClassId(world.ids.next())), ada)
    await world.device(bob)
    assert await world.use.devices(ada) == ()
    assert len(await world.use.devices(bob)) == 1
    assert await world.states(ada) == [("apns", "suppressed"), ("digest", "waiting")]


async def test_a_device_that_was_dead_lives_when_it_registers_again(world: Notified) -> None:
    ada = await world.account()
    device, now = await world.device(ada), utc(world.clock.wall_ms())
    async with world.transactions() as stores:
        await stores.notification_settings.device_died(device.id, now - timedelta(seconds=1), "unregistered", now)
    assert len(await world.use.devices(ada)) == 1
    async with world.transactions() as stores:
        await stores.notification_settings.device_died(device.id, now, "unregistered", now)
    assert await world.use.devices(ada) == ()
    assert (await world.device(ada)).dead_at_ms is None


async def test_the_twenty_first_device_takes_the_place_of_the_one_not_seen_for_longest(world: Notified) -> None:
    ada = await world.account()
    for number in range(21):
        await world.device(ada, f"phone {number}")
        await world.clock.advance(1)
    names = [device.name for device in await world.use.devices(ada)]
    assert names == [f"phone {number}" for number in range(20, 0, -1)]


async def test_only_its_owner_forgets_a_device(world: Notified) -> None:
    ada, bob = await world.account("Ada"), await world.account("Bob")
    device = await world.device(ada)
    with pytest.raises(NotFound):
        await world.use.forget_device(bob, device.id)
    await world.use.forget_device(ada, device.id)
    assert await world.use.devices(ada) == ()
