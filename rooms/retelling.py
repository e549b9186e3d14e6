"""Playing tapes: the boards of a class made again from what they were made of. Pure.

`Retelling` plays one tape: it puts the entries on a board of its own, refreshes it at the same instants, and compares the check sum
of each frame with the one that was noted when the frame was told. `reel_of` says which tape to play when: each node has its own,
one begins when the first member comes to that node and ends when the node dies or the last has gone. `Telling` makes of it what a
client would have got.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Final

import msgspec

from persistence.tapes import Piece
from realtime.wire import BoardChanges, BoardSnapshot, Figured, Member, Row
from rooms.board import Board, Changes
from rooms.tape import Beat, Note, Said, sum_of
from services.classes.live_class import Membership
from services.classes.metric import MEASURES, Metric
from services.classes.showing import body_shown, is_named, on_board, public_name
from services.classes.team import TeamRow
from services.kernel.ids import AccountId, ClassId


class Retold(msgspec.Struct, frozen=True):
    """A frame made again, told at `at_ms`, which brought the board to version `v`. `same`: whether it is the one that was told;
    None where the tape was entered in the middle, so that there is nothing before it to compare with."""

    at_ms: int
    v: int
    changes: Changes
    same: bool | None


class Retelling:
    """One tape. Pieces are given in their order; those that cannot be understood without a missing one are skipped and their beats
    counted in `skipped`. `board` is as of the last frame that was made."""

    def __init__(self) -> None:
        self.board = Board()
        self.skipped = 0
        self._next: int | None = None
        self._v = 0
        self._passed: Beat | None = None

    def play(
        self, n: int, notes: Iterable[Note], wanted: Callable[[int], bool] = lambda _: True
    ) -> Iterator[tuple[Beat, Retold | None] | Said]:
        """Play the `n`-th piece: each beat with the frame that was told at it, if there was one, and what was said between. Beats
        at instants that are not `wanted` are passed over, at a fraction of the cost, and come with the next frame that is."""
        if n != self._next:
            self._next = None
        for note in notes:
            if isinstance(note, Said):
                yield note
                continue
            entered = note.whole and self._next is None
            if entered:
                self.board, self._v, self._passed = Board(), 0, None
            if entered or self._next is not None:
                self._next = n
                self._put(note)
                if wanted(note.at_ms):
                    yield note, self._told(note, fits=not entered or n == 1)
                else:
                    self._passed = note
                    yield note, None
            else:
                self.skipped += 1
        if self._next is not None:
            self._next = n + 1

    def rest(self) -> Retold | None:
        """A frame of what was passed over last, if nothing came after it."""
        return None if self._passed is None else self._told(self._passed, fits=False)

    def _put(self, beat: Beat) -> None:
        for node, entry in beat.puts:
            self.board.put(node, entry)
        self.board.hear_only_but(beat.silent)
        self.board.rank_by(beat.metric)
        self.board.team_by(beat.team_rule)

    def _told(self, beat: Beat, *, fits: bool) -> Retold | None:
        """The frame of a beat. It can only be compared when it `fits` on the one that was told before it."""
        fits = fits and self._passed is None
        self._passed = None
        changes = self.board.refresh(beat.at_ms)
        v = self._v + bool(changes) if fits else beat.v
        self._v = beat.v
        if not fits:
            return Retold(beat.at_ms, v, changes, None)
        if not changes and not beat.told and v == beat.v:
            return None
        return Retold(beat.at_ms, v, changes, v == beat.v and beat.told == (sum_of(changes) if changes else b""))


class Cut(msgspec.Struct, frozen=True):
    """A stretch of a class: the pieces `first` to `last` of one tape, of which is shown what came after `after_ms`."""

    tape: str
    node: str
    first: int
    last: int
    after_ms: int


def reel_of(pieces: Sequence[Piece], from_ms: int = 0) -> list[Cut]:
    """What to play of these pieces (without notes, tape by tape) so that the class is shown from `from_ms` to its end: as few
    changes of tape as can be, and each change only where one ends."""
    tapes: dict[str, list[Piece]] = {}
    for piece in pieces:
        tapes.setdefault(piece.tape, []).append(piece)
    usable = [tape for tape in tapes.values() if any(piece.whole for piece in tape)]
    at_ms, reel = from_ms - 1, []
    while going_on := [tape for tape in usable if tape[-1].ends_ms > at_ms]:
        earliest_ms = max(at_ms, min(_begins_ms(tape) for tape in going_on))
        tape = max(
            (tape for tape in going_on if _begins_ms(tape) <= earliest_ms),
            key=lambda tape: (tape[-1].ends_ms, tape[0].tape),
        )
        entries = [piece for piece in tape if piece.whole]
        first = max((piece.n for piece in entries if piece.begins_ms <= at_ms), default=entries[0].n)
        reel.append(Cut(tape[0].tape, tape[0].node, first, tape[-1].n, at_ms))
        at_ms = tape[-1].ends_ms
    return reel


def _begins_ms(tape: Sequence[Piece]) -> int:
    return next(piece.begins_ms for piece in tape if piece.whole)


class Telling:
    """Makes of retold frames what members of a class would get: a snapshot first and after each change of tape, then changes. Who
    is no member any more, or does not want to be seen by the room any more, is left out; names are those of now.
    What was said to some is told to `viewer` when they are among them or the coach, and to nobody else; what `unheard` accounts
    said is not told."""

    def __init__(
        self,
        class_id: ClassId,
        members: Iterable[Membership],
        viewer: Membership | None = None,
        unheard: Collection[AccountId] = (),
        taken_down: Collection[str] = (),
    ) -> None:
        self._unheard: Final = unheard
        self._taken_down: Final = taken_down
        self._viewer: Final = viewer
        self._class_id = class_id
        self._members: Mapping[int, Membership] = {member.n: member for member in members}
        self._seen: Final = frozenset(n for n, member in self._members.items() if on_board(member.showing))
        self._keeps_body: Final = frozenset(n for n, member in self._members.items() if not body_shown(member.showing))
        self._only_zone: Final = frozenset(
            n for n, member in self._members.items() if member.showing is not None and member.showing.mode == "zone"
        )
        self._tape: str | None = None
        self._v = 0

    def tell(self, tape: str, retelling: Retelling, retold: Retold) -> BoardSnapshot | BoardChanges:
        """The event of one frame of a tape, which its retelling has just played."""
        if tape != self._tape:
            self._tape, self._v = tape, retold.v
            return self.whole(retelling, retold.at_ms)
        self._v += 1
        return BoardChanges(
            class_id=self._class_id,
            epoch=tape,
            v=self._v,
            at_ms=retold.at_ms,
            rows=self._rows(retold.changes.rows, retold.changes.metric),
            members=self._named(retold.changes.members),
            gone=retold.changes.gone,
            metric=retold.changes.metric,
            figures=self._figures(retold.changes.figures, retold.changes.metric),
            teams=None if retold.changes.teams is None else self._teams(retelling),
        )

    def whole(self, retelling: Retelling, at_ms: int) -> BoardSnapshot:
        """The whole board, after what was told last."""
        return BoardSnapshot(
            class_id=self._class_id,
            epoch=self._tape or "",
            v=self._v,
            at_ms=at_ms,
            rows=self._rows(retelling.board.rows(), retelling.board.metric),
            members=self._named(retelling.board.members()),
            metric=retelling.board.metric,
            figures=self._figures(retelling.board.figures(), retelling.board.metric),
            teams=self._teams(retelling),
        )

    def said(self, note: Said) -> bytes | None:
        """The payload of an event of the room's log. None when whoever said it is no member any more, when it was for others or
        was taken down."""
        said = msgspec.json.decode(note.payload, type=dict[str, msgspec.Raw])
        if note.event == "chat.said":
            member = self._members.get(msgspec.json.decode(said["n"], type=int))
            if member is None or member.account_id in self._unheard:
                return None
            if msgspec.json.decode(said["position"], type=str) in self._taken_down:
                return None
            return msgspec.json.encode({**said, "name": public_name(member.showing, member.n, member.name)})
        return note.payload if "to" not in said or self._leads else self._personal(said)

    @property
    def _leads(self) -> bool:
        return self._viewer is not None and self._viewer.role == "coach"

    def _personal(self, said: dict[str, msgspec.Raw]) -> bytes | None:
        """A cue that was for some, as one of them got it."""
        numbers = msgspec.json.decode(said.pop("to"), type=tuple[int, ...] | None)
        if numbers is None:
            return msgspec.json.encode(said)
        if self._viewer is None or self._viewer.n not in numbers:
            return None
        return msgspec.json.encode({**said, "personal": True})

    def _named(self, members: Iterable[Member]) -> tuple[Member, ...]:
        known = ((member, self._members[member.n]) for member in members if member.n in self._seen)
        return tuple(
            msgspec.structs.replace(
                member,
                account_id=now.account_id if is_named(now.showing) else None,
                name=public_name(now.showing, now.n, now.name),
            )
            for member, now in known
        )

    def _figures(self, figures: Iterable[Figured], metric: Metric) -> tuple[Figured, ...]:
        return tuple(
            Figured(each.n, None) if each.n in self._keeps_body and MEASURES[metric].personal else each
            for each in figures
            if each.n in self._seen
        )

    def _teams(self, retelling: Retelling) -> tuple[TeamRow, ...]:
        """The teams as they were; none where somebody counted in them who is not shown now, or has left: what is shown of the
        others would tell what they had."""
        board = retelling.board
        counted = {line.feed.n for line in board.lines() if line.feed.team is not None}
        kept = counted & self._keeps_body if MEASURES[board.metric].personal else set()
        return board.teams() if counted <= self._seen and not kept else ()

    def _rows(self, rows: Iterable[Row], metric: Metric) -> tuple[Row, ...]:
        seen = (row for row in rows if row.n in self._seen)
        if MEASURES[metric].personal:
            seen = (msgspec.structs.replace(row, rank=None) if row.n in self._keeps_body else row for row in seen)
        return tuple(
            msgspec.structs.replace(row, bpm=None, percent=None) if row.n in self._only_zone else row for row in seen
        )
