"""Frames of bikes and treadmills: vectors made by hand, and laws for any of them."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.training.frame import BadFrame
from services.training.ftms import (
    IndoorBikeData,
    TreadmillData,
    decode_bike,
    decode_treadmill,
    encode_bike,
    encode_treadmill,
    joined,
)


def whole(low: int, high: int) -> st.SearchStrategy[int | None]:
    return st.none() | st.integers(low, high)


def parts(per: int, low: int, high: int) -> st.SearchStrategy[float | None]:
    return st.none() | st.integers(low, high).map(lambda raw: raw / per)


both: dict[str, st.SearchStrategy[Any]] = {
    "speed_kmh": parts(100, 0, 0xFFFF),
    "average_speed_kmh": parts(100, 0, 0xFFFF),
    "distance_m": whole(0, 0xFFFFFF),
    "energy_kcal": whole(0, 0xFFFE),
    "energy_kcal_h": whole(0, 0xFFFE),
    "energy_kcal_min": whole(0, 0xFE),
    "heart_rate": whole(0, 0xFF),
    "met": parts(10, 0, 0xFF),
    "elapsed_s": whole(0, 0xFFFF),
    "remaining_s": whole(0, 0xFFFF),
}
bikes = st.builds(
    IndoorBikeData,
    **both,
    power_w=whole(-0x8000, 0x7FFF),
    average_power_w=whole(-0x8000, 0x7FFF),
    cadence_rpm=parts(2, 0, 0xFFFF),
    average_cadence_rpm=parts(2, 0, 0xFFFF),
    resistance_level=whole(-0x8000, 0x7FFF),
)
climbs = st.none() | st.tuples(st.integers(0, 0xFFFF), st.integers(0, 0xFFFF)).map(
    lambda raw: (raw[0] / 10, raw[1] / 10)
)


@st.composite
def treadmills(draw: st.DrawFn) -> TreadmillData:
    fields = {name: draw(value) for name, value in both.items()}
    climbed = draw(climbs)
    if climbed is not None:
        fields["climbed_m"], fields["descended_m"] = climbed
    if draw(st.booleans()):
        fields |= {name: draw(parts(10, 0, 0xFF)) for name in ("pace_km_min", "average_pace_km_min")}
    else:
        fields |= {name: draw(whole(0, 0xFFFF)) for name in ("pace_s_per_500m", "average_pace_s_per_500m")}
    return TreadmillData(
        **fields,
        power_w=draw(whole(-0x8000, 0x7FFE)),
        belt_force_n=draw(whole(-0x8000, 0x7FFE)),
        incline_percent=draw(parts(10, -0x8000, 0x7FFE)),
        ramp_degrees=draw(parts(10, -0x8000, 0x7FFE)),
    )


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        ("44 02 9c 09 5c 00 4f 00 50", IndoorBikeData(speed_kmh=24.6, cadence_rpm=46.0, power_w=79, heart_rate=80)),
        ("00 00 00 00", IndoorBikeData(speed_kmh=0.0)),
        ("01 00", IndoorBikeData()),
        ("41 00 f6 ff", IndoorBikeData(power_w=-10)),
        ("20 00 10 27 05 00", IndoorBikeData(speed_kmh=100.0, resistance_level=5)),  # 1.0: two bytes
        ("20 00 10 27 05", IndoorBikeData(speed_kmh=100.0, resistance_level=50)),  # since: one, in tens
        (
            "fe 1f 10 27 0f 27 b4 00 b3 00 01 02 03 fd ff 2c 01 2b 01 64 00 58 02 0a 96 55 3c 00 10 0e",
            IndoorBikeData(
                speed_kmh=100.0,
                average_speed_kmh=99.99,
                cadence_rpm=90.0,
                average_cadence_rpm=89.5,
                distance_m=0x030201,
                resistance_level=-3,
                power_w=300,
                average_power_w=299,
                energy_kcal=100,
                energy_kcal_h=600,
                energy_kcal_min=10,
                heart_rate=150,
                met=8.5,
                elapsed_s=60,
                remaining_s=3600,
            ),
        ),
        ("00 01 00 00 64 00 ff ff ff", IndoorBikeData(speed_kmh=0.0, energy_kcal=100)),
    ],
)
def test_a_bike_says_what_its_flags_announce(frame: str, expected: IndoorBikeData) -> None:
    assert decode_bike(bytes.fromhex(frame)) == expected


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        ("00 00 e8 03", TreadmillData(speed_kmh=10.0)),
        (
            "8c 05 e8 03 d2 04 00 0f 00 ff 7f 7b 00 58 02 0a 8c 78 00",
            TreadmillData(
                speed_kmh=10.0,
                distance_m=1234,
                incline_percent=1.5,
                energy_kcal=123,
                energy_kcal_h=600,
                energy_kcal_min=10,
                heart_rate=140,
                elapsed_s=120,
            ),
        ),
        ("10 00 e8 03 69 00 14 00", TreadmillData(speed_kmh=10.0, climbed_m=10.5, descended_m=2.0)),
        ("20 00 e8 03 02", TreadmillData(speed_kmh=10.0, pace_km_min=0.2)),
        ("60 00 e8 03 b4 00 b5 00", TreadmillData(speed_kmh=10.0, pace_s_per_500m=180, average_pace_s_per_500m=181)),
        ("01 10 ec ff fa 00", TreadmillData(belt_force_n=-20, power_w=250)),
    ],
)
def test_a_treadmill_says_what_its_flags_announce(frame: str, expected: TreadmillData) -> None:
    assert decode_treadmill(bytes.fromhex(frame)) == expected


@pytest.mark.parametrize(
    ("frame", "at"),
    [
        ("", 0),
        ("00", 0),
        ("00 00 e8", 2),
        ("44 02 9c 09 5c 00 4f 00", 8),
        ("00 00 e8 03 00", 4),
        ("00 01 00 00 64 00 ff ff", 8),
    ],
)
def test_a_bad_frame_is_refused_at_the_byte_that_does_not_fit(frame: str, at: int) -> None:
    with pytest.raises(BadFrame) as refused:
        decode_bike(bytes.fromhex(frame))
    assert refused.value.at == at


def test_what_a_later_version_puts_behind_the_known_fields_is_left_alone() -> None:
    assert decode_bike(bytes.fromhex("00 80 e8 03 aa bb")) == IndoorBikeData(speed_kmh=10.0)


@given(bikes)
def test_a_bike_is_read_as_it_was_written(data: IndoorBikeData) -> None:
    assert decode_bike(encode_bike(data)) == data


@given(treadmills())
def test_a_treadmill_is_read_as_it_was_written(data: TreadmillData) -> None:
    assert decode_treadmill(encode_treadmill(data)) == data


@given(st.binary(max_size=48))
def test_any_bytes_are_read_or_refused_at_one_of_their_places(data: bytes) -> None:
    for decode in (decode_bike, decode_treadmill):
        at = 0
        try:
            decode(data)
        except BadFrame as refused:
            at = refused.at
        assert 0 <= at <= len(data)


def test_a_moment_in_two_notifications_is_complete_with_the_speed() -> None:
    first = joined(None, IndoorBikeData(power_w=250, heart_rate=150))
    assert first.more_data
    whole_moment = joined(first, IndoorBikeData(speed_kmh=31.5, cadence_rpm=88.0))
    assert whole_moment == IndoorBikeData(speed_kmh=31.5, cadence_rpm=88.0, power_w=250, heart_rate=150)
    assert not whole_moment.more_data
    assert joined(whole_moment, IndoorBikeData(power_w=260)) == IndoorBikeData(power_w=260)


def test_a_machine_that_feels_no_hand_has_no_heart_rate() -> None:
    assert [IndoorBikeData(heart_rate=rate).bpm for rate in (None, 0, 19, 20, 250, 255)] == [
        None,
        None,
        None,
        20,
        250,
        None,
    ]


def test_what_no_frame_can_say_is_refused() -> None:
    for data in (TreadmillData(pace_km_min=0.2, pace_s_per_500m=150), TreadmillData(climbed_m=1.0)):
        with pytest.raises(OverflowError):
            encode_treadmill(data)
    with pytest.raises(OverflowError):
        encode_bike(IndoorBikeData(power_w=40_000))
