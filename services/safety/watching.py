"""When a heart rate gives reason to ask whether somebody is all right: a fold over the readings of one athlete. Pure.

Nothing here says what is wrong, or that anything is. Each rule names a course of readings that people who are well seldom show, and
all that follows from it is a question with a button (incident.py). The rules:

    over_limit    above the personal limit (limit.py) for `OVER_MS` in one piece
    no_recovery   the coach has stopped or ended the class, and a heart that was in hard effort has not fallen by `RECOVERED_BPM`
                  within `RECOVERY_MS`
    signal_lost   in hard effort, and for `LOST_MS` no heart rate any more: no contact, or not a word from the device
    rate_fell     within `FALL_MS` of the last reading in hard effort lower than it by `FALL_BPM`, and still so `STAND_MS` later

What they have in common:

* **Hard effort** is `HARD_PERCENT` of the own maximum, kept up for `HARD_MS`.
* **Only what was measured counts.** A reading stands for `HOLD_MS` as everywhere; a longer gap breaks what has to be in one
  piece. Readings that no heart can have (`plausibility.py`: a jump, a line that stands still, faster than hearts) count as no
  reading, so a strap that slips neither begins nor ends anything.
* **Hysteresis**: who is above the limit or in hard effort stays there until `MARGIN_BPM` below it. Who was asked about the limit is
  asked again after `CLEAR_MS` below it.
* **Late readings decide nothing.** One that is older than the last is ignored.

Whether an effort has ended no heart rate says: somebody who eases from a sprint to a hard pace looks for minutes like one who does
not recover. So this asks whoever knows, the coach's clock (`resting_since_ms`), and where nobody knows it does not look for it.

Time goes by without a reading in `passed`. It may be called at any instants in between: what is found, and for which instant, is
the same (a law test says so). Times are ms of wall clock.
"""

from typing import Final, Literal, get_args

import msgspec

from services.training.physiology import Physiology
from services.training.plausibility import Scrutiny
from services.training.sample import HOLD_MS, Sample

IncidentKind = Literal["over_limit", "no_recovery", "signal_lost", "rate_fell"]
KINDS: Final[tuple[IncidentKind, ...]] = get_args(IncidentKind)

OVER_MS: Final = 10_000
"""By feeling: longer than noise, shorter than an interval."""
CLEAR_MS: Final = 60_000
"""By feeling: the pause after a hard interval, so that each is asked about once at most."""
MARGIN_BPM: Final = 3
"""One more than the noise of beats that the display of zones hesitates for (zones.py)."""
HARD_PERCENT: Final = 85
"""Percent of maximum. ACSM Guidelines, 10th edition: vigorous is 77 to 95; this is its middle."""
HARD_MS: Final = 60_000
"""By feeling: a sprint for a traffic light is no hard effort."""
LOST_MS: Final = 30_000
"""By feeling, three times as long as the board takes to call a sensor lost: most straps are back by then."""
RECOVERED_BPM: Final = 12
"""Cole et al., NEJM 1999;341:1351: a fall of 12 bpm or less in the first minute was seldom and worth a look."""
RECOVERY_MS: Final = 180_000
"""Three of Cole's minutes: nobody in a class stops at the coach's word."""
FALL_BPM: Final = 50
FALL_MS: Final = 30_000
"""After a hard stop a heart falls by 20 to 40 bpm in a minute (Cole 1999: 25 in the median, cool-down), and not by 50 in
half of it. By feeling; the recordings in tests/ hold it against real sensors."""
STAND_MS: Final = 15_000
"""By feeling: longer than the doubt after a jump (plausibility.py) and what a strap takes to find the skin again."""


class Finding(msgspec.Struct, frozen=True):
    """What was found, at which instant, and the last heart rate that was believed before or at it."""

    kind: IncidentKind
    at_ms: int
    bpm: int


class Watch:
    """Watches one athlete. `limit_bpm` is their limit; `physiology` their body."""

    __slots__ = (
        "_asked",
        "_below_since",
        "_fall_since",
        "_hard_bpm",
        "_hard_ms",
        "_last_ms",
        "_limit_bpm",
        "_over_since",
        "_reading",
        "_rested_from",
        "_resting_since",
        "_scrutiny",
        "_top",
    )

    def __init__(self, limit_bpm: int, physiology: Physiology) -> None:
        self._limit_bpm: Final = limit_bpm
        self._hard_bpm: Final = -(-HARD_PERCENT * physiology.max_hr // 100)
        self._scrutiny: Final = Scrutiny(physiology)
        self._last_ms: int | None = None
        self._reading: tuple[int, int] | None = None
        """The last reading that was believed: when, and bpm."""
        self._over_since: int | None = None
        self._below_since: int | None = None
        self._asked = False
        self._hard_ms = 0
        self._top: tuple[int, int] | None = None
        """The last reading in hard effort: from here a fall or a loss is measured."""
        self._fall_since: int | None = None
        self._resting_since: int | None = None
        self._rested_from: tuple[int, int] | None = None

    def add(self, sample: Sample, at_ms: int, resting_since_ms: int | None = None) -> tuple[Finding, ...]:
        """What a reading, made at `at_ms`, leads to. `resting_since_ms`: since when the class stands still or is over; None while
        it goes on, and where nobody knows."""
        if self._last_ms is not None and at_ms < self._last_ms:
            return ()
        found = self.passed(at_ms, resting=resting_since_ms is not None)
        self._last_ms = at_ms
        self._scrutiny.add(sample)
        if sample.bpm is None or not self._scrutiny.plausible():
            return found
        before, self._reading = self._reading, (at_ms, sample.bpm)
        gap = before is None or at_ms - before[0] > HOLD_MS
        found += self._effort(before, at_ms, sample.bpm)
        found += self._limit(at_ms, sample.bpm, gap=gap)
        found += self._recovery(before, at_ms, sample.bpm, resting_since_ms)
        return found

    def passed(self, now_ms: int, *, resting: bool = False) -> tuple[Finding, ...]:
        """What comes of hearing nothing more until `now_ms`. `resting`: the class stands still or is over, and straps come off."""
        if resting or self._reading is None or self._top is None or self._hard_ms < HARD_MS:
            return ()
        read_ms, bpm = self._reading
        # Once the rate has left hard effort, what is lost is no loss in it.
        if read_ms != self._top[0] or now_ms - read_ms < LOST_MS:
            return ()
        self._ease()
        return (Finding("signal_lost", read_ms + LOST_MS, bpm),)

    # -- the rules ----------------------------------------------------------------------------------------------------

    def _effort(self, before: tuple[int, int] | None, at_ms: int, bpm: int) -> tuple[Finding, ...]:
        """Hard effort, and falling out of it."""
        floor = self._hard_bpm - (MARGIN_BPM if self._hard_ms else 0)
        if bpm >= floor:
            in_it = before is not None and self._top is not None and self._top[0] == before[0]
            held = min(at_ms - before[0], HOLD_MS) if before is not None and in_it else 0
            # At least a moment, so that the margin counts from the first reading on.
            self._hard_ms += max(held, 1)
            self._top, self._fall_since = (at_ms, bpm), None
            return ()
        if self._top is None or self._hard_ms < HARD_MS:
            self._ease()
            return ()
        return self._fall(self._top, at_ms, bpm)

    def _fall(self, top: tuple[int, int], at_ms: int, bpm: int) -> tuple[Finding, ...]:
        fallen = bpm <= top[1] - FALL_BPM
        if self._fall_since is None:
            if at_ms - top[0] > FALL_MS:
                self._ease()
            elif fallen:
                self._fall_since = at_ms
            return ()
        if not fallen:
            self._ease()
            return ()
        if at_ms - self._fall_since < STAND_MS:
            return ()
        self._ease()
        return (Finding("rate_fell", at_ms, bpm),)

    def _ease(self) -> None:
        """No hard effort any more."""
        self._hard_ms, self._top, self._fall_since = 0, None, None

    def _limit(self, at_ms: int, bpm: int, *, gap: bool) -> tuple[Finding, ...]:
        if gap:
            self._over_since = self._below_since = None
        if bpm > self._limit_bpm:
            self._below_since = None
            self._over_since = at_ms if self._over_since is None else self._over_since
        elif bpm < self._limit_bpm - MARGIN_BPM:
            self._over_since = None
            self._below_since = at_ms if self._below_since is None else self._below_since
            if at_ms - self._below_since >= CLEAR_MS:
                self._asked = False
        if self._asked or self._over_since is None or at_ms - self._over_since < OVER_MS:
            return ()
        self._asked = True
        return (Finding("over_limit", at_ms, bpm),)

    def _recovery(
        self, before: tuple[int, int] | None, at_ms: int, bpm: int, resting_since_ms: int | None
    ) -> tuple[Finding, ...]:
        if resting_since_ms != self._resting_since:
            self._resting_since, self._rested_from = resting_since_ms, None
            was_hard = before is not None and self._hard_ms >= HARD_MS and at_ms - before[0] <= HOLD_MS
            if resting_since_ms is not None and was_hard:
                self._rested_from = (at_ms, bpm)
        if self._rested_from is None:
            return ()
        since_ms, from_bpm = self._rested_from
        gone = before is None or at_ms - before[0] > LOST_MS
        if gone or bpm <= from_bpm - RECOVERED_BPM:
            self._rested_from = None
            return ()
        if at_ms - since_ms < RECOVERY_MS:
            return ()
        self._rested_from = None
        return (Finding("no_recovery", at_ms, bpm),)
