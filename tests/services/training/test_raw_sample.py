"""Samples from what the radio gave: straps, bikes, treadmills, and what holds no heart rate."""

import re

import pytest

from services.training.frame import BadFrame
from services.training.ftms import IndoorBikeData, TreadmillData, encode_bike, encode_treadmill
from services.training.raw_sample import READABLE, UUID_PATTERN, UnknownCharacteristic, characteristic_of, sample_of
from services.training.sample import Motion, Sample

STRAP, TREADMILL, BIKE = 0x2A37, 0x2ACD, 0x2AD2


def test_a_strap_becomes_a_sample_with_its_beats() -> None:
    assert sample_of(STRAP, 4_000, [bytes.fromhex("16 38 37 04 07 03")]) == Sample(4_000, 56, (1054, 757))
    assert sample_of(STRAP, 5_000, [bytes.fromhex("14 38 37 04")]) == Sample(5_000)


def test_a_machine_may_tell_a_moment_in_two_notifications() -> None:
    two = [encode_bike(IndoorBikeData(power_w=210, heart_rate=143)), encode_bike(IndoorBikeData(speed_kmh=31.0))]
    assert sample_of(BIKE, 1_000, two) == Sample(1_000, 143, (), Motion(None, 210))
    assert sample_of(TREADMILL, 1_000, [encode_treadmill(TreadmillData(speed_kmh=9.0, heart_rate=151))]) == Sample(
        1_000, 151
    )
    assert sample_of(BIKE, 1_000, [encode_bike(IndoorBikeData(speed_kmh=31.0))]) == Sample(1_000)


def test_a_machine_says_how_far_how_hard_and_how_quickly() -> None:
    published = bytes.fromhex("44 02 9c 09 5c 00 4f 00 50")  # 24.60 km/h, 46 rpm, 79 W, 80 bpm
    assert sample_of(BIKE, 0, [published]) == Sample(0, 80, (), Motion(None, 79, 46))
    ride = encode_bike(IndoorBikeData(speed_kmh=30.0, distance_m=12_345, power_w=0, cadence_rpm=88.5))
    assert sample_of(BIKE, 0, [ride]) == Sample(0, None, (), Motion(12_345, 0, 88))
    run = encode_treadmill(TreadmillData(speed_kmh=12.0, distance_m=1_609, belt_force_n=20, power_w=305))
    assert sample_of(TREADMILL, 0, [run]) == Sample(0, None, (), Motion(1_609, 305))


def test_what_no_human_does_is_unknown() -> None:
    pushed_back = encode_bike(IndoorBikeData(speed_kmh=3.0, power_w=-40, cadence_rpm=900.0, heart_rate=99))
    assert sample_of(BIKE, 0, [pushed_back]) == Sample(0, 99)
    assert sample_of(BIKE, 0, [encode_bike(IndoorBikeData(speed_kmh=3.0, distance_m=0xFF_FFFF))]).motion == Motion(
        0xFF_FFFF
    )


@pytest.mark.parametrize("characteristic", READABLE)
def test_a_moment_without_bytes_is_a_sample_without_a_heart_rate(characteristic: int) -> None:
    assert sample_of(characteristic, 7, [b""]) == Sample(7)


def test_a_strap_does_not_tell_a_moment_twice() -> None:
    with pytest.raises(BadFrame):
        sample_of(STRAP, 0, [b"\x00\x3c", b"\x00\x3c"])


@pytest.mark.parametrize(
    "uuid", ["2a37", "2A37", "00002a37-0000-1000-8000-00805f9b34fb", "00002A37-0000-1000-8000-00805F9B34FB"]
)
def test_a_characteristic_has_a_short_and_a_long_name(uuid: str) -> None:
    assert re.search(UUID_PATTERN, uuid)
    assert characteristic_of(uuid) == STRAP


@pytest.mark.parametrize("uuid", ["", "2a3", "2a377", "0x2a37", "00002a37-0000-1000-8000-00805f9b34fa", "2a37\n\n"])
def test_other_names_are_none(uuid: str) -> None:
    assert not re.search(UUID_PATTERN, uuid)


def test_what_holds_no_heart_rate_is_refused_with_what_does() -> None:
    with pytest.raises(UnknownCharacteristic, match=r"2a37 \(Heart Rate Measurement\)"):
        characteristic_of("2a38")
