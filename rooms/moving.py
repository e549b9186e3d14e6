"""Whose distance and power count for a member who has several devices in one class.

Not the one whose heart is believed: a strap knows no distance, and the machine under it no good heart rate. So this is chosen
apart from `feeding.py`, by one rule: the stream that was heard first with any motion is the `mover`, and another takes over when
the mover has been silent about it for `DEAD_MS`, or has ended.

**Nothing counts twice.** What a stream has done counts for the time between two of its samples, and that of another mover only from
where the one before it has stopped, by the server's reckoning of when samples were made. A watch and a treadmill that measure the
same ten kilometres make ten.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from rooms.effort import Window
from services.kernel.ids import StreamId
from services.training.arbitration import DEAD_MS
from services.training.motion import AT_REST, NOT_MOVED, Moved, Moving, advance, furthest, total
from services.training.sample import Sample


class Moves(Protocol):
    """What a stream must have. `moving` is None while none of its samples had any motion."""

    id: StreamId
    moving: Moving | None


class Movers:
    """The streams of one member in one class, as far as they move."""

    __slots__ = ("_earned", "_mover", "_until_ms")

    def __init__(self) -> None:
        self._earned: dict[StreamId, Moved] = {}
        self._mover: StreamId | None = None
        self._until_ms: int | None = None

    def moved(self, live: Iterable[Moves]) -> Moved:
        """What the member has done in this class: by the streams that are `live` here, and by all others."""
        parts = {stream.id: stream.moving.moved for stream in live if stream.moving is not None}
        return total((self._earned | parts).values()) if parts or self._earned else NOT_MOVED

    def told(self, earned: Mapping[StreamId, Moved]) -> None:
        """What the database says of the member's streams."""
        for stream_id, moved in earned.items():
            self._earned[stream_id] = furthest(self._earned.get(stream_id, NOT_MOVED), moved)

    def move(
        self,
        stream: Moves,
        samples: Sequence[Sample],
        made: Sequence[int | None],
        *,
        counts: bool,
        window: Window | None = None,
    ) -> None:
        """A stream goes on by `samples`; `made` is when the sample before them was made (None: there was none here), and each of
        them, wall clock. With `counts` false nothing is earned, and with a `window` only what lies wholly within it: a heat's table
        cuts to the ms (services/challenges/heat.py), its board leaves out the sample on the edge."""
        moving = AT_REST if stream.moving is None else stream.moving
        for sample, began_ms, made_ms in zip(samples, made, made[1:], strict=False):
            mine = counts and _within(window, began_ms, made_ms) and self._is_mover(stream.id, began_ms)
            moving = advance(moving, sample, counts=mine)
            if mine and sample.motion is not None:
                self._mover, self._until_ms = stream.id, made_ms
        stream.moving = moving

    def leave(self, stream: Moves) -> None:
        """A stream has ended, or its connection is gone. What it earned stays."""
        if stream.moving is not None:
            self.told({stream.id: stream.moving.moved})
        if self._mover == stream.id:
            self._mover = None

    def _is_mover(self, stream_id: StreamId, began_ms: int | None) -> bool:
        if self._until_ms is None or self._mover == stream_id:
            return True
        silence_ms = 0 if self._mover is None else DEAD_MS
        return began_ms is not None and began_ms >= self._until_ms + silence_ms


def _within(window: Window | None, began_ms: int | None, made_ms: int | None) -> bool:
    if window is None:
        return True
    return began_ms is not None and made_ms is not None and window[0] <= began_ms and made_ms <= window[1]
