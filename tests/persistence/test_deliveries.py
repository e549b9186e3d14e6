"""What is on its way, in the database: how lanes are read with a million held rows beside them, and what is forgotten."""

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from persistence.database import Database, Tx
from services.kernel.caller import Caller
from services.kernel.clock import utc
from services.kernel.ids import ClassId
from services.notifications.addresses import NewDevice
from services.notifications.content import ClassContent
from services.notifications.hands import Room
from services.schedule.jobs import Tick
from tests.support.audited import no_audit
from tests.support.notified import Notified, announced
from tests.support.postbox import Postbox, a_sender, send_due
from workers.delivery_watch import DeliveryWatch
from workers.exporting import Exports
from workers.jobs import DIGEST_DAYS, jobs
from workers.outbox_upkeep import OutboxUpkeep

HELD = 20_000


@pytest.fixture
def world(database: Database) -> Notified:
    """An empty world."""
    return Notified(database)


async def hold_many(world: Notified, caller: Caller) -> None:
    """Very many deliveries that are due in a year."""
    await world.tell(announced(), caller)
    async with world.database.tx() as tx:
        await tx.execute(
            """
            INSERT INTO deliveries (id, account_id, notification_id, channel, lane, urgent, state, due_at, made_at, changed_at,
                                    expires_at)
            SELECT gen_random_uuid(), account_id, id, 'email', 'email', false, 'waiting', now() + interval '1 year' * n,
                   now(), now(), 'infinity'
            FROM notifications CROSS JOIN generate_series(1, $1) AS n
            """,
            HELD,
        )
    async with world.database.connection() as connection:
        await connection.execute("ANALYZE deliveries")


async def did(world: Notified, name: str) -> int:
    """One bite of a job of the schedule."""
    table = {
        job.name: job
        for job in jobs(world.clock, world.ids, OutboxUpkeep(world.clock), Exports(Path()), no_audit(world))
    }
    async with world.transactions() as stores:
        return await table[name].work(stores, Tick(name, world.clock.wall_ms()))


async def plan(tx: Tx, query: str, *given: object) -> dict[str, Any]:
    """What the server has done to answer a query."""
    found: dict[str, Any] = json.loads(await tx.fetchval(f"EXPLAIN (ANALYZE, FORMAT JSON) {query}", *given))[0]["Plan"]
    return found


def rows_touched(step: dict[str, Any]) -> float:
    """Rows that the steps of a plan have read, in all."""
    own = step["Actual Rows"] * step["Actual Loops"] + step.get("Rows Removed by Filter", 0)
    return float(own) + sum(rows_touched(child) for child in step.get("Plans", []))


async def test_a_lane_finds_what_is_due_without_reading_what_is_held(world: Notified) -> None:
    await hold_many(world, await world.account())
    async with world.database.tx() as tx:
        found = await plan(
            tx,
            """
            SELECT id, state FROM deliveries
            WHERE lane = 'email' AND urgent = false AND due_at <= $1 AND state IN ('waiting', 'sending')
            ORDER BY due_at LIMIT 4 FOR NO KEY UPDATE SKIP LOCKED
            """,
            datetime.now(UTC),
        )
    assert "deliveries_due" in json.dumps(found)
    assert rows_touched(found) < 20


async def test_the_figures_of_operators_count_what_is_due_and_not_what_is_held(world: Notified) -> None:
    ada = await world.account()
    await hold_many(world, ada)
    await world.tell(announced(), ada, subject="another")
    await world.clock.advance(60)
    watch = DeliveryWatch(world.transactions, world.clock)
    await watch.look()
    assert watch.figures.due == {"email": 2}
    assert watch.figures.oldest_s == {"email": 60.0}
    async with world.database.tx() as tx:
        found = await plan(tx, "SELECT count(*) FROM deliveries WHERE state = 'in_doubt'")
    assert "deliveries_in_doubt" in json.dumps(found)


async def test_digests_of_long_ago_are_forgotten_and_what_they_carried_stays(world: Notified) -> None:
    ada = await world.account()
    await world.tell(ClassContent(ClassId(world.ids.next()), "Hills", "Cleo", 60_000, 2, 1, 1.0), ada)
    await world.clock.advance(86_400)
    assert await did(world, "gather-digests") == 1
    await send_due(a_sender(world, Postbox()))
    assert await did(world, "prune-digests") == 0
    await world.clock.advance(DIGEST_DAYS * 86_400 + 1)
    assert await did(world, "prune-digests") == 1
    assert await world.states(ada) == [("digest", "collapsed")]
    assert await did(world, "prune-notifications") == 1
    assert await world.deliveries(ada) == []


async def test_the_schedule_forgets_what_no_inbox_shows_any_more_and_nothing_else(world: Notified) -> None:
    ada = await world.account()
    await world.tell(announced("old"), ada, subject="old")
    await world.clock.advance(89 * 86_400)
    await world.tell(announced("new"), ada, subject="new")
    await world.clock.advance(2 * 86_400)
    assert await did(world, "prune-notifications") == 1
    (kept,) = await world.inbox(ada)
    assert kept.content == announced("new")
    assert utc(kept.told_at_ms) > utc(world.clock.wall_ms()) - timedelta(days=3)


async def test_a_lane_of_many_receivers_gives_each_no_more_than_it_has_room_for(world: Notified) -> None:
    ada = await world.account()
    for host in ("good", "full", "new"):
        url = f"https://{host}.Example.org/x"
        await world.use.add_device(ada, NewDevice(kind="webpush", address=url, p256dh="p" * 87, auth="a" * 22))
    for number in range(3):
        content = ClassContent(ClassId(world.ids.next()), "Hills", "Cleo", 60_000, 2, 1, 1.0)
        await world.tell(content, ada, subject=f"no. {number}")
    now = utc(world.clock.wall_ms())
    for_the_well = Room(9, {"https://good.example.org": 2}, other=0)
    for_others = Room(9, {"https://good.example.org": 0, "https://full.example.org": 0}, other=1)
    async with world.transactions() as stores:
        claimed = await stores.deliveries.claim_apart(
            "webpush", now, now + timedelta(minutes=1), 9, (for_the_well, for_others)
        )
    assert Counter(one.receiver for one in claimed) == {"https://good.example.org": 2, "https://new.example.org": 1}
    async with world.transactions() as stores:
        assert len(await stores.deliveries.claim("webpush", now, now + timedelta(minutes=1), 99)) == 6
