"""Plain RR lists: one interval per line and nothing that could be mistaken for one."""

import pytest

from services.training.recordings import read_recording
from tests.services.training.recordings.reading_aloud import complaint, timeline
from tests.support import recordings as made


def test_every_line_is_a_beat_and_there_is_no_start() -> None:
    recording = read_recording(b"800\r\n812.0\r\n\r\n# a remark\r\n790\r\n", "rest.txt")
    assert [point.rr for point in recording.points] == [(800,), (812,), (790,)]
    assert recording.started_at is None


def test_the_duration_is_the_sum_of_the_intervals() -> None:
    intervals = made.beats(90)
    assert timeline(made.rr_list(intervals)).duration_ms == sum(intervals)


def test_a_list_in_seconds_is_refused_with_the_factor() -> None:
    error = complaint(b"0.812\n0.790\n", keep_going=True)
    assert "seconds" in error.reason
    assert "Multiply every line by 1000" in error.cure


@pytest.mark.parametrize("line", [b"-800", b"8oo", b"800 810", b"nan", b"1e99"])
def test_a_line_that_is_no_interval_is_damage_at_its_number(line: bytes) -> None:
    assert complaint(b"800\n" * 4 + line + b"\n").place == "line 5"
