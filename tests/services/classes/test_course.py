"""Which steps are due where, by the time at which a reading was made."""

from services.classes.class_clock import ClassClock, Pause, Resume, Skip, Start, advance, decide
from services.classes.course import Course, Doing, course_of, heard, is_over, waited
from services.classes.script import Block, Interval, Script, laid_out
from services.classes.steps import Below, Body, Step

NOON = 1_790_000_000_000
BODY = Body(190, 60)
REST = Step(Below(120), for_ms=10_000, within_ms=20_000)
RIDE = Script((Block((Interval(60_000), Interval(60_000, steps=(REST, REST)))),))


def course(*commands: tuple[int, Start | Pause | Resume | Skip]) -> Course:
    """The course of a class of a minute without and a minute with steps, controlled at these ms past noon."""
    clock = ClassClock(120_000)
    for at_ms, command in commands:
        clock = advance(clock, decide(clock, laid_out(RIDE), command, NOON + at_ms))
    found = course_of(RIDE, clock)
    assert found is not None
    return found


def readings(*at_s: int, bpm: int = 110) -> list[tuple[int, int | None]]:
    return [(NOON + at * 1_000, bpm) for at in at_s]


def place(doing: Doing | None) -> tuple[int, int, int]:
    """Interval, step and when it began in running time."""
    assert doing is not None
    return doing.interval, doing.progress.item, doing.progress.began_ms


def test_there_is_no_course_before_the_clock_has_begun_or_without_a_step() -> None:
    assert course_of(RIDE, ClassClock(120_000)) is None
    assert course_of(Script((Block((Interval(60_000),)),)), course((0, Start())).clock) is None
    assert heard(course((0, Start(in_ms=5_000))), BODY, None, readings(4)) is None


def test_who_is_there_begins_the_steps_at_the_very_instant_of_the_interval() -> None:
    riding = course((0, Start()))
    doing = heard(riding, BODY, None, readings(58, 59))
    assert place(doing) == (0, 0, 58_000)
    doing = heard(riding, BODY, doing, readings(63))
    assert place(doing) == (1, 0, 60_000)
    assert place(heard(riding, BODY, doing, readings(65, 68, 70))) == (1, 1, 70_000)


def test_who_comes_late_begins_with_the_first_reading() -> None:
    assert place(heard(course((0, Start())), BODY, None, readings(90))) == (1, 0, 90_000)


def test_a_pause_stops_the_dwell_and_the_timeout() -> None:
    doing = heard(course((0, Start()), (1_000, Skip())), BODY, None, readings(1, 2, 3, 4, 5, 6))
    assert place(doing) == (1, 0, 1_000)
    assert doing is not None
    assert doing.progress.held_ms == 5_000
    paused = course((0, Start()), (1_000, Skip()), (6_000, Pause()))
    doing = heard(paused, BODY, doing, readings(30, 60, 90))
    assert doing is not None
    assert doing.progress.held_ms == 5_000
    going = course((0, Start()), (1_000, Skip()), (6_000, Pause()), (100_000, Resume()))
    assert place(waited(going, doing, NOON + 104_000)) == (1, 0, 1_000)
    assert place(heard(going, BODY, doing, readings(101, 103, 105))) == (1, 1, 11_000)


def test_a_step_is_given_up_though_nothing_is_heard_and_steps_come_to_an_end() -> None:
    riding = course((0, Start()))
    doing = heard(riding, BODY, None, readings(59, bpm=150))
    assert doing is not None
    doing = waited(riding, doing, NOON + 80_500)
    assert place(doing) == (1, 1, 80_000)
    doing = waited(riding, doing, NOON + 119_000)
    assert is_over(riding, doing)


def test_what_is_heard_after_the_end_or_of_an_interval_that_is_behind_changes_nothing() -> None:
    riding = course((0, Start()))
    doing = heard(riding, BODY, None, readings(61))
    assert heard(riding, BODY, doing, readings(59, 121)) == doing
