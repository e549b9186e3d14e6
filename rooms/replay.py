"""A class plays again from its tapes, and is checked against them and against the samples.

`show` gives what a member would have got, event by event. `check` plays every tape of the class and compares each frame with the
one that was told then; and it derives the scores once more, from the stored samples: whatever score a board ever showed of a member
with one sensor must be what some number of that member's stored samples come to. Members with several sensors are counted and left
to the laws of rooms/feeding.py, because which sensor earned when is not in the samples.

How a class is played is rooms/playback.py, how it is played to a socket rooms/players.py.
"""

import struct
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Final

import msgspec

from persistence.stores import Stores, Transactions
from persistence.tapes import Piece
from rooms.effort import Effort, advance
from rooms.playback import Playback, Shown, Viewing
from rooms.retelling import Retelling, Retold
from rooms.tape import Beat, Note, Said, notes_of
from services.audit.entry import Actor, Entry, Thing, actor_of
from services.classes.live_class import LiveClass, Membership, may_know
from services.classes.timeline import Timeline
from services.kernel.caller import Caller
from services.kernel.ids import AccountId, ClassId, WorkoutId
from services.kernel.problems import ClassNotFound, Forbidden, NotFound

SAMPLES_AT_ONCE: Final = 10_000
PAGE_EVENTS: Final = 300
"""Events of one page: five minutes at one board a second."""
PAGE_BYTES: Final = 256 * 1024
"""Of payload. A minute of two hundred athletes at one board a second; half a second of work."""
_ZONES: Final = struct.Struct("6q")


class ReplayPage(msgspec.Struct, frozen=True):
    """A stretch of a class, to be played by the client at whatever speed: `events` in their order, the first board a whole one.
    The class was recorded from `begins_ms` to `ends_ms` (ms since 1970). `next_ms` is the `from_ms` of the next page, null after
    the last."""

    class_id: ClassId
    begins_ms: int
    ends_ms: int
    events: tuple[Shown, ...]
    next_ms: int | None


class Recording(msgspec.Struct, frozen=True):
    """A class that plays again: its `pieces` without their notes, what was done to its clock, and who is shown to whom."""

    live: LiveClass
    pieces: list[Piece]
    timeline: Timeline
    viewing: Viewing

    @property
    def begins_ms(self) -> int:
        """When the recording begins, wall clock."""
        return min(piece.begins_ms for piece in self.pieces)

    @property
    def ends_ms(self) -> int:
        """When it ends."""
        return max(piece.ends_ms for piece in self.pieces)


class TapeVerdict(msgspec.Struct, frozen=True):
    """What one tape comes to: so many `frames` made again; `differ` of them are others than were told, the first of them version
    `first_v` at `first_ms`. `missing` pieces are not there; so many beats were `skipped`, because they need one of those."""

    tape: str
    node: str
    begins_ms: int
    ends_ms: int
    frames: int
    differ: int
    missing: int
    skipped: int
    first_v: int | None = None
    first_ms: int | None = None


class Verdict(msgspec.Struct, frozen=True):
    """What a class comes to. `scores` is how many different scores the boards have shown, of members with one sensor; `strange` are
    the numbers of those members of whom one was shown that their samples never come to; `several` have several sensors."""

    tapes: list[TapeVerdict]
    scores: int
    strange: list[int]
    several: list[int]

    @property
    def equal(self) -> bool:
        """Whether everything is there and as it was told."""
        return not self.strange and not any(tape.differ or tape.missing or tape.skipped for tape in self.tapes)


class Replay:
    """The use cases. `show` and `check` raise `NotFound` for a class that has no tape, and `BrokenTapeError`."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions: Final = transactions

    async def show(self, class_id: ClassId, by: Actor, from_ms: int = 0, *, every_ms: int = 0) -> AsyncIterator[Shown]:
        """The class from `from_ms` (wall clock) on, to `by`, who runs the server: each frame that was told, or what has
        changed since the one before when `every_ms` have passed."""
        pieces, members = await self._of(class_id)
        async with self._transactions() as stores:
            await stores.audit.add(Entry(by, "replay.viewed", thing=Thing("class", str(class_id))))
        viewing = Viewing(tuple(members))
        async for shown in self._shown(class_id, pieces, viewing, from_ms, every_ms):
            yield shown

    async def _shown(
        self, class_id: ClassId, pieces: list[Piece], viewing: Viewing, from_ms: int, every_ms: int
    ) -> AsyncIterator[Shown]:
        playback = Playback(self._transactions, class_id, pieces, viewing, from_ms, every_ms=lambda: every_ms)
        async for note in playback.notes():
            if (shown := playback.told(note)) is not None:
                yield shown

    async def page(self, caller: Caller, class_id: ClassId, from_ms: int, every_ms: int) -> ReplayPage:
        """A page of a class that is over, for whoever was in it. Raises `ClassNotFound`, `RemovedFromClass`, `Forbidden`,
        `NotFound`."""
        recording = await self.recording(caller, class_id)
        shown: list[Shown] = []
        size, more = 0, False
        shows = self._shown(class_id, recording.pieces, recording.viewing, from_ms, every_ms)
        async for each in shows:
            # Whole instants only: the next page begins with the one after the last.
            if (len(shown) >= PAGE_EVENTS or size >= PAGE_BYTES) and each.at_ms > shown[-1].at_ms:
                more = True
                break
            shown.append(each)
            size += len(bytes(each.payload))
        return ReplayPage(
            class_id=class_id,
            begins_ms=recording.begins_ms,
            ends_ms=recording.ends_ms,
            events=tuple(shown),
            next_ms=shown[-1].at_ms + 1 if more else None,
        )

    async def recording(self, caller: Caller, class_id: ClassId) -> Recording:
        """A class that is over, for whoever was in it. Raises `ClassNotFound`, `RemovedFromClass`, `Forbidden`, `NotFound`."""
        async with self._transactions() as stores:
            live, viewing = await _viewing(stores, caller, class_id)
            pieces = await stores.tapes.heads(class_id)
            timeline = await stores.timelines.of(class_id)
            if not live.over or not pieces:
                raise NotFound(
                    "this class does not play again: it is still live, was not recorded, or was too long ago"
                )
            await stores.audit.add(Entry(actor_of(caller), "replay.viewed", thing=Thing("class", str(class_id))))
        return Recording(live, pieces, timeline, viewing)

    async def viewing(self, caller: Caller, class_id: ClassId) -> Viewing:
        """How a class is shown to somebody now. Raises `ClassNotFound`, `RemovedFromClass` and `Forbidden`."""
        async with self._transactions() as stores:
            _, viewing = await _viewing(stores, caller, class_id)
        return viewing

    def playback(
        self, recording: Recording, viewing: Viewing, from_ms: int, every_ms: Callable[[], int], *, standing: bool
    ) -> Playback:
        """Play a recording for somebody."""
        return Playback(
            self._transactions,
            recording.live.id,
            recording.pieces,
            viewing,
            from_ms,
            every_ms=every_ms,
            standing=standing,
        )

    async def check(self, class_id: ClassId) -> Verdict:
        """Play all of it and compare."""
        pieces, members = await self._of(class_id)
        by_tape: dict[str, list[Piece]] = {}
        for piece in pieces:
            by_tape.setdefault(piece.tape, []).append(piece)
        scores = _Scores()
        verdicts = [await self._check_tape(tape, scores) for tape in by_tape.values()]
        streams = await self._streams(class_id)
        strange: list[int] = []
        several: list[int] = []
        for member in members:
            if len(workouts := streams.get(member.account_id, [])) > 1:
                several.append(member.n)
            elif scores.of(member.n) - await self._prefixes(member, workouts, scores):
                strange.append(member.n)
        shown = sum(len(scores.of(member.n)) for member in members if member.n not in several)
        return Verdict(verdicts, shown, strange, several)

    async def _check_tape(self, tape: list[Piece], scores: "_Scores") -> TapeVerdict:
        retelling, frames, differ = Retelling(), 0, 0
        first: Retold | None = None
        for piece in tape:
            notes = await self._notes(piece.class_id, piece.tape, piece.n)
            for note in retelling.play(piece.n, notes):
                if isinstance(note, Said):
                    continue
                beat, retold = note
                scores.see(beat)
                if retold is not None:
                    frames += 1
                    if retold.same is False:
                        differ += 1
                        first = first or retold
        return TapeVerdict(
            tape=tape[0].tape,
            node=tape[0].node,
            begins_ms=tape[0].begins_ms,
            ends_ms=tape[-1].ends_ms,
            frames=frames,
            differ=differ,
            missing=tape[-1].n - len(tape),
            skipped=retelling.skipped,
            first_v=None if first is None else first.v,
            first_ms=None if first is None else first.at_ms,
        )

    async def _prefixes(self, member: Membership, workouts: list[WorkoutId], scores: "_Scores") -> set[bytes]:
        """Every score that a member's samples come to, up to any of them."""
        effort, max_hr, at = Effort(), scores.max_hr.get(member.n), 0
        found = {_ZONES.pack(*effort.zone_ms)}
        while workouts and max_hr is not None:
            async with self._transactions() as stores:
                samples = await stores.workouts.samples(workouts[0], at, SAMPLES_AT_ONCE)
            for sample in samples:
                effort = advance(effort, (sample,), max_hr)
                found.add(_ZONES.pack(*effort.zone_ms))
            at += len(samples)
            if len(samples) < SAMPLES_AT_ONCE:
                break
        return found

    async def _of(self, class_id: ClassId) -> tuple[list[Piece], list[Membership]]:
        async with self._transactions() as stores:
            pieces = await stores.tapes.heads(class_id)
            members = await stores.classes.members(class_id)
        if not pieces:
            raise NotFound("this class was not recorded, or its tapes have been forgotten")
        return pieces, members

    async def _notes(self, class_id: ClassId, tape: str, n: int) -> Iterator[Note]:
        async with self._transactions() as stores:
            data = await stores.tapes.notes(class_id, tape, n)
        return iter(()) if data is None else notes_of(data)

    async def _streams(self, class_id: ClassId) -> dict[AccountId, list[WorkoutId]]:
        """The workout of each stream that has fed the class, by account."""
        async with self._transactions() as stores:
            found = await stores.streams.of_class(class_id)
        streams: dict[AccountId, list[WorkoutId]] = {}
        for account_id, workout_id in found:
            streams.setdefault(account_id, []).append(workout_id)
        return streams


class _Scores:
    """Every score that boards have shown of a member, packed, and the maximum heart rate it was earned by."""

    def __init__(self) -> None:
        self.max_hr: Final[dict[int, int]] = {}
        self._told: Final[dict[int, set[bytes]]] = {}

    def see(self, beat: Beat) -> None:
        for _, entry in beat.puts:
            self._told.setdefault(entry.n, set()).add(_ZONES.pack(*entry.zone_ms))
            if entry.at_ms is not None:  # told by a stream; who was only seated has the maximum of nobody
                self.max_hr[entry.n] = entry.max_hr

    def of(self, n: int) -> set[bytes]:
        return self._told.get(n, set())


async def _viewing(stores: Stores, caller: Caller, class_id: ClassId) -> tuple[LiveClass, Viewing]:
    live = await stores.classes.by_id(class_id)
    viewer = await stores.classes.membership(class_id, caller.account_id)
    if live is None:
        raise ClassNotFound
    may_know(live, caller, viewer)
    if "display" in caller.roles:
        raise Forbidden("a display shows a class while it is live")
    return live, Viewing(
        members=tuple(await stores.classes.members(class_id)),
        viewer=viewer or Membership(caller.account_id, caller.name, 0, "coach"),
        unheard=(await stores.blocks.of((caller.account_id,)))[caller.account_id],
        taken_down=frozenset(await stores.moderation.removed(class_id)),
    )
