"""Friends as people use them: ask, answer, take back, part; and who they are.

Each change of a pair is made under the lock of both accounts, so of two who ask each other at once the second finds the request of
the first. What a request looks like to whom: `friend.py`. A block ends everything between two people (`sever`) and keeps it from
beginning (services/social/blocks.py).
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Final, Protocol
from uuid import UUID

import msgspec

from services.access import permission as may
from services.access.policy import require_held
from services.classes.plain_text import one_line
from services.kernel.caller import Caller
from services.kernel.clock import Clock, utc
from services.kernel.facts import AnyFact, FriendAsked, FriendsMade
from services.kernel.ids import AccountId, FactId
from services.kernel.problems import BadShape, NotFound, YouBlocked
from services.social.friend import (
    LIFE_MS,
    MAX_SHOWN,
    Request,
    State,
    asked_again,
    is_meant,
    is_over,
    require_may_ask,
    require_room,
)


class FriendView(msgspec.Struct, frozen=True):
    """A friend of yours, since `since_ms`."""

    account_id: AccountId
    name: str
    since_ms: int


class AskedView(msgspec.Struct, frozen=True):
    """Somebody whom you have asked; `called` is what you call them. Until `until_ms` they may say yes."""

    account_id: AccountId
    called: str
    asked_at_ms: int
    until_ms: int


class AskingView(msgspec.Struct, frozen=True):
    """Somebody who asks you."""

    account_id: AccountId
    name: str
    asked_at_ms: int


class Circle(msgspec.Struct, frozen=True):
    """Your friends, by name; whom you have asked, the newest first; who asks you, the oldest first."""

    friends: tuple[FriendView, ...]
    asked: tuple[AskedView, ...]
    asking: tuple[AskingView, ...]


class FriendStore(Protocol):
    """See persistence/friends.py."""

    async def lock(self, one: AccountId, other: AccountId) -> None: ...
    async def since(self, one: AccountId, other: AccountId) -> int | None: ...
    async def count(self, account_id: AccountId) -> int: ...
    async def befriend(self, one: AccountId, other: AccountId, at: datetime) -> None: ...
    async def part(self, one: AccountId, other: AccountId) -> bool: ...
    async def request(self, asker_id: AccountId, asked_id: AccountId) -> Request | None: ...
    async def count_asked(self, asker_id: AccountId, since: datetime) -> int: ...
    async def put(self, request: Request) -> None: ...
    async def withdraw(self, asker_id: AccountId, asked_id: AccountId) -> None: ...
    async def unwanted(self, asker_id: AccountId, asked_id: AccountId) -> None: ...
    async def views(self, account_id: AccountId) -> Sequence[FriendView]: ...
    async def asked_by(self, account_id: AccountId, since: datetime) -> Sequence[Request]: ...
    async def asking(self, account_id: AccountId, since: datetime, limit: int) -> Sequence[AskingView]: ...


class BlockStore(Protocol):
    """What this needs of the blocks' store."""

    async def has(self, account_id: AccountId, blocked_id: AccountId) -> bool: ...


class OutboxStore(Protocol):
    """Where facts are told."""

    async def add(self, fact: AnyFact, aggregate_id: UUID) -> FactId: ...


class FriendStores(Protocol):
    """The stores of one transaction."""

    @property
    def friends(self) -> FriendStore: ...
    @property
    def blocks(self) -> BlockStore: ...
    @property
    def outbox(self) -> OutboxStore: ...


class Circles(Protocol):
    """What keeps live screens right about who is friends with whom."""

    async def met(self, one: AccountId, other: AccountId) -> None:
        """These two are friends now, and that is stored. Raises nothing."""
        ...

    async def parted(self, one: AccountId, other: AccountId) -> None:
        """These two are friends no more, if they were, and that is stored. Raises nothing."""
        ...


class Friends:
    """The use cases. All of them refuse a display: nobody stands behind it."""

    def __init__(
        self, transactions: Callable[[], AbstractAsyncContextManager[FriendStores]], clock: Clock, circles: Circles
    ) -> None:
        self._transactions: Final = transactions
        self._clock: Final = clock
        self._circles: Final = circles

    async def ask(self, caller: Caller, other_id: AccountId, called: str) -> State:
        """Ask somebody to be friends; it is done at once where they have asked, too. Again changes nothing.

        The answer is the same for who has blocked the caller, has declined, or does not exist. Raises `BadShape` for oneself and
        for a `called` in which nothing can be read, `YouBlocked`, `TooManyFriends`, `TooManyFriendRequests`.
        """
        require_held(caller, may.USE_FRIENDS)
        me, called = caller.account_id, one_line(called, path="$.called")
        if other_id == me:
            raise BadShape("you cannot be your own friend", path="path.account")
        async with self._transactions() as stores:
            await stores.friends.lock(me, other_id)
            if await stores.friends.since(me, other_id) is not None:
                return "friends"
            if await stores.blocks.has(me, other_id):
                raise YouBlocked
            if await self._says_yes_too(stores, me, other_id):
                await self._befriend(stores, asker_id=other_id, asked_id=me)
            else:
                await self._request(stores, me, other_id, called)
                return "asked"
        await self._circles.met(me, other_id)
        return "friends"

    async def accept(self, caller: Caller, asker_id: AccountId) -> None:
        """Say yes to somebody who asks, also after having said no. Again changes nothing. Raises `NotFound` where they do not ask
        (any more), `YouBlocked`, `TooManyFriends`."""
        require_held(caller, may.USE_FRIENDS)
        me = caller.account_id
        async with self._transactions() as stores:
            await stores.friends.lock(me, asker_id)
            if await stores.friends.since(me, asker_id) is not None:
                return
            if await stores.blocks.has(me, asker_id):
                raise YouBlocked
            if not await self._says_yes_too(stores, me, asker_id):
                raise NotFound("nobody of this account asks to be your friend")
            await self._befriend(stores, asker_id=asker_id, asked_id=me)
        await self._circles.met(me, asker_id)

    async def decline(self, caller: Caller, asker_id: AccountId) -> None:
        """Not hear of a request any more. Whoever asked is not told. A request that there is not is fine, too."""
        require_held(caller, may.USE_FRIENDS)
        async with self._transactions() as stores:
            await stores.friends.lock(caller.account_id, asker_id)
            await stores.friends.unwanted(asker_id, caller.account_id)

    async def withdraw(self, caller: Caller, asked_id: AccountId) -> None:
        """Take back what one has asked. A request that there is not is fine, too."""
        require_held(caller, may.USE_FRIENDS)
        async with self._transactions() as stores:
            await stores.friends.lock(caller.account_id, asked_id)
            await stores.friends.withdraw(caller.account_id, asked_id)

    async def part(self, caller: Caller, friend_id: AccountId) -> None:
        """Be friends no more. The other is not told; their list is shorter. Somebody who was none is fine, too."""
        require_held(caller, may.USE_FRIENDS)
        async with self._transactions() as stores:
            await stores.friends.lock(caller.account_id, friend_id)
            if not await stores.friends.part(caller.account_id, friend_id):
                return
        await self._circles.parted(caller.account_id, friend_id)

    async def own(self, caller: Caller) -> Circle:
        """The caller's friends and open requests."""
        require_held(caller, may.USE_FRIENDS)
        me, since = caller.account_id, utc(self._clock.wall_ms() - LIFE_MS)
        async with self._transactions() as stores:
            friends = await stores.friends.views(me)
            asked = await stores.friends.asked_by(me, since)
            asking = await stores.friends.asking(me, since, MAX_SHOWN)
        return Circle(
            friends=tuple(friends),
            asked=tuple(
                AskedView(one.asked_id, one.called, one.asked_ms, one.asked_ms + LIFE_MS)
                for one in asked
                if not one.withdrawn
            ),
            asking=tuple(asking),
        )

    async def _says_yes_too(self, stores: FriendStores, me: AccountId, other_id: AccountId) -> bool:
        """Whether the other wants to be friends and has not blocked the caller."""
        theirs = await stores.friends.request(other_id, me)
        return is_meant(theirs, self._clock.wall_ms()) and not await stores.blocks.has(other_id, me)

    async def _request(self, stores: FriendStores, me: AccountId, other_id: AccountId, called: str) -> None:
        now_ms = self._clock.wall_ms()
        mine = await stores.friends.request(me, other_id)
        blocked = await stores.blocks.has(other_id, me)
        if mine is not None and not is_over(mine, now_ms):
            await stores.friends.put(asked_again(mine, called, unwanted=blocked))
            return
        asked = await stores.friends.count_asked(me, utc(now_ms - LIFE_MS))
        require_may_ask(await stores.friends.count(me), asked)
        await stores.friends.put(Request(me, other_id, called, now_ms, unwanted=blocked))
        # Also where it is unwanted: what an answer costs tells nothing either. Whoever tells it looks first.
        await stores.outbox.add(FriendAsked(asker_id=me, asked_id=other_id), other_id)

    async def _befriend(self, stores: FriendStores, *, asker_id: AccountId, asked_id: AccountId) -> None:
        """Of the asker's room their request holds a part. The one who says yes needs some."""
        now_ms = self._clock.wall_ms()
        since = utc(now_ms - LIFE_MS)
        mine = await stores.friends.request(asked_id, asker_id)
        held = 1 if mine is not None and not is_over(mine, now_ms) else 0
        asked = await stores.friends.count_asked(asked_id, since)
        require_room(await stores.friends.count(asked_id), asked - held)
        await stores.friends.befriend(asker_id, asked_id, utc(now_ms))
        await stores.outbox.add(FriendsMade(asker_id=asker_id, asked_id=asked_id), asker_id)
