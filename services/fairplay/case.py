"""The case of one workout: what the rules have found, what people have said to it, and what stands. Pure.

A case is a list of steps, each made once and never changed, so it is its own record of who did what and when:

    judged     the rules have found something else than before (nobody's step)
    appealed   the person says why it is not so; once, and within `APPEAL_DAYS` of the step that it is against
    ruled      somebody who may review has looked

What stands is computed from the steps and from what the rules find now (`standing`). A person's word is stronger than the rules as
far as it goes: it is about what was found when it was given. What is found afterwards, or found to be graver, counts again;
and a word about something that late samples have cleared up is about nothing.

Two words are enough to rule. `uphold`: the rules were right. Of what is flagged only, and has not been appealed against, that means
that it does not count any more; an appeal never makes things worse. `overturn`: it counts, unmarked.

Two pairs of eyes: nobody rules on their own workout, and who has ruled once does not rule on the appeal.
"""

from collections.abc import Iterable, Sequence
from typing import Annotated, Final, Literal

import msgspec

from services.kernel.ids import AccountId
from services.kernel.problems import AppealedAlready, AppealTooLate, Forbidden, NothingToAppeal, NothingToRule
from services.training.plausibility import VERDICTS, Finding, Verdict

APPEAL_DAYS: Final = 14
"""Days for an appeal. Chosen: a fortnight's holiday."""
_DAY_MS: Final = 86_400_000

Kind = Literal["judged", "appealed", "ruled"]
Decision = Literal["uphold", "overturn"]
Waiting = Literal["appeal", "review"]
"""What a case waits for: an appeal for its decision; what is flagged for somebody to look."""
Words = Annotated[str, msgspec.Meta(min_length=1, max_length=1_000, pattern=r"\S")]


class Step(msgspec.Struct, frozen=True):
    """One step. `verdict` is what stands after it, `findings` are what was found when it was made; `by` None for the rules, and for
    whoever has no account any more; `text` the appeal or the reason; ms since 1970."""

    kind: Kind
    at_ms: int
    verdict: Verdict
    findings: tuple[Finding, ...]
    by: AccountId | None = None
    decision: Decision | None = None
    text: str = ""


def gravest(verdicts: Iterable[Verdict]) -> Verdict:
    """The gravest of several verdicts; accepted for none."""
    return max(verdicts, key=VERDICTS.index, default="accepted")


def standing(findings: Sequence[Finding], steps: Sequence[Step]) -> Verdict:
    """What stands, from what the rules find now and what people have said."""
    ruling = _last(steps, "ruled")
    if ruling is None:
        return gravest(finding.verdict for finding in findings)
    heard = {finding.rule: finding.verdict for finding in ruling.findings}
    fresh = [finding.verdict for finding in findings if _new(finding, heard.get(finding.rule))]
    grounded = any(finding.rule in heard for finding in findings)
    return gravest([ruling.verdict, *fresh] if grounded else fresh)


def judged(findings: tuple[Finding, ...], steps: Sequence[Step], now_ms: int) -> Step | None:
    """The step that the rules make when they have found this; None when it is nothing new."""
    said = _last(steps, "judged", "ruled")
    before = () if said is None else said.findings
    stands: Verdict = "accepted" if said is None else said.verdict
    verdict = standing(findings, steps)
    if verdict == stands and _gist(findings) == _gist(before):
        return None
    return Step("judged", now_ms, verdict, findings)


def appeal_until_ms(steps: Sequence[Step]) -> int | None:
    """Until when an appeal can be made, ms since 1970; None where there is nothing to appeal against, or it was done."""
    against = _last(steps, "judged", "ruled")
    if against is None or against.verdict == "accepted" or _last(steps, "appealed") is not None:
        return None
    return against.at_ms + APPEAL_DAYS * _DAY_MS


def appealed(steps: Sequence[Step], by: AccountId, text: str, now_ms: int) -> Step:
    """The owner's appeal. Raises `AppealedAlready`, `NothingToAppeal`, `AppealTooLate`."""
    if _last(steps, "appealed") is not None:
        raise AppealedAlready
    against, until_ms = _last(steps, "judged", "ruled"), appeal_until_ms(steps)
    if against is None or until_ms is None:
        raise NothingToAppeal
    if now_ms > until_ms:
        raise AppealTooLate(until_ms=until_ms)
    return Step("appealed", now_ms, against.verdict, against.findings, by, text=text)


def waits_for(steps: Sequence[Step]) -> Waiting | None:
    """What a case waits for; None when nobody need look."""
    said = _last(steps, "judged", "ruled")
    if said is None or said.verdict == "accepted":
        return None
    kinds = [step.kind for step in steps if step.kind != "judged"]
    if kinds and kinds[-1] == "appealed":
        return "appeal"
    return "review" if said.verdict == "flagged" and not kinds else None


def ruled(
    findings: tuple[Finding, ...],
    steps: Sequence[Step],
    owner: AccountId,
    by: AccountId,
    decision: Decision,
    reason: str,
    now_ms: int,
) -> Step:
    """The word of somebody who may review this workout. Raises `Forbidden` for one pair of eyes twice, `NothingToRule`."""
    waiting = waits_for(steps)
    if by == owner:
        raise Forbidden("nobody rules on their own workout")
    if waiting is None:
        raise NothingToRule
    if any(step.kind == "ruled" and step.by == by for step in steps):
        raise Forbidden("you have ruled on this workout before; an appeal needs a second pair of eyes")
    stands = standing(findings, steps)
    upheld: Verdict = "rejected" if waiting == "review" else stands
    return Step("ruled", now_ms, upheld if decision == "uphold" else "accepted", findings, by, decision, reason)


def _last(steps: Sequence[Step], *kinds: Kind) -> Step | None:
    return next((step for step in reversed(steps) if step.kind in kinds), None)


def _new(finding: Finding, heard: Verdict | None) -> bool:
    return heard is None or VERDICTS.index(finding.verdict) > VERDICTS.index(heard)


def _gist(findings: Iterable[Finding]) -> set[tuple[str, str]]:
    return {(finding.rule, finding.verdict) for finding in findings}
