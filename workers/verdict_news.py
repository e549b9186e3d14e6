"""What somebody is told of a verdict on their workout, from the fact that it is another one (workers/notifying.py tells it).

The case is read as it is now, so of two facts that come late and in the wrong order both say what stands.
"""

from persistence.stores import Stores
from services.fairplay.case import appeal_until_ms
from services.fairplay.judging import found
from services.kernel.ids import WorkoutId
from services.notifications.content import VerdictContent
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
