"""Live streams: one heart-rate sample from the socket to the board and the recorder.

`accept` is the hot path and contains no `await`: decode has happened, then intake (what is new?), effort (what is it worth?),
the board of the room it feeds, the recorder's buffer. Nothing can come between two of these steps, which is how the order of
samples is proved. The acknowledgement is not given here; it waits in `LiveStream.waiting` until the recorder says that
everything up to it is committed.

Opening raises the stream's epoch in the database. That is the fence: whatever an older connection, or a node that was
believed dead, still tries to commit for it changes nothing. Within one node the older connection is told at once
(`stream.taken`), on other nodes when their next commit is refused.

A member may have several devices. Each has its own stream and every sample of each is stored; one of them feeds the member's line
on the board, so nobody scores twice. Which one, `feeding.py` knows.
"""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

import structlog

from persistence.stores import Transactions
from persistence.streams import StreamBatch, Written
from realtime.codec import event_frame
from realtime.connection import Connection
from realtime.node import account_channel
from realtime.peer import StreamOpenedHere
from realtime.wire import (
    MAX_UNACKED_SAMPLES,
    SampleBatch,
    SamplesStored,
    StreamFinish,
    StreamFinished,
    StreamOpen,
    StreamOpened,
    StreamTaken,
)
from rooms.effort import Effort
from rooms.feeding import Feeding, earned
from rooms.guarding import Guarding
from rooms.intake import Intake
from rooms.openings import Openings
from rooms.reading import DeviceClock
from rooms.recorder import Recorder
from rooms.room import Room
from rooms.rooms import Rooms
from services.access import permission as may
from services.access.policy import require_held
from services.classes.attention import is_above
from services.classes.metric import Basis
from services.classes.steps import Body
from services.kernel.caller import Caller
from services.kernel.clock import Clock, utc
from services.kernel.facts import SensorChosen, WorkoutFinished
from services.kernel.ids import AccountId, ClassId, Ids, StreamId, WorkoutId
from services.kernel.problems import (
    BadShape,
    Busy,
    Problem,
    SequenceGap,
    StreamNotOpen,
    StreamTakenOver,
    Unavailable,
    WindowFull,
)
from services.training.arbitration import Shift
from services.training.earned import Earned
from services.training.energy import burn_rates_of
from services.training.motion import AT_REST, Moving, advance
from services.training.physiology import Physiology
from services.training.provenance import SensorKind
from services.training.sample import Sample
from services.training.zones import DisplayZone, advance_display

MAX_WAITING: Final = 1_000
"""Acknowledgements one stream may be owed; a device that sends more without waiting is told `window_full`."""
MAX_STREAMS_PER_CONNECTION: Final = 20
FLUSH_TIMEOUT_S: Final = 2.0
FINISH_TIMEOUT_S: Final = 10.0
"""Below the ping timeout: while a finish waits for its commit, its connection reads nothing else."""

MAX_LEDGER: Final = 10_000
"""Lines of who feeds that may wait for a commit: ten minutes of 500 athletes, one of whose two sensors drops out every minute."""

NO_ZONE: Final = DisplayZone()

log = structlog.get_logger(__name__)


class Reply(Protocol):
    """An acknowledgement that is still owed; used once."""

    def ok(self, shape: SamplesStored) -> None: ...
    def problem(self, problem: Problem) -> None: ...


@dataclass(slots=True)
class LiveStream:
    """A stream while this node receives it. `durable` is its high-water mark: all before it is committed.

    `feeding` are the member's streams in this class, this one among them; `burn` nkcal per ms of each heart rate, None where it
    is not known; `read_at_ms` is when the last heart rate was measured, `made_at_ms` when the last sample was made, as far as can
    be told (wall clock); intervals that began before `earns_from_ms` earn nothing, because another stream has earned in them.
    `moving` is distance, power and cadence, None while no sample had any.
    """

    id: StreamId
    workout: WorkoutId
    epoch: int
    connection: Connection
    intake: Intake
    durable: int
    effort: Effort
    physiology: Physiology
    burn: Sequence[int] | None
    clock: DeviceClock
    sensor: SensorKind | None = None
    room: Room | None = None
    feeding: Feeding | None = None
    moving: Moving | None = None
    shown: DisplayZone = NO_ZONE
    read_at_ms: int | None = None
    made_at_ms: int | None = None
    earns_from_ms: int | None = None
    watched: bool = False
    own_limit_bpm: int | None = None
    is_above: bool = False
    waiting: list[tuple[int, Reply]] = field(default_factory=list)

    @property
    def body(self) -> Body:
        """What the steps of a class are measured by."""
        return Body(self.physiology.max_hr, self.physiology.rest_hr)

    def above_own(self, bpm: int | None) -> bool | None:
        """Whether a heart rate is above the limit that its owner has set; None where they have set none. So much leaves this node,
        and not the figure: it is theirs."""
        if self.own_limit_bpm is None:
            return None
        self.is_above = is_above(bpm, self.own_limit_bpm, was=self.is_above)
        return self.is_above


@dataclass(slots=True)
class StreamsStatistics:
    """Counts since start; `open` is what is there now."""

    open: int = 0
    opened: int = 0
    accepted: int = 0
    repeated: int = 0
    taken_over: int = 0
    shifts: int = 0


class Streams:
    """The streams that this node receives."""

    def __init__(
        self,
        transactions: Transactions,
        rooms: Rooms,
        clock: Clock,
        ids: Ids,
        *,
        commit_interval_s: float,
        max_buffered: int | None = None,
        guarding: Guarding | None = None,
    ) -> None:
        self._transactions = transactions
        self._rooms = rooms
        self._clock = clock
        self._openings = Openings(transactions, rooms.knocking, clock, ids)
        self._guarding = guarding
        self._live: dict[StreamId, LiveStream] = {}
        self._feedings: dict[tuple[ClassId, AccountId], Feeding] = {}
        # Full: what more shifts there are is not kept. The samples are all there, and say who could have fed.
        self._ledger: list[tuple[Shift, SensorChosen]] = []
        limits = {} if max_buffered is None else {"max_samples": max_buffered}
        self.recorder: Final = Recorder(
            self._write,
            clock,
            interval_s=commit_interval_s,
            stored=self._stored,
            fenced=self._fenced,
            **limits,
        )
        rooms.flush = self.recorder.flush
        rooms.node.listen(StreamOpenedHere, self._opened_elsewhere)
        self.statistics: Final = StreamsStatistics()

    # -- samples: the hot path ------------------------------------------------------------------------------------

    def accept(
        self, connection: Connection, batch: SampleBatch, reply: Reply, sensor: SensorKind | None = None
    ) -> None:
        """Take a batch of samples, which says what `sensor` it comes from where the opening of its stream did not. `reply` is
        answered once they are committed; refusals are raised at once.

        Raises `StreamNotOpen`, `StreamTakenOver`, `SequenceGap`, `WindowFull`.
        """
        live = self._of(connection, batch.stream)
        live.sensor = live.sensor or sensor
        end = batch.seq + len(batch.samples)
        if end <= live.durable:
            self.statistics.repeated += len(batch.samples)
            reply.ok(SamplesStored(stream=live.id, next_seq=live.durable))
            return
        if end - live.durable > MAX_UNACKED_SAMPLES or len(live.waiting) >= MAX_WAITING:
            raise WindowFull(expected=live.durable)
        received_ms = self._clock.wall_ms()
        if self.recorder.full():
            self._show_only(live, batch.samples[-1], received_ms)
            raise WindowFull(expected=live.intake.next_seq, retry_after_ms=1_000)
        fresh = live.intake.accept(batch.seq, batch.samples)
        self.statistics.repeated += len(batch.samples) - len(fresh)
        if fresh:
            self._advance(live, fresh, received_ms)
        live.waiting.append((end, reply))

    def _advance(self, live: LiveStream, fresh: tuple[Sample, ...], received_ms: int) -> None:
        room = live.room
        steps = room is not None and room.stepping.course is not None
        readings: list[tuple[int, int | None]] = []
        made_at_ms = received_ms
        made: list[int | None] = [live.made_at_ms]
        moves = live.moving is not None
        for sample in fresh:
            made_at_ms = live.clock.read(sample.t, received_ms)
            made.append(made_at_ms)
            if steps:
                readings.append((made_at_ms, sample.bpm))
            live.shown = advance_display(live.shown, sample.t, sample.bpm, live.physiology.max_hr)
            if sample.bpm is not None:
                live.read_at_ms = made_at_ms
            if sample.motion is not None:
                moves = True
        live.made_at_ms = made_at_ms
        if live.feeding is not None:
            live.feeding.hears(live, fresh, made_at_ms, received_ms)
        self._watch(live, fresh, made[1:])
        counts = room is not None and self._counts(live, room)
        live.effort = earned(live, fresh, made, counts=counts, window=None if room is None else room.window)
        if moves:
            self._move(live, fresh, made)
        if room is not None and counts:
            if readings:
                room.step(live.connection.caller.account_id, live.body, readings)
            self._feed(live, room, fresh[-1].bpm)
        self.recorder.append(
            live.id,
            live.epoch,
            live.intake.next_seq - len(fresh),
            fresh,
            live.effort,
            received_ms,
            live.clock.offset_ms,
            live.sensor,
            live.moving,
        )
        self.statistics.accepted += len(fresh)

    @staticmethod
    def _move(live: LiveStream, samples: Sequence[Sample], made: Sequence[int | None]) -> None:
        """Distance, power and cadence go on: in a class those of one of its member's streams."""
        room, feeding = live.room, live.feeding
        if room is None or feeding is None:
            moving = AT_REST if live.moving is None else live.moving
            for sample in samples:
                moving = advance(moving, sample)
            live.moving = moving
            return
        ended_ms = room.live.ended_ms
        counts = room.feeds_for(live.connection.caller.account_id, feeding.epoch) and (
            ended_ms is None or (live.made_at_ms is not None and live.made_at_ms <= ended_ms)
        )
        feeding.moves(live, samples, made, counts=counts, window=room.window)

    def _watch(self, live: LiveStream, samples: Sequence[Sample], made_ms: Sequence[int | None]) -> None:
        if live.watched and self._guarding is not None:
            self._guarding.heard(live.connection.caller.account_id, live.id, samples, made_ms)

    @staticmethod
    def _counts(live: LiveStream, room: Room) -> bool:
        """Whether these samples move the board: this stream is the one of the member's that feeds, and the class was not over."""
        feeding = live.feeding
        if feeding is None or not feeding.feeds(live):
            return False
        if not room.feeds_for(live.connection.caller.account_id, feeding.epoch):
            return False
        ended_ms = room.live.ended_ms
        return ended_ms is None or (live.read_at_ms is not None and live.read_at_ms <= ended_ms)

    def _show_only(self, live: LiveStream, newest: Sample, received_ms: int) -> None:
        """The buffer is full: the board goes on with what the sensor says, the score waits for the samples to come again."""
        made_at_ms = live.clock.read(newest.t, received_ms)
        self._watch(live, (newest,), (made_at_ms,))
        if live.room is None or live.feeding is None:
            return
        live.feeding.hears(live, (newest,), made_at_ms, received_ms)
        if not self._counts(live, live.room):
            return
        if newest.bpm is not None:
            live.read_at_ms = made_at_ms
        live.shown = advance_display(live.shown, newest.t, newest.bpm, live.physiology.max_hr)
        self._feed(live, live.room, newest.bpm)

    @staticmethod
    def _feed(live: LiveStream, room: Room, bpm: int | None, *, finished: bool = False) -> None:
        if live.feeding is None:
            return
        won = live.feeding.earned()
        room.feed(
            live.connection.caller.account_id,
            feed_epoch=live.feeding.epoch,
            bpm=bpm,
            zone=live.shown.zone,
            at_ms=live.read_at_ms,
            max_hr=live.physiology.max_hr,
            rest_hr=live.physiology.rest_hr,
            zone_ms=won.zone_ms,
            basis=Basis(
                None if live.burn is None else won.burned,
                moved=live.feeding.moved(),
                mass_kg=live.physiology.mass_kg,
            ),
            finished=finished,
            above_own=live.above_own(bpm),
        )

    # -- opening and closing --------------------------------------------------------------------------------------

    async def open(self, connection: Connection, request: StreamOpen) -> StreamOpened:
        """Open a stream, or take it up again: the reply says which sample comes next.

        Raises `Forbidden`, `ClassNotFound`, `ClassOver`, `ClassFull`, `BadShape` when the stream feeds another class, and
        `StreamTakenOver` when a newer opening overtook this one.
        """
        caller = connection.caller
        require_held(caller, may.OPEN_STREAM)
        if len(connection.streams) >= MAX_STREAMS_PER_CONNECTION and request.stream not in connection.streams:
            raise Busy(
                f"a connection may have {MAX_STREAMS_PER_CONNECTION} open streams", limit=MAX_STREAMS_PER_CONNECTION
            )
        if self.recorder.holds(request.stream) or any(self._of_account(caller)):
            # Commit what the lost connection has sent, so that it need not be sent again; and what this person's other
            # device has earned, so that the score goes on from there.
            await self._flush(FLUSH_TIMEOUT_S)
        record, physiology, earned, limit_bpm, own_limit_bpm = await self._openings.open(caller, request)
        room = None if record.class_id is None else await self._rooms.load(record.class_id)
        if room is not None:
            await self._seat(room, caller)
        if connection.closed:
            raise StreamNotOpen
        other = self._live.get(record.id)
        if other is not None and other.epoch > record.epoch:
            # Another opening committed after this one and was quicker from there: it is the newer, whoever speaks last.
            raise StreamTakenOver
        self._replace(record.id)
        live = LiveStream(
            id=record.id,
            workout=record.workout_id,
            epoch=record.epoch,
            connection=connection,
            intake=Intake(record.next_seq),
            durable=record.next_seq,
            effort=Effort(record.zone_ms, record.last_t, record.last_bpm, record.burned),
            physiology=physiology,
            burn=burn_rates_of(physiology),
            clock=DeviceClock(record.clock_offset_ms),
            sensor=record.sensor,
            moving=record.moving,
            room=room,
            watched=limit_bpm is not None,
            own_limit_bpm=own_limit_bpm,
        )
        self._live[live.id] = live
        connection.streams.add(live.id)
        if self._guarding is not None and limit_bpm is not None:
            self._guarding.opened(caller.account_id, live.id, limit_bpm, physiology, room)
        if room is not None:
            self._join(live, room, record.feed_epoch, earned)
        self.statistics.opened += 1
        self.statistics.open = len(self._live)
        self._rooms.node.publish(account_channel(connection), StreamOpenedHere(stream=live.id, epoch=live.epoch))
        return StreamOpened(
            stream=live.id,
            workout=live.workout,
            epoch=live.epoch,
            next_seq=live.durable,
            class_id=record.class_id,
        )

    def _join(self, live: LiveStream, room: Room, feed_epoch: int, earned: dict[StreamId, Earned]) -> None:
        """The stream is one of those that may feed its member's line. Until it does, the line says what it said."""
        room.feeds += 1
        key = (room.live.id, live.connection.caller.account_id)
        feeding = self._feedings.setdefault(key, Feeding(self._shifted))
        live.feeding = feeding
        feeding.open(live, feed_epoch=feed_epoch, earned=earned, now_ms=self._clock.wall_ms())
        feeder = feeding.feeder()
        said = live if feeder is None else self._live[feeder.id]
        self._feed(said, room, said.effort.last_bpm if said is not live else None)

    def _shifted(self, stream_id: StreamId, shift: Shift) -> None:
        """Another stream of a member feeds: a line of the ledger, kept and told with the next commit."""
        self.statistics.shifts += 1
        live = self._live.get(stream_id)
        if live is not None and live.room is not None and len(self._ledger) < MAX_LEDGER:
            caller = live.connection.caller
            told = SensorChosen(
                workout_id=live.workout,
                account_id=caller.account_id,
                class_id=live.room.live.id,
                from_ms=shift.at_ms,
                reason=shift.reason,
            )
            self._ledger.append((shift, told))

    async def _seat(self, room: Room, caller: Caller) -> None:
        """The room was loaded before this member came, or was let in again: read their seat."""
        if room.has_seat(caller.account_id) and not room.is_out(caller.account_id):
            return
        async with self._transactions() as stores:
            members = await stores.classes.members(room.live.id)
        for membership in members:
            if membership.account_id == caller.account_id:
                room.seat(membership)

    async def finish(self, connection: Connection, request: StreamFinish) -> StreamFinished:
        """End a stream once all of its `samples` are committed; its summary is then due.

        Raises `SequenceGap` with `expected` when samples are missing, `BadShape` when there are more than it says.
        """
        live = self._of(connection, request.stream)
        if request.samples > live.intake.next_seq:
            raise SequenceGap(expected=live.intake.next_seq, path="$.samples")
        if request.samples < live.intake.next_seq:
            raise BadShape(f"this stream has {live.intake.next_seq} samples already", path="$.samples")
        if live.durable < request.samples:
            await self._flush(FINISH_TIMEOUT_S)
        if self._live.get(live.id) is not live:
            raise StreamTakenOver
        if live.durable < request.samples:
            raise Unavailable("the samples could not be stored yet: finish again", retry_after_ms=1_000)
        await self._openings.finish(connection.caller, live.id, live.workout, live.epoch)
        finished = StreamFinished(stream=live.id, workout=live.workout, next_seq=live.durable)
        room, feeding = live.room, live.feeding
        self._unwatch(live)
        self._forget(live)
        if room is None or feeding is None or feeding:
            return finished
        if room.feeds_for(connection.caller.account_id, feeding.epoch):
            self._feed(live, room, None, finished=True)
        return finished

    def feeding_of(self, class_id: ClassId, account_id: AccountId) -> Feeding | None:
        """The streams of a member in a class through this node, None where they have none open."""
        return self._feedings.get((class_id, account_id))

    def drop(self, connection: Connection) -> None:
        """A connection is gone. What it sent is still committed; its streams wait for it in the database."""
        for stream_id in list(connection.streams):
            live = self._live.get(stream_id)
            if live is not None and live.connection is connection:
                self._forget(live)

    def _of_account(self, caller: Caller) -> Iterator[LiveStream]:
        return (live for live in self._live.values() if live.connection.caller.account_id == caller.account_id)

    def _of(self, connection: Connection, stream_id: StreamId) -> LiveStream:
        live = self._live.get(stream_id)
        if live is None:
            raise StreamNotOpen
        if live.connection is not connection:
            if live.connection.caller.account_id == connection.caller.account_id:
                raise StreamTakenOver
            raise StreamNotOpen
        return live

    def _replace(self, stream_id: StreamId) -> None:
        """Another connection of this node has the stream so far: tell it that it lost it."""
        old = self._live.get(stream_id)
        if old is not None:
            self._take_away(old)

    def _opened_elsewhere(self, _channel: str, opened: StreamOpenedHere) -> None:
        """Another node has the stream now."""
        live = self._live.get(opened.stream)
        if live is not None and live.epoch < opened.epoch:
            self._unwatch(live)
            self._take_away(live)

    def _take_away(self, live: LiveStream) -> None:
        self.statistics.taken_over += 1
        for _, reply in live.waiting:
            reply.problem(StreamTakenOver())
        live.waiting.clear()
        live.connection.push(event_frame("stream.taken", StreamTaken(stream=live.id, epoch=live.epoch)))
        self._forget(live)

    def _unwatch(self, live: LiveStream) -> None:
        """The stream is finished or goes on elsewhere: that it is silent here says nothing."""
        if self._guarding is not None:
            self._guarding.left(live.connection.caller.account_id, live.id)

    def _forget(self, live: LiveStream) -> None:
        live.connection.streams.discard(live.id)
        if self._guarding is not None:
            self._guarding.dropped(live.connection.caller.account_id, live.id)
        if self._live.get(live.id) is live:
            del self._live[live.id]
            if live.room is not None:
                live.room.feeds -= 1
                self._leave(live, live.room)
        self.statistics.open = len(self._live)

    def _leave(self, live: LiveStream, room: Room) -> None:
        feeding = live.feeding
        if feeding is None:
            return
        feeding.leave(live, self._clock.wall_ms())
        key = (room.live.id, live.connection.caller.account_id)
        if not feeding and self._feedings.get(key) is feeding:
            del self._feedings[key]

    # -- commits --------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """The group commit, until stopped."""
        await self.recorder.run()

    async def _flush(self, timeout_s: float) -> None:
        try:
            await asyncio.wait_for(self.recorder.flush(), timeout_s)
        except TimeoutError:
            # The caller looks at the marks itself: a flush in vain only means that they have not moved.
            log.info("streams.flush_timeout", seconds=timeout_s)

    async def _write(self, batches: list[StreamBatch]) -> list[Written]:
        now = utc(self._clock.wall_ms())
        lines = tuple(self._ledger)
        async with self._transactions() as stores:
            results = await stores.streams.write(batches)
            if lines:
                await stores.streams.keep_shifts([shift for shift, _ in lines])
            for _, told in lines:
                await stores.outbox.add(told, told.workout_id)
            for result in results:
                if result.late is not None:
                    workout_id, account_id = result.late
                    await stores.workouts.finish(workout_id, now)
                    await stores.outbox.add(WorkoutFinished(workout_id=workout_id, account_id=account_id), workout_id)
        del self._ledger[: len(lines)]
        return results

    def _stored(self, stream_id: StreamId, epoch: int, next_seq: int) -> None:
        """After a commit: the mark moves, and whoever waited for it is answered."""
        live = self._live.get(stream_id)
        if live is None or live.epoch != epoch:
            return
        live.durable = max(live.durable, next_seq)
        reply_with = SamplesStored(stream=stream_id, next_seq=live.durable)
        still = []
        for end, reply in live.waiting:
            if end <= live.durable:
                reply.ok(reply_with)
            else:
                still.append((end, reply))
        live.waiting = still

    def _fenced(self, stream_id: StreamId, epoch: int) -> None:
        """A commit was refused: another node has the stream."""
        live = self._live.get(stream_id)
        if live is not None and live.epoch == epoch:
            self._unwatch(live)
            self._take_away(live)
