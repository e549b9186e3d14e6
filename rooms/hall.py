"""Telling a room who leads its class, sending people out of it and letting them back in, on every node.

What was decided is stored already (services/classes/coaches.py). It goes through the room's log, so every node hears it in
order, and a worker says it once more under the same key, should this node have died in between. A node takes each by the number of
the change, whichever way it comes; where its log could prove nothing, it reads both from the database again (rooms/clocks.py).
"""

from typing import Final

import msgspec
import structlog

from realtime.codec import payload_of
from realtime.frame import Frame
from realtime.position import NOWHERE
from realtime.wire import ClassCoachesView, RoomLetIn, RoomRemoved
from rooms.audience import LET_IN_EVENT, REMOVED_EVENT, said_removed
from rooms.room import view_of
from rooms.rooms import Rooms
from services.classes.live_class import LiveClass
from services.kernel.ids import AccountId, ClassId
from services.kernel.problems import Unavailable

COACHES_EVENT: Final = "class.coaches"

log = structlog.get_logger(__name__)
_decode: Final = msgspec.json.Decoder(ClassCoachesView).decode


class Hall:
    """The rooms as `services.classes.coaches.Coaches` sees them."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms: Final = rooms
        rooms.feeds.on_delivered(self._delivered)

    async def coaches_changed(self, live: LiveClass) -> None:
        """See `services.classes.coaches.Hall`."""
        room = self._rooms.get(live.id)
        if room is not None:
            room.take_coaches(live.coach_id, live.coach_name, live.co_coach_ids, live.coaches_n)
        await self._say(live.id, COACHES_EVENT, said_coaches(live), coaches_key(live))

    async def removed(self, class_id: ClassId, account_id: AccountId, n: int, removals: int) -> None:
        """See `services.classes.coaches.Hall`."""
        await self._move(REMOVED_EVENT, said_removed(class_id, account_id, n, removals))

    async def let_in(self, class_id: ClassId, account_id: AccountId, n: int, removals: int) -> None:
        """See `services.classes.coaches.Hall`."""
        await self._move(LET_IN_EVENT, said_let_in(class_id, account_id, n, removals))

    async def _move(self, event: str, said: RoomRemoved | RoomLetIn) -> None:
        room = self._rooms.get(said.class_id)
        if room is not None:
            room.take_removals(said.account_id, said.removals)
        await self._say(said.class_id, event, said, removal_key(said.account_id, said.removals))

    async def _say(self, class_id: ClassId, event: str, shape: msgspec.Struct, key: str) -> None:
        try:
            await self._rooms.say(class_id, event, shape, key=key)
        except Unavailable as problem:
            log.warning("hall.not_said", class_id=str(class_id), what=event, problem=problem.message)

    def _delivered(self, channel: str, frame: Frame) -> None:
        if frame.event != COACHES_EVENT:
            return
        said = _decode(payload_of(frame))
        room = self._rooms.of_channel(channel)
        if room is not None and said.coach_id is not None:
            room.take_coaches(said.coach_id, said.coach_name, said.co_coach_ids, said.coaches_n)


def said_coaches(live: LiveClass) -> ClassCoachesView:
    """Who leads a class, for the room's log."""
    return ClassCoachesView(**msgspec.structs.asdict(view_of(live)), position=NOWHERE)


def coaches_key(live: LiveClass) -> str:
    """Under which a change of who leads is said, by whoever is first."""
    return f"{COACHES_EVENT}:{live.coaches_n}"


def said_let_in(class_id: ClassId, account_id: AccountId, n: int, removals: int) -> RoomLetIn:
    """That a member who was sent out may come in again, for the room's log."""
    return RoomLetIn(class_id=class_id, n=n, account_id=account_id, removals=removals, position=NOWHERE)


def removal_key(account_id: AccountId, removals: int) -> str:
    """Under which either is said, by whoever is first."""
    return f"{REMOVED_EVENT}:{account_id}:{removals}"
