"""What facts do to verdicts: a workout that has a summary is judged, and one that was judged is compared with others.

Comparing is a queue of its own. It costs seconds where somebody looks like somebody else, and nobody's verdict on their own
stream should wait for that. It is told of after the commit, so of two workouts that are judged at the same moment the one that is
compared later sees the other.
"""

from typing import Final

import structlog

from persistence.stores import Stores
from services.fairplay.comparing import compare
from services.fairplay.judging import judge
from services.kernel.clock import Clock
from services.kernel.facts import AnyFact, WorkoutExamined, WorkoutSummarised
from workers.retry import Unprocessable

log = structlog.get_logger(__name__)


class Judging:
    """The handlers of both queues."""

    def __init__(self, clock: Clock) -> None:
        self._clock: Final = clock

    async def judge(self, stores: Stores, fact: AnyFact) -> None:
        """A workout has a summary, or another one."""
        match fact:
            case WorkoutSummarised(workout_id=workout_id):
                if await judge(stores, workout_id, self._clock.wall_ms()) is None:
                    log.info("judging.workout_gone", workout=str(workout_id))
            case _:
                raise _unwanted(fact)

    async def compare(self, stores: Stores, fact: AnyFact) -> None:
        """A workout has other samples than before."""
        match fact:
            case WorkoutExamined(workout_id=workout_id):
                if pairs := await compare(stores, workout_id, self._clock.wall_ms()):
                    log.info("judging.pairs_found", workout=str(workout_id), pairs=pairs)
            case _:
                raise _unwanted(fact)


def _unwanted(fact: AnyFact) -> Unprocessable:
    return Unprocessable(f"this handler knows nothing about {type(fact).__name__}")
