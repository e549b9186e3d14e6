"""What is kept of a workout to judge and compare it: one pass agrees with the many, and a sketch finds what the curves prove."""

import hashlib
import math
import random

import msgspec
from hypothesis import given

from services.training.evidence import BIN_S, SUSPICIOUS_PERCENT, Examination, alike_percent, sketch_of
from services.training.plausibility import ACCEPTED, RULES, RULES_VERSION, judge
from services.training.plausibility_pairs import Curve, curve_of, fingerprint
from services.training.provenance import SensorKind, grade_of_stream
from services.training.sample import Motion, Sample
from tests.services.training.build import body, each_second, recordings
from tests.services.training.recordings.real import ENTRIES, SILENT, needs_recordings, read_once
from tests.services.training.test_plausibility_pairs import ride

SAME_HEART = {
    frozenset({"pair-indoor-fenix6.fit", "pair-indoor-zwift.fit"}),
    frozenset({"pair-swim-polar-v800.hrm", "pair-swim-polar-v800-rr.hrm"}),
}


def outing(seed: int) -> list[int | None]:
    """Half an hour over hills that nobody else has ridden."""
    own, bpm, aim = random.Random(seed), 120.0, 120
    curve: list[int | None] = []
    for second in range(1_800):
        aim = own.randint(95, 175) if second % 90 == 0 else aim
        bpm += (aim - bpm) / 30
        curve.append(round(bpm))
    return curve


@given(recordings())
def test_one_pass_finds_what_each_rule_finds_by_itself(samples: list[Sample]) -> None:
    examination = Examination(body(), "strap")
    for sample in samples:
        examination.add(sample)
    evidence = examination.evidence()
    assert evidence.judgement == judge(samples, body())
    assert evidence.grade == grade_of_stream("strap", samples)
    assert evidence.samples == len(samples)
    assert len(evidence.sketch) == -(-len(curve_of(samples)) // BIN_S)


def locked(*, sensor: SensorKind | None, rr: bool = False, seconds: int = 90) -> list[str]:
    """The rules that find something in a run whose rate is the fall of the feet for so many seconds."""
    examination = Examination(body(), sensor)
    for n in range(600):
        fall = 150 + round(12 * math.sin(n / 20))
        bpm = fall + n % 2 if 200 <= n < 200 + seconds else 130 + n % 5
        beats = (round(60_000 / bpm) + n % 3,) * 2 if rr else ()
        examination.add(Sample(1_000 * n, bpm, beats, Motion(None, None, fall)))
    return [finding.rule for finding in examination.evidence().judgement.findings]


def test_an_optical_sensor_that_counts_steps_is_found_and_a_strap_is_not_asked() -> None:
    assert locked(sensor="optical") == locked(sensor=None) == ["cadence_lock"]
    assert locked(sensor="optical", seconds=50) == []
    assert locked(sensor="strap") == locked(sensor="strap", rr=True) == locked(sensor=None, rr=True) == []


def test_a_heart_of_its_own_beside_a_cadence_is_accepted() -> None:
    examination = Examination(body(), "optical")
    for sample in each_second(outing(3)):
        fall = 150 + round(12 * math.sin(sample.t / 20_000))
        examination.add(msgspec.structs.replace(sample, motion=Motion(None, None, fall)))
    assert examination.evidence().judgement == ACCEPTED


def test_a_fingerprint_of_next_to_nothing_is_none() -> None:
    for curve, there in (([150] * 900, False), (ride(1), True)):
        examination = Examination(body(), None)
        for sample in each_second(curve):
            examination.add(sample)
        known = examination.evidence().fingerprint
        assert known == (fingerprint(curve) if there else None)


def test_a_sketch_does_not_know_what_is_hardly_known() -> None:
    assert sketch_of([100] * 10 + [110] * 4 + [None] * 6 + [120] * 5) == (100, 0, 120)


def test_a_copy_looks_alike_whenever_it_began_and_strangers_do_not() -> None:
    mine, shake = outing(1), random.Random(9)
    copy: Curve = [bpm and bpm + shake.randint(-2, 2) for bpm in mine]
    assert alike_percent(sketch_of(mine), sketch_of([None] * 37 + [*copy])) >= SUSPICIOUS_PERCENT
    later = sketch_of(copy[300:])
    assert alike_percent(sketch_of(mine), later) < SUSPICIOUS_PERCENT <= alike_percent(sketch_of(mine), later, 300)
    assert alike_percent(later, sketch_of(mine), -300) >= SUSPICIOUS_PERCENT
    assert all(alike_percent(sketch_of(mine), sketch_of(outing(seed))) < SUSPICIOUS_PERCENT for seed in range(2, 8))


def test_too_little_in_common_looks_like_nothing() -> None:
    assert alike_percent(sketch_of(ride(1, 230)), sketch_of(ride(1, 230))) == 0


def test_another_rule_is_another_version() -> None:
    told = {name: [rule.unit, rule.flagged, rule.rejected] for name, rule in RULES.items()}
    digest = hashlib.sha256(msgspec.json.encode(told, order="sorted")).hexdigest()[:16]
    assert (RULES_VERSION, digest) == (2, "5e4144e7db62f519"), (
        "the rules have changed: raise RULES_VERSION, and put both here"
    )


@needs_recordings
def test_sketches_of_real_hearts_miss_none_that_the_curves_find() -> None:
    sketches = {
        entry["file"]: sketch_of(curve_of(read_once(entry["file"])[1].samples))
        for entry in ENTRIES
        if entry["file"] not in SILENT
    }
    names = sorted(sketches)
    suspicious = {
        frozenset({one, other})
        for n, one in enumerate(names)
        for other in names[n + 1 :]
        if alike_percent(sketches[one], sketches[other]) >= SUSPICIOUS_PERCENT
    }
    assert suspicious >= SAME_HEART
    assert len(suspicious) <= len(SAME_HEART) + 5, "curves are read for hardly anybody else"
