"""Blocks: whom somebody does not want to hear, in any room, ever.

A block is one person's own business. Whoever is blocked is not told, gets the same answers as before and speaks to everybody else;
what they say and send does not reach whoever blocked them, on whatever node, live or afterwards (rooms/screening.py). Two of whom
one has blocked the other are no friends, and become none (friends.py).
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Final, Protocol

import msgspec

from services.access import permission as may
from services.access.policy import require_held
from services.kernel.caller import Caller
from services.kernel.clock import Clock, utc
from services.kernel.ids import AccountId
from services.kernel.problems import BadShape, NotFound, TooManyBlocks
from services.social.friends import Circles

MAX_BLOCKS: Final = 1_000
"""People whom one account may block. Full means: unblock somebody first."""


class BlockView(msgspec.Struct, frozen=True):
    """Somebody whom you do not hear, since `blocked_at_ms`."""

    account_id: AccountId
    name: str
    blocked_at_ms: int


class BlockStore(Protocol):
    """See persistence/blocks.py."""

    async def has(self, account_id: AccountId, blocked_id: AccountId) -> bool: ...
    async def count(self, account_id: AccountId) -> int: ...
    async def add(self, account_id: AccountId, blocked_id: AccountId, at: datetime) -> bool: ...
    async def remove(self, account_id: AccountId, blocked_id: AccountId) -> None: ...
    async def views(self, account_id: AccountId) -> Sequence[BlockView]: ...


class FriendStore(Protocol):
    """What this needs of the friends' store (persistence/friends.py)."""

    async def lock(self, one: AccountId, other: AccountId) -> None: ...
    async def sever(self, account_id: AccountId, blocked_id: AccountId) -> None: ...


class BlockStores(Protocol):
    """The stores of one transaction."""

    @property
    def blocks(self) -> BlockStore: ...
    @property
    def friends(self) -> FriendStore: ...


class Screens(Protocol):
    """What keeps the blocked away from live screens."""

    async def changed(self, account_id: AccountId) -> None:
        """The blocks of an account are others now, and stored. Raises nothing: every node reads them again by itself."""
        ...


class Blocks:
    """The use cases. All of them refuse a display: nobody stands behind it."""

    def __init__(
        self,
        transactions: Callable[[], AbstractAsyncContextManager[BlockStores]],
        clock: Clock,
        screens: Screens,
        circles: Circles,
    ) -> None:
        self._transactions: Final = transactions
        self._clock: Final = clock
        self._screens: Final = screens
        self._circles: Final = circles

    async def block(self, caller: Caller, blocked_id: AccountId) -> None:
        """Hear somebody no more, and be no friend of theirs. Again changes nothing. Raises `BadShape` for oneself, `NotFound` when
        there is no such account, `TooManyBlocks`."""
        require_held(caller, may.USE_BLOCKS)
        if blocked_id == caller.account_id:
            raise BadShape("you cannot block yourself", path="path.account")
        async with self._transactions() as stores:
            await stores.friends.lock(caller.account_id, blocked_id)
            if await stores.blocks.has(caller.account_id, blocked_id):
                return
            if await stores.blocks.count(caller.account_id) >= MAX_BLOCKS:
                raise TooManyBlocks(limit=MAX_BLOCKS)
            if not await stores.blocks.add(caller.account_id, blocked_id, utc(self._clock.wall_ms())):
                raise NotFound("there is no such account")
            await stores.friends.sever(caller.account_id, blocked_id)
        await self._circles.parted(caller.account_id, blocked_id)
        await self._screens.changed(caller.account_id)

    async def unblock(self, caller: Caller, blocked_id: AccountId) -> None:
        """Hear somebody again. Somebody who was not blocked is fine, too."""
        require_held(caller, may.USE_BLOCKS)
        async with self._transactions() as stores:
            await stores.blocks.remove(caller.account_id, blocked_id)
        await self._screens.changed(caller.account_id)

    async def own(self, caller: Caller) -> Sequence[BlockView]:
        """Everybody whom the caller has blocked, the newest first."""
        require_held(caller, may.USE_BLOCKS)
        async with self._transactions() as stores:
            return await stores.blocks.views(caller.account_id)
