"""The benchmark of challenges in its small form: that it does what it says. Nothing here is timed."""

from persistence.database import Database
from tests.benchmarks.challenges import measure
from tests.support.redis_server import open_redis


async def test_a_small_challenge_is_measured_and_shows_the_same_from_both(database: Database) -> None:
    async with open_redis() as server:
        figures = await measure(database, server.url, members=300, riders=3, rounds=2)
    assert figures.same
    assert {what: len(times) for what, times in figures.ms.items()} == {
        "score a workout": 6,
        "bring the copy up to date": 6,
        "page around me": 6,
        "what a watcher is told": 6,
        "first page": 6,
        "page around me, database": 2,
    }
    assert figures.made_s > 0
