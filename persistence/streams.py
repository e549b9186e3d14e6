"""Streams and their samples: the promise "an acknowledged sample is committed", in SQL.

One group commit writes what all streams of a node have collected. It locks the stream rows in one order, so two nodes can
never deadlock; it compares the fencing epoch, so a node that lost a stream to another changes nothing; and it looks at
`next_seq`, so a batch whose commit was in doubt can be written again and is stored once.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

import asyncpg
import msgspec

from persistence.database import Tx
from persistence.samples import SAMPLES, BatchColumns, encode_batch, pack_batch
from persistence.sealing import Sealing, data_key_of
from persistence.workouts import PHYSIOLOGY
from services.kernel.clock import to_wall_ms, utc
from services.kernel.ids import AccountId, ClassId, StreamId, WorkoutId
from services.training.arbitration import Shift
from services.training.earned import Earned
from services.training.motion import NOT_MOVED, Moved, Moving, total
from services.training.origin import StreamOrigin
from services.training.physiology import Physiology
from services.training.provenance import SensorKind
from services.training.sample import Sample

_decode_moving: Final = msgspec.json.Decoder(Moving).decode

_BODIES: Final = f"""
    array_agg(workouts.physiology ORDER BY workouts.created_at DESC, workouts.id) AS bodies,
    array_agg(workouts.physiology_sealed ORDER BY workouts.created_at DESC, workouts.id) AS sealed_bodies,
    {data_key_of("streams.account_id")} AS data_key
"""
"""The bodies of all workouts of a group, that of the last one first."""


class StreamRecord(msgspec.Struct, frozen=True):
    """The durable half of a stream. `zone_ms` ms in zone 0 to 5 and `burned` nkcal earned for its class; `sensor` what feeds it,
    as it said last; `moving` its distance, power and cadence, None while no sample had any."""

    id: StreamId
    workout_id: WorkoutId
    account_id: AccountId
    class_id: ClassId | None
    epoch: int
    feed_epoch: int
    next_seq: int
    last_t: int | None
    last_bpm: int | None
    clock_offset_ms: int | None
    zone_ms: tuple[int, ...]
    finished: bool
    sensor: SensorKind | None = None
    moving: Moving | None = None
    burned: int = 0


class StreamBatch(msgspec.Struct, frozen=True):
    """Samples of one stream to be committed, numbered from `first_seq`, and the stream's state after them."""

    stream_id: StreamId
    epoch: int
    first_seq: int
    samples: tuple[Sample, ...]
    received_ms: int
    last_t: int | None
    last_bpm: int | None
    clock_offset_ms: int | None
    zone_ms: tuple[int, ...]
    sensor: SensorKind | None = None
    moving: Moving | None = None
    burned: int = 0


class Written(msgspec.Struct, frozen=True):
    """What became of a batch: all before `next_seq` is stored, or `fenced` when the stream belongs to a newer epoch.

    `late` names the workout when the stream had been finished already, so its summary is due again.
    """

    stream_id: StreamId
    next_seq: int
    fenced: bool = False
    late: tuple[WorkoutId, AccountId] | None = None


class Tally(msgspec.Struct, frozen=True):
    """What a member has earned in a class over all their streams. `body`: whether the body of one of their workouts is known well
    enough for calories. The `distance_m` of what they have `moved` is None where no sample had one; `mass_kg` is that of the last
    workout."""

    account_id: AccountId
    earned: Earned
    body: bool
    moved: Moved = NOT_MOVED
    mass_kg: float | None = None


class JudgedTally(msgspec.Struct, frozen=True):
    """What of that counts by fair play; `flagged` while there is a doubt about some of it."""

    account_id: AccountId
    earned: Earned
    body: bool
    flagged: bool
    moved: Moved = NOT_MOVED
    mass_kg: float | None = None


class Streams:
    """The streams inside one transaction."""

    def __init__(self, tx: Tx, sealing: Sealing | None = None) -> None:
        self._tx: Final = tx
        self._sealing: Final = sealing or Sealing(tx)

    async def lock(self, stream_id: StreamId) -> StreamRecord | None:
        """The stream, locked until the transaction ends (FOR NO KEY UPDATE), or None."""
        row = await self._tx.fetchrow(
            """
            SELECT id, workout_id, account_id, class_id, epoch, feed_epoch, next_seq,
                   last_t, last_bpm, clock_offset_ms, zone_ms, burned, sensor, motion, finished_at IS NOT NULL AS finished
            FROM streams
            WHERE id = $1
            FOR NO KEY UPDATE
            """,
            stream_id,
        )
        if row is None:
            return None
        fields = dict(row)
        motion: str | None = fields.pop("motion")
        fields["zone_ms"] = tuple(fields["zone_ms"])
        return StreamRecord(**fields, moving=None if motion is None else _decode_moving(motion))

    async def create(
        self,
        stream_id: StreamId,
        *,
        workout_id: WorkoutId,
        account_id: AccountId,
        class_id: ClassId | None,
        device: str,
        device_started_at: datetime,
        opened_at: datetime,
        feed_epoch: int,
        sensor: SensorKind | None = None,
    ) -> bool:
        """A new stream at epoch 1. False when another transaction made it first: lock it instead."""
        status: str = await self._tx.execute(
            """
            INSERT INTO streams (id, workout_id, account_id, class_id, device,
                                 device_started_at, opened_at, feed_epoch, last_sample_at, sensor)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $7, $9)
            ON CONFLICT (id) DO NOTHING
            """,
            stream_id,
            workout_id,
            account_id,
            class_id,
            device,
            device_started_at,
            opened_at,
            feed_epoch,
            sensor,
        )
        return status.endswith(" 1")

    async def reopen(
        self, stream_id: StreamId, *, feed_epoch: int, at: datetime, sensor: SensorKind | None = None
    ) -> int:
        """Raise the fence: from now on only the returned epoch may write. Opens a finished stream again, and counts as a sign
        of life at `at`. It is fed by what it was fed by before, unless this opening says otherwise."""
        epoch: int = await self._tx.fetchval(
            """
            UPDATE streams SET
                epoch = epoch + 1, feed_epoch = $2, finished_at = NULL, last_sample_at = $3, sensor = coalesce($4, sensor)
            WHERE id = $1
            RETURNING epoch
            """,
            stream_id,
            feed_epoch,
            at,
            sensor,
        )
        return epoch

    async def finish(self, stream_id: StreamId, epoch: int, at: datetime) -> bool:
        """Finish the stream; False when `epoch` is no longer the newest."""
        status: str = await self._tx.execute(
            "UPDATE streams SET finished_at = $3 WHERE id = $1 AND epoch = $2", stream_id, epoch, at
        )
        return status.endswith(" 1")

    async def tallies(self, class_id: ClassId) -> list[Tally]:
        """What each member of a class has earned so far."""
        rows = await self._tx.fetch(
            f"""
            SELECT streams.account_id,
                   array[sum(zone_ms[1]), sum(zone_ms[2]), sum(zone_ms[3]),
                         sum(zone_ms[4]), sum(zone_ms[5]), sum(zone_ms[6])]::bigint[] AS zone_ms,
                   sum(burned)::bigint AS burned, {_BODIES},
                   array_agg(motion) FILTER (WHERE motion IS NOT NULL) AS motions
            FROM streams JOIN workouts ON workouts.id = streams.workout_id
            WHERE streams.class_id = $1
            GROUP BY streams.account_id
            """,  # noqa: S608
            class_id,
        )
        return [
            Tally(AccountId(row["account_id"]), _earned(row), body, _moved(row["motions"]), mass_kg)
            for row in rows
            for body, mass_kg in (self._body(row),)
        ]

    async def of_class(self, class_id: ClassId) -> list[tuple[AccountId, WorkoutId]]:
        """The account and the workout of every stream that has fed a class."""
        rows = await self._tx.fetch(
            "SELECT account_id, workout_id FROM streams WHERE class_id = $1 ORDER BY opened_at, id", class_id
        )
        return [(AccountId(row["account_id"]), WorkoutId(row["workout_id"])) for row in rows]

    async def offset_ms(self, workout_id: WorkoutId) -> int | None:
        """What makes wall clock of the device time of a workout's samples, as far as was found out; None without samples."""
        found: int | None = await self._tx.fetchval(
            "SELECT clock_offset_ms FROM streams WHERE workout_id = $1 ORDER BY opened_at, id LIMIT 1", workout_id
        )
        return found

    async def judged_tallies(self, class_id: ClassId) -> list[JudgedTally]:
        """What each member of a class has earned in workouts that are not rejected."""
        rows = await self._tx.fetch(
            f"""
            SELECT streams.account_id, bool_or(workouts.verdict = 'flagged') AS flagged,
                   array[sum(zone_ms[1]), sum(zone_ms[2]), sum(zone_ms[3]),
                         sum(zone_ms[4]), sum(zone_ms[5]), sum(zone_ms[6])]::bigint[] AS zone_ms,
                   sum(burned)::bigint AS burned, {_BODIES},
                   array_agg(motion) FILTER (WHERE motion IS NOT NULL) AS motions
            FROM streams JOIN workouts ON workouts.id = streams.workout_id
            WHERE streams.class_id = $1 AND workouts.verdict <> 'rejected'
            GROUP BY streams.account_id
            """,  # noqa: S608
            class_id,
        )
        return [
            JudgedTally(
                AccountId(row["account_id"]),
                _earned(row),
                body,
                row["flagged"],
                _moved(row["motions"]),
                mass_kg,
            )
            for row in rows
            for body, mass_kg in (self._body(row),)
        ]

    def _body(self, row: asyncpg.Record) -> tuple[bool, float | None]:
        """Whether one of the bodies is known well enough for calories, and the mass of the last one. Raises CannotOpen."""
        account_id, wrapped = AccountId(row["account_id"]), row["data_key"]
        bodies = [
            msgspec.json.decode(
                self._sealing.open(account_id, wrapped, PHYSIOLOGY, sealed) if plain is None else plain, type=Physiology
            )
            for plain, sealed in zip(row["bodies"], row["sealed_bodies"], strict=True)
        ]
        known = any(None not in (body.sex, body.mass_kg, body.age_years) for body in bodies)
        return known, bodies[0].mass_kg

    async def earned(self, class_id: ClassId, account_id: AccountId, *, but: StreamId) -> dict[StreamId, Earned]:
        """What each stream of a member has earned in a class, leaving out one."""
        rows = await self._tx.fetch(
            "SELECT id, zone_ms, burned, motion FROM streams WHERE class_id = $1 AND account_id = $2 AND id <> $3",
            class_id,
            account_id,
            but,
        )
        return {
            StreamId(row["id"]): msgspec.structs.replace(
                _earned(row), moved=None if row["motion"] is None else _decode_moving(row["motion"]).moved
            )
            for row in rows
        }

    async def write(self, batches: Sequence[StreamBatch]) -> list[Written]:
        """Store batches of several streams (one per stream) and move their high-water marks.

        Raises ValueError when a batch leaves a hole after what is stored: the caller has lost samples.
        """
        rows = await self._tx.fetch(
            f"""
            SELECT id, epoch, next_seq, workout_id, account_id, finished_at IS NOT NULL AS finished,
                   {data_key_of("streams.account_id")} AS data_key
            FROM streams
            WHERE id = ANY($1::uuid[])
            ORDER BY id
            FOR NO KEY UPDATE
            """,  # noqa: S608
            [batch.stream_id for batch in batches],
        )
        known = {row["id"]: row for row in rows}
        written: list[Written] = []
        accepted: list[tuple[StreamBatch, int]] = []
        for batch in batches:
            row = known.get(batch.stream_id)
            if row is None or row["epoch"] != batch.epoch:
                written.append(Written(stream_id=batch.stream_id, next_seq=0, fenced=True))
                continue
            stored: int = row["next_seq"]
            if batch.first_seq > stored:
                raise ValueError(f"stream {batch.stream_id}: samples {stored} to {batch.first_seq} are missing")
            end = batch.first_seq + len(batch.samples)
            if end > stored:
                accepted.append((batch, stored - batch.first_seq))
            written.append(
                Written(
                    stream_id=batch.stream_id,
                    next_seq=max(end, stored),
                    late=(row["workout_id"], row["account_id"]) if row["finished"] else None,
                )
            )
        if accepted:
            await self._copy(accepted, known)
            await self._advance([batch for batch, _ in accepted])
        return written

    async def keep_shifts(self, shifts: Sequence[Shift]) -> None:
        """Who feeds their athlete's line from when on, in the order in which it was decided. One that is kept already stays once;
        one of a stream that is gone is gone with it, because those who share this commit must not fail by it."""
        await self._tx.execute(
            """
            WITH there AS (SELECT id FROM streams WHERE id = ANY($1::uuid[]) FOR KEY SHARE)
            INSERT INTO sensor_shifts (stream_id, from_ms, reason)
            SELECT new.stream_id, new.from_ms, new.reason
            FROM unnest($1::uuid[], $2::bigint[], $3::text[]) WITH ORDINALITY AS new (stream_id, from_ms, reason, place)
            JOIN there ON there.id = new.stream_id
            ORDER BY new.place
            ON CONFLICT DO NOTHING
            """,
            [shift.source for shift in shifts],
            [shift.at_ms for shift in shifts],
            [shift.reason for shift in shifts],
        )

    async def shifts(self, class_id: ClassId, account_id: AccountId) -> list[Shift]:
        """The ledger of who fed a member's line in a class; empty when they had one stream."""
        rows = await self._tx.fetch(
            """
            SELECT shift.from_ms, shift.stream_id, shift.reason
            FROM sensor_shifts AS shift JOIN streams ON streams.id = shift.stream_id
            WHERE streams.class_id = $1 AND streams.account_id = $2
            ORDER BY shift.from_ms, shift.place
            """,
            class_id,
            account_id,
        )
        return [Shift(row["from_ms"], StreamId(row["stream_id"]), row["reason"]) for row in rows]

    async def origins(self, workout_id: WorkoutId) -> list[StreamOrigin]:
        """The streams of a workout in the order in which they were opened, which is that of its samples."""
        rows = await self._tx.fetch(
            """
            SELECT id, device, sensor, opened_at, clock_offset_ms, next_seq FROM streams
            WHERE workout_id = $1
            ORDER BY opened_at, id
            """,
            workout_id,
        )
        return [
            StreamOrigin(
                stream=StreamId(row["id"]),
                device=row["device"],
                sensor=row["sensor"],
                opened_at_ms=to_wall_ms(row["opened_at"]),
                clock_offset_ms=row["clock_offset_ms"],
                samples=row["next_seq"],
            )
            for row in rows
        ]

    async def _copy(
        self, accepted: Sequence[tuple[StreamBatch, int]], known: Mapping[StreamId, asyncpg.Record]
    ) -> None:
        sealed = self._sealing.seals
        await self._tx.copy_records_to_table(
            "sample_batches",
            columns=["stream_id", "first_seq", "received_at", *(("sealed",) if sealed else BatchColumns._fields)],
            records=[
                (
                    batch.stream_id,
                    batch.first_seq + skip,
                    utc(batch.received_ms),
                    *([await self._seal(columns, known[batch.stream_id])] if sealed else columns),
                )
                for batch, skip in accepted
                for columns in (encode_batch(batch.samples[skip:]),)
            ],
        )

    async def _seal(self, columns: BatchColumns, stream: asyncpg.Record) -> bytes:
        """Waits only for the first samples that an account ever stores: they make its key."""
        account_id, wrapped = AccountId(stream["account_id"]), stream["data_key"]
        key = await self._sealing.key(account_id) if wrapped is None else self._sealing.opened(account_id, wrapped)
        return key.seal(SAMPLES, pack_batch(columns))

    async def _advance(self, batches: Sequence[StreamBatch]) -> None:
        zones = [[batch.zone_ms[zone] for batch in batches] for zone in range(6)]
        await self._tx.execute(
            """
            UPDATE streams SET
                next_seq = new.next_seq,
                last_t = new.last_t,
                last_bpm = new.last_bpm,
                clock_offset_ms = new.clock_offset_ms,
                last_sample_at = new.received_at,
                sensor = coalesce(new.sensor, streams.sensor),
                motion = coalesce(new.motion::jsonb, streams.motion),
                zone_ms = array[new.z0, new.z1, new.z2, new.z3, new.z4, new.z5],
                burned = new.burned
            FROM unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::smallint[], $5::bigint[], $6::timestamptz[],
                        $7::text[], $8::text[], $9::bigint[], $10::bigint[], $11::bigint[], $12::bigint[], $13::bigint[],
                        $14::bigint[], $15::bigint[])
                 AS new (id, next_seq, last_t, last_bpm, clock_offset_ms, received_at, sensor, motion,
                         z0, z1, z2, z3, z4, z5, burned)
            WHERE streams.id = new.id
            """,
            [batch.stream_id for batch in batches],
            [batch.first_seq + len(batch.samples) for batch in batches],
            [batch.last_t for batch in batches],
            [batch.last_bpm for batch in batches],
            [batch.clock_offset_ms for batch in batches],
            [utc(batch.received_ms) for batch in batches],
            [batch.sensor for batch in batches],
            [None if batch.moving is None else msgspec.json.encode(batch.moving).decode() for batch in batches],
            *zones,
            [batch.burned for batch in batches],
        )


def _earned(row: asyncpg.Record) -> Earned:
    return Earned(tuple(row["zone_ms"]), row["burned"])


def _moved(motions: Sequence[str] | None) -> Moved:
    """What the streams of one member have moved together."""
    return total(_decode_moving(motion).moved for motion in motions or ())
