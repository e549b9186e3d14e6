"""The long task `recompute_workouts`: all summaries of an account anew, oldest first, one workout per step.

What it does to one is services/training/recomputing.py; a workout that comes out differently is judged anew, too, because one rule
of fair play measures by the own maximum. The checkpoint is the last workout that is done; one that is finished while
this runs was judged by the present profile anyway, and is looked at like the others.
"""

from datetime import UTC, datetime, time
from functools import partial
from typing import Final

import msgspec

from persistence.stores import Stores
from services.accounts.vital import physiology_on
from services.fairplay.judging import judge
from services.kernel.clock import Clock
from services.kernel.ids import WorkoutId
from services.tasks.task import AnyWork, RecomputeWorkouts, Step, Task, TaskResult
from services.training.recomputing import recompute
from workers.retry import Unprocessable


class _Place(msgspec.Struct, frozen=True):
    """Where it is: the last workout that is done, how many those are, and how many of them have another summary."""

    total: int
    after: WorkoutId | None = None
    done: int = 0
    changed: int = 0


class RecomputeKind:
    """See `workers.long_tasks.Kind`."""

    work: Final[type[AnyWork]] = RecomputeWorkouts
    concurrency: Final = 2

    def __init__(self, clock: Clock) -> None:
        self._clock: Final = clock

    async def step(self, stores: Stores, task: Task) -> Step:
        """One workout."""
        if not isinstance(task.work, RecomputeWorkouts):
            raise TypeError(f"this recomputes workouts, it does not {task.kind}")
        account = await stores.accounts.by_id(task.account_id)
        if account is None:
            raise Unprocessable("the account is gone")
        since = None if task.work.since is None else datetime.combine(task.work.since, time(), UTC)
        if task.checkpoint is None:
            place = _Place(await stores.workouts.count_finished(account.id, since))
        else:
            place = msgspec.json.decode(task.checkpoint, type=_Place)
        body = partial(physiology_on, account.profile, await stores.vitals.of(account.id))
        following = await stores.workouts.following(account.id, after=place.after, since=since, limit=1)
        for workout in following:
            changed = await recompute(stores, workout.id, body)
            if (
                changed and await stores.verdicts.examined(workout.id) is not None
            ):  # else it will be, for the first time
                await judge(stores, workout.id, self._clock.wall_ms())
            place = _Place(place.total, workout.id, place.done + 1, place.changed + changed)
        return Step(
            checkpoint=msgspec.json.encode(place).decode(),
            done=place.done,
            total=max(place.total, place.done),
            note="workouts",
            result=None if following else TaskResult(changed=place.changed),
        )

    async def clean(self, task: Task) -> None:
        """What was made anew stays; there is nothing else."""
