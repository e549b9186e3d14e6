"""What the interval that a class is in asks of a heart."""

import pytest

from services.classes.aim import SETTLING_MS, heart_band, targets_at
from services.classes.class_clock import ClassClock, Pause, Start, advance, decide
from services.classes.script import Block, CadenceTarget, Interval, ReserveTarget, Script, Target, ZoneTarget, laid_out
from services.classes.steps import Band, Body

NOON = 1_790_000_000_000
BODY = Body(190, 60)
HARD = ZoneTarget(4, 5)
RIDE = Script((Block((Interval(60_000), Interval(60_000, targets=(CadenceTarget(80, 90), HARD)))),))
LAID = laid_out(RIDE)
RUNNING = advance(ClassClock(120_000), decide(ClassClock(120_000), LAID, Start(), NOON))


def test_an_interval_asks_once_it_has_lasted_for_a_while_and_until_its_end() -> None:
    begins = NOON + 60_000
    assert targets_at(RIDE, LAID, RUNNING, begins + SETTLING_MS - 1) == ()
    assert HARD in targets_at(RIDE, LAID, RUNNING, begins + SETTLING_MS)
    assert HARD in targets_at(RIDE, LAID, RUNNING, begins + 59_999)
    assert targets_at(RIDE, LAID, RUNNING, begins + 60_000) == ()


def test_a_class_that_waits_or_stands_asks_nothing() -> None:
    within = NOON + 60_000 + SETTLING_MS
    paused = advance(RUNNING, decide(RUNNING, LAID, Pause(), within))
    assert targets_at(RIDE, LAID, ClassClock(120_000), within) == ()
    assert targets_at(RIDE, LAID, paused, within + 1_000) == ()


@pytest.mark.parametrize(
    ("targets", "band"),
    [
        ((), None),
        ((CadenceTarget(80, 90),), None),
        ((CadenceTarget(80, 90), ZoneTarget(3, 3)), Band(133, 151)),
        ((ReserveTarget(50, 60),), Band(125, 138)),
    ],
)
def test_only_what_is_asked_of_the_heart_is_a_band(targets: tuple[Target, ...], band: Band | None) -> None:
    assert heart_band(targets, BODY) == band
