"""Keeping score: what becomes of a challenge when a workout was summarised, and when its time is over.

Everything here runs in the transaction of whoever calls it, with the row of the challenge locked: the entry of the log, the line
of the member and the fact that the table moved are one commit. What is scored is the workout as it is behind that lock and not what
some fact says, so facts may come late, twice and in any order.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, Protocol
from uuid import UUID

import msgspec

from services.challenges.challenge import PRIZES, Challenge, Entrant, HeatTerms
from services.challenges.heat import SETTLE_MS, SWEEP_MS, Heat, HeatTrace
from services.challenges.ranking import Line, ranked_teams, ranks, tie_of
from services.challenges.score_log import Closed, Entry, Link, Scored, linked
from services.challenges.scoring import Contribution, contribution_of, score_in
from services.kernel.clock import utc
from services.kernel.facts import AnyFact, ChallengeDue, ChallengeFinished, ChallengeMoved, ClassEnded, Prize
from services.kernel.ids import AccountId, ChallengeId, ClassId, FactId, WorkoutId
from services.training.sample import Sample
from services.training.workouts import Workout, pages

MOST_PRIZES: Final = 100
"""People a fact names. Ten thousand who share the first place are a table and not a list of winners."""


class ScoreStore(Protocol):
    """What this needs of the challenges' store (persistence/challenges.py)."""

    async def lock(self, challenge_id: ChallengeId) -> Challenge | None: ...
    async def open_of(self, account_id: AccountId) -> list[tuple[Challenge, Entrant]]: ...
    async def entrant(self, challenge_id: ChallengeId, account_id: AccountId) -> Entrant | None: ...
    async def append(self, challenge_id: ChallengeId, link: Link) -> None: ...
    async def contributions(self, challenge_id: ChallengeId, n: int) -> list[Contribution]: ...
    async def score(self, challenge_id: ChallengeId, line: Line, what: Contribution, seq: int) -> None: ...
    async def finish(self, challenge_id: ChallengeId, at: datetime) -> None: ...
    async def page(self, challenge_id: ChallengeId, start: int, limit: int) -> list[Line]: ...
    async def team_moved(self, challenge_id: ChallengeId, team: int, by: int) -> None: ...
    async def teams(self, challenge_id: ChallengeId) -> list[Line]: ...
    async def accounts(self, challenge_id: ChallengeId, ns: Sequence[int]) -> dict[int, AccountId]: ...


class WorkoutStore(Protocol):
    """And of the workouts'."""

    async def by_id(self, workout_id: WorkoutId) -> Workout | None: ...
    async def samples(self, workout_id: WorkoutId, from_seq: int, limit: int) -> list[Sample]: ...


class HeatStore(Protocol):
    """And of the heats' (persistence/heats.py)."""

    async def of(self, challenge_id: ChallengeId) -> Heat | None: ...
    async def unfinished(self, class_id: ClassId) -> list[tuple[AccountId, WorkoutId]]: ...
    async def end(self, challenge_id: ChallengeId, closes: datetime) -> None: ...


class StreamStore(Protocol):
    """And of the streams'."""

    async def offset_ms(self, workout_id: WorkoutId) -> int | None: ...


class ClassStore(Protocol):
    """And of the classes'."""

    async def end(self, class_id: ClassId, at: datetime) -> bool: ...


class LaterStore(Protocol):
    """And of the schedule (services/schedule/later.py)."""

    async def once(self, fact: AnyFact, aggregate_id: UUID, *, at_ms: int, key: str) -> bool: ...


class OutboxStore(Protocol):
    """Where facts are told."""

    async def add(self, fact: AnyFact, aggregate_id: UUID) -> FactId: ...


class AppendStore(Protocol):
    """Where entries are kept."""

    async def append(self, challenge_id: ChallengeId, link: Link) -> None: ...


class TeamStore(Protocol):
    """Where sums of teams are kept."""

    async def team_moved(self, challenge_id: ChallengeId, team: int, by: int) -> None: ...


class ScoreStores(Protocol):
    """The stores of one transaction."""

    @property
    def challenges(self) -> ScoreStore: ...
    @property
    def workouts(self) -> WorkoutStore: ...
    @property
    def heats(self) -> HeatStore: ...
    @property
    def streams(self) -> StreamStore: ...
    @property
    def classes(self) -> ClassStore: ...
    @property
    def schedule(self) -> LaterStore: ...
    @property
    def outbox(self) -> OutboxStore: ...


async def append(store: AppendStore, challenge: Challenge, entry: Entry) -> Challenge:
    """Write the next entry of a challenge that is locked; the challenge after it."""
    link = linked(challenge.seq, challenge.head, entry)
    await store.append(challenge.id, link)
    return msgspec.structs.replace(challenge, seq=link.seq, head=link.hash)


async def move_team(store: TeamStore, challenge_id: ChallengeId, team: int | None, by: int) -> None:
    """A member's line is another one: so is their team's. Also when only the tie has moved, which `by` 0 cannot tell."""
    if team is not None:
        await store.team_moved(challenge_id, team, by)


async def score_workout(stores: ScoreStores, account_id: AccountId, workout_id: WorkoutId) -> int:
    """Score a workout in all open challenges of its owner; in how many of them the table moved."""
    moved = 0
    workout = await stores.workouts.by_id(workout_id)
    if workout is None:
        return moved
    for challenge, entrant in await stores.challenges.open_of(account_id):
        if _concerned(challenge, entrant, workout):
            moved += await _score_in(stores, challenge.id, account_id, workout_id)
    return moved


async def conclude(stores: ScoreStores, challenge_id: ChallengeId, now_ms: int) -> bool:
    """A time has come at which a challenge may have to go on: its end, for all but heats. False when there was nothing to do.

    A heat that nobody has started is closed; of one that was ridden the end is noted first. What follows is counted from there and
    not from the end itself: if everything was down meanwhile, phones get the same time to bring what they have.

    Nobody says which of its times has come. It may be one that is none any more, or have come by a clock that is ahead
    of this one: then the time that is next is told again.
    """
    challenge = await stores.challenges.lock(challenge_id)
    heat = None if challenge is None else await stores.heats.of(challenge_id)
    if challenge is None or challenge.over or heat is None:
        return await close(stores, challenge_id, now_ms)
    if heat.ends_ms is None:
        await _end_room(stores, heat, now_ms)
        return await close(stores, challenge_id, now_ms)
    if heat.closes_ms is None:
        if now_ms < heat.ends_ms:
            await _have_told(stores, challenge_id, heat.ends_ms, "end")
            return True
        await _end_room(stores, heat, heat.ends_ms)
        closes_ms = now_ms + SETTLE_MS
        await stores.heats.end(challenge_id, utc(closes_ms))
        await _have_told(stores, challenge_id, now_ms + SWEEP_MS, "sweep")
        await _have_told(stores, challenge_id, closes_ms, "close")
        await stores.outbox.add(ChallengeMoved(challenge_id), challenge_id)
        return True
    for account_id, workout_id in await stores.heats.unfinished(heat.class_id):
        await _score_in(stores, challenge_id, account_id, workout_id)
    if now_ms < heat.closes_ms:
        await _have_told(stores, challenge_id, heat.closes_ms, "close")
        return True
    return await close(stores, challenge_id, now_ms)


async def _have_told(stores: ScoreStores, challenge_id: ChallengeId, at_ms: int, which: str) -> None:
    """Have it told when one of a heat's times comes, unless that waits already."""
    await stores.schedule.once(ChallengeDue(challenge_id), challenge_id, at_ms=at_ms, key=f"{challenge_id}:{which}")


async def _end_room(stores: ScoreStores, heat: Heat, at_ms: int) -> None:
    if await stores.classes.end(heat.class_id, utc(at_ms)):
        await stores.outbox.add(ClassEnded(heat.class_id), heat.class_id)


async def close(stores: ScoreStores, challenge_id: ChallengeId, now_ms: int) -> bool:
    """Close a challenge and tell who won; False when it was closed before, or is gone."""
    challenge = await stores.challenges.lock(challenge_id)
    if challenge is None or challenge.over:
        return False
    challenge = await append(stores.challenges, challenge, Closed(now_ms))
    await stores.challenges.finish(challenge_id, utc(now_ms))
    await stores.outbox.add(
        ChallengeFinished(
            challenge_id=challenge_id,
            head=challenge.head.hex(),
            entries=challenge.seq,
            members=challenge.members,
            prizes=await _prizes(stores, challenge),
            winning_teams=await _winning_teams(stores, challenge),
        ),
        challenge_id,
    )
    return True


async def _score_in(
    stores: ScoreStores, challenge_id: ChallengeId, account_id: AccountId, workout_id: WorkoutId
) -> bool:
    challenge = await stores.challenges.lock(challenge_id)
    entrant = await stores.challenges.entrant(challenge_id, account_id)
    workout = await stores.workouts.by_id(workout_id)  # again, behind the lock: of two revisions the later one is seen
    if challenge is None or challenge.over or entrant is None or not entrant.here or workout is None:
        return False
    latest = {each.workout: each for each in await stores.challenges.contributions(challenge_id, entrant.n)}
    known = latest.get(workout_id)
    is_heat = isinstance(challenge.rules.heat, HeatTerms)
    if is_heat:
        what = await _ridden(stores, challenge, workout, known)
    else:
        what = contribution_of(challenge.rules, entrant, workout)
    if what is None or not _says_more(what, known, instants=is_heat):
        return False
    latest[workout_id] = what
    score = score_in(challenge.rules, latest.values())
    line = Line(entrant.n, score.value, tie_of(challenge.rules.ties, score), entrant.team)
    challenge = await append(stores.challenges, challenge, Scored(entrant.n, what))
    await stores.challenges.score(challenge_id, line, what, challenge.seq)
    await move_team(stores.challenges, challenge_id, entrant.team, line.value - entrant.value)
    await stores.outbox.add(ChallengeMoved(challenge_id), challenge_id)
    return True


def _concerned(challenge: Challenge, entrant: Entrant, workout: Workout) -> bool:
    """Whether a workout may have something to do with a challenge. A heat looks closer when its row is locked."""
    if isinstance(challenge.rules.heat, HeatTerms):
        return workout.class_id is not None
    return contribution_of(challenge.rules, entrant, workout) is not None


async def _ridden(
    stores: ScoreStores, challenge: Challenge, workout: Workout, known: Contribution | None
) -> Contribution | None:
    """What a workout is worth in a heat, from the samples stored so far. Its revisions are the heat's own: they count what this has
    said of it, also while it is not finished."""
    heat = await stores.heats.of(challenge.id)
    offset_ms = await stores.streams.offset_ms(workout.id)
    if heat is None or heat.starts_ms is None or heat.ends_ms is None or workout.class_id != heat.class_id:
        return None
    if offset_ms is None:
        return None
    trace = HeatTrace(challenge.rules, workout.physiology.max_hr, offset_ms, heat.starts_ms, heat.ends_ms)
    if workout.verdict != "rejected":
        async for page in pages(stores, workout.id):
            for sample in page:
                trace.add(sample)
    said = Contribution(
        workout=workout.id,
        revision=1 if known is None else known.revision + 1,
        day=challenge.rules.first_day,
        began_ms=heat.starts_ms if trace.began_ms is None else trace.began_ms,
        ended_ms=heat.starts_ms if trace.reached_ms is None else trace.reached_ms,
        value=trace.value,
        mark=None if workout.verdict == "accepted" else workout.verdict,
    )
    return said


def _says_more(what: Contribution, known: Contribution | None, *, instants: bool) -> bool:
    """Whether a revision belongs into the log: it is newer, and worth something else than what stands there, or for another reason.
    That a workout is rejected is said even of one that was never worth anything. `instants`: when it was reached is news too, as in
    a heat, where late samples may have brought somebody to the target sooner."""
    if known is None:
        return what.value > 0 or what.mark == "rejected"
    if instants and what.ended_ms != known.ended_ms:
        return True
    return what.revision > known.revision and (what.value, what.mark) != (known.value, known.mark)


async def _prizes(stores: ScoreStores, challenge: Challenge) -> tuple[Prize, ...]:
    first = [
        each
        for each in ranks(await stores.challenges.page(challenge.id, 0, MOST_PRIZES))
        if each.rank <= PRIZES and each.line.value
    ]
    owners = await stores.challenges.accounts(challenge.id, [each.line.n for each in first])
    teams = challenge.rules.teams
    return tuple(
        Prize(
            rank=each.rank,
            n=each.line.n,
            account_id=owners.get(each.line.n),
            value=each.line.value,
            team=None if each.line.team is None else teams[each.line.team],
        )
        for each in first
    )


async def _winning_teams(stores: ScoreStores, challenge: Challenge) -> tuple[str, ...]:
    rules = challenge.rules
    if not rules.teams:
        return ()
    lines = ranked_teams(await stores.challenges.teams(challenge.id), rules.teams)
    return tuple(rules.teams[each.line.n] for each in lines if each.rank == 1 and each.line.value)
