"""Making summaries anew for a body that has become better known.

A workout is judged by the body of its day as the profile said it then, and keeps that number. Who measures their maximum heart rate
for the first time, or corrects a typing error, may want all of it judged again: this does so, for one workout at a time. The age
is the one of the workout's day; everything else is what the profile says now.

A summary that comes out the same keeps its revision, so doing it again changes nothing. Nobody is told per workout: a thousand
announcements about old workouts would be noise. The end of the task that does this is the news.
"""

from collections.abc import Callable
from datetime import date
from typing import Protocol

from services.kernel.clock import utc
from services.kernel.ids import WorkoutId
from services.training.physiology import ImplausiblePhysiologyError, Physiology
from services.training.summary import WorkoutSummary
from services.training.workouts import Workout, WorkoutStore, tally_of


class JudgedStore(WorkoutStore, Protocol):
    """What this needs of the workouts' store besides what making a summary does."""

    async def judge_by(self, workout_id: WorkoutId, physiology: Physiology) -> None: ...


class JudgedStores(Protocol):
    """The stores of one transaction."""

    @property
    def workouts(self) -> JudgedStore: ...


async def recompute(stores: JudgedStores, workout_id: WorkoutId, body_on: Callable[[date], Physiology]) -> bool:
    """Judge a finished workout by what its owner's profile says now about its day, in the caller's transaction; whether its
    summary is another one.

    The workout stays locked until the commit. One that is gone, or from before its owner's birth, stays as it is.
    """
    workout = await stores.workouts.lock(workout_id)
    body = None if workout is None else _body(workout, body_on)
    if workout is None or body is None:
        return False
    tally = await tally_of(stores, workout_id)
    summary: WorkoutSummary = tally.summary(body)
    if summary == workout.summary and body == workout.physiology:
        return False
    await stores.workouts.judge_by(workout_id, body)
    await stores.workouts.store_summary(workout_id, summary)
    return True


def _body(workout: Workout, body_on: Callable[[date], Physiology]) -> Physiology | None:
    try:
        return body_on(utc(workout.created_at_ms).date())
    except ImplausiblePhysiologyError:
        return None
