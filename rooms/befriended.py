"""The friends of this node's people, kept right, for whoever filters a board by them (rooms/filtering.py).

They are read when somebody joins a room, so that no beat has to ask, and again when it is said that they have changed
(rooms/doubts.py). That two have parted takes nothing to be read: the word itself takes them apart, before the next board of
whoever hears it, and no answer of the database from before it brings them together again.
"""

from collections.abc import Collection
from typing import Final

from persistence.stores import Transactions
from realtime.node import channel_of_account
from realtime.peer import FriendsChanged
from rooms.doubts import Doubts
from rooms.rooms import Rooms
from services.kernel.clock import Clock
from services.kernel.ids import AccountId


class Befriended:
    """See the module. `gone` are those who were not here when their friends were read last; the next time they are forgotten, so
    that nobody is who is only just coming."""

    def __init__(self, rooms: Rooms, transactions: Transactions, clock: Clock) -> None:
        self._node: Final = rooms.node
        self._friends: Final = rooms.friends
        self._transactions: Final = transactions
        self.gone: Final[set[AccountId]] = set()
        self._doubts: Final = Doubts("befriended", self._read, self._friends.accounts, clock)
        rooms.node.listen(FriendsChanged, lambda _, changed: self._heard(changed))
        rooms.node.on_gap(self._gap)

    async def run(self) -> None:
        """Read what is in doubt, until cancelled."""
        await self._doubts.run()

    async def met(self, one: AccountId, other: AccountId) -> None:
        """These two are friends now, and that is stored: boards show it soon."""
        for account_id in (one, other):
            self._tell(FriendsChanged(account_id))

    async def parted(self, one: AccountId, other: AccountId) -> None:
        """These two are friends no more, if they were, and that is stored: here it holds when this returns."""
        for account_id, friend_id in ((one, other), (other, one)):
            self._tell(FriendsChanged(account_id, parted=friend_id))

    def _tell(self, changed: FriendsChanged) -> None:
        self._node.publish(channel_of_account(changed.account_id), changed)
        self._heard(changed)

    def _heard(self, changed: FriendsChanged) -> None:
        if changed.parted is not None:
            self._friends.part(changed.account_id, changed.parted)
        if changed.account_id in self._friends:
            self._doubts.doubt((changed.account_id,))

    def _gap(self, channels: tuple[str, ...]) -> None:
        began = set(channels)
        self._doubts.doubt(one for one in self._friends.accounts() if channel_of_account(one) in began)

    async def _read(self, account_ids: Collection[AccountId]) -> None:
        """Bring the friends of these accounts up to what is stored; forget whoever was not here this time and the last. Raises
        `Unavailable`."""
        mark = self._friends.mark()
        here = {one for one in account_ids if self._node.count(channel_of_account(one))}
        async with self._transactions() as stores:
            stored = await stores.friends.of(here)
        unsure = [one for one, friends in stored.items() if not self._friends.know(one, friends, mark)]
        self._doubts.doubt(unsure)
        gone = set(account_ids) - here
        for account_id in gone & self.gone:
            self._friends.forget(account_id)
        gone -= self.gone
        self.gone.difference_update(account_ids)
        self.gone.update(gone)
