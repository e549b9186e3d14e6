"""Workouts that are judged, on a real database: people ride, cheat and appeal, and the facts of it are handled as workers would."""

import math
import random
from collections.abc import Sequence
from typing import Final

import msgspec

from persistence.database import Database
from persistence.streams import StreamBatch
from services.classes.live_class import LiveClass
from services.classes.summary import ClassSummary
from services.fairplay.verdicts import Verdicts
from services.kernel.caller import Caller
from services.kernel.clock import utc
from services.kernel.facts import (
    AnyFact,
    ClassEnded,
    WorkoutExamined,
    WorkoutFinished,
    WorkoutJudged,
    WorkoutSummarised,
)
from services.kernel.ids import WorkoutId
from services.training import workouts
from services.training.plausibility import Verdict
from services.training.sample import Motion, Sample
from services.training.workouts import Workout
from tests.support.challenged import Challenged
from tests.support.world import NOTHING
from workers.handlers import Handlers
from workers.judging import Judging
from workers.push import Push


class Judged(Challenged):
    """A world in which workouts have their samples, and are judged by them."""

    def __init__(self, database: Database, push: Push) -> None:
        super().__init__(database)
        self.judging: Final = Judging(self.clock)
        self.verdicts: Final = Verdicts(self.transactions, self.clock)
        self._handled = 0
        self._classes: Final = Handlers(self.clock, push, lambda _: None)

    async def rides(
        self,
        caller: Caller,
        samples: Sequence[Sample],
        *,
        live: LiveClass | None = None,
        zone_ms: tuple[int, ...] = NOTHING,
        ago_s: float = 0,
    ) -> WorkoutId:
        """A workout that began so long ago and is finished now; nothing of that was handled yet."""
        workout_id, stream_id = await self.workout(caller, live=live)
        began_ms = self.clock.wall_ms() - round(ago_s * 1_000)
        batch = StreamBatch(
            stream_id=stream_id,
            epoch=1,
            first_seq=0,
            samples=tuple(samples),
            received_ms=self.clock.wall_ms(),
            last_t=samples[-1].t,
            last_bpm=samples[-1].bpm,
            clock_offset_ms=began_ms,
            zone_ms=zone_ms,
        )
        async with self.transactions() as stores:
            await stores.streams.write([batch])
            await stores.workouts.finish(workout_id, utc(began_ms + samples[-1].t + 1_000))
        await self.summarised(workout_id)
        return workout_id

    async def summarised(self, workout_id: WorkoutId) -> None:
        """A workout has a summary, or another one, and that is told."""
        async with self.transactions() as stores:
            await workouts.summarise(stores, workout_id)

    async def later(self, workout_id: WorkoutId, samples: Sequence[Sample]) -> None:
        """Late samples of a finished workout."""
        async with self.transactions() as stores:
            (stream,) = await stores.streams.origins(workout_id)
            record = await stores.streams.lock(stream.stream)
            assert record is not None
            batch = StreamBatch(
                stream_id=stream.stream,
                epoch=record.epoch,
                first_seq=record.next_seq,
                samples=tuple(samples),
                received_ms=self.clock.wall_ms(),
                last_t=samples[-1].t,
                last_bpm=samples[-1].bpm,
                clock_offset_ms=stream.clock_offset_ms,
                zone_ms=record.zone_ms,
            )
            await stores.streams.write([batch])
        await self.summarised(workout_id)

    async def handled(self, seed: int | None = None) -> list[AnyFact]:
        """Handle everything that was told and what comes of it; with a seed in any order, and each of it twice."""
        seen: list[AnyFact] = []
        while fresh := (await self.told())[self._handled :]:
            self._handled += len(fresh)
            seen += fresh
            if seed is not None:
                fresh = fresh * 2
                random.Random(seed).shuffle(fresh)
            for fact in fresh:
                await self._handle(fact)
        return seen

    async def final_table(self, live: LiveClass) -> dict[str, tuple[float, bool]]:
        """The final table of a class that is over: name, effort, whether it is marked. Made, if it was not before."""
        async with self.transactions() as stores:
            if await stores.classes.summary(live.id) is None:
                await self._classes.summarise_class(stores, ClassEnded(class_id=live.id))
            stored = await stores.classes.summary(live.id)
        assert stored is not None
        standings = msgspec.json.decode(stored, type=ClassSummary).standings
        return {line.name: (line.effort, line.flagged) for line in standings}

    async def _handle(self, fact: AnyFact) -> None:
        async with self.transactions() as stores:
            match fact:
                case WorkoutSummarised():
                    await self.facts.keep_score(stores, fact)
                    await self.judging.judge(stores, fact)
                case WorkoutJudged():
                    await self.facts.keep_score(stores, fact)
                    await self._classes.summarise_class(stores, fact)
                case WorkoutExamined():
                    await self.judging.compare(stores, fact)
                case WorkoutFinished(workout_id=workout_id):
                    await workouts.summarise(stores, workout_id)
                case _:
                    pass

    async def stands(self, workout_id: WorkoutId) -> Verdict:
        """What stands of a workout."""
        return (await self.stored_workout(workout_id)).verdict

    async def stored_workout(self, workout_id: WorkoutId) -> Workout:
        async with self.transactions() as stores:
            workout = await stores.workouts.by_id(workout_id)
        assert workout is not None
        return workout

    async def found(self, caller: Caller, workout_id: WorkoutId) -> list[str]:
        """The rules that have found something, the gravest first."""
        return [finding.rule for finding in (await self.verdicts.of_workout(caller, workout_id)).findings]


def outing(seed: int, seconds: int = 1_200) -> list[Sample]:
    """A heart on hills that nobody else has ridden: one sample a second, without beats."""
    own, bpm, aim = random.Random(seed), 120.0, 120
    samples = []
    for second in range(seconds):
        aim = own.randint(95, 175) if second % 90 == 0 else aim
        bpm += (aim - bpm) / 30
        samples.append(Sample(1_000 * second, round(bpm)))
    return samples


def shaken(samples: Sequence[Sample], seed: int) -> list[Sample]:
    """The same heart by another device: each reading up to 1 bpm off."""
    own = random.Random(seed)
    return [
        msgspec.structs.replace(each, bpm=None if each.bpm is None else each.bpm + own.randint(-1, 1))
        for each in samples
    ]


def cheats(seed: int) -> dict[str, list[Sample]]:
    """By rule, a stream that breaks that one alone."""
    honest = outing(seed)
    steps = [sample.t // 1_000 for sample in honest]

    def told(bpm: Sequence[int], rr: Sequence[tuple[int, ...]] | None = None) -> list[Sample]:
        beats = rr or [()] * len(bpm)
        return [Sample(1_000 * n, rate, beat) for n, (rate, beat) in enumerate(zip(bpm, beats, strict=True))]

    rates = [sample.bpm or 0 for sample in honest]
    climbing = [min(120 + 2 * n, 240) if n < 200 else max(240 - 2 * (n - 200), 120 + n % 7) for n in steps]
    high = [min(120 + n, 225) if n < 200 else max(225 - (n - 200), 120 + n % 7) for n in steps]
    footfalls = [150 + round(12 * math.sin(n / 20)) for n in steps]
    return {
        "faster_than_hearts": told(climbing),
        "far_above_own_maximum": told([min(rate, 228) + n % 2 for n, rate in enumerate(high)]),
        "jumps": told([100 if n % 6 < 3 else 150 for n in steps]),
        "flat": told([150] * len(steps)),
        "metronome": told(rates, [(500,) if 300 <= n < 365 else (500 + n % 9,) for n in steps]),
        "beats_disagree": told(rates, [(round(60_000 / (rate + 40)) + n % 5,) for n, rate in enumerate(rates)]),
        "faster_than_riders": [
            msgspec.structs.replace(sample, motion=Motion(23 * n)) for n, sample in enumerate(honest)
        ],
        "cadence_lock": [
            Sample(1_000 * n, fall + n % 2 if 300 <= n < 500 else rate, (), Motion(None, None, fall))
            for n, (rate, fall) in enumerate(zip(rates, footfalls, strict=True))
        ],
    }
