"""Steps that the athlete's own heart ends: "until below 120 bpm for 10 s", "four minutes in zone 3", and rounds of these. Pure.

Each athlete has their own place in the steps of an interval, and goes on when their heart has done it, not when the class does.
`advance` is a fold over readings, `passed` lets time go by without one.

What decides is stated once:

* A step is **done at a reading**, never between two: what has not been measured has not been reached.
* A reading holds for `HOLD_MS`, as everywhere (services/training/sample.py). Time after that is proven by nothing: it counts for no
  step, and an unbroken stay is broken by it.
* **Hysteresis**: who is inside a band stays inside until `MARGIN_BPM` past its border; to come in, the border itself counts. A
  heart that beats between 119 and 120 does not start the ten seconds anew with every beat.
* **Dwell** is `for_ms`: in one piece when `unbroken`, otherwise in all.
* **Timeout** is `within_ms` after the step began, whatever the heart does. Every step has one.
* **Without a sensor** for `LOST_MS` the step does what its `fallback` says: "wait" for the sensor or the timeout, or "skip" to the
  next step. A sensor that comes back later finds the athlete where the fallback has put them.

Timeouts and fallbacks happen at their own instants, not when somebody looks: however often `passed` is called in between, the same
readings give the same steps at the same instants (a law test says so). An instant that is also one of a reading belongs to the
reading: it may still do what was asked.

Times are ms on one hand that stands still while the class is paused (`class_clock.ran_ms`). Readings older than the last one are
ignored: what has been decided is not undone by what comes late.
"""

from collections.abc import Sequence
from typing import Annotated, Final, Literal

import msgspec

from services.kernel.problems import BadShape
from services.training.sample import HOLD_MS, MAX_BPM, Bpm
from services.training.zones import DISPLAY_MARGIN_BPM, ZONES, karvonen_bpm, lowest_bpm

LOST_MS: Final = 10_000
"""Without a heart rate for this long a sensor is lost, as on the board."""
MARGIN_BPM: Final = DISPLAY_MARGIN_BPM
MAX_STEPS: Final = 20
MAX_ROUNDS: Final = 50
MIN_DWELL_MS: Final = 1_000
MAX_STEP_MS: Final = 3_600_000

DwellMs = Annotated[int, msgspec.Meta(ge=MIN_DWELL_MS, le=MAX_STEP_MS, description="ms")]
ZoneNumber = Annotated[int, msgspec.Meta(ge=0, lt=ZONES, description="zone 0 to 5")]
Percent = Annotated[int, msgspec.Meta(ge=0, le=100, description="percent")]
Fallback = Literal["wait", "skip"]


class Below(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="below"):
    """A heart rate lower than this."""

    bpm: Bpm


class Above(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="above"):
    """A heart rate higher than this."""

    bpm: Bpm


class InZone(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="zone"):
    """A heart rate in these zones of the athlete's own, both included."""

    low: ZoneNumber
    high: ZoneNumber


class InReserve(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="hrr"):
    """A heart rate between these percentages of the athlete's own reserve, both included."""

    low: Percent
    high: Percent


Goal = Below | Above | InZone | InReserve


class Step(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="step"):
    """One thing to reach and to keep. `for_ms` how long, in one piece if `unbroken`; `within_ms` when to go on in any case;
    `fallback` what becomes of it without a sensor."""

    goal: Goal
    for_ms: DwellMs
    within_ms: DwellMs
    unbroken: bool = True
    fallback: Fallback = "wait"


class Rounds(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="rounds"):
    """Steps again and again: `at_most` so often, or until `until` is true of the last reading at the end of a round."""

    steps: Annotated[tuple[Step, ...], msgspec.Meta(min_length=1, max_length=MAX_STEPS)]
    at_most: Annotated[int, msgspec.Meta(ge=1, le=MAX_ROUNDS)]
    until: Goal | None = None


Plan = tuple[Step | Rounds, ...]
Ended = Literal["done", "timed_out", "skipped"]


class Body(msgspec.Struct, frozen=True):
    """What zones and reserve are of: maximum and resting heart rate, bpm."""

    max_hr: int
    rest_hr: int


class Band(msgspec.Struct, frozen=True):
    """Whole bpm, both included."""

    low: int
    high: int


class Turn(msgspec.Struct, frozen=True):
    """A step that ended: `item` of the plan, `round` and `step` in it (all from 0), how, and at which instant."""

    item: int
    round: int
    step: int
    how: Ended
    at_ms: int


class Progress(msgspec.Struct, frozen=True):
    """Where an athlete is: `item`, `round`, `step` as in `Turn`; `item` beyond the plan means that all of it is done.

    `began_ms` when this step began, `held_ms` what counts of it so far up to the last reading, `inside` whether that was in the
    band; `seen_ms`, `bpm` the last reading (bpm None: no contact), `known_ms` when there last was a heart rate, or from when on
    one was waited for.
    """

    item: int
    round: int
    step: int
    began_ms: int
    known_ms: int
    seen_ms: int
    held_ms: int = 0
    inside: bool = False
    bpm: int | None = None


def checked(plan: Plan, longest_ms: int, path: str) -> Plan:
    """The plan as it is. Raises `BadShape` with the place of what cannot be: a band without a heart rate in it, a stay longer
    than its own timeout or than the interval it is in, `longest_ms`."""
    for number, item in enumerate(plan):
        here = f"{path}[{number}]"
        steps = item.steps if isinstance(item, Rounds) else (item,)
        for place, step in enumerate(steps):
            _check_step(step, longest_ms, f"{here}.steps[{place}]" if isinstance(item, Rounds) else here)
        if isinstance(item, Rounds) and item.until is not None:
            _check_goal(item.until, f"{here}.until")
    return plan


def _check_step(step: Step, longest_ms: int, path: str) -> None:
    _check_goal(step.goal, f"{path}.goal")
    if step.within_ms < step.for_ms:
        raise BadShape(
            f"this step is to last {step.for_ms} ms and given up after {step.within_ms}: it can never be done",
            path=f"{path}.within_ms",
        )
    if step.for_ms > longest_ms:
        raise BadShape(f"this step lasts longer than its interval of {longest_ms} ms", path=f"{path}.for_ms")


def _check_goal(goal: Goal, path: str) -> None:
    if isinstance(goal, InZone | InReserve) and goal.low > goal.high:
        raise BadShape(f"the band begins at {goal.low} and ends at {goal.high}", path=path)


def band_of(goal: Goal, body: Body) -> Band:
    """Which heart rates fulfil a goal for this body. A band of reserve narrower than one bpm is the nearest whole rate."""
    match goal:
        case Below(bpm=bpm):
            return Band(0, bpm - 1)
        case Above(bpm=bpm):
            return Band(bpm + 1, MAX_BPM)
        case InZone(low=low, high=high):
            top = MAX_BPM if high == ZONES - 1 else lowest_bpm(high + 1, body.max_hr) - 1
            return Band(lowest_bpm(low, body.max_hr), top)
        case InReserve(low=low, high=high):
            floor = round(karvonen_bpm(low, body.rest_hr, body.max_hr))
            return Band(floor, max(round(karvonen_bpm(high, body.rest_hr, body.max_hr)), floor))


def begin(at_ms: int) -> Progress:
    """At the first step of a plan, at the instant its interval began for this athlete."""
    return Progress(0, 0, 0, began_ms=at_ms, known_ms=at_ms, seen_ms=at_ms)


def begin_after(plan: Plan, body: Body, before: Progress, at_ms: int) -> Progress:
    """At the first step of another plan, with the last reading that was heard in the one before."""
    return _entered(plan, body, before, (0, 0, 0), at_ms)


def is_over(plan: Plan, progress: Progress) -> bool:
    """Whether nothing of the plan is left."""
    return progress.item >= len(plan)


def step_at(plan: Plan, progress: Progress) -> Step | None:
    """The step an athlete is at, None when the plan is over."""
    if is_over(plan, progress):
        return None
    item = plan[progress.item]
    return item.steps[progress.step] if isinstance(item, Rounds) else item


def passed(plan: Plan, body: Body, progress: Progress, now_ms: int) -> tuple[Progress, Sequence[Turn]]:
    """The progress when nothing was heard until just before `now_ms`: timeouts and fallbacks before it have happened."""
    turns: list[Turn] = []
    while (due := _due(plan, progress)) is not None and due[1] < now_ms:
        how, at_ms = due
        progress = _go_on(plan, body, progress, how, at_ms, turns)
    return progress, turns


def advance(plan: Plan, body: Body, progress: Progress, at_ms: int, bpm: int | None) -> tuple[Progress, Sequence[Turn]]:
    """The progress after a reading, and the steps that ended before it or at it. `bpm` None: the sensor says that it has no
    contact."""
    if at_ms < progress.seen_ms:
        return progress, ()
    progress, before = passed(plan, body, progress, at_ms)
    step = step_at(plan, progress)
    if step is None:
        return msgspec.structs.replace(progress, seen_ms=at_ms, bpm=bpm), before
    turns = list(before)
    held_ms, inside = _counted(step, band_of(step.goal, body), progress, at_ms, bpm)
    progress = msgspec.structs.replace(
        progress,
        seen_ms=at_ms,
        bpm=bpm,
        known_ms=progress.known_ms if bpm is None else at_ms,
        held_ms=held_ms,
        inside=inside,
    )
    if held_ms >= step.for_ms:
        progress = _go_on(plan, body, progress, "done", at_ms, turns)
    return progress, turns


def _counted(step: Step, band: Band, progress: Progress, at_ms: int, bpm: int | None) -> tuple[int, bool]:
    """What counts of a step after a reading, in ms, and whether that is inside."""
    elapsed_ms = at_ms - max(progress.seen_ms, progress.began_ms)
    # A reading may be older than the step; it holds from when it was made.
    proven_ms = max(min(progress.seen_ms + HOLD_MS, at_ms) - max(progress.seen_ms, progress.began_ms), 0)
    held_ms = progress.held_ms + proven_ms if progress.inside else progress.held_ms
    inside = bpm is not None and _is_inside(band, bpm, was=progress.inside)
    if step.unbroken and (not inside or proven_ms < elapsed_ms):
        held_ms = 0
    return held_ms, inside


def _is_inside(band: Band, bpm: int, *, was: bool) -> bool:
    margin = MARGIN_BPM if was else 0
    return band.low - margin <= bpm <= band.high + margin


def _due(plan: Plan, progress: Progress) -> tuple[Ended, int] | None:
    """How and when the present step ends if nothing more is heard; None when it is the last and over."""
    step = step_at(plan, progress)
    if step is None:
        return None
    times_out_ms = progress.began_ms + step.within_ms
    lost_ms = max(progress.known_ms + LOST_MS, progress.began_ms)
    if step.fallback == "skip" and lost_ms < times_out_ms:
        return "skipped", lost_ms
    return "timed_out", times_out_ms


def _go_on(plan: Plan, body: Body, progress: Progress, how: Ended, at_ms: int, turns: list[Turn]) -> Progress:
    """Enter the next step at `at_ms`. The last reading counts for it from then on, as long as it holds."""
    turns.append(Turn(progress.item, progress.round, progress.step, how, at_ms))
    return _entered(plan, body, progress, _next(plan, body, progress, at_ms), at_ms)


def _entered(plan: Plan, body: Body, progress: Progress, place: tuple[int, int, int], at_ms: int) -> Progress:
    item, round_, number = place
    entered = msgspec.structs.replace(
        progress, item=item, round=round_, step=number, began_ms=at_ms, held_ms=0, inside=False
    )
    step = step_at(plan, entered)
    known_bpm = _known_bpm(progress, at_ms)
    if step is None or known_bpm is None:
        return entered
    return msgspec.structs.replace(entered, inside=_is_inside(band_of(step.goal, body), known_bpm, was=False))


def _next(plan: Plan, body: Body, progress: Progress, at_ms: int) -> tuple[int, int, int]:
    item = plan[progress.item]
    if not isinstance(item, Rounds):
        return progress.item + 1, 0, 0
    if progress.step + 1 < len(item.steps):
        return progress.item, progress.round, progress.step + 1
    known_bpm = _known_bpm(progress, at_ms)
    reached = (
        item.until is not None and known_bpm is not None and _is_inside(band_of(item.until, body), known_bpm, was=False)
    )
    if reached or progress.round + 1 >= item.at_most:
        return progress.item + 1, 0, 0
    return progress.item, progress.round + 1, 0


def _known_bpm(progress: Progress, at_ms: int) -> int | None:
    """The heart rate at an instant, as far as the last reading still holds."""
    return progress.bpm if at_ms - progress.seen_ms <= HOLD_MS else None
