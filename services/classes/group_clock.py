"""Noting what happens to the clock of a class, and, where nobody coaches it, planning its end.

Both ways in which a clock moves, a command (timelines.py) and the last one who says ready (lobbies.py), come through `note`, under
the lock of the class.
"""

from typing import Protocol
from uuid import UUID

import msgspec

from services.classes.class_clock import Event
from services.classes.live_class import LiveClass
from services.classes.offer import EARLY_MS
from services.classes.on_demand import ends_ms
from services.classes.timeline import Timeline, clocks_of
from services.kernel.facts import AnyFact, ClassClockMoved, ClassEndDue
from services.kernel.ids import ClassId, FactId
from services.schedule.later import LaterStore


class TimelineStore(Protocol):
    """What this needs of the timelines' store (persistence/timelines.py)."""

    async def add(self, class_id: ClassId, n: int, event: Event, key: str | None) -> None: ...


class OutboxStore(Protocol):
    """Where facts are told."""

    async def add(self, fact: AnyFact, aggregate_id: UUID) -> FactId: ...


class ClockStores(Protocol):
    """The stores of one transaction."""

    @property
    def timelines(self) -> TimelineStore: ...
    @property
    def schedule(self) -> LaterStore: ...
    @property
    def outbox(self) -> OutboxStore: ...


async def note(stores: ClockStores, live: LiveClass, timeline: Timeline, event: Event, key: str | None) -> Timeline:
    """Store an event of the clock of a class, tell it, and plan the end that follows; the timeline after it. The class must be
    locked."""
    moved = msgspec.structs.replace(timeline, events=(*timeline.events, event))
    await stores.timelines.add(live.id, len(moved.events), event, key)
    await stores.outbox.add(ClassClockMoved(class_id=live.id), live.id)
    if live.group is not None:
        await plan_end(stores, live, moved)
    return moved


async def plan_end(stores: ClockStores, live: LiveClass, timeline: Timeline) -> None:
    """Have it told when a class without a coach ends by itself, as things stand."""
    at_ms = ends_ms(clocks_of(timeline)[-1], live.created_ms)
    if not await stores.schedule.move(ClassEndDue, str(live.id), at_ms):
        await stores.schedule.once(ClassEndDue(class_id=live.id), live.id, at_ms=at_ms, key=str(live.id))


def end_due(live: LiveClass, timeline: Timeline, now_ms: int) -> bool:
    """Whether a class without a coach is to be ended, when somebody says it is time: not if its clock has moved since."""
    if live.group is None or live.over:
        return False
    return now_ms >= ends_ms(clocks_of(timeline)[-1], live.created_ms) - EARLY_MS
