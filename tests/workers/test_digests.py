"""The digest: one mail per person and period, at the hour they chose, with what they still want in it."""

import asyncio
from datetime import UTC, datetime

import pytest

from persistence.database import Database
from services.kernel.caller import Caller
from services.kernel.clock import to_wall_ms
from services.kernel.ids import ClassId
from services.notifications.content import ClassContent
from services.notifications.preferences import DigestTime, Preferences
from services.notifications.unsubscribe import Stopping
from services.schedule.jobs import Tick
from tests.support.notified import Notified, announced
from tests.support.postbox import Postbox, a_sender, send_due
from workers.digests import Digests

HOUR_S = 3_600


@pytest.fixture
def world(database: Database) -> Notified:
    """An empty world."""
    return Notified(database)


@pytest.fixture
def digests(world: Notified) -> Digests:
    """The job."""
    return Digests(world.clock)


async def until(world: Notified, time: str) -> None:
    """Jump to a wall time of UTC."""
    await world.clock.advance(
        (to_wall_ms(datetime.fromisoformat(time).replace(tzinfo=UTC)) - world.clock.wall_ms()) / 1_000
    )


async def a_class_ends(world: Notified, *callers: Caller, title: str = "Hills") -> None:
    """A final table for these people, which is gathered unless they chose otherwise."""
    class_id = ClassId(world.ids.next())
    content = ClassContent(class_id, title, "Cleo", 60_000, 2, 1, 1.0)
    await world.tell(content, *callers, subject=str(class_id))


async def gather_all(world: Notified, digests: Digests) -> None:
    """As the schedule does it: bite by bite."""
    tick = Tick("gather-digests", world.clock.wall_ms())
    did = 1
    while did:
        async with world.transactions() as stores:
            did = await digests.gather(stores, tick)


async def mailed(world: Notified) -> list[str]:
    """The texts of the digests that leave now."""
    postbox = Postbox()
    await send_due(a_sender(world, postbox))
    return [mail.text for mail in postbox.mails()]


async def test_what_happened_in_a_day_leaves_as_one_mail_at_the_persons_hour(world: Notified, digests: Digests) -> None:
    ada, bob = await world.account("Ada"), await world.account("Bob")
    await world.prefers(ada, Preferences(time_zone="Europe/Berlin", digest=DigestTime(hour=18)))
    await until(world, "2026-11-10T10:00")
    await a_class_ends(world, ada, bob)
    await a_class_ends(world, ada)
    await until(world, "2026-11-10T16:59")
    await gather_all(world, digests)
    assert await mailed(world) == []
    await until(world, "2026-11-10T17:00")
    await gather_all(world, digests)
    assert await mailed(world) == ["Ada: class.summarised, class.summarised"]
    await until(world, "2026-11-11T08:00")
    await gather_all(world, digests)
    assert await mailed(world) == ["Bob: class.summarised"]


async def test_a_digest_has_a_link_that_stops_what_is_gathered(world: Notified, digests: Digests) -> None:
    ada = await world.account("Ada")
    await a_class_ends(world, ada)
    await world.clock.advance(24 * HOUR_S)
    await gather_all(world, digests)
    postbox = Postbox()
    await send_due(a_sender(world, postbox))
    (mail,) = postbox.mails()
    assert mail.unsubscribe_url is not None
    stopping = await world.use.stopping(mail.unsubscribe_url.partition("token=")[2])
    assert stopping == Stopping(ada.account_id, digest=True)


async def test_two_schedulers_at_once_make_one_digest_of_it(world: Notified, digests: Digests) -> None:
    people = [await world.account(f"no. {number}") for number in range(5)]
    for _ in range(3):
        await a_class_ends(world, *people)
    await world.clock.advance(24 * HOUR_S)
    await asyncio.gather(*(gather_all(world, digests) for _ in range(3)))
    texts = await mailed(world)
    assert sorted(text.count("class.summarised") for text in texts) == [3] * 5


async def test_a_night_with_two_two_oclocks_has_one_digest(world: Notified, digests: Digests) -> None:
    ada = await world.account("Ada")
    await world.prefers(ada, Preferences(time_zone="Europe/Berlin", digest=DigestTime(hour=2)))
    await until(world, "2026-10-24T12:00")
    await a_class_ends(world, ada)
    seen = []
    for hour in range(22, 30):
        await until(world, f"2026-10-{24 + hour // 24}T{hour % 24:02}:00")
        await gather_all(world, digests)
        seen += [(hour, text) for text in await mailed(world)]
        await a_class_ends(world, ada)
    # 02:00 summer time is 00:00 UTC; 02:00 winter time, an hour later, is no second one.
    assert [hour for hour, _ in seen] == [24]


async def test_what_came_while_nobody_gathered_is_one_mail_and_not_one_for_each_day(
    world: Notified, digests: Digests
) -> None:
    ada = await world.account("Ada")
    for _ in range(3):
        await a_class_ends(world, ada)
        await world.clock.advance(24 * HOUR_S)
    await gather_all(world, digests)
    assert [text.count("class.summarised") for text in await mailed(world)] == [3]


async def test_one_told_by_a_node_whose_clock_is_behind_goes_into_the_next_digest(
    world: Notified, digests: Digests
) -> None:
    ada = await world.account("Ada")
    await until(world, "2026-11-10T07:00")
    await a_class_ends(world, ada)
    await until(world, "2026-11-10T08:00")
    await gather_all(world, digests)
    assert len(await mailed(world)) == 1
    await a_class_ends(world, ada)
    async with world.database.tx() as tx:
        await tx.execute(
            "UPDATE deliveries SET due_at = $1 WHERE lane = 'digest' AND state = 'waiting'",
            datetime(2026, 11, 10, 8, tzinfo=UTC),
        )
    await gather_all(world, digests)
    assert await mailed(world) == []
    await until(world, "2026-11-11T08:00")
    await gather_all(world, digests)
    assert len(await mailed(world)) == 1


async def test_what_was_read_or_turned_off_meanwhile_is_not_in_it(world: Notified, digests: Digests) -> None:
    ada, bob = await world.account("Ada"), await world.account("Bob")
    await a_class_ends(world, ada, bob)
    await a_class_ends(world, ada)
    newest, _ = await world.inbox(ada)
    await world.use.mark_read(ada, (newest.id,))
    await world.wants(bob, "class.summarised", "email", "off")
    await world.clock.advance(24 * HOUR_S)
    await gather_all(world, digests)
    assert await mailed(world) == ["Ada: class.summarised"]
    assert [each.reason for each in await world.deliveries(bob)] == ["turned off meanwhile"]


async def test_a_weekly_digest_outlives_the_time_for_which_its_topic_is_wanted(
    world: Notified, digests: Digests
) -> None:
    ada = await world.account("Ada")
    await world.prefers(ada, Preferences(digest=DigestTime(hour=9, weekday=6)))
    await until(world, "2026-11-09T10:00")  # a Monday
    await a_class_ends(world, ada)
    await until(world, "2026-11-15T09:00")
    await gather_all(world, digests)
    assert len(await mailed(world)) == 1


async def test_what_is_not_gathered_leaves_by_itself(world: Notified, digests: Digests) -> None:
    ada = await world.account("Ada")
    await world.tell(announced("at eight"), ada)
    await gather_all(world, digests)
    assert await mailed(world) == ["Ada: at eight"]
