"""The case of a workout: what stands after the rules and people have spoken, and who may speak when."""

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.fairplay.case import (
    APPEAL_DAYS,
    Decision,
    Step,
    appeal_until_ms,
    appealed,
    judged,
    ruled,
    standing,
    waits_for,
)
from services.kernel.ids import AccountId
from services.kernel.problems import AppealedAlready, AppealTooLate, Forbidden, NothingToAppeal, NothingToRule
from services.training.plausibility import RULES, VERDICTS, Finding, RuleName, Verdict

OWNER, COACH, MAKER = (AccountId(uuid.UUID(int=n)) for n in (1, 2, 3))
DAY_MS = 86_400_000


def finding(rule: RuleName = "flat", verdict: Verdict = "flagged") -> Finding:
    return Finding(rule, verdict, 200.0)


class Told:
    """A case in a few words."""

    def __init__(self, *findings: Finding) -> None:
        self.findings: tuple[Finding, ...] = ()
        self.steps: list[Step] = []
        self.found(*findings)

    def found(self, *findings: Finding, at: int = 0) -> Step | None:
        self.findings = findings
        step = judged(findings, self.steps, at)
        self.steps += [] if step is None else [step]
        return step

    def appeals(self, at: int = 0, text: str = "I was there") -> None:
        self.steps.append(appealed(self.steps, OWNER, text, at))

    def rules(self, by: AccountId, decision: Decision, at: int = 0) -> None:
        self.steps.append(ruled(self.findings, self.steps, OWNER, by, decision, "because", at))

    @property
    def verdict(self) -> Verdict:
        return standing(self.findings, self.steps)


def test_a_workout_in_which_nothing_is_found_has_no_case() -> None:
    told = Told()
    assert (told.steps, told.verdict, waits_for(told.steps), appeal_until_ms(told.steps)) == (
        [],
        "accepted",
        None,
        None,
    )
    with pytest.raises(NothingToAppeal):
        told.appeals()


def test_the_gravest_finding_stands_and_finding_it_again_is_no_news() -> None:
    told = Told(finding("jumps"), finding("flat", "rejected"))
    assert told.verdict == "rejected"
    assert told.found(Finding("jumps", "flagged", 3.1), Finding("flat", "rejected", 901.0)) is None
    assert told.found(finding("jumps")) is not None, "late samples have cleared one up"
    assert (told.verdict, len(told.steps)) == ("flagged", 2)


def test_an_overturned_verdict_counts_and_what_is_found_later_or_graver_does_not() -> None:
    told = Told(finding("flat", "rejected"), finding("jumps"))
    told.appeals()
    told.rules(COACH, "overturn")
    stood = [told.verdict]
    assert told.found(finding("flat", "rejected"), finding("jumps")) is None
    for later in (finding("jumps", "rejected"), finding("metronome")):
        told.found(finding("flat", "rejected"), later)
        stood.append(told.verdict)
    assert stood == ["accepted", "rejected", "flagged"], (
        "graver than what was ruled on; and nobody has ruled on the metronome"
    )


def test_an_upheld_verdict_stays_until_what_it_was_about_is_found_no_more() -> None:
    told = Told(finding("flat", "rejected"))
    told.appeals()
    told.rules(COACH, "uphold")
    assert (told.verdict, waits_for(told.steps)) == ("rejected", None)
    told.found()
    assert told.verdict == "accepted"


def test_what_is_flagged_is_looked_at_and_an_appeal_against_that_has_other_eyes() -> None:
    told = Told(finding())
    assert waits_for(told.steps) == "review"
    told.rules(COACH, "uphold")
    assert (told.verdict, waits_for(told.steps)) == ("rejected", None)
    told.appeals()
    with pytest.raises(Forbidden, match="second pair of eyes"):
        told.rules(COACH, "uphold")
    told.rules(MAKER, "overturn")
    assert told.verdict == "accepted"


def test_an_appeal_never_makes_things_worse() -> None:
    told = Told(finding())
    told.appeals()
    told.rules(COACH, "uphold")
    assert told.verdict == "flagged"


def test_nobody_rules_on_their_own_workout_or_where_nothing_waits() -> None:
    told = Told(finding())
    with pytest.raises(Forbidden, match="own workout"):
        told.rules(OWNER, "overturn")
    told.rules(COACH, "overturn")
    with pytest.raises(NothingToRule):
        told.rules(MAKER, "uphold")
    rejected = Told(finding("flat", "rejected"))
    with pytest.raises(NothingToRule):
        rejected.rules(COACH, "overturn")


def test_one_appeals_once_and_in_time() -> None:
    told = Told(finding())
    assert appeal_until_ms(told.steps) == APPEAL_DAYS * DAY_MS
    with pytest.raises(AppealTooLate) as late:
        told.appeals(at=APPEAL_DAYS * DAY_MS + 1)
    assert late.value.data == {"until_ms": APPEAL_DAYS * DAY_MS}
    told.appeals(at=APPEAL_DAYS * DAY_MS)
    assert (waits_for(told.steps), appeal_until_ms(told.steps)) == ("appeal", None)
    with pytest.raises(AppealedAlready):
        told.appeals()


def test_a_ruling_gives_another_time_to_appeal() -> None:
    told = Told(finding())
    told.rules(COACH, "uphold", at=10 * DAY_MS)
    assert appeal_until_ms(told.steps) == (10 + APPEAL_DAYS) * DAY_MS


@given(st.lists(st.tuples(st.sampled_from(sorted(RULES)), st.sampled_from(VERDICTS[1:])), max_size=4))
def test_without_people_what_stands_depends_on_what_is_found_alone(found: list[tuple[RuleName, Verdict]]) -> None:
    findings = tuple(finding(rule, verdict) for rule, verdict in found)
    told = Told(finding("flat", "rejected"))
    told.found(finding("jumps"))
    told.found(*findings)
    assert told.verdict == standing(findings, [])
    assert told.found(*findings) is None
    if told.steps:
        assert told.steps[-1].verdict == told.verdict
