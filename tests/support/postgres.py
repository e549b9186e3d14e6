"""A real Postgres for tests: one server per test run, one fresh migrated database per test.

`postgres` (whole run) starts the embedded server in a temporary folder, in memory where there is room, without fsync, and makes one
migrated database that serves as the template. `fresh_dsn` (per test) copies it, some six hundred files, which takes 40 ms in
memory and half a second on a disk, and drops the copy afterwards. `database` is a pool on such a copy, `transactions` all stores
on it.

Tests that need the server itself (to stop it, to freeze it) start their own with `embedded_for_tests`.
"""

import itertools
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from paceline.embedded import embedded_for_tests
from persistence.database import Database, open_database
from persistence.migrate import migrate

TEMPLATE = "paceline_template"
MEMORY = Path("/dev/shm")
ENOUGH_BYTES = 4 * 1024**3
"""Room in memory that is wanted: a server with its log, and a database of 20 MB for each test that runs at the same time."""


@dataclass
class PostgresServer:
    """The running server. `dsn` reaches a database of its own that no test may write to."""

    dsn: str
    _numbers: Iterator[int] = field(default_factory=itertools.count)
    _migrated: bool = False

    def of(self, database: str) -> str:
        """The DSN of another database of this server."""
        return urlunsplit(urlsplit(self.dsn)._replace(path=f"/{database}"))

    async def fresh(self) -> str:
        """Make a database with the current schema and nothing in it; returns its DSN."""
        admin = await asyncpg.connect(self.dsn)
        try:
            if not self._migrated:
                await admin.execute(f"CREATE DATABASE {TEMPLATE}")
                await migrate(self.of(TEMPLATE))
                self._migrated = True
            name = f"test_{next(self._numbers)}"
            await admin.execute(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE} STRATEGY FILE_COPY")
        finally:
            await admin.close()
        return self.of(name)

    async def drop(self, dsn: str) -> None:
        """Drop a database made by `fresh`, whoever is still connected to it."""
        name = urlsplit(dsn).path.removeprefix("/")
        admin = await asyncpg.connect(self.dsn)
        try:
            # Not FORCE: it fails when the server's own vacuum is at work in there, which a plain DROP asks to leave.
            await admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1 AND usename = current_user",
                name,
            )
            await admin.execute(f"DROP DATABASE IF EXISTS {name}")
        finally:
            await admin.close()


def _memory() -> Path | None:
    """A folder in memory with enough room; None where there is none, which is any temporary folder."""
    try:
        room = os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free >= ENOUGH_BYTES
    except OSError:
        return None
    return MEMORY if room else None


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """The server of this test run."""
    # Not pytest's own temporary folder: it is private to this user, and as root the server runs as somebody else.
    folder = Path(tempfile.mkdtemp(prefix="paceline-test-", dir=_memory()))
    folder.chmod(0o711)
    try:
        with embedded_for_tests(folder / "data", want_redis=False) as embedded:
            assert embedded.database_url is not None
            yield PostgresServer(embedded.database_url)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
async def fresh_dsn(postgres: PostgresServer) -> AsyncIterator[str]:
    """The DSN of a migrated, empty database."""
    dsn = await postgres.fresh()
    yield dsn
    await postgres.drop(dsn)


@pytest.fixture
async def database(fresh_dsn: str) -> AsyncIterator[Database]:
    """A pool on a migrated, empty database."""
    async with open_database(fresh_dsn, size=5) as database:
        yield database
