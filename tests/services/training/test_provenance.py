"""Grades: what a sensor says it is, and whether its beats are there."""

import pytest

from services.training.heart_rate_frames import LOCATIONS
from services.training.provenance import GRADES, Grade, SensorKind, better, grade_of, grade_of_stream, kind_at
from services.training.sample import Sample


def beating(seconds: int, *, rr: tuple[int, ...] = (500, 500), without: range = range(0)) -> list[Sample]:
    return [Sample(1_000 * second, 120, () if second in without else rr) for second in range(seconds)]


@pytest.mark.parametrize(
    ("kind", "beats", "grade"),
    [
        ("strap", True, "strap_rr"),
        ("strap", False, "strap"),
        ("optical", True, "optical"),
        ("optical", False, "optical"),
        ("machine", False, "optical"),
        ("manual", True, "manual"),
        (None, True, "strap"),
        (None, False, "optical"),
    ],
)
def test_a_sensor_has_the_grade_of_its_kind_and_its_beats(kind: SensorKind | None, beats: bool, grade: Grade) -> None:
    assert grade_of(kind, beats=beats) == grade


def test_grades_are_ordered_from_beats_on_the_chest_to_what_was_typed_in() -> None:
    assert all(better(one, other) for n, one in enumerate(GRADES) for other in GRADES[n + 1 :])
    assert not any(better(one, one) for one in GRADES)


def test_a_strap_counts_as_sending_beats_when_they_cover_most_of_its_time() -> None:
    assert grade_of_stream("strap", beating(100)) == "strap_rr"
    assert grade_of_stream("strap", beating(100, without=range(20))) == "strap_rr"
    assert grade_of_stream("strap", beating(100, without=range(30))) == "strap"
    assert grade_of_stream("strap", []) == "strap"


def test_one_long_interval_of_a_lost_strap_covers_no_more_than_its_own_second() -> None:
    assert (
        grade_of_stream("strap", [*beating(50, rr=()), Sample(50_000, 120, (60_000,)), Sample(51_000, 120)]) == "strap"
    )


def test_where_a_sensor_sits_tells_what_it_is() -> None:
    assert [kind_at(place) for place in LOCATIONS] == [
        None, "strap", "optical", "optical", "machine", "optical", "optical",
    ]  # fmt: skip
