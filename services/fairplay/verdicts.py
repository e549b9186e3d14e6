"""Verdicts as people use them: see one and why, appeal once, and for coaches and organisers, look and rule.

Who may review a workout: the coaches of the class that it was in, and who made a challenge in which it is scored. They see what was
found, with its figures, and what its owner says to it; not the samples.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Final, Literal, Protocol

import msgspec

from services.access import permission as may
from services.access.policy import require_held
from services.audit.entry import AuditStore, Entry, Thing, actor_of
from services.fairplay.case import Decision, Step, Waiting, appeal_until_ms, appealed, ruled
from services.fairplay.judging import JudgingStores, VerdictStore, WorkoutStore, found, take
from services.kernel.caller import Caller
from services.kernel.clock import Clock
from services.kernel.facts import WorkoutAppealed
from services.kernel.ids import AccountId, ChallengeId, ClassId, WorkoutId
from services.kernel.problems import ChallengeNotFound, ClassNotFound, NotFound, NotJudgedYet
from services.training.plausibility import RULES, Finding, RuleName, Verdict
from services.training.provenance import Grade
from services.training.workouts import Workout

MOST_REVIEWERS: Final = 50
"""Who is told of an appeal: those who lead its class first. Full means: the others find it on their page."""
MOST_WAITING: Final = 100
"""Cases of one list, those that have waited longest first; who has ruled on some sees the next."""

By = Literal["rules", "owner", "reviewer"]


class FindingView(msgspec.Struct, frozen=True):
    """What a rule has found: its `figure`, what that counts (`unit`), and from which figure on a workout is flagged and rejected
    (null: never by this rule alone)."""

    rule: RuleName
    verdict: Verdict
    figure: float
    unit: str
    flagged_from: float | None
    rejected_from: float | None


class StepView(msgspec.Struct, frozen=True):
    """A step of a case, and the verdict after it; ms since 1970."""

    kind: Literal["judged", "appealed", "ruled"]
    at_ms: int
    by: By
    verdict: Verdict
    decision: Decision | None = None
    text: str = ""


class VerdictView(msgspec.Struct, frozen=True):
    """What stands of a workout. `accepted` counts, `flagged` counts and is marked, `rejected` does not count. `grade` is how good
    the source of its heart rate is, `rules_version` which rules `findings` come from. `appeal_until_ms` is when an appeal is too
    late, ms since 1970, null where there is nothing to appeal against or it was done."""

    workout_id: WorkoutId
    verdict: Verdict
    judged_at_ms: int
    rules_version: int
    grade: Grade
    findings: tuple[FindingView, ...]
    steps: tuple[StepView, ...]
    appeal_until_ms: int | None = None


class CaseView(msgspec.Struct, frozen=True):
    """A case that waits: for the decision on an `appeal`, or for a `review` of what is flagged. `since_ms` it waits, ms since
    1970."""

    workout_id: WorkoutId
    account_id: AccountId
    name: str
    sport: str
    started_at_ms: int
    waits_for: Waiting
    since_ms: int
    verdict: Verdict
    findings: tuple[FindingView, ...]
    appeal: str | None = None


class Case(msgspec.Struct, frozen=True):
    """A case that waits, as stored."""

    workout: Workout
    name: str
    waits_for: Waiting
    since_ms: int


class CaseStore(VerdictStore, Protocol):
    """What this needs of the verdicts' store (persistence/verdicts.py)."""

    async def may_review(self, workout_id: WorkoutId, account_id: AccountId) -> bool: ...
    async def waiting_in_class(self, class_id: ClassId, but: AccountId, limit: int) -> list[Case]: ...
    async def waiting_in_challenge(self, challenge_id: ChallengeId, but: AccountId, limit: int) -> list[Case]: ...
    async def waiting_for(self, account_id: AccountId, limit: int) -> list[Case]: ...
    async def coaches(self, class_id: ClassId, account_id: AccountId) -> bool: ...
    async def organises(self, challenge_id: ChallengeId, account_id: AccountId) -> bool: ...


class ReadWorkoutStore(WorkoutStore, Protocol):
    """And of the workouts'."""

    async def by_id(self, workout_id: WorkoutId) -> Workout | None: ...


class CaseStores(JudgingStores, Protocol):
    """The stores of one transaction."""

    @property
    def audit(self) -> AuditStore: ...

    @property
    def verdicts(self) -> CaseStore: ...
    @property
    def workouts(self) -> ReadWorkoutStore: ...


class Verdicts:
    """The use cases."""

    def __init__(self, transactions: Callable[[], AbstractAsyncContextManager[CaseStores]], clock: Clock) -> None:
        self._transactions: Final = transactions
        self._clock: Final = clock

    async def of_workout(self, caller: Caller, workout_id: WorkoutId) -> VerdictView:
        """The verdict on a workout, for its owner and whoever may review it. Raises `NotFound` for everybody else,
        `NotJudgedYet`."""
        require_held(caller, may.READ_VERDICTS)
        async with self._transactions() as stores:
            workout = await stores.workouts.by_id(workout_id)
            if workout is None or not await _may_see(stores, workout, caller):
                raise NotFound("you have no workout with this id")
            view = await _view(stores, workout)
            await _looked_at(stores, caller, workout)
            return view

    async def appeal(self, caller: Caller, workout_id: WorkoutId, text: str) -> VerdictView:
        """Say why a verdict on one's own workout is wrong. Raises `NotFound`, `NotJudgedYet`, `AppealedAlready`, `NothingToAppeal`,
        `AppealTooLate`."""
        require_held(caller, may.READ_VERDICTS)
        async with self._transactions() as stores:
            workout = await stores.workouts.lock(workout_id)
            if workout is None or workout.account_id != caller.account_id:
                raise NotFound("you have no workout with this id")
            steps = await stores.verdicts.steps(workout_id)
            step = appealed(steps, caller.account_id, text.strip(), self._clock.wall_ms())
            await take(stores, workout, steps, step)
            await stores.outbox.add(WorkoutAppealed(workout_id=workout_id, account_id=caller.account_id), workout_id)
            return await _view(stores, workout)

    async def rule(self, caller: Caller, workout_id: WorkoutId, decision: Decision, reason: str) -> VerdictView:
        """Rule on a case that waits. Raises `NotFound` for whoever may not review it, `Forbidden` for its owner and for one pair of
        eyes twice, `NothingToRule`."""
        require_held(caller, may.READ_VERDICTS)
        async with self._transactions() as stores:
            workout = await stores.workouts.lock(workout_id)
            if workout is None or not await _may_see(stores, workout, caller):
                raise NotFound("there is no workout with this id that you may review")
            findings, steps = await found(stores.verdicts, workout_id), await stores.verdicts.steps(workout_id)
            now_ms = self._clock.wall_ms()
            step = ruled(findings, steps, workout.account_id, caller.account_id, decision, reason.strip(), now_ms)
            verdict = await take(stores, workout, steps, step)
            told = {"decision": decision}
            thing = Thing("workout", str(workout_id))
            await stores.audit.add(Entry(actor_of(caller), "case.decided", workout.account_id, thing, data=told))
            return await _view(stores, msgspec.structs.replace(workout, verdict=verdict))

    async def waiting_in_class(self, caller: Caller, class_id: ClassId) -> tuple[CaseView, ...]:
        """What waits for a coach of a class, appeals first. Raises `ClassNotFound` for whoever is none."""
        require_held(caller, may.READ_VERDICTS)
        async with self._transactions() as stores:
            if not await stores.verdicts.coaches(class_id, caller.account_id):
                raise ClassNotFound
            cases = await stores.verdicts.waiting_in_class(class_id, caller.account_id, MOST_WAITING)
            return await _cases(stores, caller, cases)

    async def waiting_in_challenge(self, caller: Caller, challenge_id: ChallengeId) -> tuple[CaseView, ...]:
        """What waits for who made a challenge, appeals first. Raises `ChallengeNotFound` for everybody else."""
        require_held(caller, may.READ_VERDICTS)
        async with self._transactions() as stores:
            if not await stores.verdicts.organises(challenge_id, caller.account_id):
                raise ChallengeNotFound
            cases = await stores.verdicts.waiting_in_challenge(challenge_id, caller.account_id, MOST_WAITING)
            return await _cases(stores, caller, cases)

    async def waiting_for(self, caller: Caller) -> tuple[CaseView, ...]:
        """What waits for the caller, wherever they coach or have made a challenge, appeals first; none for anybody else."""
        require_held(caller, may.READ_VERDICTS)
        async with self._transactions() as stores:
            return await _cases(stores, caller, await stores.verdicts.waiting_for(caller.account_id, MOST_WAITING))


async def _may_see(stores: CaseStores, workout: Workout, caller: Caller) -> bool:
    if workout.account_id == caller.account_id:
        return True
    return await stores.verdicts.may_review(workout.id, caller.account_id)


async def _view(stores: CaseStores, workout: Workout) -> VerdictView:
    examined = await stores.verdicts.examined(workout.id)
    if examined is None:
        raise NotJudgedYet
    steps = await stores.verdicts.steps(workout.id)
    return VerdictView(
        workout_id=workout.id,
        verdict=workout.verdict,
        judged_at_ms=examined.judged_ms,
        rules_version=examined.rules_version,
        grade=examined.grade,
        findings=_findings(await found(stores.verdicts, workout.id)),
        steps=tuple(_step(step) for step in steps),
        appeal_until_ms=appeal_until_ms(steps),
    )


async def _looked_at(stores: CaseStores, caller: Caller, *workouts: Workout) -> None:
    """The audit is told what was shown of others."""
    actor = actor_of(caller)
    await stores.audit.add(
        *(
            Entry(actor, "evidence.viewed", workout.account_id, Thing("workout", str(workout.id)))
            for workout in workouts
            if workout.account_id != caller.account_id
        )
    )


async def _cases(stores: CaseStores, caller: Caller, cases: Sequence[Case]) -> tuple[CaseView, ...]:
    await _looked_at(stores, caller, *(case.workout for case in cases))
    views = []
    for case in cases:
        appeal = [step.text for step in await stores.verdicts.steps(case.workout.id) if step.kind == "appealed"]
        views.append(
            CaseView(
                workout_id=case.workout.id,
                account_id=case.workout.account_id,
                name=case.name,
                sport=case.workout.sport,
                started_at_ms=case.workout.created_at_ms,
                waits_for=case.waits_for,
                since_ms=case.since_ms,
                verdict=case.workout.verdict,
                findings=_findings(await found(stores.verdicts, case.workout.id)),
                appeal=appeal[0] if appeal else None,
            )
        )
    return tuple(views)


def _findings(findings: Sequence[Finding]) -> tuple[FindingView, ...]:
    return tuple(
        FindingView(one.rule, one.verdict, one.figure, rule.unit, rule.flagged, rule.rejected)
        for one in findings
        for rule in (RULES[one.rule],)
    )


def _step(step: Step) -> StepView:
    by: dict[str, By] = {"judged": "rules", "appealed": "owner", "ruled": "reviewer"}
    return StepView(step.kind, step.at_ms, by[step.kind], step.verdict, step.decision, step.text)
