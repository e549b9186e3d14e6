"""A room that a client stays in: it keeps the position of the last event and comes back with it.

What a client of one's own has to do for this is on this page. Every positioned event of the room moves the position. On a new
connection `room.join` goes out with `since`: with `recovered`, what was missed is handled like events that come now; without, or
when `room.reset` comes, whatever was derived from events of this room is to be forgotten.
"""

from collections.abc import Callable
from typing import Final

import msgspec

from loadtest.api import Refusal
from loadtest.link import Link, ok_of
from realtime.wire import BY_NAME, RoomJoin, RoomJoined, RoomReset

_OF_ROOMS: Final = tuple(event.name for event in BY_NAME.values() if event.positioned)


class StayingRoom:
    """Made with the reply to the first join; takes part in `link` from then on. `started_anew` is called when events of the
    room may be lost."""

    def __init__(
        self, link: Link, wanted: RoomJoin, joined: RoomJoined, started_anew: Callable[[], None] = lambda: None
    ) -> None:
        self.position: str | None = joined.position
        self.class_id: Final = joined.room.id
        self.recoveries = 0
        self._link: Final = link
        self._wanted: Final = wanted
        self._started_anew: Final = started_anew
        for name in _OF_ROOMS:
            link.on(name, self._moved)
        link.greet(self._join_again)

    async def _join_again(self) -> None:
        wanted = msgspec.structs.replace(self._wanted, since=self.position)
        await self._link.request("room.join", wanted, self._joined_again)

    def _joined_again(self, raw: msgspec.Raw | None) -> None:
        if raw is None:
            return  # lost with its connection: the next one asks again
        try:
            joined = ok_of(raw, RoomJoined, "room.join")
        except Refusal:
            return  # the class is over, or the server is too busy: the next connection asks again
        if joined.recovered:
            self.recoveries += 1
            for event, payload in ((one.event, one.payload) for one in joined.missed):
                self._link.handle_event(event, payload)
        else:
            self._started_anew()
        self.position = joined.position

    def _moved(self, shape: msgspec.Struct) -> None:
        if isinstance(shape, RoomReset):
            if shape.room.id == self.class_id:
                self.position = shape.position
                self._started_anew()
            return
        room = getattr(shape, "class_id", None) or getattr(shape, "id", None)
        if room == self.class_id:
            self.position = getattr(shape, "position", self.position)
