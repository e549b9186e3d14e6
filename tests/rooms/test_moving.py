"""Distance and power of a member with several devices: stored of all, counted of one, gone on with after a loss."""

import uuid
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from persistence.stores import Transactions
from rooms.moving import Movers
from services.classes.live_class import LiveClass
from services.kernel.caller import Caller
from services.kernel.ids import StreamId, Uuid7Ids
from services.training.arbitration import DEAD_MS
from services.training.motion import MAX_SPEED_M_S, NOT_MOVED, Moved, Moving
from services.training.sample import Motion, Sample
from tests.rooms.conftest import TestNode, World


@dataclass
class Device:
    """A stream without a socket, whose clock is the wall clock."""

    id: StreamId
    moving: Moving | None = None
    made_at_ms: int | None = None

    def take(self, movers: Movers, *readings: tuple[int, int | None], counts: bool = True) -> None:
        """Readings of the counter: at which ms, how many m."""
        samples = [Sample(t, None, (), None if m is None else Motion(m)) for t, m in readings]
        movers.move(self, samples, [self.made_at_ms, *(sample.t for sample in samples)], counts=counts)
        self.made_at_ms = samples[-1].t


def device(n: int) -> Device:
    return Device(StreamId(uuid.UUID(int=n)))


def test_two_devices_on_one_athlete_make_one_distance() -> None:
    movers, watch, treadmill = Movers(), device(1), device(2)
    for second in range(101):
        watch.take(movers, (1_000 * second, 3 * second))
        treadmill.take(movers, (1_000 * second + 400, 3 * second))
    assert movers.moved([watch, treadmill]).distance_m == 300


def test_another_device_takes_over_when_the_one_that_counts_is_silent() -> None:
    movers, watch, treadmill = Movers(), device(1), device(2)
    for second in range(11):
        watch.take(movers, (1_000 * second, 3 * second))
        treadmill.take(movers, (1_000 * second + 400, 3 * second))
    silent = DEAD_MS // 1_000
    for second in range(11, 21):
        treadmill.take(movers, (1_000 * second + 400, 3 * second))
    assert movers.moved([watch, treadmill]).distance_m == 30 + 3 * (10 - silent)
    watch.take(movers, *((1_000 * second, 3 * second) for second in range(11, 21)))
    assert movers.moved([watch, treadmill]).distance_m == 30 + 3 * (10 - silent), "a backlog earns nothing twice"


def test_with_a_window_only_what_lies_wholly_within_it_counts() -> None:
    movers, watch = Movers(), device(1)
    samples = [Sample(1_000 * at, None, (), Motion(3 * at)) for at in range(11)]
    movers.move(watch, samples, [None, *(sample.t for sample in samples)], counts=True, window=(1_500, 8_500))
    assert movers.moved([watch]).distance_m == 3 * 6


def test_another_device_takes_over_at_once_when_the_one_that_counts_has_ended() -> None:
    movers, watch, treadmill = Movers(), device(1), device(2)
    watch.take(movers, (0, 0), (1_000, 3))
    treadmill.take(movers, (1_000, 500))
    movers.leave(watch)
    treadmill.take(movers, (2_000, 503))
    assert movers.moved([treadmill]).distance_m == 6


def test_a_strap_beside_a_machine_takes_nothing_from_it() -> None:
    movers, strap, bike = Movers(), device(1), device(2)
    for second in range(11):
        strap.take(movers, (1_000 * second, None))
        bike.take(movers, (1_000 * second, 8 * second))
    assert movers.moved([strap, bike]).distance_m == 80


def test_what_comes_after_the_end_of_the_class_is_not_earned() -> None:
    movers, watch = Movers(), device(1)
    watch.take(movers, (0, 0), (1_000, 3))
    watch.take(movers, (2_000, 6), counts=False)
    watch.take(movers, (3_000, 9))
    assert movers.moved([watch]).distance_m == 6


def test_nobody_who_moves_has_moved_nothing() -> None:
    assert Movers().moved([device(1)]) == NOT_MOVED


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(1, 5_000), st.booleans()), max_size=60))
def test_however_devices_come_and_go_no_time_counts_twice(steps: list[tuple[int, int, bool]]) -> None:
    """Each device rides at the bound, so what is counted cannot be more than the time that has passed."""
    movers, devices, now_ms = Movers(), [device(n) for n in range(3)], 0
    for which, later_ms, ends in steps:
        now_ms += later_ms
        devices[which].take(movers, (now_ms, MAX_SPEED_M_S * now_ms // 1_000))
        if ends:
            movers.leave(devices[which])
    moved = movers.moved(devices)
    assert (moved.distance_m or 0) * 1_000 <= MAX_SPEED_M_S * now_ms


def ride(seconds: range, *, from_m: int = 0) -> tuple[Sample, ...]:
    """8 m/s at 200 W and 90 turns a minute."""
    return tuple(Sample(1_000 * second, 140, (), Motion(from_m + 8 * second, 200, 90)) for second in seconds)


async def test_motion_is_stored_with_its_samples_and_goes_on_after_a_loss(world: World) -> None:
    here, there = world.node(), world.node()
    ada, live = await in_class(world, here)
    lost = here.connect(ada)
    opened = await here.open(lost, live.code)
    here.send(lost, opened.stream, 0, ride(range(6)))
    await world.advance(0.3)
    here.cut(lost)
    back = there.connect(ada)
    await there.open(back, live.code, stream=opened.stream)
    there.send(back, opened.stream, 6, ride(range(6, 11)))
    await world.advance(0.3)
    ridden = Moved(80, work_mj=2_000_000, power_ms=10_000, turns=900_000, cadence_ms=10_000)
    assert moved(there, live, ada) == ridden
    async with Transactions(world.database, world.clock, Uuid7Ids(world.clock))() as stores:
        (tally,) = await stores.streams.tallies(live.id)
        (judged,) = await stores.streams.judged_tallies(live.id)
        assert tuple(await stores.workouts.samples(opened.workout, 0, 100)) == ride(range(11))
    assert tally.moved == judged.moved == ridden


async def test_a_second_device_knows_what_the_first_has_done(world: World) -> None:
    node = world.node()
    ada, live = await in_class(world, node)
    on_bike = node.connect(ada)
    bike = (await node.open(on_bike, live.code)).stream
    node.send(on_bike, bike, 0, ride(range(11)))
    await world.advance(0.3)
    node.cut(on_bike)
    on_watch = node.connect(ada)
    watch = (await node.open(on_watch, live.code)).stream
    node.send(on_watch, watch, 0, ride(range(100, 106)))
    assert moved(node, live, ada).distance_m == 80 + 40


async def test_a_stream_of_no_class_keeps_its_motion_too(world: World) -> None:
    node = world.node()
    ada = await world.person("Ada")
    athlete = node.connect(ada)
    stream = (await node.open(athlete)).stream
    node.send(athlete, stream, 0, ride(range(3)))
    await world.advance(0.3)
    node.send(athlete, stream, 3, (Sample(3_000, 140),))
    await world.advance(0.3)
    async with Transactions(world.database, world.clock, Uuid7Ids(world.clock))() as stores:
        record = await stores.streams.lock(stream)
    assert record is not None
    assert record.moving is not None
    assert (record.moving.moved.distance_m, record.moving.moved.power_ms) == (16, 3_000)


async def in_class(world: World, node: TestNode) -> tuple[Caller, LiveClass]:
    live = await node.create_class(await world.person("Mia", coach=True))
    return await world.person("Ada"), live


def moved(node: TestNode, live: LiveClass, athlete: Caller) -> Moved:
    """What this node says that somebody has done in a class."""
    feeding = node.streams.feeding_of(live.id, athlete.account_id)
    assert feeding is not None
    return feeding.moved()
