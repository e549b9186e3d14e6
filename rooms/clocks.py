"""The class clocks that this node tells its members: a copy of what is stored, kept right by the rooms' logs.

A room's clock is read when the room is loaded and follows what its log says (`class.clock`), so whoever joins gets the clock that
fits the position they are told: every later change comes to them through the log. A script does not come with it; a node that lacks
it reads it from the database. Only where the log could prove nothing, because it began anew or the node had not yet heard where it
stands, may a change have been missed; such a clock is in doubt, is read from the database, and if it was behind is said into the
log again. With it is read whatever else a room takes from its log (`Rooms.read_again`), and an end that nobody here had heard is
said again, too.

A change is stored first, then said; a worker says it once more under the same key (workers/push.py), should this node have died
in between.
"""

import asyncio
from bisect import bisect_left
from dataclasses import dataclass, field
from typing import Final

import msgspec
import structlog

from persistence.stores import Transactions
from realtime.codec import payload_of
from realtime.connection import Connection
from realtime.crew import Crew
from realtime.frame import Frame
from realtime.position import NOWHERE
from realtime.sparingly import Sparingly
from realtime.wire import ClassClockView, ClockSync, ClockSynced, ClockView, LobbyView
from rooms.lobbying import LOBBY_EVENT, lobby_key, said_lobby
from rooms.room import ENDED_EVENT, Room, clock_view
from rooms.rooms import ENDED_KEY, Rooms, ended_view
from services.classes.clock_sync import Report, off_ms
from services.classes.timeline import Timeline
from services.kernel.clock import Clock
from services.kernel.ids import ClassId
from services.kernel.problems import Unavailable

CLOCK_EVENT: Final = "class.clock"
AGAIN_S: Final = 1.0
"""Pause after the database or a log did not answer."""
END_WITHIN_S: Final = 5.0
BOUNDS_S: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
"""Upper bounds of the classes in which reports are counted, seconds; the last class has none."""

log = structlog.get_logger(__name__)
_decode: Final = msgspec.json.Decoder(ClassClockView).decode


@dataclass(slots=True)
class Counted:
    """How many values fell into each class of `BOUNDS_S`, and their sum in seconds."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS_S) + 1))
    total_s: float = 0.0

    def add(self, seconds: float) -> None:
        """Count one."""
        self.counts[bisect_left(BOUNDS_S, seconds)] += 1
        self.total_s += seconds


@dataclass(slots=True)
class ClocksStatistics:
    """What clients reported since start: how far their clocks had `moved` since they last asked, and the round trip (`delay`) they
    believed."""

    moved: Counted = field(default_factory=Counted)
    delay: Counted = field(default_factory=Counted)


class Clocks:
    """The clocks of this node's rooms, and the server's time for whoever asks."""

    def __init__(self, rooms: Rooms, transactions: Transactions, clock: Clock) -> None:
        self.statistics: Final = ClocksStatistics()
        self._rooms: Final = rooms
        self._transactions: Final = transactions
        self._clock: Final = clock
        self._say: Final = Sparingly(log, clock.monotonic)
        self._doubted: dict[ClassId, str] = {}
        self._ends_to_say: set[ClassId] = set()
        self._wake: Final = asyncio.Event()
        rooms.on_reset(lambda room, position: self._doubt(room, str(position)))
        rooms.feeds.on_delivered(self._delivered)

    def sync(self, connection: Connection, question: ClockSync, age_ms: int) -> ClockSynced:
        """Answer a client that asks for the time, `age_ms` after its question was read; note what it reports, for those who lead
        the classes it is in, too."""
        if question.report is not None:
            self._note(connection, question.report)
            self.statistics.moved.add(abs(question.report.moved_ms) / 1_000)
            self.statistics.delay.add(question.report.delay_ms / 1_000)
        now_ms = self._clock.wall_ms()
        return ClockSynced(question.sent_ms, now_ms - age_ms, now_ms)

    def _note(self, connection: Connection, report: Report) -> None:
        connection.off_ms = off_ms(report)
        for class_id in connection.rooms:
            room = self._rooms.get(class_id)
            if room is not None:
                room.take_off(connection)

    async def moved(self, class_id: ClassId, timeline: Timeline) -> None:
        """A timeline was changed and is stored: everybody in the room hears it, here and on the other nodes."""
        view = clock_view(class_id, timeline)
        if view is None:
            return
        room = self._rooms.get(class_id)
        if room is not None:
            room.take_timeline(timeline)
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
            if room.stepping.lacks_script:
                self._doubt(room, said.position)

    def _doubt(self, room: Room, position: str) -> None:
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
            self._ends_to_say.discard(class_id)
            return
        async with self._transactions() as stores:
            timeline = await stores.timelines.of(class_id)
            if await self._rooms.read_again(stores, room):
                self._ends_to_say.add(class_id)
            lobby = None if room.live.group is None else await stores.lobbies.now(class_id)
        room.stepping.take_script(timeline.revision, timeline.script)
        if lobby is not None and (room.lobby is None or room.lobby.n < lobby.n):
            waiting = LobbyView(class_id, lobby.ready, lobby.n)
            await self._rooms.say(class_id, LOBBY_EVENT, said_lobby(waiting), key=f"{lobby_key(waiting)}:{position}")
        view = clock_view(class_id, timeline)
        if view is not None and (room.clock is None or room.clock.n < view.n):
            # Said before perhaps, but not to the members here: so not under the key it had then. From the log it comes back here.
            await self._rooms.say(class_id, CLOCK_EVENT, said_clock(view), key=f"{clock_key(view)}:{position}")
        if class_id in self._ends_to_say:
            await self._rooms.say(class_id, ENDED_EVENT, ended_view(room.live), key=f"{ENDED_KEY}:{position}")
            self._ends_to_say.discard(class_id)


def said_clock(view: ClockView) -> ClassClockView:
    """A clock for the room's log."""
    return ClassClockView(**msgspec.structs.asdict(view), position=NOWHERE)


def view_of_said(said: ClassClockView) -> ClockView:
    """What was said in the room's log, without its place there."""
    return ClockView(**{name: getattr(said, name) for name in ClockView.__struct_fields__})


def clock_key(view: ClockView) -> str:
    """Under which a clock is said, by whoever is first."""
    return f"{CLOCK_EVENT}:{view.n}"
