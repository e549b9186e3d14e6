"""Heart-rate frames: the vectors of the specification, hand-made ones, and any bytes at all."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.training.frame import MAX_FRAME_BYTES, BadFrame
from services.training.heart_rate_frames import (
    LOCATIONS,
    HeartRateMeasurement,
    Reading,
    decode_heart_rate,
    decode_location,
    encode_heart_rate,
    encode_location,
    milliseconds,
)

words = st.integers(0, 0xFFFF)
measurements = st.builds(
    HeartRateMeasurement,
    bpm=words,
    contact=st.sampled_from([None, False, True]),
    energy_kj=st.none() | words,
    rr_ticks=st.lists(words, max_size=64).map(tuple),
)


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        ("16 38 37 04 07 03", HeartRateMeasurement(56, True, None, (1079, 775))),
        ("19 2c 01 10 00 00 04", HeartRateMeasurement(300, None, 16, (1024,))),
        ("00 3c", HeartRateMeasurement(60)),
        ("02 3c", HeartRateMeasurement(60)),  # contact said by a sensor that cannot tell is not said
        ("04 00", HeartRateMeasurement(0, False)),
        ("06 ff", HeartRateMeasurement(255, True)),
        ("01 ff 00", HeartRateMeasurement(255)),
        ("08 50 ff ff", HeartRateMeasurement(80, None, 65535)),
        ("10 50", HeartRateMeasurement(80)),  # intervals announced before there was a beat
        ("e0 50 aa bb", HeartRateMeasurement(80)),  # a later version's fields behind the known ones
    ],
)
def test_frames_say_what_the_specification_says_they_say(frame: str, expected: HeartRateMeasurement) -> None:
    assert decode_heart_rate(bytes.fromhex(frame)) == expected


@pytest.mark.parametrize(
    ("frame", "at"),
    [
        ("", 0),
        ("00", 1),
        ("01 50", 1),
        ("08 50 10", 2),
        ("10 50 00", 2),
        ("10 50 00 04 00", 4),
        ("00 50 00", 2),
        ("16 38" + " 00 04" * 65, 2 + 2 * 64),
    ],
)
def test_a_bad_frame_is_refused_at_the_byte_that_does_not_fit(frame: str, at: int) -> None:
    with pytest.raises(BadFrame, match="0x2A37") as refused:
        decode_heart_rate(bytes.fromhex(frame))
    assert refused.value.at == at


def test_a_frame_longer_than_any_characteristic_is_not_looked_at() -> None:
    with pytest.raises(BadFrame, match="no characteristic has more than 512 bytes"):
        decode_heart_rate(b"\x10\x50" + bytes(MAX_FRAME_BYTES))


@given(measurements)
def test_what_was_encoded_is_decoded_again(measurement: HeartRateMeasurement) -> None:
    assert decode_heart_rate(encode_heart_rate(measurement)) == measurement


@given(st.binary(max_size=40))
def test_any_bytes_are_a_measurement_or_a_bad_frame_at_one_of_their_places(data: bytes) -> None:
    at = None
    try:
        measurement = decode_heart_rate(data)
    except BadFrame as refused:
        at = refused.at
    else:
        assert decode_heart_rate(encode_heart_rate(measurement)) == measurement
    assert at is None or 0 <= at <= len(data)


def test_intervals_are_in_1024ths_of_a_second() -> None:
    assert decode_heart_rate(bytes.fromhex("16 38 37 04 07 03")).reading() == Reading(56, (1054, 757))
    assert [milliseconds(ticks) for ticks in (1, 1024, 65535)] == [1, 1000, 63999]


@pytest.mark.parametrize("measurement", [HeartRateMeasurement(0), HeartRateMeasurement(19), HeartRateMeasurement(251)])
def test_a_rate_that_no_human_shows_is_none(measurement: HeartRateMeasurement) -> None:
    assert measurement.reading() == Reading(None, ())


def test_without_contact_the_rate_beside_it_is_not_believed() -> None:
    assert HeartRateMeasurement(143, contact=False, rr_ticks=(430,)).reading() == Reading(None, ())
    assert HeartRateMeasurement(143, contact=None, rr_ticks=(430, 0)).reading() == Reading(143, (420,))


def test_places_on_the_body_have_their_numbers() -> None:
    assert [decode_location(bytes((number,))) for number in range(7)] == list(LOCATIONS)
    assert decode_location(b"\x63") == "other"
    assert all(decode_location(encode_location(place)) == place for place in LOCATIONS)
    for frame in (b"", b"\x01\x01"):
        with pytest.raises(BadFrame, match="0x2A38"):
            decode_location(frame)
