"""Steps that the heart ends: at which reading, at which instant."""

from collections.abc import Iterable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.classes.steps import (
    LOST_MS,
    Above,
    Band,
    Below,
    Body,
    Goal,
    InReserve,
    InZone,
    Plan,
    Progress,
    Rounds,
    Step,
    Turn,
    advance,
    band_of,
    begin,
    is_over,
    passed,
    step_at,
)

BODY = Body(max_hr=190, rest_hr=60)
Readings = Sequence[tuple[int, int | None]]


def ride(plan: Plan, readings: Iterable[tuple[int, int | None]]) -> tuple[Progress, list[Turn]]:
    """The end of a plan that began at 0, and all its turns."""
    progress, turns = begin(0), list[Turn]()
    for at_ms, bpm in readings:
        progress, ended = advance(plan, BODY, progress, at_ms, bpm)
        turns += ended
    return progress, turns


def every_second(*rates: int | None, start: int = 0) -> list[tuple[int, int | None]]:
    """Readings at 1 Hz."""
    return [((start + second) * 1_000, bpm) for second, bpm in enumerate(rates)]


def until_below(bpm: int = 120, for_s: int = 10, within_s: int = 600, **rest: object) -> Step:
    return Step(Below(bpm), for_s * 1_000, within_s * 1_000, **rest)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("goal", "band"),
    [
        (Below(120), Band(0, 119)),
        (Above(150), Band(151, 250)),
        (InZone(3, 3), Band(133, 151)),
        (InZone(0, 0), Band(0, 94)),
        (InZone(4, 5), Band(152, 250)),
        (InReserve(50, 60), Band(125, 138)),
    ],
)
def test_a_goal_is_a_band_of_the_athletes_own_heart_rates(goal: Goal, band: Band) -> None:
    assert band_of(goal, BODY) == band


def test_until_below_120_for_10_s_ends_at_the_very_reading_that_proves_it() -> None:
    _, turns = ride((until_below(),), every_second(*[140, 130, 121, 120], *[119] * 20))
    assert turns == [Turn(0, 0, 0, "done", 14_000)]


def test_a_heart_that_wavers_at_the_border_does_not_start_the_ten_seconds_anew() -> None:
    _, turns = ride((until_below(),), every_second(119, 120, 121, 119, 120, 121, 118, 117, 121, 120, 119))
    assert turns == [Turn(0, 0, 0, "done", 10_000)]
    _, turns = ride((until_below(),), every_second(119, 120, 122, 119, 120, 121, 118, 117, 121, 120, 119))
    assert turns == []


def test_the_reading_that_leaves_the_band_does_not_complete_the_stay() -> None:
    progress, turns = ride((until_below(),), every_second(*[119] * 10, 140))
    assert (turns, progress.held_ms) == ([], 0)


def test_four_minutes_in_zone_3_may_be_in_several_pieces() -> None:
    hold = Step(InZone(3, 3), 240_000, 900_000, unbroken=False)
    _, turns = ride((hold,), every_second(*[140] * 120, *[100] * 60, *[140] * 200))
    assert turns == [Turn(0, 0, 0, "done", 300_000)]


def test_time_that_nothing_proves_counts_for_nothing() -> None:
    plan = (until_below(for_s=10),)
    _, turns = ride(plan, [(0, 110), (4_000, 110), (12_000, 110), (16_000, 110), (20_000, 110)])
    assert turns == []  # eight seconds without a reading broke it
    _, turns = ride(plan, [(0, 110), (5_000, 110), (10_000, 110)])
    assert turns == [Turn(0, 0, 0, "done", 10_000)]
    hold = (Step(Below(120), 10_000, 600_000, unbroken=False),)
    _, turns = ride(hold, [(0, 110), (8_000, 110), (12_000, 110), (13_000, 110)])
    assert turns == [Turn(0, 0, 0, "done", 13_000)]  # five of the eight, then five more


def test_a_step_is_given_up_at_its_timeout_and_the_next_begins_at_that_instant() -> None:
    plan = (until_below(within_s=30), Step(Above(130), 5_000, 60_000))
    progress, turns = ride(plan, every_second(*[140] * 33, start=0))
    assert turns == [Turn(0, 0, 0, "timed_out", 30_000)]
    assert (progress.item, progress.began_ms, progress.held_ms) == (1, 30_000, 2_000)


def test_a_reading_at_the_instant_of_the_timeout_may_still_do_it() -> None:
    _, turns = ride((until_below(within_s=10),), every_second(*[119] * 11))
    assert turns == [Turn(0, 0, 0, "done", 10_000)]


def test_without_a_sensor_a_step_does_what_its_fallback_says() -> None:
    next_step = Step(Above(130), 5_000, 60_000)
    waits, _ = passed((until_below(within_s=30), next_step), BODY, begin(0), 30_001)
    assert (waits.item, waits.began_ms) == (1, 30_000)
    skips, turns = passed((until_below(within_s=30, fallback="skip"), next_step), BODY, begin(0), 30_001)
    assert (skips.item, list(turns)) == (1, [Turn(0, 0, 0, "skipped", LOST_MS)])


def test_no_contact_for_ten_seconds_is_a_lost_sensor_though_it_says_so_every_second() -> None:
    _, turns = ride((until_below(fallback="skip"),), every_second(130, *[None] * 12))
    assert turns == [Turn(0, 0, 0, "skipped", 10_000)]


def test_rounds_repeat_until_they_are_all_done_or_the_heart_says_so() -> None:
    work, rest = Step(Above(150), 2_000, 60_000), Step(Below(130), 2_000, 60_000)
    lap = [160] * 3 + [120] * 3
    _, turns = ride((Rounds((work, rest), at_most=3),), every_second(*lap * 5))
    assert [(turn.round, turn.step) for turn in turns] == [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0), (2, 1)]
    progress, turns = ride(plan := (Rounds((work, rest), at_most=50, until=Below(121)),), every_second(*lap * 5))
    assert [turn.round for turn in turns] == [0, 0]
    assert is_over(plan, progress)
    assert step_at(plan, progress) is None


def test_what_comes_late_undoes_nothing() -> None:
    plan = (until_below(),)
    progress, _ = ride(plan, every_second(*[119] * 5))
    assert advance(plan, BODY, progress, 2_000, 170) == (progress, ())


GOALS = st.sampled_from([Below(120), Above(140), InZone(2, 3), InReserve(40, 60)])
STEPS = st.builds(
    lambda goal, dwell, more, unbroken, fallback: Step(goal, dwell, dwell + more, unbroken, fallback),
    GOALS,
    st.integers(1_000, 12_000),
    st.integers(0, 40_000),
    st.booleans(),
    st.sampled_from(["wait", "skip"]),
)
PLANS = st.lists(
    STEPS
    | st.builds(
        Rounds,
        st.lists(STEPS, min_size=1, max_size=3).map(tuple),
        st.integers(1, 4),
        st.none() | GOALS,
    ),
    min_size=1,
    max_size=4,
).map(tuple)
RATES = st.lists(st.tuples(st.integers(0, 15_000), st.none() | st.integers(90, 170)), max_size=40)


def at_instants(pauses: list[tuple[int, int | None]]) -> list[tuple[int, int | None]]:
    """Readings, each so many ms after the one before."""
    now_ms, readings = 0, list[tuple[int, int | None]]()
    for pause_ms, bpm in pauses:
        now_ms += pause_ms
        readings.append((now_ms, bpm))
    return readings


@given(PLANS, RATES, st.lists(st.integers(0, 600_000), max_size=20))
def test_however_often_somebody_looks_the_steps_are_the_same(
    plan: Plan, pauses: list[tuple[int, int | None]], looks: list[int]
) -> None:
    readings = at_instants(pauses)
    undisturbed, expected = ride(plan, readings)
    progress, turns = begin(0), list[Turn]()
    moments = sorted(
        [(at_ms, 1, bpm) for at_ms, bpm in readings] + [(at_ms, 0, None) for at_ms in looks], key=lambda m: m[:2]
    )
    last_ms = readings[-1][0] if readings else 0
    for at_ms, is_reading, bpm in moments:
        if is_reading:
            progress, ended = advance(plan, BODY, progress, at_ms, bpm)
        elif at_ms <= last_ms:
            progress, ended = passed(plan, BODY, progress, at_ms)
        else:
            continue
        turns += ended
    assert (progress, turns) == (undisturbed, expected)


@given(PLANS, RATES)
def test_turns_come_in_order_and_none_before_its_step_could_be_done(
    plan: Plan, pauses: list[tuple[int, int | None]]
) -> None:
    _, turns = ride(plan, at_instants(pauses))
    began_ms = 0
    for turn in turns:
        item = plan[turn.item]
        step = item.steps[turn.step] if isinstance(item, Rounds) else item
        took_ms = turn.at_ms - began_ms
        assert took_ms <= step.within_ms
        assert turn.how != "done" or took_ms >= step.for_ms
        assert turn.how != "timed_out" or took_ms == step.within_ms
        began_ms = turn.at_ms
