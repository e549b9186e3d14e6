"""Somebody in a room who is strict: changes apply only on top of exactly the version before, whatever else comes is a gap and is
answered by asking for the board. The position of the last event of the room is kept, and given back on every return.
"""

import asyncio
from typing import TYPE_CHECKING, Any, Final

import msgspec

from loadtest.link import LinkLost
from realtime.wire import BoardChanges, BoardSnapshot, Member, RoomRef, Row
from services.classes.live_class import LiveClass
from services.kernel.ids import ClassId
from tests.faults.history import Framed, Heard, Joined, Look, RowSeen, Told
from tests.faults.people import Person
from tests.faults.roamer import Roamer

if TYPE_CHECKING:
    from tests.faults.swarm import Swarm

# -- the shapes that are read ---------------------------------------------------------------------------------------------------
# Not the catalogue's own: those refuse what they do not know, and the bench is to read what a newer server says.


class _Joined(msgspec.Struct, frozen=True):
    board: BoardSnapshot
    recovered: bool | None = None
    position: str | None = None
    missed: tuple[tuple[str, msgspec.Raw], ...] = ()


class _Reset(msgspec.Struct, frozen=True):
    board: BoardSnapshot
    position: str | None = None


class _Cue(msgspec.Struct, frozen=True):
    class_id: ClassId
    text: str
    position: str | None = None


class _Positioned(msgspec.Struct, frozen=True):
    class_id: ClassId | None = None
    position: str | None = None


class _State(msgspec.Struct, frozen=True):
    state: str


class Join(msgspec.Struct, frozen=True, omit_defaults=True):
    code: str
    role: str = "athlete"
    since: str | None = None


class _Answer(msgspec.Struct, frozen=True):
    ok: msgspec.Raw = msgspec.Raw()


_parts: Final = msgspec.json.Decoder(list[msgspec.Raw])


def payload_of(frame: bytes) -> msgspec.Raw:
    """The payload of an event frame, whatever else the server puts behind it."""
    return _parts.decode(frame[frame.index(b"[") :])[1]


class Fold:
    """A board as a client holds it: a snapshot and the changes since."""

    def __init__(self) -> None:
        self.epoch = ""
        self.v = -1
        self.rows: dict[int, Row] = {}
        self.seats: dict[int, Member] = {}

    def take(self, whole: BoardSnapshot) -> None:
        """Begin anew."""
        self.epoch, self.v = whole.epoch, whole.v
        self.rows = {row.n: row for row in whole.rows}
        self.seats = {seat.n: seat for seat in whole.members}

    def change(self, changes: BoardChanges) -> bool:
        """Apply changes; False when they do not follow."""
        if changes.epoch != self.epoch or changes.v != self.v + 1:
            return False
        self.v = changes.v
        self.rows |= {row.n: row for row in changes.rows}
        self.seats |= {seat.n: seat for seat in changes.members}
        return True

    def agrees(self, whole: BoardSnapshot) -> bool:
        """Whether it is this one."""
        other = Fold()
        other.take(whole)
        return (self.epoch, self.v, self.rows, self.seats) == (other.epoch, other.v, other.rows, other.seats)


class Watcher:
    """Somebody in a room: folds its board, hears what is said in it."""

    def __init__(self, swarm: "Swarm", who: str, person: Person, room: LiveClass, link: Roamer, role: str) -> None:
        self.who: Final = who
        self.room: Final = room
        self.link: Final = link
        self.fold: Final = Fold()
        self.inside = False
        self.told_stale = False
        self.position: str | None = None
        self._person: Final = person
        self._role: Final = role
        self._swarm: Final = swarm
        self._joined_once = False
        self._asking = False
        link.on_raw("board.snapshot", self._on_snapshot)
        link.on_raw("board.changes", self._on_changes)
        link.on_raw("cue", lambda frame: self._on_cue(payload_of(frame)))
        link.on_raw("room.reset", self._on_reset)
        link.on_raw("room.position", self._on_position)
        link.on_raw("service.state", self._on_state)
        link.greet(self._join)
        link.watch(self._on_link)

    # -- in and out ---------------------------------------------------------------------------------------------------

    async def _join(self) -> None:
        wanted = Join(self.room.code, self._role, self.position)
        await self.link.request("room.join", wanted, self._entered)

    def _entered(self, raw: msgspec.Raw | None) -> None:
        if raw is None:
            return
        answer = msgspec.json.decode(raw, type=_Answer)
        if not bytes(answer.ok):
            # Refused, for now: come again by another connection, which is what a person does who sees nothing.
            self._swarm.later(self.link.drop())
            return
        joined = msgspec.json.decode(answer.ok, type=_Joined)
        self.inside = True
        self._note_joined("recovered" if joined.recovered else "restart", joined.position)
        self._took(joined.board)
        for event, payload in joined.missed:
            if event == "cue":
                self._on_cue(payload)
        self.position = joined.position or self.position

    def _on_link(self) -> None:
        if self.link.connection is None:
            self.inside = False
            self.told_stale = False

    def begin(self) -> None:
        """A new history begins."""
        self._joined_once = False
        if self.inside:
            self._note_joined("restart", self.position)

    def _note_joined(self, how: Any, position: str | None) -> None:
        history = self._swarm.history
        how = how if self._joined_once else "first"
        self._joined_once = True
        history.note(Joined(t=history.now(), who=self.who, room=self.room.code, how=how, position=position))

    # -- what comes -----------------------------------------------------------------------------------------------------

    def _on_snapshot(self, frame: bytes) -> None:
        self._took(msgspec.json.decode(payload_of(frame), type=BoardSnapshot))

    def _took(self, whole: BoardSnapshot) -> None:
        self._note_frame(whole.class_id, whole.epoch, whole.v, snapshot=True)
        self.fold.take(whole)

    def _on_changes(self, frame: bytes) -> None:
        changes = msgspec.json.decode(payload_of(frame), type=BoardChanges)
        if self.fold.epoch:
            # What follows upon a gap is no news of order: the answer to `board.get` will set it right.
            if not self._asking:
                self._note_frame(changes.class_id, changes.epoch, changes.v, snapshot=False)
            if not self.fold.change(changes) and not self._asking:
                self._asking = True
                self._swarm.later(self._ask())

    async def _ask(self) -> None:
        try:
            await self.link.request("board.get", RoomRef(self.room.id), self._answered)
        except LinkLost:
            self._asking = False

    def _answered(self, raw: msgspec.Raw | None) -> None:
        self._asking = False
        if raw is not None and bytes((answer := msgspec.json.decode(raw, type=_Answer)).ok):
            self._took(msgspec.json.decode(answer.ok, type=BoardSnapshot))

    def _on_cue(self, payload: msgspec.Raw) -> None:
        cue = msgspec.json.decode(payload, type=_Cue)
        history, room = self._swarm.history, self._swarm.code_of(cue.class_id)
        number = int(cue.text)
        if number >= self._swarm.first_word:  # else it belongs to a history that is over
            history.note(Heard(t=history.now(), who=self.who, room=room, value=number, position=cue.position))
        self.position = cue.position or self.position

    def _on_reset(self, frame: bytes) -> None:
        reset = msgspec.json.decode(payload_of(frame), type=_Reset)
        self._note_joined("restart", reset.position)
        self._took(reset.board)
        self.position = reset.position or self.position

    def _on_position(self, frame: bytes) -> None:
        self.position = msgspec.json.decode(payload_of(frame), type=_Positioned).position or self.position

    def _on_state(self, frame: bytes) -> None:
        state = msgspec.json.decode(payload_of(frame), type=_State).state
        self.told_stale = state == "stale"
        history = self._swarm.history
        history.note(Told(t=history.now(), who=self.who, state=state))

    def _note_frame(self, class_id: ClassId, epoch: str, v: int, *, snapshot: bool) -> None:
        history, room = self._swarm.history, self._swarm.code_of(class_id)
        history.note(Framed(t=history.now(), who=self.who, room=room, epoch=epoch, v=v, snapshot=snapshot))

    # -- what it sees -----------------------------------------------------------------------------------------------------

    def look(self, *, same: bool | None = None) -> Look:
        """Its board at this moment."""
        rows = []
        for n, row in sorted(self.fold.rows.items()):
            seat = self.fold.seats.get(n)
            device = self._swarm.device_of(seat.account_id) if seat and seat.account_id else None
            if device is not None:
                rows.append(RowSeen(device.who, device.shown(row.bpm), row.freshness))
        now = self._swarm.history.now()
        return Look(t=now, who=self.who, room=self.room.code, rows=rows, told_stale=self.told_stale, same=same)

    async def same(self) -> bool | None:
        """Whether its board is the server's own, which is asked for it; None when nobody answers."""
        verdict: asyncio.Future[bool | None] = asyncio.get_running_loop().create_future()

        def answered(raw: msgspec.Raw | None) -> None:
            answer = _Answer() if raw is None else msgspec.json.decode(raw, type=_Answer)
            agrees = self.fold.agrees(msgspec.json.decode(answer.ok, type=BoardSnapshot)) if bytes(answer.ok) else None
            if not verdict.done():
                verdict.set_result(agrees)

        try:
            await self.link.request("board.get", RoomRef(self.room.id), answered)
            return await asyncio.wait_for(verdict, 5)
        except (LinkLost, TimeoutError):
            return None
