"""The whole summary: hand-counted workouts, and laws for any samples a device may send."""

from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.training.load import edwards_trimp
from services.training.motion import AT_REST, advance
from services.training.physiology import Physiology
from services.training.sample import HOLD_MS, Motion, Sample, held_ms
from services.training.summary import Gaps, WorkoutSummary, WorkoutTally, summarise
from services.training.zones import zone_of
from tests.services.training.build import at, bodies, body, each_second, recordings


def test_a_minute_of_every_zone_counted_by_hand() -> None:
    bpms = [bpm for bpm in (80, 100, 120, 140, 160, 180) for _ in range(60)] + [180]
    summary = summarise(each_second(bpms), body())
    assert summary.duration_ms == summary.measured_ms == 360_000
    assert summary.ms_in_zone == (60_000,) * 6
    assert summary.edwards == 15
    assert (summary.min_bpm, summary.mean_bpm, summary.max_bpm) == (80, 130, 180)
    assert summary.gaps == Gaps()
    assert summary.assumptions == ("energy_extrapolated",)


def test_the_mean_weighs_readings_by_the_time_they_held() -> None:
    summary = summarise([at(0, 100), at(3, 200), at(4, 60)], body())
    assert summary.mean_bpm == 125
    assert (summary.min_bpm, summary.max_bpm) == (60, 200)


def test_a_lost_strap_is_one_gap_from_the_end_of_the_hold_to_the_next_reading() -> None:
    summary = summarise([at(0, 150), at(20, None), at(30, None), at(60, 140), at(61, 140)], body())
    assert summary.duration_ms == 61_000
    assert summary.measured_ms == HOLD_MS + 1_000
    assert summary.gaps == Gaps(count=1, total_ms=55_000, longest_ms=55_000)
    assert (summary.samples, summary.samples_without_contact) == (5, 2)


@pytest.mark.parametrize(("silence", "gaps"), [(5, 0), (10, 0), (10.001, 1)])
def test_silence_is_a_gap_when_it_outlasts_the_hold_by_more_than_another(silence: float, gaps: int) -> None:
    assert summarise([at(0, 150), at(silence, 150)], body()).gaps.count == gaps


def test_gaps_at_both_ends_count() -> None:
    summary = summarise([at(0, None), at(10, 120), at(11, None), at(31, None)], body())
    assert summary.gaps == Gaps(count=2, total_ms=30_000, longest_ms=20_000)


def test_a_gap_earns_nothing() -> None:
    with_gap = summarise([at(0, 150), at(5, None), at(3_600, 150), at(3_605, 150)], body())
    without = summarise([at(0, 150), at(5, 150), at(10, 150)], body())
    assert with_gap.duration_ms == 3_605_000
    assert (with_gap.edwards, with_gap.banister, with_gap.energy) == (
        without.edwards,
        without.banister,
        without.energy,
    )


def test_a_clock_that_steps_back_adds_nothing_and_is_admitted() -> None:
    summary = summarise([at(100, 150), at(101, 150), at(50, 150), at(51, 150)], body())
    assert summary.duration_ms == summary.measured_ms == 2_000
    assert summary.assumptions == ("clock_stepped_back",)


def test_repeated_times_add_nothing() -> None:
    once = summarise([at(0, 150), at(1, 150)], body())
    twice = summarise([at(0, 150), at(0, 150), at(1, 150), at(1, 150)], body())
    assert (twice.duration_ms, twice.measured_ms, twice.edwards) == (
        once.duration_ms,
        once.measured_ms,
        once.edwards,
    )


def test_nothing_recorded_is_a_summary_of_nothing() -> None:
    summary = summarise([], body())
    assert (summary.duration_ms, summary.measured_ms, summary.samples, summary.edwards) == (0, 0, 0, 0)
    assert (summary.min_bpm, summary.mean_bpm, summary.max_bpm) == (None, None, None)
    assert summary.ms_in_zone == (0,) * 6
    assert summary.banister.points == 0
    assert (summary.energy.kcal, summary.energy.reason) == (None, "no_heart_rate")
    assert (summary.recovery.hrr60, summary.recovery.reason) == (None, "no_heart_rate")


def test_one_sample_has_a_heart_rate_but_no_time() -> None:
    summary = summarise([at(7, 120)], body())
    assert (summary.min_bpm, summary.mean_bpm, summary.max_bpm) == (120, None, 120)
    assert (summary.duration_ms, summary.measured_ms) == (0, 0)


def test_a_strap_that_never_had_contact_is_one_long_gap() -> None:
    summary = summarise(each_second([None] * 61), body())
    assert (summary.measured_ms, summary.samples_without_contact) == (0, 61)
    assert summary.gaps == Gaps(count=1, total_ms=60_000, longest_ms=60_000)


def test_recovery_is_part_of_the_summary() -> None:
    beats = [180, 180, *(round(180 - 23 * i / 60) for i in range(61)), 157]
    assert summarise(each_second(beats), body()).recovery.hrr60 == 23


def test_recovery_waits_a_minute_of_passed_time_whatever_the_clock_says() -> None:
    beats = [180, 180, *(round(180 - 23 * i / 60) for i in range(61)), 157]
    late_clock = each_second(beats[:20], start=1_000) + each_second(beats[19:], start=200)
    assert summarise(late_clock, body()).recovery.hrr60 == 23


def test_beat_intervals_are_counted() -> None:
    assert summarise([Sample(0, 60, (1_000,)), Sample(2_000, 60, (990, 1_010))], body()).rr_intervals == 3


def test_what_was_assumed_is_listed() -> None:
    guessed = Physiology(190, 60, None, None, None, "assumed", "assumed")
    assert summarise([at(0, 191)], guessed).assumptions == (
        "max_hr_assumed",
        "max_hr_exceeded",
        "rest_hr_assumed",
    )
    by_age = Physiology(187, 50, "male", 80, 30, "tanaka", "measured")
    assert summarise([at(0, 120)], by_age).assumptions == ("max_hr_tanaka",)


def test_a_heart_rate_no_strap_sends_is_refused_and_leaves_the_tally_as_it_was() -> None:
    tally = WorkoutTally()
    tally.add(at(0, 150))
    before = tally.summary(body())
    with pytest.raises(ValueError, match="must arrive as None"):
        tally.add(Sample(1_000, 0))
    assert tally.summary(body()) == before


@given(recordings(), bodies())
def test_any_samples_of_anybody_have_a_summary_that_can_be_stored(samples: list[Sample], person: Physiology) -> None:
    summary = summarise(samples, person)
    assert msgspec.json.decode(msgspec.json.encode(summary), type=WorkoutSummary) == summary
    assert summary.samples == len(samples)


@given(recordings(), bodies())
def test_time_is_shared_out_without_remainder(samples: list[Sample], person: Physiology) -> None:
    summary = summarise(samples, person)
    assert sum(summary.ms_in_zone) == summary.measured_ms <= summary.duration_ms
    assert summary.gaps.total_ms <= summary.duration_ms - summary.measured_ms
    assert summary.gaps.longest_ms <= summary.gaps.total_ms
    assert (summary.gaps.longest_ms > HOLD_MS) == (summary.gaps.count > 0)
    if summary.mean_bpm is not None:
        assert summary.min_bpm is not None
        assert summary.max_bpm is not None
        assert summary.min_bpm <= summary.mean_bpm <= summary.max_bpm


@given(recordings(), st.lists(st.integers(1, 10), max_size=20), bodies())
def test_feeding_batches_and_looking_in_between_equals_one_pass(
    samples: list[Sample], sizes: list[int], person: Physiology
) -> None:
    tally, rest = WorkoutTally(), list(samples)
    for size in [*sizes, len(samples)]:
        batch, rest = rest[:size], rest[size:]
        for sample in batch:
            tally.add(sample)
        seen = samples[: len(samples) - len(rest)]
        assert tally.summary(person) == summarise(seen, person)
    assert tally.summary(person) == summarise(samples, person)


@given(recordings(), bodies())
def test_a_live_score_kept_in_zone_milliseconds_equals_the_summary_exactly(
    samples: list[Sample], person: Physiology
) -> None:
    ms_in_zone = [0] * 6
    for sample, later in pairwise(samples):
        if sample.bpm is not None:
            ms_in_zone[zone_of(sample.bpm, person.max_hr)] += held_ms(sample.t, later.t)
    summary = summarise(samples, person)
    assert tuple(ms_in_zone) == summary.ms_in_zone
    assert edwards_trimp(ms_in_zone) == summary.edwards


@given(recordings(min_size=1), st.data(), bodies())
def test_two_parts_that_share_their_border_sample_add_up(
    samples: list[Sample], data: st.DataObject, person: Physiology
) -> None:
    cut = data.draw(st.integers(0, len(samples) - 1))
    first, second = summarise(samples[: cut + 1], person), summarise(samples[cut:], person)
    whole = summarise(samples, person)
    assert whole.duration_ms == first.duration_ms + second.duration_ms
    assert whole.ms_in_zone == tuple(a + b for a, b in zip(first.ms_in_zone, second.ms_in_zone, strict=True))
    assert whole.edwards == pytest.approx(first.edwards + second.edwards)
    if whole.banister.points is not None:
        assert first.banister.points is not None
        assert second.banister.points is not None
        assert whole.banister.points == pytest.approx(first.banister.points + second.banister.points)
    if whole.energy.kcal is not None:
        assert whole.energy.kcal == pytest.approx((first.energy.kcal or 0) + (second.energy.kcal or 0))


def test_what_was_moved_is_in_the_summary_and_what_nobody_measured_is_not() -> None:
    ride = [Sample(1_000 * n, 140, (), Motion(8 * n, 200, 90)) for n in range(61)]
    summary = summarise(ride, body())
    assert (summary.distance_m, summary.mean_power_w, summary.mean_cadence) == (480, 200, 90)
    summary = summarise(each_second([140] * 61), body())
    assert (summary.distance_m, summary.mean_power_w, summary.mean_cadence) == (None, None, None)


def test_a_summary_of_before_there_was_motion_is_read_as_one_without() -> None:
    summary = summarise(each_second([140] * 61), body())
    stored = msgspec.json.decode(msgspec.json.encode(summary))
    for name in ("distance_m", "mean_power_w", "mean_cadence"):
        del stored[name]
    assert msgspec.convert(stored, WorkoutSummary) == summary


@given(st.lists(st.tuples(st.integers(0, 9_000), st.none() | st.integers(0, 60), st.none() | st.integers(0, 900))))
def test_live_motion_and_summary_are_the_same_to_the_last_bit(steps: list[tuple[int, int | None, int | None]]) -> None:
    t, metres, moving, samples = 0, 0, AT_REST, []
    for step_ms, step_m, watts in steps:
        t, metres = t + step_ms, metres + (step_m or 0)
        motion = None if step_m is None and watts is None else Motion(None if step_m is None else metres, watts)
        samples.append(Sample(t, 140, (), motion))
        moving = advance(moving, samples[-1])
    summary = summarise(samples, body())
    assert (summary.distance_m, summary.mean_power_w) == (moving.moved.distance_m, moving.moved.mean_power_w)
