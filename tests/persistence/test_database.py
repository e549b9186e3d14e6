"""What is left to whoever gets a connection next, and what that costs."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from persistence.database import SOON_MS, STATEMENT_TIMEOUT_MS, Database, open_database
from services.kernel.problems import Unavailable


@pytest.fixture
async def alone(fresh_dsn: str) -> AsyncIterator[Database]:
    """A pool of one connection: everybody gets the same."""
    async with open_database(fresh_dsn, size=1) as made:
        yield made


async def timeout_of(database: Database) -> str:
    """The setting that the next transaction finds."""
    async with database.tx() as tx:
        found: str = await tx.fetchval("SHOW statement_timeout")
        return found


async def test_nothing_that_was_set_outside_a_transaction_reaches_the_next_one(alone: Database) -> None:
    async with alone.connection() as connection:
        await connection.execute("SET statement_timeout = '77s'")
    assert await timeout_of(alone) == f"{STATEMENT_TIMEOUT_MS // 1_000}s"


async def test_nothing_that_was_set_before_an_error_reaches_the_next_one(alone: Database) -> None:
    async def fail() -> None:
        async with alone.connection() as connection:
            await connection.execute("SET statement_timeout = '77s'")
            await connection.fetchval("SELECT 1 / 0")

    with pytest.raises(asyncpg.DivisionByZeroError):
        await fail()
    assert await timeout_of(alone) == f"{STATEMENT_TIMEOUT_MS // 1_000}s"


async def test_what_a_transaction_sets_for_itself_ends_with_it(alone: Database) -> None:
    async def ask(question: str) -> None:
        async with alone.tx() as tx:
            await tx.execute("SET LOCAL statement_timeout = '77s'")
            await tx.fetchval(question)

    await ask("SELECT 1")
    with pytest.raises(asyncpg.DivisionByZeroError):
        await ask("SELECT 1 / 0")
    assert await timeout_of(alone) == f"{STATEMENT_TIMEOUT_MS // 1_000}s"


async def test_a_transaction_costs_its_own_statements_and_two_more(alone: Database) -> None:
    asked: list[str] = []
    async with alone.connection() as connection:
        connection.add_query_logger(lambda record: asked.append(record.query))
    asked.clear()
    async with alone.tx() as tx:
        await tx.fetchval("SELECT 1")
    assert asked == ["BEGIN;", "SELECT 1", "COMMIT;"]


async def test_who_loses_a_deadlock_is_told_to_come_again_at_once(fresh_dsn: str) -> None:
    async with open_database(fresh_dsn, size=2) as database:
        both = asyncio.Barrier(2)

        async def lock(first: int, second: int) -> None:
            async with database.tx() as tx:
                await tx.execute("SELECT pg_advisory_xact_lock($1)", first)
                await both.wait()
                await tx.execute("SELECT pg_advisory_xact_lock($1)", second)

        ends = await asyncio.gather(lock(1, 2), lock(2, 1), return_exceptions=True)
    (lost,) = [end for end in ends if end is not None]
    assert isinstance(lost, Unavailable)
    assert (lost.retry, lost.retry_after_ms) == (True, SOON_MS)


async def test_a_server_that_takes_no_writes_is_away_and_is_looked_for_anew(fresh_dsn: str) -> None:
    async def write(database: Database) -> None:
        async with database.tx() as tx:
            await tx.execute("DELETE FROM sealing_proof")

    admin = await asyncpg.connect(fresh_dsn)
    try:
        name = await admin.fetchval("SELECT current_database()")
        await admin.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
        async with open_database(fresh_dsn, size=1) as database:
            await database.ping()
            # What has been opened until now stays read-only, as with a server that was the primary.
            await admin.execute(f"ALTER DATABASE {name} RESET default_transaction_read_only")
            with pytest.raises(Unavailable):
                await write(database)
            await write(database)
    finally:
        await admin.close()
