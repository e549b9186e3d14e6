"""Judging a workout: one pass over its samples, what the rules find in them, and what stands because of it.

Everything here runs in the transaction of whoever calls it, with the workout locked, so the verdict, the step that led to it, the
workout's revision and the fact that it was judged are one commit. It is computed from the samples as they are now: told twice or
late, by whatever order of facts, it comes to the same, and where nothing is new nothing is written.

`revision` of a workout counts what it is worth, so a verdict that changes that raises it: every table that keeps the latest
revision of a workout, and every log of one, then sees that there is another.
"""

import asyncio
from typing import Protocol
from uuid import UUID

import msgspec

from services.fairplay.case import Step, Waiting, judged, waits_for
from services.kernel.facts import AnyFact, WorkoutExamined, WorkoutJudged
from services.kernel.ids import AccountId, FactId, WorkoutId
from services.training.evidence import Evidence, Examination
from services.training.origin import StreamOrigin
from services.training.plausibility import RULES_VERSION, VERDICTS, Finding, Verdict
from services.training.provenance import Grade
from services.training.sample import Sample
from services.training.workouts import READ_AT_ONCE, Workout


class Examined(msgspec.Struct, frozen=True):
    """What is kept of a pass over a workout. Times are ms since 1970; `findings` are those of the stream alone. The rest is to
    compare it with others (services/training/evidence.py); `mean_bpm` None for one that has nothing to compare."""

    workout_id: WorkoutId
    account_id: AccountId
    began_ms: int
    ended_ms: int
    judged_ms: int
    rules_version: int
    grade: Grade
    samples: int
    findings: tuple[Finding, ...]
    mean_bpm: int | None
    fingerprint: str | None
    sketch: tuple[int, ...]


class VerdictStore(Protocol):
    """What this needs of the verdicts' store (persistence/verdicts.py)."""

    async def keep(self, examined: Examined) -> None: ...
    async def examined(self, workout_id: WorkoutId) -> Examined | None: ...
    async def steps(self, workout_id: WorkoutId) -> list[Step]: ...
    async def add_step(self, workout_id: WorkoutId, step: Step, waiting: Waiting | None) -> None: ...
    async def found_in_pairs(self, workout_id: WorkoutId) -> list[Finding]: ...


class WorkoutStore(Protocol):
    """And of the workouts'."""

    async def lock(self, workout_id: WorkoutId) -> Workout | None: ...
    async def samples(self, workout_id: WorkoutId, from_seq: int, limit: int) -> list[Sample]: ...
    async def stand(self, workout_id: WorkoutId, verdict: Verdict) -> None: ...


class StreamStore(Protocol):
    """And of the streams'."""

    async def origins(self, workout_id: WorkoutId) -> list[StreamOrigin]: ...


class OutboxStore(Protocol):
    """Where facts are told."""

    async def add(self, fact: AnyFact, aggregate_id: UUID) -> FactId: ...


class JudgingStores(Protocol):
    """The stores of one transaction."""

    @property
    def verdicts(self) -> VerdictStore: ...
    @property
    def workouts(self) -> WorkoutStore: ...
    @property
    def streams(self) -> StreamStore: ...
    @property
    def outbox(self) -> OutboxStore: ...


async def judge(stores: JudgingStores, workout_id: WorkoutId, now_ms: int) -> Verdict | None:
    """Judge a finished workout by all samples stored so far; the verdict that stands then, None when it is gone or not finished."""
    workout = await stores.workouts.lock(workout_id)
    if workout is None or workout.finished_at_ms is None:
        return None
    streams = await stores.streams.origins(workout_id)
    evidence = await _evidence(stores, workout, streams)
    examined = _examined(workout, streams, evidence, now_ms)
    before = await stores.verdicts.examined(workout_id)
    await stores.verdicts.keep(examined)
    if before is None or _comparable(before) != _comparable(examined):
        await stores.outbox.add(WorkoutExamined(workout_id=workout_id, account_id=workout.account_id), workout_id)
    return await restand(stores, workout, now_ms)


async def restand(stores: JudgingStores, workout: Workout, now_ms: int) -> Verdict:
    """Let the rules have their say on a workout that is locked, by what is kept of its stream and its pairs; what stands then."""
    findings, steps = await found(stores.verdicts, workout.id), await stores.verdicts.steps(workout.id)
    step = judged(findings, steps, now_ms)
    return workout.verdict if step is None else await take(stores, workout, steps, step)


async def take(stores: JudgingStores, workout: Workout, steps: list[Step], step: Step) -> Verdict:
    """Add a step to the case of a workout that is locked, and let what it comes to be so."""
    await stores.verdicts.add_step(workout.id, step, waits_for([*steps, step]))
    if step.verdict != workout.verdict:
        await stores.workouts.stand(workout.id, step.verdict)
    if step.kind == "ruled" or step.verdict != workout.verdict:
        fact = WorkoutJudged(workout_id=workout.id, account_id=workout.account_id, verdict=step.verdict)
        await stores.outbox.add(fact, workout.id)
    return step.verdict


async def found(store: VerdictStore, workout_id: WorkoutId) -> tuple[Finding, ...]:
    """Everything that the rules find in a workout now, the gravest first."""
    examined = await store.examined(workout_id)
    findings = [*(() if examined is None else examined.findings), *await store.found_in_pairs(workout_id)]
    return tuple(sorted(findings, key=lambda one: (-VERDICTS.index(one.verdict), one.rule, -one.figure)))


async def _evidence(stores: JudgingStores, workout: Workout, streams: list[StreamOrigin]) -> Evidence:
    sensor = streams[0].sensor if streams else None
    examination = Examination(workout.physiology, sensor)
    position = 0
    while page := await stores.workouts.samples(workout.id, position, READ_AT_ONCE):
        position += len(page)
        for sample in page:
            examination.add(sample)
        await asyncio.sleep(0)
    return examination.evidence()


def _examined(workout: Workout, streams: list[StreamOrigin], evidence: Evidence, now_ms: int) -> Examined:
    offset = streams[0].clock_offset_ms if streams else None
    began_ms = workout.created_at_ms if offset is None else offset
    return Examined(
        workout_id=workout.id,
        account_id=workout.account_id,
        began_ms=began_ms,
        ended_ms=began_ms + evidence.ends_ms,
        judged_ms=now_ms,
        rules_version=RULES_VERSION,
        grade=evidence.grade,
        samples=evidence.samples,
        findings=evidence.judgement.findings,
        mean_bpm=evidence.mean_bpm,
        fingerprint=evidence.fingerprint,
        sketch=evidence.sketch,
    )


def _comparable(examined: Examined) -> tuple[object, ...]:
    return examined.began_ms, examined.samples, examined.mean_bpm, examined.fingerprint, examined.sketch
