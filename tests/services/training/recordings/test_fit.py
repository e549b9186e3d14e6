"""FIT: what the messages say, in the order and with the lies that devices write them."""

from datetime import timedelta

import pytest

from services.training.recordings import RecordingError, read_recording
from tests.services.training.recordings.reading_aloud import complaint, heart_rates, timeline
from tests.support import recordings as made
from tests.support.fit_encoder import HEART_RATE, HR, HRV, RECORD, SUMMARY, TIMESTAMP, Field, FitFile

T, HEART = TIMESTAMP.number, HEART_RATE.number
NOW = made.fit_seconds(made.START, 0)


def records(*entries: tuple[int, int | None]) -> FitFile:
    """Records at the given seconds with the given heart rates (None: the field holds 255)."""
    file = FitFile()
    file.define(0, RECORD, [TIMESTAMP, HEART_RATE])
    for second, bpm in entries:
        file.write(0, {T: NOW + second} if bpm is None else {T: NOW + second, HEART: bpm})
    return file


def test_start_sport_and_device_are_read_and_nothing_else() -> None:
    recording = read_recording(made.fit(made.workout(10)), "run.fit")
    assert recording.started_at == made.START
    assert recording.sport == "running"
    assert recording.device == "development Paceline example"


def test_heart_rate_255_and_0_are_no_heart_rate() -> None:
    assert heart_rates(records((0, 80), (1, 255), (2, 0), (3, 82)).encoded()) == [80, None, None, 82]


def test_a_recording_with_heart_rate_0_throughout_goes_through_without_one() -> None:
    result = timeline(records(*((second, 0) for second in range(30))).encoded())
    assert [sample.bpm for sample in result.samples] == [None] * 30
    assert result.cleaning.without_heart_rate == 30


def test_a_file_that_never_mentions_heart_rate_is_refused() -> None:
    file = FitFile()
    file.define(0, RECORD, [TIMESTAMP])
    file.write(0, {T: NOW})
    assert "holds no heart rate" in complaint(file.encoded()).reason


def test_a_part_without_heart_rate_keeps_its_samples() -> None:
    file = FitFile()
    file.define(0, RECORD, [TIMESTAMP])
    file.define(1, RECORD, [TIMESTAMP, HEART_RATE])
    for second in range(5):
        file.write(0, {T: NOW + second})
    file.write(1, {T: NOW + 5, HEART: 120})
    assert heart_rates(file.encoded()) == [None] * 5 + [120]


def test_summaries_before_the_records_do_not_matter_and_name_the_sports_in_order() -> None:
    file = FitFile()
    file.define(1, SUMMARY, [TIMESTAMP, Field(5, "enum")])
    for sport in (5, 3, 2, 3, 1):  # swimming, transition, cycling, transition, running
        file.write(1, {T: NOW, 5: sport})
    file.define(0, RECORD, [TIMESTAMP, HEART_RATE])
    file.write(0, {T: NOW + 1, HEART: 150})
    recording = read_recording(file.encoded(), "triathlon.fit")
    assert recording.sport == "swimming, cycling, running"
    assert [point.bpm for point in recording.points] == [150]


def test_intervals_go_to_the_record_before_them() -> None:
    file = records((0, 75), (1, 75))
    file.define(1, HRV, [Field(0, "uint16", 5)])
    file.write(1, {0: [800, 810]})
    file.write(0, {T: NOW + 2, HEART: 76})
    file.write(1, {0: [790]})
    assert [s.rr for s in timeline(file.encoded()).samples] == [(), (800, 810), (790,)]


def test_intervals_before_the_first_record_wait_for_it() -> None:
    file = FitFile()
    file.define(1, HRV, [Field(0, "uint16", 5)])
    file.write(1, {0: [800]})
    file.define(0, RECORD, [TIMESTAMP, HEART_RATE])
    file.write(0, {T: NOW, HEART: 75})
    file.write(0, {T: NOW + 1, HEART: 75})
    assert [s.rr for s in timeline(file.encoded()).samples] == [(800,), ()]


def test_one_second_in_two_records_becomes_one_sample_with_the_heart_rate() -> None:
    result = timeline(records((0, None), (0, 87), (1, 88), (1, None), (2, 89)).encoded())
    assert [(s.t, s.bpm) for s in result.samples] == [(0, 87), (1000, 88), (2000, 89)]
    assert result.cleaning.merged == 2


def test_compressed_timestamps_count_on_from_the_last_full_one() -> None:
    file = records((0, 80))
    file.define(1, RECORD, [HEART_RATE])
    for second in range(1, 40):  # past the 32 s after which five bits repeat
        file.write_compressed(1, NOW + second, {HEART: 80 + second})
    assert [s.t for s in timeline(file.encoded()).samples] == [second * 1000 for second in range(40)]


def test_time_since_power_up_has_no_calendar_date() -> None:
    file = FitFile()
    file.define(0, RECORD, [TIMESTAMP, HEART_RATE])
    file.write(0, {T: 5, HEART: 80})
    file.write(0, {T: 6, HEART: 81})
    recording = read_recording(file.encoded(), "dead clock.fit")
    assert recording.started_at is None
    assert [s.t for s in timeline(file.encoded()).samples] == [0, 1000]


def test_chained_files_are_one_recording() -> None:
    later = made.START + timedelta(minutes=1)
    both = made.fit(made.workout(10)) + made.fit(made.workout(10), start=later)
    assert [s.t for s in timeline(both).samples][9:11] == [9000, 60_000]


def test_a_cut_off_file_names_the_byte_and_keeps_every_whole_record() -> None:
    file = records(*((second, 100) for second in range(50)))
    whole = file.encoded()
    cut = whole[:-5]  # the checksum and three bytes of the last record
    error = complaint(cut)
    assert error.place == f"byte {len(whole) - 2 - 6} of {len(cut)}"
    assert "cut off inside a message" in error.reason
    assert len(timeline(cut, keep_going=True).samples) == 49


def test_a_wrong_checksum_is_damage_but_all_records_can_be_used() -> None:
    data = records((0, 80), (1, 81)).encoded(checksum=1)
    assert "checksum" in complaint(data).reason
    assert len(timeline(data, keep_going=True).samples) == 2


def test_a_file_that_the_device_never_closed_is_read_to_its_end_on_request() -> None:
    data = records((0, 80), (1, 81)).encoded(body_size=0)[:-2]
    assert "never closed" in complaint(data).reason
    recording = read_recording(data, "dead battery.fit", keep_going=True)
    assert [point.bpm for point in recording.points] == [80, 81]
    assert recording.damage is not None
    assert "never closed" in recording.damage.reason


def test_a_message_without_definition_stops_reading_there() -> None:
    file = records((0, 80), (1, 81))
    file._body.append(7)  # local message 7 was never defined
    error = complaint(file.encoded())
    assert "not what its definition says" in error.reason
    assert len(timeline(file.encoded(), keep_going=True).samples) == 2


def test_text_without_its_final_zero_is_read_like_any_other() -> None:
    file = FitFile()
    file.define(0, 0, [Field(0, "enum"), Field(1, "uint16"), Field(8, "string", 4)])
    file.write(0, {0: 4, 1: 255, 8: b"\xc3\xa9\xff!"})
    file.define(1, RECORD, [TIMESTAMP, HEART_RATE])
    file.write(1, {T: NOW, HEART: 90})
    assert heart_rates(file.encoded()) == [90]


def test_a_record_says_how_far_how_hard_and_how_quickly() -> None:
    file = FitFile()
    distance, power, cadence = Field(5, "uint32"), Field(7, "uint16"), Field(4, "uint8")
    file.define(0, RECORD, [TIMESTAMP, HEART_RATE, distance, power, cadence])
    file.write(0, {T: NOW, HEART: 120, 5: 1_234_567, 7: 251, 4: 88})
    file.write(0, {T: NOW + 1, HEART: 121})
    first, second = read_recording(file.encoded(), "ride.fit").points
    assert (first.distance_m, first.power_w, first.cadence) == (12_345.67, 251, 88)
    assert (second.distance_m, second.power_w, second.cadence) == (None, None, None)


WIDE = Field(253, "uint64")


@pytest.mark.parametrize("wild", [0xFFFF_FFFF, 2**40, 2**63])
def test_a_time_that_no_clock_shows_is_none_and_its_record_left_out(wild: int) -> None:
    file = FitFile()
    file.define(0, RECORD, [WIDE, HEART_RATE])
    for second, bpm in ((wild, 79), (NOW, 80), (NOW + 1, 81)):
        file.write(0, {T: second, HEART: bpm})
    recording = read_recording(file.encoded(), "wild.fit")
    assert recording.started_at == made.START
    result = timeline(file.encoded())
    assert [(s.t, s.bpm) for s in result.samples] == [(0, 80), (1000, 81)]
    assert result.cleaning.untimed == 1


def test_records_that_have_no_other_time_than_such_a_one_are_refused() -> None:
    file = FitFile()
    file.define(0, RECORD, [WIDE, HEART_RATE])
    file.write(0, {T: 2**63, HEART: 80})
    with pytest.raises(RecordingError, match="holds no times"):
        timeline(file.encoded())


def test_records_without_a_timestamp_are_refused() -> None:
    file = FitFile()
    file.define(0, RECORD, [HEART_RATE])
    file.write(0, {HEART: 80})
    with pytest.raises(RecordingError, match="holds no times"):
        timeline(file.encoded())


def test_a_beat_whose_count_no_strap_reaches_is_left_out() -> None:
    file = records((0, 80), (1, 81))
    file.define(1, HR, [TIMESTAMP, Field(0, "uint64"), Field(9, "uint64"), Field(6, "uint8")])
    file.write(1, {T: NOW, 0: 0, 9: 2**63, 6: 90})
    file.write(1, {T: NOW, 0: 2**63, 9: 1024, 6: 91})
    assert [point.bpm for point in read_recording(file.encoded(), "swim.fit").points] == [80, 91, 81]
    assert timeline(file.encoded()).duration_ms == 1000
