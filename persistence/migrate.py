"""Bringing a database to the schema this program needs.

Migrations are numbered SQL files, each run once, in order, in a transaction of its own, under an advisory lock so that
several nodes may start together. A file that was changed after it ran is refused: what the table says is what happened.
Locks are waited for briefly only, so a migration never queues behind a long query and everything else behind it.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import asyncpg

FOLDER: Final = Path(__file__).parent / "migrations"
LOCK: Final = 0x9ACE11E
LOCK_TIMEOUT: Final = "5s"


class MigrationError(Exception):
    """The database and this program do not fit together; the message says which of the two to change."""


@dataclass(frozen=True)
class Migration:
    """One numbered file. `checksum` is the SHA-256 of its text."""

    number: int
    name: str
    sql: str
    checksum: str


def migrations() -> list[Migration]:
    """All migrations of this program, in order."""
    found = []
    for path in sorted(FOLDER.glob("[0-9]*.sql")):
        sql = path.read_text(encoding="utf-8")
        number = int(path.name.split("_")[0])
        found.append(Migration(number, path.stem, sql, hashlib.sha256(sql.encode()).hexdigest()))
    numbers = [migration.number for migration in found]
    if numbers != list(range(1, len(found) + 1)):
        raise MigrationError(f"migration files must be numbered 1, 2, 3, … without holes: {numbers}")
    return found


async def migrate(dsn: str) -> list[str]:
    """Run what has not run yet; return the names of those migrations.

    Raises `MigrationError` when the database is ahead of this program or a file was changed after it ran.
    """
    connection = await asyncpg.connect(dsn, timeout=10, statement_cache_size=0)
    try:
        await connection.execute("SELECT pg_advisory_lock($1)", LOCK)
        await connection.execute(
            """
            CREATE TABLE IF NOT EXISTS migrations (
                number integer PRIMARY KEY, name text NOT NULL, checksum text NOT NULL,
                ran_at timestamptz NOT NULL DEFAULT now()
            )
            """
        )
        done = {row["number"]: row for row in await connection.fetch("SELECT * FROM migrations")}
        known = migrations()
        _compare(known, done)
        ran = []
        for migration in known:
            if migration.number in done:
                continue
            async with connection.transaction():
                await connection.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")
                await connection.execute(migration.sql)
                await connection.execute(
                    "INSERT INTO migrations (number, name, checksum) VALUES ($1, $2, $3)",
                    migration.number,
                    migration.name,
                    migration.checksum,
                )
            ran.append(migration.name)
        return ran
    finally:
        await connection.close(timeout=5)


async def pending(connection: asyncpg.Connection | asyncpg.pool.PoolConnectionProxy) -> int:
    """How many migrations have not run here yet."""
    if not await connection.fetchval("SELECT to_regclass('migrations') IS NOT NULL"):
        return len(migrations())
    ran = await connection.fetchval("SELECT count(*) FROM migrations")
    return len(migrations()) - int(ran)


def _compare(known: list[Migration], done: dict[int, asyncpg.Record]) -> None:
    newest = known[-1].number if known else 0
    ahead = sorted(number for number in done if number > newest)
    if ahead:
        raise MigrationError(
            f"the database has migration {ahead[-1]}, this program knows {newest} only: start the newer program"
        )
    for migration in known:
        row = done.get(migration.number)
        if row is not None and row["checksum"] != migration.checksum:
            raise MigrationError(
                f"migration {migration.name} was changed after it ran on {row['ran_at']:%Y-%m-%d}: "
                "put the file back and write a new migration instead"
            )
