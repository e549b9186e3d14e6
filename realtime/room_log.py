"""The log of a room: what must arrive, in the one order that everybody sees.

What every log promises:

* `append` stores messages and says them on the channel in one step, in their order: nothing is announced that was not stored. It
  returns their positions, and from a log that many append to at once, each gets another one.
* The same `key` again within `KEEP_KEY_S` stores nothing and returns the first position: whoever got no answer asks again.
* Offsets have no hole. A log that was lost begins under another epoch.
* A log is bounded, and what is trimmed is never taken for what never was: `since` answers None instead of a part. The oldest
  events go first: `KEEP_EVENTS` stay, and all of them for `KEEP_S` after the last.
* A log may lose its end: a server failed over to a copy that lagged. No position is given twice all the same: whoever appends next
  begins another epoch, and so does a node that asks what came after a position which the log does not have, because that is
  proof. So only positions that were heard from the log itself are asked for, never what a client says.
* What cannot be stored raises `LogAway`, and nothing was said; after a timeout nobody knows, which is what the key is for.

The log does not look into messages, but for their end: see realtime/position.py.

`MemoryRoomLog` is the real thing for one process: same promises, gone with the process.
"""

import random
from collections import OrderedDict, deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Final, Protocol

import msgspec

from realtime.position import EPOCH_DIGITS, Position, tail
from services.kernel.clock import Clock

KEEP_EVENTS: Final = 512
"""Events that a log holds. More than a client may catch up with, so that a node which is behind can still catch up."""
KEEP_S: Final = 3_600.0
"""How long they stay after the last one. Whoever was away for an hour is better served by a snapshot."""
KEEP_META_S: Final = 7 * 24 * 3_600.0
"""How long epoch and offset are remembered. After that the room begins a new epoch, which is safe, only not needed."""
KEEP_KEY_S: Final = 600.0
"""How long a key is remembered. Whoever got no answer asks again within seconds, a durable task within minutes."""
READ_EVENTS: Final = 300
"""Events that one `since` returns at most."""
READ_BYTES: Final = 256 * 1024
"""Bytes that one `since` returns at most."""


class LogAway(Exception):  # noqa: N818 - a state of the world
    """The log did not answer, or refused to store: try again, with the same key."""


class Entry(msgspec.Struct, frozen=True, gc=False):
    """A message without its end, and the key under which it is stored once."""

    head: bytes
    key: str


class Appended(msgspec.Struct, frozen=True, gc=False):
    """Where a message stands. `repeated`: it stood there before, under the same key."""

    position: Position
    repeated: bool = False


@dataclass(frozen=True, slots=True)
class Since:
    """What a log holds after a position: `top` is its end now; `messages` everything in between, in order, without a hole,
    or None when that cannot be proven (trimmed, another epoch, more than was asked for)."""

    top: Position
    messages: tuple[bytes, ...] | None


@dataclass(frozen=True, slots=True)
class Back:
    """What a log holds before a position: `top` is its end now; `messages` the nearest ones, newest first, without a hole. Fewer
    than were asked for, or none, means: that is as much as fits, or all that is kept."""

    top: Position
    messages: tuple[bytes, ...]


Told = Callable[["list[Appended] | BaseException"], None]
"""Takes what came of an `append`: where each entry stands, or what went wrong (`LogAway`, unless it is a fault of ours). Must not
raise."""


class RoomLog(Protocol):
    """See the module: the promises are the interface. What waits raises `LogAway`, but for `tops`."""

    def append(self, channel: str, entries: Sequence[Entry], told: Told) -> None:
        """Store each entry with its position behind it, and say it on the channel: all of them, or none. Does not wait: `told` is
        called once, in this call or later."""
        ...

    async def since(
        self, channel: str, position: Position, *, events: int = READ_EVENTS, size: int = READ_BYTES
    ) -> Since:
        """What came after `position`: at most so many events of so many bytes together."""
        ...

    async def back(self, channel: str, before: Position, *, events: int = READ_EVENTS, size: int = READ_BYTES) -> Back:
        """What came before `before`: at most so many events of so many bytes together, but one in any case. Nothing of a position
        in another epoch: what came before it is gone."""
        ...

    async def tops(self, channels: Collection[str]) -> dict[str, Position | LogAway]:
        """Where these logs end, in one go, or why that is not known: one server's trouble is no other's. A log that is not there is
        begun."""
        ...


def new_epoch() -> str:
    """An epoch that no log of this room has had. By chance, and no secret; each append brings one along, so it costs no call of
    the system."""
    return f"{random.getrandbits(4 * EPOCH_DIGITS):0{EPOCH_DIGITS}x}"


@dataclass(slots=True)
class _Log:
    """One room's log in memory; `messages` are the last of those up to `offset`. `behind`: it has had more of them."""

    epoch: str = field(default_factory=new_epoch)
    offset: int = 0
    messages: deque[bytes] = field(default_factory=deque)
    until: float = 0.0
    behind: bool = False

    @property
    def top(self) -> Position:
        return Position(self.epoch, self.offset)


class MemoryRoomLog:
    """The log of one process, or of several nodes in one. `say` carries a stored message to whoever follows the channel."""

    def __init__(
        self, say: Callable[[str, bytes], None], clock: Clock, *, keep_events: int = KEEP_EVENTS, keep_s: float = KEEP_S
    ) -> None:
        self._say: Final = say
        self._clock: Final = clock
        self._keep_events: Final = keep_events
        self._keep_s: Final = keep_s
        self._logs: dict[str, _Log] = {}
        self._keys: OrderedDict[tuple[str, str], tuple[float, Position]] = OrderedDict()

    def append(self, channel: str, entries: Sequence[Entry], told: Told) -> None:
        now = self._clock.monotonic()
        self._forget_keys(now)
        told([self._append(channel, entry, now) for entry in entries])

    def _append(self, channel: str, entry: Entry, now: float) -> Appended:
        if (found := self._keys.get((channel, entry.key))) is not None:
            return Appended(found[1], repeated=True)
        log = self._log(channel, now)
        if log.behind:
            log = self._logs[channel] = _Log()
        log.offset += 1
        position = log.top
        message = entry.head + tail(position)
        log.messages.append(message)
        while len(log.messages) > self._keep_events:
            log.messages.popleft()
        log.until = now + self._keep_s
        self._keys[channel, entry.key] = (now + KEEP_KEY_S, position)
        self._say(channel, message)
        return Appended(position)

    async def since(
        self, channel: str, position: Position, *, events: int = READ_EVENTS, size: int = READ_BYTES
    ) -> Since:
        log = self._log(channel, self._clock.monotonic())
        missed = log.offset - position.offset
        if position.epoch == log.epoch and missed < 0:
            log = self._logs[channel] = _Log(until=log.until)
        if position.epoch != log.epoch or not 0 <= missed <= min(events, len(log.messages)):
            return Since(log.top, None)
        found = tuple(log.messages)[len(log.messages) - missed :]
        return Since(log.top, found if sum(map(len, found)) <= size else None)

    async def back(self, channel: str, before: Position, *, events: int = READ_EVENTS, size: int = READ_BYTES) -> Back:
        log = self._log(channel, self._clock.monotonic())
        skipped = max(log.offset + 1 - before.offset, 0)
        if before.epoch != log.epoch or skipped >= len(log.messages):
            return Back(log.top, ())
        found: list[bytes] = []
        for message in islice(reversed(log.messages), skipped, skipped + events):
            size -= len(message)
            if size < 0 and found:
                break
            found.append(message)
        return Back(log.top, tuple(found))

    async def tops(self, channels: Collection[str]) -> dict[str, Position | LogAway]:
        now = self._clock.monotonic()
        return {channel: self._log(channel, now).top for channel in channels}

    def forget(self) -> None:
        """Lose everything, as a server does that starts again empty."""
        self._logs.clear()
        self._keys.clear()

    def fall_back(self, events: int) -> None:
        """Lose the last so many events of each log, as a server does that takes over with a copy that lagged."""
        for channel, log in self._logs.items():
            log.behind = True
            for _ in range(min(events, log.offset)):
                log.offset -= 1
                if log.messages:
                    log.messages.pop()
            for known in [
                (name, key) for (name, key), (_, at) in self._keys.items() if name == channel and at.after(log.top)
            ]:
                del self._keys[known]

    def _log(self, channel: str, now: float) -> _Log:
        """The log of a channel, begun if need be. Those that have had nothing to say for long enough are forgotten."""
        log = self._logs.get(channel)
        if log is None:
            for name in [name for name, old in self._logs.items() if old.until + KEEP_META_S < now]:
                del self._logs[name]
            log = self._logs[channel] = _Log(until=now)
        elif log.until < now:
            log.messages.clear()
        return log

    def _forget_keys(self, now: float) -> None:
        while self._keys:
            known = next(iter(self._keys))
            if self._keys[known][0] > now:
                return
            del self._keys[known]
