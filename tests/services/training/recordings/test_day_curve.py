"""Day curves: pairs of instant and heart rate out of JSON, whole or cut off."""

import pytest

from services.training.recordings import read_recording
from tests.services.training.recordings.reading_aloud import complaint, heart_rates, timeline
from tests.support import recordings as made

READINGS = made.workout(3600, step_s=120, lost=range(600, 900))


def test_pairs_two_minutes_apart_stay_two_minutes_apart() -> None:
    result = timeline(made.day_curve(READINGS))
    assert [(s.t, s.bpm) for s in result.samples] == [(r.t, r.bpm) for r in READINGS]
    assert result.cleaning.without_heart_rate == 3


def test_the_start_is_the_first_pair() -> None:
    assert read_recording(made.day_curve(READINGS), "day.json").started_at == made.START


@pytest.mark.parametrize("data", [b'{"hrvReadings": [{"hrvValue": 54}]}', b"{}", b"[]", b'{"heartRateValues": null}'])
def test_json_without_a_curve_holds_no_heart_rate(data: bytes) -> None:
    assert "holds no heart rate" in complaint(data).reason


def test_an_empty_curve_holds_no_points() -> None:
    assert "holds no points" in complaint(b'{"heartRateValues": [ ]}').reason


def test_a_cut_off_file_gives_the_pairs_before_the_cut() -> None:
    data = made.day_curve(READINGS)
    cut = data[: data.index(b"null") + 2]
    assert (complaint(cut).place or "").startswith("line 1 column ")
    assert [s.bpm for s in timeline(cut, keep_going=True).samples] == [r.bpm for r in READINGS[:5]]


def test_a_file_damaged_behind_its_curve_says_so_and_keeps_the_curve() -> None:
    data = made.day_curve(READINGS)[:-1]
    assert complaint(data).place == f"line 1 column {len(data) + 1}"
    assert len(timeline(data, keep_going=True).samples) == len(READINGS)


@pytest.mark.parametrize(
    "pair", [b"[1]", b'["a", 60]', b"[1, 2, 3]", b"[1767679200000, 60.5e9]", b"[99999999999999999, 60]"]
)
def test_a_pair_that_is_none_is_damage(pair: bytes) -> None:
    data = b'{"heartRateValues": [[1767679200000, 67], ' + pair + b"]}"
    assert "a pair" in complaint(data).reason


def test_json_nested_without_end_is_refused() -> None:
    assert complaint(b"[" * 200_000).reason
    assert complaint(b'{"heartRateValues": [[1, 60]], "x": ' + b"[" * 200_000).reason


def test_a_heart_rate_of_zero_is_no_heart_rate() -> None:
    assert heart_rates(b'{"heartRateValues": [[1000, 0], [2000, 61]]}') == [None, 61]
