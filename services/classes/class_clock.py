"""The clock of a class: which class time it is at a server time, exact to the ms, from what the coach has done. Pure.

The coach's commands are decided (`decide`) into events, the events are folded (`advance`) into a clock, and everybody who has the
clock and the server's time has the class time: a late joiner, another node, a client that was away. Nothing ticks.

A clock is a straight line from an anchor (`at_ms` server time, `class_ms` class time) with resting places ahead: an interval that
was extended rests in its last ms for as long as it was extended by. So it is still that interval which goes on, cues of the next
one come with the next one, and class time stays the time of the script as written; `ran_ms` is what has really passed without
pauses.

    class_ms_at(clock, server_ms)    where the class is
    server_ms_of(clock, class_ms)    when it will be there, if nothing is changed

A start may lie in the future (a countdown): until then class time stands at the anchor. At the end of the script it stands for
good.
"""

from collections.abc import Iterable, Sequence
from typing import Annotated, Final, Literal

import msgspec

from services.classes.script import MAX_CLASS_MS, ClassMs, Laid, interval_at
from services.kernel.problems import BadShape, ClockRefused

MAX_COUNTDOWN_MS: Final = 600_000
MIN_EXTENSION_MS: Final = 1_000
MAX_EXTENSION_MS: Final = 1_800_000
MAX_EVENTS: Final = 500
"""Of one class. A coach who does something every ten seconds reaches it after eighty minutes."""

CountdownMs = Annotated[int, msgspec.Meta(ge=0, le=MAX_COUNTDOWN_MS, description="ms from now")]
WallMs = Annotated[int, msgspec.Meta(ge=0, le=2**53 - 1, description="ms since 1970")]
ClockState = Literal["waiting", "running", "paused"]


# -- what a coach asks for ----------------------------------------------------------------------------------------


class Start(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="start"):
    """Begin the script, `in_ms` from now."""

    in_ms: CountdownMs = 0


class Pause(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="pause"):
    """Stand still."""


class Resume(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="resume"):
    """Go on, `in_ms` from now."""

    in_ms: CountdownMs = 0


class Skip(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="skip"):
    """Go on at a later class time, or at the next interval."""

    to_ms: ClassMs | None = None


class Extend(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="extend"):
    """Make the present interval longer. Again: longer still."""

    by_ms: Annotated[int, msgspec.Meta(ge=MIN_EXTENSION_MS, le=MAX_EXTENSION_MS, description="ms")]


class Anchor(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="anchor"):
    """The picture that a video encoder took at the server time `at_ms` has the programme time `programme_ms`
    (`EXT-X-PROGRAM-DATE-TIME` of HLS, in ms since 1970)."""

    at_ms: WallMs
    programme_ms: WallMs


Command = Start | Pause | Resume | Skip | Extend | Anchor


# -- what has happened --------------------------------------------------------------------------------------------


class Happened(msgspec.Struct, frozen=True, tag_field="type"):
    """Base of the events of a class clock. `noted_ms` server time, never before that of the event in front."""

    noted_ms: int


class Started(Happened, frozen=True, tag="started"):
    """The script begins at `from_ms` (server time)."""

    from_ms: int


class Paused(Happened, frozen=True, tag="paused"):
    """The class stands still."""


class Resumed(Happened, frozen=True, tag="resumed"):
    """It goes on at `from_ms` (server time)."""

    from_ms: int


class Skipped(Happened, frozen=True, tag="skipped"):
    """It goes on at `to_ms` (class time)."""

    to_ms: int


class Extended(Happened, frozen=True, tag="extended"):
    """It rests `by_ms` longer at `class_ms`, the last ms of an interval."""

    class_ms: int
    by_ms: int


class Anchored(Happened, frozen=True, tag="anchored"):
    """Server time `at_ms` is programme time `programme_ms`."""

    at_ms: int
    programme_ms: int


Event = Started | Paused | Resumed | Skipped | Extended | Anchored


# -- the clock ----------------------------------------------------------------------------------------------------


class Rest(msgspec.Struct, frozen=True, array_like=True):
    """Class time stands at `class_ms` for `for_ms` before it goes on. On the wire an array of the two."""

    class_ms: int
    for_ms: int


class Programme(msgspec.Struct, frozen=True):
    """Server time `at_ms` is programme time `programme_ms`; both ms since 1970, and from there on they run alike."""

    at_ms: int
    programme_ms: int


class ClassClock(msgspec.Struct, frozen=True):
    """See the module. `duration_ms` of the script; `events` how many made this clock; `rests` ahead of `class_ms`, in order;
    `noted_ms` server time of the last event."""

    duration_ms: int
    state: ClockState = "waiting"
    at_ms: int = 0
    class_ms: int = 0
    ran_ms: int = 0
    rests: tuple[Rest, ...] = ()
    programme: Programme | None = None
    events: int = 0
    noted_ms: int = 0


def class_ms_at(clock: ClassClock, server_ms: int) -> int:
    """The class time at a server time that is not before the clock's last event."""
    return _walked(clock, server_ms)[0]


def ran_ms_at(clock: ClassClock, server_ms: int) -> int:
    """How long the class has run at a server time, pauses left out and extensions counted in."""
    return clock.ran_ms + _running_ms(clock, server_ms)


def server_ms_of(clock: ClassClock, class_ms: int) -> int | None:
    """The first server time at which the class is at `class_ms`, as things stand; None while it does not run, for what is over, and
    for what lies beyond the script."""
    if clock.state != "running" or not clock.class_ms <= class_ms <= clock.duration_ms:
        return None
    rested_ms = sum(rest.for_ms for rest in clock.rests if rest.class_ms < class_ms)
    return clock.at_ms + class_ms - clock.class_ms + rested_ms


def server_ms_at_programme(programme: Programme, programme_ms: int) -> int:
    """The server time at which the picture with this programme time was taken. What the class time was then is to be asked of the
    clock that was valid then: a player is some seconds behind."""
    return programme.at_ms + programme_ms - programme.programme_ms


def is_done(clock: ClassClock, server_ms: int) -> bool:
    """Whether the script is through."""
    return class_ms_at(clock, server_ms) >= clock.duration_ms


def settled(clock: ClassClock, server_ms: int) -> ClassClock:
    """The same clock with its anchor at `server_ms`: nobody can tell the difference from then on. Before a countdown is over it
    stays as it is."""
    if clock.state != "running" or server_ms <= clock.at_ms:
        return clock
    class_ms, rests = _walked(clock, server_ms)
    return msgspec.structs.replace(
        clock, at_ms=server_ms, class_ms=class_ms, rests=rests, ran_ms=ran_ms_at(clock, server_ms)
    )


def decide(clock: ClassClock, laid: Sequence[Laid], command: Command, now_ms: int) -> Event:
    """What happens when the coach asks for this at `now_ms` (server time). Raises `ClockRefused` when the clock is not in a state
    for it, `BadShape` for a place that is not ahead."""
    if clock.events >= MAX_EVENTS:
        raise ClockRefused(
            f"this class has been controlled {MAX_EVENTS} times, which is all there is", state=clock.state
        )
    # Nodes' clocks differ a little: what was noted later happened later.
    now_ms = max(now_ms, clock.noted_ms)
    if isinstance(command, Anchor):
        return Anchored(now_ms, command.at_ms, command.programme_ms)
    if is_done(clock, now_ms):
        raise ClockRefused("the script of this class is through", state="done")
    match command:
        case Start(in_ms=in_ms):
            _require(clock, "waiting")
            return Started(now_ms, now_ms + in_ms)
        case Pause():
            _require(clock, "running")
            return Paused(now_ms)
        case Resume(in_ms=in_ms):
            _require(clock, "paused")
            return Resumed(now_ms, now_ms + in_ms)
        case Skip(to_ms=to_ms):
            _require(clock, "running", "paused")
            return _skip(clock, laid, to_ms, now_ms)
        case Extend(by_ms=by_ms):
            _require(clock, "running", "paused")
            return _extend(clock, laid, by_ms, now_ms)


def advance(clock: ClassClock, event: Event) -> ClassClock:
    """The clock after an event."""
    clock = msgspec.structs.replace(settled(clock, event.noted_ms), events=clock.events + 1, noted_ms=event.noted_ms)
    match event:
        case Started(from_ms=from_ms) | Resumed(from_ms=from_ms):
            return msgspec.structs.replace(clock, state="running", at_ms=from_ms)
        case Paused(noted_ms=noted_ms):
            return msgspec.structs.replace(clock, state="paused", at_ms=noted_ms)
        case Skipped(to_ms=to_ms):
            ahead = tuple(rest for rest in clock.rests if rest.class_ms >= to_ms)
            return msgspec.structs.replace(clock, class_ms=to_ms, rests=ahead)
        case Extended(class_ms=class_ms, by_ms=by_ms):
            return msgspec.structs.replace(clock, rests=_longer(clock.rests, class_ms, by_ms))
        case Anchored(at_ms=at_ms, programme_ms=programme_ms):
            return msgspec.structs.replace(clock, programme=Programme(at_ms, programme_ms))


def folded(duration_ms: int, events: Iterable[Event]) -> tuple[ClassClock, ...]:
    """All the clocks a class has had, from the one that waits to the present one."""
    clocks = [ClassClock(duration_ms)]
    for event in events:
        clocks.append(advance(clocks[-1], event))
    return tuple(clocks)


def _require(clock: ClassClock, *states: ClockState) -> None:
    if clock.state not in states:
        raise ClockRefused(f"the class clock is {clock.state}; this needs it {' or '.join(states)}", state=clock.state)


def _skip(clock: ClassClock, laid: Sequence[Laid], to_ms: int | None, now_ms: int) -> Skipped:
    here_ms = class_ms_at(clock, now_ms)
    if to_ms is None:
        present = interval_at(laid, here_ms)
        to_ms = clock.duration_ms if present is None else present.ends_ms
    if not here_ms < to_ms <= clock.duration_ms:
        raise BadShape(
            f"the class is at {here_ms} of {clock.duration_ms} ms: it can go on at what lies ahead", path="$.do.to_ms"
        )
    return Skipped(now_ms, to_ms)


def _extend(clock: ClassClock, laid: Sequence[Laid], by_ms: int, now_ms: int) -> Extended:
    present = interval_at(laid, class_ms_at(clock, now_ms))
    if present is None:
        raise ClockRefused("the script of this class is through", state="done")
    if sum(rest.for_ms for rest in clock.rests) + by_ms > MAX_CLASS_MS:
        raise BadShape("the interval is long enough", path="$.do.by_ms")
    return Extended(now_ms, present.ends_ms - 1, by_ms)


def _longer(rests: tuple[Rest, ...], class_ms: int, by_ms: int) -> tuple[Rest, ...]:
    for_ms = by_ms + sum(rest.for_ms for rest in rests if rest.class_ms == class_ms)
    others = (rest for rest in rests if rest.class_ms != class_ms)
    return tuple(sorted((*others, Rest(class_ms, for_ms)), key=lambda rest: rest.class_ms))


def _running_ms(clock: ClassClock, server_ms: int) -> int:
    """How much of the time since the anchor the class has run."""
    if clock.state != "running":
        return 0
    left_ms = clock.duration_ms - clock.class_ms + sum(rest.for_ms for rest in clock.rests)
    return min(max(server_ms - clock.at_ms, 0), left_ms)


def _walked(clock: ClassClock, server_ms: int) -> tuple[int, tuple[Rest, ...]]:
    """Class time at a server time, and the rests that are still ahead of it."""
    left_ms, class_ms = _running_ms(clock, server_ms), clock.class_ms
    for number, rest in enumerate(clock.rests):
        if left_ms < rest.class_ms - class_ms:
            return class_ms + left_ms, clock.rests[number:]
        left_ms -= rest.class_ms - class_ms
        class_ms = rest.class_ms
        if left_ms < rest.for_ms:
            return class_ms, (Rest(class_ms, rest.for_ms - left_ms), *clock.rests[number + 1 :])
        left_ms -= rest.for_ms
    return class_ms + left_ms, ()
