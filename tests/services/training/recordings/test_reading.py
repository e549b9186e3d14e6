"""Which format a file is, what becomes of files that are none, and that the limits hold."""

import gzip

import pytest

from services.training.recordings import MAX_BYTES, MAX_POINTS, Format, read_recording
from tests.services.training.recordings.reading_aloud import complaint, heart_rates
from tests.support import recordings as made

READINGS = made.workout(60, lost=range(20, 30))


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (made.fit(READINGS), "FIT"),
        (made.tcx(READINGS), "TCX"),
        (made.gpx(READINGS), "GPX"),
        (made.hrm(READINGS, interval_s=1), "Polar HRM"),
        (made.hrm_rr(made.beats(30)), "Polar HRM"),
        (made.rr_list(made.beats(30)), "RR list"),
        (made.event_log(READINGS), "event log"),
        (made.day_curve(READINGS), "day curve"),
    ],
)
def test_a_format_is_recognised_by_its_content(data: bytes, expected: Format) -> None:
    assert read_recording(data, "renamed.dat").format == expected


@pytest.mark.parametrize(
    "data",
    [
        made.fit(READINGS),
        made.tcx(READINGS),
        made.gpx(READINGS),
        made.hrm(READINGS, interval_s=1),
        made.event_log(READINGS),
        made.day_curve(READINGS),
    ],
    ids=["FIT", "TCX", "GPX", "HRM", "event log", "day curve"],
)
def test_every_format_gives_back_the_readings_it_was_written_from(data: bytes) -> None:
    recording = read_recording(data, "round trip")
    assert recording.damage is None
    assert heart_rates(data) == [reading.bpm for reading in READINGS]


@pytest.mark.parametrize("data", [made.tcx(READINGS), made.hrm(READINGS), made.rr_list(made.beats(9))])
def test_a_byte_order_mark_does_not_hide_the_format(data: bytes) -> None:
    marked = read_recording(b"\xef\xbb\xbf" + data, "with a mark")
    assert marked.points == read_recording(data, "without").points


def test_text_in_utf_16_is_read() -> None:
    data = made.rr_list([800, 810, 790])
    assert len(read_recording(data.decode().encode("utf-16"), "wide").points) == 3


@pytest.mark.parametrize(
    ("data", "reason", "cure"),
    [
        (b"", "is empty", "Choose the file"),
        (b" \r\n\t ", "is empty", "Choose the file"),
        (b"hello, this is a letter", "recognised", "Known are FIT, TCX and GPX"),
        (b"\x00" * 100, "recognised", "Known are FIT, TCX and GPX"),
        (gzip.compress(made.tcx(READINGS)), "gzip archive", "Unpack it"),
        (b"PK\x03\x04rest", "zip archive", "Unpack it"),
        (b"<kml></kml>", "<kml>", "Export the workout as FIT, TCX or GPX"),
    ],
)
def test_a_file_that_is_no_recording_is_refused_with_the_cure(data: bytes, reason: str, cure: str) -> None:
    for keep_going in (False, True):
        error = complaint(data, keep_going=keep_going)
        assert reason in str(error)
        assert cure in error.cure
        assert str(error).startswith("test file")


def test_a_file_over_the_size_limit_is_refused_by_its_limit() -> None:
    assert "64 MiB" in str(complaint(bytes(MAX_BYTES + 1)))


def test_more_points_than_a_recording_may_have_are_refused_even_when_going_on() -> None:
    error = complaint(b"800\n" * (MAX_POINTS + 1), keep_going=True)
    assert str(MAX_POINTS) in error.reason


def test_damage_is_an_error_by_default_and_a_shorter_recording_on_request() -> None:
    data = made.rr_list([800, 810]) + b"oops\n820\n"
    error = complaint(data)
    assert (error.place, "oops" in error.reason) == ("line 3", True)
    assert "2 points" in error.cure
    assert "--keep-going" in error.cure

    recording = read_recording(data, "list", keep_going=True)
    assert len(recording.points) == 2
    assert recording.damage is not None
    assert recording.damage.place == "line 3"


def test_damage_before_the_first_point_is_an_error_even_when_going_on() -> None:
    error = complaint(made.cut_off(made.fit(READINGS), 0.05), keep_going=True)
    assert "before its damage" in error.reason
    assert error.place is not None


def test_a_name_from_a_file_cannot_steer_a_terminal() -> None:
    evil = made.gpx(READINGS).replace(b"<type>cycling", b"<type>cy&#x9b;31mcling&#x202e; " + b"x" * 500)
    sport = read_recording(evil, "evil").sport
    assert sport is not None
    assert sport.isprintable()
    assert len(sport) <= 60
