"""The cleaning rule: what becomes of values, instants and beats, and that everything done is counted."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.training.recordings import RawPoint, Recording, RecordingError, Timeline, to_samples
from services.training.recordings.timeline import MAX_RR_PER_SAMPLE, SHUFFLE_MS
from services.training.sample import MAX_BPM, MAX_T_MS, MIN_BPM, Motion

HOUR = 3_600_000


def cleaned(*points: RawPoint) -> Timeline:
    return to_samples(Recording("test", "FIT", None, None, None, points))


def at_seconds(*seconds: float) -> Timeline:
    """Points at these seconds; the heart rate says the place in the file, from 100."""
    return cleaned(*(RawPoint(round(s * 1000), 100 + n) for n, s in enumerate(seconds)))


def beating(*intervals: int) -> Timeline:
    return cleaned(*(RawPoint(None, None, (rr,)) for rr in intervals))


def seconds_of(timeline: Timeline) -> list[float]:
    return [sample.t / 1000 for sample in timeline.samples]


@pytest.mark.parametrize("nothing", [None, 0, -1, 255])
def test_the_ways_to_say_no_value_are_no_heart_rate(nothing: int | None) -> None:
    result = cleaned(RawPoint(0, 80), RawPoint(1000, nothing))
    assert [s.bpm for s in result.samples] == [80, None]
    assert (result.cleaning.without_heart_rate, result.cleaning.out_of_range) == (1, 0)


@pytest.mark.parametrize("fault", [MIN_BPM - 1, MAX_BPM + 1, -70, 65_535])
def test_a_heart_rate_that_no_human_has_is_none_and_counted(fault: int) -> None:
    result = cleaned(RawPoint(0, 80), RawPoint(1000, fault))
    assert [s.bpm for s in result.samples] == [80, None]
    assert result.cleaning.out_of_range == 1


def test_the_limits_themselves_are_heart_rates() -> None:
    assert [s.bpm for s in cleaned(RawPoint(0, MIN_BPM), RawPoint(1, MAX_BPM)).samples] == [MIN_BPM, MAX_BPM]


def test_one_instant_becomes_one_sample() -> None:
    result = cleaned(
        RawPoint(5000, None, (800,)),
        RawPoint(5000, 90, (810,)),
        RawPoint(5000, 92),
        RawPoint(5000, 0),
        RawPoint(6000, 93),
    )
    assert [(s.t, s.bpm, s.rr) for s in result.samples] == [(0, 92, (800, 810)), (1000, 93, ())]
    assert result.cleaning.merged == 3


def test_gaps_stay_as_long_as_they_were() -> None:
    assert seconds_of(at_seconds(0, 1, 2, 2_532, 2_533, 150_000)) == [0, 1, 2, 2_532, 2_533, 150_000]


def test_entries_a_little_late_are_sorted_in() -> None:
    result = at_seconds(0, 1, 3, 2, 5, 4)
    assert seconds_of(result) == [0, 1, 2, 3, 4, 5]
    assert [s.bpm for s in result.samples] == [100, 101, 103, 102, 105, 104]
    assert (result.cleaning.sorted_in, result.cleaning.clock_sets) == (2, 0)


def test_a_second_that_comes_again_after_its_successor_is_merged() -> None:
    result = at_seconds(0, 1, 2, 1, 2, 3)
    assert [(s.t, s.bpm) for s in result.samples] == [(0, 100), (1000, 103), (2000, 104), (3000, 105)]


def test_a_clock_that_is_set_back_goes_on_from_the_last_instant() -> None:
    result = at_seconds(7_200, 7_201, 7_202, 3_600, 3_601, 3_602)
    assert seconds_of(result) == [0, 1, 2, 3, 4, 5]
    assert (result.cleaning.clock_sets, result.cleaning.clock_offset_ms) == (1, 3_603_000)


def test_a_set_clock_goes_on_by_the_step_that_is_usual_in_the_recording() -> None:
    assert seconds_of(at_seconds(1_000, 1_004, 1_008, 100, 104))[-2:] == [12, 16]


def test_a_clock_that_jumps_ahead_by_years_goes_on_by_the_usual_step() -> None:
    result = at_seconds(0, 1, 2, 800_000_000, 800_000_001)
    assert seconds_of(result) == [0, 1, 2, 3, 4]
    assert result.cleaning.clock_sets == 1


def test_a_pause_after_a_set_clock_keeps_its_length() -> None:
    assert seconds_of(at_seconds(5_000, 5_001, 100, 101, 700)) == [0, 1, 2, 3, 602]


@pytest.mark.parametrize("astray", [2_000, 500, 0, 900_000_000])
def test_one_entry_astray_is_put_between_its_neighbours(astray: int) -> None:
    result = at_seconds(1_000, 1_001, astray, 1_003, 1_004)
    assert seconds_of(result) == [0, 1, 2, 3, 4]
    assert (result.cleaning.strays, result.cleaning.clock_sets) == (1, 0)


def test_a_step_back_is_small_up_to_the_limit_and_a_set_clock_past_it() -> None:
    last_sorted_in = 10 - SHUFFLE_MS / 1000
    assert at_seconds(*range(11), last_sorted_in).cleaning.sorted_in == 1
    assert at_seconds(*range(11), last_sorted_in - 0.1).cleaning.clock_sets == 1


def test_disorder_in_a_recording_with_wide_steps_is_no_entry_astray() -> None:
    result = at_seconds(0, 7, 3, 11, 18, 14)
    assert seconds_of(result) == [0, 3, 7, 11, 14, 18]
    assert result.cleaning.strays == 0


def test_entries_without_a_time_are_left_out_where_others_have_one() -> None:
    result = cleaned(RawPoint(0, 80), RawPoint(None, 90), RawPoint(1000, 81))
    assert [s.bpm for s in result.samples] == [80, 81]
    assert result.cleaning.untimed == 1


def test_heart_rates_that_nothing_places_in_time_are_refused_with_what_to_do() -> None:
    with pytest.raises(RecordingError, match="holds no times") as caught:
        cleaned(RawPoint(None, 80), RawPoint(None, 81))
    assert "with the time of every point" in caught.value.cure


def test_a_recording_longer_than_a_stream_may_last_is_refused() -> None:
    days = [RawPoint(day * 24 * HOUR, 70) for day in range(9)]
    with pytest.raises(RecordingError, match="a stream lasts 168 at most"):
        cleaned(*days)


def test_an_interval_so_long_that_no_stream_lasts_as_long_is_refused() -> None:
    with pytest.raises(RecordingError, match="168"):
        beating(800, MAX_T_MS)


def test_beats_are_reported_once_a_second_with_their_mean_rate() -> None:
    result = beating(400, 500, 600, 400, 500)  # end at 400, 900 | 1500, 1900 | 2400 ms
    assert [(s.t, s.bpm, s.rr) for s in result.samples] == [
        (900, 133, (400, 500)),
        (1900, 120, (600, 400)),
        (2400, 120, (500,)),
    ]


def test_a_slow_heart_does_not_look_like_lost_contact() -> None:
    assert [s.bpm for s in beating(1589, 1600, 1550).samples] == [38, 38, 39]


def test_one_long_interval_is_lost_contact_for_its_length() -> None:
    result = beating(800, 800, 16_433, 800, 800)
    assert [(s.t, s.bpm) for s in result.samples] == [
        (800, 75),
        (1_600, 75),
        (2_600, None),  # one report after the last beat
        (18_833, 75),
        (19_633, 75),
    ]
    assert result.cleaning.contact_losses == 1
    assert [rr for s in result.samples for rr in s.rr] == [800, 800, 16_433, 800, 800]


def test_an_interval_that_ends_alone_in_its_second_gives_no_rate() -> None:
    result = beating(800, 2_500, 250, 1_900)
    assert [(s.t, s.bpm) for s in result.samples] == [(800, 75), (1_800, None), (3_550, None), (5_450, 32)]


def test_an_interval_too_short_for_a_heart_does_not_raise_the_rate() -> None:
    assert [s.bpm for s in beating(600, 257, 600).samples] == [100, 100]


def test_intervals_that_do_not_fit_on_the_wire_are_counted() -> None:
    result = cleaned(RawPoint(0, 80, (0, 65_536, 65_535, *([800] * MAX_RR_PER_SAMPLE))))
    assert len(result.samples[0].rr) == MAX_RR_PER_SAMPLE
    assert result.cleaning.rr_dropped == 3


points = st.builds(
    RawPoint,
    at_ms=st.one_of(st.none(), st.integers(0, 60_000), st.integers(0, 2**50)),
    bpm=st.one_of(st.none(), st.integers(-10, 300)),
    rr=st.lists(st.integers(-5, 70_000), max_size=5).map(tuple),
)


@given(st.lists(points, max_size=60))
def test_whatever_the_points_say_the_samples_are_fit_for_the_wire(raw: list[RawPoint]) -> None:
    try:
        result = cleaned(*raw)
    except RecordingError as error:
        assert error.reason.startswith(("lasts", "holds no times"))  # noqa: PT017 - either ending is right
        return
    times = [sample.t for sample in result.samples]
    assert times == sorted(times)
    assert all(0 <= t <= MAX_T_MS for t in times)
    assert all(s.bpm is None or MIN_BPM <= s.bpm <= MAX_BPM for s in result.samples)
    assert all(len(s.rr) <= MAX_RR_PER_SAMPLE and all(1 <= rr <= 65_535 for rr in s.rr) for s in result.samples)


@given(st.lists(points, max_size=60))
def test_no_entry_disappears_uncounted(raw: list[RawPoint]) -> None:
    timed = [RawPoint(n * 700, p.bpm, p.rr) for n, p in enumerate(raw)]
    result = cleaned(*timed)
    counts = result.cleaning
    assert len(timed) == len(result.samples) + counts.merged + counts.untimed
    assert sum(len(p.rr) for p in timed) == sum(len(s.rr) for s in result.samples) + counts.rr_dropped


@given(st.permutations(range(6)), st.integers(0, 3))
def test_shuffling_within_the_window_changes_nothing(order: list[int], later: int) -> None:
    straight = [RawPoint(n * 900, 80 + n) for n in range(6 + later)]
    shuffled = [straight[n] for n in order] + straight[6:]
    assert cleaned(*shuffled).samples == cleaned(*straight).samples


def moving(*points: RawPoint, sport: str | None = "cycling") -> list[Motion | None]:
    return [sample.motion for sample in to_samples(Recording("test", "FIT", sport, None, None, points)).samples]


def test_distance_power_and_cadence_are_carried_over_in_whole_metres() -> None:
    points = RawPoint(0, 80), RawPoint(1_000, 81, (), 7.99, 210, 88)
    assert moving(*points) == [None, Motion(7, 210, 88)]


@pytest.mark.parametrize(
    ("sport", "cadence"),
    [("running", 164), ("Walking", 164), ("cycling", 82), (None, 82), ("swimming, cycling", 82)],
)
def test_on_foot_the_steps_of_both_feet_count(sport: str | None, cadence: int) -> None:
    assert moving(RawPoint(0, 80, (), None, None, 82), sport=sport) == [Motion(None, None, cadence)]


def test_where_nobody_knows_which_sport_an_entry_is_of_there_is_no_cadence() -> None:
    assert moving(RawPoint(0, 80, (), 1.0, None, 82), sport="swimming, cycling, running") == [Motion(1)]


def test_what_no_sample_can_carry_is_none_and_counted() -> None:
    result = cleaned(RawPoint(0, 80, (), -1.0, 65_000, 255), RawPoint(1_000, 80, (), 5.0))
    assert [sample.motion for sample in result.samples] == [Motion(None, None, 255), Motion(5)]
    assert result.cleaning.motion_out_of_range == 2


def test_one_instant_in_two_entries_has_the_motion_of_both() -> None:
    assert moving(RawPoint(0, None, (), 12.5), RawPoint(0, 80, (), None, 150)) == [Motion(12, 150)]
