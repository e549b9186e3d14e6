"""What a replay tells people: lines of progress and the table of a summary."""

import io
from typing import get_args

from rich.console import Console

from loadtest.progress import Lines
from loadtest.report import ASSUMPTIONS, MISSING, clock_time, show_class, show_workout, workout_rows
from realtime.wire import ClassStanding, ClassSummary
from services.kernel.clock import SystemClock
from services.kernel.ids import ClassId, Uuid7Ids
from services.training.energy import Energy, Missing
from services.training.physiology import Physiology
from services.training.recovery import Recovery
from services.training.sample import Motion, Sample
from services.training.summary import Assumption, WorkoutSummary, summarise

SOMEBODY = Physiology(
    max_hr=190,
    rest_hr=60,
    sex="female",
    mass_kg=60.0,
    age_years=30,
    max_hr_source="measured",
    rest_hr_source="measured",
)


def summary_of(samples: list[Sample], physiology: Physiology = SOMEBODY) -> WorkoutSummary:
    return summarise(samples, physiology)


def text_of(summary: WorkoutSummary) -> str:
    out = io.StringIO()
    show_workout(Console(file=out, width=120), "morning [run]", summary)
    return out.getvalue()


def test_a_line_is_told_every_ten_percent_and_no_more() -> None:
    out = io.StringIO()
    with Lines(out) as lines:
        lines.begin("run", 1_000)
        for stored in range(0, 1_001, 7):
            lines.stored("run", stored)
        lines.stored("run", 1_000)
    told = out.getvalue().splitlines()
    assert told[0] == "run: 1000 samples to send"
    assert len(told) == 11
    assert told[-1] == "run: 100 % (1000 of 1000 samples stored)"


def test_the_same_sentence_is_not_said_twice_in_a_row() -> None:
    out = io.StringIO()
    lines = Lines(out)
    for text in ("waiting (1 s)", "waiting (1 s)", "waiting (2 s)"):
        lines.say(text)
    assert out.getvalue() == "waiting (1 s)\nwaiting (2 s)\n"


def test_a_summary_shows_every_number_that_was_computed() -> None:
    samples = [Sample(t=1000 * n, bpm=150, rr=(400,), motion=Motion(8 * n, 200, 90)) for n in range(601)]
    rows = dict(workout_rows(summary_of(samples)))
    assert rows["duration"] == "10:00"
    assert rows["gaps"] == "none"
    assert rows["samples"] == "601, 0 without contact"
    assert rows["heart rate min / mean / max"] == "150 / 150.0 / 150 bpm"
    assert rows["zone 3"] == "10:00  100 %"
    assert rows["Edwards TRIMP"] == "30.0"
    assert "(for women)" in rows["Banister TRIMP"]
    assert rows["energy"].endswith(" kcal")
    assert rows["beat-to-beat intervals"] == "601"
    assert (rows["distance"], rows["power, mean"], rows["cadence, mean"]) == ("4.80 km", "200 W", "90 / min")


def test_what_could_not_be_computed_says_what_is_missing() -> None:
    nobody = Physiology(
        max_hr=190,
        rest_hr=60,
        sex=None,
        mass_kg=None,
        age_years=None,
        max_hr_source="assumed",
        rest_hr_source="assumed",
    )
    shown = text_of(summary_of([Sample(t=0), Sample(t=60_000)], nobody))
    assert "morning [run]" in shown
    assert shown.count("needs the athlete's sex") == 2
    assert "1, 1:00 in all, longest 1:00" in shown
    assert "maximum heart rate assumed" in shown


def test_every_code_of_a_summary_has_words() -> None:
    assert set(get_args(Assumption)) == set(ASSUMPTIONS)
    reasons = set(get_args(Missing)) | {"sex_unknown", "no_heart_rate", "no_effort", "not_covered"}
    assert reasons == set(MISSING)
    assert Energy(kcal=None).kcal is Recovery(hrr60=None).hrr60 is None


def test_the_final_table_of_a_class_is_in_the_order_of_ranks() -> None:
    out = io.StringIO()
    standings = tuple(
        ClassStanding(n=n, rank=n, name=name, effort=90.0 - n, zone_ms=(0,) * 6)
        for n, name in enumerate(("Ada", "Ben"), 1)
    )
    class_id = ClassId(Uuid7Ids(SystemClock()).next())
    show_class(
        Console(file=out, width=100),
        ClassSummary(class_id=class_id, title="Ride", duration_ms=1, athletes=2, standings=standings),
    )
    shown = out.getvalue()
    assert "Final table of “Ride”" in shown
    assert shown.index("Ada") < shown.index("Ben")


def test_times_are_written_as_people_read_them() -> None:
    assert [clock_time(ms) for ms in (0, 59_999, 61_000, 3_723_000)] == ["0:00", "1:00", "1:01", "1:02:03"]
