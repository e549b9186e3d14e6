"""Watching over athletes on a node: what their streams lead to, and what silence, two devices and two nodes do not."""

import asyncio
import uuid

import pytest

from realtime.connection import Connection
from realtime.wire import StreamFinish
from rooms.guarding import LOOK_S, MAX_FOUND, Guarding
from services.kernel.caller import Caller
from services.kernel.clock import ManualClock
from services.kernel.ids import AccountId, ClassId, StreamId
from services.kernel.problems import Unavailable
from services.safety.incident import Incident
from services.safety.ports import Chosen
from services.safety.watching import HARD_MS, LOST_MS, RECOVERY_MS, Finding
from services.training.sample import Sample
from tests.rooms.conftest import TestNode, World
from tests.services.training.build import body

HARD, OVER = 170, 199
ADA = AccountId(uuid.UUID(int=1))


class Athlete:
    """Somebody who sends a sample a second from a device."""

    def __init__(self, world: World, node: TestNode, connection: Connection, stream: StreamId) -> None:
        self.world, self.node, self.connection, self.stream = world, node, connection, stream
        self.seq = 0

    def send(self, bpm: int | None) -> None:
        sample = Sample(1_000 * self.seq, None if bpm is None else bpm + self.seq % 2)
        self.node.send(self.connection, self.stream, self.seq, (sample,))
        self.seq += 1

    async def ride(self, seconds: int, bpm: int | None) -> None:
        for _ in range(seconds):
            self.send(bpm)
            await self.world.advance(1)


async def watched(world: World, name: str = "Ada", *, on: bool = True) -> Caller:
    caller = await world.person(name, max_hr=190)
    await world.nodes[0].safety.choose(caller, Chosen(on=on))
    return caller


async def rides(world: World, node: TestNode, caller: Caller, code: str | None = None) -> Athlete:
    connection = node.connect(caller)
    return Athlete(world, node, connection, (await node.open(connection, code)).stream)


async def asked(world: World, seconds: float = LOOK_S) -> list[tuple[str, uuid.UUID | None]]:
    """What people have been asked about, and the class it was in, after every node has looked."""
    await world.advance(seconds)
    while any(node.guarding.statistics.waiting for node in world.nodes):
        await asyncio.sleep(0.001)
    await world.advance(0)
    async with world.database.connection() as connection:
        rows = await connection.fetch("SELECT kind, class_id FROM safety_incidents ORDER BY opened_at, id")
    return [(row["kind"], row["class_id"]) for row in rows]


async def test_who_is_above_their_limit_is_asked_and_the_class_is_noted(world: World) -> None:
    node = world.node()
    live = await node.create_class(await world.person("Kim", coach=True))
    athlete = await rides(world, node, await watched(world), live.code)
    await athlete.ride(9, OVER)
    assert await asked(world) == []
    await athlete.ride(3, OVER)
    assert await asked(world) == [("over_limit", live.id)]


async def test_nobody_watches_over_somebody_who_does_not_want_it(world: World) -> None:
    node = world.node()
    athlete = await rides(world, node, await watched(world, on=False))
    await athlete.ride(20, OVER)
    assert await asked(world) == []
    assert node.guarding.statistics.watched == 0


async def test_a_connection_that_is_lost_in_hard_effort_is_silence(world: World) -> None:
    node = world.node()
    athlete = await rides(world, node, await watched(world))
    await athlete.ride(HARD_MS // 1_000 + 5, HARD)
    node.cut(athlete.connection)
    await world.advance(LOST_MS / 1_000 + 3)
    assert await asked(world) == [("signal_lost", None)]
    await world.advance(LOOK_S)
    assert node.guarding.statistics.watched == 0


async def test_whoever_comes_back_on_another_node_is_not_lost_on_the_first(world: World) -> None:
    one, two = world.node(), world.node()
    ada = await watched(world)
    athlete = await rides(world, one, ada)
    await athlete.ride(HARD_MS // 1_000 + 5, HARD)
    one.cut(athlete.connection)
    await world.advance(20)
    again = two.connect(ada)
    await two.open(again, stream=athlete.stream)
    assert await asked(world, LOST_MS / 1_000) == []


async def test_a_stream_that_is_finished_is_no_silence(world: World) -> None:
    node = world.node()
    athlete = await rides(world, node, await watched(world))
    await athlete.ride(HARD_MS // 1_000 + 5, HARD)
    await world.advance(1)
    finish = asyncio.ensure_future(node.streams.finish(athlete.connection, StreamFinish(athlete.stream, athlete.seq)))
    await world.advance(1)
    await finish
    assert await asked(world, LOST_MS / 1_000 + 10) == []


async def test_a_second_device_takes_over_and_nobody_is_lost(world: World) -> None:
    node = world.node()
    ada = await watched(world)
    watch, strap = await rides(world, node, ada), await rides(world, node, ada)
    for second in range(130):
        watch.send(HARD if second < 70 else None)
        strap.send(HARD - 3)
        await world.advance(1)
    assert await asked(world) == []
    assert node.guarding.statistics.found == {}, "the strap was believed, and not only heard by the database"


async def test_a_heart_that_does_not_recover_after_the_coach_has_ended_the_class(world: World) -> None:
    node = world.node()
    kim = await world.person("Kim", coach=True)
    live = await node.create_class(kim)
    athlete = await rides(world, node, await watched(world), live.code)
    await athlete.ride(HARD_MS // 1_000 + 5, HARD)
    ending = asyncio.ensure_future(node.classes.end(kim, live.id))
    while not ending.done():
        await world.advance(0)
    await athlete.ride(RECOVERY_MS // 1_000 + 5, HARD - 4)
    assert await asked(world) == [("no_recovery", live.id)]


# -- the loop, without a database ---------------------------------------------------------------------------------


class Asks:
    """Opens nothing, or cannot."""

    def __init__(self) -> None:
        self.found_: list[Finding] = []
        self.away: Exception | None = None

    async def found(
        self, account_id: AccountId, class_id: ClassId | None, stream_id: StreamId, finding: Finding
    ) -> Incident | None:
        if self.away is not None:
            raise self.away
        self.found_.append(finding)
        return None


async def over(guarding: Guarding, account_id: AccountId, clock: ManualClock) -> None:
    """Ten seconds above the limit, in one batch that has just come."""
    stream, now_ms = StreamId(uuid.uuid4()), clock.wall_ms()
    guarding.opened(account_id, stream, 185, body(max_hr=190), None)
    samples = [Sample(1_000 * second, OVER + second % 2) for second in range(11)]
    guarding.heard(account_id, stream, samples, [now_ms - 10_000 + sample.t for sample in samples])


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


async def test_what_cannot_be_opened_is_tried_again_for_a_minute(clock: ManualClock) -> None:
    asks = Asks()
    guarding = Guarding(asks, clock)
    loop = asyncio.ensure_future(guarding.run())
    asks.away = Unavailable()
    await over(guarding, ADA, clock)
    await clock.advance(30)
    asks.away = None
    await clock.advance(LOOK_S)
    assert [finding.kind for finding in asks.found_] == ["over_limit"]
    asks.away = Unavailable()
    await over(guarding, AccountId(uuid.UUID(int=2)), clock)
    await clock.advance(70)
    asks.away = None
    await clock.advance(LOOK_S)
    assert len(asks.found_) == 1
    assert guarding.statistics.dropped == 1
    loop.cancel()
    await asyncio.gather(loop, return_exceptions=True)


async def test_a_fault_with_one_athlete_is_no_harm_to_the_next(clock: ManualClock) -> None:
    asks = Asks()
    guarding = Guarding(asks, clock)
    loop = asyncio.ensure_future(guarding.run())
    asks.away = ZeroDivisionError("our own fault")
    await over(guarding, ADA, clock)
    await clock.advance(LOOK_S)
    asks.away = None
    await over(guarding, AccountId(uuid.UUID(int=2)), clock)
    await clock.advance(LOOK_S)
    assert len(asks.found_) == 1
    loop.cancel()
    await asyncio.gather(loop, return_exceptions=True)


async def test_a_node_that_stops_asks_about_what_it_has_found_first(clock: ManualClock) -> None:
    asks = Asks()
    guarding = Guarding(asks, clock)
    loop = asyncio.ensure_future(guarding.run())
    await clock.advance(LOOK_S / 2)
    await over(guarding, ADA, clock)
    guarding.stop()
    async with asyncio.timeout(5):
        await loop
    assert [finding.kind for finding in asks.found_] == ["over_limit"]


async def test_more_findings_than_can_wait_are_counted_and_forgotten(clock: ManualClock) -> None:
    guarding = Guarding(Asks(), clock)
    for number in range(MAX_FOUND + 3):
        await over(guarding, AccountId(uuid.UUID(int=number)), clock)
    assert guarding.statistics.found == {"over_limit": MAX_FOUND + 3}
    assert guarding.statistics.dropped == 3
