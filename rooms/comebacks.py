"""Coming back by the secret of the last connection, as the JavaScript client does by itself (4.6 and newer).

It brings the `pid` that CONNECT gave it and `offset`, the last position that it saw on whatever room. It gets its old pid
again, which is how that client reads "recovered", if and only if it can be proven that it then has everything:

* The record of the pid (realtime/records.py) names the same account, and the rooms it was in.
* `offset` belongs to one of these rooms, and that room's log has everything since.
* In every other room nothing was said since the connection joined it: of those rooms the client says nothing, so nothing less
  would be a proof. A client in many busy rooms is better served by `rooms` in the auth payload.

The record is written before a join is answered. While it cannot be, a connection that has one must not join another room: a
client that came back later would be told that nothing is missing, and miss that room. A first join goes ahead without a record.

Whoever joins with `since` looks after itself, and its connection is no longer recovered by pid: what it missed comes with the
answer, which the position that the client's library keeps knows nothing of, so that the next proof would be none.

Rooms that a client gives in the auth payload are simply joined, one after the other, and each is answered by an event.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from persistence.stores import Transactions
from realtime.codec import event_frame
from realtime.connection import Connection
from realtime.crew import Crew
from realtime.frame import Frame
from realtime.position import Position, position_of
from realtime.records import REFRESH_EVERY_S, HeldRoom, Record, Records, new_pid
from realtime.room_log import LogAway
from realtime.sparingly import Sparingly
from realtime.wire import RoomJoin, RoomPosition, RoomRecovered
from rooms.room import Room, channel_of
from rooms.rooms import Rooms
from services.classes.live_class import Membership, may_enter
from services.kernel.caller import Caller
from services.kernel.clock import Clock
from services.kernel.ids import ClassId
from services.kernel.problems import InternalFault, Problem, Unavailable

TRIES: Final = 3
"""How often the rooms of one client are read again because events came meanwhile."""
WRITE_EVERY_S: Final = 1.0
"""How soon a record says that a room was left, or is forgotten. Nothing depends on it."""
MAX_WAITING: Final = 10_000
"""Records that wait to be written. Full means: the one that waits longest is left as it is; it ends by itself in two minutes."""
END_WITHIN_S: Final = 5.0
_PID: Final = re.compile(r"[A-Za-z0-9_-]{24}")

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class ComebacksStatistics:
    """Counts since start: clients that came with a pid and were `recovered`, or were not; `records` kept now."""

    recovered: int = 0
    not_recovered: int = 0
    records: int = 0


@dataclass(frozen=True, slots=True)
class Return:
    """One room of a client that comes back: `missed` brings it to `at`."""

    room: Room
    membership: Membership | None
    missed: tuple[Frame, ...]
    at: Position


@dataclass(frozen=True, slots=True)
class Comeback:
    """Everything that a client gets back."""

    pid: str
    record: Record
    rooms: tuple[Return, ...]


class Comebacks:
    """The records of this node's connections, and what they are good for."""

    def __init__(self, rooms: Rooms, records: Records, transactions: Transactions, clock: Clock) -> None:
        self.statistics: Final = ComebacksStatistics()
        self._rooms: Final = rooms
        self._records: Final = records
        self._transactions: Final = transactions
        self._clock: Final = clock
        self._say: Final = Sparingly(log, clock.monotonic)
        self._known: dict[str, _Known] = {}
        self._to_write: dict[str, _Waiting] = {}
        rooms.on_join = self._joining

    def new_pid(self) -> str:
        """The secret of a connection that is new."""
        return new_pid()

    # -- with a pid -----------------------------------------------------------------------------------------------

    async def recall(self, caller: Caller, pid: object, offset: object, owner: str) -> Comeback | None:
        """What the client of this pid gets back as connection `owner`; None when anything of it cannot be proven. Good for
        `restore` in the same step only."""
        try:
            found = await self._recalled(caller, pid, offset, owner)
        except (LogAway, Problem) as trouble:
            self._say.warning("comebacks.not_recovered", cause="recall", connection=owner, trouble=str(trouble))
            found = None
        if found is None:
            self.statistics.not_recovered += 1
        else:
            self.statistics.recovered += 1
        return found

    def restore(self, connection: Connection, comeback: Comeback) -> None:
        """Bring the connection back into its rooms and send what it missed, before anything new."""
        self._known[connection.id] = _Known(comeback.pid, comeback.record)
        now_ms = self._clock.wall_ms()
        for back in comeback.rooms:
            self._rooms.enter(connection, back.room, back.membership)
            for frame in self._rooms.meant_for(connection.caller, back.room, back.missed):
                connection.push(frame)
            connection.push(back.room.snapshot_frame(now_ms), key=back.room.channel)

    async def _recalled(self, caller: Caller, pid: object, offset: object, owner: str) -> Comeback | None:
        if not isinstance(pid, str) or not isinstance(offset, str) or not _PID.fullmatch(pid):
            return None
        try:
            seen = position_of(offset)
        except ValueError:
            return None
        record = await self._records.read(pid)
        if record is None or record.account_id != caller.account_id or not provable(record, seen):
            return None
        entered = await self._entered(caller, record)
        if entered is None or not await self._records.take(pid, owner):
            return None
        for _ in range(TRIES):
            rooms = [await self._return(room, membership, held, seen) for held, room, membership in entered]
            proven = tuple(back for back in rooms if back is not None)
            if len(proven) < len(rooms):
                return None
            if any(back.room.is_out(caller.account_id) for back in proven):
                return None
            if all(self._rooms.feeds.at(back.room.channel) == back.at for back in proven):
                return Comeback(pid, record, proven)
        return None

    async def _entered(self, caller: Caller, record: Record) -> list[tuple[HeldRoom, Room, Membership | None]] | None:
        """The rooms of the record, if the caller still belongs into all of them."""
        display = "display" in caller.roles
        memberships: list[Membership | None] = []
        async with self._transactions() as stores:
            await self._rooms.read_blocks(stores, caller)
            for held in record.rooms:
                live = await stores.classes.by_id(held.class_id)
                if live is None:
                    return None
                may_enter(live, caller, held.role, over=True)
                membership = None if display else await stores.classes.membership(live.id, caller.account_id)
                if not display and (membership is None or membership.removed):
                    return None
                memberships.append(membership)
        rooms = [await self._rooms.load(held.class_id) for held in record.rooms]
        return list(zip(record.rooms, rooms, memberships, strict=True))

    async def _return(self, room: Room, membership: Membership | None, held: HeldRoom, seen: Position) -> Return | None:
        since = seen if held.epoch == seen.epoch else held.bound
        missed = await self._rooms.missed(room, since)
        if missed is None or (missed and since is not seen):
            return None
        return Return(room, membership, missed, since.moved(len(missed)))

    # -- with rooms in the auth payload ---------------------------------------------------------------------------

    async def rejoin(self, connection: Connection, rooms: Sequence[RoomJoin]) -> None:
        """Join rooms, each answered by `room.recovered`. Raises nothing."""
        for request in rooms:
            answer: RoomRecovered
            try:
                joined = await self._rooms.join(connection, request)
                answer = RoomRecovered(code=request.code, ok=joined)
            except Problem as problem:
                answer = RoomRecovered(code=request.code, problem=problem.view())
            except Exception:
                log.exception("comebacks.rejoin_failed", connection=connection.id)
                answer = RoomRecovered(code=request.code, problem=InternalFault().view())
            if answer.ok is not None:
                self.tell_position(connection, answer.ok.room.id, answer.ok.position)
            connection.push(event_frame("room.recovered", answer))

    def tell_position(self, connection: Connection, class_id: ClassId, position: str | None) -> None:
        """Give a client that may come back by pid the position to come back with, before any event has one."""
        if connection.pid and position is not None:
            connection.push(event_frame("room.position", RoomPosition(class_id=class_id, position=position)))

    # -- the records ----------------------------------------------------------------------------------------------

    async def _joining(self, connection: Connection, class_id: ClassId, request: RoomJoin) -> None:
        """See the module. Raises `Unavailable`."""
        if connection.pid and request.since is not None:
            await self._give_up(connection)
        if not connection.pid or class_id in connection.rooms:
            return
        before = self._known.get(connection.id)
        if before is None and connection.rooms:
            return  # it is in a room that was joined while there could be no record: nobody can come back to it
        rooms = () if before is None else tuple(held for held in before.record.rooms if held.class_id != class_id)
        at = await self._rooms.feeds.known(channel_of(class_id))
        if at is None:
            if before is None:
                return
            raise Unavailable(_NO_RECORD)
        record = Record(connection.caller.account_id, (*rooms, HeldRoom(class_id, request.role, at.epoch, at.offset)))
        try:
            ours = await self._records.write(connection.pid, connection.id, record)
        except LogAway as away:
            self._say.warning("comebacks.no_record", cause="record", connection=connection.id, trouble=str(away))
            if before is not None:
                raise Unavailable(_NO_RECORD) from away
            # Nobody knows whether it was written: from here on as if it were.
            ours = True
        if ours and not connection.gone:
            self._to_write.pop(connection.pid, None)
            self._known[connection.id] = _Known(connection.pid, record)

    async def _give_up(self, connection: Connection) -> None:
        """From now on nobody comes back to this connection by its pid. Raises `Unavailable`."""
        known = self._known.get(connection.id)
        if known is not None:
            try:
                await self._records.forget(known.pid, connection.id)
            except LogAway as away:
                raise Unavailable(_NO_RECORD) from away
            self._known.pop(connection.id, None)
            self._to_write.pop(known.pid, None)
        connection.pid = ""

    def left(self, connection: Connection, class_id: ClassId) -> None:
        """A connection has left a room: it shall not be brought back there."""
        known = self._known.get(connection.id)
        if known is not None:
            rooms = tuple(held for held in known.record.rooms if held.class_id != class_id)
            known.record = Record(known.record.account_id, rooms)
            self._write_soon(known.pid, _Waiting(connection.id, known.record))

    def gone(self, connection: Connection) -> None:
        """A connection is gone. It may come back, unless it was sent away for good."""
        known, ending = self._known.pop(connection.id, None), connection.ending
        if known is not None and ending is not None and ending.come_back_ms is None:
            self._write_soon(known.pid, _Waiting(connection.id, None))

    def _write_soon(self, pid: str, waiting: "_Waiting") -> None:
        if len(self._to_write) >= MAX_WAITING and pid not in self._to_write:
            del self._to_write[next(iter(self._to_write))]
        self._to_write[pid] = waiting

    async def run(self) -> None:
        """Keep the records of whoever is connected, until cancelled."""
        crew = Crew("comebacks", END_WITHIN_S)
        await crew.live(records=self._keep_records(crew))

    async def _keep_records(self, crew: Crew) -> None:
        refresh_at = self._clock.monotonic() + REFRESH_EVERY_S
        while not crew.over:
            await self._clock.sleep(WRITE_EVERY_S)
            self.statistics.records = len(self._known)
            try:
                await self._write_waiting()
                if self._clock.monotonic() >= refresh_at:
                    refresh_at = self._clock.monotonic() + REFRESH_EVERY_S
                    await self._records.refresh(tuple(known.pid for known in self._known.values()))
            except LogAway as away:
                self._say.warning("comebacks.records_away", cause="records", trouble=str(away))

    async def _write_waiting(self) -> None:
        while self._to_write:
            pid, waiting = next(iter(self._to_write.items()))
            if waiting.record is None:
                await self._records.forget(pid, waiting.owner)
            else:
                await self._records.write(pid, waiting.owner, waiting.record)
            if self._to_write.get(pid) is waiting:
                del self._to_write[pid]


@dataclass(slots=True)
class _Known:
    """The record of a connection that is here."""

    pid: str
    record: Record


@dataclass(frozen=True, slots=True)
class _Waiting:
    """What is to be written for a pid: None, that it is to be forgotten."""

    owner: str
    record: Record | None


def provable(record: Record, seen: Position) -> bool:
    """Whether the position that a client saw last belongs to exactly one room of its record."""
    return [held.epoch for held in record.rooms].count(seen.epoch) == 1


_NO_RECORD: Final = (
    "this connection cannot join another room right now, because its return could not be made sure; try again"
)
