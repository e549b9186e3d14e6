"""The lobby of a class without a coach: saying ready, and beginning when everybody is.

A mark is stored before it is said, under the lock of the class: of two who say ready at once the second finds the first, so one of
them is the last and begins it. A mark that was not answered is sent again and changes nothing, but is said again.
"""

from collections.abc import Callable, Collection
from contextlib import AbstractAsyncContextManager
from typing import Final, Protocol

from services.classes.class_clock import Event, Start, decide
from services.classes.group_clock import ClockStores, note
from services.classes.group_clock import TimelineStore as NotedTimelineStore
from services.classes.live_class import LiveClass, Membership
from services.classes.lobby import COUNTDOWN_MS, Lobby, LobbyNow, begins, marked
from services.classes.script import laid_out
from services.classes.timeline import Timeline, clocks_of
from services.kernel.caller import Caller
from services.kernel.clock import Clock
from services.kernel.ids import AccountId, ClassId
from services.kernel.problems import ClassNotFound, ClassOver, ClassStarted, Forbidden


class ClassStore(Protocol):
    """What this needs of the classes' store (persistence/classes.py)."""

    async def lock(self, class_id: ClassId) -> LiveClass | None: ...
    async def membership(self, class_id: ClassId, account_id: AccountId) -> Membership | None: ...


class LobbyStore(Protocol):
    """See persistence/lobbies.py."""

    async def of(self, class_id: ClassId) -> Lobby: ...
    async def save(self, class_id: ClassId, lobby: Lobby) -> None: ...
    async def now(self, class_id: ClassId) -> LobbyNow: ...


class TimelineStore(NotedTimelineStore, Protocol):
    """And of the timelines' (persistence/timelines.py)."""

    async def of(self, class_id: ClassId) -> Timeline: ...


class LobbyStores(ClockStores, Protocol):
    """The stores of one transaction."""

    @property
    def classes(self) -> ClassStore: ...
    @property
    def lobbies(self) -> LobbyStore: ...
    @property
    def timelines(self) -> TimelineStore: ...


class Room(Protocol):
    """The room of the class, on every node. Raises nothing: it is stored."""

    async def lobby_changed(self, class_id: ClassId, lobby: LobbyNow) -> None:
        """Tell everybody there who is ready."""
        ...

    async def moved(self, class_id: ClassId, timeline: Timeline) -> None:
        """Tell everybody there that it begins."""
        ...


class Lobbies:
    """The use cases."""

    def __init__(
        self, transactions: Callable[[], AbstractAsyncContextManager[LobbyStores]], clock: Clock, room: Room
    ) -> None:
        self._transactions: Final = transactions
        self._clock: Final = clock
        self._room: Final = room

    async def mark(self, caller: Caller, class_id: ClassId, *, ready: bool, here: Collection[AccountId]) -> LobbyNow:
        """Say for the caller whether they are ready; of those who are `here` the last one begins it. How the lobby is then. Raises
        `ClassNotFound`, `ClassOver`, `ClassStarted`, and `Forbidden` where there is no lobby or the caller does not ride."""
        begun: Timeline | None = None
        async with self._transactions() as stores:
            live = await stores.classes.lock(class_id)
            if live is None:
                raise ClassNotFound
            may_mark(live, await stores.classes.membership(class_id, caller.account_id))
            timeline = await stores.timelines.of(class_id)
            if timeline.begun:
                raise ClassStarted("this class has begun: nobody waits for anybody any more")
            lobby = await stores.lobbies.of(class_id)
            changed = marked(lobby, caller.account_id, ready=ready)
            if changed is not lobby:
                await stores.lobbies.save(class_id, changed)
            now = await stores.lobbies.now(class_id)
            if ready and begins(changed, here):
                begun = await note(stores, live, timeline, self._beginning(timeline), None)
        await self._room.lobby_changed(class_id, now)
        if begun is not None:
            await self._room.moved(class_id, begun)
        return now

    def _beginning(self, timeline: Timeline) -> Event:
        if timeline.script is None:
            raise ValueError("a class without a coach was stored without a script")
        clock = clocks_of(timeline)[-1]
        return decide(clock, laid_out(timeline.script), Start(in_ms=COUNTDOWN_MS), self._clock.wall_ms())


def may_mark(live: LiveClass, membership: Membership | None) -> None:
    """Raise unless this is a class with a lobby, and somebody who rides in it."""
    if live.over:
        raise ClassOver(class_id=str(live.id))
    if live.group is None:
        raise Forbidden("this class has no lobby: its coach starts it")
    if membership is None or membership.role != "athlete" or membership.removed:
        raise Forbidden("only who rides says ready: join the class as athlete")
