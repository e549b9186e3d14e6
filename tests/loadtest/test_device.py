"""The simulated athlete: bounds, kinetics, lost straps, and the same story for the same seed."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.device import Athlete, Strap, crowd
from loadtest.plan import Plan, Step, class_script, easy_ride, intervals, ramp_test, steady
from services.training.sample import MAX_BPM, MIN_BPM

FIRM = Strap(losses_per_hour=0)
seeds = st.integers(0, 2**32)
demands = st.floats(0, 1)
plans = st.lists(st.builds(Step, st.floats(1, 300), demands, demands), min_size=1, max_size=6).map(
    lambda steps: Plan("drawn", tuple(steps))
)


def athlete(plan: Plan, *, seed: int = 7, strap: Strap = FIRM) -> Athlete:
    return Athlete(seed, "Ada", max_hr=190, rest_hr=60, plan=plan, strap=strap)


def bpm_of(runner: Athlete, seconds: int) -> list[int]:
    return [sample.bpm for sample in runner.samples(seconds) if sample.bpm is not None]


@given(plans, seeds, st.integers(30, 90), st.integers(91, 250))
def test_a_heart_rate_is_one_that_a_human_can_have_and_never_above_the_own_maximum(
    plan: Plan, seed: int, rest_hr: int, max_hr: int
) -> None:
    runner = Athlete(seed, "Ada", max_hr, rest_hr, plan)
    for sample in runner.samples(400):
        assert sample.bpm is None or max(MIN_BPM, rest_hr - 5) <= sample.bpm <= min(max_hr, MAX_BPM)


@given(plans, seeds)
def test_the_same_seed_tells_the_same_story_and_another_seed_another(plan: Plan, seed: int) -> None:
    once, again = (list(athlete(plan, seed=seed).samples(300)) for _ in range(2))
    assert once == again
    assert once != list(athlete(plan, seed=seed + 1).samples(300))


@given(plans, seeds, st.lists(st.integers(0, 200), min_size=1, max_size=8))
def test_any_instant_can_be_asked_for_in_any_order(plan: Plan, seed: int, instants: list[int]) -> None:
    runner = athlete(plan, seed=seed, strap=Strap())
    story = list(runner.samples(200))
    assert [runner.sample_at(second * 1000) for second in instants] == [story[second] for second in instants]


@given(seeds)
def test_the_heart_follows_a_harder_demand_with_delay_and_slower_down_than_up(seed: int) -> None:
    up_and_down = Plan("square", (steady(300, 0.1), steady(300, 0.8), steady(300, 0.1)))
    bpm = bpm_of(athlete(up_and_down, seed=seed), 900)
    low, high = bpm[295], bpm[595]
    halfway = (low + high) / 2
    rise = next(second for second in range(300) if bpm[300 + second] >= halfway)
    fall = next(second for second in range(300) if bpm[600 + second] <= halfway)
    assert high - low > 60
    assert 10 <= rise <= 35
    assert 25 <= fall <= 75
    assert rise < fall


def test_heart_rate_drifts_upward_at_the_same_work() -> None:
    bpm = bpm_of(athlete(easy_ride(60)), 3600)
    assert sum(bpm[3000:3300]) / 300 - sum(bpm[600:900]) / 300 >= 2


def test_intervals_swing_and_a_ramp_climbs_to_near_the_maximum() -> None:
    swings = bpm_of(athlete(intervals(6)), 1200)[400:1100]
    assert max(swings) - min(swings) > 25
    ramp = bpm_of(athlete(ramp_test()), 840)
    assert max(ramp) >= 0.9 * 190
    assert all(after > before for before, after in pairwise(ramp[180:840:120]))


def test_a_strap_loses_contact_about_as_often_as_it_is_told_to() -> None:
    hours = 30
    strap = Strap(losses_per_hour=12, longest_loss_s=20)
    losses, lost_before, seconds_lost = 0, False, 0
    for sample in athlete(class_script(again=True), strap=strap).samples(hours * 3600):
        lost = sample.bpm is None
        losses += lost and not lost_before
        seconds_lost += lost
        lost_before = lost
        assert not (lost and sample.rr), "without contact there are no beats either"
    assert 0.8 * 12 * hours <= losses <= 1.2 * 12 * hours
    assert 3 <= seconds_lost / losses <= 20


def test_a_firm_strap_never_loses_contact() -> None:
    assert len(bpm_of(athlete(class_script()), 2000)) == 2001


@given(plans, seeds)
def test_the_beats_add_up_to_the_time_and_agree_with_the_rate(plan: Plan, seed: int) -> None:
    samples = list(athlete(plan, seed=seed).samples(300))
    intervals_ms = [rr for sample in samples for rr in sample.rr]
    assert abs(sum(intervals_ms) - 300_000) < 3_000
    rate = 60_000 * len(intervals_ms) / sum(intervals_ms)
    told = [sample.bpm for sample in samples[1:] if sample.bpm is not None]
    assert rate == pytest.approx(sum(told) / len(told), rel=0.05)


def test_beats_vary_more_at_rest_than_near_the_maximum() -> None:
    def swing(demand: float) -> float:
        samples = list(athlete(Plan("steady", (steady(900, demand),))).samples(900))[600:]
        beats = [rr for sample in samples for rr in sample.rr]
        mean = sum(beats) / len(beats)
        return max(abs(rr - mean) / mean for rr in beats)

    assert swing(0.0) > 3 * swing(0.95)


def test_a_crowd_is_the_same_people_every_time_and_no_two_alike() -> None:
    first, second = crowd(60, class_script()), crowd(60, class_script())
    assert [runner.name for runner in first] == [runner.name for runner in second]
    assert len({runner.name for runner in first}) == 60
    assert len({tuple(s.bpm for s in runner.samples(60)) for runner in first}) == 60


def test_impossible_people_are_refused_with_the_cure() -> None:
    with pytest.raises(ValueError, match="rest 200 and maximum 190"):
        Athlete(1, "Ada", max_hr=190, rest_hr=200, plan=easy_ride())
    with pytest.raises(ValueError, match="before the start"):
        athlete(easy_ride()).sample_at(-1)


@given(plans, st.floats(0, 5000))
def test_a_plan_demands_a_share_at_any_instant_and_rests_at_the_end(plan: Plan, t_s: float) -> None:
    assert 0 <= plan.demand_at(t_s) <= 1
    assert plan.demand_at(plan.seconds + 1) == 0
    again = Plan("again", plan.steps, again=True)
    assert again.demand_at(plan.seconds * 3 + 0.5) == pytest.approx(plan.demand_at(0.5), abs=1e-6)


def test_an_impossible_step_is_refused_by_its_number() -> None:
    with pytest.raises(ValueError, match="step 2 of odd"):
        Plan("odd", (steady(10, 0.5), steady(10, 1.5)))
    with pytest.raises(ValueError, match="no steps"):
        Plan("empty", ())
