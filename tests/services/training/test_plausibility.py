"""Could a heart have done this? Streams made up to break one rule each, honest ones that break none, and real ones."""

import random
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.training.plausibility import RULES, VERDICTS, Judgement, Scrutiny, Verdict, judge, together
from services.training.sample import Sample
from tests.services.training.build import at, bodies, body, each_second, recordings
from tests.support import recordings as made


def found(judgement: Judgement) -> dict[str, tuple[Verdict, float]]:
    return {finding.rule: (finding.verdict, finding.figure) for finding in judgement.findings}


def wavering(seconds: int, bpm: int = 140) -> list[int | None]:
    """A heart at rest at a rate: one bpm up and down."""
    return [bpm + second % 2 for second in range(seconds)]


def honest(seconds: int) -> list[Sample]:
    return [Sample(reading.t, reading.bpm) for reading in made.workout(seconds, lost=range(100, 130))]


def test_an_honest_workout_is_accepted() -> None:
    assert judge(honest(3_600), body()) == Judgement("accepted")


@pytest.mark.parametrize(("seconds", "verdict"), [(9, None), (10, "flagged"), (59, "flagged"), (60, "rejected")])
def test_no_heart_is_as_fast_as_that_for_long(seconds: int, verdict: Verdict | None) -> None:
    judgement = judge(each_second([*wavering(60, 225), *wavering(seconds, 231), 225]), body(max_hr=220))
    assert found(judgement) == ({} if verdict is None else {"faster_than_hearts": (verdict, seconds)})


def test_far_above_ones_own_maximum_is_looked_at() -> None:
    assert found(judge(each_second([*wavering(61, 191), 150]), body(max_hr=160))) == {
        "far_above_own_maximum": ("flagged", 61)
    }
    assert judge(each_second(wavering(600, 189)), body(max_hr=160)).verdict == "accepted"


@pytest.mark.parametrize(
    ("seconds", "verdict"), [(179, "accepted"), (180, "flagged"), (899, "flagged"), (900, "rejected")]
)
def test_a_heart_does_not_stay_at_one_rate(seconds: int, verdict: Verdict) -> None:
    assert judge(each_second([140] * (seconds + 1)), body()).verdict == verdict


def test_a_pause_at_one_rate_is_no_flat_line() -> None:
    """Two readings a quarter of an hour apart hold for five seconds each."""
    assert judge([at(900 * n, 140) for n in range(20)], body()).verdict == "accepted"


def test_random_numbers_are_no_heart() -> None:
    draw = random.Random(4)
    judgement = judge(each_second([draw.randint(60, 190) for _ in range(600)]), body())
    assert found(judgement)["jumps"][0] == "rejected"


def test_a_strap_that_slips_now_and_then_is_not_suspected() -> None:
    bpms = wavering(600)
    for second in (100, 200):
        bpms[second] = 90
    assert judge(each_second(bpms), body()).verdict == "accepted"


def test_beats_like_a_metronome_come_from_a_machine() -> None:
    beats = [Sample(1_000 * second, 119 + second % 2, (500, 500)) for second in range(60)]
    assert found(judge(beats[:14], body())) == {}
    assert found(judge(beats[:15], body())) == {"metronome": ("flagged", 30)}
    assert found(judge(beats, body())) == {"metronome": ("rejected", 120)}


def test_a_rate_that_its_own_beats_contradict_is_looked_at() -> None:
    forged = [Sample(1_000 * second, 170 + second % 2, (500 + second % 7,)) for second in range(120)]
    assert found(judge(forged, body())) == {"beats_disagree": ("flagged", 100)}


def test_the_gravest_finding_is_the_verdict_and_stands_first() -> None:
    judgement = judge(each_second([*wavering(70, 240), *[150] * 200]), body())
    assert judgement.verdict == "rejected"
    assert [finding.rule for finding in judgement.findings] == ["faster_than_hearts", "far_above_own_maximum", "flat"]
    assert together([judgement, Judgement("accepted")]) == judgement
    assert together([]) == Judgement("accepted")


def test_a_live_stream_is_in_doubt_for_ten_seconds_after_a_jump() -> None:
    scrutiny = Scrutiny(body())
    assert scrutiny.plausible()
    believed = []
    for sample in each_second([*wavering(10), *wavering(15, 180)]):
        scrutiny.add(sample)
        believed.append(scrutiny.plausible())
    assert believed == [True] * 10 + [False] * 10 + [True] * 5


def test_a_live_stream_that_stands_still_is_in_doubt_until_it_moves() -> None:
    scrutiny = Scrutiny(body())
    for sample in each_second([140] * 181):
        scrutiny.add(sample)
    assert not scrutiny.plausible()
    scrutiny.add(at(181, 141))
    assert scrutiny.plausible()


@given(recordings(), bodies())
def test_any_samples_have_a_verdict_that_is_the_gravest_of_its_findings(samples: list[Sample], one: object) -> None:
    judgement = judge(samples, one)  # type: ignore[arg-type]
    gravest = max((VERDICTS.index(finding.verdict) for finding in judgement.findings), default=0)
    assert VERDICTS.index(judgement.verdict) == gravest
    assert all(RULES[f.rule].verdict(f.figure) == f.verdict != "accepted" for f in judgement.findings)


@given(recordings(min_size=1), st.data())
def test_what_was_counted_is_never_taken_back(samples: list[Sample], data: st.DataObject) -> None:
    """Rules that count time or beats: more of a stream can only add."""
    some = samples[: data.draw(st.integers(0, len(samples)))]
    counting = {"faster_than_hearts", "far_above_own_maximum", "flat", "metronome"}

    def counted(part: Iterable[Sample]) -> dict[str, float]:
        return {f.rule: f.figure for f in judge(part, body()).findings if f.rule in counting}

    whole = counted(samples)
    assert all(whole[rule] >= figure for rule, figure in counted(some).items())


def test_every_rule_says_where_its_figures_come_from() -> None:
    for rule in RULES.values():
        assert rule.unit
        assert rule.source
        assert rule.flagged is None or rule.rejected is None or rule.flagged < rule.rejected
