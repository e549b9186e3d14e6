"""Event logs: beats travel with the heart rate beside them, everything else is passed over."""

from datetime import UTC, datetime

from services.training.recordings import read_recording
from tests.services.training.recordings.reading_aloud import complaint, heart_rates, timeline


def log(*events: tuple[float, str, float]) -> bytes:
    """Events at seconds past noon, in a zone two hours ahead."""
    return "".join(
        f"2026-03-01T14:{int(second) // 60:02}:{second % 60:06.3f}+02:00;{kind};{value}\n"
        for second, kind, value in events
    ).encode()


def test_intervals_travel_with_the_next_heart_rate() -> None:
    data = log(
        (0, "STEPS", 5),
        (1, "HEART_RATE_VARIABILITY", 800),
        (1.8, "HEART_RATE_VARIABILITY", 810),
        (2, "HEART_RATE", 75),
        (2.7, "HEART_RATE_VARIABILITY", 790),
        (3, "HEART_RATE", 76),
    )
    assert [(s.t, s.bpm, s.rr) for s in timeline(data).samples] == [(0, 75, (800, 810)), (1_000, 76, (790,))]


def test_the_start_is_the_first_reading_in_utc() -> None:
    recording = read_recording(log((2, "HEART_RATE", 75)), "log.csv")
    assert recording.started_at == datetime(2026, 3, 1, 12, 0, 2, tzinfo=UTC)


def test_intervals_from_before_a_hole_stay_before_it() -> None:
    data = log(
        (0, "HEART_RATE", 75),
        (1, "HEART_RATE_VARIABILITY", 800),
        (600, "HEART_RATE", 90),
        (601, "HEART_RATE_VARIABILITY", 660),
    )
    assert [(s.t, s.rr) for s in timeline(data).samples] == [(0, (800,)), (600_000, (660,))]


def test_a_heart_rate_of_minus_one_is_lost_contact() -> None:
    assert heart_rates(log((0, "HEART_RATE", 75), (1, "HEART_RATE", -1), (2, "HEART_RATE", 77))) == [75, None, 77]


def test_beats_alone_are_a_recording_of_beats() -> None:
    recording = read_recording(log(*((s, "HEART_RATE_VARIABILITY", 1000) for s in range(5))), "beats.csv")
    assert [point.rr for point in recording.points] == [(1000,)] * 5
    assert recording.started_at == datetime(2026, 3, 1, 12, tzinfo=UTC)


def test_a_log_of_steps_holds_no_heart_rate() -> None:
    assert "holds no heart rate" in complaint(log((0, "STEPS", 1), (9, "STEPS", 2))).reason


def test_a_line_cut_short_is_damage_at_its_number() -> None:
    data = log((0, "HEART_RATE", 75), (1, "HEART_RATE", 76)) + b"2026-03-01T14:00:02.0"
    assert complaint(data).place == "line 3"
    assert len(timeline(data, keep_going=True).samples) == 2


def test_a_time_that_does_not_exist_is_damage_at_its_line() -> None:
    data = log((0, "HEART_RATE", 75)) + b"2026-02-31T14:00:02.000+02:00;HEART_RATE;80\n"
    assert complaint(data).place == "line 2"
