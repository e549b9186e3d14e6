"""Streams in Postgres: stored once, in order, by the newest epoch only."""

import asyncio
import uuid
from datetime import UTC, datetime

import msgspec
import pytest

from persistence.classes import Classes
from persistence.database import Database, Tx
from persistence.samples import decode_batch
from persistence.streams import StreamBatch, Streams
from services.classes.live_class import LiveClass
from services.kernel.ids import AccountId, ClassId, StreamId, WorkoutId
from services.training.earned import Earned
from services.training.motion import NOT_MOVED
from services.training.physiology import Physiology
from services.training.sample import Sample

NOW = datetime(2026, 11, 20, tzinfo=UTC)
ATHLETE = AccountId(uuid.UUID(int=1))
CLASS = ClassId(uuid.UUID(int=9))


def stream_id(n: int) -> StreamId:
    return StreamId(uuid.UUID(int=100 + n))


BODY = Physiology(190, 60, None, None, None, "measured", "measured")


async def account(tx: Tx, account_id: AccountId = ATHLETE) -> None:
    await tx.execute(
        "INSERT INTO accounts (id, email, name, password_hash, roles, created_at) VALUES ($1, $2, 'A', '', '{member}', $3)",
        account_id,
        f"{account_id}@example.org",
        NOW,
    )


async def opened(database: Database, n: int = 0, *, in_class: bool = False) -> StreamId:
    """A stream of a fresh workout."""
    async with database.tx() as tx:
        if not await tx.fetchval("SELECT 1 FROM accounts WHERE id = $1", ATHLETE):
            await account(tx)
        if in_class and await Classes(tx).by_id(CLASS) is None:
            await Classes(tx).create(LiveClass(CLASS, "ABC234", "Ride", ATHLETE, "A", 1_000))
        workout = WorkoutId(uuid.UUID(int=1_000 + n))
        await tx.execute(
            "INSERT INTO workouts (id, account_id, physiology, created_at) VALUES ($1, $2, $4, $3)",
            workout,
            ATHLETE,
            NOW,
            msgspec.json.encode(BODY).decode(),
        )
        assert await Streams(tx).create(
            stream_id(n),
            workout_id=workout,
            account_id=ATHLETE,
            class_id=CLASS if in_class else None,
            device="strap",
            device_started_at=NOW,
            opened_at=NOW,
            feed_epoch=0,
        )
    return stream_id(n)


def batch(
    stream: StreamId,
    first: int,
    count: int,
    *,
    epoch: int = 1,
    zone_ms: tuple[int, ...] = (0,) * 6,
    burned: int = 0,
) -> StreamBatch:
    samples = tuple(
        Sample(t=1_000 * n, bpm=None if n % 5 == 4 else 100 + n % 50, rr=(600,) * (n % 3))
        for n in range(first, first + count)
    )
    last = samples[-1]
    return StreamBatch(stream, epoch, first, samples, 1_700_000_000_000, last.t, last.bpm, 12, zone_ms, burned=burned)


async def stored(database: Database, stream: StreamId) -> tuple[Sample, ...]:
    async with database.tx() as tx:
        rows = await tx.fetch("SELECT * FROM sample_batches WHERE stream_id = $1 ORDER BY first_seq", stream)
    place = 0
    for row in rows:
        assert row["first_seq"] == place, "batches must join without hole or overlap"
        place += len(row["t"])
    return tuple(sample for row in rows for sample in decode_batch(row))


async def test_samples_come_back_as_they_were_written(database: Database) -> None:
    stream = await opened(database)
    written = batch(stream, 0, 20)
    async with database.tx() as tx:
        (result,) = await Streams(tx).write([written])
    assert (result.next_seq, result.fenced) == (20, False)
    assert await stored(database, stream) == written.samples


async def test_the_state_after_the_last_sample_is_kept_with_it(database: Database) -> None:
    stream = await opened(database)
    async with database.tx() as tx:
        await Streams(tx).write([batch(stream, 0, 3, zone_ms=(1, 2, 3, 4, 5, 6))])
    async with database.tx() as tx:
        record = await Streams(tx).lock(stream)
    assert record is not None
    assert (record.next_seq, record.last_t, record.last_bpm, record.clock_offset_ms) == (3, 2_000, 102, 12)
    assert record.zone_ms == (1, 2, 3, 4, 5, 6)


async def test_a_batch_written_again_is_stored_once(database: Database) -> None:
    stream = await opened(database)
    for again in (batch(stream, 0, 10), batch(stream, 0, 10), batch(stream, 5, 10)):
        async with database.tx() as tx:
            await Streams(tx).write([again])
    assert await stored(database, stream) == batch(stream, 0, 15).samples


async def test_a_batch_that_leaves_a_hole_is_an_error_and_stores_nothing(database: Database) -> None:
    stream = await opened(database)
    with pytest.raises(ValueError, match="missing"):
        async with database.tx() as tx:
            await Streams(tx).write([batch(stream, 3, 2)])
    assert await stored(database, stream) == ()


async def test_a_zombie_cannot_write(database: Database) -> None:
    stream = await opened(database)
    async with database.tx() as tx:
        assert await Streams(tx).reopen(stream, feed_epoch=0, at=NOW) == 2
    async with database.tx() as tx:
        (result,) = await Streams(tx).write([batch(stream, 0, 5, epoch=1)])
    assert result.fenced
    assert await stored(database, stream) == ()
    async with database.tx() as tx:
        (result,) = await Streams(tx).write([batch(stream, 0, 5, epoch=2)])
    assert result.next_seq == 5


async def test_a_fenced_stream_does_not_keep_the_others_from_being_written(database: Database) -> None:
    first, second = await opened(database, 0), await opened(database, 1)
    async with database.tx() as tx:
        results = await Streams(tx).write([batch(first, 0, 5, epoch=7), batch(second, 0, 5)])
    assert [result.fenced for result in results] == [True, False]
    assert len(await stored(database, second)) == 5


async def test_an_unknown_stream_is_fenced(database: Database) -> None:
    async with database.tx() as tx:
        (result,) = await Streams(tx).write([batch(stream_id(77), 0, 1)])
    assert result.fenced


async def test_two_nodes_writing_the_same_streams_never_deadlock(database: Database) -> None:
    streams = [await opened(database, n) for n in range(6)]

    async def node(order: list[StreamId]) -> None:
        for _ in range(10):
            async with database.tx() as tx:
                await Streams(tx).write([batch(stream, 0, 3) for stream in order])

    await asyncio.wait_for(asyncio.gather(node(streams), node(streams[::-1])), 20)
    for stream in streams:
        assert len(await stored(database, stream)) == 3


async def test_late_samples_of_a_finished_stream_name_its_workout(database: Database) -> None:
    stream = await opened(database)
    async with database.tx() as tx:
        assert await Streams(tx).finish(stream, 1, NOW)
        (result,) = await Streams(tx).write([batch(stream, 0, 2)])
    assert result.late == (uuid.UUID(int=1_000), ATHLETE)


async def test_only_the_newest_epoch_may_finish(database: Database) -> None:
    stream = await opened(database)
    async with database.tx() as tx:
        await Streams(tx).reopen(stream, feed_epoch=0, at=NOW)
        assert not await Streams(tx).finish(stream, 1, NOW)
        assert await Streams(tx).finish(stream, 2, NOW)


async def test_opening_a_finished_stream_opens_it_again(database: Database) -> None:
    stream = await opened(database)
    async with database.tx() as tx:
        await Streams(tx).finish(stream, 1, NOW)
        await Streams(tx).reopen(stream, feed_epoch=3, at=NOW)
        record = await Streams(tx).lock(stream)
    assert record is not None
    assert (record.finished, record.epoch, record.feed_epoch) == (False, 2, 3)


async def test_of_two_openings_at_once_one_creates_the_stream(database: Database) -> None:
    stream = await opened(database)
    async with database.tx() as tx:
        again = await Streams(tx).create(
            stream,
            workout_id=WorkoutId(uuid.UUID(int=1_000)),
            account_id=ATHLETE,
            class_id=None,
            device="",
            device_started_at=NOW,
            opened_at=NOW,
            feed_epoch=0,
        )
    assert not again


async def test_a_members_tally_adds_up_their_streams_in_the_class(database: Database) -> None:
    first, second = await opened(database, 0, in_class=True), await opened(database, 1, in_class=True)
    async with database.tx() as tx:
        await Streams(tx).write(
            [
                batch(first, 0, 1, zone_ms=(1, 2, 3, 4, 5, 6), burned=7),
                batch(second, 0, 1, zone_ms=(10, 0, 0, 0, 0, 1), burned=3),
            ]
        )
        (tally,) = await Streams(tx).tallies(CLASS)
        others = await Streams(tx).earned(CLASS, ATHLETE, but=second)
    assert (tally.earned, tally.body) == (Earned((11, 2, 3, 4, 5, 7), 10), False)
    assert others == {first: Earned((1, 2, 3, 4, 5, 6), 7)}
    assert tally.moved == NOT_MOVED
