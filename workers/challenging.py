"""What facts do to challenges: workouts are scored, challenges whose time is over are closed, copies of tables follow.

Scores are kept in the transaction of the handler (services/challenges/scorekeeping.py). The copy in fast memory is another
matter: it is brought up to date by a queue of its own, after the commit, because what is shown must first be true. A copy that
cannot be reached fails no task. Readers notice that it is behind and ask the database, and the next change of that table brings
it up to date whole.
"""

from collections.abc import Callable
from typing import Final

import structlog

from persistence.stores import Stores
from services.challenges.scorekeeping import conclude, score_workout
from services.challenges.tables import HotTable, TableAway, catch_up
from services.kernel.clock import Clock
from services.kernel.facts import (
    AnyFact,
    ChallengeDue,
    ChallengeFinished,
    ChallengeMoved,
    WorkoutJudged,
    WorkoutSummarised,
)
from services.kernel.ids import ChallengeId
from workers.retry import Unprocessable

log = structlog.get_logger(__name__)


class ChallengeFacts:
    """The handlers of both queues. `hot` None: there are no copies. `moved` tells whoever looks at a table that it is another
    one."""

    def __init__(self, clock: Clock, hot: HotTable | None, moved: Callable[[ChallengeId], None]) -> None:
        self._clock: Final = clock
        self._hot: Final = hot
        self._moved: Final = moved

    async def keep_score(self, stores: Stores, fact: AnyFact) -> None:
        """A workout has a summary, or another one, or another verdict; or a time of a challenge has come."""
        match fact:
            case (
                WorkoutSummarised(workout_id=workout_id, account_id=account_id)
                | WorkoutJudged(workout_id=workout_id, account_id=account_id)
            ):
                await score_workout(stores, account_id, workout_id)
            case ChallengeDue(challenge_id=challenge_id):
                if not await conclude(stores, challenge_id, self._clock.wall_ms()):
                    log.info("challenges.closed_before", challenge=str(challenge_id))
            case _:
                raise _unwanted(fact)

    async def keep_tables(self, stores: Stores, fact: AnyFact) -> None:
        """A table is another one: bring its copy up to date, and have those told who look at it."""
        match fact:
            case ChallengeMoved(challenge_id=challenge_id) | ChallengeFinished(challenge_id=challenge_id):
                await self._catch_up(stores, challenge_id)
                self._moved(challenge_id)
            case _:
                raise _unwanted(fact)

    async def _catch_up(self, stores: Stores, challenge_id: ChallengeId) -> None:
        if self._hot is None:
            return
        try:
            done = await catch_up(stores.challenges, self._hot, challenge_id)
        except TableAway as away:
            log.warning("challenges.table_away", challenge=str(challenge_id), problem=str(away))
            return
        if not done:
            await stores.outbox.add(ChallengeMoved(challenge_id), challenge_id)


def _unwanted(fact: AnyFact) -> Unprocessable:
    return Unprocessable(f"this handler knows nothing about {type(fact).__name__}")
