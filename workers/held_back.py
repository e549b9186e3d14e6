"""What the bus did not take, left alone for a while, so that the rest goes on. Pure.

Without it, facts that cannot be sent (to a queue that is lost, or of a newer program) would stand at the head of
every batch. Only the next fact of an aggregate can be refused: those behind it wait, in order.

A few aggregates of a shard are held one by one, each for its own time. Many of them (a queue without a leader refuses
all that it wants) no list is long enough for, and the first would be due again before the last was tried. So what
stands at the head of a shard and was refused is passed over as a whole: the shard is read on behind a place, and
*again* from its front up to that place, page after page, when its time has come. Both go on beside each other: neither
waits for the end of the other.

**Order** does not depend on any of this: behind whatever place is read, aggregates of which something waits before it
are skipped (`Span`, persistence/outbox.py). **Nothing is lost** because a place only ever passes over what has left or
was refused, and what is before it is read again.
"""

import itertools
import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from persistence.outbox import END, SHARDS, Span, Waiting

FIRST_S: Final = 0.5
MOST_S: Final = 30.0
"""Longest time that an aggregate is left alone. Chosen: a fault of one queue is mended by people, not in seconds."""
FEW: Final = 50
"""How many refused aggregates of a page of a shard are held one by one. By feeling: less than half a page (125)."""
MOST_KEPT: Final = 1_000
"""Full, the one that was refused longest ago is forgotten: it is only tried again sooner."""


@dataclass(slots=True)
class _Place:
    """How far a shard is passed over, up to the fact numbered `behind`; when (s on the monotonic clock) and with which
    delay what is before it is tried again, and if that has begun, behind which fact it goes on. `refused` counts
    aggregates that were passed over, `met` those that this new attempt has met."""

    behind: int
    until: float
    delay_s: float = FIRST_S
    again: int | None = None
    refused: int = 0
    met: int = 0
    took: bool = False


@dataclass(frozen=True)
class Page:
    """Facts that were read of a span, in order; `full` when there may be more behind them."""

    span: Span
    facts: Sequence[Waiting]
    full: bool


class HeldBack:
    """Who is left alone, and until when (s on the monotonic clock)."""

    def __init__(self) -> None:
        self._until: Final[dict[uuid.UUID, float]] = {}
        self._delay_s: Final[dict[uuid.UUID, float]] = {}
        self._places: Final[dict[int, _Place]] = {}

    def spans(self, now: float) -> list[Span]:
        """What is to be read of every shard now."""
        spans = []
        for shard in range(SHARDS):
            place = self._places.get(shard)
            if place is None:
                spans.append(Span(shard))
                continue
            spans.append(Span(shard, place.behind))
            if place.again is not None or place.until <= now:
                spans.append(Span(shard, place.again or 0, place.behind))
        return spans

    def tried(self, page: Page, gone: Collection[int], refused: Collection[uuid.UUID], now: float) -> bool:
        """Of this page these facts (`seq`) are `gone`, and of each of these aggregates the next one was `refused`.
        Whether the shard is now read on behind what was refused, and there may be more."""
        for fact in page.facts:
            if fact.seq in gone:
                self.forgive(fact.about)
        here = {fact.about for fact in page.facts if fact.about in refused}
        if len(here) <= FEW:
            for about in here:
                self._refuse(about, now)
        # One whose turn did not come is not to wait for those that were refused.
        dealt_with = list(itertools.takewhile(lambda fact: fact.seq in gone or fact.about in refused, page.facts))
        passed = dealt_with[-1].seq if dealt_with else page.span.after
        took = any(fact.seq in gone for fact in page.facts)
        place = self._places.get(page.span.shard)
        if place is not None and page.span.upto != END:
            over = not page.full and len(dealt_with) == len(page.facts)
            self._tried_again(page.span.shard, place, None if over else passed, len(here), took, now)
            return False
        if len(here) <= FEW and (took or not here or not page.full):
            return False
        if place is None:
            place = self._places[page.span.shard] = _Place(passed, now + FIRST_S)
        place.behind = passed
        place.refused += len(here)
        return page.full

    def forgive(self, about: uuid.UUID) -> None:
        """Its fact was taken."""
        self._delay_s.pop(about, None)
        self._until.pop(about, None)

    def forgive_all(self) -> None:
        """It was the bus that was away, and it is back. What was passed over is read again from now on; whether it is
        taken now is not known before, so the reading behind it goes on."""
        self._delay_s.clear()
        self._until.clear()
        for place in self._places.values():
            place.until, place.delay_s = 0.0, FIRST_S

    def at(self, now: float) -> list[uuid.UUID]:
        """Who is to be left alone now."""
        return [about for about, until in self._until.items() if until > now]

    def __len__(self) -> int:
        return len(self._until) + sum(place.refused for place in self._places.values())

    def _refuse(self, about: uuid.UUID, now: float) -> None:
        """Leave it alone, each time twice as long."""
        delay_s = min(self._delay_s.pop(about, FIRST_S / 2) * 2, MOST_S)
        self._delay_s[about] = delay_s
        self._until[about] = now + delay_s
        if len(self._delay_s) > MOST_KEPT:
            self.forgive(next(iter(self._delay_s)))

    def _tried_again(self, shard: int, place: _Place, passed: int | None, refused: int, took: bool, now: float) -> None:
        """A page before the place was tried again; `passed` is None when it was the last."""
        place.again = passed
        place.met += refused
        place.took = place.took or took
        if passed is not None:
            return
        if place.met <= FEW:
            del self._places[shard]  # those are held one by one
            return
        place.delay_s = FIRST_S if place.took else min(place.delay_s * 2, MOST_S)
        place.until = now + place.delay_s
        place.refused, place.met, place.took = place.met, 0, False
