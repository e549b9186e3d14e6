"""Classes by the clock: the doors of those that were offered open, those without a coach end, and series offer what comes next."""

from typing import Final

import structlog

from persistence.stores import Stores
from services.classes.offers import open_doors
from services.classes.on_demands import end_by_clock
from services.classes.recurring import grow
from services.kernel.clock import Clock
from services.kernel.facts import AnyFact, ClassDoorsDue, ClassEndDue
from services.kernel.ids import Ids
from services.schedule.jobs import Tick
from workers.retry import Unprocessable

SERIES_BITE: Final = 20
"""Series of one transaction: each offers some thirty classes when it was never looked at for a month, and one or none a day."""

log = structlog.get_logger(__name__)


class ClassDoors:
    """The handler of the queue `class-doors`."""

    def __init__(self, clock: Clock) -> None:
        self._clock: Final = clock

    async def open(self, stores: Stores, fact: AnyFact) -> None:
        """The doors of a class are due: make it a live class, unless it was called off or put off since. Or a class without a coach
        is to end by itself, unless its clock has moved since."""
        match fact:
            case ClassDoorsDue(class_id=class_id):
                if await open_doors(stores, class_id, self._clock.wall_ms()) is None:
                    log.info("class_doors.not_due", class_id=str(class_id))
            case ClassEndDue(class_id=class_id):
                if not await end_by_clock(stores, class_id, self._clock.wall_ms()):
                    log.info("class_doors.not_over", class_id=str(class_id))
            case _:
                raise Unprocessable(f"no doors open for {type(fact).__name__}")


class SeriesUpkeep:
    """The job `extend-series`."""

    def __init__(self, clock: Clock, ids: Ids) -> None:
        self._clock: Final = clock
        self._ids: Final = ids

    async def extend(self, stores: Stores, _: Tick) -> int:
        """Offer the next classes of those that come again."""
        return await grow(stores, self._ids, self._clock.wall_ms(), SERIES_BITE)
