"""Any bytes at all end in a recording or in a RecordingError: never another exception, never without end."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.training.recordings import RecordingError, read_recording, to_samples
from tests.support import recordings as made

WHOLE = {name: make() for name, make in made.EXAMPLES.items() if not name.startswith("damaged")}


def read_either_way(data: bytes) -> None:
    """Strictly and leniently; what strict reading accepts, lenient reading must give as well."""
    for keep_going in (False, True):
        try:
            recording = read_recording(data, "any", keep_going=keep_going)
            result = to_samples(recording)
        except RecordingError as error:
            assert error.reason  # noqa: PT017 - both endings are right
            assert error.cure  # noqa: PT017
            continue
        assert recording.points
        assert keep_going or recording.damage is None
        times = [sample.t for sample in result.samples]
        assert times == sorted(times)


@pytest.mark.parametrize("name", WHOLE)
def test_a_file_cut_off_anywhere_is_read_or_refused(name: str) -> None:
    data = WHOLE[name]
    for length in range(0, len(data), max(1, len(data) // 150)):
        read_either_way(data[:length])


@pytest.mark.parametrize("name", [name for name in WHOLE if not name.startswith(("swim-late", "rest-rr"))])
def test_no_cut_loses_points_that_were_whole_before_it(name: str) -> None:
    data = WHOLE[name]
    complete = len(read_recording(data, name).points)
    half = read_recording(made.cut_off(data, 0.6), name, keep_going=True)
    assert half.damage is not None
    assert complete * 0.3 < len(half.points) < complete


@pytest.mark.parametrize("name", WHOLE)
@settings(max_examples=60)
@given(changes=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(1, 255)), min_size=1, max_size=6))
def test_a_file_with_flipped_bits_is_read_or_refused(name: str, changes: list[tuple[float, int]]) -> None:
    data = WHOLE[name]
    for share, bits in changes:
        data = made.flipped(data, int(share * len(data)), bits)
    read_either_way(data)


BEGINNINGS = [
    b"",
    b"\x0e\x20\x6e\x08\xff\x00\x00\x00.FIT\x00\x00",
    b"<gpx>",
    b"<?xml version='1.0'?><TrainingCenterDatabase>",
]
BEGINNINGS += [b"[Params]\nInterval=1\n[HRData]\n", b"[Params]\nInterval=238\n[HRData]\n", b"800\n"]
BEGINNINGS += [b'{"heartRateValues": [', b"2026-03-01T12:00:00Z;HEART_RATE;80\n", b"\xff\xfe<\x00", b"\xef\xbb\xbf"]


@settings(max_examples=300)
@given(st.sampled_from(BEGINNINGS), st.binary(max_size=400))
def test_a_promising_beginning_before_garbage_is_read_or_refused(beginning: bytes, garbage: bytes) -> None:
    read_either_way(beginning + garbage)
