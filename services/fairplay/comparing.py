"""Comparing a workout with others: the same heart in two accounts, two hearts in one, and one person in two places.

Nobody can compare all pairs, so three questions to an index say with whom it is worth it: who was out in the same hours with about
the same mean heart rate, whose rates have the same fingerprint whenever that was, and what else the same person sent at that time.
Of the first, up to `MOST_NEAR`, only sketches are read; curves are read of the `MOST_READ` that look most alike, and compared
shift by shift, with the event loop free in between. A pair of sketches of 45 minutes costs 0.8 ms, a
pair of curves 77 ms for each clock, and both grow with the length: some two seconds at the worst for a class, twenty for twelve
hours, and next to nothing for most people. In a class of thousands who all ride alike a copy may therefore hide among more than
`MOST_NEAR` nearer means, unless it is one to the last bit.

Locations are few: those that this person's devices have told of workouts within the time in which nobody gets around the earth.

Two clocks are tried: both from the beginning, as a copy that was started later is; and both by the wall clock, as a stream that is
passed on live is.

What is found is a finding of both, and both are judged again. Which of the two is the original no curve can say. Both are locked,
in the order of their ids, like all others who lock several.
"""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple, Protocol

import msgspec

from services.fairplay.judging import Examined, JudgingStores, VerdictStore, restand
from services.kernel.ids import WorkoutId
from services.training.evidence import SKETCHED_S, SUSPICIOUS_PERCENT, alike_percent
from services.training.location import Location
from services.training.plausibility import Finding, judgement
from services.training.plausibility_pairs import (
    MAX_SHIFT_S,
    REACH_MS,
    Curve,
    CurveTaker,
    Whereabouts,
    near_percent,
    two_hearts,
    two_places,
)
from services.training.workouts import READ_AT_ONCE

NEAR_BPM: Final = 12
"""How far apart the means of one heart by two devices may be. Of the same time they are 2 apart in recordings; one that was
started in the middle of an hour of hills, 10."""
MOST_NEAR: Final = 200
MOST_READ: Final = 5
MOST_OWN: Final = 5


class Pair(msgspec.Struct, frozen=True):
    """What was found between a workout and an `other` one."""

    other: WorkoutId
    finding: Finding


class Elsewhere(NamedTuple):
    """Where another workout of somebody began, and when."""

    workout_id: WorkoutId
    location: Location
    began_ms: int


class LocationStore(Protocol):
    """Where workouts began (persistence/locations.py)."""

    async def of(self, workout_id: WorkoutId) -> Location | None: ...
    async def own_near(
        self, examined: Examined, reach_ms: int, known: Sequence[WorkoutId], limit: int
    ) -> list[Elsewhere]: ...


class PairStore(VerdictStore, Protocol):
    """What this needs of the verdicts' store (persistence/verdicts.py)."""

    async def pairs(self, workout_id: WorkoutId) -> list[Pair]: ...
    async def keep_pairs(self, workout_id: WorkoutId, pairs: Sequence[Pair], at_ms: int) -> None: ...
    async def of_workouts(self, workout_ids: Sequence[WorkoutId]) -> list[Examined]: ...
    async def at_once_with(self, examined: Examined, near_bpm: int, limit: int) -> list[Examined]: ...
    async def same_fingerprint(self, examined: Examined, limit: int) -> list[Examined]: ...
    async def own_at_once_with(self, examined: Examined, limit: int) -> list[Examined]: ...


class ComparingStores(JudgingStores, Protocol):
    """The stores of one transaction."""

    @property
    def verdicts(self) -> PairStore: ...
    @property
    def locations(self) -> LocationStore: ...


async def compare(stores: ComparingStores, workout_id: WorkoutId, now_ms: int) -> int:
    """Compare a workout that was judged with those that it may have to do with; how many pairs were found.

    Every pair that was found before is looked at again, so a correction of either clears it up.
    """
    examined = await stores.verdicts.examined(workout_id)
    if examined is None:
        return 0
    before = await stores.verdicts.pairs(workout_id)
    others = await _suspects(stores.verdicts, examined, [pair.other for pair in before])
    pairs = [*await _found(stores, examined, others), *await _elsewhere(stores.locations, examined, before)]
    if not pairs and not before:
        return 0
    concerned = {pair.other for pair in (*before, *pairs)}
    locked = [await stores.workouts.lock(each) for each in sorted({workout_id, *concerned})]
    there = {workout.id: workout for workout in locked if workout is not None}
    pairs = [pair for pair in pairs if pair.other in there]
    if workout_id in there:
        await stores.verdicts.keep_pairs(workout_id, pairs, now_ms)
    for workout in there.values():
        await restand(stores, workout, now_ms)
    return len(pairs)


async def _suspects(store: PairStore, examined: Examined, known: Sequence[WorkoutId]) -> list[Examined]:
    """Whose curves are worth reading."""
    near = await store.at_once_with(examined, NEAR_BPM, MOST_NEAR)
    alike = []
    for other in near:
        percent = _alike(examined, other)
        if percent >= SUSPICIOUS_PERCENT:
            alike.append((-percent, other.workout_id, other))
        await asyncio.sleep(0)
    alike.sort(key=lambda each: each[:2])
    found = [
        *(other for _, _, other in alike[:MOST_READ]),
        *await store.same_fingerprint(examined, MOST_READ),
        *await store.own_at_once_with(examined, MOST_OWN),
        *await store.of_workouts(known),
    ]
    return list({other.workout_id: other for other in found}.values())


def _alike(one: Examined, other: Examined) -> int:
    return max(alike_percent(one.sketch, other.sketch, later_s) for later_s in {0, _later_s(one, other)})


async def _found(stores: ComparingStores, examined: Examined, others: Iterable[Examined]) -> list[Pair]:
    pairs: list[Pair] = []
    mine: Curve | None = None
    for other in others:
        mine = mine or await _curve(stores, examined.workout_id)
        theirs, later_s = await _curve(stores, other.workout_id), _later_s(examined, other)
        if other.account_id == examined.account_id:
            judged = two_hearts(*_together(mine, theirs, later_s))
        else:
            shifts = {
                shift for began_s in {0, later_s} for shift in range(began_s - MAX_SHIFT_S, began_s + MAX_SHIFT_S + 1)
            }
            judged = judgement([("copied", await _likeness(mine, theirs, shifts))])
        pairs += [Pair(other.workout_id, finding) for finding in judged.findings]
    return pairs


async def _elsewhere(store: LocationStore, examined: Examined, before: Sequence[Pair]) -> list[Pair]:
    """With which of this person's workouts they would have been in two places. What was found stands when the locations of it
    are forgotten."""
    known = {pair.other: pair for pair in before if pair.finding.rule == "two_places"}
    here = await store.of(examined.workout_id)
    if here is None:
        return list(known.values())
    pairs: list[Pair] = []
    for other in await store.own_near(examined, REACH_MS, list(known), MOST_OWN):
        known.pop(other.workout_id, None)
        judged = two_places(Whereabouts(here, examined.began_ms), Whereabouts(other.location, other.began_ms))
        pairs += [Pair(other.workout_id, finding) for finding in judged.findings]
    return [*pairs, *known.values()]


async def _likeness(one: Curve, other: Curve, shifts: Iterable[int]) -> float:
    best = 0.0
    for shift in shifts:
        best = max(best, near_percent(one, other, shift))
        await asyncio.sleep(0)
    return best


async def _curve(stores: ComparingStores, workout_id: WorkoutId) -> Curve:
    taker, position = CurveTaker(), 0
    while page := await stores.workouts.samples(workout_id, position, READ_AT_ONCE):
        position += len(page)
        for sample in page:
            taker.add(sample)
        if page[-1].t > SKETCHED_S * 1_000:
            break
        await asyncio.sleep(0)
    return taker.done()


def _together(one: Curve, other: Curve, later_s: int) -> tuple[Curve, Curve]:
    """Two curves from the moment on in which both had begun; the other began `later_s` after the one."""
    return one[max(later_s, 0) :], other[max(-later_s, 0) :]


def _later_s(one: Examined, other: Examined) -> int:
    return round((other.began_ms - one.began_ms) / 1_000)
