"""One connection's outgoing queue, bounded in bytes, that knows what may be lost.

A phone in a cellar reads slowly. It shall get the newest board, never a backlog; it shall cost the server a bounded
number of bytes; and what must arrive either arrives or the connection ends, saying so. So there are three ways in:

* latest-only: at most one unsent frame per key. A newer one takes its place *at the end of the queue*: in the old
  place it could overtake an acknowledgement that speaks of an older board. Board changes build on each other, so a
  reader who would miss one gets `whole()`, a snapshot, instead of the next change.
* must arrive: kept in order. Over the hard limit the answer is `OVERFLOW`, and the caller ends the connection.
* droppable: not taken while the mailbox is over its soft limit.

Full means: over the hard limit nothing more goes in, because a reader a megabyte behind is better served by a reconnect
and a snapshot. Pure: no clock, no loop; `on_ready` is called whenever something can be taken, and whoever writes to the
network (gateway/sockets/engine/link.py) turns that into waking a writer.
"""

import enum
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from realtime.frame import Frame
from realtime.wire import Delivery

SOFT_BYTES: Final = 64 * 1024
"""Above this, droppable frames are left out. One board of a very large class; chosen by feeling."""
HARD_BYTES: Final = 1024 * 1024
"""Above this, the connection ends. The bound that Centrifuge ships with."""

_SlotKey = str | int


class Verdict(enum.Enum):
    """What became of a frame that was put."""

    QUEUED = "queued"
    REPLACED = "queued in place of an unsent one"
    DROPPED = "left out: droppable, and the mailbox is over its soft limit"
    OVERFLOW = "refused: the mailbox is full; end the connection"
    CLOSED = "refused: the mailbox is closed"


def _nobody_waits() -> None:
    """Nothing writes from this mailbox yet."""


class Mailbox:
    """The unsent frames of one connection. Sizes in bytes on the wire."""

    __slots__ = ("_closed", "_frames", "_ordinal", "bytes", "hard_bytes", "on_ready", "soft_bytes")

    def __init__(self, soft_bytes: int = SOFT_BYTES, hard_bytes: int = HARD_BYTES) -> None:
        if not 0 < soft_bytes <= hard_bytes:
            raise ValueError(f"a mailbox needs 0 < soft ({soft_bytes}) <= hard ({hard_bytes})")
        self.soft_bytes: Final = soft_bytes
        self.hard_bytes: Final = hard_bytes
        self.bytes = 0
        self.on_ready: Callable[[], None] = _nobody_waits
        # Keeps the order of arrival, finds a key's frame at once, and takes from the front. Not a plain dict: finding the first
        # entry of one that is emptied from the front takes longer and longer.
        self._frames: OrderedDict[_SlotKey, Frame] = OrderedDict()
        self._ordinal = 0
        self._closed = False

    def __len__(self) -> int:
        return len(self._frames)

    def __bool__(self) -> bool:
        return len(self._frames) > 0

    @property
    def closed(self) -> bool:
        """Whether nothing more is taken in."""
        return self._closed

    def put(self, frame: Frame, *, key: str | None = None, whole: Callable[[], Frame] | None = None) -> Verdict:
        """Queue a frame according to its delivery class; never waits.

        `key` says which frames replace each other (latest-only; the event's name when None). `whole` makes the frame
        that goes in when one is replaced, for events that only mean something on top of the one before.
        """
        if self._closed:
            return Verdict.CLOSED
        if frame.delivery is Delivery.LATEST:
            return self._put_latest(frame, key or frame.event, whole)
        if frame.delivery is Delivery.DROPPABLE and self.bytes + frame.size > self.soft_bytes:
            return Verdict.DROPPED
        return self._append(self._next_ordinal(), frame, Verdict.QUEUED)

    def take(self) -> Frame | None:
        """The next frame to send, None when there is none."""
        if not self._frames:
            return None
        _, frame = self._frames.popitem(last=False)
        self.bytes -= frame.size
        return frame

    def next_size(self) -> int | None:
        """Bytes of the frame that `take` would give, None when there is none."""
        for frame in self._frames.values():
            return frame.size
        return None

    def seal(self, last: Frame | None = None, *, forget: bool = False) -> None:
        """Take in nothing more after `last`; what is queued can still be taken, unless `forget` drops it first."""
        if self._closed:
            return
        if forget:
            self._frames.clear()
            self.bytes = 0
        if last is not None:
            # Past every limit on purpose: a full mailbox must be able to say why it closes.
            self._frames[self._next_ordinal()] = last
            self.bytes += last.size
        self._closed = True
        self.on_ready()

    def close(self) -> None:
        """Nothing more goes in or comes out; the memory is given back."""
        self._closed = True
        self._frames.clear()
        self.bytes = 0
        self.on_ready = _nobody_waits

    def _put_latest(self, frame: Frame, key: str, whole: Callable[[], Frame] | None) -> Verdict:
        unsent = self._frames.pop(key, None)
        if unsent is None:
            return self._append(key, frame, Verdict.QUEUED)
        self.bytes -= unsent.size
        return self._append(key, frame if whole is None else whole(), Verdict.REPLACED)

    def _next_ordinal(self) -> int:
        self._ordinal += 1
        return self._ordinal

    def _append(self, slot: _SlotKey, frame: Frame, verdict: Verdict) -> Verdict:
        if self.bytes + frame.size > self.hard_bytes:
            return Verdict.OVERFLOW
        self._frames[slot] = frame
        self.bytes += frame.size
        self.on_ready()
        return verdict
