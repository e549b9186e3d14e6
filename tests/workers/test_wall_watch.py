"""A worker whose wall clock is wrong takes nothing that is leased by it."""

import uuid

import pytest
from structlog.testing import capture_logs

from persistence.database import Database, wall_ms
from services.kernel.clock import ManualClock
from services.kernel.facts import WorkoutSummarised
from services.training.workouts import summarise
from tests.support.fact_logs import running
from tests.support.notified import Notified, announced
from tests.support.postbox import Postbox, a_post, send_due
from tests.support.task_buses import eventually
from tests.support.webhooks import HookBench
from tests.support.world import SEALS, steady
from workers.activity import NAME, CountActivity
from workers.fact_log import TRAINING
from workers.following import Follower
from workers.outbound.client import open_outbound
from workers.outbound.egress import Egress
from workers.postgres_log import PostgresLog
from workers.sending import Sender
from workers.wall_watch import EVERY_S, MOST_SKEW_S, STEP_S, WallWatch
from workers.webhooks import WebhookSender

OFF_MS = 61_000
"""More than the lease of a push."""


class Stepping(ManualClock):
    """A clock whose wall hand somebody turns by `off_ms`."""

    off_ms = 0

    def wall_ms(self) -> int:
        return super().wall_ms() + self.off_ms


@pytest.fixture
async def clock(database: Database) -> Stepping:
    """A clock that agrees with the database's."""
    async with database.tx() as tx:
        return Stepping(await wall_ms(tx))


async def agrees(watch: WallWatch, database: Database) -> bool:
    async with database.tx() as tx:
        return await watch.agrees(tx)


@pytest.mark.parametrize("off_s", [MOST_SKEW_S + 2, -MOST_SKEW_S - 2])
async def test_a_clock_that_is_wrong_is_found_out_before_anything_is_taken(
    database: Database, clock: Stepping, off_s: float
) -> None:
    watch = WallWatch(clock)
    clock.off_ms = round(off_s * 1_000)
    with capture_logs() as logs:
        assert not await agrees(watch, database)
        assert not await agrees(watch, database)
    (line,) = [line for line in logs if line["event"] == "wall_watch.clock_wrong"]
    assert line["log_level"] == "error"
    assert abs(line["off_s"] - off_s) < 1.5
    clock.off_ms = 0
    assert await agrees(watch, database)


async def test_a_clock_that_is_right_is_compared_now_and_then_and_when_it_steps(
    database: Database, clock: Stepping, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []

    async def counted(tx: object) -> int:
        asked.append(tx)
        return clock.wall_ms() - clock.off_ms

    monkeypatch.setattr("workers.wall_watch.wall_ms", counted)
    watch = WallWatch(clock)
    for _ in range(3):
        assert await agrees(watch, database)
    assert len(asked) == 1
    await clock.advance(EVERY_S)
    assert await agrees(watch, database)
    assert len(asked) == 2
    clock.off_ms = round(STEP_S * 2_000)
    assert await agrees(watch, database)
    assert len(asked) == 3
    clock.off_ms = OFF_MS
    assert not await agrees(watch, database)


async def test_a_lane_leaves_to_others_what_a_wrong_clock_would_lease(database: Database, clock: Stepping) -> None:
    world, postbox, ahead = Notified(database, clock), Postbox(), Stepping(clock.wall_ms())
    ada = await world.account()
    await world.tell(announced(), ada)
    ahead.off_ms = OFF_MS
    wrong = Sender("email", 4, world.transactions, postbox, a_post(world), ahead, wall=WallWatch(ahead))
    right = Sender("email", 4, world.transactions, postbox, a_post(world), clock, wall=WallWatch(clock))
    assert await wrong.take(4) == (0, [])
    assert await send_due(right) == 1
    assert len(postbox.sent) == 1


async def test_webhooks_are_left_to_others_too(database: Database, clock: Stepping) -> None:
    bench = HookBench(database)
    owner = await bench.world.account()
    await bench.endpoint(owner)
    workout_id, _ = await bench.world.workout(owner, steady(5))
    async with bench.world.transactions() as stores:
        await summarise(stores, workout_id)
    await bench.happen(WorkoutSummarised(workout_id, owner.account_id))
    ahead = Stepping(clock.wall_ms() + OFF_MS)
    async with open_outbound(ahead, Egress()) as outbound:
        wrong = WebhookSender(bench.world.transactions, outbound, SEALS, ahead, wall=WallWatch(ahead))
        right = WebhookSender(bench.world.transactions, outbound, SEALS, clock, wall=WallWatch(clock))
        assert await wrong._take() == []
        assert len(await right._take()) == 1


async def test_nobody_follows_a_log_by_a_wrong_clock(database: Database, clock: Stepping) -> None:
    bench = HookBench(database)
    clock.off_ms = OFF_MS
    log = PostgresLog(database, clock)
    follower = Follower(
        NAME, TRAINING, CountActivity(clock), log, bench.world.transactions, clock, uuid.uuid4(), wall=WallWatch(clock)
    )
    with capture_logs() as logs:
        async with running(follower):
            await eventually(lambda: [line for line in logs if line["event"] == "wall_watch.clock_wrong"])
            assert not follower.statistics.follows
    async with database.tx() as tx:
        assert await tx.fetchval("SELECT count(*) FROM followers") == 0
