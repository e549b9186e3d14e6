"""The durable side of opening and finishing a stream: one transaction each, nothing live.

Opening creates the stream with its workout (and the body it will be judged by), or raises the epoch of one that is there. The
epoch is the fence: from the commit on, whatever an older opening still tries to write is refused. In a class it also makes the
caller a member and lets this stream feed their line.
"""

from typing import Final, NamedTuple

from persistence.stores import Stores, Transactions
from persistence.streams import StreamRecord
from realtime.wire import BY_NAME, StreamOpen
from rooms.knocking import Knocking
from rooms.seating import admit, admit_rider, seat
from services.access import permission as may
from services.access.policy import owned, require
from services.accounts.scope import require_scope
from services.classes.live_class import LiveClass, may_enter, may_feed
from services.classes.team import team_named
from services.kernel.caller import Caller
from services.kernel.clock import Clock, utc
from services.kernel.facts import WorkoutFinished
from services.kernel.ids import ClassId, Ids, StreamId, WorkoutId
from services.kernel.problems import (
    BadShape,
    Busy,
    NotAuthenticated,
    StreamTakenOver,
    Unavailable,
)
from services.safety.limit import limit_of
from services.training.earned import Earned
from services.training.physiology import Physiology

_TO_JOIN: Final = BY_NAME["room.join"].scopes
"""A stream that feeds a class takes its person into it."""


class Opened(NamedTuple):
    """A stream that is open: its row, the body of its workout, what each other stream of the member has earned in this class,
    and the heart rate above which they want to be asked; None where nobody is to watch over them. `own_limit_bpm` is that figure
    where they have set it themselves."""

    record: StreamRecord
    physiology: Physiology
    earned: dict[StreamId, Earned]
    limit_bpm: int | None = None
    own_limit_bpm: int | None = None


class Openings:
    """Opens and finishes streams in the database."""

    def __init__(self, transactions: Transactions, knocking: Knocking, clock: Clock, ids: Ids) -> None:
        self._transactions = transactions
        self._knocking = knocking
        self._clock = clock
        self._ids = ids

    async def open(self, caller: Caller, request: StreamOpen) -> Opened:
        """Create the stream, or take it up again. Raises `Forbidden`, `ClassNotFound`, `TooManyAttempts`, `ClassOver`, `ClassFull`,
        `BadShape` when it was opened for another class or names a team that there is not, `Busy` when two connections create it at
        the same moment; and what `admit` raises, for a stream that is new."""
        async with self._transactions() as stores:
            return await self._open(stores, caller, request)

    async def finish(self, caller: Caller, stream_id: StreamId, workout_id: WorkoutId, epoch: int) -> None:
        """Finish the stream and its workout, and tell the fact that makes the summary due. Raises `StreamTakenOver`."""
        now = utc(self._clock.wall_ms())
        async with self._transactions() as stores:
            if not await stores.streams.finish(stream_id, epoch, now):
                raise StreamTakenOver
            await stores.workouts.finish(workout_id, now)
            await stores.outbox.add(WorkoutFinished(workout_id=workout_id, account_id=caller.account_id), workout_id)

    async def _open(self, stores: Stores, caller: Caller, request: StreamOpen) -> Opened:
        live_class = None
        if request.class_code is not None:
            require_scope(caller, _TO_JOIN)
            code = request.class_code
            live_class = await self._knocking.class_of(stores.classes, caller, code, "$.class_code")
        record = await stores.streams.lock(request.stream)
        if record is None:
            record, physiology = await self._create(stores, caller, request, live_class)
        else:
            record, physiology = await self._take_up(stores, caller, request, record, live_class)
        if record.class_id is not None:
            require_scope(caller, _TO_JOIN)
        earned: dict[StreamId, Earned] = {}
        if record.class_id is not None:
            earned = await stores.streams.earned(record.class_id, caller.account_id, but=record.id)
        chosen = await stores.safety.chosen(caller.account_id)
        if not chosen.on:
            return Opened(record, physiology, earned)
        return Opened(record, physiology, earned, limit_of(chosen.limit_bpm, physiology).bpm, chosen.limit_bpm)

    async def _create(
        self, stores: Stores, caller: Caller, request: StreamOpen, live_class: LiveClass | None
    ) -> tuple[StreamRecord, Physiology]:
        now = utc(self._clock.wall_ms())
        account = await stores.accounts.by_id(caller.account_id)
        if account is None:
            raise NotAuthenticated("this account is gone")
        physiology = account.profile.physiology(now.date())
        feed_epoch = 0
        if live_class is None:
            team_named((), request.team)
        else:
            may_enter(live_class, caller, "athlete")
            may_feed(live_class, caller, await stores.classes.membership(live_class.id, caller.account_id))
            await admit(stores, live_class, caller, now)
            await admit_rider(stores.heats, live_class, caller, "$.class_code")
            await seat(stores, live_class, caller.account_id, "athlete", now, request.team)
            feed_epoch = await stores.classes.raise_feed(live_class.id, caller.account_id)
        workout_id = WorkoutId(self._ids.next())
        class_id: ClassId | None = None if live_class is None else live_class.id
        await stores.workouts.create(
            workout_id,
            account_id=caller.account_id,
            class_id=class_id,
            sport=request.sport,
            physiology=physiology,
            created_at=now,
        )
        if request.location is not None:
            await stores.locations.add(workout_id, caller.account_id, request.location, now)
        created = await stores.streams.create(
            request.stream,
            workout_id=workout_id,
            account_id=caller.account_id,
            class_id=class_id,
            device=request.device,
            sensor=request.sensor,
            device_started_at=utc(request.started_at_ms),
            opened_at=now,
            feed_epoch=feed_epoch,
        )
        record = await stores.streams.lock(request.stream)
        if not created or record is None:
            raise Busy("this stream is being opened by another connection right now", retry_after_ms=200)
        return record, physiology

    async def _take_up(
        self, stores: Stores, caller: Caller, request: StreamOpen, record: StreamRecord, live_class: LiveClass | None
    ) -> tuple[StreamRecord, Physiology]:
        require(caller, may.OPEN_STREAM, owned(record.account_id), path="$.stream")
        if live_class is not None and live_class.id != record.class_id:
            raise BadShape("this stream was opened for another class: make a new id", path="$.class_code")
        feed_epoch = record.feed_epoch
        if record.class_id is not None:
            feed_epoch = await stores.classes.raise_feed(record.class_id, caller.account_id)
        now = utc(self._clock.wall_ms())
        await stores.streams.reopen(record.id, feed_epoch=feed_epoch, at=now, sensor=request.sensor)
        reopened = await stores.streams.lock(record.id)
        if reopened is None:
            raise Unavailable
        return reopened, await stores.workouts.physiology(record.workout_id)
