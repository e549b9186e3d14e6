"""The athletes of one room in the steps of its class: taken on by what their sensors say, told to them and to the coach.

The node that receives an athlete's stream takes them on; where they are travels in its share of the board, so whichever node gets
the stream next goes on from there. What becomes of them if nothing more is heard follows from it, so every node tells it by
itself, also when the one that took them on is gone. A node that takes up a stream before it has heard a share begins the steps of
the interval with the first reading.

Timeouts and fallbacks are looked for a little in the past, `ON_THE_WAY_MS`: a reading that is on its way may still do what was
asked. That changes when they are noticed, not when they happen.
"""

from collections.abc import Iterable
from typing import Final

from realtime.wire import ClockView, StepRow
from services.classes.aim import targets_at
from services.classes.class_clock import ClassClock
from services.classes.course import Course, Doing, course_of, heard, is_over, waited
from services.classes.script import Laid, Script, Target, laid_out
from services.classes.steps import Body
from services.kernel.ids import AccountId

ON_THE_WAY_MS: Final = 1_500
"""How long a reading may be under way before a timeout goes ahead of it. By feeling: a second of sensor and radio, and a slow
network."""

Readings = Iterable[tuple[int, int | None]]
"""Server time at which each was made, and bpm."""


class Stepping:
    """See the module. `course` is None as long as there are no steps to be done."""

    def __init__(self) -> None:
        self.course: Course | None = None
        self._revision = 0
        self._script: Script | None = None
        self._laid: tuple[Laid, ...] = ()
        self._clock: ClockView | None = None
        self._told: dict[AccountId, StepRow] = {}
        self._knowing: set[str] = set()

    @property
    def lacks_script(self) -> bool:
        """Whether the clock runs through a script that this node has not read."""
        return self._clock is not None and self._clock.script != self._revision

    def take_script(self, revision: int, script: Script | None) -> None:
        """The script of the class."""
        if revision > self._revision:
            self._revision, self._script = revision, script
            self._laid = () if script is None else laid_out(script)
            self._find_course()

    def take_clock(self, clock: ClockView) -> None:
        """The clock of the class."""
        self._clock = clock
        self._find_course()

    def _find_course(self) -> None:
        if self._script is None or self._clock is None or self.lacks_script:
            self.course = None
        else:
            self.course = course_of(self._script, clock_of(self._clock))

    def targets(self, now_ms: int) -> tuple[Target, ...]:
        """What the class asks of everybody now (services/classes/aim.py)."""
        if self._script is None or self._clock is None or self.lacks_script:
            return ()
        return targets_at(self._script, self._laid, clock_of(self._clock), now_ms)

    # -- what this node sees --------------------------------------------------------------------------------------

    def heard(self, body: Body, doing: Doing | None, readings: Readings) -> Doing | None:
        """Where an athlete is after readings of the stream that feeds their line."""
        return doing if self.course is None else heard(self.course, body, doing, readings)

    # -- to the members -------------------------------------------------------------------------------------------

    def moved(self, athletes: Iterable[tuple[AccountId, int, Doing]], now_ms: int) -> dict[AccountId, StepRow]:
        """Those of these athletes, with their number, that have moved since this was last asked, also by what was not heard."""
        course = self.course
        if course is None:
            return {}
        rows = {
            account_id: row_of(course, n, waited(course, doing, now_ms - ON_THE_WAY_MS))
            for account_id, n, doing in athletes
            if doing.interval < len(course.plans)
        }
        moved = {account_id: row for account_id, row in rows.items() if self._told.get(account_id) != row}
        self._told = rows
        return moved

    def rows(self) -> tuple[StepRow, ...]:
        """Where everybody is, as last told."""
        return tuple(self._told.values())

    def knows(self, connection_id: str) -> bool:
        """Whether a coach's connection was told where everybody is; from now on it was."""
        known = connection_id in self._knowing
        self._knowing.add(connection_id)
        return known

    def forget(self, connection_id: str) -> None:
        """A connection has left the room."""
        self._knowing.discard(connection_id)


def clock_of(view: ClockView) -> ClassClock:
    """The clock behind what clients see of it."""
    return ClassClock(
        duration_ms=view.duration_ms,
        state=view.state,
        at_ms=view.at_ms,
        class_ms=view.class_ms,
        ran_ms=view.ran_ms,
        rests=view.rests,
        programme=view.programme,
        events=view.n - view.script,
        noted_ms=view.noted_at_ms,
    )


def row_of(course: Course, n: int, doing: Doing) -> StepRow:
    """An athlete's place as it goes on the wire."""
    progress = doing.progress
    return StepRow(
        n=n,
        interval=doing.interval,
        item=progress.item,
        round=progress.round,
        step=progress.step,
        held_ms=progress.held_ms,
        inside=progress.inside,
        over=is_over(course, doing),
    )
