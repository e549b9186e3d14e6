"""Several sensors on one athlete: which of them feeds the board, and since when.

A strap, a watch and the grips of a bike may all send at once. All of it is stored; one of them is believed at a time, because the
mean of a good and a bad sensor is a bad one. The choice is a fold over readings: `opened` and `heard` note what came, `decide`
looks at what is noted and says who feeds. Four rules, in this order:

1. **A dead source is left.** Without a heart rate for `DEAD_MS`, it gives way to the best of those alive, at once.
2. **Who opens a source means it.** At its first heart rate it takes over, once, unless it is worse than the one that feeds.
3. **A living source is kept** until another has been better without a break for `DWELL_MS`, and it has itself fed for as long. A
   board that jumps between two sensors that disagree by 5 bpm looks broken though both are right.
4. **Better** is: its readings are plausible; then its grade. Freshness decides only between dead and alive, so the sensor that
   notifies more often does not win by that. Between equals the one that feeds goes on.

Laws, held by tests: a living source is never left before it has fed `DWELL_MS`, but for one that was opened since; a dead one never
feeds `DEAD_MS` after its last heart rate, if another is alive and there is anything to decide on; between two decisions readings of
different sources may come in any order; who feeds depends on nothing but what was heard and when.

Time is the server's wall clock, ms since 1970; it comes in, nothing here waits.
"""

from collections.abc import Iterable, Sequence
from typing import Final, Literal

import msgspec

from services.kernel.ids import StreamId
from services.training.provenance import GRADES, Grade

DEAD_MS: Final = 3_000
"""Without a heart rate for so long a source is dead: the moment at which a board would call it stale."""
DWELL_MS: Final = 10_000
"""How long another must be better, and how long a source feeds at least while it lives. By feeling: longer than a strap that slips
needs to be felt, shorter than anybody would wait for the better number."""

Reason = Literal["first", "opened", "dead", "gone", "better"]


class Source(msgspec.Struct, frozen=True):
    """What is known of one sensor. `read_ms` when it last had a heart rate; `alive_since_ms` since when without a break of
    `DEAD_MS`; None before the first. `standing_since_ms` since when it has its grade and plausibility; `claims` while it was opened
    and has not fed yet."""

    grade: Grade
    plausible: bool = True
    read_ms: int | None = None
    alive_since_ms: int | None = None
    standing_since_ms: int = 0
    claims: bool = False

    def alive(self, now_ms: int) -> bool:
        """Whether it had a heart rate just now."""
        return self.read_ms is not None and now_ms - self.read_ms < DEAD_MS

    def standing(self) -> tuple[bool, int]:
        """Its place in the order of preference; smaller is better."""
        return not self.plausible, GRADES.index(self.grade)


class Arbitration(msgspec.Struct, frozen=True):
    """The sources of one athlete, which of them `feeds` (None: nobody yet) and since when."""

    sources: dict[StreamId, Source] = msgspec.field(default_factory=dict)
    feeds: StreamId | None = None
    since_ms: int = 0


class Shift(msgspec.Struct, frozen=True):
    """From `at_ms` on, `source` feeds: a line of the ledger of who fed which second. None: nobody does."""

    at_ms: int
    source: StreamId | None
    reason: Reason


def opened(state: Arbitration, source: StreamId, at_ms: int, grade: Grade) -> Arbitration:
    """The state after somebody has opened a source, first or again."""
    known = Source(grade, standing_since_ms=at_ms, claims=True)
    return msgspec.structs.replace(state, sources={**state.sources, source: known})


def heard(
    state: Arbitration, source: StreamId, at_ms: int, bpm: int | None, grade: Grade, *, plausible: bool = True
) -> Arbitration:
    """The state after a reading of `source`, made at `at_ms`: its heart rate or none, its grade, whether it can be believed.

    A reading older than one that was heard of the same source (a backlog) says nothing about now and changes nothing.
    """
    known = state.sources.get(source) or Source(grade, plausible, standing_since_ms=at_ms)
    if known.read_ms is not None and at_ms < known.read_ms:
        return state
    if (grade, plausible) != (known.grade, known.plausible):
        known = msgspec.structs.replace(known, grade=grade, plausible=plausible, standing_since_ms=at_ms)
    if bpm is not None:
        since = known.alive_since_ms if known.alive(at_ms) else at_ms
        known = msgspec.structs.replace(known, read_ms=at_ms, alive_since_ms=since)
    return msgspec.structs.replace(state, sources={**state.sources, source: known})


def gone(state: Arbitration, source: StreamId) -> Arbitration:
    """The state after a source has ended. It feeds until `decide` has found another."""
    return msgspec.structs.replace(state, sources={name: one for name, one in state.sources.items() if name != source})


def decide(state: Arbitration, now_ms: int) -> tuple[Arbitration, Shift | None]:
    """Who feeds at `now_ms`: the state, and the shift if it is somebody else than before."""
    chosen = _best(state, now_ms)
    if chosen is None or chosen == state.feeds:
        return state, None
    feeding = None if state.feeds is None else state.sources.get(state.feeds)
    if state.feeds is None:
        reason: Reason = "first"
    elif feeding is None:
        reason = "gone"
    elif not feeding.alive(now_ms):
        reason = "dead"
    elif state.sources[chosen].claims:
        reason = "opened"
    elif _has_proved_better(state.sources[chosen], feeding, state.since_ms, now_ms):
        reason = "better"
    else:
        return state, None
    sources = {**state.sources, chosen: msgspec.structs.replace(state.sources[chosen], claims=False)}
    return Arbitration(sources, chosen, now_ms), Shift(now_ms, chosen, reason)


def _best(state: Arbitration, now_ms: int) -> StreamId | None:
    """The best source that is alive; of equals one that claims, then the one that feeds, then the smallest id. None when all are
    dead."""
    alive = [
        (one.standing(), not one.claims, name != state.feeds, name)
        for name, one in state.sources.items()
        if one.alive(now_ms)
    ]
    return min(alive)[3] if alive else None


def _has_proved_better(one: Source, feeding: Source, fed_since_ms: int, now_ms: int) -> bool:
    """Whether `one` has been the better for the whole dwell, of which `feeding` has fed all."""
    if one.standing() >= feeding.standing() or one.alive_since_ms is None:
        return False
    since = max(fed_since_ms, one.alive_since_ms, one.standing_since_ms, feeding.standing_since_ms)
    return now_ms - since >= DWELL_MS


def fed_by(shifts: Sequence[Shift], at_ms: int) -> StreamId | None:
    """Who fed at an instant, by a ledger in the order of time; None before its first line."""
    fed = None
    for shift in shifts:
        if shift.at_ms > at_ms:
            break
        fed = shift.source
    return fed


def ledger(shifts: Iterable[Shift], until_ms: int) -> list[tuple[int, int, StreamId]]:
    """The stretches of a ledger: from, to (both ms, the end not included) and who fed them."""
    stretches: list[tuple[int, int, StreamId]] = []
    held: Shift | None = None
    for shift in (*shifts, Shift(until_ms, None, "gone")):
        if held is not None and held.source is not None and held.at_ms < shift.at_ms:
            stretches.append((held.at_ms, shift.at_ms, held.source))
        held = shift
    return stretches
