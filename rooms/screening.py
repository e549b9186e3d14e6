"""The blocks of this node's people, kept right, and kept to in everything that comes out of a room's log.

They are read when somebody joins a room, before they hear anything, and again when it is said that they have changed
(rooms/doubts.py). What is kept from whom is decided in rooms/screen.py.
"""

from collections.abc import Collection
from typing import Final

from persistence.stores import Transactions
from realtime.connection import Connection
from realtime.frame import Frame
from realtime.node import channel_of_account
from realtime.peer import BlocksChanged
from rooms.doubts import Doubts
from rooms.room import Room
from rooms.rooms import Rooms
from rooms.screen import CHAT_EVENT, author_of
from services.kernel.clock import Clock
from services.kernel.ids import AccountId
from services.kernel.problems import Unavailable


class Screening:
    """See the module. `gone` are those who were not here when their blocks were read last; the next time they are forgotten, so
    that nobody is who is only just coming."""

    def __init__(self, rooms: Rooms, transactions: Transactions, clock: Clock) -> None:
        self._rooms: Final = rooms
        self._screen: Final = rooms.screen
        self._transactions: Final = transactions
        self.gone: Final[set[AccountId]] = set()
        self._doubts: Final = Doubts("screening", self._read, self._screen.accounts, clock)
        rooms.withheld_from = self._withheld_from
        rooms.node.listen(BlocksChanged, lambda _, changed: self._doubts.doubt((changed.account_id,)))
        rooms.node.on_gap(self._gap)

    async def run(self) -> None:
        """Read what is in doubt, until cancelled."""
        await self._doubts.run()

    async def changed(self, account_id: AccountId) -> None:
        """The blocks of an account are others now, and stored: what is said from now on keeps to them, here when this returns."""
        self._rooms.node.publish(channel_of_account(account_id), BlocksChanged(account_id))
        try:
            await self._read((account_id,))
        except Unavailable:
            self._doubts.doubt((account_id,))

    def without(self, room: Room, authors: Collection[AccountId | None]) -> set[Connection]:
        """The connections to a room on this node of whoever has blocked one of these authors."""
        if self._screen.blank:
            return set()
        blockers = {account_id for author in authors for account_id in self._screen.blockers(author)}
        return {connection for account_id in blockers for connection in self._connections(room, account_id)}

    def _withheld_from(self, room: Room, frame: Frame) -> Collection[Connection]:
        if frame.event != CHAT_EVENT or self._screen.blank:
            return ()
        return self.without(room, (author_of(room, frame),))

    def _connections(self, room: Room, account_id: AccountId) -> list[Connection]:
        found = map(self._rooms.node.hub.get, room.connections_of(account_id))
        return [connection for connection in found if connection is not None]

    def _gap(self, channels: tuple[str, ...]) -> None:
        began = set(channels)
        self._doubts.doubt(one for one in self._screen.accounts() if channel_of_account(one) in began)

    async def _read(self, account_ids: Collection[AccountId]) -> None:
        """Bring the blocks of these accounts up to what is stored; forget whoever was not here this time and the last. Raises
        `Unavailable`."""
        here = {one for one in account_ids if self._rooms.node.count(channel_of_account(one))}
        async with self._transactions() as stores:
            stored = await stores.blocks.of(here)
        for account_id, blocked in stored.items():
            self._screen.know(account_id, blocked)
        gone = set(account_ids) - here
        for account_id in gone & self.gone:
            self._screen.forget(account_id)
        gone -= self.gone
        self.gone.difference_update(account_ids)
        self.gone.update(gone)
