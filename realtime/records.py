"""Records of open connections, for clients that come back with the secret of the last one.

The JavaScript client (4.6 and newer) keeps a `pid` that CONNECT gave it and the last position it saw, and brings both along
when it reconnects. The record of that pid says who it was, which rooms it was in, and for each room a position the client has
certainly reached if it has seen anything that came later. It is written before a join is answered, so it is there whatever
becomes of the node, and kept alive while the connection is: for `KEEP_S` after the last word of the node.

Only the newest owner of a pid may write: a node that still holds the old half of a connection, and does not know yet, must not
change what its successor wrote. Who that is stands in the record. Where it is lost, nobody can say; so what is written over a
record (`rewrite`) is not written in place of none, and whoever does that (`write`) must know that there is no successor.

Records may live on several servers of which one is away: `refresh` says of each record what came of it.
"""

import secrets
from dataclasses import dataclass
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


class Refreshed(NamedTuple):
    """Of these pids there is no record (any more), and of those nobody knows, because their server did not answer."""

    lost: tuple[str, ...] = ()
    unsure: tuple[str, ...] = ()


class Records(Protocol):
    """Where records are kept. Everything but `refresh` raises `LogAway`."""

    async def write(self, pid: str, owner: str, record: Record) -> bool:
        """Keep a record, the first one or another; False when the pid belongs to another owner by now."""
        ...

    async def rewrite(self, pid: str, owner: str, record: Record) -> bool | None:
        """Keep another record where there is one: None when it is gone, False when it belongs to another owner by now."""
        ...

    async def read(self, pid: str) -> Record | None:
        """The record, None when there is none (any more)."""
        ...

    async def take(self, pid: str, owner: str) -> bool:
        """Make `owner` the only one who may write it; False when it is gone."""
        ...

    async def refresh(self, pids: tuple[str, ...]) -> Refreshed:
        """These are still connected: keep their records for another `KEEP_S`."""
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
    record: Record
    until: float


class MemoryRecords:
    """Records of one process, or of several nodes in one."""

    def __init__(self, clock: Clock) -> None:
        self._clock: Final = clock
        self._kept: dict[str, _Kept] = {}

    async def write(self, pid: str, owner: str, record: Record) -> bool:
        kept = self._find(pid)
        if kept is not None and kept.owner != owner:
            return False
        self._kept[pid] = _Kept(owner, record, self._until())
        return True

    async def rewrite(self, pid: str, owner: str, record: Record) -> bool | None:
        return None if self._find(pid) is None else await self.write(pid, owner, record)

    async def read(self, pid: str) -> Record | None:
        kept = self._find(pid)
        return None if kept is None else kept.record

    async def take(self, pid: str, owner: str) -> bool:
        kept = self._find(pid)
        if kept is None:
            return False
        kept.owner, kept.until = owner, self._until()
        return True

    async def refresh(self, pids: tuple[str, ...]) -> Refreshed:
        now = self._clock.monotonic()
        for pid in [pid for pid, kept in self._kept.items() if kept.until <= now]:
            del self._kept[pid]
        for pid in pids:
            if pid in self._kept:
                self._kept[pid].until = self._until()
        return Refreshed(lost=tuple(pid for pid in pids if pid not in self._kept))

    async def forget(self, pid: str, owner: str) -> None:
        kept = self._find(pid)
        if kept is not None and kept.owner == owner:
            del self._kept[pid]

    def lose(self) -> None:
        """Lose everything, as a server does that starts again empty."""
        self._kept.clear()

    def _find(self, pid: str) -> _Kept | None:
        kept = self._kept.get(pid)
        return None if kept is None or kept.until <= self._clock.monotonic() else kept

    def _until(self) -> float:
        return self._clock.monotonic() + KEEP_S
