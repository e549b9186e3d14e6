"""What counts in a heat is what was ridden between its start and its end, and a log that says otherwise is broken."""

from datetime import date

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.challenges.challenge import HeatTerms, Rules, room_for
from services.challenges.heat import MS_PER_MINUTE, Heat, HeatTrace, heat_rules, require_open
from services.challenges.score_log import BrokenLogError, Closed, Entry, Joined, Opened, Scored, Started
from services.challenges.scoring import Contribution, score_in
from services.kernel.ids import ChallengeId, ClassId
from services.kernel.problems import ChallengeOver, ContradictoryChallenge, HeatBegun
from services.training.sample import Motion, Sample
from tests.services.challenges.build import ID, WEEK, chain, ledger_of, standing, workout

DAY = date(2026, 12, 1)
FIVE_MIN = 5 * MS_PER_MINUTE
METRES = Rules("distance", DAY, DAY, heat=HeatTerms(FIVE_MIN, late=True))
SPRINT = Rules("effort", DAY, DAY, heat=HeatTerms(FIVE_MIN, late=True))
START = 1_796_083_200_000
END = START + FIVE_MIN
HEAT = Heat(ChallengeId(ID), ClassId(ID), "ABC234", START - 60_000, START, END)
MAX_HR = 200


def traced(samples: list[Sample], rules: Rules = SPRINT, offset_ms: int = START) -> HeatTrace:
    trace = HeatTrace(rules, MAX_HR, offset_ms, START, END)
    for sample in samples:
        trace.add(sample)
    return trace


def steady(from_s: int, to_s: int, bpm: int = 150) -> list[Sample]:
    """A reading a second; 150 of 200 is zone 3."""
    return [Sample(second * 1_000, bpm) for second in range(from_s, to_s + 1)]


def gone(*readings: tuple[int, int | None]) -> list[Sample]:
    """What a counter shows: at which ms, how many m."""
    return [Sample(t, None, (), None if m is None else Motion(m)) for t, m in readings]


def ridden(value: int, began_ms: int = START, ended_ms: int = END, revision: int = 1, number: int = 1) -> Contribution:
    what = msgspec.structs.replace(workout(number, value, revision=revision), day=DAY)
    return msgspec.structs.replace(what, began_ms=began_ms, ended_ms=ended_ms)


def log(*rest: Entry, rules: Rules = SPRINT) -> list[Entry]:
    return [Opened(ID, rules), Joined(1, "UTC", None, 1), Joined(2, "UTC", None, 1), *rest]


def test_what_is_ridden_before_the_start_and_after_the_end_earns_nothing() -> None:
    trace = traced(steady(0, 420), offset_ms=START - 60_000)
    assert (trace.value, trace.began_ms, trace.reached_ms) == (3 * FIVE_MIN, START, END)


def test_a_reading_that_stands_over_the_start_counts_from_the_start_on() -> None:
    trace = traced([Sample(0, 150), Sample(4_000, None)], offset_ms=START - 1_500)
    assert (trace.value, trace.began_ms, trace.reached_ms) == (3 * 2_500, START, START + 2_500)


def test_who_comes_late_starts_late_and_who_stops_has_what_they_had() -> None:
    trace = traced(steady(60, 120))
    assert (trace.value, trace.reached_ms) == (3 * 60_000, START + 120_000)
    assert traced([]).value == traced([Sample(0, 150)]).value == 0


@given(st.lists(st.tuples(st.integers(1, 9_000), st.one_of(st.none(), st.integers(60, 200))), max_size=60))
def test_windows_that_lie_side_by_side_earn_together_what_one_over_both_does(
    steps: list[tuple[int, int | None]],
) -> None:
    t, samples = 0, []
    for gap, bpm in steps:
        t += gap
        samples.append(Sample(t, bpm))
    middle = START + FIVE_MIN // 2
    parts = [HeatTrace(SPRINT, MAX_HR, START - 3_333, *window) for window in ((START, middle), (middle, END))]
    for sample in samples:
        for part in parts:
            part.add(sample)
    assert sum(part.value for part in parts) == traced(samples, offset_ms=START - 3_333).value


def test_time_in_a_zone_counts_that_zone_and_those_above_it() -> None:
    rules = Rules("zone_time", DAY, DAY, from_zone=3, heat=SPRINT.heat)
    mixed = [*steady(0, 30, 110), *steady(31, 60, 150), *steady(61, 90, 195), Sample(91_000, None)]
    assert traced(mixed, rules).value == 60_000


def test_whoever_has_the_target_is_done_at_that_very_instant() -> None:
    rules = Rules("effort", DAY, DAY, heat=HeatTerms(FIVE_MIN, late=True, target=100_000))
    trace = traced(steady(0, 200), rules)
    assert (trace.value, trace.reached_ms) == (100_000, START + 33_334)
    both = [ridden(70_000, ended_ms=START + 9, number=1), ridden(70_000, began_ms=START + 9, number=2)]
    assert score_in(rules, both).value == 100_000, "nobody has more, however many devices it took"


def test_the_log_of_a_heat_comes_to_its_table_with_ties_by_who_was_there_first() -> None:
    entries = log(
        Started(START, END),
        Scored(1, ridden(900, ended_ms=END)),
        Scored(2, ridden(900, ended_ms=END - 1, number=2)),
        Closed(END + 1),
    )
    assert standing(ledger_of(chain(entries))) == [(1, 2, 900), (2, 1, 900)]
    shared = msgspec.structs.replace(SPRINT, ties="shared")
    assert [rank for rank, *_ in standing(ledger_of(chain([Opened(ID, shared), *entries[1:]])))] == [1, 1]


@pytest.mark.parametrize(
    "wrong",
    [
        [Scored(1, ridden(5))],
        [Started(START, END - 1)],
        [Started(START, END), Started(START, END)],
        [Started(START, END), Scored(1, ridden(5, began_ms=START - 1))],
        [Started(START, END), Scored(1, ridden(5, ended_ms=END + 1))],
    ],
    ids=["not begun", "another length", "twice", "before the start", "after the end"],
)
def test_a_log_that_says_what_no_heat_can_is_broken(wrong: list[Entry]) -> None:
    with pytest.raises(BrokenLogError):
        ledger_of(chain(log(*wrong)))


def test_a_challenge_over_days_does_not_begin_and_its_log_reads_as_it_always_did() -> None:
    with pytest.raises(BrokenLogError):
        ledger_of(chain([Opened(ID, WEEK), Started(START, END)]))
    assert b"heat" not in chain([Opened(ID, WEEK)])[0].body


def test_newcomers_are_let_in_as_the_terms_say() -> None:
    gathering = msgspec.structs.replace(HEAT, starts_ms=None, ends_ms=None)
    strict, lenient = HeatTerms(FIVE_MIN, late=False), HeatTerms(FIVE_MIN, late=True)
    require_open(gathering, strict, END)
    require_open(HEAT, lenient, END - 1)
    with pytest.raises(HeatBegun):
        require_open(HEAT, strict, START - 1)
    with pytest.raises(ChallengeOver):
        require_open(HEAT, lenient, END)
    assert room_for(SPRINT) == 500


def test_metres_before_the_start_and_after_the_end_count_nothing_and_a_step_over_either_by_its_part() -> None:
    second = [(1_000 * at, 10 * at) for at in range(-30, 361)]
    trace = traced(gone(*second), METRES)
    assert (trace.value, trace.began_ms, trace.reached_ms) == (3_000, START, END)
    over = traced(gone((-7_500, 0), (2_500, 100), (FIVE_MIN - 5_000, 100), (FIVE_MIN + 5_000, 300)), METRES)
    assert (over.value, over.began_ms, over.reached_ms) == (25 + 175, START, END), (
        "of 200 m in the 30 s of a stall and 10 s more"
    )


def test_a_machine_without_a_counter_a_leap_and_a_step_back_earn_nothing() -> None:
    assert traced(steady(0, 300), METRES).value == 0
    assert (
        traced(gone((0, 0), (1_000, 900), (2_000, 903), (3_000, 880), (4_000, None), (5_000, 905)), METRES).value
        == 3 + 2
    )


def test_who_has_the_metres_is_done_at_that_very_instant() -> None:
    rules = msgspec.structs.replace(METRES, heat=HeatTerms(FIVE_MIN, late=True, target=1_003))
    trace = traced(gone(*((2_000 * at, 20 * at) for at in range(150))), rules)
    assert (trace.value, trace.began_ms, trace.reached_ms) == (1_003, START, START + 100_300)


@given(st.lists(st.tuples(st.integers(1, 9_000), st.integers(-60, 400)), max_size=60))
def test_metres_of_windows_side_by_side_are_those_of_one_over_both_but_for_one_that_is_split(
    steps: list[tuple[int, int]],
) -> None:
    t, m, readings = 0, 100, []
    for gap, step in steps:
        t, m = t + gap, max(m + step, 0)
        readings.append((t, m))
    middle = START + FIVE_MIN // 2
    parts = [HeatTrace(METRES, MAX_HR, START - 3_333, *window) for window in ((START, middle), (middle, END))]
    for sample in gone(*readings):
        for part in parts:
            part.add(sample)
    whole = traced(gone(*readings), METRES, offset_ms=START - 3_333).value
    assert whole - 1 <= sum(part.value for part in parts) <= whole


@pytest.mark.parametrize(
    ("kind", "from_zone", "target", "path"),
    [("zone_time", None, None, "$.from_zone"), ("effort", 3, None, "$.from_zone"), ("effort", None, 25.1, "$.target"),
     ("zone_time", 3, 5.1, "$.target"), ("distance", 3, None, "$.from_zone"), ("distance", None, 12_001, "$.target")],
)  # fmt: skip
def test_a_heat_that_cannot_be_is_refused_with_the_place(
    kind: str, from_zone: int | None, target: float | None, path: str
) -> None:
    with pytest.raises(ContradictoryChallenge) as refused:
        heat_rules(kind, 5, from_zone, target, "first", "refused", START)  # type: ignore[arg-type]
    assert refused.value.path == path
    assert heat_rules("distance", 5, None, 12_000, "first", "refused", START).heat == HeatTerms(FIVE_MIN, False, 12_000)
    assert heat_rules("effort", 5, None, 25, "first", "refused", START).heat == HeatTerms(FIVE_MIN, False, 25 * 60_000)
