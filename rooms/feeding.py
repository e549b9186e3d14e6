"""The streams of one member in one class on this node: which of them feeds the line on the board, and what all have earned.

Most members have one stream, which feeds, and for them there is next to nothing to do here. With a second one the choice is
services/training/arbitration.py's, from what each sensor is (`StreamOpen.sensor`), whether its beats are there, and whether a heart
could do what it says.

**Nothing counts twice.** Only the stream that feeds earns. When another takes over, it earns from the instant on up to which the
one before it has: intervals that began before do not count, however late they arrive, so a backlog from a dead zone cannot earn
what the other sensor has earned meanwhile. A shift between two that live costs the member one interval at most. What a stream has
earned only grows, so what the database says of it and what this node knows are merged by taking the more of the two.

Between nodes there is no arbitration: a member whose devices are connected to two nodes is fed by the node at which a stream was
opened last (`epoch`), and there the choice is made among the streams of that node.

Whose distance and power count is another choice (`moving.py`).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol

from rooms.effort import Effort, Window, advance, advance_within
from rooms.moving import Movers
from services.kernel.ids import StreamId
from services.training.arbitration import Arbitration, Shift, Source, decide, gone, heard, opened
from services.training.earned import NOTHING_EARNED, Earned, most, together
from services.training.motion import Moved, Moving
from services.training.physiology import Physiology
from services.training.plausibility import Scrutiny
from services.training.provenance import Beats, Grade, SensorKind, grade_of
from services.training.sample import Sample

OnShift = Callable[[StreamId, Shift], None]


class Fed(Protocol):
    """What a stream must have to be chosen. `burn` nkcal per ms of each heart rate, None where it is not known; `earns_from_ms`
    (wall clock) is where a shift has put its beginning, None where everything counts."""

    id: StreamId
    sensor: SensorKind | None
    physiology: Physiology
    burn: Sequence[int] | None
    effort: Effort
    moving: Moving | None
    read_at_ms: int | None
    earns_from_ms: int | None


class _Watched:
    """What is seen of a sensor while another is there to compare it with."""

    __slots__ = ("_beats", "_scrutiny", "_stream")

    def __init__(self, stream: Fed) -> None:
        self._stream = stream
        self._beats = Beats()
        self._scrutiny = Scrutiny(stream.physiology)

    def add(self, samples: Sequence[Sample]) -> None:
        for sample in samples:
            self._beats.add(sample)
            self._scrutiny.add(sample)

    @property
    def grade(self) -> Grade:
        return grade_of(self._stream.sensor, beats=self._beats.there())

    @property
    def plausible(self) -> bool:
        return self._scrutiny.plausible()


class Feeding:
    """See the module. `epoch` is the feed epoch of the newest opening here; `on_shift` hears who feeds from when on, once there is
    more than one to choose from."""

    def __init__(self, on_shift: OnShift) -> None:
        self.epoch = 0
        self._on_shift: Final = on_shift
        self._streams: dict[StreamId, Fed] = {}
        self._earned: dict[StreamId, Earned] = {}
        self._base = NOTHING_EARNED
        self._arbitration: Arbitration | None = None
        self._watched: dict[StreamId, _Watched] = {}
        self._fed_until_ms: int | None = None
        self._movers: Final = Movers()

    def __bool__(self) -> bool:
        """Whether any stream is open."""
        return bool(self._streams)

    def earned(self) -> Earned:
        """What the member has earned in this class, by all streams."""
        return together((self._base, *(stream.effort.earned for stream in self._streams.values())))

    def moved(self) -> Moved:
        """What the member has done in this class besides, by all streams: distance, power and cadence."""
        return self._movers.moved(self._streams.values())

    def moves(
        self, stream: Fed, samples: Sequence[Sample], made: Sequence[int | None], *, counts: bool, window: Window | None
    ) -> None:
        """`samples` of a stream carry motion, or the ones before them did. `made` and `window` as for `earned`."""
        self._movers.move(stream, samples, made, counts=counts, window=window)

    def feeder(self) -> Fed | None:
        """The stream that feeds, None when it has ended and no other was heard since."""
        if self._arbitration is None:
            return next(iter(self._streams.values()), None)
        return None if self._arbitration.feeds is None else self._streams.get(self._arbitration.feeds)

    def open(self, stream: Fed, *, feed_epoch: int, earned: Mapping[StreamId, Earned], now_ms: int) -> None:
        """A stream is open; `earned` is what the database says of the member's others in this class."""
        self.epoch = max(self.epoch, feed_epoch)
        for other, told in earned.items():
            self._earned[other] = most(self._earned.get(other, NOTHING_EARNED), told)
        self._movers.told({other: told.moved for other, told in earned.items() if told.moved is not None})
        if self._streams and self._arbitration is None:
            self._arbitration = self._of_one(next(iter(self._streams.values())), now_ms)
        self._streams[stream.id] = stream
        self._count()
        if self._arbitration is not None:
            self._watched[stream.id] = watched = _Watched(stream)
            self._arbitration = opened(self._arbitration, stream.id, now_ms, watched.grade)

    def hears(self, stream: Fed, samples: Sequence[Sample], at_ms: int, now_ms: int) -> bool:
        """`samples` of a stream have come, the last of them made at `at_ms`: whether it feeds from now on."""
        if self._arbitration is not None:
            watched = self._watched[stream.id]
            watched.add(samples)
            bpm = samples[-1].bpm
            state = heard(self._arbitration, stream.id, at_ms, bpm, watched.grade, plausible=watched.plausible)
            self._arbitration, shift = decide(state, now_ms)
            if shift is not None:
                self._shifted(shift)
        feeds = self.feeds(stream)
        if feeds and (self._fed_until_ms is None or at_ms > self._fed_until_ms):
            self._fed_until_ms = at_ms
        return feeds

    def feeds(self, stream: Fed) -> bool:
        """Whether this stream feeds."""
        return self._arbitration is None or self._arbitration.feeds == stream.id

    def leave(self, stream: Fed, now_ms: int) -> None:
        """A stream has ended, or its connection is gone. What it earned stays."""
        if self._streams.get(stream.id) is not stream:
            return
        del self._streams[stream.id]
        self._watched.pop(stream.id, None)
        self._earned[stream.id] = most(self._earned.get(stream.id, NOTHING_EARNED), stream.effort.earned)
        self._movers.leave(stream)
        self._count()
        if self._arbitration is None:
            return
        self._arbitration = gone(self._arbitration, stream.id)
        if len(self._streams) == 1:
            (alone,) = self._streams
            if self._arbitration.feeds != alone:
                self._shifted(Shift(now_ms, alone, "gone"))
            self._arbitration = None
            self._watched.clear()

    def _of_one(self, alone: Fed, now_ms: int) -> Arbitration:
        """The state in which the only stream so far has been feeding."""
        self._watched[alone.id] = watched = _Watched(alone)
        source = Source(
            watched.grade, read_ms=alone.read_at_ms, alive_since_ms=alone.read_at_ms, standing_since_ms=now_ms
        )
        self._on_shift(alone.id, Shift(now_ms, alone.id, "first"))
        return Arbitration({alone.id: source}, alone.id, now_ms)

    def _shifted(self, shift: Shift) -> None:
        """Another stream feeds: it earns from where the one before it has stopped."""
        if shift.source is not None:
            self._streams[shift.source].earns_from_ms = self._fed_until_ms
            self._on_shift(shift.source, shift)

    def _count(self) -> None:
        self._base = together(earned for stream, earned in self._earned.items() if stream not in self._streams)


def earned(
    stream: Fed,
    samples: Sequence[Sample],
    made: Sequence[int | None],
    *,
    counts: bool,
    window: Window | None = None,
) -> Effort:
    """The effort of a stream after `samples`, of which those count that no other stream has earned in. `made` is when the sample
    before them was made (None: there was none), and each of them, wall clock. With `counts` false nothing is earned, with a
    `window` nothing outside it."""
    early, max_hr = _early(stream, made), stream.physiology.max_hr
    effort = advance(stream.effort, samples[:early], max_hr, counts=False) if early else stream.effort
    if counts and window is not None:
        return advance_within(effort, samples[early:], made[early:], max_hr, window, stream.burn)
    return advance(effort, samples[early:], max_hr, counts=counts, burn=stream.burn)


def _early(stream: Fed, made: Sequence[int | None]) -> int:
    """How many of the samples end an interval that began before the stream may earn. Once one may count, so may all that follow."""
    if stream.earns_from_ms is None:
        return 0
    for number, began_ms in enumerate(made[:-1]):
        if began_ms is not None and began_ms >= stream.earns_from_ms:
            stream.earns_from_ms = None
            return number
    return len(made) - 1
