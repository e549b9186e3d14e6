"""Telling a room what its board is ranked by, on every node.

Like who leads the class (hall.py): it is stored already, goes through the room's log, a worker says it once more under the same
key, and a node takes it by the number of the change, whichever way it comes. From then on each node tells the figures that it knows
first-hand in the new metric; those of the others follow with their shares.
"""

from typing import Final

import msgspec
import structlog

from realtime.codec import payload_of
from realtime.frame import Frame
from realtime.position import NOWHERE
from realtime.wire import ClassRankingView
from rooms.room import view_of
from rooms.rooms import Rooms
from services.classes.live_class import LiveClass
from services.kernel.problems import Unavailable

RANKING_EVENT: Final = "class.ranking"

log = structlog.get_logger(__name__)
_decode: Final = msgspec.json.Decoder(ClassRankingView).decode


class Boards:
    """The rooms as `services.classes.rankings.Rankings` sees them."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms: Final = rooms
        rooms.feeds.on_delivered(self._delivered)

    async def ranking_changed(self, live: LiveClass) -> None:
        """See `services.classes.rankings.Boards`."""
        room = self._rooms.get(live.id)
        if room is not None:
            room.take_ranking(live.metric, live.ranking_n)
        try:
            await self._rooms.say(live.id, RANKING_EVENT, said_ranking(live), key=ranking_key(live))
        except Unavailable as problem:
            log.warning("rankings.not_said", class_id=str(live.id), problem=problem.message)

    def _delivered(self, channel: str, frame: Frame) -> None:
        if frame.event != RANKING_EVENT:
            return
        said = _decode(payload_of(frame))
        room = self._rooms.of_channel(channel)
        if room is not None:
            room.take_ranking(said.metric, said.ranking_n)


def said_ranking(live: LiveClass) -> ClassRankingView:
    """What the board of a class is ranked by, for the room's log."""
    return ClassRankingView(**msgspec.structs.asdict(view_of(live)), position=NOWHERE)


def ranking_key(live: LiveClass) -> str:
    """Under which a change of it is said, by whoever is first."""
    return f"{RANKING_EVENT}:{live.ranking_n}"
