"""How the members of a class have decided to be shown, read again where the word of it may have been lost.

A decision is stored first, then told to the other nodes (`MemberShown`) and repeated in the whole shares of the node that took it,
for as long as that node has the room (rooms/rooms.py). Whoever hears nothing for longer than that would go on showing somebody who
does not want it; so what a gap carried is in doubt, and everything is every half minute (rooms/doubts.py).
"""

from collections.abc import Collection
from typing import Final

from persistence.stores import Transactions
from rooms.doubts import Doubts
from rooms.rooms import Rooms
from services.kernel.clock import Clock
from services.kernel.ids import ClassId


class Deciding:
    """See the module."""

    def __init__(self, rooms: Rooms, transactions: Transactions, clock: Clock) -> None:
        self._rooms: Final = rooms
        self._transactions: Final = transactions
        self._doubts: Final = Doubts("deciding", self._read, rooms.loaded, clock)
        rooms.node.on_gap(self._gap)

    async def run(self) -> None:
        """Read what is in doubt, until cancelled."""
        await self._doubts.run()

    def _gap(self, channels: tuple[str, ...]) -> None:
        rooms = map(self._rooms.of_channel, channels)
        self._doubts.doubt(room.live.id for room in rooms if room is not None)

    async def _read(self, class_ids: Collection[ClassId]) -> None:
        """Bring these rooms up to what is stored. Raises `Unavailable`."""
        async with self._transactions() as stores:
            decided = await stores.showings.decided(class_ids)
        for class_id, showings in decided.items():
            if (room := self._rooms.get(class_id)) is not None:
                self._rooms.show(room, showings)
