"""Endpoints and deliveries on a real Postgres: who stands in line, who gets a turn, and how one is lost."""

from datetime import datetime, timedelta
from typing import Final

import pytest

from persistence.database import Database
from services.integrations.delivery import MAX_ATTEMPTS_KEPT, Attempt, NewDelivery, Turn
from services.integrations.endpoint import Endpoint, Standing
from services.kernel.caller import Caller
from services.kernel.clock import utc
from services.kernel.ids import WebhookDeliveryId, WebhookEndpointId
from tests.support.world import World

LEASE: Final = timedelta(seconds=45)
EVENT: Final = "workout.summarised"


@pytest.fixture
def world(database: Database) -> World:
    """An empty world."""
    return World(database)


@pytest.fixture
async def owner(world: World) -> Caller:
    """Somebody."""
    return await world.account()


@pytest.fixture
def now(world: World) -> datetime:
    """The world's instant."""
    return utc(world.clock.wall_ms())


async def endpoint(world: World, owner: Caller, host: str = "a.example", secrets: int = 1) -> WebhookEndpointId:
    """A new endpoint on this host, with secrets."""
    made = Endpoint(
        id=WebhookEndpointId(world.ids.next()),
        account_id=owner.account_id,
        url=f"https://{host}/",
        events=(EVENT,),
        scopes=(),
        description="",
        created_at_ms=world.clock.wall_ms(),
    )
    async with world.transactions() as stores:
        await stores.webhooks.add(made, host)
        for number in range(secrets):
            await stores.webhooks.add_secret(made.id, f"sealed {number}".encode(), utc(world.clock.wall_ms()))
    return made.id


async def deliver(world: World, endpoint_id: WebhookEndpointId, subject: str, at: datetime) -> WebhookDeliveryId | None:
    """A delivery that is due at an instant, or None when there was one about this before."""
    delivery_id = WebhookDeliveryId(world.ids.next())
    async with world.transactions() as stores:
        new = NewDelivery(delivery_id, endpoint_id, EVENT, subject, subject.encode())
        return delivery_id if await stores.webhook_deliveries.add(new, at) else None


async def take(
    world: World,
    now: datetime,
    *,
    limit: int = 10,
    failing_limit: int = 10,
    room: dict[str, int] | None = None,
    per_host: int = 10,
) -> list[Turn]:
    """Take turns in a transaction of their own."""
    async with world.transactions() as stores:
        return await stores.webhook_deliveries.take_turns(
            now, now + LEASE, limit=limit, failing_limit=failing_limit, room=room or {}, per_host=per_host
        )


async def end(
    world: World, turn: Turn, now: datetime, *, standing: Standing | None = None, again: timedelta | None = None
) -> bool:
    """End a turn: delivered, or due again; False when it was lost."""
    async with world.transactions() as stores:
        if await stores.webhook_deliveries.holds(turn) is None:
            return False
        await stores.webhook_deliveries.end_turn(
            turn,
            standing or Standing(),
            state="delivered" if again is None else "pending",
            due_at=None if again is None else now + again,
            finished_at=now if again is None else None,
            status=200 if again is None else 500,
            rest_until=now,
        )
    return True


async def failing(world: World, endpoint_id: WebhookEndpointId, now: datetime) -> None:
    """Make every endpoint a failing one that has something due, this one included."""
    await deliver(world, endpoint_id, "failed", now)
    for turn in await take(world, now):
        await end(world, turn, now, standing=Standing("failing", 1, world.clock.wall_ms()), again=timedelta(0))


async def test_a_turn_brings_the_oldest_due_delivery_with_its_body_and_live_secrets(
    world: World, owner: Caller, now: datetime
) -> None:
    made = await endpoint(world, owner, secrets=2)
    first = await deliver(world, made, "first", now)
    await deliver(world, made, "second", now + timedelta(seconds=1))
    (turn,) = await take(world, now + timedelta(seconds=1))
    assert (turn.delivery_id, turn.body, turn.attempt, turn.call, turn.number) == (first, b"first", 1, 1, 1)
    assert turn.sealed == (b"sealed 1", b"sealed 0")
    assert (turn.url, turn.host, turn.failing) == ("https://a.example/", "a.example", False)


async def test_an_endpoint_has_one_turn_at_a_time_whatever_waits_for_it(
    world: World, owner: Caller, now: datetime
) -> None:
    made = await endpoint(world, owner)
    for subject in ("one", "two", "three"):
        await deliver(world, made, subject, now)
    (turn,) = await take(world, now)
    await deliver(world, made, "four", now)
    assert await take(world, now) == []
    assert await end(world, turn, now)
    (following,) = await take(world, now)
    assert (following.body, following.number) == (b"two", 2)


async def test_a_worker_that_died_leaves_a_turn_that_comes_again_with_its_attempt_counted(
    world: World, owner: Caller, now: datetime
) -> None:
    made = await endpoint(world, owner)
    await deliver(world, made, "one", now)
    (first,) = await take(world, now)
    assert await take(world, now + LEASE - timedelta(seconds=1)) == []
    (second,) = await take(world, now + LEASE)
    assert (second.delivery_id, second.attempt, second.number) == (first.delivery_id, 2, 2)


async def test_a_worker_that_was_frozen_past_its_lease_has_lost_its_turn(
    world: World, owner: Caller, now: datetime
) -> None:
    made = await endpoint(world, owner)
    await deliver(world, made, "one", now)
    (frozen,) = await take(world, now)
    (fresh,) = await take(world, now + LEASE)
    assert not await end(world, frozen, now + LEASE)
    assert await end(world, fresh, now + LEASE)


async def test_a_turn_of_an_endpoint_that_was_removed_meanwhile_is_lost(
    world: World, owner: Caller, now: datetime
) -> None:
    made = await endpoint(world, owner)
    await deliver(world, made, "one", now)
    (turn,) = await take(world, now)
    async with world.transactions() as stores:
        await stores.webhooks.remove(made, now)
    assert not await end(world, turn, now)


async def test_the_endpoint_that_has_waited_longest_is_first_and_goes_to_the_end_of_the_line(
    world: World, owner: Caller, now: datetime
) -> None:
    busy, quiet = await endpoint(world, owner), await endpoint(world, owner)
    for number in range(3):
        await deliver(world, busy, f"busy {number}", now - timedelta(minutes=10))
    await deliver(world, quiet, "quiet", now - timedelta(minutes=5))
    order = []
    for second in range(4):
        at = now + timedelta(seconds=second)
        (turn,) = await take(world, at, limit=1)
        order.append(turn.body.decode())
        await end(world, turn, at)
    assert order == ["busy 0", "quiet", "busy 1", "busy 2"]


async def test_a_host_gets_its_share_and_the_others_do_not_wait_behind_it(
    world: World, owner: Caller, now: datetime
) -> None:
    for number in range(30):
        await deliver(world, await endpoint(world, owner, "crowded.example"), f"{number}", now - timedelta(hours=1))
    await deliver(world, await endpoint(world, owner, "other.example"), "other", now)
    first = await take(world, now, limit=4, per_host=2)
    assert [turn.host for turn in first] == ["crowded.example"] * 2
    # Its share is taken: it is left out, however many of its endpoints stand before the others.
    second = await take(world, now, limit=2, per_host=2, room={"crowded.example": 0})
    assert [turn.host for turn in second] == ["other.example"]


async def test_failing_endpoints_get_no_more_than_is_left_to_them(world: World, owner: Caller, now: datetime) -> None:
    bad = [await endpoint(world, owner, f"bad{number}.example") for number in range(4)]
    for each in bad:
        await failing(world, each, now)
    good = await endpoint(world, owner, "good.example")
    await deliver(world, good, "good", now)
    turns = await take(world, now, limit=5, failing_limit=2)
    assert sorted(turn.failing for turn in turns) == [False, True, True]
    assert not any(turn.failing for turn in await take(world, now, failing_limit=0))


async def test_a_rest_is_kept_whatever_else_happens_to_the_endpoint(world: World, owner: Caller, now: datetime) -> None:
    made = await endpoint(world, owner)
    await deliver(world, made, "one", now)
    (turn,) = await take(world, now)
    minute = now + timedelta(minutes=1)
    async with world.transactions() as stores:
        await stores.webhook_deliveries.end_turn(
            turn, Standing(), state="delivered", due_at=None, finished_at=now, status=200, rest_until=minute
        )
    await deliver(world, made, "two", now)
    assert await take(world, minute - timedelta(seconds=1)) == []
    assert len(await take(world, minute)) == 1


async def test_a_paused_endpoint_gets_no_turn_until_it_is_resumed_and_then_everything_is_due(
    world: World, owner: Caller, now: datetime
) -> None:
    made = await endpoint(world, owner)
    await deliver(world, made, "one", now)
    (turn,) = await take(world, now)
    paused = Standing("paused", 10, world.clock.wall_ms(), "dead")
    await end(world, turn, now, standing=paused, again=timedelta(hours=14))
    await deliver(world, made, "two", now)
    assert await take(world, now + timedelta(days=2)) == []
    async with world.transactions() as stores:
        await stores.webhooks.resume(made, now)
        found = await stores.webhooks.by_id(made)
    assert found is not None
    assert found.standing == Standing()
    bodies = []
    for _ in range(2):
        (turn,) = await take(world, now)
        bodies.append(turn.body)
        await end(world, turn, now)
    assert sorted(bodies) == [b"one", b"two"]
    assert await take(world, now) == []


async def test_one_endpoint_is_told_of_one_subject_once(world: World, owner: Caller, now: datetime) -> None:
    one, other = await endpoint(world, owner), await endpoint(world, owner)
    assert await deliver(world, one, "a workout/1", now) is not None
    assert await deliver(world, one, "a workout/1", now) is None
    assert await deliver(world, one, "a workout/2", now) is not None
    assert await deliver(world, other, "a workout/1", now) is not None


async def test_with_too_many_waiting_the_next_one_is_recorded_as_failed_and_can_be_replayed(
    world: World, owner: Caller, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("persistence.webhook_deliveries.MAX_WAITING", 2)
    made = await endpoint(world, owner)
    added = [await deliver(world, made, f"{number}", now) for number in range(3)]
    async with world.transactions() as stores:
        found = await stores.webhook_deliveries.of_endpoint(made, before=None, state="failed", limit=10)
        assert [each.id for each in found] == [added[2]]
        assert await stores.webhook_deliveries.replay_failed(made, now, now, 10) == 1
        assert await stores.webhook_deliveries.of_endpoint(made, before=None, state="failed", limit=10) == []


async def test_a_delivery_that_is_replayed_during_its_call_is_called_again_unless_the_call_delivered_it(
    world: World, owner: Caller, now: datetime
) -> None:
    made = await endpoint(world, owner)
    for again, comes_again in ((timedelta(hours=1), True), (None, False)):
        delivery_id = await deliver(world, made, f"{again}", now)
        assert delivery_id is not None
        (turn,) = await take(world, now)
        async with world.transactions() as stores:
            await stores.webhook_deliveries.replay(delivery_id, now)
        await end(world, turn, now, again=again)
        turns = await take(world, now)
        assert [each.attempt for each in turns] == ([1] if comes_again else [])
        for each in turns:
            await end(world, each, now)


async def test_of_the_attempts_the_newest_are_kept(world: World, owner: Caller, now: datetime) -> None:
    made = await endpoint(world, owner)
    delivery_id = await deliver(world, made, "one", now)
    assert delivery_id is not None
    async with world.transactions() as stores:
        for number in range(1, MAX_ATTEMPTS_KEPT + 6):
            await stores.webhook_deliveries.note(delivery_id, Attempt(number, 1_000, 5, "answered", 500, "no"))
        kept = await stores.webhook_deliveries.attempts(delivery_id)
    assert [each.n for each in kept] == list(range(6, MAX_ATTEMPTS_KEPT + 6))
    assert kept[0] == Attempt(6, 1_000, 5, "answered", 500, "no")


async def test_of_several_rotations_at_most_two_secrets_are_live_and_the_old_one_ends(
    world: World, owner: Caller, now: datetime
) -> None:
    made = await endpoint(world, owner)
    async with world.transactions() as stores:
        for number in (1, 2):
            await stores.webhooks.retire_secrets(made, now + timedelta(hours=1))
            await stores.webhooks.add_secret(made, f"sealed {number}".encode(), now)
    await deliver(world, made, "one", now)
    (turn,) = await take(world, now)
    assert turn.sealed == (b"sealed 2", b"sealed 1")
    (turn,) = await take(world, now + timedelta(hours=1))
    assert turn.sealed == (b"sealed 2",)


async def test_pages_of_deliveries_meet_without_a_gap(world: World, owner: Caller, now: datetime) -> None:
    made = await endpoint(world, owner)
    added = [await deliver(world, made, f"{number}", now + timedelta(seconds=number // 2)) for number in range(7)]
    found: list[WebhookDeliveryId] = []
    async with world.transactions() as stores:
        while page := await stores.webhook_deliveries.of_endpoint(
            made, before=found[-1] if found else None, state=None, limit=3
        ):
            found += [each.id for each in page]
    assert found == added[::-1]


async def test_upkeep_forgets_what_is_old_and_what_was_removed_in_bites(
    world: World, owner: Caller, now: datetime
) -> None:
    kept, removed = await endpoint(world, owner), await endpoint(world, owner)
    for number in range(3):
        await deliver(world, kept, f"{number}", now + timedelta(days=number))
        await deliver(world, removed, f"{number}", now + timedelta(days=10))
    async with world.transactions() as stores:
        assert await stores.webhook_deliveries.prune(now + timedelta(days=2), 1) == 1
        assert await stores.webhook_deliveries.prune(now + timedelta(days=2), 10) == 1
        assert await stores.webhook_deliveries.prune(now + timedelta(days=2), 10) == 0
        assert await stores.webhook_deliveries.sweep(2) == 0
        await stores.webhooks.remove(removed, now)
        assert [each.id for each in await stores.webhooks.of_account(owner.account_id)] == [kept]
        assert await stores.webhooks.wanting(owner.account_id, EVENT) == await stores.webhooks.of_account(
            owner.account_id
        )
        assert [await stores.webhook_deliveries.sweep(2) for _ in range(4)] == [2, 1, 1, 0]
        assert await stores.tx.fetchval("SELECT count(*) FROM webhook_endpoints") == 1


async def test_the_line_and_what_waits_are_found_by_their_indexes(world: World, owner: Caller, now: datetime) -> None:
    made = await endpoint(world, owner)
    async with world.database.tx() as tx:
        await tx.execute(
            """
            INSERT INTO webhook_endpoints (id, account_id, url, host, events, scopes, description, created_at, due_at)
            SELECT gen_random_uuid(), account_id, url, host, events, scopes, description, created_at,
                   now() + n * interval '1 s'
            FROM webhook_endpoints, generate_series(1, 5000) AS n
            """
        )
        await tx.execute(
            """
            INSERT INTO webhook_deliveries (id, endpoint_id, event, subject, body, created_at, state, traceparent, due_at)
            SELECT gen_random_uuid(), id, 'e', n::text, '', now(), 'pending', '', now() + n * interval '1 s'
            FROM webhook_endpoints, generate_series(1, 4) AS n
            """
        )
        await tx.execute("ANALYZE webhook_endpoints, webhook_deliveries")
        line = await tx.fetch(
            """
            EXPLAIN SELECT id, host, state FROM webhook_endpoints
            WHERE due_at <= now() AND (leased_until IS NULL OR leased_until <= now())
              AND (state = 'active' OR true) AND host <> ALL('{}'::text[])
            ORDER BY due_at LIMIT 200 FOR NO KEY UPDATE SKIP LOCKED
            """
        )
        oldest = await tx.fetch(
            """
            EXPLAIN SELECT id FROM webhook_deliveries
            WHERE endpoint_id = $1 AND state = 'pending' AND due_at <= now()
            ORDER BY due_at, id LIMIT 1
            """,
            made,
        )
    assert "webhook_endpoints_due" in "\n".join(row[0] for row in line)
    assert "webhook_deliveries_waiting" in "\n".join(row[0] for row in oldest)
