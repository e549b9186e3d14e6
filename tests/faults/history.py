"""What happened, in the order in which it was seen: the one thing that checkers look at.

An operation has a beginning (`invoke`) and, after Jepsen, one of three ends: `ok`, it happened; `fail`, it did not; `info`, nobody
knows, which is what a lost acknowledgement means. An operation without an end is closed as `info` when the history is closed: what
is unknown stays unknown, and a checker must allow for both.

Everything else is what clients saw: messages and the room they name, boards, joins and whether the server said "recovered" or
"start again", and what the bench itself did and measured. Times are monotonic seconds since the history began.

Kept as JSON lines, one entry each, so that a run can be judged again without being run again.
"""

import itertools
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final, Literal, TypeVar

import msgspec

OpKind = Literal["sample", "cue", "ask", "order"]
Outcome = Literal["invoke", "ok", "fail", "info"]


class Entry(msgspec.Struct, frozen=True, tag=True, omit_defaults=True, kw_only=True):
    """Base of everything: when, and who saw it (a device, a member, a node, or the nemesis)."""

    t: float
    who: str


class Op(Entry, frozen=True, kw_only=True):
    """A beginning or an end. `op` names the operation; `value` is the number of the sample or cue, `position` where the room's log
    put it, `problem` the code it failed with."""

    op: int
    kind: OpKind
    outcome: Outcome
    room: str = ""
    value: int = 0
    position: str | None = None
    problem: str | None = None


class Stored(Entry, frozen=True, kw_only=True):
    """What the server has of a device in the end: numbers of samples, in stored order; -1 for one that was never sent."""

    samples: list[int]


class Joined(Entry, frozen=True, kw_only=True):
    """A member is in a room. `first`: for the first time; `recovered`: back, and told to have missed nothing; `restart`: told to
    begin anew, by the answer to a join or by a reset."""

    room: str
    how: Literal["first", "recovered", "restart"]
    position: str | None = None


class Left(Entry, frozen=True, kw_only=True):
    """A client has gone for good: what is said from now on is not owed to it."""


class Lost(Entry, frozen=True, kw_only=True):
    """A client has lost its connection; `code` of the goodbye or of the close frame, None without either."""

    code: int | None = None
    come_back_ms: int | None = None


class Heard(Entry, frozen=True, kw_only=True):
    """A must-arrive message came. `room` is the one that the message names, `value` its number."""

    room: str
    value: int
    position: str | None = None


class Framed(Entry, frozen=True, kw_only=True):
    """A board came, for the room it names: a `snapshot`, or changes."""

    room: str
    epoch: str
    v: int
    snapshot: bool


class RowSeen(msgspec.Struct, frozen=True, array_like=True):
    """A row of a board: whose, the number of the sample it shows (None: none, or one that was never sent), its freshness."""

    device: str
    sample: int | None
    freshness: str


class Look(Entry, frozen=True, kw_only=True):
    """The board as a member sees it at this moment. `told_stale`: the server has said that it may be old; `same`: whether it is the
    server's own at that version, None when that could not be asked."""

    room: str
    rows: list[RowSeen]
    told_stale: bool = False
    same: bool | None = None


class Told(Entry, frozen=True, kw_only=True):
    """The server has said how far its word can be trusted."""

    state: str


class Fault(Entry, frozen=True, kw_only=True):
    """The nemesis began or ended something."""

    what: str
    began: bool


class Ready(Entry, frozen=True, kw_only=True):
    """A node's readiness has changed; `failing` names the checks."""

    ready: bool
    failing: list[str] = []


class Load(Entry, frozen=True, kw_only=True):
    """What a node holds: resident memory, open descriptors, tasks by name (None: not asked); `rest`: it is left in peace; `warm`:
    it has been through the worst before and keeps the pages, so memory is compared with this."""

    rss_kb: int
    fds: int
    tasks: dict[str, int] | None = None
    rest: bool = False
    warm: bool = False


class FactTold(Entry, frozen=True, kw_only=True):
    """A fact that the database has told, of the type `who`; `owed` are the queues that want it, `order` the value of the
    operation that told it, None when it is a consequence of another fact."""

    fact: str
    owed: list[str]
    order: int | None = None


class Effect(Entry, frozen=True, kw_only=True):
    """A fact had its effect for the queue `who`: noted in the end, in the order in which they were stored."""

    fact: str


class Poisoned(Entry, frozen=True, kw_only=True):
    """The bench has put something into the queue `who` that nobody can handle; `fact` as a person finds it among what is parked."""

    fact: str
    how: str


class Parked(Entry, frozen=True, kw_only=True):
    """What was given up in the queue `who`, and why; `fact` empty when not even that could be read."""

    fact: str
    reason: str


class Handed(Entry, frozen=True, kw_only=True):
    """How often handlers of the worker `who` were handed something since the history began, and how many facts still wait in the
    outbox."""

    deliveries: int
    waiting: int = 0


_OfClasses = Op | Stored | Joined | Left | Lost | Heard | Framed | Look | Told | Fault | Ready | Load
AnyEntry = _OfClasses | FactTold | Effect | Poisoned | Parked | Handed
_E = TypeVar("_E", bound=Entry)


class History:
    """Entries in the order in which they were noted. `now` gives seconds and can be replaced."""

    def __init__(self, entries: Iterable[AnyEntry] = (), *, clock: Callable[[], float] = time.monotonic) -> None:
        self._entries: list[AnyEntry] = list(entries)
        self._clock: Final = clock
        self._began: Final = clock()
        self._ops: Final = itertools.count(1)
        self._open: dict[int, Op] = {}
        self._closed = False

    def __iter__(self) -> Iterator[AnyEntry]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def now(self) -> float:
        """Seconds since the history began."""
        return round(self._clock() - self._began, 4)

    def note(self, entry: AnyEntry) -> None:
        """Something was seen."""
        self._entries.append(entry)

    def of(self, kind: type[_E]) -> Iterator[_E]:
        """All entries of one kind."""
        return (entry for entry in self._entries if isinstance(entry, kind))

    # -- operations -------------------------------------------------------------------------------------------------

    def invoke(self, who: str, kind: OpKind, *, room: str = "", value: int = 0) -> int:
        """An operation begins; its number."""
        number = next(self._ops)
        began = Op(t=self.now(), who=who, op=number, kind=kind, outcome="invoke", room=room, value=value)
        self._open[number] = began
        self._entries.append(began)
        return number

    def end(
        self,
        number: int,
        outcome: Literal["ok", "fail", "info"],
        *,
        position: str | None = None,
        problem: str | None = None,
    ) -> None:
        """It has ended in this way; after the history was closed that is news no more. Raises KeyError when it had ended before."""
        if self._closed:
            return
        began = self._open.pop(number)
        ended = msgspec.structs.replace(began, t=self.now(), outcome=outcome, position=position, problem=problem)
        self._entries.append(ended)

    def close(self) -> None:
        """Nothing more will be heard of what is still open."""
        for number in list(self._open):
            self.end(number, "info")
        self._closed = True

    # -- the file ---------------------------------------------------------------------------------------------------

    def save(self, path: Path) -> None:
        """Write it as JSON lines."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(msgspec.json.Encoder().encode_lines(self._entries))


def load(path: Path) -> History:
    """A history that was saved. Raises msgspec.DecodeError when it is none."""
    return History(msgspec.json.Decoder(AnyEntry).decode_lines(path.read_bytes()))
