"""How far somebody has come, how hard they pushed and how quickly they turned, sample by sample.

Power and cadence are of a moment, and hold like a heart rate: until the next sample, for `HOLD_MS` at most (see `sample.py`); after
that they are unknown, and unknown time is in no mean. A mean power has the time in which nobody pushed in it, because rolling is
part of riding. A mean cadence has not: who stands still has no cadence.

Distance is a counter, and only its steps forward count. What it shows first is where it begins: a treadmill that had run 3 km
before is not 3 km ahead. A gap costs nothing, because the counter went on in it. Four things happen to counters:

- It stands still and then makes up for it (a phone without a satellite). The step is judged by the time since it last moved, of
  which it may have stood still for `STALL_MS`.
- It goes back by `CORRECTION_M` or less (a position was corrected): nothing counts until it is past where it was.
- It goes back by more (the machine was switched off): it begins again where it is.
- It leaps ahead faster than `MAX_SPEED_M_S`: that is no athlete. The leap counts nothing, and the counter goes on from there.

While the clock stands still or is set back no step counts; it is judged when time has passed.

The live board and the summary both use `advance`, so they agree to the last bit: all sums are whole numbers. The state is small
enough to be stored with every group commit; after a restart it goes on from there.
"""

from collections.abc import Iterable
from typing import Final

import msgspec

from services.training.sample import Motion, Sample, held_ms

MAX_SPEED_M_S: Final = 40
"""One bound for all sports: 144 km/h, what a human has ridden on level ground (AeroVelo Eta, Battle Mountain 2016)."""
STALL_MS: Final = 30_000
"""By feeling: a tunnel, a phone that looks for its satellites."""
CORRECTION_M: Final = 50
"""By feeling: more than positions jitter by, and the most that a machine loses which is set back to 0 early on."""


class Moved(msgspec.Struct, frozen=True, omit_defaults=True):
    """Sums, which only grow. `distance_m` None while no counter was heard; `work_mj` W times ms, in `power_ms` of known power;
    `turns` cadence times ms, in `cadence_ms` of known cadence above 0."""

    distance_m: int | None = None
    work_mj: int = 0
    power_ms: int = 0
    turns: int = 0
    cadence_ms: int = 0

    @property
    def mean_power_w(self) -> float | None:
        """W over the time in which it was known; None where it never was."""
        return self.work_mj / self.power_ms if self.power_ms else None

    @property
    def mean_cadence(self) -> float | None:
        """Turns or steps per minute over the time in which there were any; None where there never were."""
        return self.turns / self.cadence_ms if self.cadence_ms else None


NOT_MOVED: Final = Moved()


class Counter(msgspec.Struct, frozen=True):
    """A counter of metres as it stands: its `value`, heard at `t`, where it last moved at `moved_t` (ms of the stream)."""

    value: int
    t: int
    moved_t: int


class Moving(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where the motion of a stream has got to: the sums, the last sample's time and motion, which still hold, and the counter."""

    moved: Moved = NOT_MOVED
    t: int | None = None
    motion: Motion | None = None
    counter: Counter | None = None


AT_REST: Final = Moving()


def advance(moving: Moving, sample: Sample, *, counts: bool = True) -> Moving:
    """The motion after the next sample. With `counts` false time passes and the counter goes on, but nothing is earned (another
    device's counts)."""
    moved, counter = moving.moved, moving.counter
    if counts and moving.motion is not None and moving.t is not None:
        moved = _held(moved, moving.motion, held_ms(moving.t, sample.t))
    if sample.motion is not None and sample.motion.distance_m is not None:
        counter, step_m = stepped(counter, sample.t, sample.motion.distance_m)
        if counts:
            moved = msgspec.structs.replace(moved, distance_m=(moved.distance_m or 0) + step_m)
    return Moving(moved, sample.t, sample.motion, counter)


def stepped(counter: Counter | None, t: int, value: int) -> tuple[Counter, int]:
    """The counter after it showed `value` (m) at `t` (ms), and how many metres of that count."""
    if counter is None:
        return Counter(value, t, t), 0
    if t <= counter.t:
        return Counter(counter.value, t, min(counter.moved_t, t)), 0
    step_m = value - counter.value
    if -CORRECTION_M <= step_m <= 0:
        return Counter(counter.value, t, counter.moved_t), 0
    since_ms = t - moving_since(counter)
    leaps = step_m * 1_000 > MAX_SPEED_M_S * since_ms
    return Counter(value, t, t), 0 if step_m < 0 or leaps else step_m


def moving_since(counter: Counter) -> int:
    """From when on what the counter shows next may have been gone, ms of the stream: from where it last moved, but for a stall that
    is longer than one may be."""
    return max(counter.moved_t, counter.t - STALL_MS)


def moved_in(samples: Iterable[Sample]) -> Moved:
    """What samples in their order come to."""
    moving = AT_REST
    for sample in samples:
        if sample.motion is not None or moving is not AT_REST:
            moving = advance(moving, sample)
    return moving.moved


def total(parts: Iterable[Moved]) -> Moved:
    """The sums of several streams together."""
    distance_m: int | None = None
    work_mj = power_ms = turns = cadence_ms = 0
    for part in parts:
        if part.distance_m is not None:
            distance_m = (distance_m or 0) + part.distance_m
        work_mj += part.work_mj
        power_ms += part.power_ms
        turns += part.turns
        cadence_ms += part.cadence_ms
    return Moved(distance_m, work_mj, power_ms, turns, cadence_ms)


def furthest(one: Moved, other: Moved) -> Moved:
    """Of two states of the same sums the later, sum by sum."""
    known = [part.distance_m for part in (one, other) if part.distance_m is not None]
    return Moved(
        max(known, default=None),
        max(one.work_mj, other.work_mj),
        max(one.power_ms, other.power_ms),
        max(one.turns, other.turns),
        max(one.cadence_ms, other.cadence_ms),
    )


def _held(moved: Moved, motion: Motion, held: int) -> Moved:
    power_w, cadence = motion.power_w, motion.cadence
    if not held or (power_w is None and not cadence):
        return moved
    return msgspec.structs.replace(
        moved,
        work_mj=moved.work_mj + (power_w or 0) * held,
        power_ms=moved.power_ms + (0 if power_w is None else held),
        turns=moved.turns + (cadence or 0) * held,
        cadence_ms=moved.cadence_ms + (held if cadence else 0),
    )
