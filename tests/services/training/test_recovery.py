"""Recovery after the last peak: its vector, its choices, and when there is none."""

import pytest
from hypothesis import given

from services.training.recovery import Recovery, RecoveryTracker
from services.training.sample import Sample
from tests.services.training.build import at, each_second, recordings


def recovery(samples: list[Sample], max_hr: int = 190) -> Recovery:
    """The recovery in samples whose clock never steps back."""
    tracker = RecoveryTracker()
    for sample in samples:
        tracker.add(sample.t, sample.bpm)
    return tracker.result(max_hr)


def falling(start: int, end: int, seconds: int = 60) -> list[int]:
    """A straight fall, one value a second, both ends included."""
    return [round(start + (end - start) * i / seconds) for i in range(seconds + 1)]


def test_a_fall_from_180_to_157_in_a_minute_is_23() -> None:
    assert recovery(each_second([170, 180, *falling(180, 157), 157])) == Recovery(23, 180, 157)


def test_the_protocol_is_named() -> None:
    assert recovery([]).protocol == "peak_60s"


def test_the_peak_is_the_last_moment_at_the_highest_rate() -> None:
    plateau = [180] * 90
    assert recovery(each_second([*plateau, *falling(180, 150), 150])).hrr60 == 30


def test_a_higher_peak_later_is_the_one_that_counts() -> None:
    first = [180, 180, *falling(180, 120)]
    second = [185, 185, *falling(185, 170), 170]
    assert recovery(each_second(first + second)) == Recovery(15, 185, 170)


def test_a_lower_peak_later_changes_nothing() -> None:
    first = [185, 185, *falling(185, 150), 150]
    second = [180, 180, *falling(180, 100), 100]
    assert recovery(each_second(first + second)).hrr60 == 35


def test_one_stray_reading_is_no_peak() -> None:
    beats = [150, 180, 180, *falling(180, 157), 157, 157]
    beats.insert(1, 240)
    assert recovery(each_second(beats)).hrr60 == 23


@pytest.mark.parametrize("place", [0, -1])
def test_a_stray_reading_at_either_end_is_no_peak(place: int) -> None:
    beats = [150, 180, 180, *falling(180, 157), 157, 157]
    beats[place] = 240
    assert recovery(each_second(beats)).hrr60 == 23


def test_one_stray_reading_a_minute_later_is_no_recovery() -> None:
    beats = [180, 180, *[180 - i // 2 for i in range(60)], 150, 150, 150]
    minute_after_the_peak = max(i for i, bpm in enumerate(beats) if bpm == 180) + 60
    beats[minute_after_the_peak] = 60
    assert recovery(each_second(beats)) == Recovery(30, 180, 150)


def test_a_recording_that_ends_too_early_does_not_cover_the_minute() -> None:
    result = recovery(each_second([180, 180, *falling(180, 158, 58)]))
    assert (result.hrr60, result.peak_bpm, result.reason) == (None, 180, "not_covered")


def test_a_strap_that_is_off_a_minute_later_does_not_cover_it() -> None:
    beats: list[int | None] = [180, 180, *falling(180, 160, 40), *[None] * 30, *falling(150, 140)]
    assert recovery(each_second(beats)).reason == "not_covered"


def test_silence_longer_than_the_hold_does_not_cover_it() -> None:
    silent = [*each_second([180, 180, *falling(180, 160, 50)]), *each_second(falling(150, 140), start=80)]
    assert recovery(silent).reason == "not_covered"


def test_of_several_readings_at_the_moment_the_first_counts() -> None:
    samples = [
        at(0, 180),
        at(1, 180),
        *[at(s, 157) for s in range(2, 62)],
        at(61, 100),
        at(61, 100),
        at(62, 100),
    ]
    assert recovery(samples).later_bpm == 157


def test_a_gap_inside_the_minute_does_no_harm() -> None:
    beats: list[int | None] = [180, 180, 179, *[None] * 30, *falling(165, 150)]
    assert recovery(each_second(beats)).hrr60 == 180 - 158


def test_readings_every_five_seconds_are_enough() -> None:
    slow = [at(5 * i, bpm) for i, bpm in enumerate([170, 180, 180, 178, *range(176, 154, -2), 156, 156])]
    assert recovery(slow) == Recovery(24, 180, 156)


def test_a_resting_heart_has_nothing_to_recover_from() -> None:
    result = recovery(each_second([80, 90, *falling(90, 60), 60]))
    assert (result.hrr60, result.reason) == (None, "no_effort")


@pytest.mark.parametrize("peak", [132, 133])
def test_an_effort_begins_at_seventy_percent(peak: int) -> None:
    result = recovery(each_second([peak, peak, *falling(peak, 100), 100]))
    assert result.reason == ("no_effort" if peak == 132 else None)


@pytest.mark.parametrize("samples", [[], [at(0, None)], [at(0, 180)], [at(0, 180), at(60, 150)]])
def test_without_two_readings_in_a_row_nothing_is_believed(samples: list[Sample]) -> None:
    assert recovery(samples).reason == "no_heart_rate"


@given(recordings())
def test_looking_in_between_changes_nothing_and_recovery_is_never_negative(samples: list[Sample]) -> None:
    quiet, watched, elapsed = RecoveryTracker(), RecoveryTracker(), 0
    for sample in samples:
        elapsed = max(elapsed, sample.t)
        quiet.add(elapsed, sample.bpm)
        watched.add(elapsed, sample.bpm)
        seen = watched.result(190)
        assert (seen.hrr60 is None) == (seen.reason is not None)
        assert seen.hrr60 is None or seen.hrr60 >= 0
    assert quiet.result(190) == watched.result(190)
