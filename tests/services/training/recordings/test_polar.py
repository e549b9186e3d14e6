"""Polar HRM: rows at an interval, rows of intervals, and parameters that lie."""

from datetime import datetime

import pytest

from services.training.recordings import read_recording
from tests.services.training.recordings.reading_aloud import complaint, heart_rates, timeline
from tests.support import recordings as made


@pytest.mark.parametrize("interval_s", [1, 5, 15, 60])
def test_rows_are_one_interval_apart(interval_s: int) -> None:
    data = made.hrm(made.workout(10 * interval_s, step_s=interval_s), interval_s=interval_s)
    assert [s.t for s in timeline(data).samples] == [row * interval_s * 1000 for row in range(10)]


def test_heart_rate_0_is_lost_contact() -> None:
    data = made.hrm(made.workout(20, lost=range(6, 9)), interval_s=1)
    assert [bpm is None for bpm in heart_rates(data)[5:10]] == [False, True, True, True, False]


def test_the_wall_clock_has_no_zone() -> None:
    recording = read_recording(made.hrm(made.workout(60, step_s=5)), "ride.hrm")
    assert recording.started_at == datetime(2026, 3, 1, 9, 30)
    assert recording.device == "Polar, monitor code 1"


def test_a_date_that_does_not_exist_costs_only_the_start() -> None:
    data = made.hrm(made.workout(60, step_s=5)).replace(b"Date=20260301", b"Date=20260231")
    recording = read_recording(data, "ride.hrm")
    assert recording.started_at is None
    assert len(recording.points) == 12


def test_notes_in_another_code_page_do_no_harm() -> None:
    readings = made.workout(60, step_s=5)
    noted = made.hrm(readings, note="заметка".encode("cp1251"))
    assert heart_rates(noted) == heart_rates(made.hrm(readings))


def test_rr_mode_runs_on_the_sum_of_its_intervals() -> None:
    result = timeline(made.hrm_rr([900, 900, 900, 900]))
    assert [(s.t, s.rr) for s in result.samples] == [
        (900, (900,)),
        (1_800, (900,)),
        (2_700, (900,)),
        (3_600, (900,)),
    ]
    assert result.samples[0].bpm == 67


def test_a_row_with_too_few_columns_is_damage_at_its_line() -> None:
    data = made.hrm(made.workout(60, step_s=5))
    cut = data[: data.rindex(b"\t")]
    error = complaint(cut)
    rows_until_there = data.count(b"\n")
    assert "2 of 3 columns" in error.reason
    assert error.place == f"line {rows_until_there}"
    assert len(timeline(cut, keep_going=True).samples) == 11


def test_a_file_cut_off_between_two_rows_is_found_out_by_its_promised_length() -> None:
    data = made.hrm(made.workout(600, step_s=5))
    cut = b"\r\n".join(data.split(b"\r\n")[:-30]) + b"\r\n"
    assert "promise" in complaint(cut).reason
    assert len(timeline(cut, keep_going=True).samples) > 80


def test_an_rr_file_cut_off_between_two_rows_is_found_out_too() -> None:
    data = made.hrm_rr([800] * 100).replace(b"800\r\n" * 30, b"", 1)
    assert "promise" in complaint(data).reason


@pytest.mark.parametrize("interval", [b"0", b"-5", b"abc", b"", b"204", b"99999", b"9" * 5000])
def test_an_interval_that_says_nothing_is_refused_with_the_cure(interval: bytes) -> None:
    data = made.hrm(made.workout(60, step_s=5)).replace(b"Interval=5", b"Interval=" + interval)
    error = complaint(data, keep_going=True)
    assert error.cure


def test_a_file_without_rows_is_refused() -> None:
    data = made.hrm([])
    assert "[HRData] is missing or empty" in complaint(data).reason


def test_a_row_that_is_no_heart_rate_is_damage_at_its_line() -> None:
    data = made.hrm(made.workout(60, step_s=5)) + b"12x\t0\t0\r\n"
    assert "'12x' is not a heart rate" in complaint(data).reason
