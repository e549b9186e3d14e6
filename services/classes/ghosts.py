"""Racing a past class: the curve of its leader, of its median, or of one of its members, for who was in it.

Whoever may be seen is decided by how they are shown now: the final table of a class follows that, so a curve is given for those who
stand on it, under the name that it has. Leader and median are pacers without a person. What is computed is remembered for the table
it was computed by, and one curve is computed at a time: a class of five hundred that races the same ghost costs one.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Final, Protocol

import msgspec

from services.access import permission as may
from services.access.policy import require_held
from services.audit.entry import AuditStore, Entry, Thing, actor_of
from services.classes.class_ghost import STEP_MS, Axis, ClassGhost, ClassTrace, class_axis, median_of, spread
from services.classes.live_class import LiveClass, Membership, may_know
from services.classes.summary import ClassStanding, ClassSummary
from services.classes.timeline import Timeline, clocks_of
from services.kernel.caller import Caller
from services.kernel.ids import AccountId, ClassId, WorkoutId
from services.kernel.problems import ClassNotFound, GhostNotReady, NotFound
from services.training.sample import Sample
from services.training.workouts import Workout, pages

MOST_PACED: Final = 21
"""Athletes of whom the median is made, evenly from the first to the last of the table: 0.1 s for an hour of a class."""
MOST_KEPT: Final = 64
"""Curves that are remembered; the one that was asked for longest ago goes first."""


class ClassStore(Protocol):
    """What this needs of the classes' store (persistence/classes.py)."""

    async def by_id(self, class_id: ClassId) -> LiveClass | None: ...
    async def membership(self, class_id: ClassId, account_id: AccountId) -> Membership | None: ...
    async def members(self, class_id: ClassId) -> list[Membership]: ...
    async def summary(self, class_id: ClassId) -> str | None: ...


class TimelineStore(Protocol):
    """And of the timelines'."""

    async def of(self, class_id: ClassId) -> Timeline: ...


class StreamStore(Protocol):
    """And of the streams'."""

    async def of_class(self, class_id: ClassId) -> list[tuple[AccountId, WorkoutId]]: ...
    async def offset_ms(self, workout_id: WorkoutId) -> int | None: ...


class WorkoutStore(Protocol):
    """And of the workouts'."""

    async def by_id(self, workout_id: WorkoutId) -> Workout | None: ...
    async def samples(self, workout_id: WorkoutId, from_seq: int, limit: int) -> list[Sample]: ...


class GhostStores(Protocol):
    """The stores of one transaction, for reading."""

    @property
    def classes(self) -> ClassStore: ...
    @property
    def timelines(self) -> TimelineStore: ...
    @property
    def streams(self) -> StreamStore: ...
    @property
    def workouts(self) -> WorkoutStore: ...
    @property
    def audit(self) -> AuditStore: ...


class ClassGhosts:
    """The use case."""

    def __init__(self, transactions: Callable[[], AbstractAsyncContextManager[GhostStores]]) -> None:
        self._transactions: Final = transactions
        self._kept: Final[dict[tuple[ClassId, str, str], ClassGhost]] = {}
        self._one_at_a_time: Final = asyncio.Lock()

    async def ghost(self, caller: Caller, class_id: ClassId, who: str) -> ClassGhost:
        """The curve of `who`: "leader", "median", or the number of a member, as text. Raises `ClassNotFound` for whoever was not in
        the class, `GhostNotReady` until it has a final table, `NotFound` for a number that does not stand on it."""
        require_held(caller, may.WATCH_REPLAY)
        async with self._one_at_a_time, self._transactions() as stores:
            live = await stores.classes.by_id(class_id)
            if live is None:
                raise ClassNotFound
            may_know(live, caller, await stores.classes.membership(class_id, caller.account_id))
            table = await stores.classes.summary(class_id)
            if table is None or not live.over:
                raise GhostNotReady
            key = (class_id, who, table)
            found = self._kept.pop(key, None) or await _made(stores, class_id, who, table)
            self._kept[key] = found
            await _looked_at(stores, caller, class_id, who, table)
            while len(self._kept) > MOST_KEPT:
                del self._kept[next(iter(self._kept))]
        return found


async def _made(stores: GhostStores, class_id: ClassId, who: str, table: str) -> ClassGhost:
    standings = msgspec.json.decode(table, type=ClassSummary).standings
    chosen, name = _chosen(standings, who)
    timeline = await stores.timelines.of(class_id)
    by_clock = class_axis(clocks_of(timeline))
    accounts = {each.account_id: each.n for each in await stores.classes.members(class_id)}
    workouts: dict[int, list[WorkoutId]] = {n: [] for n in chosen}
    for account_id, workout_id in await stores.streams.of_class(class_id):
        n = accounts.get(account_id)
        if n in workouts and workout_id not in workouts[n]:
            workouts[n].append(workout_id)
    curves, cut = [], False
    for theirs in workouts.values():
        trace = await _traced(stores, theirs, by_clock)
        curves.append(trace.scores())
        cut = cut or trace.cut
    axis: Axis = "own" if by_clock is None else "class"
    scores = median_of(curves) if who == "median" else curves[0]
    return ClassGhost(class_id, axis, STEP_MS, scores, cut, name)


async def _looked_at(stores: GhostStores, caller: Caller, class_id: ClassId, who: str, table: str) -> None:
    """The audit is told whose curve was shown: one's own is nobody else's business, the median is nobody's."""
    if who == "median":
        return
    ns, _ = _chosen(msgspec.json.decode(table, type=ClassSummary).standings, who)
    for each in await stores.classes.members(class_id):
        if each.n in ns and each.account_id != caller.account_id:
            thing = Thing("class", str(class_id))
            await stores.audit.add(Entry(actor_of(caller), "curve.viewed", each.account_id, thing))


def _chosen(standings: Sequence[ClassStanding], who: str) -> tuple[tuple[int, ...], str | None]:
    """The numbers whose curves it takes, and whose name it has."""
    if not standings:
        raise NotFound("nobody stands on the table of this class")
    ns = [each.n for each in standings]
    if who == "median":
        return spread(ns, MOST_PACED), None
    if who == "leader":
        return (ns[0],), None
    for each in standings:
        if str(each.n) == who:
            return (each.n,), each.name
    raise NotFound("nobody of this number stands on the table of this class")


async def _traced(
    stores: GhostStores, workouts: Sequence[WorkoutId], by_clock: Callable[[int], int] | None
) -> ClassTrace:
    began_ms: int | None = None

    def since_first(at_ms: int) -> int:
        nonlocal began_ms
        began_ms = at_ms if began_ms is None else began_ms
        return at_ms - began_ms

    trace = ClassTrace(by_clock or since_first)
    for workout_id in workouts:
        workout, offset_ms = await stores.workouts.by_id(workout_id), await stores.streams.offset_ms(workout_id)
        if workout is None or workout.verdict == "rejected" or offset_ms is None:
            continue
        samples: list[Sample] = []
        async for page in pages(stores, workout_id):
            samples.extend(page)
        trace.add(samples, workout.physiology.max_hr, offset_ms)
    return trace
