"""Real recordings of real devices, where their folder is present: every file against its expected values.

MANIFEST.json holds values that were computed by other programs; where ours differ, they differ on purpose and
by the counts of the cleaning rule (docs/reference/recordings.md says why).
"""

from datetime import datetime
from typing import Any

import msgspec
import pytest

from services.training.recordings import Recording, RecordingError, Timeline, read_recording
from services.training.summary import summarise
from tests.services.training.build import body
from tests.services.training.recordings.real import DAMAGED, ENTRIES, FOLDER, SILENT, needs_recordings, read_once

pytestmark = needs_recordings

LATE = "swim-pool-fr735xt-hr-after.fit"
LOG = "garmin-companion-event-stream.csv"


def entries(*, beats: bool) -> list[Any]:
    """The entries with a heart rate; `beats`: those that hold RR intervals alone."""
    chosen = [e for e in ENTRIES if e["file"] not in SILENT and (e["hr_from"] == "derived from RR") is beats]
    return [pytest.param(entry, id=entry["file"]) for entry in chosen]


def read(entry: dict[str, Any]) -> tuple[Recording, Timeline]:
    return read_once(entry["file"])


@pytest.mark.parametrize("entry", entries(beats=False))
def test_readings_are_those_of_the_manifest(entry: dict[str, Any]) -> None:
    recording, timeline = read(entry)
    rates = [point.bpm for point in recording.points if point.bpm is not None and point.bpm > 0]
    if entry["file"] == LATE:
        assert len(rates) == entry["hr_samples"] - 6  # the last message repeats its last beat six times
    else:
        expected = entry["hr_samples"] if entry["file"] == LOG else entry["samples"]
        assert len(recording.points) == expected
        assert len(rates) == entry["hr_samples"] - entry["hr_zero"] - (entry["file"] == LOG)  # one reading is -1
    if rates:
        assert (min(rates), max(rates)) == (entry["hr_min"], entry["hr_max"])
        assert sum(rates) / len(rates) == pytest.approx(entry["hr_mean"], abs=0.06)
    assert sum(len(point.rr) for point in recording.points) == entry["rr_count"]

    # What the cleaning rule left: nothing is gone that is not counted.
    counts = timeline.cleaning
    assert len(timeline.samples) == len(recording.points) - counts.merged
    assert sum(len(sample.rr) for sample in timeline.samples) == entry["rr_count"]
    believed = [sample.bpm for sample in timeline.samples if sample.bpm is not None]
    assert len(believed) == len(timeline.samples) - counts.without_heart_rate
    if believed:
        assert (min(believed), max(believed)) == (entry["hr_min"], entry["hr_max"])
        assert sum(believed) / len(believed) == pytest.approx(entry["hr_mean"], abs=0.15)


@pytest.mark.parametrize("entry", entries(beats=False))
def test_durations_are_those_of_the_manifest(entry: dict[str, Any]) -> None:
    _, timeline = read(entry)
    expected = entry["duration_s"]
    if entry["file"] == LATE:
        expected = 5193.6  # the strap began 634.5 s before the watch and ended 117 s after it
    elif entry["file"] == LOG:
        expected -= 4.4  # the log begins and ends with events that are not heart rate
    assert timeline.duration_ms / 1000 == pytest.approx(expected, abs=0.1)


@pytest.mark.parametrize("entry", entries(beats=True))
def test_beats_are_those_of_the_manifest(entry: dict[str, Any]) -> None:
    recording, timeline = read(entry)
    intervals = [rr for point in recording.points for rr in point.rr]
    assert len(intervals) == entry["rr_count"]
    assert (min(intervals), max(intervals)) == (entry["rr_min_ms"], entry["rr_max_ms"])
    assert timeline.duration_ms == sum(intervals)
    assert timeline.duration_ms / 1000 == pytest.approx(entry["duration_s"], abs=0.1)
    assert [rr for sample in timeline.samples for rr in sample.rr] == intervals
    rates = [sample.bpm for sample in timeline.samples if sample.bpm is not None]
    assert max(rates) <= entry["hr_max"]
    # Per second of time instead of per beat: fast seconds hold more beats, so the mean is a little lower.
    assert entry["hr_mean"] - 2 < sum(rates) / len(rates) <= entry["hr_mean"]


@pytest.mark.parametrize("entry", entries(beats=False) + entries(beats=True))
def test_the_start_is_that_of_the_manifest(entry: dict[str, Any]) -> None:
    recording, _ = read(entry)
    written = entry["start"]
    if entry["file"] in (LATE, LOG):  # begin with a beat, not with a record or a step count
        return
    if written is None:
        assert recording.started_at is None
    else:
        assert recording.started_at is not None
        expected = datetime.fromisoformat(written.partition(" (")[0])
        assert recording.started_at.replace(microsecond=0) == expected


@pytest.mark.parametrize("name", sorted(SILENT))
def test_curves_of_something_else_hold_no_heart_rate(name: str) -> None:
    with pytest.raises(RecordingError, match="holds no heart rate"):
        read_recording((FOLDER / name).read_bytes(), name, keep_going=True)


@pytest.mark.parametrize(("name", "place"), DAMAGED.items())
def test_damaged_files_are_refused_with_the_place_where_reading_stopped(name: str, place: str) -> None:
    with pytest.raises(RecordingError) as refused:
        read_recording((FOLDER / name).read_bytes(), name)
    assert refused.value.place == place
    assert read_recording((FOLDER / name).read_bytes(), name, keep_going=True).damage is not None


def test_the_oddities_of_the_manifest_are_what_the_rule_counts() -> None:
    by_name = {entry["file"]: entry for entry in ENTRIES}

    def counts(name: str) -> dict[str, int]:
        done: dict[str, int] = msgspec.to_builtins(read(by_name[name])[1].cleaning)
        return {key: value for key, value in done.items() if value}

    assert counts("multisport-fenix2-clock-back.fit") == {"without_heart_rate": 12, "merged": 7, "sorted_in": 2}
    assert counts("xcski-suunto-split-records-rr.fit") == {"without_heart_rate": 9, "merged": 924}
    assert counts("bike-zwift-hr-all-zero.fit") == {"without_heart_rate": 1808}
    assert counts("triathlon-fr255-summary-first.fit") == {"without_heart_rate": 679}
    assert counts("pair-swim-polar-v800.hrm") == {"without_heart_rate": 14}
    assert counts("pair-swim-polar-v800-rr.hrm") == {"without_heart_rate": 2, "contact_losses": 1}
    assert counts("broken/bike-wahoo-bad-strings.fit") == {"without_heart_rate": 2}
    assert counts("broken/bike-sigma-cut-off.fit") == {"without_heart_rate": 4, "merged": 8}


MOVED = {
    "run-fr965-laps-power.fit": (11_232.7, 229),
    "bike-indoor-edge530-intervals-rr.fit": (6_873.6, 184),
    "bike-wahoo-elemnt-many-pauses.fit": (78_940.6, 102),
    "pair-indoor-zwift.fit": (28_286.2, 210),
    "bike-zwift-hr-all-zero.fit": (13_400.1, 123),
    "multisport-fenix2-clock-back.fit": (69_831.6, None),
    "triathlon-fr255-summary-first.fit": (18_726.6, None),
}
"""What the devices themselves say at the end of the file: m of all parts together, W on the mean."""


@pytest.mark.parametrize("name", MOVED)
def test_what_a_summary_says_was_moved_is_what_the_device_says(name: str) -> None:
    _, timeline = read_once(name)
    distance_m, power_w = MOVED[name]
    summary = summarise(timeline.samples, body())
    assert summary.distance_m == pytest.approx(distance_m, rel=0.001)
    if power_w is not None:
        assert summary.mean_power_w == pytest.approx(power_w, rel=0.01)
