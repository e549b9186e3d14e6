"""The curve of a ghost is the score that the workout had, second by second."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rooms.effort import Effort, advance
from services.classes.ranking import weight
from services.training.ghost import MOST_STEPS, STEP_MS, GhostTrace
from services.training.sample import Sample
from services.training.summary import summarise
from tests.support.world import BODY, steady

SAMPLES = st.lists(
    st.tuples(st.integers(-3_000, 20_000), st.one_of(st.none(), st.integers(40, 200))), min_size=1, max_size=40
)


def traced(samples: list[Sample]) -> GhostTrace:
    trace = GhostTrace(BODY.max_hr)
    for sample in samples:
        trace.add(sample)
    return trace


def series(steps: list[tuple[int, int | None]]) -> list[Sample]:
    """Samples so many ms apart, some of them backwards."""
    t, made = 0, []
    for step, bpm in steps:
        t = max(t + step, 0)
        made.append(Sample(t=t, bpm=bpm))
    return made


@given(SAMPLES)
def test_its_end_is_the_sum_of_the_summary_to_the_last_bit(steps: list[tuple[int, int | None]]) -> None:
    samples = series(steps)
    scores = traced(samples).scores()
    assert scores[-1] == weight(summarise(samples, BODY).ms_in_zone)
    assert list(scores) == sorted(scores), "a score never falls"


@given(SAMPLES, st.integers(0, 60))
def test_at_each_second_it_is_what_a_live_board_would_have_shown(
    steps: list[tuple[int, int | None]], second: int
) -> None:
    samples = series([(abs(step), bpm) for step, bpm in steps])
    begins = samples[0].t
    at = begins + second * STEP_MS
    scores = traced(samples).scores()
    if at > samples[-1].t:
        return
    before = [sample for sample in samples if sample.t <= at]
    shown = advance(Effort(), [*before, Sample(t=at)], BODY.max_hr)
    assert scores[second] == weight(shown.zone_ms)


def test_a_break_stands_still_and_a_gap_earns_five_seconds() -> None:
    samples = [Sample(t=0, bpm=BODY.max_hr), Sample(t=20_000, bpm=BODY.max_hr), Sample(t=21_000)]
    scores = traced(samples).scores()
    assert scores[:7] == (0, 5_000, 10_000, 15_000, 20_000, 25_000, 25_000)
    assert (scores[20], scores[21]) == (25_000, 30_000)


def test_one_that_has_not_begun_has_earned_nothing() -> None:
    assert traced([]).scores() == (0,)
    assert traced([Sample(t=5_000, bpm=150)]).scores() == (0,)


@pytest.mark.parametrize(("seconds", "cut"), [(MOST_STEPS - 1, False), (MOST_STEPS + 60, True)])
def test_a_very_long_one_is_cut_and_says_so(seconds: int, cut: bool) -> None:
    trace = traced(steady(seconds + 1))
    assert len(trace.scores()) == MOST_STEPS
    assert trace.cut is cut
