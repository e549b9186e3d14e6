"""When somebody is asked whether they are all right: courses of readings that lead to it, those that must not, and real ones."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.safety.limit import HIGHEST_LIMIT, Limit, limit_of
from services.safety.watching import (
    CLEAR_MS,
    FALL_BPM,
    HARD_MS,
    KINDS,
    LOST_MS,
    OVER_MS,
    RECOVERY_MS,
    Finding,
    Watch,
)
from services.training.physiology import Physiology
from services.training.sample import Sample
from tests.services.training.build import bodies, body, each_second, recordings
from tests.services.training.recordings.real import ENTRIES, SILENT, needs_recordings, read_once

LIMIT = 185
HARD = 170
"""Hard effort for a maximum of 190, and below the limit."""


def found(samples: Sequence[Sample], resting_since_s: int | None = None) -> list[tuple[str, int]]:
    """What readings lead to: kind, and second."""
    watch = Watch(LIMIT, body(max_hr=190))
    findings: list[Finding] = []
    for sample in samples:
        rests = resting_since_s is not None and sample.t >= resting_since_s * 1_000
        findings += watch.add(sample, sample.t, resting_since_s * 1_000 if rests and resting_since_s else None)
    return [(finding.kind, finding.at_ms // 1_000) for finding in findings]


def wavering(seconds: int, bpm: int) -> list[int | None]:
    """A heart at a rate: one bpm up and down."""
    return [bpm + second % 2 for second in range(seconds)]


def sliding(bpm: int, to: int, seconds: int) -> list[int | None]:
    """From one rate to another, as evenly as whole numbers can."""
    return [bpm + (to - bpm) * second // seconds for second in range(1, seconds + 1)]


# -- the limit ----------------------------------------------------------------------------------------------------


def test_above_the_limit_for_ten_seconds_in_one_piece() -> None:
    assert found(each_second([*wavering(30, 180), *wavering(11, 187)])) == [("over_limit", 40)]
    assert found(each_second([*wavering(30, 180), *wavering(10, 187), *wavering(60, 175)])) == []


def test_the_limit_itself_is_not_above_it() -> None:
    assert found(each_second([LIMIT - second % 2 for second in range(300)])) == []


def test_who_beats_around_the_limit_stays_above_it_within_the_margin_and_below_it_begins_anew() -> None:
    above, inside, below = 188, LIMIT - 3, LIMIT - 4
    assert found(each_second([above, *[inside] * 9, above])) == [("over_limit", 10)]
    assert found(each_second([above, *[inside] * 4, below, *[inside] * 4, above])) == []


def test_a_gap_breaks_what_has_to_be_in_one_piece() -> None:
    half = wavering(7, 188)
    assert found(each_second([*half, None, None, None, *half])) == [("over_limit", 10)]
    assert found(each_second([*half, *[None] * 6, *half])) == []


def test_whoever_was_asked_is_asked_again_after_a_minute_below_and_not_before() -> None:
    over, pause = wavering(20, 187), CLEAR_MS // 1_000
    long = each_second([*over, *sliding(187, 160, 20), *wavering(pause, 160), *sliding(160, 187, 20), *over])
    short = each_second([*over, *sliding(187, 160, 20), *wavering(20, 160), *sliding(160, 187, 10), *over])
    assert [kind for kind, _ in found(long)] == ["over_limit"] * 2
    assert found(short) == [("over_limit", 10)]


def test_what_no_heart_does_is_no_heart_rate_above_the_limit() -> None:
    assert found(each_second([240 + second % 2 for second in range(120)])) == []
    assert found(each_second([100, 200] * 60)) == []


# -- hard effort --------------------------------------------------------------------------------------------------


def test_half_a_minute_without_a_heart_rate_in_hard_effort() -> None:
    hard = wavering(70, HARD)
    assert found(each_second([*hard, *[None] * 60])) == [("signal_lost", 99)]
    assert found(each_second([*hard, *[None] * 28, *hard])) == []


def test_who_was_in_no_hard_effort_may_take_the_strap_off() -> None:
    assert found(each_second([*wavering(600, 150), *[None] * 600])) == []
    assert found(each_second([*wavering(59, HARD), *[None] * 600])) == [], "a sprint is no hard effort"
    assert found(each_second([*wavering(90, HARD), *sliding(HARD, 150, 40), *[None] * 600])) == []


def test_a_device_that_says_nothing_any_more_is_noticed_without_a_reading_and_once() -> None:
    watch = Watch(LIMIT, body(max_hr=190))
    for sample in each_second(wavering(71, HARD)):
        assert watch.add(sample, sample.t) == ()
    assert watch.passed(70_000 + LOST_MS - 1) == ()
    assert watch.passed(70_000 + LOST_MS) == (Finding("signal_lost", 100_000, HARD),)
    assert watch.passed(10**7) == ()


def test_a_rate_that_falls_as_no_rest_makes_it_and_stays_there() -> None:
    low = HARD - FALL_BPM - 15
    assert found(each_second([*wavering(70, HARD), *sliding(HARD, low, 20), *wavering(30, low)])) == [
        ("rate_fell", 103)
    ]


def test_a_good_recovery_is_no_fall_and_neither_is_a_strap_that_slips_for_a_moment() -> None:
    low = HARD - FALL_BPM - 15
    assert found(each_second([*wavering(70, HARD), *sliding(HARD, low, 45), *wavering(300, low)])) == []
    assert found(each_second([*wavering(70, HARD), *wavering(12, low), *wavering(60, HARD)])) == []


# -- recovery -----------------------------------------------------------------------------------------------------


def test_a_heart_that_goes_on_at_its_rate_three_minutes_after_the_coach_stopped_the_class() -> None:
    samples = each_second([*wavering(100, HARD), *wavering(300, HARD - 5)])
    assert found(samples, resting_since_s=100) == [("no_recovery", 100 + RECOVERY_MS // 1_000)]
    assert found(samples) == [], "while the class goes on nobody has to recover"


def test_a_heart_that_recovers_within_three_minutes_is_left_alone() -> None:
    assert found(each_second([*wavering(100, HARD), *sliding(HARD, HARD - 15, 170)]), resting_since_s=100) == []


def test_a_class_that_goes_on_ends_the_wait_for_recovery() -> None:
    watch = Watch(LIMIT, body(max_hr=190))
    findings: list[Finding] = []
    for sample in each_second(wavering(400, HARD)):
        findings += watch.add(sample, sample.t, 100_000 if 100_000 <= sample.t < 200_000 else None)
    assert findings == []


def test_who_was_not_seen_meanwhile_is_not_judged() -> None:
    samples = [*wavering(100, HARD), *wavering(5, HARD - 5), *[None] * 200, *wavering(30, HARD - 5)]
    assert found(each_second(samples), resting_since_s=100) == []


def test_who_takes_the_strap_off_after_the_class_is_not_lost() -> None:
    samples = each_second([*wavering(100, HARD), *[None] * 100])
    assert found(samples, resting_since_s=100) == []
    assert found(samples) == [("signal_lost", 129)]


# -- laws ---------------------------------------------------------------------------------------------------------


def watched(samples: Sequence[Sample], one: Physiology, looks: Sequence[int] = ()) -> list[Finding]:
    """Findings of a watch that is looked at also in between: so many ms after each reading, if the next one is later."""
    watch = Watch(limit_of(None, one).bpm, one)
    findings: list[Finding] = []
    for number, sample in enumerate(samples):
        findings += watch.add(sample, sample.t)
        if number + 1 < len(samples):
            for look in looks:
                if sample.t + look < samples[number + 1].t:
                    findings += watch.passed(sample.t + look)
    return findings


@given(recordings(), bodies(), st.lists(st.integers(0, 60_000), max_size=4).map(sorted))
def test_it_makes_no_difference_how_often_somebody_looks(
    samples: list[Sample], one: Physiology, looks: list[int]
) -> None:
    assert watched(samples, one, looks) == watched(samples, one)


@given(st.lists(st.integers(120, 240), min_size=1, max_size=40), st.integers(1, 20), st.integers(0, 100))
def test_no_finding_names_an_instant_before_what_it_is_made_of(bpms: list[int], each: int, start: int) -> None:
    """Long runs of rates, so that findings are many."""
    samples = each_second([bpm for bpm in bpms for _ in range(each)], start)
    findings = watched(samples, body(max_hr=180))
    assert [finding.at_ms for finding in findings] == sorted(finding.at_ms for finding in findings)
    for finding in findings:
        assert finding.kind in KINDS
        assert finding.at_ms >= start * 1_000 + min(OVER_MS, HARD_MS)
        assert any(sample.bpm == finding.bpm and sample.t <= finding.at_ms for sample in samples)


@given(recordings(), bodies())
def test_without_a_heart_rate_nothing_is_ever_found(samples: list[Sample], one: Physiology) -> None:
    assert watched([Sample(sample.t) for sample in samples], one) == []


@given(recordings(), bodies())
def test_late_readings_decide_nothing(samples: list[Sample], one: Physiology) -> None:
    newest, in_order = -1, []
    for sample in samples:
        if sample.t >= newest:
            newest = sample.t
            in_order.append(sample)
    assert watched(samples, one) == watched(in_order, one)


@given(bodies(), st.none() | st.integers(90, 230))
def test_every_body_has_a_limit_and_ones_own_goes_before(one: Physiology, own: int | None) -> None:
    limit = limit_of(own, one)
    if own is not None:
        assert limit == Limit(own, "own")
    else:
        assert min(one.max_hr, HIGHEST_LIMIT) <= limit.bpm <= HIGHEST_LIMIT
        assert (limit.source == "measured_maximum") == (one.max_hr_source == "measured")


# -- real ones ----------------------------------------------------------------------------------------------------

OF_A_MAXIMUM_OF_185 = {
    "run-fr965-laps-power.fit": ["over_limit"] * 2,
    "bike-strava-hills.gpx": ["over_limit"] * 4,
    "bike-garminconnect-gaps.gpx": ["signal_lost"] * 2,
}
"""What is found in all real recordings if everybody's measured maximum were 185: the first two are of people who reach 199 and 200;
the third has two gaps in hard effort."""


def of_recording(name: str, max_hr: int) -> list[str]:
    one = body(max_hr=max_hr)
    return [finding.kind for finding in watched(read_once(name)[1].samples, one)]


@needs_recordings
@pytest.mark.parametrize("name", [entry["file"] for entry in ENTRIES if entry["file"] not in SILENT])
def test_real_recordings_lead_to_these_questions_and_no_others(name: str) -> None:
    assert of_recording(name, 185) == OF_A_MAXIMUM_OF_185.get(name, [])


@needs_recordings
def test_nobody_in_the_recordings_is_asked_without_a_cause_once_their_maximum_is_right() -> None:
    """200 is the highest rate in any of them."""
    names = [entry["file"] for entry in ENTRIES if entry["file"] not in SILENT]
    asked = {name: kinds for name in names if (kinds := of_recording(name, 200))}
    assert asked == {}
