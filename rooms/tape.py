"""The tape of a room: what its board was made of, beat by beat, so that the same boards can be made again.

A board is a function of the entries that were put on it, the nodes that were silent, and the instants at which it was refreshed
(rooms/board.py). So a tape keeps those, and of each frame that was told only a check sum: whoever plays the tape makes the frames
anew, with the code that made them, and the sum says whether they are the same. What arrived when is in it by that: two nodes show a
share a beat apart, and each has its own tape.

**A tape knows nobody by name.** Members are their numbers in the class; names come from the class when it is played, so whoever is
no member any more, because the account was deleted, is left out (rooms/retelling.py).

A tape is cut into pieces. In a piece that is `whole` the first beat repeats everything that stands on the board: there a player can
begin. A beat at which nothing came and nothing was told is not noted, so a room in which nothing happens costs nothing.

Pure but for the compressor, which works as the notes come: a few hundred µs per beat, instead of some ms at the end of a piece.
"""

import hashlib
import uuid
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any, Final

import msgspec

from persistence.tapes import Piece
from realtime.peer import ShareEntry
from rooms.board import Changes
from services.classes.metric import Metric
from services.classes.team import TeamRule
from services.kernel.ids import AccountId, ClassId

WHOLE_EVERY: Final = 12
"""Every twelfth piece is whole: one a minute. Who seeks reads at most so many pieces for nothing; a sixtieth more is stored."""
SUM_BYTES: Final = 8
_LEVEL: Final = 1
"""Of compression: 9 makes tapes a fifth smaller and takes three times as long."""
MOST_BYTES: Final = 4 * 1024 * 1024
"""Of one piece before it is packed. Full means: it is cut at once. A thousand athletes fill 1.5 MB in five seconds."""
_ARRAY_32: Final = b"\xdd"


class Beat(msgspec.Struct, frozen=True, array_like=True, tag="beat"):
    """One refresh of the board at `at_ms` (wall clock). `puts` are the entries that came since the one before, with the node that
    says them; all there are when `whole`. `silent` nodes make nobody present. `v` is the version of the board from now on, `told`
    the check sum of the frame of changes, empty when nothing was told; `metric` what the board was ranked by, `team_rule`
    what a team's figure was."""

    at_ms: int
    v: int
    told: bytes
    silent: tuple[str, ...]
    puts: tuple[tuple[str, ShareEntry], ...]
    whole: bool = False
    metric: Metric = "effort"
    team_rule: TeamRule = "mean"


class Said(msgspec.Struct, frozen=True, array_like=True, tag="said"):
    """An event of the room's log that was delivered to the members at `at_ms`; `payload` as JSON, without names."""

    at_ms: int
    event: str
    payload: bytes


Note = Beat | Said

_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(list[Note]).decode


class BrokenTapeError(Exception):
    """A piece that cannot be read: it was changed by hand or damaged on disk. Restore it from a backup, or delete its row."""


class Tape:
    """The tape of one room that is being made. `keep` gets each piece when it is cut."""

    def __init__(self, class_id: ClassId, name: str, node: str, keep: Callable[[Piece], None]) -> None:
        self.over = False
        self._class_id: Final = class_id
        self._name: Final = name
        self._node: Final = node
        self._keep: Final = keep
        self._puts: dict[tuple[str, AccountId], ShareEntry] = {}
        self._silent: tuple[str, ...] = ()
        self._metric: Metric = "effort"
        self._n = 0
        self._since_whole = WHOLE_EVERY
        self._begin()

    def _begin(self) -> None:
        self._n += 1
        self._packer = zlib.compressobj(_LEVEL)
        self._packed: list[bytes] = []
        self._count = 0
        self._size = 0
        self._begins_ms = 0
        self._ends_ms = 0
        self._has_beat = False
        self._whole = False

    def put(self, node: str, entry: ShareEntry) -> None:
        """An entry is news to the board."""
        self._puts[node, entry.account_id] = entry

    def beat(
        self,
        at_ms: int,
        v: int,
        changes: Changes,
        silent: Collection[str],
        standing: Callable[[], Iterable[tuple[str, ShareEntry]]],
        metric: Metric = "effort",
        team_rule: TeamRule = "mean",
    ) -> None:
        """The board was refreshed. `standing` tells all entries on it."""
        now_silent = tuple(sorted(silent))
        if not changes and not self._puts and now_silent == self._silent and metric == self._metric:
            return
        self._silent, self._metric = now_silent, metric
        whole = not self._has_beat and self._since_whole >= WHOLE_EVERY
        puts = standing() if whole else ((node, entry) for (node, _), entry in self._puts.items())
        if whole:
            self._whole, self._since_whole = True, 0
        self._has_beat = True
        told = sum_of(changes) if changes else b""
        noted = tuple((node, nameless(entry)) for node, entry in puts)
        self._note(Beat(at_ms, v, told, now_silent, noted, whole, metric, team_rule))
        self._puts.clear()

    def said(self, at_ms: int, event: str, payload: bytes) -> None:
        """An event was delivered to the members."""
        self._note(Said(at_ms, event, payload))

    def cut(self) -> None:
        """Give away what is there as a piece, and begin the next one. Does nothing when nothing is there."""
        if not self._count:
            return
        notes = b"".join((self._count.to_bytes(4), *self._packed, self._packer.flush()))
        piece = Piece(
            self._class_id, self._name, self._n, self._node, self._begins_ms, self._ends_ms, self._whole, notes
        )
        self._since_whole += 1
        self._begin()
        self._keep(piece)

    def lose(self) -> None:
        """A piece that was cut is lost: what follows must not need it."""
        self._since_whole = WHOLE_EVERY

    def _note(self, note: Note) -> None:
        data = _encode(note)
        self._packed.append(self._packer.compress(data))
        if not self._count:
            self._begins_ms = note.at_ms
        self._ends_ms = note.at_ms
        self._count += 1
        self._size += len(data)
        if self._size >= MOST_BYTES:
            self.cut()


def notes_of(data: bytes) -> Iterator[Note]:
    """The notes of a piece, in order. Raises `BrokenTapeError`."""
    try:
        yield from _decode(_ARRAY_32 + data[:4] + zlib.decompress(data[4:]))
    except (zlib.error, msgspec.DecodeError) as wrong:
        raise BrokenTapeError(f"a piece of the tape cannot be read: {wrong}") from wrong


def sum_of(changes: Changes) -> bytes:
    """A check sum of what a frame of changes says, but for names, which may be others when the tape is played, and for the order in
    which members came. A frame of a board that is ranked by effort and has no teams has the sum that it had before there was
    anything else."""
    members = sorted(
        (member.n, member.role, member.present, *(() if member.team is None else (member.team,)))
        for member in changes.members
    )
    said: tuple[object, ...] = (changes.rows, members, changes.gone)
    if changes.metric != "effort" or changes.turned:
        said += (changes.metric, changes.figures)
    if changes.teams is not None:
        said += ("teams", changes.teams)
    return hashlib.blake2b(_encode(said), digest_size=SUM_BYTES).digest()


def stand_in(n: int) -> AccountId:
    """Who stands on a tape for the member `n`."""
    return AccountId(uuid.UUID(int=n))


def nameless(entry: ShareEntry) -> ShareEntry:
    """The same entry of nobody in particular, without what only the moment is interested in."""
    showing = entry.showing
    if showing is not None:
        showing = msgspec.structs.replace(showing, alias="", age=False, age_group=None)
    return msgspec.structs.replace(entry, account_id=stand_in(entry.n), name="", showing=showing, off_ms=None)


def without_name(payload: bytes) -> bytes:
    """What a member said in the room, as a tape keeps it: the number says who it was."""
    said: dict[str, Any] = msgspec.json.decode(payload)
    return msgspec.json.encode({name: value for name, value in said.items() if name != "name" or "n" not in said})
