"""Challenges on a real database: people join, work out, and the facts of it are handled as workers would."""

from datetime import date, timedelta
from typing import Any, Final

from persistence.challenges import Challenges as ChallengeStore
from persistence.database import Database
from services.challenges.challenge import closes_ms
from services.challenges.challenges import Challenges, ChallengeTable, ChallengeView
from services.challenges.ranking import Ranked, ranked_teams
from services.challenges.score_log import Ledger
from services.challenges.tables import HotTable
from services.kernel.caller import Caller
from services.kernel.clock import utc
from services.kernel.facts import AnyFact, ChallengeDue, WorkoutSummarised
from services.kernel.ids import ChallengeId, WorkoutId
from services.training.sample import Sample
from services.training.summary import WorkoutSummary, summarise
from tests.support.world import BODY, World, steady
from workers.challenging import ChallengeFacts

DAY_S: Final = 86_400


class Challenged(World):
    """A world with challenges in it."""

    def __init__(self, database: Database, hot: HotTable | None = None) -> None:
        super().__init__(database)
        self.moved: Final[list[ChallengeId]] = []
        self.challenges: Final = Challenges(self.transactions, self.clock, self.ids, hot)
        self.facts: Final = ChallengeFacts(self.clock, hot, self.moved.append)

    @property
    def today(self) -> date:
        return utc(self.clock.wall_ms()).date()

    async def challenge(self, owner: Caller, **asked: Any) -> ChallengeView:
        """One of a week, by effort, that begins today."""
        wanted: dict[str, Any] = {
            "title": "December",
            "kind": "effort",
            "first_day": self.today,
            "last_day": self.today + timedelta(days=6),
            "ties": "first",
            "from_zone": None,
            "teams": (),
        }
        return await self.challenges.create(owner, **wanted | asked)

    async def join(self, view: ChallengeView, *people: Caller, team: str | None = None) -> None:
        """Come in, one after the other."""
        for caller in people:
            await self.challenges.join(caller, view.code, "UTC", team)

    async def works_out(
        self, caller: Caller, seconds: int = 1_200, bpm: int = 150, summary: WorkoutSummary | None = None
    ) -> WorkoutId:
        """A workout that begins now and is finished and scored; time goes on by its length."""
        workout_id, _ = await self.workout(caller)
        await self.clock.advance(seconds)
        async with self.transactions() as stores:
            await stores.workouts.finish(workout_id, utc(self.clock.wall_ms()))
        await self.corrected(caller, workout_id, steady(seconds, bpm), summary)
        return workout_id

    async def corrected(
        self, caller: Caller, workout_id: WorkoutId, samples: list[Sample], summary: WorkoutSummary | None = None
    ) -> None:
        """Another revision of a workout, scored."""
        async with self.transactions() as stores:
            await stores.workouts.store_summary(workout_id, summary or summarise(samples, BODY))
        await self.score(WorkoutSummarised(workout_id=workout_id, account_id=caller.account_id))

    async def score(self, fact: AnyFact) -> None:
        """Handle a fact that concerns scores."""
        async with self.transactions() as stores:
            await self.facts.keep_score(stores, fact)

    async def close(self, view: ChallengeView) -> None:
        """The end of a challenge, at its time."""
        ends_ms = (await self.stored(view.id)).closes
        await self.clock.advance(max(ends_ms - self.clock.wall_ms(), 0) / 1_000)
        await self.score(ChallengeDue(view.id))

    async def stored(self, challenge_id: ChallengeId) -> "Stored":
        """What the database has of a challenge."""
        async with self.transactions() as stores:
            challenge = await stores.challenges.by_id(challenge_id)
            assert challenge is not None
            ledger = await read(stores.challenges, challenge_id)
            lines = await stores.challenges.page(challenge_id, 0, 1_000)
            teams = await stores.challenges.teams(challenge_id)
        kept = ranked_teams(teams, challenge.rules.teams)
        return Stored(closes_ms(challenge.rules), ledger, [(each.n, each.value, each.tie) for each in lines], kept)


class Stored:
    """The log of a challenge read again, and the lines that are kept beside it."""

    def __init__(self, closes: int, ledger: Ledger, lines: list[tuple[int, int, int]], teams: list[Ranked]) -> None:
        self.closes: Final = closes
        self.ledger: Final = ledger
        self.lines: Final = lines
        self.teams: Final = teams

    @property
    def derived(self) -> list[tuple[int, int, int]]:
        """The lines that the log alone comes to."""
        return [(each.line.n, each.line.value, each.line.tie) for each in self.ledger.table()]


async def read(store: ChallengeStore, challenge_id: ChallengeId) -> Ledger:
    """The whole log, entry by entry."""
    ledger = Ledger()
    while links := await store.log(challenge_id, ledger.seq, 3):
        for link in links:
            ledger.take(link)
    return ledger


def shown(table: ChallengeTable) -> list[tuple[int, str | None, int]]:
    """A table as (rank, name, value)."""
    return [(line.rank, line.name, line.value) for line in table.lines]
