"""The timeline of a class: its script, and what has been done to its clock. Pure.

Two things change it, and never at the same time: the script until the clock has begun, the clock from then on. So one number, `n`,
counts the changes, and of two timelines of a class the one with the higher number is the newer, whichever way it came.
"""

import msgspec

from services.classes.class_clock import ClassClock, Event, Started, folded
from services.classes.script import Script, duration_ms


class Timeline(msgspec.Struct, frozen=True):
    """`revision` counts the scripts that were stored, 0 for none; `events` of the clock in order."""

    script: Script | None = None
    revision: int = 0
    events: tuple[Event, ...] = ()

    @property
    def n(self) -> int:
        """How often it has been changed."""
        return self.revision + len(self.events)

    @property
    def begun_ms(self) -> int | None:
        """The server time at which the script begins or began; None while it waits."""
        return next((event.from_ms for event in self.events if isinstance(event, Started)), None)

    @property
    def begun(self) -> bool:
        """Whether the script is settled, because the clock has begun."""
        return bool(self.events)


def clocks_of(timeline: Timeline) -> tuple[ClassClock, ...]:
    """All the clocks the class has had, the present one last; none while it has no script."""
    if timeline.script is None:
        return ()
    return folded(duration_ms(timeline.script), timeline.events)
