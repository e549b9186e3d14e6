"""Several sensors of one athlete in one class: the board shows one of them, all are stored, and no second is earned twice."""

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from persistence.stores import Transactions
from realtime.connection import Connection
from realtime.wire import Row, StreamFinish
from rooms.effort import Effort
from rooms.feeding import Feeding, earned
from services.classes.live_class import LiveClass
from services.kernel.caller import Caller
from services.kernel.ids import StreamId, Uuid7Ids
from services.training.arbitration import DEAD_MS, DWELL_MS, Shift
from services.training.earned import Earned, together
from services.training.motion import Moving
from services.training.origin import StreamOrigin, origins_of
from services.training.physiology import Physiology
from services.training.provenance import SensorKind
from services.training.sample import Sample
from tests.rooms.conftest import TestNode, World
from tests.services.training.build import body


@dataclass
class Sensor:
    """A stream without a socket, taken in as rooms/streams.py does it."""

    id: StreamId
    sensor: SensorKind | None = None
    physiology: Physiology = field(default_factory=body)
    burn: Sequence[int] | None = None
    effort: Effort = field(default_factory=Effort)
    read_at_ms: int | None = None
    made_at_ms: int | None = None
    earns_from_ms: int | None = None
    moving: Moving | None = None

    def take(self, feeding: Feeding, samples: Iterable[Sample], now_ms: int) -> None:
        """Samples whose times are the wall clock's."""
        fresh = tuple(samples)
        made = [self.made_at_ms, *(sample.t for sample in fresh)]
        self.made_at_ms = fresh[-1].t
        self.read_at_ms = max((s.t for s in fresh if s.bpm is not None), default=self.read_at_ms)
        feeding.hears(self, fresh, fresh[-1].t, now_ms)
        self.effort = earned(self, fresh, made, counts=feeding.feeds(self))


def sensor(number: int, kind: SensorKind | None = None) -> Sensor:
    return Sensor(StreamId(uuid.UUID(int=number)), kind)


def feeding_of(*sensors: Sensor) -> tuple[Feeding, list[tuple[StreamId, Shift]]]:
    shifts: list[tuple[StreamId, Shift]] = []
    feeding = Feeding(lambda stream, shift: shifts.append((stream, shift)))
    for n, one in enumerate(sensors):
        feeding.open(one, feed_epoch=n, earned={}, now_ms=0)
    return feeding, shifts


def beat(second: int, bpm: int | None = 140) -> Sample:
    return Sample(1_000 * second, None if bpm is None else bpm + second % 2)


def test_one_stream_feeds_and_nothing_is_told() -> None:
    alone = sensor(1)
    feeding, shifts = feeding_of(alone)
    for second in range(61):
        alone.take(feeding, [beat(second)], 1_000 * second)
    assert feeding.feeder() is alone
    assert sum(feeding.earned().zone_ms) == 60_000
    assert shifts == []


def test_a_backlog_cannot_earn_what_the_other_has_earned_meanwhile() -> None:
    strap, watch = sensor(1, "strap"), sensor(2, "optical")
    feeding, shifts = feeding_of(strap, watch)
    for second in range(20):
        strap.take(feeding, [beat(second)], 1_000 * second)
        watch.take(feeding, [beat(second)], 1_000 * second)
    for second in range(20, 60):  # a dead zone for the strap
        watch.take(feeding, [beat(second)], 1_000 * second)
    strap.take(feeding, [beat(second) for second in range(20, 60)], 60_000)
    for second in range(60, 90):
        strap.take(feeding, [beat(second)], 1_000 * second)
        watch.take(feeding, [beat(second)], 1_000 * second)
    assert [(shift.reason, stream) for stream, shift in shifts] == [
        ("first", strap.id),
        ("dead", watch.id),
        ("better", strap.id),
    ]
    # Not earned: the seconds in which the strap was believed to be alive, and one interval at each shift.
    assert 89_000 - DEAD_MS - 2_000 <= sum(feeding.earned().zone_ms) <= 89_000


def test_what_a_stream_earned_stays_when_it_has_ended() -> None:
    strap, watch = sensor(1, "strap"), sensor(2, "optical")
    feeding, shifts = feeding_of(strap, watch)
    for second in range(11):
        strap.take(feeding, [beat(second)], 1_000 * second)
        watch.take(feeding, [beat(second)], 1_000 * second)
    feeding.leave(strap, 10_500)
    assert feeding.feeder() is watch
    assert shifts[-1] == (watch.id, Shift(10_500, watch.id, "gone"))
    for second in range(11, 21):
        watch.take(feeding, [beat(second)], 1_000 * second)
    assert sum(feeding.earned().zone_ms) == 20_000
    feeding.leave(watch, 21_000)
    assert not feeding
    assert sum(feeding.earned().zone_ms) == 20_000


def test_what_the_database_knows_of_others_counts_once_however_often_it_is_told() -> None:
    phone = sensor(1)
    feeding, _ = feeding_of(phone)
    other = StreamId(uuid.UUID(int=9))
    for zone_ms in ((1, 2, 3, 4, 5, 6), (1, 2, 3, 4, 5, 9), (1, 2, 3, 4, 5, 7)):
        again = sensor(1)
        feeding.leave(phone, 0)
        feeding.open(again, feed_epoch=2, earned={other: Earned(zone_ms)}, now_ms=0)
        phone = again
    assert feeding.earned().zone_ms == (1, 2, 3, 4, 5, 9)


arrivals = st.lists(
    st.tuples(st.integers(0, 2), st.integers(1, 12), st.sampled_from([None, 120, 150]), st.integers(0, 3_000)),
    max_size=40,
)


@given(arrivals, st.lists(st.sampled_from(["strap", "optical", None]), min_size=3, max_size=3))
def test_nobody_earns_more_time_than_has_passed(
    arriving: list[tuple[int, int, int | None, int]], kinds: list[SensorKind | None]
) -> None:
    """Batches of any length from three sensors, live or minutes late, in any interleaving."""
    sensors = [sensor(n, kind) for n, kind in enumerate(kinds)]
    feeding, _ = feeding_of(*sensors)
    now_ms, sent_ms = 0, [0, 0, 0]
    for which, seconds, bpm, pause_ms in arriving:
        now_ms += pause_ms
        times = range(sent_ms[which], min(sent_ms[which] + 1_000 * seconds, now_ms + 1), 1_000)
        if times:
            sent_ms[which] = times[-1] + 1_000
            sensors[which].take(feeding, [Sample(t, bpm) for t in times], now_ms)
        assert feeding.earned().zone_ms == together(one.effort.earned for one in sensors).zone_ms
        assert sum(feeding.earned().zone_ms) <= now_ms


# -- on a node, with a board ----------------------------------------------------------------------------------------


@dataclass
class Class:
    """Ada in a class, with a second for every sample of hers."""

    node: TestNode
    live: LiveClass
    seqs: dict[StreamId, int] = field(default_factory=dict)

    async def second(self, *sent: tuple[Connection, StreamId, int | None]) -> None:
        await self.node.world.clock.advance(1)
        now_ms = self.node.world.clock.wall_ms()
        for connection, stream, bpm in sent:
            seq = self.seqs.get(stream, 0)
            sample = Sample(now_ms % 1_000_000_000, None if bpm is None else bpm + seq % 2)
            self.node.send(connection, stream, seq, (sample,))
            self.seqs[stream] = seq + 1

    def row(self) -> Row:
        self.node.rooms.beat()
        room = self.node.rooms.get(self.live.id)
        assert room is not None
        (row,) = [row for row in room.board.rows() if row.n == 2] or room.board.rows()
        return row


async def test_the_board_shows_the_strap_and_the_watch_while_the_strap_is_lost(world: World) -> None:
    node = world.node()
    coach, ada = await world.person("Mia", coach=True), await world.person("Ada")
    live = await node.create_class(coach)
    on_watch, on_strap = node.connect(ada), node.connect(ada)
    watch = (await node.open(on_watch, live.code, sensor="optical")).stream
    lesson = Class(node, live)
    for _ in range(5):
        await lesson.second((on_watch, watch, 120))
    strap = (await node.open(on_strap, live.code, sensor="strap")).stream
    assert lesson.row().bpm in {120, 121}  # until the strap feels a heart, the line says what it said
    await lesson.second((on_watch, watch, 120), (on_strap, strap, 160))
    assert lesson.row().bpm in {160, 161}
    for _ in range(DEAD_MS // 1_000):
        await lesson.second((on_watch, watch, 120), (on_strap, strap, None))
    assert (lesson.row().bpm in {120, 121}, lesson.row().freshness) == (True, "live")
    for _ in range(DWELL_MS // 1_000 - 1):
        await lesson.second((on_watch, watch, 120), (on_strap, strap, 160))
        assert lesson.row().bpm in {120, 121}
    for _ in range(3):
        await lesson.second((on_watch, watch, 120), (on_strap, strap, 160))
    assert lesson.row().bpm in {160, 161}
    await node.streams.recorder.flush()
    async with world.database.connection() as connection:
        told = await connection.fetch(
            "SELECT envelope->'fact' AS fact FROM outbox WHERE type = 'workout.sensor_chosen' ORDER BY seq"
        )
        counted = await connection.fetch("SELECT stream_id, sum(cardinality(t)) AS n FROM sample_batches GROUP BY 1")
    facts = [msgspec.json.decode(row["fact"]) for row in told]
    assert [fact["reason"] for fact in facts] == ["first", "opened", "dead", "better"]
    assert facts[0]["workout_id"] == facts[2]["workout_id"] != facts[1]["workout_id"] == facts[3]["workout_id"]
    assert {row["stream_id"]: row["n"] for row in counted} == lesson.seqs

    for connection, stream in ((on_watch, watch), (on_strap, strap)):
        await node.streams.finish(connection, StreamFinish(stream=stream, samples=lesson.seqs[stream]))
    by_watch, by_strap = await origins(world, ada)
    assert (by_watch.sensor, by_strap.sensor) == ("optical", "strap")
    assert by_watch.fed is not None
    assert by_strap.fed is not None
    turns = sorted((*by_watch.fed, *by_strap.fed))
    assert turns == [by_watch.fed[0], by_strap.fed[0], by_watch.fed[1], by_strap.fed[1]]
    assert [began for began, _ in turns] == [fact["from_ms"] for fact in facts]
    assert all(ended == began for (_, ended), (began, _) in pairwise(turns)), "no second is fed by both or by none"


async def test_who_fed_which_second_is_kept_once_and_goes_with_its_stream(world: World) -> None:
    node = world.node()
    ada = await world.person("Ada")
    live = await node.create_class(await world.person("Mia", coach=True))
    first, second = [(await node.open(node.connect(ada), live.code)).stream for _ in range(2)]
    shifts = [Shift(5, first, "first"), Shift(5, second, "opened"), Shift(9, first, "dead")]
    transactions = Transactions(world.database, world.clock, Uuid7Ids(world.clock))
    for _ in range(2):  # a commit whose answer was lost is made again
        async with transactions() as stores:
            await stores.streams.keep_shifts([*shifts, Shift(7, StreamId(uuid.uuid4()), "better")])
    async with transactions() as stores:
        assert await stores.streams.shifts(live.id, ada.account_id) == shifts


async def test_a_stream_knows_its_sensor_after_it_was_taken_up_by_somebody_who_does_not(world: World) -> None:
    node = world.node()
    ada = await world.person("Ada")
    stream = (await node.open(node.connect(ada), sensor="strap")).stream
    again = node.connect(ada)
    await node.open(again, stream=stream)
    assert [one.sensor for one in await origins(world, ada)] == ["strap"]
    await node.open(again, stream=stream, sensor="optical")
    assert [one.sensor for one in await origins(world, ada)] == ["optical"]


async def origins(world: World, athlete: Caller) -> list[StreamOrigin]:
    """Where the samples of somebody's workouts come from, oldest first."""
    async with Transactions(world.database, world.clock, Uuid7Ids(world.clock))() as stores:
        workouts = await stores.workouts.of_account(athlete.account_id, before=None, limit=10)
        return [one for workout in reversed(workouts) for one in await origins_of(stores.streams, workout)]


async def test_when_the_stream_that_feeds_is_finished_the_other_goes_on(world: World) -> None:
    node = world.node()
    ada = await world.person("Ada")
    live = await node.create_class(await world.person("Mia", coach=True))
    on_watch, on_strap = node.connect(ada), node.connect(ada)
    watch = (await node.open(on_watch, live.code, sensor="optical")).stream
    strap = (await node.open(on_strap, live.code, sensor="strap")).stream
    lesson = Class(node, live)
    for _ in range(5):
        await lesson.second((on_watch, watch, 120), (on_strap, strap, 160))
    await node.streams.finish(on_strap, StreamFinish(stream=strap, samples=5))
    await lesson.second((on_watch, watch, 120))
    assert (lesson.row().bpm in {120, 121}, lesson.row().freshness) == (True, "live")
    await node.streams.finish(on_watch, StreamFinish(stream=watch, samples=6))
    assert lesson.row().freshness == "none"
