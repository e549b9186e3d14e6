"""The course of a class: which steps are due where, and where one athlete is in them. Pure.

A course is the script, laid out, with the clock as it is. It finds the interval of a reading by the server time at which the
reading was made, and hands it to the steps of that interval (steps.py) in running time, which stands still in a pause.

Where an interval begins, the athletes who were there begin its steps at that very instant, whenever their next reading comes. Who
was not there begins with their own first reading. What was left of the interval before is left.
"""

from collections.abc import Iterable

import msgspec

from services.classes import steps
from services.classes.class_clock import ClassClock, class_ms_at, ran_ms_at, server_ms_of
from services.classes.script import Laid, Script, laid_out, place_at
from services.classes.steps import Body, Plan, Progress


class Doing(msgspec.Struct, frozen=True):
    """Where an athlete is: `interval` counted in the script laid out, the progress in its steps, in ms of running time, and the
    body that they are measured by. Whoever knows this knows also what becomes of it if nothing more is heard."""

    interval: int
    progress: Progress
    body: Body


class Course(msgspec.Struct, frozen=True):
    """See the module. `plans` by interval of the script laid out; `clock` as it is from its last event on."""

    laid: tuple[Laid, ...]
    plans: tuple[Plan, ...]
    clock: ClassClock


def course_of(script: Script, clock: ClassClock) -> Course | None:
    """The course of a class whose clock has begun; None when there is no step in it."""
    laid = laid_out(script)
    plans = tuple(script.blocks[each.block].intervals[each.interval].steps for each in laid)
    return Course(laid, plans, clock) if clock.state != "waiting" and any(plans) else None


def heard(course: Course, body: Body, doing: Doing | None, readings: Iterable[tuple[int, int | None]]) -> Doing | None:
    """Where an athlete is after readings (server time at which each was made, and bpm); None as long as nothing has begun."""
    for at_ms, bpm in readings:
        found = _brought_to(course, body, doing, at_ms)
        if found is not None:
            plan, ran_ms = course.plans[found.interval], ran_ms_at(course.clock, at_ms)
            progress, _ = steps.advance(plan, body, found.progress, ran_ms, bpm)
            doing = Doing(found.interval, progress, body)
    return doing


def waited(course: Course, doing: Doing, now_ms: int) -> Doing:
    """Where an athlete is when nothing more was heard until `now_ms` (server time)."""
    found = _brought_to(course, doing.body, doing, now_ms)
    if found is None:
        return doing
    plan, ran_ms = course.plans[found.interval], ran_ms_at(course.clock, now_ms)
    progress, _ = steps.passed(plan, doing.body, found.progress, ran_ms)
    return Doing(found.interval, progress, doing.body)


def is_over(course: Course, doing: Doing) -> bool:
    """Whether an athlete has done all steps of their interval."""
    return steps.is_over(course.plans[doing.interval], doing.progress)


def _brought_to(course: Course, body: Body, doing: Doing | None, at_ms: int) -> Doing | None:
    """The same athlete in the interval of a server time; None where there is none, or none any more that lies behind them."""
    place = place_at(course.laid, class_ms_at(course.clock, at_ms))
    if place >= len(course.laid) or (at_ms < course.clock.at_ms and not course.clock.ran_ms):
        return None
    if doing is None:
        return Doing(place, steps.begin(ran_ms_at(course.clock, at_ms)), body)
    if doing.interval >= place:
        return doing if doing.interval == place else None
    began_ms = _began_ms(course, place)
    return Doing(place, steps.begin_after(course.plans[place], body, doing.progress, began_ms), body)


def _began_ms(course: Course, place: int) -> int:
    """When an interval began, in running time: as far back as the clock goes, which after a skip is where that led to."""
    server_ms = server_ms_of(course.clock, course.laid[place].begins_ms)
    return course.clock.ran_ms if server_ms is None else ran_ms_at(course.clock, server_ms)
