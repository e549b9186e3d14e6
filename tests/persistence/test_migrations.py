"""What a migration does with rows that are there."""

import itertools
import uuid
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from persistence import migrate as migrating
from persistence.migrate import migrate, migrations
from tests.support.postgres import PostgresServer

_names = itertools.count()


async def empty_database(server: PostgresServer) -> str:
    """The DSN of a database in which nothing has run."""
    admin = await asyncpg.connect(server.dsn)
    try:
        name = f"migrating_{next(_names)}"
        await admin.execute(f"CREATE DATABASE {name}")
    finally:
        await admin.close()
    return server.of(name)


async def test_facts_that_wait_in_the_first_outbox_wait_in_the_second_in_the_same_order(
    postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    dsn = await empty_database(postgres)
    known = migrations()
    with monkeypatch.context() as first_only:
        first_only.setattr(migrating, "migrations", lambda: known[:1])
        await migrate(dsn)
    connection = await asyncpg.connect(dsn)
    now = datetime.now(UTC)
    told = [(uuid.UUID(int=n << 64), now - timedelta(days=days)) for n, days in enumerate((400, 40, 2, 0, -5))]
    try:
        await connection.executemany(
            """
            INSERT INTO outbox (id, type, aggregate_id, envelope, created_at)
            VALUES ($1, 'class.ended', gen_random_uuid(), '{"a": 1}', $2)
            """,
            reversed(told),
        )
        await migrate(dsn)
        rows = await connection.fetch(
            "SELECT id, created_at, relayed_at, shard = get_byte(uuid_send(aggregate_id), 15) % 16 AS right_shard "
            "FROM outbox ORDER BY seq"
        )
        assert [(row["id"], row["created_at"]) for row in rows] == told
        assert all(row["right_shard"] and row["relayed_at"] is None for row in rows)
        strays = await connection.fetch("SELECT id FROM outbox_stray ORDER BY seq")
        assert [row["id"] for row in strays] == [told[0][0], told[1][0], told[4][0]]
    finally:
        await connection.close()
        await postgres.drop(dsn)
