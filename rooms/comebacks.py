"""Coming back by the secret of the last connection, as the JavaScript client does by itself (4.6 and newer).

It brings the `pid` that CONNECT gave it and `offset`, the last position that it saw on whatever room. It gets its old pid
again, which is how that client reads "recovered", if and only if it can be proven that it then has everything:

* The record of the pid (realtime/records.py) names the same account, and the rooms it was in.
* `offset` belongs to one of these rooms, and that room's log has everything since.
* In every other room nothing was said since the connection joined it: of those rooms the client says nothing, so nothing less
  would be a proof. A client in many busy rooms is better served by `rooms` in the auth payload.

The record is written before a join is answered, and again if it has changed meanwhile. While it cannot be, or belongs to another
connection, one that has a record must not join another room: a client that came back later would be told that nothing is missing,
and miss that room. A first join goes ahead without a record.

A room's log that could prove nothing sends its members on from a position (`room.reset`), and their records go on from there. Who
comes back must have been told of it: by a position of that room no earlier, or by one of another room from after that moment
(`HeldRoom.least`). Such a change is written over a record that is there, never in place of one that is lost: nobody can say any
more whether the client has moved to another node meanwhile, and joined another room there. A connection that is still here after
`SURE_ROUNDS` has answered a ping since, so it has not; then its record is written anew.

What cannot be written or refreshed, because one of several servers is away, holds up nothing else and is tried again.

Whoever joins with `since` looks after itself, and its connection is no longer recovered by pid: what it missed comes with the
answer, which the position that the client's library keeps knows nothing of, so that the next proof would be none.

Rooms that a client gives in the auth payload are simply joined, one after the other, and each is answered by an event.
"""

import asyncio
import itertools
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import msgspec
import structlog

from persistence.stores import Transactions
from realtime.codec import event_frame
from realtime.connection import Connection
from realtime.crew import Crew
from realtime.frame import Frame
from realtime.position import Position, position_of
from realtime.records import REFRESH_EVERY_S, Claim, HeldRoom, Record, Records, Written, new_pid
from realtime.room_log import LogAway
from realtime.sparingly import Sparingly
from realtime.wire import Role, RoomJoin, RoomPosition, RoomRecovered
from rooms.room import Room, channel_of
from rooms.rooms import Rooms
from services.classes.live_class import Membership, may_enter
from services.kernel.caller import Caller
from services.kernel.clock import Clock
from services.kernel.ids import AccountId, ClassId
from services.kernel.problems import InternalFault, Problem, Unavailable

TRIES: Final = 3
"""How often the rooms of one client are read again because events came meanwhile, or its record is written again because it changed
meanwhile."""
WRITE_EVERY_S: Final = 1.0
"""How soon a record says that a room was left, or is forgotten. Nothing depends on it."""
MAX_WAITING: Final = 50_000
"""Records that wait to be written; after a loss of all logs, those of everybody here. Full means: the one that waits longest stays
as it is."""
AT_ONCE: Final = 256
"""Records that are written at the same time: a quarter of what may be under way to a server (realtime/redis_caller.py)."""
SURE_ROUNDS: Final = 60
"""Rounds of `WRITE_EVERY_S` after which a connection that is still here has answered a ping: one is sent within 25 s and answered
within 20 (gateway/sockets/server.py). Rounds and not seconds, so that a loop that stood still finds pings unanswered first."""
NEVER: Final = 2**62
"""A place that no log comes to."""
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
        self._lost: dict[str, int] = {}
        self._unsure: frozenset[str] = frozenset()
        self._rounds = 0
        self._numbers: Final = itertools.count(1)
        rooms.on_join = self._joining
        rooms.on_reset(self._began_anew)

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
        self._known[connection.id] = _Known(comeback.pid, comeback.record, written=0)
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
        at = await self._rooms.feeds.known(channel_of(class_id))
        if at is None:
            if before is None:
                return
            raise Unavailable(_NO_RECORD)
        for _ in range(TRIES):
            if await self._write_joining(connection, class_id, request.role, at):
                return
        self._write_again(connection.id)
        raise Unavailable(_NO_RECORD)

    async def _write_joining(self, connection: Connection, class_id: ClassId, role: Role, at: Position) -> bool:
        """Write the record of a connection with one room more; False when another was to be written meanwhile. Raises
        `Unavailable`."""
        before = self._known.get(connection.id)
        was = None if before is None else before.record
        record = with_room(was, connection.caller.account_id, class_id, role, at)
        claim = Claim(connection.pid, connection.id, next(self._numbers))
        try:
            written = await self._records.write(claim, record)
        except LogAway as away:
            self._say.warning("comebacks.no_record", cause="record", connection=connection.id, trouble=str(away))
            if before is not None:
                self._write_again(connection.id)
                raise Unavailable(_NO_RECORD) from away
            # Nobody knows whether it was written: from here on as if it were.
            written = Written.KEPT
        if connection.gone:
            return True
        if written is Written.TAKEN:  # and the record of another connection does not say what this one has joined
            raise Unavailable(_NO_RECORD)
        now = self._known.get(connection.id)
        if written is not Written.KEPT or (None if now is None else now.record) is not was:
            return False
        if now is not None and now.drawn > claim.number:
            return False  # another write was begun meanwhile, of the record without this room, and comes or came behind this one
        self._to_write.pop(connection.pid, None)
        self._lost.pop(connection.id, None)
        self._known[connection.id] = _Known(connection.pid, record, claim.number)
        return True

    async def _give_up(self, connection: Connection) -> None:
        """From now on nobody comes back to this connection by its pid. Raises `Unavailable`."""
        known = self._known.get(connection.id)
        if known is not None:
            try:
                await self._records.forget(known.pid, connection.id)
            except LogAway as away:
                raise Unavailable(_NO_RECORD) from away
            self._known.pop(connection.id, None)
            self._lost.pop(connection.id, None)
            self._to_write.pop(known.pid, None)
        connection.pid = ""

    def _began_anew(self, room: Room, position: Position) -> None:
        """The members here of a room are told to go on from a position, and those who come back go on from there, too."""
        for connection in self._rooms.node.members(room.channel):
            known = self._known.get(connection.id)
            if known is not None and any(held.class_id == room.live.id for held in known.record.rooms):
                held = known.record.rooms
                stand = {each.class_id: self._rooms.feeds.at(channel_of(each.class_id)) for each in held}
                known.record = begun_anew(known.record, room.live.id, position, stand)
                self._write_again(connection.id)

    def left(self, connection: Connection, class_id: ClassId) -> None:
        """A connection has left a room: it shall not be brought back there."""
        known = self._known.get(connection.id)
        if known is not None:
            rooms = tuple(held for held in known.record.rooms if held.class_id != class_id)
            known.record = Record(known.record.account_id, rooms)
            self._write_again(connection.id)

    def gone(self, connection: Connection) -> None:
        """A connection is gone. It may come back, unless it was sent away for good."""
        known, ending = self._known.pop(connection.id, None), connection.ending
        self._lost.pop(connection.id, None)
        if known is not None and ending is not None and ending.come_back_ms is None:
            self._write_soon(known.pid, self._waiting(connection.id, None))

    def _write_again(self, connection_id: str, *, anew: bool = False) -> None:
        """The record of a connection is to be written as it is known here."""
        known = self._known.get(connection_id)
        if known is not None:
            self._write_soon(known.pid, self._waiting(connection_id, known.record, anew=anew))

    def _waiting(self, owner: str, record: Record | None, *, anew: bool = False) -> "_Waiting":
        number = next(self._numbers)
        if (known := self._known.get(owner)) is not None:
            known.drawn = number
        return _Waiting(owner, number, record, anew=anew)

    def _write_soon(self, pid: str, waiting: "_Waiting") -> None:
        before = self._to_write.get(pid)
        if before is None and len(self._to_write) >= MAX_WAITING:
            del self._to_write[next(iter(self._to_write))]
        anew = waiting.anew or (before is not None and before.anew and waiting.record is not None)
        self._to_write[pid] = replace(waiting, anew=anew)

    async def run(self) -> None:
        """Keep the records of whoever is connected, until cancelled."""
        crew = Crew("comebacks", END_WITHIN_S)
        await crew.live(records=self._keep_records(crew))

    async def _keep_records(self, crew: Crew) -> None:
        refresh_at = self._clock.monotonic() + REFRESH_EVERY_S
        while not crew.over:
            await self._clock.sleep(WRITE_EVERY_S)
            self.statistics.records = len(self._known)
            self._rounds += 1
            self._write_lost_anew()
            await self._write_waiting()
            due: Collection[str] = self._unsure
            if self._clock.monotonic() >= refresh_at:
                refresh_at = self._clock.monotonic() + REFRESH_EVERY_S
                due = self._known.keys()
            if due:
                await self._refresh(due)

    async def _write_waiting(self) -> None:
        """Write what waits, many at once. What could not be written goes to the end and waits for the next round; once nothing of a
        batch could be, so does the rest."""
        waiting = list(self._to_write.items())
        for start in range(0, len(waiting), AT_ONCE):
            async with asyncio.TaskGroup() as group:
                writes = [
                    group.create_task(self._wrote(pid, each), name="comebacks.write")
                    for pid, each in waiting[start : start + AT_ONCE]
                ]
            if not any(write.result() for write in writes):
                return

    async def _wrote(self, pid: str, waiting: "_Waiting") -> bool:
        """Whether it is known what became of a record that waits."""
        try:
            written = await self._write(pid, waiting)
        except LogAway as away:
            self._say.warning("comebacks.records_away", cause="records", trouble=str(away))
            if self._to_write.get(pid) is waiting:
                self._to_write[pid] = self._to_write.pop(pid)
            return False
        if self._to_write.get(pid) is waiting:
            del self._to_write[pid]
        known = self._known.get(waiting.owner)
        if written is Written.KEPT and known is not None:
            known.written = max(known.written, waiting.number)
        elif written is Written.MISSING:
            self._miss(waiting.owner)
        return True

    async def _write(self, pid: str, waiting: "_Waiting") -> Written | None:
        """Write or forget a record. Raises `LogAway`."""
        if waiting.record is None:
            await self._records.forget(pid, waiting.owner)
            return None
        claim = Claim(pid, waiting.owner, waiting.number)
        if waiting.anew:
            return await self._records.write(claim, waiting.record)
        return await self._records.rewrite(claim, waiting.record)

    async def _refresh(self, connection_ids: Collection[str]) -> None:
        found = {known.pid: one for one in connection_ids if (known := self._known.get(one)) is not None}
        claims = tuple(Claim(pid, one, self._known[one].written) for pid, one in found.items())
        refreshed = await self._records.refresh(claims)
        self._unsure = frozenset(found[pid] for pid in refreshed.unsure)
        for pid in refreshed.lost:
            self._miss(found[pid])
        if self._unsure:
            self._say.warning("comebacks.records_away", cause="refresh", records=len(self._unsure))

    def _miss(self, connection_id: str) -> None:
        """The record of a connection is lost."""
        if connection_id in self._known:
            self._lost.setdefault(connection_id, self._rounds)

    def _write_lost_anew(self) -> None:
        """Whoever's record is lost, and who is still here: see the module."""
        while self._lost:
            connection_id, since = next(iter(self._lost.items()))
            if self._rounds - since <= SURE_ROUNDS:
                return
            del self._lost[connection_id]
            self._write_again(connection_id, anew=True)


@dataclass(slots=True)
class _Known:
    """The record of a connection that is here, the number under which some of it was `written` last, and the highest that was
    `drawn` for what waits to be."""

    pid: str
    record: Record
    written: int
    drawn: int = 0


@dataclass(frozen=True, slots=True)
class _Waiting:
    """What is to be written for a pid: None, that it is to be forgotten. `anew`: also where there is none any more."""

    owner: str
    number: int
    record: Record | None
    anew: bool = False


def provable(record: Record, seen: Position) -> bool:
    """Whether the position that a client saw last belongs to exactly one room of its record, and is late enough there."""
    found = [held for held in record.rooms if held.epoch == seen.epoch]
    return len(found) == 1 and seen.offset >= found[0].least


def with_room(before: Record | None, account_id: AccountId, class_id: ClassId, role: Role, at: Position) -> Record:
    """The record of a connection that joins a room, where it stands `at` a position. Pure."""
    others = () if before is None else tuple(held for held in before.rooms if held.class_id != class_id)
    return Record(account_id, (*others, HeldRoom(class_id, role, at.epoch, at.offset, at.offset)))


def begun_anew(record: Record, class_id: ClassId, at: Position, stand: Mapping[ClassId, Position | None]) -> Record:
    """The record of a connection that is told now to go on in a room from `at`, while its others `stand` where they do: of these
    only what comes later shows that it was told. Pure."""

    def moved(held: HeldRoom) -> HeldRoom:
        if held.class_id == class_id:
            return HeldRoom(class_id, held.role, at.epoch, at.offset, at.offset)
        there = stand.get(held.class_id)
        least = NEVER if there is None or there.epoch != held.epoch else there.offset + 1
        return msgspec.structs.replace(held, least=max(held.least, least))

    return Record(record.account_id, tuple(map(moved, record.rooms)))


_NO_RECORD: Final = (
    "this connection cannot join another room right now, because its return could not be made sure; try again"
)
