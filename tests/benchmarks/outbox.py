"""The outbox in figures: `python -m tests.benchmarks.outbox`. Two minutes, on a PostgreSQL of its own that flushes to disk.

Facts are told by several connections at once, then relayed to a bus that takes everything at once, so what is measured is the
outbox and not what lies behind it. Then the same with a million facts waiting.
"""

import asyncio
import tempfile
import time
from pathlib import Path
from typing import Final

from paceline.embedded import open_embedded
from persistence.database import Database, open_database
from persistence.migrate import migrate
from persistence.stores import Transactions
from services.kernel.clock import SystemClock
from services.kernel.facts import WorkoutFinished
from services.kernel.ids import AccountId, Uuid7Ids, WorkoutId
from tests.support.fact_logs import TakesAll
from workers.relay import Relay

TELLERS: Final = 8
TELL_S: Final = 6.0
THINGS: Final = 2_000
MANY: Final = 1_000_000
CLOCK: Final = SystemClock()


async def tell(database: Database, *, notify: bool) -> float:
    """Facts told per second, each in a transaction of its own."""
    ids = Uuid7Ids(CLOCK)
    transactions = Transactions(database, CLOCK, ids, told=None if notify else lambda: None)
    things = [ids.next() for _ in range(THINGS)]
    until = time.monotonic() + TELL_S
    told = 0

    async def teller(first: int) -> None:
        nonlocal told
        n = first
        while time.monotonic() < until:
            about = things[n % THINGS]
            n += TELLERS
            async with transactions() as stores:
                await stores.outbox.add(WorkoutFinished(WorkoutId(about), AccountId(about)), about)
            told += 1

    await asyncio.gather(*(teller(first) for first in range(TELLERS)))
    return told / TELL_S


async def relay(database: Database, batches: int | None = None) -> tuple[int, float]:
    """Facts relayed, and how long it took."""
    one = Relay(Transactions(database, CLOCK, Uuid7Ids(CLOCK)), TakesAll(), CLOCK)
    began = time.perf_counter()
    moved = 0
    while (count := await one.relay()) and batches != 0:
        moved += count
        batches = None if batches is None else batches - 1
    return moved, time.perf_counter() - began


async def look(database: Database) -> float:
    """How long a look at the backlog takes, in ms: the best of five."""
    best = 1e9
    for _ in range(5):
        async with Transactions(database, CLOCK, Uuid7Ids(CLOCK))() as stores:
            began = time.perf_counter()
            await stores.outbox.backlog()
            best = min(best, time.perf_counter() - began)
    return best * 1000


async def pile_up(database: Database) -> None:
    """A million facts that wait."""
    sql = """
        INSERT INTO outbox (id, type, aggregate_id, envelope, created_at)
        SELECT gen_random_uuid(), 'workout.finished', things.id,
               jsonb_build_object('id', gen_random_uuid(), 'at_ms', 0, 'fact', jsonb_build_object(
                   'type', 'workout.finished', 'workout_id', things.id, 'account_id', things.id)),
               now()
        FROM (SELECT gen_random_uuid() AS id FROM generate_series(1, $1)) AS things, generate_series(1, $2)
    """
    for _ in range(MANY // 20_000):
        async with database.tx() as tx:
            await tx.execute(sql, THINGS, 20_000 // THINGS)


async def main() -> None:
    with tempfile.TemporaryDirectory(prefix="paceline-outbox-") as folder:
        Path(folder).chmod(0o711)
        async with open_embedded(Path(folder) / "data", want_redis=False) as embedded:
            assert embedded.database_url is not None
            await migrate(embedded.database_url)
            async with open_database(embedded.database_url, size=TELLERS + 2) as database:
                for notify in (True, False, True, False):
                    rate = await tell(database, notify=notify)
                    print(
                        f"told by {TELLERS}, {'notified at the commit' if notify else 'notified after it'}: {rate:,.0f} facts/s"
                    )
                moved, seconds = await relay(database)
                print(f"relayed {moved:,} in {seconds:.1f} s: {moved / seconds:,.0f} facts/s")
                print(f"a look at nothing: {await look(database):.1f} ms")
                await pile_up(database)
                print(f"a look at {MANY:,}: {await look(database):.1f} ms")
                moved, seconds = await relay(database, 40)
                print(f"with {MANY:,} waiting: {moved / seconds:,.0f} facts/s")


if __name__ == "__main__":
    asyncio.run(main())
