"""Workouts as their owner sees them: the list, one with its summary, its samples; and making the summary.

Only the owner may read; for everybody else a workout does not exist. `summarise` runs in the transaction of whoever
calls it, because storing a summary and noting that its fact is handled must be one commit.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Final, Protocol
from uuid import UUID

import msgspec

from services.access import permission as may
from services.access.policy import require_held
from services.kernel.caller import Caller
from services.kernel.facts import AnyFact, WorkoutSummarised
from services.kernel.ids import AccountId, ClassId, FactId, WorkoutId
from services.kernel.problems import GhostNotReady, NotFound
from services.training.ghost import STEP_MS, Ghost, GhostTrace
from services.training.physiology import Physiology
from services.training.plausibility import Verdict
from services.training.sample import Sample
from services.training.summary import WorkoutSummary, WorkoutTally

MAX_PAGE: Final = 100
"""Workouts in one page of a list."""
MAX_SAMPLES_PAGE: Final = 10_000
"""Samples in one page: three hours at 1 Hz, about 200 KB of JSON."""
READ_AT_ONCE: Final = 500
"""Samples read and taken into a summary between two turns of the event loop. Bounds the memory, and what the sockets of
the same process feel. On the loop and not in a thread, because a busy thread makes every socket operation wait up to
5 ms for the interpreter, while a page makes one of them wait, once."""


class Workout(msgspec.Struct, frozen=True):
    """A workout as stored. Times are wall clock, ms since 1970; `finished_at_ms` None while it is live.

    `physiology` is the body of that day. `revision` counts the summaries made, 0 for none yet, and the changes of `verdict`: what
    stands of it by fair play, "accepted" also while it was not judged (services/fairplay/).
    """

    id: WorkoutId
    account_id: AccountId
    class_id: ClassId | None
    sport: str
    physiology: Physiology
    created_at_ms: int
    finished_at_ms: int | None
    revision: int
    summary: WorkoutSummary | None
    verdict: Verdict = "accepted"


class WorkoutView(msgspec.Struct, frozen=True):
    """A workout as its owner sees it. Times are ms since 1970; `finished_at_ms` is null while it is live, `summary`
    until it is made. `revision` grows when late samples changed the summary, and with `verdict`: whether it counts (`accepted`),
    counts and is marked (`flagged`), or does not count (`rejected`)."""

    id: WorkoutId
    class_id: ClassId | None
    sport: str
    created_at_ms: int
    finished_at_ms: int | None
    revision: int
    summary: WorkoutSummary | None
    verdict: Verdict = "accepted"


class WorkoutStore(Protocol):
    """What this needs of the workouts' store (persistence/workouts.py)."""

    async def by_id(self, workout_id: WorkoutId) -> Workout | None: ...
    async def lock(self, workout_id: WorkoutId) -> Workout | None: ...
    async def of_account(self, account_id: AccountId, *, before: WorkoutId | None, limit: int) -> list[Workout]: ...
    async def store_summary(self, workout_id: WorkoutId, summary: WorkoutSummary) -> int: ...
    async def samples(self, workout_id: WorkoutId, from_seq: int, limit: int) -> list[Sample]: ...


class OutboxStore(Protocol):
    """Where facts are told."""

    async def add(self, fact: AnyFact, aggregate_id: UUID) -> FactId: ...


class SampleStore(Protocol):
    """Where the samples of workouts are read (persistence/workouts.py)."""

    async def samples(self, workout_id: WorkoutId, from_seq: int, limit: int) -> list[Sample]: ...


class SampledStores(Protocol):
    """The stores of one transaction, for reading samples."""

    @property
    def workouts(self) -> SampleStore: ...


class WorkoutStores(Protocol):
    """The stores of one transaction, for reading."""

    @property
    def workouts(self) -> WorkoutStore: ...


class SummaryStores(WorkoutStores, Protocol):
    """The stores of one transaction, for making a summary."""

    @property
    def outbox(self) -> OutboxStore: ...


class Workouts:
    """The use cases of a workout's owner."""

    def __init__(self, transactions: Callable[[], AbstractAsyncContextManager[WorkoutStores]]) -> None:
        self._transactions: Final = transactions

    async def of_account(
        self, caller: Caller, before: WorkoutId | None = None, limit: int = MAX_PAGE
    ) -> tuple[WorkoutView, ...]:
        """The caller's own workouts, newest first, at most `MAX_PAGE`; `before` is the last one already seen."""
        require_held(caller, may.READ_WORKOUTS)
        limit = min(max(limit, 1), MAX_PAGE)
        async with self._transactions() as stores:
            found = await stores.workouts.of_account(caller.account_id, before=before, limit=limit)
        return tuple(view_of(workout) for workout in found)

    async def by_id(self, caller: Caller, workout_id: WorkoutId) -> WorkoutView:
        """One of the caller's own workouts. Raises `NotFound` for any other."""
        async with self._transactions() as stores:
            return view_of(await _own(stores, caller, workout_id))

    async def samples(
        self, caller: Caller, workout_id: WorkoutId, from_seq: int = 0, limit: int = MAX_SAMPLES_PAGE
    ) -> tuple[Sample, ...]:
        """Samples of one of the caller's own workouts from number `from_seq` on, at most `MAX_SAMPLES_PAGE`; none is the
        end. Raises `NotFound` for anybody else's."""
        limit = min(max(limit, 1), MAX_SAMPLES_PAGE)
        async with self._transactions() as stores:
            await _own(stores, caller, workout_id)
            return tuple(await stores.workouts.samples(workout_id, max(from_seq, 0), limit))

    async def ghost(self, caller: Caller, workout_id: WorkoutId) -> Ghost:
        """How the score of one of the caller's own workouts grew. Raises `NotFound` for anybody else's, `GhostNotReady` for one
        that is not finished and summarised."""
        async with self._transactions() as stores:
            workout = await _own(stores, caller, workout_id)
            if workout.finished_at_ms is None or workout.summary is None:
                raise GhostNotReady
            trace = GhostTrace(workout.physiology.max_hr)
            async for page in pages(stores, workout_id):
                for sample in page:
                    trace.add(sample)
                if trace.cut:
                    break
        return Ghost(workout_id, workout.revision, STEP_MS, trace.scores(), trace.cut)


async def summarise(stores: SummaryStores, workout_id: WorkoutId) -> int | None:
    """Make a workout's summary from all samples stored so far, store it and tell so, in the caller's transaction.

    Returns the new revision, or None when the workout is gone. The workout stays locked until the commit: of two
    summaries made at once, the later one sees everything the earlier one saw.
    """
    workout = await stores.workouts.lock(workout_id)
    if workout is None:
        return None
    tally = await tally_of(stores, workout_id)
    revision = await stores.workouts.store_summary(workout_id, tally.summary(workout.physiology))
    await stores.outbox.add(WorkoutSummarised(workout_id=workout_id, account_id=workout.account_id), workout_id)
    return revision


async def tally_of(stores: WorkoutStores, workout_id: WorkoutId) -> WorkoutTally:
    """All samples of a workout stored so far, taken together."""
    tally = WorkoutTally()
    async for page in pages(stores, workout_id):
        for sample in page:
            tally.add(sample)
    return tally


async def pages(stores: SampledStores, workout_id: WorkoutId) -> AsyncIterator[Sequence[Sample]]:
    """All samples of a workout stored so far, a turn of the loop after each page."""
    position = 0
    while page := await stores.workouts.samples(workout_id, position, READ_AT_ONCE):
        position += len(page)
        yield page
        await asyncio.sleep(0)


def view_of(workout: Workout) -> WorkoutView:
    """A workout as its owner sees it."""
    return WorkoutView(
        id=workout.id,
        class_id=workout.class_id,
        sport=workout.sport,
        created_at_ms=workout.created_at_ms,
        finished_at_ms=workout.finished_at_ms,
        revision=workout.revision,
        summary=workout.summary,
        verdict=workout.verdict,
    )


async def _own(stores: WorkoutStores, caller: Caller, workout_id: WorkoutId) -> Workout:
    require_held(caller, may.READ_WORKOUTS)
    workout = await stores.workouts.by_id(workout_id)
    if workout is None or workout.account_id != caller.account_id:
        raise NotFound("you have no workout with this id")
    return workout
