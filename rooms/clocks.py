"""The class clocks that this node tells its members: a copy of what is stored, kept right by the rooms' logs.

A room's clock is read when the room is loaded and follows what its log says (`class.clock`), so whoever joins gets the clock that
fits the position they are told: every later change comes to them through the log. Only where the log could prove nothing, because
it began anew or the node had not yet heard where it stands, may a change have been missed; such a clock is in doubt, is read from
the database, and if it was behind is said into the log again.

A change is stored first, then said; a worker says it once more under the same key (workers/push.py), should this node have died
in between.
"""

import asyncio
from typing import Final

import msgspec
import structlog

from persistence.stores import Transactions
from realtime.codec import Frame, payload_of
from realtime.crew import Crew
from realtime.position import NOWHERE
from realtime.sparingly import Sparingly
from realtime.wire import ClassClockView, ClockView
from rooms.room import Room, clock_view
from rooms.rooms import Rooms
from services.classes.timeline import Timeline
from services.kernel.clock import Clock
from services.kernel.ids import ClassId
from services.kernel.problems import Unavailable

CLOCK_EVENT: Final = "class.clock"
AGAIN_S: Final = 1.0
"""Pause after the database or a log did not answer."""
END_WITHIN_S: Final = 5.0

log = structlog.get_logger(__name__)
_decode: Final = msgspec.json.Decoder(ClassClockView).decode


class Clocks:
    """The clocks of this node's rooms."""

    def __init__(self, rooms: Rooms, transactions: Transactions, clock: Clock) -> None:
        self._rooms: Final = rooms
        self._transactions: Final = transactions
        self._clock: Final = clock
        self._say: Final = Sparingly(log, clock.monotonic)
        self._doubted: dict[ClassId, str] = {}
        self._wake: Final = asyncio.Event()
        rooms.on_reset = self._reset
        rooms.feeds.on_delivered = self._delivered

    async def moved(self, class_id: ClassId, timeline: Timeline) -> None:
        """A timeline was changed and is stored: everybody in the room hears it, here and on the other nodes."""
        view = clock_view(class_id, timeline)
        if view is None:
            return
        room = self._rooms.get(class_id)
        if room is not None:
            room.take_clock(view)
        try:
            await self._rooms.say(class_id, CLOCK_EVENT, said_clock(view), key=clock_key(view))
        except Unavailable as problem:
            log.warning("clocks.not_said", class_id=str(class_id), problem=problem.message)

    def _delivered(self, channel: str, frame: Frame) -> None:
        if frame.event != CLOCK_EVENT:
            return
        said = _decode(payload_of(frame))
        room = self._rooms.get(said.class_id)
        if room is not None and room.channel == channel:
            room.take_clock(view_of_said(said))

    def _reset(self, room: Room, position: str) -> None:
        self._doubted[room.live.id] = position
        self._wake.set()

    async def run(self) -> None:
        """Read what is in doubt, until cancelled."""
        crew = Crew("clocks", END_WITHIN_S)
        await crew.live(doubts=self._keep_reading(crew))

    async def _keep_reading(self, crew: Crew) -> None:
        while not crew.over:
            await self._wake.wait()
            self._wake.clear()
            while self._doubted and not crew.over:
                class_id, position = next(iter(self._doubted.items()))
                try:
                    await self._read(class_id, position)
                except Unavailable as problem:
                    self._say.warning("clocks.in_doubt", cause="read", class_id=str(class_id), trouble=problem.message)
                    await self._clock.sleep(AGAIN_S)
                    continue
                if self._doubted.get(class_id) == position:
                    del self._doubted[class_id]

    async def _read(self, class_id: ClassId, position: str) -> None:
        """Bring a room's clock up to what is stored. Raises `Unavailable`."""
        room = self._rooms.get(class_id)
        if room is None:
            return
        async with self._transactions() as stores:
            view = clock_view(class_id, await stores.timelines.of(class_id))
        if view is not None and (room.clock is None or room.clock.n < view.n):
            # Said before perhaps, but not to the members here: so not under the key it had then. From the log it comes back here.
            await self._rooms.say(class_id, CLOCK_EVENT, said_clock(view), key=f"{clock_key(view)}:{position}")


def said_clock(view: ClockView) -> ClassClockView:
    """A clock for the room's log."""
    return ClassClockView(**msgspec.structs.asdict(view), position=NOWHERE)


def view_of_said(said: ClassClockView) -> ClockView:
    """What was said in the room's log, without its place there."""
    return ClockView(**{name: getattr(said, name) for name in ClockView.__struct_fields__})


def clock_key(view: ClockView) -> str:
    """Under which a clock is said, by whoever is first."""
    return f"{CLOCK_EVENT}:{view.n}"
