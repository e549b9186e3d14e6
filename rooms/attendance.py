"""Who is in the rooms of classes, over all nodes, for somebody who is in none of them (services/classes/overseeing.py)."""

from collections.abc import Sequence
from typing import Final

import structlog

from realtime.register import Onlooker, RegisterAway, Seen
from rooms.room import channel_of
from services.classes.overseeing import There
from services.kernel.ids import ClassId

log = structlog.get_logger(__name__)


class Attendance:
    """See the module and `services.classes.overseeing.Attendance`."""

    def __init__(self, register: Onlooker) -> None:
        self._register: Final = register

    async def counts(self, class_ids: Sequence[ClassId]) -> list[int | None]:
        """How many people are in each."""
        found = await self._register.look([channel_of(class_id) for class_id in class_ids])
        return [None if seen is None else seen.count for seen in map(_known, found)]

    async def there(self, class_id: ClassId) -> There | None:
        """Who is in one, and through which nodes."""
        (found,) = await self._register.look([channel_of(class_id)], names=True)
        seen = _known(found)
        return None if seen is None else seen.people


def _known(found: Seen | RegisterAway) -> Seen | None:
    if isinstance(found, RegisterAway):
        log.warning("attendance.register_away", trouble=str(found))
        return None
    return found
