"""What is told of verdicts: to the owner of a workout that another one stands, to whoever may rule that there is an appeal
(workers/notifying.py tells it).

The case is read as it is now, so of two facts that come late and in the wrong order both say what stands.
"""

from persistence.stores import Stores
from services.fairplay.case import appeal_until_ms, waits_for
from services.fairplay.judging import found
from services.fairplay.verdicts import MOST_REVIEWERS
from services.kernel.ids import WorkoutId
from services.notifications.content import AppealContent, VerdictContent
from services.notifications.telling import News


async def verdict(stores: Stores, workout_id: WorkoutId) -> list[News]:
    """For the owner of a workout; nobody when it is gone."""
    workout = await stores.workouts.by_id(workout_id)
    if workout is None:
        return []
    findings, steps = await found(stores.verdicts, workout_id), await stores.verdicts.steps(workout_id)
    said = next((step for step in reversed(steps) if step.kind != "appealed"), None)
    by_person = said is not None and said.kind == "ruled"
    content = VerdictContent(
        workout_id=workout_id,
        sport=workout.sport,
        started_at_ms=workout.created_at_ms,
        verdict=workout.verdict,
        rule=findings[0].rule if findings else "",
        by_person=by_person,
        reason=said.text if said is not None and by_person else "",
        appeal_until_ms=appeal_until_ms(steps),
    )
    return [News(workout.account_id, content, str(workout_id))]


async def appeal(stores: Stores, workout_id: WorkoutId) -> list[News]:
    """For all who may decide on an appeal; nobody when somebody has, or the workout is gone."""
    workout = await stores.workouts.by_id(workout_id)
    if workout is None or waits_for(await stores.verdicts.steps(workout_id)) != "appeal":
        return []
    owner = await stores.accounts.by_id(workout.account_id)
    if owner is None:
        return []
    content = AppealContent(workout_id, owner.name, workout.sport, workout.created_at_ms)
    return [
        News(reviewer, content, str(workout_id))
        for reviewer in await stores.verdicts.reviewers(workout_id, MOST_REVIEWERS)
    ]
