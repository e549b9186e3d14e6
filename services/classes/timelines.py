"""The timelines of classes: write a script, read it, control the clock.

What is stored is the truth, and it is stored before anybody hears of it. So another node carries on where one has died, and a
command that was answered has happened. Two coaches' devices that press at the same moment wait for one row and are judged one
after the other.
"""

import uuid
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Protocol

import msgspec

from services.classes import script as scripts
from services.classes.class_clock import Command, decide
from services.classes.group_clock import ClockStores, note
from services.classes.group_clock import TimelineStore as NotedTimelineStore
from services.classes.live_class import LiveClass, Membership, may_control, may_know, may_script
from services.classes.on_demand import counted_down, may_run
from services.classes.script import Script, laid_out
from services.classes.script_library import TakingStore, taken
from services.classes.timeline import Timeline, clocks_of
from services.kernel.caller import Caller
from services.kernel.clock import Clock, utc
from services.kernel.facts import ClassClockMoved
from services.kernel.ids import AccountId, ClassId, ScriptId
from services.kernel.problems import BadShape, ChangedMeanwhile, ClassNotFound, ClassStarted, ClockRefused, NotFound


class ScriptDraft(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A script to be stored, with the `revision` that it was made from: 0 for the first. Give either your own words (`script`) or
    the id of a script in the library (`library`), of which the class gets a copy."""

    script: Script | None = None
    revision: int = 0
    library: ScriptId | None = None


class ScriptView(msgspec.Struct, frozen=True):
    """The script of a class. `revision` grows whenever it is replaced; `duration_ms` of class time."""

    script: Script
    revision: int
    duration_ms: int


class ClassStore(Protocol):
    """What this needs of the classes' store (persistence/classes.py)."""

    async def by_id(self, class_id: ClassId) -> LiveClass | None: ...
    async def lock(self, class_id: ClassId) -> LiveClass | None: ...
    async def membership(self, class_id: ClassId, account_id: AccountId) -> Membership | None: ...


class TimelineStore(NotedTimelineStore, Protocol):
    """See persistence/timelines.py. Whoever writes holds the lock of the class."""

    async def of(self, class_id: ClassId) -> Timeline: ...
    async def save_script(self, class_id: ClassId, script: Script, revision: int, at: datetime) -> None: ...
    async def has(self, class_id: ClassId, key: str) -> bool: ...


class TimelineStores(ClockStores, Protocol):
    """The stores of one transaction."""

    @property
    def classes(self) -> ClassStore: ...
    @property
    def timelines(self) -> TimelineStore: ...
    @property
    def script_library(self) -> TakingStore: ...


class Room(Protocol):
    """The room of the class, on every node."""

    async def moved(self, class_id: ClassId, timeline: Timeline) -> None:
        """Tell everybody there how the timeline is now. Raises nothing: it is stored, and a worker says it again."""
        ...


class Timelines:
    """The use cases."""

    def __init__(
        self, transactions: Callable[[], AbstractAsyncContextManager[TimelineStores]], clock: Clock, room: Room
    ) -> None:
        self._transactions = transactions
        self._clock = clock
        self._room = room

    async def script(self, caller: Caller, class_id: ClassId) -> ScriptView:
        """The script of a class, for anybody who may see the class. Raises `ClassNotFound`, or `NotFound` when it has none."""
        async with self._transactions() as stores:
            live = await stores.classes.by_id(class_id)
            await _known(stores, live, caller)
            timeline = await stores.timelines.of(class_id)
        if timeline.script is None:
            raise NotFound("this class has no script")
        return _view(timeline.script, timeline.revision)

    async def save_script(self, caller: Caller, class_id: ClassId, draft: ScriptDraft) -> ScriptView:
        """Store the script of a class in place of the one it has (its coach). Raises `ClassNotFound`, `Forbidden`, `ClassOver`,
        `ClassStarted` once the clock has begun, `ChangedMeanwhile`, `NotFound` for one that is not in the library, and `BadShape`
        with the place of a contradiction."""
        wanted = _wanted(draft)
        async with self._transactions() as stores:
            _, timeline = await self._locked(stores, caller, class_id, may_script)
            if timeline.begun:
                raise ClassStarted
            if timeline.revision != draft.revision:
                raise ChangedMeanwhile(path="$.revision", revision=timeline.revision)
            script = await _words(stores, caller, wanted)
            revision = draft.revision + 1
            await stores.timelines.save_script(class_id, script, revision, utc(self._clock.wall_ms()))
            await stores.outbox.add(ClassClockMoved(class_id=class_id), class_id)
        await self._room.moved(class_id, Timeline(script, revision))
        return _view(script, revision)

    async def check_script(self, caller: Caller, class_id: ClassId, draft: ScriptDraft) -> ScriptView:
        """What storing this script would come to, without storing it: for whoever writes one (the coach of the class). Raises what
        `save_script` raises, but for `ChangedMeanwhile`: that is told when it is stored."""
        wanted = _wanted(draft)
        async with self._transactions() as stores:
            live = await _known(stores, await stores.classes.by_id(class_id), caller)
            may_script(live, caller)
            script = await _words(stores, caller, wanted)
            timeline = await stores.timelines.of(class_id)
        if timeline.begun:
            raise ClassStarted
        return _view(script, timeline.revision)

    async def control(self, caller: Caller, class_id: ClassId, command: Command, key: str | None) -> Timeline:
        """Do something to the clock of a class (who leads it, or has started one without a coach); how the timeline is then.
        The same `key` again does nothing more. Raises `ClassNotFound`, `Forbidden`, `ClassOver`, `ClockRefused`, `BadShape`."""
        async with self._transactions() as stores:
            live, timeline = await self._locked(
                stores, caller, class_id, lambda live, caller: may_command(live, caller, command)
            )
            if timeline.script is None:
                raise ClockRefused("a class without a script has no clock: store one first", state="none")
            if key is not None and await stores.timelines.has(class_id, key):
                return timeline
            clock = clocks_of(timeline)[-1]
            wanted = command if live.group is None else counted_down(command)
            event = decide(clock, laid_out(timeline.script), wanted, self._clock.wall_ms())
            moved = await note(stores, live, timeline, event, key)
        await self._room.moved(class_id, moved)
        return moved

    async def of(self, class_id: ClassId) -> Timeline:
        """The timeline of a class, for whoever is in its room."""
        async with self._transactions() as stores:
            return await stores.timelines.of(class_id)

    @staticmethod
    async def _locked(
        stores: TimelineStores, caller: Caller, class_id: ClassId, may: Callable[[LiveClass, Caller], None]
    ) -> tuple[LiveClass, Timeline]:
        """A class and its timeline for a caller who `may` change it, its row locked."""
        live = await _known(stores, await stores.classes.lock(class_id), caller)
        may(live, caller)
        return live, await stores.timelines.of(class_id)


def may_command(live: LiveClass, caller: Caller, command: Command) -> None:
    """Raise unless `caller` may do this to the clock of a class."""
    if live.group is None:
        may_control(live, caller)
    else:
        may_run(live, caller, command)


async def _known(stores: TimelineStores, live: LiveClass | None, caller: Caller) -> LiveClass:
    """The class, if the caller may know of it. Raises `ClassNotFound`."""
    if live is None:
        raise ClassNotFound
    may_know(live, caller, await stores.classes.membership(live.id, caller.account_id))
    return live


def _wanted(draft: ScriptDraft) -> Script | ScriptId:
    """The words of a draft, or which script of the library it asks for. Raises `BadShape`."""
    match draft:
        case ScriptDraft(script=Script() as script, library=None):
            return scripts.checked(script, "$.script")
        case ScriptDraft(script=None, library=uuid.UUID() as script_id):
            return ScriptId(script_id)
        case _:
            raise BadShape("give either a script or the id of one in the library", path="$")


async def _words(stores: TimelineStores, caller: Caller, wanted: Script | ScriptId) -> Script:
    """What is to be stored. Raises `Forbidden`, `NotFound`."""
    if isinstance(wanted, Script):
        return wanted
    return (await taken(stores, caller, wanted))[1]


def _view(script: Script, revision: int) -> ScriptView:
    return ScriptView(script, revision, scripts.duration_ms(script))
