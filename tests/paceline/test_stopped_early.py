"""A process is asked to stop that is still starting: it gives up what it waits for, takes along what it has begun, ends well."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Final

import asyncpg
import pytest

from persistence.migrate import LOCK
from tests.paceline.test_run import children_of
from tests.support.keeper import keep
from tests.support.server import ROOT, STOP_S, free_port
from tests.support.task_buses import eventually

RUN: Final = ("-m", "paceline", "run")
MIGRATE: Final = ("-m", "paceline", "migrate")
GUNICORN: Final = ("-m", "gunicorn", "-c", "deploy/gunicorn.conf.py", "paceline.gunicorn_app:application")
NO_SERVER: Final = "redis://127.0.0.1:1/0"


class Starting:
    """A process that starts, and the file in which it says so."""

    def __init__(self, process: "subprocess.Popen[bytes]", output: Path) -> None:
        self._process: Final = process
        self._output: Final = output

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def output(self) -> str:
        """What it has printed."""
        return self._output.read_text()

    async def ended_by(self, number: signal.Signals) -> int:
        """Signal it once; its exit code. Raises `subprocess.TimeoutExpired`."""
        self._process.send_signal(number)
        return await asyncio.to_thread(self._process.wait, STOP_S)


@contextlib.contextmanager
def open_starting(*words: str, **environ: str) -> Iterator[Starting]:
    """Such a process; gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="paceline-starting-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        settings = {
            "PACELINE_PORT": str(free_port()),
            "PACELINE_DATA_DIR": str(folder / "data"),
            "PACELINE_DEMO": "off",
        }
        clean = {key: value for key, value in os.environ.items() if not key.startswith("PACELINE_")}
        with (folder / "output").open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, *words],
                cwd=ROOT,
                env=clean | settings | environ,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        keep(process.pid)
        try:
            yield Starting(process, folder / "output")
        finally:
            process.kill()
            process.wait(STOP_S)


@pytest.fixture
async def migrating(fresh_dsn: str) -> AsyncIterator[asyncpg.Connection]:
    """Somebody who migrates this database, and takes as long as the test."""
    somebody = await asyncpg.connect(fresh_dsn)
    try:
        await somebody.execute("SELECT pg_advisory_lock($1)", LOCK)
        yield somebody
    finally:
        await somebody.close()


async def waits(migrating: asyncpg.Connection) -> bool:
    """Whether anybody waits for the one who migrates."""
    waiting: bool = await migrating.fetchval(
        """
        SELECT EXISTS (
            SELECT FROM pg_locks JOIN pg_database ON pg_database.oid = database
            WHERE datname = current_database() AND locktype = 'advisory' AND NOT granted
        )
        """
    )
    return waiting


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_node_that_waits_for_the_migrations_of_another_one(
    migrating: asyncpg.Connection, fresh_dsn: str, number: signal.Signals
) -> None:
    with open_starting(*RUN, DATABASE_URL=fresh_dsn) as starting:
        await eventually(lambda: waits(migrating))
        children = children_of(starting.pid)
        assert children, "a Redis runs below it"
        assert await starting.ended_by(number) == 0
        assert starting.output.endswith("Stopped.\n")
        assert "Traceback" not in starting.output
        assert [pid for pid in children if Path(f"/proc/{pid}").exists()] == []
        assert not await waits(migrating), "its question is taken back"


async def test_a_node_whose_own_database_is_being_made() -> None:
    with open_starting(*RUN) as starting:
        await eventually(lambda: "creating the local database" in starting.output)
        assert await starting.ended_by(signal.SIGTERM) == 0
        assert starting.output.endswith("Stopped.\n")
        assert "Traceback" not in starting.output


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_gunicorn_that_waits_for_the_migrations_of_another_one(
    migrating: asyncpg.Connection, fresh_dsn: str, number: signal.Signals
) -> None:
    with open_starting(*GUNICORN, DATABASE_URL=fresh_dsn, REDIS_URL=NO_SERVER) as starting:
        await eventually(lambda: waits(migrating))
        assert await starting.ended_by(number) == 0
        assert starting.output.endswith("Stopped.\n")
        assert "Traceback" not in starting.output


async def test_a_migration_that_has_not_run_is_none_that_has(migrating: asyncpg.Connection, fresh_dsn: str) -> None:
    with open_starting(*MIGRATE, DATABASE_URL=fresh_dsn) as starting:
        await eventually(lambda: waits(migrating))
        assert await starting.ended_by(signal.SIGTERM) == 1
        assert "the database was not migrated" in starting.output
        assert "Traceback" not in starting.output
