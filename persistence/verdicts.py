"""Verdicts: what the rules have found in workouts, the steps of their cases, and what was found between two of them.

Whoever writes here holds the row of the workout (`Workouts.lock`), or of both; several are locked in the order of their ids.
"""

from collections.abc import Sequence
from typing import Final

import asyncpg
import msgspec

from persistence.database import Tx
from persistence.sealing import Sealing, data_key_of
from persistence.workouts import WORKOUT_COLUMNS, workout_of
from services.fairplay.case import Step, Waiting
from services.fairplay.comparing import Pair
from services.fairplay.judging import Examined
from services.fairplay.verdicts import Case
from services.kernel.clock import to_wall_ms, utc
from services.kernel.ids import AccountId, ChallengeId, ClassId, WorkoutId
from services.privacy.vault import Field
from services.training.plausibility import Finding

_EXAMINED: Final = f"""
    workout_id, account_id, began_at, ended_at, judged_at, rules_version, grade, samples, findings, mean_bpm, fingerprint, sketch,
    sketch_sealed, {data_key_of("verdicts.account_id")} AS data_key
"""
SKETCH: Final = Field("verdicts", "sketch_sealed")
_sketch: Final = msgspec.json.Decoder(tuple[int, ...]).decode
_findings: Final = msgspec.json.Decoder(tuple[Finding, ...]).decode


class Verdicts:
    """The verdicts inside one transaction."""

    def __init__(self, tx: Tx, sealing: Sealing | None = None) -> None:
        self._tx: Final = tx
        self._sealing: Final = sealing or Sealing(tx)

    # -- what was found -----------------------------------------------------------------------------------------------

    async def keep(self, examined: Examined) -> None:
        """What a pass has found, in place of what one before it had."""
        sealed = await self._sealing.seal(examined.account_id, SKETCH, packed_sketch(examined.sketch))
        await self._tx.execute(
            """
            INSERT INTO verdicts (workout_id, account_id, began_at, ended_at, judged_at, rules_version, grade, samples,
                                  findings, mean_bpm, fingerprint, sketch, sketch_sealed)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
            ON CONFLICT (workout_id) DO UPDATE
                SET began_at = excluded.began_at, ended_at = excluded.ended_at, judged_at = excluded.judged_at,
                    rules_version = excluded.rules_version, grade = excluded.grade, samples = excluded.samples,
                    findings = excluded.findings, mean_bpm = excluded.mean_bpm, fingerprint = excluded.fingerprint,
                    sketch = excluded.sketch, sketch_sealed = excluded.sketch_sealed
            """,
            examined.workout_id,
            examined.account_id,
            utc(examined.began_ms),
            utc(examined.ended_ms),
            utc(examined.judged_ms),
            examined.rules_version,
            examined.grade,
            examined.samples,
            msgspec.json.encode(examined.findings).decode(),
            examined.mean_bpm,
            examined.fingerprint,
            examined.sketch if sealed is None else None,
            sealed,
        )

    async def examined(self, workout_id: WorkoutId) -> Examined | None:
        """What the last pass has found, or None."""
        row = await self._tx.fetchrow(f"SELECT {_EXAMINED} FROM verdicts WHERE workout_id = $1", workout_id)  # noqa: S608
        return None if row is None else self._examined(row)

    # -- the case -----------------------------------------------------------------------------------------------------

    async def steps(self, workout_id: WorkoutId) -> list[Step]:
        """The steps of a case in their order."""
        rows = await self._tx.fetch(
            """
            SELECT kind, at, by_account, verdict, decision, findings, said FROM verdict_steps
            WHERE workout_id = $1
            ORDER BY n
            """,
            workout_id,
        )
        return [
            Step(
                kind=row["kind"],
                at_ms=to_wall_ms(row["at"]),
                verdict=row["verdict"],
                findings=_findings(row["findings"]),
                by=None if row["by_account"] is None else AccountId(row["by_account"]),
                decision=row["decision"],
                text=row["said"],
            )
            for row in rows
        ]

    async def add_step(self, workout_id: WorkoutId, step: Step, waiting: Waiting | None) -> None:
        """The next step of a case, and what it waits for from then on."""
        await self._tx.execute(
            """
            INSERT INTO verdict_steps (workout_id, n, kind, at, by_account, verdict, decision, findings, said)
            SELECT $1, coalesce(max(n), 0) + 1, $2, $3, $4, $5, $6, $7, $8 FROM verdict_steps WHERE workout_id = $1
            """,
            workout_id,
            step.kind,
            utc(step.at_ms),
            step.by,
            step.verdict,
            step.decision,
            msgspec.json.encode(step.findings).decode(),
            step.text,
        )
        await self._tx.execute(
            """
            UPDATE verdicts SET
                waiting_since = CASE WHEN waiting IS NOT DISTINCT FROM $2 THEN waiting_since ELSE $3 END, waiting = $2
            WHERE workout_id = $1
            """,
            workout_id,
            waiting,
            utc(step.at_ms),
        )

    # -- who looks ----------------------------------------------------------------------------------------------------

    async def coaches(self, class_id: ClassId, account_id: AccountId) -> bool:
        """Whether somebody is a coach of a class; who has started one without a coach is not."""
        found: bool = await self._tx.fetchval(
            """
            SELECT EXISTS (SELECT FROM classes WHERE id = $1 AND coach_id = $2 AND on_demand_id IS NULL)
                OR EXISTS (
                    SELECT FROM class_members WHERE class_id = $1 AND account_id = $2 AND co_coach_since IS NOT NULL)
            """,
            class_id,
            account_id,
        )
        return found

    async def organises(self, challenge_id: ChallengeId, account_id: AccountId) -> bool:
        """Whether somebody has made a challenge."""
        found: bool = await self._tx.fetchval(
            "SELECT EXISTS (SELECT FROM challenges WHERE id = $1 AND owner_id = $2)", challenge_id, account_id
        )
        return found

    async def may_review(self, workout_id: WorkoutId, account_id: AccountId) -> bool:
        """Whether somebody coaches the class that a workout was in, or has made a challenge in which it is scored."""
        class_id = await self._tx.fetchval("SELECT class_id FROM workouts WHERE id = $1", workout_id)
        if class_id is not None and await self.coaches(ClassId(class_id), account_id):
            return True
        found: bool = await self._tx.fetchval(
            """
            SELECT EXISTS (
                SELECT FROM challenge_scores AS score JOIN challenges ON challenges.id = score.challenge_id
                WHERE score.workout_id = $1 AND challenges.owner_id = $2)
            """,
            workout_id,
            account_id,
        )
        return found

    async def reviewers(self, workout_id: WorkoutId, limit: int) -> list[AccountId]:
        """Who may rule on a workout now, who leads its class first: without its owner, and without those who have ruled on it."""
        rows = await self._tx.fetch(
            """
            SELECT reviewer.id FROM (
                SELECT classes.coach_id AS id, 1 AS place
                FROM workouts JOIN classes ON classes.id = workouts.class_id WHERE workouts.id = $1
                UNION ALL
                SELECT member.account_id, 2
                FROM workouts JOIN class_members AS member ON member.class_id = workouts.class_id
                WHERE workouts.id = $1 AND member.co_coach_since IS NOT NULL
                UNION ALL
                SELECT challenges.owner_id, 3
                FROM challenge_scores AS score JOIN challenges ON challenges.id = score.challenge_id
                WHERE score.workout_id = $1
            ) AS reviewer
            WHERE reviewer.id <> (SELECT account_id FROM workouts WHERE id = $1)
                AND NOT EXISTS (
                    SELECT FROM verdict_steps AS step
                    WHERE step.workout_id = $1 AND step.kind = 'ruled' AND step.by_account = reviewer.id)
            GROUP BY reviewer.id
            ORDER BY min(reviewer.place), reviewer.id
            LIMIT $2
            """,
            workout_id,
            limit,
        )
        return [AccountId(row["id"]) for row in rows]

    async def waiting_in_class(self, class_id: ClassId, but: AccountId, limit: int) -> list[Case]:
        """The cases of a class that wait, appeals first and then the oldest, for somebody: without their own, and without those
        that they have ruled on."""
        return await self._waiting("workouts.class_id = $1", class_id, but, limit)

    async def waiting_in_challenge(self, challenge_id: ChallengeId, but: AccountId, limit: int) -> list[Case]:
        """The same of a challenge."""
        scored = """
            EXISTS (SELECT FROM challenge_scores AS score WHERE score.workout_id = workouts.id AND score.challenge_id = $1)
        """
        return await self._waiting(scored, challenge_id, but, limit)

    async def waiting_for(self, account_id: AccountId, limit: int) -> list[Case]:
        """The same of all classes that somebody coaches and all challenges that they have made."""
        theirs = """
            (EXISTS (SELECT FROM classes WHERE classes.id = workouts.class_id AND classes.coach_id = $1)
             OR EXISTS (
                SELECT FROM class_members AS member
                WHERE member.class_id = workouts.class_id AND member.account_id = $1 AND member.co_coach_since IS NOT NULL)
             OR EXISTS (
                SELECT FROM challenge_scores AS score JOIN challenges ON challenges.id = score.challenge_id
                WHERE score.workout_id = workouts.id AND challenges.owner_id = $1))
        """
        return await self._waiting(theirs, account_id, account_id, limit)

    async def _waiting(
        self, within: str, subject: ClassId | ChallengeId | AccountId, but: AccountId, limit: int
    ) -> list[Case]:
        rows = await self._tx.fetch(
            f"""
            SELECT {WORKOUT_COLUMNS}, accounts.name, verdicts.waiting, verdicts.waiting_since
            FROM verdicts
                JOIN workouts ON workouts.id = verdicts.workout_id
                JOIN accounts ON accounts.id = verdicts.account_id
            WHERE verdicts.waiting IS NOT NULL AND verdicts.account_id <> $2 AND {within}
                AND NOT EXISTS (
                    SELECT FROM verdict_steps AS step
                    WHERE step.workout_id = workouts.id AND step.kind = 'ruled' AND step.by_account = $2)
            ORDER BY verdicts.waiting, verdicts.waiting_since, workouts.id
            LIMIT $3
            """,  # noqa: S608
            subject,
            but,
            limit,
        )
        return [
            Case(workout_of(row, self._sealing), row["name"], row["waiting"], to_wall_ms(row["waiting_since"]))
            for row in rows
        ]

    # -- pairs --------------------------------------------------------------------------------------------------------

    async def found_in_pairs(self, workout_id: WorkoutId) -> list[Finding]:
        """What was found between a workout and others."""
        return [pair.finding for pair in await self.pairs(workout_id)]

    async def pairs(self, workout_id: WorkoutId) -> list[Pair]:
        """The same, with whom."""
        rows = await self._tx.fetch(
            """
            SELECT CASE WHEN one_id = $1 THEN other_id ELSE one_id END AS other_id, rule, verdict, figure FROM verdict_pairs
            WHERE one_id = $1 OR other_id = $1
            ORDER BY one_id, other_id, rule
            """,
            workout_id,
        )
        return [Pair(WorkoutId(row["other_id"]), Finding(row["rule"], row["verdict"], row["figure"])) for row in rows]

    async def keep_pairs(self, workout_id: WorkoutId, pairs: Sequence[Pair], at_ms: int) -> None:
        """What is found between a workout and all others, in place of what was before."""
        await self._tx.execute("DELETE FROM verdict_pairs WHERE one_id = $1 OR other_id = $1", workout_id)
        await self._tx.executemany(
            """
            INSERT INTO verdict_pairs (one_id, other_id, rule, verdict, figure, found_at)
            VALUES (least($1::uuid, $2::uuid), greatest($1::uuid, $2::uuid), $3, $4, $5, $6)
            """,
            [
                (workout_id, pair.other, pair.finding.rule, pair.finding.verdict, pair.finding.figure, utc(at_ms))
                for pair in pairs
            ],
        )

    async def of_workouts(self, workout_ids: Sequence[WorkoutId]) -> list[Examined]:
        """What the last passes over these have found."""
        rows = await self._tx.fetch(
            f"SELECT {_EXAMINED} FROM verdicts WHERE workout_id = ANY($1::uuid[])",  # noqa: S608
            workout_ids,
        )
        return [self._examined(row) for row in rows]

    async def at_once_with(self, examined: Examined, near_bpm: int, limit: int) -> list[Examined]:
        """Workouts of others in the same hours whose mean heart rate is about the same, the nearest first."""
        if examined.mean_bpm is None:
            return []
        rows = await self._tx.fetch(
            f"""
            SELECT {_EXAMINED} FROM verdicts
            WHERE mean_bpm IS NOT NULL
                AND tstzrange(began_at, ended_at, '[]') && tstzrange($1, $2, '[]')
                AND int4range(mean_bpm, mean_bpm, '[]') && int4range($3::integer - $4::integer, $3::integer + $4::integer, '[]')
                AND account_id <> $5
            ORDER BY abs(mean_bpm - $3::integer), workout_id
            LIMIT $6
            """,  # noqa: S608
            utc(examined.began_ms),
            utc(examined.ended_ms),
            examined.mean_bpm,
            near_bpm,
            examined.account_id,
            limit,
        )
        return [self._examined(row) for row in rows]

    async def same_fingerprint(self, examined: Examined, limit: int) -> list[Examined]:
        """Workouts of others, whenever they were, that have the same rates in the same order."""
        if examined.fingerprint is None:
            return []
        rows = await self._tx.fetch(
            f"""
            SELECT {_EXAMINED} FROM verdicts
            WHERE fingerprint = $1 AND account_id <> $2
            ORDER BY workout_id
            LIMIT $3
            """,  # noqa: S608
            examined.fingerprint,
            examined.account_id,
            limit,
        )
        return [self._examined(row) for row in rows]

    async def own_at_once_with(self, examined: Examined, limit: int) -> list[Examined]:
        """Other workouts of the same person in the same hours, that have a heart rate."""
        rows = await self._tx.fetch(
            f"""
            SELECT {_EXAMINED} FROM verdicts
            WHERE account_id = $1 AND workout_id <> $2 AND began_at <= $4 AND ended_at >= $3 AND mean_bpm IS NOT NULL
            ORDER BY began_at, workout_id
            LIMIT $5
            """,  # noqa: S608
            examined.account_id,
            examined.workout_id,
            utc(examined.began_ms),
            utc(examined.ended_ms),
            limit,
        )
        return [self._examined(row) for row in rows]

    def _examined(self, row: asyncpg.Record) -> Examined:
        account_id, sketch = AccountId(row["account_id"]), row["sketch"]
        if row["sketch_sealed"] is not None:
            sketch = _sketch(self._sealing.open(account_id, row["data_key"], SKETCH, row["sketch_sealed"]))
        return Examined(
            workout_id=WorkoutId(row["workout_id"]),
            account_id=account_id,
            began_ms=to_wall_ms(row["began_at"]),
            ended_ms=to_wall_ms(row["ended_at"]),
            judged_ms=to_wall_ms(row["judged_at"]),
            rules_version=row["rules_version"],
            grade=row["grade"],
            samples=row["samples"],
            findings=_findings(row["findings"]),
            mean_bpm=row["mean_bpm"],
            fingerprint=row["fingerprint"],
            sketch=tuple(sketch),
        )


def packed_sketch(sketch: Sequence[int]) -> bytes:
    """A sketch as it is sealed."""
    return msgspec.json.encode(list(sketch))
