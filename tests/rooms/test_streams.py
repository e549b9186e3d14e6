"""Streams on a node: acknowledged means committed, whatever is repeated, lost, taken over or late."""

import asyncio
import uuid

import msgspec
import pytest

from persistence.locations import Locations
from persistence.streams import StreamBatch, Written
from realtime.connection import Connection
from realtime.wire import SamplesStored, StreamFinish, StreamFinished, StreamOpen
from rooms.room import Room
from services.kernel.caller import Caller
from services.kernel.ids import StreamId
from services.kernel.problems import (
    BadShape,
    ClassNotFound,
    ClassOver,
    Forbidden,
    Problem,
    SequenceGap,
    StreamNotOpen,
    StreamTakenOver,
    WindowFull,
)
from services.training.location import Location
from services.training.sample import Sample
from tests.rooms.conftest import TestNode, World, events


def at(seconds: range, bpm: int = 140) -> tuple[Sample, ...]:
    return tuple(Sample(t=1_000 * second, bpm=bpm) for second in seconds)


async def stored(world: World, stream: StreamId) -> int:
    async with world.database.connection() as connection:
        count = await connection.fetchval(
            "SELECT coalesce(sum(cardinality(t)), 0) FROM sample_batches WHERE stream_id = $1", stream
        )
    return int(count)


async def test_samples_are_acknowledged_after_the_commit_and_not_before(world: World) -> None:
    node = world.node()
    athlete = node.connect(await world.person("Ada"))
    stream = (await node.open(athlete)).stream
    answer = node.send(athlete, stream, 0, at(range(3)))
    assert answer.said is None
    assert await stored(world, stream) == 0
    await world.advance(0.3)
    assert answer.said == SamplesStored(stream=stream, next_seq=3)
    assert await stored(world, stream) == 3


async def test_samples_sent_again_are_acknowledged_again_and_stored_once(world: World) -> None:
    node = world.node()
    athlete = node.connect(await world.person("Ada"))
    stream = (await node.open(athlete)).stream
    node.send(athlete, stream, 0, at(range(3)))
    await world.advance(0.3)
    assert node.send(athlete, stream, 0, at(range(3))).said == SamplesStored(stream=stream, next_seq=3)
    overlapping = node.send(athlete, stream, 1, at(range(1, 5)))
    await world.advance(0.3)
    assert overlapping.said == SamplesStored(stream=stream, next_seq=5)
    assert await stored(world, stream) == 5


async def test_a_batch_that_came_early_is_acknowledged_when_the_one_before_it_is_stored(world: World) -> None:
    node = world.node()
    athlete = node.connect(await world.person("Ada"))
    stream = (await node.open(athlete)).stream
    early = node.send(athlete, stream, 3, at(range(3, 5)))
    await world.advance(1)
    assert early.said is None
    node.send(athlete, stream, 0, at(range(3)))
    await world.advance(0.3)
    assert early.said == SamplesStored(stream=stream, next_seq=5)


async def test_a_device_that_comes_back_is_told_where_to_go_on(world: World) -> None:
    node = world.node()
    ada = await world.person("Ada")
    athlete = node.connect(ada)
    opened = await node.open(athlete)
    node.send(athlete, opened.stream, 0, at(range(7)))
    node.cut(athlete)
    again = await node.open(node.connect(ada), stream=opened.stream)
    # What the lost connection had sent is committed, although nobody was there to hear it.
    assert (again.next_seq, again.epoch, again.workout) == (7, 2, opened.workout)


async def test_a_connection_that_lost_its_stream_is_told_and_may_not_write(world: World) -> None:
    node = world.node()
    ada = await world.person("Ada")
    old, new = node.connect(ada), node.connect(ada)
    stream = (await node.open(old)).stream
    await node.open(new, stream=stream)
    assert [name for name, _ in events(old)] == ["stream.taken"]
    assert isinstance(node.send(old, stream, 0, at(range(1))).said, StreamTakenOver)
    answer = node.send(new, stream, 0, at(range(1)))
    await world.advance(0.3)
    assert answer.said == SamplesStored(stream=stream, next_seq=1)


async def test_a_zombie_node_cannot_write(world: World) -> None:
    zombie, other = world.node(), world.node()
    ada = await world.person("Ada")
    on_zombie = zombie.connect(ada)
    stream = (await zombie.open(on_zombie)).stream
    late = zombie.send(on_zombie, stream, 0, at(range(5), bpm=99))
    elsewhere = other.connect(ada)
    assert (await other.open(elsewhere, stream=stream)).next_seq == 0
    answer = other.send(elsewhere, stream, 0, at(range(2), bpm=150))
    await world.advance(0.5)
    assert isinstance(late.said, StreamTakenOver)
    assert [name for name, _ in events(on_zombie)] == ["stream.taken"]
    assert answer.said == SamplesStored(stream=stream, next_seq=2)
    assert await stored(world, stream) == 2


async def test_a_connection_that_lost_its_stream_to_another_node_is_told_at_once(world: World) -> None:
    here, there = world.node(), world.node()
    ada = await world.person("Ada")
    old = here.connect(ada)
    stream = (await here.open(old)).stream
    await there.open(there.connect(ada), stream=stream)
    await world.advance(0)
    assert [name for name, _ in events(old)] == ["stream.taken"]
    assert isinstance(here.send(old, stream, 0, at(range(1))).said, StreamNotOpen)


async def test_of_two_openings_at_once_the_newer_keeps_the_stream(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = world.node()
    coach = await world.person("Mia", coach=True)
    live = await node.create_class(coach)
    ada = await world.person("Ada")
    stream = (await node.open(node.connect(ada), live.code)).stream
    slow, quick = node.connect(ada), node.connect(ada)
    seat, go_on = node.streams._seat, asyncio.Event()
    held = asyncio.Event()

    async def hold_the_first(room: Room, caller: Caller) -> None:
        if not held.is_set():
            held.set()
            await go_on.wait()
        await seat(room, caller)

    monkeypatch.setattr(node.streams, "_seat", hold_the_first)
    first = asyncio.ensure_future(node.open(slow, live.code, stream=stream))
    await held.wait()
    second = await node.open(quick, live.code, stream=stream)
    go_on.set()
    with pytest.raises(StreamTakenOver):
        await first
    answer = node.send(quick, stream, second.next_seq, at(range(2)))
    await node.streams.recorder.flush()
    assert answer.said == SamplesStored(stream=stream, next_seq=2)


@pytest.mark.parametrize("broken", ["unknown stream", "somebody else's", "too far ahead", "window full"])
async def test_what_may_not_be_is_refused_and_stores_nothing(world: World, broken: str) -> None:
    node = world.node()
    athlete, stranger = node.connect(await world.person("Ada")), node.connect(await world.person("Eve"))
    stream = (await node.open(athlete)).stream
    stream_sent, seq, kind = {
        "unknown stream": (StreamId(uuid.uuid4()), 0, StreamNotOpen),
        "somebody else's": (stream, 0, StreamNotOpen),
        "too far ahead": (stream, 10_000, SequenceGap),
        "window full": (stream, 30_000, WindowFull),
    }[broken]
    sender = stranger if broken == "somebody else's" else athlete
    answer = node.send(sender, stream_sent, seq, at(range(1)))
    assert isinstance(answer.said, kind)
    await world.advance(0.3)
    assert await stored(world, stream) == 0
    # And nobody else was disturbed.
    good = node.send(athlete, stream, 0, at(range(1)))
    await world.advance(0.3)
    assert good.said == SamplesStored(stream=stream, next_seq=1)


async def test_a_stream_of_somebody_else_cannot_be_opened(world: World) -> None:
    node = world.node()
    stream = (await node.open(node.connect(await world.person("Ada")))).stream
    with pytest.raises(Forbidden):
        await node.open(node.connect(await world.person("Eve")), stream=stream)


async def test_where_a_stream_begins_is_kept_coarsely_and_only_by_its_first_opening(world: World) -> None:
    node = world.node()
    device = node.connect(await world.person("Ada"))
    stream = StreamId(uuid.uuid4())
    opened = await node.streams.open(
        device, StreamOpen(stream=stream, started_at_ms=0, location=Location(52.52437, 13.41053))
    )
    await node.streams.open(device, StreamOpen(stream=stream, started_at_ms=0, location=Location(-33.9, 151.2)))
    unsaid = await node.open(device)
    async with world.database.tx() as tx:
        kept = await tx.fetch("SELECT workout_id, latitude, longitude FROM workout_locations")
        assert [tuple(row) for row in kept] == [(opened.workout, 525, 134)]
        assert await Locations(tx).of(opened.workout) == Location(52.5, 13.4)
        assert await Locations(tx).of(unsaid.workout) is None


@pytest.mark.parametrize("wrong", [[91, 0], [0, 181], [1], [1, 2, 3], ["52", "13"], {"lat": 1}, [None, 0]])
def test_a_location_that_is_none_is_refused(wrong: object) -> None:
    told = {"stream": str(uuid.uuid4()), "started_at_ms": 0, "location": wrong}
    with pytest.raises(msgspec.ValidationError, match=r"location|of at most length 2"):
        msgspec.json.decode(msgspec.json.encode(told), type=StreamOpen)


async def test_a_stream_cannot_change_its_class(world: World) -> None:
    node = world.node()
    coach = await world.person("Mia", coach=True)
    athlete = node.connect(await world.person("Ada"))
    first, second = await node.create_class(coach), await node.create_class(coach)
    stream = (await node.open(athlete, first.code)).stream
    with pytest.raises(BadShape):
        await node.open(athlete, second.code, stream=stream)


@pytest.mark.parametrize(("state", "kind"), [("unknown", ClassNotFound), ("over", ClassOver)])
async def test_only_a_live_class_can_be_fed(world: World, state: str, kind: type[Problem]) -> None:
    node = world.node()
    coach = await world.person("Mia", coach=True)
    live = await node.create_class(coach)
    await node.classes.end(coach, live.id)
    with pytest.raises(kind):
        await node.open(node.connect(await world.person("Ada")), "NOSUCH" if state == "unknown" else live.code)


async def test_a_finish_waits_for_its_samples_and_makes_the_summary_due(world: World) -> None:
    node = world.node()
    athlete = node.connect(await world.person("Ada"))
    opened = await node.open(athlete)
    node.send(athlete, opened.stream, 0, at(range(4)))
    finished = await finish(node, athlete, opened.stream, 4)
    assert finished.next_seq == 4
    assert await stored(world, opened.stream) == 4
    async with world.database.connection() as connection:
        facts = await connection.fetch("SELECT type, aggregate_id FROM outbox")
    assert [(fact["type"], fact["aggregate_id"]) for fact in facts] == [("workout.finished", opened.workout)]


async def finish(node: TestNode, athlete: Connection, stream: StreamId, samples: int) -> StreamFinished:
    return await node.streams.finish(athlete, StreamFinish(stream=stream, samples=samples))


async def test_a_finish_with_samples_missing_says_where_to_go_on(world: World) -> None:
    node = world.node()
    athlete = node.connect(await world.person("Ada"))
    stream = (await node.open(athlete)).stream
    node.send(athlete, stream, 0, at(range(4)))
    with pytest.raises(SequenceGap) as refusal:
        await finish(node, athlete, stream, 9)
    assert refusal.value.data == {"expected": 4}
    with pytest.raises(BadShape):
        await finish(node, athlete, stream, 2)


async def test_a_finished_stream_takes_late_samples_and_is_summarised_again(world: World) -> None:
    node = world.node()
    athlete = node.connect(await world.person("Ada"))
    stream = (await node.open(athlete)).stream
    node.send(athlete, stream, 0, at(range(4)))
    await finish(node, athlete, stream, 4)
    assert isinstance(node.send(athlete, stream, 4, at(range(4, 6))).said, StreamNotOpen)
    assert (await node.open(athlete, stream=stream)).next_seq == 4
    node.send(athlete, stream, 4, at(range(4, 6)))
    await finish(node, athlete, stream, 6)
    async with world.database.connection() as connection:
        assert await connection.fetchval("SELECT count(*) FROM outbox WHERE type = 'workout.finished'") == 2


async def test_with_the_database_away_boards_go_on_and_marks_stand_still(world: World) -> None:
    node = world.node(max_buffered=4)
    coach = await world.person("Mia", coach=True)
    live = await node.create_class(coach)
    ada = await world.person("Ada")
    athlete, watch = node.connect(ada), node.connect(coach)
    await node.join(watch, live.code, "coach")
    stream = (await node.open(athlete, live.code)).stream
    write, node.streams.recorder._write = node.streams.recorder._write, refuse
    for second in range(6):
        answer = node.send(athlete, stream, second, at(range(second, second + 1), bpm=150 + second))
        await world.advance(1)
    assert isinstance(answer.said, WindowFull)
    node.rooms.beat()
    row = node.rooms.board(watch, live.id).rows[0]
    assert (row.bpm, row.freshness) == (155, "live")
    assert await stored(world, stream) == 0
    node.streams.recorder._write = write
    await world.advance(10)
    await world.advance(10)
    again = node.send(athlete, stream, 4, at(range(4, 6)))
    await world.advance(1)
    assert again.said == SamplesStored(stream=stream, next_seq=6)


async def refuse(batches: list[StreamBatch]) -> list[Written]:
    raise ConnectionResetError("the database is away")
