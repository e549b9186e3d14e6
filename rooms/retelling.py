"""Playing tapes: the boards of a class made again from what they were made of. Pure.

`Retelling` plays one tape: it puts the entries on a board of its own, refreshes it at the same instants, and compares the check sum
of each frame with the one that was noted when the frame was told. `reel_of` says which tape to play when: each node has its own,
one begins when the first member comes to that node and ends when the node dies or the last has gone. `Telling` makes of it what a
client would have got.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

import msgspec

from persistence.tapes import Piece
from realtime.wire import BoardChanges, BoardSnapshot, Member, Row
from rooms.board import Board, Changes
from rooms.tape import Beat, Note, Said, sum_of
from services.classes.live_class import Membership
from services.classes.showing import is_named, on_board, public_name
from services.kernel.ids import ClassId


class Retold(msgspec.Struct, frozen=True):
    """A frame made again, told at `at_ms`, which brought the board to version `v`. `same`: whether it is the one that was told;
    None where the tape was entered in the middle, so that there is nothing before it to compare with."""

    at_ms: int
    v: int
    changes: Changes
    same: bool | None


class Retelling:
    """One tape. Pieces are given in their order; those that cannot be understood without a missing one are skipped and their beats
    counted in `skipped`. `board` is as of the last thing that was played."""

    def __init__(self) -> None:
        self.board = Board()
        self.skipped = 0
        self._next: int | None = None
        self._v = 0

    def play(self, n: int, notes: Iterable[Note]) -> Iterator[tuple[Beat, Retold | None] | Said]:
        """Play the `n`-th piece: each beat with the frame that was told at it, if there was one, and what was said between."""
        if n != self._next:
            self._next = None
        for note in notes:
            if isinstance(note, Said):
                yield note
            elif note.whole and self._next is None:
                yield note, self._enter(note, first=n == 1)
            elif self._next is None:
                self.skipped += 1
            else:
                yield note, self._beat(note)
            if isinstance(note, Beat) and note.whole:
                self._next = n
        if self._next is not None:
            self._next = n + 1

    def _enter(self, beat: Beat, *, first: bool) -> Retold:
        self.board, self._v = Board(), 0
        told = self._beat(beat) or Retold(beat.at_ms, beat.v, Changes((), ()), None)
        self._v = beat.v
        return told if first else msgspec.structs.replace(told, v=beat.v, same=None)

    def _beat(self, beat: Beat) -> Retold | None:
        for node, entry in beat.puts:
            self.board.put(node, entry)
        self.board.hear_only_but(beat.silent)
        changes = self.board.refresh(beat.at_ms)
        if changes:
            self._v += 1
        if not changes and not beat.told and self._v == beat.v:
            return None
        same = self._v == beat.v and beat.told == (sum_of(changes) if changes else b"")
        return Retold(beat.at_ms, self._v, changes, same)


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
    is no member any more, or does not want to be seen by the room any more, is left out; names are those of now."""

    def __init__(self, class_id: ClassId, members: Iterable[Membership]) -> None:
        self._class_id = class_id
        self._members: Mapping[int, Membership] = {member.n: member for member in members}
        self._seen: Final = frozenset(n for n, member in self._members.items() if on_board(member.showing))
        self._only_zone: Final = frozenset(
            n for n, member in self._members.items() if member.showing is not None and member.showing.mode == "zone"
        )
        self._tape: str | None = None

    def tell(self, tape: str, retelling: Retelling, retold: Retold) -> BoardSnapshot | BoardChanges:
        """The event of one frame of a tape, which its retelling has just played."""
        if tape != self._tape:
            self._tape = tape
            return BoardSnapshot(
                class_id=self._class_id,
                epoch=tape,
                v=retold.v,
                at_ms=retold.at_ms,
                rows=self._rows(retelling.board.rows()),
                members=self._named(retelling.board.members()),
            )
        return BoardChanges(
            class_id=self._class_id,
            epoch=tape,
            v=retold.v,
            at_ms=retold.at_ms,
            rows=self._rows(retold.changes.rows),
            members=self._named(retold.changes.members),
            gone=retold.changes.gone,
        )

    def said(self, note: Said) -> bytes | None:
        """The payload of an event of the room's log, None when whoever said it is no member any more."""
        said = msgspec.json.decode(note.payload, type=dict[str, msgspec.Raw])
        if "n" not in said or note.event != "chat.said":
            return note.payload
        member = self._members.get(msgspec.json.decode(said["n"], type=int))
        if member is None:
            return None
        return msgspec.json.encode({**said, "name": public_name(member.showing, member.n, member.name)})

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

    def _rows(self, rows: Iterable[Row]) -> tuple[Row, ...]:
        return tuple(
            msgspec.structs.replace(row, bpm=None, percent=None) if row.n in self._only_zone else row
            for row in rows
            if row.n in self._seen
        )
