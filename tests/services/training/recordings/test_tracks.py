"""TCX and GPX: the few elements that count, attacks refused, breaks located."""

import re

import pytest

from services.training.recordings import RecordingError, read_recording
from tests.services.training.recordings.reading_aloud import complaint, heart_rates, timeline
from tests.support import recordings as made

READINGS = made.workout(20)
TCX, GPX = made.tcx(READINGS), made.gpx(READINGS)


def test_tcx_says_sport_device_and_start() -> None:
    recording = read_recording(TCX, "run.tcx")
    assert (recording.sport, recording.device) == ("Running", "Paceline example")
    assert recording.started_at == made.START


def test_gpx_says_sport_device_and_start() -> None:
    recording = read_recording(GPX, "ride.gpx")
    assert (recording.sport, recording.device) == ("cycling", "Paceline example")
    assert recording.started_at == made.START


def test_a_sport_that_is_only_a_number_is_no_name() -> None:
    assert read_recording(GPX.replace(b">cycling<", b">1<"), "ride.gpx").sport is None


def test_the_average_of_a_lap_is_not_taken_for_a_reading() -> None:
    assert 199 not in heart_rates(TCX)


def test_points_without_heart_rate_are_samples_without_contact() -> None:
    readings = made.workout(20, lost=range(5, 8))
    assert heart_rates(made.tcx(readings))[4:9] == [readings[4].bpm, None, None, None, readings[8].bpm]


def test_an_empty_heart_rate_is_no_heart_rate() -> None:
    assert heart_rates(TCX.replace(b"<Value>80</Value>", b"<Value/>"))[0] is None


def test_a_time_with_an_offset_is_the_same_instant() -> None:
    shifted = TCX.replace(b"<Time>2026-03-01T09:30:00.000Z", b"<Time>2026-03-01T11:30:00.000+02:00")
    assert timeline(shifted) == timeline(TCX)


def test_points_without_a_time_are_left_out_and_counted() -> None:
    lost = TCX.replace(b"<Time>2026-03-01T09:30:05.000Z</Time>", b"")
    result = timeline(lost)
    assert len(result.samples) == 19
    assert result.cleaning.untimed == 1


@pytest.mark.parametrize("data", [TCX, GPX], ids=["tcx", "gpx"])
def test_tracks_without_any_time_are_refused(data: bytes) -> None:
    bare = re.sub(rb"(?i)<time>[^<]*</time>", b"", data)
    assert len(read_recording(bare, "bare").points) == len(READINGS)
    with pytest.raises(RecordingError, match="holds no times"):
        timeline(bare)


def test_tracks_that_never_mention_heart_rate_are_refused() -> None:
    bare = made.gpx([reading._replace(bpm=None) for reading in READINGS])
    assert "holds no heart rate" in complaint(bare).reason


@pytest.mark.parametrize(
    "declaration",
    [
        b'<!DOCTYPE gpx [<!ENTITY a "aaaa">]>',
        b'<!DOCTYPE gpx SYSTEM "file:///etc/hostname">',
        b'<!DOCTYPE gpx [<!ENTITY a "b"><!ENTITY c "&a;&a;&a;&a;">]>',
    ],
)
def test_document_types_and_entities_are_refused_with_their_place(declaration: bytes) -> None:
    evil = GPX.replace(b"?>\n", b"?>\n" + declaration, 1)
    for keep_going in (False, True):
        error = complaint(evil, keep_going=keep_going)
        assert "recordings never need" in error.reason
        assert error.place is not None
        assert error.place.startswith("line 2 ")


def test_a_cut_off_file_names_line_and_column_and_keeps_the_whole_points() -> None:
    cut = TCX[: TCX.index(b"2026-03-01T09:30:12")]
    error = complaint(cut)
    line = cut.count(b"\n") + 1
    assert error.place is not None
    assert error.place.startswith(f"line {line} column ")
    assert "12 points before it" in error.cure
    assert [s.bpm for s in timeline(cut, keep_going=True).samples] == [r.bpm for r in READINGS[:12]]


def test_spaces_before_the_declaration_are_refused_strictly_and_skipped_on_request() -> None:
    spaced = b"          " + TCX
    error = complaint(spaced)
    assert (error.place, "before the XML declaration" in error.reason) == ("line 1 column 11", True)
    recording = read_recording(spaced, "spaces.tcx", keep_going=True)
    assert recording.points == read_recording(TCX, "run.tcx").points
    assert recording.damage is not None
    assert recording.damage.place == "line 1 column 11"


@pytest.mark.parametrize("value", [b"fast", b"nan", b"1e300"])
def test_a_heart_rate_that_is_no_number_is_damage_at_its_place(value: bytes) -> None:
    broken = TCX.replace(b"<Value>80</Value>", b"<Value>" + value + b"</Value>", 1)
    error = complaint(broken)
    assert error.place is not None
    assert error.place.startswith("line 6 ")


def test_a_date_that_does_not_exist_is_damage_at_its_place() -> None:
    broken = TCX.replace(b"<Time>2026-03-01T09:30:03", b"<Time>2026-02-31T09:30:03")
    assert (complaint(broken).place or "").startswith("line 9 ")
    assert len(timeline(broken, keep_going=True).samples) == 3


def test_elements_nested_without_end_are_refused() -> None:
    assert "nested" in complaint(b"<gpx>" + b"<a>" * 100_000).reason


def test_tcx_says_how_far_how_hard_and_how_quickly() -> None:
    heart = b"<HeartRateBpm><Value>80</Value></HeartRateBpm>"
    assert heart in TCX
    more = (
        b"<DistanceMeters>12.7</DistanceMeters><Cadence>81</Cadence>"
        b'<Extensions><x:TPX xmlns:x="urn:x"><x:Watts>245</x:Watts></x:TPX></Extensions>'
    )
    first, second = read_recording(TCX.replace(heart, heart + more), "run.tcx").points[:2]
    assert (first.distance_m, first.power_w, first.cadence) == (12.7, 245, 81)
    assert (second.distance_m, second.power_w, second.cadence) == (None, None, None)


def test_the_distance_of_a_lap_is_not_taken_for_a_reading() -> None:
    assert read_recording(TCX, "run.tcx").points[0].distance_m is None


def test_gpx_says_how_hard_and_how_quickly() -> None:
    place = GPX.index(b"<extensions>") + len(b"<extensions>")
    ridden = GPX[:place] + b"<power>190</power><cad>77</cad>" + GPX[place:]
    first = read_recording(ridden, "ride.gpx").points[0]
    assert (first.distance_m, first.power_w, first.cadence) == (None, 190, 77)
