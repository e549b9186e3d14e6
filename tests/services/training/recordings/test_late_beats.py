"""Heart rate out of a strap's memory: packed times, beats at their own instants, records that give way."""

from hypothesis import given
from hypothesis import strategies as st

from services.training.recordings.late_beats import LateBeats, unpacked, woven
from services.training.recordings.recording import RawPoint
from tests.services.training.recordings.reading_aloud import timeline
from tests.support import recordings as made
from tests.support.recordings import Reading


@given(st.lists(st.integers(0, 4095), max_size=40).filter(lambda values: len(values) % 2 == 0))
def test_packed_times_come_out_as_they_went_in(values: list[int]) -> None:
    assert unpacked(made.packed_12_bits(values)) == values


def test_bytes_that_are_no_whole_pair_are_no_time() -> None:
    assert unpacked(b"\x01\x02") == []


def test_beats_keep_their_own_instants_across_the_wrap_of_twelve_bits() -> None:
    late = [Reading(t, 100 + t // 5000) for t in range(0, 30_000, 700)]
    result = timeline(made.fit_swim(range(0, 30_000, 1000), late))
    assert [s.bpm for s in result.samples] == [reading.bpm for reading in late]
    assert all(abs(s.t - reading.t) <= 2 for s, reading in zip(result.samples, late, strict=True))


def test_beats_from_before_the_first_record_are_kept() -> None:
    late = [Reading(t, 90) for t in range(-10_000, 5_000, 1000)]
    result = timeline(made.fit_swim(range(0, 5_000, 1000), late))
    assert len(result.samples) == 15
    assert result.duration_ms == 14_000


def test_records_without_a_fresh_beat_stay_and_say_that_there_was_no_contact() -> None:
    records = [RawPoint(t * 1000) for t in range(12)]
    beats = [RawPoint(2_500, 110), RawPoint(3_100, 111)]
    assert [(p.at_ms, p.bpm) for p in woven(records, beats)] == [
        (0, None),
        (1_000, None),
        (2_000, None),
        (2_500, 110),
        (3_100, 111),
        *((t * 1000, None) for t in (9, 10, 11)),
    ]


def test_records_with_a_heart_rate_of_their_own_stay() -> None:
    assert woven([RawPoint(1_000, 99)], [RawPoint(900, 100)]) == [RawPoint(900, 100), RawPoint(1_000, 99)]


def test_the_last_beat_repeated_to_fill_a_message_counts_once() -> None:
    late = LateBeats()
    late.add(at_ms=1_000, ticks=[5_000], packed=b"", bpm=[80])
    late.add(at_ms=None, ticks=[], packed=made.packed_12_bits([6_024] * 8), bpm=[82] * 8)
    assert late.points == [RawPoint(1_000, 80), RawPoint(2_000, 82)]


def test_packed_beats_before_any_full_time_are_left_out() -> None:
    late = LateBeats()
    late.add(at_ms=None, ticks=[], packed=made.packed_12_bits([1, 2]), bpm=[80, 81])
    assert late.points == []


def test_a_beat_without_a_rate_is_no_beat_but_its_time_counts() -> None:
    late = LateBeats()
    late.add(at_ms=0, ticks=[0], packed=b"", bpm=[None])
    late.add(at_ms=None, ticks=[], packed=made.packed_12_bits([4_000, 3_000]), bpm=[None, 90])
    assert late.points == [RawPoint((4_096 + 3_000) * 1000 // 1024, 90)]
