"""Records of open connections, for clients that come back with the secret of the last one.

The JavaScript client (4.6 and newer) keeps a `pid` that CONNECT gave it and the last position it saw, and brings both along
when it reconnects. The record of that pid says who it was, which rooms it was in, and for each room a position the client has
certainly reached if it has seen anything that came later. It is written before a join is answered, so it is there whatever
becomes of the node, and kept alive while the connection is: for `KEEP_S` after the last word of the node.

Only the newest owner of a pid may write: a node that still holds the old half of a connection, and does not know yet, must not
change what its successor wrote. Who that is stands in the record. Where it is lost, nobody can say; so what is written over a
record (`rewrite`) is not written in place of none, and whoever does that (`write`) must know that there is no successor.

An owner numbers what it writes, and a lower number is not written over a higher: of two writes under way at once the older may come
last. `refresh` says which number is known to be there, and a record with a lower one, or with another owner, is as good as lost.

A server that takes over from another, or starts again, may lack the last that was written, and nobody could say of which records.
So these count as lost, all of them, until they are written anew: an old one would bring a client back into some of its rooms.

Records may live on several servers of which one is away: `refresh` says of each record what came of it.
"""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final, NamedTuple, Protocol

import msgspec

from realtime.position import Position
from realtime.wire import Role
from services.kernel.clock import Clock
from services.kernel.ids import AccountId, ClassId

KEEP_S: Final = 120.0
"""How long a client may be away. What the makers of the protocol use as an example, and about as long as a lift ride."""
REFRESH_EVERY_S: Final = 30.0


class HeldRoom(msgspec.Struct, frozen=True, array_like=True):
    """One room of a connection, and a position of it that was delivered before the record was written. Whoever has seen an event of
    this room before `least` has not certainly reached the positions of the other rooms."""

    class_id: ClassId
    role: Role
    epoch: str
    offset: int
    least: int = 0

    @property
    def bound(self) -> Position:
        """The position as such."""
        return Position(self.epoch, self.offset)


class Record(msgspec.Struct, frozen=True, array_like=True):
    """A connection as it can be taken up again: its account, and its rooms in the order in which they were joined."""

    account_id: AccountId
    rooms: tuple[HeldRoom, ...] = ()


class Claim(NamedTuple):
    """What an owner says of the record of a pid: that it has, or that it shall have, this number of its own. A record that was
    just taken has number 0."""

    pid: str
    owner: str
    number: int


class Written(Enum):
    """What came of a record that was to be kept."""

    KEPT = "kept"
    OLDER = "older"
    """Its owner has written a higher number already, and that is kept."""
    TAKEN = "taken"
    """The pid belongs to another owner by now."""
    MISSING = "missing"
    """There is none to be written over."""


class Refreshed(NamedTuple):
    """Of these pids there is no record (any more), or another than was claimed; and of those nobody knows, because their server did
    not answer."""

    lost: tuple[str, ...] = ()
    unsure: tuple[str, ...] = ()


class Records(Protocol):
    """Where records are kept. Everything but `refresh` raises `LogAway`."""

    async def write(self, claim: Claim, record: Record) -> Written:
        """Keep a record, the first one or another."""
        ...

    async def rewrite(self, claim: Claim, record: Record) -> Written:
        """Keep another record where there is one."""
        ...

    async def read(self, pid: str) -> Record | None:
        """The record, None when there is none (any more). Whether it is the last that was written, `take` says."""
        ...

    async def take(self, pid: str, owner: str) -> bool:
        """Make `owner` the only one who may write it; False when it is lost."""
        ...

    async def refresh(self, claims: tuple[Claim, ...]) -> Refreshed:
        """These are still connected: keep their records for another `KEEP_S`. A number that is higher than claimed is no loss."""
        ...

    async def forget(self, pid: str, owner: str) -> None:
        """Nobody may come back to this one. Does nothing for another owner's."""
        ...


def new_pid() -> str:
    """A pid that cannot be guessed."""
    return secrets.token_urlsafe(18)


@dataclass(slots=True)
class _Kept:
    owner: str
    number: int
    record: Record
    until: float
    history: int


class MemoryRecords:
    """Records of one process, or of several nodes in one."""

    def __init__(self, clock: Clock) -> None:
        self._clock: Final = clock
        self._kept: dict[str, _Kept] = {}
        self._history = 0

    async def write(self, claim: Claim, record: Record) -> Written:
        return self._write(claim, record)

    async def rewrite(self, claim: Claim, record: Record) -> Written:
        return Written.MISSING if self._find(claim.pid) is None else self._write(claim, record)

    def _write(self, claim: Claim, record: Record) -> Written:
        kept = self._find(claim.pid)
        if kept is not None and kept.owner != claim.owner:
            return Written.TAKEN
        if kept is not None and kept.number > claim.number:
            return Written.OLDER
        self._kept[claim.pid] = _Kept(claim.owner, claim.number, record, self._until(), self._history)
        return Written.KEPT

    async def read(self, pid: str) -> Record | None:
        kept = self._find(pid)
        return None if kept is None else kept.record

    async def take(self, pid: str, owner: str) -> bool:
        kept = self._find(pid)
        if kept is None:
            return False
        kept.owner, kept.number, kept.until = owner, 0, self._until()
        return True

    async def refresh(self, claims: tuple[Claim, ...]) -> Refreshed:
        now = self._clock.monotonic()
        for pid in [pid for pid, kept in self._kept.items() if kept.until <= now]:
            del self._kept[pid]
        lost: list[str] = []
        for claim in claims:
            kept = self._find(claim.pid)
            if kept is None or kept.owner != claim.owner or kept.number < claim.number:
                lost.append(claim.pid)
            else:
                kept.until = self._until()
        return Refreshed(lost=tuple(lost))

    async def forget(self, pid: str, owner: str) -> None:
        kept = self._find(pid)
        if kept is not None and kept.owner == owner:
            del self._kept[pid]

    def lose(self) -> None:
        """Lose everything, as a server does that starts again empty."""
        self._kept.clear()

    def copy(self) -> Callable[[], None]:
        """Copy what is kept now. Whoever calls what this returns has it fall back to the copy, as when a server takes over with one
        that lagged."""
        copied = {pid: replace(kept) for pid, kept in self._kept.items()}

        def fall_back() -> None:
            self._kept = {pid: replace(kept) for pid, kept in copied.items()}
            self._history += 1

        return fall_back

    def _find(self, pid: str) -> _Kept | None:
        kept = self._kept.get(pid)
        if kept is None or kept.until <= self._clock.monotonic() or kept.history != self._history:
            return None
        return kept

    def _until(self) -> float:
        return self._clock.monotonic() + KEEP_S
