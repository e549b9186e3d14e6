"""Whose pages are those of an app, as the database knows it."""

from datetime import UTC, datetime
from typing import Final

import asyncpg
import pytest

from persistence import migrate as migrating
from persistence.apps import Apps
from persistence.database import Database, Tx
from persistence.migrate import migrate, migrations
from services.apps.app import origins_of
from tests.persistence.test_migrations import empty_database
from tests.support.postgres import PostgresServer

URIS: Final[tuple[list[str], ...]] = (
    [
        "https://pulse.example/callback",
        "https://pulse.example:443/other",
        "https://pulse.example:8443/cb?x=https://evil.example",
    ],
    ["http://127.0.0.1:80/cb", "http://[::1]:4000", "http://127.0.0.1:5173/cb"],
    ["https://pulse.example"],
    [],
)


async def test_apps_that_were_registered_before_have_the_origins_that_they_would_have_now(
    postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    dsn = await empty_database(postgres)
    known = migrations()
    before = next(each.number for each in known if each.name.endswith("_app_origins")) - 1
    with monkeypatch.context() as without:
        without.setattr(migrating, "migrations", lambda: known[:before])
        await migrate(dsn)
    connection = await asyncpg.connect(dsn)
    try:
        owner = await connection.fetchval(
            """
            INSERT INTO accounts (id, email, password_hash, name, roles, created_at)
            VALUES (gen_random_uuid(), 'dev@example.org', '', 'Dev', '{member}', now()) RETURNING id
            """
        )
        await connection.executemany(
            "INSERT INTO apps VALUES (gen_random_uuid(), $1, 'Diary', 'public', $2, $3)",
            [(owner, uris, datetime.now(UTC)) for uris in URIS],
        )
        await migrate(dsn)
        rows = await connection.fetch("SELECT redirect_uris, origins FROM apps")
        assert len(rows) == len(URIS)
        for row in rows:
            assert sorted(row["origins"]) == sorted(origins_of(tuple(row["redirect_uris"])))
    finally:
        await connection.close()
        await postgres.drop(dsn)


class Explaining:
    """A transaction that answers every question with its plan."""

    def __init__(self, tx: Tx) -> None:
        self._tx = tx
        self.plan = ""

    async def fetchval(self, query: str, *args: object) -> None:
        self.plan = "\n".join(row[0] for row in await self._tx.fetch(f"EXPLAIN {query}", *args))


async def test_an_origin_is_found_by_index(database: Database) -> None:
    async with database.tx() as tx:
        await tx.execute("SET LOCAL enable_seqscan = off")
        explaining = Explaining(tx)
        assert not await Apps(explaining).has_origin("https://pulse.example")
    assert "apps_by_origin" in explaining.plan
