"""Frames of a strap go the way of samples: numbered, stored once, and refused as a whole by the place of the bad one."""

import uuid

import msgspec
import pytest

from realtime.wire import RawMoment, SampleBatch, SamplesStored, SensorFrame
from rooms.raw_frames import batch_of, kind_of
from services.kernel.ids import StreamId
from services.kernel.problems import BadShape
from services.training.sample import Sample
from tests.rooms.conftest import Answer, World

STREAM = StreamId(uuid.UUID(int=1))


def frames(stream: StreamId, seq: int, *data: str, characteristic: str = "2a37") -> SensorFrame:
    moments = tuple(RawMoment(1_000 * (seq + n), bytes.fromhex(one)) for n, one in enumerate(data))
    return SensorFrame(stream=stream, seq=seq, characteristic=characteristic, frames=moments)


async def test_frames_are_stored_as_samples_and_mix_with_them(world: World) -> None:
    node = world.node()
    athlete = node.connect(await world.person("Ada"))
    stream = (await node.open(athlete)).stream
    for message in (frames(stream, 0, "16 38 37 04", "00 8c"), frames(stream, 1, "00 8c", "04 00")):
        node.streams.accept(athlete, batch_of(message), Answer())
    last = node.send(athlete, stream, 3, (Sample(3_000, 141),))
    await world.advance(0.3)
    assert last.said == SamplesStored(stream=stream, next_seq=4)
    async with world.database.connection() as connection:
        rows = await connection.fetch("SELECT bpm, rr FROM sample_batches ORDER BY first_seq")
    assert [bpm for row in rows for bpm in row["bpm"]] == [56, 140, None, 141]
    assert [rr for row in rows for rr in row["rr"]] == [1054]


def test_a_bad_frame_is_named_by_its_place_and_an_empty_one_stands_in_for_it() -> None:
    with pytest.raises(BadShape, match="byte 2") as refused:
        batch_of(frames(STREAM, 0, "00 8c", "10 8c 00"))
    assert refused.value.path == "$.frames[1][1]"
    assert batch_of(frames(STREAM, 0, "00 8c", "")) == SampleBatch(
        stream=STREAM, seq=0, samples=(Sample(0, 140), Sample(1_000))
    )


def test_another_characteristic_is_refused() -> None:
    with pytest.raises(BadShape, match="no heart rate in characteristic 2a19") as refused:
        batch_of(frames(STREAM, 0, "64", characteristic="2a19"))
    assert refused.value.path == "$.characteristic"


def located(place: str) -> SensorFrame:
    return msgspec.structs.replace(frames(STREAM, 0, "00 8c"), location=bytes.fromhex(place))


async def test_a_stream_that_has_not_said_is_fed_by_what_sits_where_its_frames_say(world: World) -> None:
    node = world.node()
    athlete = node.connect(await world.person("Ada"))
    silent, said = [(await node.open(athlete, sensor=kind)).stream for kind in (None, "optical")]
    for stream in (silent, said):
        message = msgspec.structs.replace(located("01"), stream=stream)
        node.streams.accept(athlete, batch_of(message), Answer(), kind_of(message))
    await world.advance(0.3)
    async with world.database.connection() as connection:
        rows = await connection.fetch("SELECT id, sensor FROM streams")
    assert {row["id"]: row["sensor"] for row in rows} == {silent: "strap", said: "optical"}


def test_a_place_says_what_is_worn_there_and_a_bad_one_is_named() -> None:
    assert [kind_of(located(place)) for place in ("01", "02", "04", "00")] == ["strap", "optical", "machine", None]
    assert kind_of(frames(STREAM, 0, "00 8c")) is None
    with pytest.raises(BadShape) as refused:
        kind_of(located("01 02"))
    assert refused.value.path == "$.location"
