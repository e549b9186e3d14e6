"""How old a reading is, seen through clocks that are wrong."""

import pytest

from rooms.reading import DeviceClock, freshness_of


@pytest.mark.parametrize(
    ("age_ms", "word"),
    [(None, "none"), (0, "live"), (2_999, "live"), (3_000, "stale"), (9_999, "stale"), (10_000, "lost")],
)
def test_freshness_follows_age(age_ms: int | None, word: str) -> None:
    assert freshness_of(age_ms) == word


def test_a_steady_stream_is_as_new_as_its_arrival() -> None:
    clock = DeviceClock()
    assert [clock.read(1_000 * n, 50_000 + 1_000 * n) for n in range(3)] == [50_000, 51_000, 52_000]


def test_a_backlog_is_as_old_as_it_is() -> None:
    clock = DeviceClock()
    clock.read(0, 50_000)
    # Thirty seconds without network, then everything at once.
    assert [clock.read(1_000 * n, 80_000) for n in (1, 15, 30)] == [51_000, 65_000, 80_000]


def test_the_measured_offset_survives_a_new_connection() -> None:
    before = DeviceClock()
    before.read(0, 50_000)
    assert DeviceClock(before.offset_ms).read(10_000, 90_000) == 60_000


def test_a_slow_first_packet_is_corrected_by_a_quicker_one() -> None:
    clock = DeviceClock()
    clock.read(0, 53_000)
    assert clock.read(1_000, 51_000) == 51_000
    assert clock.read(2_000, 55_000) == 52_000


def test_a_fast_replay_is_always_live() -> None:
    clock = DeviceClock()
    assert [clock.read(10_000 * n, 50_000 + 1_000 * n) for n in range(3)] == [50_000, 51_000, 52_000]


def test_a_device_clock_that_steps_back_is_measured_anew() -> None:
    clock = DeviceClock()
    clock.read(3_600_000, 50_000)
    assert clock.read(0, 51_000) == 51_000
