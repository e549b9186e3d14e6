"""The chain of an incident in the workers: its steps when their time has come, and telling whoever is connected.

It has a queue of its own, so that nothing waits in front of it: not the summaries of a class of five hundred, not their pushes.
Both facts may come twice: a step knows the revision that it was planned at, and what is told is how the incident stands now.
"""

from collections.abc import Callable
from typing import Final

import structlog

from persistence.stores import Stores
from realtime.codec import event_frame
from realtime.frame import Frame
from services.kernel.clock import Clock
from services.kernel.facts import AnyFact, SafetyIncidentMoved, SafetyStepDue
from services.kernel.ids import AccountId, IncidentId
from services.safety.incident import alert_of, view_of
from services.safety.safety import take_step
from workers.retry import Unprocessable

ToAccount = Callable[[AccountId, Frame], None]
"""Says a frame to all sockets of an account, on whatever node."""

log = structlog.get_logger(__name__)


class SafetyChain:
    """The handler of the queue `safety`."""

    def __init__(self, clock: Clock, to_account: ToAccount) -> None:
        self._clock: Final = clock
        self._to_account: Final = to_account

    async def handle(self, stores: Stores, fact: AnyFact) -> None:
        """Take a step, or tell how an incident stands."""
        match fact:
            case SafetyStepDue(incident_id=incident_id):
                moved = await take_step(stores, fact, self._clock.wall_ms())
                log.info("safety.step", incident=str(incident_id), state=None if moved is None else moved.state)
            case SafetyIncidentMoved(incident_id=incident_id):
                await self._tell(stores, incident_id)
            case _:
                raise Unprocessable(f"safety knows nothing about {type(fact).__name__}")

    async def _tell(self, stores: Stores, incident_id: IncidentId) -> None:
        incident = await stores.safety.by_id(incident_id)
        if incident is None:
            log.info("safety.incident_gone", incident=str(incident_id))
            return
        self._to_account(incident.account_id, event_frame("safety.prompt", view_of(incident)))
        if incident.class_id is None or incident.coach_told_ms is None:
            return
        place = await stores.safety.place(incident.class_id, incident.account_id)
        if place is None:
            return
        frame = event_frame("safety.alert", alert_of(incident, incident.class_id, place.n, place.name))
        for coach_id in place.coaches:
            self._to_account(coach_id, frame)
