"""Which of several sensors feeds: stories by hand, and the laws for any readings."""

import uuid
from collections.abc import Iterable
from itertools import pairwise, permutations
from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from services.kernel.ids import StreamId
from services.training.arbitration import (
    DEAD_MS,
    DWELL_MS,
    Arbitration,
    Shift,
    decide,
    fed_by,
    gone,
    heard,
    ledger,
    opened,
)
from services.training.provenance import GRADES, Grade

STRAP, WATCH, BIKE = (StreamId(uuid.UUID(int=number)) for number in (1, 2, 3))


class Heard(NamedTuple):
    at_ms: int
    source: StreamId
    bpm: int | None = 140
    grade: Grade = "optical"
    plausible: bool = True


def strap(at_ms: int, bpm: int | None = 150, *, plausible: bool = True) -> Heard:
    return Heard(at_ms, STRAP, bpm, "strap_rr", plausible)


def watch(at_ms: int, bpm: int | None = 145) -> Heard:
    return Heard(at_ms, WATCH, bpm)


def seconds(begin: int, end: int) -> range:
    return range(begin * 1_000, end * 1_000, 1_000)


def fold(readings: Iterable[Heard], state: Arbitration | None = None) -> tuple[Arbitration, list[Shift]]:
    """Every reading, with a decision after each."""
    state, shifts = state or Arbitration(), []
    for reading in readings:
        state = heard(state, reading.source, reading.at_ms, reading.bpm, reading.grade, plausible=reading.plausible)
        state, shift = decide(state, reading.at_ms)
        if shift is not None:
            shifts.append(shift)
    return state, shifts


def test_the_first_that_feels_a_heart_feeds() -> None:
    _, shifts = fold([strap(0, None), watch(400), strap(1_000, None), watch(1_400)])
    assert shifts == [Shift(400, WATCH, "first")]


def test_a_better_sensor_takes_over_when_it_has_been_better_for_the_dwell() -> None:
    _, shifts = fold(sorted([*map(watch, seconds(0, 40)), *map(strap, seconds(5, 40))]))
    assert shifts == [Shift(0, WATCH, "first"), Shift(5_000 + DWELL_MS, STRAP, "better")]


def test_a_better_sensor_that_falters_begins_again() -> None:
    straps = [*map(strap, seconds(5, 9)), *map(strap, seconds(13, 40))]
    _, shifts = fold(sorted([*map(watch, seconds(0, 40)), *straps]))
    assert shifts[-1] == Shift(13_000 + DWELL_MS, STRAP, "better")


def test_a_strap_that_slips_is_left_when_it_is_dead_and_comes_back_after_the_dwell() -> None:
    straps = [*map(strap, seconds(0, 20)), *(strap(at, None) for at in seconds(20, 30)), *map(strap, seconds(30, 60))]
    _, shifts = fold(
        sorted([*straps, *map(watch, seconds(0, 60))], key=lambda reading: (reading.at_ms, reading.source))
    )
    assert shifts == [
        Shift(0, STRAP, "first"),
        Shift(19_000 + DEAD_MS, WATCH, "dead"),
        Shift(30_000 + DWELL_MS, STRAP, "better"),
    ]


def test_a_sensor_that_cannot_be_believed_gives_way_to_a_lesser_one() -> None:
    straps = [strap(at, plausible=at < 15_000) for at in seconds(0, 60)]
    _, shifts = fold(sorted([*straps, *map(watch, seconds(0, 60))]))
    assert shifts[-1] == Shift(15_000 + DWELL_MS, WATCH, "better")


def test_equals_do_not_take_over_from_each_other() -> None:
    two = [Heard(at + offset, name) for at in seconds(0, 60) for offset, name in ((0, BIKE), (300, WATCH))]
    _, shifts = fold(two)
    assert shifts == [Shift(0, BIKE, "first")]


def test_who_opens_a_sensor_means_it_and_has_it_at_its_first_heart_rate() -> None:
    state, _ = fold(map(watch, seconds(0, 5)))
    state = opened(state, BIKE, 4_200, "optical")
    assert decide(state, 4_300) == (state, None)
    state, shifts = fold([watch(5_000), Heard(5_500, BIKE), watch(6_000)], state)
    assert shifts == [Shift(5_500, BIKE, "opened")]
    # Once: when it has died and lives again, it is one of two equals.
    _, shifts = fold([*map(watch, seconds(7, 20)), Heard(20_000, BIKE), watch(20_500)], state)
    assert shifts == [Shift(9_000, WATCH, "dead")]


def test_a_worse_sensor_that_is_opened_waits_until_it_is_needed() -> None:
    state, _ = fold(map(strap, seconds(0, 5)))
    state = opened(state, WATCH, 4_200, "optical")
    _, shifts = fold(sorted([*map(strap, seconds(5, 20)), *map(watch, seconds(5, 30))]), state)
    assert shifts == [Shift(22_000, WATCH, "dead")]


def test_a_source_that_ends_is_replaced_at_the_next_decision() -> None:
    state, _ = fold(sorted([*map(strap, seconds(0, 5)), *map(watch, seconds(0, 5))]))
    state, shift = decide(gone(state, STRAP), 4_100)
    assert shift == Shift(4_100, WATCH, "gone")
    assert state.feeds == WATCH


def test_when_all_are_dead_nobody_is_put_in_place_of_the_last() -> None:
    state, _ = fold(map(strap, seconds(0, 5)))
    assert decide(state, 60_000) == (state, None)


def test_a_backlog_says_nothing_about_now() -> None:
    state, _ = fold(map(watch, seconds(0, 60)))
    assert heard(state, WATCH, 10_000, 199, "manual", plausible=False) == state


def test_the_ledger_says_who_fed_each_second() -> None:
    shifts = [Shift(1_000, WATCH, "first"), Shift(9_000, STRAP, "better"), Shift(12_000, None, "gone")]
    assert [fed_by(shifts, at) for at in (999, 1_000, 8_999, 9_000, 11_999, 12_000)] == [
        None, WATCH, WATCH, STRAP, STRAP, None,
    ]  # fmt: skip
    assert ledger(shifts, 20_000) == [(1_000, 9_000, WATCH), (9_000, 12_000, STRAP)]
    assert ledger(shifts[:2], 10_000) == [(1_000, 9_000, WATCH), (9_000, 10_000, STRAP)]
    assert ledger([], 5) == []


streams_of_readings = st.lists(
    st.builds(
        lambda step, source, bpm, grade, plausible: Heard(step, source, bpm, grade, plausible),
        st.integers(0, 4_000),
        st.sampled_from([STRAP, WATCH, BIKE]),
        st.sampled_from([None, 140]),
        st.sampled_from(GRADES),
        st.booleans(),
    ),
    max_size=60,
).map(lambda steps: [step._replace(at_ms=sum(one.at_ms for one in steps[: n + 1])) for n, step in enumerate(steps)])


@given(streams_of_readings)
def test_a_living_source_is_never_left_within_the_dwell(readings: list[Heard]) -> None:
    state, decided = Arbitration(), []
    for number, reading in enumerate(readings):
        state, shifts = fold([reading], state)
        decided += [(number, shift) for shift in shifts]
    for (_, before), (number, after) in pairwise(decided):
        known = readings[: number + 1]  # what comes in the same ms, but later, was not known
        last_read = max(r.at_ms for r in known if r.source == before.source and r.bpm is not None)
        if after.at_ms - last_read < DEAD_MS:
            assert after.reason == "better"
            assert after.at_ms - before.at_ms >= DWELL_MS
        else:
            assert after.reason == "dead"


@given(streams_of_readings)
def test_no_dead_source_feeds_at_a_decision_while_another_is_alive(readings: list[Heard]) -> None:
    state = Arbitration()
    for reading in readings:
        state, _ = fold([reading], state)
        alive = {name for name, source in state.sources.items() if source.alive(reading.at_ms)}
        assert not alive or state.feeds in alive


@given(streams_of_readings, st.permutations([STRAP, WATCH, BIKE]))
def test_between_two_decisions_sources_may_be_heard_in_any_order(readings: list[Heard], order: list[StreamId]) -> None:
    def told(some: Iterable[Heard]) -> Arbitration:
        state = Arbitration()
        for r in some:
            state = heard(state, r.source, r.at_ms, r.bpm, r.grade, plausible=r.plausible)
        return state

    now_ms = readings[-1].at_ms if readings else 0
    by_source = sorted(readings, key=lambda reading: order.index(reading.source))
    assert decide(told(readings), now_ms) == decide(told(by_source), now_ms)


@given(streams_of_readings)
def test_the_ledger_agrees_with_the_fold(readings: list[Heard]) -> None:
    state, shifts = fold(readings)
    assert fed_by(shifts, 2**60) == state.feeds
    stretches = ledger(shifts, 2**60)
    assert all(end == begin for (_, end, _), (begin, _, _) in pairwise(stretches))


def test_the_choice_of_the_first_does_not_depend_on_who_was_asked_first() -> None:
    sources = [(STRAP, "optical"), (WATCH, "strap"), (BIKE, "manual")]
    for order in permutations(sources):
        state = Arbitration()
        for name, grade in order:
            state = heard(state, name, 0, 140, grade)  # type: ignore[arg-type]
        assert decide(state, 0)[0].feeds == WATCH
