"""Watching over the athletes whose streams this node receives: every reading goes past their watch, and silence does, too.

Only whoever wants it has a watch (services/safety/). It is on the hot path, so it does no more than look; what it finds is opened
as an incident by a loop, in a transaction, and goes its durable way from there (services/safety/safety.py).

Somebody with several devices has one watch, which believes one of their streams: the first, until it has had no heart rate for
`TAKE_OVER_MS` while another has. A connection that is lost leaves the watch behind, because silence in hard effort is what it
looks for; it ends when the stream is finished or goes on elsewhere, or when nothing more can come of it. Whether somebody whose
stream fell silent here was heard on another node, the database says before anybody is asked. What a node has seen dies with it:
whoever reconnects elsewhere is watched from there on. One that stops in order first opens what it has found.
"""

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

import structlog

from realtime.sparingly import Sparingly
from rooms.room import Room
from services.kernel.clock import Clock, pause
from services.kernel.ids import AccountId, ClassId, StreamId
from services.kernel.problems import Problem
from services.safety.incident import FRESH_MS, Incident
from services.safety.watching import LOST_MS, Finding, Watch
from services.training.physiology import Physiology
from services.training.sample import Sample

LOOK_S: Final = 1.0
"""Between two looks at what was found: how late the question may be. As often as samples come."""
UNDER_WAY_MS: Final = 1_500
"""How late a reading may be before silence counts, as for the steps of a class (stepping.py)."""
TAKE_OVER_MS: Final = 10_000
"""Without a heart rate for this long a sensor is lost, as on the board (reading.py)."""
MAX_FOUND: Final = 1_000
"""Findings that wait to be opened: as many people as the largest class has. Full: what is found then is counted and forgotten; each
of them is worth nothing after a minute anyway."""

log = structlog.get_logger(__name__)


class Asking(Protocol):
    """What opens incidents (services/safety/safety.py)."""

    async def found(
        self, account_id: AccountId, class_id: ClassId | None, stream_id: StreamId, finding: Finding
    ) -> Incident | None: ...


@dataclass(slots=True)
class _Watched:
    """One athlete. `stream` is the one that is believed, `read_ms` when it last had a heart rate; `dropped_ms` since when none of
    their streams is open here."""

    watch: Watch
    stream: StreamId
    room: Room | None
    streams: set[StreamId] = field(default_factory=set)
    read_ms: int = 0
    dropped_ms: int | None = None


@dataclass(frozen=True, slots=True)
class _Found:
    account_id: AccountId
    class_id: ClassId | None
    stream_id: StreamId
    finding: Finding


@dataclass(slots=True)
class GuardingStatistics:
    """Counts since start: findings by kind, incidents that came of them, findings that were dropped because the database was
    away or too many waited. What is there now: findings `waiting` to be opened, athletes `watched`."""

    found: dict[str, int] = field(default_factory=dict)
    opened: int = 0
    dropped: int = 0
    waiting: int = 0
    watched: int = 0


class Guarding:
    """The watches of this node."""

    def __init__(self, asking: Asking, clock: Clock) -> None:
        self._asking: Final = asking
        self._clock: Final = clock
        self._watched: dict[AccountId, _Watched] = {}
        self._found: deque[_Found] = deque()
        self._say: Final = Sparingly(log, clock.monotonic)
        self._stopping: Final = asyncio.Event()
        self.statistics: Final = GuardingStatistics()

    # -- what happens to streams --------------------------------------------------------------------------------------

    def opened(
        self, account_id: AccountId, stream_id: StreamId, limit_bpm: int, body: Physiology, room: Room | None
    ) -> None:
        """A stream of somebody who wants it is open."""
        watched = self._watched.get(account_id)
        if watched is None:
            self._watched[account_id] = watched = _Watched(Watch(limit_bpm, body), stream_id, room)
        elif not watched.streams:
            watched.stream = stream_id
        watched.streams.add(stream_id)
        watched.room = room if room is not None else watched.room
        watched.dropped_ms = None
        self.statistics.watched = len(self._watched)

    def heard(
        self, account_id: AccountId, stream_id: StreamId, samples: Sequence[Sample], made_ms: Iterable[int | None]
    ) -> None:
        """Samples of a stream have come, with the instants at which they were made."""
        watched = self._watched.get(account_id)
        if watched is None or stream_id not in watched.streams or not self._believed(watched, stream_id, samples):
            return
        resting = resting_since(watched.room)
        for sample, at_ms in zip(samples, made_ms, strict=True):
            if at_ms is not None:
                self._note(account_id, watched, watched.watch.add(sample, at_ms, resting))

    def dropped(self, account_id: AccountId, stream_id: StreamId) -> None:
        """A stream's connection is gone: from here on it is silent."""
        watched = self._watched.get(account_id)
        if watched is None or stream_id not in watched.streams:
            return
        watched.streams.discard(stream_id)
        if not watched.streams:
            watched.dropped_ms = self._clock.wall_ms()

    def left(self, account_id: AccountId, stream_id: StreamId) -> None:
        """A stream is finished, or another node has it: this one's silence says nothing."""
        watched = self._watched.get(account_id)
        if watched is None:
            return
        watched.streams.discard(stream_id)
        if not watched.streams:
            self._forget(account_id)

    def _believed(self, watched: _Watched, stream_id: StreamId, samples: Sequence[Sample]) -> bool:
        """Whether a stream is the one that is believed, from now on or still."""
        now_ms = self._clock.wall_ms()
        reads = any(sample.bpm is not None for sample in samples)
        if stream_id != watched.stream and reads:
            gone = watched.stream not in watched.streams
            if gone or now_ms - watched.read_ms >= TAKE_OVER_MS:
                watched.stream = stream_id
        if stream_id != watched.stream:
            return False
        if reads:
            watched.read_ms = now_ms
        return True

    def _note(self, account_id: AccountId, watched: _Watched, findings: Iterable[Finding]) -> None:
        for finding in findings:
            self.statistics.found[finding.kind] = self.statistics.found.get(finding.kind, 0) + 1
            if len(self._found) >= MAX_FOUND:
                self.statistics.dropped += 1
                continue
            class_id = None if watched.room is None else watched.room.live.id
            self._found.append(_Found(account_id, class_id, watched.stream, finding))
            self.statistics.waiting += 1

    def _forget(self, account_id: AccountId) -> None:
        del self._watched[account_id]
        self.statistics.watched = len(self._watched)

    # -- the loop -----------------------------------------------------------------------------------------------------

    def stop(self) -> None:
        """Ask `run` to open what was found and return. May be called again."""
        self._stopping.set()

    async def run(self) -> None:
        """Look for silence and open what was found, until stopped."""
        while not self._stopping.is_set():
            await pause(self._clock, LOOK_S, self._stopping)
            if not self._stopping.is_set():  # that a node which stops hears nobody is no silence
                self._look()
            await self._open()

    def _look(self) -> None:
        now_ms = self._clock.wall_ms()
        for account_id, watched in list(self._watched.items()):
            resting = resting_since(watched.room) is not None
            self._note(account_id, watched, watched.watch.passed(now_ms - UNDER_WAY_MS, resting=resting))
            if watched.dropped_ms is not None and now_ms - watched.dropped_ms > LOST_MS + UNDER_WAY_MS:
                self._forget(account_id)

    async def _open(self) -> None:
        """Open what was found, the oldest first; what cannot be opened now is tried again as long as it is worth anything."""
        while self._found:
            found = self._found[0]
            if self._clock.wall_ms() - found.finding.at_ms > FRESH_MS:
                self._settle()
                self.statistics.dropped += 1
                continue
            try:
                incident = await self._asking.found(found.account_id, found.class_id, found.stream_id, found.finding)
            except Problem as problem:
                self._say.warning("guarding.not_opened", cause="store", trouble=problem.message)
                return
            except Exception:
                # Whatever it was, the loop must outlast it: nobody else would ask the others.
                log.exception("guarding.failed", kind=found.finding.kind)
                self.statistics.dropped += 1
                incident = None
            self._settle()
            if incident is not None:
                self.statistics.opened += 1
                log.info("guarding.asked", incident=str(incident.id), kind=incident.kind)

    def _settle(self) -> None:
        self._found.popleft()
        self.statistics.waiting -= 1


def resting_since(room: Room | None) -> int | None:
    """Since when a class stands still or is over, wall ms; None while it goes on, and outside of one."""
    if room is None:
        return None
    if room.live.ended_ms is not None:
        return room.live.ended_ms
    clock = room.clock
    return clock.at_ms if clock is not None and clock.state == "paused" else None
