"""Samples from what the radio gave: straps, bikes, treadmills, and what holds no heart rate."""

import re

import pytest

from services.training.frame import BadFrame
from services.training.ftms import IndoorBikeData, TreadmillData, encode_bike, encode_treadmill
from services.training.raw_sample import READABLE, UUID_PATTERN, UnknownCharacteristic, characteristic_of, sample_of
from services.training.sample import Sample

STRAP, TREADMILL, BIKE = 0x2A37, 0x2ACD, 0x2AD2


def test_a_strap_becomes_a_sample_with_its_beats() -> None:
    assert sample_of(STRAP, 4_000, [bytes.fromhex("16 38 37 04 07 03")]) == Sample(4_000, 56, (1054, 757))
    assert sample_of(STRAP, 5_000, [bytes.fromhex("14 38 37 04")]) == Sample(5_000)


def test_a_machine_may_tell_a_moment_in_two_notifications() -> None:
    two = [encode_bike(IndoorBikeData(power_w=210, heart_rate=143)), encode_bike(IndoorBikeData(speed_kmh=31.0))]
    assert sample_of(BIKE, 1_000, two) == Sample(1_000, 143)
    assert sample_of(TREADMILL, 1_000, [encode_treadmill(TreadmillData(speed_kmh=9.0, heart_rate=151))]) == Sample(
        1_000, 151
    )
    assert sample_of(BIKE, 1_000, [encode_bike(IndoorBikeData(speed_kmh=31.0))]) == Sample(1_000)


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
