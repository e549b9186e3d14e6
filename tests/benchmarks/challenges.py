"""A challenge of a million in figures: `python -m tests.benchmarks.challenges`. A few minutes, on servers of its own.

Everybody but the riders is filled in by SQL, with random scores and a log of as many entries, so that tables and indexes are as
large as they would be. Then each rider's workouts are scored one after the other: what is timed is the transaction that a worker
commits for it (log, score, line, facts), the copy in Redis being brought up to date, and the page around a rider, from the copy and
from the database. One thing at a time: these are latencies of quiet servers, not of busy ones.
"""

import argparse
import asyncio
import random
import tempfile
import time
from collections.abc import Awaitable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from loadtest.scenarios.crew import Spread, spread_of
from paceline.embedded import open_embedded
from persistence.database import Database, open_database
from persistence.migrate import migrate
from realtime.redis_commands import RedisCommands
from realtime.redis_servers import RedisServers
from realtime.redis_tables import RedisTables
from services.challenges.challenges import ChallengeView
from services.challenges.standing import LEADERS, standing_of
from services.kernel.caller import Caller
from services.kernel.clock import utc
from services.kernel.facts import ChallengeMoved, WorkoutSummarised
from services.training.summary import summarise
from tests.support.challenged import Challenged
from tests.support.world import BODY, steady

MEMBERS: Final = 1_000_000
RIDERS: Final = 50
ROUNDS: Final = 20
FILL: Final = 20_000
"""Members of one statement: each must end within the patience of the pool."""
SUMMARIES: Final = tuple(summarise(steady(seconds), BODY) for seconds in (700, 1_500, 3_000))


@dataclass
class Figures:
    """Milliseconds of each thing, as often as it was done; `made_s` is how long the copy took from nothing, `redis_mib` what it
    takes there. `same`: at the end all pages looked at were the same from the copy and from the database."""

    members: int
    made_s: float = 0.0
    redis_mib: float = 0.0
    same: bool = True
    ms: dict[str, list[float]] = field(default_factory=dict)

    def spread(self, what: str) -> Spread:
        return spread_of(self.ms[what])

    async def timed(self, what: str, work: Awaitable[object]) -> None:
        """Do it, and note how long it took."""
        began = time.perf_counter()
        await work
        self.ms.setdefault(what, []).append((time.perf_counter() - began) * 1_000)


async def measure(database: Database, redis_url: str, members: int, riders: int, rounds: int) -> Figures:
    """A challenge of so many members, of whom some ride."""
    servers = RedisServers(redis_url)
    try:
        return await _measure(
            Challenged(database, RedisTables(RedisCommands(servers))), servers, members, riders, rounds
        )
    finally:
        await servers.close()


async def _measure(world: Challenged, servers: RedisServers, members: int, riders: int, rounds: int) -> Figures:
    figures = Figures(members)
    people = [await world.account(f"Rider {n}") for n in range(riders)]
    view = await world.challenge(people[0])
    await world.join(view, *people)
    await fill(world, view, members - riders)
    before = await used_mib(servers)
    began = time.perf_counter()
    await follow(world, view)
    figures.made_s = time.perf_counter() - began
    figures.redis_mib = await used_mib(servers) - before
    slow = Challenged(world.database)
    for _ in range(rounds):
        leading = {view.id: await world.challenges.table(people[0], view.id, limit=LEADERS)}
        for rider in people:
            fact = await ridden(world, rider)
            await figures.timed("score a workout", world.score(fact))
            await figures.timed("bring the copy up to date", follow(world, view))
            await figures.timed("page around me", world.challenges.table(rider, view.id, around_me=True, limit=50))
            await figures.timed("what a watcher is told", standing_of(world.challenges, rider, view.id, leading))
            await figures.timed("first page", world.challenges.table(rider, view.id, limit=50))
        one = random.choice(people)
        await figures.timed("page around me, database", slow.challenges.table(one, view.id, around_me=True, limit=50))
        fast_page = await world.challenges.table(one, view.id, around_me=True, limit=50)
        figures.same &= fast_page == await slow.challenges.table(one, view.id, around_me=True, limit=50)
    return figures


async def fill(world: Challenged, view: ChallengeView, count: int) -> None:
    """So many members more, who have no accounts and scores by chance, each with an entry of the log."""
    async with world.transactions() as stores:
        challenge = await stores.challenges.lock(view.id)
        assert challenge is not None
        for first in range(1, count + 1, FILL):
            last = min(first + FILL - 1, count)
            await stores.tx.execute(
                """
                WITH made AS (SELECT generate_series($2::bigint, $3::bigint) AS i),
                log AS (
                    INSERT INTO challenge_log (challenge_id, seq, body, hash)
                    SELECT $1, $4 + i, convert_to(repeat('x', 200), 'UTF8'), sha256(i::text::bytea) FROM made
                )
                INSERT INTO challenge_members (challenge_id, n, zone, joined_at, value, tie, seq)
                SELECT $1, $5 + i, 'UTC', now(), (random() * 50000000)::bigint, (1.79e12 + random() * 6e8)::bigint, $4 + i
                FROM made
                """,
                view.id,
                first,
                last,
                challenge.seq,
                challenge.numbers,
            )
        await stores.tx.execute(
            "UPDATE challenges SET numbers = numbers + $2, members = members + $2, seq = seq + $2 WHERE id = $1",
            view.id,
            count,
        )
    async with world.database.connection() as connection:
        await connection.execute("SET statement_timeout = 0")
        for name in ("challenge_members", "challenge_log"):
            await connection.execute(f"VACUUM ANALYZE {name}", timeout=600)


async def ridden(world: Challenged, rider: Caller) -> WorkoutSummarised:
    """A workout that is finished and summarised and that nobody has scored yet."""
    workout_id, _ = await world.workout(rider)
    await world.clock.advance(61)
    async with world.transactions() as stores:
        await stores.workouts.finish(workout_id, utc(world.clock.wall_ms()))
        await stores.workouts.store_summary(workout_id, random.choice(SUMMARIES))
    await world.clock.advance(1)
    return WorkoutSummarised(workout_id=workout_id, account_id=rider.account_id)


async def follow(world: Challenged, view: ChallengeView) -> None:
    """Bring the copy up to date, in as many handlings as it takes: who is not done asks for another one."""
    asked = True
    while asked:
        async with world.transactions() as stores:
            await world.facts.keep_tables(stores, ChallengeMoved(view.id))
            asked = stores.outbox.told


async def used_mib(servers: RedisServers) -> float:
    """Memory of Redis, as it says itself."""
    return float((await servers.client("any").info("memory"))["used_memory"]) / 2**20


async def main(members: int, riders: int, rounds: int) -> None:
    with tempfile.TemporaryDirectory(prefix="paceline-challenges-") as folder:
        Path(folder).chmod(0o711)
        async with open_embedded(Path(folder) / "data") as embedded:
            assert embedded.database_url is not None
            assert embedded.redis_url is not None
            await migrate(embedded.database_url)
            async with open_database(embedded.database_url, size=4) as database:
                figures = await measure(database, embedded.redis_url, members, riders, rounds)
    print(f"{members:,} members; the copy from nothing {figures.made_s:.1f} s, {figures.redis_mib:.0f} MiB in Redis")
    print(f"{'ms':<28} {'n':>6} {'p50':>8} {'p99':>8} {'max':>8}")
    for what in figures.ms:
        spread = figures.spread(what)
        print(f"{what:<28} {spread.n:>6} {spread.p50:>8} {spread.p99:>8} {spread.max:>8}")
    print("Copy and database showed the same." if figures.same else "Copy and database DIFFERED.")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "members", type=int, nargs="?", default=MEMBERS, help=f"in the challenge (default: {MEMBERS:,})"
    )
    parser.add_argument("--riders", type=int, default=RIDERS, help=f"of them, who work out (default: {RIDERS})")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"workouts of each (default: {ROUNDS})")
    asked = parser.parse_args()
    asyncio.run(main(asked.members, asked.riders, asked.rounds))
