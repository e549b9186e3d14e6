"""One write per connection and loop turn.

A `send` is what a gateway pays for: about four microseconds each on loopback, whatever is in it. So what is said to a
connection during one turn of the event loop is put together and leaves in one write, when the turn is over: the
events of a busy room, the acknowledgements of everything that came in with one read.

Acknowledgements, commands and events wait for nothing more than the end of the turn. Boards and other latest-only
traffic have a few milliseconds of patience: what comes up within them leaves in the same write. Something urgent for
the same connection takes them along, so that nothing is ever overtaken. A board for a thousand connections is tens of
milliseconds of writing: it leaves in slices, between which the loop turns, so what comes in meanwhile is not kept waiting.

Where the machine offers it, what is said to many leaves in one system call for all of them (`Bulk`), which is what the engine's
ring does (gateway/sockets/engine/ring.py). And of those who are told the same again and again, a room, nobody is looked at
one by one while nothing else is said to any of them: they are a `Group`, which has one `out` for all.

There is one `Turn` per event loop, one callback per turn, and no timer while nothing is said.
"""

import asyncio
from abc import ABC, abstractmethod
from array import array
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, Protocol

import structlog

log = structlog.get_logger(__name__)

PATIENCE_S: Final = 0.004
"""How long latest-only traffic may wait for company. A board comes every 100 to 1,000 ms; nobody sees four."""
EAGER_BYTES: Final = 64 * 1024
"""More than this for one connection is written at once: merging saves nothing more, and would only hold memory."""
SLICE_BYTES: Final = 2 * 1024 * 1024
"""So much latest-only traffic is written before the loop turns: about a millisecond on loopback."""
WRITE_COSTS: Final = 8 * 1024
"""What a write costs whatever is in it, in bytes that cost as much: 4 µs to 0.5 ns, on loopback."""
BULK: Final = 24
"""From so many writers on they are written to in bulk. Fewer cost as much either way, says `tests.benchmarks.sockets.writing`."""
NO_SLOT: Final = -1
"""The slot of a writer that can only be written to by itself."""
UNASKED: Final = -2
"""The slot of a writer that has not been asked for it: most connections are never written to in bulk, and are spared it."""

Write = Callable[[bytes], None]
"""Hands bytes to a transport; never waits, never raises."""


class Writer(ABC):
    """Somebody for whom bytes are put together: `out`, which `write_now` takes, unless that is None by then. `slot` is where
    a `Bulk` knows its line, NO_SLOT when it knows none, or while `write_now` is None, UNASKED before somebody wants to know;
    `urgent` whether it is put down for the end of the turn. `group` may have told it something that is not in `out`: who
    looks at `out` or adds to it asks the group to keep it `apart` first, who takes `write_now` away has the group `end`.

    That the turn does this itself, instead of asking, saves a quarter of what one more member of a busy room costs.
    """

    __slots__ = ("group", "out", "slot", "urgent", "write_now")

    def __init__(self) -> None:
        self.out = b""
        self.urgent = False
        self.write_now: Write | None = None
        self.slot = NO_SLOT
        self.group: Group | None = None

    @abstractmethod
    def ask_slot(self) -> int:
        """The slot, which was UNASKED."""

    @abstractmethod
    def write_rest(self, data: bytes) -> None:
        """Write what was put together before the line stopped being clear."""


class Bulk(Protocol):
    """Writes to many lines with one call, each of which it knows by a slot. Never waits, never raises."""

    def hold(self, descriptor: int) -> int:
        """Know a line; its slot, NO_SLOT when it cannot be known."""
        ...

    def let_go(self, slot: int) -> None:
        """Forget a line that is closed."""
        ...

    def send(self, slots: Sequence[int], pieces: Sequence[bytes]) -> Sequence[tuple[int, int]]:
        """Send each piece to the line at its slot. Which were not sent whole, by their index, and how many bytes of them were."""
        ...

    def send_to_all(self, slots: "array[int]", piece: bytes) -> Sequence[tuple[int, int]]:
        """Send the same to all of these lines. The answer is that of `send`."""
        ...


class Outlet(Protocol):
    """Somebody who knows by himself what to write."""

    def write_out(self) -> None:
        """Write it. Called once per `ask`; must not raise for a line that is gone."""
        ...


class Turn:
    """What will be written when this turn of the loop is over, and a little later. Synchronous; belongs to one loop.

    `bulk` writes to many lines at once; None where nothing does. It is never exchanged: a line's slot in one would be
    another's in the next. `number` counts the turns in which something urgent was said; `patient_since` is the one in which
    what waits with patience began to. Since start: `writes` made, `in_bulk` of them, the `frames` in all of them, whose quotient
    tells how much was merged, and `bytes_out`.
    """

    def __init__(self, patience_s: float = PATIENCE_S) -> None:
        """`patience_s` 0: latest-only traffic leaves with the turn as well."""
        self.bulk: Bulk | None = None
        self.number = 0
        self.patient_since = 0
        self.writes = 0
        self.in_bulk = 0
        self.frames = 0
        self.bytes_out = 0
        self._patience_s: Final = patience_s
        self._asked: list[Outlet] = []
        self._groups: list[Group] = []
        self._soon: list[Writer] = []
        self._later: list[Writer] = []
        self._waited: deque[Writer] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None

    def ask(self, outlet: Outlet) -> None:
        """Let it write when this turn is over, after all that was put together."""
        if not self._asked:
            self._running().call_soon(self._flush_soon)
        self._asked.append(outlet)

    def soon(self) -> list[Writer]:
        """Where to put down writers for the end of this turn. Only good until the caller returns to the loop."""
        if not self._soon:
            self._running().call_soon(self._flush_soon)
        return self._soon

    def soon_together(self, group: "Group") -> None:
        """Put down a group for the end of this turn."""
        if not self._groups:
            self._running().call_soon(self._flush_soon)
        self._groups.append(group)

    @property
    def patient(self) -> bool:
        """Whether something with patience waits for somebody."""
        return bool(self._later) or bool(self._waited)

    def later(self) -> list[Writer]:
        """Where to put down writers with patience."""
        if not self.patient:
            self.patient_since = self.number
        if not self._later:
            if self._patience_s > 0:
                self._running().call_later(self._patience_s, self._flush_later)
            else:
                self._running().call_soon(self._flush_later)
        return self._later

    def flush(self) -> None:
        """Write everything now: before a stop, or where no loop turns."""
        self._flush_soon()
        later, self._later = self._later, []
        self._waited.extend(later)
        while self._waited:
            self._flush_slice()

    def _flush_soon(self) -> None:
        self.number += 1
        groups, self._groups = self._groups, []
        for group in groups:
            self.write_group(group)
        writers, self._soon = self._soon, []
        self._write(writers)
        asked, self._asked = self._asked, []
        for outlet in asked:
            try:
                outlet.write_out()
            except Exception:
                # One line's trouble must not keep the others' bytes back.
                log.exception("turn.write_failed")

    def write_group(self, group: "Group") -> None:
        """Write what a group was told, unless each of it has that by now."""
        out, group.out = group.out, b""
        if not out:
            return
        writers, slots = group.writers, group.slots
        left = self.bulk.send_to_all(slots, out) if self.bulk is not None else [(at, 0) for at in range(len(writers))]
        for index, sent in left:
            self._write_rest(writers[index], out[sent:])
        self.writes += len(writers)
        self.in_bulk += len(writers) - len(left)
        self.bytes_out += len(out) * len(writers)

    def _flush_later(self) -> None:
        later, self._later = self._later, []
        going_on = bool(self._waited)
        self._waited.extend(later)
        if not going_on:
            self._flush_waited()

    def _flush_waited(self) -> None:
        """A slice of what has waited long enough, and the rest after the turns of the others."""
        self._flush_slice()
        if self._waited:
            self._running().call_soon(self._flush_waited)

    def _flush_slice(self) -> None:
        waited, writers, size = self._waited, list[Writer](), 0
        while waited and size < SLICE_BYTES:
            writer = waited.popleft()
            size += len(writer.out) + WRITE_COSTS
            writers.append(writer)
        self._write(writers)

    def _write(self, writers: list[Writer]) -> None:
        if self.bulk is not None and len(writers) >= BULK:
            writers = self._write_many(self.bulk, writers)
        writes = size = 0
        for writer in writers:
            out = writer.out
            if not out:
                continue  # it was written early
            writer.out = b""
            writes += 1
            size += len(out)
            write = writer.write_now
            try:
                if write is not None:
                    write(out)
                else:
                    writer.write_rest(out)
            except Exception:
                log.exception("turn.write_failed")
        self.writes += writes
        self.bytes_out += size

    def _write_many(self, bulk: Bulk, writers: list[Writer]) -> list[Writer]:
        """Write in bulk to whom it reaches; the others."""
        reached, slots, pieces, others = list[Writer](), list[int](), list[bytes](), list[Writer]()
        for writer in writers:
            out = writer.out
            if not out:
                continue  # it was written early
            slot = writer.slot
            if slot < 0:
                if slot == UNASKED:
                    slot = writer.ask_slot()
                if slot < 0:
                    others.append(writer)
                    continue
            writer.out = b""
            reached.append(writer)
            slots.append(slot)
            pieces.append(out)
        left = bulk.send(slots, pieces) if reached else ()
        for index, sent in left:
            # Its peer reads slowly, or is gone: the transport keeps the rest, or finds out.
            self._write_rest(reached[index], pieces[index][sent:])
        self.writes += len(pieces)
        self.in_bulk += len(pieces) - len(left)
        self.bytes_out += sum(map(len, pieces))
        return others

    def _write_rest(self, writer: Writer, rest: bytes) -> None:
        try:
            if writer.write_now is not None:
                writer.write_now(rest)
            else:
                writer.write_rest(rest)
        except Exception:
            log.exception("turn.write_failed")

    def _running(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        return self._loop


class Group:
    """Writers in a `turn` that are told the same, each on a line that is clear, at its place in `slots`.

    While nothing else is said to any of them, what they are told stands here, once, and costs a step for all. As soon as
    something is, each gets it in an `out` of its own, as if there were no group, and until that is written everybody is told by
    themselves: nothing is ever overtaken. A group in which one stops being clear, or that is not told the same any more, has ended;
    whoever tells it makes another. Nobody is in two that have not ended.
    """

    __slots__ = ("_apart_in", "_turn", "ended", "out", "slots", "writers")

    def __init__(self, turn: Turn, writers: Sequence[Writer], slots: Sequence[int]) -> None:
        """`writers` have nothing in `out`, and are in no group that has not ended."""
        self.writers: Sequence[Writer] = writers
        self.slots: array[int] = array("i", slots)
        self.out = b""
        self.ended = False
        self._turn: Final = turn
        self._apart_in = -1
        for writer in writers:
            writer.group = self

    def tell(self, data: bytes) -> bool:
        """Write this at the end of the turn, to all; False, and nothing done, when each has to be told."""
        turn, apart_in = self._turn, self._apart_in
        if self.ended or apart_in == turn.number or (turn.patient and apart_in >= turn.patient_since):
            return False
        turn.frames += len(self.writers)
        if self.out:
            self.out += data
            if len(self.out) > EAGER_BYTES:
                turn.write_group(self)
        else:
            self.out = data
            turn.soon_together(self)
        return True

    def apart(self) -> None:
        """Something is about to be said to one of them, or was: until it is written, each is told by itself."""
        self._apart_in = self._turn.number
        out = self.out
        if out:
            self.out = b""
            soon = self._turn.soon()
            for writer in self.writers:
                writer.out = out
                writer.urgent = True
                soon.append(writer)

    def end(self) -> None:
        """Be none any more. What they were told, each has now. Harmless when it was done before."""
        if not self.ended:
            self.apart()
            self.ended = True
            self.writers = ()
            self.slots = array("i")
