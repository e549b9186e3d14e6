"""Real recordings before the rules of fair play: nobody who has really sweated is rejected."""

import pytest

from services.training.plausibility import Judgement, judge
from services.training.plausibility_pairs import copied, curve_of, likeness_percent, two_hearts
from services.training.provenance import grade_of_stream
from services.training.sample import Sample
from tests.services.training.build import body
from tests.services.training.recordings.real import ENTRIES, SILENT, needs_recordings, read_once

pytestmark = needs_recordings

FENIX, ZWIFT = "pair-indoor-fenix6.fit", "pair-indoor-zwift.fit"
SWIM, SWIM_BEATS = "pair-swim-polar-v800.hrm", "pair-swim-polar-v800-rr.hrm"
STRANGER = "strength-suunto-race2.fit"


def samples_of(name: str) -> tuple[Sample, ...]:
    return read_once(name)[1].samples


@pytest.mark.parametrize("name", [entry["file"] for entry in ENTRIES if entry["file"] not in SILENT])
def test_no_real_recording_is_rejected_or_even_flagged(name: str) -> None:
    assert judge(samples_of(name), body(max_hr=185)) == Judgement("accepted")


def test_one_heart_by_two_devices_is_found_in_two_accounts_and_is_one_heart_in_one() -> None:
    for one, other in ((FENIX, ZWIFT), (SWIM, SWIM_BEATS)):
        assert copied(curve_of(samples_of(one)), curve_of(samples_of(other))).verdict == "flagged"
        assert two_hearts(curve_of(samples_of(one)), curve_of(samples_of(other))).verdict == "accepted"


def test_two_hearts_are_not_taken_for_one() -> None:
    assert likeness_percent(curve_of(samples_of(FENIX)), curve_of(samples_of(STRANGER))) == 0
    assert two_hearts(curve_of(samples_of(FENIX)), curve_of(samples_of(STRANGER))).verdict == "flagged"


def test_straps_in_recordings_send_their_beats() -> None:
    for name in ("bike-indoor-edge530-intervals-rr.fit", "xcski-suunto-split-records-rr.fit", "exercise-polar-rr.hrm"):
        assert grade_of_stream("strap", samples_of(name)) == "strap_rr"
    assert grade_of_stream("strap", samples_of(FENIX)) == "strap"
